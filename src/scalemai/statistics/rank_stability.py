"""How much a ranking owes to the patients that happened to be in the test set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalemai.statistics.bca import resampled_interval
from scalemai.statistics.bootstrap import Clusters, of_a_mean
from scalemai.statistics.estimate import Estimate, not_computed
from scalemai.statistics.ranking import kendall_tau, unit_ranks

__all__ = ["FEWEST_TO_RANK", "RankStability", "Ranker", "rank_stability", "tau_between"]

FEWEST_TO_RANK = 5
"""Clusters below which places are not resampled. Ranges of places are no confidence intervals of
a parameter, so that no coverage is claimed. Author's choice."""

Ranker = Literal["mean", "mean rank"]

_Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RankStability:
    """A ranking and those of resampled patients.

    Parameters
    ----------
    scores
        One estimate per algorithm: mean score, or mean rank, over all units. Intervals take as
        many clusters as of :func:`scalemai.statistics.bootstrap.cluster_mean`.
    ranks
        Array (algorithms,): place over all units; 1 is best, ties share the better place.
    distribution
        Array (algorithms, places): share of resamples in which an algorithm took a place. None,
        as the next three, with fewer clusters than :data:`FEWEST_TO_RANK`: resamples of them say
        nothing.
    first
        Array (algorithms,): probability of being first; ties share it, so it sums to one.
    low, high
        Arrays (algorithms,): central range, of probability ``level``, of the place.
    tau
        Kendall's tau-b between the full ranking and those of the resamples: its mean, and the
        central range. Not an interval of a parameter, but how alike the rankings are. Not
        computed with too few clusters, or if all algorithms are alike.
    draws, level
        Number of resamples, and probability of the ranges.
    """

    scores: tuple[Estimate, ...]
    ranks: NDArray[np.intp]
    distribution: _Floats | None
    first: _Floats | None
    low: NDArray[np.intp] | None
    high: NDArray[np.intp] | None
    tau: Estimate
    draws: int
    level: float


def rank_stability(
    scores: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    rng: np.random.Generator,
    by: Ranker = "mean",
    draws: int = 2000,
    level: float = 0.95,
    unbounded: bool = False,
) -> RankStability:
    """Rank algorithms on resampled patients, all algorithms on the same ones.

    Parameters
    ----------
    scores
        Array (units, algorithms), finite; higher is better.
    clusters
        Array (units,): the patient of each unit; by default each is its own.
    rng
        Where the draws come from.
    by
        Whether to rank by the mean score or by the mean of the ranks on each unit.
    draws, level
        Number of resamples, and probability of intervals and ranges.
    unbounded
        Whether scores have no bound, as distances have none.

    Raises
    ------
    ValueError
        If there are no units, or as of :func:`scalemai.statistics.ranking.unit_ranks`.
    """
    table = _units(scores)
    values = table if by == "mean" else -unit_ranks(table)
    groups = _groups(len(table), clusters)
    mean, drawn, left_out = _resampled_means(values, groups, rng, draws)
    sign = 1.0 if by == "mean" else -1.0
    found = (
        resampled_interval(
            sign * mean[k], sign * drawn[:, k], sign * left_out[:, k], groups.n, level=level
        )
        for k in range(mean.size)
    )
    estimates = tuple(of_a_mean(one, unbounded=unbounded) if by == "mean" else one for one in found)
    ranks = _places(mean[None])[0]
    if groups.n < FEWEST_TO_RANK:
        few = not_computed(_too_few(groups.n), n=groups.n, level=level)
        return RankStability(estimates, ranks, None, None, None, None, few, draws, level)
    places = _places(drawn)
    algorithms = mean.size
    distribution = np.stack([(places == place + 1).mean(axis=0) for place in range(algorithms)], 1)
    winners = (places == 1).astype(np.float64)
    first = (winners / winners.sum(axis=1, keepdims=True)).mean(axis=0)
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(places, tails, axis=0, method="inverted_cdf").astype(np.intp)
    return RankStability(
        estimates,
        ranks,
        distribution,
        first,
        low,
        high,
        _spread(kendall_tau(mean, drawn), groups.n, level),
        draws,
        level,
    )


