"""Beyond what was measured: what more scans would give, and how many a gain would take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scalemai.evaluation.scaling.fitting import FARTHEST
from scalemai.evaluation.scaling.selection import LawFit
from scalemai.evaluation.scaling.study import Study
from scalemai.statistics.estimate import Estimate

__all__ = ["Plan", "Prediction", "plan", "predict"]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a law gives at a number of real scans.

    Parameters
    ----------
    law, plausible
        The law, and whether the data leave it open.
    n_real
        Number of scans.
    value
        The measure there. The interval takes the law for granted.
    extrapolated
        Whether the number lies outside the measured range.
    """

    law: str
    plausible: bool
    n_real: float
    value: Estimate
    extrapolated: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """How many more real scans a gain would take.

    Parameters
    ----------
    law, plausible
        As of :class:`Prediction`.
    gain
        Wanted over the law's own value at the largest number of scans.
    target
        The value that this is.
    more
        Further scans.
    out_of_reach
        Share of resamples in which no number of scans reaches it.
    """

    law: str
    plausible: bool
    gain: float
    target: float
    more: Estimate
    out_of_reach: float

    def __str__(self) -> str:
        name = f"{self.gain:+g} ({self.law})"
        if self.more.value is None:
            low = "" if self.more.low is None else f", or at least {self.more.low:,.0f} more scans"
            low = low if self.more.low is not None and np.isfinite(self.more.low) else ""
            return f"{name}: not reachable: the target lies below the floor{low}"
        low_, high = self.more.low, self.more.high
        if low_ is None or high is None:
            return f"{name}: {self.more.value:,.0f} more scans"
        end = f"{high:,.0f}" if np.isfinite(high) else "no bound"
        return f"{name}: {self.more.value:,.0f} more scans ({low_:,.0f} to {end})"


def predict(study: Study, fits: Sequence[LawFit], n: Sequence[float]) -> tuple[Prediction, ...]:
    """The measure at numbers of scans, by every fitted law.

    Parameters
    ----------
    study
        A group.
    fits
        Laws; those that were not fitted are passed over.
    n
        Numbers of real scans, above 0.
    """
    found = []
    for fit in fits:
        if fit.fitted is None or fit.resampled is None:
            continue
        values, drawn = fit.fitted.at(n)[0], fit.resampled.at(n)
        for place, size in enumerate(n):
            value = study.estimate(float(study.sign * values[place]), study.sign * drawn[:, place])
            outside = not study.sizes[0] <= size <= study.sizes[-1]
            found.append(Prediction(fit.law.name, fit.plausible, float(size), value, outside))
    return tuple(found)


def plan(study: Study, fits: Sequence[LawFit], gains: Sequence[float]) -> tuple[Plan, ...]:
    """How many more scans a gain over the largest number would take, by every plausible law.

    Parameters
    ----------
    study, fits
        As of :func:`predict`.
    gains
        In units of the measure, above 0; positive is better, whatever the measure.
    """
    largest = float(study.sizes[-1]) if study.sizes.size else 0.0
    found = []
    for fit in fits:
        if fit.fitted is None or fit.resampled is None or not fit.plausible:
            continue
        for gain in gains:
            here, there = (
                fits_.at([largest])[:, 0] - gain for fits_ in (fit.fitted, fit.resampled)
            )
            needed = float(fit.fitted.scans_for(here)[0]) - largest
            drawn = fit.resampled.scans_for(there) - largest
            why = f"it takes more than {FARTHEST:g} times the scans, or is beyond the floor,"
            more = study.estimate(needed, drawn, unbounded=why)
            found.append(
                Plan(
                    fit.law.name, fit.plausible, float(gain), float(study.sign * here[0]), more,
                    float(np.isinf(drawn).mean()),
                )
            )  # fmt: skip
    return tuple(found)
