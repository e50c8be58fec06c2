"""Read DICOM segmentations as masks on a grid: binary, fractional and label map."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import UID, SegmentationStorage

from scalemai.errors import CaseError, ConfigError, UnknownNameError, UnreadableFileError
from scalemai.geometry import Grid
from scalemai.io.dicom_codes import Code, SegmentCodes
from scalemai.io.dicom_files import DicomFiles, damage_named, header_remarks
from scalemai.io.dicom_frames import first_value, frame_layers, frames_of, text
from scalemai.io.dicom_geometry import place
from scalemai.io.dicom_pixels import stored_frames
from scalemai.io.dicom_stack import sparse_grid
from scalemai.volume import Mask

__all__ = ["FRACTION_THRESHOLD", "Segment", "list_segments", "read_segmentation"]

FRACTION_THRESHOLD = 0.5
"""A voxel of a fractional segment belongs to the mask from this fraction on (author's choice)."""

_LABEL_MAP_STORAGE = UID("1.2.840.10008.5.1.4.1.1.66.7")  # newer than pydicom's dictionary
_SEG_CLASSES = frozenset({SegmentationStorage, _LABEL_MAP_STORAGE})
_NO_CODE: Code = ("", "", "")


@dataclass(frozen=True, eq=False)
class Segment:
    """One segment of a DICOM segmentation.

    Attributes
    ----------
    mask
        Its voxels; ``mask.name`` is the segment label.
    number, label, description
        Segment Number, Label and Description.
    algorithm_type
        ``"AUTOMATIC"``, ``"SEMIAUTOMATIC"`` or ``"MANUAL"``.
    algorithm_name, algorithm_version, algorithm_family
        Who made it; empty where the file does not tell.
    codes
        What it is.
    tracking_id, tracking_uid
        Which finding it is over time; empty if absent.
    series_uid
        Series that it was drawn on; empty if absent.
    fraction
        Occupancy or probability from 0 to 1, float32 array of the mask's shape, of a fractional
        segment; else None.
    """

    mask: Mask = field(repr=False)
    number: int
    label: str
    description: str
    algorithm_type: str
    algorithm_name: str
    algorithm_version: str
    algorithm_family: Code | None
    codes: SegmentCodes
    tracking_id: str
    tracking_uid: str
    series_uid: str
    fraction: NDArray[np.float32] | None = field(default=None, repr=False)


def read_segmentation(
    path: Path | str,
    *,
    match_grid: Grid | None = None,
    segments: Collection[int | str] | None = None,
    fraction_threshold: float = FRACTION_THRESHOLD,
) -> list[Segment]:
    """Read the segments of a DICOM SEG (binary, fractional or label map); they may overlap.

    Parameters
    ----------
    path
        The file, or a folder or zip with one segmentation in it.
    match_grid
        Grid that the masks shall have, usually that of the CT. Voxels must coincide; order and
        direction of the axes and the extent may differ. None keeps the file's own grid, which
        spans the frames that the file holds.
    segments
        Numbers or labels to read; None reads all, each as an array of its own.
    fraction_threshold
        Fraction from 0 to 1 from which a voxel of a fractional segment belongs to the mask.

    Returns
    -------
    list of Segment
        In the order of their numbers. A segment without frames has an empty mask.

    Raises
    ------
    UnreadableFileError
        If the file is no segmentation, truncated or damaged.
    CaseError
        If several segmentations are there.
    UnknownNameError
        If one of ``segments`` is not there.
    ConfigError
        If ``fraction_threshold`` is not above 0 and at most 1.
    GeometryError
        If the frames form no regular grid, or do not coincide with ``match_grid``.
    """
    if not 0 < fraction_threshold <= 1:
        raise ConfigError(
            f"fraction_threshold is {fraction_threshold:g}", fix="give a number above 0, up to 1"
        )
    with header_remarks(), DicomFiles(path) as files:
        name = _only_segmentation(files)
        where = files.where(name)
        dataset = files.dataset(name)
        with damage_named(where, "the header is damaged or incomplete"):
            return _read(dataset, where, match_grid, segments, fraction_threshold)


def list_segments(path: Path | str) -> dict[int, str]:
    """Number and label of each segment of a DICOM SEG, from its header.

    Raises
    ------
    UnreadableFileError
        If the file is no segmentation, truncated or damaged.
    CaseError
        If several segmentations are there.
    """
    with header_remarks(), DicomFiles(path) as files:
        name = _only_segmentation(files)
        where = files.where(name)
        header = files.header(name, ["SegmentSequence"])
        with damage_named(where, "the header is damaged or incomplete"):
            items = () if header is None else header.get("SegmentSequence", ())
            return {int(item.SegmentNumber): text(item.get("SegmentLabel")) for item in items}


def _only_segmentation(files: DicomFiles) -> str:
    found = []
    classes = []
    for name in files.names:
        header = files.header(name, ["SOPClassUID", "Modality"])
        if header is None:
            continue
        with damage_named(files.where(name), "the header is damaged"):
            classes.append(text(header.get("Modality")) or "unknown")
            if text(header.get("SOPClassUID")) in _SEG_CLASSES:
                found.append(name)
    if len(found) > 1:
        raise CaseError(
            f"{len(found)} segmentations are here: {', '.join(found[:8])}",
            where=files.source,
            fix="give the path of one of them",
        )
    if not found:
        there = f"DICOM of modality {', '.join(sorted(set(classes)))}" if classes else "no DICOM"
        raise UnreadableFileError(
            f"there is no DICOM segmentation; found {there}",
            where=files.source,
            fix="give a DICOM SEG file",
        )
    return found[0]


def _read(
    dataset: Dataset,
    where: str,
    match_grid: Grid | None,
    wanted: Collection[int | str] | None,
    threshold: float,
) -> list[Segment]:
    kind = "LABELMAP" if dataset.SOPClassUID == _LABEL_MAP_STORAGE else ""
    kind = text(dataset.get("SegmentationType")) or kind
    if kind not in {"BINARY", "FRACTIONAL", "LABELMAP"}:
        raise UnreadableFileError(f"SegmentationType is {kind!r}", where=where)
    items = _chosen(dataset, wanted)
    frames = frames_of(dataset, Path(where).name, where)
    slices, grid = sparse_grid(frames, where=where, like=match_grid)
    owners: Sequence[Any] = [None] * len(frames)
    if kind != "LABELMAP":
        owners = [first_value(layer, "ReferencedSegmentNumber") for layer in frame_layers(dataset)]
    whole = float(dataset.get("MaximumFractionalValue") or 1) if kind == "FRACTIONAL" else 1.0
    numbers = [int(item.SegmentNumber) for item in items]
    holders = _voxels(dataset, owners, slices, numbers, grid, kind, where)
    result = []
    for item, number in zip(items, numbers, strict=True):
        stored = holders.pop(number)
        if match_grid is not None:
            stored = place(stored, grid, match_grid, where=where)
        fraction = (stored / np.float32(whole)).astype(np.float32) if kind == "FRACTIONAL" else None
        inside = stored.astype(bool) if fraction is None else fraction >= threshold
        mask = Mask(inside, match_grid or grid, text(item.get("SegmentLabel")), Path(where))
        result.append(_segment(item, number, mask, dataset, fraction))
    return result


def _voxels(
    dataset: Dataset,
    owners: Sequence[Any],
    slices: NDArray[np.int64],
    numbers: Sequence[int],
    grid: Grid,
    kind: str,
    where: str,
) -> dict[int, NDArray[Any]]:
    """Stored values per segment number, as arrays (i, j, k)."""
    columns, rows, depth = grid.shape
    dtype = np.uint8 if kind == "FRACTIONAL" else np.bool_
    held: dict[int, NDArray[Any]] = {n: np.zeros((depth, rows, columns), dtype) for n in numbers}
    needed = [n for n, owner in enumerate(owners) if owner is None or int(owner) in held]
    filled: set[tuple[int, int]] = set()
    for index, stored in zip(needed, stored_frames(dataset, needed, where), strict=True):
        k = int(slices[index])
        owner = 0 if owners[index] is None else int(owners[index])
        if (owner, k) in filled:
            raise UnreadableFileError(
                f"two frames stand for the same segment at the same position (frame {index + 1})",
                where=where,
                fix="export the segmentation again",
            )
        filled.add((owner, k))
        if stored.shape != (rows, columns):
            raise UnreadableFileError(f"a frame decodes to {stored.shape}", where=where)
        if kind == "LABELMAP":
            for number in set(np.unique(stored).tolist()) & held.keys():
                held[number][k] = stored == number
        else:
            held[owner][k] = stored
    return {number: array.transpose(2, 1, 0) for number, array in held.items()}


def _chosen(dataset: Dataset, wanted: Collection[int | str] | None) -> list[Dataset]:
    # Number 0 is the background of a label map.
    items = [item for item in dataset.SegmentSequence if int(item.SegmentNumber) != 0]
    items.sort(key=lambda item: int(item.SegmentNumber))
    if wanted is None:
        return items
    known = [
        name for item in items for name in (str(item.SegmentNumber), text(item.get("SegmentLabel")))
    ]
    for name in wanted:
        if str(name) not in known:
            raise UnknownNameError("segment", str(name), known)
    asked = {str(name) for name in wanted}
    return [
        item for item in items if {str(item.SegmentNumber), text(item.get("SegmentLabel"))} & asked
    ]


def _segment(
    item: Dataset,
    number: int,
    mask: Mask,
    dataset: Dataset,
    fraction: NDArray[np.float32] | None,
) -> Segment:
    algorithm = _first_item(item, "SegmentationAlgorithmIdentificationSequence")
    kinds = _first_item(item, "SegmentedPropertyTypeCodeSequence")
    series = _first_item(dataset, "ReferencedSeriesSequence")
    return Segment(
        mask=mask,
        number=number,
        label=mask.name,
        description=text(item.get("SegmentDescription")),
        algorithm_type=text(item.get("SegmentAlgorithmType")),
        algorithm_name=text(algorithm.get("AlgorithmName") or item.get("SegmentAlgorithmName")),
        algorithm_version=text(algorithm.get("AlgorithmVersion")),
        algorithm_family=_code(algorithm, "AlgorithmFamilyCodeSequence"),
        codes=SegmentCodes(
            category=_code(item, "SegmentedPropertyCategoryCodeSequence") or _NO_CODE,
            kind=_code(item, "SegmentedPropertyTypeCodeSequence") or _NO_CODE,
            side=_code(kinds, "SegmentedPropertyTypeModifierCodeSequence"),
            region=_code(item, "AnatomicRegionSequence"),
        ),
        tracking_id=text(item.get("TrackingID")),
        tracking_uid=text(item.get("TrackingUID")),
        series_uid=text(series.get("SeriesInstanceUID")),
        fraction=fraction,
    )


def _first_item(dataset: Dataset, keyword: str) -> Dataset:
    sequence = dataset.get(keyword)
    return sequence[0] if sequence else Dataset()


def _code(dataset: Dataset, keyword: str) -> Code | None:
    item = _first_item(dataset, keyword)
    if "CodeMeaning" not in item:
        return None
    value = item.get("CodeValue") or item.get("LongCodeValue") or item.get("URNCodeValue")
    return text(value), text(item.get("CodingSchemeDesignator")), text(item.CodeMeaning)
