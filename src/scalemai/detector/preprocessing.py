"""A scan as the network sees it, and the way back to the scan's own grid.

::

    source grid --box of the organ and a margin--> axes nearest to RAS --linear--> spacing of the
    detector --windows--> channels

Axes are turned, which is exact, never rotated. Training and inference both come through here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.detector.spec import Preprocessing
from scalemai.errors import GeometryError, MissingStructureError
from scalemai.geometry import Grid, Region
from scalemai.measure import bounding_box
from scalemai.volume import Mask, Volume

__all__ = [
    "Prepared",
    "channels_of",
    "interpolate",
    "median_hu",
    "prepare",
    "region_of_interest",
    "whole",
]

_TRUNCATE = 3.0  # standard deviations after which the Gaussian before thinning ends
_WORLD_AXIS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}


@dataclass(frozen=True, eq=False)
class Prepared:
    """The region of interest of one case on the detector's lattice.

    Parameters
    ----------
    hu
        Array (x, y, z), float32, axes nearest to right, anterior, superior.
    organ
        The organ's mask on it.
    labels
        Class of each voxel: 0 background, then the detector's classes; None where not known.
    grid
        Where its voxels are, RAS+ mm.
    source, region
        Grid of the scan, and the box of it that was taken.
    """

    hu: NDArray[np.float32]
    organ: NDArray[np.bool_]
    labels: NDArray[np.uint8] | None
    grid: Grid
    source: Grid
    region: Region

    @cached_property
    def organ_hu(self) -> float:
        """Median attenuation of the organ, lesions included, in HU."""
        return median_hu(self.hu[self.organ])


def region_of_interest(organ: Mask, margin_mm: float) -> Region:
    """The box of a scan's voxels that holds the organ and a margin round it.

    Raises
    ------
    MissingStructureError
        If the mask is empty.
    """
    box = bounding_box(organ.array)
    if box is None:
        fix = "leave the case out, or give a mask of the organ"
        where = organ.path or organ.name
        raise MissingStructureError(f"the {organ.name} mask is empty", where=where, fix=fix)
    reach = [int(np.ceil(margin_mm / step)) for step in organ.grid.spacing_mm]
    a, b, c = (
        slice(max(int(s.start) - r, 0), min(int(s.stop) + r, n))
        for s, r, n in zip(box, reach, organ.grid.shape, strict=True)
    )
    return a, b, c


def whole(grid: Grid) -> Region:
    """The box of all voxels of a grid."""
    a, b, c = (slice(0, n) for n in grid.shape)
    return a, b, c


def prepare(
    volume: Volume,
    organ: Mask | None,
    preprocessing: Preprocessing,
    lesions: Mapping[int, NDArray[np.bool_]] | None = None,
    *,
    region: Region | None = None,
) -> Prepared:
    """Cut the organ's region out of a scan and bring it to the detector's spacing.

    Parameters
    ----------
    volume
        The CT.
    organ
        Mask of the organ, lesions included, on the CT's grid. None if it is not known: then the
        whole scan is taken, and every voxel for organ.
    preprocessing
        What the detector asks for.
    lesions
        Masks of lesions on the CT's grid by class, 1 and up; where they overlap, the higher
        class stays. None if they are not known.
    region
        The box to take instead of that of the organ and its margin.

    Raises
    ------
    MissingStructureError
        If the organ's mask is empty.
    GeometryError
        If a mask lies on another grid, or the axes of the CT are not at right angles.
    """
    if organ is not None:
        organ.require_grid(volume.grid)
    if region is None:
        region = whole(volume.grid)
        if organ is not None:
            region = region_of_interest(organ, preprocessing.margin_mm)
    box = volume.grid.crop(region)
    target = _lattice(box, preprocessing.spacing_mm)
    hu = _resampled(volume.hu(region), box, target)
    inside = np.ones(target.shape, np.bool_)
    if organ is not None:
        inside = _resampled(organ.array[region].astype(np.float32), box, target) >= 0.5
    labels = None
    if lesions is not None:
        labels = np.zeros(target.shape, np.uint8)
        for value, mask in sorted(lesions.items()):
            if mask.shape != volume.grid.shape:
                what = f"a lesion mask of shape {mask.shape} for a CT of {volume.grid.shape}"
                raise GeometryError(what, where=volume.path)
            part = mask[region]
            if part.any():
                labels[_resampled(part.astype(np.float32), box, target) >= 0.5] = value
    return Prepared(hu, inside, labels, target, volume.grid, region)


def channels_of(
    hu: NDArray[np.floating[Any]],
    organ: NDArray[np.bool_],
    preprocessing: Preprocessing,
    organ_hu: float | None = None,
) -> NDArray[np.float32]:
    """What the network sees.

    ::

        0    the CT within the detector's window, from -1 to 1
        1    the organ as 0 and 1, if the detector has this channel
        2    the CT within the window round the organ's median, from -1 to 1, if it has this one

    Parameters
    ----------
    hu, organ
        Arrays (x, y, z).
    preprocessing
        Which channels, and their windows.
    organ_hu
        Median attenuation of the organ in the whole scan. By default that of these arrays, which
        is right if they show all of it.

    Returns
    -------
    ndarray
        Array (channels, x, y, z), float32.
    """
    channels = np.empty((preprocessing.channels, *hu.shape), np.float32)
    _windowed(hu, *preprocessing.window_hu, out=channels[0])
    if preprocessing.organ_channel:
        channels[1] = organ
    if preprocessing.organ_window_hu is not None:
        middle = median_hu(hu[organ]) if organ_hu is None else organ_hu
        low, high = preprocessing.organ_window_hu
        _windowed(hu, middle + low, middle + high, out=channels[2])
    return channels


def median_hu(values: NDArray[np.floating[Any]]) -> float:
    """Median of the attenuation of an organ's voxels; 0 if it has none."""
    return float(np.median(values)) if values.size else 0.0


