"""A few-shot learning curve as numbers: each group and their difference, over draws of cases.

The value of a draw is its mean over the test cases, which all draws share. Intervals say how much
the choice of cases and the seed matter, not how other patients would differ: for that there is
``scalemai scaling``, which resamples the test cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike
from scipy import stats

from scalemai.io.atomic import atomic_path
from scalemai.statistics.estimate import Estimate, not_computed

__all__ = ["SUMMARY", "over_draws", "summarise", "write_summary"]

SUMMARY = "few_shot_summary.csv"
DIFFERENCE = "transfer - scratch"

_FEWEST = 3
"""Draws below which no interval is given: Student's t of one degree of freedom says nothing."""


def over_draws(values: ArrayLike, *, level: float = 0.95) -> Estimate:
    """Mean of the values (draws,) of independent draws, with Student's t interval.

    Parameters
    ----------
    values
        One for each draw.
    level
        Confidence level.

    Returns
    -------
    Estimate
        Without interval, with the reason, for fewer than three draws and for draws that all give
        the same value.
    """
    drawn = np.asarray(values, dtype=np.float64)
    if not drawn.size:
        return not_computed("there are no draws", level=level)
    mean = float(drawn.mean())
    if drawn.size < _FEWEST:
        reason = f"{drawn.size} draws are too few for an interval (at least {_FEWEST})"
        return Estimate(mean, level=level, n=drawn.size, reason=reason)
    error = float(drawn.std(ddof=1)) / np.sqrt(drawn.size)
    if error == 0.0:
        reason = "every draw gives the same value"
        return Estimate(mean, level=level, n=drawn.size, reason=reason)
    reach = float(stats.t.ppf(0.5 + level / 2.0, drawn.size - 1)) * error
    method = f"Student's t over {drawn.size} draws"
    return Estimate(mean, mean - reach, mean + reach, level, drawn.size, method)


def summarise(table: pl.DataFrame, *, level: float = 0.95) -> list[dict[str, Any]]:
    """For each number of cases: both groups, and their difference in the same draws.

    Parameters
    ----------
    table
        Columns ``n_real, draw, group, case, value``.
    level
        Confidence level.

    Returns
    -------
    list of dict
        ``n_real``, ``group`` and an ``estimate``, in the order of the numbers.
    """
    draws = table.group_by("n_real", "group", "draw").agg(pl.col("value").mean())
    rows = []
    for (size,), some in draws.sort("n_real", "draw").group_by("n_real", maintain_order=True):
        groups = {
            str(name): some.filter(pl.col("group") == name)
            for name in ("transfer", "scratch")
            if (some["group"] == name).any()
        }
        for name, own in groups.items():
            rows.append(_row(size, name, own["value"].to_list(), level))
        if len(groups) == 2:
            both = groups["transfer"].join(groups["scratch"], on="draw", suffix="_scratch")
            paired = (both["value"] - both["value_scratch"]).to_list()
            rows.append(_row(size, DIFFERENCE, paired, level))
    return rows


def write_summary(table: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write the summary of a learning curve beside its table, whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    path = table.parent / SUMMARY
    plain = [
        {
            "n_real": row["n_real"],
            "group": row["group"],
            **{
                name: getattr(row["estimate"], name)
                for name in ("value", "low", "high", "level", "n", "method", "reason")
            },
        }
        for row in rows
    ]
    schema = dict.fromkeys(("value", "low", "high", "level"), pl.Float64)
    with atomic_path(path) as partial:
        pl.DataFrame(plain, schema_overrides=schema).rename({"n": "draws"}).write_csv(partial)
    return path


def _row(size: object, group: str, values: list[float], level: float) -> dict[str, Any]:
    return {"n_real": size, "group": group, "estimate": over_draws(values, level=level)}
