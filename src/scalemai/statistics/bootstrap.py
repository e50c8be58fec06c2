"""Intervals by resampling whole clusters: patients with all their scans and lesions.

The interval is the bias-corrected and accelerated one (BCa; Efron, J Am Stat Assoc 1987;82:171)
with its tail probabilities widened for few clusters (Hesterberg, Am Stat 2015;69:371, "expanded
percentile"): the normal quantile is replaced by ``sqrt(n / (n - 1))`` times the t quantile with
``n - 1`` degrees of freedom. Plain percentile and BCa intervals are too short below about 50
clusters; a studentised bootstrap needs a variance for every draw, breaks down where a draw has
none (all lesions found), and may leave [0, 1]. BCa stays within what the statistic can be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalemai.statistics.estimate import Estimate, not_computed
from scalemai.statistics.proportions import clopper_pearson

__all__ = [
    "FEWEST_CLUSTERS",
    "UNDEFINED_SHARE",
    "Clusters",
    "cluster_bootstrap",
    "cluster_mean",
    "cluster_proportion",
    "cluster_ratio",
    "cluster_sums_bootstrap",
    "resampled_interval",
]

UNDEFINED_SHARE = 0.05
"""Largest share of draws in which the statistic may be undefined (no positive was drawn, say).

Leaving such draws out conditions the interval on samples that have a value, which is harmless
while they are rare. Author's estimate, to be refined."""

FEWEST_CLUSTERS = 5
"""Clusters below which no interval is given.

Measured coverage of nominal 95 % intervals of means and proportions: 88 to 92 % with 5 clusters
and a continuous outcome, 90 to 95 % with 10, 92 to 97 % with 20 to 30 (the lowest for an
exponential outcome)."""

_BLOCK = 4_000_000
"""Most numbers drawn at once, so that memory does not grow with draws times clusters."""


