"""The CT series that a derived DICOM object refers to: its grid, and the headers to copy from."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.valuerep import DA, TM, PersonName

from scalemai.errors import CaseError, ConfigError, GeometryError, UnreadableFileError
from scalemai.geometry import Grid
from scalemai.io.dicom import stack_series
from scalemai.io.dicom_files import DicomFiles, damage_named
from scalemai.io.dicom_frames import CT_CLASSES, Frame, frames_of, text
from scalemai.io.dicom_series import choose_series, scan_series
from scalemai.io.dicom_stack import Stack, stack_frames

__all__ = ["SourceSeries", "derived_uid", "load_source"]

# What a derived object takes over: patient, study and frame of reference, so that an archive
# files it with its source. Required by the standard even if empty, so empty where absent.
_REQUIRED = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
_COPIED = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
    "StudyDescription",
    "IssuerOfPatientID",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "ClinicalTrialSponsorName",
    "ClinicalTrialProtocolID",
    "ClinicalTrialProtocolName",
    "ClinicalTrialSiteID",
    "ClinicalTrialSiteName",
    "ClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID",
    "ClinicalTrialTimePointID",
    "Rows",
    "Columns",
    "ImageType",
    "NumberOfFrames",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)
_DATES = (
    ("ContentDate", "ContentTime"),
    ("AcquisitionDate", "AcquisitionTime"),
    ("SeriesDate", "SeriesTime"),
    ("StudyDate", "StudyTime"),
)


@dataclass(frozen=True, eq=False)
class SourceSeries:
    """A CT series to refer to.

    Attributes
    ----------
    grid
        Its grid, as :func:`scalemai.io.dicom.read_series` gives it.
    headers
        Cleaned headers: one per slice in slice order, or the one of an enhanced file.
    slice_numbers
        Which slice each image of ``headers`` shows; frames of an enhanced file are in file order.
    taken
        Date and time of the source, in the scanner's local time; None if the header has none.
    """

    grid: Grid
    headers: tuple[Dataset, ...]
    slice_numbers: tuple[int, ...]
    taken: datetime | None

    @property
    def series_uid(self) -> str:
        """Series Instance UID of the source."""
        return str(self.headers[0].SeriesInstanceUID)

    @property
    def sop_uids(self) -> tuple[str, ...]:
        """SOP Instance UIDs of the source."""
        return tuple(str(header.SOPInstanceUID) for header in self.headers)


def derived_uid(*parts: str) -> str:
    """A UID that follows from its parts (DICOM PS3.5, B.2: UUID-derived)."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, '/'.join(parts)).int}"


def load_source(
    source: Path | str | Sequence[Dataset],
    series: str | int | None,
    slice_spacing_mm: float | None,
) -> SourceSeries:
    """Find the slices of a CT series and what a derived object has to copy from them.

    Parameters
    ----------
    source
        A folder, zip or file; or the data sets of one series, with or without pixels.
    series, slice_spacing_mm
        As for :func:`scalemai.io.dicom.read_series`.

    Raises
    ------
    CaseError, UnknownNameError, UnreadableFileError, GeometryError
        As for :func:`scalemai.io.dicom.read_series`.
    """
    if isinstance(source, str | Path):
        with DicomFiles(source) as files:
            found, not_dicom = scan_series(files)
            chosen = choose_series(found, series, str(source), len(not_dicom))
            stack = stack_series(files, chosen, slice_spacing_mm)
            headers = {frame.file: files.header(frame.file) for frame in stack.frames}
            return _source(stack, {name: h for name, h in headers.items() if h is not None})
    datasets = {f"data set {number}": dataset for number, dataset in enumerate(source)}
    return _source(_stack_datasets(datasets, slice_spacing_mm), datasets)


def _stack_datasets(datasets: dict[str, Dataset], slice_spacing_mm: float | None) -> Stack:
    frames = []
    for name, dataset in datasets.items():
        if text(dataset.get("SOPClassUID")) not in CT_CLASSES:
            raise UnreadableFileError("is not a CT image", where=name, fix="give CT data sets")
        frames += [f for f in frames_of(dataset, name, name) if not f.is_localizer]
    uids = {str(dataset.get("SeriesInstanceUID")) for dataset in datasets.values()}
    if not frames or len(uids) != 1:
        raise ConfigError(
            f"source holds {len(frames)} CT slices of {len(uids)} series",
            fix="give the data sets of one CT series",
        )

    def same_image(one: Frame, two: Frame) -> bool:
        # Without pixels only the identifier can tell that two data sets are the same image.
        return one.sop_uid == two.sop_uid and one.index == two.index

    where = f"series {uids.pop()}"
    return stack_frames(
        frames, same_pixels=same_image, where=where, slice_spacing_mm=slice_spacing_mm
    )


def _source(stack: Stack, datasets: dict[str, Dataset]) -> SourceSeries:
    files = list(dict.fromkeys(frame.file for frame in stack.frames))
    order = list(range(len(stack.frames)))
    if len(files) != len(stack.frames):
        frames_there = int(datasets[files[0]].get("NumberOfFrames") or 1)
        if len(files) > 1 or frames_there != len(stack.frames):
            raise GeometryError(
                "the source spreads over several enhanced files, or repeats slices in one, so a "
                "derived object cannot refer to it frame by frame",
                where=files[0],
                fix="export the source as classic CT images, one per slice",
            )
        order.sort(key=lambda number: stack.frames[number].index)
    thickness = abs(float(np.linalg.det(stack.grid.directions))) * stack.grid.spacing_mm[2]
    first = stack.frames[0]
    headers = tuple(_header(datasets[name], first, thickness, name) for name in files)
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID"):
        values = {str(header.get(keyword)) for header in headers}
        if len(values) > 1:
            raise CaseError(
                f"the images name {len(values)} different values of {keyword}, and a derived "
                "object can belong to one only",
                where=f"series {headers[0].SeriesInstanceUID}",
                fix="export the series again",
            )
    taken = next(filter(None, (_taken(datasets[name]) for name in files)), None)
    return SourceSeries(stack.grid, headers, tuple(order), taken)


def _header(dataset: Dataset, first: Frame, thickness_mm: float, where: str) -> Dataset:
    clean = Dataset()
    with damage_named(where, "the header is damaged"):
        for keyword in (*_REQUIRED, *_COPIED):
            value = dataset.get(keyword)
            if isinstance(value, PersonName):
                # Decoded here, because the derived object is written in UTF-8.
                value = str(value)
            if value is not None:
                setattr(clean, keyword, value)
            elif keyword in _REQUIRED:
                setattr(clean, keyword, None if keyword.endswith(("Date", "Time")) else "")
        if "FrameOfReferenceUID" not in clean:
            # Required of a segmentation; one per series is what it means to have none.
            clean.FrameOfReferenceUID = derived_uid(str(dataset.SeriesInstanceUID), "frame")
        if "ImageOrientationPatient" in clean and first.orientation_lps is not None:
            # Rounding may differ between slices; a derived object has one orientation.
            clean.ImageOrientationPatient = [float(v) for v in first.orientation_lps]
        clean.SliceThickness = first.thickness_mm or thickness_mm
        clean.SpacingBetweenSlices = thickness_mm
    return clean


def _taken(dataset: Dataset) -> datetime | None:
    for date_key, time_key in _DATES:
        try:
            day = DA(dataset.get(date_key) or None)
            time = TM(dataset.get(time_key) or "000000")
        except ValueError:
            continue  # an odd date is no reason to refuse; the next one may be sound
        if day is not None and time is not None:
            return datetime.combine(day, time)
    return None
