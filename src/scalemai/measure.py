"""Sizes of one lesion in millimetres. A size is never one number, so each has its own name.

Voxels are bodies, not points: every length here runs between voxel edges, so a single voxel of
0.8 mm is 1.1 mm along its diagonal, and a lesion measures up to about one voxel more than its
continuous outline. Measuring between voxel centres would read as much less, and 0 for one voxel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalemai.compiled import compiled
from scalemai.errors import GeometryError
from scalemai.geometry import Grid, Region

__all__ = [
    "Sizes",
    "bounding_box",
    "equivalent_diameter_mm",
    "longest_axial_diameter_mm",
    "sizes_of",
]

_TIE = 1e-6
"""Relative difference of squares below which two longest diameters are equally long.

Spacings that went through float32 differ by up to 1e-7 of themselves."""

_ASIDE = 1e-5
"""How far, in voxels, a line passes beside a corner: more than a float32 affine tilts it over 512
voxels, so that a passage no wider than that does not depend on how the affine was stored."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """All sizes of one lesion; every one is 0 for an empty mask.

    Parameters
    ----------
    diameter_mm
        Longest axial diameter, see :func:`longest_axial_diameter_mm`.
    perpendicular_mm
        Longest chord at right angles to that diameter, in the same axial slice, which lies inside
        the mask from end to end. It need not meet the diameter. Pixels that touch at a corner
        only do not continue a chord. Across a boomerang it is the thickness of an arm, where the
        calliper (the extent of the mask in that direction) would reach over the hollow. Of
        several equally long diameters, the one with the longest perpendicular counts.
    feret_mm
        Greatest distance between two corners of voxels in three dimensions.
    equivalent_diameter_mm
        Diameter of the sphere of the same volume.
    volume_mm3
        Number of voxels times their volume.
    """

    diameter_mm: float
    perpendicular_mm: float
    feret_mm: float
    equivalent_diameter_mm: float
    volume_mm3: float


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
    slice, along oblique directions too, across hollows of the mask if need be. Axial slices are
    those of the array axis that runs nearest to head-foot. Compared with a continuous outline it
    reads up to about one voxel more.

    Parameters
    ----------
    mask
        Boolean array (i, j, k).
    grid
        Its grid.
    """
    planes, metric = _axial_planes(mask, grid)
    corners, ends = _hull_corners(planes)
    return float(np.sqrt(_longest_square(corners, ends, metric)))


def sizes_of(mask: NDArray[np.bool_], grid: Grid) -> Sizes:
    """All sizes of a mask of one lesion.

    Parameters
    ----------
    mask
        Boolean array (i, j, k). Only its bounding box is worked on.
    grid
        Its grid.

    Returns
    -------
    Sizes
        In mm and cubic mm; the same whatever the order and direction of the array axes.

    Raises
    ------
    GeometryError
        If the mask is not of the grid's shape.
    """
    if mask.shape != grid.shape:
        raise GeometryError(f"mask of shape {mask.shape} on a grid of shape {grid.shape}")
    box = bounding_box(mask)
    if box is None:
        return Sizes(0.0, 0.0, 0.0, 0.0, 0.0)
    planes, metric = _axial_planes(mask[box], grid)
    corners, ends = _hull_corners(planes)
    longest = _longest_square(corners, ends, metric)
    volume = float(np.count_nonzero(planes)) * grid.voxel_volume_mm3
    return Sizes(
        float(np.sqrt(longest)),
        float(_longest_perpendicular(planes, corners, ends, longest * (1 - _TIE), metric)),
        float(np.sqrt(_longest_square_in_space(corners, ends, metric))),
        equivalent_diameter_mm(volume),
        volume,
    )


