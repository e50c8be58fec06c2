"""Small DICOM CT series made for tests: classic and enhanced, with every oddity on request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian

ROOT = "1.2.826.0.1.3680043.8.498.1"
SERIES_UID = f"{ROOT}.7"
SPACING_MM = (0.7, 0.9, 2.5)  # columns, rows, slices
ORIGIN_LPS_MM = (-31.5, 12.25, -140.0)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def hounsfield(shape: tuple[int, int, int] = (14, 11, 6), seed: int = 3) -> NDArray[np.int16]:
    """A random array (i, j, k) in the range of CT."""
    return np.random.default_rng(seed).integers(-1000, 1500, shape).astype(np.int16)


def classic(
    hu: NDArray[Any],
    *,
    orientation: Sequence[float] = AXIAL,
    step_lps_mm: Sequence[float] = (0.0, 0.0, SPACING_MM[2]),
    origin_lps_mm: Sequence[float] = ORIGIN_LPS_MM,
    slope: float = 1,
    intercept: float = -1024,
    series_uid: str = SERIES_UID,
    **elements: Any,
) -> list[Dataset]:
    """One data set per slice of ``hu`` (i, j, k); ``elements`` override or, with None, remove."""
    datasets = []
    for k in range(hu.shape[2]):
        stored = np.rint((hu[:, :, k].T - intercept) / slope).astype(np.int16)
        position = np.asarray(origin_lps_mm) + k * np.asarray(step_lps_mm)
        dataset = _header(CTImageStorage, f"{series_uid}.{k + 1}", series_uid)
        dataset.InstanceNumber = k + 1
        dataset.ImagePositionPatient = [round(float(v), 6) for v in position]
        dataset.ImageOrientationPatient = [round(float(v), 9) for v in orientation]
        dataset.PixelSpacing = [SPACING_MM[1], SPACING_MM[0]]
        dataset.SliceThickness = SPACING_MM[2]
        dataset.RescaleSlope = slope
        dataset.RescaleIntercept = intercept
        dataset.RescaleType = "HU"
        put_pixels(dataset, stored)
        override(dataset, elements)
        datasets.append(dataset)
    return datasets


def enhanced(hu: NDArray[Any], order: Sequence[int], localizer_frames: int = 0) -> Dataset:
    """One enhanced multi-frame CT with the slices of ``hu`` (i, j, k) stored in ``order``."""
    dataset = _header(EnhancedCTImageStorage, f"{SERIES_UID}.1", SERIES_UID)
    dataset.InstanceNumber = 1
    shared = Dataset()
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=list(AXIAL))]
    shared.PixelMeasuresSequence = [
        _item(PixelSpacing=[SPACING_MM[1], SPACING_MM[0]], SliceThickness=SPACING_MM[2])
    ]
    dataset.SharedFunctionalGroupsSequence = [shared]
    groups, frames = [], []
    for number, k in enumerate(order):
        # The rescale differs from frame to frame, as some scanners have it.
        slope, intercept = (1, -1024) if k % 2 else (1, -1000)
        position = np.add(ORIGIN_LPS_MM, (0, 0, k * SPACING_MM[2]))
        flavor = "LOCALIZER" if number < localizer_frames else "VOLUME"
        group = Dataset()
        group.PlanePositionSequence = [_item(ImagePositionPatient=position.tolist())]
        group.PixelValueTransformationSequence = [
            _item(RescaleSlope=slope, RescaleIntercept=intercept, RescaleType="HU")
        ]
        group.CTImageFrameTypeSequence = [_item(FrameType=["ORIGINAL", "PRIMARY", flavor, "NONE"])]
        groups.append(group)
        frames.append((hu[:, :, k].T.astype(np.int32) - intercept).astype(np.int16))
    dataset.PerFrameFunctionalGroupsSequence = groups
    dataset.NumberOfFrames = len(frames)
    put_pixels(dataset, np.stack(frames))
    return dataset


def put_pixels(dataset: Dataset, stored: NDArray[Any]) -> None:
    """Store an array (rows, columns), or frames of it, natively."""
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = stored.dtype.itemsize * 8
    dataset.BitsStored = dataset.BitsAllocated
    dataset.HighBit = dataset.BitsAllocated - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.PixelData = stored.tobytes()


def override(dataset: Dataset, elements: dict[str, Any]) -> None:
    """Set elements by keyword; None removes one."""
    for keyword, value in elements.items():
        if value is None:
            if keyword in dataset:
                delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)


def save(datasets: Iterable[Dataset], folder: Path, name: str = "{:03d}.dcm") -> Path:
    """Write data sets as numbered files into a folder, which is returned."""
    for number, dataset in enumerate(datasets):
        path = folder / name.format(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset.save_as(path, enforce_file_format=True)
    return folder


def _header(sop_class: str, sop_uid: str, series_uid: str) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = sop_uid
    dataset.SeriesInstanceUID = series_uid
    dataset.StudyInstanceUID = f"{ROOT}.1"
    dataset.FrameOfReferenceUID = f"{ROOT}.2"
    dataset.SeriesNumber = 4
    dataset.SeriesDescription = "ABDOMEN PORTAL"
    dataset.Modality = "CT"
    dataset.PatientName = "Doe^Jane"
    dataset.PatientID = "P-17"
    dataset.PatientBirthDate = "19500101"
    dataset.PatientSex = "F"
    dataset.StudyDate = "20240229"
    dataset.StudyTime = "101530"
    dataset.ContentDate = "20240229"
    dataset.ContentTime = "102030.5"
    dataset.StudyID = "1"
    dataset.AccessionNumber = "A-1"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.KVP = 120
    dataset.ConvolutionKernel = "B30f"
    dataset.Manufacturer = "ACME"
    return dataset


def _item(**elements: Any) -> Dataset:
    item = Dataset()
    override(item, elements)
    return item
