"""Rules of reading: who may read what, what is read twice, and when two reads agree."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from scalemai.annotation.edits.runs import Runs
from scalemai.annotation.protocol import Protocol
from scalemai.annotation.words import Action, Origin, Role

__all__ = ["Decided", "Read", "agree", "needs_second", "overlap", "share_of", "steps_of"]

_STEPS = {
    Role.READER: (1,),
    Role.SECOND_READER: (1, 2),
    Role.ADJUDICATOR: (1, 2, 3),
    Role.MANAGER: (),
}


@dataclass(frozen=True, slots=True)
class Decided:
    """A finding whose first read has ended.

    Parameters
    ----------
    finding_id
        Opaque name.
    origin
        Where it comes from.
    score
        The detector's, 0 to 1, if it has one.
    diameter_mm
        Longest axial diameter of the mask as it was decided.
    action
        What the reader decided.
    """

    finding_id: str
    origin: Origin
    score: float | None
    diameter_mm: float
    action: Action


@dataclass(frozen=True, slots=True)
class Read:
    """How one reader left a finding."""

    action: Action
    mask: Runs


def steps_of(role: Role) -> tuple[int, ...]:
    """The steps that a role may read: 1 first, 2 second, 3 adjudication."""
    return _STEPS[role]


def needs_second(decided: Decided, protocol: Protocol) -> str | None:
    """Why a finding is read by somebody else too; None if it is not.

    Planted findings are read once: what they are is known.
    """
    if decided.origin in (Origin.DECOY_LESION, Origin.DECOY_FALSE):
        return None
    if protocol.second_if_unsure and decided.action is Action.UNSURE:
        return "unsure"
    if protocol.second_if_added and decided.origin is Origin.READER:
        return "added"
    if 0 < decided.diameter_mm < protocol.second_below_mm:
        return "small"
    if protocol.second_if_conflict and decided.score is not None:
        rejected = decided.action is Action.REJECT and decided.score >= protocol.conflict_high
        accepted = decided.action is Action.ACCEPT and decided.score < protocol.conflict_low
        if rejected or accepted:
            return "conflict"
    drawn = share_of(protocol.seed, "second", decided.finding_id) < protocol.second_share
    return "drawn" if drawn else None


def agree(first: Read, second: Read, protocol: Protocol) -> bool:
    """Whether two reads settle a finding: one decision and, if it is a lesion, much the same mask.

    Two readers who are both unsure have settled nothing.
    """
    if first.action is not second.action or first.action is Action.UNSURE:
        return False
    if first.action is Action.ACCEPT:
        return first.mask.dice(second.mask) >= protocol.senior_below_dice
    return True


def overlap(one: Runs, two: Runs) -> float:
    """Intersection over union of two masks, 0 to 1; 0 if both are empty."""
    shared = (one & two).voxels
    union = one.voxels + two.voxels - shared
    return shared / union if union else 0.0


def share_of(seed: int, purpose: str, name: str) -> float:
    """A number from 0 to 1 that is drawn by hash: the same whoever asks, and in whatever order."""
    digest = hashlib.sha256(f"{seed}\n{purpose}\n{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
