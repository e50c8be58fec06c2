"""What was measured with how many scans: the table of a scaling study, one group at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalemai.errors import ConfigError, UnknownNameError
from scalemai.evaluation.tables import Table

__all__ = ["Arm", "Measurements", "read_measurements"]

Array = NDArray[np.float64]
_RUN = ("draw", "seed")
_WITHIN_CASE = ("structure", "lesion")
_KNOWN = ("n_real", "n_synthetic", *_RUN, "case", "patient", *_WITHIN_CASE)
_MOST_SCANS = 1e9


@dataclass(frozen=True, slots=True, order=True)
class Arm:
    """What a detector was trained on: numbers of real and of synthetic scans."""

    n_real: float
    n_synthetic: float = 0.0

    def __str__(self) -> str:
        if not self.n_synthetic:
            return f"{self.n_real:,.6g} real"
        return f"{self.n_real:,.6g} real + {self.n_synthetic:,.6g} synthetic"


@dataclass(frozen=True, eq=False)
class Measurements:
    """All runs of one group (all cases, a hospital, a size bin), on the same test patients.

    Parameters
    ----------
    group
        Its name; empty if the table has no groups.
    arms
        What the detectors were trained on, ascending.
    arm_of, draw_of
        Arrays (runs,): number of the arm, and of the draw of training scans within it. Seeds of
        one draw share its number.
    totals, counts
        Arrays (runs, patients): sums of the measure over the test cases of a patient, and how
        many there are. One column of ones if the table has no test cases.
    has_patients
        Whether the columns are patients.
    has_draws
        Whether the table tells draws apart; otherwise every seed counts as a draw.
    notes
        What was left out, and what the intervals therefore do not hold.
    """

    group: str
    arms: tuple[Arm, ...]
    arm_of: NDArray[np.intp]
    draw_of: NDArray[np.intp]
    totals: Array
    counts: Array
    has_patients: bool
    has_draws: bool
    notes: tuple[str, ...] = ()

    @property
    def n_patients(self) -> int:
        """Number of test patients; 0 if the table does not tell."""
        return self.totals.shape[1] if self.has_patients else 0

    @property
    def real_arms(self) -> tuple[int, ...]:
        """Numbers of the arms without synthetic scans."""
        return tuple(i for i, arm in enumerate(self.arms) if arm.n_synthetic == 0)

    @property
    def mixed_arms(self) -> tuple[int, ...]:
        """Numbers of the arms with synthetic scans."""
        return tuple(i for i, arm in enumerate(self.arms) if arm.n_synthetic > 0)


def read_measurements(
    table: Table, metric: str | None = None, group: str | None = None, *, where: str = "table"
) -> tuple[str, tuple[Measurements, ...]]:
    """Bring a table to one set of measurements for each group.

    Parameters
    ----------
    table
        Columns ``n_real`` (training scans) and a measure, and where known ``n_synthetic`` (0 if
        there is none), ``draw`` (which sample of the training scans), ``seed`` (of the training),
        ``case`` and ``patient`` of the test set. With ``case`` or ``patient`` a row is one test
        case of one run (further apart by ``structure`` and ``lesion``), otherwise a whole run.
    metric
        Column of the measure; by default ``value``, or the only column of numbers that is left.
    group
        Column that tells groups apart; by default ``group`` or ``domain``, if there is one.
    where
        What messages call the table.

    Returns
    -------
    tuple
        The name of the measure, and the groups by name. Test cases that not every run of a group
        has are left out, so that all runs are compared on the same ones; the notes count them.

    Raises
    ------
    ConfigError
        If a column is missing or of the wrong type, a number of scans is negative, a run stands
        twice, or no common test case is left.
    """
    frame = table.frame
    if "n_real" not in frame.columns:
        fix = f"name the column of training scans n_real; it has {', '.join(frame.columns)}"
        raise ConfigError("has no column n_real", where=where, fix=fix)
    by = _group_column(frame, group)
    metric = _metric_column(frame, metric, by, where)
    frame = _typed(frame, metric, by, where)
    groups = frame["_group"].unique(maintain_order=True).sort().to_list()
    return metric, tuple(
        _measure(frame.filter(pl.col("_group") == name), str(name), where) for name in groups
    )


def _group_column(frame: pl.DataFrame, group: str | None) -> str | None:
    if group is None:
        return next((name for name in ("group", "domain") if name in frame.columns), None)
    if group not in frame.columns:
        raise UnknownNameError("column", group, frame.columns)
    return group


def _metric_column(frame: pl.DataFrame, metric: str | None, by: str | None, where: str) -> str:
    free = [
        name
        for name, kind in frame.schema.items()
        if name not in (*_KNOWN, by, "group", "domain", "algorithm")
        and (kind.is_numeric() or kind == pl.Boolean)
    ]
    if metric is not None:
        if metric not in free:
            raise UnknownNameError("metric", metric, free)
        return metric
    if "value" in free:
        return "value"
    if len(free) != 1:
        what = f"has {len(free)} columns that could be the measure ({', '.join(free[:8])})"
        raise ConfigError(what, where=where, fix="name one with metric")
    return free[0]


def _typed(frame: pl.DataFrame, metric: str, by: str | None, where: str) -> pl.DataFrame:
    missing = [name for name in ("n_synthetic",) if name not in frame.columns]
    frame = frame.with_columns(pl.lit(0.0).alias(name) for name in missing)
    for name in ("n_real", "n_synthetic"):
        if not frame.schema[name].is_numeric():
            raise ConfigError(f"column {name} holds no numbers", where=where, fix="correct it")
    frame = frame.with_columns(
        pl.col("n_real").cast(pl.Float64),
        pl.col("n_synthetic").cast(pl.Float64).fill_null(0.0),
        pl.col(metric).cast(pl.Float64).fill_nan(None).alias("_value"),
        (pl.lit("") if by is None else pl.col(by).cast(pl.String)).alias("_group"),
    )
    for name in ("n_real", "n_synthetic"):
        wrong = frame.filter(~pl.col(name).is_between(0.0, _MOST_SCANS).fill_null(value=False))
        if wrong.height:
            what = f"{name} is {wrong[name][0]} in {wrong.height} rows"
            raise ConfigError(what, where=where, fix="give a number of scans of 0 or more")
    if frame["_value"].is_infinite().any():
        raise ConfigError(f"{metric} is infinite", where=where, fix="leave such rows empty")
    if frame["_group"].null_count():
        raise ConfigError(f"column {by} has gaps", where=where, fix="fill them, or leave rows out")
    return frame


def _measure(frame: pl.DataFrame, group: str, where: str) -> Measurements:
    where = f"{where}: {group}" if group else where
    notes: list[str] = []
    none = frame.filter(pl.col("n_real") + pl.col("n_synthetic") == 0)
    if none.height:
        notes.append(f"{none.height} rows were trained on no scan and are left out")
        frame = frame.filter(pl.col("n_real") + pl.col("n_synthetic") > 0)
    units = [name for name in ("patient", "case") if name in frame.columns]
    present = [name for name in ("n_real", "n_synthetic", *_RUN) if name in frame.columns]
    if frame.select(pl.any_horizontal(pl.col(present).is_null().any())).item():
        raise ConfigError("draw or seed has gaps", where=where, fix="fill them")
    runs = frame.select(present).unique().sort(present)
    frame = frame.join(runs.with_row_index("_run"), on=present, how="left")
    if units:
        frame, patients = _common(frame, units, runs.height, where, notes)
    else:
        frame = frame.with_columns(_patient=pl.lit(0, pl.UInt32))
        patients = 1
        notes.append("the table has no test cases: intervals do not hold the choice of patients")
        _refuse_twice(frame, ["_run"], where)
        gaps = frame["_value"].null_count()
        if gaps:
            notes.append(f"{gaps} runs without a value are left out")
            frame = frame.drop_nulls("_value")
            runs = frame.select(present).unique().sort(present)
            frame = frame.drop("_run").join(runs.with_row_index("_run"), on=present, how="left")
    if not frame.height:
        raise ConfigError("no value is left", where=where, fix="see to its columns")
    arms = tuple(sorted({Arm(*row) for row in runs.select("n_real", "n_synthetic").rows()}))
    arm_of = np.array(
        [arms.index(Arm(*row)) for row in runs.select("n_real", "n_synthetic").rows()], np.intp
    )
    has_draws = "draw" in runs.columns and runs["draw"].n_unique() > 1
    if not has_draws:
        notes.append(
            "all runs share one draw of training scans, or the table does not tell: intervals do "
            "not hold the choice of scans"
        )
    label = "draw" if has_draws else "seed"
    draw_of = np.zeros(runs.height, np.intp)
    if label in runs.columns:
        draw_of = runs[label].rank("dense").to_numpy().astype(np.intp)
    totals, counts = (np.zeros((runs.height, patients)) for _ in range(2))
    np.add.at(totals, _index(frame), frame["_value"].to_numpy())
    np.add.at(counts, _index(frame), 1.0)
    return Measurements(
        group, arms, arm_of, draw_of, totals, counts,
        bool(units), has_draws, tuple(notes),
    )  # fmt: skip


def _index(frame: pl.DataFrame) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return (
        frame["_run"].to_numpy().astype(np.intp),
        frame["_patient"].to_numpy().astype(np.intp),
    )


def _common(
    frame: pl.DataFrame, units: Sequence[str], runs: int, where: str, notes: list[str]
) -> tuple[pl.DataFrame, int]:
    """Keep the test cases that every run has a value of; number their patients."""
    within = [name for name in _WITHIN_CASE if name in frame.columns]
    keys = [*units, *within]
    if frame.select(pl.any_horizontal(pl.col(list(units)).is_null().any())).item():
        raise ConfigError("case or patient has gaps", where=where, fix="fill them")
    if "case" in units:
        _refuse_twice(frame, ["_run", *keys], where)
    have = (
        frame.drop_nulls("_value")
        .group_by(keys)
        .agg(pl.col("_run").n_unique().alias("_runs"))
        .with_columns(_all=pl.col("_runs") == runs)
    )
    total = frame.select(keys).unique().height
    kept = have.filter("_all").select(keys)
    if not kept.height:
        what = f"no test case has a value in all {runs} runs"
        raise ConfigError(what, where=where, fix="use the same test cases in every run")
    if kept.height < total:
        notes.append(
            f"{total - kept.height} of {total} test cases have no value in some run and are left "
            "out of all"
        )
    frame = frame.join(kept, on=keys, how="semi").drop_nulls("_value")
    patients = frame.select(pl.col(units[0]).unique().sort()).with_row_index("_patient")
    return frame.join(patients, on=units[0], how="left"), patients.height


def _refuse_twice(frame: pl.DataFrame, keys: Sequence[str], where: str) -> None:
    twice = frame.group_by(keys, maintain_order=True).len().filter(pl.col("len") > 1)
    if not twice.height:
        return
    row = frame.join(twice.head(1), on=keys, how="semi").row(0, named=True)
    told = ", ".join(
        f"{name} {row[name]}" for name in _KNOWN if name in row and row[name] is not None
    )
    fix = "tell runs apart by columns draw and seed, and test cases by case"
    raise ConfigError(f"{told} stands twice", where=where, fix=fix)
