"""What is asked of a scaling study."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from scalemai.errors import ConfigError
from scalemai.evaluation.scaling.measurements import Measurements
from scalemai.evaluation.tables import Table

__all__ = ["Direction", "Question", "direction_of"]

_LOWER_IS_BETTER = ("hd", "assd", "error", "loss", "distance", "fpr", "false")


@dataclass(frozen=True)
class Question:
    """What is asked of a scaling study; all but the numbers of resamples may be left open.

    Parameters
    ----------
    metric, group
        Columns, as of :func:`~scalemai.evaluation.scaling.measurements.read_measurements`.
    better
        ``"higher"`` or ``"lower"``; by default what the table's definition says, else what the
        name of the measure suggests.
    perfect
        Best possible value; by default 1 or 100 for a measure within 0 to 1 or 100 where higher
        is better, 0 where lower is.
    margin
        Gain that does not matter, in units of the measure; by default one hundredth of a perfect
        value (one point).
    gains
        Gains to plan for, in units of the measure; by default two points.
    at
        Numbers of real scans to foretell; by default the largest, twice and four times as many.
    level, resamples, seed
        Confidence level, number of resamples, and where they come from.

    Raises
    ------
    ConfigError
        If a number is impossible.
    """

    metric: str | None = None
    group: str | None = None
    better: Literal["higher", "lower"] | None = None
    perfect: float | None = None
    margin: float | None = None
    gains: Sequence[float] = ()
    at: Sequence[float] = ()
    level: float = 0.95
    resamples: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.better not in (None, "higher", "lower"):
            raise ConfigError(f"{self.better!r} is unknown", where="better", fix="higher or lower")
        if not 0.5 <= self.level < 1:
            raise ConfigError(f"{self.level:g} is no level", where="level", fix="for example 0.95")
        if self.resamples < 100:
            what = f"{self.resamples} resamples are too few for an interval"
            raise ConfigError(what, where="resamples", fix="give 100 or more")
        margins = () if self.margin is None else (self.margin,)
        for name, numbers in (("margin", margins), ("gain", self.gains), ("at", self.at)):
            for number in numbers:
                if not (math.isfinite(number) and number > 0):
                    raise ConfigError(f"{number:g} is impossible", where=name, fix="give above 0")


@dataclass(frozen=True, slots=True)
class Direction:
    """Which values of a measure are good.

    Parameters
    ----------
    higher_is_better
        The direction.
    perfect
        Best possible value; None if there is none.
    margin, gains
        Gain that does not matter, and gains to plan for, in units of the measure.
    """

    higher_is_better: bool
    perfect: float | None
    margin: float
    gains: tuple[float, ...]

    def settings(self) -> dict[str, Any]:
        """In JSON types."""
        return {
            "better": "higher" if self.higher_is_better else "lower",
            "perfect": self.perfect,
            "margin": self.margin,
            "gains": list(self.gains),
        }


def direction_of(
    question: Question, metric: str, table: Table, groups: Sequence[Measurements]
) -> Direction:
    """Find what the question leaves open about the measure.

    Raises
    ------
    ConfigError
        If the margin cannot be guessed, or values lie beyond the perfect one.
    """
    definition = table.definition(metric)
    better = question.better or (None if definition is None else definition.better)
    if better is None:
        low = any(part in metric.lower() for part in _LOWER_IS_BETTER)
        better = "lower" if low else "higher"
    means = np.concatenate([g.totals.sum(axis=1) / g.counts.sum(axis=1) for g in groups])
    low_, high = float(means.min()), float(means.max())
    perfect = question.perfect
    if perfect is None and low_ >= 0:
        if better == "lower":
            perfect = 0.0
        elif high <= 100:
            perfect = 1.0 if high <= 1 else 100.0
    if perfect is not None and (high > perfect if better == "higher" else low_ < perfect):
        what = f"{metric} goes beyond its perfect value {perfect:g}"
        raise ConfigError(what, where="perfect", fix="correct it, or say which is better")
    point = 0.01 * perfect if better == "higher" and perfect else None
    if point is None and (question.margin is None or not question.gains):
        what = f"one point of {metric} is not defined"
        raise ConfigError(what, where="margin", fix="give the margin and the gain to plan for")
    point = point or 0.0  # not used
    margin = point if question.margin is None else question.margin
    gains = tuple(question.gains) or (2 * point,)
    return Direction(better == "higher", perfect, margin, gains)
