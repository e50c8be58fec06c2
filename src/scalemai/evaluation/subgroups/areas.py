"""Groups of patients by detection: areas under ROC curves, false positives per scan."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalemai.evaluation.subgroups.estimates import Rows
from scalemai.evaluation.subgroups.question import Question
from scalemai.statistics.clustered_auc import auc_clustered
from scalemai.statistics.clustered_rates import clustered_rate
from scalemai.statistics.estimate import Estimate, not_computed
from scalemai.statistics.roc import auc_delong

__all__ = ["NO_TEST", "Areas", "Counts"]

NO_TEST = (
    "an area belongs to a group, not to a patient; whether groups differ is told by the interval "
    "of the largest gap, which holds for all pairs together"
)
"""Why there is no rank test."""


class Areas(Rows):
    """Scores of rows, what the reference says of them, and the patients that they are of.

    Parameters
    ----------
    scores, patients
        Arrays (rows,).
    positive
        Array (rows,).
    question
        Level and minimum, which both the patients with and those without the lesion must reach.
    """

    def __init__(
        self,
        scores: NDArray[np.float64],
        patients: NDArray[np.str_],
        positive: NDArray[np.bool_],
        question: Question,
    ) -> None:
        super().__init__(scores, patients, False, question)
        self._positive, self._asked = positive, question

    def mean(self, chosen: NDArray[np.bool_], name: str, level: float | None = None) -> Estimate:
        """Area of the chosen rows (rows,), or why there is none; ``name`` is not needed."""
        level = self._asked.level if level is None else level
        n, fewest = self.count(chosen), self._asked.minimum
        for kind, mask in (("with", self._positive), ("without", ~self._positive)):
            there = self.count(chosen & mask)
            if there < fewest:
                noun = "patient" if there == 1 else "patients"
                reason = f"{there} {noun} {kind} the lesion, below the minimum of {fewest}"
                return not_computed(reason, n=n, level=level)
        positive, scores = self._positive[chosen], self.values[chosen]
        if n == scores.size:
            return auc_delong(positive, scores, level)
        return auc_clustered(positive, scores, self.patients[chosen], level)

    def median(self, chosen: NDArray[np.bool_]) -> Estimate:
        """None: an area is no mean."""
        n, level = self.count(chosen), self._asked.level
        return not_computed("an area has no median", n=n, level=level)


class Counts(Rows):
    """Numbers of events of scans, and the patients that they are of."""

    def __init__(
        self, counts: NDArray[np.float64], patients: NDArray[np.str_], question: Question
    ) -> None:
        super().__init__(counts, patients, False, question)
        self._asked = question

    def mean(self, chosen: NDArray[np.bool_], name: str, level: float | None = None) -> Estimate:
        """Events per chosen scan (rows,), or why there is none; ``name`` is not needed."""
        level = self._asked.level if level is None else level
        n = self.count(chosen)
        if n < self._asked.minimum:
            noun = "patient is" if n == 1 else "patients are"
            reason = f"{n} {noun} below the minimum of {self._asked.minimum}"
            return not_computed(reason, n=n, level=level)
        return clustered_rate(self.values[chosen], self.patients[chosen], level)
