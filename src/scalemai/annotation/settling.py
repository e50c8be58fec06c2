"""What follows from a read that has ended: the finding's state, and who reads it next."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select, update

from scalemai.annotation.database.schema import cases, findings, reads
from scalemai.annotation.edits.runs import Runs
from scalemai.annotation.leases import insert_read
from scalemai.annotation.protocol import Protocol
from scalemai.annotation.rules import Decided, Read, agree, needs_second
from scalemai.annotation.sizes import measures_of
from scalemai.annotation.store.layout import StoredCase
from scalemai.annotation.words import Action, Origin, ReadState
from scalemai.errors import ConfigError

__all__ = ["finish", "reopen"]

_STATES = {Action.ACCEPT: "accepted", Action.REJECT: "rejected", Action.UNSURE: "unsure"}


def finish(connection: Connection, read_id: str, protocol: Protocol) -> None:
    """After the decision of a read: settle its finding, or ask for another reader.

    A finding that was read twice and agreed on keeps the first reader's mask, so that who reads
    second cannot change what was agreed; an adjudicator's read settles it as it is.
    """
    row = connection.execute(
        select(reads.c.step, reads.c.rank, reads.c.outcome, reads.c.runs, reads.c.case_key)
        .add_columns(findings.c.finding_id, findings.c.origin, findings.c.score)
        .add_columns(findings.c.repeats)
        .add_columns(findings.c.runs.label("base"), cases.c.stored)
        .join(findings, findings.c.finding_id == reads.c.finding_id)
        .join(cases, cases.c.case_key == reads.c.case_key)
        .where(reads.c.read_id == read_id)
    ).one()
    now = Read(Action(row.outcome), Runs.unpack(row.runs if row.runs is not None else row.base))
    if row.step == 1:
        diameter_mm = 0.0
        if now.mask.voxels:
            diameter_mm = measures_of(now.mask, StoredCase.from_json(row.stored))[1]["diameter_mm"]
        decided = Decided(row.finding_id, Origin(row.origin), row.score, diameter_mm, now.action)
        _settle(connection, row.finding_id, now)
        # A repeat is there to be compared with the same reader's first answer, and nothing else.
        if row.repeats is None and needs_second(decided, protocol) is not None:
            _next(connection, row, 2)
    elif row.step == 2:
        first = _read(connection, row.finding_id, 1)
        if agree(first, now, protocol):
            _settle(connection, row.finding_id, first)
        else:
            _settle(connection, row.finding_id, Read(Action.UNSURE, first.mask))
            _next(connection, row, 3)
    else:
        _settle(connection, row.finding_id, now)


def reopen(connection: Connection, read_id: str) -> None:
    """Before a decision is taken back: the reads that followed from it are not needed any more.

    Raises
    ------
    ConfigError
        If somebody is at work on one of them, or has done it.
    """
    query = select(reads.c.finding_id, reads.c.step).where(reads.c.read_id == read_id)
    row = connection.execute(query).one()
    if row.finding_id is None:
        return
    later = (reads.c.finding_id == row.finding_id) & (reads.c.step > row.step)
    states = [one.state for one in connection.execute(select(reads.c.state).where(later))]
    if any(state in (ReadState.LEASED, ReadState.DONE) for state in states):
        fix = "tell the next reader, or the adjudicator"
        what = "somebody else is reading the finding by now, so the decision stands"
        raise ConfigError(what, where=row.finding_id, fix=fix)
    connection.execute(update(reads).where(later).values(state=ReadState.VOID))
    if row.step == 1:
        values: dict[str, Any] = {"state": "pending", "final": None}
        mine = findings.c.finding_id == row.finding_id
        connection.execute(update(findings).where(mine).values(values))
    else:
        first = _read(connection, row.finding_id, 1)
        kept = first if row.step == 2 else Read(Action.UNSURE, first.mask)
        _settle(connection, row.finding_id, kept)


def _next(connection: Connection, row: Any, step: int) -> None:
    insert_read(
        connection, case_key=row.case_key, finding_id=row.finding_id, step=step, rank=row.rank
    )


def _settle(connection: Connection, finding_id: str, read: Read) -> None:
    values = {"state": _STATES[read.action], "final": read.mask.pack()}
    mine = findings.c.finding_id == finding_id
    connection.execute(update(findings).where(mine).values(values))


def _read(connection: Connection, finding_id: str, step: int) -> Read:
    """How a step was left."""
    row = connection.execute(
        select(reads.c.outcome, reads.c.runs).where(
            reads.c.finding_id == finding_id, reads.c.step == step
        )
    ).one()
    return Read(Action(row.outcome), Runs.unpack(row.runs))
