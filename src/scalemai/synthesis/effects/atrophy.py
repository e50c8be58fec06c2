"""Atrophy of the pancreas upstream of an obstruction: the gland's rim turns into fat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.geometry import Grid
from scalemai.synthesis.effects.infill import background

__all__ = ["Shrunk", "fat_near", "shrink_gland"]

# Author's estimates, to be refined.
_FAT_HU = (-150.0, -50.0)
_FAT_REACH_MM = 15.0
_FEWEST_FAT_VOXELS = 60
_LOBULE_MM = 3.5
_UNEVEN = 0.35
_BLUR_MM = 1.0


@dataclass(frozen=True, eq=False)
class Shrunk:
    """A box with a smaller gland.

    Parameters
    ----------
    hu
        New Hounsfield units (i, j, k).
    lost
        Boolean array: gland that became fat.
    """

    hu: NDArray[np.float32]
    lost: NDArray[np.bool_]


def fat_near(
    hu: NDArray[np.float32], gland: NDArray[np.bool_], taken: NDArray[np.bool_], grid: Grid
) -> NDArray[np.bool_]:
    """Voxels of pure fat around a gland, outside of every other structure."""
    size = [3, 3, 3]
    size[grid.axial_axis] = 1
    mean = ndimage.uniform_filter(hu, size)
    fat = (mean > _FAT_HU[0]) & (mean < _FAT_HU[1]) & ~gland & ~taken
    away = ndimage.distance_transform_edt(~gland, sampling=grid.spacing_mm)
    found: NDArray[np.bool_] = fat & (away <= _FAT_REACH_MM)
    return found


def shrink_gland(
    hu: NDArray[np.float32],
    gland: NDArray[np.bool_],
    depth_mm: NDArray[np.float64],
    taken: NDArray[np.bool_],
    grid: Grid,
    rng: np.random.Generator,
) -> Shrunk | None:
    """Turn the rim of a gland into the fat around it.

    Parameters
    ----------
    hu, gland, grid
        Hounsfield units (i, j, k), the gland, and their grid.
    depth_mm
        How much is lost from the surface at each voxel in mm; 0 where nothing is.
    taken
        Voxels that must not change: other structures, the lesion.
    rng
        Stream of the lobules' outline and of noise.

    Returns
    -------
    Shrunk or None
        None where there is no fat around the gland to take its place.
    """
    fat = fat_near(hu, gland, taken, grid)
    if np.count_nonzero(fat) < _FEWEST_FAT_VOXELS:
        return None
    # From the fat inwards: where the gland lies on another organ or a vessel it stays there, as a
    # gap of a voxel's width would look like a cut.
    steps = [1 if s < 2.0 else 0 for s in grid.spacing_mm]
    for axis in grid.in_plane_axes:
        steps[axis] = 1
    near_fat = ndimage.binary_dilation(fat, np.ones([1 + 4 * n for n in steps], np.bool_))
    depth = ndimage.distance_transform_edt(~near_fat | gland | taken, sampling=grid.spacing_mm)
    depth -= 0.5 * min(grid.spacing_mm)  # from the surface to the middle of the first voxel
    lobules = ndimage.gaussian_filter(
        rng.standard_normal(grid.shape), [_LOBULE_MM / s for s in grid.spacing_mm]
    )
    lobules *= _UNEVEN / max(float(lobules.std()), 1e-9)
    lose = depth_mm * np.clip(1.0 + lobules, 0.3, 1.7)
    width = max(_BLUR_MM, min(grid.spacing_mm))
    # Faded in with the depth lost, or a border of half a voxel would be lost where nothing is.
    share = np.clip((lose - depth) / width + 0.5, 0.0, 1.0) * np.clip(lose / width, 0.0, 1.0)
    share = np.where(gland & ~taken, share, 0.0)
    around = background(hu, fat, grid, rng)
    # Beside the old surface voxels are partly gland, though they bear no label.
    beside = ndimage.binary_dilation(gland, np.ones([1 + 2 * n for n in steps], np.bool_))
    _, nearest = ndimage.distance_transform_edt(
        ~gland, sampling=grid.spacing_mm, return_indices=True
    )
    bright = float(np.median(hu[gland])) + 2.0 * around.sd_hu
    rim = beside & near_fat & ~gland & ~taken & ~fat & (hu < bright)
    share = np.where(rim, share[tuple(nearest)], share).astype(np.float32)
    return Shrunk(around.fill(hu, share, around.level_hu), gland & (share >= 0.5))
