"""Sizes of one lesion in millimetres. A size is never one number, so each has its own name."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalemai.compiled import compiled
from scalemai.geometry import Grid, Region

__all__ = [
    "bounding_box",
    "equivalent_diameter_mm",
    "longest_axial_diameter_mm",
]


def bounding_box(array: NDArray[np.bool_]) -> Region | None:
    """The smallest box that holds all True voxels of an array (i, j, k); None if there are none.

    Reads a Fortran- or C-ordered array along its memory, once, so that a whole-scan mask costs
    tens of milliseconds.
    """
    order = (2, 1, 0) if array.flags.f_contiguous and not array.flags.c_contiguous else (0, 1, 2)
    slow, middle, fast = order
    view = np.transpose(array, order)
    hit = [index for index in range(view.shape[0]) if view[index].any()]
    if not hit:
        return None
    part = view[hit[0] : hit[-1] + 1]
    plane = np.bitwise_or.reduce(part, axis=0)
    spans = {slow: slice(hit[0], hit[-1] + 1)}
    for axis, flat in ((middle, plane.any(axis=1)), (fast, plane.any(axis=0))):
        found = np.flatnonzero(flat)
        spans[axis] = slice(int(found[0]), int(found[-1]) + 1)
    return spans[0], spans[1], spans[2]


def equivalent_diameter_mm(volume_mm3: float) -> float:
    """Diameter in mm of the sphere of the given volume in cubic mm."""
    return float((6.0 * volume_mm3 / np.pi) ** (1.0 / 3.0))


def longest_axial_diameter_mm(mask: NDArray[np.bool_], grid: Grid) -> float:
    """Longest diameter within one axial image, between voxel edges, in mm; 0 for an empty mask.

    This is the RECIST 1.1 longest diameter (Eisenhauer et al., Eur J Cancer 2009;45:228-247) of a
    mask of one lesion: the greatest distance between two corners of voxels of the same axial
    slice, along oblique directions too. Axial slices are those of the array axis that runs nearest
    to head-foot. Compared with a continuous outline it reads up to about one voxel more.

    Parameters
    ----------
    mask
        Boolean array (i, j, k).
    grid
        Its grid.
    """
    first, second = grid.in_plane_axes
    planes = np.ascontiguousarray(np.transpose(mask, (grid.axial_axis, first, second)))
    u, v = grid.affine[:3, first], grid.affine[:3, second]
    return float(_longest_chord(planes, float(u @ u), float(u @ v), float(v @ v)))


@compiled
def _longest_chord(planes: NDArray[np.bool_], uu: float, uv: float, vv: float) -> float:
    slices, rows, columns = planes.shape
    # The ends of a longest chord are corners of the convex hull, and those are corners of the
    # first or last voxel of a row.
    points = np.empty((4 * rows, 2), np.float64)
    best = 0.0
    for s in range(slices):
        count = 0
        for r in range(rows):
            low = -1
            high = -1
            for c in range(columns):
                if planes[s, r, c]:
                    if low < 0:
                        low = c
                    high = c
            if low >= 0:
                for edge in (-0.5, 0.5):
                    points[count, 0] = r + edge
                    points[count, 1] = low - 0.5
                    points[count + 1, 0] = r + edge
                    points[count + 1, 1] = high + 0.5
                    count += 2
        for a in range(count):
            for b in range(a):
                du = points[a, 0] - points[b, 0]
                dv = points[a, 1] - points[b, 1]
                square = du * du * uu + 2.0 * du * dv * uv + dv * dv * vv
                if square > best:
                    best = square
    return float(np.sqrt(best))
