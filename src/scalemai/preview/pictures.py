"""The pictures that are asked for: of one case, or of several below one another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scalemai.case import Case
from scalemai.errors import ConfigError, GeometryError, UnknownNameError
from scalemai.geometry import Grid
from scalemai.io.atomic import atomic_path
from scalemai.preview.rows import Shown, lesions_of, make_row
from scalemai.preview.sheet import draw
from scalemai.preview.windows import WINDOWS
from scalemai.volume import Mask, Volume

__all__ = ["MontageRow", "preview_case", "write_montage", "write_preview"]

Picture = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class MontageRow:
    """What one row of a montage shows: the largest lesion of a case.

    Parameters
    ----------
    source
        The case, or its CT.
    masks
        Lesions and structures to outline; of a case, its lesions if none are given.
    case_id
        For the caption; of a case, its own.
    host
        The CT before the lesion was put in, to be shown beside it.
    window
        A name in :data:`WINDOWS`; chosen by tissue if not given.
    """

    source: Case | Volume
    masks: Sequence[Mask] = ()
    case_id: str = ""
    host: Volume | None = None
    window: str | None = None


def preview_case(
    source: Case | Volume,
    masks: Sequence[Mask] = (),
    *,
    case_id: str = "",
    host: Volume | None = None,
    window: str | None = None,
    limit: int = 3,
) -> Picture:
    """Draw the largest lesions of a case, one row each.

    A row shows the axial, coronal and sagittal plane through the lesion, and an axial close-up
    without and with its outline; with a host also the close-up before. The window follows the
    tissue. Masks that are empty or absent are named, and the middle of the volume is shown.

    Parameters
    ----------
    source
        A case, or its CT.
    masks
        On the CT's grid. The connected parts of a lesion mask are lesions of their own; other
        structures are outlined beside them, or shown if there is no lesion. Without masks a case
        shows its lesions.
    case_id
        For the caption; of a case, its own.
    host
        The CT before the lesions were put in, on the same grid.
    window
        A name in :data:`WINDOWS`.
    limit
        Most rows to draw.

    Returns
    -------
    array
        RGB, uint8, shape (height, width, 3).

    Raises
    ------
    GeometryError
        If a mask or the host lies on another grid than the CT.
    UnknownNameError
        If there is no such window.
    """
    shown = _show(MontageRow(source, masks, case_id, host, window))
    return draw([make_row(shown, lesion) for lesion in _first(shown.lesions, limit)])


def write_preview(
    path: Path,
    source: Case | Volume,
    masks: Sequence[Mask] = (),
    *,
    case_id: str = "",
    host: Volume | None = None,
    window: str | None = None,
    limit: int = 3,
) -> None:
    """Write :func:`preview_case` as PNG, whole or not at all.

    Raises
    ------
    OutputError
        If the file cannot be written; and what :func:`preview_case` raises.
    """
    picture = preview_case(source, masks, case_id=case_id, host=host, window=window, limit=limit)
    _write(path, picture)


def write_montage(path: Path, rows: Iterable[MontageRow]) -> None:
    """Write one PNG with the largest lesion of each of several cases.

    Rows are taken one by one, so an iterator that reads them needs the memory of one CT.

    Raises
    ------
    ConfigError
        If there are no rows.
    OutputError
        If the file cannot be written; and what :func:`preview_case` raises.
    """
    drawn = []
    for row in rows:
        shown = _show(row)
        drawn += [make_row(shown, lesion) for lesion in _first(shown.lesions, 1)]
    if not drawn:
        raise ConfigError("there are no cases to show", where=path, fix="give at least one")
    _write(path, draw(drawn))


def _write(path: Path, picture: Picture) -> None:
    with atomic_path(Path(path)) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")


def _show(row: MontageRow) -> Shown:
    if row.window is not None and row.window not in WINDOWS:
        raise UnknownNameError("window", row.window, WINDOWS)
    volume, masks, case_id = row.source, list(row.masks), row.case_id
    if isinstance(volume, Case):
        case = volume
        volume, case_id = case.volume(), case_id or case.id
        if not masks:
            found = case.masks(case.lesions, on=volume.grid, if_missing="omit")
            masks = list(found.values())
    others: list[Mask | Volume] = [*masks] if row.host is None else [*masks, row.host]
    for other in others:
        if not other.grid.same_as(volume.grid):
            what = f"lies {_apart(other.grid, volume.grid)} off the CT"
            raise GeometryError(what, where=other.path or case_id, fix="resample it first")
    return Shown(volume, row.host, masks, lesions_of(masks), case_id, row.window)


def _apart(first: Grid, second: Grid) -> str:
    if first.shape != second.shape:
        return f"with {first.shape} voxels on a grid of {second.shape},"
    return f"{first.difference_mm(second):.3g} mm"


def _first(lesions: Sequence[Mask], limit: int) -> Sequence[Mask | None]:
    return lesions[:limit] or [None]
