"""How often it errs by one factor, or by several together, ranked by the errors in excess.

The errors in excess of a cell are those beyond what the rate of all would give: they say what there
is to gain, which neither a high rate among few nor many errors at a usual rate does.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalemai.errors import ConfigError
from scalemai.evaluation.errors.factors import Factors, Flags
from scalemai.statistics.estimate import Estimate, not_computed
from scalemai.statistics.multiplicity import holm
from scalemai.statistics.proportions import cluster_proportion, wilson

__all__ = ["FEWEST", "Cell", "Cells", "cell_frame", "count_cells"]

FEWEST = 10
"""Fewest rows that a cell is computed of: the interval of 5 of 10 is 24 to 76 % (author's
choice)."""


@dataclass(frozen=True, eq=False)
class Cell:
    """Rows that share the values of some factors.

    Parameters
    ----------
    where
        Factor and value, in the order of the factors.
    n, patients, errors
        Numbers of rows, of their patients, and of errors among them.
    rate
        Share of errors. Wilson's interval if every patient has one row here; else patients are
        resampled.
    excess
        Errors beyond those at the rate of all rows.
    p, p_holm
        That the rate here is not higher than elsewhere: Fisher's exact test, one-sided, rows
        taken as independent; and adjusted for all cells by Holm. None below the fewest rows.
    inside
        Array (rows,): which rows.
    """

    where: tuple[tuple[str, str], ...]
    n: int
    patients: int
    errors: int
    rate: Estimate
    excess: float
    p: float | None
    p_holm: float | None
    inside: Flags

    def __str__(self) -> str:
        return ", ".join(f"{factor} {value}" for factor, value in self.where)


@dataclass(frozen=True, eq=False)
class Cells:
    """All cells of a table, the most errors in excess first.

    Parameters
    ----------
    cells
        Those with enough rows by excess, then those of one factor with too few.
    overall
        The rate of all rows.
    errors
        Array (rows,): which rows are errors.
    patients
        Array (rows,): number of the patient.
    fewest
        Rows below which no rate is computed.
    """

    cells: tuple[Cell, ...]
    overall: Estimate
    errors: Flags
    patients: NDArray[np.intp]
    fewest: int

    @property
    def tested(self) -> tuple[Cell, ...]:
        """The cells with enough rows."""
        return tuple(cell for cell in self.cells if cell.p is not None)


def count_cells(
    factors: Factors,
    error: str,
    *,
    together: int = 3,
    fewest: int = FEWEST,
    level: float = 0.95,
) -> Cells:
    """Count errors in all cells of one factor, and of up to some factors together.

    Parameters
    ----------
    factors
        The rows, with a column ``patient``.
    error
        Column that says which rows are errors.
    together
        Most factors together.
    fewest
        Fewest rows of a cell. Cells of several factors with fewer are left out; so are those
        that hold the same rows as a cell of fewer factors.
    level
        Confidence level.

    Raises
    ------
    ConfigError
        If ``together`` or ``fewest`` is below 1.
    """
    for name, value in (("together", together), ("fewest", fewest)):
        if value < 1:
            raise ConfigError(f"{value} is impossible", where=name, fix="give 1 or more")
    errors = factors.frame[error].to_numpy().astype(np.bool_)
    patients = np.unique(factors.frame["patient"].to_numpy().astype(str), return_inverse=True)[1]
    found: list[tuple[tuple[tuple[str, str], ...], Flags]] = []
    seen: set[bytes] = set()
    for where, inside in _cells(factors, together, fewest):
        key = np.packbits(inside).tobytes()
        if len(where) > 1 and key in seen:
            continue
        seen.add(key)
        found.append((where, inside))
    enough = [place for place, (_, inside) in enumerate(found) if inside.sum() >= fewest]
    raw = _higher_there(errors, [found[place][1] for place in enough])
    p = dict(zip(enough, zip(raw.tolist(), holm(raw).tolist(), strict=True), strict=True))
    everywhere = float(errors.mean()) if errors.size else 0.0
    cells = [
        Cell(
            where,
            int(inside.sum()),
            int(np.unique(patients[inside]).size),
            int(errors[inside].sum()),
            _rate(errors[inside], patients[inside], fewest, level),
            float(errors[inside].sum() - everywhere * inside.sum()),
            *p.get(place, (None, None)),
            inside,
        )
        for place, (where, inside) in enumerate(found)
    ]
    # Of equal ones, the fewest factors and then the name decide, so that the order is the same.
    cells.sort(
        key=lambda cell: (cell.p is None, -round(cell.excess, 9), len(cell.where), str(cell))
    )
    overall = _rate(errors, patients, 1, level)
    return Cells(tuple(cells), overall, errors, patients.astype(np.intp), fewest)


def _cells(
    factors: Factors, together: int, fewest: int
) -> Iterator[tuple[tuple[tuple[str, str], ...], Flags]]:
    names = tuple(factors.classes)
    for order in range(1, min(together, len(names)) + 1):
        for chosen in itertools.combinations(names, order):
            for values in itertools.product(*(factors.classes[name].items() for name in chosen)):
                both = np.logical_and.reduce([inside for _, inside in values])
                if both.sum() >= (fewest if order > 1 else 1):
                    where = zip(chosen, (value for value, _ in values), strict=True)
                    yield tuple(where), both


def _rate(
    errors: Flags,
    patients: NDArray[np.intp],
    fewest: int,
    level: float,
) -> Estimate:
    n = errors.size
    if n < fewest:
        return not_computed(f"{n} are fewer than {fewest}", n=n, level=level)
    if np.unique(patients).size == n:
        return wilson(int(errors.sum()), n, level)
    return cluster_proportion(errors, np.ones(n), patients, level=level)


def _higher_there(errors: Flags, cells: Sequence[Flags]) -> NDArray[np.float64]:
    """One-sided p of Fisher's exact test (cells,) of each cell against the other rows."""
    from scipy.stats import hypergeom

    n = np.array([inside.sum() for inside in cells], np.int64)
    wrong = np.array([(errors & inside).sum() for inside in cells], np.int64)
    p: NDArray[np.float64] = hypergeom.sf(wrong - 1, errors.size, int(errors.sum()), n)
    return np.clip(p, 0.0, 1.0)  # the tail may sum to a little more than 1


def cell_frame(cells: Sequence[Cell], overall: Estimate, error: str) -> pl.DataFrame:
    """Cells as a flat table, in their order.

    Parameters
    ----------
    cells
        The cells.
    overall
        The rate of all rows.
    error
        Name of the column of the number of errors.
    """
    return pl.DataFrame(
        [
            {
                "rank": place,
                "cell": str(cell),
                "factors": " + ".join(factor for factor, _ in cell.where),
                "n": cell.n,
                "patients": cell.patients,
                error: cell.errors,
                "rate": cell.rate.value,
                "rate_low": cell.rate.low,
                "rate_high": cell.rate.high,
                "rate_of_all": overall.value,
                "excess": cell.excess,
                "p": cell.p,
                "p_holm": cell.p_holm,
                "method": cell.rate.method or None,
                "reason": cell.rate.reason or None,
            }
            for place, cell in enumerate(cells, start=1)
        ],
        schema={
            "rank": pl.Int64, "cell": pl.String, "factors": pl.String, "n": pl.Int64,
            "patients": pl.Int64, error: pl.Int64, "rate": pl.Float64, "rate_low": pl.Float64,
            "rate_high": pl.Float64, "rate_of_all": pl.Float64, "excess": pl.Float64,
            "p": pl.Float64, "p_holm": pl.Float64, "method": pl.String, "reason": pl.String,
        },
    )  # fmt: skip
