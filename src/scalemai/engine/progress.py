"""How far a run is and when it will be over; drawing it is for others."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from scalemai.engine.outcome import Outcome

__all__ = ["Progress"]

RATE_WINDOW = 200
"""The rate is that of the last so many outcomes: cases differ in size along a cohort."""


class Progress:
    """Counts outcomes and estimates the time left.

    Parameters
    ----------
    total
        How many items there are, those of earlier runs included (``run.total``).
    resumed
        How many of them earlier runs had done (``run.resumed``). They count as done, but say
        nothing about speed.
    clock
        Seconds of any monotonic clock.
    """

    def __init__(
        self, total: int, *, resumed: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.total = total
        self.done = resumed
        self.failed = 0
        self._clock = clock
        self._times = deque([clock()], maxlen=RATE_WINDOW + 1)

    def add(self, outcome: Outcome[Any]) -> None:
        """Count one outcome; all that are not ``done`` count as failed."""
        if outcome.status == "done":
            self.done += 1
        else:
            self.failed += 1
        self._times.append(self._clock())

    @property
    def remaining(self) -> int:
        """How many items have no outcome yet."""
        return self.total - self.done - self.failed

    @property
    def rate_per_s(self) -> float | None:
        """Outcomes per second of late; ``None`` before the first one. Falls during a stall."""
        count = len(self._times) - 1
        elapsed = self._clock() - self._times[0]
        return count / elapsed if count and elapsed > 0 else None

    @property
    def eta_s(self) -> float | None:
        """Estimated seconds until the end; ``None`` before the first outcome."""
        if self.remaining <= 0:
            return 0.0
        rate = self.rate_per_s
        return None if rate is None else self.remaining / rate
