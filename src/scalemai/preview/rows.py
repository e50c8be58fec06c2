"""What is shown of a case: its lesions, the planes through them, their outlines and the words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.anatomy import structure
from scalemai.components import label_components
from scalemai.errors import UnknownNameError
from scalemai.geometry import Region
from scalemai.measure import bounding_box, longest_axial_diameter_mm
from scalemai.preview.planes import Plane, mask_outline, plane_hu
from scalemai.preview.windows import WINDOWS, Window, window_for
from scalemai.volume import Mask, Volume

__all__ = [
    "PANEL",
    "Panel",
    "Row",
    "Shown",
    "Tone",
    "close_up_plane",
    "lesions_of",
    "make_row",
    "overview_planes",
]

PANEL = 340
"""Side of a square in pixels."""

Tone = int
"""How much attention words and lines ask for: 0 the lesion, 1 plain, 2 quiet, 3 other masks."""

LESION, PLAIN, QUIET, OTHER = range(4)

_BODY_ABOVE_HU = -300.0
_SCOUT = 128  # pixels of the picture in which the body is looked for
_AROUND_BODY = 1.06
_LEAST_CLOSE_UP_MM = 45.0
_AROUND_LESION = 1.5  # of its extent
_MOST_AROUND_MM = 60.0

Lines = list[NDArray[np.float64]]


class Panel(NamedTuple):
    """One square: what it shows, where, its outlines, and the frame of a closer plane."""

    hu: NDArray[np.float32]
    plane: Plane
    label: str
    outlines: Sequence[tuple[Tone, Lines]] = ()
    frame: Plane | None = None


class Row(NamedTuple):
    """One row: words above, squares below."""

    words: Sequence[tuple[Tone, str]]
    panels: Sequence[Panel]
    window: Window


@dataclass(frozen=True, eq=False)
class Shown:
    """A case that was read: what its rows have in common.

    Parameters
    ----------
    volume, host
        The CT, and the CT before a lesion was put in, if that is to be shown.
    masks
        Everything to outline.
    lesions
        What may have a row of its own (see :func:`lesions_of`).
    case_id
        For the caption.
    window
        A name in :data:`scalemai.preview.WINDOWS`; None chooses by tissue.
    """

    volume: Volume
    host: Volume | None
    masks: Sequence[Mask]
    lesions: Sequence[Mask]
    case_id: str
    window: str | None


def lesions_of(masks: Sequence[Mask]) -> list[Mask]:
    """The connected parts of lesion masks, each on its own box, largest first.

    Without any, the masks of other structures, whole.
    """
    found = [part for mask in masks if _is_lesion(mask.name) for part in _parts(mask)]
    if not found:
        boxes = [(mask, bounding_box(mask.array)) for mask in masks]
        found = [_cut(mask, box) for mask, box in boxes if box is not None]
    return sorted(found, key=lambda part: -part.volume_ml)


def make_row(shown: Shown, lesion: Mask | None) -> Row:
    """The row of one lesion; without one, of the middle of the volume."""
    volume = shown.volume
    at_mm = _middle_mm(lesion) if lesion is not None else _centre_mm(volume)
    planes = overview_planes(volume, at_mm)
    close = close_up_plane(lesion, at_mm, planes[0])
    panels = [
        Panel(
            plane_hu(volume, plane, PANEL),
            plane,
            f"{plane.direction}  {plane.position}",
            _outlines(shown, lesion, plane),
            close if plane.direction == "axial" else None,
        )
        for plane in planes
    ]
    hu = plane_hu(volume, close, PANEL, smooth=True)
    if shown.host is not None:
        panels.append(Panel(plane_hu(shown.host, close, PANEL, smooth=True), close, "before"))
    panels.append(Panel(hu, close, "close-up" if shown.host is None else "after"))
    if lesion is not None:
        panels.append(Panel(hu, close, "outlined", _outlines(shown, lesion, close)))
    window = shown.window or window_for("" if lesion is None else lesion.name, hu)
    return Row(_words(shown, lesion, window), panels, WINDOWS[window])


def _parts(mask: Mask) -> Iterator[Mask]:
    box = bounding_box(mask.array)
    if box is None:
        return
    whole = _cut(mask, box)
    labels = label_components(whole.array)
    for number, inner in enumerate(ndimage.find_objects(labels), start=1):
        yield Mask(labels[inner] == number, whole.grid.crop(inner), mask.name)


def _cut(mask: Mask, box: Region) -> Mask:
    return Mask(mask.array[box], mask.grid.crop(box), mask.name)


def _is_lesion(name: str) -> bool:
    try:
        return structure(name).group == "lesion"
    except UnknownNameError:
        return True  # a mask without a known name is most often the tumor of a data set


def _middle_mm(lesion: Mask) -> tuple[float, float, float]:
    """The voxel of the lesion that is nearest to its centre of mass, so every plane cuts it."""
    voxels = np.argwhere(lesion.array)
    offsets = (voxels - voxels.mean(axis=0)) * np.array(lesion.grid.spacing_mm)
    x, y, z = lesion.grid.to_world(voxels[np.square(offsets).sum(axis=1).argmin()])
    return float(x), float(y), float(z)


def _centre_mm(volume: Volume) -> tuple[float, float, float]:
    x, y, z = volume.grid.to_world([(n - 1) // 2 for n in volume.grid.shape])
    return float(x), float(y), float(z)


def close_up_plane(
    lesion: Mask | None, at_mm: tuple[float, float, float], overview: Plane
) -> Plane:
    """The axial plane of the overview, nearer: all of the lesion and what is around it."""
    if lesion is None:
        return Plane("axial", at_mm, overview.side_mm / 2)
    corners = lesion.grid.corners_mm
    width, depth, _ = np.ptp(corners, axis=0)
    x, y, _ = (corners.min(axis=0) + corners.max(axis=0)) / 2
    extent = float(max(width, depth))
    side = max(extent + min(_AROUND_LESION * extent, _MOST_AROUND_MM), _LEAST_CLOSE_UP_MM)
    return Plane("axial", (float(x), float(y), at_mm[2]), min(side, overview.side_mm))


def overview_planes(volume: Volume, at_mm: tuple[float, float, float]) -> list[Plane]:
    """Three planes of one scale through a point, wide enough for the body."""
    corners = volume.grid.corners_mm
    low, high = corners.min(axis=0), corners.max(axis=0)
    x, y, floor = (low + high) / 2
    side = float((high - low)[:2].max()) + max(volume.grid.spacing_mm)
    scout = Plane("axial", (float(x), float(y), at_mm[2]), side)
    body = np.argwhere(plane_hu(volume, scout, _SCOUT) > _BODY_ABOVE_HU)
    if body.size:
        first, last = body.min(axis=0) / _SCOUT, (body.max(axis=0) + 1) / _SCOUT
        down, right = ((first + last) / 2 - 0.5) * side
        x, y = x - right, y - down
        side = _AROUND_BODY * side * float((last - first).max())
    side = max(side, _LEAST_CLOSE_UP_MM)
    # Along the body: the lesion in the middle, but no more emptiness than there has to be.
    room = max((high[2] - low[2] - side) / 2, 0.0)
    z = float(np.clip(at_mm[2], floor - room, floor + room))
    return [
        Plane("axial", (float(x), float(y), at_mm[2]), side),
        Plane("coronal", (float(x), at_mm[1], z), side),
        Plane("sagittal", (at_mm[0], float(y), z), side),
    ]


def _outlines(shown: Shown, lesion: Mask | None, plane: Plane) -> list[tuple[Tone, Lines]]:
    """The lines of everything else in a quiet tone, then those of the lesion on top."""
    if lesion is None:
        return []
    lines = [(OTHER, mask_outline(mask, plane, PANEL)) for mask in shown.masks]
    return [*lines, (LESION, mask_outline(lesion, plane, PANEL))]


def _title(name: str) -> str:
    try:
        return structure(name).title
    except UnknownNameError:
        return name or "Lesion"


def _words(shown: Shown, lesion: Mask | None, window: str) -> list[tuple[Tone, str]]:
    words = [(PLAIN, shown.case_id)] if shown.case_id else []
    empty = ", ".join(_title(mask.name) for mask in shown.masks if not mask.array.any())
    shade = WINDOWS[window]
    preset = f"{window} window, W {shade.width_hu:g} L {shade.level_hu:g}"
    if lesion is None:
        what = f"{empty}: the mask is empty" if empty else "no masks"
        return [*words, (LESION, what), (QUIET, "middle of the volume"), (QUIET, preset)]
    words.append((LESION, _title(lesion.name)))
    if _is_lesion(lesion.name):
        diameter = longest_axial_diameter_mm(lesion.array, lesion.grid)
        words.append((PLAIN, f"{diameter:.1f} mm longest axial diameter"))
    volume = lesion.volume_ml
    words.append((PLAIN, f"{volume:,.0f} ml" if volume >= 100 else f"{volume:.3g} ml"))
    if len(shown.lesions) > 1:
        rank = next(n for n, one in enumerate(shown.lesions, 1) if one is lesion)
        words.append((QUIET, f"{rank} of {len(shown.lesions)}"))
    words.append((QUIET, preset))
    if empty:
        words.append((QUIET, f"empty: {empty}"))
    return words
