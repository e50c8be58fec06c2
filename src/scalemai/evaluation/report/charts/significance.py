"""Which algorithm beats which: adjusted p and effect of every pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalemai.evaluation.report.blocks import Cell, Chart, Column, TableBlock
from scalemai.evaluation.report.charts.drawing import (
    BLUE,
    FAINT,
    INK,
    MUTED,
    ORANGE,
    QUIET,
    counted,
    drawn,
    few,
    say_empty,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["significance_map"]

_MOST_WRITTEN = 14  # algorithms up to which effects are written into the cells


def significance_map(
    names: Sequence[str],
    adjusted_p: ArrayLike,
    effect: ArrayLike,
    *,
    order_by: Sequence[float] | None = None,
    alpha: float = 0.05,
    effect_label: str = "rank-biserial correlation",
    order_label: str = "mean rank",
    caption: str = "",
) -> Chart:
    """Draw all pairs of algorithms: colour says who is better, area says by how much.

    A pair is coloured if its adjusted p is below ``alpha``: blue where the algorithm of the row
    is better, orange where that of the column is. With a one-sided test (the algorithm of the
    row is better) only blue cells can occur. A pair that does not differ significantly stays
    hollow: that is not evidence that they are equal.

    Parameters
    ----------
    names
        Algorithms.
    adjusted_p
        Array (algorithms, algorithms) after correction for multiplicity; NaN where a pair was
        not tested.
    effect
        Array (algorithms, algorithms) in [-1, 1]; positive where the row is better. NaN if
        unknown.
    order_by
        Number by which algorithms are sorted, lowest first (mean rank); given order without it.
    alpha
        Level of significance.
    effect_label, order_label
        What they are called.
    caption
        Replaces the customary one.

    Raises
    ------
    ValueError
        If the arrays are not square over the names.
    """
    p: NDArray[np.float64] = np.asarray(adjusted_p, np.float64)
    sizes: NDArray[np.float64] = np.asarray(effect, np.float64)
    count = len(names)
    if count and any(array.shape != (count, count) for array in (p, sizes)):
        got = f"{p.shape} and {sizes.shape}"
        raise ValueError(f"{count} algorithms need {count} x {count} arrays, got {got}")
    if order_by is not None:
        order = sorted(range(count), key=lambda n: (order_by[n], n))
        names = [names[n] for n in order]
        p, sizes = p[np.ix_(order, order)], sizes[np.ix_(order, order)]
    svg = drawn(
        _height_in(count), lambda figure: _draw(figure, names, p, sizes, alpha, effect_label)
    )
    wins = [
        f"{names[i]} is better than {names[j]} (p = {p[i, j]:.3g})"
        for i in range(count)
        for j in range(count)
        if i != j and p[i, j] < alpha and sizes[i, j] > 0
    ]
    rows: list[list[Cell]] = [
        [names[i], names[j], _known(p[i, j]), _known(sizes[i, j])]
        for i in range(count)
        for j in range(count)
        if i != j
    ]
    ordered = f" Algorithms are ordered by {order_label}." if order_by is not None else ""
    return Chart(
        svg,
        caption
        or f"Row against column. Blue: the row is better, orange: the column is, adjusted "
        f"p < {alpha:g}; hollow: no significant difference, which does not mean that they are "
        f"equal. Area: size of the effect ({effect_label}).{ordered}",
        f"Map of pairwise tests between {counted(count, 'algorithm')}; {len(wins)} significant. "
        f"{few(wins)}".strip(),
        TableBlock(
            ["row", "column", Column("adjusted p", kind="p"), Column(effect_label)],
            rows,
            "All pairs; a positive effect says that the row is better.",
        ),
    )


def _height_in(count: int) -> float:
    return 1.3 + min(max(0.3 * count, 1.6), 5.6)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _draw(
    figure: Figure,
    names: Sequence[str],
    p: NDArray[np.float64],
    effect: NDArray[np.float64],
    alpha: float,
    effect_label: str,
) -> None:
    from matplotlib.patches import Rectangle

    if len(names) < 2:
        say_empty(figure, "no pairs of algorithms")
        return
    axes = figure.subplots()
    count = len(names)
    for i in range(count):
        for j in range(count):
            ground = MUTED if i == j else FAINT
            axes.add_patch(
                Rectangle((j - 0.47, i - 0.47), 0.94, 0.94, facecolor=ground, linewidth=0,
                          alpha=0.25 if i == j else 1.0)
            )  # fmt: skip
            if i != j:
                _draw_pair(axes, (j, i), p[i, j], effect[i, j], alpha, written=count)
    small = count > 16
    points = 7.0 if small else 8.5
    labels = [
        f"{wrapped(name, 40 if small else 34, 1 if small else 2)}  {n}"
        for n, name in enumerate(names, start=1)
    ]
    axes.set_yticks(range(count), labels, fontsize=points, linespacing=1.05)
    axes.set_xticks(range(count), [str(n + 1) for n in range(count)], fontsize=points)
    axes.tick_params(length=0)
    axes.xaxis.tick_top()
    axes.set_xlim(-0.5, count - 0.5)
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.set_anchor("NW")  # else the layout takes the labels to be nearer than they are
    for spine in axes.spines.values():
        spine.set_visible(False)
    untested = bool((~np.isfinite(p) & ~np.eye(count, dtype=bool)).any())
    _draw_key(figure, effect_label, alpha, untested=untested)


def _draw_pair(
    axes: Axes, place: tuple[int, int], p: float, effect: float, alpha: float, *, written: int
) -> None:
    from matplotlib.patches import Rectangle

    x, y = place
    if not np.isfinite(p):
        axes.plot([x - 0.25, x + 0.25], [y + 0.25, y - 0.25], color=MUTED, linewidth=0.9)
        return
    size = 0.5 if not np.isfinite(effect) else min(abs(effect), 1.0)
    side = 0.9 * max(np.sqrt(size), 0.12)
    better = p < alpha
    color = BLUE if effect >= 0 or not np.isfinite(effect) else ORANGE
    axes.add_patch(
        Rectangle(
            (x - side / 2, y - side / 2), side, side, linewidth=0 if better else 0.8,
            facecolor=color if better else "none", edgecolor=MUTED,
        )
    )  # fmt: skip
    if written <= _MOST_WRITTEN and np.isfinite(effect):
        inside = better and side > 0.62
        axes.text(
            x, y, f"{effect:+.2f}".replace("-", "−"), ha="center", va="center",
            fontsize=max(min(8.0, 62 / written), 5.0),
            color="white" if inside else INK,
        )  # fmt: skip


def _draw_key(figure: Figure, effect_label: str, alpha: float, *, untested: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Artist] = [
        Patch(facecolor=BLUE, label=f"row better, p < {alpha:g}"),
        Patch(facecolor=ORANGE, label=f"column better, p < {alpha:g}"),
        Patch(facecolor="none", edgecolor=MUTED, label="no significant difference"),
    ]
    if untested:
        stroke = Line2D([], [], color=MUTED, linewidth=0, marker=(2, 0, -45), markersize=9)
        stroke.set_label("not tested")
        handles.append(stroke)
    legend = figure.legend(
        handles=handles, loc="outside lower center", frameon=False, ncols=len(handles),
        handlelength=1.0, handleheight=1.0, title=f"area: {effect_label}",
    )  # fmt: skip
    legend.get_title().set_color(QUIET)
    legend.get_title().set_fontsize(8)
