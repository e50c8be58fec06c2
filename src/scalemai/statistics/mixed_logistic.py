"""Logistic regression with crossed random effects: readers and cases, say.

The likelihood is approximated by Laplace's method at the mode of the random effects, and
maximised over coefficients and standard deviations together, as lme4's ``glmer`` does (Bates,
Mächler, Bolker and Walker, J Stat Softw 2015;67:1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalemai.statistics.estimate import Estimate, not_computed
from scalemai.statistics.separation import collinear_column, separated

__all__ = ["MixedLogistic", "RandomEffect", "fit_mixed_logistic"]

_Floats = NDArray[np.float64]

_LARGEST = 12.0
"""Coefficient (log odds) beyond which a fit counts as running to infinity."""


@dataclass(frozen=True, eq=False)
class RandomEffect:
    """One variance component.

    Parameters
    ----------
    name
        Of the component.
    units
        Array (n,): the unit (reader, case) of each row.
    slope
        Array (n,) that the unit's effect is multiplied by; ones for an intercept.
    """

    name: str
    units: ArrayLike
    slope: ArrayLike | None = None


@dataclass(frozen=True, slots=True)
class MixedLogistic:
    """A fitted model.

    Parameters
    ----------
    coefficients
        Name to log odds (ratio), with normal intervals; not computed if there was no fit.
    deviations
        Component to the standard deviation of its effects on the scale of log odds.
    deviance
        Minus twice the log-likelihood of binary outcomes; None if there was no fit.
    reason
        Why there was no fit.
    """

    coefficients: Mapping[str, Estimate]
    deviations: Mapping[str, float] = field(default_factory=dict)
    deviance: float | None = None
    reason: str = ""


def fit_mixed_logistic(
    outcome: ArrayLike,
    design: ArrayLike,
    names: Sequence[str],
    effects: Sequence[RandomEffect],
    *,
    level: float = 0.95,
) -> MixedLogistic:
    """Fit by maximum likelihood (Laplace).

    Parameters
    ----------
    outcome
        Array (n,) of zeros and ones.
    design
        Array (n, k), with its constant.
    names
        Of the columns.
    effects
        Random effects, independent of one another.
    level
        Confidence level.

    Returns
    -------
    MixedLogistic
        Without a fit, and with the reason, if outcomes are all alike or separated, columns are
        collinear, the optimisation did not converge, or the curvature at its end is not that of
        a maximum. A standard deviation of zero is a result, not a failure.

    Raises
    ------
    ValueError
        If lengths differ, outcomes are not 0 and 1, or there is no random effect.
    """
    y = np.asarray(outcome, dtype=np.float64)
    x = np.asarray(design, dtype=np.float64)
    if x.ndim != 2 or len(x) != len(y) or x.shape[1] != len(names):
        raise ValueError(f"{len(y)} outcomes, design {x.shape}, {len(names)} names")
    if not np.isin(y, (0, 1)).all():
        raise ValueError("outcomes are 0 or 1")
    if not effects:
        raise ValueError("a mixed model needs a random effect")
    reason = _unfit(y, x, names)
    if reason:
        return _failed(names, len(y), level, reason)
    from scipy.optimize import minimize
    from scipy.special import ndtri

    likelihood = _Laplace(y, x, effects)
    k = x.shape[1]
    start = np.concatenate([_plain_fit(y, x), np.full(len(effects), 0.5)])
    bounds = [(-2 * _LARGEST, 2 * _LARGEST)] * k + [(0.0, 10.0)] * len(effects)
    found = minimize(
        likelihood, start, jac=lambda at: _gradient(likelihood, at), method="L-BFGS-B",
        bounds=bounds, options={"maxiter": 300, "ftol": 1e-12, "gtol": 1e-4},
    )  # fmt: skip
    beta, deviation = found.x[:k], found.x[k:]
    if np.abs(beta).max() > _LARGEST or (deviation.size and deviation.max() > 9.99):
        reason = "the mixed model did not converge (a coefficient runs to infinity)"
        return _failed(names, len(y), level, reason)
    free = np.concatenate([np.ones(k, bool), deviation > 1e-3])
    curvature = _hessian(likelihood, found.x, free)
    slope = _gradient(likelihood, found.x)[free]
    if np.linalg.eigvalsh(curvature).min() <= 0:
        reason = "the mixed model did not converge (no maximum of the likelihood)"
        return _failed(names, len(y), level, reason)
    covariance = 2 * np.linalg.inv(curvature)
    # Distance to the maximum that the slope predicts, in standard errors.
    if float(np.abs(covariance / 2 @ slope / np.sqrt(np.diag(covariance))).max()) > 0.02:
        reason = "the mixed model did not converge (the likelihood still rises)"
        return _failed(names, len(y), level, reason)
    reach = float(ndtri(0.5 + level / 2)) * np.sqrt(np.diag(covariance)[:k])
    coefficients = {
        name: Estimate(
            float(b), float(b - r), float(b + r), level, len(y), "mixed logistic, Laplace"
        )
        for name, b, r in zip(names, beta, reach, strict=True)
    }
    deviations = {one.name: float(sd) for one, sd in zip(effects, deviation, strict=True)}
    return MixedLogistic(coefficients, deviations, float(found.fun))


class _Laplace:
    """Minus twice the approximate log-likelihood, as a function of coefficients and deviations.

    Within one effect no row has two units, so its block of the information is diagonal. The
    largest effect (cases) is eliminated by that, and what is left is as small as the readers.
    """

    def __init__(self, y: _Floats, x: _Floats, effects: Sequence[RandomEffect]) -> None:
        from scipy.sparse import csr_array, hstack

        self._y, self._x = y, x
        self._slopes = [
            np.ones(len(y)) if one.slope is None else np.asarray(one.slope, np.float64)
            for one in effects
        ]
        self._codes = [np.unique(np.asarray(one.units), return_inverse=True)[1] for one in effects]
        sizes = [int(codes.max()) + 1 for codes in self._codes]
        self._order = sorted(range(len(effects)), key=lambda one: sizes[one])
        self._sizes = [sizes[one] for one in self._order]
        self._few = sum(self._sizes[:-1])
        rows = np.arange(len(y))
        self._z = hstack(
            [
                csr_array((self._slopes[k], (rows, self._codes[k])), shape=(len(y), sizes[k]))
                for k in self._order
            ],
            format="csr",
        )
        self._mode = np.zeros(sum(sizes))

    def __call__(self, parameters: _Floats) -> float:
        from scipy.special import expit

        k = self._x.shape[1]
        scale = np.repeat(parameters[k:][self._order], self._sizes)
        fixed, u, half = self._x @ parameters[:k], self._mode, 0.0
        penalised = self._penalised(fixed, scale, u)
        for _ in range(100):
            p = expit(fixed + self._z @ (scale * u))
            score = scale * (self._z.T @ (self._y - p)) - u
            step, half = self._newton(p * (1 - p), scale, score)
            shrink = 1.0
            while (now := self._penalised(fixed, scale, u + shrink * step)) > penalised + 1e-12:
                shrink /= 2
                if shrink < 1e-6:
                    break
            u = u + shrink * step
            penalised = min(now, penalised)
            if np.abs(step).max() < 1e-8:
                break
        self._mode = u
        return penalised + 2 * half

    def _newton(self, weight: _Floats, scale: _Floats, score: _Floats) -> tuple[_Floats, float]:
        """Solution of the information for a score, and half its log-determinant."""
        few = self._few
        weighted = self._z * weight[:, None]
        diagonal = 1 + scale[few:] ** 2 * (weighted.multiply(self._z)).sum(axis=0)[few:]
        rows = (weighted[:, :few].T @ self._z).toarray() * scale[:few, None] * scale
        beside = rows[:, few:] / diagonal
        schur = rows[:, :few] + np.eye(few) - beside @ rows[:, few:].T
        first = np.linalg.solve(schur, score[:few] - beside @ score[few:])
        second = score[few:] / diagonal - beside.T @ first
        half = float(np.log(diagonal).sum() + np.linalg.slogdet(schur)[1]) / 2
        return np.concatenate([first, second]), half

    def _penalised(self, fixed: _Floats, scale: _Floats, u: _Floats) -> float:
        linear = fixed + self._z @ (scale * u)
        return float(2 * (np.logaddexp(0, linear) - self._y * linear).sum() + u @ u)


def _plain_fit(y: _Floats, x: _Floats) -> _Floats:
    """Coefficients without random effects, by Newton's method."""
    from scipy.special import expit

    beta = np.zeros(x.shape[1])
    for _ in range(50):
        p = expit(x @ beta)
        step = np.linalg.solve(x.T @ (x * (p * (1 - p))[:, None]), x.T @ (y - p))
        beta = np.clip(beta + step, -_LARGEST, _LARGEST)
        if np.abs(step).max() < 1e-8:
            break
    return beta


