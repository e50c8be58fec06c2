"""Places of the algorithms, and how much they owe to the patients at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalemai.evaluation.comparison.alignment import Scope
from scalemai.evaluation.comparison.scale import Better
from scalemai.statistics.estimate import Estimate
from scalemai.statistics.order_statistics import median
from scalemai.statistics.rank_stability import RankStability, rank_stability
from scalemai.statistics.ranking import friedman, nemenyi

__all__ = ["Ranking", "rank"]

_RANKING: Mapping[str, type[pl.DataType]] = {
    "class": pl.String, "algorithm": pl.String, "n_cases": pl.Int64, "n": pl.Int64,
    "missing": pl.Int64, "place": pl.Int64, "mean": pl.Float64, "mean_low": pl.Float64,
    "mean_high": pl.Float64, "median": pl.Float64, "median_low": pl.Float64,
    "median_high": pl.Float64, "mean_rank": pl.Float64,
    "place_low": pl.Int64, "place_high": pl.Int64, "probability_first": pl.Float64,
    "tested_place_low": pl.Int64, "tested_place_high": pl.Int64,
    "better_than": pl.Int64, "worse_than": pl.Int64,
    "touchstone_place": pl.Int64, "touchstone_better_than": pl.Int64, "reason": pl.String,
}  # fmt: skip

_PLACES: Mapping[str, type[pl.DataType]] = {
    "class": pl.String, "algorithm": pl.String, "place": pl.Int64, "probability": pl.Float64,
}  # fmt: skip

_OVERALL: Mapping[str, type[pl.DataType]] = {
    "class": pl.String, "algorithms": pl.Int64, "n_cases": pl.Int64, "n": pl.Int64,
    "friedman_chi2": pl.Float64, "friedman_p": pl.Float64, "iman_davenport_f": pl.Float64,
    "iman_davenport_p": pl.Float64, "nemenyi_critical_difference": pl.Float64,
    "tau": pl.Float64, "tau_low": pl.Float64, "tau_high": pl.Float64, "tau_reason": pl.String,
    "draws": pl.Int64, "reason": pl.String,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Ranking:
    """Tables of one scope.

    Parameters
    ----------
    algorithms
        A row per algorithm, best first.
    places
        A row per algorithm and place: its probability over resampled patients; none with too few
        patients to resample.
    overall
        One row: whether the algorithms differ at all, and how stable their order is.
    """

    algorithms: pl.DataFrame
    places: pl.DataFrame
    overall: pl.DataFrame


def rank(
    scope: Scope,
    algorithms: Sequence[str],
    significance: pl.DataFrame,
    better: Better,
    *,
    rng: np.random.Generator,
    draws: int,
    level: float,
    unbounded: bool = False,
) -> Ranking:
    """Rank by the mean over cases, and say how firm the places are.

    Parameters
    ----------
    scope, algorithms, better
        As of :func:`scalemai.evaluation.comparison.pairs.pair_table`.
    significance
        All ordered pairs of this scope.
    rng, draws
        Resamples of patients.
    level
        One minus the confidence of intervals and ranges.
    unbounded
        Whether the metric has no bound, as distances have none; then means need more patients
        for an interval. The median over patients has one with few.

    Returns
    -------
    Ranking
        Over the cases on which every algorithm has a value. ``place_low`` to ``place_high`` is
        the central range over resamples: stability, not confidence. ``tested_place_low`` to
        ``tested_place_high`` is a simultaneous confidence range: one more than are significantly
        better, up to all but those that are significantly worse.

    Notes
    -----
    Ranges of places from pairwise tests: Mogstad, Romano, Shaikh and Wilhelm, Rev Econ Stud
    2024;91:476. Ours inherit from the signed-rank test that it speaks of shifts, not of means.
    """
    sign = 1.0 if better == "higher" else -1.0
    complete = np.isfinite(scope.values).all(axis=1)
    values = sign * scope.values[complete]
    patients = np.array(scope.patients, dtype=np.str_)[complete]
    k = len(algorithms)
    base = {"class": scope.name, "n_cases": len(values), "n": int(np.unique(patients).size)}
    won, lost, published = (
        np.array([_count(significance, side, name, flag) for name in algorithms])
        for side, flag in (
            ("better", "significant"),
            ("worse", "significant"),
            ("better", "touchstone_significant"),
        )
    )
    medians = _medians(sign * scope.raw)
    # Places by median over each algorithm's own cases, as Touchstone orders its maps.
    touchstone = [1 + int(np.count_nonzero(medians > value)) for value in medians]
    rows = [
        base
        | {
            "algorithm": name,
            "missing": int(scope.filled[index]),
            "tested_place_low": 1 + int(lost[index]),
            "tested_place_high": k - int(won[index]),
            "better_than": int(won[index]),
            "worse_than": int(lost[index]),
            "touchstone_place": touchstone[index] if np.isfinite(medians[index]) else None,
            "touchstone_better_than": int(published[index]),
        }
        for index, name in enumerate(algorithms)
    ]
    if not len(values):
        reason = "no case has a value for every algorithm"
        return Ranking(
            pl.DataFrame([row | {"reason": reason} for row in rows], schema=_RANKING),
            pl.DataFrame(schema=_PLACES),
            pl.DataFrame([base | {"algorithms": k, "reason": reason}], schema=_OVERALL),
        )
    stability = rank_stability(
        values, patients, rng=rng, draws=draws, level=1 - level, unbounded=unbounded
    )
    by_patient = _by_patient(values, patients)
    test = friedman(by_patient)
    for index, row in enumerate(rows):
        middle = _turned(median(values[:, index], patients, level=1 - level), sign)
        row |= _placed(stability, index, sign) | {
            "median": middle.value,
            "median_low": middle.low,
            "median_high": middle.high,
            "mean_rank": float(test.mean_ranks[index]),
        }
    rows.sort(key=lambda row: (row["place"], algorithms.index(row["algorithm"])))
    shares = [] if stability.distribution is None else stability.distribution.tolist()
    places = [
        {"class": scope.name, "algorithm": name, "place": place + 1, "probability": share}
        for name, row_of_shares in zip(algorithms, shares, strict=False)
        for place, share in enumerate(row_of_shares)
    ]
    return Ranking(
        pl.DataFrame(rows, schema=_RANKING),
        pl.DataFrame(places, schema=_PLACES),
        pl.DataFrame(
            [
                base
                | {
                    "algorithms": k,
                    "friedman_chi2": test.chi2,
                    "friedman_p": test.p,
                    "iman_davenport_f": test.f,
                    "iman_davenport_p": test.p_f,
                    "nemenyi_critical_difference": nemenyi(
                        test.mean_ranks, test.n, level=level
                    ).critical_difference,
                    "tau": stability.tau.value,
                    "tau_low": stability.tau.low,
                    "tau_high": stability.tau.high,
                    "draws": draws,
                    "tau_reason": stability.tau.reason or None,
                    "reason": test.reason or None,
                }
            ],
            schema=_OVERALL,
        ),
    )


def _placed(stability: RankStability, index: int, sign: float) -> dict[str, Any]:
    mean = _turned(stability.scores[index], sign)
    return {
        "place": int(stability.ranks[index]),
        "mean": mean.value,
        "mean_low": mean.low,
        "mean_high": mean.high,
        "place_low": None if stability.low is None else int(stability.low[index]),
        "place_high": None if stability.high is None else int(stability.high[index]),
        "probability_first": None if stability.first is None else float(stability.first[index]),
        "reason": mean.reason or None,
    }


def _turned(estimate: Estimate, sign: float) -> Estimate:
    """The estimate in the unit of the metric, if its sign was turned to let higher be better."""
    if sign > 0 or estimate.value is None:
        return estimate
    low = None if estimate.high is None else -estimate.high
    high = None if estimate.low is None else -estimate.low
    return Estimate(
        -estimate.value, low, high, estimate.level, estimate.n, estimate.method, estimate.reason
    )


def _count(significance: pl.DataFrame, side: str, name: str, flag: str) -> int:
    return significance.filter((pl.col(side) == name) & pl.col(flag).fill_null(False)).height


def _medians(raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median (algorithms,) of the finite values of each; NaN where there are none."""
    columns = [column[np.isfinite(column)] for column in raw.T]
    return np.array([np.median(known) if known.size else np.nan for known in columns])


def _by_patient(values: NDArray[np.float64], patients: NDArray[np.str_]) -> NDArray[np.float64]:
    names, code = np.unique(patients, return_inverse=True)
    if names.size == len(values):
        return values
    size = np.bincount(code)
    return np.stack([np.bincount(code, column) / size for column in values.T], axis=1)
