"""Do two metrics rank the algorithms alike?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from scalemai.evaluation.comparison.alignment import Aligned, Scope
from scalemai.evaluation.comparison.question import Question
from scalemai.evaluation.comparison.scale import Better
from scalemai.statistics.rank_stability import tau_between

__all__ = ["agreement"]


def agreement(
    made: Mapping[str, Sequence[Scope]], aligned: Mapping[str, Aligned], question: Question
) -> pl.DataFrame:
    """Kendall's tau between the rankings of each pair of metrics, per class."""
    rows: list[dict[str, Any]] = []
    for number, (a, b) in enumerate(combinations(question.metrics, 2)):
        others = {scope.name: scope for scope in made[b]}
        for index, scope in enumerate(made[a]):
            other = others.get(scope.name)
            if other is None or aligned[a].algorithms != aligned[b].algorithms:
                continue
            rng = np.random.default_rng([question.seed, len(question.metrics) + number, index])
            rows.append(
                {"class": scope.name, "metric": a, "other": b}
                | _tau(scope, other, aligned[a].better, aligned[b].better, question, rng)
            )
    return pl.DataFrame(
        rows,
        schema={
            "class": pl.String, "metric": pl.String, "other": pl.String, "n": pl.Int64,
            "tau": pl.Float64, "tau_low": pl.Float64, "tau_high": pl.Float64, "reason": pl.String,
        },
    )  # fmt: skip


def _tau(
    a: Scope, b: Scope, better_a: Better, better_b: Better, question: Question,
    rng: np.random.Generator,
) -> dict[str, Any]:  # fmt: skip
    row_of = {case: row for row, case in enumerate(b.cases)}
    pairs = [(row, row_of[case]) for row, case in enumerate(a.cases) if case in row_of]
    first = np.array([a.values[i] for i, _ in pairs]).reshape(len(pairs), a.values.shape[1])
    second = np.array([b.values[j] for _, j in pairs]).reshape(first.shape)
    patients = np.array([a.patients[i] for i, _ in pairs], dtype=np.str_)
    whole = np.isfinite(first).all(axis=1) & np.isfinite(second).all(axis=1)
    if not whole.any():
        return {"n": 0, "reason": "no case has a value for every algorithm and both metrics"}
    tau = tau_between(
        first[whole] * (1 if better_a == "higher" else -1),
        second[whole] * (1 if better_b == "higher" else -1),
        patients[whole],
        rng=rng,
        draws=question.draws,
        level=1 - question.level,
    )
    return {
        "n": tau.n, "tau": tau.value, "tau_low": tau.low, "tau_high": tau.high,
        "reason": tau.reason or None,
    }  # fmt: skip
