"""A CT series in DICOM becomes a volume in Hounsfield units, or the reason why not is told.

Refused rather than repaired: missing slices, uneven spacing, several volumes in one series. Kept
rather than corrected: gantry tilt (a sheared affine) and the numbers outside the scan circle.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset

from scalemai.io.dicom_files import DicomFiles, damage_named, header_remarks
from scalemai.io.dicom_frames import Frame, lookup, text
from scalemai.io.dicom_geometry import tilt_deg
from scalemai.io.dicom_pixels import LOWEST_CT_HU, HounsfieldStack, stored_frames
from scalemai.io.dicom_series import (
    SeriesInfo,
    SeriesList,
    choose_series,
    list_series,
    scan_series,
)
from scalemai.io.dicom_stack import Stack, stack_frames
from scalemai.volume import Volume

__all__ = ["SeriesInfo", "SeriesList", "list_series", "read_series"]

# Metadata key, DICOM keyword. Only facts of the acquisition: nothing that names the patient, the
# institution, a person or a date.
_FACTS = (
    ("modality", "Modality"),
    ("study_uid", "StudyInstanceUID"),
    ("series_uid", "SeriesInstanceUID"),
    ("frame_of_reference_uid", "FrameOfReferenceUID"),
    ("series_description", "SeriesDescription"),
    ("protocol", "ProtocolName"),
    ("contrast_agent", "ContrastBolusAgent"),
    ("image_type", "ImageType"),
    ("manufacturer", "Manufacturer"),
    ("model", "ManufacturerModelName"),
    ("kernel", "ConvolutionKernel"),
    ("body_part", "BodyPartExamined"),
    ("patient_position", "PatientPosition"),
    ("rescale_type", "RescaleType"),
    ("sop_class_uid", "SOPClassUID"),
)
_NUMBERS = (
    ("kvp", "KVP"),
    ("tube_current_ma", "XRayTubeCurrent"),
    ("slice_thickness_mm", "SliceThickness"),
    ("gantry_detector_tilt_deg", "GantryDetectorTilt"),
)


def read_series(
    source: Path | str,
    *,
    series: str | int | None = None,
    slice_spacing_mm: float | None = None,
) -> Volume:
    """Read one CT series as a volume in Hounsfield units.

    Images are ordered by position along their normal, never by name or instance number. The
    array axes are (i, j, k) = (columns, rows, slices) as dcm2niix and NIfTI have them, up to the
    directions, which the affine tells. The affine is RAS+ mm and runs through the centres of the
    first and the last slice; after a tilted gantry it is sheared, and nothing is resampled.

    Numbers are int16 if they are exact in it, else float32. Those outside the scan circle are
    kept as stored and counted in the metadata.

    Parameters
    ----------
    source
        A folder (with subfolders), a zip (read in place), or one DICOM file.
    series
        Which series: its UID, a beginning of it that no other has, its number or its description.
        Not needed if there is only one CT series; localizers do not count.
    slice_spacing_mm
        Spacing in mm of a series of one slice whose header does not tell its thickness.

    Returns
    -------
    Volume
        With these ``metadata``, in plain types; text is empty and numbers are None where the
        header has none, and nothing names the patient:

        ``modality, study_uid, series_uid, frame_of_reference_uid, series_description, protocol,
        contrast_agent, image_type, manufacturer, model, kernel, body_part, patient_position,
        rescale_type, sop_class_uid, phase_text``
            Text of the header; several values are joined by a backslash.
        ``series_number, kvp, tube_current_ma, slice_thickness_mm, gantry_detector_tilt_deg``
            Numbers of the header.
        ``gantry_tilt_deg``
            The tilt that the positions show, which is the one in the affine.
        ``sop_instance_uids, source_files``
            One per slice, in slice order.
        ``transfer_syntax, lossy``
            How the pixels were stored, and whether the header admits a lossy compression.
        ``padding_hu, padding_voxels``
            Lowest number below -1024 HU, or else the HU of the declared padding value if a voxel
            has it, or None; and how many voxels lie below -1024 HU or carry the declared value.
        ``duplicates_dropped``
            Files that repeat the pixels of another one at the same position.
        ``localizers_excluded, files_not_dicom``
            How many images and files were left out.
        ``header_remarks``
            What is odd in the headers, one line each.

    Raises
    ------
    CaseError
        If several CT series are present and ``series`` does not choose one; they are listed.
    UnknownNameError
        If no series is called ``series``.
    UnreadableFileError
        If there is no CT series (the message tells what was found), or a file is truncated,
        damaged or of an unsupported compression (the message names it).
    GeometryError
        If slices are missing or unevenly spaced, if different images lie at one position, if
        orientations, sizes or pixel spacings are mixed, or if the geometry is absent.
    IntensityError
        If the numbers cannot be turned into Hounsfield units.
    MissingExtraError
        If a decoder is not installed.
    """
    with header_remarks() as remarks, DicomFiles(source) as files:
        found, not_dicom = scan_series(files)
        chosen = choose_series(found, series, str(source), len(not_dicom))
        stack = stack_series(files, chosen, slice_spacing_mm)
        voxels, metadata = _decode(files, stack)
    metadata |= {
        "series_number": chosen.number,
        "phase_text": chosen.phase_text,
        "localizers_excluded": chosen.n_localizers,
        "files_not_dicom": len(not_dicom),
        "header_remarks": list(remarks),
    }
    return Volume(voxels.array, stack.grid, path=Path(source), metadata=metadata)


def stack_series(
    files: DicomFiles, series: SeriesInfo, slice_spacing_mm: float | None = None
) -> Stack:
    """The slices of a series in order, without localizers and repeated images.

    Raises
    ------
    GeometryError
        See :func:`read_series`.
    """

    def same_pixels(one: Frame, two: Frame) -> bool:
        first, second = (_pixels(files, frame) for frame in (one, two))
        same_scale = (one.slope, one.intercept) == (two.slope, two.intercept)
        return same_scale and np.array_equal(first, second)

    slices = [frame for frame in series.frames if not frame.is_localizer]
    where = f"{files.source} series {series.uid}"
    return stack_frames(
        slices, same_pixels=same_pixels, where=where, slice_spacing_mm=slice_spacing_mm
    )


def _pixels(files: DicomFiles, frame: Frame) -> Any:
    where = files.where(frame.file)
    return next(stored_frames(files.dataset(frame.file), [frame.index], where))


def _decode(files: DicomFiles, stack: Stack) -> tuple[HounsfieldStack, dict[str, Any]]:
    voxels = HounsfieldStack(stack.grid.shape)
    by_file: dict[str, list[int]] = {}
    for number, frame in enumerate(stack.frames):
        by_file.setdefault(frame.file, []).append(number)
    metadata: dict[str, Any] = {}
    for file, numbers in by_file.items():
        where = files.where(file)
        dataset = files.dataset(file)
        indices = [stack.frames[number].index for number in numbers]
        for number, stored in zip(numbers, stored_frames(dataset, indices, where), strict=True):
            voxels.fill(number, stored, stack.frames[number], where)
        if not metadata:
            metadata = _facts(dataset, where)
    return voxels, metadata | {
        "gantry_tilt_deg": tilt_deg(stack.grid),
        "sop_instance_uids": [frame.sop_uid for frame in stack.frames],
        "source_files": [frame.file for frame in stack.frames],
        "duplicates_dropped": [frame.file for frame in stack.duplicates],
        "padding_hu": _padding_hu(voxels, stack.frames),
        "padding_voxels": voxels.padding_voxels,
    }


def _padding_hu(voxels: HounsfieldStack, frames: Sequence[Frame]) -> float | None:
    if voxels.lowest_hu < LOWEST_CT_HU:
        return voxels.lowest_hu
    declared = next((frame for frame in frames if frame.padding is not None), None)
    if not voxels.padding_voxels or declared is None or declared.padding is None:
        return None
    return declared.padding[0] * (declared.slope or 1.0) + (declared.intercept or 0.0)


def _facts(dataset: Dataset, where: str) -> dict[str, Any]:
    with damage_named(where, "the header is damaged"):
        facts: dict[str, Any] = {key: text(lookup(dataset, name)) for key, name in _FACTS}
        for key, name in _NUMBERS:
            value = lookup(dataset, name)
            facts[key] = None if value is None else float(value)
        facts["transfer_syntax"] = str(dataset.file_meta.TransferSyntaxUID)
        facts["lossy"] = text(lookup(dataset, "LossyImageCompression")) == "01"
        return facts
