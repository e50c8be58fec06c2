"""The figures of one reader, and how each would change without each case.

Real is the positive class: sensitivity is the share of real cases called real, specificity the
share of synthetic cases called synthetic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalemai.evaluation.reading.reads import Reads
from scalemai.statistics.estimate import Estimate

__all__ = ["FIGURES", "Counts", "figure_without_each_case", "rating", "reader_counts"]

_Floats = NDArray[np.float64]

FIGURES = (
    "accuracy", "sensitivity", "specificity", "balanced_accuracy", "d_prime", "criterion", "auc",
)  # fmt: skip
"""What is estimated of each reader and of all; the columns of the definitions."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Answers of one reader: real cases called real, synthetic cases called synthetic."""

    real_correct: int
    real: int
    synthetic_correct: int
    synthetic: int


def reader_counts(reads: Reads, reader: int) -> Counts:
    """Count the answers of reader number ``reader``."""
    answer, real = reads.answer[reader], reads.real
    return Counts(
        int(((answer == 1) & real).sum()),
        int(((answer >= 0) & real).sum()),
        int(((answer == 0) & ~real).sum()),
        int(((answer >= 0) & ~real).sum()),
    )


def rating(reads: Reads, reader: int) -> _Floats:
    """How real each case (cases,) looked: -5 surely synthetic to 5 surely real; NaN if unknown."""
    sign = np.where(reads.answer[reader] == 1, 1.0, -1.0)
    known = reads.answer[reader] >= 0
    return np.where(known, sign * reads.confidence[reader], np.nan)


def figure_without_each_case(reads: Reads, name: str) -> tuple[_Floats, _Floats]:
    """A figure of every reader, and without each case.

    Parameters
    ----------
    reads
        The study.
    name
        One of :data:`FIGURES`.

    Returns
    -------
    tuple
        Arrays (readers,) and (cases, readers); NaN where a reader has no such figure.
    """
    if name == "auc":
        found = [_auc(reads.real, rating(reads, k)) for k in range(len(reads.readers))]
        return np.array([one[0] for one in found]), np.stack([one[1] for one in found], axis=1)
    read, real = (reads.answer >= 0).T.astype(float), reads.real[:, None]
    right = ((reads.answer == 1).T & real) + 0.0
    refused = ((reads.answer == 0).T & ~real) + 0.0
    each = np.stack([right, read * real, refused, read * ~real])
    total = each.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _figure(name, total), _figure(name, total[:, None] - each)


def _figure(name: str, counts: _Floats) -> _Floats:
    """Of counts (4, ...) as of :class:`Counts`; NaN where undefined."""
    from scipy.special import ndtri

    right, real, refused, synthetic = counts
    if name == "accuracy":
        return np.asarray((right + refused) / (real + synthetic))
    if name == "sensitivity":
        return np.asarray(right / real)
    if name == "specificity":
        return np.asarray(refused / synthetic)
    if name == "balanced_accuracy":
        return np.asarray((right / real + refused / synthetic) / 2)
    gone = np.where((real > 0) & (synthetic > 0), 0.0, np.nan)
    hit = ndtri((right + 0.5) / (real + 1))
    alarm = ndtri((synthetic - refused + 0.5) / (synthetic + 1))
    return np.asarray((hit - alarm if name == "d_prime" else -(hit + alarm) / 2) + gone)


def _auc(real: NDArray[np.bool_], rated: _Floats) -> tuple[float, _Floats]:
    """Area, and without each case (cases,)."""
    known = np.isfinite(rated)
    high, low = rated[known & real], rated[known & ~real]
    m, n = high.size, low.size
    without = np.full(real.size, np.nan)
    if m < 2 or n < 2:
        return np.nan, without
    wins = np.subtract.outer(high, low)
    wins = (wins > 0) + 0.5 * (wins == 0)
    total = float(wins.sum())
    without[:] = total / (m * n)
    without[known & real] = (total - wins.sum(axis=1)) / ((m - 1) * n)
    without[known & ~real] = (total - wins.sum(axis=0)) / (m * (n - 1))
    return total / (m * n), without


def halved(contrast: Estimate) -> Estimate:
    """Balanced accuracy from sensitivity minus false positive rate, with its limits."""
    if contrast.value is None or contrast.low is None or contrast.high is None:
        return contrast
    value, low, high = ((1 + one) / 2 for one in (contrast.value, contrast.low, contrast.high))
    return Estimate(value, low, high, contrast.level, contrast.n, contrast.method)
