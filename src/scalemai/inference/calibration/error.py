"""How far probabilities are from the shares of positives that they foretell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalemai.evaluation.report.charts import ReliabilityBin
from scalemai.statistics.bootstrap import cluster_bootstrap
from scalemai.statistics.estimate import Estimate
from scalemai.statistics.proportions import cluster_proportion

__all__ = ["calibration_error", "reliability_bins"]

_BINS = 10
_FEWEST = 5  # rows of a bin; author's choice


def calibration_error(
    probability: NDArray[np.float64],
    positive: NDArray[np.bool_],
    patient: NDArray[np.str_],
    *,
    rng: np.random.Generator,
    draws: int = 1000,
    level: float = 0.95,
) -> Estimate:
    """Expected calibration error: mean distance of probability and share of positives, over bins.

    Parameters
    ----------
    probability, positive, patient
        Arrays (n,): what was foretold, what was there, and of whom.
    rng, draws, level
        Of the interval, which resamples patients.

    Returns
    -------
    Estimate
        Of ten bins with equal numbers of rows, fewer if there are less than 50 rows (Naeini et
        al., AAAI 2015, take bins of equal width, most of which stay empty for rare lesions). It
        is above 0 even for perfect probabilities, the more so the fewer rows there are.
    """
    seen = positive.astype(np.float64)

    def error(rows: NDArray[np.intp]) -> float:
        return float(
            sum(
                abs(probability[one].sum() - seen[one].sum())
                for one in _bins(probability[rows], rows)
            )
            / rows.size
        )

    return cluster_bootstrap(error, patient, rng=rng, draws=draws, level=level)


def reliability_bins(
    probability: NDArray[np.float64],
    positive: NDArray[np.bool_],
    patient: NDArray[np.str_],
    *,
    level: float = 0.95,
) -> list[ReliabilityBin]:
    """The bins of :func:`calibration_error`, for a chart. Parameters as there."""
    rows = np.arange(probability.size, dtype=np.intp)
    return [
        ReliabilityBin(
            float(probability[one].mean()),
            cluster_proportion(positive[one], np.ones(one.size), patient[one], level=level),
        )
        for one in _bins(probability, rows)
    ]


def _bins(probability: NDArray[np.float64], rows: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Rows by ascending probability, in parts of equal size."""
    number = int(np.clip(rows.size // _FEWEST, 1, _BINS))
    order = np.argsort(probability, kind="stable")
    return [part for part in np.array_split(rows[order], number) if part.size]
