"""Lesions and candidates of an evaluation, with what is known of their scans and patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from scalemai.errors import ConfigError
from scalemai.evaluation.tables import Table, read_table

__all__ = ["Results", "prepare_results", "read_results"]

_VERDICTS = ("true_positive", "false_positive")


@dataclass(frozen=True, eq=False)
class Results:
    """What a detector found and missed.

    Parameters
    ----------
    lesions
        One row per reference lesion that counts, with the column ``missed``.
    candidates
        One row per candidate that is right or wrong, with the column ``false_positive``; None if
        there is no such table.
    scans
        Number of scans, if the tables tell.
    tables
        What it was read from.
    notes
        What was left out or is not known.
    """

    lesions: pl.DataFrame
    candidates: pl.DataFrame | None
    scans: int | None
    tables: tuple[Table, ...]
    notes: tuple[str, ...]


def read_results(
    folder: Path | str,
    *,
    metadata: Path | str | None = None,
    threshold: float | None = None,
    algorithm: str | None = None,
) -> Results:
    """Read the tables that an evaluation wrote.

    Parameters
    ----------
    folder
        Folder with the table ``lesions``, and perhaps ``candidates``; or the table of lesions.
    metadata
        A table of what is known of scans or patients (phase, manufacturer, ...), joined by its
        column ``case`` or ``patient``.
    threshold, algorithm
        As of :func:`prepare_results`.

    Raises
    ------
    UnreadableFileError
        If a file is missing or damaged.
    ConfigError
        As of :func:`prepare_results`.
    """
    folder = Path(folder)
    lesions = read_table(folder, "lesions") if folder.is_dir() else read_table(folder)
    beside = folder if folder.is_dir() else folder.parent
    candidates = None
    if any((beside / f"candidates.{ending}").is_file() for ending in ("parquet", "csv")):
        candidates = read_table(beside, "candidates")
    known = None if metadata is None else read_table(metadata).frame
    return prepare_results(
        lesions, candidates, metadata=known, threshold=threshold, algorithm=algorithm
    )


def prepare_results(
    lesions: Table,
    candidates: Table | None = None,
    *,
    metadata: pl.DataFrame | None = None,
    threshold: float | None = None,
    algorithm: str | None = None,
) -> Results:
    """Decide what was missed and what was wrong, and join what is known of scans.

    Parameters
    ----------
    lesions, candidates
        Tables of these kinds.
    metadata
        Rows with the column ``case`` or ``patient``, each once.
    threshold
        Operating point: candidates below this score do not count, and lesions whose best
        candidate lies below it are missed. By default every candidate of the tables counts.
    algorithm
        Which algorithm, if the tables hold several.

    Raises
    ------
    ConfigError
        If a column is missing, a table holds several algorithms and none is named, a score is
        missing where a threshold needs it, or metadata are ambiguous.
    """
    notes: list[str] = []
    rows = _of_algorithm(lesions.frame, algorithm, "lesions")
    _require(rows, ("case", "detected", "diameter_mm"), "lesions")
    if "ignored" in rows.columns:
        ignored = int(rows["ignored"].fill_null(value=False).sum())
        rows = rows.filter(~pl.col("ignored").fill_null(value=False))
        if ignored:
            notes.append(f"{ignored} lesions below the size filter of the evaluation do not count")
    unknown = rows["detected"].null_count()
    if unknown:
        notes.append(f"{unknown} lesions were not assessed and do not count")
        rows = rows.drop_nulls("detected")
    if not rows.height:
        raise ConfigError("holds no lesion that counts", where="lesions", fix="evaluate positives")
    rows = rows.with_columns(missed=~pl.col("detected").cast(pl.Boolean))
    wrong: pl.DataFrame | None = None
    if candidates is not None:
        wrong = _of_algorithm(candidates.frame, algorithm, "candidates")
        _require(wrong, ("case", "verdict"), "candidates")
        wrong = wrong.filter(pl.col("verdict").is_in(_VERDICTS)).with_columns(
            false_positive=pl.col("verdict") == "false_positive"
        )
    else:
        notes.append("there is no table of candidates: false positives are not analysed")
    if threshold is not None:
        rows, wrong = _at(threshold, rows, wrong)
    rows = _with_patient(rows)
    wrong = None if wrong is None else _with_patient(wrong)
    if metadata is not None:
        rows = _joined(rows, metadata, notes, "lesions")
        wrong = None if wrong is None else _joined(wrong, metadata, [], "candidates")
    tables = (lesions,) if candidates is None else (lesions, candidates)
    cases = {case for table in tables for case in table.cases}
    return Results(rows, wrong, len(cases) or None, tables, tuple(notes))


def _of_algorithm(frame: pl.DataFrame, algorithm: str | None, where: str) -> pl.DataFrame:
    if "algorithm" not in frame.columns:
        return frame
    names = frame["algorithm"].drop_nulls().unique().sort().to_list()
    if algorithm is None and len(names) > 1:
        what = f"holds {len(names)} algorithms ({', '.join(map(str, names[:5]))})"
        raise ConfigError(what, where=where, fix="name one of them")
    if algorithm is None:
        return frame
    if algorithm not in names:
        fix = f"it has {', '.join(map(str, names[:5]))}"
        raise ConfigError(f"holds no algorithm {algorithm!r}", where=where, fix=fix)
    return frame.filter(pl.col("algorithm") == algorithm)


def _require(frame: pl.DataFrame, names: Sequence[str], where: str) -> None:
    missing = [name for name in names if name not in frame.columns]
    if missing:
        fix = f"give the table of {where} that scalemai evaluate writes"
        raise ConfigError(f"has no column {', '.join(missing)}", where=where, fix=fix)


def _at(
    threshold: float, lesions: pl.DataFrame, candidates: pl.DataFrame | None
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    for where, frame in (
        ("lesions", lesions.filter(~pl.col("missed"))),
        ("candidates", candidates),
    ):
        if frame is None:
            continue
        if "score" not in frame.columns or frame["score"].null_count():
            fix = "leave the threshold out, or evaluate probability maps"
            raise ConfigError("has found lesions without a score", where=where, fix=fix)
    above = pl.col("score") >= threshold
    if candidates is not None:
        candidates = candidates.filter(above)
    return lesions.with_columns(missed=pl.col("missed") | ~above.fill_null(value=False)), candidates


def _with_patient(frame: pl.DataFrame) -> pl.DataFrame:
    case = pl.col("case").cast(pl.String)
    if "patient" not in frame.columns:
        return frame.with_columns(patient=case)
    return frame.with_columns(patient=pl.coalesce(pl.col("patient").cast(pl.String), case))


def _joined(
    frame: pl.DataFrame, metadata: pl.DataFrame, notes: list[str], what: str
) -> pl.DataFrame:
    key = next((name for name in ("case", "patient") if name in metadata.columns), None)
    if key is None:
        fix = "name one, so that its rows can be joined"
        raise ConfigError("has no column case or patient", where="metadata", fix=fix)
    known = metadata.with_columns(pl.col(key).cast(pl.String))
    twice = known[key].drop_nulls().is_duplicated()
    if twice.any():
        name = known[key].drop_nulls().filter(twice)[0]
        raise ConfigError(f"{key} {name} stands twice", where="metadata", fix="keep one row each")
    new = [name for name in known.columns if name not in frame.columns]
    both = [name for name in known.columns if name in frame.columns and name != key]
    if both:
        notes.append(f"metadata columns {', '.join(both)} are those of the tables already")
    joined = frame.with_columns(pl.col(key).cast(pl.String)).join(
        known.select(key, *new, pl.lit(value=True).alias("_known")), on=key, how="left",
        maintain_order="left",
    )  # fmt: skip
    gaps = joined["_known"].null_count()
    if gaps:
        notes.append(f"metadata know nothing of the {key} of {gaps} {what}")
    return joined.drop("_known")
