"""Every pair of algorithms: difference, shift, tests both ways, effect size, equivalence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalemai.evaluation.comparison.alignment import Scope
from scalemai.evaluation.comparison.scale import Better
from scalemai.statistics.equivalence import tost_paired
from scalemai.statistics.multiplicity import holm
from scalemai.statistics.paired import (
    hodges_lehmann,
    paired_differences,
    rank_biserial,
    wilcoxon_signed_rank,
)

__all__ = ["IDENTICAL", "adjust", "pair_table", "significance_table"]

IDENTICAL = "identical on all cases"
"""What is said of two algorithms with the same value on every case, in place of a p-value."""


_PAIRS: Mapping[str, type[pl.DataType]] = {
    "class": pl.String, "first": pl.String, "second": pl.String,
    "n_cases": pl.Int64, "n": pl.Int64,
    "first_wins": pl.Int64, "ties": pl.Int64, "second_wins": pl.Int64,
    "mean_first": pl.Float64, "mean_second": pl.Float64,
    "difference": pl.Float64, "difference_low": pl.Float64, "difference_high": pl.Float64,
    "difference_reason": pl.String,
    "shift": pl.Float64, "shift_low": pl.Float64, "shift_high": pl.Float64,
    "rank_biserial": pl.Float64,
    "p_first_better": pl.Float64, "p_first_better_holm": pl.Float64,
    "p_second_better": pl.Float64, "p_second_better_holm": pl.Float64,
    "p_two_sided": pl.Float64, "p_two_sided_holm": pl.Float64,
    "margin": pl.Float64, "p_equivalent": pl.Float64, "p_equivalent_holm": pl.Float64,
    "equivalent": pl.Boolean, "verdict": pl.String, "method": pl.String, "reason": pl.String,
}  # fmt: skip

_SIGNIFICANCE: Mapping[str, type[pl.DataType]] = {
    "class": pl.String, "better": pl.String, "worse": pl.String,
    "n": pl.Int64, "p": pl.Float64, "p_holm": pl.Float64, "significant": pl.Boolean,
    "touchstone_n": pl.Int64, "touchstone_p": pl.Float64, "touchstone_p_holm": pl.Float64,
    "touchstone_significant": pl.Boolean, "reason": pl.String,
}  # fmt: skip


def pair_table(
    scope: Scope, algorithms: Sequence[str], better: Better, *, margin: float, level: float
) -> pl.DataFrame:
    """Compare every pair of algorithms on the cases of one scope.

    Parameters
    ----------
    scope
        Values on common cases. Cases of one patient are averaged first, so that every test
        rests on independent patients.
    algorithms
        Names, as ordered in the scope.
    better
        Which values are better.
    margin
        Largest difference of means that does not matter, in the unit of the metric.
    level
        Level of all tests of one family together (Holm); intervals of shifts have confidence
        ``1 - level``, those of mean differences ``1 - 2 level``, as equivalence needs.

    Returns
    -------
    DataFrame
        A row per pair. ``difference`` is mean of first minus mean of second over patients, and
        ``shift`` the Hodges-Lehmann estimate, both in the unit of the metric; "better" and the
        sign of ``rank_biserial`` follow the direction of the metric. Holm's families are all
        ordered pairs (one-sided), all pairs (two-sided) and all pairs (equivalence); a pair
        without test stays in its family with p = 1. With fewer patients than
        :data:`~scalemai.statistics.equivalence.FEWEST_PAIRS` the difference has no interval and
        no test of equivalence, with the reason; shift and tests of it need few.
    """
    sign = 1.0 if better == "higher" else -1.0
    rows = []
    for i, j in combinations(range(len(algorithms)), 2):
        first, second, cases = _units(scope, i, j)
        row: dict[str, Any] = {
            "class": scope.name, "first": algorithms[i], "second": algorithms[j],
            "n_cases": cases, "n": len(first), "margin": margin,
        }  # fmt: skip
        if len(first):
            row |= _compared(first, second, sign, margin, level)
        else:
            row |= {"reason": "no case has a value for both"}
        rows.append(row)
    adjust(rows, ["p_first_better", "p_second_better"])
    adjust(rows, ["p_two_sided"])
    adjust(rows, ["p_equivalent"])
    for row in rows:
        row["equivalent"] = _below(row.get("p_equivalent_holm"), level)
        row["verdict"] = _verdict(row, level)
    return pl.DataFrame(rows, schema=_PAIRS)


def significance_table(
    scope: Scope,
    algorithms: Sequence[str],
    pairs: pl.DataFrame,
    better: Better,
    *,
    level: float,
) -> pl.DataFrame:
    """All ordered pairs: is one better than the other? By our rule and by Touchstone's.

    Parameters
    ----------
    scope, algorithms, better
        As of :func:`pair_table`.
    pairs
        Its result.
    level
        Level of all ordered pairs together.

    Returns
    -------
    DataFrame
        A row per ordered pair. Ours: common cases, missing values by the stated policy, zeros by
        Pratt, patients as units. Touchstone's: for each pair the cases that both have, pairs
        with an empty cell dropped, scipy's one-sided Wilcoxon signed-rank test with its
        defaults (zeros dropped), Holm over all ordered pairs, p < level. Where Touchstone's code
        gives identical pairs p = 100, they have no p here but the reason.
    """
    sign = 1.0 if better == "higher" else -1.0
    rows: list[dict[str, Any]] = []
    index = {name: k for k, name in enumerate(algorithms)}
    for row in pairs.iter_rows(named=True):
        i, j = index[row["first"]], index[row["second"]]
        both = np.isfinite(scope.raw[:, i]) & np.isfinite(scope.raw[:, j])
        first, second = sign * scope.raw[both, i], sign * scope.raw[both, j]
        for side, a, b, x, y in (
            ("first", row["first"], row["second"], first, second),
            ("second", row["second"], row["first"], second, first),
        ):
            adjusted = row[f"p_{side}_better_holm"]
            rows.append(
                {
                    "class": scope.name, "better": a, "worse": b,
                    "n": row["n"], "p": row[f"p_{side}_better"], "p_holm": adjusted,
                    "significant": _below(adjusted, level),
                    "touchstone_n": len(x), "touchstone_p": _scipy_p(x, y),
                    "reason": row["reason"],
                }
            )  # fmt: skip
    adjust(rows, ["touchstone_p"])
    for made in rows:
        made["touchstone_significant"] = _below(made["touchstone_p_holm"], level)
    return pl.DataFrame(rows, schema=_SIGNIFICANCE)


def _compared(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    sign: float,
    margin: float,
    level: float,
) -> dict[str, Any]:
    apart = paired_differences(first, second)
    test = wilcoxon_signed_rank(sign * first, sign * second)
    shift = hodges_lehmann(first, second, level=1 - level)
    equal = tost_paired(first, second, margin, level=level)
    return {
        "first_wins": int(np.count_nonzero(sign * apart > 0)),
        "ties": test.zeros,
        "second_wins": int(np.count_nonzero(sign * apart < 0)),
        "mean_first": float(first.mean()),
        "mean_second": float(second.mean()),
        "difference": float(apart.mean()),
        "difference_low": equal.difference.low,
        "difference_high": equal.difference.high,
        "difference_reason": equal.difference.reason or None,
        "shift": shift.value,
        "shift_low": shift.low,
        "shift_high": shift.high,
        "rank_biserial": rank_biserial(sign * first, sign * second),
        "p_first_better": test.p_greater,
        "p_second_better": test.p_less,
        "p_two_sided": test.p_two_sided,
        "p_equivalent": equal.p,
        "method": test.method or None,
        "reason": test.reason or None,
    }


def _units(scope: Scope, i: int, j: int) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Values of two algorithms by patient, and the number of cases that they rest on."""
    both = np.isfinite(scope.values[:, i]) & np.isfinite(scope.values[:, j])
    first, second = scope.values[both, i], scope.values[both, j]
    patients = np.array(scope.patients)[both]
    names, code = np.unique(patients, return_inverse=True)
    if names.size == len(first):
        return first, second, len(first)
    size = np.bincount(code)
    return np.bincount(code, first) / size, np.bincount(code, second) / size, len(first)


