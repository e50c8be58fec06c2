"""Worker processes, one pipe each, so that what happens to one cannot touch another.

The pools of the standard library, joblib and pebble share a queue and its locks between workers.
The first two lose the whole run with one dead worker. In pebble 5.2 a worker that is killed while
it holds a lock stops the others for one to two minutes, after which the cases in flight are lost,
and a case that leaves with ``os._exit(0)`` is waited for without end. Here nothing is shared: the
driver, in one thread, waits for whichever worker answers, dies or runs out of time.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Any

from scalemai.engine.attempt import Attempt, attempt
from scalemai.engine.queue import Task
from scalemai.engine.worker import serve, unpack
from scalemai.errors import ConfigError

__all__ = ["Answer", "Pool"]

CASES_PER_WORKER = 100
"""A worker is replaced after so many cases, which caps what native libraries leak. The author's
estimate: a start takes seconds where a hundred cases take many minutes."""

FAILED_STARTS = 3
"""So many workers in a row may die while starting (memory was short) before the run stops."""

LONGEST_WAIT_S = 1.0
"""A death is looked for this often even if a child of the worker keeps its pipe open."""

FAREWELL_S = 5.0
"""How long a worker that has no more work may take to leave."""

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)

_environment_lock = threading.Lock()


Answer = tuple[Task, Attempt[Any] | None]
"""A task and how it went; ``None`` if it never started, which is not its fault."""


@dataclass(eq=False, slots=True)
class _Worker:
    process: SpawnProcess
    connection: Connection
    task: Task | None = None
    since: float | None = None  # when the task began; None while the process is starting
    ready: bool = False
    served: int = 0


class Pool:
    """Up to ``workers`` spawned processes, started when there is work for them.

    Parameters
    ----------
    function
        The pickled function.
    workers
        The most processes at a time.
    timeout_s
        Seconds that one item may take; then its worker is killed.
    memory_bytes
        Limit of the data segment of a worker (``RLIMIT_DATA``) during a call; Linux only.
    threads
        Value of the thread variables of numerical libraries in the workers.
    """

    def __init__(
        self,
        function: bytes,
        *,
        workers: int,
        timeout_s: float | None,
        memory_bytes: int | None,
        threads: int,
    ) -> None:
        self._function = function
        self._size = workers
        self._timeout_s = timeout_s
        self._memory_bytes = memory_bytes
        self._threads = threads
        self._workers: list[_Worker] = []
        self._leaving: list[SpawnProcess] = []
        self._failed_starts = 0
        self._ever_ready = False

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        processes = [*self._leaving, *(worker.process for worker in self._workers)]
        if kind is not None:
            for process in processes:
                process.kill()
        for worker in self._workers:
            worker.connection.close()
        for process in processes:
            _reap(process)
        self._workers.clear()
        self._leaving.clear()

    def has_room(self) -> bool:
        """Whether a task can be offered now."""
        return len(self._workers) < self._size or any(w.task is None for w in self._workers)

    def is_busy(self) -> bool:
        """Whether an answer is still to come."""
        return any(worker.task is not None for worker in self._workers)

    def offer(self, task: Task) -> Answer | None:
        """Give ``task`` to a free worker. An answer comes back only if that did not work."""
        packed: Attempt[bytes] = attempt(partial(pickle.dumps, task.item))
        if packed.value is None:
            text = f"the item cannot be sent to another process: {packed.error}"
            return task, replace(packed, value=None, error=text, transient=False)
        worker = next((w for w in self._workers if w.task is None), None) or self._start()
        worker.task = task
        worker.since = time.monotonic() if worker.ready else None
        try:
            worker.connection.send_bytes(packed.value)
        except OSError:  # it died while it was idle or starting
            return self._bury(worker, started=False)
        return None

    def answers(self) -> list[Answer]:
        """Wait until a worker answers, dies or is out of time, or for a second at most."""
        busy = [worker for worker in self._workers if worker.task is not None]
        wait([worker.connection for worker in busy], self._patience(busy))
        answers = (self._listen(worker) for worker in busy)
        return [answer for answer in answers if answer is not None]

    def _patience(self, busy: list[_Worker]) -> float:
        if self._timeout_s is None:
            return LONGEST_WAIT_S
        now = time.monotonic()
        left = [worker.since + self._timeout_s - now for worker in busy if worker.since is not None]
        return max(0.0, min([LONGEST_WAIT_S, *left]))

    def _listen(self, worker: _Worker) -> Answer | None:
        # Looked at before the pipe: whatever a dead process has sent can then be read.
        alive = worker.process.is_alive()
        try:
            if worker.connection.poll():
                return self._receive(worker, worker.connection.recv_bytes())
        except (EOFError, OSError):
            alive = False
        if not alive:
            return self._bury(worker, started=worker.ready)
        if self._timeout_s is None or worker.since is None:
            return None
        seconds = time.monotonic() - worker.since
        return self._stop(worker, seconds) if seconds >= self._timeout_s else None

    def _receive(self, worker: _Worker, message: bytes) -> Answer | None:
        if not worker.ready:
            if message:
                raise ConfigError(
                    f"the worker processes cannot load the function: {message.decode()}",
                    fix="define it at the top level of a module that can be imported",
                )
            worker.ready, worker.since = True, time.monotonic()
            self._ever_ready, self._failed_starts = True, 0
            return None
        task, worker.task = worker.task, None
        worker.served += 1
        if worker.served >= CASES_PER_WORKER:
            self._dismiss(worker)
        return None if task is None else (task, unpack(message))

    def _stop(self, worker: _Worker, seconds: float) -> Answer | None:
        worker.process.kill()
        task = self._remove(worker)
        error = f"was still running after {self._timeout_s:g} s and its process was ended"
        tried: Attempt[Any] = Attempt("timed out", seconds, error=error, error_kind="TimeoutError")
        return None if task is None else (task, tried)

    def _bury(self, worker: _Worker, *, started: bool) -> Answer | None:
        since = worker.since
        task = self._remove(worker)
        how = _ending(worker.process)
        if not worker.ready:
            self._count_failed_start(how)
        if task is None or since is None or not started:
            return None if task is None else (task, None)
        tried: Attempt[Any] = Attempt(
            "crashed",
            time.monotonic() - since,
            error=f"its process ended with {how}{_HINTS.get(how, '')}",
            error_kind=how,
            transient=True,
        )
        return task, tried

    def _count_failed_start(self, how: str) -> None:
        self._failed_starts += 1
        if not self._ever_ready or self._failed_starts >= FAILED_STARTS:
            raise ConfigError(
                f"the worker processes end with {how} while they start",
                fix="read what they printed above; a script must call its work under "
                "if __name__ == '__main__':",
            )

    def _dismiss(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.connection.close()  # it takes this as good-bye
        self._leaving = [process for process in self._leaving if process.is_alive()]
        self._leaving.append(worker.process)

    def _remove(self, worker: _Worker) -> Task | None:
        self._workers.remove(worker)
        worker.connection.close()
        if not _reap(worker.process):
            self._leaving.append(worker.process)
        return worker.task

    def _start(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=serve,
            args=(theirs, os.getpid(), self._function, self._memory_bytes),
            name="scalemai-worker",
            daemon=True,
        )
        try:
            with _environment(self._threads), _interrupts_held():
                process.start()
        except OSError as error:
            ours.close()
            raise ConfigError(
                f"no worker process could be started: {error}", fix="ask for fewer workers"
            ) from error
        finally:
            theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker


_HINTS = {
    "SIGKILL": "; the kernel does this when memory runs out",
    "exit code 0": " before it had a result",
}


def _ending(process: SpawnProcess) -> str:
    code = process.exitcode
    if code is None or code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:  # real-time signals have no name of their own
        return f"signal {-code}"


def _reap(process: SpawnProcess) -> bool:
    """Wait for the end of a process, at last with force; whether it came."""
    process.join(FAREWELL_S)
    if process.exitcode is None:
        process.kill()
        process.join(FAREWELL_S)  # a dead network disk can hold even a killed process
    return process.exitcode is not None


@contextlib.contextmanager
def _environment(threads: int) -> Iterator[None]:
    # Numerical libraries read these once, when they are first imported, and spawn imports the
    # main module before any code of ours runs in the worker: so it must inherit them.
    with _environment_lock:
        before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    # A process inherits the mask, so Ctrl-C cannot hit it half-way through its imports.
    if sys.platform == "win32":
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # the first start of it would lift the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
