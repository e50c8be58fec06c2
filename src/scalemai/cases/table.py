"""Cases as rows of a table, which is small in memory and fast to read from Parquet.

Paths are relative to the root of the data set. The lists of mask files, label values and
statements repeat from case to case, so each is one categorical text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from scalemai.case import Case, MaskSource, Presence, check_case_id
from scalemai.cases.entry import CaseEntry, LabelValues, structure_names
from scalemai.cases.paths import nifti_stem
from scalemai.errors import ConfigError

__all__ = ["FILES", "HEADER", "case_of", "sources_of", "to_table"]

_REPEATED = pl.Categorical()
FILES: dict[str, pl.DataType] = {
    "id": pl.String(),
    "ct": pl.String(),
    "series": pl.String(),
    "mask_folder": pl.String(),
    "mask_files": _REPEATED,
    "label_map": pl.String(),
    "labels": _REPEATED,
    "stated": _REPEATED,
}
"""Columns that tell where the files of a case are."""

HEADER: dict[str, pl.DataType] = {
    "shape": pl.List(pl.Int32()),
    "spacing_mm": pl.List(pl.Float64()),
    "orientation": pl.String(),
    "problem": pl.String(),
    "ct_bytes": pl.Int64(),
    "ct_mtime_ns": pl.Int64(),
    "about": pl.String(),
}
"""Columns that an index adds; ``about`` describes the index itself, in the first row."""

_NOT_METADATA = frozenset((*FILES, "ct_bytes", "ct_mtime_ns", "about", "problem"))


def to_table(entries: Sequence[CaseEntry]) -> pl.DataFrame:
    """Put cases into a table, ordered as given.

    Raises
    ------
    ConfigError
        If two cases have the same id, or an id is no safe file name.
    """
    for entry in entries:
        check_case_id(entry.id)
    _refuse_duplicates(entries)
    columns: dict[str, list[Any]] = {
        "id": [entry.id for entry in entries],
        "ct": [entry.ct for entry in entries],
        "series": [None if entry.series is None else str(entry.series) for entry in entries],
        "mask_folder": [entry.mask_folder for entry in entries],
        "mask_files": ["\n".join(entry.mask_files) or None for entry in entries],
        "label_map": [entry.label_map for entry in entries],
        "labels": [entry.labels.to_json() if entry.labels else None for entry in entries],
        "stated": [json.dumps(entry.stated) if entry.stated else None for entry in entries],
    }
    table = pl.DataFrame(columns, schema=FILES)
    keys = list(dict.fromkeys(key for entry in entries for key in entry.metadata))
    reserved = {*FILES, *HEADER, "layout"}
    extra = [
        pl.Series(
            f"stated_{key}" if key in reserved else key,
            [entry.metadata.get(key) for entry in entries],
        )
        for key in keys
    ]
    return table.with_columns(extra)


def case_of(
    row: Mapping[str, Any], root: Path, *, layout: str, hu_offset: float, indexed: bool
) -> Case:
    """The case that a row of the table tells of; no file is touched."""
    metadata = {k: v for k, v in row.items() if k not in _NOT_METADATA and v is not None}
    stated = json.loads(row["stated"]) if row["stated"] else {}
    return Case(
        id=row["id"],
        ct=root / row["ct"],
        sources=sources_of(row, root),
        series=row["series"],
        hu_offset=hu_offset,
        class_map=_labels(row["labels"]).name if row["labels"] else "",
        metadata={"layout": layout, **metadata},
        stated={name: Presence(value) for name, value in stated.items()},
        root=root if indexed else None,
        ct_bytes=row["ct_bytes"] if indexed else None,
    )


def sources_of(row: Mapping[str, Any], root: Path) -> Mapping[str, MaskSource]:
    """Where the mask of each structure of a row is."""
    if row["labels"] and row["label_map"]:
        return _Sources(root / row["label_map"], _in_label_map(row["labels"]))
    if row["mask_files"]:
        return _Sources(root / row["mask_folder"], _in_own_files(row["mask_files"]))
    return {}


@dataclass(frozen=True, slots=True, eq=False)
class _Sources(Mapping[str, MaskSource]):
    """Mask sources by structure: a path, and a table that cases with the same masks share.

    A data set of 36,000 cases with 28 masks would otherwise hold a million paths."""

    path: Path
    below: Mapping[str, tuple[str, tuple[int, ...]]]

    def __getitem__(self, name: str) -> MaskSource:
        file, values = self.below[name]
        return MaskSource(self.path / file if file else self.path, values)

    def __iter__(self) -> Iterator[str]:
        return iter(self.below)

    def __len__(self) -> int:
        return len(self.below)

    def __contains__(self, name: object) -> bool:
        return name in self.below


@lru_cache(maxsize=4096)
def _in_own_files(files: str) -> Mapping[str, tuple[str, tuple[int, ...]]]:
    names = tuple(files.split("\n"))
    structures = structure_names(tuple(nifti_stem(name) or name for name in names))
    return {s: (name, ()) for s, name in zip(structures, names, strict=True)}


@lru_cache(maxsize=256)
def _in_label_map(labels: str) -> Mapping[str, tuple[str, tuple[int, ...]]]:
    return {name: ("", values) for name, values in _labels(labels).values}


@lru_cache(maxsize=256)
def _labels(text: str) -> LabelValues:
    return LabelValues.from_json(text)


def _refuse_duplicates(entries: Sequence[CaseEntry]) -> None:
    seen: dict[str, str] = {}
    for entry in entries:
        if entry.id in seen:
            what = f"two cases are called {entry.id!r}: {seen[entry.id]} and {entry.ct}"
            raise ConfigError(what, fix="rename one, or open their folders one by one")
        seen[entry.id] = entry.ct
