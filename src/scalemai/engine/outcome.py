"""What became of one item."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

__all__ = ["Outcome", "Status", "Value"]

Status = Literal["done", "failed", "crashed", "timed out", "out of memory"]
"""``failed`` raised an exception; ``crashed`` took its process down (signal, ``os._exit``)."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Value]):
    """What became of one item, after its last attempt.

    Parameters
    ----------
    key
        The item's key: the case id, for cases.
    status
        One of :data:`Status`.
    seconds
        Wall-clock seconds of the last attempt.
    attempts
        How often it was tried.
    value
        What the function returned; ``None`` unless the status is ``done``.
    error
        What went wrong, on one line; ``None`` if the status is ``done``.
    error_kind
        For grouping: the class of the exception (``"ValueError"``), or how the process ended
        (``"SIGKILL"``, ``"exit code 3"``).
    traceback
        The traceback of an exception, for debugging. It is not written to the ledger.
    """

    key: str
    status: Status
    seconds: float
    attempts: int
    value: Value | None = None
    error: str | None = None
    error_kind: str | None = None
    traceback: str | None = field(default=None, repr=False, compare=False)
