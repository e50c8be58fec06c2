"""From tables to the numbers of a report: means and medians with intervals, lesions, patients."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalemai.errors import ConfigError
from scalemai.evaluation.comparison.scale import bounded
from scalemai.evaluation.definitions import Definition
from scalemai.evaluation.lesions.bins import SMALL_AND_LARGE
from scalemai.evaluation.lesions.definitions import PERFORMANCE as LESIONS
from scalemai.evaluation.lesions.performance import LesionPerformance, lesion_performance
from scalemai.evaluation.patients.definitions import PERFORMANCE as PATIENTS
from scalemai.evaluation.patients.operating_point import OperatingPoint, apply_operating_point
from scalemai.evaluation.patients.performance import PatientPerformance, patient_performance
from scalemai.evaluation.patients.presets import PRESETS, preset
from scalemai.evaluation.patients.threshold import Threshold
from scalemai.evaluation.run import Evaluation
from scalemai.evaluation.segmentation import count_states
from scalemai.evaluation.tables import Table
from scalemai.statistics.bootstrap import cluster_mean, cluster_sums_bootstrap, of_a_mean
from scalemai.statistics.estimate import Estimate, not_computed
from scalemai.statistics.order_statistics import median

__all__ = ["OVER_STRUCTURES", "Summary", "summarize"]

OVER_STRUCTURES = "mean over structures"
"""Stands for all structures together: the mean of their means."""

_ESTIMATE: dict[str, Any] = {
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "level": pl.Float64,
    "n": pl.Int64,
    "method": pl.String,
    "reason": pl.String,
}
_SUMMARY: dict[str, Any] = {
    "structure": pl.String,
    "metric": pl.String,
    "statistic": pl.String,
    "definition": pl.String,
    "values": pl.Int64,
    **_ESTIMATE,
}
_LESIONS: dict[str, Any] = {
    "structure": pl.String,
    "metric": pl.String,
    "at": pl.String,
    "definition": pl.String,
    **_ESTIMATE,
    "threshold": pl.String,
}
_PATIENTS: dict[str, Any] = {name: kind for name, kind in _LESIONS.items() if name != "at"}

_VOLUMES = ("reference_ml", "prediction_ml")


@dataclass(frozen=True, eq=False)
class Summary:
    """All numbers of a report.

    Parameters
    ----------
    evaluation
        The tables that it summarizes.
    structures
        Table of kind ``summary``: mean and median of each metric of each structure; intervals of
        means are of resampled patients, those of medians of order statistics.
    states
        Table of kind ``states``: how many cases are in which state.
    lesions, patients
        Tables of kinds ``lesion_summary`` and ``patient_summary``.
    of_lesions, of_patients
        The same as objects, one for each lesion structure.
    """

    evaluation: Evaluation
    structures: Table
    states: Table
    lesions: Table
    patients: Table
    of_lesions: tuple[LesionPerformance, ...]
    of_patients: tuple[PatientPerformance, ...]

    @property
    def tables(self) -> tuple[Table, ...]:
        """All tables of the summary."""
        return self.structures, self.states, self.lesions, self.patients


def summarize(
    evaluation: Evaluation,
    *,
    points: Sequence[OperatingPoint] = (),
    accept_tuning: bool = False,
    seed: int = 0,
    draws: int = 2000,
    level: float = 0.95,
) -> Summary:
    """Compute the numbers of a report.

    Parameters
    ----------
    evaluation
        The tables.
    points
        Locked operating points, at most one for the patients and one for the candidates of each
        structure. Without one, a patient is positive by the preset, or if any voxel is predicted.
    accept_tuning
        Use operating points even on cases that they were chosen on; every number says so.
    seed, draws, level
        Of the intervals.

    Raises
    ------
    ConfigError
        If two operating points are for the same structure, one is for a structure that is not
        there, or was chosen on these cases.
    """
    lesions = evaluation.pairing.request.lesions or ()
    _check_points(points, lesions)
    of_lesions, of_patients = [], []
    patients = evaluation.patients.frame
    how: dict[str, Any] = {"draws": draws, "level": level}
    for name in lesions:
        scans = evaluation.scans_of(name)
        bins = evaluation.pairing.request.bins
        if scans:
            of_lesions.append(
                lesion_performance(
                    evaluation.lesions.frame,
                    evaluation.candidates.frame,
                    scans=scans,
                    rng=_rng(seed, "lesions", name),
                    structure=name,
                    threshold=_locked(evaluation.candidates, points, name, accept_tuning),
                    bins=tuple(dict.fromkeys((bins, SMALL_AND_LARGE))),
                    **how,
                )
            )
        if (patients["structure"] == name).any():
            of_patients.append(
                patient_performance(
                    patients,
                    structure=name,
                    threshold=_locked(evaluation.patients, points, name, accept_tuning)
                    or _usual(evaluation),
                    rng=_rng(seed, "patients", name),
                    missing=evaluation.pairing.request.missing,
                    **how,
                )
            )
    return Summary(
        evaluation,
        _structures(evaluation, seed, draws, level),
        _states(evaluation),
        _table(
            evaluation,
            "lesion_summary",
            [row for one in of_lesions for row in one.rows()],
            _LESIONS,
            LESIONS,
        ),
        _table(
            evaluation,
            "patient_summary",
            [row for one in of_patients for row in one.rows()],
            _PATIENTS,
            PATIENTS,
        ),
        tuple(of_lesions),
        tuple(of_patients),
    )


def _check_points(points: Sequence[OperatingPoint], lesions: Sequence[str]) -> None:
    seen = set()
    for point in points:
        if (point.kind, point.structure) in seen:
            what = f"two operating points are for {point.kind} of {point.structure}"
            raise ConfigError(what, where="operating point", fix="give one")
        seen.add((point.kind, point.structure))
        if point.structure not in lesions:
            what = f"is for {point.structure}, which is not among the lesions"
            fix = f"they are {', '.join(lesions) or 'none'}"
            raise ConfigError(what, where="operating point", fix=fix)


def _locked(
    table: Table, points: Sequence[OperatingPoint], name: str, accept_tuning: bool
) -> Threshold | None:
    for point in points:
        if (point.kind, point.structure) == (table.kind, name):
            return apply_operating_point(table, point, accept_tuning=accept_tuning)
    return None


def _usual(evaluation: Evaluation) -> Threshold:
    """The threshold on patients where no operating point is given."""
    request = evaluation.pairing.request
    if request.score is not None and request.score in PRESETS:
        return preset(request.score).threshold
    if request.score == "max-probability":
        return Threshold.fixed(request.cut, ">=", "any voxel of the mask")
    return Threshold.fixed(0.0, ">", "any voxel of the mask")


def _structures(evaluation: Evaluation, seed: int, draws: int, level: float) -> Table:
    table = evaluation.structures
    metrics = [one for one in table.definitions if one.column not in _VOLUMES]
    rows: list[dict[str, Any]] = []
    names = evaluation.pairing.request.structures
    how: dict[str, Any] = {"draws": draws, "level": level}
    for name in names:
        frame = table.frame.filter(pl.col("structure") == name)
        for metric in metrics:
            kept = frame.drop_nulls(metric.column)
            values = kept[metric.column].to_numpy()
            patients = kept["patient"].to_numpy().astype(np.str_)
            rng = _rng(seed, name, metric.column, "mean")
            mean = _mean(values, patients, rng, how, unbounded=not bounded(metric.column))
            middle = median(values, patients, level=level)
            for statistic, found in (("mean", mean), ("median", middle)):
                rows.append(_row(name, metric, statistic, values.size, found))
    if len(names) > 1:
        for metric in metrics:
            count, found = _over_structures(table.frame, metric, names, seed, how)
            rows.append(_row(OVER_STRUCTURES, metric, "mean", count, found))
    return _table(evaluation, "summary", rows, _SUMMARY, table.definitions)


def _mean(
    values: NDArray[np.float64],
    patients: NDArray[np.str_],
    rng: np.random.Generator,
    how: dict[str, Any],
    *,
    unbounded: bool,
) -> Estimate:
    infinite = values.size - int(np.isfinite(values).sum())
    if infinite:
        reason = f"{infinite} of {values.size} values are infinite: see the median"
        return not_computed(reason, n=int(np.unique(patients).size), level=how["level"])
    return cluster_mean(values, patients, rng=rng, unbounded=unbounded, **how)


def _over_structures(
    frame: pl.DataFrame,
    metric: Definition,
    names: Sequence[str],
    seed: int,
    how: dict[str, Any],
) -> tuple[int, Estimate]:
    """Mean of the means of all structures, resampling patients with all their structures."""
    kept = frame.drop_nulls(metric.column)
    place = {name: index for index, name in enumerate(names)}
    column = np.array([place[name] for name in kept["structure"]], dtype=np.intp)
    sums = np.zeros((kept.height, 2 * len(names)))
    sums[np.arange(kept.height), column] = kept[metric.column].to_numpy()
    sums[np.arange(kept.height), len(names) + column] = 1

    def mean_of_means(totals: NDArray[np.float64]) -> NDArray[np.float64]:
        means = totals[:, : len(names)] / totals[:, len(names) :]
        # A structure that no drawn patient has is left out of the mean of that draw.
        there = np.isfinite(means)
        averaged: NDArray[np.float64] = np.where(there, means, 0).sum(axis=1) / there.sum(axis=1)
        return averaged

    found = cluster_sums_bootstrap(
        mean_of_means,
        sums,
        kept["patient"].to_numpy().astype(np.str_),
        rng=_rng(seed, OVER_STRUCTURES, metric.column),
        **how,
    )
    return kept.height, of_a_mean(found, unbounded=not bounded(metric.column))


def _states(evaluation: Evaluation) -> Table:
    frame = evaluation.structures.frame
    rows = [
        {"structure": name, "state": state, "cases": count}
        for name in evaluation.pairing.request.structures
        for state, count in count_states(
            frame.filter(pl.col("structure") == name)["state"].to_list()
        ).items()
    ]
    schema = {"structure": pl.String, "state": pl.String, "cases": pl.Int64}
    return _table(evaluation, "states", rows, schema, ())


def _row(
    name: str, metric: Definition, statistic: str, values: int, found: Estimate
) -> dict[str, Any]:
    named = {"structure": name, "metric": metric.column, "statistic": statistic}
    return {**named, "definition": metric.id, "values": values, **found.as_dict()}


def _table(
    evaluation: Evaluation,
    kind: str,
    rows: Sequence[dict[str, Any]],
    schema: dict[str, Any],
    definitions: Sequence[Definition],
) -> Table:
    frame = pl.DataFrame([{name: row[name] for name in schema} for row in rows], schema=schema)
    source = evaluation.structures
    return Table(kind, frame, tuple(definitions), source.cases, source.settings)


def _rng(seed: int, *names: str) -> np.random.Generator:
    """A stream of its own for each number, so that one more structure changes no other."""
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])
