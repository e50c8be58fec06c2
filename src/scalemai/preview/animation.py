"""A series of scans as a moving picture: the axial plane through a lesion, day after day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scalemai.errors import ConfigError
from scalemai.io.atomic import atomic_path
from scalemai.preview.planes import Plane, mask_outline, plane_hu
from scalemai.preview.rows import PANEL, Panel, Row, close_up_plane, overview_planes
from scalemai.preview.sheet import draw
from scalemai.preview.windows import WINDOWS, window_for
from scalemai.volume import Mask, Volume

__all__ = ["View", "still_of", "view_of", "write_animation"]

_LESION, _PLAIN, _QUIET, _OTHER = range(4)  # tones of a row
_SHOWN_MS = 700
_LAST_MS = 1600
_GRAYS = 200
_BASES = ((11, 13, 16), (17, 20, 24))  # the sheet's ground, and where there is no volume
_INKS = ((255, 177, 61), (79, 168, 181))  # outlines: the lesion's and those of other masks
_UNDER_INK = 8  # levels of gray that a line is drawn over


@dataclass(frozen=True)
class View:
    """Where all scans of a series are looked at.

    Parameters
    ----------
    overview, close
        The axial plane: of the body, and around the lesion.
    window
        A name in :data:`scalemai.preview.WINDOWS`.
    """

    overview: Plane
    close: Plane
    window: str


def view_of(
    volume: Volume, final: Mask, at_mm: tuple[float, float, float], window: str | None = None
) -> View:
    """The axial plane through a point that holds all of a lesion, and its window.

    Parameters
    ----------
    volume
        A scan of the series.
    final
        The largest lesion, on its box.
    at_mm
        RAS+ mm of a point that every lesion of the series holds.
    window
        A name in :data:`scalemai.preview.WINDOWS`; chosen by tissue if None.
    """
    overview = overview_planes(volume, at_mm)[0]
    close = close_up_plane(final, at_mm, overview)
    name = window or window_for(final.name, plane_hu(volume, close, PANEL))
    return View(overview, close, name)


def still_of(
    volume: Volume, masks: Sequence[Mask], view: View, words: Sequence[str], caption: str = ""
) -> Row:
    """Look at one scan: a row with the plane of the body and the close-up, lesions outlined.

    Parameters
    ----------
    volume
        The scan.
    masks
        To outline: the lesion first.
    view
        Where to look, the same for all scans.
    words
        What is said of the scan, the first in the tone of the lesion: day and diameter.
    caption
        The case.
    """
    panels = [
        Panel(
            plane_hu(volume, plane, PANEL, smooth=plane is view.close),
            plane,
            label,
            [
                (_LESION if number == 0 else _OTHER, mask_outline(mask, plane, PANEL))
                for number, mask in enumerate(masks)
            ][::-1],
            view.close if plane is view.overview else None,
        )
        for plane, label in (
            (view.overview, f"axial  {view.overview.position}"),
            (view.close, "close-up"),
        )
    ]
    shade = WINDOWS[view.window]
    preset = f"W {shade.width_hu:g} L {shade.level_hu:g}"
    said = [(_LESION if number == 0 else _PLAIN, word) for number, word in enumerate(words)]
    titled = [(_PLAIN, caption)] if caption else []
    return Row([*titled, *said, (_QUIET, preset)], panels, shade)


def write_animation(path: Path, stills: Sequence[Row]) -> None:
    """Write scans as a GIF that shows each without and then with its outline, in a loop.

    Colors are those of one fixed palette, so the same pictures give the same bytes.

    Raises
    ------
    ConfigError
        If there are no scans.
    OutputError
        If the file cannot be written.
    """
    if not stills:
        raise ConfigError("there are no scans to show", where=path, fix="give at least one")
    palette = _palette()
    pictures, durations = [], []
    for still in stills:
        for row in (_without_outlines(still), still):
            pictures.append(_indexed(draw([row]), palette))
            durations.append(_SHOWN_MS if still is not stills[-1] else _LAST_MS)
    with atomic_path(Path(path)) as temporary:
        pictures[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=pictures[1:],
            duration=durations,
            loop=0,
            optimize=False,
            disposal=1,
        )


def _without_outlines(row: Row) -> Row:
    return row._replace(panels=[panel._replace(outlines=()) for panel in row.panels])


def _palette() -> NDArray[np.uint8]:
    """RGB, shape (256, 3): grays, the sheet's ground, and inks over grays."""
    grays = np.linspace(0, 255, _GRAYS)
    colors = [(gray, gray, gray) for gray in grays] + list(_BASES)
    for ink in _INKS:
        colors.append(ink)
        for share in (0.25, 0.5, 0.75):
            for under in np.linspace(0, 255, _UNDER_INK):
                mixed = share * np.array(ink) + (1 - share) * under
                colors.append((mixed[0], mixed[1], mixed[2]))
    table = np.zeros((256, 3), np.uint8)
    table[: len(colors)] = np.rint(np.array(colors))
    return table


def _indexed(picture: NDArray[np.uint8], palette: NDArray[np.uint8]) -> Image.Image:
    """A picture in the nearest colors of the palette."""
    parts = picture.astype(np.int32)
    packed = (parts[..., 0] << 16) | (parts[..., 1] << 8) | parts[..., 2]
    values, where = np.unique(packed, return_inverse=True)
    colors = np.stack([values >> 16, (values >> 8) & 255, values & 255], axis=1)
    apart = ((colors[:, None, :] - palette.astype(np.int32)[None]) ** 2).sum(axis=2)
    nearest = apart.argmin(axis=1).astype(np.uint8)
    image = Image.fromarray(nearest[where].reshape(packed.shape), mode="P")
    image.putpalette(palette.tobytes())
    return image
