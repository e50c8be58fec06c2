"""What a page says was done, before the server knows it for an event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from scalemai.annotation.edits.patches import Patch
from scalemai.annotation.edits.runs import Runs
from scalemai.annotation.events import Event
from scalemai.annotation.words import Action, Reason
from scalemai.errors import ConfigError

__all__ = ["Draft"]

_EVENT = (
    "event_id",
    "action",
    "reason",
    "confidence",
    "comment",
    "about",
    "active_ms",
    "idle_ms",
    "slices_viewed",
    "strokes",
    "keys",
    "began",
    "ended",
)
_WHOLE = ("active_ms", "idle_ms", "slices_viewed", "strokes", "keys", "confidence")
_LONGEST = 256
_MOST_PIECES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An event as it leaves the page. The fields are those of the event, and:

    Parameters
    ----------
    patch
        Voxels set and cleared, for ``edit``; the new mask as ``set``, for ``add``.
    structure
        Lesion structure of what is added; that of the organ by default.
    pieces
        Masks that a finding is split into.
    others
        Findings that are merged into this one.
    """

    event_id: str
    action: Action
    reason: Reason | None = None
    confidence: int | None = None
    comment: str = ""
    about: str = ""
    active_ms: int = 0
    idle_ms: int = 0
    slices_viewed: int = 0
    strokes: int = 0
    keys: int = 0
    began: str = ""
    ended: str = ""
    patch: Patch | None = None
    structure: str = ""
    pieces: tuple[Runs, ...] = ()
    others: tuple[str, ...] = ()

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any], shape: Sequence[int]) -> Draft:
        """A draft from the JSON of a page.

        Raises
        ------
        ConfigError
            If a name is not known, or a value is missing or impossible.
        """
        known = {one.name for one in fields(cls)}
        if strange := sorted(set(plain) - known):
            raise ConfigError(f"{strange[0]!r} is not known", where="event")
        values = {name: value for name, value in plain.items() if value is not None}
        for name in ("event_id", "action", "reason", "comment", "about", "began", "ended"):
            if name in values and not isinstance(values[name], str):
                raise ConfigError("is no text", where=name)
        for name in ("began", "ended", "structure"):
            if len(str(values.get(name, ""))) > _LONGEST:
                raise ConfigError("is too long", where=name)
        for name in _WHOLE:
            if name in values and type(values[name]) is not int:
                raise ConfigError("is no whole number", where=name)
        for name, kind in (("action", Action), ("reason", Reason)):
            if name in values:
                try:
                    values[name] = kind(values[name])
                except ValueError as error:
                    raise ConfigError(f"{values[name]!r} is not known", where=name) from error
        if "patch" in values:
            if not isinstance(values["patch"], dict):
                raise ConfigError("is no patch", where="patch")
            values["patch"] = Patch.from_plain(values["patch"], shape)
        pieces = values.get("pieces", [])
        if not isinstance(pieces, list) or len(pieces) > _MOST_PIECES:
            raise ConfigError("are no list of a few masks", where="pieces")
        values["pieces"] = tuple(Runs.of_pairs(piece, shape) for piece in pieces)
        others = values.get("others", [])
        if not isinstance(others, list) or not all(isinstance(one, str) for one in others):
            raise ConfigError("are no list of findings", where="others")
        values["others"] = tuple(others)
        try:
            return cls(**values)
        except TypeError as error:
            raise ConfigError("event_id or action is missing", where="event") from error

    def matches(self, event: Event) -> bool:
        """Whether an event of the ledger is this draft, sent once before."""
        return all(getattr(self, name) == getattr(event, name) for name in _EVENT)

    def fields(self) -> dict[str, Any]:
        """The fields that go into the event as they are."""
        return {name: getattr(self, name) for name in _EVENT}
