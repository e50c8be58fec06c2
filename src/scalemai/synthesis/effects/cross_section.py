"""Cross-sections of vessels, perpendicular to their centre lines whatever the voxels are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.geometry import Grid
from scalemai.synthesis.effects.centreline import CentreLine

__all__ = ["CrossSections", "cross_sections", "mask_field", "step_along"]

_RAYS = 72  # 5 degrees apart


@dataclass(frozen=True, eq=False)
class CrossSections:
    """Where the wall of a tube lies, seen from its centre line, perpendicular to it.

    Parameters
    ----------
    centre_mm, tangents
        RAS+ mm and unit vectors, shape (n, 3): the stations.
    rays
        Unit vectors (n, m, 3) perpendicular to the tangent, in turning order; from station to
        station they keep their direction as nearly as they can.
    wall_mm
        Distance in mm from the centre to the wall along each ray, shape (n, m); NaN where there
        is none, as at the mouth of a branch.
    along_mm
        Length in mm along the line, shape (n,).
    """

    centre_mm: NDArray[np.float64]
    tangents: NDArray[np.float64]
    rays: NDArray[np.float64]
    wall_mm: NDArray[np.float64]
    along_mm: NDArray[np.float64]

    def points_mm(self, distance_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """RAS+ mm (..., n, m, 3) at distances (..., n, m) from the centre along the rays."""
        points: NDArray[np.float64] = self.centre_mm[:, None] + self.rays * distance_mm[..., None]
        return points


def step_along(grid: Grid, unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance in mm from voxel to voxel along unit vectors, shape (..., 3) to (...)."""
    pace: NDArray[np.float64] = 1.0 / np.abs(unit @ grid.inverse[:3, :3].T).max(axis=-1)
    return pace


def mask_field(
    mask: NDArray[np.bool_], grid: Grid, points_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A mask read between its voxels: 1 inside, 0 outside, 0.5 on the border; (..., 3) to (...)."""
    index = np.moveaxis(grid.to_voxel(points_mm), -1, 0)
    field: NDArray[np.float64] = ndimage.map_coordinates(
        mask.astype(np.float32), index, order=1, mode="constant", output=np.float64
    )
    return field


def cross_sections(line: CentreLine, mask: NDArray[np.bool_], grid: Grid) -> CrossSections:
    """Cut a tube perpendicular to its centre line at every point of the line.

    Parameters
    ----------
    line
        The centre line; the stations are moved to the middle of what is cut.
    mask, grid
        Boolean array (i, j, k) of the tube and its grid.
    """
    tangents = line.tangents
    first = _transported(tangents)
    second = np.cross(tangents, first)
    turn = 2.0 * np.pi * np.arange(_RAYS) / _RAYS
    rays = (
        np.cos(turn)[None, :, None] * first[:, None] + np.sin(turn)[None, :, None] * second[:, None]
    )
    # A ball in voxels is half a voxel too large or too small, and a vessel may be flat.
    limit = 2.2 * line.radius_mm + 1.5 * max(grid.spacing_mm)
    centre = line.points_mm
    wall = _walls(centre, rays, limit, mask, grid)
    for _ in range(2):
        known = np.nan_to_num(wall)
        # Middle of the area that is cut: of thin triangles between neighbouring rays.
        shift = (rays * (known**3)[..., None]).sum(axis=1)
        shift /= np.maximum(1.5 * (known**2).sum(axis=1), 1e-9)[:, None]
        shift[np.isnan(wall).any(axis=1)] = 0.0
        centre = centre + ndimage.gaussian_filter1d(shift, 2.0, axis=0, mode="nearest")
        wall = _walls(centre, rays, limit, mask, grid)
    return CrossSections(centre, tangents, rays, wall, line.along_mm)


def _walls(
    centre_mm: NDArray[np.float64],
    rays: NDArray[np.float64],
    limit_mm: NDArray[np.float64],
    mask: NDArray[np.bool_],
    grid: Grid,
) -> NDArray[np.float64]:
    """Distance in mm along each ray to the first place outside of the mask; NaN beyond a limit."""
    step = 0.25 * min(grid.spacing_mm)
    away = np.arange(0.0, float(limit_mm.max()) + 2.0 * step, step)
    points = centre_mm[:, None] + rays * away[:, None, None, None]
    field = mask_field(mask, grid, points)
    outside = field < 0.5
    outside[0] = False  # the middle of a vessel of two voxels may read less
    cut = outside.argmax(axis=0)
    here = np.take_along_axis(field, cut[None], axis=0)[0]
    before = np.take_along_axis(field, np.maximum(cut - 1, 0)[None], axis=0)[0]
    share = np.clip((before - 0.5) / np.maximum(before - here, 1e-9), 0.0, 1.0)
    wall = away[np.maximum(cut - 1, 0)] + share * step
    found = (cut > 0) & (wall <= limit_mm[:, None])
    return np.where(found, wall, np.nan)


def _transported(tangents: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors perpendicular to the tangents that turn as little as possible along a line."""
    side = np.empty_like(tangents)
    axis = np.zeros(3)
    axis[int(np.argmin(np.abs(tangents[0])))] = 1.0
    for n, tangent in enumerate(tangents):
        axis = axis - (axis @ tangent) * tangent
        axis /= max(float(np.linalg.norm(axis)), 1e-9)
        side[n] = axis
    return side
