"""The worker's side of the process pool: take an item, answer with an attempt, again."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any

from scalemai.engine.attempt import Attempt, attempt

__all__ = ["serve", "unpack"]

PR_SET_PDEATHSIG = 1
"""``prctl(2)``: the signal that the kernel sends to a process when its parent dies."""


def serve(
    connection: Connection, driver_pid: int, function: bytes, memory_bytes: int | None
) -> None:
    """Answer the driver until it hangs up.

    The first message says whether ``function`` could be loaded: nothing if so, otherwise the
    error as text. Each further message answers one item with a pickled :class:`Attempt`.
    """
    _end_with(driver_pid)
    _leave_interrupts_to_the_driver()
    loaded: Attempt[Any] = attempt(lambda: pickle.loads(function))
    connection.send_bytes((loaded.error or "").encode())
    # EOF or a broken pipe: the driver has no more work, or is gone.
    with contextlib.suppress(EOFError, OSError):
        while loaded.status == "done":
            item = connection.recv_bytes()
            answer = attempt(partial(_call, loaded.value, item, memory_bytes))
            connection.send_bytes(_pack(answer))


def unpack(message: bytes) -> Attempt[Any]:
    """The attempt in a worker's answer; one that cannot be read counts as failed."""
    opened: Attempt[Attempt[Any]] = attempt(lambda: pickle.loads(message))
    return opened.value if opened.value is not None else _unsendable(opened)


def _call(function: Any, item: bytes, memory_bytes: int | None) -> Any:
    with _memory_limit(memory_bytes):
        return function(pickle.loads(item))


def _pack(answer: Attempt[Any]) -> bytes:
    packed = attempt(lambda: pickle.dumps(answer))
    return packed.value if packed.value is not None else pickle.dumps(_unsendable(packed))


def _unsendable(reason: Attempt[Any]) -> Attempt[Any]:
    text = f"the result cannot be sent between processes: {reason.error}"
    return replace(reason, error=text, transient=False)


@contextlib.contextmanager
def _memory_limit(memory_bytes: int | None) -> Iterator[None]:
    # Around the call only: describing the error and sending the answer must never lack memory.
    # RLIMIT_DATA rather than RLIMIT_AS, since CUDA and memory-mapped files reserve address
    # space that they do not use.
    if memory_bytes is None or sys.platform != "linux":
        yield
        return
    import resource  # absent on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _leave_interrupts_to_the_driver() -> None:
    # Ctrl-C reaches the whole process group; the driver alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # held while starting


def _end_with(driver_pid: int) -> None:
    """See to it that no worker outlives its driver, however the driver ends."""
    if sys.platform == "linux" and _ask_the_kernel():
        if os.getppid() != driver_pid:  # it died before the kernel was asked
            os._exit(1)
    else:
        threading.Thread(target=_watch_the_driver, daemon=True).start()


def _ask_the_kernel() -> bool:
    answer: int = ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    return answer == 0


def _watch_the_driver() -> None:
    driver = multiprocessing.parent_process()
    if driver is not None:
        wait([driver.sentinel])
        os._exit(1)
