"""Tests that agree with intervals from resampled clusters, for numbers without a formula.

The p-value is one minus the highest level at which the interval still excludes the hypothesis:
"different" and "the interval excludes zero" are then one statement. Draws of one resample serve all
numbers, intervals and tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalemai.statistics.bca import FEWEST_CLUSTERS, resampled_interval
from scalemai.statistics.bootstrap import Clusters
from scalemai.statistics.equivalence import Equivalence
from scalemai.statistics.estimate import Estimate

__all__ = ["Resampled", "resample"]

_Floats = NDArray[np.float64]
_BLOCK = 4_000_000
_STEPS = 40


@dataclass(frozen=True, eq=False, slots=True)
class Resampled:
    """One number on the data and on resamples of the clusters.

    Parameters
    ----------
    value
        On the data; NaN if undefined.
    drawn
        Array (draws,), on resamples; empty if there are too few clusters.
    left_out
        Array (n,), with one cluster left out in turn.
    n
        Number of clusters.
    """

    value: float
    drawn: _Floats
    left_out: _Floats
    n: int

    def interval(self, level: float = 0.95) -> Estimate:
        """The interval of :func:`scalemai.statistics.bca.resampled_interval`."""
        return resampled_interval(self.value, self.drawn, self.left_out, self.n, level=level)

    def p(self, null: float = 0.0) -> float | None:
        """Two-sided p-value of the hypothesis that the number is ``null``.

        None where there is no interval.
        """
        sides = self._beyond(null, above=True), self._beyond(null, above=False)
        known = [one for one in sides if one is not None]
        return min(1.0, 2 * min(known)) if known else None

    def tost(self, margin: float, *, level: float = 0.05) -> Equivalence:
        """Is the number, a difference, within ``margin`` of zero?

        Raises
        ------
        ValueError
            If margin or level is impossible.
        """
        if not 0 < margin < math.inf or not 0 < level < 0.5:
            raise ValueError(f"margin {margin} and level {level}: impossible")
        interval = self.interval(1 - 2 * level)
        low, high = self._beyond(-margin, above=True), self._beyond(margin, above=False)
        if low is None or high is None:
            return Equivalence(None, None, None, None, interval, margin, level)
        return Equivalence(max(low, high), low, high, self.p(), interval, margin, level)

    def _beyond(self, null: float, *, above: bool) -> float | None:
        """One-sided p-value of the hypothesis that the number is not above (below) ``null``."""
        if self.interval().low is None:
            return None
        tail = self._tail(null, above=above)
        if tail is not None:
            return tail
        other = self._tail(null, above=not above)
        return 0.5 if other is None else 1 - other

    def _tail(self, null: float, *, above: bool) -> float | None:
        """Smallest tail whose interval lies above (below) ``null``; None if it is a half."""

        def excludes(tail: float) -> bool:
            found = self.interval(1 - 2 * tail)
            end = found.low if above else found.high
            return end is not None and (end > null if above else end < null)

        least, most = 1 / (self.drawn.size + 1), 0.5 - 1e-9
        if excludes(least):
            return min(least, self._far(abs(self.value - null)))
        if not excludes(most):
            return None
        for _ in range(_STEPS):  # ends move outwards with the level, so that halving finds it
            middle = (least + most) / 2
            least, most = (least, middle) if excludes(middle) else (middle, most)
        return most

    def _far(self, distance: float) -> float:
        """Tail beyond all draws, of Student's t with their standard deviation.

        Without it, no p-value were below one over the number of draws, and a correction for many
        pairs would find nothing however far apart they are.
        """
        from scipy.special import stdtr

        spread = float(np.nanstd(self.drawn, ddof=1))
        return float(stdtr(self.n - 1, -distance / spread))


def resample(
    statistic: Callable[[_Floats], _Floats],
    clusters: ArrayLike,
    *,
    rng: np.random.Generator,
    draws: int = 2000,
) -> tuple[Resampled, ...]:
    """Several numbers on the same resamples of clusters.

    Parameters
    ----------
    statistic
        Takes weights (draws, rows), how often each row was drawn, and returns (draws, numbers);
        NaN where undefined. Division by zero does not warn inside it.
    clusters
        Array (rows,): the patient of each row.
    rng, draws
        Where resamples come from, and how many.

    Returns
    -------
    tuple of Resampled
        One for each number.

    Raises
    ------
    ValueError
        If there are no rows.
    """
    groups = Clusters(np.asarray(clusters))
    rows = groups.codes.size
    if not rows:
        raise ValueError("there are no rows to resample")
    with np.errstate(divide="ignore", invalid="ignore"):
        values = statistic(np.ones((1, rows)))[0]
        drawn, left_out = np.empty((0, values.size)), np.empty((0, values.size))
        if groups.n >= FEWEST_CLUSTERS:
            drawn = np.concatenate(
                [
                    statistic(_times(block, groups.n)[:, groups.codes])
                    for block in groups.draw(rng, draws, rows)
                ]
            )
            step = max(_BLOCK // rows, 1)
            left_out = np.concatenate(
                [
                    statistic((groups.codes != some[:, None]).astype(np.float64))
                    for some in np.split(np.arange(groups.n), range(step, groups.n, step))
                ]
            )
    return tuple(
        Resampled(float(value), drawn[:, column], left_out[:, column], groups.n)
        for column, value in enumerate(values)
    )


def _times(block: NDArray[np.intp], n: int) -> _Floats:
    """How often (draws, clusters) each cluster is in each draw of a block."""
    flat = block + n * np.arange(len(block))[:, None]
    counts = np.bincount(flat.ravel(), minlength=n * len(block))
    return counts.reshape(len(block), n).astype(np.float64)
