"""Maps from a score of the network to a probability."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from scalemai.errors import ConfigError, UnknownNameError

__all__ = ["METHODS", "CalibrationMap", "Method", "log_odds"]

Method = Literal["none", "temperature", "platt", "isotonic"]

METHODS: tuple[Method, ...] = get_args(Method)
"""By the number of parameters; of maps that do equally well, the first is taken."""

_LEAST = 2.0**-16
"""Scores nearer to 0 or 1 than half a step of a probability map are taken to be this near."""


@dataclass(frozen=True, slots=True)
class CalibrationMap:
    """A non-decreasing map from scores to probabilities.

    Parameters
    ----------
    method
        ``"none"``: the score itself. ``"temperature"``: its log odds times a slope (Guo et al.,
        ICML 2017; the slope is one over their temperature). ``"platt"``: log odds times a slope
        plus an intercept (Platt 1999). ``"isotonic"``: any steps upward, linear in between
        (Zadrozny & Elkan, KDD 2002).
    slope, intercept
        Of the first three.
    scores, probabilities
        Knots of the last, ascending; outside of them the probability of the nearest holds.

    Raises
    ------
    ConfigError
        If it would not be a non-decreasing map to probabilities.
    """

    method: Method
    slope: float = 1.0
    intercept: float = 0.0
    scores: tuple[float, ...] = ()
    probabilities: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UnknownNameError("method of calibration", self.method, METHODS)
        line = np.array([self.slope, self.intercept])
        knots, values = np.array(self.scores), np.array(self.probabilities)
        good = bool(np.isfinite(line).all()) and self.slope > 0.0 and knots.shape == values.shape
        if self.method == "isotonic":
            good = good and bool(
                knots.size
                and (np.diff(knots) > 0.0).all()
                and (np.diff(values) >= 0.0).all()
                and values.min() >= 0.0
                and values.max() <= 1.0
            )
        if not good:
            what = "is no map from scores to probabilities that rises with them"
            raise ConfigError(what, where=self.method, fix="calibrate again")

    def __call__(self, score: ArrayLike) -> NDArray[np.float64]:
        """Probabilities of scores in [0, 1], in the shape given."""
        values = np.asarray(score, dtype=np.float64)
        if self.method == "none":
            return values.copy()
        if self.method == "isotonic":
            return np.interp(values, self.scores, self.probabilities)
        found: NDArray[np.float64] = expit(self.slope * log_odds(values) + self.intercept)
        return found

    def to_dict(self) -> dict[str, Any]:
        """In plain types, for JSON."""
        if self.method == "isotonic":
            knots = {"scores": list(self.scores), "probabilities": list(self.probabilities)}
            return {"method": self.method, **knots}
        return {"method": self.method, "slope": self.slope, "intercept": self.intercept}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> CalibrationMap:
        """The map of plain data.

        Raises
        ------
        TypeError, KeyError, ConfigError
            If it is none.
        """
        if plain["method"] == "isotonic":
            knots, values = (tuple(map(float, plain[n])) for n in ("scores", "probabilities"))
            return cls("isotonic", scores=knots, probabilities=values)
        return cls(plain["method"], float(plain["slope"]), float(plain["intercept"]))


def log_odds(score: ArrayLike) -> NDArray[np.float64]:
    """Log odds of scores in [0, 1], finite at the ends too."""
    odds: NDArray[np.float64] = logit(np.clip(np.asarray(score, np.float64), _LEAST, 1 - _LEAST))
    return odds
