"""Logistic regression of rows that share patients: differences of probabilities, odds ratios."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalemai.statistics.estimate import Estimate, not_computed

__all__ = ["logistic_contrasts"]

_Floats = NDArray[np.float64]


def logistic_contrasts(
    y: _Floats, design: _Floats, first: int, patient: NDArray[Any], *, level: float = 0.95
) -> tuple[tuple[Estimate, float | None, Estimate | None], ...]:
    """Compare groups, whose indicators are the columns from ``first`` on, with the reference.

    Parameters
    ----------
    y
        Array (n,) of zeros and ones, not separated by the design.
    design
        Array (n, k) of full column rank.
    first
        First column that marks a group.
    patient
        Array (n,) of clusters.
    level
        Confidence level.

    Returns
    -------
    tuple
        For each group: the difference of probabilities, with every row given the group in turn
        and the reference (g-computation), its limits found on the scale of Fisher's z; the
        p-value of the coefficient; and the odds ratio. Not computed if the fit did not converge.
    """
    from scipy.special import expit, stdtr, stdtrit
    from statsmodels.genmod.cov_struct import Independence
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_estimating_equations import GEE

    codes = np.unique(patient, return_inverse=True)[1]
    order = np.argsort(codes, kind="stable")
    n, k = int(codes.max()) + 1, int(design.shape[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence is asked for below
        fit = GEE(
            y[order], design[order], groups=codes[order], family=Binomial(),
            cov_struct=Independence(),
        ).fit(maxiter=200, cov_type="bias_reduced")  # fmt: skip
    beta = np.asarray(fit.params, dtype=np.float64)
    covariance = np.asarray(fit.cov_params(), dtype=np.float64)
    if not fit.converged or not np.isfinite(covariance).all():
        gone = not_computed("the logistic model did not converge", n=n, level=level)
        none: tuple[Estimate, None, Estimate] = (gone, None, gone)
        return (none,) * (k - first)
    quantile = float(stdtrit(n - k, 0.5 + level / 2))
    name = "logistic, GEE, bias-reduced errors"
    found: list[tuple[Estimate, float | None, Estimate | None]] = []
    base = design.copy()
    base[:, first:] = 0.0
    lower = expit(base @ beta)
    for column in range(first, k):
        moved = base.copy()
        moved[:, column] = 1.0
        upper = expit(moved @ beta)
        value = float((upper - lower).mean())
        slope = (
            (upper * (1 - upper))[:, None] * moved - (lower * (1 - lower))[:, None] * base
        ).mean(0)
        error = math.sqrt(max(float(slope @ covariance @ slope), 0.0))
        middle, reach = math.atanh(value), quantile * error / (1 - value**2)
        difference = Estimate(
            value, math.tanh(middle - reach), math.tanh(middle + reach), level, n,
            f"{name}, standardised",
        )  # fmt: skip
        log_error = math.sqrt(float(covariance[column, column]))
        centre, width = float(beta[column]), quantile * log_error
        low, high = math.exp(centre - width), math.exp(centre + width)
        ratio = Estimate(math.exp(centre), low, high, level, n, name)
        p = 2 * float(stdtr(n - k, -abs(float(beta[column])) / log_error))
        found.append((difference, p, ratio))
    return tuple(found)
