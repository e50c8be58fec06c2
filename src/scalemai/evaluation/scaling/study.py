"""One group of a scaling study: its means, and what they would be with other patients and runs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scalemai.evaluation.scaling.fitting import Fits, fit_law
from scalemai.evaluation.scaling.laws import POWER_WITH_FLOOR, Law
from scalemai.evaluation.scaling.measurements import Measurements
from scalemai.evaluation.scaling.resampling import (
    RunNoise,
    arm_means,
    resample_arms,
    resample_patients,
    run_noise,
)
from scalemai.statistics.bca import FEWEST_CLUSTERS
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
    of_patients
        The same with other patients alone, these runs given; None where arms were trained
        several times.
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
    of_patients: Array | None
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

    def gain(self, arm: int, other: int) -> Estimate:
        """How much less the loss of ``other`` is than that of ``arm``, as measured.

        Where each arm was trained once the interval is conditional on these trainings: of the
        same runs on other patients. Without patients there is none then.
        """
        value = float(self.loss[arm] - self.loss[other])
        if self.of_patients is None:
            return self.estimate(value, self.drawn[:, arm] - self.drawn[:, other])
        if self.measured.n_patients < 2:
            reason = "each arm was trained once, and there are no patients to resample"
            return Estimate(value, level=self.level, n=self.measured.n_patients, reason=reason)
        found = self.estimate(value, self.of_patients[:, arm] - self.of_patients[:, other])
        if found.low is None:
            return found
        method = f"percentile of {len(self.of_patients)} resamples of patients, these trainings"
        return replace(found, method=f"{method} given")

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
        if 1 < n < FEWEST_CLUSTERS:
            reason = f"{n} patients are too few to resample (at least {FEWEST_CLUSTERS})"
            return Estimate(
                value if math.isfinite(value) else None, level=self.level, n=n, reason=reason
            )
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
    of_patients = None
    if noise.once:
        of_patients = sign * resample_patients(measured, rng, resamples)
        notes = (*notes, "gains between sizes, and a plateau, are conditional on these trainings")
    return Study(
        measured, sign, best, level, noise, loss, drawn, of_patients, (*measured.notes, *notes)
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
    quiet = RunNoise(np.zeros(arms), np.ones(arms), 1, np.ones(1), 0.0, "nothing", once=True)
    return quiet, ("each arm was trained once: intervals do not hold the choice of scans or seed",)
