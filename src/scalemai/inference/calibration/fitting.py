"""Maps fitted to scores of which it is known what they were of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from scalemai.inference.calibration.maps import CalibrationMap, Method, log_odds

__all__ = ["fit_map"]

_SLOPES = (1e-3, 1e3)


def fit_map(
    method: Method, score: NDArray[np.float64], positive: NDArray[np.bool_]
) -> CalibrationMap:
    """Fit a map by maximum likelihood.

    Parameters
    ----------
    method
        Which map.
    score
        Array (n,) of scores in [0, 1].
    positive
        Array (n,): whether each is of a positive; both kinds must be there.

    Returns
    -------
    CalibrationMap
        The target of a positive is ``(P + 1) / (P + 2)`` in place of 1, that of a negative
        ``1 / (N + 2)`` in place of 0, as in Platt (1999), so that scores which separate both
        kinds do not give certainty. Isotonic probabilities are held within the same bounds.
    """
    if method == "none":
        return CalibrationMap("none")
    least = 1.0 / (np.count_nonzero(~positive) + 2.0)
    most = 1.0 - 1.0 / (np.count_nonzero(positive) + 2.0)
    if method == "isotonic":
        return _isotonic(score, positive, float(least), float(most))
    return _line(method, log_odds(score), np.where(positive, most, least))


def _line(method: Method, odds: NDArray[np.float64], target: NDArray[np.float64]) -> CalibrationMap:
    with_intercept = method == "platt"

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        # The slope is fitted as its logarithm, so that it stays above 0.
        slope = np.exp(parameters[0])
        seen = slope * odds + (parameters[1] if with_intercept else 0.0)
        value = float(np.mean(np.logaddexp(0.0, seen) - target * seen))
        off = expit(seen) - target
        gradient = [float(np.mean(off * odds) * slope)]
        return value, np.array([*gradient, float(np.mean(off))] if with_intercept else gradient)

    low, high = np.log(_SLOPES)
    bounds = [(low, high), (None, None)][: 1 + with_intercept]
    found = minimize(loss, np.zeros(len(bounds)), jac=True, method="L-BFGS-B", bounds=bounds)
    intercept = float(found.x[1]) if with_intercept else 0.0
    return CalibrationMap(method, float(np.exp(found.x[0])), intercept)


def _isotonic(
    score: NDArray[np.float64], positive: NDArray[np.bool_], least: float, most: float
) -> CalibrationMap:
    steps = IsotonicRegression(y_min=least, y_max=max(least, most), out_of_bounds="clip")
    steps.fit(score, positive.astype(np.float64))
    return CalibrationMap(
        "isotonic",
        scores=tuple(float(x) for x in steps.X_thresholds_),
        probabilities=tuple(float(y) for y in np.maximum.accumulate(steps.y_thresholds_)),
    )
