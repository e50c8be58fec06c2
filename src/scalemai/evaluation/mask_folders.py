"""Folders of masks without a CT: what detectors write, and references given alone.

::

    CASE.nii.gz                       a label map named after its case (nnU-Net, MSD labelsTr)
    CASE.dcm                          a DICOM segmentation
    CASE/segmentations/NAME.nii.gz    one mask per structure (PanTS LabelTr, AbdomenAtlas mask_only)
    CASE/NAME.nii.gz                  the same without a folder (TotalSegmentator's output)
    CASE/combined_labels.nii.gz       a label map
    CASE/probabilities/NAME.nii.gz    one probability map per structure, alone or beside masks
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from scalemai.anatomy import canonical
from scalemai.cases.entry import CaseEntry, LabelValues, Scan, named_values
from scalemai.cases.layouts.folders import CT_NAMES, LABEL_MAP_NAMES, MASK_FOLDER, names_in
from scalemai.cases.layouts.manifests import MANIFEST, manifest_labels
from scalemai.cases.paths import case_name, nifti_stem
from scalemai.errors import UnknownNameError, UnreadableFileError
from scalemai.io.nifti import is_nifti_name

__all__ = ["PROBABILITY_FOLDER", "mask_file", "probability_maps", "scan_mask_folders"]

PROBABILITY_FOLDER = "probabilities"
"""Folder of a case that holds its probability maps."""


def scan_mask_folders(folder: Path, labels: LabelValues | None) -> tuple[Path, Scan]:
    """Find the cases of a folder by their masks alone.

    Parameters
    ----------
    folder
        The folder. If it holds the masks of one case, it is that case.
    labels
        What the values of label maps mean; a ``dataset.json`` in the folder, or above
        ``labelsTr``, is asked if not given.

    Returns
    -------
    Path
        What the paths of the entries are relative to.
    Scan
        Entries whose ``ct`` is a file of masks. Folders that hold none are passed over.

    Raises
    ------
    UnreadableFileError
        If a folder may not be read.
    """
    own = _folder_entry(folder.parent, folder.name, labels)
    if own is not None:
        return folder.parent, Scan([own])
    values = labels or _manifest_near(folder)
    entries: list[CaseEntry | None] = []
    for name in sorted(names_in(folder)):
        if (folder / name).is_dir():
            found = _folder_entry(folder, name, values)
            entries.append(found or _only_segmentation(folder, name, labels))
        elif (stem := nifti_stem(name)) is not None:
            entries.append(CaseEntry(stem, name, label_map=name, labels=values))
        elif name.lower().endswith(".dcm"):
            entries.append(_segmentation(folder, name, name[:-4], labels))
    return folder, Scan([entry for entry in entries if entry is not None])


def mask_file(path: Path, labels: LabelValues | None) -> CaseEntry:
    """The case that one file is: a label map, a mask named after its structure, or DICOM SEG.

    Raises
    ------
    UnreadableFileError
        If it is none of these.
    """
    name = path.parent.name if path.name in LABEL_MAP_NAMES else case_name(path)
    if not is_nifti_name(path):
        entry = _segmentation(path.parent, path.name, name, labels)
        if entry is None:
            what = "is neither NIfTI nor a DICOM segmentation"
            raise UnreadableFileError(what, where=path, fix="give masks")
        return entry
    if labels is None and _is_structure(nifti_stem(path.name) or ""):
        name = _telling_name(path.parent)
        return CaseEntry(name, path.name, mask_folder=".", mask_files=(path.name,))
    return CaseEntry(name, path.name, label_map=path.name, labels=labels)


def probability_maps(root: Path, entry: CaseEntry) -> dict[str, Path]:
    """Where the probability map of each structure of a case is; file names are structures."""
    beside = {Path(entry.ct).parent}
    if entry.mask_folder is not None:
        beside |= {Path(entry.mask_folder), Path(entry.mask_folder).parent}
    found: dict[str, Path] = {}
    for folder in sorted(beside):
        where = root / folder / PROBABILITY_FOLDER
        if folder.name == PROBABILITY_FOLDER:
            where = root / folder
        for name in sorted(names_in(where)):
            if (stem := nifti_stem(name)) is not None:
                found[_canonical(stem)] = where / name
    return found


def _folder_entry(root: Path, name: str, labels: LabelValues | None) -> CaseEntry | None:
    """The case that a folder is by its masks, or None if it has none."""
    names = names_in(root / name)
    label_map = next((file for file in LABEL_MAP_NAMES if file in names), None)
    masks = _nifti_in(root / name / MASK_FOLDER) if MASK_FOLDER in names else ()
    entry = CaseEntry(_telling_name(root / name), "")
    if label_map is not None and (labels is not None or not masks):
        path = f"{name}/{label_map}"
        return replace(entry, ct=path, label_map=path, labels=labels)
    if masks:
        folder = f"{name}/{MASK_FOLDER}"
        return replace(entry, ct=f"{folder}/{masks[0]}", mask_folder=folder, mask_files=masks)
    direct = tuple(file for file in _nifti_in(root / name) if file not in CT_NAMES)
    if direct and all(_is_structure(nifti_stem(file) or "") for file in direct):
        return replace(entry, ct=f"{name}/{direct[0]}", mask_folder=name, mask_files=direct)
    maps = _nifti_in(root / name / PROBABILITY_FOLDER) if PROBABILITY_FOLDER in names else ()
    return replace(entry, ct=f"{name}/{PROBABILITY_FOLDER}/{maps[0]}") if maps else None


def _only_segmentation(root: Path, name: str, labels: LabelValues | None) -> CaseEntry | None:
    """The case that a folder with one DICOM file is, if that is a segmentation."""
    files = [file for file in names_in(root / name) if file.lower().endswith(".dcm")]
    return _segmentation(root, f"{name}/{files[0]}", name, labels) if len(files) == 1 else None


def _segmentation(root: Path, name: str, case: str, labels: LabelValues | None) -> CaseEntry | None:
    """A DICOM segmentation, its segments known by their labels; None for other DICOM."""
    from scalemai.io.dicom_seg_read import list_segments

    try:
        segments = list_segments(root / name)
    except UnreadableFileError:
        return None
    if labels is None:
        pairs = ((label, (number,)) for number, label in segments.items())
        labels = named_values(f"the segments of {Path(name).name}", pairs)
    return CaseEntry(case, name, label_map=name, labels=labels)


def _nifti_in(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(name for name in names_in(folder) if nifti_stem(name)))


def _manifest_near(root: Path) -> LabelValues | None:
    folders = [root, root.parent] if root.name.startswith("labels") else [root]
    return next((manifest_labels(one) for one in folders if (one / MANIFEST).is_file()), None)


def _telling_name(folder: Path) -> str:
    """The name of a folder, or of the one above if it says only what is in it."""
    says_nothing = folder.name in (MASK_FOLDER, PROBABILITY_FOLDER)
    return folder.parent.name if says_nothing else folder.name


def _is_structure(stem: str) -> bool:
    try:
        canonical(stem)
    except UnknownNameError:
        return False
    return True


def _canonical(stem: str) -> str:
    try:
        return canonical(stem)
    except UnknownNameError:
        return stem
