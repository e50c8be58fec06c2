"""The median with an interval that presumes nothing of the distribution.

How many of n values lie below the median is binomial, whatever they are; so two order statistics
hold it with a known probability. A failure, or an outlier of any size, moves a rank by one.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalemai.statistics.estimate import Estimate, not_computed

__all__ = ["median"]

_Floats = NDArray[np.float64]


def median(
    values: ArrayLike, clusters: ArrayLike | None = None, *, level: float = 0.95
) -> Estimate:
    """The median over patients.

    Parameters
    ----------
    values
        Array (rows,); infinite ones are allowed, NaN are left out.
    clusters
        Array (rows,): the patient of each row; by default each is its own. A patient with several
        rows counts once, with the median of them, so that units are independent.
    level
        Confidence level.

    Returns
    -------
    Estimate
        ``n`` counts patients. The interval lies between order statistics, interpolated so that it
        covers about ``level`` and not more, as whole ranks do. Not computed without values or if
        the median is infinite; no interval where even all values together cover too little (5
        patients and 95 %). An end that only an infinite value bounds is infinite.

    Raises
    ------
    ValueError
        If the shapes differ or the level is not between 0 and 1.

    Notes
    -----
    Interpolation of Hettmansperger and Sheather, Stat Probab Lett 1986;4:75. Measured coverage of
    nominal 95 % intervals is 94 to 96 % from 6 patients on. Many equal values make it cover more.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1, got {level}")
    labels = np.arange(numbers.size) if clusters is None else np.asarray(clusters)
    if numbers.ndim != 1 or labels.shape != numbers.shape:
        raise ValueError(f"{numbers.shape} values for {labels.shape} cluster labels")
    kept = ~np.isnan(numbers)
    ordered = np.sort(_of_patients(numbers[kept], labels[kept]))
    n = ordered.size
    if n == 0:
        return not_computed("there are no values", level=level)
    value = _middle(ordered)
    if not math.isfinite(value):
        return not_computed("half of the patients have no finite value", n=n, level=level)
    depth = _depth(n, level)
    if depth is None:
        who = "1 patient is" if n == 1 else f"{n} patients are"
        reason = f"{who} too few for a {level:.0%} interval of the median"
        return Estimate(value, level=level, n=n, reason=reason)
    rank, share = depth
    low = _between(ordered[rank - 1], ordered[min(rank, n - 1)], share)
    high = _between(ordered[n - rank], ordered[max(n - rank - 1, 0)], share)
    method = "order statistics, interpolated"
    if n < numbers[kept].size:
        method += ", median of each patient"
    return Estimate(value, min(low, value), max(high, value), level, n, method)


def _of_patients(values: _Floats, labels: NDArray[np.generic]) -> _Floats:
    """Median (patients,) of the rows of each."""
    code = np.unique(labels, return_inverse=True)[1]
    order = np.argsort(code, kind="stable")
    parts = np.split(values[order], np.flatnonzero(np.diff(code[order])) + 1)
    return np.array([_middle(np.sort(part)) for part in parts if part.size])


def _middle(ordered: _Floats) -> float:
    """Median of sorted values; that of two infinite ones is infinite, not NaN."""
    low, high = float(ordered[(ordered.size - 1) // 2]), float(ordered[ordered.size // 2])
    return low if low == high else (low + high) / 2


def _depth(n: int, level: float) -> tuple[int, float] | None:
    """Rank of the lower end, from 1, and the share of the way to the next; None if there is none.

    The ranks d and n + 1 - d hold the median with probability ``1 - 2 P(B < d)``, B binomial.
    """
    from scipy.stats import binom

    below = binom.cdf(np.arange(n // 2 + 1), n, 0.5)  # P(B <= d - 1) of depth d = 1, 2, ...
    held = 1 - 2 * below
    rank = int(np.count_nonzero(held >= level))
    if rank == 0:
        return None
    wide, narrow = float(held[rank - 1]), float(held[rank])
    if narrow < 0:
        return rank, 0.0
    share = (wide - level) / (wide - narrow)
    return rank, (n - rank) * share / (rank + (n - 2 * rank) * share)


def _between(outer: float, inner: float, share: float) -> float:
    """The outer value, moved by ``share`` towards the inner one."""
    outer, inner = float(outer), float(inner)
    if outer == inner or share == 0 or math.isinf(outer):
        return outer
    return outer + share * (inner - outer)
