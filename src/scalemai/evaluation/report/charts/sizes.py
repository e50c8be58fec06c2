"""Sensitivity by size of lesion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from scalemai.evaluation.report.blocks import Cell, Chart, TableBlock
from scalemai.evaluation.report.charts.drawing import (
    QUIET,
    clean,
    counted,
    drawn,
    errors_of,
    few,
    height_with_legend_in,
    in_words,
    legend,
    legend_entry,
    look,
    plain_axes,
    say_empty,
    wrapped,
)
from scalemai.statistics.estimate import Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["size_chart"]

_MOST_COUNTS = 3  # counts of more series would overlap


def size_chart(
    bins: Sequence[str],
    series: Mapping[str, Sequence[Estimate]],
    *,
    label: str = "sensitivity for lesions",
    caption: str = "",
) -> Chart:
    """Draw sensitivity in bins of size with intervals and numbers of lesions.

    Parameters
    ----------
    bins
        Names of the bins in order, for example ``("< 10 mm", "10-20 mm")``.
    series
        Name of an algorithm to its estimate in each bin; an estimate that was not computed
        leaves a gap that says so.
    label
        Of the vertical axis, from 0 to 1.
    caption
        Replaces the customary one.

    Raises
    ------
    ValueError
        If a series has more or fewer estimates than there are bins.
    """
    for name, found in series.items():
        if len(found) != len(bins):
            raise ValueError(f"{name!r} has {len(found)} estimates for {len(bins)} bins")
    gaps = any(not estimate.computed for found in series.values() for estimate in found)
    svg = drawn(
        height_with_legend_in(3.9, [legend_entry(name, len(series)) for name in series]),
        lambda figure: _draw(figure, bins, series, label),
    )
    said = few(
        f"{name}: "
        + ", ".join(f"{bin_} {in_words(e)}" for bin_, e in zip(bins, found, strict=True))
        for name, found in series.items()
    )
    rows: list[list[Cell]] = [
        [name, bin_, estimate]
        for name, found in series.items()
        for bin_, estimate in zip(bins, found, strict=True)
    ]
    return Chart(
        svg,
        caption
        or f"{label[:1].upper()}{label[1:]} by size, with intervals; n is the number of lesions"
        + (" (†: not computed, see the numbers)." if gaps else "."),
        f"{label} of {counted(len(series), 'algorithm')} by size. {said}".strip(),
        TableBlock(["algorithm", "size", label], rows, "By size."),
    )


def _draw(
    figure: Figure, bins: Sequence[str], series: Mapping[str, Sequence[Estimate]], label: str
) -> None:
    if not bins or not series:
        say_empty(figure)
        return
    axes = figure.subplots()
    step = min(0.8 / len(series), 0.22)
    for number, (name, found) in enumerate(series.items()):
        style = look(number)
        shift = (number - (len(series) - 1) / 2) * step
        places = [place + shift for place in range(len(bins))]
        known = [
            (x, one.value) for x, one in zip(places, found, strict=True) if one.value is not None
        ]
        for x, estimate in zip(places, found, strict=True):
            if estimate.computed and (ends := errors_of(estimate, 0, 1)) is not None:
                axes.vlines(x, *ends, color=style.color, linewidth=1.6, alpha=0.75)
        axes.plot(
            [x for x, _ in known], [value for _, value in known], linestyle="", color=style.color,
            marker=style.mark, markersize=6.5 if len(series) <= 8 else 4, markeredgecolor="white",
            markeredgewidth=0.7, label=legend_entry(name, len(series)),
        )  # fmt: skip
        if len(series) <= _MOST_COUNTS:
            for x, estimate in zip(places, found, strict=True):
                axes.text(
                    x, -0.045, f"{estimate.n}{'' if estimate.computed else '†'}", ha="center",
                    va="top", fontsize=7.5, color=style.color if len(series) > 1 else QUIET,
                )  # fmt: skip
    axes.set_xlim(-0.6, len(bins) - 0.4)
    axes.set_ylim(-0.13 if len(series) <= _MOST_COUNTS else -0.03, 1.03)
    if len(series) <= _MOST_COUNTS:
        axes.text(-0.58, -0.045, "n", ha="left", va="top", fontsize=7.5, color=QUIET)
    axes.set_xticks(range(len(bins)), [wrapped(clean(name), 14) for name in bins])
    axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    axes.set_ylabel(wrapped(label, 50))
    plain_axes(axes, grid="y")
    axes.tick_params(axis="x", length=0)
    if len(series) > 1:
        legend(figure, axes)
