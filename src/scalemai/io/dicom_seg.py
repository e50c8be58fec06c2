"""Masks to DICOM SEG and back, with the algorithm that drew them and codes for what they are.

Write what a detector found beside its CT, and read it back on the grid of the CT::

    write_segmentation(
        "seg.dcm", [mask], source="study/ct", algorithm_name="detector", algorithm_version="2.1"
    )
    segments = read_segmentation("seg.dcm", match_grid=read_series("study/ct").grid)
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.coding import Code as PydicomCode
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from scalemai._version import __version__
from scalemai.errors import CaseError, ConfigError, GeometryError
from scalemai.io.atomic import atomic_path
from scalemai.io.dicom_codes import (
    ARTIFICIAL_INTELLIGENCE,
    NEOPLASM,
    Code,
    SegmentCodes,
    codes_for,
)
from scalemai.io.dicom_geometry import place
from scalemai.io.dicom_seg_read import FRACTION_THRESHOLD, Segment, read_segmentation
from scalemai.io.dicom_source import SourceSeries, derived_uid, load_source
from scalemai.volume import Mask

__all__ = [
    "ARTIFICIAL_INTELLIGENCE",
    "FRACTION_THRESHOLD",
    "NEOPLASM",
    "Segment",
    "SegmentCodes",
    "codes_for",
    "read_segmentation",
    "write_segmentation",
]

AlgorithmType = Literal["AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"]

_LABEL_CHARACTERS = 64  # DICOM's limit for the value representation LO
_UNDATED = datetime(1900, 1, 1)
_UTF8 = "ISO_IR 192"


def write_segmentation(
    path: Path | str,
    masks: Sequence[Mask],
    *,
    source: Path | str | Sequence[Dataset],
    algorithm_name: str,
    algorithm_version: str,
    algorithm_type: AlgorithmType = "AUTOMATIC",
    algorithm_family: Code = ARTIFICIAL_INTELLIGENCE,
    series: str | int | None = None,
    slice_spacing_mm: float | None = None,
    series_description: str = "Segmentation",
    series_number: int = 1000,
    codes: Mapping[str, SegmentCodes] | None = None,
    tracking_ids: Sequence[str] | None = None,
    kind: Literal["BINARY", "LABELMAP"] = "BINARY",
    omit_empty_frames: bool = False,
    created: datetime | None = None,
) -> str:
    """Write masks as one DICOM SEG that refers to its CT series.

    Patient, study and frame of reference are copied from the source, so that an archive files
    the object beside it: the result identifies the patient as much as the source does. UIDs
    follow from the content, and no clock is read: the same call writes the same bytes.

    Parameters
    ----------
    path
        File to write; it is whole or absent.
    masks
        One per segment, in order. Voxels must coincide with those of the source; order and
        direction of the axes and the extent may differ. ``mask.name`` becomes the label.
    source
        The CT: a folder, zip or file, or the data sets of one series.
    algorithm_name, algorithm_version, algorithm_type, algorithm_family
        Who drew the masks. A MANUAL segment carries no algorithm, as the standard wants.
    series, slice_spacing_mm
        As for :func:`scalemai.io.dicom.read_series`.
    series_description, series_number
        How the new series is listed in a viewer.
    codes
        Codes by mask name; by default those of :func:`codes_for`.
    tracking_ids
        One per mask: which finding it is, the same over time. By default the name, with a number
        where a name occurs more than once.
    kind
        BINARY, which every viewer reads and which allows overlap; or LABELMAP, smaller for many
        structures but new (DICOM 2024) and not yet widely shown.
    omit_empty_frames
        Leave out frames without voxels. The file is smaller, but spans fewer slices: readers
        then need ``match_grid``. An entirely empty mask is kept in either case.
    created
        Date and time of the segmentation; by default that of the source.

    Returns
    -------
    str
        SOP Instance UID of the new object.

    Raises
    ------
    ConfigError
        If there is no mask, a name is empty, too long or without codes, or the number of
        tracking ids is wrong.
    GeometryError
        If a mask does not lie on the voxels of the source, or masks overlap in a LABELMAP.
    CaseError
        As for :func:`scalemai.io.dicom.read_series`, about the source.
    OutputError
        If the file cannot be written.
    """
    algorithm = _algorithm(algorithm_name, algorithm_version, algorithm_type, algorithm_family)
    tracked = _tracking_ids(masks, tracking_ids)
    coded = [(codes or {}).get(mask.name) or codes_for(mask.name) for mask in masks]
    with _source_header_is_copied():
        ct = load_source(source, series, slice_spacing_mm)
        voxels = [_on_source(mask, ct) for mask in masks]
        when = created or ct.taken or _UNDATED
        identity = _digest(
            voxels,
            {
                "source": (ct.series_uid, ct.sop_uids),
                "segments": [
                    (mask.name, astuple(code), track)
                    for mask, code, track in zip(masks, coded, tracked, strict=True)
                ],
                "algorithm": (algorithm_name, algorithm_version, algorithm_type, algorithm_family),
                "series": (series_description, series_number),
                "encoding": (kind, omit_empty_frames, when.isoformat(), __version__),
            },
        )
        descriptions = [
            _description(number, mask.name, code, algorithm_type, algorithm, track, ct.series_uid)
            for number, (mask, code, track) in enumerate(zip(masks, coded, tracked, strict=True), 1)
        ]
        pixels = _pixel_array(voxels, masks, kind)[list(ct.slice_numbers)]
        try:
            dataset = hd.seg.Segmentation(
                source_images=ct.headers,
                pixel_array=pixels,
                segmentation_type=kind,
                segment_descriptions=descriptions,
                series_instance_uid=derived_uid(identity, "series"),
                series_number=series_number,
                sop_instance_uid=derived_uid(identity, "instance"),
                instance_number=1,
                manufacturer="ScaleMAI",
                manufacturer_model_name="scalemai",
                software_versions=__version__,
                device_serial_number="0",
                # RLE takes a label map down to a few percent; one-bit frames cannot be compressed.
                transfer_syntax_uid=RLELossless if kind == "LABELMAP" else ExplicitVRLittleEndian,
                series_description=series_description,
                omit_empty_frames=omit_empty_frames and bool(pixels.any()),
                content_date=when.date(),
                content_time=when.time(),
                specific_character_set=_UTF8,
            )
        except (ValueError, TypeError, AttributeError) as error:
            raise CaseError(
                f"the series cannot be the source of a segmentation ({error})",
                where=ct.series_uid,
                fix="check its header",
            ) from error
        _fix_identity(dataset, identity, when)
        with atomic_path(Path(path)) as temporary:
            dataset.save_as(temporary, enforce_file_format=True)
    return str(dataset.SOPInstanceUID)


@contextmanager
def _source_header_is_copied() -> Iterator[None]:
    """Keep pydicom and highdicom from warning about values that are copied as they are.

    A derived object has to repeat the patient's name and identifiers letter by letter, however
    oddly the source spells them, so the remarks leave nobody anything to do.
    """
    with warnings.catch_warnings():
        for module in (r"pydicom\.", r"highdicom\."):
            warnings.filterwarnings("ignore", category=UserWarning, module=module)
        yield


def _algorithm(name: str, version: str, kind: AlgorithmType, family: Code) -> Any:
    if kind not in get_args(AlgorithmType):
        raise ConfigError(
            f"algorithm_type is {kind!r}", fix=f"use one of {', '.join(get_args(AlgorithmType))}"
        )
    if kind == "MANUAL":
        return None
    for what, text in (("name", name), ("version", version)):
        if not text.strip() or len(text) > _LABEL_CHARACTERS:
            raise ConfigError(
                f"the algorithm {what} is {text!r}", fix=f"give 1 to {_LABEL_CHARACTERS} characters"
            )
    return hd.AlgorithmIdentificationSequence(
        name=name, version=version, family=PydicomCode(*family)
    )


def _tracking_ids(masks: Sequence[Mask], given: Sequence[str] | None) -> list[str]:
    if not masks:
        raise ConfigError("there is no mask to write", fix="give at least one; it may be empty")
    names = [mask.name for mask in masks]
    for name in names:
        if not name.strip() or len(name) > _LABEL_CHARACTERS:
            raise ConfigError(
                f"a segment cannot be called {name!r}",
                fix=f"give every mask a name of 1 to {_LABEL_CHARACTERS} characters",
            )
    if given is None:
        counts = [names[: n + 1].count(name) for n, name in enumerate(names)]
        return [
            f"{name} {count}" if names.count(name) > 1 else name
            for name, count in zip(names, counts, strict=True)
        ]
    if len(given) != len(masks) or len(set(given)) != len(given) or not all(given):
        raise ConfigError(
            f"{len(set(given))} distinct tracking ids for {len(masks)} masks",
            fix="give one per mask, all different",
        )
    return list(given)


def _on_source(mask: Mask, ct: SourceSeries) -> NDArray[np.bool_]:
    where = f"mask {mask.name!r}" if mask.path is None else str(mask.path)
    return place(mask.array.astype(bool, copy=False), mask.grid, ct.grid, where=where)


def _pixel_array(
    voxels: Sequence[NDArray[np.bool_]], masks: Sequence[Mask], kind: str
) -> NDArray[Any]:
    """Segment numbers (slices, rows, columns), or with overlap one channel per segment."""
    labels = np.zeros(voxels[0].shape, np.uint8 if len(voxels) < 256 else np.uint16)
    for number, (array, mask) in enumerate(zip(voxels, masks, strict=True), 1):
        shared = labels[array]
        if shared.any():
            if kind == "LABELMAP":
                other = masks[int(shared.max()) - 1].name
                raise GeometryError(
                    f"{mask.name!r} overlaps {other!r} in {np.count_nonzero(shared)} voxels, and a "
                    "label map holds one label per voxel",
                    fix="use kind='BINARY'",
                )
            return np.stack([a.transpose(2, 1, 0) for a in voxels], axis=-1).astype(np.uint8)
        labels[array] = number
    return labels.transpose(2, 1, 0)


def _description(
    number: int,
    label: str,
    codes: SegmentCodes,
    algorithm_type: str,
    algorithm: Any,
    tracking_id: str,
    series_uid: str,
) -> Any:
    region = None if codes.region is None else [PydicomCode(*codes.region)]
    description = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=PydicomCode(*codes.category),
        segmented_property_type=PydicomCode(*codes.kind),
        algorithm_type=algorithm_type,
        algorithm_identification=algorithm,
        tracking_uid=derived_uid(series_uid, "tracking", tracking_id),
        tracking_id=tracking_id,
        anatomic_regions=region,
    )
    if codes.side is not None:
        modified = description.SegmentedPropertyTypeCodeSequence[0]
        modified.SegmentedPropertyTypeModifierCodeSequence = [hd.sr.CodedConcept(*codes.side)]
    return description


def _digest(voxels: Sequence[NDArray[np.bool_]], facts: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for array in voxels:
        digest.update(np.packbits(array).tobytes())
    return digest.hexdigest()


def _fix_identity(dataset: Dataset, identity: str, when: datetime) -> None:
    """Replace what highdicom draws at random or takes from the clock."""
    dimensions = derived_uid(identity, "dimensions")
    for item in (
        *dataset.DimensionOrganizationSequence,
        *dataset.get("DimensionIndexSequence", []),
    ):
        item.DimensionOrganizationUID = dimensions
    dataset.InstanceCreationDate = when.strftime("%Y%m%d")
    dataset.InstanceCreationTime = when.strftime("%H%M%S")
    for item in dataset.get("ContributingEquipmentSequence", []):
        item.ContributionDateTime = when.strftime("%Y%m%d%H%M%S")
