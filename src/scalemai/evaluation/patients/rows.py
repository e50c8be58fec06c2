"""The table `patients`: what the reference says of a case, and how it was scored."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalemai.errors import ConfigError, UnknownNameError

__all__ = [
    "SCHEMA",
    "Missing",
    "Scored",
    "by_patient",
    "patient_row",
    "require_one_algorithm",
    "scored",
]

SCHEMA = {
    "case": pl.String,
    "patient": pl.String,
    "structure": pl.String,
    "positive": pl.Boolean,
    "score": pl.Float64,
    "state": pl.String,
}
"""Columns of the table `patients`."""

Missing = Literal["fail", "omit"]
"""A missing prediction counts as wrong, or is left out; it is counted in either case."""


def patient_row(
    *,
    case: str,
    structure: str,
    positive: bool | None,
    score: float | None,
    patient: str | None = None,
) -> dict[str, Any]:
    """One row of the table `patients`.

    Parameters
    ----------
    case, structure
        Names.
    positive
        What the reference standard says; None if it was not assessed.
    score
        Score of the prediction; None if there is no prediction.
    patient
        Whom the case is of; the case itself if None.

    Returns
    -------
    dict
        The columns of :data:`SCHEMA`; ``state`` is ``scored``, ``missing_prediction`` or
        ``not_assessed``.

    Raises
    ------
    ConfigError
        If the score is NaN.
    """
    if score is not None and math.isnan(score):
        raise ConfigError(f"score of {structure} is NaN", where=case)
    state = "not_assessed" if positive is None else "missing_prediction"
    return {
        "case": case,
        "patient": case if patient is None else patient,
        "structure": structure,
        "positive": positive,
        "score": score,
        "state": state if positive is None or score is None else "scored",
    }


def by_patient(frame: pl.DataFrame) -> pl.DataFrame:
    """Join the scans of each patient to one row.

    A patient is positive if any scan is, and otherwise not assessed if any scan is not. The score
    is the highest of the scans, and missing if any is missing.

    Parameters
    ----------
    frame
        The table `patients` with a row per case.

    Returns
    -------
    polars.DataFrame
        The same columns; ``case`` holds the patient. Sorted by structure and patient.
    """
    keys = [name for name in ("algorithm", "structure", "patient") if name in frame.columns]
    joined = frame.group_by(keys).agg(
        pl.col("positive").any(ignore_nulls=False),
        pl.when(pl.col("score").is_null().any())
        .then(None)
        .otherwise(pl.col("score").max())
        .alias("score"),
    )
    state = (
        pl.when(pl.col("positive").is_null())
        .then(pl.lit("not_assessed"))
        .when(pl.col("score").is_null())
        .then(pl.lit("missing_prediction"))
        .otherwise(pl.lit("scored"))
    )
    joined = joined.with_columns(pl.col("patient").alias("case"), state.alias("state"))
    columns = [name for name in ("algorithm", *SCHEMA) if name in joined.columns]
    return joined.select(columns).sort(keys)


@dataclass(frozen=True, eq=False)
class Scored:
    """The rows of one structure as arrays (rows,), sorted by case.

    Parameters
    ----------
    positive, score, patient
        Reference, score and patient of each row. A missing prediction that counts as wrong has
        the worst score of its kind: minus infinity if positive, infinity if negative.
    missing, not_assessed
        How many predictions were missing, and how many rows had no reference and were left out.
    """

    positive: NDArray[np.bool_]
    score: NDArray[np.float64]
    patient: NDArray[np.str_]
    missing: int
    not_assessed: int

    @property
    def clustered(self) -> bool:
        """Whether a patient has more than one row."""
        return np.unique(self.patient).size < self.patient.size


def scored(frame: pl.DataFrame, structure: str, missing: Missing = "fail") -> Scored:
    """Take the rows of one structure out of the table `patients`, checked.

    Parameters
    ----------
    frame
        The table `patients`, of one algorithm.
    structure
        Which structure.
    missing
        What to do with missing predictions.

    Raises
    ------
    ConfigError
        If a column is missing or holds text, there are several algorithms, a case is listed
        twice, or a score is NaN.
    UnknownNameError
        If the structure is not in the table.
    """
    wanted = ("case", "structure", "positive", "score")
    absent = [name for name in wanted if name not in frame.columns]
    if absent:
        what = f"the table of patients has no column {', '.join(absent)}"
        raise ConfigError(what, fix=f"it needs {', '.join(wanted)}")
    require_one_algorithm(frame)
    rows = frame.filter(pl.col("structure") == structure).sort("case")
    if not rows.height:
        raise UnknownNameError("structure", structure, frame["structure"].unique().to_list())
    twice = rows["case"].is_duplicated()
    if twice.any():
        raise ConfigError(f"{structure} is listed twice", where=rows["case"].filter(twice)[0])
    for name in ("positive", "score"):
        kind = rows.schema[name]
        if not (kind.is_numeric() or kind in (pl.Boolean, pl.Null)):
            what = f"column {name} of the table of patients holds {kind}, not numbers"
            raise ConfigError(what, fix="write true and false, or 1 and 0, and numbers")
    rows = rows.with_columns(pl.col("positive").cast(pl.Boolean))
    if rows["score"].cast(pl.Float64).is_nan().any():
        raise ConfigError(f"a score of {structure} is NaN", fix="leave a missing score empty")
    if "patient" not in rows.columns:
        rows = rows.with_columns(pl.col("case").alias("patient"))
    assessed = rows.filter(pl.col("positive").is_not_null())
    gone = assessed["score"].is_null()
    kept = assessed if missing == "fail" else assessed.filter(~gone)
    worst = pl.when(pl.col("positive")).then(-math.inf).otherwise(math.inf)
    kept = kept.with_columns(
        pl.col("score").cast(pl.Float64).fill_null(worst),
        # A row without a patient is a patient of its own.
        pl.coalesce(pl.col("patient").cast(pl.String), pl.col("case").cast(pl.String)),
    )
    return Scored(
        kept["positive"].to_numpy().astype(np.bool_),
        kept["score"].to_numpy().astype(np.float64),
        kept["patient"].to_numpy().astype(np.str_),
        int(gone.sum()),
        rows.height - assessed.height,
    )


def require_one_algorithm(frame: pl.DataFrame) -> None:
    """Refuse a table that holds the rows of several algorithms.

    Raises
    ------
    ConfigError
        If it does.
    """
    if "algorithm" in frame.columns and frame["algorithm"].n_unique() > 1:
        what = f"the table holds {frame['algorithm'].n_unique()} algorithms"
        raise ConfigError(what, fix="give the rows of one")
