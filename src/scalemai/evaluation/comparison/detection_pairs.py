"""One pair of detectors: the difference with its interval, and a test of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalemai.evaluation.comparison.detectors import Paired
from scalemai.statistics.bootstrap import cluster_ratio
from scalemai.statistics.clustered_auc import compare_auc_clustered, tost_auc
from scalemai.statistics.clustered_proportions import tost_clustered_proportions
from scalemai.statistics.equivalence import Equivalence
from scalemai.statistics.estimate import Estimate
from scalemai.statistics.mcnemar import mcnemar
from scalemai.statistics.proportions import PairedCounts
from scalemai.statistics.roc import auc_difference_bootstrap, compare_auc_delong
from scalemai.statistics.sign_flip import sign_flip

__all__ = ["compared"]


def compared(
    both: Paired,
    i: int,
    j: int,
    metric: str,
    *,
    rng: np.random.Generator,
    draws: int,
    level: float,
    margin: float,
) -> dict[str, Any]:
    """Compare two detectors on the units that both scored.

    Parameters
    ----------
    both
        Detectors side by side.
    i, j
        Which two.
    metric
        ``auroc``, ``sensitivity``, ``specificity`` or ``lesion_sensitivity``.
    rng, draws
        Resamples of patients.
    level
        One minus the confidence of intervals; level of each one-sided test of equivalence.
    margin
        Largest difference that does not matter.

    Returns
    -------
    dict
        Columns of the table ``detection_pairs``. ``difference`` is first minus second. Where no
        patient has several units: DeLong's paired interval and test of areas; Newcombe's paired
        interval and McNemar's exact test, with its mid-p, of rates. Otherwise areas have
        Obuchowski's interval and test, and rates an interval from resampled patients and the
        exact sign-flip test of patients. ``p_equivalent`` is of two one-sided tests.
    """
    rows = np.asarray(~np.isnan(both.scores[:, [i, j]]).any(axis=1))
    if metric != "auroc":
        rows = rows & (~both.positive if metric == "specificity" else both.positive)
    patients, positive = both.patients[rows], both.positive[rows]
    row: dict[str, Any] = {
        "n_cases": len({both.cases[row] for row in np.flatnonzero(rows)}),
        "n": int(np.unique(patients).size),
        "positives": int(positive.sum()),
        "negatives": int((~positive).sum()),
        "margin": margin,
    }
    first, second = both.scores[rows, i], both.scores[rows, j]
    how: dict[str, Any] = {"rng": rng, "draws": draws, "level": 1 - level}
    if metric == "auroc":
        return row | _areas(positive, first, second, patients, how, margin)
    called = both.thresholds[i].called(first), both.thresholds[j].called(second)
    if metric == "specificity":
        called = ~called[0], ~called[1]
    return row | _rates(*called, patients, how, metric, margin)


def _areas(
    positive: NDArray[np.bool_],
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    patients: NDArray[np.str_],
    how: dict[str, Any],
    margin: float,
) -> dict[str, Any]:
    scans_of_patients = np.unique(patients).size < patients.size
    if scans_of_patients:
        test = compare_auc_clustered(positive, first, second, patients, how["level"])
    else:
        test = compare_auc_delong(positive, first, second, how["level"])
    row = {"value_first": test.first.value, "value_second": test.second.value}
    if test.difference.value is None:
        return row | {"reason": test.difference.reason}
    resampled = auc_difference_bootstrap(positive, first, second, patients, **how)
    equal = tost_auc(positive, first, second, patients, margin, level=round(1 - how["level"], 12))
    return (
        row
        | _interval(test.difference, test.difference.method)
        | _ends(resampled)
        | _equivalence(equal)
        | {"p": test.p, "reason": test.difference.reason or None}
    )


def _rates(
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
    patients: NDArray[np.str_],
    how: dict[str, Any],
    metric: str,
    margin: float,
) -> dict[str, Any]:
    if not first.size:
        what = "negatives" if metric == "specificity" else "positives"
        return {"difference": None, "reason": f"there are no {what} that both have"}
    counts = PairedCounts(
        int((first & second).sum()),
        int((first & ~second).sum()),
        int((~first & second).sum()),
        int((~first & ~second).sum()),
    )
    apart = first.astype(np.float64) - second
    resampled = cluster_ratio(apart, np.ones(apart.size), patients, **how)
    names, code = np.unique(patients, return_inverse=True)
    row = counts._asdict() | _ends(resampled) | {
        "value_first": float(first.mean()), "value_second": float(second.mean()),
    }  # fmt: skip
    level = round(1 - how["level"], 12)
    row |= _equivalence(
        tost_clustered_proportions(
            first, second, patients, margin, rng=how["rng"], draws=how["draws"], level=level
        )
    )
    if names.size < first.size:
        flipped = sign_flip(np.round(np.bincount(code, apart)))
        return row | _interval(resampled, "patient bootstrap") | {
            "p": flipped.p_exact, "p_mid": flipped.p_mid,
            "reason": flipped.reason or resampled.reason or None,
        }  # fmt: skip
    test = mcnemar(counts, how["level"])
    return row | _interval(test.difference, test.difference.method) | {
        "p": test.p_exact, "p_mid": test.p_mid, "reason": test.reason or None,
    }  # fmt: skip


def _interval(found: Estimate, method: str) -> dict[str, Any]:
    return {
        "difference": found.value, "difference_low": found.low, "difference_high": found.high,
        "method": method or None,
    }  # fmt: skip


def _ends(found: Estimate) -> dict[str, Any]:
    return {"resampled_low": found.low, "resampled_high": found.high}


def _equivalence(found: Equivalence) -> dict[str, Any]:
    return {
        "p_equivalent": found.p,
        "equivalence_low": found.difference.low, "equivalence_high": found.difference.high,
    }  # fmt: skip
