"""ROC: sensitivity over false positive rate, with the operating point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scalemai.evaluation.report.blocks import Cell, Chart, Column, TableBlock
from scalemai.evaluation.report.charts.drawing import (
    MUTED,
    Look,
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

__all__ = ["RocLine", "auroc_entry", "cross", "roc_axes", "roc_chart", "roc_line"]

_MOST_CROSSES = 8


@dataclass(frozen=True, eq=False)
class RocLine:
    """The curve of one algorithm.

    Parameters
    ----------
    name
        Of the algorithm.
    false_positive_rate, sensitivity
        Arrays (points,), from the strictest threshold to the laxest.
    auroc
        Area under it.
    at_sensitivity, at_specificity
        Both at the operating point.
    """

    name: str
    false_positive_rate: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    auroc: Estimate | None = None
    at_sensitivity: Estimate | None = None
    at_specificity: Estimate | None = None


def roc_chart(lines: Sequence[RocLine], *, caption: str = "") -> Chart:
    """Draw ROC curves; the operating point is a mark with its intervals as a cross.

    Parameters
    ----------
    lines
        One per algorithm; may be empty.
    caption
        Replaces the customary one.
    """
    svg = drawn(height_with_legend_in(4.8, _entries(lines)), lambda figure: _draw(figure, lines))
    said = few(f"{line.name}: AUROC {in_words(line.auroc) or 'not given'}" for line in lines)
    rows: list[list[Cell]] = [
        [line.name, line.auroc, line.at_sensitivity, line.at_specificity] for line in lines
    ]
    columns: list[str | Column] = [
        "algorithm",
        Column("AUROC"),
        Column("sensitivity at the operating point"),
        Column("specificity there"),
    ]
    return Chart(
        svg,
        caption
        or "Sensitivity over false positive rate (ROC). Marks: operating points, with the "
        "intervals of sensitivity and specificity as a cross. Dotted: chance.",
        f"ROC curves of {counted(len(lines), 'algorithm')}. {said}".strip(),
        TableBlock(columns, rows, "AUROC and operating points."),
    )


def roc_axes(axes: Axes) -> None:
    """A square from 0 to 1 with the diagonal of chance."""
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=":")
    axes.set_xlim(-0.015, 1.015)
    axes.set_ylim(-0.015, 1.015)
    axes.set_aspect("equal")
    axes.set_anchor("NW")
    ticks = np.linspace(0, 1, 6)
    axes.set_xticks(ticks)
    axes.set_yticks(ticks)
    axes.set_xlabel("false positive rate (1 - specificity)")
    axes.set_ylabel("sensitivity")
    plain_axes(axes)


def roc_line(axes: Axes, line: RocLine, style: Look, label: str) -> None:
    """The curve from (0, 0) to (1, 1); of no points, its entry in the legend alone."""
    x = np.asarray(line.false_positive_rate, np.float64)
    y = np.asarray(line.sensitivity, np.float64)
    known = np.isfinite(x) & np.isfinite(y)
    order = np.lexsort((y[known], x[known]))
    x, y = x[known][order], y[known][order]
    if x.size:
        x, y = np.concatenate([[0.0], x, [1.0]]), np.concatenate([[0.0], y, [1.0]])
    axes.plot(x, y, color=style.color, linestyle=style.dashes, linewidth=1.6, label=label)


def cross(
    axes: Axes,
    sensitivity: Estimate,
    specificity: Estimate,
    style: Look,
    *,
    ends: bool = True,
    label: str = "",
) -> None:
    """A point of ROC space with the intervals of both rates; nothing if one is not computed."""
    if sensitivity.value is None or specificity.value is None:
        axes.plot([], [], color=style.color, marker=style.mark, linestyle="", label=label)
        return
    x, y = 1 - specificity.value, sensitivity.value
    if ends and (across := errors_of(specificity, 0, 1)) is not None:
        axes.hlines(y, 1 - across[1], 1 - across[0], color=style.color, linewidth=1.0)
    if ends and (up := errors_of(sensitivity, 0, 1)) is not None:
        axes.vlines(x, *up, color=style.color, linewidth=1.0)
    axes.plot(
        [x], [y], color=style.color, marker=style.mark, markersize=6.5, markeredgecolor="white",
        markeredgewidth=0.9, linestyle="", zorder=4, label=label,
    )  # fmt: skip


def _entries(lines: Sequence[RocLine]) -> list[str]:
    return [auroc_entry(line, len(lines)) for line in lines]


def auroc_entry(line: RocLine, count: int) -> str:
    """The entry of a curve in a legend of ``count`` entries."""
    found = "" if line.auroc is None else f"AUROC {in_words(line.auroc)}"
    return legend_entry(line.name, count, found)


def _draw(figure: Figure, lines: Sequence[RocLine]) -> None:
    if not lines:
        say_empty(figure)
        return
    axes = figure.subplots()
    roc_axes(axes)
    for number, (line, entry) in enumerate(zip(lines, _entries(lines), strict=True)):
        roc_line(axes, line, look(number), entry)
        if line.at_sensitivity is not None and line.at_specificity is not None:
            cross(
                axes, line.at_sensitivity, line.at_specificity, look(number),
                ends=len(lines) <= _MOST_CROSSES, label="_",
            )  # fmt: skip
    legend(figure, axes)
