"""Events: what a reader did, once and for all, chained by hashes.

An event is made in the browser and has its id from there, so that sending it twice does nothing.
The ledger gives it a place in one chain: each hash covers the event and the hash before it, so that
no event can be changed, dropped or put in between without all later hashes being wrong.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from scalemai.annotation.words import Action, Arm, Reason, Role
from scalemai.errors import ConfigError

__all__ = ["GENESIS", "Event", "Link", "chain_hash", "first_break"]

GENESIS = "0" * 64
"""The hash before the first event."""

_LONGEST_COMMENT = 4000
_ID = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that a reader did.

    Parameters
    ----------
    event_id
        Chosen by who made it: letters, digits and hyphens, at most 64.
    action
        What was done.
    reader_id, role
        Who did it, and as what.
    case_key
        Case, by its opaque key.
    read_id, finding_id
        The read in which it was done, and the finding concerned; empty for events of a case.
    arm
        How the case is read.
    reason
        What a rejected finding is.
    confidence
        1 (guess) to 5 (certain), if it was asked for.
    comment
        Free words of the reader, at most 4,000 characters.
    about
        Id of the event that is undone or redone.
    structure
        Lesion structure of a finding that is added.
    others
        Ids of the findings that a split made, or that a merge took up.
    active_ms, idle_ms
        Time on the read since the event before: at work, and in pauses as the protocol has them.
    slices_viewed, strokes, keys
        Distinct slices shown, strokes drawn and keys pressed in that time.
    before_sha256, after_sha256
        Of the mask's runs before and after (:class:`~scalemai.annotation.edits.runs.Runs`), for
        events that change one.
    patch_sha256
        Of the patch that leads from one to the other.
    revision
        Of the read's mask after the event.
    began, ended
        UTC times, ISO 8601, by the reader's clock; the ledger adds its own.
    tool
        Name and version of what the reader used.

    Raises
    ------
    ConfigError
        If a value is impossible.
    """

    event_id: str
    action: Action
    reader_id: str
    role: Role
    case_key: str
    read_id: str = ""
    finding_id: str = ""
    arm: Arm = Arm.ASSISTED
    reason: Reason | None = None
    confidence: int | None = None
    comment: str = ""
    about: str = ""
    structure: str = ""
    others: tuple[str, ...] = ()
    active_ms: int = 0
    idle_ms: int = 0
    slices_viewed: int = 0
    strokes: int = 0
    keys: int = 0
    before_sha256: str = ""
    after_sha256: str = ""
    patch_sha256: str = ""
    revision: int = 0
    began: str = ""
    ended: str = ""
    tool: str = ""

    def __post_init__(self) -> None:
        if not 0 < len(self.event_id) <= _ID or not self.event_id.replace("-", "").isalnum():
            raise ConfigError(f"{self.event_id[:80]!r} is no event id", where="event_id")
        if self.confidence is not None and not 1 <= self.confidence <= 5:
            raise ConfigError(f"{self.confidence} is not 1 to 5", where="confidence")
        if self.action is Action.REJECT and self.reason is None:
            fix = "say what the finding is"
            raise ConfigError("a rejection has no reason", where="reason", fix=fix)
        if self.action in (Action.UNDO, Action.REDO) and not self.about:
            raise ConfigError(f"{self.action} names no event", where="about")
        if len(self.comment) > _LONGEST_COMMENT:
            what = f"{len(self.comment)} characters are more than {_LONGEST_COMMENT}"
            raise ConfigError(what, where="comment", fix="shorten it")
        for name in ("active_ms", "idle_ms", "slices_viewed", "strokes", "keys", "revision"):
            if getattr(self, name) < 0:
                raise ConfigError("is negative", where=name)

    def to_json(self) -> str:
        """Canonical JSON: sorted names, no spaces, ASCII; equal events have equal text."""
        plain = asdict(self)
        return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True)

    @classmethod
    def from_json(cls, text: str) -> Event:
        """The event of :meth:`to_json`.

        Raises
        ------
        ConfigError
            If the text is no event.
        """
        try:
            plain = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"no JSON ({error})", where="event") from error
        if not isinstance(plain, dict):
            raise ConfigError("no JSON object", where="event")
        return cls.from_plain(plain)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Event:
        """The event of a mapping of plain values.

        Raises
        ------
        ConfigError
            If a name is not known, or a value is missing or impossible.
        """
        known = {field.name for field in fields(cls)}
        if strange := sorted(set(plain) - known):
            raise ConfigError(f"{strange[0]!r} is not known", where="event")
        words = {"action": Action, "role": Role, "arm": Arm, "reason": Reason}
        values = dict(plain)
        for name, kind in words.items():
            if values.get(name) is not None:
                try:
                    values[name] = kind(values[name])
                except ValueError as error:
                    raise ConfigError(f"{values[name]!r} is not known", where=name) from error
        values["others"] = tuple(values.get("others", ()))
        try:
            return cls(**values)
        except TypeError as error:
            raise ConfigError(str(error).rpartition("() ")[2], where="event") from error


@dataclass(frozen=True, slots=True)
class Link:
    """An event at its place in the chain.

    Parameters
    ----------
    seq
        From 1, without gaps.
    received
        When the ledger took it, UTC, ISO 8601 with milliseconds.
    body
        The event's canonical JSON, as it was hashed.
    previous, hash
        Hash of the link before (:data:`GENESIS` for the first) and of this one, SHA-256 in hex.
    """

    seq: int
    received: str
    body: str
    previous: str
    hash: str

    @property
    def event(self) -> Event:
        """The event."""
        return Event.from_json(self.body)


def chain_hash(previous: str, seq: int, received: str, body: str) -> str:
    """Hash of a link: SHA-256 of the four, a line each."""
    return hashlib.sha256(f"{previous}\n{seq}\n{received}\n{body}".encode()).hexdigest()


def first_break(links: Iterable[Link]) -> int | None:
    """Number of the first link that does not follow from the one before; None if all do.

    Parameters
    ----------
    links
        In the order of their numbers.
    """
    previous, expected = GENESIS, 1
    for link in links:
        right = chain_hash(previous, link.seq, link.received, link.body)
        if link.seq != expected or link.previous != previous or link.hash != right:
            return expected
        previous, expected = link.hash, expected + 1
    return None