def _axial_planes(
    mask: NDArray[np.bool_], grid: Grid
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """The mask as (slices, rows, columns), and products (3, 3) in mm2 of its steps, so ordered."""
    order = (grid.axial_axis, *grid.in_plane_axes)
    steps = [grid.affine[:3, axis] for axis in order]
    metric = np.array([[float(a @ b) for b in steps] for a in steps])
    return np.ascontiguousarray(np.transpose(mask, order)), metric


@compiled
def _hull_corners(planes: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Corners (n, 2) of the convex hull of each slice; slice s has those before ``ends[s]``."""
    slices, rows, columns = planes.shape
    corners = np.empty((2 * slices * (rows + 1), 2), np.float64)
    ends = np.empty(slices, np.intp)
    low = np.empty(rows + 1, np.float64)
    high = np.empty(rows + 1, np.float64)
    count = 0
    for s in range(slices):
        low[:] = columns
        high[:] = -1.0
        for r in range(rows):
            for c in range(columns):
                if planes[s, r, c]:
                    low[r] = min(low[r], c - 0.5)
                    low[r + 1] = min(low[r + 1], c - 0.5)
                    break
            else:
                continue
            for c in range(columns - 1, -1, -1):
                if planes[s, r, c]:
                    high[r] = max(high[r], c + 0.5)
                    high[r + 1] = max(high[r + 1], c + 0.5)
                    break
        # Row edges come in order, so each side of the hull is one monotone chain.
        for side in (1.0, -1.0):
            start = count
            for r in range(rows + 1):
                if high[r] < 0:
                    continue
                x = r - 0.5
                y = low[r] if side > 0 else high[r]
                while count - start >= 2:
                    ax = corners[count - 1, 0] - corners[count - 2, 0]
                    ay = corners[count - 1, 1] - corners[count - 2, 1]
                    turn = ax * (y - corners[count - 2, 1]) - ay * (x - corners[count - 2, 0])
                    if side * turn > 0:
                        break
                    count -= 1
                corners[count, 0] = x
                corners[count, 1] = y
                count += 1
        ends[s] = count
    return corners[:count], ends


@compiled
def _longest_square(
    corners: NDArray[np.float64], ends: NDArray[np.intp], metric: NDArray[np.float64]
) -> float:
    """Square in mm2 of the longest distance between corners of the same slice."""
    uu, uv, vv = metric[1, 1], metric[1, 2], metric[2, 2]
    best = 0.0
    start = 0
    for s in range(len(ends)):
        for a in range(start, ends[s]):
            for b in range(start, a):
                du = corners[a, 0] - corners[b, 0]
                dv = corners[a, 1] - corners[b, 1]
                square = du * du * uu + 2.0 * du * dv * uv + dv * dv * vv
                if square > best:
                    best = square
        start = ends[s]
    return best


@compiled
def _longest_square_in_space(
    corners: NDArray[np.float64], ends: NDArray[np.intp], metric: NDArray[np.float64]
) -> float:
    """Square in mm2 of the longest distance between any two corners."""
    ww, wu, wv = metric[0, 0], metric[0, 1], metric[0, 2]
    uu, uv, vv = metric[1, 1], metric[1, 2], metric[2, 2]
    best = 0.0
    for s in range(len(ends)):
        for t in range(s, len(ends)):
            for a in range(ends[s - 1] if s else 0, ends[s]):
                for b in range(ends[t - 1] if t else 0, ends[t]):
                    du = corners[b, 0] - corners[a, 0]
                    dv = corners[b, 1] - corners[a, 1]
                    flat = du * du * uu + 2.0 * du * dv * uv + dv * dv * vv
                    slope = 2.0 * (du * wu + dv * wv)
                    # A slice has two faces; the square is convex in the step between slices.
                    for step in (t - s - 1, t - s + 1):
                        square = flat + step * slope + step * step * ww
                        if square > best:
                            best = square
    return best


@compiled
def _longest_perpendicular(
    planes: NDArray[np.bool_],
    corners: NDArray[np.float64],
    ends: NDArray[np.intp],
    least: float,
    metric: NDArray[np.float64],
) -> float:
    """Longest chord in mm across any diameter whose square is at least ``least``."""
    uu, uv, vv = metric[1, 1], metric[1, 2], metric[2, 2]
    best = 0.0
    start = 0
    for s in range(len(ends)):
        for a in range(start, ends[s]):
            for b in range(start, a):
                du = corners[a, 0] - corners[b, 0]
                dv = corners[a, 1] - corners[b, 1]
                if du * du * uu + 2.0 * du * dv * uv + dv * dv * vv >= least:
                    best = max(best, _chord_across(planes[s], du, dv, uu, uv, vv))
        start = ends[s]
    return best


@compiled
def _chord_across(
    plane: NDArray[np.bool_], du: float, dv: float, uu: float, uv: float, vv: float
) -> float:
    """Longest chord in mm at right angles to (du, dv) that stays inside the pixels.

    As a perpendicular line moves along the diameter, the chord in which it cuts the mask changes
    linearly, except where the line passes a vertex of the outline: the longest chord is found
    immediately beside one.
    """
    rows, columns = plane.shape
    norm = np.sqrt(du * du + dv * dv)
    aside_r, aside_c = _ASIDE * du / norm, _ASIDE * dv / norm
    pr, pc = -(du * uv + dv * vv), du * uu + dv * uv
    norm = np.sqrt(pr * pr + pc * pc)
    pr, pc = pr / norm, pc / norm
    longest = 0.0
    for r in range(rows + 1):
        for c in range(columns + 1):
            before = r > 0 and c > 0 and plane[r - 1, c - 1]
            right = r > 0 and c < columns and plane[r - 1, c]
            below = r < rows and c > 0 and plane[r, c - 1]
            after = r < rows and c < columns and plane[r, c]
            if (before == right and below == after) or (before == below and right == after):
                continue  # no outline here, or a straight one
            x, y = r - 0.5, c - 0.5
            longest = max(longest, _longest_run(plane, x, y, aside_r, aside_c, pr, pc))
            longest = max(longest, _longest_run(plane, x, y, -aside_r, -aside_c, pr, pc))
    return float(longest * np.sqrt(pr * pr * uu + 2.0 * pr * pc * uv + pc * pc * vv))


@compiled
def _longest_run(
    plane: NDArray[np.bool_],
    x: float,
    y: float,
    aside_r: float,
    aside_c: float,
    pr: float,
    pc: float,
) -> float:
    """Longest piece inside the pixels of the line along (pr, pc) that passes beside (x, y).

    Which pixels it meets is decided a little aside; where it meets them, on the line through
    (x, y) itself, so that the result is the limit.
    """
    rows, columns = plane.shape
    enter, leave = -np.inf, np.inf
    began = 0.0
    for start, at, step, size in (
        (x + aside_r, x, pr, rows),
        (y + aside_c, y, pc, columns),
    ):
        if abs(step) < 1e-12:
            if not -0.5 < start < size - 0.5:
                return 0.0
            continue
        first = -0.5 if step > 0 else size - 0.5
        if (first - start) / step > enter:
            enter = (first - start) / step
            began = (first - at) / step
        leave = min(leave, (size - 1 - first - start) / step)
    if enter >= leave:
        return 0.0
    r = min(max(int(np.floor(x + aside_r + enter * pr + 0.5)), 0), rows - 1)
    c = min(max(int(np.floor(y + aside_c + enter * pc + 0.5)), 0), columns - 1)
    longest = 0.0
    inside = False
    here = began
    while 0 <= r < rows and 0 <= c < columns:
        if plane[r, c] and not inside:
            began = here
        elif inside and not plane[r, c]:
            longest = max(longest, here - began)
        inside = plane[r, c]
        edge_r = r + 0.5 if pr > 0 else r - 0.5
        edge_c = c + 0.5 if pc > 0 else c - 0.5
        next_r = (edge_r - x - aside_r) / pr if abs(pr) >= 1e-12 else np.inf
        next_c = (edge_c - y - aside_c) / pc if abs(pc) >= 1e-12 else np.inf
        if next_r < next_c:
            here = (edge_r - x) / pr
            r += 1 if pr > 0 else -1
        else:
            here = (edge_c - y) / pc
            c += 1 if pc > 0 else -1
    if inside:
        longest = max(longest, here - began)
    return longest
