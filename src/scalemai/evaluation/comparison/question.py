"""What is asked of the results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from scalemai.errors import ConfigError
from scalemai.evaluation.comparison.alignment import Missing
from scalemai.evaluation.comparison.scale import Better, bounded

__all__ = ["DETECTION_MARGIN", "MARGIN", "Question", "parse_question"]

_MISSING: tuple[Missing, ...] = ("worst", "omit")
_BETTER: tuple[Better, ...] = ("higher", "lower")

MARGIN = 0.02
"""Largest difference of a metric between 0 and 1 that does not matter, unless stated.

Two points of Dice; author's estimate, to be refined by what matters clinically."""

DETECTION_MARGIN = 0.05
"""Largest difference of areas, rates and sensitivities of detectors that does not matter, unless
stated; author's estimate, to be refined by what matters clinically."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the results.

    Parameters
    ----------
    metrics
        Names of metrics: of the CSV files, or of columns of our tables.
    classes
        Classes to compare; by default all that every algorithm has.
    margins
        By metric, the largest difference that does not matter, in the metric's unit; for
        metrics between 0 and 1 two points if not stated, of detectors five.
    missing
        ``"worst"``: a missing value counts as the worst one. ``"omit"``: the pair is left out.
    better
        Which values are better, if neither definition nor name tells.
    level
        Level of all tests of one class together.
    draws, seed
        Resamples of patients, and where they come from.

    Raises
    ------
    ConfigError
        If something of it is impossible.
    """

    metrics: tuple[str, ...] = ("dsc",)
    classes: tuple[str, ...] = ()
    margins: Mapping[str, float] = field(default_factory=dict)
    missing: Missing = "worst"
    better: Better | None = None
    level: float = 0.05
    draws: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.metrics or len(set(self.metrics)) < len(self.metrics):
            fix = "name each metric once, for example dsc"
            raise ConfigError(
                f"{', '.join(self.metrics)!r} names no metrics", where="metric", fix=fix
            )
        for name, margin in self.margins.items():
            if name not in self.metrics:
                raise ConfigError(f"is for {name}, which is not compared", where="margin")
            if not 0 < margin < float("inf"):
                raise ConfigError(
                    f"{margin} is no margin", where="margin", fix="give a positive one"
                )
        if not 0 < self.level < 0.5:
            raise ConfigError(f"{self.level} is no level", where="level", fix="for example 0.05")
        if self.draws < 100:
            raise ConfigError(f"{self.draws} are too few", where="draws", fix="give at least 100")

    def margin(self, metric: str) -> float:
        """The margin of a metric.

        Raises
        ------
        ConfigError
            If none was stated and the metric is not one between 0 and 1.
        """
        if metric in self.margins:
            return self.margins[metric]
        if bounded(metric):
            return MARGIN
        fix = f"state it in the unit of the metric, for example --margin {metric}=1"
        raise ConfigError("has no margin of equivalence", where=metric, fix=fix)

    def detection_margin(self, metric: str) -> float:
        """The margin of a metric of detectors.

        Raises
        ------
        ConfigError
            If it is not below one, which no difference exceeds.
        """
        margin = self.margins.get(metric, DETECTION_MARGIN)
        if margin >= 1:
            fix = "give a difference of fractions, for example 0.05"
            raise ConfigError(f"{margin:g} is no margin of {metric}", where="margin", fix=fix)
        return margin


def parse_question(
    metrics: str,
    classes: str | None = None,
    margin: str | None = None,
    *,
    missing: str = "worst",
    better: str | None = None,
    level: float = 0.05,
    draws: int = 2000,
    seed: int = 0,
) -> Question:
    """A question in the words of the command line.

    Parameters
    ----------
    metrics, classes
        Names, comma-separated.
    margin
        A number for all metrics, or ``METRIC=NUMBER``, comma-separated.
    missing, better, level, draws, seed
        As of :class:`Question`.

    Raises
    ------
    ConfigError
        If a text cannot be understood.
    """
    names = _listed(metrics)
    if classes is not None and not _listed(classes):
        raise ConfigError("no class is named", where="--class", fix="for example --class pancreas")
    try:
        return Question(
            names,
            _listed(classes or ""),
            _margins(margin, names),
            _one_of(missing, _MISSING, "missing"),
            None if better is None else _one_of(better, _BETTER, "better"),
            level,
            draws,
            seed,
        )
    except ConfigError as error:
        error.where = f"--{error.where}"
        raise


Word = TypeVar("Word", bound=str)


def _one_of(word: str, known: tuple[Word, ...], where: str) -> Word:
    for one in known:
        if word == one:
            return one
    raise ConfigError(f"{word!r} is not known", where=where, fix=f"give {' or '.join(known)}")


def _listed(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _margins(text: str | None, metrics: tuple[str, ...]) -> dict[str, float]:
    margins: dict[str, float] = {}
    for part in _listed(text or ""):
        name, sign, number = part.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            fix = "give a number, or METRIC=NUMBER for each metric"
            raise ConfigError(f"{part!r} is no margin", where="margin", fix=fix) from None
        margins |= {name.strip(): value} if sign else dict.fromkeys(metrics, value)
    return margins
