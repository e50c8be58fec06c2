"""Tubes laid into voxels: how much of each voxel a duct of varying width fills."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from scalemai.geometry import Grid
from scalemai.synthesis.effects.centreline import CentreLine

__all__ = ["nearest_on_line", "tube_coverage"]

_BLUR_MM = 1.0  # width of an edge in a sharp soft-tissue scan; author's estimate, to be refined
_PART_MM = 1.0
_MOST_PARTS = 4


def nearest_on_line(
    line: CentreLine, points_mm: NDArray[np.float64], within_mm: float = np.inf
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Distance in mm to the nearest point of a line, and its index; inf and n beyond a limit."""
    from scipy.spatial import cKDTree  # slow to import

    distance, index = cKDTree(line.points_mm).query(points_mm, distance_upper_bound=within_mm)
    return distance, index


def tube_coverage(line: CentreLine, grid: Grid) -> NDArray[np.float32]:
    """Share of each voxel that a tube fills: float32 array (i, j, k) of 0 to 1.

    Parameters
    ----------
    line
        Centre line, in steps no longer than half a voxel; ``radius_mm`` is the tube's. The ends
        are round.
    grid
        The voxels.
    """
    coverage = np.zeros(grid.shape, np.float32)
    widest = float(line.radius_mm.max()) + _BLUR_MM
    reach = (widest + max(grid.spacing_mm)) * np.linalg.norm(grid.inverse[:3, :3], axis=1)
    index = grid.to_voxel(line.points_mm)
    region = grid.clip(index.min(axis=0) - reach, index.max(axis=0) + reach)
    if region is None:
        return coverage
    start = np.array([s.start for s in region])
    voxels = np.moveaxis(np.indices([s.stop - s.start for s in region]), 0, -1).reshape(-1, 3)
    voxels = voxels + start
    diagonal = 0.5 * float(np.linalg.norm(grid.spacing_mm))
    distance, _ = nearest_on_line(line, grid.to_world(voxels), widest + diagonal)
    near = voxels[np.isfinite(distance)]
    parts = [min(max(round(s / _PART_MM), 2), _MOST_PARTS) for s in grid.spacing_mm]
    total = np.zeros(len(near))
    for part in product(*(range(n) for n in parts)):
        offset = (np.array(part) + 0.5) / parts - 0.5
        away, at = nearest_on_line(line, grid.to_world(near + offset))
        total += np.clip(0.5 - (away - line.radius_mm[at]) / _BLUR_MM, 0.0, 1.0)
    coverage[tuple(near.T)] = total / np.prod(parts)
    return coverage
