"""Answers: what a reader is asked next, and what he says, in the ledger that reviews have.

An answer is an event like any other, with action ``close`` (it ends the read of a display), the
answer as its comment, its confidence and its times; ``read_id`` is the trial and ``case_key`` the
display. So answers are chained and timed as decisions are, and :func:`scalemai.annotation.ledger.
verify` checks them. Nothing is kept beside the ledger: order and repeats follow by hash.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.engine import Engine

from scalemai._version import __version__
from scalemai.annotation.database.opening import writing
from scalemai.annotation.database.schema import facts, links
from scalemai.annotation.events import Event
from scalemai.annotation.facts import write_fact
from scalemai.annotation.ledger import append, known
from scalemai.annotation.readers import Reader
from scalemai.annotation.refusals import ConflictError, RefusedError
from scalemai.annotation.rules import steps_of
from scalemai.annotation.turing.design import Task
from scalemai.annotation.turing.order import Trial, trials_of
from scalemai.annotation.turing.studies import Study
from scalemai.annotation.words import Action
from scalemai.errors import ConfigError

__all__ = ["ANSWERS", "Answer", "close_study", "is_closed", "outstanding", "record"]

ANSWERS: Mapping[Task, tuple[str, str]] = {
    "single": ("real", "synthetic"),
    "2afc": ("left", "right"),
}
"""What may be said: what a lesion is, or on which side the real one is."""

_CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a reader said.

    Parameters
    ----------
    event_id, trial_id
        Chosen by the page; and what was asked.
    answer
        One of :data:`ANSWERS`.
    confidence
        1 (guess) to 5 (certain).
    active_ms, idle_ms, slices_viewed, keys, began, ended
        As of :class:`scalemai.annotation.events.Event`.

    Raises
    ------
    ConfigError
        If a value is of the wrong kind.
    """

    event_id: str
    trial_id: str
    answer: str
    confidence: int
    active_ms: int = 0
    idle_ms: int = 0
    slices_viewed: int = 0
    keys: int = 0
    began: str = ""
    ended: str = ""

    def __post_init__(self) -> None:
        for field in fields(self):
            value, kind = getattr(self, field.name), str if field.type == "str" else int
            if type(value) is not kind or (isinstance(value, str) and len(value) > 64):
                raise ConfigError("is not what is asked for", where=field.name)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Answer:
        """The answer of a mapping.

        Raises
        ------
        ConfigError
            If a name is not known, or a value missing or impossible.
        """
        names = {field.name for field in fields(cls)}
        if strange := sorted(set(plain) - names):
            raise ConfigError(f"{strange[0][:40]!r} is not known", where="answer")
        for name in ("event_id", "trial_id", "answer", "confidence"):
            if name not in plain:
                raise ConfigError("is absent", where=name)
        return cls(**plain)


def outstanding(connection: Connection, study: Study, reader: Reader) -> tuple[Trial, ...]:
    """What a reader has not answered yet, in his order; nothing for who reads nothing."""
    if not steps_of(reader.role):
        return ()
    query = select(links.c.read_id).where(
        links.c.reader_id == reader.reader_id, links.c.action == Action.CLOSE.value
    )
    done = set(connection.execute(query).scalars())
    return tuple(one for one in trials_of(study, reader.reader_id) if one.trial_id not in done)


def record(engine: Engine, study: Study, reader: Reader, answer: Answer, *, now_ms: int) -> int:
    """Put an answer into the ledger; how many trials are left. Sending it again does nothing.

    Raises
    ------
    ConfigError
        If it is no answer to what was asked.
    ConflictError
        If the trial is not the next one, or was answered otherwise.
    RefusedError
        If the study is closed.
    OutputError
        If the database does not take it.
    """
    task = study.design.task
    if answer.answer not in ANSWERS[task]:
        what = f"{answer.answer!r} is no answer"
        raise ConfigError(what, where="answer", fix=" or ".join(ANSWERS[task]))
    asked = {one.trial_id: one for one in trials_of(study, reader.reader_id)}
    trial = asked.get(answer.trial_id)
    if trial is None:
        raise ConflictError("is not asked of you", where=f"trial {answer.trial_id}")
    event = Event(
        event_id=answer.event_id,
        action=Action.CLOSE,
        reader_id=reader.reader_id,
        role=reader.role,
        case_key=trial.display.key,
        read_id=trial.trial_id,
        confidence=answer.confidence,
        comment=answer.answer,
        active_ms=answer.active_ms,
        idle_ms=answer.idle_ms,
        slices_viewed=answer.slices_viewed,
        keys=answer.keys,
        began=answer.began,
        ended=answer.ended,
        tool=f"scalemai {__version__}",
    )
    if event.confidence is None:
        raise ConfigError("is absent", where="confidence", fix="1 (guess) to 5 (certain)")
    with writing(engine) as connection:
        left = outstanding(connection, study, reader)
        if known(connection, event) is not None:
            return len(left)
        if is_closed(connection):
            raise RefusedError("the study is closed", fix="ask who runs it")
        if not left or left[0].trial_id != trial.trial_id:
            what = "was answered before, or is not the next one"
            raise ConflictError(what, where=f"trial {trial.trial_id}", fix="load the page again")
        append(connection, [event], now_ms=now_ms)
    return len(left) - 1


def close_study(connection: Connection, digest: str) -> None:
    """Take no more answers: the key was opened. ``digest`` is that of the key's file."""
    if not is_closed(connection):
        write_fact(connection, _CLOSED, digest)


def is_closed(connection: Connection) -> bool:
    """Whether the key was opened."""
    query = select(facts.c.value).where(facts.c.name == _CLOSED)
    return connection.execute(query).scalar() is not None
