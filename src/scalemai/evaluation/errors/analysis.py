"""Everything about the errors of a detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scalemai.errors import ConfigError
from scalemai.evaluation.errors.cells import FEWEST, Cells, count_cells
from scalemai.evaluation.errors.factors import with_factors
from scalemai.evaluation.errors.results import Results
from scalemai.evaluation.errors.wanted import FLOOR, SMOOTHING, Wanted, wanted_population
from scalemai.evaluation.errors.weaknesses import Weakness, distinct_weaknesses
from scalemai.evaluation.lesions.bins import DEFAULT_BINS, SizeBins

__all__ = ["Errors", "Options", "analyse_errors"]


@dataclass(frozen=True)
class Options:
    """How errors are analysed.

    Parameters
    ----------
    bins
        Size bins of the longest axial diameter.
    further
        Columns that are factors too.
    together
        Most factors together.
    fewest
        Fewest lesions or candidates of a cell.
    floor, smoothing
        As of :func:`~scalemai.evaluation.errors.wanted.wanted_population`.
    level
        Confidence level.

    Raises
    ------
    ConfigError
        If the level is impossible.
    """

    bins: SizeBins = DEFAULT_BINS
    further: Sequence[str] = ()
    together: int = 3
    fewest: int = FEWEST
    floor: float = FLOOR
    smoothing: float = SMOOTHING
    level: float = 0.95

    def __post_init__(self) -> None:
        if not 0.5 <= self.level < 1:
            raise ConfigError(f"{self.level:g} is no level", where="level", fix="for example 0.95")

    def settings(self) -> dict[str, Any]:
        """In JSON types."""
        return {
            "size_bins": str(self.bins),
            "further_factors": list(self.further),
            "together": self.together,
            "fewest": self.fewest,
            "floor": self.floor,
            "smoothing": self.smoothing,
            "level": self.level,
        }


@dataclass(frozen=True, eq=False)
class Errors:
    """Where a detector errs.

    Parameters
    ----------
    results, options
        What was analysed, and how.
    misses
        Cells of lesions, missed or not.
    weaknesses
        The distinct ones among them.
    false_positives
        Cells of candidates, wrong or right; None if there are none.
    false_weaknesses
        The distinct ones among them.
    wanted
        The population that asks for lesions like those that were missed; None if it cannot be
        made, with the reason in the notes.
    notes
        What was left out or is not known.
    """

    results: Results
    options: Options
    misses: Cells
    weaknesses: tuple[Weakness, ...]
    false_positives: Cells | None
    false_weaknesses: tuple[Weakness, ...]
    wanted: Wanted | None
    notes: tuple[str, ...]


def analyse_errors(results: Results, options: Options | None = None) -> Errors:
    """Find where a detector errs, and what it needs more of.

    Parameters
    ----------
    results
        Its lesions and candidates.
    options
        How; the customary ones by default.

    Raises
    ------
    ConfigError
        If an option is impossible.
    """
    options = options or Options()
    notes = list(results.notes)
    factors = with_factors(results.lesions, bins=options.bins, further=options.further)
    notes += factors.notes
    misses = count_cells(
        factors, "missed", together=options.together, fewest=options.fewest,
        level=options.level,
    )  # fmt: skip
    wrong: Cells | None = None
    false_weaknesses: tuple[Weakness, ...] = ()
    if results.candidates is not None and results.candidates.height:
        there = [name for name in options.further if name in results.candidates.columns]
        of_candidates = with_factors(
            results.candidates, bins=options.bins, further=there, what="candidates"
        )
        notes += of_candidates.notes
        wrong = count_cells(
            of_candidates, "false_positive", together=options.together,
            fewest=options.fewest, level=options.level,
        )  # fmt: skip
        false_weaknesses = distinct_weaknesses(wrong, level=options.level)
    wanted = None
    try:
        wanted = wanted_population(
            results.lesions, floor=options.floor, smoothing=options.smoothing
        )
        notes += [f"population: {note}" for note in wanted.notes]
    except ConfigError as error:
        if error.where != "lesions":
            raise
        notes.append(f"there is no population: {error.what}")
    return Errors(
        results, options, misses, distinct_weaknesses(misses, level=options.level), wrong,
        false_weaknesses, wanted, tuple(notes),
    )  # fmt: skip
