"""Groups of patients compared: estimates, gaps, tests, adjustment, distributions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalemai.errors import ConfigError, UnknownNameError
from scalemai.evaluation.comparison.scale import bounded
from scalemai.evaluation.row_digests import row_digests
from scalemai.evaluation.subgroups.areas import NO_TEST, Areas, Counts
from scalemai.evaluation.subgroups.estimates import Rows
from scalemai.evaluation.subgroups.grouping import NOT_RECORDED, Factor, labels_of
from scalemai.evaluation.subgroups.metadata import Joined, join
from scalemai.evaluation.subgroups.outcomes import Outcome
from scalemai.evaluation.subgroups.question import Question
from scalemai.statistics.combining import (
    difference_between,
    largest_difference,
    simultaneous_level,
)
from scalemai.statistics.estimate import Estimate, not_computed
from scalemai.statistics.groups import (
    GroupPair,
    KruskalWallis,
    dunn,
    kruskal_wallis,
    pairwise_mann_whitney,
)
from scalemai.statistics.regression import AdjustedContrast, adjusted_differences

__all__ = ["Distribution", "FactorResult", "GroupResult", "Subgroups", "compare_groups"]


@dataclass(frozen=True, slots=True)
class GroupResult:
    """One group.

    Parameters
    ----------
    name
        Of the group.
    patients, rows
        How many.
    estimate
        Mean or rate.
    median
        Over its patients; not computed of a rate.
    gap
        Its mean minus that of all others with a record.
    worst
        Whether it is the worst of the groups with a value.
    """

    name: str
    patients: int
    rows: int
    estimate: Estimate
    median: Estimate
    gap: Estimate
    worst: bool


@dataclass(frozen=True, eq=False)
class FactorResult:
    """One way to group patients.

    Parameters
    ----------
    factor
        Which.
    groups
        Its groups in order; ``not recorded`` last.
    largest_gap
        Between any two groups, with an interval that knows it was sought.
    patients
        How many stand in the groups that were tested; a patient in two of them counts once.
    test
        Kruskal-Wallis test on the means of patients; one in two groups has a mean in each.
    compared
        Names of the groups that were tested, to which the pairs' numbers refer.
    mann_whitney, dunn
        All pairs.
    adjusted
        Every group against the reference, without and with covariates.
    notes
        What to know of it.
    """

    factor: Factor
    groups: tuple[GroupResult, ...]
    largest_gap: Estimate
    patients: int
    test: KruskalWallis
    compared: tuple[str, ...]
    mann_whitney: tuple[GroupPair, ...]
    dunn: tuple[GroupPair, ...]
    adjusted: tuple[AdjustedContrast, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Distribution:
    """A hospital, or all of them, against those that training cases came from.

    Parameters
    ----------
    name
        Of the hospital; empty for all outside together.
    estimate, median
        Its mean or rate, and the median over its patients.
    difference
        Its mean minus that of the training hospitals.
    """

    name: str
    estimate: Estimate
    median: Estimate
    difference: Estimate


@dataclass(frozen=True, eq=False)
class Subgroups:
    """All results.

    Parameters
    ----------
    outcome, question
        What was compared, and what was asked.
    overall, overall_median
        Mean or rate of all patients, and the median; not computed of a rate.
    factors
        Each way to group them.
    home
        Mean or rate of the training hospitals; None if not asked.
    distributions
        Each other hospital, all of them together first.
    notes
        What a user should know.
    files
        Name to SHA-256 of what was read: the table of results and ``metadata``.
    """

    outcome: Outcome
    question: Question
    overall: Estimate
    overall_median: Estimate
    factors: tuple[FactorResult, ...]
    home: Estimate | None
    distributions: tuple[Distribution, ...]
    notes: tuple[str, ...]
    files: Mapping[str, str]

    def settings(self) -> dict[str, Any]:
        """What changes a number, in plain types."""
        return {
            "metric": self.outcome.metric,
            "structure": self.outcome.structure,
            "better": self.outcome.better,
            "missing_predictions": self.outcome.missing,
            "undefined_rows": self.outcome.undefined,
            "files": dict(self.files),
            **self.question.settings(),
        }


def compare_groups(
    outcome: Outcome,
    metadata: pl.DataFrame,
    question: Question,
    *,
    key: str | None = None,
    where: str = "metadata",
    digest: str | None = None,
) -> Subgroups:
    """Compare groups of patients.

    Parameters
    ----------
    outcome
        Values by case.
    metadata
        A row per case or per patient.
    question
        What is asked.
    key, where
        As of :func:`scalemai.evaluation.subgroups.metadata.join`.
    digest
        SHA-256 of the file of the metadata; of its rows if not given.

    Raises
    ------
    ConfigError, UnknownNameError
        As of :func:`scalemai.evaluation.subgroups.metadata.join` and
        :func:`scalemai.evaluation.subgroups.grouping.labels_of`; or if a training hospital is
        not in the metadata.
    """
    joined = join(outcome.frame, metadata, question.columns, key=key, where=where)
    frame = joined.frame
    rows = _rows(frame, outcome, question)
    everyone = np.ones(frame.height, bool)
    factors = tuple(_factor(rows, joined, one, outcome, question) for one in question.factors)
    home, others = _distributions(rows, frame, question)
    return Subgroups(
        outcome, question, rows.mean(everyone, "all"), rows.median(everyone), factors, home,
        others,
        (*outcome.notes, *joined.notes),
        {**outcome.files, "metadata": digest or _digest(metadata)},
    )  # fmt: skip


def _digest(metadata: pl.DataFrame) -> str:
    return sha256("".join(sorted(row_digests(metadata, "metadata").values())).encode()).hexdigest()


def _rows(frame: pl.DataFrame, outcome: Outcome, question: Question) -> Rows:
    values = frame["value"].to_numpy().astype(np.float64)
    patients = frame["patient"].to_numpy().astype(np.str_)
    if outcome.area:
        return Areas(values, patients, frame["positive"].to_numpy().astype(np.bool_), question)
    if outcome.metric == "fp_per_scan":
        return Counts(values, patients, question)
    unbounded = not outcome.binary and not bounded(outcome.metric)
    return Rows(values, patients, outcome.binary, question, unbounded=unbounded)


def _factor(
    rows: Rows, joined: Joined, factor: Factor, outcome: Outcome, question: Question
) -> FactorResult:
    labels, names = labels_of(joined.frame, factor, question.edges)
    label = np.asarray(labels)
    recorded = label != NOT_RECORDED
    chosen = {name: np.asarray(label == name) for name in names}
    found = {name: rows.mean(mask, f"{factor}/{name}") for name, mask in chosen.items()}
    known = [name for name in names if found[name].computed and name != NOT_RECORDED]
    gaps = {
        name: replace(
            difference_between(
                found[name], rows.mean(recorded & ~mask, f"{factor}/all but {name}")
            ),
            n=rows.count(recorded | mask),
        )
        for name, mask in chosen.items()
    }
    worst = _worst({name: found[name] for name in known}, outcome.better)
    groups = tuple(
        GroupResult(
            name, rows.count(mask), int(mask.sum()), found[name], rows.median(mask), gaps[name],
            name == worst,
        )
        for name, mask in chosen.items()
    )  # fmt: skip
    means = [] if outcome.area else [rows.patient_means(chosen[name]) for name in known]
    test = kruskal_wallis(means)
    if outcome.area:
        test = replace(test, degrees=max(len(known) - 1, 0), reason=NO_TEST)
    notes = []
    together = np.isin(label, known)
    several = rows.in_several(label, together)
    if several:
        stand = "patient stands" if several == 1 else "patients stand"
        notes.append(f"{several} {stand} in more than one group; tests take groups as independent")
    adjusted, note = _adjusted(rows, joined.frame, label, together, outcome, question, factor)
    return FactorResult(
        factor, groups,
        replace(_largest(rows, chosen, known, factor, question), n=rows.count(together)),
        rows.count(together), test, tuple(known),
        pairwise_mann_whitney(means, level=question.level), dunn(means), adjusted,
        (*notes, *note),
    )  # fmt: skip


def _largest(
    rows: Rows,
    chosen: Mapping[str, NDArray[np.bool_]],
    known: list[str],
    factor: Factor,
    question: Question,
) -> Estimate:
    if len(known) < 2:
        reason = f"fewer than two groups have {question.minimum} patients"
        return not_computed(reason, level=question.level)
    level = simultaneous_level(len(known), question.level)
    wide = [rows.mean(chosen[name], f"{factor}/{name}", level) for name in known]
    return largest_difference(wide, level=question.level)


def _worst(found: Mapping[str, Estimate], better: str) -> str | None:
    values = {name: one.value for name, one in found.items() if one.value is not None}
    if len(values) < 2:
        return None
    pick = min if better == "higher" else max
    return pick(values, key=lambda name: values[name])


def _adjusted(
    rows: Rows,
    frame: pl.DataFrame,
    label: NDArray[np.str_],
    together: NDArray[np.bool_],
    outcome: Outcome,
    question: Question,
    factor: Factor,
) -> tuple[tuple[AdjustedContrast, ...], tuple[str, ...]]:
    names = [name for name in question.adjust if name not in factor.columns]
    if not names:
        return (), ()
    if outcome.area:
        return (), ("areas are not adjusted by regression: compare them within classes",)
    covariates = {name: _covariate(frame[f"by:{name}"]) for name in names}
    complete = np.array(
        [all(one is not None for one in row) for row in zip(*covariates.values(), strict=True)]
    )
    used = together & complete
    notes: tuple[str, ...] = ()
    lost = int((together & ~complete).sum())
    if lost:
        notes = (f"{lost} rows lack a covariate and are left out of the adjustment",)
    picked = np.flatnonzero(used)
    contrasts = adjusted_differences(
        rows.values[used],
        label[used].tolist(),
        {name: [values[k] for k in picked] for name, values in covariates.items()},
        rows.patients[used],
        kind="binary" if outcome.binary else "continuous",
        level=question.level,
    )
    return contrasts, notes


def _covariate(series: pl.Series) -> list[Any]:
    if series.dtype == pl.Boolean or not series.dtype.is_numeric():
        words = [None if one is None else str(one).strip() for one in series.to_list()]
        return [word or None for word in words]
    return series.cast(pl.Float64).fill_nan(None).to_list()


def _distributions(
    rows: Rows, frame: pl.DataFrame, question: Question
) -> tuple[Estimate | None, tuple[Distribution, ...]]:
    if question.home is None:
        return None, ()
    column, inside = question.home
    labels, names = labels_of(frame, Factor((column,)), question.edges)
    for name in inside:
        if name not in names:
            raise UnknownNameError(column, name, [one for one in names if one != NOT_RECORDED])
    label = np.asarray(labels)
    outside = [name for name in names if name not in inside and name != NOT_RECORDED]
    if not outside:
        raise ConfigError(f"no other {column} has results", where="in-distribution")
    home = rows.mean(np.isin(label, list(inside)), f"{column}/home")
    masks = {"": np.isin(label, outside)} | {name: label == name for name in outside}
    found = []
    for name, mask in masks.items():
        estimate = rows.mean(np.asarray(mask), f"{column}/{name or 'outside'}")
        both = rows.count(np.asarray(mask) | np.isin(label, list(inside)))
        difference = replace(difference_between(estimate, home), n=both)
        middle = rows.median(np.asarray(mask))
        found.append(Distribution(name, estimate, middle, difference))
    return home, tuple(found)
