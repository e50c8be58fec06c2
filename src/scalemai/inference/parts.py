"""In which part of an organ a finding lies, where the case has masks of its parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from scalemai.case import Case
from scalemai.evaluation.lesions.components import Component, find_components
from scalemai.geometry import Grid, Region
from scalemai.volume import Mask

__all__ = ["locate", "parts_of", "sides_of"]

_NEAREST_MM = 30.0
"""Beyond this a finding lies in no part of the organ; author's estimate, to be refined."""

_LARGE_SHARE = 0.1
"""Share of a paired organ's volume that its smaller side has at least; author's estimate."""


def parts_of(
    case: Case, grid: Grid, names: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, Mask]]:
    """Parts of an organ with their masks, one at a time; those without a mask are left out.

    Parameters
    ----------
    case
        The case, with the masks of the parts.
    grid
        Grid of the CT.
    names
        Part to the structures that make it up.
    """
    owner = {structure: part for part, members in names.items() for structure in members}
    wanted = [name for name in owner if case.has(name)]
    yield from ((owner[mask.name], mask) for mask in case.each_mask(wanted, on=grid))


def sides_of(organ: Mask, names: Sequence[str]) -> Iterator[tuple[str, Mask]]:
    """Left and right of a paired organ that has one mask for both, with the mask of each.

    There are sides if the mask falls into two pieces of at least a tenth of its volume; crumbs
    beside them belong to neither. The right one lies farther right.

    Parameters
    ----------
    organ
        The organ's mask.
    names
        Structures that make up the organ, which end in ``_left`` and ``_right``.
    """
    by_side = {name.rpartition("_")[2]: name for name in names}
    if set(by_side) != {"left", "right"}:
        return
    large = [
        piece
        for piece in find_components(organ.array, organ.grid)
        if piece.voxels >= _LARGE_SHARE * np.count_nonzero(organ.array)
    ]
    if len(large) != 2:
        return
    large.sort(key=lambda piece: piece.centre_mm[0])  # x grows to the patient's right
    for side, piece in zip(("left", "right"), large, strict=True):
        array = np.zeros(organ.grid.shape, np.bool_, order="F")
        array[piece.region] = piece.mask
        yield by_side[side], Mask(array, organ.grid, by_side[side])


def locate(
    pieces: Sequence[Component], parts: Iterable[tuple[str, Mask]], region: Region
) -> dict[int, str]:
    """Name the part that each finding covers most of, or else the nearest.

    A finding may lie in a hole of the masks, which leave lesions out, so the nearest counts up to
    30 mm.

    Parameters
    ----------
    pieces
        Connected pieces, with regions of the box.
    parts
        Names and masks, on the grid of the CT.
    region
        The box.

    Returns
    -------
    dict
        Number of the piece to the name of the part.
    """
    best: dict[int, tuple[int, float, str]] = {}
    for part, mask in parts:
        for piece in pieces:
            covered, away_mm = _relation(piece, mask, region)
            if covered or away_mm <= _NEAREST_MM:
                told = (-covered, away_mm, part)
                best[piece.number] = min(best.get(piece.number, told), told)
    return {number: part for number, (_, _, part) in sorted(best.items())}


def _relation(piece: Component, mask: Mask, region: Region) -> tuple[int, float]:
    """Voxels that a piece shares with a mask, and the distance between them in mm."""
    grid = mask.grid
    place = [
        slice(s.start + outer.start, s.stop + outer.start)
        for s, outer in zip(piece.region, region, strict=True)
    ]
    inside = mask.array[tuple(place)]
    covered = int(np.count_nonzero(inside & piece.mask))
    if covered:
        return covered, 0.0
    reach = [int(np.ceil(_NEAREST_MM / step)) for step in grid.spacing_mm]
    wide = tuple(
        slice(max(s.start - r, 0), min(s.stop + r, n))
        for s, r, n in zip(place, reach, grid.shape, strict=True)
    )
    near: NDArray[np.bool_] = mask.array[wide]
    if not near.any():
        return 0, float("inf")
    import edt  # slow to import, and most findings lie inside

    away = edt.edt(np.ascontiguousarray(~near), anisotropy=grid.spacing_mm, parallel=1)
    own = tuple(
        slice(s.start - w.start, s.stop - w.start) for s, w in zip(place, wide, strict=True)
    )
    return 0, float(away[own][piece.mask].min())
