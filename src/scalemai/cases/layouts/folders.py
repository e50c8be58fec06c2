"""Layouts in which every case is a folder: PanTS, AbdomenAtlas, TotalSegmentator, plain ones.

::

    CASE/ct.nii.gz                     the CT
    CASE/segmentations/NAME.nii.gz     one mask per structure,
    CASE/combined_labels.nii.gz        or one label map (also labels.nii.gz)
    CASE/metadata.json                 phase, sex, age, ... where known

PanTS keeps CT and masks in two trees (``ImageTr/CASE/ct.nii.gz``,
``LabelTr/CASE/segmentations``), and so does AbdomenAtlas 3.0 (``image_only``, ``mask_only``).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scalemai.case import Presence
from scalemai.cases.entry import CaseEntry, LabelValues, Scan
from scalemai.cases.layouts.tables import read_case_metadata, read_metadata
from scalemai.cases.paths import nifti_stem
from scalemai.errors import UnreadableFileError

__all__ = [
    "CT_NAMES",
    "LABEL_MAP_NAMES",
    "MASK_FOLDER",
    "METADATA_NAME",
    "case_folder",
    "is_abdomenatlas",
    "is_case_folder",
    "is_folders",
    "is_pants",
    "is_totalsegmentator",
    "names_in",
    "scan_abdomenatlas",
    "scan_case_folder",
    "scan_folders",
    "scan_pants",
    "scan_totalsegmentator",
]

CT_NAMES = ("ct.nii.gz", "ct.nii")
MASK_FOLDER = "segmentations"
METADATA_NAME = "metadata.json"
LABEL_MAP_NAMES = ("combined_labels.nii.gz", "labels.nii.gz", "labels.nii")

_PANTS_ID = re.compile(r"PanTS_\d+")
_ABDOMENATLAS_ID = re.compile(r"BDMAP_\w+")
_TOTALSEGMENTATOR_ID = re.compile(r"s\d{4}")


@dataclass(frozen=True, slots=True)
class _Tree:
    """A folder of case folders, and the folder that holds their masks (often the same)."""

    images: str
    labels: str
    split: str | None = None


_PANTS_TREES = (_Tree("ImageTr", "LabelTr", "train"), _Tree("ImageTe", "LabelTe", "test"))
_ABDOMENATLAS_TREES = (_Tree("image_only", "mask_only"), _Tree("ct", "label"))
_ONE_TREE = (_Tree("", ""),)


def is_case_folder(folder: Path) -> bool:
    """Whether the folder is one case: it holds a CT by its usual name."""
    return any((folder / name).is_file() for name in CT_NAMES)


def is_pants(root: Path) -> bool:
    """Whether the folder is PanTS: ``ImageTr`` or ``ImageTe``, or case folders ``PanTS_*``."""
    return any((root / t.images).is_dir() for t in _PANTS_TREES) or _has_case(root, _PANTS_ID)


def is_abdomenatlas(root: Path) -> bool:
    """Whether the folder is AbdomenAtlas: case folders ``BDMAP_*``, in one tree or in two."""
    trees = [root, *(root / tree.images for tree in _ABDOMENATLAS_TREES)]
    return any(_has_case(tree, _ABDOMENATLAS_ID) for tree in trees)


def is_totalsegmentator(root: Path) -> bool:
    """Whether the folder is the TotalSegmentator data set: case folders ``sNNNN``."""
    return _has_case(root, _TOTALSEGMENTATOR_ID)


def is_folders(root: Path) -> bool:
    """Whether the folder holds case folders of any name."""
    return _has_case(root, re.compile(r"[^.].*"))


def scan_pants(root: Path, labels: LabelValues | None) -> Scan:
    """Find the cases of PanTS; ``tumor?`` of its table states the pancreatic lesion."""
    table = _first_file(root, ("metadata.csv", "metadata.xlsx"))
    rows = read_metadata(table, ("PanTS ID", "PanTS_ID")) if table else {}
    scan = _scan(root, _existing(root, _PANTS_TREES), labels, rows, table)
    scan.entries = [_with_tumor(entry) for entry in scan.entries]
    return scan


def scan_abdomenatlas(root: Path, labels: LabelValues | None) -> Scan:
    """Find the cases of AbdomenAtlas 1.0 to 3.0."""
    table = next(iter(sorted(root.glob("*WithMeta.csv"))), None)
    rows = read_metadata(table, ("BDMAP ID", "BDMAP_ID")) if table else {}
    return _scan(root, _existing(root, _ABDOMENATLAS_TREES), labels, rows, table)


def scan_totalsegmentator(root: Path, labels: LabelValues | None) -> Scan:
    """Find the cases of the TotalSegmentator data set, with its ``meta.csv`` if present."""
    table = _first_file(root, ("meta.csv",))
    rows = read_metadata(table, ("image_id",)) if table else {}
    return _scan(root, _ONE_TREE, labels, rows, table)


def scan_folders(root: Path, labels: LabelValues | None) -> Scan:
    """Find case folders of any name, with a ``metadata.csv`` if present."""
    table = _first_file(root, ("metadata.csv",))
    rows = read_metadata(table, ("case_id", "id", "case")) if table else {}
    return _scan(root, _ONE_TREE, labels, rows, table)


def scan_case_folder(folder: Path, labels: LabelValues | None) -> Scan:
    """The one case that a folder is."""
    entry = case_folder(folder.parent, folder.name, folder.name, labels)
    return Scan([] if entry is None else [entry])


def case_folder(
    root: Path, images: str, masks: str, labels: LabelValues | None
) -> CaseEntry | None:
    """Read the listing of one case, or None if there is no CT.

    Parameters
    ----------
    root
        Folder of the data set.
    images, masks
        Folders of the CT and of the masks, relative to ``root``.
    labels
        What the values of a label map mean. If given, the label map is used even if there are
        separate masks as well.
    """
    names = names_in(root / images)
    ct = next((name for name in CT_NAMES if name in names), None)
    if ct is None:
        return None
    metadata = {}
    if METADATA_NAME in names:
        metadata = read_case_metadata(root / images / METADATA_NAME)
    entry = CaseEntry(id=images.rpartition("/")[2], ct=f"{images}/{ct}", metadata=metadata)
    beside = names if masks == images else names_in(root / masks)
    label_map = next((name for name in LABEL_MAP_NAMES if name in beside), None)
    folder = f"{masks}/{MASK_FOLDER}"
    files: tuple[str, ...] = ()
    if MASK_FOLDER in beside:
        files = tuple(sorted(name for name in names_in(root / folder) if nifti_stem(name)))
    if label_map is not None and (labels is not None or not files):
        return replace(entry, label_map=f"{masks}/{label_map}", labels=labels)
    return replace(entry, mask_folder=folder, mask_files=files) if files else entry


def names_in(folder: Path) -> frozenset[str]:
    """Names of the entries of a folder, hidden ones left out; empty if there is none.

    Raises
    ------
    UnreadableFileError
        If the folder may not be read, or a name in it is not UTF-8 or holds a line break.
    """
    try:
        names = [name for name in os.listdir(folder) if not name.startswith(".")]  # noqa: PTH208  # half the time of iterdir
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except PermissionError as error:
        fix = "ask for read permission"
        raise UnreadableFileError("may not be read", where=folder, fix=fix) from error
    if not _is_text("/".join(names)):
        bad = next(name for name in names if not _is_text(name))
        what = f"holds a file whose name is not plain text: {bad!r}"
        raise UnreadableFileError(what, where=folder, fix="rename it")
    return frozenset(names)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return "\n" not in name


def _scan(
    root: Path,
    trees: tuple[_Tree, ...],
    labels: LabelValues | None,
    rows: dict[str, dict[str, Any]],
    table: Path | None,
) -> Scan:
    files = [] if table is None else [table.name]
    scan = Scan(listed=[tree.images for tree in trees], files=files)
    for tree in trees:
        for name in sorted(names_in(root / tree.images)):
            images = f"{tree.images}/{name}" if tree.images else name
            masks = f"{tree.labels}/{name}" if tree.labels else name
            entry = case_folder(root, images, masks, labels)
            if entry is not None:
                split = {"split": tree.split} if tree.split else {}
                metadata = {**entry.metadata, **rows.get(name, {}), **split}
                scan.entries.append(replace(entry, metadata=metadata))
            elif why := _left_out(root / images, root / masks):
                scan.notes.append(why)
        if tree.labels != tree.images:
            alone = names_in(root / tree.labels) - names_in(root / tree.images)
            notes = (_left_out(root / tree.images / n, root / tree.labels / n) for n in alone)
            scan.notes.extend(sorted(filter(None, notes)))
    return scan


def _left_out(images: Path, masks: Path) -> str | None:
    """Why a folder is no case although it looks like one, or None if it does not."""
    if (masks / MASK_FOLDER).is_dir():
        return f"{masks} has masks, but {images} no {CT_NAMES[0]}; left out"
    if any(map(nifti_stem, names_in(images))):
        return f"{images} has NIfTI files, but none is called {CT_NAMES[0]}; left out"
    return None


def _existing(root: Path, trees: tuple[_Tree, ...]) -> tuple[_Tree, ...]:
    return tuple(t for t in trees if (root / t.images).is_dir()) or _ONE_TREE


def _has_case(root: Path, pattern: re.Pattern[str]) -> bool:
    names = (name for name in sorted(names_in(root)) if pattern.fullmatch(name))
    return any(is_case_folder(root / name) for name in names)


def _first_file(root: Path, names: tuple[str, ...]) -> Path | None:
    return next((root / name for name in names if (root / name).is_file()), None)


def _with_tumor(entry: CaseEntry) -> CaseEntry:
    says = str(entry.metadata.get("tumor", "")).removesuffix(".0")
    states = {"1": Presence.PRESENT, "0": Presence.ABSENT}
    if says not in states:
        return entry
    return replace(entry, stated={"pancreatic_lesion": states[says]})
