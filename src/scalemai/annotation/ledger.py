"""The ledger: all that readers did, in one chain, only ever appended to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, Row, insert, select
from sqlalchemy.engine import Engine

from scalemai.annotation.database.opening import reading
from scalemai.annotation.database.schema import links
from scalemai.annotation.events import GENESIS, Event, Link, chain_hash, first_break
from scalemai.annotation.refusals import ConflictError

__all__ = ["append", "known", "read_links", "verify"]

_BLOCK = 1000


def append(connection: Connection, events: Sequence[Event], *, now_ms: int) -> list[Link]:
    """Append events to the chain, in their order; those that are in it already are left alone.

    Parameters
    ----------
    connection
        Within :func:`scalemai.annotation.database.opening.writing`, so that nobody else appends.
    events
        What was done.
    now_ms
        The server's time, milliseconds since 1970 (UTC).

    Returns
    -------
    list of Link
        One per event: new, or where it stood already.

    Raises
    ------
    ConflictError
        If an id is in the ledger with another content, or twice among ``events``; nothing is
        appended then, if the caller lets the transaction fail.
    """
    last = connection.execute(
        select(links.c.seq, links.c.hash).order_by(links.c.seq.desc()).limit(1)
    ).first()
    seq, previous = (0, GENESIS) if last is None else (int(last.seq), str(last.hash))
    received = _stamp(now_ms)
    result = []
    for event in events:
        if (link := known(connection, event)) is not None:
            result.append(link)
            continue
        seq += 1
        body = event.to_json()
        link = Link(seq, received, body, previous, chain_hash(previous, seq, received, body))
        connection.execute(
            insert(links).values(
                seq=seq,
                event_id=event.event_id,
                received=received,
                read_id=event.read_id or None,
                finding_id=event.finding_id or None,
                case_key=event.case_key,
                reader_id=event.reader_id,
                action=event.action.value,
                body=body,
                previous=previous,
                hash=link.hash,
            )
        )
        previous = link.hash
        result.append(link)
    return result


def known(connection: Connection, event: Event) -> Link | None:
    """The link of an event that is in the ledger already.

    Raises
    ------
    ConflictError
        If another event has its id.
    """
    row = connection.execute(select(links).where(links.c.event_id == event.event_id)).first()
    if row is None:
        return None
    if row.body != event.to_json():
        what = "is in the ledger with another content"
        raise ConflictError(what, where=f"event {event.event_id}", fix="give it an id of its own")
    return _link(row)


def read_links(
    connection: Connection,
    *,
    after: int = 0,
    read_id: str | None = None,
    finding_id: str | None = None,
    reader_id: str | None = None,
    case_key: str | None = None,
) -> Iterator[Link]:
    """Links in their order, a thousand at a time.

    Parameters
    ----------
    connection
        Of the review's database.
    after
        Only those with a larger number.
    read_id, finding_id, reader_id, case_key
        Only those of one read, finding, reader or case.
    """
    asked = {
        links.c.read_id: read_id,
        links.c.finding_id: finding_id,
        links.c.reader_id: reader_id,
        links.c.case_key: case_key,
    }
    query = select(links).order_by(links.c.seq).limit(_BLOCK)
    for column, value in asked.items():
        if value is not None:
            query = query.where(column == value)
    while rows := connection.execute(query.where(links.c.seq > after)).all():
        for row in rows:
            yield _link(row)
        after = int(rows[-1].seq)


def verify(engine: Engine) -> int | None:
    """Number of the first event whose hash does not follow from all before; None if all do.

    The columns beside the event, by which it is found, must say what the event says.
    """
    with reading(engine) as connection:
        broken = first_break(read_links(connection))
        if broken is not None:
            return broken
        after = 0
        query = select(links).order_by(links.c.seq).limit(_BLOCK)
        while rows := connection.execute(query.where(links.c.seq > after)).all():
            for row in rows:
                event = Event.from_json(row.body)
                said = (row.event_id, row.read_id or "", row.finding_id or "", row.case_key)
                meant = (event.event_id, event.read_id, event.finding_id, event.case_key)
                if said != meant or (row.reader_id, row.action) != (event.reader_id, event.action):
                    return int(row.seq)
            after = int(rows[-1].seq)
    return None


def _link(row: Row[tuple[object, ...]]) -> Link:
    return Link(int(row.seq), row.received, row.body, row.previous, row.hash)


def _stamp(now_ms: int) -> str:
    """UTC, ISO 8601 with milliseconds."""
    moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
