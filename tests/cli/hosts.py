"""Small cases on disk, written with nibabel and pydicom alone, and the command that reads them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

SPACING_MM = (2.5, 2.5, 4.0)
SHAPE = (52, 44, 26)
ORGANS = {  # centre and semi-axes in mm, from the middle of the grid; attenuation in HU
    "liver": ((25.0, 0.0, 5.0), (30.0, 30.0, 35.0), 110.0),
    "kidney_left": ((-35.0, 18.0, 0.0), (14.0, 14.0, 26.0), 160.0),
}


@dataclass(frozen=True)
class Said:
    """What a command answered: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Lines of standard error."""
        return self.err.splitlines()


def scalemai(*words: object) -> Said:
    """Run the command in this process. What it does not catch, the test does not either."""
    from scalemai.cli.app import main

    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with (
        patch.object(sys, "argv", ["scalemai", *map(str, words)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as leave:
            code = leave.code or 0
    assert isinstance(code, int)
    return Said(code, out.getvalue(), err.getvalue())


def synthesize(*words: object) -> Said:
    """Run ``scalemai synthesize`` in this process alone."""
    return scalemai("synthesize", *words, "--workers", 1)


def start(*words: object, **how: object) -> subprocess.Popen[str]:
    """Start the command as a process of its own."""
    command = [sys.executable, "-m", "scalemai", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **{**pipes, **how})  # type: ignore[call-overload,no-any-return]  # any option of Popen


def affine() -> NDArray[np.float64]:
    """LPS storage, as most CT has it, with the world's origin in the middle."""
    matrix = np.diag([-SPACING_MM[0], -SPACING_MM[1], SPACING_MM[2], 1.0])
    matrix[:3, 3] = -matrix[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    return matrix


def inside(centre: tuple[float, ...], semi_axes: tuple[float, ...]) -> NDArray[np.bool_]:
    """Voxels of an ellipsoid in mm."""
    index = np.moveaxis(np.indices(SHAPE), 0, -1)
    world = index @ affine()[:3, :3].T + affine()[:3, 3]
    return np.asarray((((world - centre) / semi_axes) ** 2).sum(axis=-1) <= 1.0)


def body(seed: int = 0) -> tuple[NDArray[np.int16], dict[str, NDArray[np.bool_]]]:
    """A body of soft tissue in air with its organs: HU, and the mask of each."""
    rng = np.random.default_rng(seed)
    hu = np.where(inside((0, 0, 0), (60.0, 48.0, 200.0)), 20.0, -1000.0)
    masks = {name: inside(centre, semi) for name, (centre, semi, _) in ORGANS.items()}
    for name, mask in masks.items():
        hu[mask] = ORGANS[name][2]
    hu += rng.normal(0.0, 10.0, SHAPE)
    return hu.round().astype(np.int16), masks


def write(
    path: Path, array: NDArray[np.generic], matrix: NDArray[np.float64] | None = None
) -> Path:
    """Write a NIfTI file with nibabel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(array, affine() if matrix is None else matrix)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = b"scanner 7"
    nib.save(image, path)
    return path


def write_case(folder: Path, seed: int = 0) -> Path:
    """Write one case: ``ct.nii.gz`` and ``segmentations/``."""
    hu, masks = body(seed)
    write(folder / "ct.nii.gz", hu)
    for name, mask in masks.items():
        write(folder / "segmentations" / f"{name}.nii.gz", mask.astype(np.uint8))
    return folder


def write_cases(root: Path, count: int) -> Path:
    """Write a data set of folders."""
    for number in range(count):
        write_case(root / f"case_{number:02d}", seed=number)
    return root


def write_dicom(
    folder: Path, hu: NDArray[np.int16], series: str = "1.2.826.0.1.3680043.8.498.1"
) -> Path:
    """Write the volume as a CT series that lies as :func:`affine` says."""
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    folder.mkdir(parents=True, exist_ok=True)
    origin = affine()[:3, 3] * (-1, -1, 1)  # DICOM counts towards left and posterior
    for k in range(hu.shape[2]):
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
        file.ImagePositionPatient = [*origin[:2], origin[2] + k * SPACING_MM[2]]
        file.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        file.PixelSpacing, file.SliceThickness = [SPACING_MM[1], SPACING_MM[0]], SPACING_MM[2]
        file.Rows, file.Columns = hu.shape[1], hu.shape[0]
        file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
        file.BitsAllocated, file.BitsStored, file.HighBit = 16, 16, 15
        file.PixelRepresentation, file.RescaleSlope, file.RescaleIntercept = 1, 1, 0
        file.PixelData = np.ascontiguousarray(hu[:, :, k].T).tobytes()
        pydicom.dcmwrite(folder / f"{k:03d}.dcm", file, enforce_file_format=True)
    return folder


def tree(folder: Path) -> list[str]:
    """Every path below a folder, hidden ones too, but for the ledgers of runs."""
    found = (p.relative_to(folder).as_posix() for p in folder.rglob("*"))
    return sorted(name for name in found if not name.startswith("ledger"))


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder but for the ledgers."""
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in tree(folder)
        if (folder / name).is_file()
    }


def partials(folder: Path) -> list[str]:
    """What half-written files and folders there are."""
    return sorted(
        name
        for root, *names in os.walk(folder)
        for part in names
        for name in part
        if ".partial" in name and root
    )
