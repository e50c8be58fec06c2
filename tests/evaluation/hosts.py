"""Small data sets of references and predictions on disk, written with nibabel and pydicom alone.

The lesions are balls, so that what must come out can be counted by hand. Spacings and origin are
not exact in float32, as in real headers.
"""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

SHAPE = (48, 40, 16)
SPACING_MM = (0.8, 0.8, 2.5)
ORIGIN_MM = (-17.3, 31.7, -412.1)
LABELS = {1: "liver", 2: "liver_lesion", 3: "spleen"}

Masks = dict[str, NDArray[np.bool_]]


def affine() -> NDArray[np.float64]:
    """RAS+ storage."""
    matrix = np.diag([*SPACING_MM, 1.0])
    matrix[:3, 3] = ORIGIN_MM
    return matrix


def ball(centre: tuple[float, float, float], radius_mm: float) -> NDArray[np.bool_]:
    """Voxels within a radius of a voxel index."""
    index = np.moveaxis(np.indices(SHAPE), 0, -1)
    away = (index - np.array(centre)) * np.array(SPACING_MM)
    return np.asarray(np.linalg.norm(away, axis=-1) <= radius_mm)


LARGE, SMALL, ELSEWHERE = (14.0, 18.0, 8.0), (26.0, 26.0, 5.0), (8.0, 30.0, 12.0)


def reference() -> Masks:
    """A liver with a large and a small lesion, and a spleen; lesions are not part of the liver."""
    lesion = ball(LARGE, 5.0) | ball(SMALL, 2.0)
    index = np.moveaxis(np.indices(SHAPE), 0, -1)
    liver = (index[..., 0] > 3) & (index[..., 0] < 32) & (index[..., 1] > 8) & (index[..., 2] > 1)
    spleen = ball((41.0, 16.0, 9.0), 4.5)
    return {"liver": liver & ~lesion, "liver_lesion": lesion, "spleen": spleen}


def prediction() -> Masks:
    """Finds the large lesion, misses the small one, invents one; the organs are shifted."""
    masks = reference()
    lesion = ball((15.0, 18.0, 8.0), 4.6) | ball(ELSEWHERE, 3.0)
    liver = np.roll(masks["liver"], 1, axis=0)
    spleen = np.roll(masks["spleen"], 1, axis=1)
    return {"liver": liver & ~lesion, "liver_lesion": lesion, "spleen": spleen & ~lesion}


def without_lesions(masks: Masks) -> Masks:
    """The same with an empty lesion mask: the lesion is absent."""
    return {**masks, "liver_lesion": np.zeros(SHAPE, np.bool_)}


def probability(
    mask: NDArray[np.bool_], high: float = 0.9, low: float = 0.02
) -> NDArray[np.float32]:
    """A map that is at least one half in the mask only, and falls from the left to the right."""
    slope = np.linspace(0, 0.05, SHAPE[0], dtype=np.float32)[:, None, None]
    return np.where(mask, np.float32(high), np.float32(low)) - np.where(mask, slope, 0)


def write(
    path: Path,
    array: NDArray[np.generic],
    *,
    order: tuple[int, int, int] = (0, 1, 2),
    flips: tuple[int, ...] = (),
    dtype: str | None = None,
    matrix: NDArray[np.float64] | None = None,
) -> Path:
    """Write a NIfTI file, its axes in any order and direction, of any type."""
    moved = np.flip(array.transpose(order), flips)
    stored = affine() if matrix is None else matrix
    turned = stored[:, [*order, 3]]
    for axis in flips:
        turned[:, 3] += turned[:, axis] * (moved.shape[axis] - 1)
        turned[:, axis] *= -1
    kind = np.dtype(dtype or ("uint8" if moved.dtype == bool else moved.dtype.name))
    image = nib.Nifti1Image(np.ascontiguousarray(moved).astype(kind), turned)
    image.header.set_xyzt_units("mm")
    if kind.byteorder == ">":
        image = nib.Nifti1Image(image.dataobj, turned, image.header.as_byteswapped(">"))
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
    return path


