"""A CSV with a name column and one column per class, as published benchmarks ship them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalemai.errors import UnreadableFileError
from scalemai.evaluation.comparison.results import Results, refuse_twice
from scalemai.evaluation.decimal_commas import with_points
from scalemai.evaluation.spreadsheet import csv_text

__all__ = ["read_published"]

_NAMES = ("name", "case", "case_id", "id")
_NO_VALUE = ["", "nan", "na", "n/a", "null", "none", "-"]
_SUMMARIES = frozenset(("mean", "average", "avg", "std", "median", "total", "overall"))


def read_published(path: Path, algorithm: str) -> Results:
    """Read one metric of one algorithm.

    Parameters
    ----------
    path
        CSV file, separated by commas, semicolons or tabs, with a column ``name`` (or ``case``,
        ``case_id``, ``id``) and a column of numbers per class. Columns without a heading, as
        pandas writes its index, are left out; so are rows and columns that
        summarise (``mean``).
    algorithm
        Its name.

    Raises
    ------
    UnreadableFileError
        If the file is no such table, or a cell is neither a number nor empty.
    ConfigError
        If a case or a class stands there twice.
    """
    header, rows = _read(path)
    refuse_twice([name for name in header if name], "class", path)
    lowered = {name.lower(): name for name in reversed(header)}
    key = next((lowered[name] for name in _NAMES if name in lowered), None)
    if key is None:
        what = f"has no column 'name' (it has {', '.join(header[:6])})"
        raise UnreadableFileError(what, where=path, fix="name the column that holds the cases")
    at = header.index(key)
    columns = [name for name in header if name and name != key and not name.startswith("Unnamed:")]
    classes = tuple(name for name in columns if name.lower() not in _SUMMARIES)
    if not classes:
        what = "has no column of values"
        raise UnreadableFileError(what, where=path, fix="give one column per class")
    names = [str(name or "").strip() for name in rows[:, at].to_list()]
    kept = [name.lower() not in _SUMMARIES for name in names]
    summaries = [name for name in (*columns, *names) if name.lower() in _SUMMARIES]
    notes: tuple[str, ...] = ()
    if summaries:
        what = ", ".join(dict.fromkeys(summaries))
        notes = (f"{algorithm}: rows and columns that summarise are left out ({what})",)
    cases = tuple(name for name, keep in zip(names, kept, strict=True) if keep)
    if "" in cases:
        what = f"row {names.index('') + 2} has no name"
        raise UnreadableFileError(what, where=path, fix="name every case")
    refuse_twice(list(cases), "case", path)
    numbers = [
        _numbers(rows[:, header.index(name)], path, name, names)[np.array(kept, dtype=np.bool_)]
        for name in classes
    ]
    values = np.stack(numbers, axis=1) if cases else np.empty((0, len(classes)))
    nothing = np.zeros(values.shape, dtype=np.bool_)
    return Results(algorithm, path, cases, cases, classes, values, nothing, notes=notes)


def _read(path: Path) -> tuple[list[str], pl.DataFrame]:
    """Heading and rows, all as text: 001 is a name, not the number 1."""
    text, separator = csv_text(path)
    try:
        table = pl.read_csv(
            text.encode(), has_header=False, infer_schema=False, separator=separator
        )
    except pl.exceptions.PolarsError as error:
        what = f"is no proper CSV ({str(error).splitlines()[0]})"
        raise UnreadableFileError(what, where=path, fix="write it again") from error
    header = [str(cell or "").strip() for cell in table.row(0)]
    rows = table[1:]
    if len(set(header)) == len(header):  # else it is refused for that
        # Positions name columns without heading.
        names = [name or f"column {place}" for place, name in enumerate(header, start=1)]
        told = rows.rename(dict(zip(rows.columns, names, strict=True))).with_columns(
            pl.when(~pl.col(name).str.strip_chars().str.to_lowercase().is_in(_NO_VALUE))
            .then(pl.col(name))
            .alias(name)
            for name in names
        )
        named = [name for name in names if name.lower() in _NAMES]
        rows = with_points(told, separator, path, named).cast(pl.String)
    return header, rows


def _numbers(column: pl.Series, path: Path, name: str, cases: list[str]) -> NDArray[np.float64]:
    """Numbers of a column; NaN where a cell is empty."""
    text = column.fill_null("").str.strip_chars()
    numbers = text.cast(pl.Float64, strict=False)
    empty = text.str.to_lowercase().is_in(_NO_VALUE)
    bad = (~empty & ~numbers.is_finite().fill_null(False)).arg_true()
    if len(bad):
        row = int(bad[0])
        raise UnreadableFileError(
            f"{text[row]!r} of case {cases[row]!r} and class {name!r} is no finite number",
            where=path,
            fix="leave cells without a value empty",
        )
    kept: NDArray[np.float64] = numbers.set(empty, None).fill_null(np.nan).to_numpy()
    return kept
