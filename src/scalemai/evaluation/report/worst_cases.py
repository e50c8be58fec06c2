"""The cases that went worst, as pictures through the place of the largest disagreement.

Drawn by :mod:`scalemai.preview`: the patient's right is on the left of a picture, the head is up,
and millimetres are equally long in all directions whatever the spacing of the voxels.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import edt
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scalemai.anatomy import structure
from scalemai.components import label_components
from scalemai.errors import ConfigError, UnknownNameError
from scalemai.evaluation.report.blocks import Picture
from scalemai.evaluation.report.charts.drawing import clean
from scalemai.geometry import Grid, Region
from scalemai.measure import bounding_box
from scalemai.preview.planes import Direction, Plane, mask_outline, plane_hu
from scalemai.preview.rows import PANEL, Lines, Panel, Row, overview_planes
from scalemai.preview.sheet import draw
from scalemai.preview.windows import WINDOWS, window_for
from scalemai.volume import Mask, Volume

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "Disagreement",
    "WorstCase",
    "largest_disagreement",
    "worst_case_pictures",
    "worst_rows",
]

_REFERENCE, _PLAIN, _QUIET, _PREDICTION = range(4)  # tones of the sheet
_GREY_HU = -60  # what stands in for a CT that is not given; dark grey in the soft-tissue window
_LEAST_MM = 45.0
_MOST_AROUND_MM = 60.0
_SAME_MM = 1e-3  # distances that differ by less are equal
_CROSS = (9.0, 19.0)  # pixels from the place at which the arms of the cross start and end


@dataclass(frozen=True, eq=False)
class WorstCase:
    """One structure of one case.

    Parameters
    ----------
    case
        Its id.
    reference, prediction
        Masks of the structure on one grid; may be empty.
    volume
        The CT on that grid; without it, outlines lie on grey.
    words
        What is said of it, for example ``("DSC 0.12", "HD95 41.3 mm")``.
    window
        A name in :data:`scalemai.preview.WINDOWS`; chosen by the structure if not given.
    """

    case: str
    reference: Mask
    prediction: Mask
    volume: Volume | None = None
    words: Sequence[str] = ()
    window: str | None = None


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Where two masks differ most.

    Parameters
    ----------
    at_mm
        RAS+ mm of the place.
    kind
        ``"missed"``: the largest part of the reference that the prediction does not touch;
        ``"invented"``: the prediction where the reference is empty; ``"left out"`` and ``"added"``:
        the voxel of one mask that is farthest from the other; ``"none"``: the masks are equal.
    distance_mm
        From the place to the nearest voxel centre of the other mask; None if that is empty or the
        masks are equal.
    """

    at_mm: tuple[float, float, float]
    kind: Literal["missed", "invented", "left out", "added", "none"]
    distance_mm: float | None

    def __str__(self) -> str:
        far = "" if self.distance_mm is None else f", {self.distance_mm:.1f} mm away"
        return {
            "missed": f"missed{far}",
            "invented": "predicted where the reference is empty",
            "left out": f"reference left out{far}",
            "added": f"prediction outside of the reference{far}",
            "none": "no disagreement",
        }[self.kind]


def worst_rows(
    frame: pl.DataFrame, column: str, *, better: Literal["higher", "lower"], k: int = 6
) -> pl.DataFrame:
    """The ``k`` rows of a table with the worst values; rows without a value are left out.

    Parameters
    ----------
    frame
        A table with a column ``case``.
    column
        The measure.
    better
        Which values of it are better.
    k
        Most rows.

    Raises
    ------
    ConfigError
        If there is no such column.
    """
    if column not in frame.columns:
        raise ConfigError(f"no column {column!r}", fix="columns: " + ", ".join(frame.columns))
    names = [name for name in ("case", "structure") if name in frame.columns]
    worst_last = [better == "lower", *(False for _ in names)]
    return frame.drop_nulls(column).sort([column, *names], descending=worst_last).head(k)


def worst_case_pictures(cases: Iterable[WorstCase]) -> list[Picture]:
    """One picture for each case: an overview, and three planes through the worst place.

    Cases are taken one by one, so an iterator that reads them needs the memory of one CT.

    Raises
    ------
    GeometryError
        If prediction or CT lie on another grid than the reference.
    UnknownNameError
        If there is no such window.
    """
    return [_picture(case) for case in cases]


