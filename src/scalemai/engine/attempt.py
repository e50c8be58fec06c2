"""Call a function once, and turn whatever it raises into data."""

from __future__ import annotations

import errno
import time
import traceback
from bdb import BdbQuit
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

from scalemai.engine.outcome import Status, Value
from scalemai.errors import ScaleMAIError

__all__ = ["Attempt", "attempt"]

ERROR_LENGTH = 1000
"""Longest error text that is kept, in characters: a ledger line stays a line."""

_LASTING_ERRORS = (
    PermissionError,
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
)
# EDQUOT does not exist on every platform.
_LASTING_CODES = {
    code
    for name in ("ENOSPC", "EDQUOT", "EROFS", "EFBIG", "ENAMETOOLONG", "ELOOP")
    if (code := getattr(errno, name, None)) is not None
}


@dataclass(frozen=True, slots=True)
class Attempt(Generic[Value]):
    """One try at one item. ``transient`` says that another try may go better."""

    status: Status
    seconds: float
    value: Value | None = None
    error: str | None = None
    error_kind: str | None = None
    traceback: str | None = None
    transient: bool = False


def attempt(work: Callable[[], Value]) -> Attempt[Value]:
    """Call ``work`` once. Only an interrupt or leaving the debugger gets through."""
    begin = time.perf_counter()
    try:
        value = work()
    except BdbQuit:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- this is the one place where a case's error, of any kind, is kept from the other cases
        return _failure(error, time.perf_counter() - begin)
    return Attempt("done", time.perf_counter() - begin, value)


def _failure(error: BaseException, seconds: float) -> Attempt[Value]:
    status: Status = "failed"
    kind = type(error).__name__
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        # numpy and mmap have names of their own for it.
        status, kind = "out of memory", "MemoryError"
    text = " ".join(str(error).split())[:ERROR_LENGTH]
    if not isinstance(error, ScaleMAIError):
        text = f"{kind}: {text}" if text else kind
    return Attempt(
        status,
        seconds,
        error=text,
        error_kind=kind,
        traceback="".join(traceback.format_exception(error)),
        transient=status == "failed" and _is_transient(error),
    )


def _is_transient(error: BaseException) -> bool:
    """Whether trying again may help: a hiccup of the file system or the network.

    An error that ScaleMAI raises on purpose has been understood already, and a missing file,
    a refused permission or a full disk will be the same a second later.
    """
    return (
        isinstance(error, OSError)
        and not isinstance(error, (ScaleMAIError, *_LASTING_ERRORS))
        and error.errno not in _LASTING_CODES
    )
