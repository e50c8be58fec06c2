"""Detectors side by side: the rows of tables `patients` or `lesions`, paired by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalemai.errors import ConfigError, UnknownNameError
from scalemai.evaluation.comparison.alignment import Missing
from scalemai.evaluation.comparison.patients import patient_of, unknown
from scalemai.evaluation.comparison.results import refuse_twice
from scalemai.evaluation.definitions import Definition
from scalemai.evaluation.patients.presets import PRESETS, preset
from scalemai.evaluation.patients.threshold import Threshold
from scalemai.evaluation.tables import Table

__all__ = ["COLUMNS", "Detector", "Paired", "detectors_of", "knowing_patients", "paired"]

COLUMNS = {
    "patients": ("positive", "score"),
    "lesions": ("lesion", "detected"),
    "candidates": ("candidate", "verdict"),
}
"""By kind of table, what it has beside names."""


@dataclass(frozen=True, eq=False)
class Detector:
    """What one detector said.

    Parameters
    ----------
    algorithm, origin
        Its name, and the file that was read.
    rows
        Columns ``case``, ``unit`` (the case, or the case and its lesion), ``patient``,
        ``structure``, ``positive`` (null where not assessed), ``score`` (null where there is no
        prediction) and ``threshold`` (null where not stated).
    definitions, settings
        Of the table.
    """

    algorithm: str
    origin: Path
    rows: pl.DataFrame
    definitions: tuple[Definition, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Paired:
    """One class of several detectors on the units that all of them have.

    Parameters
    ----------
    name
        Of the class.
    cases, units, patients
        Of the rows.
    positive
        Array (units,): what the reference says.
    scores
        Array (units, detectors); NaN only where a missing prediction is omitted.
    thresholds
        From which score each detector calls a unit positive.
    missing
        Array (detectors,): predictions that were missing.
    unpaired
        Unit to the detectors that lack it.
    not_assessed
        Units without reference, which are left out.
    """

    name: str
    cases: tuple[str, ...]
    units: tuple[str, ...]
    patients: NDArray[np.str_]
    positive: NDArray[np.bool_]
    scores: NDArray[np.float64]
    thresholds: tuple[Threshold, ...]
    missing: NDArray[np.intp]
    unpaired: Mapping[str, str]
    not_assessed: int


def detectors_of(table: Table, kind: str, path: Path, algorithm: str) -> tuple[Detector, ...]:
    """The detectors of a table of kind ``patients`` or ``lesions``.

    Parameters
    ----------
    table, path
        The table and its file.
    kind
        Which of the two.
    algorithm
        Its name, unless a column ``algorithm`` tells several apart.

    Raises
    ------
    ConfigError
        If a column is absent or of the wrong type, or a row has no name or stands twice.
    """
    frame = table.frame
    absent = [name for name in ("case", "structure", *COLUMNS[kind]) if name not in frame.columns]
    if absent:
        what = f"has no column {', '.join(absent)}: it is no table of {kind}"
        raise ConfigError(what, where=path, fix="give what scalemai evaluate wrote")
    for name in ("case", "structure"):
        unnamed = frame[name].cast(pl.String).fill_null("").str.strip_chars().eq("").arg_true()
        if len(unnamed):
            what = f"row {int(unnamed[0]) + 1} of {len(frame)} names no {name}"
            raise ConfigError(what, where=path, fix=f"fill the column {name}")
    names = ["score", "positive", "detected", "ignored", "threshold"]
    for name in (name for name in names if name in frame.columns):
        dtype = frame.schema[name]
        if not (dtype.is_numeric() or dtype in (pl.Boolean, pl.Null)):
            what = f"column {name} holds {dtype}, not numbers or truth values"
            raise ConfigError(what, where=path, fix="write true and false, or 1 and 0, and numbers")
    if "algorithm" not in frame.columns or frame["algorithm"].n_unique() < 2:
        parts = {algorithm: frame}
    else:
        parts = {
            str(name): frame.filter(pl.col("algorithm") == name)
            for name in frame["algorithm"].drop_nulls().unique(maintain_order=True)
        }
    return tuple(
        Detector(name, path, _rows(part, kind, path), table.definitions, table.settings)
        for name, part in parts.items()
    )


def knowing_patients(
    detectors: Sequence[Detector], patients: Mapping[str, str], where: Path
) -> tuple[tuple[Detector, ...], tuple[str, ...]]:
    """Detectors with the patient of each case from a table, and remarks on those without.

    Parameters and errors as of :func:`scalemai.evaluation.comparison.patients.with_patients`.
    """
    notes = unknown([case for one in detectors for case in one.rows["case"]], patients, where)
    known = []
    for one in detectors:
        names = [
            patient_of(case, stated, patients, where, one.origin)
            for case, stated in one.rows.select("case", "patient").rows()
        ]
        rows = one.rows.with_columns(pl.Series("patient", names, pl.String))
        known.append(replace(one, rows=rows))
    return tuple(known), notes


def paired(detectors: Sequence[Detector], name: str, missing: Missing) -> Paired:
    """Put one class of several detectors side by side.

    Parameters
    ----------
    detectors
        At least two.
    name
        The class.
    missing
        ``"worst"``: a missing prediction is wrong at every threshold. ``"omit"``: its unit is
        left out of the pairs concerned.

    Raises
    ------
    ConfigError
        If no unit is common to all, or references or patients of a unit disagree.
    UnknownNameError
        If a detector lacks the class.
    """
    tables = []
    for one in detectors:
        rows = one.rows.filter(pl.col("structure") == name)
        if not rows.height:
            error = UnknownNameError("class", name, sorted(set(one.rows["structure"])))
            error.where = str(one.origin)
            raise error
        tables.append({row["unit"]: row for row in rows.iter_rows(named=True)})
    every = sorted({unit for table in tables for unit in table})
    common = [unit for unit in every if all(unit in table for table in tables)]
    if not common:
        first = ", ".join(
            f"{one.algorithm}: {next(iter(table))!r}"
            for one, table in zip(detectors[:2], tables, strict=False)
        )
        what = f"nothing of {name} is common to all {len(detectors)} detectors"
        raise ConfigError(what, fix=f"name cases alike (for example {first})")
    patients = {unit: _patient(unit, tables, detectors) for unit in common}
    truth = {unit: _truth(unit, tables, detectors) for unit in common}
    kept = [unit for unit in common if truth[unit] is not None]
    positive = np.array([bool(truth[unit]) for unit in kept], dtype=np.bool_)
    raw = [[table[unit]["score"] for table in tables] for unit in kept]
    scores = np.array(raw, dtype=np.float64).reshape(len(kept), len(tables))
    gone = np.isnan(scores)
    if missing == "worst":
        scores = np.where(gone, np.where(positive, -np.inf, np.inf)[:, None], scores)
    lacking = {
        unit: ", ".join(
            one.algorithm for one, table in zip(detectors, tables, strict=True) if unit not in table
        )
        for unit in every
    }
    return Paired(
        name,
        tuple(tables[0][unit]["case"] for unit in kept),
        tuple(kept),
        np.array([patients[unit] for unit in kept], dtype=np.str_),
        positive,
        scores,
        tuple(_threshold(one, name) for one in detectors),
        gone.sum(axis=0).astype(np.intp),
        {unit: names for unit, names in lacking.items() if names},
        len(common) - len(kept),
    )


def _rows(frame: pl.DataFrame, kind: str, path: Path) -> pl.DataFrame:
    case = pl.col("case").cast(pl.String)
    patient = case
    if "patient" in frame.columns:
        patient = pl.coalesce(pl.col("patient").cast(pl.String), case)
    positive, score, unit = pl.col("positive"), pl.col("score"), case
    limit = pl.col("threshold") if "threshold" in frame.columns else pl.lit(None)
    if kind == "lesions":
        ignored = pl.lit(False)
        if "ignored" in frame.columns:
            ignored = pl.col("ignored").cast(pl.Boolean).fill_null(False)
        positive = pl.when(ignored).then(None).otherwise(True)
        score, limit = pl.col("detected").cast(pl.Boolean), pl.lit(0.5)
        unit = case + " / lesion " + pl.col("lesion").cast(pl.String)
    rows = frame.select(
        case.alias("case"),
        unit.alias("unit"),
        patient.alias("patient"),
        pl.col("structure").cast(pl.String),
        positive.cast(pl.Boolean).alias("positive"),
        score.cast(pl.Float64).fill_nan(None).alias("score"),
        limit.cast(pl.Float64).alias("threshold"),
    )
    if rows["unit"].null_count():
        number = int(rows["unit"].is_null().arg_true()[0]) + 1
        what = f"row {number} of {len(rows)} names no lesion"
        raise ConfigError(what, where=path, fix="fill the column lesion")
    names = [f"{unit} / {structure}" for unit, structure in rows.select("unit", "structure").rows()]
    refuse_twice(names, "row", path)
    return rows


def _truth(
    unit: str, tables: Sequence[Mapping[str, Any]], detectors: Sequence[Detector]
) -> bool | None:
    """What the reference says; None if it was not assessed for some detector."""
    said = [table[unit]["positive"] for table in tables]
    if True in said and False in said:
        yes, no = detectors[said.index(True)], detectors[said.index(False)]
        what = f"{unit!r} is positive for {yes.algorithm} and negative for {no.algorithm}"
        raise ConfigError(what, where=no.origin, fix="evaluate all with one reference")
    return None if None in said else bool(said[0])


def _patient(unit: str, tables: Sequence[Mapping[str, Any]], detectors: Sequence[Detector]) -> str:
    """The patient; detectors that know it win over those that do not."""
    case = str(tables[0][unit]["case"])
    found = case
    for one, table in zip(detectors, tables, strict=True):
        patient = str(table[unit]["patient"])
        if found != case and patient not in (case, found):
            what = f"case {case!r} is of patient {found!r} in one file and {patient!r} in another"
            raise ConfigError(what, where=one.origin, fix="check the column patient")
        found = patient if found == case else found
    return found


def _threshold(one: Detector, name: str) -> Threshold:
    """The threshold that a table states by its column, else by how its cases were scored."""
    stated = one.rows.filter(pl.col("structure") == name)["threshold"].drop_nulls().unique()
    if len(stated) > 1:
        what = f"states {len(stated)} thresholds for {name}"
        raise ConfigError(what, where=one.origin, fix="give one for each class")
    if len(stated):
        return Threshold.fixed(float(stated[0]), ">=", "column threshold")
    score = one.settings.get("score")
    if score in PRESETS:
        return preset(str(score)).threshold
    if score == "max-probability" and "probability_threshold" in one.settings:
        cut = float(one.settings["probability_threshold"])
        return Threshold.fixed(cut, ">=", "any voxel of the mask")
    if score == "largest-component":
        return Threshold.fixed(0.0, ">", "any voxel of the mask")
    return Threshold.fixed(0.5, ">=", "the results state none")
