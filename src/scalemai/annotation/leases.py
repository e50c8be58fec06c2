"""Leases: a read is with one reader at a time, and comes back if nothing is heard from there."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    exists,
    func,
    insert,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.engine import Engine

from scalemai.annotation.database.opening import writing
from scalemai.annotation.database.schema import cases, findings, reads
from scalemai.annotation.events import Event
from scalemai.annotation.facts import read_protocol
from scalemai.annotation.ledger import append
from scalemai.annotation.readers import Reader
from scalemai.annotation.refusals import LeaseLostError
from scalemai.annotation.rules import steps_of
from scalemai.annotation.words import Action, Arm, ReadState, Role, Unit

__all__ = ["Claim", "claim", "ended", "heartbeat", "insert_read", "mine", "opaque", "waiting"]

_MOST = 8
"""Reads that one reader may hold at a time: those on screen and fetched ahead; author's choice."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A read that a reader holds.

    Parameters
    ----------
    read_id, finding_id, case_key
        What is read; no finding if it is a whole case.
    lease
        Secret that every request about the read must bear.
    lease_until_ms
        When it lapses, milliseconds since 1970 (UTC).
    unit, step, arm
        What kind of read it is.
    revision
        Of the mask in this read.
    """

    read_id: str
    lease: str
    lease_until_ms: int
    unit: Unit
    step: int
    arm: Arm
    case_key: str
    finding_id: str | None
    revision: int


def claim(
    engine: Engine, reader: Reader, *, now_ms: int, count: int = 1, holding: Collection[str] = ()
) -> list[Claim]:
    """Take the next reads of the queue.

    Reads that the reader holds already, and does not name in ``holding``, come first: that is how
    work goes on after the page was closed. Adjudications come before second reads, and those before
    first reads, so that what was begun is finished. Nobody gets two steps of one finding; a blinded
    repeat goes to who has read its original.

    Parameters
    ----------
    engine
        The review's database.
    reader
        Who asks.
    now_ms
        Server's time, milliseconds since 1970 (UTC).
    count
        How many are wanted; fewer come if the queue is shorter, or eight are held.
    holding
        Reads that the page knows it holds.
    """
    with writing(engine) as connection:
        until = now_ms + read_protocol(connection).lease_ms
        held = [
            row.read_id
            for row in connection.execute(
                select(reads.c.read_id)
                .where(reads.c.state == ReadState.LEASED, reads.c.reader_id == reader.reader_id)
                .order_by(reads.c.step.desc(), reads.c.rank, reads.c.read_id)
            )
        ]
        taken = [read_id for read_id in held if read_id not in holding][: max(0, count)]
        room = min(count - len(taken), _MOST - len(held))
        if room > 0:
            query = (
                select(reads.c.read_id)
                .outerjoin(findings, findings.c.finding_id == reads.c.finding_id)
                .where(_free_for(reader, now_ms))
                .order_by(reads.c.step.desc(), reads.c.rank, reads.c.read_id)
                .limit(room)
            )
            taken += [row.read_id for row in connection.execute(query)]
        return [_lease(connection, read_id, reader, now_ms, until) for read_id in taken]


def waiting(connection: Connection, reader: Reader, *, now_ms: int) -> int:
    """How many reads the reader could claim now."""
    query = (
        select(func.count())
        .select_from(reads)
        .outerjoin(findings, findings.c.finding_id == reads.c.finding_id)
        .where(_free_for(reader, now_ms))
    )
    return int(connection.execute(query).scalar_one())


def heartbeat(engine: Engine, reader: Reader, read_id: str, lease: str, *, now_ms: int) -> int:
    """Keep a read; when it lapses now, milliseconds since 1970 (UTC).

    Raises
    ------
    LeaseLostError
        If it is held by somebody else, or by nobody.
    """
    with writing(engine) as connection:
        mine(connection, reader, read_id, lease)
        until = now_ms + read_protocol(connection).lease_ms
        connection.execute(
            update(reads).where(reads.c.read_id == read_id).values(lease_until_ms=until)
        )
    return until


def mine(connection: Connection, reader: Reader, read_id: str, lease: str) -> None:
    """See that the reader holds the read. A lease that has lapsed holds until another takes it.

    Raises
    ------
    LeaseLostError
        If not.
    """
    row = connection.execute(select(reads).where(reads.c.read_id == read_id)).first()
    held = row is not None and row.state == ReadState.LEASED and row.lease is not None
    if row is None or not held or row.reader_id != reader.reader_id or row.lease != lease:
        fix = "go on with the next one"
        raise LeaseLostError("this read is not yours any more", where=read_id, fix=fix)


def ended(connection: Connection, read_id: str, *, untouched: bool = False) -> None:
    """Put a read back into the queue, with the mask as it was before it.

    Parameters
    ----------
    connection
        Within a transaction that writes.
    read_id
        The read.
    untouched
        Whether nothing was recorded of it, so that its revision stays.
    """
    values: dict[str, Any] = {
        "state": ReadState.OPEN,
        "reader_id": None,
        "lease": None,
        "lease_until_ms": None,
        "runs": None,
        "outcome": None,
    }
    if not untouched:
        values["revision"] = reads.c.revision + 1
    connection.execute(update(reads).where(reads.c.read_id == read_id).values(values))


def insert_read(
    connection: Connection, *, case_key: str, finding_id: str | None, step: int, rank: int
) -> str:
    """Put a read into the queue; its id. A read of the same step that was void is used again."""
    if finding_id is not None:
        query = select(reads.c.read_id).where(
            reads.c.finding_id == finding_id, reads.c.step == step
        )
        if (known := connection.execute(query).scalar()) is not None:
            ended(connection, known)
            return str(known)
    read_id = opaque("read", finding_id or case_key, str(step))
    connection.execute(
        insert(reads).values(
            read_id=read_id,
            unit=Unit.CASE if finding_id is None else Unit.FINDING,
            case_key=case_key,
            finding_id=finding_id,
            step=step,
            rank=rank,
            state=ReadState.OPEN,
            revision=0,
        )
    )
    return read_id


def opaque(*parts: str) -> str:
    """A name that tells nothing and is the same whenever it is made of the same parts."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _free_for(reader: Reader, now_ms: int) -> ColumnElement[bool]:
    """Whether a read, joined to its finding, can be claimed."""
    other = reads.alias("other")
    another_step = exists().where(
        other.c.finding_id == reads.c.finding_id,
        other.c.step != reads.c.step,
        other.c.state != ReadState.VOID,
        other.c.reader_id == reader.reader_id,
    )
    original = reads.alias("original")
    has_read_original = exists().where(
        original.c.finding_id == findings.c.repeats,
        original.c.step == 1,
        original.c.state == ReadState.DONE,
        original.c.reader_id == reader.reader_id,
    )
    lapsed = and_(
        reads.c.state == ReadState.LEASED,
        reads.c.lease_until_ms < now_ms,
        reads.c.reader_id != reader.reader_id,
    )
    return and_(
        reads.c.step.in_(steps_of(reader.role)),
        or_(reads.c.state == ReadState.OPEN, lapsed),
        not_(another_step),
        or_(findings.c.repeats.is_(None), has_read_original),
    )


