"""Resampling to 1 mm along the array axes, of no more than what can matter.

First and last voxel centres are kept, as zooming an array does, so the spacing is 1 mm only up
to the rounding of the number of voxels; presets that count voxels as cubic mm inherit this.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalemai.errors import GeometryError
from scalemai.geometry import Grid
from scalemai.measure import bounding_box

__all__ = ["linear_above", "linear_maximum", "nearest"]

_LARGEST_SHEAR_DEG = 1.0
"""Beyond this, 1 mm along three axes is visibly not 1 mm3 (1.5 parts in 10 000 at 1 degree)."""


def nearest(mask: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """The nearest-voxel resampling of a mask, cut to a box that holds all of it.

    Parameters
    ----------
    mask
        Boolean array (i, j, k).
    grid
        Its grid.

    Raises
    ------
    GeometryError
        If the axes of the grid are sheared (gantry tilt).
    """
    positions = _positions(grid)
    box = bounding_box(mask)
    if box is None:
        return np.zeros((0, 0, 0), np.bool_)
    picked = []
    for position, span in zip(positions, box, strict=True):
        index = np.floor(position + 0.5).astype(np.intp)
        picked.append(index[(index >= span.start) & (index < span.stop)])
    return mask[np.ix_(*picked)]


def linear_above(values: NDArray[np.floating[Any]], grid: Grid, cut: float) -> NDArray[np.bool_]:
    """Where the linear resampling of values exceeds a cut, in a box that holds all such voxels.

    Parameters
    ----------
    values
        Array (i, j, k).
    grid
        Its grid.
    cut
        Value to exceed.

    Raises
    ------
    GeometryError
        If the axes of the grid are sheared (gantry tilt).
    """
    return _linear_near(values, _positions(grid), cut) > np.float32(cut)


def linear_maximum(values: NDArray[np.floating[Any]], grid: Grid) -> float:
    """The largest value of the linear resampling of values of 0 or more.

    Parameters and errors as of :func:`linear_above`.
    """
    positions = _positions(grid)
    # Interpolation cannot exceed its sources, so beyond a value that is reached somewhere only
    # the surroundings of larger sources matter. Half the maximum finds such a value cheaply.
    peak = float(values.max())
    reached = float(_linear_near(values, positions, peak / 2).max(initial=0.0))
    around = _linear_near(values, positions, np.nextafter(np.float32(reached), np.float32(-1)))
    return float(around.max(initial=0.0))


def _positions(grid: Grid) -> list[NDArray[np.float64]]:
    """Along each axis, where in the source the voxels of 1 mm lie, in source voxels."""
    if grid.shear_deg > _LARGEST_SHEAR_DEG:
        what = f"the axes are {grid.shear_deg:.1f} degrees off right angles"
        raise GeometryError(what, fix="resample the case to an upright grid first")
    positions: list[NDArray[np.float64]] = []
    for n, spacing in zip(grid.shape, grid.spacing_mm, strict=True):
        m = max(round(n * spacing), 1)
        positions.append(np.arange(m, dtype=np.float64) * ((n - 1) / (m - 1) if m > 1 else 0.0))
    return positions


def _linear_near(
    values: NDArray[np.floating[Any]], positions: list[NDArray[np.float64]], cut: float
) -> NDArray[np.float32]:
    """Linear interpolation at all positions that have a source above ``cut`` beside them."""
    box = bounding_box(values > cut)
    if box is None:
        return np.zeros((0, 0, 0), np.float32)
    region, kept = [], []
    for position, span, n in zip(positions, box, values.shape, strict=True):
        near = position[(position > span.start - 1) & (position < span.stop)]
        start = max(span.start - 1, 0)
        region.append(slice(start, min(span.stop + 1, n)))
        kept.append(near - start)
    part = values[tuple(region)].astype(np.float64)
    for axis, position in enumerate(kept):
        low = np.clip(np.floor(position).astype(np.intp), 0, part.shape[axis] - 1)
        high = np.minimum(low + 1, part.shape[axis] - 1)
        share = (position - low).reshape([-1 if a == axis else 1 for a in range(3)])
        part = part.take(low, axis) * (1 - share) + part.take(high, axis) * share
    return part.astype(np.float32)
