"""Tools for the editor: a proposal is computed on a crop and sent back; nothing is recorded."""

from __future__ import annotations

from typing import Any

import numpy as np
from fastapi import APIRouter
from sqlalchemy import select

from scalemai.annotation.database.schema import cases, reads
from scalemai.annotation.edits.runs import Runs
from scalemai.annotation.edits.tools import (
    TOOLS,
    fill_holes,
    grow_from,
    interpolate_slices,
    smooth,
    split,
)
from scalemai.annotation.leases import mine
from scalemai.annotation.server.state import Asking, RoomOf
from scalemai.annotation.store.layout import StoredCase
from scalemai.annotation.store.regions import box_around, read_region
from scalemai.errors import ConfigError, UnknownNameError

__all__ = ["router"]

router = APIRouter(prefix="/api/reads")

_LARGEST_MM = 150.0


@router.post("/{read_id}/assist")
def assist(room: RoomOf, reader: Asking, read_id: str, body: dict[str, Any]) -> dict[str, Any]:
    """What a tool makes of a click or of the mask as it is on the screen."""
    tool = body.get("tool")
    if tool not in TOOLS:
        raise UnknownNameError("tool", str(tool)[:40], TOOLS)
    with room.engine.connect() as connection:
        mine(connection, reader, read_id, str(body.get("lease", "")))
        query = select(cases.c.stored, cases.c.case_key).join(
            reads, reads.c.case_key == cases.c.case_key
        )
        row = connection.execute(query.where(reads.c.read_id == read_id)).one()
    stored = StoredCase.from_json(row.stored)
    spacing = stored.grid.spacing_mm
    if tool == "grow":
        at, radius_mm = body.get("at"), body.get("radius_mm", 30.0)
        if not isinstance(at, list) or len(at) != 3 or not all(type(n) is int for n in at):
            raise ConfigError("is no voxel", where="at")
        if not isinstance(radius_mm, int | float) or not 0 < radius_mm <= _LARGEST_MM:
            raise ConfigError(f"is not above 0 and up to {_LARGEST_MM:g} mm", where="radius_mm")
        size = 2 * float(radius_mm) + 2 * max(spacing)
        box = box_around(stored, at, (size, size, size))
        crop = read_region(room.review.store(row.case_key), stored, box)
        seed = tuple(int(a) - low for a, low in zip(at, box[0], strict=True))
        grown = grow_from(crop.ct, spacing, (seed[0], seed[1], seed[2]), radius_mm=float(radius_mm))
        return {"runs": Runs.of_mask(grown, stored.shape, box[0]).pairs()}
    pairs = body.get("runs")
    if not isinstance(pairs, list):
        raise ConfigError("are absent", where="runs")
    runs = Runs.of_pairs(pairs, stored.shape)
    tight = runs.box(stored.shape)
    if tight is None:
        raise ConfigError("the mask is empty", where="runs", fix="outline the lesion first")
    low = [max(0, n - 3) for n in tight[0]]
    high = [min(size, n + 3) for n, size in zip(tight[1], stored.shape, strict=True)]
    if any((b - a) * step > 4 * _LARGEST_MM for a, b, step in zip(low, high, spacing, strict=True)):
        raise ConfigError("are too far apart", where="runs")
    mask = runs.mask(stored.shape, ((low[0], low[1], low[2]), (high[0], high[1], high[2])))
    if tool == "split":
        pieces = split(mask, spacing)
        return {"pieces": [Runs.of_mask(piece, stored.shape, low).pairs() for piece in pieces]}
    changed = {
        "fill": lambda: fill_holes(mask),
        "smooth": lambda: smooth(mask, spacing),
        "interpolate": lambda: interpolate_slices(mask, spacing),
    }[tool]()
    return {"runs": Runs.of_mask(np.asarray(changed), stored.shape, low).pairs()}
