"""Which law fits: by AICc, and by how well it foretells the largest size that it has not seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalemai.evaluation.scaling.fitting import Fits
from scalemai.evaluation.scaling.laws import LAWS, Law
from scalemai.evaluation.scaling.study import Study
from scalemai.statistics.estimate import Estimate, not_computed

__all__ = ["NO_TREND", "PLAUSIBLE_DELTA", "LawFit", "chosen_law", "fit_laws", "has_no_trend"]

Array = NDArray[np.float64]
PLAUSIBLE_DELTA = 7.0
"""Laws whose AICc lies at most this far above the lowest are still to be reckoned with: Burnham and
Anderson (Model Selection and Multimodel Inference, 2002, 2.6) speak of considerably less support
from 4 to 7, and of essentially none above 10."""

NO_TREND = "no trend with n"
"""What is said where no law describes the means better than one mean of all sizes."""

_NOTHING = 1e-12
"""Residuals below this share of the largest mean are rounding of floating point numbers."""


@dataclass(frozen=True, eq=False)
class LawFit:
    """A law fitted to a group.

    Parameters
    ----------
    law
        The law.
    fitted, resampled
        The fit to the means, and those to each resample; None if it was not made.
    parameters
        By name, in units of the measure and of scans; for laws with a floor that is what it
        tends to.
    aicc, delta
        Akaike's criterion for small samples, and by how much it exceeds the lowest of all laws
        and of a constant; None if there are too few points.
    held_out
        Prediction at the largest size by a fit without it, minus what was measured there.
    reason
        Why it was not fitted.
    """

    law: Law
    fitted: Fits | None
    resampled: Fits | None
    parameters: dict[str, Estimate]
    aicc: float | None
    delta: float | None
    held_out: Estimate
    reason: str = ""

    @property
    def plausible(self) -> bool:
        """Whether the data leave the law open."""
        return self.delta is not None and self.delta <= PLAUSIBLE_DELTA


def fit_laws(study: Study, laws: Sequence[Law] = LAWS) -> tuple[LawFit, ...]:
    """Fit laws to the means over numbers of real scans.

    Parameters
    ----------
    study
        A group.
    laws
        The laws.

    Returns
    -------
    tuple of LawFit
        One for each law; those that need more sizes than there are, or a perfect value that the
        measure has not, say so.
    """
    fits = [_fit(study, law) for law in laws]
    known = [fit.aicc for fit in fits if fit.aicc is not None]
    if not known:
        return tuple(fits)
    constant = _aicc_of_constant(study)
    lowest = min(known if constant is None else [*known, constant])
    return tuple(
        LawFit(
            fit.law, fit.fitted, fit.resampled, fit.parameters, fit.aicc,
            None if fit.aicc is None else fit.aicc - lowest, fit.held_out, fit.reason,
        )
        for fit in fits
    )  # fmt: skip


def chosen_law(fits: Sequence[LawFit]) -> LawFit | None:
    """The law with the lowest AICc; None if none was fitted, or a constant has a lower one."""
    return next((fit for fit in fits if fit.delta == 0.0), None)


def has_no_trend(fits: Sequence[LawFit]) -> bool:
    """Whether a constant has a lower AICc than every law."""
    known = [fit.delta for fit in fits if fit.delta is not None]
    return bool(known) and min(known) > 0.0


def _fit(study: Study, law: Law) -> LawFit:
    there = study.sizes.size
    reason = ""
    if there < law.fewest_sizes:
        reason = f"{there} sizes are fewer than the {law.fewest_sizes} that it needs"
    elif study.perfect is None and not law.has_floor:
        reason = "the measure has no known best value; state it as perfect"
    if reason:
        n = study.measured.n_patients
        nothing = not_computed(reason, n=n, level=study.level)
        return LawFit(law, None, None, {}, None, None, nothing, reason)
    fitted, resampled = study.fit(law)
    return LawFit(
        law, fitted, resampled, _parameters(study, fitted, resampled),
        _aicc(study, fitted.at(study.sizes)[0], len(law.parameters)), None,
        _held_out(study, law),
    )  # fmt: skip


def _aicc(study: Study, expected: Array, parameters: int) -> float | None:
    """Of the means of draws about losses (sizes,), up to a constant that all laws share."""
    means, place, weight = _draws(study)
    left = means - expected[place]
    n, k = left.size, parameters + 1
    if n - k - 1 <= 0:
        return None
    nothing = n * (_NOTHING * float(np.abs(means).max())) ** 2
    squares = max(float((weight * left**2).sum()), nothing, 1e-300)
    return float(n * math.log(squares / n) + 2 * k + 2 * k * (k + 1) / (n - k - 1))


def _aicc_of_constant(study: Study) -> float | None:
    """Of one mean of all sizes."""
    means, _, weight = _draws(study)
    mean = float(np.average(means, weights=weight))
    return _aicc(study, np.full(study.sizes.size, mean), 1)


def _draws(study: Study) -> tuple[Array, NDArray[np.intp], Array]:
    """Mean losses of draws (draws,) on real scans, which size each is of, and weights."""
    measured = study.measured
    chosen = list(study.curve_arms)
    keys, of = np.unique(
        np.stack([measured.arm_of, measured.draw_of], axis=1), axis=0, return_inverse=True
    )
    runs = study.sign * measured.totals.sum(axis=1) / measured.counts.sum(axis=1)
    means = np.bincount(of.reshape(-1), runs) / np.bincount(of.reshape(-1))
    points = np.isin(keys[:, 0], chosen)
    weight = 1 / np.maximum(study.noise.variance[keys[points, 0]], 1e-300)
    return means[points], np.searchsorted(chosen, keys[points, 0]), weight / weight.mean()


def _held_out(study: Study, law: Law) -> Estimate:
    arms = study.curve_arms
    largest = study.measured.arms[arms[-1]].n_real
    fitted, resampled = study.fit(law, arms[:-1])
    value = study.sign * (fitted.at([largest])[0, 0] - study.loss[arms[-1]])
    drawn = study.sign * (resampled.at([largest])[:, 0] - study.drawn[:, arms[-1]])
    return study.estimate(float(value), drawn)


def _parameters(study: Study, fitted: Fits, resampled: Fits) -> dict[str, Estimate]:
    law, sign = fitted.law, study.sign
    found: dict[str, Estimate] = {}
    for name in law.parameters:
        if name == "floor" and not law.saturates:
            name = "at one scan"
        one, many = (_parameter(name, fits) for fits in (fitted, resampled))
        factor = sign if name in ("floor", "at one scan") else 1.0
        found[name] = study.estimate(float(factor * one[0]), factor * many)
    return found


def _parameter(name: str, fits: Fits) -> Array:
    shape = fits.shape
    match name:
        case "floor":
            return fits.floor
        case "at one scan":
            return fits.at([1.0])[:, 0]
        case "exponent":
            return np.exp(shape[:, 0])
        case "exponent beyond":
            return np.exp(shape[:, 1])
        case "scans":
            return np.exp(shape[:, -1]) * fits.reference
    # The scale, at a single scan: b of b n^-c.
    if fits.law.parameters[:2] == ("floor", "scale") and fits.law.name == "exponential":
        return fits.scale
    if not fits.law.saturates:
        return fits.scale
    one = fits.law.shape(np.array([1.0 / fits.reference]), shape)[:, 0]
    return fits.scale * one
