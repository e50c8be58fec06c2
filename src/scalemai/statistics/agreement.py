"""Do raters agree, beyond what chance would give?

All coefficients are ``(observed - chance) / (1 - chance)``; they differ in what chance means.
Kappa falls as one answer becomes rare, although raters agree as often (Feinstein and Cicchetti,
J Clin Epidemiol 1990;43:543); Gwet's AC1 hardly does. Both are best read side by side.

Subjects are a sample of all subjects, the raters are these. Intervals take the influence of each
subject on the coefficient as a mean of independent values (Gwet, Br J Math Stat Psychol
2008;61:29), on the scale of ``-log(1 - coefficient)``, which ends at 1 and is nearly symmetric,
with t quantiles.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalemai.statistics.estimate import Estimate, not_computed

__all__ = ["FEWEST_MIXED", "Weights", "cohen_kappa", "fleiss_kappa", "gwet_ac1", "rating_counts"]

Weights = Literal["none", "linear", "quadratic"]

FEWEST_MIXED = 20
"""Subjects with any but the commonest answer, below which a kappa has no interval.

Measured coverage of nominal 95 % intervals: 93 to 96 % where both answers are common, 85 to 91 %
with 10 to 20 such subjects, 65 to 80 % with fewer; resampling is no better. AC1 is not concerned
(94 to 98 %)."""

_Floats = NDArray[np.float64]


def rating_counts(ratings: ArrayLike) -> NDArray[np.float64]:
    """How many raters gave a subject each answer.

    Parameters
    ----------
    ratings
        Array (subjects, raters) of category numbers from 0; negative where there is none.

    Returns
    -------
    ndarray
        Array (subjects, categories) of counts.

    Raises
    ------
    ValueError
        If it is no table of whole numbers.
    """
    table = np.asarray(ratings)
    if table.ndim != 2 or not np.issubdtype(table.dtype, np.integer):
        raise ValueError("ratings are a table of whole numbers, subjects by raters")
    categories = int(table.max(initial=-1)) + 1
    return (
        np.stack(
            [(table == category).sum(axis=1) for category in range(categories)], axis=1
        ).astype(np.float64)
        if categories
        else np.zeros((len(table), 0))
    )


def cohen_kappa(
    first: ArrayLike, second: ArrayLike, *, weights: Weights = "none", level: float = 0.95
) -> Estimate:
    """Agreement of two raters, or of one rater with himself.

    Parameters
    ----------
    first, second
        Arrays (subjects,) of category numbers from 0, of independent subjects.
    weights
        What a disagreement costs: all alike, its distance, or its square, for ordered
        categories.
    level
        Confidence level.

    Returns
    -------
    Estimate
        Not computed without subjects, or if both gave one and the same answer throughout: then
        nothing tells agreement from chance. No interval if they agree on every subject, or if
        fewer than :data:`FEWEST_MIXED` had another than the commonest answer.

    Raises
    ------
    ValueError
        If the lengths differ or a category is no whole number from 0.

    Notes
    -----
    Cohen, Educ Psychol Meas 1960;20:37; weighted: Psychol Bull 1968;70:213.
    """
    a, b = np.asarray(first), np.asarray(second)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"ratings of shapes {a.shape} and {b.shape} are no pairs")
    if a.size == 0:
        return not_computed("there are no subjects rated twice", level=level)
    if not all(np.issubdtype(one.dtype, np.integer) and one.min() >= 0 for one in (a, b)):
        raise ValueError("categories are whole numbers from 0")
    k, n = int(max(a.max(), b.max())) + 1, a.size
    distance = np.abs(np.subtract.outer(np.arange(k), np.arange(k))).astype(np.float64)
    cost = {"none": (distance > 0).astype(float), "linear": distance, "quadratic": distance**2}
    worth = 1 - cost[weights] / max(float(cost[weights].max()), 1.0)
    share_a, share_b = np.bincount(a, minlength=k) / n, np.bincount(b, minlength=k) / n
    agreed = worth[a, b]
    # Chance as each subject moves it: through its answers in both margins.
    chance = float(share_a @ worth @ share_b)
    pull = (worth @ share_b)[a] + (share_a @ worth)[b] - 2 * chance
    common = int(np.argmax(share_a + share_b))
    mixed = int(np.count_nonzero((a != common) | (b != common)))
    found = _coefficient(agreed, chance, pull, level, f"cohen kappa, weights: {weights}")
    return _if_mixed(found, mixed)


def fleiss_kappa(counts: ArrayLike, *, level: float = 0.95) -> Estimate:
    """Agreement of several raters; chance is the shares of the answers over all ratings.

    Parameters
    ----------
    counts
        Array (subjects, categories): how many raters gave each answer. Numbers of raters may
        differ. Subjects with one rating count in the shares alone.
    level
        Confidence level.

    Returns
    -------
    Estimate
        ``n`` counts subjects with at least two ratings. Not computed without any, or if one
        answer was given throughout. No interval as of :func:`cohen_kappa`.

    Raises
    ------
    ValueError
        If a count is negative, or it is no table.

    Notes
    -----
    Fleiss, Psychol Bull 1971;76:378; for unequal numbers of raters as in Gwet, Handbook of
    Inter-Rater Reliability. For two raters this is Scott's pi, not Cohen's kappa.
    """
    _, ratings, agreed, shares, mean = _shares(counts)
    if agreed.size == 0:
        return not_computed("no subject has two ratings", level=level)
    chance = float((mean**2).sum())
    pull = 2 * (shares @ mean - chance)
    mixed = int(np.count_nonzero(shares[:, np.argmax(mean)] < 1))
    return _if_mixed(_spread(agreed, ratings, chance, pull, level, "fleiss kappa"), mixed)


def gwet_ac1(counts: ArrayLike, *, categories: int | None = None, level: float = 0.95) -> Estimate:
    """Gwet's AC1: agreement of several raters that does not fall with rare answers.

    Parameters
    ----------
    counts, level
        As of :func:`fleiss_kappa`.
    categories
        How many answers were possible, if not all were given.

    Returns
    -------
    Estimate
        As of :func:`fleiss_kappa`, but computed if one answer was given throughout, and with an
        interval also where other answers are rare.

    Raises
    ------
    ValueError
        As of :func:`fleiss_kappa`, or if there are fewer categories than answers or than two.

    Notes
    -----
    Gwet, Br J Math Stat Psychol 2008;61:29.
    """
    table, ratings, agreed, shares, mean = _shares(counts)
    q = table.shape[1] if categories is None else categories
    if q < max(table.shape[1], 2):
        raise ValueError(f"{q} categories are too few")
    if agreed.size == 0:
        return not_computed("no subject has two ratings", level=level)
    chance = float((mean * (1 - mean)).sum()) / (q - 1)
    pull = (shares @ (1 - 2 * mean) - float(mean @ (1 - 2 * mean))) / (q - 1)
    return _spread(agreed, ratings, chance, pull, level, "gwet ac1")


def _shares(counts: ArrayLike) -> tuple[_Floats, _Floats, _Floats, _Floats, _Floats]:
    """Table of rated subjects, their ratings, agreement of those with two, shares, mean shares."""
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 2 or not (table >= 0).all():
        raise ValueError("counts are a table, subjects by categories, of numbers from 0")
    table = table[table.sum(axis=1) > 0]
    ratings = table.sum(axis=1)
    twice = ratings >= 2
    pairs = (table[twice] * (table[twice] - 1)).sum(axis=1)
    agreed = pairs / (ratings[twice] * (ratings[twice] - 1))
    shares = table / ratings[:, None]
    mean = shares.mean(axis=0) if len(shares) else np.zeros(table.shape[1])
    return table, ratings, agreed, shares, mean


def _spread(
    agreed: _Floats, ratings: _Floats, chance: float, pull: _Floats, level: float, method: str
) -> Estimate:
    """Put the agreement of subjects with two ratings beside the pull of all rated ones."""
    n = ratings.size
    every = np.full(n, np.nan)
    every[ratings >= 2] = agreed
    return _coefficient(every, chance, pull, level, method)


def _if_mixed(found: Estimate, mixed: int) -> Estimate:
    """Take the interval of a kappa away that rests on a handful of subjects."""
    if found.low is None or mixed >= FEWEST_MIXED:
        return found
    reason = (
        f"{mixed} subjects with any but the commonest answer are too few for the interval of a "
        f"kappa (at least {FEWEST_MIXED})"
    )
    return replace(found, low=None, high=None, reason=reason)


def _coefficient(
    agreed: _Floats, chance: float, pull: _Floats, level: float, method: str
) -> Estimate:
    """The coefficient and its interval from each subject's agreement and pull on chance."""
    known = np.isfinite(agreed)
    used, n = int(known.sum()), agreed.size
    observed = float(agreed[known].mean())
    if 1 - chance < 1e-12:
        return not_computed("one answer was given throughout", n=used, level=level)
    value = (observed - chance) / (1 - chance)
    # A subject without agreement has no part in the observed one; the others have more.
    own = np.where(known, (np.nan_to_num(agreed) - observed) * n / used, 0.0)
    influence = (own - (1 - value) * pull) / (1 - chance)
    if 1 - value < 1e-12:
        reason = "raters agree on every subject, so there is no spread"
        return Estimate(1.0, level=level, n=used, method=method, reason=reason)
    if used < 2:
        reason = f"{used} subject is too few for an interval"
        return Estimate(value, level=level, n=used, method=method, reason=reason)
    from scipy.special import stdtrit

    error = math.sqrt(float((influence**2).sum()) / (n * (n - 1)))
    reach = float(stdtrit(used - 1, 0.5 + level / 2)) * error / (1 - value)
    low, high = 1 - (1 - value) * math.exp(reach), 1 - (1 - value) * math.exp(-reach)
    return Estimate(value, max(low, -1.0), high, level, used, f"{method}, linearised, log(1 - k)")
