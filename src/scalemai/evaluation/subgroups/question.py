"""What is asked of the groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scalemai.errors import ConfigError
from scalemai.evaluation.subgroups.grouping import Factor

__all__ = ["MINIMUM", "Question"]

MINIMUM = 10
"""Fewest patients of a group for which numbers are given; author's estimate, to be refined."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the groups.

    Parameters
    ----------
    factors
        Columns and intersections by which patients are grouped.
    edges
        Column to the edges of its bins.
    adjust
        Columns that groups are adjusted for.
    minimum
        Fewest patients of a group for which numbers are given.
    home
        Column (hospital) and those of its values that the training cases came from; empty if
        nothing is asked of distributions.
    level, draws, seed
        Confidence level, resamples of patients, and where they come from.

    Raises
    ------
    ConfigError
        If something of it is impossible.
    """

    factors: tuple[Factor, ...]
    edges: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    adjust: tuple[str, ...] = ()
    minimum: int = MINIMUM
    home: tuple[str, tuple[str, ...]] | None = None
    level: float = 0.95
    draws: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.factors:
            raise ConfigError("names no columns", where="by", fix="for example sex,age")
        if self.minimum < 5:
            # Fewer clusters have no interval, and a group of few may name its patients.
            raise ConfigError(f"{self.minimum} is too low", where="minimum", fix="give at least 5")
        if not 0.5 < self.level < 1:
            raise ConfigError(f"{self.level} is no confidence level", where="level")
        if self.draws < 100:
            raise ConfigError(f"{self.draws} are too few", where="draws", fix="give at least 100")
        unused = set(self.edges) - set(self.columns)
        if unused:
            raise ConfigError(f"are for {min(unused)}, which is not asked for", where="bins")

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns of the metadata that are needed."""
        names = [name for factor in self.factors for name in factor.columns]
        home = [self.home[0]] if self.home is not None else []
        return tuple(dict.fromkeys([*names, *self.adjust, *home]))

    def settings(self) -> dict[str, Any]:
        """In plain types."""
        return {
            "by": [str(one) for one in self.factors],
            "bins": {name: list(edges) for name, edges in self.edges.items()},
            "adjust": list(self.adjust),
            "minimum": self.minimum,
            "in_distribution": [] if self.home is None else [self.home[0], *self.home[1]],
            "level": self.level,
            "draws": self.draws,
            "seed": self.seed,
        }
