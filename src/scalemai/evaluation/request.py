"""What is asked of an evaluation: everything that changes a number, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from scalemai.errors import ConfigError, UnknownNameError
from scalemai.evaluation.definitions import Definition
from scalemai.evaluation.lesions.bins import DEFAULT_BINS, SizeBins
from scalemai.evaluation.lesions.definitions import candidate_definitions, lesion_definitions
from scalemai.evaluation.lesions.fact_definitions import FACT_DEFINITIONS
from scalemai.evaluation.lesions.rules import MatchingRule
from scalemai.evaluation.patients.definitions import ROWS, score_definition
from scalemai.evaluation.patients.presets import PRESETS, preset
from scalemai.evaluation.patients.rows import Missing
from scalemai.evaluation.segmentation import DEFAULT_POLICY, EmptyPolicy
from scalemai.evaluation.segmentation import definitions as segmentation_definitions
from scalemai.evaluation.segmentation.result import check_tolerances

__all__ = ["DEFAULT_RULE", "DEFAULT_THRESHOLD", "Gate", "Request", "Score"]

Gate = Literal["none", "prediction", "reference"]
"""Whether predicted lesions count only within the organ, and within whose mask of it."""

Score = Literal["max-probability", "largest-component", "radgpt", "r-super"]
"""How a case is scored for the detection of patients."""

DEFAULT_RULE = MatchingRule("overlap")
"""Any shared voxel is a hit (author's choice; published rules differ, or are not stated)."""

DEFAULT_THRESHOLD = 0.5
"""Probability from which a voxel belongs to a mask, where only the probability is given."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of every case.

    Parameters
    ----------
    structures
        Names of the structures; empty for all that references and predictions both have.
    lesions
        Which of them are lesions, to be counted one by one; None for those that are by name.
    tolerances_mm
        Tolerances of the normalized surface Dice.
    policy
        What is scored where a mask is empty.
    rule
        When a candidate hits a lesion.
    bins
        Size bins of the longest axial diameter.
    reference_minimum_mm3, prediction_minimum_mm3
        Lesions below the first are ignored, candidates below the second left out.
    threshold
        Probability from which a voxel belongs to the mask. If it is given, probability maps make
        the masks even where masks lie beside them.
    gate
        ``"prediction"`` or ``"reference"``: predicted lesions are cut to the organ that they
        belong to (its mask AND theirs), probabilities outside of it are 0. An organ whose mask
        leaves out its lesions must be joined with them first.
    preset
        Published rule for patients, see :mod:`scalemai.evaluation.patients.presets`.
    score
        Score of a case. None: the preset's; else the maximum probability if all lesions have
        probability maps, else the volume of the largest predicted component.
    missing
        A missing prediction is a failure (``"fail"``: an empty prediction, counted) or is left
        out (``"omit"``, counted too).
    facts
        Whether site, kind, contrast and neighbour of lesions and candidates are looked up
        (:mod:`scalemai.evaluation.facts`), for which further masks and the CT are read.

    Raises
    ------
    ConfigError, UnknownNameError
        If something of it is impossible.
    """

    structures: tuple[str, ...] = ()
    lesions: tuple[str, ...] | None = None
    tolerances_mm: tuple[float, ...] = (2.0,)
    policy: EmptyPolicy = DEFAULT_POLICY
    rule: MatchingRule = DEFAULT_RULE
    bins: SizeBins = DEFAULT_BINS
    reference_minimum_mm3: float = 0.0
    prediction_minimum_mm3: float = 0.0
    threshold: float | None = None
    gate: Gate = "none"
    preset: str | None = None
    score: Score | None = None
    missing: Missing = "fail"
    facts: bool = True

    def __post_init__(self) -> None:
        check_tolerances(self.tolerances_mm)
        for name, value, known in (
            ("gate", self.gate, get_args(Gate)),
            ("score", self.score or "max-probability", get_args(Score)),
            ("treatment of missing predictions", self.missing, get_args(Missing)),
            ("preset", self.preset or "radgpt", tuple(PRESETS)),
        ):
            if value not in known:
                raise UnknownNameError(name, value, known)
        for name, volume in (
            ("reference_minimum_mm3", self.reference_minimum_mm3),
            ("prediction_minimum_mm3", self.prediction_minimum_mm3),
        ):
            if not 0 <= volume < float("inf"):
                raise ConfigError(f"{volume:g} mm3 is no smallest volume", where=name)
        if self.threshold is not None and not 0 < self.threshold <= 1:
            what = f"a threshold of {self.threshold:g} is not above 0 and at most 1"
            raise ConfigError(what, where="threshold")
        if self.preset is not None and self.score not in (None, self.preset):
            raise ConfigError(f"preset {self.preset} has its own score", where="score")

    @property
    def cut(self) -> float:
        """The probability from which a voxel belongs to a mask."""
        return DEFAULT_THRESHOLD if self.threshold is None else self.threshold

    def as_dict(self) -> dict[str, Any]:
        """All of it in JSON types, for the settings of tables and to tell requests apart."""
        return {
            "structures": list(self.structures),
            "lesions": list(self.lesions or ()),
            "tolerances_mm": list(self.tolerances_mm),
            "empty_masks": self.policy.as_dict(),
            "rule": str(self.rule),
            "size_bins_mm": list(self.bins.edges_mm),
            "reference_minimum_mm3": self.reference_minimum_mm3,
            "prediction_minimum_mm3": self.prediction_minimum_mm3,
            "probability_threshold": self.cut,
            "masks_from": "masks" if self.threshold is None else "probabilities",
            "gate": self.gate,
            "preset": self.preset,
            "score": self.score,
            "missing": self.missing,
            "facts": self.facts,
        }

    def definitions(self) -> dict[str, tuple[Definition, ...]]:
        """Definitions of the columns of each kind of table, once the score is known."""
        filters = {
            "reference_minimum_mm3": self.reference_minimum_mm3,
            "prediction_minimum_mm3": self.prediction_minimum_mm3,
        }
        facts = [one for one in FACT_DEFINITIONS if self.facts or one.column == "phase"]
        return {
            "structures": segmentation_definitions(self.tolerances_mm, self.policy),
            "lesions": (*lesion_definitions(self.rule, bins=self.bins, **filters), *facts),
            "candidates": (*candidate_definitions(self.rule, **filters), *facts),
            "patients": (*ROWS, *self._score()),
        }

    def _score(self) -> tuple[Definition, ...]:
        if self.score is None:
            return ()
        if self.score in PRESETS:
            return (preset(self.score).definition,)
        cut = self.cut if self.score == "largest-component" else None
        return (score_definition(self.score, cut=cut),)