def write_masks(folder: Path, masks: Masks, **how: object) -> Path:
    """One file per structure in ``folder/segmentations``."""
    for name, mask in masks.items():
        write(folder / "segmentations" / f"{name}.nii.gz", mask, **how)  # type: ignore[arg-type]  # passed on
    return folder


def write_label_map(path: Path, masks: Masks, **how: object) -> Path:
    """All structures in one file, numbered as :data:`LABELS`."""
    labels = np.zeros(SHAPE, np.int16)
    for value, name in LABELS.items():
        labels[masks[name]] = value
    return write(path, labels, **how)  # type: ignore[arg-type]  # passed on


def write_maps(folder: Path, masks: Masks, **how: object) -> Path:
    """A probability map per structure in ``folder/probabilities``."""
    for name, mask in masks.items():
        write(folder / "probabilities" / f"{name}.nii.gz", probability(mask), **how)  # type: ignore[arg-type]  # passed on
    return folder


def write_ct(path: Path) -> Path:
    """A CT on the same grid."""
    rng = np.random.default_rng(3)
    hu = rng.normal(40, 15, SHAPE).round().astype(np.int16)
    hu[:, :3] = -1000
    return write(path, hu)


def write_dicom_seg(path: Path, masks: Masks, scratch: Path) -> Path:
    """The masks as a DICOM segmentation of a CT series."""
    from scalemai.geometry import Grid
    from scalemai.io.dicom_seg import write_segmentation
    from scalemai.volume import Mask

    _write_series(scratch)
    grid = Grid(SHAPE, affine())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_segmentation(
        path,
        [Mask(mask, grid, name) for name, mask in masks.items()],
        source=scratch,
        algorithm_name="test",
        algorithm_version="1",
    )
    return path


def write_data(root: Path, count: int = 4, of: str = "reference") -> Path:
    """Cases ``case_00``, ...; every second one has no lesion, though one is predicted."""
    for number in range(count):
        masks = reference() if of == "reference" else prediction()
        if of == "reference" and number % 2:
            masks = without_lesions(masks)
        write_masks(root / f"case_{number:02d}", masks)
    return root


def _write_series(folder: Path, series: str = "1.2.826.0.1.3680043.8.498.7") -> None:
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    folder.mkdir(parents=True, exist_ok=True)
    x, y, z = ORIGIN_MM
    # DICOM counts towards left and posterior; columns run to the right here.
    for k in range(SHAPE[2]):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = f"{series}.{k + 1}"
        file = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        file.SOPClassUID, file.SOPInstanceUID = CTImageStorage, f"{series}.{k + 1}"
        file.StudyInstanceUID, file.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.9", series
        file.FrameOfReferenceUID = f"{series}.0"
        file.Modality, file.PatientID, file.InstanceNumber = "CT", "P1", k + 1
        file.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        far = y + (SHAPE[1] - 1) * SPACING_MM[1]
        right = x + (SHAPE[0] - 1) * SPACING_MM[0]
        place = (-right, -far, z + k * SPACING_MM[2])
        file.ImagePositionPatient = [f"{part:.6g}" for part in place]
        file.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        file.PixelSpacing, file.SliceThickness = [SPACING_MM[1], SPACING_MM[0]], SPACING_MM[2]
        file.Rows, file.Columns = SHAPE[1], SHAPE[0]
        file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
        file.BitsAllocated, file.BitsStored, file.HighBit = 16, 16, 15
        file.PixelRepresentation, file.RescaleSlope, file.RescaleIntercept = 1, 1, 0
        file.PixelData = np.zeros((SHAPE[1], SHAPE[0]), np.int16).tobytes()
        pydicom.dcmwrite(folder / f"{k:03d}.dcm", file, enforce_file_format=True)