def _lease(connection: Connection, read_id: str, reader: Reader, now_ms: int, until: int) -> Claim:
    row = connection.execute(select(reads).where(reads.c.read_id == read_id)).one()
    if row.state == ReadState.LEASED and row.reader_id != reader.reader_id:
        # What was drawn but not decided is taken back on record, so that the ledger alone tells
        # what the mask was.
        query = select(cases.c.arm).where(cases.c.case_key == row.case_key)
        lapsed = Event(
            event_id=secrets.token_hex(16),
            action=Action.RELEASE,
            reader_id=row.reader_id,
            role=Role.READER,
            case_key=row.case_key,
            read_id=read_id,
            finding_id=row.finding_id or "",
            arm=Arm(connection.execute(query).scalar_one()),
            comment="the lease lapsed",
            revision=int(row.revision) + 1,
        )
        append(connection, [lapsed], now_ms=now_ms)
        ended(connection, read_id)
        row = connection.execute(select(reads).where(reads.c.read_id == read_id)).one()
    lease = secrets.token_urlsafe(16)
    connection.execute(
        update(reads)
        .where(reads.c.read_id == read_id)
        .values(
            state=ReadState.LEASED,
            reader_id=reader.reader_id,
            lease=lease,
            lease_until_ms=until,
        )
    )
    query = select(cases.c.arm).where(cases.c.case_key == row.case_key)
    arm = Arm(connection.execute(query).scalar_one())
    return Claim(
        read_id,
        lease,
        until,
        Unit(row.unit),
        int(row.step),
        arm,
        row.case_key,
        row.finding_id,
        int(row.revision),
    )
