"""Flat square pictures through a volume, cut along the patient's axes whatever the voxels' are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from contourpy import contour_generator
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.geometry import Grid
from scalemai.volume import Mask, Volume

__all__ = ["Direction", "Plane", "mask_outline", "plane_hu"]

Direction = Literal["axial", "coronal", "sagittal"]

# Unit vectors in RAS+ that point to the right and to the bottom of a picture, as radiologists
# look at it: the patient's right on the left of the picture, or the front on its left; head up.
_RIGHT = {"axial": (-1.0, 0.0, 0.0), "coronal": (-1.0, 0.0, 0.0), "sagittal": (0.0, -1.0, 0.0)}
_DOWN = {"axial": (0.0, -1.0, 0.0), "coronal": (0.0, 0.0, -1.0), "sagittal": (0.0, 0.0, -1.0)}

_LETTERS = {"axial": ("R", "L", "A"), "coronal": ("R", "L", "S"), "sagittal": ("A", "P", "S")}
_STANDS_ON = {"sagittal": 0, "coronal": 1, "axial": 2}

_SMOOTH_MARGIN = 4  # voxels beyond the picture that a cubic spline is fitted to
_MOST_SAMPLES = 4  # per pixel and direction; averaging more does not show


@dataclass(frozen=True)
class Plane:
    """A square of a world plane, head up and the patient's right on the left.

    Parameters
    ----------
    direction
        ``"axial"``, ``"coronal"`` or ``"sagittal"`` (its left is the patient's front).
    centre_mm
        RAS+ mm of its middle.
    side_mm
        Length of its sides in mm.
    """

    direction: Direction
    centre_mm: tuple[float, float, float]
    side_mm: float

    @property
    def letters(self) -> tuple[str, str, str]:
        """What lies on the left, on the right and at the top of the picture."""
        return _LETTERS[self.direction]

    @property
    def position(self) -> str:
        """Where the plane cuts the world axis that it stands on, for example ``"z -41.5 mm"``."""
        axis = _STANDS_ON[self.direction]
        return f"{'xyz'[axis]} {self.centre_mm[axis]:.1f} mm"

    def points_mm(self, pixels: int) -> NDArray[np.float64]:
        """RAS+ mm, shape (pixels, pixels, 3), of the pixel centres: rows go down."""
        steps = ((np.arange(pixels) + 0.5) / pixels - 0.5) * self.side_mm
        right = steps[None, :, None] * np.array(_RIGHT[self.direction])
        down = steps[:, None, None] * np.array(_DOWN[self.direction])
        points: NDArray[np.float64] = np.array(self.centre_mm) + right + down
        return points

    def pixel_of(self, xyz_mm: NDArray[np.float64], pixels: int) -> NDArray[np.float64]:
        """Position (right, down) in pixels from the corner, shape (..., 2), of RAS+ mm points."""
        axes = np.array([_RIGHT[self.direction], _DOWN[self.direction]])
        offset = (np.asarray(xyz_mm) - np.array(self.centre_mm)) @ axes.T
        position: NDArray[np.float64] = (offset / self.side_mm + 0.5) * pixels
        return position


def plane_hu(
    volume: Volume, plane: Plane, pixels: int, *, smooth: bool = False
) -> NDArray[np.float32]:
    """Hounsfield units on a plane, shape (pixels, pixels); NaN outside of the volume.

    Only voxels next to the plane are touched. Where voxels are finer than pixels several points
    are averaged, so that noise looks as it does on a workstation.

    Parameters
    ----------
    volume
        The CT.
    plane
        Where to look.
    pixels
        Pixels per side.
    smooth
        Fit a cubic spline that does not overshoot, rather than a linear one: for small fields,
        where voxels are larger than pixels.
    """
    finest_mm = min(volume.grid.spacing_mm)
    samples = int(np.clip(np.ceil(plane.side_mm / pixels / finest_mm), 1, _MOST_SAMPLES))
    values = _sample(volume.stored, volume.grid, plane, pixels * samples, 3 if smooth else 1)
    blocks = values.reshape(pixels, samples, pixels, samples)
    hu: NDArray[np.float32] = blocks.mean(axis=(1, 3)) * np.float32(volume.slope)
    return hu + np.float32(volume.intercept)


def mask_outline(mask: Mask, plane: Plane, pixels: int) -> list[NDArray[np.float64]]:
    """Where a plane cuts the surface of a mask: lines of (right, down) in pixels, shape (n, 2).

    Marching squares at one half of the linearly interpolated mask; a line that leaves the
    picture ends at its edge.
    """
    inside = np.nan_to_num(_sample(mask.array, mask.grid, plane, pixels, 1))
    lines = contour_generator(z=inside).lines(0.5)
    return [np.asarray(line, np.float64) + 0.5 for line in lines]  # pixel 0 is centred at 0.5


def _sample(
    array: NDArray[Any], grid: Grid, plane: Plane, pixels: int, order: int
) -> NDArray[np.float32]:
    index = grid.to_voxel(plane.points_mm(pixels))
    last = np.array(grid.shape) - 1.0
    # A voxel reaches half its size beyond its centre, so a single slice has a thickness too.
    inside = ((index >= -0.5) & (index <= last + 0.5)).all(axis=-1)
    out = np.full((pixels, pixels), np.nan, np.float32)
    if not inside.any():
        return out
    index = np.clip(index[inside], 0, last)
    margin = _SMOOTH_MARGIN if order > 1 else 1
    region = grid.clip(index.min(axis=0) - margin, index.max(axis=0) + margin)
    assert region is not None, "clipped indices lie on the grid"
    part = array[region]
    place = (index - [s.start for s in region]).T
    if order > 1 and np.isfinite(part).all():
        out[inside] = _spline(part.astype(np.float32), place, order)
    else:
        out[inside] = ndimage.map_coordinates(
            part, place, output=np.float32, order=1, mode="nearest"
        )
    return out


def _spline(
    part: NDArray[np.float32], place: NDArray[np.float64], order: int
) -> NDArray[np.float32]:
    """A spline that stays within the voxels around a point.

    Unlimited, it draws a bright seam along every sharp border, which would be taken for a rim of
    the lesion.
    """
    curve = ndimage.map_coordinates(part, place, order=order, mode="nearest")
    low, high = (
        ndimage.map_coordinates(extreme(part, size=3), place, order=0, mode="nearest")
        for extreme in (ndimage.minimum_filter, ndimage.maximum_filter)
    )
    limited: NDArray[np.float32] = np.clip(curve, low, high)
    return limited
