"""How well a score separates positives from negatives: ROC, AUC, average precision.

A higher score means more suspicion. Ties count half in the AUC and share one threshold in the
curves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalemai.statistics.bootstrap import cluster_weights_bootstrap
from scalemai.statistics.delong import TOO_FEW, auc_interval, delong, normal_quantile
from scalemai.statistics.estimate import Estimate, not_computed

__all__ = [
    "AucComparison",
    "RocCurve",
    "auc_bootstrap",
    "auc_delong",
    "auc_difference_bootstrap",
    "average_precision",
    "average_precision_bootstrap",
    "compare_auc_delong",
    "roc_curve",
]

_Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RocCurve:
    """Counts at every threshold, from the strictest to the laxest.

    Parameters
    ----------
    threshold
        Array (t,), descending from infinity: a row is called positive if its score is at least
        this. One entry per distinct score, none left out.
    true_positives, false_positives
        Arrays (t,) of counts.
    positives, negatives
        Numbers of rows.
    """

    threshold: _Floats
    true_positives: NDArray[np.intp]
    false_positives: NDArray[np.intp]
    positives: int
    negatives: int

    @property
    def sensitivity(self) -> _Floats:
        """True positive rate (t,); NaN without positives."""
        return _over(self.true_positives, self.positives)

    @property
    def false_positive_rate(self) -> _Floats:
        """One minus specificity (t,); NaN without negatives."""
        return _over(self.false_positives, self.negatives)

    @property
    def precision(self) -> _Floats:
        """Positive predictive value (t,); NaN where nothing is called positive."""
        called = (self.true_positives + self.false_positives).astype(np.float64)
        called[called == 0] = np.nan
        ratio: _Floats = self.true_positives / called
        return ratio


@dataclass(frozen=True, slots=True)
class AucComparison:
    """Two scores on the same patients.

    Parameters
    ----------
    first, second
        The AUC of each score with DeLong's interval.
    difference
        First minus second, with the interval of the paired DeLong test.
    z, p
        Statistic and two-sided p-value of the hypothesis that both AUC are equal; None if there
        is no variance to test with.
    """

    first: Estimate
    second: Estimate
    difference: Estimate
    z: float | None
    p: float | None


def roc_curve(positive: ArrayLike, score: ArrayLike) -> RocCurve:
    """Counts of true and false positives at every distinct score.

    Parameters
    ----------
    positive
        Array (n,) of booleans: what the reference standard says.
    score
        Array (n,) of numbers; infinite ones are allowed, NaN are not.

    Raises
    ------
    ValueError
        If the lengths differ or a score is NaN.
    """
    truth, value = _checked(positive, score)
    order = np.argsort(-value, kind="stable")
    value, truth = value[order], truth[order]
    last = np.flatnonzero(np.append(value[1:] != value[:-1], [True] * (value.size > 0)))
    hits = np.cumsum(truth, dtype=np.intp)[last]
    false = np.cumsum(~truth, dtype=np.intp)[last]
    zero = np.zeros(1, np.intp)
    # A score of +inf needs no stricter threshold than its own, but the curve starts at (0, 0).
    return RocCurve(
        np.concatenate([[np.inf], value[last]]),
        np.concatenate([zero, hits]),
        np.concatenate([zero, false]),
        int(truth.sum()),
        int((~truth).sum()),
    )


def auc_delong(positive: ArrayLike, score: ArrayLike, level: float = 0.95) -> Estimate:
    """Area under the ROC curve with DeLong's interval on the logit scale.

    Parameters
    ----------
    positive, score
        As of :func:`roc_curve`; rows must be independent (one a patient).
    level
        Confidence level.

    Returns
    -------
    Estimate
        The logit transformation keeps the interval within [0, 1]. At an AUC of exactly 0 or 1
        DeLong's variance is zero; then the score interval that inverts the Hanley-McNeil
        variance is given (Newcombe, Stat Med 2006;25:559, method 5). Not computed without
        positives or negatives; no interval with a single one of either, or if all scores are
        equal.

    Raises
    ------
    ValueError
        As of :func:`roc_curve`, or if the level is not between 0 and 1.
    """
    _require_level(level)
    truth, value = _checked(positive, score)
    m, n = int(truth.sum()), int((~truth).sum())
    if m == 0 or n == 0:
        return not_computed(f"there are no {'negatives' if m else 'positives'}", n=m + n)
    area, covariance = delong(truth, value[None])
    return auc_interval(float(area[0]), float(covariance[0, 0]), m, n, level)


def compare_auc_delong(
    positive: ArrayLike, a: ArrayLike, b: ArrayLike, level: float = 0.95
) -> AucComparison:
    """Paired DeLong test of two scores on the same rows.

    Parameters
    ----------
    positive
        Array (n,) of booleans.
    a, b
        Arrays (n,) of the two scores, in the same order of rows.
    level
        Confidence level.

    Raises
    ------
    ValueError
        As of :func:`auc_delong`.
    """
    first, second = auc_delong(positive, a, level), auc_delong(positive, b, level)
    if first.value is None or second.value is None:
        gone = not_computed(first.reason or second.reason, n=first.n, level=level)
        return AucComparison(first, second, gone, None, None)
    truth, values = _checked(positive, a)
    area, covariance = delong(truth, np.stack([values, _checked(positive, b)[1]]))
    difference = float(area[0] - area[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    if min(truth.sum(), (~truth).sum()) < 2:
        gone = Estimate(difference, level=level, n=first.n, reason=TOO_FEW)
        return AucComparison(first, second, gone, None, None)
    # Equal rankings leave rounding, not variance.
    if variance <= 1e-15:
        reason = "both scores place every patient alike, so there is no variance"
        gone = Estimate(difference, level=level, n=first.n, reason=reason)
        return AucComparison(first, second, gone, None, 1.0 if abs(difference) < 1e-9 else None)
    from scipy.special import ndtr

    error = math.sqrt(variance)
    reach = normal_quantile(level) * error
    interval = Estimate(
        difference,
        max(difference - reach, -1.0),
        min(difference + reach, 1.0),
        level,
        first.n,
        "delong, paired",
    )
    z = difference / error
    return AucComparison(first, second, interval, z, float(2 * ndtr(-abs(z))))


def auc_bootstrap(
    positive: ArrayLike,
    score: ArrayLike,
    clusters: ArrayLike,
    *,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """Area under the ROC curve with an interval from resampled patients.

    Parameters
    ----------
    positive, score
        As of :func:`roc_curve`; rows of one patient may depend on each other.
    clusters, rng, draws, level
        As of :func:`scalemai.statistics.bootstrap.cluster_bootstrap`.

    Returns
    -------
    Estimate
        ``n`` counts clusters. At an AUC of 0 or 1 resampling shows no spread; then the interval
        is that of :func:`auc_delong` for as many positives and negatives as there are clusters
        with them.

    Raises
    ------
    ValueError
        As of :func:`roc_curve`.
    """
    ranked = _Ranked.of(positive, score)
    estimate = cluster_weights_bootstrap(ranked.auc, clusters, rng=rng, draws=draws, level=level)
    if estimate.value not in (0.0, 1.0) or estimate.low is not None:
        return estimate
    truth, patient = np.asarray(positive, dtype=np.bool_), np.asarray(clusters)
    m, n = np.unique(patient[truth]).size, np.unique(patient[~truth]).size
    separated = auc_interval(estimate.value, 0.0, m, n, level)
    return replace(separated, n=estimate.n)


def auc_difference_bootstrap(
    positive: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    clusters: ArrayLike,
    *,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """AUC of ``a`` minus AUC of ``b`` on the same rows, resampling patients.

    Parameters, results and errors as of :func:`auc_bootstrap`.
    """
    first, second = _Ranked.of(positive, a), _Ranked.of(positive, b)
    return cluster_weights_bootstrap(
        lambda weight: first.auc(weight) - second.auc(weight),
        clusters,
        rng=rng,
        draws=draws,
        level=level,
    )


def average_precision(positive: ArrayLike, score: ArrayLike) -> float:
    """Sum of precision times gain in recall over descending thresholds, no interpolation.

    Parameters
    ----------
    positive, score
        As of :func:`roc_curve`.

    Returns
    -------
    float
        Between 0 and 1; NaN if there are no positives.

    Raises
    ------
    ValueError
        As of :func:`roc_curve`.
    """
    ranked = _Ranked.of(positive, score)
    if not ranked.order.size:
        return math.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(ranked.average_precision(np.ones((1, ranked.order.size)))[0])


def average_precision_bootstrap(
    positive: ArrayLike,
    score: ArrayLike,
    clusters: ArrayLike,
    *,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """:func:`average_precision` with an interval from resampled patients.

    Parameters, results and errors as of :func:`auc_bootstrap`.
    """
    ranked = _Ranked.of(positive, score)
    return cluster_weights_bootstrap(
        ranked.average_precision, clusters, rng=rng, draws=draws, level=level
    )


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Rows in ascending order of score, cut where the score changes."""

    order: NDArray[np.intp]
    starts: NDArray[np.intp]
    truth: _Floats

    @staticmethod
    def of(positive: ArrayLike, score: ArrayLike) -> _Ranked:
        truth, value = _checked(positive, score)
        order = np.argsort(value, kind="stable")
        value = value[order]
        starts = np.flatnonzero(np.append(True, value[1:] != value[:-1]))
        return _Ranked(order, starts, truth[order].astype(np.float64))

    def _by_score(self, weight: _Floats) -> tuple[_Floats, _Floats]:
        """Weights (draws, distinct scores) of positives and of negatives."""
        weight = weight[:, self.order]
        positive = np.add.reduceat(weight * self.truth, self.starts, axis=1)
        return positive, np.add.reduceat(weight, self.starts, axis=1) - positive

    def auc(self, weight: _Floats) -> _Floats:
        positive, negative = self._by_score(weight)
        below = np.cumsum(negative, axis=1)
        wins: _Floats = (positive * (below - negative / 2)).sum(axis=1)
        area: _Floats = wins / (positive.sum(axis=1) * below[:, -1])
        return area

    def average_precision(self, weight: _Floats) -> _Floats:
        positive, negative = self._by_score(weight)
        hits = np.cumsum(positive[:, ::-1], axis=1)
        called = hits + np.cumsum(negative[:, ::-1], axis=1)
        precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0)
        gains: _Floats = (precision * positive[:, ::-1]).sum(axis=1)
        return gains / hits[:, -1]


def _checked(positive: ArrayLike, score: ArrayLike) -> tuple[NDArray[np.bool_], _Floats]:
    truth = np.asarray(positive, dtype=np.bool_)
    value = np.asarray(score, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != value.shape:
        raise ValueError(f"{truth.shape} reference values for {value.shape} scores")
    if np.isnan(value).any():
        raise ValueError(f"{int(np.isnan(value).sum())} of {value.size} scores are NaN")
    return truth, value


def _require_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1, got {level}")


def _over(count: NDArray[np.intp], total: int) -> _Floats:
    rate: _Floats = count / (total or np.nan)
    return rate
