"""Two counts on the same patients: an exact test where a patient has several units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["SignFlipTest", "sign_flip"]


@dataclass(frozen=True, slots=True)
class SignFlipTest:
    """Whether one of two methods succeeds more often, patient by patient.

    Parameters
    ----------
    p_exact, p_mid
        Two-sided p-value, and its mid-p; None if no patient differs.
    reason
        Why there are none.
    """

    p_exact: float | None
    p_mid: float | None
    reason: str = ""


def sign_flip(differences: ArrayLike) -> SignFlipTest:
    """Test whether the two methods could be exchanged in each patient.

    Parameters
    ----------
    differences
        Array (patients,) of whole numbers: successes of the first minus those of the second.

    Returns
    -------
    SignFlipTest
        From the exact distribution of the sum when the sign of each patient is tossed (Fisher,
        The Design of Experiments, 1935, section 21). If every patient has one unit it is
        McNemar's exact test.

    Raises
    ------
    ValueError
        If a difference is no whole number.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or not np.array_equal(values, np.round(values)):
        raise ValueError("differences of counts are whole numbers, one a patient")
    sizes = np.abs(values[values != 0]).astype(np.intp)
    if not sizes.size:
        return SignFlipTest(None, None, "the two do not differ in any patient")
    chance = np.zeros(int(sizes.sum()) + 1)
    chance[0] = 1.0
    reach = 0
    for size in sizes:
        moved = chance[: reach + 1] / 2
        chance[: reach + 1] = moved
        reach += int(size)
        chance[size : reach + 1] += moved
    up = int(values[values > 0].sum())
    fewer = min(up, reach - up)
    below = float(chance[: fewer + 1].sum())
    exact = min(1.0, 2 * below)
    if 2 * fewer == reach:
        # Both tails meet in the middle; its probability must not be taken twice.
        return SignFlipTest(exact, 1.0 - float(chance[fewer]))
    return SignFlipTest(exact, exact - float(chance[fewer]))
