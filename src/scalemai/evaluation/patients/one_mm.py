"""Resampling to 1 mm along the array axes, of no more than what can matter.

First and last voxel centres are kept, as zooming an array does, so the spacing is 1 mm only up
to the rounding of the number of voxels; presets that count voxels as cubic mm inherit this.
Results are in RAS+ order: half-way voxels are rounded in the same direction of the patient
however the array is stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from scalemai.errors import GeometryError
from scalemai.geometry import Grid
from scalemai.measure import bounding_box

__all__ = ["linear_above", "linear_maximum", "nearest"]

_T = TypeVar("_T", bound=np.generic)

_LARGEST_SHEAR_DEG = 1.0
"""Beyond this, 1 mm along three axes is visibly not 1 mm3 (1.5 parts in 10 000 at 1 degree)."""


_SLAB = 16
"""Images of 1 mm that are interpolated at once."""


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
    upright, positions = _upright(mask, grid)
    box = bounding_box(upright)
    if box is None:
        return np.zeros((0, 0, 0), np.bool_)
    picked = []
    for position, span in zip(positions, box, strict=True):
        index = np.floor(position + 0.5).astype(np.intp)
        picked.append(index[(index >= span.start) & (index < span.stop)])
    return upright[np.ix_(*picked)]


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
    upright, positions = _upright(values, grid)
    slabs = [slab > np.float32(cut) for slab in _linear_near(upright, positions, cut)]
    return np.concatenate(slabs, axis=2) if slabs else np.zeros((0, 0, 0), np.bool_)


def linear_maximum(values: NDArray[np.floating[Any]], grid: Grid) -> float:
    """The largest value of the linear resampling of values of 0 or more.

    Parameters and errors as of :func:`linear_above`.
    """
    upright, positions = _upright(values, grid)
    # Interpolation cannot exceed its sources, so beyond a value that is reached somewhere only
    # the surroundings of larger sources matter. The largest source mostly leads to such a value;
    # a grid finer than 0.5 mm may skip it, so half of it is the second try.
    peak = np.float32(values.max())
    if peak <= 0:
        return 0.0
    reached = np.float32(0)
    for cut in (np.nextafter(peak, np.float32(-1)), peak / 2):
        reached = max([reached, *map(np.max, _linear_near(upright, positions, float(cut)))])
        if reached > 0:
            break
    rest = float(np.nextafter(reached, np.float32(-1)))
    return float(max([reached, *map(np.max, _linear_near(upright, positions, rest))]))


def _upright(array: NDArray[_T], grid: Grid) -> tuple[NDArray[_T], list[NDArray[np.float64]]]:
    """A view in RAS+ order, and along each axis where in it the voxels of 1 mm lie."""
    if grid.shear_deg > _LARGEST_SHEAR_DEG:
        what = f"the axes are {grid.shear_deg:.1f} degrees off right angles"
        raise GeometryError(what, fix="resample the case to an upright grid first")
    codes = grid.orientation
    order = [next(a for a in range(3) if codes[a] in pair) for pair in ("LR", "PA", "IS")]
    falling = tuple(slot for slot, axis in enumerate(order) if codes[axis] in "LPI")
    positions: list[NDArray[np.float64]] = []
    for axis in order:
        n = grid.shape[axis]
        m = max(round(n * grid.spacing_mm[axis]), 1)
        # One division, so that a half-way position is exactly half-way.
        positions.append(np.arange(m) * (n - 1) / max(m - 1, 1))
    return np.flip(array.transpose(order), falling), positions


def _linear_near(
    values: NDArray[np.floating[Any]], positions: list[NDArray[np.float64]], cut: float
) -> Iterator[NDArray[np.float32]]:
    """Linear interpolation at all positions that have a source above ``cut`` beside them.

    Yields slabs along the last axis, so that a whole scan is never held in float64.
    """
    box = bounding_box(values > cut)
    if box is None:
        return
    near, region = [], []
    for position, span, n in zip(positions, box, values.shape, strict=True):
        start = max(span.start - 1, 0)
        near.append(position[(position > span.start - 1) & (position < span.stop)] - start)
        region.append(slice(start, min(span.stop + 1, n)))
    if not all(position.size for position in near):
        return
    values = values[tuple(region)]
    for start in range(0, near[2].size, _SLAB):
        part: NDArray[Any] = values
        # Last axis first: it cuts the slab out of the scan.
        for axis, position in ((2, near[2][start : start + _SLAB]), (1, near[1]), (0, near[0])):
            low = np.floor(position).astype(np.intp)
            high = np.minimum(low + 1, values.shape[axis] - 1)
            share = (position - low).reshape([-1 if a == axis else 1 for a in range(3)])
            part = part.take(low, axis) * (1 - share) + part.take(high, axis) * share
        yield part.astype(np.float32)
