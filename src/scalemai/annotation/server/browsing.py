"""Cases as a whole: what is in them, slices as pictures, and a volume to turn about."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import nibabel as nib
import numpy as np
from fastapi import APIRouter, HTTPException, Response
from PIL import Image
from sqlalchemy import Connection, Row, select

from scalemai.annotation.database.schema import cases, findings, reads
from scalemai.annotation.readers import Reader
from scalemai.annotation.server.reading import case_name
from scalemai.annotation.server.state import Asking, RoomOf
from scalemai.annotation.store.layout import StoredCase
from scalemai.annotation.store.regions import PLANES, Plane, open_ct, read_slice
from scalemai.annotation.words import Arm, ReadState
from scalemai.errors import ConfigError

__all__ = ["router"]

router = APIRouter(prefix="/api/cases")

_LARGEST_VOLUME = 1 << 24
"""Voxels of a volume that a page turns about: more is thinned out, for it is for looking only."""


@router.get("")
def every(room: RoomOf, reader: Asking) -> dict[str, Any]:
    """All cases in the order of the queue, each with the number of findings that it shows."""
    with room.engine.connect() as connection:
        rows = connection.execute(select(cases).order_by(cases.c.rank)).all()
        return {
            "cases": [
                {
                    "case_key": row.case_key,
                    "case_name": case_name(room, row),
                    "shape": StoredCase.from_json(row.stored).shape,
                    "findings": len(_findings(connection, row, reader)),
                }
                for row in rows
            ]
        }


@router.get("/{case_key}")
def about(room: RoomOf, reader: Asking, case_key: str) -> dict[str, Any]:
    """Structures, findings as far as this reader may see them, and what is known of the scan."""
    with room.engine.connect() as connection:
        row = _case(connection, case_key)
        stored = StoredCase.from_json(row.stored)
        seen = _findings(connection, row, reader)
    facts = json.loads(row.facts)
    shown = ("phase", "spacing_mm", "kernel", "kvp", "manufacturer")
    return {
        "case_key": case_key,
        "case_name": case_name(room, row),
        "shape": stored.shape,
        "spacing_mm": stored.grid.spacing_mm,
        "affine": stored.affine,
        "structures": stored.structures,
        "facts": {name: facts[name] for name in shown if name in facts},
        "conflicts": facts.get("conflicts", []),
        "findings": seen,
        "previous_key": row.previous_key,
    }


@router.get("/{case_key}/slice")
def picture(
    room: RoomOf,
    reader: Asking,
    case_key: str,
    plane: str,
    index: int,
    low_hu: float = -160.0,
    high_hu: float = 240.0,
) -> Response:
    """One slice as an 8-bit picture with square pixels, in the window that is asked for."""
    if plane not in PLANES:
        raise ConfigError(f"{plane[:20]!r} is not known", where="plane", fix="axial, coronal, ...")
    if not low_hu < high_hu:
        raise ConfigError("low_hu is not below high_hu", where="window")
    with room.engine.connect() as connection:
        stored = StoredCase.from_json(_case(connection, case_key).stored)
    chosen: Plane = plane
    hu = read_slice(room.review.store(case_key), stored, chosen, index)
    grey = np.clip((hu.astype(np.float32) - low_hu) * (255.0 / (high_hu - low_hu)), 0, 255)
    image = Image.fromarray(np.rint(grey).astype(np.uint8))
    columns, rows = (
        step for axis, step in enumerate(stored.grid.spacing_mm) if axis != PLANES[chosen]
    )
    finest = min(columns, rows)
    size = (
        max(1, round(image.width * columns / finest)),
        max(1, round(image.height * rows / finest)),
    )
    content = io.BytesIO()
    image.resize(size, Image.Resampling.BILINEAR).save(content, "PNG", compress_level=1)
    return Response(content.getvalue(), media_type="image/png")


@router.get("/{case_key}/volume.nii.gz")
def volume(room: RoomOf, reader: Asking, case_key: str) -> Response:
    """The CT as NIfTI for a viewer, thinned out if it is large, with no name in its header."""
    with room.engine.connect() as connection:
        stored = StoredCase.from_json(_case(connection, case_key).stored)
    voxels = int(np.prod(stored.shape, dtype=np.int64))
    step = int(np.ceil((voxels / _LARGEST_VOLUME) ** (1 / 3)))
    ct = open_ct(room.review.store(case_key), stored)[::step, ::step, ::step]
    affine = np.asarray(stored.affine) @ np.diag((step, step, step, 1.0))
    image = nib.Nifti1Image(np.asfortranarray(ct), affine)
    image.header["descrip"] = b""
    content = gzip.compress(image.to_bytes(), compresslevel=1, mtime=0)
    return Response(content, media_type="application/gzip")


def _case(connection: Connection, case_key: str) -> Row[Any]:
    row = connection.execute(select(cases).where(cases.c.case_key == case_key)).first()
    if row is None:
        raise HTTPException(404, {"error": "case", "message": "there is no such case"})
    return row


def _findings(connection: Connection, case: Row[Any], reader: Reader) -> list[dict[str, Any]]:
    """Findings, with the reader's own decisions: those of others would unblind him.

    Of a finding that is shown again, his own is hidden too until he has read it again.
    """
    query = select(findings).where(
        findings.c.case_key == case.case_key,
        findings.c.state != "void",
        findings.c.repeats.is_(None),
    )
    if case.arm == Arm.MANUAL:
        query = query.where(findings.c.added_by == reader.reader_id)
    repeat = findings.alias("repeat")
    again = {
        row.repeats
        for row in connection.execute(
            select(repeat.c.repeats).where(
                repeat.c.case_key == case.case_key,
                repeat.c.repeats.isnot(None),
                repeat.c.state == "pending",
            )
        )
    }
    mine = (reads.c.reader_id == reader.reader_id) & (reads.c.state == ReadState.DONE)
    own = {
        row.finding_id: row.outcome
        for row in connection.execute(
            select(reads.c.finding_id, reads.c.outcome).where(
                mine, reads.c.case_key == case.case_key
            )
        )
    }
    return [
        {
            "finding_id": row.finding_id,
            "structure": row.structure,
            "box": json.loads(row.box),
            "diameter_mm": json.loads(row.measures).get("diameter_mm"),
            "mine": None if row.finding_id in again else own.get(row.finding_id),
        }
        for row in connection.execute(query.order_by(findings.c.rank, findings.c.finding_id))
    ]
