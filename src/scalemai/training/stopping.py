"""Signals that ask a training to stop: it ends its step and writes a checkpoint first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

__all__ = ["Stop", "listening"]

_SIGNALS = ("SIGINT", "SIGTERM", "SIGUSR1")
"""Ctrl-C; the end of a job's time; SLURM's warning before it, where it is asked for."""


@dataclass
class Stop:
    """Whether somebody asked to stop."""

    asked: bool = False


@contextmanager
def listening() -> Iterator[Stop]:
    """Note signals instead of dying of them; the second Ctrl-C stops at once.

    Python lets the main thread alone listen; in others nothing changes. Former handlers come back
    at the end.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def note(number: int, frame: FrameType | None) -> None:
        if stop.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.asked = True

    known = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    before = {number: signal.signal(number, note) for number in known}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
