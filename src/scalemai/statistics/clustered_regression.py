"""Linear regression of rows that share patients, with errors that few patients do not flatter.

The usual cluster-robust errors are too small with few clusters, or with one group of few. Here
they have the bias-reduced correction CR2 and a t distribution with Satterthwaite degrees of
freedom for each contrast (Bell and McCaffrey, Surv Methodol 2002;28:169; Pustejovsky and Tipton,
J Bus Econ Stat 2018;36:672). With one row a cluster CR2 is HC2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalemai.statistics.estimate import Estimate

__all__ = ["ClusteredFit", "fit_clustered"]

_Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ClusteredFit:
    """A linear model by least squares.

    Parameters
    ----------
    coefficients
        Array (k,).
    covariance
        Array (k, k), CR2.
    bread
        Array (k, k), inverse of the normal matrix.
    scores
        Of each cluster the design (rows, k) and the weights (k, rows) of its residuals in the
        coefficients.
    """

    coefficients: _Floats
    covariance: _Floats
    bread: _Floats
    scores: tuple[tuple[_Floats, _Floats], ...]

    def contrast(self, weights: ArrayLike, *, level: float = 0.95) -> tuple[Estimate, float]:
        """A sum of coefficients with its interval, and the p-value that it is zero.

        Parameters
        ----------
        weights
            Array (k,).
        level
            Confidence level.
        """
        from scipy.special import stdtr, stdtrit

        c = np.asarray(weights, dtype=np.float64)
        value = float(c @ self.coefficients)
        error = math.sqrt(max(float(c @ self.covariance @ c), 0.0))
        n, degrees = len(self.scores), self._degrees(c)
        if error == 0:
            return Estimate(value, value, value, level, n, "no residual variance"), float(
                value == 0
            )
        reach = float(stdtrit(degrees, 0.5 + level / 2)) * error
        name = f"least squares, CR2, {degrees:.1f} degrees of freedom"
        p = 2 * float(stdtr(degrees, -abs(value) / error))
        return Estimate(value, value - reach, value + reach, level, n, name), p

    def _degrees(self, c: _Floats) -> float:
        """Degrees of freedom: match mean and variance of the variance under independent errors.

        With ``a_g`` the weights of cluster g in the contrast, the estimated variance is a
        quadratic form with the matrix ``[g = h] a_g'a_g - (X_g'a_g)' bread (X_h'a_h)``.
        """
        own = [c @ weights for _, weights in self.scores]
        length = np.array([one @ one for one in own])
        pulled = np.stack([x.T @ one for (x, _), one in zip(self.scores, own, strict=True)])
        inner = self.bread @ (pulled.T @ pulled)
        lost = ((pulled @ self.bread) * pulled).sum(axis=1)
        trace = float(length.sum() - np.trace(inner))
        square = float((length**2).sum() - 2 * (length * lost).sum() + np.trace(inner @ inner))
        return trace**2 / max(square, 1e-300)


def fit_clustered(outcome: ArrayLike, design: ArrayLike, clusters: ArrayLike) -> ClusteredFit:
    """Least squares with cluster-robust errors (CR2).

    Parameters
    ----------
    outcome
        Array (n,).
    design
        Array (n, k) of full column rank, with its constant.
    clusters
        Array (n,) of labels.

    Raises
    ------
    ValueError
        If the shapes differ or columns are collinear.
    """
    y = np.asarray(outcome, dtype=np.float64)
    x = np.asarray(design, dtype=np.float64)
    codes = np.unique(np.asarray(clusters), return_inverse=True)[1]
    if x.ndim != 2 or not len(y) == len(x) == len(codes):
        raise ValueError(f"{len(y)} outcomes, {x.shape} design, {len(codes)} clusters")
    if np.linalg.matrix_rank(x / np.maximum(np.abs(x).max(axis=0), 1e-300)) < x.shape[1]:
        raise ValueError("columns of the design are collinear")
    bread: _Floats = np.linalg.inv(x.T @ x).astype(np.float64)
    coefficients = bread @ x.T @ y
    residuals = y - x @ coefficients
    covariance = np.zeros((x.shape[1], x.shape[1]))
    scores: list[tuple[_Floats, _Floats]] = []
    order = np.argsort(codes, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
        own = x[rows]
        # Inverse square root of I - H_gg; a cluster that decides a coefficient alone has none.
        weight, vectors = np.linalg.eigh(np.eye(len(rows)) - own @ bread @ own.T)
        inverse = np.where(weight > 1e-10, 1 / np.sqrt(np.maximum(weight, 1e-10)), 0.0)
        adjusted = bread @ own.T @ (vectors * inverse) @ vectors.T
        score = adjusted @ residuals[rows]
        covariance += np.outer(score, score)
        scores.append((own, adjusted))
    return ClusteredFit(coefficients, covariance, bread, tuple(scores))
