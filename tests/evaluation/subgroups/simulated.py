"""Patients of two sexes and three hospitals whose gap is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from scalemai.evaluation.subgroups import Question, parse_factors
from scalemai.evaluation.tables import Table


def cases(
    n: int = 120, *, gap: float = 0.1, seed: int = 0, scans: int = 1
) -> tuple[Table, pl.DataFrame]:
    """Patients of two sexes and three hospitals; women have the lower Dice."""
    rng = np.random.default_rng(seed)
    sex = np.where(np.arange(n) % 2, "F", "M")
    value = np.clip(0.8 - gap * (sex == "F") + rng.normal(0, 0.08, n), 0, 1)
    patients = np.repeat([f"p{k:03d}" for k in range(n)], scans)
    frame = pl.DataFrame(
        {
            "case": [f"c{k:04d}" for k in range(n * scans)],
            "patient": patients,
            "structure": "pancreas",
            "state": "both",
            "dsc": np.clip(np.repeat(value, scans) + rng.normal(0, 0.02, n * scans), 0, 1),
        }
    )
    metadata = pl.DataFrame(
        {
            "patient": patients[::scans],
            "sex": sex,
            "age": rng.integers(30, 90, n),
            "hospital": np.array(["A", "B", "C"])[np.arange(n) % 3],
        }
    )
    return Table("structures", frame), metadata


def question(by: str, **more: Any) -> Question:
    return Question(parse_factors(by), **{"draws": 400, **more})
