"""Open whatever a user has as a data set: a root, a case folder, one CT, DICOM or an index."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from scalemai.anatomy import ClassMap
from scalemai.cases.dataset import Dataset
from scalemai.cases.entry import (
    CaseEntry,
    LabelValues,
    Scan,
    label_values,
    named_values,
    no_class_map,
    refuse_unexplained,
)
from scalemai.cases.layouts import LAYOUTS, Layout, detect, layout_named
from scalemai.cases.layouts.folders import CT_NAMES, case_folder, names_in
from scalemai.cases.layouts.manifests import MANIFEST
from scalemai.cases.paths import case_name, nifti_stem
from scalemai.cases.table import to_table
from scalemai.errors import ConfigError, UnreadableFileError
from scalemai.io.nifti import is_nifti_name

__all__ = ["open_cases"]

_ONE_CASE = ("case", "dicom")


def open_cases(
    source: Path | str,
    *,
    layout: str | None = None,
    labels: Path | str | None = None,
    masks: Path | str | None = None,
    class_map: ClassMap | Mapping[int, str] | str | Path | None = None,
    series: str | int | None = None,
    hu_offset: float = 0.0,
) -> Dataset:
    """Open a data set, a case or a CT. No voxels are read.

    Parameters
    ----------
    source
        The root of a data set, one case folder, one CT file (NIfTI), a folder or zip of a DICOM
        series, or an index (``cases.parquet``).
    layout
        Name of the layout (see :data:`scalemai.cases.layouts.LAYOUTS`); recognized by content
        if not given.
    labels
        Label map of a single CT, which needs ``class_map``; or a DICOM segmentation, whose
        segments are known by their own labels unless ``class_map`` says otherwise.
    masks
        Masks of a single CT: a folder with one file per structure, or one such file.
    class_map
        What the values of label maps mean: the id of a class map, a TOML file, or a mapping
        from value to structure. If it is given, label maps are read even where separate masks
        lie beside them.
    series
        Which DICOM series, if there are several.
    hu_offset
        Added to every voxel of every CT, usually -1024, for files without their rescale
        intercept.

    Returns
    -------
    Dataset
        A single CT is a data set of one case.

    Raises
    ------
    UnreadableFileError
        If there is no such file or folder.
    ConfigError
        If no layout fits, two cases have one name, a case id is no safe file name, a manifest
        names files outside of the data set, or the arguments do not go together.
    """
    path = Path(os.path.abspath(source))  # noqa: PTH100  # resolve() would follow the user's links
    values = None if class_map is None else label_values(class_map)
    if path.is_file() and path.suffix.lower() == ".parquet":
        given = {"layout": layout, "labels": labels, "masks": masks, "class_map": class_map}
        _refuse({**given, "series": series}, f"{path.name} is an index, which tells this itself")
        return Dataset.open(path, hu_offset=hu_offset)
    if path.is_file() and path.name == MANIFEST:
        path = path.parent
    if path.is_file():
        _refuse({"layout": layout}, "one CT file has no layout")
        found, scan = "file", Scan([_ct_file(path, values)])
    elif path.is_dir():
        known = _layout(path, layout)
        found, scan = known.name, known.scan(path, values)
    else:
        raise UnreadableFileError("no such file or folder", where=path, fix="check the path")
    if found in ("file", *_ONE_CASE):
        entries = [_with_masks(entry, labels, masks, values) for entry in scan.entries]
        scan.entries = [replace(e, series=None if series is None else str(series)) for e in entries]
        path = path.parent
    else:
        one = "it belongs to a single CT, and this is a data set"
        _refuse({"labels": labels, "masks": masks, "series": series}, one)
    if not scan.entries:
        raise ConfigError(f"no case was found (layout {found})", where=path, fix="check the folder")
    refuse_unexplained(scan, path)
    if values is not None and not any(entry.labels for entry in scan.entries):
        what = "class_map= is given, but there is no label map"
        raise ConfigError(what, where=path, fix="give the label map with labels=, or leave it out")
    rows = to_table(scan.entries)
    return Dataset(path, rows, layout=found, hu_offset=hu_offset, notes=scan.notes)


def _layout(path: Path, name: str | None) -> Layout:
    if name is None:
        return detect(path)
    layout = layout_named(name)
    if not layout.recognizes(path):
        what = f"is not laid out as {name}: no {layout.looks_for} here"
        fits = [other.name for other in LAYOUTS.values() if other.recognizes(path)]
        fix = f"it looks like {fits[0]}" if fits else "check the folder"
        raise ConfigError(what, where=path, fix=fix)
    return layout


def _ct_file(path: Path, values: LabelValues | None) -> CaseEntry:
    if path.name in CT_NAMES:
        entry = case_folder(path.parent.parent, path.parent.name, path.parent.name, values)
        if entry is not None:
            outer = path.parent.parent
            return replace(
                entry,
                ct=str(path),
                mask_folder=entry.mask_folder and str(outer / entry.mask_folder),
                label_map=entry.label_map and str(outer / entry.label_map),
            )
    return CaseEntry(id=case_name(path), ct=str(path))


def _with_masks(
    entry: CaseEntry,
    labels: Path | str | None,
    masks: Path | str | None,
    values: LabelValues | None,
) -> CaseEntry:
    if labels is not None and masks is not None:
        raise ConfigError("both labels= and masks= are given", fix="give one of them")
    bare = replace(entry, mask_folder=None, mask_files=(), label_map=None, labels=None)
    if labels is not None:
        path = _existing(labels)
        if values is None and path.is_file() and not is_nifti_name(path):
            values = _segment_values(path)
        if values is None:
            raise no_class_map(path)
        return replace(bare, label_map=str(path), labels=values)
    if masks is not None:
        path = _existing(masks)
        folder = path if path.is_dir() else path.parent
        names = sorted(names_in(path)) if path.is_dir() else [path.name]
        files = tuple(name for name in names if nifti_stem(name))
        if not files:
            raise ConfigError("holds no NIfTI mask", where=path, fix="give .nii or .nii.gz files")
        return replace(bare, mask_folder=str(folder), mask_files=files)
    return entry


def _segment_values(path: Path) -> LabelValues:
    """What the segments of a DICOM segmentation are, by their own labels."""
    from scalemai.io.dicom_seg_read import list_segments

    pairs = ((label, (number,)) for number, label in list_segments(path).items())
    return named_values(f"the segments of {path.name}", pairs)


def _existing(path: Path | str) -> Path:
    found = Path(os.path.abspath(path))  # noqa: PTH100  # as above
    if not found.exists():
        raise UnreadableFileError("no such file or folder", where=found, fix="check the path")
    return found


def _refuse(given: Mapping[str, object], why: str) -> None:
    wrong = [f"{name}=" for name, value in given.items() if value is not None]
    if wrong:
        raise ConfigError(f"{' and '.join(wrong)} cannot be used here: {why}", fix="leave it out")
