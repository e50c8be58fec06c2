"""A threshold that knows where it comes from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalemai.errors import ConfigError

__all__ = ["TUNED", "Comparison", "Threshold"]

Comparison = Literal[">=", ">"]

TUNED = "tuned on the test set"
"""Origin of a threshold that was chosen on cases which it is applied to."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """From which score on a case is called positive.

    Parameters
    ----------
    value
        The threshold, in the unit of the score.
    comparison
        Whether a score equal to it is called (``">="``) or not (``">"``).
    origin
        Where it comes from, printed beside every number that depends on it.

    Raises
    ------
    ConfigError
        If the value is not finite.
    """

    value: float
    comparison: Comparison
    origin: str

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ConfigError(f"a threshold of {self.value} calls everything or nothing")

    @staticmethod
    def fixed(value: float, comparison: Comparison = ">=", reason: str = "") -> Threshold:
        """A threshold that was fixed before these cases were seen; say why it has this value."""
        origin = f"fixed beforehand ({reason})" if reason else "fixed beforehand"
        return Threshold(float(value), comparison, origin)

    def called(self, score: ArrayLike) -> NDArray[np.bool_]:
        """Which scores are called positive."""
        value = np.asarray(score, dtype=np.float64)
        return value >= self.value if self.comparison == ">=" else value > self.value

    def __str__(self) -> str:
        return f"score {self.comparison} {self.value:g}, {self.origin}"
