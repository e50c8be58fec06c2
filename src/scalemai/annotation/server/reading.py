"""The queue as pages see it: claim a read, look at it, say what was done."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
from fastapi import APIRouter, HTTPException, Response
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, select

from scalemai._version import __version__
from scalemai.annotation.database.opening import writing
from scalemai.annotation.database.schema import cases, findings, links, reads
from scalemai.annotation.deciding import submit
from scalemai.annotation.drafts import Draft
from scalemai.annotation.edits.runs import Box, Runs
from scalemai.annotation.events import Event
from scalemai.annotation.leases import Claim, claim, ended, heartbeat, mine, waiting
from scalemai.annotation.readers import Reader
from scalemai.annotation.refusals import LeaseLostError
from scalemai.annotation.server.state import Asking, Room, RoomOf, now_ms
from scalemai.annotation.store.layout import StoredCase
from scalemai.annotation.store.regions import box_around, read_region
from scalemai.annotation.words import Arm, ReadState
from scalemai.errors import ConfigError

__all__ = ["router"]

router = APIRouter(prefix="/api")

_LARGEST_MM = 512.0
_LARGEST_VOXELS = 1 << 24
_MOST_EVENTS = 200


@router.post("/claims")
def claims(room: RoomOf, reader: Asking, body: dict[str, Any]) -> dict[str, Any]:
    """The next reads of the queue, for this reader alone from now on."""
    count, holding = body.get("count", 1), body.get("holding", [])
    if type(count) is not int or not 0 <= count <= 8 or not isinstance(holding, list):
        raise ConfigError("is not 0 to 8, or holding is no list", where="count")
    taken = claim(room.engine, reader, now_ms=now_ms(), count=count, holding=set(map(str, holding)))
    with room.engine.connect() as connection:
        return {
            "reads": [_described(connection, room, one) for one in taken],
            "waiting": waiting(connection, reader, now_ms=now_ms()),
        }


@router.post("/reads/{read_id}/heartbeat")
def keep(room: RoomOf, reader: Asking, read_id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Say that somebody is still at work on it."""
    until = heartbeat(room.engine, reader, read_id, _lease(body), now_ms=now_ms())
    return {"lease_until_ms": until}


