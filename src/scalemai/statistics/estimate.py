"""A number with its uncertainty, or the reason why there is none."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Estimate", "not_computed"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """What was estimated from how many, how, and how far it can be trusted.

    Parameters
    ----------
    value
        The estimate; None if it could not be computed.
    low, high
        Ends of the confidence interval; None if there is none. An end that the data do not
        bound is infinite.
    level
        Confidence level of the interval.
    n
        Number of independent units (patients, lesions, reads) that it rests on.
    method
        Name of the interval, for example ``"wilson"`` or ``"patient bootstrap, 2000 draws"``.
    reason
        Why value or interval is missing; shown to the user as "not computed because ...".
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    level: float = 0.95
    n: int = 0
    method: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        if any(part is not None and math.isnan(part) for part in (self.value, self.low, self.high)):
            raise ValueError("an estimate is None with a reason, never NaN")

    @property
    def computed(self) -> bool:
        """Whether there is a value."""
        return self.value is not None

    def __str__(self) -> str:
        if self.value is None:
            return f"not computed because {self.reason}"
        if self.low is None or self.high is None:
            return f"{self.value:.3f} (n = {self.n})"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f}, n = {self.n})"

    def as_dict(self) -> dict[str, Any]:
        """All fields in plain types, for a row of a table; infinite ends stay infinite."""
        return asdict(self)


def not_computed(reason: str, *, n: int = 0, level: float = 0.95) -> Estimate:
    """An estimate that could not be made.

    Parameters
    ----------
    reason
        Ends the sentence "not computed because ...".
    n, level
        Number of units that there were, and the level that was asked for.
    """
    return Estimate(None, n=n, level=level, reason=reason)
