"""Which cases a comparison rests on, and what was missing."""

from __future__ import annotations

import numpy as np
import polars as pl

from scalemai.evaluation.comparison.alignment import Aligned, Missing, policy_in_words

__all__ = ["coverage", "remarks", "unpaired"]


def remarks(aligned: Aligned, metric: str, missing: Missing) -> list[str]:
    """Say what a reader must know: case lists that differ, values missing, cases left out."""
    said = list(aligned.notes)
    common = int(aligned.common.sum())
    if common < len(aligned.cases):
        counts = aligned.present.sum(axis=0)
        lists = ", ".join(
            f"{name} {count:,}" for name, count in zip(aligned.algorithms, counts, strict=True)
        )
        said.append(
            f"{metric}: case lists differ ({lists}); compared on the {common:,} common cases, "
            f"{len(aligned.cases) - common:,} others are listed in unpaired.csv"
        )
    gone = aligned.missing.sum(axis=(0, 2))
    if gone.any():
        which = ", ".join(
            f"{name} {count:,}"
            for name, count in zip(aligned.algorithms, gone, strict=True)
            if count
        )
        said.append(
            f"{metric}: values are missing ({which}); {policy_in_words(aligned.better, missing)}"
        )
    empty = aligned.undefined[aligned.common].sum(axis=0)
    if empty.any():
        which = ", ".join(
            f"{name} {count:,}" for name, count in zip(aligned.classes, empty, strict=True) if count
        )
        said.append(
            f"{metric}: cases without a value for any algorithm, or with an empty reference, are "
            f"left out of the class ({which})"
        )
    return said


def coverage(aligned: Aligned) -> pl.DataFrame:
    """Cases per class and algorithm: in its list, common to all, without value, undefined."""
    common, gone = aligned.common, aligned.missing
    rows = [
        {
            "class": name,
            "algorithm": algorithm,
            "cases": int(aligned.present[:, k].sum()),
            "common_cases": int(common.sum()),
            "missing": int(gone[:, k, c].sum()),
            "undefined": int(aligned.undefined[common, c].sum()),
        }
        for c, name in enumerate(aligned.classes)
        for k, algorithm in enumerate(aligned.algorithms)
    ]
    return pl.DataFrame(rows)


def unpaired(aligned: Aligned) -> pl.DataFrame:
    """A row per case that not every algorithm has, with those that lack it."""
    rows = [
        (
            aligned.cases[row],
            ", ".join(
                name
                for name, here in zip(aligned.algorithms, aligned.present[row], strict=True)
                if not here
            ),
        )
        for row in np.flatnonzero(~aligned.common)
    ]
    schema = {"case": pl.String, "missing_in": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")
