"""Tables `lesions` and `candidates` from a few numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from scalemai.evaluation.lesions.rows import candidate_frame, lesion_frame

Lesion = tuple[str, float | None] | tuple[str, float | None, float]
Candidate = tuple[str, float] | tuple[str, float, str]


def lesions(*rows: Lesion, **more: Any) -> pl.DataFrame:
    """Case, score (None if missed) and perhaps diameter in mm of each lesion."""
    return lesion_frame(
        {
            "case": row[0],
            "patient": row[0],
            "structure": "liver_lesion",
            "lesion": number,
            "diameter_mm": row[2] if len(row) > 2 else 15.0,
            "ignored": False,
            "detected": row[1] is not None,
            "score": row[1],
            "candidates": int(row[1] is not None),
            **more,
        }
        for number, row in enumerate(rows, start=1)
    )


def candidates(*rows: Candidate, **more: Any) -> pl.DataFrame:
    """Case, score and verdict (false_positive unless said) of each candidate."""
    return candidate_frame(
        {
            "case": row[0],
            "patient": row[0],
            "structure": "liver_lesion",
            "candidate": number,
            "score": row[1],
            "verdict": row[2] if len(row) > 2 else "false_positive",
            "lesions": 0,
            **more,
        }
        for number, row in enumerate(rows, start=1)
    )


def scans(n: int) -> Sequence[str]:
    return [f"s{i}" for i in range(n)]
