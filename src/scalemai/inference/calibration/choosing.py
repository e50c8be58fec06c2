"""Which map: the one with the lowest log loss on patients that it was not fitted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from scalemai.evaluation.report.charts import ReliabilityBin
from scalemai.inference.calibration.error import calibration_error, reliability_bins
from scalemai.inference.calibration.fitting import fit_map
from scalemai.inference.calibration.maps import METHODS, CalibrationMap, Method
from scalemai.statistics.bootstrap import cluster_mean
from scalemai.statistics.estimate import Estimate

__all__ = ["FEWEST", "Choice", "choose_map"]

FEWEST = 10
"""Patients with a positive, and with a negative, below which no map is fitted (author's choice:
five parts with two of each)."""

_PARTS = 5
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Choice:
    """A map, and what it was chosen by.

    Parameters
    ----------
    positives, negatives
        Numbers of rows.
    chosen
        The map, fitted to all rows; None if there are too few.
    reason
        Why there is none; ends the sentence "not computed because ...".
    log_loss, error
        By method: mean log loss and expected calibration error on patients that were left out of
        the fit.
    bins
        By method: bins of a reliability diagram on patients that were left out.
    """

    positives: int
    negatives: int
    chosen: CalibrationMap | None
    reason: str = ""
    log_loss: Mapping[Method, Estimate] = field(default_factory=dict)
    error: Mapping[Method, Estimate] = field(default_factory=dict)
    bins: Mapping[Method, Sequence[ReliabilityBin]] = field(default_factory=dict)


def choose_map(
    score: NDArray[np.float64],
    positive: NDArray[np.bool_],
    patient: NDArray[np.str_],
    *,
    seed: int = 0,
    draws: int = 1000,
    level: float = 0.95,
) -> Choice:
    """Fit all maps, and choose one.

    Parameters
    ----------
    score
        Array (n,) of scores in [0, 1].
    positive, patient
        Arrays (n,): what each is of, and of whom. All rows of a patient are left out together.
    seed
        Of the parts that patients are divided into, and of the intervals.
    draws, level
        Of the intervals.
    """
    positives, negatives = int(positive.sum()), int((~positive).sum())
    with_each = [np.unique(patient[positive == kind]).size for kind in (True, False)]
    for number, kind in zip(with_each, ("positive", "negative"), strict=True):
        if number < FEWEST:
            reason = f"only {number} patients have a {kind}, and {FEWEST} are needed"
            return Choice(positives, negatives, None, reason)
    streams = np.random.default_rng(seed).spawn(2 * len(METHODS) + 1)
    folds = StratifiedGroupKFold(_PARTS, shuffle=True, random_state=int(seed))
    losses, errors, bins = {}, {}, {}
    parts = list(folds.split(score, positive, patient))
    if any(np.unique(positive[rest]).size < 2 for rest, _ in parts):
        reason = "positives or negatives are all of a few patients"
        return Choice(positives, negatives, None, reason)
    for number, method in enumerate(METHODS):
        foretold = np.empty(score.size)
        for rest, out in parts:
            foretold[out] = fit_map(method, score[rest], positive[rest])(score[out])
        right = np.where(positive, foretold, 1.0 - foretold)
        losses[method] = cluster_mean(
            -np.log(np.clip(right, _TINY, 1.0)),
            patient,
            rng=streams[number],
            draws=draws,
            level=level,
        )
        rng = streams[len(METHODS) + number]
        errors[method] = calibration_error(
            foretold, positive, patient, rng=rng, draws=draws, level=level
        )
        bins[method] = reliability_bins(foretold, positive, patient, level=level)
    best = min(METHODS, key=lambda name: _value(losses[name]))
    chosen = fit_map(best, score, positive)
    return Choice(positives, negatives, chosen, "", losses, errors, bins)


def _value(estimate: Estimate) -> float:
    return float("inf") if estimate.value is None else estimate.value
