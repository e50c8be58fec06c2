"""A small case whose masks are boxes, so that every voxel can be counted by hand."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from scalemai.case import Case, MaskSource, Presence

SHAPE = (36, 32, 24)
SPACING_MM = (2.0, 2.5, 4.0)

Box = tuple[slice, slice, slice]


def write(path: Path, array: NDArray[np.generic]) -> Path:
    """Write a NIfTI file that is stored as LPS, the way of DICOM, with nibabel alone."""
    matrix = np.diag([-SPACING_MM[0], -SPACING_MM[1], SPACING_MM[2], 1.0])
    matrix[:3, 3] = (30.0, 40.0, -700.0)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(array, matrix)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
    return path


def box(low: int, high: int) -> Box:
    """A cube of the indices from low to high - 1."""
    return slice(low, high), slice(low, high), slice(low, high)


def boxed_case(
    folder: Path, masks: dict[str, Box], stated: dict[str, Presence] | None = None
) -> Case:
    """Write a CT of soft tissue with masks that are boxes."""
    hu = np.random.default_rng(0).normal(60.0, 10.0, SHAPE).astype(np.int16)
    hu[:2] = -1000
    ct = write(folder / "ct.nii.gz", hu)
    sources = {}
    for name, place in masks.items():
        mask: NDArray[np.uint8] = np.zeros(SHAPE, np.uint8)
        mask[place] = 1
        sources[name] = MaskSource(write(folder / "segmentations" / f"{name}.nii.gz", mask))
    return Case(folder.name, ct, sources, stated=stated or {})
