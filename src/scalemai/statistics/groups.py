"""Several groups of different units: do they differ, which ones, and by how much?

The units must be independent: one value a patient, not one a scan or lesion. "Not significant" is
no evidence that groups are alike; the shifts with their intervals say what is excluded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalemai.statistics.estimate import Estimate, not_computed
from scalemai.statistics.multiplicity import holm
from scalemai.statistics.roc import auc_delong

__all__ = [
    "GroupPair",
    "KruskalWallis",
    "dunn",
    "hodges_lehmann_shift",
    "kruskal_wallis",
    "pairwise_mann_whitney",
]

_Floats = NDArray[np.float64]

_EXACT_UP_TO = 50
"""Size of the smaller group up to which untied values get the exact distribution; as in R."""

_DIGITS = 12
"""Significant digits, of the largest value, to which values are told apart."""


@dataclass(frozen=True, slots=True)
class KruskalWallis:
    """The test that all groups have the same distribution.

    Parameters
    ----------
    h
        Statistic, corrected for ties; None if there is nothing to test.
    degrees
        Degrees of freedom of its chi-squared distribution.
    p
        The p-value.
    epsilon_squared
        Effect size: ``h (n + 1) / (n^2 - 1)``, from 0 to 1, the share of the variance of the
        ranks that lies between groups. Groups that do not differ still have
        ``degrees / (n - 1)`` on average.
    n
        Number of units.
    reason
        Why there is no test.
    """

    h: float | None
    degrees: int
    p: float | None
    epsilon_squared: float | None
    n: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class GroupPair:
    """Two of several groups.

    Parameters
    ----------
    first, second
        Their numbers, from 0.
    statistic
        Dunn's z, or the Mann-Whitney U of the first group.
    p, p_holm, p_bh
        Two-sided p-value: as it is; after Holm (any false rejection among all pairs); after
        Benjamini and Hochberg (expected share of false ones among the rejections).
    shift
        Hodges-Lehmann shift, first minus second; None for Dunn's test.
    superiority
        Probability that a unit of the first group has the larger value, ties counted half,
        with DeLong's interval; None for Dunn's test.
    method
        Name of the test.
    """

    first: int
    second: int
    statistic: float
    p: float
    p_holm: float
    p_bh: float
    shift: Estimate | None = None
    superiority: Estimate | None = None
    method: str = ""


def kruskal_wallis(groups: Sequence[ArrayLike]) -> KruskalWallis:
    """Test whether groups differ, by the ranks of their values.

    Parameters
    ----------
    groups
        Arrays (n_i,) of finite values, one a unit.

    Returns
    -------
    KruskalWallis
        Not computed with fewer than two groups, an empty one, or equal values throughout.

    Raises
    ------
    ValueError
        If a group is not one row of finite values.

    Notes
    -----
    Kruskal and Wallis, J Am Stat Assoc 1952;47:583. Epsilon squared as in Tomczak and Tomczak,
    Trends Sport Sci 2014;1:19.
    """
    values = _checked(groups)
    n = sum(one.size for one in values)
    degrees = max(len(values) - 1, 0)
    reason = _nothing_to_test(values)
    if reason:
        return KruskalWallis(None, degrees, None, None, n, reason)
    from scipy.stats import kruskal

    found = kruskal(*values)
    h = float(found.statistic)
    return KruskalWallis(h, degrees, float(found.pvalue), h / (n - 1), n)


def dunn(groups: Sequence[ArrayLike]) -> tuple[GroupPair, ...]:
    """Dunn's test of all pairs of groups, with the ranks of the Kruskal-Wallis test.

    Parameters
    ----------
    groups
        As of :func:`kruskal_wallis`.

    Returns
    -------
    tuple of GroupPair
        All pairs, the first group's first; empty where :func:`kruskal_wallis` has no test.
        A positive z means that the first group has higher values.

    Raises
    ------
    ValueError
        As of :func:`kruskal_wallis`.

    Notes
    -----
    Dunn, Technometrics 1964;6:241, with the variance corrected for ties.
    """
    values = _checked(groups)
    if _nothing_to_test(values):
        return ()
    from scipy.special import ndtr
    from scipy.stats import rankdata

    pooled = np.concatenate(values)
    n = pooled.size
    ranks = np.split(rankdata(pooled), np.cumsum([one.size for one in values])[:-1])
    ties = np.unique(pooled, return_counts=True)[1].astype(np.float64)
    variance = n * (n + 1) / 12 - float((ties**3 - ties).sum()) / (12 * (n - 1))
    pairs = list(combinations(range(len(values)), 2))
    z = [
        (ranks[i].mean() - ranks[j].mean())
        / math.sqrt(variance * (1 / values[i].size + 1 / values[j].size))
        for i, j in pairs
    ]
    p = [min(1.0, 2 * float(ndtr(-abs(one)))) for one in z]
    return tuple(
        GroupPair(i, j, float(one), *three, method="dunn, ties corrected")
        for (i, j), one, three in zip(pairs, z, _adjusted(p), strict=True)
    )


def pairwise_mann_whitney(
    groups: Sequence[ArrayLike], *, level: float = 0.95
) -> tuple[GroupPair, ...]:
    """The Mann-Whitney test of all pairs of groups, with shifts and probabilities.

    Parameters
    ----------
    groups
        As of :func:`kruskal_wallis`.
    level
        Confidence level of each shift and probability by itself.

    Returns
    -------
    tuple of GroupPair
        All pairs, the first group's first; empty where :func:`kruskal_wallis` has no test. Exact
        if the smaller group has up to 50 units and no values are tied, else normal with
        corrections for ties and continuity, as R does.

    Raises
    ------
    ValueError
        As of :func:`kruskal_wallis`, or if the level is not between 0 and 1.

    Notes
    -----
    Mann and Whitney, Ann Math Stat 1947;18:50.
    """
    values = _checked(groups)
    if _nothing_to_test(values):
        return ()
    from scipy.stats import mannwhitneyu

    pairs = list(combinations(range(len(values)), 2))
    tests = []
    for i, j in pairs:
        if np.ptp(np.concatenate([values[i], values[j]])) == 0:
            tests.append((values[i].size * values[j].size / 2, 1.0, "all values are equal"))
            continue
        method = "exact" if _is_exact(values[i], values[j]) else "asymptotic"
        found = mannwhitneyu(values[i], values[j], method=method)
        name = f"mann-whitney, {method}"
        tests.append((float(found.statistic), float(found.pvalue), name))
    p = _adjusted([test[1] for test in tests])
    return tuple(
        GroupPair(
            i, j, u, *three,
            hodges_lehmann_shift(values[i], values[j], level=level),
            auc_delong(
                np.repeat([True, False], [values[i].size, values[j].size]),
                np.concatenate([values[i], values[j]]),
                level,
            ),
            name,
        )
        for (i, j), (u, _, name), three in zip(pairs, tests, p, strict=True)
    )  # fmt: skip


def hodges_lehmann_shift(a: ArrayLike, b: ArrayLike, *, level: float = 0.95) -> Estimate:
    """By how much the values of ``a`` are larger: the median of all differences ``a_i - b_j``.

    Parameters
    ----------
    a, b
        Arrays (n,) and (m,) of finite values of different units.
    level
        Confidence level.

    Returns
    -------
    Estimate
        The interval holds the shifts that the Mann-Whitney test does not reject: exact as in
        :func:`pairwise_mann_whitney`, with the normal approximation otherwise. It presumes that
        the groups differ by a shift alone, and is too wide where most values are tied. An end is
        infinite if so few units cannot exclude any shift. Not computed if a group is empty.

    Raises
    ------
    ValueError
        As of :func:`pairwise_mann_whitney`.

    Notes
    -----
    Hodges and Lehmann, Ann Math Stat 1963;34:598; interval of Moses as in Hollander and Wolfe,
    Nonparametric Statistical Methods.
    """
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1, got {level}")
    first, second = _checked([a, b])
    m, n = first.size, second.size
    if m == 0 or n == 0:
        return not_computed("one of the groups is empty", n=m + n, level=level)
    differences = np.sort(np.subtract.outer(first, second), axis=None)
    exact = _is_exact(first, second)
    left_out = _tail_rank(first, second, (1 - level) / 2, exact=exact)
    low = differences[left_out - 1] if left_out else -math.inf
    high = differences[-left_out] if left_out else math.inf
    name = f"mann-whitney inverted, {'exact' if exact else 'normal approximation'}"
    return Estimate(
        float(np.median(differences)),
        float(low),
        float(high),
        level,
        m + n,
        f"hodges-lehmann, {name}",
    )


def _tail_rank(first: _Floats, second: _Floats, tail: float, *, exact: bool) -> int:
    """How many differences lie beyond an end: the ``tail`` quantile of U, as R counts it."""
    m, n = first.size, second.size
    if exact:
        return int(np.searchsorted(_null_of_u(m, n).cumsum(), tail, side="left"))
    from scipy.special import ndtri

    ties = np.unique(np.concatenate([first, second]), return_counts=True)[1].astype(np.float64)
    total = m + n
    correction = float((ties**3 - ties).sum()) / (total * (total - 1))
    error = math.sqrt(max(m * n / 12 * (total + 1 - correction), 0.0))
    return max(math.floor(m * n / 2 + float(ndtri(tail)) * error + 0.5), 0)


def _null_of_u(m: int, n: int) -> _Floats:
    """Distribution (m n + 1,) of U if both groups are alike: the Gaussian binomial coefficient.

    Counts are held as shares of all arrangements, built one unit of the smaller group at a time.
    """
    m, n = min(m, n), max(m, n)
    share = np.zeros(m * n + 1)
    share[0] = 1.0
    for k in range(1, m + 1):
        # Multiply by (1 - q^(n+k)) / (1 - q^k), and divide by the growth of the total.
        longer = share.copy()
        longer[n + k :] -= share[: -(n + k)] if n + k < share.size else 0.0
        for residue in range(k):
            longer[residue::k] = np.cumsum(longer[residue::k])
        share = np.maximum(longer, 0.0) * (k / (n + k))
    null: _Floats = share / share.sum()
    return null


def _is_exact(first: _Floats, second: _Floats) -> bool:
    if min(first.size, second.size) > _EXACT_UP_TO:
        return False
    if first.size * second.size > 100_000:  # the normal approximation is as good by then
        return False
    pooled = np.concatenate([first, second])
    return bool(np.unique(pooled).size == pooled.size)


def _adjusted(p: Sequence[float]) -> list[tuple[float, float, float]]:
    from scipy.stats import false_discovery_control

    both = zip(holm(p), false_discovery_control(p), strict=True)
    return [(one, float(a), float(b)) for one, (a, b) in zip(p, both, strict=True)]


def _nothing_to_test(values: Sequence[_Floats]) -> str:
    if len(values) < 2:
        return "there are fewer than two groups"
    if min(one.size for one in values) == 0:
        return "one of the groups is empty"
    pooled = np.concatenate(values)
    return "all values are equal" if np.ptp(pooled) == 0 else ""


def _checked(groups: Sequence[ArrayLike]) -> list[_Floats]:
    """Values rounded to 12 digits of the largest, so that ties are ties."""
    values = [np.asarray(one, dtype=np.float64) for one in groups]
    for number, one in enumerate(values, start=1):
        if one.ndim != 1 or not np.isfinite(one).all():
            raise ValueError(f"group {number} is not one row of finite values")
    largest = max((float(np.abs(one).max(initial=0)) for one in values), default=0.0)
    if largest == 0:
        return values
    decimals = _DIGITS - math.ceil(math.log10(largest))
    return [np.round(one, decimals) + 0.0 for one in values]
