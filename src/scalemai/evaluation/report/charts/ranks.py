"""How stable a ranking is: places of algorithms when patients are resampled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalemai.evaluation.report.blocks import Cell, Chart, Column, TableBlock
from scalemai.evaluation.report.charts.drawing import (
    BLUE,
    INK,
    counted,
    drawn,
    few,
    plain_axes,
    say_empty,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["rank_chart"]


def rank_chart(
    names: Sequence[str],
    distribution: ArrayLike,
    *,
    ranks: Sequence[int],
    low: Sequence[int] | None = None,
    high: Sequence[int] | None = None,
    level: float = 0.95,
    caption: str = "",
) -> Chart:
    """Draw how often each algorithm took each place, as circles whose area is the share.

    Parameters
    ----------
    names
        Algorithms.
    distribution
        Array (algorithms, places): share of resamples in which an algorithm took a place.
    ranks
        Place on all patients; 1 is best. The chart is ordered by it.
    low, high
        Central range of the place in the resamples, of probability ``level``.
    level
        Of the range.
    caption
        Replaces the customary one.

    Raises
    ------
    ValueError
        If there is not one row of the distribution and one rank for each name.
    """
    shares = np.asarray(distribution, np.float64)
    count = len(names)
    if len(ranks) != count or (count and shares.shape[:1] != (count,)):
        raise ValueError(f"{count} algorithms, {len(ranks)} ranks, distribution {shares.shape}")
    order = sorted(range(count), key=lambda n: (ranks[n], n))
    ends = None if low is None or high is None else [(int(low[n]), int(high[n])) for n in order]
    names = [names[n] for n in order]
    places = [int(ranks[n]) for n in order]
    shares = shares[order] if count else shares
    svg = drawn(
        1.0 + max((0.33 if count <= 16 else 0.25) * count, 1.4),
        lambda figure: _draw(figure, names, shares, places, ends),
    )
    rows: list[list[Cell]] = [
        [
            name,
            place,
            *((None, None) if ends is None else ends[n]),
            float(shares[n, 0]) if shares.shape[1] else None,
        ]
        for n, (name, place) in enumerate(zip(names, places, strict=True))
    ]
    said = few(
        f"{name}: place {place}" + (f" ({ends[n][0]} to {ends[n][1]})" if ends else "")
        for n, (name, place) in enumerate(zip(names, places, strict=True))
    )
    return Chart(
        svg,
        caption
        or "Places when patients are resampled: the area of a circle is the share of resamples, "
        f"a bar spans the central {100 * level:g} %, and a cross marks the place on all patients.",
        f"Places of {counted(count, 'algorithm')} over resamples. {said}".strip(),
        TableBlock(
            [
                "algorithm",
                "place",
                "from",
                "to",
                Column("shares first place", digits=3, kind="percent"),
            ],
            rows,
            f"Place on all patients and its central {100 * level:g} % over resamples.",
        ),
    )


def _draw(
    figure: Figure,
    names: Sequence[str],
    shares: NDArray[np.float64],
    places: Sequence[int],
    ends: Sequence[tuple[int, int]] | None,
) -> None:
    if not names:
        say_empty(figure)
        return
    axes = figure.subplots()
    count = shares.shape[1]
    largest = min(0.3 * 72, 5.2 * 72 / max(count, 1)) ** 2
    at, place = np.nonzero(shares > 0)
    if ends is not None:
        for n, (low, high) in enumerate(ends):
            axes.hlines(n, low, high, color=BLUE, linewidth=1.2, alpha=0.55)
    axes.scatter(
        place + 1, at, s=np.maximum(largest * shares[at, place], 2.0), color=BLUE, alpha=0.8,
        linewidth=0, zorder=3,
    )  # fmt: skip
    axes.scatter(
        places, range(len(names)), marker="x", s=26, color="white", linewidth=2.6, zorder=4
    )
    axes.scatter(places, range(len(names)), marker="x", s=22, color=INK, linewidth=1.1, zorder=5)
    lines = 2 if len(names) <= 16 else 1
    axes.set_yticks(
        range(len(names)), [wrapped(name, 34 if lines == 2 else 44, lines) for name in names],
        linespacing=1.05, fontsize=8,
    )  # fmt: skip
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0.4, count + 0.6)
    axes.set_xticks(range(1, count + 1))
    axes.set_xlabel("place (1 is best)")
    plain_axes(axes, grid="both")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    if count > 20:
        axes.tick_params(axis="x", labelsize=7)
