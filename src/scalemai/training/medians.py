"""The median of an organ's attenuation after a part of it has changed, without reading the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["changed_median"]

_LOWEST_HU, _NUMBERS = -1024, 4096  # of CT, 12 bits


def changed_median(
    count: int,
    quantiles: NDArray[np.floating[Any]],
    *,
    old: NDArray[np.integer[Any]],
    new: NDArray[np.integer[Any]],
) -> float:
    """Median of many values, some of which are replaced by others.

    Parameters
    ----------
    count
        Number of all values before.
    quantiles
        Theirs, at equal steps from 0 to 1, in HU.
    old, new
        Values that go, and those that come in their place; they may differ in number.

    Returns
    -------
    float
        In whole HU.
    """
    numbers = np.arange(_LOWEST_HU, _LOWEST_HU + _NUMBERS)
    shares = np.linspace(0.0, 1.0, quantiles.size)
    below = count * np.interp(numbers, np.clip(quantiles, numbers[0], numbers[-1]), shares)
    below += np.cumsum(_counted(new) - _counted(old))
    return float(numbers[int(np.argmax(below >= 0.5 * below[-1]))])


def _counted(values: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    bins = np.clip(values.astype(np.int32) - _LOWEST_HU, 0, _NUMBERS - 1)
    return np.bincount(bins.ravel(), minlength=_NUMBERS)
