"""From the images of a series to one volume's worth of slices, or the reason why not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalemai.errors import GeometryError
from scalemai.geometry import Grid
from scalemai.io.dicom_frames import Frame
from scalemai.io.dicom_geometry import lattice, plane_affine

__all__ = [
    "ORIENTATION_TOLERANCE",
    "PIXEL_SPACING_TOLERANCE",
    "SAME_POSITION_MM",
    "Stack",
    "median_spacing_mm",
    "sparse_grid",
    "stack_frames",
]

SAME_POSITION_MM = 0.01
"""Two images nearer than this are at the same position: no CT has thinner slices."""

ORIENTATION_TOLERANCE = 1e-4
"""Direction cosines of one series may differ by this: it moves the far corner of a 500 mm image
by 0.05 mm, the tolerance of :data:`scalemai.geometry.CORNER_TOLERANCE_MM`."""

PIXEL_SPACING_TOLERANCE = 1e-4
"""Pixel spacings of one series may differ by this fraction, for the same reason."""

_UNIT_TOLERANCE = 1e-2  # direction cosines are stored with as few as three digits
_SHOWN = 3


@dataclass(frozen=True, eq=False)
class Stack:
    """The images of one volume, in slice order, on their grid.

    Attributes
    ----------
    frames
        Images from the first slice to the last, along the slice normal.
    grid
        Array axes i = columns, j = rows, k = slices; sheared if the gantry was tilted.
    duplicates
        Images that were dropped because another one holds the same pixels at the same position.
    """

    frames: tuple[Frame, ...]
    grid: Grid
    duplicates: tuple[Frame, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Placed:
    frame: Frame
    position_lps_mm: NDArray[np.float64]
    orientation_lps: NDArray[np.float64]
    pixel_spacing_mm: NDArray[np.float64]
    depth_mm: float


def stack_frames(
    frames: Sequence[Frame],
    *,
    same_pixels: Callable[[Frame, Frame], bool],
    where: str,
    slice_spacing_mm: float | None = None,
) -> Stack:
    """Order images along their normal and find the grid that they form.

    Parameters
    ----------
    frames
        At least one image; no localizers.
    same_pixels
        Tells whether two images hold the same values; asked only for images at one position.
    where
        The series, for messages.
    slice_spacing_mm
        Spacing of a series of one slice whose header gives none.

    Raises
    ------
    GeometryError
        If positions are missing or sizes, pixel spacings or orientations differ; if two different
        images lie at one position; if slices are missing or unevenly spaced.
    """
    plane = _plane_of(frames[0], where)
    normal = _normal(plane)
    placed = [_placed(frame, normal, where) for frame in frames]
    _check_alike(placed, where)
    # The names settle ties, so that the order on disk never matters.
    placed.sort(key=lambda p: (p.depth_mm, p.frame.sop_uid, p.frame.file, p.frame.index))
    kept: list[_Placed] = []
    dropped: list[Frame] = []
    for image in placed:
        if not kept or image.depth_mm - kept[-1].depth_mm > SAME_POSITION_MM:
            kept.append(image)
        elif _same_place(kept[-1], image) and same_pixels(kept[-1].frame, image.frame):
            dropped.append(image.frame)
        else:
            raise _conflict(kept[-1], image, placed, where)
    positions = np.array([image.position_lps_mm for image in kept])
    told = (frames[0].between_mm, frames[0].thickness_mm, slice_spacing_mm)
    numbers, step = lattice(
        positions, normal, where=where, spacing_mm=_first_positive(told), gaps="refuse"
    )
    affine = plane_affine(positions[0], plane, step)
    grid = Grid((frames[0].columns, frames[0].rows, int(numbers[-1]) + 1), affine)
    return Stack(tuple(image.frame for image in kept), grid, tuple(dropped))


def sparse_grid(
    frames: Sequence[Frame], *, where: str, like: Grid | None = None
) -> tuple[NDArray[np.int64], Grid]:
    """The slice number of each frame of a segmentation, and the grid that the frames span.

    Several frames may lie at one position (one per segment), and positions may lack frames
    (those of empty slices are often left out).

    Parameters
    ----------
    frames
        At least one frame.
    where
        For messages.
    like
        A grid on which the frames are expected; it tells the slice spacing where the positions
        do not (one slice, or every second one).

    Raises
    ------
    GeometryError
        If positions are missing, orientations or pixel spacings are mixed, or the positions fit
        no regular lattice.
    """
    plane = _plane_of(frames[0], where)
    normal = _normal(plane)
    placed = [_placed(frame, normal, where) for frame in frames]
    _check_alike(placed, where)
    order = sorted(range(len(placed)), key=lambda n: placed[n].depth_mm)
    levels: list[_Placed] = []
    level_of = np.zeros(len(placed), np.int64)
    for n in order:
        if not levels or placed[n].depth_mm - levels[-1].depth_mm > SAME_POSITION_MM:
            levels.append(placed[n])
        elif not _same_place(levels[-1], placed[n]):
            raise GeometryError(
                f"frames at {placed[n].depth_mm:.2f} mm along the normal are shifted against "
                "each other within their plane",
                where=where,
                fix="export the segmentation again",
            )
        level_of[n] = len(levels) - 1
    told = [frames[0].between_mm, frames[0].thickness_mm]
    expected = None if like is None else _slice_step(like, normal)
    if expected is not None:
        told.insert(0, float(expected @ normal))
    positions = np.array([image.position_lps_mm for image in levels])
    numbers, step = lattice(
        positions, normal, where=where, spacing_mm=_first_positive(told), gaps="allow"
    )
    if len(positions) == 1 and expected is not None:
        step = expected
    shape = (frames[0].columns, frames[0].rows, int(numbers[-1]) + 1)
    return numbers[level_of], Grid(shape, plane_affine(positions[0], plane, step))


def median_spacing_mm(frames: Sequence[Frame]) -> float | None:
    """Median distance between neighbouring slices in mm, for a listing; None if it is unknown."""
    oriented = next((f.orientation_lps for f in frames if f.orientation_lps is not None), None)
    if oriented is None:
        return None
    normal = np.cross(oriented[:3], oriented[3:])
    depths = sorted(
        float(f.position_lps_mm @ normal) for f in frames if f.position_lps_mm is not None
    )
    steps = np.diff(depths)
    steps = steps[steps > SAME_POSITION_MM]
    return float(np.median(steps)) if len(steps) else None


def _first_positive(values: Iterable[float | None]) -> float | None:
    return next((value for value in values if value is not None and value > 0), None)


def _slice_step(grid: Grid, normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """The step of ``grid`` that runs most nearly along ``normal``, in LPS+ mm, pointing with it."""
    steps = grid.affine[:3, :3] * np.array([[-1.0], [-1.0], [1.0]])
    along = normal @ steps / np.asarray(grid.spacing_mm)
    axis = int(np.abs(along).argmax())
    step: NDArray[np.float64] = steps[:, axis] * np.sign(along[axis])
    return step


def _normal(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    normal = np.cross(plane[:, 0], plane[:, 1])
    unit: NDArray[np.float64] = normal / np.linalg.norm(normal)
    return unit


def _plane_of(frame: Frame, where: str) -> NDArray[np.float64]:
    """In-plane steps (3, 2) in LPS+ mm: along a row (i), then down a column (j)."""
    placed = _placed(frame, np.zeros(3), where)
    along = placed.orientation_lps.reshape(2, 3)
    lengths = np.linalg.norm(along, axis=1)
    if np.abs(lengths - 1).max() > _UNIT_TOLERANCE or abs(along[0] @ along[1]) > _UNIT_TOLERANCE:
        raise GeometryError(
            f"ImageOrientationPatient {placed.orientation_lps.tolist()} is not two perpendicular "
            "unit vectors",
            where=where,
            fix="export the series again",
        )
    between_rows, between_columns = placed.pixel_spacing_mm
    if between_rows <= 0 or between_columns <= 0:
        raise GeometryError(
            f"PixelSpacing is {between_rows:g} x {between_columns:g} mm",
            where=where,
            fix="export the series again",
        )
    unit = along / lengths[:, None]
    return np.stack([unit[0] * between_columns, unit[1] * between_rows], axis=1)


def _placed(frame: Frame, normal: NDArray[np.float64], where: str) -> _Placed:
    position, orientation = frame.position_lps_mm, frame.orientation_lps
    spacing = frame.pixel_spacing_mm
    if position is None or orientation is None or spacing is None:
        lacks = (
            "ImagePositionPatient"
            if position is None
            else "ImageOrientationPatient"
            if orientation is None
            else "PixelSpacing"
        )
        raise GeometryError(
            f"{frame.file} has no {lacks}, so nobody knows where the image lies",
            where=where,
            fix="export the series again with its geometry",
        )
    return _Placed(frame, position, orientation, np.asarray(spacing), float(position @ normal))


def _check_alike(images: Sequence[_Placed], where: str) -> None:
    first = images[0]

    def other_size(image: _Placed) -> bool:
        size = (image.frame.rows, image.frame.columns)
        return size != (first.frame.rows, first.frame.columns)

    def other_spacing(image: _Placed) -> bool:
        ratio = image.pixel_spacing_mm / first.pixel_spacing_mm
        return bool(np.abs(ratio - 1).max() > PIXEL_SPACING_TOLERANCE)

    def other_orientation(image: _Placed) -> bool:
        change = image.orientation_lps - first.orientation_lps
        return bool(np.abs(change).max() > ORIENTATION_TOLERANCE)

    for what, differs in (
        ("image sizes", other_size),
        ("orientations", other_orientation),
        ("pixel spacings", other_spacing),
    ):
        others = [image.frame.file for image in images if differs(image)]
        if others:
            raise GeometryError(
                f"the series mixes {what}: {len(others)} of {len(images)} images differ from "
                f"{first.frame.file}, for example {others[0]}",
                where=where,
                fix="keep the images of one reconstruction",
            )


def _same_place(one: _Placed, two: _Placed) -> bool:
    return float(np.linalg.norm(one.position_lps_mm - two.position_lps_mm)) <= SAME_POSITION_MM


def _conflict(one: _Placed, two: _Placed, images: Sequence[_Placed], where: str) -> GeometryError:
    gaps = np.diff([image.depth_mm for image in images])
    doubled = int(np.count_nonzero(gaps <= SAME_POSITION_MM))
    other = dict(two.frame.traits)
    apart = [
        f"{key} {value} and {other[key]}"
        for key, value in one.frame.traits
        if key in other and other[key] != value
    ]
    differ = f" (they differ in {', '.join(apart[:_SHOWN])})" if apart else ""
    return GeometryError(
        f"two different images lie at {one.depth_mm:.2f} mm along the normal: {_name(one)} and "
        f"{_name(two)}{differ}; {doubled} of {len(images)} images share a position with another",
        where=where,
        fix="if the series holds several phases, export each as a series of its own; "
        "else remove the wrong copies",
    )


def _name(image: _Placed) -> str:
    frame = image.frame
    return f"{frame.file} frame {frame.index + 1}" if frame.index else frame.file