def adjust(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Add Holm's p-values of one family, the given columns of all rows together."""
    cells = [(row, name) for row in rows for name in columns]
    raw = [row.get(name) for row, name in cells]
    adjusted = holm([1.0 if p is None else p for p in raw])
    for (row, name), p, value in zip(cells, raw, adjusted, strict=True):
        row[f"{name}_holm"] = None if p is None else float(value)


def _below(p: float | None, level: float) -> bool | None:
    return None if p is None else p < level


def _verdict(row: Mapping[str, Any], level: float) -> str:
    if not row["n"]:
        return f"not computed because {row['reason']}"
    if row["ties"] == row["n"]:
        return IDENTICAL
    sides: Iterator[str] = (
        f"{row[side]} is better"
        for side in ("first", "second")
        if _below(row[f"p_{side}_better_holm"], level)
    )
    winner = next(sides, None)
    if winner is not None:
        return f"{winner}, but within the margin" if row["equivalent"] else winner
    return "equivalent within the margin" if row["equivalent"] else "inconclusive"


def _scipy_p(better: NDArray[np.float64], worse: NDArray[np.float64]) -> float | None:
    if not len(better) or bool((better == worse).all()):
        return None
    from scipy.stats import wilcoxon

    return float(wilcoxon(better, worse, alternative="greater").pvalue)
