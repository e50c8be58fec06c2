"""Tables that come with data sets: one row per case, columns in the words of each publisher."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from scalemai.anatomy import canonical_phase
from scalemai.errors import ConfigError, UnknownNameError, UnreadableFileError

__all__ = ["read_case_metadata", "read_metadata"]

# Publishers' columns (squeezed to lower-case words) and what they are called here.
_COLUMNS = {
    "ct_phase": "phase",
    "contrast_phase": "phase",
    "gender": "sex",
    "patient_sex": "sex",
    "patient_age": "age",
    "manufacturer_model": "model",
    "scanner_model": "model",
    "institute": "site",
    "shape": "stated_shape",
    "spacing": "stated_spacing",
}


def read_metadata(path: Path, id_columns: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read a CSV or XLSX table into plain values by case id.

    Column names become lower-case words joined by ``_``; ``phase``, ``sex`` (``M`` or ``F``)
    and ``age`` (years) are brought to one form, and empty cells are left out.

    Parameters
    ----------
    path
        ``.csv`` (comma, semicolon or tab) or ``.xlsx``.
    id_columns
        Possible names of the column that holds the case id.

    Raises
    ------
    UnreadableFileError
        If the table cannot be read.
    ConfigError
        If it has no id column, or an id twice.
    """
    table = _read_xlsx(path) if path.suffix.lower() == ".xlsx" else _read_csv(path)
    key = next((column for column in id_columns if column in table.columns), None)
    if key is None:
        what = f"has no column {' or '.join(map(repr, id_columns))}"
        raise ConfigError(what, where=path, fix=f"its columns are {', '.join(table.columns)}")
    rows: dict[str, dict[str, Any]] = {}
    for row in table.iter_rows(named=True):
        case_id = str(row.pop(key) or "").strip()
        if case_id in rows:
            fix = "keep one row per case"
            raise ConfigError(f"case {case_id!r} stands in two rows", where=path, fix=fix)
        if case_id:
            rows[case_id] = _plain(row)
    return rows


def read_case_metadata(path: Path) -> dict[str, Any]:
    """Read what a ``metadata.json`` beside a CT says, in the words of :func:`read_metadata`.

    Only single values are kept. A file that cannot be read does not cost the case: the reason
    stands under ``metadata_problem``.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        return {"metadata_problem": f"{path.name} cannot be read ({error})"}
    if not isinstance(data, dict):
        return {"metadata_problem": f"{path.name} is no JSON object"}
    return _plain({k: v for k, v in data.items() if isinstance(v, str | int | float)})


def _read_csv(path: Path) -> pl.DataFrame:
    try:
        with path.open(encoding="utf-8-sig") as stream:
            head = stream.readline()
        separator = max(",;\t", key=head.count)
        # Everything is read as text: ids keep their zeros, and odd cells cost nothing.
        return pl.read_csv(path, separator=separator, infer_schema=False)
    except (OSError, UnicodeDecodeError, pl.exceptions.PolarsError) as error:
        what = f"cannot be read as a CSV table ({str(error).splitlines()[0]})"
        raise UnreadableFileError(what, where=path, fix="save it again as UTF-8 CSV") from error


def _read_xlsx(path: Path) -> pl.DataFrame:
    # The reader behind polars takes a while to import and most tables are CSV.
    from fastexcel import FastExcelError

    try:
        return pl.read_excel(path, infer_schema_length=0)
    except (OSError, ValueError, FastExcelError, pl.exceptions.PolarsError) as error:
        what = f"cannot be read as an XLSX table ({str(error).splitlines()[0]})"
        fix = f"save it as {path.with_suffix('.csv').name}"
        raise UnreadableFileError(what, where=path, fix=fix) from error


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for column, value in row.items():
        text = "" if value is None else str(value).strip()
        if text:
            words = re.sub(r"[^0-9a-z]+", "_", column.lower()).strip("_")
            name = _COLUMNS.get(words, words)
            if name == "age" and (years := _years(text)) is not None:
                plain["age"] = years
            elif name == "age":
                plain["age_text"] = text  # "90+" is no number, and no reason to lose it
            else:
                plain[name] = _FORMS[name](text) if name in _FORMS else text
    return plain


def _phase(text: str) -> str:
    try:
        return canonical_phase(text)
    except UnknownNameError:
        return text


def _sex(text: str) -> str:
    letter = text[0].upper()
    return letter if letter in "MF" and text.upper() in {letter, "MALE", "FEMALE"} else text


def _years(text: str) -> float | None:
    try:
        return float(text.upper().removesuffix("Y"))  # DICOM writes 063Y
    except ValueError:
        return None


_FORMS = {"phase": _phase, "sex": _sex}
