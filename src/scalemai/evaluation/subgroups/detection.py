"""Scores of patients and false positives of scans: what groups are compared by in detection."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from scalemai.errors import ConfigError, UnknownNameError
from scalemai.evaluation.comparison.froc_pairs import froc_detector
from scalemai.evaluation.lesions.definitions import PERFORMANCE

__all__ = ["FP_PER_SCAN", "false_positives", "scores"]

FP_PER_SCAN = next(one for one in PERFORMANCE if one.column == "fp_per_scan")
"""Definition of the metric."""


def scores(frame: pl.DataFrame, missing: str) -> tuple[pl.DataFrame, int, int]:
    """Scores of assessed cases, with what the reference says.

    Parameters
    ----------
    frame
        The table `patients` of one structure.
    missing
        ``"worst"``: a positive case without score is below all others, a negative one above.

    Returns
    -------
    tuple
        The rows, with columns ``value`` and ``positive``; how many had no score; how many were
        not assessed.
    """
    assessed = frame.filter(pl.col("positive").is_not_null()).with_columns(
        pl.col("positive").cast(pl.Boolean), value=pl.col("score").cast(pl.Float64).fill_nan(None)
    )
    gone = int(assessed["value"].null_count())
    if missing == "worst" and gone < assessed.height:
        low, high = assessed["value"].min(), assessed["value"].max()
        worst = pl.when(pl.col("positive")).then(pl.lit(low) - 1.0).otherwise(pl.lit(high) + 1.0)
        assessed = assessed.with_columns(pl.col("value").fill_null(worst))
    return assessed.drop_nulls("value"), gone, frame.height - assessed.height


def false_positives(
    path: Path, structure: str | None, threshold: float | None
) -> tuple[pl.DataFrame, str, int]:
    """False positives of each scan, those without any included.

    Parameters
    ----------
    path
        Folder of an evaluation, or its table of candidates.
    structure
        Which structure; may be left out if there is one.
    threshold
        Score from which a candidate is called; None to call all.

    Returns
    -------
    tuple
        Columns ``case``, ``patient`` and ``value``; the structure; scans without prediction,
        which have no row: there is no worst number of false positives.

    Raises
    ------
    ConfigError, UnknownNameError
        If tables or scores are missing, or the structure is not there or one of several.
    """
    found = froc_detector(path, "")
    known = sorted(found.scans)
    if structure is None and len(known) != 1:
        what = f"holds {len(known)} structures ({', '.join(known[:6])})"
        raise ConfigError(what, where=path, fix="name one with --structure")
    structure = known[0] if structure is None else structure
    if structure not in known:
        error = UnknownNameError("structure", structure, known)
        error.where = str(path)
        raise error
    wrong = found.candidates.filter(
        (pl.col("structure") == structure) & (pl.col("verdict") == "false_positive")
    )
    if threshold is not None:
        if "score" not in wrong.columns or wrong["score"].null_count():
            what = f"the threshold {threshold:g} needs scores, and candidates have none"
            raise ConfigError(what, where=path, fix="evaluate probability maps")
        wrong = wrong.filter(pl.col("score") >= threshold)
    gone = found.gone[structure]
    counts = wrong.group_by(pl.col("case").cast(pl.String)).len("value")
    scans = [row for row in found.scans[structure].items() if row[0] not in gone]
    rows = pl.DataFrame(scans, schema={"case": pl.String, "patient": pl.String}, orient="row")
    joined = rows.join(counts, on="case", how="left", maintain_order="left")
    value = pl.col("value").fill_null(0).cast(pl.Float64)
    return joined.with_columns(value), structure, len(gone)
