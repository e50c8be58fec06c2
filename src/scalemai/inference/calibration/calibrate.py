"""Operating points and calibration of a detector, from the tables of an evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from scalemai.errors import ConfigError
from scalemai.evaluation.patients.operating_point import OperatingPoint, choose_operating_point
from scalemai.evaluation.patients.rules import Rule, parse_rule
from scalemai.evaluation.tables import Table
from scalemai.inference.calibration.choosing import Choice, choose_map
from scalemai.inference.calibration.maps import CalibrationMap

__all__ = ["RULES", "Calibrated", "Calibration", "calibrate"]

RULES = ("fp-per-scan<=1", "youden")
"""What operating points are to achieve if nothing is said."""

Unit = Literal["patients", "candidates"]


@dataclass(frozen=True, slots=True)
class Calibration:
    """A map for the scores of one kind and structure.

    Parameters
    ----------
    unit
        Whether scores are those of patients (cases) or of candidates.
    structure
        Which lesion structure.
    score
        Ids of the definitions of the score.
    chosen
        The map.
    positives, negatives
        Rows that it was fitted to. Probabilities hold where positives are as frequent as there.
    """

    unit: Unit
    structure: str
    score: tuple[str, ...]
    chosen: CalibrationMap
    positives: int
    negatives: int


@dataclass(frozen=True, eq=False)
class Calibrated:
    """What was chosen on validation cases.

    Parameters
    ----------
    points
        Locked operating points.
    missed
        Rules that gave none: structure and rule, and why.
    choices
        By unit and structure: the map, what it was chosen by, or why there is none.
    tables
        The tables that it rests on.
    """

    points: tuple[OperatingPoint, ...]
    missed: Mapping[tuple[str, str], str]
    choices: Mapping[tuple[Unit, str], Choice]
    tables: Mapping[Unit, Table]

    @property
    def calibrations(self) -> tuple[Calibration, ...]:
        """The maps that there are."""
        return tuple(
            Calibration(
                unit, structure, _score_ids(self.tables[unit]), one.chosen, one.positives,
                one.negatives,
            )
            for (unit, structure), one in self.choices.items()
            if one.chosen is not None
        )  # fmt: skip


def calibrate(
    patients: Table,
    candidates: Table,
    lesions: Table,
    *,
    rules: Sequence[str | Rule] = RULES,
    seed: int = 0,
    draws: int = 1000,
    level: float = 0.95,
) -> Calibrated:
    """Choose operating points and calibrate probabilities.

    Parameters
    ----------
    patients, candidates, lesions
        Tables that an evaluation of the detector on validation cases wrote.
    rules
        What operating points are to achieve, see :mod:`scalemai.evaluation.patients.rules`. False
        positives per scan are those of candidates, all else is of patients.
    seed, draws, level
        Of the parts that patients are divided into, and of the intervals.

    Returns
    -------
    Calibrated
        What the cases are too few for is not there, with the reason.

    Raises
    ------
    ConfigError
        If a table is of another kind, or a rule is none.
    """
    for table, kind in ((patients, "patients"), (candidates, "candidates"), (lesions, "lesions")):
        if table.kind != kind:
            raise ConfigError(f"a table of {table.kind} is no table of {kind}", where="tables")
    asked = [parse_rule(rule) if isinstance(rule, str) else rule for rule in rules]
    structures = patients.frame["structure"].unique().sort().to_list()
    if not structures:
        what = "there are no lesions to choose an operating point for"
        raise ConfigError(what, where="patients", fix="evaluate lesions with probability maps")
    points, missed = [], {}
    for structure in structures:
        for rule in asked:
            of_candidates = rule.aim == "fp-per-scan"
            table = candidates if of_candidates else patients
            more = lesions if of_candidates else None
            try:
                points.append(
                    choose_operating_point(table, rule, structure=structure, lesions=more)
                )
            except ConfigError as error:
                missed[structure, str(rule)] = error.what
    tables: dict[Unit, Table] = {"patients": patients, "candidates": candidates}
    choices = {
        (unit, structure): _choice(rows, unit, seed=seed, draws=draws, level=level)
        for structure in structures
        for unit, rows in _rows(patients, candidates, structure)
    }
    return Calibrated(tuple(points), missed, choices, tables)


def _rows(
    patients: Table, candidates: Table, structure: str
) -> Iterator[tuple[Unit, pl.DataFrame]]:
    """Score, whether it is of a positive, and the patient."""
    of = pl.col("structure") == structure
    assessed = patients.frame.filter(of & pl.col("positive").is_not_null())
    yield "patients", _plain(assessed, pl.col("positive").cast(pl.Boolean))
    verdict = pl.col("verdict")
    judged = candidates.frame.filter(of & verdict.is_in(["true_positive", "false_positive"]))
    yield "candidates", _plain(judged, verdict == "true_positive")


def _plain(frame: pl.DataFrame, positive: pl.Expr) -> pl.DataFrame:
    case = pl.col("case").cast(pl.String)
    patient = case
    if "patient" in frame.columns:
        patient = pl.coalesce(pl.col("patient").cast(pl.String), case)
    told = frame.select(
        positive.alias("positive"), pl.col("score").cast(pl.Float64), patient.alias("patient")
    )
    # In an order that does not depend on that of the cases.
    return told.sort("patient", "score", "positive")


def _choice(rows: pl.DataFrame, unit: Unit, *, seed: int, draws: int, level: float) -> Choice:
    scored = rows.drop_nulls("score")
    score = scored["score"].to_numpy()
    positive = scored["positive"].to_numpy().astype(np.bool_)
    counts = int(positive.sum()), int((~positive).sum())
    if not scored.height:
        return Choice(*counts, None, f"no {unit} have a score")
    if score.min() < 0.0 or score.max() > 1.0:
        return Choice(*counts, None, "scores are volumes, not probabilities")
    patient = scored["patient"].to_numpy().astype(np.str_)
    return choose_map(score, positive, patient, seed=seed, draws=draws, level=level)


def _score_ids(table: Table) -> tuple[str, ...]:
    return tuple(sorted(one.id for one in table.definitions if one.column == "score"))
