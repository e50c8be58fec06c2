"""All values of groups as dots, with their quartiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalemai.evaluation.report.blocks import Cell, Chart, Column, TableBlock
from scalemai.evaluation.report.charts.drawing import (
    BLUE,
    INK,
    ORANGE,
    QUIET,
    counted,
    drawn,
    few,
    plain_axes,
    say_empty,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["distribution_chart"]

_MOST_DOTS = 300
_GOLDEN = (5**0.5 - 1) / 2  # multiples of it, modulo one, spread evenly however many there are


def distribution_chart(
    groups: Mapping[str, ArrayLike],
    *,
    label: str,
    reference: float | None = None,
    digits: int = 3,
    caption: str = "",
) -> Chart:
    """Draw every value of each group, and a box from the lower to the upper quartile.

    Of more than 300 values in a group, 300 evenly spaced order statistics are drawn, among them
    the smallest and the largest.

    Parameters
    ----------
    groups
        Name to values (any number, also none). NaN is left out and counted.
    label
        Of the axis.
    reference
        Where a line stands.
    digits
        Decimals in the table of numbers.
    caption
        Replaces the customary one.
    """
    values = {name: np.asarray(found, np.float64).ravel() for name, found in groups.items()}
    known = {name: np.sort(found[np.isfinite(found)]) for name, found in values.items()}
    svg = drawn(
        1.0 + max(0.42 * len(known), 1.2), lambda figure: _draw(figure, known, label, reference)
    )
    rows: list[list[Cell]] = []
    for name, found in known.items():
        quartiles = np.quantile(found, (0, 0.25, 0.5, 0.75, 1)).tolist() if found.size else []
        missing = values[name].size - found.size
        rows.append([name, found.size, missing, *(quartiles or [None] * 5)])
    said = few(f"{row[0]}: median {row[5]:.3g}, n = {row[1]}" for row in rows if row[1])
    heads = ("lowest", "lower quartile", "median", "upper quartile", "highest")
    return Chart(
        svg,
        caption
        or f"{label[:1].upper()}{label[1:]}: one dot per value (at most {_MOST_DOTS} in a group, "
        "evenly spaced order statistics of more); box: quartiles and median.",
        f"Distribution of {label} in {counted(len(known), 'group')}. {said}".strip(),
        TableBlock(
            ["group", "n", "without value", *(Column(head, digits=digits) for head in heads)],
            rows,
            f"Quartiles of {label}.",
        ),
    )


def _draw(
    figure: Figure,
    groups: Mapping[str, NDArray[np.float64]],
    label: str,
    reference: float | None,
) -> None:
    if not any(found.size for found in groups.values()):
        say_empty(figure)
        return
    axes = figure.subplots()
    if reference is not None:
        axes.axvline(reference, color=ORANGE, linewidth=1.1, zorder=1)
    for place, found in enumerate(groups.values()):
        if found.size:
            _draw_group(axes, found, place)
        else:
            axes.text(
                0.01, place, "no values", transform=axes.get_yaxis_transform(), va="center",
                fontsize=7.5, color=QUIET, style="italic",
            )  # fmt: skip
        axes.text(
            1.02, place, str(found.size), transform=axes.get_yaxis_transform(), va="center",
            fontsize=8, color=QUIET,
        )  # fmt: skip
    axes.text(
        1.02, -0.72, "n", transform=axes.get_yaxis_transform(), va="center", fontsize=8, color=QUIET
    )
    axes.set_yticks(
        range(len(groups)), [wrapped(name, 34, 2) for name in groups], fontsize=8, linespacing=1.05
    )
    axes.set_ylim(len(groups) - 0.4, -0.85)
    axes.set_xlabel(wrapped(label, 70))
    axes.margins(x=0.03)
    plain_axes(axes, grid="x")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _draw_group(axes: Axes, found: NDArray[np.float64], place: int) -> None:
    from matplotlib.patches import Rectangle

    shown = found
    if found.size > _MOST_DOTS:
        shown = found[np.linspace(0, found.size - 1, _MOST_DOTS).round().astype(np.intp)]
    spread = np.arange(1, shown.size + 1) * _GOLDEN % 1 - 0.5
    axes.scatter(
        shown, place + 0.5 * spread * min(1.0, shown.size / 12), s=9, color=BLUE, alpha=0.45,
        linewidth=0,
    )  # fmt: skip
    low, middle, high = np.quantile(found, (0.25, 0.5, 0.75))
    axes.add_patch(
        Rectangle((low, place - 0.31), high - low, 0.62, fill=False, edgecolor=INK, linewidth=0.9)
    )
    axes.vlines(middle, place - 0.31, place + 0.31, color=INK, linewidth=2.0)
