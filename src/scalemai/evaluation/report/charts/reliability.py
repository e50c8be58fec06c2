"""Whether predicted probabilities mean what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scalemai.evaluation.report.blocks import Cell, Chart, TableBlock
from scalemai.evaluation.report.charts.drawing import (
    MUTED,
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
)
from scalemai.statistics.estimate import Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ReliabilityBin", "reliability_chart"]

_MOST_ENDS = 4


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Cases of similar predicted probability.

    Parameters
    ----------
    predicted
        Mean of their predicted probabilities.
    observed
        Share of positives among them; its ``n`` is their number.
    """

    predicted: float
    observed: Estimate


def reliability_chart(
    series: Mapping[str, Sequence[ReliabilityBin]], *, caption: str = ""
) -> Chart:
    """Draw observed over predicted probability, and below it how many cases there are.

    Parameters
    ----------
    series
        Name of an algorithm to its bins; may be empty.
    caption
        Replaces the customary one.
    """
    svg = drawn(
        height_with_legend_in(5.4, [legend_entry(name, len(series)) for name in series]),
        lambda figure: _draw(figure, series),
    )
    rows: list[list[Cell]] = [
        [name, float(one.predicted), one.observed] for name, bins in series.items() for one in bins
    ]
    said = few(
        f"{name}: "
        + ", ".join(f"predicted {one.predicted:.2f} observed {in_words(one.observed, 2)}"
                    for one in bins)
        for name, bins in series.items()
    )  # fmt: skip
    return Chart(
        svg,
        caption
        or "Share of positives over predicted probability, with intervals; on the dotted line "
        "probabilities mean what they say. Below: numbers of cases.",
        f"Reliability of {counted(len(series), 'algorithm')}. {said}".strip(),
        TableBlock(["algorithm", "predicted", "observed"], rows, "Bins of predicted probability."),
    )


def _draw(figure: Figure, series: Mapping[str, Sequence[ReliabilityBin]]) -> None:
    if not any(series.values()):
        say_empty(figure)
        return
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=":")
    step = min(0.01, 0.08 / len(series))
    for number, (name, bins) in enumerate(series.items()):
        style = look(number)
        known = [
            (one.predicted, one.observed.value) for one in bins if one.observed.value is not None
        ]
        for one in bins if len(series) <= _MOST_ENDS else ():
            if one.observed.computed and (ends := errors_of(one.observed, 0, 1)) is not None:
                axes.vlines(one.predicted, *ends, color=style.color, linewidth=1.2, alpha=0.7)
        axes.plot(
            [x for x, _ in known], [y for _, y in known], color=style.color, marker=style.mark,
            linestyle=style.dashes, linewidth=1.3, markersize=5.5, markeredgecolor="white",
            markeredgewidth=0.7, label=legend_entry(name, len(series)),
        )  # fmt: skip
        below.vlines(
            [one.predicted + step * (number - (len(series) - 1) / 2) for one in bins],
            0, [one.observed.n for one in bins], color=style.color,
            linewidth=5.0 if len(series) == 1 else max(220 * step, 0.4),
        )  # fmt: skip
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("observed share of positives")
    below.set_ylabel("cases")
    below.set_ylim(bottom=0)
    below.set_xlabel("predicted probability")
    below.locator_params(axis="y", nbins=3, integer=True)
    plain_axes(axes)
    plain_axes(below)
    if len(series) > 1:
        legend(figure, axes)
