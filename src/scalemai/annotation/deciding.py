"""Take what a reader did: one transaction for the ledger, the masks and the queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select
from sqlalchemy.engine import Engine

from scalemai.annotation.acts import Work, perform
from scalemai.annotation.database.opening import writing
from scalemai.annotation.database.schema import links, patches
from scalemai.annotation.drafts import Draft
from scalemai.annotation.events import Event
from scalemai.annotation.facts import read_protocol
from scalemai.annotation.ledger import append
from scalemai.annotation.readers import Reader
from scalemai.annotation.refusals import ConflictError, LeaseLostError, StaleRevisionError
from scalemai.annotation.words import Action, ReadState

__all__ = ["Acknowledged", "Receipt", "submit"]

_REOPENING = frozenset({Action.UNDO, Action.COMMENT, Action.REDO})
"""What a reader can still do with a read that he has decided."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """An event that is in the ledger for good.

    Parameters
    ----------
    event_id
        As the page named it.
    seq
        Its number in the chain.
    revision
        Of the read's mask after it.
    """

    event_id: str
    seq: int
    revision: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a request.

    Parameters
    ----------
    acknowledged
        One per event, in the order of the request.
    state
        Of the read.
    revision, mask_sha256
        Of the read's mask.
    """

    acknowledged: tuple[Acknowledged, ...]
    state: ReadState
    revision: int
    mask_sha256: str


def submit(
    engine: Engine,
    reader: Reader,
    read_id: str,
    lease: str,
    revision: int,
    drafts: Sequence[Draft],
    *,
    now_ms: int,
    tool: str,
) -> Receipt:
    """Record what a reader did, and do what follows from it; all of it or nothing.

    Sending the same events again, after an answer was lost, changes nothing and gives the same
    answer, even if the read has gone on since.

    Parameters
    ----------
    engine
        The review's database.
    reader
        Who did it.
    read_id, lease
        The read, and the secret that it is held with.
    revision
        Of the mask that the first new event starts from.
    drafts
        What was done, in order.
    now_ms
        Server's time, milliseconds since 1970 (UTC).
    tool
        Name and version of what the reader used.

    Raises
    ------
    LeaseLostError
        If the reader does not hold the read.
    StaleRevisionError
        If the mask is at another revision.
    ConflictError
        If an id stands for another event.
    ConfigError
        If an event cannot be: an undo of nothing, an edit of a closed read, an empty lesion, ...
    OutputError
        If the database does not take it.
    """
    with writing(engine) as connection:
        work = Work.load(connection, read_id, reader, read_protocol(connection), now_ms)
        before = _known(connection, work, drafts)
        fresh = drafts[len(before) :]
        if fresh:
            _check(work, lease, revision, fresh)
        acknowledged = [Acknowledged(e.event_id, seq, e.revision) for seq, e in before]
        for draft in fresh:
            events = perform(work, draft, tool=tool)
            link = append(connection, events, now_ms=now_ms)[0]
            acknowledged.append(Acknowledged(draft.event_id, link.seq, events[0].revision))
        for patch in work.patches:
            known = select(patches.c.patch_sha256).where(patches.c.patch_sha256 == patch.sha256)
            if connection.execute(known).first() is None:
                content = patch.pack()
                connection.execute(
                    insert(patches).values(patch_sha256=patch.sha256, content=content)
                )
        work.save()
        return Receipt(tuple(acknowledged), work.state, work.revision, work.mask.sha256)


def _known(connection: Connection, work: Work, drafts: Sequence[Draft]) -> list[tuple[int, Event]]:
    """The events at the beginning of a request that are in the ledger already."""
    found = []
    for draft in drafts:
        query = select(links.c.seq, links.c.body).where(links.c.event_id == draft.event_id)
        row = connection.execute(query).first()
        if row is None:
            break
        event = Event.from_json(row.body)
        same_read = (event.read_id, event.reader_id) == (work.read_id, work.reader.reader_id)
        if not same_read or not draft.matches(event):
            what = "is in the ledger with another content"
            fix = "give it an id of its own"
            raise ConflictError(what, where=f"event {draft.event_id}", fix=fix)
        found.append((int(row.seq), event))
    return found


def _check(work: Work, lease: str, revision: int, fresh: Sequence[Draft]) -> None:
    """See that new events may be added to the read, and start from the mask as it is."""
    held = work.holder == work.reader.reader_id and work.lease == lease
    reopened = work.state is ReadState.DONE and all(d.action in _REOPENING for d in fresh[:1])
    if not held or not (work.state is ReadState.LEASED or reopened):
        fix = "go on with the next one"
        raise LeaseLostError("this read is not yours any more", where=work.read_id, fix=fix)
    if revision != work.revision:
        raise StaleRevisionError(work.revision, read_id=work.read_id)
