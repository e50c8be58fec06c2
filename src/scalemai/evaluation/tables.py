"""Tables of results that carry what their numbers mean and what they were computed from.

A table is written twice: ``KIND.parquet``, with everything that is known about it in the file's own
metadata, and ``KIND.csv`` for spreadsheets, with the same metadata beside it in ``KIND.json``.
Neither holds a time or a path of this machine, so the same results give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from scalemai._version import __version__
from scalemai.errors import ConfigError, UnreadableFileError
from scalemai.evaluation.definitions import Definition
from scalemai.evaluation.provenance import FORMAT, METADATA_KEY, from_json, to_json
from scalemai.evaluation.spreadsheet import read_csv, write_csv
from scalemai.io.atomic import atomic_path

__all__ = ["Table", "read_table", "write_table"]


@dataclass(frozen=True)
class Table:
    """Rows of results with the definitions of their columns and the cases behind them.

    Parameters
    ----------
    kind
        What its rows are: ``"structures"``, ``"lesions"``, ``"candidates"``, ``"patients"``, ...;
        also the name of its files.
    frame
        The rows. What is not known is null; NaN and empty text are turned into null.
    definitions
        What the numbers in it mean.
    cases
        Case id to SHA-256 over its predictions and references
        (:func:`scalemai.evaluation.provenance.case_digest`).
    settings
        How it was made, in JSON types: rules, filters, policies, seed.
    version
        Version of the software that made it.
    files
        Lesion structure to case id to SHA-256 over its voxels
        (:func:`scalemai.evaluation.content.content_digest`), which is the same whatever else was
        evaluated and however it is stored; no case in which nothing is drawn or predicted.

    Raises
    ------
    ValueError
        If the kind is no file name, or a column holds lists or structs.
    """

    kind: str
    frame: pl.DataFrame
    definitions: tuple[Definition, ...] = ()
    cases: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    version: str = __version__
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.kind or not self.kind.replace("-", "").replace("_", "").isalnum():
            raise ValueError(f"the kind of a table is a name, not {self.kind!r}")
        nested = [name for name, dtype in self.frame.schema.items() if dtype.is_nested()]
        if nested:
            raise ValueError(f"columns {', '.join(nested)} hold lists; a table is flat")
        told = pl.col(pl.String).replace("", None)
        object.__setattr__(self, "frame", self.frame.fill_nan(None).with_columns(told))

    def definition(self, column: str) -> Definition | None:
        """The definition of a column, or None if it has none."""
        return next((one for one in self.definitions if one.column == column), None)

    def metadata(self) -> dict[str, Any]:
        """All but the rows, in JSON types; the same object for the same table."""
        files = {name: dict(sorted(of.items())) for name, of in sorted(self.files.items())}
        return {
            "format": FORMAT,
            "kind": self.kind,
            "version": self.version,
            "columns": {name: str(dtype) for name, dtype in self.frame.schema.items()},
            "definitions": [_as_dict(one) for one in self.definitions],
            "settings": dict(self.settings),
            "cases": dict(sorted(self.cases.items())),
            **({"files": files} if files else {}),
        }


def write_table(table: Table, folder: Path | str) -> Path:
    """Write a table as Parquet, and as CSV with its metadata beside it.

    Each file is whole or absent. The Parquet file is written last.

    Parameters
    ----------
    table
        What to write.
    folder
        Where to; made if absent. Files of the same kind are replaced.

    Returns
    -------
    Path
        ``folder/KIND.parquet``.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    folder = Path(folder)
    text = to_json(table.metadata())
    with atomic_path(folder / f"{table.kind}.json") as path:
        path.write_text(text, encoding="utf-8", newline="\n")
    with atomic_path(folder / f"{table.kind}.csv") as path:
        write_csv(table.frame, path)
    final = folder / f"{table.kind}.parquet"
    with atomic_path(final) as path:
        # One row group and no threads' choice of chunks: the same rows are the same bytes.
        rows = max(table.frame.height, 1)
        table.frame.rechunk().write_parquet(
            path, row_group_size=rows, metadata={METADATA_KEY: text}
        )
    return final


