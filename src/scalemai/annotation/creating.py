"""Make a review: cases into the store, findings into the queue."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, insert, select

from scalemai._version import __version__
from scalemai.annotation.database.opening import open_database, writing
from scalemai.annotation.database.schema import cases as case_rows
from scalemai.annotation.database.schema import facts as fact_rows
from scalemai.annotation.database.schema import findings as finding_rows
from scalemai.annotation.edits.runs import Runs
from scalemai.annotation.facts import FORMAT, write_fact, write_protocol
from scalemai.annotation.leases import insert_read, opaque
from scalemai.annotation.planned import (
    Planned,
    PlannedCase,
    algorithm_of,
    with_decoys,
    with_previous,
    with_repeats,
)
from scalemai.annotation.protocol import Protocol
from scalemai.annotation.reviews import REVIEW_FILE, Review, write_review
from scalemai.annotation.rules import share_of
from scalemai.annotation.store.importing import RECORD_FILE, import_case, read_record
from scalemai.annotation.triage import Triaged, likely, order
from scalemai.annotation.words import Arm, Origin
from scalemai.case import Case
from scalemai.engine import Ledger, Run
from scalemai.engine import map as map_cases
from scalemai.errors import ConfigError
from scalemai.evaluation.maskset import MaskSet, open_masks
from scalemai.synthesis.runs import open_run

__all__ = ["fill", "import_cases", "insert_plan", "open_import"]


def open_import(
    out: Path, dataset: Path | str, predictions: Path | None, protocol: Protocol
) -> Ledger:
    """Lock the folder of a review that is being made, for one request.

    Raises
    ------
    LockedError
        If another run is writing to it.
    ConfigError
        If it holds a review, or another request was begun there.
    OutputError
        If it cannot be made or written.
    """
    if (out / REVIEW_FILE).exists():
        fix = "open it with scalemai annotate REVIEW, or choose another --out"
        raise ConfigError("there is a review already", where=out, fix=fix)
    asked = {
        "dataset": str(dataset),
        "predictions": "" if predictions is None else str(predictions),
        "seed": str(protocol.seed),
        # What is planted changes stored CTs, so that another share is another review.
        "decoys": f"{protocol.decoy_lesion_share} {protocol.decoy_false_share}",
    }
    return open_run(out, "annotate", asked)


def import_cases(
    cases: Sequence[Case],
    out: Path,
    *,
    ledger: Ledger,
    predictions: Path | None = None,
    seed: int = 0,
    workers: int = 1,
) -> Run[Path]:
    """Put cases into the working store of a review; one bad case costs itself alone.

    Parameters
    ----------
    cases
        The cases; those that are in the store already are skipped.
    out
        Folder of the review.
    ledger
        From :func:`open_import`.
    predictions
        Predictions of any layout that :func:`scalemai.evaluation.maskset.open_masks` reads; without
        them, the findings are the lesions of the cases' own masks.
    seed
        That of the protocol: opaque keys follow from it.
    workers
        Number of processes.

    Raises
    ------
    ConfigError
        If a case has no prediction.
    """
    proposed: MaskSet | None = None
    if predictions is not None:
        proposed = open_masks(predictions)
        absent = [case.id for case in cases if case.id not in proposed]
        if absent:
            what = f"holds nothing of {absent[0]} and {len(absent) - 1} more"
            raise ConfigError(what, where=predictions, fix="predict them first")
    items = [
        (case, None if proposed is None else proposed[case.id], _table(predictions, case.id))
        for case in cases
    ]
    return map_cases(
        partial(_import, store=out / "store", seed=seed),
        items,
        workers=workers,
        ledger=ledger,
        is_complete=lambda key: (_folder(out / "store", key, seed) / RECORD_FILE).is_file(),
        key=_case_id,
    )


def fill(
    cases: Sequence[Case],
    out: Path,
    protocol: Protocol,
    *,
    dataset: Path | str = "",
    predictions: Path | None = None,
    database: str | None = None,
) -> Review:
    """Put the imported cases and their findings into the database, and write the review's file.

    Cases that are not in the store, because they failed, are left out. Decoys and repeats are
    planted as the protocol asks. The review is there once its file is: a database that was half
    filled before is filled anew.

    Parameters
    ----------
    cases, out, protocol, predictions
        As of :func:`import_cases`.
    dataset
        Where the cases are from, which exports are told.
    database
        URL of another database than a file in the folder.

    Raises
    ------
    ConfigError
        If no case was imported, or the database holds another review.
    OutputError
        If the database or the file cannot be written.
    """
    store = out / "store"
    ids = sorted(case.id for case in cases)
    here = [i for i in ids if (_folder(store, i, protocol.seed) / RECORD_FILE).is_file()]
    if not here:
        raise ConfigError("no case could be imported", where=out, fix="see the failures above")
    planned_cases, planned = [], []
    for case_id in here:
        key = opaque("case", str(protocol.seed), case_id)
        _, stored, facts, proposals = read_record(store / key)
        manual = share_of(protocol.seed, "manual", case_id) < protocol.manual_share
        searched = share_of(protocol.seed, "search", case_id) < protocol.search_share
        arm = Arm.MANUAL if manual else Arm.ASSISTED
        facts |= algorithm_of(_table(predictions, case_id))
        planned_cases.append(PlannedCase(key, case_id, stored, arm, manual or searched, facts))
        origin = Origin.SOURCE if predictions is None else Origin.MODEL
        planned += [
            Planned(f"{number}", key, proposal, origin) for number, proposal in enumerate(proposals)
        ]
    by_id = {case.id: case for case in cases}
    planned_cases, decoys = with_decoys(planned_cases, planned, by_id, store, protocol)
    planned += decoys
    review = Review(out, database)
    engine = open_database(database or review.database_file, create=True)
    digest = _digest(planned_cases, planned, protocol)
    with writing(engine) as connection:
        if not _is_filled(connection, digest, out):
            write_protocol(connection, protocol)
            write_fact(connection, "format", FORMAT)
            write_fact(connection, "version", __version__)
            write_fact(connection, "plan", digest)
            write_fact(connection, "predictions", "" if predictions is None else predictions.name)
            write_fact(connection, "dataset", str(dataset))
            insert_plan(connection, with_previous(planned_cases), planned, protocol)
    engine.dispose()
    write_review(review)
    return review


def insert_plan(
    connection: Connection,
    cases: Sequence[PlannedCase],
    planned: Sequence[Planned],
    protocol: Protocol,
) -> None:
    """Cases and findings into the database, and a first read of each into the queue.

    Findings of cases that are read by hand are kept but nobody is shown them. Some findings come
    once more, as the protocol asks.
    """
    for rank, case in enumerate(cases):
        values = {
            "case_key": case.case_key,
            "case_id": case.case_id,
            "rank": rank,
            "arm": case.arm,
            "searched": case.searched,
            "stored": case.stored.to_json(),
            "previous_key": case.previous_key,
            "facts": json.dumps(dict(case.facts), sort_keys=True),
        }
        connection.execute(insert(case_rows).values(values))
    by_key = {case.case_key: case for case in cases}
    triaged = [
        Triaged(
            by_key[one.case_key].case_id,
            one.proposal.structure,
            one.proposal.score,
            float(one.proposal.measures["volume_mm3"]),
        )
        for one in planned
    ]
    queue = with_repeats([planned[place] for place in order(triaged)], by_key, protocol)
    for rank, one in enumerate(queue):
        case = by_key[one.case_key]
        _insert_finding(connection, one, case, rank)
        if case.arm is Arm.ASSISTED:
            insert_read(
                connection,
                case_key=case.case_key,
                finding_id=one.finding_id,
                step=1,
                rank=rank,
            )
    for rank, case in enumerate(cases, start=len(queue)):
        if case.searched:
            insert_read(connection, case_key=case.case_key, finding_id=None, step=1, rank=rank)


def _insert_finding(connection: Connection, one: Planned, case: PlannedCase, rank: int) -> None:
    runs: Runs = one.proposal.runs
    values = {
        "finding_id": one.finding_id,
        "case_key": one.case_key,
        "structure": one.proposal.structure,
        "origin": one.origin,
        "repeats": one.repeats,
        "parents": "[]",
        "rank": rank,
        "likely": likely(one.proposal.score),
        "score": one.proposal.score,
        "box": json.dumps(runs.box(case.stored.shape)),
        "runs": runs.pack(),
        "runs_sha256": runs.sha256,
        "measures": json.dumps(dict(one.proposal.measures), sort_keys=True),
        "state": "pending" if case.arm is Arm.ASSISTED else "void",
    }
    connection.execute(insert(finding_rows).values(values))


def _is_filled(connection: Connection, digest: str, out: Path) -> bool:
    """Whether an earlier run filled it, and was killed before it wrote the review's file."""
    there = connection.execute(select(fact_rows.c.value).where(fact_rows.c.name == "plan")).scalar()
    if there is not None and there != digest:
        fix = "give another database"
        raise ConfigError("the database holds another review", where=out, fix=fix)
    return there is not None


def _digest(cases: Sequence[PlannedCase], planned: Sequence[Planned], protocol: Protocol) -> str:
    parts = [json.dumps(asdict(protocol), sort_keys=True)]
    parts += [f"{case.case_key} {case.stored.hashes}" for case in cases]
    parts += [f"{one.finding_id} {one.proposal.runs.sha256}" for one in planned]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _import(item: tuple[Case, Case | None, Path | None], *, store: Path, seed: int) -> Path:
    case, proposed, table = item
    return import_case(case, _folder(store, case.id, seed), proposed=proposed, table=table)


def _folder(store: Path, case_id: str, seed: int) -> Path:
    return store / opaque("case", str(seed), case_id)


def _case_id(item: tuple[Case, Case | None, Path | None]) -> str:
    return item[0].id


def _table(predictions: Path | None, case_id: str) -> Path | None:
    return None if predictions is None else predictions / case_id / "findings.json"
