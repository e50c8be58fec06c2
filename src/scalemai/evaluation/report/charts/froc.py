"""FROC: sensitivity for lesions over false positives per scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scalemai.evaluation.report.blocks import Cell, Chart, TableBlock
from scalemai.evaluation.report.charts.drawing import (
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
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["RATES", "FrocCurve", "froc_chart"]

RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False positives per scan at which sensitivity is read off.

The seven rates of LUNA16 (Setio et al., Med Image Anal 2017;42:1)."""

_FRACTIONS = {0.125: "1/8", 0.25: "1/4", 0.5: "1/2"}
_LOWEST, _HIGHEST = 1 / 16, 16.0
_MOST_BANDS = 4  # bands of more curves hide one another


@dataclass(frozen=True, eq=False)
class FrocCurve:
    """The curve of one algorithm.

    Parameters
    ----------
    name
        Of the algorithm.
    fp_per_scan, sensitivity
        Arrays (points,), from the strictest threshold to the laxest.
    rates
        False positives per scan to sensitivity with its interval.
    cpm
        Mean sensitivity at the rates.
    """

    name: str
    fp_per_scan: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    rates: Mapping[float, Estimate] = field(default_factory=dict)
    cpm: Estimate | None = None


def froc_chart(curves: Sequence[FrocCurve], *, caption: str = "") -> Chart:
    """Draw FROC curves on a logarithmic axis with the rates of LUNA16.

    Intervals at the rates are drawn as a band, of up to four algorithms; of more, they stand in
    the table of numbers.

    Parameters
    ----------
    curves
        One per algorithm; may be empty.
    caption
        Replaces the customary one.
    """
    svg = drawn(
        height_with_legend_in(4.3, _entries(curves)),
        lambda figure: _draw(figure, curves),
    )
    said = few(f"{one.name}: CPM {in_words(one.cpm) or 'not given'}" for one in curves)
    rows: list[list[Cell]] = []
    for one in curves:
        rows += [[one.name, _rate_in_words(rate), one.rates[rate]] for rate in sorted(one.rates)]
        rows.append([one.name, "mean over the rates (CPM)", one.cpm])
    columns = ["algorithm", "false positives per scan", "sensitivity"]
    return Chart(
        svg,
        caption
        or "Sensitivity for lesions over false positives per scan (FROC). Dots and bands: "
        "sensitivity at the marked rates with its interval; CPM is the mean over the seven rates.",
        f"FROC curves of {counted(len(curves), 'algorithm')}. {said}".strip(),
        TableBlock(columns, rows, "Sensitivity at rates of false positives per scan."),
    )


def _rate_in_words(rate: float) -> str:
    return _FRACTIONS.get(rate, f"{rate:g}")


def _entries(curves: Sequence[FrocCurve]) -> list[str]:
    return [
        legend_entry(one.name, len(curves), "" if one.cpm is None else f"CPM {in_words(one.cpm)}")
        for one in curves
    ]


def _draw(figure: Figure, curves: Sequence[FrocCurve]) -> None:
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    if not curves:
        say_empty(figure)
        return
    axes = figure.subplots()
    for number, (curve, entry) in enumerate(zip(curves, _entries(curves), strict=True)):
        _draw_curve(axes, curve, number, entry, bands=len(curves) <= _MOST_BANDS)
    axes.set_xscale("log", base=2)
    axes.set_xlim(_LOWEST, _HIGHEST)
    axes.set_ylim(-0.02, 1.02)
    axes.xaxis.set_major_locator(FixedLocator(RATES))
    axes.xaxis.set_major_formatter(FixedFormatter([_rate_in_words(rate) for rate in RATES]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("false positives per scan")
    axes.set_ylabel("sensitivity for lesions")
    plain_axes(axes)
    legend(figure, axes)


def _draw_curve(axes: Axes, curve: FrocCurve, number: int, entry: str, *, bands: bool) -> None:
    style = look(number)
    x = np.asarray(curve.fp_per_scan, np.float64)
    y = np.asarray(curve.sensitivity, np.float64)
    order = np.lexsort((y, x))
    axes.plot(
        np.clip(x[order], _LOWEST, None),  # zero has no place on a logarithmic axis
        y[order], color=style.color, linestyle=style.dashes, linewidth=1.6, label=entry,
        drawstyle="steps-post", marker=style.mark if x.size == 1 else "", markersize=4.5,
    )  # fmt: skip
    for rate, found in sorted(curve.rates.items()):
        if found.value is not None:
            axes.plot(
                [rate], [found.value], linestyle="", color=style.color, marker=style.mark,
                markersize=4.5 if bands else 3,
            )  # fmt: skip
    bounded = [(rate, errors_of(found, 0, 1)) for rate, found in sorted(curve.rates.items())]
    ends = [(rate, *pair) for rate, pair in bounded if pair is not None]
    if bands and ends:
        at, low, high = np.array(ends, np.float64).T
        axes.fill_between(at, low, high, color=style.color, alpha=0.13, linewidth=0)
        axes.vlines(at, low, high, color=style.color, linewidth=0.9, alpha=0.7)
