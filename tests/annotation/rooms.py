"""Small reviews for tests: a database with cases and findings, without any file of a CT."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sqlalchemy import Engine, insert, select

from scalemai.annotation.database.opening import open_database, writing
from scalemai.annotation.database.schema import cases, findings
from scalemai.annotation.deciding import Receipt, submit
from scalemai.annotation.drafts import Draft
from scalemai.annotation.edits.patches import Patch
from scalemai.annotation.edits.runs import Runs
from scalemai.annotation.facts import write_protocol
from scalemai.annotation.leases import Claim, claim, insert_read
from scalemai.annotation.protocol import Protocol
from scalemai.annotation.readers import Reader, add_reader
from scalemai.annotation.sizes import measures_of
from scalemai.annotation.store.layout import StoredCase
from scalemai.annotation.words import Action, Origin, Reason, Role
from scalemai.geometry import Grid

SHAPE = (24, 20, 16)
GRID = Grid(SHAPE, np.diag((-1.0, -1.0, 1.0, 1.0)))
CASE = StoredCase.of_grid(GRID)
QUIET = Protocol(second_below_mm=0, second_share=0, search_share=0)
"""Nothing is read twice unless the reader is unsure or adds something."""

NOW = 1_800_000_000_000
_numbers = itertools.count()


def box_runs(low: Sequence[int], high: Sequence[int]) -> Runs:
    """A box of voxels."""
    size = np.subtract(high, low)
    return Runs.of_mask(np.ones(size, bool), SHAPE, low)


def room(
    where: Path | str,
    *,
    lesions: int = 3,
    protocol: Protocol = QUIET,
    scores: Sequence[float | None] = (),
    origins: Sequence[Origin] = (),
    edge: int = 4,
    case_reads: bool = False,
) -> Engine:
    """A review of one case with boxes of ``edge`` mm as findings, beside one another along x."""
    engine = open_database(where, create=True)
    with writing(engine) as connection:
        write_protocol(connection, protocol)
        connection.execute(
            insert(cases).values(
                case_key="case0",
                case_id="patient 1",
                rank=0,
                arm="assisted",
                searched=case_reads,
                stored=CASE.to_json(),
                facts="{}",
            )
        )
        for number in range(lesions):
            low = ((number * (edge + 1)) % 20, 2 + (edge + 1) * (number * (edge + 1) // 20), 2)
            mask = box_runs(low, np.add(low, edge))
            box, measures = measures_of(mask, CASE)
            origin = origins[number] if number < len(origins) else Origin.MODEL
            connection.execute(
                insert(findings).values(
                    finding_id=f"finding{number}",
                    case_key="case0",
                    structure="liver_lesion",
                    origin=origin,
                    parents="[]",
                    rank=number,
                    likely="unsure",
                    score=scores[number] if number < len(scores) else None,
                    box=json.dumps(box),
                    runs=mask.pack(),
                    runs_sha256=mask.sha256,
                    measures=json.dumps(measures),
                    state="pending",
                )
            )
            insert_read(
                connection,
                case_key="case0",
                finding_id=f"finding{number}",
                step=1,
                rank=number,
            )
        if case_reads:
            insert_read(connection, case_key="case0", finding_id=None, step=1, rank=lesions)
    return engine


def reader(engine: Engine, name: str, role: Role = Role.READER) -> Reader:
    """A new account."""
    with writing(engine) as connection:
        return add_reader(connection, name, role)


def take(engine: Engine, who: Reader, *, now_ms: int = NOW) -> Claim:
    """The next read of a reader; there must be one."""
    (got,) = claim(engine, who, now_ms=now_ms)
    return got


def draft(action: Action, **more: object) -> Draft:
    """A draft with an id of its own."""
    if action is Action.REJECT:
        more.setdefault("reason", Reason.VESSEL)
    more.setdefault("event_id", f"event-{next(_numbers)}")
    return Draft(action=action, **more)  # type: ignore[arg-type]


def edit(low: Sequence[int], high: Sequence[int], *, erase: bool = False) -> Draft:
    """A stroke that is a box."""
    box = box_runs(low, high)
    patch = Patch(Runs.none(), box) if erase else Patch(box, Runs.none())
    return draft(Action.EDIT, patch=patch, strokes=1)


def send(
    engine: Engine,
    who: Reader,
    held: Claim,
    *drafts: Draft,
    revision: int | None = None,
    now_ms: int = NOW,
) -> Receipt:
    """Submit drafts for a read that is held."""
    at = held.revision if revision is None else revision
    return submit(engine, who, held.read_id, held.lease, at, drafts, now_ms=now_ms, tool="test 1")


def finding(engine: Engine, finding_id: str) -> tuple[str, Runs | None]:
    """State and final mask of a finding."""
    query = select(findings.c.state, findings.c.final).where(findings.c.finding_id == finding_id)
    with engine.connect() as connection:
        state, final = connection.execute(query).one()
    return state, None if final is None else Runs.unpack(final)
