"""Intervals by resampling whole clusters: patients with all their scans and lesions.

Every function here gives the interval of :mod:`scalemai.statistics.bca`, and the same one from the
same ``rng``; they differ in how fast they can evaluate the statistic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalemai.statistics.bca import (
    FEWEST_CLUSTERS,
    FEWEST_UNBOUNDED,
    UNDEFINED_SHARE,
    rarest_seen,
    resampled_interval,
)
from scalemai.statistics.estimate import Estimate, not_computed

__all__ = [
    "Clusters",
    "cluster_bootstrap",
    "cluster_mean",
    "cluster_ratio",
    "cluster_sums_bootstrap",
    "cluster_weights_bootstrap",
    "of_a_mean",
]

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

    def draw(
        self, rng: np.random.Generator, draws: int, width: int = 0
    ) -> Iterator[NDArray[np.intp]]:
        """Blocks (some draws, clusters) of clusters drawn with replacement.

        ``width`` is how many numbers the caller holds for a draw, if more than there are
        clusters. The size of the blocks does not change what is drawn.
        """
        block = max(_BLOCK // max(self.n, width), 1)
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
        without interval, with the reason, if there are too few clusters
        (:data:`~scalemai.statistics.bca.FEWEST_CLUSTERS`), if every draw gives the same value,
        or if too many draws are undefined.

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


def cluster_weights_bootstrap(
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    clusters: ArrayLike,
    *,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
    undefined_share: float = UNDEFINED_SHARE,
) -> Estimate:
    """A statistic that can weight its rows (AUC, average precision): many draws at once.

    Parameters
    ----------
    statistic
        Takes weights (draws, rows), how often each row was drawn, and returns values (draws,);
        NaN where undefined. Division by zero does not warn inside it.
    clusters, rng, draws, level, undefined_share
        As of :func:`cluster_bootstrap`, which gives the same interval from the same ``rng``.

    Returns
    -------
    Estimate
        As of :func:`cluster_bootstrap`.

    Raises
    ------
    ValueError
        As of :func:`cluster_bootstrap`.
    """
    groups = Clusters(np.asarray(clusters))
    rows = groups.codes.size
    if rows == 0:
        return not_computed("there are no rows", level=level)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(np.ones((1, rows)))[0])
        if not math.isfinite(value) or groups.n < FEWEST_CLUSTERS:
            return resampled_interval(value, np.empty(0), np.empty(0), groups.n, level=level)
        drawn = [
            statistic(_times_drawn(block, groups.n)[:, groups.codes])
            for block in groups.draw(rng, draws, rows)
        ]
        step = max(_BLOCK // rows, 1)
        left_out = [
            statistic((groups.codes != some[:, None]).astype(np.float64))
            for some in np.split(np.arange(groups.n), range(step, groups.n, step))
        ]
    return resampled_interval(
        value,
        np.concatenate(drawn) if drawn else np.empty(0),
        np.concatenate(left_out),
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
    unbounded: bool = False,
) -> Estimate:
    """Mean of the finite ``values`` (rows,), resampling clusters; NaN are left out.

    Parameters
    ----------
    values, clusters, rng, draws, level
        As of :func:`cluster_sums_bootstrap`.
    unbounded
        Whether values have no upper bound, as distances do; then an interval takes
        :data:`~scalemai.statistics.bca.FEWEST_UNBOUNDED` clusters.

    Returns
    -------
    Estimate
        As of :func:`cluster_sums_bootstrap`; the method says which failures the sample may lack.
        Where there are too few clusters for an interval,
        :func:`~scalemai.statistics.order_statistics.median` has one.

    Raises
    ------
    ValueError
        As of :func:`cluster_sums_bootstrap`.
    """
    numbers = np.asarray(values, dtype=np.float64)
    kept = np.isfinite(numbers)
    labels = np.asarray(clusters)[kept]
    found = cluster_ratio(
        numbers[kept], np.ones(len(labels)), labels, rng=rng, draws=draws, level=level
    )
    return of_a_mean(found, unbounded=unbounded)


def of_a_mean(found: Estimate, *, unbounded: bool = False) -> Estimate:
    """A resampled mean with what is to be known of it, or without the interval it cannot have.

    Parameters
    ----------
    found
        The mean with the interval of :func:`~scalemai.statistics.bca.resampled_interval`.
    unbounded
        As of :func:`cluster_mean`.
    """
    fewest = FEWEST_UNBOUNDED if unbounded else FEWEST_CLUSTERS
    if found.value is not None and found.n < fewest:
        what = "of a measure without bound " if unbounded else ""
        who = "1 patient is" if found.n == 1 else f"{found.n} patients are"
        reason = f"{who} too few for the interval of a mean {what}(at least {fewest})"
        return replace(found, low=None, high=None, method="", reason=reason)
    if found.low is None:
        return found
    rare = 100 * rarest_seen(found.n)
    return replace(found, method=f"{found.method}, blind to failures rarer than {rare:.2g} %")


def _times_drawn(block: NDArray[np.intp], n: int) -> NDArray[np.float64]:
    """How often (draws, clusters) each cluster is in each draw of a block."""
    flat = block + n * np.arange(len(block))[:, None]
    counts = np.bincount(flat.ravel(), minlength=n * len(block))
    return counts.reshape(len(block), n).astype(np.float64)