def largest_disagreement(reference: Mask, prediction: Mask) -> Disagreement:
    """Where a prediction differs most from its reference.

    Parts of the reference that are missed altogether come before voxels that are far off.

    Raises
    ------
    GeometryError
        If the masks lie on different grids.
    """
    prediction.require_grid(reference.grid)
    grid = reference.grid
    box = bounding_box(reference.array | prediction.array)
    if box is None:
        return Disagreement(_point(grid, [(n - 1) // 2 for n in grid.shape]), "none", None)
    here, there = reference.array[box], prediction.array[box]
    grid = grid.crop(box)
    missed = _largest_untouched(here, there, grid)
    if missed is not None:
        voxel = _middle(missed, grid)
        far = float(_distances(there, grid)[voxel]) if there.any() else None
        return Disagreement(_point(grid, voxel), "missed", far)
    if not here.any():
        invented = _largest_untouched(there, here, grid)
        assert invented is not None, "the box holds a voxel of one of the masks"
        return Disagreement(_point(grid, _middle(invented, grid)), "invented", None)
    if np.array_equal(here, there):
        return Disagreement(_point(grid, _middle(here, grid)), "none", None)
    left_out = np.where(here & ~there, _distances(there, grid), 0.0)
    added = np.where(there & ~here, _distances(here, grid), 0.0)
    kind: Literal["left out", "added"] = "left out" if left_out.max() >= added.max() else "added"
    off = left_out if kind == "left out" else added
    voxel = _first_in_world(np.argwhere(off >= off.max() - _SAME_MM), grid)
    return Disagreement(_point(grid, voxel), kind, float(off.max()))


def _largest_untouched(
    mask: NDArray[np.bool_], other: NDArray[np.bool_], grid: Grid
) -> NDArray[np.bool_] | None:
    """The largest 26-connected part of a mask that shares no voxel with the other."""
    labels = label_components(mask)
    sizes = np.bincount(labels.ravel(), minlength=1)
    sizes[np.unique(labels[other])] = 0
    sizes[0] = 0
    if not sizes.any():
        return None
    largest = np.argwhere(np.isin(labels, np.flatnonzero(sizes == sizes.max())))
    part: NDArray[np.bool_] = labels == labels[_first_in_world(largest, grid)]
    return part


def _distances(mask: NDArray[np.bool_], grid: Grid) -> NDArray[np.float32]:
    """Millimetres from each voxel to the nearest voxel of a mask that has one."""
    found: NDArray[np.float32] = edt.edt(
        np.asfortranarray(~mask), anisotropy=grid.spacing_mm, black_border=False
    )
    return found


def _middle(mask: NDArray[np.bool_], grid: Grid) -> tuple[int, int, int]:
    """The voxel of a mask that is nearest to its centre of mass."""
    voxels = np.argwhere(mask)
    offsets = (voxels - voxels.mean(axis=0)) * np.array(grid.spacing_mm)
    apart = np.linalg.norm(offsets, axis=1)
    return _first_in_world(voxels[apart <= apart.min() + _SAME_MM], grid)


def _first_in_world(voxels: NDArray[np.intp], grid: Grid) -> tuple[int, int, int]:
    """One of several voxels that are as good, whatever the order in which they are stored."""
    x, y, z = np.round(grid.to_world(voxels), 2).T
    i, j, k = voxels[np.lexsort((x, y, z))[0]]
    return int(i), int(j), int(k)


def _point(grid: Grid, voxel: Sequence[int]) -> tuple[float, float, float]:
    x, y, z = grid.to_world(voxel)
    return float(x), float(y), float(z)


def _picture(case: WorstCase) -> Picture:
    if case.window is not None and case.window not in WINDOWS:
        raise UnknownNameError("window", case.window, WINDOWS)
    found = largest_disagreement(case.reference, case.prediction)
    volume = case.volume
    if volume is None:
        grey = np.broadcast_to(np.int16(_GREY_HU), case.reference.grid.shape)
        volume = Volume(grey, case.reference.grid)
    case.reference.require_grid(volume.grid)
    overview = overview_planes(volume, found.at_mm)[0]
    close = _close_planes(case, found.at_mm, overview.side_mm)
    panels = [_panel(volume, case, overview, found.at_mm, frame=close[0])]
    panels += [_panel(volume, case, plane, found.at_mm) for plane in close]
    plain = "soft-tissue" if case.volume is None else None
    window = case.window or plain or window_for(case.reference.name, panels[1].hu)
    title = _title(case.reference.name)
    words = [
        (_PLAIN, clean(case.case)),
        (_PLAIN, title),
        (_REFERENCE, "reference" + _if_empty(case.reference)),
        (_PREDICTION, "prediction" + _if_empty(case.prediction)),
        *((_PLAIN, word) for word in case.words),
        (_QUIET, str(found)),
    ]
    sheet = draw([Row(words, panels, WINDOWS[window])])
    out = io.BytesIO()
    Image.fromarray(sheet).save(out, format="PNG")
    said = "; ".join([*case.words, str(found)])
    caption = f"{case.case}, {title}: {said}."
    ground = "CT" if case.volume is not None else "plain grey"
    alt = (
        f"{caption} Axial overview and three planes through RAS "
        f"{', '.join(f'{part:.1f}' for part in found.at_mm)} mm, with the outlines of reference "
        f"(orange) and prediction (teal) on {ground}."
    )
    return Picture(out.getvalue(), caption, alt)


def _panel(
    volume: Volume,
    case: WorstCase,
    plane: Plane,
    at_mm: tuple[float, float, float],
    frame: Plane | None = None,
) -> Panel:
    outlines: list[tuple[int, Lines]] = [
        (_PREDICTION, _bold(mask_outline(case.prediction, plane, PANEL))),
        (_REFERENCE, mask_outline(case.reference, plane, PANEL)),
    ]
    if frame is None:
        outlines.append((_PLAIN, _cross(plane.pixel_of(np.array(at_mm), PANEL))))
    hu = plane_hu(volume, plane, PANEL, smooth=frame is None and case.volume is not None)
    return Panel(hu, plane, f"{plane.direction}  {plane.position}", outlines, frame)


def _bold(lines: Lines) -> Lines:
    """Lines of double width: on bright tissue the tone of the prediction is faint."""
    return [line + shift for line in lines for shift in ((0.0, 0.0), (0.8, 0.0), (0.0, 0.8))]


def _cross(place: NDArray[np.float64]) -> Lines:
    """Four arms that point at a place and leave it free; within the picture."""
    arms = np.array([(1, 0), (-1, 0), (0, 1), (0, -1)], np.float64)
    lines = [np.stack([place + start * arm for start in _CROSS]) for arm in arms]
    return [line for line in lines if ((line >= 0) & (line <= PANEL)).all()]


def _close_planes(
    case: WorstCase, at_mm: tuple[float, float, float], most_mm: float
) -> tuple[Plane, Plane, Plane]:
    """Planes through the place that show what is connected there, and what is around it."""
    corners = _subject(case, at_mm).corners_mm
    low, high = corners.min(axis=0), corners.max(axis=0)
    extent = float((high - low).max())
    side = min(max(extent + min(1.5 * extent, _MOST_AROUND_MM), _LEAST_MM), most_mm)
    # Of what is larger than the picture, the place itself is in the middle.
    middle = np.where(high - low < side, (low + high) / 2, np.array(at_mm))

    def through(direction: Direction, axis: int) -> Plane:
        centre = middle.copy()
        centre[axis] = at_mm[axis]
        x, y, z = centre
        return Plane(direction, (float(x), float(y), float(z)), side)

    return through("axial", 2), through("coronal", 1), through("sagittal", 0)


def _subject(case: WorstCase, at_mm: tuple[float, float, float]) -> Grid:
    """The box around whatever of the two masks is connected at a place."""
    grid = case.reference.grid
    either = case.reference.array | case.prediction.array
    box: Region | None = bounding_box(either)
    if box is None:
        return grid
    inner = grid.crop(box)
    labels = label_components(either[box])
    i, j, k = np.rint(inner.to_voxel(np.array(at_mm))).astype(int)
    part = bounding_box(labels == labels[i, j, k])
    assert part is not None, "the place is a voxel of one of the masks"
    return inner.crop(part)


def _if_empty(mask: Mask) -> str:
    return "" if mask.array.any() else " (empty)"


def _title(name: str) -> str:
    try:
        return structure(name).title
    except UnknownNameError:
        return name or "structure"
