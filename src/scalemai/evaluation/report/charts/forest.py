"""Estimates of many groups below one another, with their intervals and numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scalemai.evaluation.report.blocks import Cell, Chart, TableBlock
from scalemai.evaluation.report.charts.drawing import (
    BLUE,
    ORANGE,
    QUIET,
    counted,
    drawn,
    few,
    finite,
    in_words,
    plain_axes,
    say_empty,
    wrapped,
)
from scalemai.statistics.estimate import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PAPER = {"facecolor": "white", "linewidth": 0, "pad": 1.0}  # lines end before words

__all__ = ["ForestRow", "forest_chart"]


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One line of a forest chart.

    Parameters
    ----------
    name
        Of the group.
    estimate
        Its number; what was not computed says why.
    heading
        Rows of one heading (sex, hospital) stand together below it, where rows with the same
        heading follow one another.
    """

    name: str
    estimate: Estimate
    heading: str = ""


def forest_chart(
    rows: Sequence[ForestRow],
    *,
    label: str,
    reference: float | None = None,
    reference_label: str = "",
    limits: tuple[float, float] | None = None,
    log: bool = False,
    caption: str = "",
) -> Chart:
    """Draw groups with their intervals; an interval that leaves the axis ends in an arrow.

    Parameters
    ----------
    rows
        May be empty.
    label
        Of the axis, for example ``"sensitivity"``.
    reference
        Where a line stands: the value of all patients, or no difference.
    reference_label
        What the line is.
    limits
        Of the axis, if not those of the data.
    log
        Logarithmic axis, for ratios.
    caption
        Replaces the customary one.
    """
    headings = sum(
        row.heading != "" and (n == 0 or rows[n - 1].heading != row.heading)
        for n, row in enumerate(rows)
    )
    svg = drawn(
        1.05 + max(0.29 * (len(rows) + 1.15 * headings), 1.0),
        lambda figure: _draw(figure, rows, label, reference, limits, log),
    )
    said = few(f"{_full_name(row)}: {in_words(row.estimate)}" for row in rows)
    cells: list[list[Cell]] = [[_full_name(row), row.estimate] for row in rows]
    line = ""
    if reference is not None:
        line = f" Line: {reference_label or f'{reference:g}'}."
    return Chart(
        svg,
        caption
        or f"{label[:1].upper()}{label[1:]} by group, with intervals and numbers of units.{line}",
        f"{label} of {counted(len(rows), 'group')}. {said}".strip(),
        TableBlock(["group", label], cells, "By group."),
    )


def _full_name(row: ForestRow) -> str:
    return f"{row.heading}: {row.name}" if row.heading else row.name


def _limits(
    rows: Sequence[ForestRow], reference: float | None, *, log: bool
) -> tuple[float, float]:
    """The axis: all values, the reference, and intervals unless they are far wider."""
    middle = [*finite(row.estimate.value for row in rows), *finite([reference])]
    pairs = [finite([row.estimate.low, row.estimate.high]) for row in rows]
    if log:
        middle = [math.log(value) for value in middle if value > 0]
        pairs = [[math.log(end) for end in pair if end > 0] for pair in pairs]
    lengths = [pair[1] - pair[0] for pair in pairs if len(pair) == 2]
    low, high = _limits_of(middle, lengths, [end for pair in pairs for end in pair])
    return (math.exp(low), math.exp(high)) if log else (low, high)


def _limits_of(middle: list[float], lengths: list[float], ends: list[float]) -> tuple[float, float]:
    if not middle:
        return 0.0, 1.0
    low, high = min(middle), max(middle)
    # One interval that is far wider than the others must not squeeze them: it gets an arrow.
    room = max(high - low, float(np.median(lengths)) if lengths else 0.0) or 0.1 * abs(low) or 0.1
    bottom, top = max(min([low, *ends]), low - room), min(max([high, *ends]), high + room)
    edge = 0.05 * (top - bottom) or 0.5 * room
    return bottom - edge, top + edge


def _draw(
    figure: Figure,
    rows: Sequence[ForestRow],
    label: str,
    reference: float | None,
    limits: tuple[float, float] | None,
    log: bool,
) -> None:
    if not rows:
        say_empty(figure)
        return
    axes = figure.subplots()
    low, high = limits or _limits(rows, reference, log=log)
    if log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(lambda value, _: "")
    axes.set_xlim(low, high)
    if reference is not None:
        axes.axvline(reference, color=ORANGE, linewidth=1.1, zorder=1)
    place, heading = 0.0, ""
    ticks: list[float] = []
    right = axes.get_yaxis_transform()
    for row in rows:
        if row.heading and row.heading != heading:
            place += 0.15 if ticks else 0.0
            axes.text(
                -0.018, place, wrapped(row.heading, 40, 1), transform=right, ha="right",
                va="center", fontsize=8.5, fontweight="bold", clip_on=False,
            )  # fmt: skip
            place += 1.0
        heading = row.heading
        _draw_row(axes, row.estimate, place, (low, high))
        n = f"{row.estimate.n}" if row.estimate.n else ""
        axes.text(1.02, place, n, transform=right, ha="left", va="center", fontsize=8, color=QUIET)
        ticks.append(place)
        place += 1.0
    axes.text(1.02, -0.85, "n", transform=right, ha="left", va="center", fontsize=8, color=QUIET)
    axes.set_yticks(ticks, [wrapped(row.name, 36, 2) for row in rows], fontsize=8, linespacing=1.05)
    axes.set_ylim(place - 0.4, -1.1)
    axes.set_xlabel(wrapped(label, 70))
    plain_axes(axes, grid="x")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0, pad=7)


def _draw_row(axes: Axes, estimate: Estimate, place: float, limits: tuple[float, float]) -> None:
    low, high = limits
    if estimate.value is None:
        reason = wrapped(f"not computed because {estimate.reason}", 76, 2)
        axes.text(
            0.01, place, reason, transform=axes.get_yaxis_transform(), ha="left", va="center",
            fontsize=7, color=QUIET, style="italic", linespacing=1.0,
            bbox=_PAPER,
        )  # fmt: skip
        return
    if estimate.low is not None and estimate.high is not None:
        ends = (max(estimate.low, low), min(estimate.high, high))
        axes.hlines(place, *ends, color=BLUE, linewidth=1.7)
        for end, at_edge, mark in (
            (ends[0], estimate.low < low, "<"),
            (ends[1], estimate.high > high, ">"),
        ):
            if at_edge:
                axes.plot([end], [place], mark, color=BLUE, markersize=6, clip_on=False)
    hollow = estimate.low is None or estimate.high is None
    axes.plot(
        [estimate.value], [place], "o", color=BLUE, markersize=6, markeredgecolor=BLUE,
        markerfacecolor="white" if hollow else BLUE, zorder=4,
    )  # fmt: skip
    if hollow and estimate.reason:
        to_left = (
            axes.transData.transform((estimate.value, 0))[0] > axes.bbox.x0 + axes.bbox.width / 2
        )
        axes.annotate(
            wrapped(f"no interval because {estimate.reason}", 44, 2), (estimate.value, place),
            (-9 if to_left else 9, 0), textcoords="offset points", va="center", fontsize=7,
            ha="right" if to_left else "left", color=QUIET, style="italic", linespacing=1.0,
            bbox=_PAPER,
        )  # fmt: skip