def _gradient(function: _Laplace, at: _Floats) -> _Floats:
    """Central differences; the likelihood is even in every deviation, so 0 needs no other."""
    step = 1e-4 * np.eye(at.size)
    return np.array([(function(at + e) - function(at - e)) / 2e-4 for e in step])


def _hessian(function: _Laplace, at: _Floats, free: NDArray[np.bool_]) -> _Floats:
    """Second derivatives over the parameters that are not at a bound."""
    step = 1e-3
    unit = np.eye(at.size)[free] * step
    middle, m = function(at), len(unit)
    hessian = np.empty((m, m))
    for i in range(m):
        for j in range(i + 1):
            if i == j:
                value = function(at + unit[i]) - 2 * middle + function(at - unit[i])
                hessian[i, i] = value / step**2
                continue
            value = (
                function(at + unit[i] + unit[j]) - function(at + unit[i] - unit[j])
                - function(at - unit[i] + unit[j]) + function(at - unit[i] - unit[j])
            )  # fmt: skip
            hessian[i, j] = hessian[j, i] = value / (4 * step**2)
    return hessian


def _unfit(y: _Floats, x: _Floats, names: Sequence[str]) -> str:
    if not len(y) or np.ptp(y) == 0:
        return "all outcomes are alike"
    column = collinear_column(x, names)
    if column is not None:
        return f"{column} is determined by the other variables (collinear)"
    if separated(y > 0, x):
        return "the variables predict some outcomes without error (separation)"
    return ""


def _failed(names: Sequence[str], n: int, level: float, reason: str) -> MixedLogistic:
    return MixedLogistic(
        {name: not_computed(reason, n=n, level=level) for name in names}, reason=reason
    )
