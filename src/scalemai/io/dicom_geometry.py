"""Regular lattices of slices, and arrays on grids that coincide.

DICOM's world is LPS+ mm; everything that leaves these functions as a grid is RAS+ mm.
"""

from __future__ import annotations

from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from scalemai.errors import GeometryError
from scalemai.geometry import CORNER_TOLERANCE_MM, Grid

__all__ = [
    "SLICE_TOLERANCE_FRACTION",
    "SLICE_TOLERANCE_MM",
    "lattice",
    "place",
    "plane_affine",
    "tilt_deg",
]

SLICE_TOLERANCE_MM = 0.1
SLICE_TOLERANCE_FRACTION = 0.05
"""A slice may lie off the regular lattice by the larger of 0.1 mm and 5 % of the slice spacing.

Scanners round positions to as little as 0.1 mm, which moves a slice by up to 0.1 mm from the line
through the first and the last one; what is displaced by more has another spacing (author's
estimate, to be refined). The deviation of *positions* is limited, not that of gaps, so that small
errors cannot add up over a long series."""

T = TypeVar("T", bound=np.generic)

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_SHOWN = 3


def plane_affine(
    position_lps_mm: NDArray[np.float64], plane: NDArray[np.float64], step: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Affine (4, 4) to RAS+ mm from DICOM's LPS first position, in-plane columns and slice step."""
    affine = np.eye(4)
    affine[:3, :2] = plane
    affine[:3, 2] = step
    affine[:3, 3] = position_lps_mm
    ras: NDArray[np.float64] = _LPS_TO_RAS @ affine
    return ras


def lattice(
    positions_lps_mm: NDArray[np.float64],
    normal: NDArray[np.float64],
    *,
    where: str,
    spacing_mm: float | None,
    gaps: Literal["refuse", "allow"],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Number the slices of a regular stack.

    Parameters
    ----------
    positions_lps_mm
        Array (n, 3) of distinct positions in ascending order along ``normal``.
    normal
        Unit vector (3,) across the slices.
    where
        For messages.
    spacing_mm
        The spacing that the header tells; used for one slice, and with ``gaps="allow"``.
    gaps
        Whether positions without an image are an error (a CT) or are meant (a segmentation that
        leaves out empty frames).

    Returns
    -------
    numbers
        Slice number (n,) of each position, the first being 0.
    step
        Vector (3,) in LPS+ mm from one slice to the next; not parallel to the normal if the
        gantry was tilted.

    Raises
    ------
    GeometryError
        If slices are missing or unevenly spaced, or one slice has no known spacing.
    """
    if len(positions_lps_mm) == 1:
        if spacing_mm is None or spacing_mm <= 0:
            raise GeometryError(
                "there is one slice, and neither SliceThickness nor SpacingBetweenSlices tells "
                "how thick it is",
                where=where,
                fix="pass slice_spacing_mm",
            )
        return np.zeros(1, np.int64), normal * spacing_mm
    depth = positions_lps_mm @ normal
    steps = np.diff(depth)
    usual = float(np.median(steps)) if gaps == "refuse" else _spacing(steps, spacing_mm)
    jumps = np.maximum(np.rint(steps / usual), 1).astype(np.int64)
    numbers = np.concatenate([[0], np.cumsum(jumps)])
    step = (positions_lps_mm[-1] - positions_lps_mm[0]) / numbers[-1]
    off = np.linalg.norm(positions_lps_mm - positions_lps_mm[0] - numbers[:, None] * step, axis=1)
    if off.max() > max(SLICE_TOLERANCE_MM, SLICE_TOLERANCE_FRACTION * usual):
        worst = int(off.argmax())
        raise GeometryError(
            f"slices are unevenly spaced: gaps run from {steps.min():.3f} to {steps.max():.3f} mm "
            f"and the slice at {depth[worst]:.2f} mm lies {off[worst]:.2f} mm off the regular "
            "lattice",
            where=where,
            fix="export the series again, complete and of one slice spacing",
        )
    if gaps == "refuse" and (jumps > 1).any():
        raise _missing(depth, jumps, usual, where)
    return numbers, step


def tilt_deg(grid: Grid) -> float:
    """Angle in degrees between the direction of the slices and their normal: the gantry tilt."""
    column, row, step = grid.directions.T
    normal = np.cross(column, row)
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(step, normal)), abs(step @ normal))))


def place(array: NDArray[T], grid: Grid, target: Grid, *, where: str | None = None) -> NDArray[T]:
    """Put an array on another grid whose voxels coincide with its own; nothing is interpolated.

    The grids may differ by the order and direction of their axes and by which part of space they
    cover; voxels that ``array`` does not cover become 0.

    Parameters
    ----------
    array
        Array of the shape of ``grid``.
    grid, target
        Where it is, and where it is wanted.
    where
        For messages.

    Raises
    ------
    GeometryError
        If voxel centres of both grids do not coincide within
        :data:`scalemai.geometry.CORNER_TOLERANCE_MM`, or non-zero voxels fall outside ``target``.
    """
    index = target.inverse @ grid.affine
    turn = np.rint(index[:3, :3]).astype(int)
    start = np.rint(index[:3, 3]).astype(int)
    snapped = np.eye(4)
    snapped[:3, :3], snapped[:3, 3] = turn, start
    is_turn = (np.abs(turn).sum(axis=0) == 1).all() and (np.abs(turn).sum(axis=1) == 1).all()
    if not is_turn or not grid.same_as(Grid(grid.shape, target.affine @ snapped)):
        raise GeometryError(
            f"its voxels do not lie on those of the other grid ({grid.describe()} and "
            f"{target.describe()}; centres must agree within {CORNER_TOLERANCE_MM} mm)",
            where=where,
            fix="resample it first, or use the series that it was drawn on",
        )
    order = np.abs(turn).argmax(axis=1)
    signs = turn[range(3), order]
    turned = array.transpose(order)[tuple(slice(None, None, int(sign)) for sign in signs)]
    low = [
        int(first) - (size - 1 if sign < 0 else 0)
        for first, size, sign in zip(start, turned.shape, signs, strict=True)
    ]
    overlap = [
        (max(first, 0), min(first + size, limit))
        for first, size, limit in zip(low, turned.shape, target.shape, strict=True)
    ]
    result: NDArray[T] = np.zeros(target.shape, array.dtype)
    if all(stop > begin for begin, stop in overlap):
        into = tuple(slice(begin, stop) for begin, stop in overlap)
        source = tuple(
            slice(begin - first, stop - first)
            for (begin, stop), first in zip(overlap, low, strict=True)
        )
        result[into] = turned[source]
    lost = np.count_nonzero(array) - np.count_nonzero(result)
    if lost:
        raise GeometryError(
            f"{lost} of its voxels lie outside the other grid ({target.describe()})",
            where=where,
            fix="use the series that it was drawn on",
        )
    return result


def _spacing(steps: NDArray[np.float64], told_mm: float | None) -> float:
    """The told spacing if every gap is a multiple of it, else the smallest gap."""
    smallest = float(steps.min())
    if told_mm is None or told_mm <= 0:
        return smallest
    jumps = np.rint(steps / told_mm)
    fits = np.abs(steps - jumps * told_mm) <= SLICE_TOLERANCE_FRACTION * told_mm
    return told_mm if bool((fits & (jumps >= 1)).all()) else smallest


def _missing(
    depth: NDArray[np.float64], jumps: NDArray[np.int64], usual: float, where: str
) -> GeometryError:
    holes = np.flatnonzero(jumps > 1)
    shown = ", ".join(
        f"{jumps[hole] - 1} between {depth[hole]:.2f} and {depth[hole + 1]:.2f} mm "
        f"({depth[hole + 1] - depth[hole]:.2f} mm apart)"
        for hole in holes[:_SHOWN]
    )
    more = f" and {len(holes) - _SHOWN} more gaps" if len(holes) > _SHOWN else ""
    return GeometryError(
        f"slices are missing: {shown}{more}; slices are {usual:.3f} mm apart along the normal",
        where=where,
        fix="export the series again, complete; nothing is interpolated across a gap",
    )
