"""The mean of a group, or the difference of two, with intervals of resampled patients."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from scalemai.evaluation.subgroups.question import Question
from scalemai.statistics.bootstrap import cluster_mean
from scalemai.statistics.estimate import Estimate, not_computed
from scalemai.statistics.order_statistics import median
from scalemai.statistics.proportions import cluster_proportion, wilson

__all__ = ["Rows"]


class Rows:
    """Values of rows and the patients that they are of.

    Parameters
    ----------
    values
        Array (rows,), finite.
    patients
        Array (rows,).
    binary
        Whether values are 0 or 1.
    question
        Level, draws, seed and minimum.
    unbounded
        Whether values have no bound, as distances have none.
    """

    def __init__(
        self,
        values: NDArray[np.float64],
        patients: NDArray[np.str_],
        binary: bool,
        question: Question,
        *,
        unbounded: bool = False,
    ) -> None:
        self.values, self.patients, self.binary = values, patients, binary
        self._unbounded = unbounded
        self._question = question

    def count(self, chosen: NDArray[np.bool_]) -> int:
        """Number of patients among the chosen rows."""
        return int(np.unique(self.patients[chosen]).size)

    def in_several(self, label: NDArray[np.str_], chosen: NDArray[np.bool_]) -> int:
        """Number of patients among the chosen rows who have more than one label (rows,)."""
        pairs = np.unique(np.stack([self.patients[chosen], label[chosen]]), axis=1)
        return int((np.unique(pairs[0], return_counts=True)[1] > 1).sum())

    def mean(self, chosen: NDArray[np.bool_], name: str, level: float | None = None) -> Estimate:
        """Mean of the chosen rows (rows,), or why there is none.

        ``name`` gives the draws their own stream, so that a group has the same interval
        whichever others are asked for.
        """
        asked = self._question
        level = asked.level if level is None else level
        n = self.count(chosen)
        if n < asked.minimum:
            noun = "patient is" if n == 1 else "patients are"
            return not_computed(
                f"{n} {noun} below the minimum of {asked.minimum}", n=n, level=level
            )
        values, patients = self.values[chosen], self.patients[chosen]
        if self.binary and n == values.size:
            return wilson(int(values.sum()), n, level)
        if self.binary:
            return cluster_proportion(values, np.ones_like(values), patients, level=level)
        stream = int.from_bytes(sha256(name.encode()).digest()[:8], "big")
        rng = np.random.default_rng([asked.seed, stream])
        return cluster_mean(
            values, patients, rng=rng, draws=asked.draws, level=level, unbounded=self._unbounded
        )

    def median(self, chosen: NDArray[np.bool_]) -> Estimate:
        """Median over patients of the chosen rows (rows,), or why there is none."""
        asked, n = self._question, self.count(chosen)
        if self.binary:
            return not_computed("values are yes or no", n=n, level=asked.level)
        if n < asked.minimum:
            return self.mean(chosen, "")
        return median(self.values[chosen], self.patients[chosen], level=asked.level)

    def patient_means(self, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Mean of each patient (patients,) over the chosen rows: independent units."""
        codes = np.unique(self.patients[chosen], return_inverse=True)[1]
        total = np.bincount(codes, self.values[chosen])
        means: NDArray[np.float64] = total / np.bincount(codes)
        return means
