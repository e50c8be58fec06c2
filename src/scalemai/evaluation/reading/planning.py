"""How many readers and cases a study needs, by simulation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalemai.errors import ConfigError
from scalemai.evaluation.reading.equivalence import MARGIN, tost_balanced_accuracy
from scalemai.evaluation.reading.study import Passing
from scalemai.statistics.multireader import fixed_readers, random_readers

__all__ = ["Plan", "PlannedDesign", "plan_study"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What readers are presumed to be, and how often the study is simulated.

    Parameters
    ----------
    d_prime, criterion
        Of the mean reader.
    d_prime_sd, criterion_sd
        Standard deviations between readers.
    case_sd
        Standard deviation of what makes a case look real to all readers, where each reader's
        own noise has 1; d' and criterion are in units of both together.
    margin, level
        Of the equivalence test of balanced accuracy, and level of each one-sided test.
    studies, seed
        Number of simulated studies, and where they come from.

    Raises
    ------
    ConfigError
        If something of it is impossible.
    """

    d_prime: float = 0.0
    criterion: float = 0.0
    d_prime_sd: float = 0.0
    criterion_sd: float = 0.0
    case_sd: float = 0.0
    margin: float = MARGIN
    level: float = 0.05
    studies: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("d_prime_sd", "criterion_sd", "case_sd"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError("is no standard deviation", where=name, fix="give 0 or more")
        if not (np.isfinite(self.d_prime) and np.isfinite(self.criterion)):
            raise ConfigError("are no finite numbers", where="d_prime, criterion")
        if not 0 < self.margin < 0.5:
            raise ConfigError(f"{self.margin} is no margin", where="margin", fix="for example 0.1")
        if not 0 < self.level < 0.5:
            raise ConfigError(f"{self.level} is no level", where="level", fix="for example 0.05")
        if self.studies < 100:
            raise ConfigError(f"{self.studies} are too few", where="studies", fix="give 100")


@dataclass(frozen=True, slots=True)
class PlannedDesign:
    """Power of one design; half of the cases are real.

    Parameters
    ----------
    readers, cases
        Each reader reads every case.
    one_reader
        Probability that a given reader passes: his balanced accuracy is shown to be near 0.5.
    all_readers
        Probability that every reader passes.
    fixed, random
        Probability that the mean of these readers, and of all such readers, passes. None where
        one reader cannot speak for others.
    error
        Largest standard error of these probabilities from the number of simulated studies.
    """

    readers: int
    cases: int
    one_reader: float
    all_readers: float
    fixed: float
    random: float | None
    error: float


def plan_study(
    readers: Sequence[int], cases: Sequence[int], plan: Plan | None = None
) -> tuple[PlannedDesign, ...]:
    """Power of every combination of numbers of readers and cases.

    Parameters
    ----------
    readers, cases
        Numbers to try; cases are even, half of them real.
    plan
        What is presumed.

    Returns
    -------
    tuple of PlannedDesign
        Cases within readers. With readers who cannot tell (d' and all deviations 0) one reader
        passes with probability 0.24 for 100 cases, 0.77 for 200, 0.82 for 240, 0.98 for 400.

    Raises
    ------
    ConfigError
        If a number is too small, odd or so large that it would not fit in memory.
    """
    plan = Plan() if plan is None else plan
    for n in cases:
        if n < 4 or n % 2 or n > 5000:
            fix = "give even numbers from 4 to 5000"
            raise ConfigError(f"{n} cases", where="cases", fix=fix)
    for r in readers:
        if not 1 <= r <= 50:
            raise ConfigError(f"{r} readers", where="readers", fix="give 1 to 50")
    return tuple(_power(r, n, plan) for r in readers for n in cases)


def _power(readers: int, cases: int, plan: Plan) -> PlannedDesign:
    # Every design has its own stream, so that it does not depend on which others are asked for.
    rng = np.random.default_rng([plan.seed, readers, cases])
    half = cases // 2
    passes = np.array(
        [
            tost_balanced_accuracy(k // 2, half, k - k // 2, half, margin=plan.margin,
                                   level=plan.level).equivalent
            for k in range(cases + 1)
        ]
    )  # fmt: skip
    single = np.empty((plan.studies, readers), bool)
    fixed, random = np.empty(plan.studies, bool), np.empty(plan.studies, bool)
    for study in range(plan.studies):
        hit, refused = _answers(rng, readers, half, plan)
        single[study] = passes[hit.sum(axis=1) + refused.sum(axis=1)]
        fixed[study], random[study] = _mean_passes(hit, refused, plan)
    shares = (single.mean(), single.all(axis=1).mean(), fixed.mean(), random.mean())
    error = max(float(np.sqrt(p * (1 - p) / plan.studies)) for p in shares)
    return PlannedDesign(
        readers, cases, float(shares[0]), float(shares[1]), float(shares[2]),
        float(shares[3]) if readers > 1 else None, error,
    )  # fmt: skip


def _answers(
    rng: np.random.Generator, readers: int, half: int, plan: Plan
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Correct answers (readers, half) to real and to synthetic cases."""
    d = plan.d_prime + plan.d_prime_sd * rng.standard_normal(readers)
    c = plan.criterion + plan.criterion_sd * rng.standard_normal(readers)
    spread = np.hypot(1, plan.case_sd)

    def evidence(mean: NDArray[np.float64]) -> NDArray[np.float64]:
        look = plan.case_sd * rng.standard_normal(half)
        noise: NDArray[np.float64] = rng.standard_normal((readers, half))
        seen: NDArray[np.float64] = mean[:, None] * spread + look + noise
        return seen

    return evidence(d / 2 - c) > 0, evidence(-d / 2 - c) <= 0


def _mean_passes(
    hit: NDArray[np.bool_], refused: NDArray[np.bool_], plan: Plan
) -> tuple[bool, bool]:
    """Whether the mean reader passes, as :func:`scalemai.evaluation.reading.study.analyse` has it.

    The jackknife covariance of a mean of two shares is the sum of their covariances over cases.
    """
    half = hit.shape[1]
    values = (hit.mean(axis=1) + refused.mean(axis=1)) / 2
    covariance = np.atleast_2d(np.cov(hit) + np.cov(refused)) / (4 * half)
    confidence = 1 - 2 * plan.level
    fixed, random = (
        Passing(
            pool(values, covariance, 2 * half, level=confidence, share=True),
            plan.margin,
            plan.level,
        ).passed
        for pool in (fixed_readers, random_readers)
    )
    return fixed, random