def _windowed(
    hu: NDArray[np.floating[Any]], low: float, high: float, *, out: NDArray[np.float32]
) -> None:
    np.clip(hu, low, high, out=out)
    out -= np.float32(0.5 * (low + high))
    out /= np.float32(0.5 * (high - low))


def interpolate(values: NDArray[Any], grid: Grid, target: Grid) -> NDArray[np.float32]:
    """Values on another grid of the same directions, linearly: the way back to the scan, too.

    Only what lies near the target is read, so a large grid can be filled part by part; the parts
    are those of the whole.

    Parameters
    ----------
    values
        Array (x, y, z) of numbers on ``grid``.
    grid, target
        Where they are, and where they are wanted; axes may be permuted and reversed.

    Returns
    -------
    ndarray
        float32 array of the shape of ``target``.
    """
    relation = grid.inverse @ target.affine
    corners = grid.to_voxel(target.corners_mm)
    factor = np.abs(relation[:3, :3]).max(axis=1)
    # The reach of the Gaussian of _resampled, and the neighbour of linear interpolation.
    reach = np.ceil(_TRUNCATE * 0.5 * np.maximum(factor - 1.0, 0.0)) + 2
    inner = np.subtract(grid.shape, 1)
    low = np.clip(np.floor(corners.min(axis=0)) - reach, 0, inner).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + reach, 0, inner).astype(int) + 1
    a, b, c = (slice(int(lo), int(hi)) for lo, hi in zip(low, high, strict=True))
    part = np.asarray(values[a, b, c], np.float32)
    return _resampled(part, grid.crop((a, b, c)), target)


def _lattice(box: Grid, spacing_mm: tuple[float, float, float]) -> Grid:
    """The detector's lattice over a box: its axes in the order and sense nearest to RAS."""
    if box.shear_deg > 1.0:
        what = f"the axes of the CT deviate by {box.shear_deg:.1f} degrees from right angles"
        raise GeometryError(what, fix="resample the series to a straight grid (gantry tilt)")
    affine = np.eye(4)
    shape = [1, 1, 1]
    corner = np.full(3, -0.5)  # the outer corner that lies farthest left, back and down
    for axis, code in enumerate(box.orientation):
        world, sense = _WORLD_AXIS[code]
        length_mm = box.shape[axis] * box.spacing_mm[axis]
        shape[world] = max(int(np.rint(length_mm / spacing_mm[world])), 1)
        affine[:3, world] = box.directions[:, axis] * sense * spacing_mm[world]
        if sense < 0:
            corner[axis] = box.shape[axis] - 0.5
    affine[:3, 3] = box.to_world(corner) + affine[:3, :3] @ np.full(3, 0.5)
    return Grid((shape[0], shape[1], shape[2]), affine)


def _resampled(values: NDArray[np.float32], grid: Grid, target: Grid) -> NDArray[np.float32]:
    """Linear interpolation between two grids of the same directions; averaged where it thins."""
    relation = grid.inverse @ target.affine
    for axis in range(3):
        # Voxels of the target per voxel here; Gaussian of half of what is skipped, as
        # scikit-image's resize does, so that noise is averaged and thin things do not vanish.
        factor = float(np.abs(relation[axis, :3]).max())
        if factor > 1.0:
            sigma = 0.5 * (factor - 1.0)
            values = ndimage.gaussian_filter1d(
                values, sigma, axis, mode="nearest", truncate=_TRUNCATE
            )
    order = np.abs(relation[:3, :3]).argmax(axis=0)  # array axis here of each target axis
    turned = values.transpose(tuple(int(a) for a in order))
    steps = np.array([relation[order[axis], axis] for axis in range(3)])
    start = relation[order, 3]
    inside: NDArray[np.float32] = ndimage.affine_transform(
        turned,
        steps,  # a vector: each axis by itself, much faster than a matrix
        start,
        output_shape=target.shape,
        order=1,
        mode="nearest",
    )
    return inside
