"""DeLong's covariance of AUCs, and the interval of one.

DeLong's variance (Biometrics 1988;44:837) is computed from midranks (Sun and Xu, IEEE Signal
Process Lett 2014;21:1389), in n log n instead of positives times negatives.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from scalemai.statistics.estimate import Estimate

__all__ = ["TOO_FEW", "auc_interval", "components", "delong", "normal_quantile"]

_Floats = NDArray[np.float64]

TOO_FEW = "DeLong's variance needs two positives and two negatives"


def delong(truth: NDArray[np.bool_], scores: _Floats) -> tuple[_Floats, _Floats]:
    """AUC of several scores on the same rows, and their covariance.

    Parameters
    ----------
    truth
        Array (rows,) of booleans, of both values.
    scores
        Array (s, rows), without NaN.

    Returns
    -------
    tuple
        AUC (s,) and covariance (s, s), which is zero below two positives or two negatives.
    """
    m, n = int(truth.sum()), int((~truth).sum())
    above, below = components(truth, scores)
    covariance = np.zeros((len(scores), len(scores)))
    if min(m, n) > 1:
        covariance = np.atleast_2d(np.cov(above)) / m + np.atleast_2d(np.cov(below)) / n
    return above.mean(axis=1), covariance


def components(truth: NDArray[np.bool_], scores: _Floats) -> tuple[_Floats, _Floats]:
    """Share of negatives below each positive, and of positives above each negative; ties half.

    Parameters
    ----------
    truth, scores
        As of :func:`delong`.

    Returns
    -------
    tuple
        Arrays (s, positives) and (s, negatives); the mean of each row is the AUC.
    """
    from scipy.stats import rankdata

    m, n = int(truth.sum()), int((~truth).sum())
    together = rankdata(scores, axis=1)
    above = (together[:, truth] - rankdata(scores[:, truth], axis=1)) / n
    below = 1 - (together[:, ~truth] - rankdata(scores[:, ~truth], axis=1)) / m
    return above, below


def auc_interval(area: float, variance: float, m: int, n: int, level: float) -> Estimate:
    """An AUC with its interval; see :func:`scalemai.statistics.roc.auc_delong`.

    Parameters
    ----------
    area, variance
        The AUC and DeLong's variance of it.
    m, n
        Numbers of positives and of negatives, both at least one.
    level
        Confidence level.
    """
    if min(m, n) < 2:
        return Estimate(area, level=level, n=m + n, reason=TOO_FEW)
    if area in (0.0, 1.0):
        end = _inverted_hanley_mcneil(m, n, normal_quantile(level))
        low, high = (end, 1.0) if area == 1.0 else (0.0, 1 - end)
        return Estimate(area, low, high, level, m + n, "newcombe score interval")
    if variance <= 0:
        return Estimate(area, level=level, n=m + n, reason="all scores are equal")
    centre = math.log(area / (1 - area))
    reach = normal_quantile(level) * math.sqrt(variance) / (area * (1 - area))
    low, high = (1 / (1 + math.exp(-(centre + side * reach))) for side in (-1, 1))
    return Estimate(area, low, high, level, m + n, "delong, logit")


def _inverted_hanley_mcneil(m: int, n: int, z: float) -> float:
    """The AUC below 1 from which an observed 1 is just ``z`` standard errors away."""
    from scipy.optimize import brentq

    balanced = (m + n) / 2 - 1

    def excess(theta: float) -> float:
        # (1 - theta)^2 = z^2 V(theta), divided by 1 - theta, which is the trivial root.
        spread = 1 + balanced * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return (1 - theta) - z * z * theta * spread / (m * n)

    return float(brentq(excess, 0.0, 1.0))


def normal_quantile(level: float) -> float:
    """How many standard errors a two-sided normal interval of this level reaches."""
    from scipy.special import ndtri

    return float(ndtri(0.5 + level / 2))
