"""Numbers as German and French spreadsheets write them: 0,85 in columns separated by semicolons."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import polars as pl

from scalemai.errors import UnreadableFileError

__all__ = ["with_points"]

_COMMA = r"^[+-]?\d*,\d+([eE][+-]?\d+)?\s*%?$"
_WHOLE = r"^[+-]?\d+([eE][+-]?\d+)?$"
_THOUSANDS = r"^[+-]?\d{1,3}([.\s\u00a0\u202f']\d{3})+(,\d+)?$"
_POINT = r"^[+-]?\d*\.\d+([eE][+-]?\d+)?$"


def with_points(
    frame: pl.DataFrame, separator: str, path: Path, names: Collection[str]
) -> pl.DataFrame:
    """Columns of decimal commas as numbers.

    Parameters
    ----------
    frame
        As read with decimal points: columns of decimal commas are text.
    separator
        Of the columns.
    path
        Named in errors.
    names
        Columns that hold names, which are text whatever they look like.

    Returns
    -------
    DataFrame
        The same; columns whose known values all are whole numbers or have a decimal comma, and
        some have one, as floating point numbers.

    Raises
    ------
    UnreadableFileError
        If commas separate columns too, a column holds decimal commas beside words or points,
        thousands are set apart, or another column of the file has decimal points: nothing is
        guessed.
    """
    columns: list[str] = []
    for name, kind in frame.schema.items():
        if kind != pl.String or name in names:
            continue
        known = frame[name].str.strip_chars().drop_nulls()
        known = known.filter(known != "")
        comma = known.str.contains(_COMMA)
        thousands = known.str.contains(_THOUSANDS)
        if not known.len() or not (comma.any() or (thousands & known.str.contains(",")).any()):
            continue
        example = known.filter(comma | thousands)[0]
        numbers = comma | thousands | known.str.contains(_WHOLE) | known.str.contains(_POINT)
        if not numbers.all():
            continue  # words, some of which look like numbers: "1,2" of stages
        fix = "save it with decimal points, without anything between thousands"
        if separator == ",":
            what = f"column {name!r} has {example!r}: a decimal comma, or one between thousands?"
            raise UnreadableFileError(what, where=path, fix=fix)
        if (~(comma | known.str.contains(_WHOLE))).any() or known.str.contains("%").any():
            odd = known.filter(~(comma | known.str.contains(_WHOLE)) | known.str.contains("%"))[0]
            what = f"column {name!r} has decimal commas ({example}) and {odd!r}"
            raise UnreadableFileError(what, where=path, fix=fix)
        columns.append(name)
    if not columns:
        return frame
    pointed = [
        name
        for name, kind in frame.schema.items()
        if kind.is_float() and (frame[name].drop_nulls() % 1 != 0).any()
    ]
    thousands_of = [
        name
        for name, kind in frame.schema.items()
        if kind == pl.String and name not in names and name not in columns
        and _all(frame[name], f"{_THOUSANDS}|{_POINT}")
    ]  # fmt: skip
    if pointed or thousands_of:
        other = [*pointed, *thousands_of][0]
        what = f"column {columns[0]!r} has decimal commas and column {other!r} has points"
        raise UnreadableFileError(what, where=path, fix="save it with decimal points alone")
    return frame.with_columns(
        pl.col(name).str.strip_chars().replace("", None).str.replace(",", ".").cast(pl.Float64)
        for name in columns
    )


def _all(column: pl.Series, pattern: str) -> bool:
    known = column.str.strip_chars().drop_nulls()
    known = known.filter(known != "")
    return bool(known.len()) and bool(known.str.contains(pattern).all())
