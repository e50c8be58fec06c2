"""What each action does to a read, its mask and the queue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select, update

from scalemai.anatomy import is_lesion
from scalemai.annotation.adding import (
    found_before,
    insert_finding,
    insert_piece,
    take_as_second,
)
from scalemai.annotation.database.schema import cases, findings, links, patches, reads
from scalemai.annotation.drafts import Draft
from scalemai.annotation.edits.patches import Patch
from scalemai.annotation.edits.runs import Runs
from scalemai.annotation.events import Event
from scalemai.annotation.leases import ended, insert_read
from scalemai.annotation.protocol import Protocol
from scalemai.annotation.readers import Reader
from scalemai.annotation.refusals import LeaseLostError
from scalemai.annotation.settling import finish, reopen
from scalemai.annotation.store.layout import StoredCase
from scalemai.annotation.words import DECISIONS, Action, Arm, ReadState, Unit
from scalemai.errors import ConfigError

__all__ = ["Work", "perform"]


@dataclass
class Work:
    """A read while a transaction is at work on it.

    ``mask`` is the read's own; ``patches`` are those that are to be kept.
    """

    connection: Connection
    reader: Reader
    protocol: Protocol
    now_ms: int
    read_id: str
    unit: Unit
    step: int
    rank: int
    case_key: str
    case: StoredCase
    arm: Arm
    finding_id: str | None
    structure: str
    holder: str | None
    lease: str | None
    state: ReadState
    revision: int
    mask: Runs
    outcome: Action | None
    patches: list[Patch] = field(default_factory=list)

    @classmethod
    def load(
        cls, connection: Connection, read_id: str, reader: Reader, protocol: Protocol, now_ms: int
    ) -> Work:
        """The read as it stands.

        Raises
        ------
        LeaseLostError
            If there is none.
        """
        query = (
            select(reads, cases.c.stored, cases.c.arm, findings.c.runs.label("base"))
            .add_columns(findings.c.structure)
            .join(cases, cases.c.case_key == reads.c.case_key)
            .outerjoin(findings, findings.c.finding_id == reads.c.finding_id)
            .where(reads.c.read_id == read_id)
        )
        row = connection.execute(query).first()
        if row is None:
            raise LeaseLostError("there is no such read", where=read_id[:40])
        content = row.runs if row.runs is not None else row.base
        return cls(
            connection,
            reader,
            protocol,
            now_ms,
            read_id,
            Unit(row.unit),
            int(row.step),
            int(row.rank),
            row.case_key,
            StoredCase.from_json(row.stored),
            Arm(row.arm),
            row.finding_id,
            row.structure or "",
            row.reader_id,
            row.lease,
            ReadState(row.state),
            int(row.revision),
            Runs.none() if content is None else Runs.unpack(content),
            None if row.outcome is None else Action(row.outcome),
        )

    def save(self) -> None:
        """Write the read back."""
        if self.state is ReadState.OPEN:
            return  # it went back to the queue as a whole
        values = {
            "state": self.state,
            "revision": self.revision,
            "runs": self.mask.pack(),
            "outcome": self.outcome,
        }
        self.connection.execute(update(reads).where(reads.c.read_id == self.read_id).values(values))

    def change(self, after: Runs) -> Patch:
        """Set the mask; the patch from the one before."""
        patch = Patch.between(self.mask, after)
        self.mask, self.revision = after, self.revision + 1
        self.patches.append(patch)
        return patch


def perform(work: Work, draft: Draft, *, tool: str) -> list[Event]:
    """Do what a draft says, and the event of it; a split is followed by an event per piece.

    Raises
    ------
    ConfigError
        If it cannot be done as things are.
    """
    if work.state is not ReadState.LEASED and draft.action not in (Action.UNDO, Action.COMMENT):
        raise ConfigError("the read is closed; undo its decision first", where=draft.action.value)
    before = work.mask.sha256
    outcome = _ACTS[draft.action](work, draft)
    about: dict[str, Any] = {
        "reader_id": work.reader.reader_id,
        "role": work.reader.role,
        "case_key": work.case_key,
        "read_id": work.read_id,
        "arm": work.arm,
        "revision": work.revision,
        "tool": tool,
    }
    if draft.action is Action.ADD and outcome.patch is not None:
        about["structure"] = outcome.structure
        return [_added(draft.fields(), about, outcome.finding_id, outcome.patch)]
    main = Event(
        **draft.fields(),
        **about,
        finding_id=work.finding_id or "",
        others=outcome.others,
        before_sha256=before if outcome.patch else "",
        after_sha256=work.mask.sha256 if outcome.patch else "",
        patch_sha256=outcome.patch.sha256 if outcome.patch else "",
    )
    pieces = zip(outcome.others, draft.pieces, strict=draft.action is Action.SPLIT)
    return [main] + [
        _added(
            {"event_id": f"{draft.event_id}-{number}", "action": Action.ADD},
            {**about, "structure": work.structure},
            finding_id,
            Patch(piece, Runs.none()),
        )
        for number, (finding_id, piece) in enumerate(pieces, start=1)
    ]


def _added(said: dict[str, Any], about: dict[str, Any], finding_id: str, patch: Patch) -> Event:
    """The event of a finding that there was not before."""
    return Event(
        **said,
        **about,
        finding_id=finding_id,
        before_sha256=Runs.none().sha256,
        after_sha256=patch.set.sha256,
        patch_sha256=patch.sha256,
    )


@dataclass(frozen=True)
class _Outcome:
    patch: Patch | None = None
    finding_id: str = ""
    structure: str = ""
    others: tuple[str, ...] = ()


def _note(work: Work, draft: Draft) -> _Outcome:
    return _Outcome()


def _edit(work: Work, draft: Draft) -> _Outcome:
    _need_finding(work, draft)
    if draft.patch is None:
        raise ConfigError("an edit has no patch", where="patch")
    return _Outcome(work.change(draft.patch.apply(work.mask)))


def _decide(work: Work, draft: Draft) -> _Outcome:
    if (work.unit is Unit.CASE) != (draft.action is Action.CLOSE):
        what = f"{draft.action.value} does not end a read of a {work.unit.value}"
        raise ConfigError(what, where="action")
    if draft.action is Action.REJECT and draft.reason is None:
        raise ConfigError("a rejection has no reason", where="reason", fix="say what it is")
    if draft.action is Action.ACCEPT and not work.mask.voxels:
        fix = "reject it, or undo what emptied it"
        raise ConfigError("the mask is empty, so there is no lesion to accept", fix=fix)
    work.state, work.outcome = ReadState.DONE, draft.action
    work.save()
    if work.finding_id is not None:
        finish(work.connection, work.read_id, work.protocol)
    return _Outcome()


def _undo(work: Work, draft: Draft) -> _Outcome:
    """Take back an event of this read: a change of its mask, or its decision."""
    event = _event(work, draft.about)
    if event.action in DECISIONS:
        if work.outcome is not event.action or work.state is not ReadState.DONE:
            raise ConfigError("that decision does not stand any more", where="about")
        reopen(work.connection, work.read_id)
        work.state, work.outcome = ReadState.LEASED, None
        return _Outcome()
    if not event.patch_sha256 or event.action in (Action.ADD, Action.SPLIT, Action.MERGE):
        raise ConfigError(f"{event.action.value} cannot be taken back", where="about")
    if work.state is not ReadState.LEASED:
        raise ConfigError("the read is closed; undo its decision first", where="about")
    if event.action is Action.UNDO:
        raise ConfigError("an undo is taken back by redo", where="about")
    return _Outcome(work.change(_patch(work, event).inverse.apply(work.mask)))


def _redo(work: Work, draft: Draft) -> _Outcome:
    event = _event(work, draft.about)
    if event.action is not Action.UNDO or not event.patch_sha256:
        raise ConfigError("that event was no undo of a change", where="about")
    return _Outcome(work.change(_patch(work, event).inverse.apply(work.mask)))


def _add(work: Work, draft: Draft) -> _Outcome:
    """A lesion that nobody had proposed: a finding whose first read is done by who found it.

    If another reader has added it before, it is that finding, now found by two.
    """
    if draft.patch is None or not draft.patch.set.voxels:
        raise ConfigError("the new lesion has no voxel", where="patch", fix="outline it first")
    structure = draft.structure or work.structure
    if not is_lesion(structure):
        raise ConfigError(f"{structure[:64]!r} is no lesion structure", where="structure")
    patch = Patch(draft.patch.set, Runs.none())
    work.patches.append(patch)
    known = found_before(
        work.connection, work.case_key, work.reader.reader_id, patch.set, work.protocol
    )
    if known is not None:
        take_as_second(work.connection, known, work.reader.reader_id, patch.set, work.protocol)
        return _Outcome(patch, known.finding_id, structure)
    finding = insert_finding(
        work.connection,
        draft.event_id,
        patch.set,
        structure,
        case_key=work.case_key,
        case=work.case,
        rank=work.rank,
        reader_id=work.reader.reader_id,
    )
    read_id = insert_read(
        work.connection, case_key=work.case_key, finding_id=finding, step=1, rank=work.rank
    )
    values = {
        "state": ReadState.DONE,
        "reader_id": work.reader.reader_id,
        "runs": patch.set.pack(),
        "outcome": Action.ACCEPT,
    }
    work.connection.execute(update(reads).where(reads.c.read_id == read_id).values(values))
    finish(work.connection, read_id, work.protocol)
    return _Outcome(patch, finding, structure)


def _split(work: Work, draft: Draft) -> _Outcome:
    """The pieces become findings, which stand in the queue where this one stood."""
    _need_finding(work, draft)
    if work.step != 1:
        fix = "edit the mask, or reject it"
        raise ConfigError("only a first reader can split", where="action", fix=fix)
    together = Runs.none()
    for piece in draft.pieces:
        if not piece.voxels or (together & piece).voxels:
            raise ConfigError("a piece is empty, or two overlap", where="pieces")
        together = together | piece
    if len(draft.pieces) < 2 or (together - work.mask).voxels:
        raise ConfigError("are not two or more parts of the mask", where="pieces")
    made = []
    for number, piece in enumerate(draft.pieces, start=1):
        name, whole, who = f"{draft.event_id}-{number}", work.finding_id, work.reader.reader_id
        made.append(insert_piece(work.connection, name, piece, whole or "", work.case, who))
        work.patches.append(Patch(piece, Runs.none()))
    _void(work, work.finding_id or "")
    work.state, work.outcome = ReadState.DONE, Action.SPLIT
    return _Outcome(others=tuple(made))


def _merge(work: Work, draft: Draft) -> _Outcome:
    """Other findings of the case, not yet decided, become part of this one."""
    _need_finding(work, draft)
    if work.step != 1 or not draft.others:
        raise ConfigError("names no other finding, or this is no first read", where="others")
    mask = work.mask
    for other in draft.others:
        query = (
            select(findings.c.runs, findings.c.state, reads.c.state.label("read"))
            .add_columns(reads.c.reader_id)
            .join(reads, (reads.c.finding_id == findings.c.finding_id) & (reads.c.step == 1))
            .where(findings.c.finding_id == other, findings.c.case_key == work.case_key)
        )
        row = work.connection.execute(query).first()
        if other == work.finding_id or row is None or row.state != "pending":
            raise ConfigError("is no open finding of this case", where=other[:40])
        if row.read == ReadState.LEASED and row.reader_id != work.reader.reader_id:
            raise ConfigError("somebody else is reading it", where=other)
        mask = mask | Runs.unpack(row.runs)
        _void(work, other)
        theirs = (reads.c.finding_id == other) & (reads.c.step == 1)
        work.connection.execute(update(reads).where(theirs).values(state=ReadState.VOID))
    return _Outcome(work.change(mask), others=draft.others)


def _release(work: Work, draft: Draft) -> _Outcome:
    ended(work.connection, work.read_id)
    work.state, work.revision = ReadState.OPEN, work.revision + 1
    return _Outcome()


_ACTS: dict[Action, Callable[[Work, Draft], _Outcome]] = {
    Action.OPEN: _note,
    Action.COMMENT: _note,
    Action.EDIT: _edit,
    Action.ACCEPT: _decide,
    Action.REJECT: _decide,
    Action.UNSURE: _decide,
    Action.CLOSE: _decide,
    Action.UNDO: _undo,
    Action.REDO: _redo,
    Action.ADD: _add,
    Action.SPLIT: _split,
    Action.MERGE: _merge,
    Action.RELEASE: _release,
}


def _need_finding(work: Work, draft: Draft) -> None:
    if work.finding_id is None:
        raise ConfigError("this read is of a case, not of a finding", where=draft.action.value)


def _event(work: Work, event_id: str) -> Event:
    """An event of this read and reader."""
    body = work.connection.execute(
        select(links.c.body).where(
            links.c.event_id == event_id,
            links.c.read_id == work.read_id,
            links.c.reader_id == work.reader.reader_id,
        )
    ).scalar()
    if body is None:
        raise ConfigError("is no event of this read", where=event_id[:64] or "about")
    return Event.from_json(body)


def _patch(work: Work, event: Event) -> Patch:
    for patch in work.patches:
        if patch.sha256 == event.patch_sha256:
            return patch
    query = select(patches.c.content).where(patches.c.patch_sha256 == event.patch_sha256)
    return Patch.unpack(work.connection.execute(query).scalar_one())


def _void(work: Work, finding_id: str) -> None:
    mine = findings.c.finding_id == finding_id
    work.connection.execute(update(findings).where(mine).values(state="void"))
