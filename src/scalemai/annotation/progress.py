"""How a review stands: what is read, by whom, how fast, and how far readers agree."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from scalemai.annotation.database.schema import findings, links, readers, reads
from scalemai.annotation.edits.runs import Runs
from scalemai.annotation.words import Action, ReadState, Unit
from scalemai.statistics.agreement import cohen_kappa, gwet_ac1
from scalemai.statistics.estimate import Estimate, not_computed
from scalemai.statistics.order_statistics import median

__all__ = ["Agreement", "StepCount", "Work", "agreement", "progress", "states", "workload"]

_ANSWERS = (Action.ACCEPT, Action.REJECT, Action.UNSURE)


@dataclass(frozen=True, slots=True)
class StepCount:
    """Reads of one step (1 first, 2 second, 3 adjudication) by where they are."""

    step: int
    open: int
    leased: int
    done: int


@dataclass(frozen=True, slots=True)
class Work:
    """What one reader did.

    Parameters
    ----------
    name, role
        Of the account.
    done
        Reads that he has decided.
    active_minutes
        Time at work, pauses left out, on all his reads.
    per_finding_s
        Mean time at work per decided finding, seconds; None if he has decided none. Searches of
        whole scans are left out.
    """

    name: str
    role: str
    done: int
    active_minutes: float
    per_finding_s: float | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """First and second reads of the same findings.

    Parameters
    ----------
    pairs
        Findings that were read twice.
    same
        Of those, how many got the same decision.
    kappa, ac1
        Cohen's kappa and Gwet's AC1 of accept, reject and unsure.
    dice
        Median Dice of the two masks where both accepted.
    """

    pairs: int
    same: int
    kappa: Estimate
    ac1: Estimate
    dice: Estimate


def progress(connection: Connection) -> list[StepCount]:
    """Reads by step; those that are void do not count."""
    counts: dict[int, dict[str, int]] = defaultdict(dict)
    query = select(reads.c.step, reads.c.state, func.count()).group_by(reads.c.step, reads.c.state)
    for step, state, number in connection.execute(query):
        counts[int(step)][state] = int(number)
    return [
        StepCount(
            step, *(states.get(s, 0) for s in (ReadState.OPEN, ReadState.LEASED, ReadState.DONE))
        )
        for step, states in sorted(counts.items())
    ]


def states(connection: Connection) -> list[tuple[str, int]]:
    """Number of findings by state; those that are void do not count."""
    query = (
        select(findings.c.state, func.count())
        .where(findings.c.state != "void")
        .group_by(findings.c.state)
        .order_by(findings.c.state)
    )
    return [(state, int(number)) for state, number in connection.execute(query)]


def workload(connection: Connection) -> list[Work]:
    """What each reader did, by name."""
    kinds = {
        row.read_id: row.unit for row in connection.execute(select(reads.c.read_id, reads.c.unit))
    }
    active_ms: dict[str, int] = defaultdict(int)
    on_findings_ms: dict[str, int] = defaultdict(int)
    for reader_id, read_id, body in connection.execute(
        select(links.c.reader_id, links.c.read_id, links.c.body)
    ):
        spent = int(json.loads(body)["active_ms"])
        active_ms[reader_id] += spent
        if kinds.get(read_id) == Unit.FINDING:
            on_findings_ms[reader_id] += spent
    done: dict[str, dict[str, int]] = defaultdict(dict)
    query = (
        select(reads.c.reader_id, reads.c.unit, func.count())
        .where(reads.c.state == ReadState.DONE)
        .group_by(reads.c.reader_id, reads.c.unit)
    )
    for reader_id, unit, number in connection.execute(query):
        done[reader_id][unit] = int(number)
    result = []
    for row in connection.execute(select(readers).order_by(readers.c.name)):
        mine = done[row.reader_id]
        decided = mine.get(Unit.FINDING, 0)
        per_finding_s = on_findings_ms[row.reader_id] / 1000 / decided if decided else None
        minutes = active_ms[row.reader_id] / 60_000
        result.append(Work(row.name, row.role, sum(mine.values()), minutes, per_finding_s))
    return result


def agreement(connection: Connection) -> Agreement:
    """How far first and second reads agree.

    Findings of one patient are taken as independent, which makes the intervals too short where many
    findings are of few patients. What is read twice is chosen by the protocol and mostly hard, so
    this is not the agreement on all findings.
    """
    second = reads.alias("second")
    rows = connection.execute(
        select(reads.c.outcome, reads.c.runs, second.c.outcome.label("again"))
        .add_columns(second.c.runs.label("other"))
        .join(second, (second.c.finding_id == reads.c.finding_id) & (second.c.step == 2))
        .where(
            reads.c.step == 1,
            reads.c.state == ReadState.DONE,
            second.c.state == ReadState.DONE,
            reads.c.outcome.in_(_ANSWERS),
            second.c.outcome.in_(_ANSWERS),
        )
        .order_by(reads.c.finding_id)
    ).all()
    number = {answer.value: place for place, answer in enumerate(_ANSWERS)}
    first = [number[row.outcome] for row in rows]
    again = [number[row.again] for row in rows]
    same = sum(a == b for a, b in zip(first, again, strict=True))
    dice = [
        Runs.unpack(row.runs).dice(Runs.unpack(row.other))
        for row in rows
        if row.outcome == row.again == Action.ACCEPT
    ]
    nothing = not_computed("no finding was read twice")
    counts = [[(a == k) + (b == k) for k in range(3)] for a, b in zip(first, again, strict=True)]
    return Agreement(
        len(rows),
        same,
        cohen_kappa(first, again) if rows else nothing,
        gwet_ac1(counts, categories=3) if len(rows) > 1 else nothing,
        median(dice) if dice else not_computed("no finding was accepted twice"),
    )
