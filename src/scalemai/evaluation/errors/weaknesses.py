"""The distinct weaknesses among overlapping cells.

If small tumors of the tail are missed, then so are many small ones, and many of the tail. The worst
cell is taken, its rows are set aside, and the next is the worst of what is left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalemai.evaluation.errors.cells import Cell, Cells

__all__ = ["Weakness", "distinct_weaknesses"]

_MOST = 10


@dataclass(frozen=True, eq=False)
class Weakness:
    """A cell with more errors than the rest, once the weaknesses before it are set aside.

    Parameters
    ----------
    cell
        The cell, with all its rows.
    n, errors
        Rows and errors that are not in weaknesses before it.
    excess
        Errors beyond those at the rate of all rows that are left.
    p_holm
        That its rate is not higher than that of the other rows left (Fisher's exact test,
        one-sided), times the number of cells: what was looked for is the worst of all.
    """

    cell: Cell
    n: int
    errors: int
    excess: float
    p_holm: float


def distinct_weaknesses(cells: Cells, *, level: float = 0.95) -> tuple[Weakness, ...]:
    """Find the weaknesses one after another, until what is left differs by chance only.

    Parameters
    ----------
    cells
        The cells of a table.
    level
        One minus the level of the test.
    """
    from scipy.stats import hypergeom

    left = np.ones(cells.errors.size, dtype=np.bool_)
    tested = cells.tested
    found: list[Weakness] = []
    while len(found) < _MOST and left.any():
        rate = float(cells.errors[left].mean())
        best: Weakness | None = None
        for cell in tested:
            inside = cell.inside & left
            n, errors = int(inside.sum()), int((cells.errors & inside).sum())
            excess = errors - rate * n
            if n < cells.fewest or (best is not None and excess <= best.excess + 1e-9):
                continue
            total, wrong = int(left.sum()), int((cells.errors & left).sum())
            p = float(hypergeom.sf(errors - 1, total, wrong, n))
            best = Weakness(cell, n, errors, excess, min(1.0, p * len(tested)))
        if best is None or best.p_holm > 1 - level or best.excess <= 0:
            break
        found.append(best)
        left &= ~best.cell.inside
    return tuple(found)
