"""Distributions of one number, drawn by inverting them, so that one random number is one draw."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import special

from scalemai.errors import ConfigError

__all__ = ["Distribution", "Histogram", "LogNormal", "Normal", "Quantiles", "Uniform"]

_MOST_POINTS = 1001


@dataclass(frozen=True)
class Distribution(ABC):
    """A distribution of a diameter in mm or of a contrast in HU."""

    name: ClassVar[str]

    @property
    def low(self) -> float:
        """The smallest value."""
        return self.quantile(0.0)

    @property
    def high(self) -> float:
        """The largest value."""
        return self.quantile(1.0)

    @abstractmethod
    def quantile(self, share: float) -> float:
        """The value that a share of 0 to 1 does not exceed."""

    @abstractmethod
    def below(self, value: float) -> float:
        """The share that does not exceed a value."""

    @abstractmethod
    def plain(self) -> object:
        """Parameters as they stand in a YAML file."""

    def between(self, low: float, high: float, points: int = 9) -> Quantiles:
        """The part of the distribution from one share to another, as quantiles."""
        shares = np.linspace(low, high, points)
        values = (round(self.quantile(float(share)), 6) for share in shares)
        return Quantiles(tuple(min(max(value, self.low), self.high) for value in values))


@dataclass(frozen=True)
class Quantiles(Distribution):
    """Between values at equally spaced shares, first 0 and last 1; straight lines in between.

    Raises
    ------
    ConfigError
        If there are fewer than two values, or they fall.
    """

    name: ClassVar[str] = "quantiles"
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 2 <= len(self.values) <= _MOST_POINTS or not _rises(self.values):
            fix = "give two values or more, rising, from the smallest to the largest"
            raise ConfigError(f"{_few(self.values)} are no quantiles", fix=fix)

    def quantile(self, share: float) -> float:
        return float(np.interp(share, self._shares, self.values))

    def below(self, value: float) -> float:
        return _share_below(value, self.values, self._shares)

    def plain(self) -> object:
        return list(self.values)

    @property
    def _shares(self) -> NDArray[np.float64]:
        return np.linspace(0.0, 1.0, len(self.values))


@dataclass(frozen=True)
class Uniform(Quantiles):
    """Every value from the first to the last alike."""

    name: ClassVar[str] = "uniform"

    def __post_init__(self) -> None:
        if len(self.values) != 2 or not _rises(self.values):
            raise ConfigError(f"{_few(self.values)} are no range", fix="give [low, high]")


@dataclass(frozen=True)
class Histogram(Distribution):
    """Alike within each bin.

    Raises
    ------
    ConfigError
        If edges do not rise, or the weights do not fit them.
    """

    name: ClassVar[str] = "histogram"
    edges: tuple[float, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 2 <= len(self.edges) <= _MOST_POINTS or not _rises(self.edges, strictly=True):
            raise ConfigError(f"edges {_few(self.edges)} do not rise", fix="give rising edges")
        if len(self.weights) != len(self.edges) - 1 or not _are_weights(self.weights):
            what = f"{len(self.weights)} weights for {len(self.edges) - 1} bins"
            raise ConfigError(what, fix="give one weight of 0 or more per bin, one above 0")

    def quantile(self, share: float) -> float:
        shares = self._shares
        filled = [i for i, weight in enumerate(self.weights) if weight > 0.0]
        if share <= 0.0:
            return self.edges[filled[0]]
        if share >= 1.0:
            return self.edges[filled[-1] + 1]
        bin_ = min(int(np.searchsorted(shares, share, side="left")), len(self.weights)) - 1
        inside = (share - shares[bin_]) / (shares[bin_ + 1] - shares[bin_])
        return float(self.edges[bin_] + inside * (self.edges[bin_ + 1] - self.edges[bin_]))

    def below(self, value: float) -> float:
        return _share_below(value, self.edges, self._shares)

    def plain(self) -> object:
        return {"edges": list(self.edges), "weights": list(self.weights)}

    @property
    def _shares(self) -> NDArray[np.float64]:
        total = np.cumsum((0.0, *self.weights))
        return np.asarray(total / total[-1])


@dataclass(frozen=True)
class Normal(Distribution):
    """A normal distribution, cut off at ``least`` and ``most``.

    Raises
    ------
    ConfigError
        If the deviation is not above 0, or nothing lies between the ends.
    """

    name: ClassVar[str] = "normal"
    mean: float
    sd: float
    least: float
    most: float

    def __post_init__(self) -> None:
        if not self.sd > 0.0:
            raise ConfigError(f"sd {self.sd:g} is not above 0", fix="give the spread, 0.1 or more")
        first, last = self._ends
        if not self.least < self.most or not last - first > 1e-9:
            what = f"next to nothing lies between {self.least:g} and {self.most:g}"
            raise ConfigError(what, fix="widen low and high")

    def quantile(self, share: float) -> float:
        first, last = self._ends
        value = self.mean + self.sd * float(special.ndtri(first + share * (last - first)))
        return min(max(value, self.least), self.most)

    def below(self, value: float) -> float:
        first, last = self._ends
        here = float(special.ndtr((value - self.mean) / self.sd))
        return min(max((here - first) / (last - first), 0.0), 1.0)

    def plain(self) -> object:
        return {"mean": self.mean, "sd": self.sd, "low": self.least, "high": self.most}

    @property
    def _ends(self) -> tuple[float, float]:
        ends = (self.least - self.mean) / self.sd, (self.most - self.mean) / self.sd
        return float(special.ndtr(ends[0])), float(special.ndtr(ends[1]))


@dataclass(frozen=True)
class LogNormal(Distribution):
    """Log-normal with its median, and the deviation of the logarithm; cut off at both ends.

    Raises
    ------
    ConfigError
        As :class:`Normal`, or if the median is not above 0.
    """

    name: ClassVar[str] = "lognormal"
    median: float
    sigma: float
    least: float
    most: float

    def __post_init__(self) -> None:
        if not self.median > 0.0 or not self.sigma > 0.0 or not self.least > 0.0:
            raise ConfigError("median, sigma and low are not above 0", fix="give numbers above 0")
        _ = self._logarithm

    def quantile(self, share: float) -> float:
        return min(max(float(np.exp(self._logarithm.quantile(share))), self.least), self.most)

    def below(self, value: float) -> float:
        return self._logarithm.below(float(np.log(value))) if value > 0.0 else 0.0

    def plain(self) -> object:
        ends = {"low": self.least, "high": self.most}
        return {"median": self.median, "sigma": self.sigma, **ends}

    @property
    def _logarithm(self) -> Normal:
        logs = np.log((self.median, self.least, self.most))
        return Normal(float(logs[0]), self.sigma, float(logs[1]), float(logs[2]))


def _share_below(value: float, values: Sequence[float], shares: NDArray[np.float64]) -> float:
    """The cumulative share at a value; where values repeat, all of them are below."""
    at = int(np.searchsorted(values, value, side="right")) - 1
    if at < 0:
        return 0.0
    if at == len(values) - 1:
        return 1.0
    inside = (value - values[at]) / (values[at + 1] - values[at])
    return float(shares[at] + inside * (shares[at + 1] - shares[at]))


def _rises(values: Sequence[float], *, strictly: bool = False) -> bool:
    steps = np.diff(values)
    return bool(np.isfinite(values).all() and (steps > 0.0 if strictly else steps >= 0.0).all())


def _are_weights(values: Sequence[float]) -> bool:
    array = np.asarray(values, np.float64)
    return bool(np.isfinite(array).all() and (array >= 0.0).all() and array.sum() > 0.0)


def _few(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values[:5]) + (", ..." if len(values) > 5 else "")
