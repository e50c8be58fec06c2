"""How many real scans a synthetic scan is worth, by inverting the law of real scans.

A detector that was trained on real and synthetic scans is as good as one on so many real scans
alone; what exceeds its own real scans is what the synthetic ones are worth. The result inherits
the flatness of the law: near its floor many numbers of scans give nearly the same result, and
beyond it none does. Then the interval is unbounded, and the worth is not identifiable.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scalemai.evaluation.scaling.measurements import Arm
from scalemai.evaluation.scaling.selection import NO_TREND, LawFit
from scalemai.evaluation.scaling.study import Study
from scalemai.statistics.estimate import Estimate, not_computed

__all__ = ["Marginal", "Worth", "marginal_rates", "worth_of_synthetic", "worth_without_trend"]

_WHY = "no number of real scans is as good"


@dataclass(frozen=True, slots=True)
class Worth:
    """What the synthetic scans of an arm are worth.

    Parameters
    ----------
    arm
        The arm.
    law
        The law that was inverted.
    equivalent
        Number of real scans alone that are as good as the arm.
    ratio
        That number over the arm's real scans; not computed without any.
    per_scan
        Real scans that one synthetic scan is worth; negative if it harms.
    unbounded
        Share of resamples in which no number of real scans is as good.
    undefined
        Share of resamples in which the inversion has no answer.
    extrapolated
        Whether the number lies outside the measured range.
    """

    arm: Arm
    law: str
    equivalent: Estimate
    ratio: Estimate
    per_scan: Estimate
    unbounded: float
    undefined: float
    extrapolated: bool

    @property
    def identifiable(self) -> bool:
        """Whether both ends of the interval are finite."""
        ends = (self.per_scan.low, self.per_scan.high)
        return self.per_scan.computed and all(e is not None and np.isfinite(e) for e in ends)


@dataclass(frozen=True, slots=True)
class Marginal:
    """What further synthetic scans are worth, beside the same real ones.

    Parameters
    ----------
    n_real
        Real scans of both arms.
    from_synthetic, to_synthetic
        Synthetic scans of the smaller and the larger arm.
    rate
        Real scans that one more synthetic scan is worth, between the two.
    """

    n_real: float
    from_synthetic: float
    to_synthetic: float
    rate: Estimate


def worth_of_synthetic(study: Study, fit: LawFit) -> tuple[Worth, ...]:
    """What the synthetic scans of each arm are worth.

    Parameters
    ----------
    study
        A group.
    fit
        A fitted law of real scans.
    """
    found = []
    for index in study.measured.mixed_arms:
        arm = study.measured.arms[index]
        value, drawn = _equivalent(study, fit, index)

        def estimate(scale: float, less: float = 0.0) -> Estimate:
            return _bounded(study, (value - less) / scale, (drawn - less) / scale)  # noqa: B023

        equivalent = estimate(1.0)
        ratio = Estimate(None, reason="the arm has no real scans", level=study.level)
        if arm.n_real > 0:
            ratio = estimate(arm.n_real)
        low, high = study.sizes[0], study.sizes[-1]
        found.append(
            Worth(
                arm, fit.law.name, equivalent, ratio, estimate(arm.n_synthetic, arm.n_real),
                float(np.isinf(drawn).mean()), float(np.isnan(drawn).mean()),
                not low <= value <= high,
            )
        )  # fmt: skip
    return tuple(found)


def worth_without_trend(study: Study) -> tuple[Worth, ...]:
    """Say of each arm why its synthetic scans have no worth: more real scans have none either."""
    none = not_computed(
        f"there is {NO_TREND} of real scans", n=study.measured.n_patients, level=study.level
    )
    return tuple(
        Worth(study.measured.arms[index], "none", none, none, none, 0.0, 1.0, extrapolated=False)
        for index in study.measured.mixed_arms
    )


def marginal_rates(study: Study, fit: LawFit) -> tuple[Marginal, ...]:
    """What more synthetic scans are worth between arms with the same real scans.

    Parameters
    ----------
    study, fit
        As of :func:`worth_of_synthetic`.
    """
    arms = study.measured.arms
    mixed = study.measured.mixed_arms
    found = []
    for first, second in itertools.pairwise(mixed):
        before, after = arms[first], arms[second]
        if before.n_real != after.n_real:
            continue
        more = after.n_synthetic - before.n_synthetic
        (first_value, first_drawn), (value, drawn) = (
            _equivalent(study, fit, index) for index in (first, second)
        )
        with np.errstate(invalid="ignore"):  # where both are beyond any number, there is no rate
            rates = (drawn - first_drawn) / more
            rate = float(np.subtract(value, first_value)) / more
        estimate = _bounded(study, rate, rates)
        found.append(Marginal(before.n_real, before.n_synthetic, after.n_synthetic, estimate))
    return tuple(found)


def _bounded(study: Study, value: float, drawn: NDArray[np.float64]) -> Estimate:
    """An estimate that keeps its value only if the data bound it on both sides."""
    found = study.estimate(value, drawn, unbounded=_WHY)
    ends = (found.low, found.high)
    if any(end is not None and np.isinf(end) for end in ends):
        return replace(found, value=None)
    return found


def _equivalent(study: Study, fit: LawFit, arm: int) -> tuple[float, NDArray[np.float64]]:
    if fit.fitted is None or fit.resampled is None:
        raise ValueError(f"{fit.law.name} was not fitted")
    value = float(fit.fitted.scans_for(study.loss[arm])[0])
    return value, fit.resampled.scans_for(study.drawn[:, arm])
