"""Readers in ROC space, beside the curve of an algorithm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scalemai.evaluation.report.blocks import Cell, Chart, TableBlock
from scalemai.evaluation.report.charts.drawing import (
    INK,
    Look,
    counted,
    drawn,
    few,
    height_with_legend_in,
    in_words,
    legend,
    legend_entry,
    look,
    say_empty,
)
from scalemai.evaluation.report.charts.roc import RocLine, auroc_entry, cross, roc_axes, roc_line
from scalemai.statistics.estimate import Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ReaderPoint", "readers_chart"]

_MOST_CROSSES = 10
_CURVE = Look(INK, "-", "o")


@dataclass(frozen=True, slots=True)
class ReaderPoint:
    """Where one reader stands.

    Parameters
    ----------
    name
        Of the reader.
    sensitivity, specificity
        With their intervals.
    """

    name: str
    sensitivity: Estimate
    specificity: Estimate


def readers_chart(
    readers: Sequence[ReaderPoint], curve: RocLine | None = None, *, caption: str = ""
) -> Chart:
    """Draw readers as points of ROC space with their intervals.

    A reader on the dotted diagonal cannot tell the two classes apart, wherever on it he stands.

    Parameters
    ----------
    readers
        May be empty.
    curve
        Of an algorithm, or of the readers' pooled confidence.
    caption
        Replaces the customary one.
    """
    entries = _entries(readers, curve)
    svg = drawn(
        height_with_legend_in(4.8, entries), lambda figure: _draw(figure, readers, curve, entries)
    )
    said = few(
        f"{one.name}: sensitivity {in_words(one.sensitivity)}, "
        f"specificity {in_words(one.specificity)}"
        for one in readers
    )
    rows: list[list[Cell]] = [[one.name, one.sensitivity, one.specificity] for one in readers]
    return Chart(
        svg,
        caption
        or "Readers in ROC space, with the intervals of sensitivity and specificity as crosses. "
        "Dotted: no ability to tell the classes apart, at any habit of answering.",
        f"{counted(len(readers), 'reader')} in ROC space. {said}".strip(),
        TableBlock(["reader", "sensitivity", "specificity"], rows, "Readers."),
    )


def _entries(readers: Sequence[ReaderPoint], curve: RocLine | None) -> list[str]:
    count = len(readers) + (curve is not None)
    first = [auroc_entry(curve, count)] if curve is not None else []
    return first + [legend_entry(reader.name, count) for reader in readers]


def _draw(
    figure: Figure,
    readers: Sequence[ReaderPoint],
    curve: RocLine | None,
    entries: Sequence[str],
) -> None:
    if not readers and curve is None:
        say_empty(figure)
        return
    axes = figure.subplots()
    roc_axes(axes)
    if curve is not None:
        roc_line(axes, curve, _CURVE, entries[0])
        entries = entries[1:]
    for number, (reader, entry) in enumerate(zip(readers, entries, strict=True)):
        cross(
            axes, reader.sensitivity, reader.specificity, look(number),
            ends=len(readers) <= _MOST_CROSSES, label=entry,
        )  # fmt: skip
    legend(figure, axes)
