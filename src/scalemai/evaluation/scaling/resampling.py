"""Means of all arms, and what they would be with other patients, draws and seeds.

A mean over runs and test patients varies for two reasons: other patients, and other runs (another
draw of the training scans, another seed). Each resample has both:

- *Patients* are drawn with replacement, the same ones for every run, so that what is common to all
  arms cancels in differences.
- *Runs*: the deviations of draws from the mean of their arm are pooled over all arms, scaled for
  what estimating the mean has taken from them, and drawn with random signs. Seeds stay within
  their draw, whose deviation holds theirs. Three draws of an arm would be too few to draw from.

What a run does to single patients by chance is in both parts; it is taken out of the second, or
intervals would be too wide (Cameron, Gelbach and Miller, J Bus Econ Stat 2011;29:238, for sums of
squares). Both parts are divided by the root of a chi-squared variable over its degrees of freedom,
so that means get t intervals and not those of known variances; without it, three draws of each of
seven arms cover about 92 % and not 95 %.

Where each arm was trained once, deviations from the fitted law take the place of those of draws.
Predictions then keep their coverage (95 % in simulations). A measured gain between two arms would
get too wide an interval (99 %), since the errors of the arms compared are among these deviations:
its interval is over patients alone, conditional on these trainings.

Draws are taken as independent between arms. Where a smaller set of scans is a part of the larger
one, differences between arms vary a little less than is said here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalemai.evaluation.scaling.measurements import Measurements

__all__ = ["RunNoise", "arm_means", "resample_arms", "resample_patients", "run_noise"]

Array = NDArray[np.float64]
_BLOCK = 4_000_000
_CLEAR_TREND = 2.0


@dataclass(frozen=True, eq=False)
class RunNoise:
    """How much the mean of a draw varies about the mean of its arm.

    Parameters
    ----------
    variance
        Array (arms,): of a single draw.
    draws
        Array (arms,): number of draws.
    freedom
        Degrees of freedom of the variance.
    pool
        Deviations of single draws, with a variance of 1.
    overlap
        Share of the variance that resampled patients have too.
    source
        Where it comes from, in words.
    once
        Whether each arm was trained once, so that nothing tells two trainings of an arm apart.
    """

    variance: Array
    draws: Array
    freedom: int
    pool: Array
    overlap: float
    source: str
    once: bool = False

    @property
    def weights(self) -> Array:
        """Array (arms,): inverse variances of the means of arms."""
        return self.draws / np.maximum(self.variance, 1e-300)


def arm_means(measured: Measurements) -> Array:
    """Means (arms,): of draws, each the mean of its seeds, each the mean over test cases."""
    runs = measured.totals.sum(axis=1) / measured.counts.sum(axis=1)
    means: Array = _over_runs(measured)[0] @ runs
    return means


def run_noise(measured: Measurements, residuals: Array | None = None, spent: int = 0) -> RunNoise:
    """Estimate the variation of runs from draws of the same arm.

    Parameters
    ----------
    measured
        The measurements.
    residuals, spent
        For arms with a single draw each: deviations (arms,) of their means from a fitted law
        (NaN where it was not fitted) and its number of parameters, which then tell the variation.

    Raises
    ------
    ValueError
        If no arm has two draws and there are no residuals.
    """
    to_arms, of_draws, arm_of_draw = _over_runs(measured)
    runs = measured.totals.sum(axis=1) / measured.counts.sum(axis=1)
    draws = np.bincount(arm_of_draw, minlength=len(measured.arms)).astype(np.float64)
    size = np.array([arm.n_real + arm.n_synthetic for arm in measured.arms])
    if (draws > 1).any():
        deviation = of_draws @ runs - (to_arms @ runs)[arm_of_draw]
        freedom = int((draws - 1).clip(0).sum())
        repeated = draws[arm_of_draw] > 1
        scale = np.sqrt(draws / np.maximum(draws - 1, 1))[arm_of_draw]
        squares = np.bincount(arm_of_draw, deviation**2, minlength=len(measured.arms))
        trend = _trend(np.asarray(squares, np.float64), draws - 1, size)
        variance = size**trend * (float((squares / size**trend).sum()) / freedom)
        pool = (deviation * scale / np.sqrt(np.maximum(variance, 1e-300))[arm_of_draw])[repeated]
        overlap = _interaction(measured, to_arms)
        source = f"{freedom + int((draws > 1).sum())} draws of {int((draws > 1).sum())} arms"
        if not measured.has_draws:
            source = source.replace("draws", "seeds")
    elif residuals is not None:
        known = residuals[np.isfinite(residuals)]
        freedom = known.size - spent
        if freedom < 1:
            raise ValueError("as many parameters as arms leave no residuals")
        variance = np.full(len(measured.arms), float((known**2).sum()) / freedom)
        pool = known / np.sqrt(max(float((known**2).mean()), 1e-300))
        overlap = _interaction(measured, None)
        source = "deviations from the fitted law, since each arm was trained once"
    else:
        raise ValueError("no arm has two draws")
    share = overlap / max(float(variance.mean()), 1e-300)
    once = not (draws > 1).any()
    return RunNoise(variance, draws, freedom, pool, float(np.clip(share, 0.0, 1.0)), source, once)


def resample_arms(
    measured: Measurements, noise: RunNoise, rng: np.random.Generator, resamples: int
) -> Array:
    """Means (resamples, arms) with other patients and other runs.

    Parameters
    ----------
    measured, noise
        The measurements and how much their runs vary.
    rng
        Where the draws come from.
    resamples
        How many.
    """
    out = resample_patients(measured, rng, resamples)
    spread = np.sqrt(noise.variance * (1.0 - noise.overlap))
    wider = np.sqrt(noise.freedom / rng.chisquare(noise.freedom, size=(resamples, 1)))
    for arm, draws in enumerate(noise.draws.astype(int)):
        drawn = rng.choice(noise.pool, size=(resamples, draws))
        sign = rng.choice((-1.0, 1.0), size=(resamples, draws))
        out[:, arm] += spread[arm] * (drawn * sign).mean(axis=1) * wider[:, 0]
    return out


def resample_patients(measured: Measurements, rng: np.random.Generator, resamples: int) -> Array:
    """Means (resamples, arms) of these very runs with other patients.

    Parameters
    ----------
    measured, rng, resamples
        As of :func:`resample_arms`; without patients nothing varies.
    """
    to_arms, _, _ = _over_runs(measured)
    means = arm_means(measured)
    out = np.repeat(means[None], resamples, axis=0)
    patients = measured.n_patients
    if patients > 1:
        block = max(_BLOCK // patients, 1)
        parts = []
        for start in range(0, resamples, block):
            rows = min(block, resamples - start)
            weights = rng.multinomial(patients, np.full(patients, 1 / patients), size=rows)
            total, count = weights @ measured.totals.T, weights @ measured.counts.T
            # Where a run has no test case left, it has no mean; with patients of each this is rare.
            runs = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
            parts.append(runs @ to_arms.T)
        wider = np.sqrt(patients / rng.chisquare(patients - 1, size=(resamples, 1)))
        out += (np.concatenate(parts) - means) * wider
    return out


def _over_runs(measured: Measurements) -> tuple[Array, Array, NDArray[np.intp]]:
    """Matrices from runs to the means of arms and of draws, and the arm of each draw."""
    keys = np.stack([measured.arm_of, measured.draw_of], axis=1)
    draws, of = np.unique(keys, axis=0, return_inverse=True)
    of = of.reshape(-1)
    to_draws = (of == np.arange(len(draws))[:, None]).astype(np.float64)
    to_draws /= to_draws.sum(axis=1, keepdims=True)
    to_arms = (draws[:, 0] == np.arange(len(measured.arms))[:, None]).astype(np.float64)
    to_arms /= to_arms.sum(axis=1, keepdims=True)
    return to_arms @ to_draws, to_draws, draws[:, 0].astype(np.intp)


def _trend(squares: Array, freedom: Array, size: Array) -> float:
    """The power of n that the variance of a draw follows; 0 unless it clearly does."""
    from scipy.special import digamma, polygamma

    known = (freedom > 0) & (squares > 0)
    if known.sum() < 4:
        return 0.0
    half = freedom[known] / 2
    logarithm = np.log(squares[known] / freedom[known]) - (digamma(half) - np.log(half))
    weight = 1 / polygamma(1, half)
    x = np.log(size[known])
    x = x - np.average(x, weights=weight)
    across = float((weight * x**2).sum())
    if across <= 0:
        return 0.0
    slope = float((weight * x * logarithm).sum()) / across
    return slope if abs(slope) * np.sqrt(across) > _CLEAR_TREND else 0.0


def _interaction(measured: Measurements, to_arms: Array | None) -> float:
    """Variance of the mean of a draw by what runs do to single patients; 0 without patients.

    With ``to_arms`` it is what is left within arms, otherwise also what differs between them.
    """
    patients = measured.n_patients
    if patients < 2:
        return 0.0
    count = measured.counts.sum(axis=1, keepdims=True)
    mean = measured.totals.sum(axis=1, keepdims=True) / count
    pull = (measured.totals - mean * measured.counts) * patients / count
    if to_arms is None:
        left, freedom = pull - pull.mean(axis=0), len(pull) - 1
    else:
        own = (to_arms > 0).astype(np.float64)
        middle = own @ pull / own.sum(axis=1, keepdims=True)
        left, freedom = pull - middle[measured.arm_of], len(pull) - len(measured.arms)
    per_run = float((left**2).sum()) / max(freedom, 1) / (patients - 1) / patients
    draws = len(np.unique(np.stack([measured.arm_of, measured.draw_of], axis=1), axis=0))
    return per_run * draws / len(pull)
