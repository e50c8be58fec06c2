"""Two AUCs where patients have several scans: difference, interval, test, equivalence.

Obuchowski (Biometrics 1997;53:567) extends DeLong's variance to rows in clusters: structural
components are summed by cluster, and clusters that have positives and negatives add the covariance
of both. With one row a cluster it is DeLong's. The difference is held against Student's t, with the
degrees of freedom that few patients leave to the variance (Satterthwaite, Biometrics Bull
1946;2:110), not against the normal distribution, which rejects too often below some 20 positive
patients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalemai.statistics.delong import auc_interval, components
from scalemai.statistics.equivalence import Equivalence
from scalemai.statistics.estimate import Estimate, not_computed
from scalemai.statistics.roc import AucComparison

__all__ = ["auc_clustered", "compare_auc_clustered", "tost_auc"]

_Floats = NDArray[np.float64]
_NO_VARIANCE = "both scores place every patient alike, so there is no variance"


def auc_clustered(
    positive: ArrayLike, score: ArrayLike, clusters: ArrayLike, level: float = 0.95
) -> Estimate:
    """Area under the ROC curve of rows of which some are of the same patient.

    Parameters
    ----------
    positive, score, clusters, level
        As of :func:`compare_auc_clustered`.

    Returns
    -------
    Estimate
        Obuchowski's variance on the logit scale, which needs no draws and fewer patients than
        resampling; with one row a patient, :func:`scalemai.statistics.roc.auc_delong`. At an area
        of 0 or 1 the interval is that of one row a patient. ``n`` counts patients.

    Raises
    ------
    ValueError
        As of :func:`compare_auc_clustered`.
    """
    found = _Difference.of(positive, score, score, clusters, level).first
    return replace(found, method=found.method.replace("delong", "obuchowski"))


def compare_auc_clustered(
    positive: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    clusters: ArrayLike,
    level: float = 0.95,
) -> AucComparison:
    """Test two scores on the same rows, of which some are of the same patient.

    Parameters
    ----------
    positive
        Array (rows,) of booleans.
    a, b
        Arrays (rows,) of the two scores, without NaN.
    clusters
        Array (rows,): the patient of each row.
    level
        Confidence level.

    Returns
    -------
    AucComparison
        ``n`` counts patients; ``z`` is DeLong's where each patient has one row. Test and interval
        are of one variance: the interval excludes zero where ``p < 1 - level``. Not computed
        without positives or negatives; no test with fewer than two patients of either.

    Raises
    ------
    ValueError
        If lengths differ, a score is NaN, or the level is not between 0 and 1.
    """
    found = _Difference.of(positive, a, b, clusters, level)
    if found.error is None:
        return AucComparison(found.first, found.second, found.without(level), None, found.p_alike)
    z = found.value / found.error
    interval = found.interval(level)
    return AucComparison(found.first, found.second, interval, z, 2 * found.beyond(abs(found.value)))


def tost_auc(
    positive: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    clusters: ArrayLike,
    margin: float,
    *,
    level: float = 0.05,
) -> Equivalence:
    """Are two AUCs on the same rows equal within ``margin``?

    Parameters
    ----------
    positive, a, b, clusters
        As of :func:`compare_auc_clustered`; give row numbers if each patient has one row.
    margin
        Largest difference of areas that does not matter.
    level
        Level of each one-sided test.

    Returns
    -------
    Equivalence
        Two one-sided tests with the variance of :func:`compare_auc_clustered`. Not computed where
        there is no variance to test with: two areas of 1 on ten patients show little.

    Raises
    ------
    ValueError
        If margin or level is impossible, or as of :func:`compare_auc_clustered`.
    """
    if not 0 < margin < math.inf or not 0 < level < 0.5:
        raise ValueError(f"margin {margin} and level {level}: impossible")
    confidence = 1 - 2 * level
    found = _Difference.of(positive, a, b, clusters, confidence)
    if found.error is None:
        gone = found.without(confidence)
        return Equivalence(None, None, None, None, gone, margin, level)
    low, high = found.beyond(found.value + margin), found.beyond(margin - found.value)
    apart = 2 * found.beyond(abs(found.value))
    interval = found.interval(confidence)
    return Equivalence(max(low, high), low, high, apart, interval, margin, level)


@dataclass(frozen=True, slots=True)
class _Difference:
    """A difference of areas, its standard error and degrees of freedom, or why there is none."""

    first: Estimate
    second: Estimate
    value: float
    error: float | None
    degrees: float
    units: int
    reason: str = ""
    p_alike: float | None = None

    @staticmethod
    def of(
        positive: ArrayLike, a: ArrayLike, b: ArrayLike, clusters: ArrayLike, level: float
    ) -> _Difference:
        truth, scores, code = _checked(positive, a, b, clusters, level)
        units = int(code.max()) + 1 if code.size else 0
        if truth.all() or not truth.any():
            reason = f"there are no {'negatives' if truth.any() else 'positives'}"
            none = not_computed(reason, n=units, level=level)
            return _Difference(none, none, math.nan, None, 0, units, reason)
        sums = _Sums.of(truth, scores, code)
        value = float(sums.area[0] - sums.area[1])
        first, second = (
            replace(
                auc_interval(
                    float(sums.area[k]), sums.variance(one)[0], sums.m_units, sums.n_units, level
                ),
                n=units,
            )
            for k, one in enumerate(np.eye(2))
        )
        if min(sums.m_units, sums.n_units) < 2:
            reason = "fewer than two patients have positives, or negatives"
            return _Difference(first, second, value, None, 0, units, reason)
        variance, degrees = sums.variance(np.array([1.0, -1.0]))
        # Equal rankings leave rounding, not variance.
        if variance <= 1e-15:
            alike = 1.0 if abs(value) < 1e-9 else None
            return _Difference(first, second, value, None, 0, units, _NO_VARIANCE, alike)
        return _Difference(first, second, value, math.sqrt(variance), degrees, units)

    def without(self, level: float) -> Estimate:
        """The difference where there is no test."""
        if math.isnan(self.value):
            return not_computed(self.reason, n=self.units, level=level)
        return Estimate(self.value, level=level, n=self.units, reason=self.reason)

    def interval(self, level: float) -> Estimate:
        from scipy.special import stdtrit

        assert self.error is not None, "the caller has seen that there is one"
        reach = float(stdtrit(self.degrees, 0.5 + level / 2)) * self.error
        low, high = max(self.value - reach, -1.0), min(self.value + reach, 1.0)
        return Estimate(self.value, low, high, level, self.units, "obuchowski, paired")

    def beyond(self, distance: float) -> float:
        """Probability of more than so much by chance, on one side."""
        from scipy.special import stdtr

        assert self.error is not None, "the caller has seen that there is one"
        return float(stdtr(self.degrees, -distance / self.error))


@dataclass(frozen=True, eq=False, slots=True)
class _Sums:
    """Deviations of the structural components from the area, summed by patient (s, patients)."""

    area: _Floats
    positives: _Floats
    negatives: _Floats
    m: int
    n: int
    m_units: int
    n_units: int

    @staticmethod
    def of(truth: NDArray[np.bool_], scores: _Floats, code: NDArray[np.intp]) -> _Sums:
        above, below = components(truth, scores)
        area = above.mean(axis=1)
        units = int(code.max()) + 1

        def by_patient(rows: _Floats, of: NDArray[np.intp]) -> _Floats:
            return np.stack([np.bincount(of, one, minlength=units) for one in rows - area[:, None]])

        return _Sums(
            area,
            by_patient(above, code[truth]),
            by_patient(below, code[~truth]),
            above.shape[1],
            below.shape[1],
            np.unique(code[truth]).size,
            np.unique(code[~truth]).size,
        )

    def variance(self, contrast: _Floats) -> tuple[float, float]:
        """Variance of a linear combination of the areas, and its degrees of freedom."""
        if min(self.m_units, self.n_units) < 2:
            return 0.0, 0.0
        x, y = contrast @ self.positives, contrast @ self.negatives
        units = x.size
        of_positives = float(x @ x) * self.m_units / (self.m_units - 1) / self.m**2
        of_negatives = float(y @ y) * self.n_units / (self.n_units - 1) / self.n**2
        of_both = 2 * float(x @ y) * units / (units - 1) / (self.m * self.n)
        total = of_positives + of_negatives + of_both
        noise = of_positives**2 / (self.m_units - 1) + of_negatives**2 / (self.n_units - 1)
        fewest = min(self.m_units, self.n_units) - 1
        degrees = min(max(total**2 / noise, fewest), units - 1) if noise else float(fewest)
        return total, degrees


def _checked(
    positive: ArrayLike, a: ArrayLike, b: ArrayLike, clusters: ArrayLike, level: float
) -> tuple[NDArray[np.bool_], _Floats, NDArray[np.intp]]:
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1, got {level}")
    truth, patients = np.asarray(positive, np.bool_), np.asarray(clusters)
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if truth.ndim != 1 or not truth.shape == first.shape == second.shape == patients.shape:
        shapes = f"{truth.shape}, {first.shape}, {second.shape}, {patients.shape}"
        raise ValueError(f"rows do not agree: {shapes}")
    scores = np.stack([first, second])
    if np.isnan(scores).any():
        raise ValueError("a score is NaN")
    return truth, scores, np.unique(patients, return_inverse=True)[1].astype(np.intp)