def tau_between(
    first: ArrayLike,
    second: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """Kendall's tau-b between the rankings that two metrics give the same algorithms.

    Parameters
    ----------
    first, second
        Arrays (units, algorithms) of two metrics on the same units; higher is better.
    clusters, rng, draws, level
        As of :func:`rank_stability`; both metrics are resampled together.

    Returns
    -------
    Estimate
        Tau between the rankings by mean, and its central range over resamples (a bootstrap of
        tau itself would be biased downwards: noise can only disorder). Not computed if a metric
        ranks all algorithms alike; without range with fewer clusters than
        :data:`FEWEST_TO_RANK`.

    Raises
    ------
    ValueError
        If the shapes differ, or as of :func:`rank_stability`.
    """
    a, b = _units(first), _units(second)
    if a.shape != b.shape:
        raise ValueError(f"metrics of shapes {a.shape} and {b.shape} are not of the same units")
    groups = _groups(len(a), clusters)
    mean, drawn, _ = _resampled_means(np.concatenate([a, b], axis=1), groups, rng, draws)
    k = a.shape[1]
    value = float(kendall_tau(mean[:k], mean[k:]))
    if groups.n < FEWEST_TO_RANK and np.isfinite(value):
        return Estimate(value, level=level, n=groups.n, reason=_too_few(groups.n))
    return _spread(kendall_tau(drawn[:, :k], drawn[:, k:]), groups.n, level, value)


def _units(scores: ArrayLike) -> _Floats:
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or not table.size or not np.isfinite(table).all():
        raise ValueError(f"scores are finite, units by algorithms; got shape {table.shape}")
    return table


def _groups(units: int, clusters: ArrayLike | None) -> Clusters:
    groups = Clusters(np.arange(units) if clusters is None else np.asarray(clusters))
    if groups.codes.size != units:
        raise ValueError(f"{groups.codes.size} cluster labels for {units} units")
    return groups


def _resampled_means(
    values: _Floats, groups: Clusters, rng: np.random.Generator, draws: int
) -> tuple[_Floats, _Floats, _Floats]:
    """Means (columns,), on resamples (draws, columns), and without each cluster."""
    # Equal columns must stay equal in every draw, whatever the order of summation.
    centre = np.round(values.mean(axis=0), 12)
    sums = groups.sums(values - centre)
    sizes = np.bincount(groups.codes, minlength=groups.n).astype(np.float64)
    blocks = []
    for block in groups.draw(rng, draws):
        flat = block + groups.n * np.arange(len(block))[:, None]
        counts = np.bincount(flat.ravel(), minlength=groups.n * len(block))
        weight = counts.reshape(len(block), groups.n).astype(np.float64)
        blocks.append(weight @ sums / (weight @ sizes)[:, None])
    with np.errstate(invalid="ignore", divide="ignore"):
        left_out = (sums.sum(axis=0) - sums) / (sizes.sum() - sizes)[:, None]
    mean = centre + sums.sum(axis=0) / sizes.sum()
    return (
        np.round(mean, 12),
        np.round(centre + np.concatenate(blocks), 12),
        centre + left_out,
    )


def _places(values: _Floats) -> NDArray[np.intp]:
    """Places (draws, algorithms), 1 for the highest; ties share the better place."""
    from scipy.stats import rankdata

    places: NDArray[np.intp] = rankdata(-values, method="min", axis=1).astype(np.intp)
    return places


def _too_few(n: int) -> str:
    patients = "1 patient is" if n == 1 else f"{n} patients are"
    return f"{patients} too few to resample (at least {FEWEST_TO_RANK})"


def _spread(tau: _Floats, n: int, level: float, value: float | None = None) -> Estimate:
    known = tau[np.isfinite(tau)]
    middle = float(known.mean()) if value is None and known.size else value
    if middle is None or not np.isfinite(middle) or not known.size:
        return Estimate(None, n=n, level=level, reason="all algorithms are alike")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    return Estimate(middle, float(low), float(high), level, n, f"range over {tau.size} resamples")
