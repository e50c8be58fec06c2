"""Which item is next, and whether an attempt was its last."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from scalemai.engine.attempt import Attempt
from scalemai.engine.outcome import Outcome

__all__ = ["Queue", "Task"]


@dataclass(eq=False, slots=True)
class Task:
    """An item, its key, and how often it was tried."""

    key: str
    item: Any
    tries: int = 0


class Queue:
    """Tasks in order; those to be tried again come after all others, when a hiccup is over."""

    def __init__(self, tasks: Iterable[Task], attempts: int) -> None:
        self._waiting = deque(tasks)
        self._attempts = attempts

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def take(self) -> Task:
        """The next task; :class:`IndexError` if there is none."""
        return self._waiting.popleft()

    def put_back(self, task: Task) -> None:
        """Return a task that never started; that is no attempt."""
        self._waiting.appendleft(task)

    def settle(self, task: Task, tried: Attempt[Any]) -> Outcome[Any] | None:
        """The outcome of ``task``, or ``None`` if it waits for another attempt."""
        task.tries += 1
        if tried.transient and task.tries < self._attempts:
            self._waiting.append(task)
            return None
        return Outcome(
            task.key,
            tried.status,
            tried.seconds,
            task.tries,
            value=tried.value,
            error=tried.error,
            error_kind=tried.error_kind,
            traceback=tried.traceback,
        )
