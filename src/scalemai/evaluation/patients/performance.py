"""How well patients are told apart, with intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalemai.evaluation.patients.definitions import PERFORMANCE
from scalemai.evaluation.patients.rows import Missing, Scored, scored
from scalemai.evaluation.patients.threshold import Threshold
from scalemai.statistics.bootstrap import cluster_sums_bootstrap
from scalemai.statistics.estimate import Estimate, not_computed
from scalemai.statistics.proportions import (
    cluster_proportion,
    difference_unpaired,
    wilson,
)
from scalemai.statistics.roc import auc_bootstrap, auc_delong, average_precision_bootstrap

__all__ = ["Counts", "PatientPerformance", "patient_performance"]


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows by what was called and what is; None without a threshold."""

    true_positives: int
    false_negatives: int
    true_negatives: int
    false_positives: int


@dataclass(frozen=True, slots=True)
class PatientPerformance:
    """All numbers of one structure.

    Parameters
    ----------
    structure
        Which one.
    threshold
        The threshold and where it comes from; None if only areas were asked for.
    counts
        Rows by decision and reference.
    positives, negatives, missing, not_assessed
        Rows by reference, missing predictions, and rows left out for want of a reference.
    sensitivity, specificity, ppv, npv, f1, balanced_accuracy, auroc, auroc_bootstrap, \
average_precision
        As :data:`scalemai.evaluation.patients.definitions.PERFORMANCE` defines them.
    """

    structure: str
    threshold: Threshold | None
    counts: Counts | None
    positives: int
    negatives: int
    missing: int
    not_assessed: int
    sensitivity: Estimate
    specificity: Estimate
    ppv: Estimate
    npv: Estimate
    f1: Estimate
    balanced_accuracy: Estimate
    auroc: Estimate
    auroc_bootstrap: Estimate
    average_precision: Estimate

    def rows(self) -> list[dict[str, Any]]:
        """One row a number: ``structure, metric, definition``, the estimate, the threshold."""
        at = str(self.threshold) if self.threshold else ""
        return [
            {
                "structure": self.structure,
                "metric": definition.column,
                "definition": definition.id,
                **getattr(self, definition.column).as_dict(),
                "threshold": "" if _is_area(definition.column) else at,
            }
            for definition in PERFORMANCE
        ]


def patient_performance(
    patients: pl.DataFrame,
    *,
    structure: str,
    threshold: Threshold | None,
    rng: np.random.Generator,
    missing: Missing = "fail",
    draws: int = 2000,
    level: float = 0.95,
) -> PatientPerformance:
    """Evaluate one structure of the table `patients`.

    Parameters
    ----------
    patients
        The table, of one algorithm, with a row per case or per patient.
    structure
        Which structure.
    threshold
        From :func:`~scalemai.evaluation.patients.operating_point.apply_operating_point`, a
        preset, or fixed beforehand; None to get the areas only. It is never chosen here.
    rng
        For resampling patients.
    missing
        Whether missing predictions count as wrong (``"fail"``) or are left out (``"omit"``).
    draws, level
        Number of resamples, and confidence level.

    Raises
    ------
    ConfigError, UnknownNameError
        As of :func:`scalemai.evaluation.patients.rows.scored`.
    """
    rows = scored(patients, structure, missing)
    resample = _Resampling(rng=rng, draws=draws, level=level)
    boot = auc_bootstrap(rows.positive, rows.score, rows.patient, **resample)
    precision = average_precision_bootstrap(rows.positive, rows.score, rows.patient, **resample)
    if not rows.positive.any():
        boot, precision = (
            replace(one, reason=_NOTHING["sensitivity"]) for one in (boot, precision)
        )
    elif rows.positive.all():
        boot = replace(boot, reason=_NOTHING["specificity"])
    areas = {
        "auroc": boot if rows.clustered else auc_delong(rows.positive, rows.score, level),
        "auroc_bootstrap": boot,
        "average_precision": precision,
    }
    called = None if threshold is None else threshold.called(rows.score)
    if called is None:
        none = not_computed("there is no threshold", n=rows.positive.size, level=level)
        names = [d.column for d in PERFORMANCE if not _is_area(d.column)]
        rates = dict.fromkeys(names, none)
    elif rows.clustered:
        rates = _clustered_rates(rows, called, resample)
    else:
        rates = _rates(_count(rows.positive, called), level)
    return PatientPerformance(
        structure,
        threshold,
        None if called is None else _count(rows.positive, called),
        int(rows.positive.sum()),
        int((~rows.positive).sum()),
        rows.missing,
        rows.not_assessed,
        **rates,
        **areas,
    )


