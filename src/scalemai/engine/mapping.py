"""The map itself: what is asked, what is left to do, and the stream of outcomes."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import Any, Generic, TypeVar

from scalemai.engine.attempt import attempt
from scalemai.engine.ledger import Ledger
from scalemai.engine.outcome import Outcome, Value
from scalemai.engine.processes import Answer, Pool
from scalemai.engine.queue import Queue, Task
from scalemai.errors import ConfigError

__all__ = ["Run", "map"]

Item = TypeVar("Item")


class Run(Generic[Value]):
    """An iterator over outcomes, as they come. Leaving it early ends the workers.

    It can be used in a ``with`` statement, so that an exception in the caller's loop ends the
    workers at once rather than when the iterator is garbage.

    Attributes
    ----------
    total
        How many items were given.
    resumed
        How many of them the ledger already had as done; they yield no outcome.
    """

    def __init__(
        self, outcomes: Generator[Outcome[Value], None, None], *, total: int, resumed: int
    ) -> None:
        self._outcomes = outcomes
        self.total = total
        self.resumed = resumed

    def __iter__(self) -> Iterator[Outcome[Value]]:
        return self

    def __next__(self) -> Outcome[Value]:
        return next(self._outcomes)

    def close(self) -> None:
        """End the workers. Items without an outcome are left for the next run."""
        self._outcomes.close()

    def __enter__(self) -> Run[Value]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def map(
    function: Callable[[Item], Value],
    items: Iterable[Item],
    *,
    workers: int = 1,
    ledger: Ledger | None = None,
    is_complete: Callable[[str], bool] | None = None,
    key: Callable[[Item], str] = str,
    attempts: int = 2,
    timeout_s: float | None = None,
    memory_bytes: int | None = None,
    threads: int = 1,
) -> Run[Value]:
    """Call ``function`` on each item; whatever happens to one item stays with that item.

    With one worker the calls are made in this process, where a debugger works. With more they
    are made in spawned processes, and then a crash, a hang or an allocation beyond the limit
    also costs no more than its own item. Outcomes come as they are ready, in no promised order;
    which outcomes there are does not depend on order or number of workers.

    Worker death and passing file-system errors are tried again, after all other items. Other
    exceptions, those of :mod:`scalemai.errors` above all, are not: they would come again.

    Parameters
    ----------
    function
        For more than one worker it must be importable: defined at the top level of a module.
        It should write files and return something small.
    items
        Identifiers or paths, not arrays: each is pickled. They are read once, at the start.
    workers
        Number of processes; 1 means this process. See :func:`default_workers`.
    ledger
        Where finished keys are recorded and looked up. Items that it has as done are skipped;
        those that failed are tried again.
    is_complete
        Called with a key that the ledger has as done; the item is skipped only if this agrees,
        for example because its files are still there.
    key
        Names an item; names must differ.
    attempts
        How often an item is tried, at most.
    timeout_s
        Seconds that one attempt may take. Without effect for one worker: a process cannot
        interrupt itself reliably.
    memory_bytes
        Data memory (heap and anonymous maps, interpreter and libraries included) that a worker
        may have during a call; the item that goes beyond is ``out of memory``. Enforced on
        Linux, and only for more than one worker: it would bind the caller, too.
    threads
        Threads that OpenMP, OpenBLAS, MKL, Numba, Polars and ITK may use in each worker. Without
        effect for one worker.

    Returns
    -------
    Run
        Nothing starts before the first outcome is asked for. Ask from one thread: on Linux the
        workers end with the thread that started them.

    Raises
    ------
    ConfigError
        At once if an argument is impossible, two items have one key, or ``function`` cannot be
        pickled; while iterating if workers cannot start or cannot import it.
    OutputError
        While iterating, if the ledger cannot be written.

    Notes
    -----
    A child process that ``function`` itself starts is not ended with its worker.
    """
    _check(workers=workers, attempts=attempts, threads=threads)
    for name, limit in (("timeout_s", timeout_s), ("memory_bytes", memory_bytes)):
        if limit is not None and not limit > 0:
            raise ConfigError(f"must be above 0, not {limit}", where=name)
    tasks = _tasks(items, key)
    finished = set() if ledger is None else ledger.finished()
    todo = [
        task
        for task in tasks
        if task.key not in finished or (is_complete is not None and not is_complete(task.key))
    ]
    queue = Queue(todo, attempts)
    outcomes: Generator[Outcome[Value], None, None]
    if workers == 1:
        outcomes = _inline(function, queue, ledger)
    else:
        pool = Pool(
            _packed(function),
            workers=workers,
            timeout_s=timeout_s,
            memory_bytes=memory_bytes,
            threads=threads,
        )
        outcomes = _spawned(pool, queue, ledger)
    return Run(outcomes, total=len(tasks), resumed=len(tasks) - len(todo))


def _inline(
    function: Callable[[Any], Value], queue: Queue, ledger: Ledger | None
) -> Generator[Outcome[Value], None, None]:
    while queue:
        task = queue.take()
        outcome = queue.settle(task, attempt(partial(function, task.item)))
        if outcome is not None:
            _record(ledger, outcome)
            yield outcome


def _spawned(
    pool: Pool, queue: Queue, ledger: Ledger | None
) -> Generator[Outcome[Value], None, None]:
    with pool:
        answers = _hand_out(queue, pool)
        while answers or pool.is_busy():
            outcomes = []
            for task, tried in answers:
                if tried is None:
                    queue.put_back(task)
                elif (outcome := queue.settle(task, tried)) is not None:
                    _record(ledger, outcome)
                    outcomes.append(outcome)
            # Before the caller sees them, so that no worker waits while the caller thinks.
            answers = _hand_out(queue, pool)
            yield from outcomes
            if not answers and pool.is_busy():
                answers = pool.answers()


def _hand_out(queue: Queue, pool: Pool) -> list[Answer]:
    """Give every free worker one item, so that no more wait in pipes than are worked on."""
    refused = []
    while queue and pool.has_room():
        if (answer := pool.offer(queue.take())) is not None:
            refused.append(answer)
    return refused


def _record(ledger: Ledger | None, outcome: Outcome[Any]) -> None:
    if ledger is not None:
        ledger.append(outcome)


def _tasks(items: Iterable[Item], key: Callable[[Item], str]) -> list[Task]:
    tasks: dict[str, Task] = {}
    for item in items:
        name = key(item)
        if not isinstance(name, str):
            raise ConfigError(f"the key of {item!r} is {name!r}; keys are strings", where="key")
        if name in tasks:
            raise ConfigError(
                f"two items have the key {name!r}", where="items", fix="give each case once"
            )
        tasks[name] = Task(name, item)
    return list(tasks.values())


def _packed(function: Callable[..., Any]) -> bytes:
    packed = attempt(partial(pickle.dumps, function))
    if packed.value is None:
        raise ConfigError(
            f"the function cannot be sent to worker processes: {packed.error}",
            fix="define it at the top level of a module, or use one worker",
        )
    return packed.value


def _check(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ConfigError(f"must be at least 1, not {count}", where=name)
