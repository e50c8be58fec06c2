"""CSV that a spreadsheet shows and does not run, and that is read back as it was."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from scalemai.errors import UnreadableFileError
from scalemai.evaluation.decimal_commas import with_points

__all__ = ["csv_text", "read_csv", "write_csv"]

_GUARDED = r"^[=+\-@\t\r']"
_NAMES = ("algorithm", "case", "patient", "structure", "organ", "name", "class", "center")
_KEYS = ("algorithm", "case", "structure", "organ", "name", "class")
"""Names that tell rows apart: there ``NA`` is a name, elsewhere it is what is not known."""
_NOT_KNOWN = ["", "NA", "N/A", "nan", "NaN"]
_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
_TYPES: dict[str, pl.DataType] = {
    str(kind): kind
    for kind in (
        pl.String(),
        pl.Boolean(),
        pl.Float64(),
        pl.Float32(),
        pl.Int8(),
        pl.Int16(),
        pl.Int32(),
        pl.Int64(),
        pl.UInt8(),
        pl.UInt16(),
        pl.UInt32(),
        pl.UInt64(),
        pl.Date(),
        pl.Null(),
    )
}


def write_csv(frame: pl.DataFrame, path: Path) -> None:
    """Write rows as CSV (UTF-8, comma, LF), so that no text is taken for a formula.

    Text that begins like a formula (``=``, ``+``, ``-``, ``@``, a tab or a carriage return) gets
    an apostrophe in front, as OWASP's advice on CSV injection has it; so does text that begins
    with an apostrophe, and :func:`read_csv` takes it away again. An empty field is null, so empty
    text is read back as null.
    """
    texts = [
        pl.col(name).cast(pl.String)
        for name, kind in frame.schema.items()
        if not (kind.is_numeric() or kind == pl.Boolean or kind.is_temporal())
    ]
    safe = frame.with_columns(
        pl.when(text.str.contains(_GUARDED)).then("'" + text).otherwise(text).name.keep()
        for text in texts
    )
    safe = safe.rename({name: _guarded(name) for name in safe.columns})
    safe.write_csv(path, line_terminator="\n", null_value="")


def read_csv(path: Path, columns: Mapping[str, str] | None = None) -> pl.DataFrame:
    """Read CSV of ours or of others, separated by commas, semicolons or tabs.

    Parameters
    ----------
    path
        The file.
    columns
        Column to the name of its type, for a file that :func:`write_csv` wrote; columns that it
        does not name are read by their content. Apostrophes are taken away only if it is given.

    Returns
    -------
    DataFrame
        Decimal commas of files separated by semicolons or tabs are read as such
        (:func:`~scalemai.evaluation.decimal_commas.with_points`). Columns of names are text, so
        that case ``007`` stays what it is. ``NA``, ``N/A`` and
        ``nan`` are null, except where they name a case, structure, organ, class or algorithm.

    Raises
    ------
    UnreadableFileError
        If it is missing, no UTF-8, or no CSV; all its columns are one; or its decimal commas
        cannot be told from points or from commas between thousands.
    """
    text, separator = csv_text(path, one_column=columns is not None)
    data = text.encode()
    try:
        plain = pl.read_csv(data, infer_schema=False, separator=separator)
        if columns is not None:
            return _restored(plain, columns)
        named = [name for name in plain.columns if name.lower() in _NAMES]
        frame = pl.read_csv(
            data,
            separator=separator,
            schema_overrides=dict.fromkeys(named, pl.String),
            infer_schema_length=None,
            null_values=_NOT_KNOWN,
        )
        frame = with_points(frame, separator, path, set(named))
    except UnreadableFileError:
        raise
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UnreadableFileError(f"is no CSV ({reason})", where=path, fix="check it") from error
    keys = [name for name in named if name.lower() in _KEYS]
    return frame.with_columns(plain.select(pl.col(keys).replace("", None)))


def csv_text(path: Path, *, one_column: bool = False) -> tuple[str, str]:
    """Text of a CSV file, and what separates its columns by its heading.

    Parameters
    ----------
    path
        The file; UTF-8, with or without a byte order mark, lines ending in LF or CRLF.
    one_column
        Whether it may have no separator at all.

    Returns
    -------
    tuple of str
        The text, and a comma, semicolon or tab.

    Raises
    ------
    UnreadableFileError
        If it is missing, no UTF-8, empty, or its heading has none of these.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig").lstrip("\r\n")
    except UnicodeDecodeError as error:
        fix = "save it as CSV UTF-8"
        raise UnreadableFileError("is not UTF-8 text", where=path, fix=fix) from error
    except OSError as error:
        what = f"cannot be read ({error.strerror or error})"
        raise UnreadableFileError(what, where=path, fix="check file and permissions") from error
    if not text.strip(" \t\r\n"):
        raise UnreadableFileError("is empty", where=path, fix="write it again")
    heading = text.split("\n", 1)[0].rstrip("\r")
    # A name may hold a separator within quotes.
    bare = re.sub(r'"[^"]*"', "", heading)
    best = max(_SEPARATORS, key=bare.count)
    if best not in bare and not one_column:
        what = f"its heading {heading[:40]!r} has no {', '.join(_SEPARATORS.values())}"
        fix = "separate its columns by one of them"
        raise UnreadableFileError(what, where=path, fix=fix)
    return text, best


def _guarded(name: str) -> str:
    return f"'{name}" if name[:1] and name[0] in "=+-@\t\r'" else name


def _restored(frame: pl.DataFrame, columns: Mapping[str, str]) -> pl.DataFrame:
    """Texts without their guards, and columns of the type that they were written from."""
    plain = frame.with_columns(pl.all().str.strip_prefix("'"))
    plain = plain.rename({name: name.removeprefix("'") for name in plain.columns})
    kinds = {name: _TYPES[columns[name]] for name in plain.columns if columns.get(name) in _TYPES}
    return plain.with_columns(
        # Text is not cast to a truth value by polars.
        (pl.col(name) == "true") if kind == pl.Boolean else pl.col(name).cast(kind)
        for name, kind in kinds.items()
        if kind != pl.String
    )
