"""One lattice for all files of a case, however each of them is stored."""

from __future__ import annotations

import numpy as np

from scalemai.geometry import Grid

__all__ = ["upright"]

_STEP_DECIMALS = 6
_ORIGIN_DECIMALS = 3


def upright(grid: Grid) -> Grid:
    """The same voxels with their axes in the order and direction nearest to RAS+.

    The affine is rounded to what headers agree on: steps to a millionth of a millimetre, which
    moves a voxel 500 steps away by 0.0003 mm at most, and the origin to a micrometre. A header in
    float32 and one in decimal text then give the same grid, so that the same case gives the same
    numbers to the last bit.

    Parameters
    ----------
    grid
        The grid of a file.
    """
    codes = grid.orientation
    order = [next(a for a in range(3) if codes[a] in pair) for pair in ("LR", "PA", "IS")]
    affine = grid.affine[:, [*order, 3]]
    shape = tuple(grid.shape[axis] for axis in order)
    for axis, source in enumerate(order):
        if codes[source] in "LPI":
            affine[:, 3] += affine[:, axis] * (shape[axis] - 1)
            affine[:, axis] *= -1
    affine[:3, :3] = np.round(affine[:3, :3], _STEP_DECIMALS)
    affine[:3, 3] = np.round(affine[:3, 3], _ORIGIN_DECIMALS)
    return Grid((shape[0], shape[1], shape[2]), affine + 0.0)  # no negative zeros
