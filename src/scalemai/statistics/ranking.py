"""Ranks of several algorithms over the same units, and whether they differ at all."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["FriedmanTest", "Nemenyi", "friedman", "kendall_tau", "nemenyi", "unit_ranks"]


@dataclass(frozen=True, eq=False)
class FriedmanTest:
    """Whether any algorithm ranks differently from the others.

    Parameters
    ----------
    mean_ranks
        Array (algorithms,); 1 is best on every unit, ties share the mean of their places.
    chi2, p
        Friedman's statistic, corrected for ties, and its p-value; None if not computed.
    f, p_f
        The less conservative F statistic of Iman and Davenport, and its p-value.
    n, algorithms
        Number of units and of algorithms.
    reason
        Why there is no test.
    """

    mean_ranks: NDArray[np.float64]
    chi2: float | None
    p: float | None
    f: float | None
    p_f: float | None
    n: int
    algorithms: int
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Nemenyi:
    """All pairs of mean ranks against one another.

    Parameters
    ----------
    critical_difference
        Mean ranks that differ by at least this differ significantly at ``level``.
    p
        Array (algorithms, algorithms) of adjusted two-sided p-values; 1 on the diagonal.
    level
        Level of all pairs together.
    """

    critical_difference: float
    p: NDArray[np.float64]
    level: float


def unit_ranks(scores: ArrayLike) -> NDArray[np.float64]:
    """Ranks (units, algorithms) on each unit of ``scores``: the highest has 1, ties the mean.

    Raises
    ------
    ValueError
        If ``scores`` is no table of finite numbers.
    """
    from scipy.stats import rankdata

    ranks: NDArray[np.float64] = rankdata(-_table(scores), axis=1)
    return ranks


def friedman(scores: ArrayLike) -> FriedmanTest:
    """Friedman's rank test of algorithms on the same independent units.

    Parameters
    ----------
    scores
        Array (units, algorithms), finite; higher is better.

    Returns
    -------
    FriedmanTest
        Without p-value below three algorithms, below two units, or if all are alike on every
        unit.

    Raises
    ------
    ValueError
        As of :func:`unit_ranks`.

    Notes
    -----
    Friedman, J Am Stat Assoc 1937;32:675; Iman and Davenport, Commun Stat 1980;9:571.
    """
    table = _table(scores)
    n, k = table.shape
    ranks = unit_ranks(table)
    means = ranks.mean(axis=0) if n else np.full(k, (k + 1) / 2)
    reason = ""
    if k < 3:
        reason = f"{k} algorithms are too few for a test of all"
    elif n < 2:
        reason = f"{n} units are too few"
    elif not (table != table[:, :1]).any():
        reason = "all algorithms are alike on every unit"
    if reason:
        return FriedmanTest(means, None, None, None, None, n, k, reason)
    from scipy.special import fdtrc
    from scipy.stats import friedmanchisquare

    found = friedmanchisquare(*(-table).T)
    chi2 = float(found.statistic)
    # When every unit has the same order, the denominator is 0 and F is infinite.
    rest = n * (k - 1) - chi2
    f = (n - 1) * chi2 / rest if rest > 1e-9 * chi2 else math.inf
    p_f = float(fdtrc(k - 1, (k - 1) * (n - 1), f)) if math.isfinite(f) else 0.0
    return FriedmanTest(means, chi2, float(found.pvalue), f, p_f, n, k)


def nemenyi(mean_ranks: ArrayLike, n: int, *, level: float = 0.05) -> Nemenyi:
    """Which mean ranks of :func:`friedman` differ from one another.

    Parameters
    ----------
    mean_ranks
        Array (algorithms,) of mean ranks over ``n`` units.
    n
        Number of units.
    level
        Level of all pairs together.

    Raises
    ------
    ValueError
        If there are fewer than two algorithms or no units.

    Notes
    -----
    Nemenyi, thesis, Princeton 1963, as given by Demsar, J Mach Learn Res 2006;7:1: the
    studentized range with infinite degrees of freedom over the square root of two.
    """
    means = np.asarray(mean_ranks, dtype=np.float64)
    k = means.size
    if k < 2 or n < 1:
        raise ValueError(f"{k} algorithms on {n} units cannot be told apart")
    from scipy.stats import studentized_range

    error = math.sqrt(k * (k + 1) / (6 * n))
    critical = float(studentized_range.ppf(1 - level, k, np.inf)) / math.sqrt(2) * error
    first, second = np.triu_indices(k, 1)
    gap = np.abs(means[first] - means[second]) / error * math.sqrt(2)
    p = np.ones((k, k))
    p[first, second] = p[second, first] = np.clip(studentized_range.sf(gap, k, np.inf), 0, 1)
    return Nemenyi(critical, p, level)


def kendall_tau(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Kendall's tau-b between two rankings, or many of them at once.

    Parameters
    ----------
    a, b
        Arrays (..., algorithms) of scores or ranks; their leading axes broadcast.

    Returns
    -------
    ndarray
        Array (...): 1 for the same order, -1 for the reverse; NaN where one has no order.
    """
    first, second = _signs(a), _signs(b)
    agree = (first * second).sum(axis=-1)
    size = np.sqrt((first**2).sum(axis=-1) * (second**2).sum(axis=-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        tau: NDArray[np.float64] = np.asarray(agree / size)
    return tau


def _signs(values: ArrayLike) -> NDArray[np.float64]:
    """Order (..., pairs) of all pairs: 1, 0 or -1."""
    table = np.asarray(values, dtype=np.float64)
    i, j = np.triu_indices(table.shape[-1], 1)
    signs: NDArray[np.float64] = np.sign(table[..., i] - table[..., j])
    return signs


def _table(scores: ArrayLike) -> NDArray[np.float64]:
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or not np.isfinite(table).all():
        raise ValueError(f"scores are finite, units by algorithms; got shape {table.shape}")
    return table
