"""Findings that readers make: put in, or known for one that another reader has added before."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from scalemai.annotation.database.schema import findings, reads
from scalemai.annotation.edits.runs import Runs
from scalemai.annotation.leases import insert_read, opaque
from scalemai.annotation.protocol import Protocol
from scalemai.annotation.rules import overlap
from scalemai.annotation.settling import finish
from scalemai.annotation.sizes import measures_of
from scalemai.annotation.store.layout import StoredCase
from scalemai.annotation.words import Action, Origin, ReadState

__all__ = ["Added", "found_before", "insert_finding", "insert_piece", "take_as_second"]


@dataclass(frozen=True, slots=True)
class Added:
    """A finding that a reader added.

    Parameters
    ----------
    finding_id, case_key
        The finding and its case.
    rank
        Its place in the queue.
    """

    finding_id: str
    case_key: str
    rank: int


def found_before(
    connection: Connection, case_key: str, reader_id: str, mask: Runs, protocol: Protocol
) -> Added | None:
    """The finding that another reader added where this mask is; None if there is none.

    Of several, the one with the largest intersection over union, which is above
    ``protocol.match_iou``. Parts that a split made are not looked at: nobody found them.
    """
    query = (
        select(findings)
        .where(
            findings.c.case_key == case_key,
            findings.c.origin == Origin.READER,
            findings.c.parents == "[]",
            findings.c.state != "void",
            findings.c.added_by != reader_id,
        )
        .order_by(findings.c.finding_id)
    )
    best, found = protocol.match_iou, None
    for row in connection.execute(query):
        iou = overlap(mask, Runs.unpack(row.runs))
        if iou > best:
            best, found = iou, Added(row.finding_id, row.case_key, int(row.rank))
    return found


def take_as_second(
    connection: Connection, known: Added, reader_id: str, mask: Runs, protocol: Protocol
) -> None:
    """Count a reader's own finding of a lesion as the second read of it, and settle it by rule.

    Who has found a lesion unasked agrees more strongly than who was shown it, so any reader may. A
    second read that was lent but not begun is called back; one that was begun, or done, stands, and
    then the ledger alone says that the lesion was found once more.
    """
    second = (reads.c.finding_id == known.finding_id) & (reads.c.step == 2)
    row = connection.execute(select(reads).where(second)).first()
    # The mask is written with the first event of a read. Leases are no deeds, so that what
    # follows from the ledger must not depend on them.
    begun = row is not None and row.state == ReadState.LEASED and row.runs is not None
    if begun or (row is not None and row.state == ReadState.DONE):
        return
    read_id = insert_read(
        connection, case_key=known.case_key, finding_id=known.finding_id, step=2, rank=known.rank
    )
    values = {
        "state": ReadState.DONE,
        "reader_id": reader_id,
        "runs": mask.pack(),
        "outcome": Action.ACCEPT,
    }
    connection.execute(update(reads).where(reads.c.read_id == read_id).values(values))
    finish(connection, read_id, protocol)


def insert_finding(
    connection: Connection,
    event_id: str,
    mask: Runs,
    structure: str,
    *,
    case_key: str,
    case: StoredCase,
    rank: int,
    reader_id: str,
    parents: Sequence[str] = (),
    origin: Origin = Origin.READER,
    repeats: str | None = None,
) -> str:
    """Put a finding in; its id, which follows from the event so that a replay makes the same."""
    finding_id = opaque("finding", event_id)
    box, measures = measures_of(mask, case)
    row = {
        "finding_id": finding_id,
        "case_key": case_key,
        "structure": structure,
        "origin": origin,
        "repeats": repeats,
        "parents": json.dumps(list(parents)),
        "rank": rank,
        "likely": "unsure",
        "box": json.dumps(box),
        "runs": mask.pack(),
        "runs_sha256": mask.sha256,
        "measures": json.dumps(measures),
        "state": "pending",
        "added_by": reader_id,
    }
    connection.execute(insert(findings).values(row))
    return finding_id


def insert_piece(
    connection: Connection, event_id: str, mask: Runs, whole: str, case: StoredCase, reader_id: str
) -> str:
    """Put in a part of a finding, with a first read where that of the whole stood; its id.

    A part of what was planted or shown again is so itself, and will not be taken for a lesion.
    """
    row = connection.execute(select(findings).where(findings.c.finding_id == whole)).one()
    origin = Origin(row.origin)
    planted = origin in (Origin.DECOY_LESION, Origin.DECOY_FALSE)
    finding_id = insert_finding(
        connection,
        event_id,
        mask,
        row.structure,
        case_key=row.case_key,
        case=case,
        rank=int(row.rank),
        reader_id=reader_id,
        parents=(whole,),
        origin=origin if planted else Origin.READER,
        repeats=row.repeats,
    )
    insert_read(
        connection, case_key=row.case_key, finding_id=finding_id, step=1, rank=int(row.rank)
    )
    return finding_id