def read_table(path: Path | str, kind: str | None = None) -> Table:
    """Read a table of ours, or a foreign CSV or Parquet file as one.

    Parameters
    ----------
    path
        A ``.parquet`` or ``.csv`` file, with or without its ``.json``; or a folder that holds
        tables.
    kind
        Which table of a folder; may be left out if the folder holds one.

    Returns
    -------
    Table
        A foreign file has no definitions, cases or settings, an empty version, and its own name
        as kind. Names (``case``, ``patient``, ``structure``, ``algorithm``) are text always, so
        that case ``007`` stays what it is.

    Raises
    ------
    UnreadableFileError
        If there is no such file, or it is damaged or no table.
    ConfigError
        If the folder holds several tables and no kind is given, or a file is of another kind.
    """
    path = Path(path)
    if path.is_dir():
        path = _in_folder(path, kind)
        kind = None
    if not path.is_file():
        raise UnreadableFileError("no such file or folder", where=path, fix="check the path")
    if path.suffix.lower() == ".parquet":
        table = _read_parquet(path)
    elif path.suffix.lower() == ".csv":
        table = _read_csv(path)
    else:
        what = "is neither a .parquet nor a .csv file"
        raise UnreadableFileError(what, where=path, fix="give a table")
    if kind is not None and table.kind != kind:
        what = f"is a table of {table.kind}, not of {kind}"
        raise ConfigError(what, where=path, fix=f"give {kind}.parquet or {kind}.csv")
    return table


def _in_folder(folder: Path, kind: str | None) -> Path:
    found: dict[str, Path] = {}
    for ending in (".csv", ".parquet"):  # of two files of one table the Parquet file is taken
        found |= {file.stem: file for file in sorted(folder.glob(f"*{ending}")) if file.is_file()}
    names = ", ".join(sorted(found))
    if kind is not None:
        if kind not in found:
            fix = f"it has {names}" if found else "give what an evaluation wrote"
            raise UnreadableFileError(f"holds no table {kind!r}", where=folder, fix=fix)
        return found[kind]
    if not found:
        raise UnreadableFileError("holds no table", where=folder, fix="give a .parquet or .csv")
    if len(found) > 1:
        raise ConfigError(f"holds several tables ({names})", where=folder, fix="give one of them")
    return next(iter(found.values()))


def _read_parquet(path: Path) -> Table:
    try:
        frame = pl.read_parquet(path, glob=False)
        text = pl.read_parquet_metadata(path).get(METADATA_KEY)
    except (OSError, pl.exceptions.PolarsError) as error:
        fix = "write it again"
        raise UnreadableFileError("is no readable Parquet file", where=path, fix=fix) from error
    if text is None:
        return _foreign(frame, path)
    return _described(frame, from_json(text, path), path)


def _read_csv(path: Path) -> Table:
    beside = path.with_suffix(".json")
    about: Mapping[str, Any] = {}
    if beside.is_file():
        try:
            text = beside.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UnreadableFileError("cannot be read", where=beside, fix="remove it") from error
        about = from_json(text, beside, foreign_is_empty=True)
    if not about:
        return _foreign(read_csv(path), path)
    return _described(read_csv(path, about["columns"]), about, path)


def _foreign(frame: pl.DataFrame, path: Path) -> Table:
    kind = "".join(letter if letter.isalnum() else "_" for letter in path.stem) or "table"
    return _checked(path, kind, frame, version="")


def _described(frame: pl.DataFrame, about: Mapping[str, Any], path: Path) -> Table:
    try:
        definitions = tuple(Definition(**one) for one in about["definitions"])
    except (TypeError, ValueError) as error:
        what = f"has a definition that is none ({error})"
        raise UnreadableFileError(what, where=path, fix="write it again") from error
    return _checked(
        path,
        about["kind"],
        frame,
        definitions=definitions,
        cases=about["cases"],
        settings=about["settings"],
        version=about["version"],
        files=about["files"],
    )


def _checked(path: Path, kind: str, frame: pl.DataFrame, **about: Any) -> Table:
    try:
        return Table(kind, frame, **about)
    except ValueError as error:
        raise UnreadableFileError(str(error), where=path, fix="give a flat table") from error


def _as_dict(definition: Definition) -> dict[str, str | None]:
    return {name: getattr(definition, name) for name in Definition.__dataclass_fields__}
