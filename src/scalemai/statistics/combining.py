"""Differences of estimates that were made apart, on different units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

from scalemai.statistics.estimate import Estimate, not_computed

__all__ = ["difference_between", "largest_difference", "simultaneous_level"]


def difference_between(first: Estimate, second: Estimate) -> Estimate:
    """``first - second`` of two groups of different units, from the interval of each.

    Parameters
    ----------
    first, second
        Estimates with intervals of one level.

    Returns
    -------
    Estimate
        With the limits of both combined, so that skew and bounds are kept (MOVER; Zou and
        Donner, Stat Med 2008;27:1693); of Wilson's limits this is Newcombe's interval. It is
        too wide, never too narrow, where units of both groups resemble one another. Without
        interval, or not computed, where one of the two is.

    Raises
    ------
    ValueError
        If the levels differ.
    """
    if first.level != second.level:
        raise ValueError(f"levels {first.level} and {second.level} differ")
    n, level = first.n + second.n, first.level
    if first.value is None or second.value is None:
        return not_computed(first.reason or second.reason, n=n, level=level)
    value = first.value - second.value
    ends = (first.low, first.high, second.low, second.high)
    if any(end is None for end in ends):
        return Estimate(value, level=level, n=n, reason=first.reason or second.reason)
    low1, high1, low2, high2 = (float(end) for end in ends if end is not None)
    low = value - math.hypot(first.value - low1, high2 - second.value)
    high = value + math.hypot(high1 - first.value, second.value - low2)
    return Estimate(value, low, high, level, n, f"limits combined ({first.method})")


def simultaneous_level(groups: int, level: float = 0.95) -> float:
    """Level of the interval of one difference so that all differences of ``groups`` hold at once.

    Parameters
    ----------
    groups
        Number of groups, all pairs of which are compared.
    level
        Confidence level of all pairs together.

    Returns
    -------
    float
        That of the normal quantile that equals the studentised range over the square root of
        two (Tukey); ``level`` itself for two groups.

    Raises
    ------
    ValueError
        If there are fewer than two groups.
    """
    if groups < 2:
        raise ValueError(f"{groups} groups have no differences")
    if groups == 2:
        return level
    from scipy.special import ndtr
    from scipy.stats import studentized_range

    # The distribution with infinitely many degrees of freedom: intervals widen for few units.
    quantile = float(studentized_range.ppf(level, groups, math.inf))
    return float(2 * ndtr(quantile / math.sqrt(2)) - 1)


def largest_difference(groups: Sequence[Estimate], *, level: float = 0.95) -> Estimate:
    """The largest difference between any two groups, with an interval that knows it was sought.

    Parameters
    ----------
    groups
        Estimates of different units with intervals at :func:`simultaneous_level` of their
        number.
    level
        Confidence level of the result.

    Returns
    -------
    Estimate
        Highest minus lowest value. The highest of many noisy values is too high: the value is
        biased upwards, the interval is not. It reaches from the largest difference that all
        pairs together prove, to the largest that they allow. It covers ``level`` if all groups
        are alike, and more if they are not. Not computed with fewer than two groups.

    Raises
    ------
    ValueError
        If the intervals are not at the simultaneous level.
    """
    known = [one for one in groups if one.value is not None]
    n = sum(one.n for one in known)
    if len(known) < 2:
        return not_computed("there are fewer than two groups with a value", n=n, level=level)
    wanted = simultaneous_level(len(known), level)
    if any(abs(one.level - wanted) > 1e-9 for one in known):
        raise ValueError(f"intervals must have the simultaneous level {wanted:.6f}")
    values = [float(one.value) for one in known if one.value is not None]
    value = max(values) - min(values)
    pairs = [difference_between(a, b) for a, b in combinations(known, 2)]
    if any(pair.low is None for pair in pairs):
        reason = next(pair.reason for pair in pairs if pair.low is None)
        return Estimate(value, level=level, n=n, reason=reason)
    ends = [
        (pair.low, pair.high) for pair in pairs if pair.low is not None and pair.high is not None
    ]
    low = max(0.0, *(low for low, _ in ends), *(-high for _, high in ends))
    high = max(max(-low, high) for low, high in ends)
    return Estimate(value, low, high, level, n, "simultaneous limits of all pairs")
