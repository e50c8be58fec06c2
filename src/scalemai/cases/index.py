"""An index of a data set: one scan of its headers, kept as ``cases.parquet``.

Paths in it are relative, so a data set may be moved as a whole. Opening it reads one file and
lists the folders that hold the cases, and notices cases that came or went.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl

from scalemai.anatomy import ClassMap
from scalemai.case import check_case_id
from scalemai.cases.entry import label_values, refuse_unexplained
from scalemai.cases.layouts import detect, layout_named
from scalemai.cases.layouts.folders import is_case_folder, names_in
from scalemai.cases.paths import inside
from scalemai.cases.table import FILES, HEADER, to_table
from scalemai.errors import CaseError, ConfigError, UnreadableFileError
from scalemai.io.atomic import atomic_path
from scalemai.io.nifti import is_nifti_name, read_grid

__all__ = ["INDEX_NAME", "build_index", "read_index"]

INDEX_NAME = "cases.parquet"

_FORMAT = 1
_THREADS = 8  # headers are small, so a network folder's delay is what costs
_REBUILD = "build the index again (build_index)"
_UNSAFE_PATH = r"(^[/\\])|(^[A-Za-z]:)|(^|[/\\\n])\.\.([/\\\n]|$)|\x00"


def build_index(
    root: Path | str,
    *,
    out: Path | str | None = None,
    layout: str | None = None,
    class_map: ClassMap | Mapping[int, str] | str | Path | None = None,
) -> Path:
    """Scan a data set once and write its index.

    A CT whose header cannot be read stays in the index with the reason (see
    :attr:`Dataset.problems`). Headers of files that have not changed since an earlier index are
    not read again. The index is written whole or not at all, so several processes may build it at
    once and a killed one leaves the old index.

    Parameters
    ----------
    root
        Folder of the data set.
    out
        Where to write it; ``cases.parquet`` in ``root`` if not given. An index elsewhere refers
        to ``root`` by a relative path.
    layout, class_map
        As for :func:`scalemai.cases.open_cases`.

    Returns
    -------
    Path
        The index.

    Raises
    ------
    ConfigError
        If no layout fits, there is no case, or a link leads out of the data set.
    OutputError
        If the index cannot be written.
    """
    root = Path(os.path.abspath(root))  # noqa: PTH100  # resolve() would follow the user's links
    out = root / INDEX_NAME if out is None else Path(os.path.abspath(out))  # noqa: PTH100
    known = detect(root) if layout is None else layout_named(layout)
    scan = known.scan(root, None if class_map is None else label_values(class_map))
    if known.name in ("case", "dicom"):
        fix = "give the folder that holds the cases; a single case needs no index"
        raise ConfigError("is a single case", where=root, fix=fix)
    if not scan.entries:
        raise ConfigError("no case was found", where=root, fix="check the folder")
    refuse_unexplained(scan, root)
    rows = to_table(scan.entries)
    headers = _headers(root, rows["ct"].to_list(), _earlier(out))
    about = {
        "format": _FORMAT,
        "layout": known.name,
        "root": os.path.relpath(root, out.parent).replace(os.sep, "/"),
        "notes": scan.notes,
        "listed": {folder: sorted(_others(root, folder, rows)) for folder in scan.listed},
        "files": {name: _digest(root / name) for name in scan.files},
    }
    first = pl.Series("about", [json.dumps(about)] + [None] * (rows.height - 1), dtype=pl.String)
    table = pl.concat([rows, headers], how="horizontal").with_columns(first)
    with atomic_path(out) as temporary:
        table.write_parquet(temporary)
    return out


def read_index(
    path: Path, root: Path | None = None, *, allow_stale: bool = False
) -> tuple[Path, pl.DataFrame, dict[str, Any]]:
    """Read an index and see that it is whole, safe and up to date.

    Returns
    -------
    Path
        Folder of the data set: ``root`` if given, else where the index says.
    polars.DataFrame
        One row per case.
    dict
        What the index tells of the data set: ``layout``, ``notes``, ...

    Raises
    ------
    UnreadableFileError
        If the file is missing, damaged or no index, or the data set is not there.
    ConfigError
        If it was built by another version, names files outside of the data set, or the data
        set has changed since and ``allow_stale`` is not set.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100  # as above
    table = _read(path)
    about = _about(table, path)
    base = Path(os.path.abspath(path.parent / about["root"] if root is None else root))  # noqa: PTH100
    if not base.is_dir():
        fix = "give root=, or build the index again where the data set is"
        raise UnreadableFileError(f"the data set is not at {base}", where=path, fix=fix)
    _refuse_unsafe(table, path)
    if not allow_stale and (changes := _changes(base, table, about)):
        what = f"the data set has changed since the index was built: {changes}"
        raise ConfigError(what, where=path, fix=_REBUILD)
    return base, table, about


