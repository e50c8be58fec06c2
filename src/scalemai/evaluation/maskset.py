"""Open predictions or references: any layout of ours, or folders of masks without a CT."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from scalemai.anatomy import ClassMap
from scalemai.case import Case
from scalemai.cases.dataset import Dataset
from scalemai.cases.entry import CaseEntry, LabelValues, Scan, label_values, refuse_unexplained
from scalemai.cases.layouts import Layout, detect, layout_named
from scalemai.cases.table import to_table
from scalemai.errors import ConfigError, UnreadableFileError
from scalemai.evaluation.mask_folders import mask_file, probability_maps, scan_mask_folders

__all__ = ["MaskSet", "open_masks"]

_ONE_CASE = ("case", "dicom")


@dataclass(frozen=True, eq=False)
class MaskSet:
    """Cases by id, each with its masks and probability maps, and a CT or not.

    Parameters
    ----------
    root
        Where it was opened.
    dataset
        The cases. The ``ct`` of one without a CT is one of its masks, which has the same grid.
    without_ct
        Ids of the cases that have no CT.
    probabilities
        Case id to the probability maps of its structures.
    notes
        What was remarked on the way.
    """

    root: Path
    dataset: Dataset
    without_ct: frozenset[str]
    probabilities: Mapping[str, Mapping[str, Path]]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[Case]:
        return iter(self.dataset)

    def __contains__(self, case_id: object) -> bool:
        return case_id in self.dataset

    def __getitem__(self, case_id: str) -> Case:
        return self.dataset[case_id]

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of all cases, in order."""
        return self.dataset.ids

    def maps_of(self, case_id: str) -> Mapping[str, Path]:
        """Where the probability map of each structure of a case is."""
        return self.probabilities.get(case_id, {})


def open_masks(
    source: Path | str,
    *,
    class_map: ClassMap | Mapping[int, str] | str | Path | None = None,
    layout: str | None = None,
) -> MaskSet:
    """Open masks, with or without CTs. No voxels are read.

    Parameters
    ----------
    source
        A data set of any layout of :func:`scalemai.cases.open_cases`, an index, a folder of
        masks (:mod:`scalemai.evaluation.mask_folders`), or one file.
    class_map
        What the values of label maps mean. If it is given, label maps are read even where
        separate masks lie beside them; data without label maps ignore it.
    layout
        Name of the layout; recognised by content if not given.

    Raises
    ------
    UnreadableFileError
        If there is no such file or folder.
    ConfigError
        If nothing is found, a label map has no class map, two cases have one name, or a name is
        no safe file name.
    """
    path = Path(os.path.abspath(source))  # noqa: PTH100  # resolve() would follow the user's links
    if path.is_file() and path.suffix.lower() == ".parquet":
        return _with_maps(path, Dataset.open(path), frozenset())
    values = None if class_map is None else label_values(class_map)
    if path.is_file():
        root, name, scan = path.parent, "file", Scan()
        scan.entries = [mask_file(path, values)]
    elif path.is_dir():
        root, name, scan = _with_ct(path, layout, values)
    else:
        raise UnreadableFileError("no such file or folder", where=path, fix="check the path")
    with_ct = {entry.id for entry in scan.entries} if path.is_dir() else set()
    if path.is_dir() and root == path:
        root, scan = _with_more(path, scan, values)
    if not scan.entries:
        what = "no masks were found: looked for CASE.nii.gz, CASE.dcm, CASE/segmentations/, "
        what += "CASE/combined_labels.nii.gz, CASE/probabilities/ and the layouts of data sets"
        raise ConfigError(what, where=path, fix="give the folder that holds the cases")
    refuse_unexplained(scan, root)
    dataset = Dataset(root, to_table(scan.entries), layout=name, notes=scan.notes)
    without = frozenset(entry.id for entry in scan.entries if entry.id not in with_ct)
    maps = {entry.id: found for entry in scan.entries if (found := probability_maps(root, entry))}
    return MaskSet(path, dataset, without, maps, dataset.notes)


def _with_ct(path: Path, layout: str | None, values: LabelValues | None) -> tuple[Path, str, Scan]:
    """The cases of a folder that have CTs, if it has any; what their paths are relative to."""
    known = _layout(path, layout)
    if known is None:
        return path, "masks", Scan()
    scan = known.scan(path, values)
    single = known.name in _ONE_CASE and bool(scan.entries)
    return path.parent if single else path, known.name, scan


def _layout(path: Path, name: str | None) -> Layout | None:
    """The layout of a folder with CTs; None if it has none."""
    if name is not None:
        return layout_named(name)
    try:
        found = detect(path)
    except ConfigError:
        return None
    # A folder of DICOM files without CT may be one of segmentations.
    return None if found.name == "dicom" else found


def _with_more(path: Path, scan: Scan, values: LabelValues | None) -> tuple[Path, Scan]:
    """Add the cases that have masks and no CT; what the paths are relative to."""
    root, alone = scan_mask_folders(path, values)
    if not scan.entries:
        return root, replace(alone, notes=scan.notes)
    there = {entry.id for entry in scan.entries}
    more = [entry for entry in alone.entries if entry.id not in there] if root == path else []
    ends = tuple(f"/{entry.id} has masks, but" for entry in more)
    notes = [note for note in scan.notes if not any(end in note for end in ends)]
    return path, replace(scan, entries=[*scan.entries, *more], notes=notes)


def _with_maps(path: Path, dataset: Dataset, without: frozenset[str]) -> MaskSet:
    """A data set from its index; probability maps are looked for beside the CTs."""
    maps = {}
    for case in dataset:
        entry = CaseEntry(case.id, str(case.ct))
        if found := probability_maps(dataset.root, entry):
            maps[case.id] = found
    return MaskSet(path, dataset, without, maps, dataset.notes)
