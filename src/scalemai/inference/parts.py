"""In which part of an organ a finding lies, where the case has masks of its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from scalemai.case import Case
from scalemai.evaluation.lesions.components import Component
from scalemai.geometry import Grid, Region
from scalemai.volume import Mask

__all__ = ["locate"]

_NEAREST_MM = 30.0
"""Beyond this a finding lies in no part of the organ; author's estimate, to be refined."""


def locate(
    pieces: Sequence[Component],
    case: Case,
    grid: Grid,
    region: Region,
    names: Mapping[str, Sequence[str]],
) -> dict[int, str]:
    """Name the part that each finding covers most of, or else the nearest.

    A finding may lie in a hole of the masks, which leave lesions out, so the nearest counts up to
    30 mm. Masks are read one at a time.

    Parameters
    ----------
    pieces
        Connected pieces, with regions of the box.
    case
        The case, with the masks of the parts.
    grid, region
        Grid of the CT, and the box.
    names
        Part to the structures that make it up; those without a mask are left out.

    Returns
    -------
    dict
        Number of the piece to the name of the part.
    """
    owner = {structure: part for part, members in names.items() for structure in members}
    wanted = [name for name in owner if case.has(name)]
    if not pieces or not wanted:
        return {}
    best: dict[int, tuple[int, float, str]] = {}
    for mask in case.each_mask(wanted, on=grid):
        for piece in pieces:
            covered, away_mm = _relation(piece, mask, region)
            if covered or away_mm <= _NEAREST_MM:
                told = (-covered, away_mm, owner[mask.name])
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