# --- building ------------------------------------------------------------------------------


def _headers(root: Path, cts: list[str], earlier: Mapping[str, dict[str, Any]]) -> pl.DataFrame:
    def read(ct: str) -> dict[str, Any]:
        inside(root, ct, where=root)
        return _header(root / ct, earlier.get(ct, {}))

    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(read, cts))
    schema = {name: kind for name, kind in HEADER.items() if name != "about"}
    return pl.DataFrame(found, schema=schema)


def _header(ct: Path, before: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(HEADER)
    del row["about"]
    try:
        status = ct.stat()
        row["ct_bytes"], row["ct_mtime_ns"] = status.st_size, status.st_mtime_ns
        unchanged = all(before.get(key) == row[key] for key in ("ct_bytes", "ct_mtime_ns"))
        if before and unchanged:
            return {key: before[key] for key in row}
        grid = read_grid(ct)
    except CaseError as error:
        row["problem"] = f"{error.what}; {error.fix}" if error.fix else error.what
    except OSError as error:
        row["problem"] = error.strerror or "cannot be read"
    else:
        row["shape"], row["spacing_mm"] = list(grid.shape), list(grid.spacing_mm)
        row["orientation"] = grid.orientation
    return row


def _earlier(path: Path) -> dict[str, dict[str, Any]]:
    """Headers of an earlier index by CT; nothing if there is none that can be used."""
    try:
        table = _read(path)
        _about(table, path)
    except (UnreadableFileError, ConfigError):
        return {}
    columns = [name for name in HEADER if name != "about"]
    return {row["ct"]: row for row in table.select("ct", *columns).iter_rows(named=True)}


# --- opening -------------------------------------------------------------------------------


def _read(path: Path) -> pl.DataFrame:
    try:
        table = pl.read_parquet(path, glob=False)
    except FileNotFoundError as error:
        raise UnreadableFileError("no such file", where=path, fix="build it first") from error
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UnreadableFileError(
            "is no readable Parquet file", where=path, fix=_REBUILD
        ) from error
    missing = [name for name in (*FILES, *HEADER) if name not in table.columns]
    if missing or not table.height:
        what = f"is no index of cases (without {', '.join(missing) or 'rows'})"
        raise UnreadableFileError(what, where=path, fix=_REBUILD)
    return table


def _about(table: pl.DataFrame, path: Path) -> dict[str, Any]:
    try:
        about: dict[str, Any] = json.loads(table["about"][0])
        version = about["format"]
    except (TypeError, ValueError, KeyError) as error:
        raise UnreadableFileError("is no index of cases", where=path, fix=_REBUILD) from error
    if version != _FORMAT:
        raise ConfigError(f"is an index of format {version}", where=path, fix=_REBUILD)
    return about


def _refuse_unsafe(table: pl.DataFrame, path: Path) -> None:
    for column in ("ct", "mask_folder", "mask_files", "label_map"):
        texts = table[column].unique().cast(pl.String).drop_nulls()
        unsafe = texts.filter(texts.str.contains(_UNSAFE_PATH))
        if unsafe.len():
            inside(path.parent, unsafe[0], where=path)  # says what is wrong with the first
            what = f"{unsafe[0]!r} leads out of the data set"
            raise ConfigError(what, where=path, fix=_REBUILD)
    for case_id in table["id"].to_list():
        check_case_id(case_id)
    if table["id"].n_unique() != table.height:
        raise ConfigError("two cases have the same id", where=path, fix=_REBUILD)


def _changes(root: Path, table: pl.DataFrame, about: Mapping[str, Any]) -> str:
    came: list[str] = []
    went: list[str] = []
    for folder, others in about["listed"].items():
        cases, names = _case_names(folder, table), names_in(root / folder)
        went += sorted(cases - names)
        came += [
            name for name in sorted(names - cases - set(others)) if _is_case(root / folder / name)
        ]
    parts = [
        f"{len(n)} cases {verb} ({n[0]}{', ...' if n[1:] else ''})"
        for verb, n in (("came", came), ("went", went))
        if n
    ]
    parts += [
        f"{name} is another"
        for name, digest in about["files"].items()
        if _digest(root / name) != digest
    ]
    return ", ".join(parts)


def _case_names(folder: str, table: pl.DataFrame) -> set[str]:
    """Names of the entries of a listed folder that are cases (or hold one)."""
    paths = table["ct"]
    if folder:
        paths = paths.filter(paths.str.starts_with(f"{folder}/")).str.strip_prefix(f"{folder}/")
    return set(paths.str.split("/").list.first().to_list())


def _others(root: Path, folder: str, table: pl.DataFrame) -> set[str]:
    return set(names_in(root / folder)) - _case_names(folder, table)


def _is_case(path: Path) -> bool:
    return is_case_folder(path) or (is_nifti_name(path) and path.is_file())


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
