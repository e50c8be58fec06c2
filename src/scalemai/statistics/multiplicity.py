"""Many tests at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["holm"]


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Holm's adjusted p-values: compare them with the level for all tests together.

    Parameters
    ----------
    p
        Array (m,) of p-values, between 0 and 1. A hypothesis that could not be tested still
        belongs to the family: give it p = 1.

    Returns
    -------
    ndarray
        Array (m,), in the order of ``p``, at most 1. The chance of any false rejection at
        level alpha is at most alpha, whatever the dependence.

    Raises
    ------
    ValueError
        If a p-value is missing or impossible.

    Notes
    -----
    Holm, Scand J Stat 1979;6:65.
    """
    values = np.asarray(p, dtype=np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError("p-values are numbers from 0 to 1, in one row")
    order = np.argsort(values, kind="stable")
    steps = np.arange(values.size, 0, -1) * values[order]
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted
