"""Populations whose means, medians and shares are known, and the count of intervals that hold them.

Doubles as the list of what is claimed: every row of a table names the interval, the population and
the number of patients.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, gamma

from scalemai.statistics.estimate import Estimate

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Floats]
Trial = Callable[[np.random.Generator], Iterable[tuple[Estimate, float]]]


@dataclass(frozen=True)
class Claim:
    """An interval, a population, a number of patients, and one simulated study of it.

    ``trial`` gives estimates with the values that they should hold; those without interval are
    counted apart. ``level`` is that of the interval; coverage may be two points off it.
    """

    interval: str
    population: str
    n: int
    trial: Trial
    trials: int = 2000
    level: float = 0.95

    def __str__(self) -> str:
        return f"{self.interval}, {self.population}, {self.n}"

    def observed(self) -> tuple[float, float]:
        """Share of intervals that hold the truth, and share of estimates with an interval."""
        rng = np.random.default_rng(zlib.crc32(str(self).encode()))
        held = computed = asked = 0
        for _ in range(self.trials):
            for estimate, truth in self.trial(rng):
                asked += 1
                if estimate.low is None or estimate.high is None:
                    continue
                assert estimate.level == self.level
                computed += 1
                held += estimate.low - 1e-12 <= truth <= estimate.high + 1e-12
        return held / max(computed, 1), computed / asked

    @property
    def slack(self) -> float:
        """Two standard errors of the simulation, where it has fewer than 2,000 studies."""
        error = np.sqrt(self.level * (1 - self.level) / self.trials)
        return 0.0 if self.trials >= 2000 else float(2 * error)


def clean(rng: np.random.Generator, n: int) -> Floats:
    """Dice coefficients without a miss."""
    return rng.beta(6, 2, n)


def missed(rng: np.random.Generator, n: int) -> Floats:
    """The same with one miss in ten patients."""
    return np.where(rng.random(n) < 0.1, 0.0, rng.beta(6, 2, n))


def sharp(rng: np.random.Generator, n: int) -> Floats:
    """High Dice coefficients that hardly differ, with one miss in ten."""
    return np.where(rng.random(n) < 0.1, 0.0, rng.beta(18, 2, n))


def distances(rng: np.random.Generator, n: int) -> Floats:
    """Surface distances in mm, one in ten of an order of magnitude more."""
    return np.where(rng.random(n) < 0.1, rng.uniform(80, 120, n), rng.gamma(2, 3, n))


def lognormal(rng: np.random.Generator, n: int) -> Floats:
    """Volume errors in ml."""
    return rng.lognormal(0, 0.7, n)


@dataclass(frozen=True)
class Population:
    """Values of patients, with their mean and median."""

    name: str
    draw: Draw
    mean: float
    median: float


BOUNDED = (
    Population("no misses", clean, 0.75, float(beta.ppf(0.5, 6, 2))),
    Population("a tenth missed", missed, 0.675, float(beta.ppf(0.4 / 0.9, 6, 2))),
    Population("alike, a tenth missed", sharp, 0.81, float(beta.ppf(0.4 / 0.9, 18, 2))),
)
UNBOUNDED = (
    Population("distances, a tenth large", distances, 15.4, 3 * float(gamma.ppf(0.5 / 0.9, 2))),
    Population("lognormal", lognormal, float(np.exp(0.245)), 1.0),
)


def two_algorithms(
    rng: np.random.Generator, n: int, misses: tuple[float, float] = (0.0, 0.0)
) -> tuple[Floats, Floats]:
    """Scores of two algorithms on the same patients, who are hard for both; without misses 0.75."""
    shared = rng.beta(6, 2, n)
    first, second = (
        np.where(rng.random(n) < share, 0.0, shared + rng.normal(0, 0.05, n)) for share in misses
    )
    return first, second


def lesions(rng: np.random.Generator, n: int, share: float, rho: float) -> tuple[Floats, Floats]:
    """Found and all lesions of patients, whose lesions share their fate by ``rho``."""
    size = 1 + rng.poisson(1, n)
    if rho == 0:
        luck = np.full(n, share)
    elif rho == 1:
        luck = (rng.random(n) < share).astype(np.float64)
    else:
        luck = rng.beta(share * (1 - rho) / rho, (1 - share) * (1 - rho) / rho, n)
    return rng.binomial(size, luck).astype(np.float64), size.astype(np.float64)