@dataclass(frozen=True, eq=False)
class Clusters:
    """Which rows belong together.

    Parameters
    ----------
    labels
        Array (rows,): the cluster (patient) of each row, of any type that sorts.
    """

    labels: NDArray[np.generic]

    def __post_init__(self) -> None:
        if self.labels.ndim != 1:
            raise ValueError(f"clusters are one label a row, got shape {self.labels.shape}")

    @cached_property
    def codes(self) -> NDArray[np.intp]:
        """Number of the cluster of each row, from 0."""
        codes: NDArray[np.intp] = np.unique(self.labels, return_inverse=True)[1].astype(np.intp)
        return codes

    @cached_property
    def n(self) -> int:
        """Number of clusters."""
        return int(self.codes.max()) + 1 if self.codes.size else 0

    @cached_property
    def _rows(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        order = np.argsort(self.codes, kind="stable")
        sizes = np.bincount(self.codes, minlength=self.n).astype(np.intp)
        return order, np.cumsum(sizes) - sizes, sizes

    def rows_of(self, drawn: NDArray[np.intp]) -> NDArray[np.intp]:
        """Row indices of the clusters ``drawn``, each as often as it was drawn."""
        order, starts, sizes = self._rows
        length = sizes[drawn]
        jump = np.repeat(starts[drawn] - (np.cumsum(length) - length), length)
        rows: NDArray[np.intp] = order[jump + np.arange(jump.size)]
        return rows

    def sums(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums (clusters, columns) over each cluster of ``rows`` (rows, columns)."""
        columns = [np.bincount(self.codes, column, minlength=self.n) for column in rows.T]
        return np.stack(columns, axis=1)

    def draw(self, rng: np.random.Generator, draws: int) -> Iterator[NDArray[np.intp]]:
        """Blocks (some draws, clusters) of clusters drawn with replacement."""
        block = max(_BLOCK // self.n, 1)
        for done in range(0, draws, block):
            yield rng.integers(self.n, size=(min(block, draws - done), self.n), dtype=np.intp)


def cluster_bootstrap(
    statistic: Callable[[NDArray[np.intp]], float],
    clusters: ArrayLike,
    *,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
    undefined_share: float = UNDEFINED_SHARE,
) -> Estimate:
    """Any statistic with an interval from resampled clusters.

    Parameters
    ----------
    statistic
        Takes row indices, with repetitions, and returns a number; NaN where it is undefined. It
        is called ``draws + clusters + 1`` times; see :func:`cluster_sums_bootstrap` for one that
        is a function of sums.
    clusters
        Array (rows,): the cluster (patient) that each row belongs to.
    rng
        Where the draws come from.
    draws, level
        Number of resamples, and confidence level.
    undefined_share
        Largest share of draws in which the statistic may be undefined.

    Returns
    -------
    Estimate
        ``n`` counts clusters. Not computed if the statistic is undefined on the data; a value
        without interval, with the reason, if there are fewer than :data:`FEWEST_CLUSTERS`
        clusters, if every draw gives the same value, or if too many draws are undefined.

    Raises
    ------
    ValueError
        If the level or the number of draws is impossible.
    """
    groups = Clusters(np.asarray(clusters))
    if groups.n == 0:
        return not_computed("there are no rows", level=level)
    everything = np.arange(groups.codes.size, dtype=np.intp)
    value = float(statistic(everything))
    if not math.isfinite(value) or groups.n < FEWEST_CLUSTERS:
        return resampled_interval(value, np.empty(0), np.empty(0), groups.n, level=level)
    drawn = np.array(
        [
            float(statistic(groups.rows_of(one)))
            for block in groups.draw(rng, draws)
            for one in block
        ]
    )
    left_out = np.array(
        [float(statistic(everything[groups.codes != cluster])) for cluster in range(groups.n)]
    )
    return resampled_interval(
        value, drawn, left_out, groups.n, level=level, undefined_share=undefined_share
    )


def cluster_sums_bootstrap(
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    rows: ArrayLike,
    clusters: ArrayLike,
    *,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
    undefined_share: float = UNDEFINED_SHARE,
) -> Estimate:
    """A statistic that is a function of sums over rows (mean, ratio, F1): all draws at once.

    Parameters
    ----------
    statistic
        Takes sums (draws, columns) and returns values (draws,); NaN where undefined. Division
        by zero does not warn inside it.
    rows
        Array (rows, columns) of what is summed, for example true positives and positives.
    clusters, rng, draws, level, undefined_share
        As of :func:`cluster_bootstrap`, which gives the same interval from the same ``rng``.

    Returns
    -------
    Estimate
        As of :func:`cluster_bootstrap`.

    Raises
    ------
    ValueError
        If there are not as many labels as rows, or level or draws are impossible.
    """
    table = np.asarray(rows, dtype=np.float64)
    groups = Clusters(np.asarray(clusters))
    if table.ndim != 2 or len(table) != groups.codes.size:
        raise ValueError(f"rows of shape {table.shape} for {groups.codes.size} cluster labels")
    if groups.n == 0:
        return not_computed("there are no rows", level=level)
    sums = groups.sums(table)
    total = sums.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(total[None])[0])
        if not math.isfinite(value) or groups.n < FEWEST_CLUSTERS:
            return resampled_interval(value, np.empty(0), np.empty(0), groups.n, level=level)
        drawn = [
            # One column at a time: a block of all of them at once would not fit the cache.
            statistic(np.stack([column[block].sum(axis=1) for column in sums.T], axis=1))
            for block in groups.draw(rng, draws)
        ]
        left_out = statistic(total - sums)
    return resampled_interval(
        value,
        np.concatenate(drawn) if drawn else np.empty(0),
        left_out,
        groups.n,
        level=level,
        undefined_share=undefined_share,
    )


def cluster_ratio(
    numerator: ArrayLike,
    denominator: ArrayLike,
    clusters: ArrayLike,
    *,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """Sum of ``numerator`` over sum of ``denominator`` (both (rows,)), resampling clusters.

    Parameters, results and errors as of :func:`cluster_sums_bootstrap`.
    """
    rows = np.stack([np.asarray(numerator, float), np.asarray(denominator, float)], axis=1)
    return cluster_sums_bootstrap(
        lambda sums: sums[:, 0] / sums[:, 1], rows, clusters, rng=rng, draws=draws, level=level
    )


def cluster_mean(
    values: ArrayLike,
    clusters: ArrayLike,
    *,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """Mean of the finite ``values`` (rows,), resampling clusters; NaN are left out.

    Parameters, results and errors as of :func:`cluster_sums_bootstrap`.
    """
    numbers = np.asarray(values, dtype=np.float64)
    kept = np.isfinite(numbers)
    labels = np.asarray(clusters)[kept]
    return cluster_ratio(
        numbers[kept], np.ones(len(labels)), labels, rng=rng, draws=draws, level=level
    )


def cluster_proportion(
    successes: ArrayLike,
    trials: ArrayLike,
    clusters: ArrayLike,
    *,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """A proportion of clustered trials, such as the lesions found of all lesions of patients.

    Parameters
    ----------
    successes, trials
        Arrays (rows,) of counts; a boolean per lesion and ones will do.
    clusters, rng, draws, level
        As of :func:`cluster_bootstrap`.

    Returns
    -------
    Estimate
        As of :func:`cluster_ratio`. Where all trials, or none, succeeded, resampling shows no
        spread; then the interval is the exact one of as many trials as there are clusters with
        trials, which assumes that trials of one cluster always share their result.

    Raises
    ------
    ValueError
        If a success count exceeds its trials, or as of :func:`cluster_sums_bootstrap`.
    """
    won = np.asarray(successes, dtype=np.float64)
    tried = np.asarray(trials, dtype=np.float64)
    labels = np.asarray(clusters)
    if ((won < 0) | (won > tried)).any():
        raise ValueError("a row has more successes than trials")
    if tried.sum() > 0 and won.sum() in (0, tried.sum()):
        units = np.unique(labels[tried > 0]).size
        exact = clopper_pearson(units if won.sum() else 0, units, level)
        method = "clopper-pearson, one trial a cluster"
        return Estimate(exact.value, exact.low, exact.high, level, units, method)
    kept = tried > 0
    return cluster_ratio(won[kept], tried[kept], labels[kept], rng=rng, draws=draws, level=level)


def resampled_interval(
    value: float,
    drawn: NDArray[np.float64],
    left_out: NDArray[np.float64],
    n: int,
    *,
    level: float = 0.95,
    undefined_share: float = UNDEFINED_SHARE,
) -> Estimate:
    """The expanded BCa interval from values that were computed elsewhere.

    Parameters
    ----------
    value
        The statistic on the data; NaN if undefined.
    drawn
        Its values (draws,) on resamples of the clusters; NaN where undefined.
    left_out
        Its values (n,) with one cluster left out in turn, for the acceleration.
    n
        Number of clusters.
    level, undefined_share
        As of :func:`cluster_bootstrap`.

    Returns
    -------
    Estimate
        As of :func:`cluster_bootstrap`.

    Raises
    ------
    ValueError
        If the level is not between 0 and 1, or there are clusters but no draws.
    """
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1, got {level}")
    if not math.isfinite(value):
        return not_computed("the statistic is undefined on these data", n=n, level=level)
    if n < FEWEST_CLUSTERS:
        reason = f"{n} clusters are too few to resample (at least {FEWEST_CLUSTERS})"
        return Estimate(value, level=level, n=n, reason=reason)
    if not drawn.size:
        raise ValueError("a bootstrap needs at least one draw")
    defined = drawn[np.isfinite(drawn)]
    undefined = drawn.size - defined.size
    if undefined > undefined_share * drawn.size:
        reason = f"it is undefined in {undefined} of {drawn.size} resamples"
        return Estimate(value, level=level, n=n, reason=reason)
    if defined.max() - defined.min() <= 1e-12 * max(abs(value), 1.0):
        reason = "every resample gives the same value"
        return Estimate(value, level=level, n=n, reason=reason)
    low, high = np.quantile(defined, _tails(value, defined, left_out, n, level))
    method = f"cluster bootstrap, expanded BCa, {drawn.size} draws"
    if undefined:
        method += f", {undefined} undefined"
    return Estimate(value, float(low), float(high), level, n, method)


def _tails(
    value: float, drawn: NDArray[np.float64], left_out: NDArray[np.float64], n: int, level: float
) -> NDArray[np.float64]:
    """Which quantiles of the draws are the ends of the interval."""
    from scipy.special import ndtr, ndtri, stdtrit

    # Ties count half, else a statistic on a coarse lattice looks biased.
    tie = np.isclose(drawn, value, rtol=1e-12, atol=1e-12)
    below = (np.count_nonzero((drawn < value) & ~tie) + 0.5 * np.count_nonzero(tie)) / drawn.size
    bias = ndtri(min(max(below, 0.5 / drawn.size), 1 - 0.5 / drawn.size))
    acceleration = 0.0
    if np.isfinite(left_out).all():
        pull = left_out.mean() - left_out
        spread = float((pull**2).sum()) ** 1.5
        acceleration = float((pull**3).sum()) / (6 * spread) if spread > 0 else 0.0
    reach = math.sqrt(n / (n - 1)) * stdtrit(n - 1, 0.5 + level / 2)
    shifted = bias + np.array([-reach, reach])
    scale = 1 - acceleration * shifted
    # Beyond its pole the transformation has left the distribution: take its end.
    with np.errstate(divide="ignore"):
        moved = np.where(scale > 0, shifted / scale, np.copysign(np.inf, shifted))
    tails: NDArray[np.float64] = ndtr(bias + moved)
    return tails
