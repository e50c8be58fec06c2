"""Equivalence of two proportions on the same units, of which patients have several."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from scalemai.statistics.equivalence import Equivalence, tost_paired_proportions
from scalemai.statistics.proportions import PairedCounts
from scalemai.statistics.resampled_tests import resample

__all__ = ["tost_clustered_proportions"]


def tost_clustered_proportions(
    first: ArrayLike,
    second: ArrayLike,
    clusters: ArrayLike,
    margin: float,
    *,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.05,
) -> Equivalence:
    """Are two proportions equal within ``margin``?

    Parameters
    ----------
    first, second
        Arrays (rows,) of booleans: on which units each succeeded.
    clusters
        Array (rows,): the patient of each unit.
    margin
        Largest difference of proportions that does not matter, between 0 and 1.
    rng, draws
        Resamples of patients.
    level
        Level of each one-sided test.

    Returns
    -------
    Equivalence
        With one unit a patient, that of
        :func:`~scalemai.statistics.equivalence.tost_paired_proportions`. Else of resampled
        patients (:class:`~scalemai.statistics.resampled_tests.Resampled`): t tests with the
        variance between patients call 8 % of differences of just the margin equivalent, as rare
        failures are skewed. Where no unit tells the two apart, Tango's test as if units of one
        patient always shared their result. Not computed with few patients.

    Raises
    ------
    ValueError
        If lengths differ or margin or level is impossible.
    """
    a, b = np.asarray(first, np.bool_), np.asarray(second, np.bool_)
    code = np.unique(np.asarray(clusters), return_inverse=True)[1]
    if not a.shape == b.shape == code.shape:
        raise ValueError(f"rows do not agree: {a.shape}, {b.shape}, {code.shape}")
    if not 0 < margin < 1 or not 0 < level < 0.5:
        raise ValueError(f"margin {margin} and level {level}: impossible")
    n = int(code.max()) + 1 if code.size else 0
    if n == code.size:
        counts = PairedCounts(*(int(x.sum()) for x in (a & b, a & ~b, ~a & b, ~a & ~b)))
        return tost_paired_proportions(counts, margin, level=level)
    apart = a.astype(np.float64) - b
    if not apart.any():
        return tost_paired_proportions(PairedCounts(n, 0, 0, 0), margin, level=level)
    (found,) = resample(
        lambda weight: (weight @ apart / weight.sum(axis=1))[:, None], code, rng=rng, draws=draws
    )
    return found.tost(margin, level=level)
