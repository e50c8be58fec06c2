"""The words of a review: what a reader can do, and what becomes of a finding."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["DECISIONS", "Action", "Arm", "Origin", "ReadState", "Reason", "Role", "Unit"]


class Role(StrEnum):
    """What an account may do."""

    READER = "reader"
    """First reads."""
    SECOND_READER = "second_reader"
    """First and second reads."""
    ADJUDICATOR = "adjudicator"
    """All reads, and the settling of two that differ."""
    MANAGER = "manager"
    """Accounts, progress and exports; reads nothing."""


class Action(StrEnum):
    """What an event of the ledger says was done."""

    OPEN = "open"
    """The read came on the screen."""
    ACCEPT = "accept"
    """The finding is a lesion and its mask is right as it is now."""
    REJECT = "reject"
    """The finding is no lesion; a :class:`Reason` says what it is."""
    UNSURE = "unsure"
    """The reader cannot tell; somebody else reads it."""
    EDIT = "edit"
    """Voxels of the mask were set and cleared; an event per stroke or tool."""
    ADD = "add"
    """A lesion that nobody had proposed, with its mask."""
    SPLIT = "split"
    """The finding became several; each is a finding of its own from then on."""
    MERGE = "merge"
    """Findings became one."""
    UNDO = "undo"
    """What an earlier event did is taken back; it names that event."""
    REDO = "redo"
    """What an undo took back is done again; it names that event."""
    COMMENT = "comment"
    """Words, nothing else."""
    CLOSE = "close"
    """A read of a whole case is finished: nothing more to add."""
    RELEASE = "release"
    """The read goes back to the queue, undecided."""


DECISIONS = frozenset({Action.ACCEPT, Action.REJECT, Action.UNSURE, Action.CLOSE})
"""Actions that end a read."""


class Reason(StrEnum):
    """What a rejected finding is."""

    VESSEL = "vessel"
    BOWEL = "bowel"
    STENT = "stent"
    ARTEFACT = "artefact"
    NORMAL_VARIANT = "normal_variant"
    CYST = "cyst"
    PARTIAL_VOLUME = "partial_volume"
    DUPLICATE = "duplicate"
    OTHER = "other"


class Origin(StrEnum):
    """Where a finding comes from. Pages are never told."""

    MODEL = "model"
    """A detector proposed it."""
    SOURCE = "source"
    """It is in the masks that the data set came with."""
    READER = "reader"
    """A reader added it."""
    DECOY_LESION = "decoy_lesion"
    """A synthetic lesion, put in to see whether true ones are rejected."""
    DECOY_FALSE = "decoy_false"
    """Normal tissue, marked to see whether false ones are accepted."""


class Arm(StrEnum):
    """How a case is read, for the measurement of what assistance saves."""

    ASSISTED = "assisted"
    """Findings are proposed."""
    MANUAL = "manual"
    """Nothing is proposed; the reader searches and outlines."""


class Unit(StrEnum):
    """What a read is about."""

    FINDING = "finding"
    CASE = "case"
    """A search of the whole scan: manual arm, or for lesions that nobody proposed."""


class ReadState(StrEnum):
    """Where a read is."""

    OPEN = "open"
    LEASED = "leased"
    DONE = "done"
    VOID = "void"
    """Not needed any more, for example of a finding that was merged into another."""
