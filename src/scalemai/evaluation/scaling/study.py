"""One group of a scaling study: its means, and what they would be with other patients and runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalemai.evaluation.scaling.fitting import Fits, fit_law
from scalemai.evaluation.scaling.laws import POWER_WITH_FLOOR, Law
from scalemai.evaluation.scaling.measurements import Measurements
from scalemai.evaluation.scaling.resampling import RunNoise, arm_means, resample_arms, run_noise
from scalemai.statistics.estimate import Estimate, not_computed

__all__ = ["Study", "open_study"]

Array = NDArray[np.float64]
NOT_IDENTIFIABLE_SHARE = 0.05
"""Share of resamples without any answer (not even infinity) above which there is no interval."""


@dataclass(frozen=True, eq=False)
class Study:
    """Means of all arms of a group with their resamples.

    Parameters
    ----------
    measured
        The measurements.
    sign
        Loss is the measure times this: -1 where higher is better, 1 where lower is.
    perfect
        Loss of a perfect result; None if there is none.
    level
        Confidence level of all intervals.
    noise
        Variation of runs.
    loss
        Array (arms,).
    drawn
        Array (resamples, arms) of losses.
    notes
        Remarks on data and intervals.
    """

    measured: Measurements
    sign: float
    perfect: float | None
    level: float
    noise: RunNoise
    loss: Array
    drawn: Array
    notes: tuple[str, ...]

    @property
    def curve_arms(self) -> tuple[int, ...]:
        """The arms that laws are fitted to: real scans only."""
        return self.measured.real_arms

    @property
    def sizes(self) -> Array:
        """Numbers of real scans of these arms."""
        return np.array([self.measured.arms[i].n_real for i in self.curve_arms], np.float64)

    def fit(self, law: Law, arms: tuple[int, ...] | None = None) -> tuple[Fits, Fits]:
        """Fit a law to arms of real scans (all by default): to the means, and to each resample."""
        chosen = list(self.curve_arms if arms is None else arms)
        n = np.array([self.measured.arms[i].n_real for i in chosen])
        weights = self.noise.weights[chosen]
        fitted, resampled = (
            fit_law(law, n, loss[..., chosen], weights, perfect=self.perfect)
            for loss in (self.loss, self.drawn)
        )
        return fitted, resampled

    def estimate(self, value: float, drawn: Array, *, unbounded: str = "") -> Estimate:
        """A value with the percentile interval of its resamples.

        Parameters
        ----------
        value
            What the means give; infinite if they put no bound on it.
        drawn
            Array (resamples,); may be infinite.
        unbounded
            Why an infinite end means that it is not identifiable.
        """
        defined = np.sort(drawn[~np.isnan(drawn)])
        n = self.measured.n_patients
        missing = drawn.size - defined.size
        if math.isnan(value) or missing > NOT_IDENTIFIABLE_SHARE * drawn.size:
            what = f"undefined in {missing} of {drawn.size} resamples"
            return not_computed(what, n=n, level=self.level)
        method = f"percentile of {drawn.size} resamples of patients and runs"
        if defined[0] == defined[-1] == value and math.isfinite(value):
            reason = "neither runs nor patients are repeated"
            return Estimate(value, level=self.level, n=n, reason=reason)
        tail = (1 - self.level) / 2
        # Values that were drawn, not means of two: between finite and infinite there is none.
        low = float(defined[math.floor(tail * (defined.size - 1))])
        high = float(defined[math.ceil((1 - tail) * (defined.size - 1))])
        reason = ""
        if unbounded and not (math.isfinite(low) and math.isfinite(high)):
            share = float(np.isinf(defined).mean())
            reason = f"not identifiable: {unbounded} in {share:.0%} of resamples"
        if not math.isfinite(value):
            return Estimate(None, low, high, self.level, n, method, reason or "it is unbounded")
        return Estimate(value, low, high, self.level, n, method, reason)


def open_study(
    measured: Measurements,
    *,
    higher_is_better: bool,
    perfect: float | None,
    level: float,
    resamples: int,
    rng: np.random.Generator,
) -> Study:
    """Resample the means of a group.

    Parameters
    ----------
    measured
        The measurements.
    higher_is_better, perfect
        Direction of the measure, and its best possible value; None if there is none.
    level, resamples
        Confidence level, and how many resamples.
    rng
        Where the draws come from.
    """
    sign = -1.0 if higher_is_better else 1.0
    best = None if perfect is None else sign * perfect
    loss = sign * arm_means(measured)
    noise, notes = _noise(measured, loss, best)
    drawn = sign * resample_arms(measured, noise, rng, resamples)
    return Study(
        measured, sign, best, level, noise, loss, drawn, (*measured.notes, *notes)
    )  # fmt: skip


def _noise(
    measured: Measurements, loss: Array, perfect: float | None
) -> tuple[RunNoise, tuple[str, ...]]:
    draws = len(np.unique(np.stack([measured.arm_of, measured.draw_of], axis=1), axis=0))
    if draws > len(measured.arms):
        noise = run_noise(measured)
        return noise, (f"variation between runs is estimated from {noise.source}",)
    chosen = list(measured.real_arms)
    law = POWER_WITH_FLOOR
    if len(chosen) >= law.fewest_sizes:
        n = np.array([measured.arms[i].n_real for i in chosen])
        fitted = fit_law(law, n, loss[chosen], np.ones(len(chosen)), perfect=perfect)
        residuals = np.full(len(measured.arms), np.nan)
        residuals[chosen] = loss[chosen] - fitted.at(n)[0]
        noise = run_noise(measured, residuals, len(law.parameters))
        return noise, (f"variation between runs is estimated from {noise.source}",)
    arms = len(measured.arms)
    quiet = RunNoise(np.zeros(arms), np.ones(arms), 1, np.ones(1), 0.0, "nothing")
    return quiet, ("each arm was trained once: intervals do not hold the choice of scans or seed",)
