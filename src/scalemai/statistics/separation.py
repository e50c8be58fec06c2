"""Whether a logistic or linear model can be fitted at all, and if not, why."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["collinear_column", "separated"]

_Floats = NDArray[np.float64]


def collinear_column(design: _Floats, names: Sequence[str]) -> str | None:
    """The first column that those before it determine, by name; None if there is none.

    Parameters
    ----------
    design
        Array (n, k).
    names
        Of the columns.
    """
    scale = np.maximum(np.abs(design).max(axis=0, initial=0.0), 1e-300)
    scaled = design / scale
    rank = 0
    for column in range(design.shape[1]):
        now = int(np.linalg.matrix_rank(scaled[:, : column + 1]))
        if now == rank:
            return names[column]
        rank = now
    return None


def separated(outcome: NDArray[np.bool_], design: _Floats) -> bool:
    """Whether some combination of columns predicts a yes-or-no outcome without error.

    Then the likelihood has no maximum: a coefficient runs to infinity, and what a program
    prints is where it stopped. Decided exactly, by linear programming (Konis, thesis, Oxford
    2007), also where only some rows are predicted (quasi-complete separation).

    Parameters
    ----------
    outcome
        Array (n,).
    design
        Array (n, k) of full column rank, with its constant.
    """
    from scipy.optimize import linprog

    signed = np.where(outcome, 1.0, -1.0)[:, None] * design / np.abs(design).max(axis=0)
    signed = np.unique(signed, axis=0)
    found = linprog(
        -signed.sum(axis=0),
        A_ub=-signed,
        b_ub=np.zeros(len(signed)),
        bounds=(-1, 1),
        method="highs",
    )
    return bool(-found.fun > 1e-7)
