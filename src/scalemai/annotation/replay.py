"""The ledger alone tells the state of a review: replay it, and compare."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, Table, create_engine, insert, select, update
from sqlalchemy.engine import Engine

from scalemai.annotation.acts import Work, perform
from scalemai.annotation.database.opening import reading
from scalemai.annotation.database.schema import (
    cases,
    facts,
    findings,
    links,
    metadata,
    patches,
    readers,
    reads,
)
from scalemai.annotation.drafts import Draft
from scalemai.annotation.edits.patches import Patch
from scalemai.annotation.events import Event, Link
from scalemai.annotation.facts import read_protocol
from scalemai.annotation.ledger import read_links
from scalemai.annotation.protocol import Protocol
from scalemai.annotation.readers import Reader
from scalemai.annotation.words import Action, ReadState
from scalemai.errors import ConfigError

__all__ = ["Difference", "differences", "replay"]

_BLOCK = 1000
_BEFORE = {"state": "pending", "final": None}
_COMPARED = {
    findings: ("finding_id", ("state", "final", "runs_sha256", "structure")),
    reads: ("read_id", ("state", "revision", "runs", "outcome", "step", "finding_id")),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the database says something else than follows from the ledger.

    Parameters
    ----------
    table, key, column
        Where.
    """

    table: str
    key: str
    column: str

    def __str__(self) -> str:
        return f"{self.table} {self.key}: {self.column} does not follow from the ledger"


def replay(engine: Engine) -> Engine:
    """The state of a review, made again in memory from what it began with and the ledger.

    It began with the findings that no reader made, each with a first read, and the reads of cases.

    Raises
    ------
    ConfigError
        If an event cannot follow from those before it.
    """
    again = create_engine("sqlite://")
    metadata.create_all(again)
    with reading(engine) as source, again.begin() as target:
        for table in (facts, cases, readers, patches, links):
            _copy(source, target, table)
        _copy(source, target, findings, only_first=True)
        _copy(source, target, reads, only_first=True)
        protocol = read_protocol(target)
        for event in _whole(read_links(source)):
            _follow(target, event, protocol)
    return again


def differences(engine: Engine) -> list[Difference]:
    """What in the database does not follow from the ledger; empty if all does.

    Leases are not compared: they are claims, not deeds.

    Raises
    ------
    ConfigError
        If an event cannot follow from those before it.
    """
    found = []
    again = replay(engine)
    with reading(engine) as one, again.connect() as two:
        for table, (key, columns) in _COMPARED.items():
            query = select(table).order_by(table.c[key])
            there = {row._mapping[key]: row._mapping for row in one.execute(query)}
            here = {row._mapping[key]: row._mapping for row in two.execute(query)}
            for name in sorted(there.keys() | here.keys()):
                if name not in there or name not in here:
                    found.append(Difference(table.name, name, "its being there"))
                    continue
                for column in columns:
                    if _plain(there[name][column]) != _plain(here[name][column]):
                        found.append(Difference(table.name, name, column))
    again.dispose()
    return found


def _plain(value: object) -> object:
    """A lease that is held, with nothing drawn, is an open read."""
    if value in (ReadState.LEASED, ReadState.OPEN):
        return ReadState.OPEN
    return bytes(value) if isinstance(value, memoryview) else value


def _copy(source: Connection, target: Connection, table: Table, only_first: bool = False) -> None:
    query = select(table)
    if only_first and table is findings:
        query = query.where(findings.c.added_by.is_(None))
    if only_first and table is reads:
        made = select(findings.c.finding_id).where(findings.c.added_by.isnot(None))
        first = (reads.c.step == 1) & (
            reads.c.finding_id.is_(None) | reads.c.finding_id.notin_(made)
        )
        query = query.where(first)
    result = source.execution_options(yield_per=_BLOCK).execute(query)
    for block in result.mappings().partitions(_BLOCK):
        rows = [dict(row) for row in block]
        for row in rows:
            if table is findings:
                row |= _BEFORE
            if table is reads:
                row |= {"state": ReadState.OPEN, "reader_id": None, "lease": None}
                row |= {"lease_until_ms": None, "revision": 0, "runs": None, "outcome": None}
        target.execute(insert(table), rows)


def _whole(chain: Iterable[Link]) -> Iterator[tuple[Event, tuple[Event, ...]]]:
    """Events, with those of the pieces beside a split."""
    pending: list[Event] = []
    for link in chain:
        event = link.event
        if pending:
            pending.append(event)
            if len(pending) == 1 + len(pending[0].others):
                yield pending[0], tuple(pending[1:])
                pending = []
        elif event.action is Action.SPLIT:
            pending = [event]
        else:
            yield event, ()


def _follow(target: Connection, step: tuple[Event, tuple[Event, ...]], protocol: Protocol) -> None:
    event, pieces = step
    reader = Reader(event.reader_id, "", event.role)
    mine = reads.c.read_id == event.read_id
    row = target.execute(select(reads.c.state).where(mine)).first()
    if row is not None and row.state == ReadState.OPEN:
        held = {"state": ReadState.LEASED, "reader_id": event.reader_id}
        target.execute(update(reads).where(mine).values(held))
    work = Work.load(target, event.read_id, reader, protocol, 0)
    draft = Draft(
        event_id=event.event_id,
        action=event.action,
        reason=event.reason,
        confidence=event.confidence,
        comment=event.comment,
        about=event.about,
        active_ms=event.active_ms,
        idle_ms=event.idle_ms,
        slices_viewed=event.slices_viewed,
        strokes=event.strokes,
        keys=event.keys,
        began=event.began,
        ended=event.ended,
        patch=_patch(target, event) if event.action in (Action.EDIT, Action.ADD) else None,
        structure=event.structure,
        pieces=tuple(_patch(target, piece).set for piece in pieces),
        others=event.others if event.action is Action.MERGE else (),
    )
    made = perform(work, draft, tool=event.tool)
    work.save()
    if made != [event, *pieces]:
        what = "does not follow from the events before it"
        raise ConfigError(what, where=f"event {event.event_id}")


def _patch(target: Connection, event: Event) -> Patch:
    query = select(patches.c.content).where(patches.c.patch_sha256 == event.patch_sha256)
    content = target.execute(query).scalar()
    if content is None:
        raise ConfigError("the patch of this event is absent", where=f"event {event.event_id}")
    patch = Patch.unpack(content)
    if patch.sha256 != event.patch_sha256:
        raise ConfigError("the patch of this event was changed", where=f"event {event.event_id}")
    return patch
