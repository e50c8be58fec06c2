"""A real CT with balls for lesions, written in several geometries; and the same in one of our own.

Nothing here uses the package: nibabel alone turns arrays into LPS order and back, so that what the
pages and the store do is compared with something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    io_orientation,
    ornt_transform,
)
from numpy.typing import NDArray
from scipy import ndimage

GEOMETRIES = ("ras", "lps", "psr", "oblique", "anisotropic")
BALLS_MM = ((-45.0, 0.0, 8.0), (-10.0, 12.0, 8.0), (20.0, -15.0, 6.0), (-30.0, -30.0, 10.0))
"""Centres of the lesions, from the centre of the liver, RAS mm."""
RADII_MM = (11.0, 10.0, 9.5, 9.0)


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan as it is written, and what is in it."""

    ct: NDArray[np.int16]
    affine: NDArray[np.float64]
    masks: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    @property
    def _to_lps(self) -> NDArray[np.float64]:
        return ornt_transform(io_orientation(self.affine), axcodes2ornt(("L", "P", "S")))

    def lps(self, array: NDArray) -> NDArray:
        """An array of the file in the order in which pages count voxels."""
        return apply_orientation(array, self._to_lps)

    def native(self, array: NDArray) -> NDArray:
        """An array in LPS order as the file has it."""
        back = ornt_transform(axcodes2ornt(("L", "P", "S")), io_orientation(self.affine))
        return apply_orientation(array, back)

    def write(self, folder: Path) -> None:
        """Write CT and masks as a case of a data set."""
        (folder / "segmentations").mkdir(parents=True)
        nib.save(nib.Nifti1Image(self.ct, self.affine), folder / "ct.nii.gz")
        for name, mask in self.masks.items():
            image = nib.Nifti1Image(mask.astype(np.uint8), self.affine)
            nib.save(image, folder / "segmentations" / f"{name}.nii.gz")


def real_scan(shared_data: Path, geometry: str) -> Scan:
    """The upper abdomen of the CT of TotalSegmentator's tests (CC BY 4.0), at most 1.3 M voxels."""
    source = shared_data / "abdomen" / "ts_example_3mm"
    ct = nib.as_closest_canonical(nib.load(source / "ct.nii.gz"))
    liver = nib.as_closest_canonical(nib.load(source / "segmentations" / "liver.nii.gz"))
    part = np.s_[10:122, 5:100, 62:112]
    hu = np.asarray(ct.dataobj)[part].astype(np.int16)
    organ = np.asarray(liver.dataobj)[part] > 0
    affine = ct.affine @ _shift([10, 5, 62])
    if geometry == "anisotropic":  # 1.5 x 1.5 x 5 mm
        hu = ndimage.zoom(hu[20:100], (2, 2, 0.6), order=1, grid_mode=True, mode="nearest")
        organ = (
            ndimage.zoom(
                organ[20:100].astype(np.float32),
                (2, 2, 0.6),
                order=1,
                grid_mode=True,
                mode="nearest",
            )
            > 0.5
        )
        affine = affine @ _shift([20, 0, 0]) @ np.diag([0.5, 0.5, 1 / 0.6, 1.0])
    if geometry == "oblique":  # 12 degrees about two axes
        affine = _turned(12.0, 0) @ _turned(12.0, 2) @ affine
    scan = with_balls(hu, organ, affine)
    codes = {"lps": "LPS", "psr": "PSR"}.get(geometry)
    return scan if codes is None else _reordered(scan, codes)


def phantom_scan(spacing_mm: Sequence[float] = (1.5, 1.5, 2.5)) -> Scan:
    """An ellipsoid of liver in fat, with the same lesions; LPS, 1.1 M voxels."""
    shape = (140, 120, 64)
    affine = np.diag([-spacing_mm[0], -spacing_mm[1], spacing_mm[2], 1.0])
    affine[:3, 3] = (100.0, 90.0, -80.0)
    middle = (np.asarray(shape) - 1) / 2
    away = [
        (np.arange(n) - middle[a]) * spacing_mm[a] / radius
        for a, (n, radius) in enumerate(zip(shape, (80.0, 70.0, 60.0), strict=True))
    ]
    organ = away[0][:, None, None] ** 2 + away[1][None, :, None] ** 2 + away[2] ** 2 < 1
    noise = np.random.default_rng(3).normal(0, 8, shape)
    hu = (np.where(organ, 100, -90) + noise).round().astype(np.int16)
    return with_balls(hu, organ, affine)


def with_balls(
    hu: NDArray[np.int16], organ: NDArray[np.bool_], affine: NDArray[np.float64]
) -> Scan:
    """Balls of 40 HU less in the organ, as lesions."""
    at = np.stack(np.meshgrid(*map(np.arange, hu.shape), indexing="ij"), axis=-1)
    world = at @ affine[:3, :3].T + affine[:3, 3]
    centre = world[organ].mean(axis=0)
    lesion = np.zeros(hu.shape, bool)
    for ball, radius_mm in zip(BALLS_MM, RADII_MM, strict=True):
        lesion |= np.linalg.norm(world - (centre + ball), axis=-1) < radius_mm
    ct = np.where(lesion, hu - 40, hu).astype(np.int16)
    return Scan(ct, affine, {"liver": organ | lesion, "liver_lesion": lesion})


def balls(scan: Scan) -> list[NDArray[np.bool_]]:
    """The lesions one by one, in LPS order."""
    labels, count = ndimage.label(scan.lps(scan.masks["liver_lesion"]), np.ones((3, 3, 3)))
    assert count == len(BALLS_MM)
    return [labels == number for number in range(1, count + 1)]


def _reordered(scan: Scan, codes: str) -> Scan:
    turn = ornt_transform(io_orientation(scan.affine), axcodes2ornt(tuple(codes)))
    affine = scan.affine @ nib.orientations.inv_ornt_aff(turn, scan.ct.shape)
    masks = {name: apply_orientation(mask, turn) for name, mask in scan.masks.items()}
    return Scan(apply_orientation(scan.ct, turn), affine, masks)


def _shift(voxels: Sequence[int]) -> NDArray[np.float64]:
    result = np.eye(4)
    result[:3, 3] = voxels
    return result


def _turned(degrees: float, axis: int) -> NDArray[np.float64]:
    a, b = (n for n in range(3) if n != axis)
    result = np.eye(4)
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    result[[a, a, b, b], [a, b, a, b]] = (cos, -sin, sin, cos)
    return result