_NOTHING = {
    "sensitivity": "there are no positives",
    "specificity": "there are no negatives",
    "ppv": "none is called positive",
    "npv": "none is called negative",
}
"""Why a share has no trials."""


class _Resampling(TypedDict):
    rng: np.random.Generator
    draws: int
    level: float


def _is_area(column: str) -> bool:
    return column in ("auroc", "auroc_bootstrap", "average_precision")


def _count(positive: NDArray[np.bool_], called: NDArray[np.bool_]) -> Counts:
    return Counts(
        int((positive & called).sum()),
        int((positive & ~called).sum()),
        int((~positive & ~called).sum()),
        int((~positive & called).sum()),
    )


def _rates(counts: Counts, level: float) -> dict[str, Estimate]:
    """Rates of independent rows, all from Wilson's limits."""
    tp, fn = counts.true_positives, counts.false_negatives
    tn, fp = counts.true_negatives, counts.false_positives
    overlap = wilson(tp, tp + fp + fn, level)
    contrast = difference_unpaired(tp, tp + fn, fp, fp + tn, level)
    if not (tp + fn and fp + tn):
        gone = "specificity" if tp + fn else "sensitivity"
        contrast = not_computed(_NOTHING[gone], level=level)
    shares = {
        "sensitivity": (tp, tp + fn),
        "specificity": (tn, tn + fp),
        "ppv": (tp, tp + fp),
        "npv": (tn, tn + fn),
    }
    return {
        name: wilson(k, n, level) if n else not_computed(_NOTHING[name], level=level)
        for name, (k, n) in shares.items()
    } | {
        "f1": _transformed(overlap, lambda jaccard: 2 * jaccard / (1 + jaccard)),
        "balanced_accuracy": _transformed(contrast, lambda gap: (gap + 1) / 2),
    }


def _clustered_rates(
    rows: Scored, called: NDArray[np.bool_], resample: _Resampling
) -> dict[str, Estimate]:
    """Rates of rows that share patients."""
    positive, patient = rows.positive, rows.patient

    def share(name: str, won: NDArray[np.bool_], tried: NDArray[np.bool_]) -> Estimate:
        if not tried.any():
            return not_computed(_NOTHING[name], level=resample["level"])
        return cluster_proportion(won & tried, tried, patient, level=resample["level"])

    table = np.stack(
        [positive & called, positive & ~called, ~positive & ~called, ~positive & called], axis=1
    )

    def f1(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        tp, fn, _, fp = sums.T
        overlap: NDArray[np.float64] = 2 * tp / (2 * tp + fn + fp)
        return overlap

    def balanced(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        tp, fn, tn, fp = sums.T
        mean: NDArray[np.float64] = (tp / (tp + fn) + tn / (tn + fp)) / 2
        return mean

    balance = cluster_sums_bootstrap(balanced, table, patient, **resample)
    if not (positive.any() and (~positive).any()):
        gone = "specificity" if positive.any() else "sensitivity"
        balance = replace(balance, reason=_NOTHING[gone])
    return {
        "sensitivity": share("sensitivity", called, positive),
        "specificity": share("specificity", ~called, ~positive),
        "ppv": share("ppv", positive, called),
        "npv": share("npv", ~positive, ~called),
        "f1": cluster_sums_bootstrap(f1, table, patient, **resample),
        "balanced_accuracy": balance,
    }


def _transformed(estimate: Estimate, by: Callable[[float], float]) -> Estimate:
    """An estimate and its ends under an increasing function."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return estimate
    low, high = by(estimate.low), by(estimate.high)
    return replace(estimate, value=by(estimate.value), low=low, high=high)