@router.post("/reads/{read_id}/release")
def give_back(room: RoomOf, reader: Asking, read_id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Give back a read that was fetched ahead and never opened; others get it."""
    with writing(room.engine) as connection:
        mine(connection, reader, read_id, _lease(body))
        query = select(reads.c.revision, reads.c.runs).where(reads.c.read_id == read_id)
        if connection.execute(query).one().runs is not None:
            fix = "send the event release"
            raise ConfigError("something was done in it already", where=read_id, fix=fix)
        ended(connection, read_id, untouched=True)
    return {}


@router.get("/reads/{read_id}/region")
def region(
    room: RoomOf,
    reader: Asking,
    read_id: str,
    i: int,
    j: int,
    k: int,
    size_mm: float = 128.0,
    depth_mm: float | None = None,
) -> Response:
    """A crop: CT, the read's mask, other findings, organs; raw arrays after a header in JSON.

    It is ``size_mm`` wide in the axial plane and ``depth_mm`` deep through it.
    """
    with room.engine.connect() as connection:
        row = _read_of(connection, read_id, reader)
        stored = StoredCase.from_json(row.stored)
        depth_mm = size_mm if depth_mm is None else depth_mm
        for where, mm in (("size_mm", size_mm), ("depth_mm", depth_mm)):
            if not 0 < mm <= _LARGEST_MM:
                raise ConfigError(f"is not above 0 and up to {_LARGEST_MM:g} mm", where=where)
        box = box_around(stored, (i, j, k), (size_mm, size_mm, depth_mm))
        size = [high - low for low, high in zip(*box, strict=True)]
        if np.prod(size, dtype=np.int64) > _LARGEST_VOXELS:
            raise ConfigError(f"{size} is too large a crop", where="size_mm", fix="ask for less")
        crop = read_region(room.review.store(row.case_key), stored, box)
        layers: dict[str, NDArray[Any]] = {"ct": crop.ct, "mask": _mask(row, stored, box)}
        layers["others"] = _others(connection, row, stored, box, reader)
        layers["structures"] = crop.structures
        if row.step == 3:
            for name, step in (("first", 1), ("second", 2)):
                layers[name] = _earlier(connection, row.finding_id, step, stored, box)
    header = {
        "low": box[0],
        "dims": size,
        "spacing_mm": stored.grid.spacing_mm,
        "shape": stored.shape,
        "revision": row.revision,
        "structures": stored.structures,
        "layers": [
            {"name": name, "type": str(layer.dtype), "bytes": layer.nbytes}
            for name, layer in layers.items()
        ],
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # so that a page can look at the arrays where they are
    parts = [struct.pack("<II", len(text), 0), text]
    parts += [layer.tobytes(order="F") for layer in layers.values()]
    return Response(b"".join(parts), media_type="application/octet-stream")


@router.post("/reads/{read_id}/events")
def events(room: RoomOf, reader: Asking, read_id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Record what was done; sending it again is safe."""
    said, revision = body.get("events"), body.get("revision")
    if not isinstance(said, list) or not 0 < len(said) <= _MOST_EVENTS:
        raise ConfigError(f"are no list of 1 to {_MOST_EVENTS}", where="events")
    if type(revision) is not int or not all(isinstance(one, dict) for one in said):
        raise ConfigError("is no whole number, or an event is no object", where="revision")
    with room.engine.connect() as connection:
        row = _read_of(connection, read_id, reader, held=False)
    shape = StoredCase.from_json(row.stored).shape
    drafts = [Draft.from_plain(one, shape) for one in said]
    receipt = submit(
        room.engine,
        reader,
        read_id,
        _lease(body),
        revision,
        drafts,
        now_ms=now_ms(),
        tool=f"scalemai {__version__}",
    )
    return {
        "acknowledged": [
            {"event_id": one.event_id, "seq": one.seq, "revision": one.revision}
            for one in receipt.acknowledged
        ],
        "read": {
            "state": receipt.state.value,
            "revision": receipt.revision,
            "mask_sha256": receipt.mask_sha256,
        },
    }


def _lease(body: dict[str, Any]) -> str:
    lease = body.get("lease")
    if not isinstance(lease, str):
        raise ConfigError("is absent", where="lease")
    return lease


def _described(connection: Connection, room: Room, one: Claim) -> dict[str, Any]:
    """A read as pages know it: nothing that tells where a finding comes from."""
    case = connection.execute(select(cases).where(cases.c.case_key == one.case_key)).one()
    stored = StoredCase.from_json(case.stored)
    plain: dict[str, Any] = {
        "read_id": one.read_id,
        "lease": one.lease,
        "lease_until_ms": one.lease_until_ms,
        "unit": one.unit.value,
        "step": one.step,
        "arm": one.arm.value,
        "case_key": one.case_key,
        "case_name": case_name(room, case),
        "finding_id": one.finding_id,
        "revision": one.revision,
        "shape": stored.shape,
        "spacing_mm": stored.grid.spacing_mm,
        "previous_key": case.previous_key,
        "structures": stored.structures,
        "structure": None,
        "box": [[0, 0, 0], list(stored.shape)],
        "centre": [n // 2 for n in stored.shape],
        "sizes": {},
    }
    if one.finding_id is not None:
        query = select(findings).where(findings.c.finding_id == one.finding_id)
        row = connection.execute(query).one()
        runs = Runs.unpack(row.runs)
        x, y, z = runs.indices(stored.shape)
        middle = np.lexsort((x, y, z))[x.size // 2] if x.size else 0
        measures = json.loads(row.measures)
        plain |= {
            "structure": row.structure,
            "box": json.loads(row.box),
            "centre": [int(x[middle]), int(y[middle]), int(z[middle])],
            "sizes": {
                name: measures[name]
                for name in ("diameter_mm", "perpendicular_mm", "volume_mm3", "mean_hu", "site")
                if name in measures
            },
        }
    if one.step == 3 and one.finding_id is not None:
        plain["earlier"] = _outcomes(connection, one.finding_id)
    return plain


def _outcomes(connection: Connection, finding_id: str) -> list[dict[str, Any]]:
    """How the two reads that differ ended, and why what was rejected was; not by whom."""
    query = select(reads).where(reads.c.finding_id == finding_id, reads.c.step < 3)
    result = []
    for row in connection.execute(query.order_by(reads.c.step)):
        how = (links.c.read_id == row.read_id) & (links.c.action == row.outcome)
        latest = select(links.c.body).where(how).order_by(links.c.seq.desc()).limit(1)
        body = connection.execute(latest).scalar()
        reason = None if body is None else Event.from_json(body).reason
        result.append({"step": row.step, "outcome": row.outcome, "reason": reason})
    return result


def case_name(room: Room, case: Row[Any]) -> str:
    """How pages name a case."""
    return f"case {case.case_key[:6]}" if room.protocol.blind_names else str(case.case_id)


def _read_of(
    connection: Connection, read_id: str, reader: Reader, *, held: bool = True
) -> Row[Any]:
    """A read that the reader holds, or has held."""
    query = (
        select(
            reads, cases.c.stored, cases.c.arm, findings.c.runs.label("base"), findings.c.repeats
        )
        .join(cases, cases.c.case_key == reads.c.case_key)
        .outerjoin(findings, findings.c.finding_id == reads.c.finding_id)
        .where(reads.c.read_id == read_id)
    )
    row = connection.execute(query).first()
    if row is None or row.reader_id != reader.reader_id or row.state == ReadState.VOID:
        if row is not None and not held:
            return row
        raise LeaseLostError("this read is not yours", where=read_id[:40], fix="claim one first")
    return row


def _mask(row: Row[Any], stored: StoredCase, box: Box) -> NDArray[np.uint8]:
    content = row.runs if row.runs is not None else row.base
    runs = Runs.none() if content is None else Runs.unpack(content)
    return runs.mask(stored.shape, box).astype(np.uint8)


def _others(
    connection: Connection, row: Row[Any], stored: StoredCase, box: Box, reader: Reader
) -> NDArray[np.uint8]:
    """Other findings of the case that this reader may see: none in the manual arm but his own."""
    query = select(findings.c.runs).where(
        findings.c.case_key == row.case_key,
        findings.c.state != "void",
        findings.c.finding_id != (row.finding_id or ""),
        findings.c.repeats.is_(None),  # it would lie on its original, and tell
        findings.c.finding_id != (row.repeats or ""),
    )
    if row.arm == Arm.MANUAL:
        query = query.where(findings.c.added_by == reader.reader_id)
    result = np.zeros([b - a for a, b in zip(*box, strict=True)], np.uint8, order="F")
    for (content,) in connection.execute(query):
        result |= Runs.unpack(content).mask(stored.shape, box)
    return result


def _earlier(
    connection: Connection, finding_id: str, step: int, stored: StoredCase, box: Box
) -> NDArray[np.uint8]:
    """The mask that an earlier read left; for who settles two that differ."""
    mine_ = (reads.c.finding_id == finding_id) & (reads.c.step == step)
    content = connection.execute(select(reads.c.runs).where(mine_)).scalar()
    if content is None:
        raise HTTPException(409, {"error": "reads", "message": "an earlier read is absent"})
    return Runs.unpack(content).mask(stored.shape, box).astype(np.uint8)
