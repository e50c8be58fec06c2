"""A measure over the number of training scans, with fitted curves and where they may go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scalemai.evaluation.report.blocks import Cell, Chart, TableBlock
from scalemai.evaluation.report.charts.drawing import (
    GREEN,
    Look,
    counted,
    drawn,
    errors_of,
    few,
    finite,
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
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FittedCurve", "ScalingSeries", "scaling_chart"]

_TICKS = (1, 2, 5)
_MOST_BANDS = 6  # bands of more curves hide one another


@dataclass(frozen=True, eq=False)
class FittedCurve:
    """A law drawn through the points of a series.

    Parameters
    ----------
    name
        Of the law, for example ``"power law with floor"``.
    n, value
        Arrays (points,): numbers of scans, ascending, and the law there. What lies beyond the
        largest n of the series is drawn as an extrapolation.
    low, high
        Arrays (points,): interval; None if there is none. Infinite ends are cut at the axis.
    """

    name: str
    n: NDArray[np.float64]
    value: NDArray[np.float64]
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class ScalingSeries:
    """What was measured with growing numbers of training scans.

    Parameters
    ----------
    name
        Of the series, for example ``"real scans, out of distribution"``.
    n
        Numbers of training scans, positive.
    estimates
        One for each n.
    curves
        Laws through them.
    """

    name: str
    n: Sequence[float]
    estimates: Sequence[Estimate]
    curves: Sequence[FittedCurve] = ()

    def __post_init__(self) -> None:
        if len(self.n) != len(self.estimates):
            raise ValueError(f"{len(self.n)} sizes for {len(self.estimates)} estimates")


def scaling_chart(
    series: Sequence[ScalingSeries],
    *,
    label: str,
    margin: float | None = None,
    plateau_n: float | None = None,
    caption: str = "",
) -> Chart:
    """Draw a measure over numbers of training scans on a logarithmic axis.

    Parameters
    ----------
    series
        May be empty.
    label
        Of the measure.
    margin
        Width of the plateau: a band from the value at the largest n of the first series down by
        this much. A plateau is where the gain that is left is surely smaller than that.
    plateau_n
        Where the plateau begins, if it was found.
    caption
        Replaces the customary one.
    """
    names = [name for one in series for name in (one.name, *map(_name, one.curves))]
    entries = len(names) + (margin is not None) + (plateau_n is not None)
    svg = drawn(
        height_with_legend_in(4.3, [legend_entry(name, entries) for name in names]) + 0.4,
        lambda figure: _draw(figure, series, label, margin, plateau_n, entries),
    )
    rows: list[list[Cell]] = [
        [one.name, float(n) if n % 1 else int(n), estimate]
        for one in series
        for n, estimate in zip(one.n, one.estimates, strict=True)
    ]
    said = few(
        f"{one.name}: " + ", ".join(
            f"{n:g} scans {in_words(e)}" for n, e in zip(one.n, one.estimates, strict=True)
        )
        for one in series
    )  # fmt: skip
    plateau = "" if margin is None else f" Band: within {margin:g} of the value at the largest n."
    return Chart(
        svg,
        caption
        or f"{label[:1].upper()}{label[1:]} over the number of training scans: points with "
        "intervals, and fitted laws with theirs; dashed and lighter beyond the largest n, where "
        f"nothing was measured.{plateau}",
        f"{label} over training scans in {counted(len(series), 'series')}. {said}".strip(),
        TableBlock(["series", "training scans", label], rows, "Measured points."),
    )


def _name(curve: FittedCurve) -> str:
    return curve.name


def _draw(
    figure: Figure,
    series: Sequence[ScalingSeries],
    label: str,
    margin: float | None,
    plateau_n: float | None,
    entries: int,
) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if not any(one.n for one in series):
        say_empty(figure)
        return
    axes = figure.subplots()
    axes.set_xscale("log")
    smallest, largest = _extent(series)
    axes.set_xlim(smallest / 1.25, largest * 1.25)
    low, high = _limits(series, margin)
    axes.set_ylim(low, high)
    looks = map(look, count())
    bands = sum(len(one.curves) for one in series) <= _MOST_BANDS
    for one in series:
        style = next(looks)
        _draw_points(axes, one, style, (low, high), legend_entry(one.name, entries))
        for place, curve in enumerate(one.curves):
            own = style if place == 0 else next(looks)
            entry = legend_entry(curve.name, entries)
            _draw_curve(axes, curve, max(one.n, default=0.0), own, (low, high), entry, bands=bands)
    if margin is not None:
        _draw_margin(axes, series[0], margin, plateau_n)
    axes.xaxis.set_major_locator(LogLocator(subs=_TICKS))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("training scans")
    axes.set_ylabel(wrapped(label, 46))
    plain_axes(axes)
    legend(figure, axes)


def _extent(series: Sequence[ScalingSeries]) -> tuple[float, float]:
    every = [float(n) for one in series for n in one.n]
    every += [float(n) for one in series for curve in one.curves for n in curve.n if n > 0]
    return min(every), max(every)


def _limits(series: Sequence[ScalingSeries], margin: float | None) -> tuple[float, float]:
    """Where the points and curves are; intervals widen it by no more than the same again."""
    middle = finite(e.value for one in series for e in one.estimates)
    middle += finite(v for one in series for curve in one.curves for v in curve.value)
    if not middle:
        return 0.0, 1.0
    ends = finite(end for one in series for e in one.estimates for end in (e.low, e.high))
    low, high = min(middle), max(middle)
    room = max(high - low, margin or 0.0, 0.02 * abs(high), 1e-6)
    bottom = max(min([low, *ends]), low - room)
    top = min(max([high, *ends]), high + room)
    return bottom - 0.08 * room, top + 0.08 * room


def _draw_points(
    axes: Axes, one: ScalingSeries, style: Look, limits: tuple[float, float], entry: str
) -> None:
    known: list[tuple[float, float]] = []
    for n, estimate in zip(one.n, one.estimates, strict=True):
        if estimate.value is None:
            continue
        known.append((n, estimate.value))
        if (ends := errors_of(estimate, *limits)) is not None:
            axes.vlines(n, *ends, color=style.color, linewidth=1.3, alpha=0.8)
    axes.plot(
        [n for n, _ in known], [value for _, value in known], linestyle="", color=style.color,
        marker=style.mark, markersize=6, markeredgecolor="white", markeredgewidth=0.8, zorder=4,
        label=entry,
    )  # fmt: skip


def _draw_curve(
    axes: Axes,
    curve: FittedCurve,
    measured: float,
    style: Look,
    limits: tuple[float, float],
    entry: str,
    *,
    bands: bool,
) -> None:
    if not len(curve.n):
        return
    n = np.union1d(np.asarray(curve.n, np.float64), [measured])
    n = n[(n >= np.min(curve.n)) & (n <= np.max(curve.n))]
    inside, beyond = n <= measured, n >= measured

    def at(values: NDArray[np.float64]) -> NDArray[np.float64]:
        shown: NDArray[np.float64] = np.interp(np.log(n), np.log(curve.n), np.clip(values, *limits))
        return shown

    value = at(curve.value)
    axes.plot(
        n[inside], value[inside], color=style.color, linestyle=style.dashes, linewidth=1.4,
        label=entry,
    )  # fmt: skip
    axes.plot(n[beyond], value[beyond], color=style.color, linestyle=(0, (2, 2)), linewidth=1.2)
    if bands and curve.low is not None and curve.high is not None:
        low, high = at(curve.low), at(curve.high)
        for part, strength in ((inside, 0.16), (beyond, 0.08)):
            axes.fill_between(
                n[part], low[part], high[part], color=style.color, alpha=strength, linewidth=0
            )


def _draw_margin(axes: Axes, one: ScalingSeries, margin: float, plateau_n: float | None) -> None:
    known = [(n, e.value) for n, e in zip(one.n, one.estimates, strict=True) if e.value is not None]
    if not known:
        return
    top = max(known)[1]
    band = f"margin {margin:g}"
    axes.axhspan(top - margin, top, color=GREEN, alpha=0.13, linewidth=0, label=band)
    if plateau_n is not None:
        axes.axvline(
            plateau_n, color=GREEN, linewidth=1.1, linestyle=(0, (4, 2)),
            label=f"plateau from {plateau_n:,.6g}",
        )  # fmt: skip
