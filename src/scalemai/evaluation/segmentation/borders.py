"""Where the border of a mask is: surface elements between voxels, and border voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalemai.compiled import compiled
from scalemai.evaluation.segmentation.surfels import surfel_areas_mm2
from scalemai.geometry import Region

__all__ = ["Borders", "borders_of"]


@dataclass(frozen=True, eq=False, slots=True)
class Borders:
    """Both borders of one mask. Outside of the array there is no mask, so its edge is a border.

    Parameters
    ----------
    surfels
        Indices, shape (surfels, 3), of the blocks of 2 x 2 x 2 voxels that hold surface: the
        block (i, j, k) ends at the voxel (i, j, k), counted from the origin.
    areas_mm2
        How much surface each block holds, shape (surfels,).
    voxels
        Indices, shape (voxels, 3), of the mask's voxels with a side that is not in the mask.
    """

    surfels: NDArray[np.int32]
    areas_mm2: NDArray[np.float64]
    voxels: NDArray[np.int32]


def borders_of(
    mask: NDArray[np.bool_], box: Region, origin: Sequence[int], frame_mm: NDArray[np.float64]
) -> Borders:
    """The borders of a mask that lies within a box.

    Parameters
    ----------
    mask
        Boolean array (i, j, k).
    box
        A box that holds all of it. No more than the box is copied.
    origin
        The voxel from which indices count, not beyond the start of the box.
    frame_mm
        Matrix (3, 3) of the steps in mm along the array axes, one per column.
    """
    content = mask[box]
    padded = np.zeros([n + 2 for n in content.shape], np.uint8)
    padded[1:-1, 1:-1, 1:-1] = content
    nothing = np.empty((0, 3), np.int32)
    surfels = np.empty((_collect_surfels(padded, nothing, padded[0, 0]), 3), np.int32)
    pattern = np.empty(len(surfels), np.uint8)
    _collect_surfels(padded, surfels, pattern)
    voxels = np.empty((_collect_voxels(padded, nothing), 3), np.int32)
    _collect_voxels(padded, voxels)
    offset = [side.start - at for side, at in zip(box, origin, strict=True)]
    surfels += np.array(offset, np.int32)
    voxels += np.array(offset, np.int32)
    return Borders(surfels, surfel_areas_mm2(frame_mm)[pattern], voxels)


@compiled
def _collect_surfels(
    padded: NDArray[np.uint8], index: NDArray[np.int32], pattern: NDArray[np.uint8]
) -> int:
    """Write down the blocks with surface until ``index`` is full; count them all."""
    found = 0
    for i in range(padded.shape[0] - 1):
        for j in range(padded.shape[1] - 1):
            a, b = padded[i, j], padded[i, j + 1]
            c, d = padded[i + 1, j], padded[i + 1, j + 1]
            before = np.int64(0)
            for k in range(padded.shape[2] - 1):
                after = np.int64(a[k + 1] | b[k + 1] << 1 | c[k + 1] << 2 | d[k + 1] << 3)
                code = before | after << 4
                before = after
                if code not in (0, 255):
                    if found < len(index):
                        index[found, 0] = i
                        index[found, 1] = j
                        index[found, 2] = k
                        pattern[found] = code
                    found += 1
    return found


@compiled
def _collect_voxels(padded: NDArray[np.uint8], index: NDArray[np.int32]) -> int:
    """Write down voxels with a free side until ``index`` is full; count them all."""
    found = 0
    for i in range(1, padded.shape[0] - 1):
        for j in range(1, padded.shape[1] - 1):
            row = padded[i, j]
            low, high = padded[i - 1, j], padded[i + 1, j]
            left, right = padded[i, j - 1], padded[i, j + 1]
            for k in range(1, padded.shape[2] - 1):
                if not row[k]:
                    continue
                if low[k] & high[k] & left[k] & right[k] & row[k - 1] & row[k + 1]:
                    continue
                if found < len(index):
                    index[found, 0] = i - 1
                    index[found, 1] = j - 1
                    index[found, 2] = k - 1
                found += 1
    return found
