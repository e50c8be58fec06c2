"""Where more scans no longer matter: as equivalence within a margin, never as "not significant"."""

from __future__ import annotations

from dataclasses import dataclass

from scalemai.evaluation.scaling.selection import LawFit
from scalemai.evaluation.scaling.study import Study
from scalemai.statistics.estimate import Estimate, not_computed

__all__ = ["Gain", "Plateau", "find_plateau"]


@dataclass(frozen=True, slots=True)
class Gain:
    """What the largest number of scans gains over a smaller one, as measured.

    Parameters
    ----------
    n_real
        The smaller number.
    gain
        How much better the largest is; positive is better, whatever the measure. Where each arm
        was trained once, the interval is conditional on these trainings.
    below_margin
        Whether the upper end of its interval is below the margin.
    """

    n_real: float
    gain: Estimate
    below_margin: bool


@dataclass(frozen=True, slots=True)
class Plateau:
    """Whether, and from where on, the gain to the largest number of scans is surely small.

    Parameters
    ----------
    margin
        Gain that does not matter, in units of the measure.
    largest
        Largest number of real scans.
    begins
        Smallest number from which on every gain to the largest is surely below the margin; None
        if there is none.
    gains
        For all but the largest, ascending.
    last_doubling, next_doubling
        Gain of the chosen law from half the largest number to it, and from it to twice as many;
        the second is an extrapolation.
    """

    margin: float
    largest: float
    begins: float | None
    gains: tuple[Gain, ...]
    last_doubling: Estimate
    next_doubling: Estimate

    def __str__(self) -> str:
        if self.begins is not None:
            return (
                f"plateau from {self.begins:,.6g} scans: up to {self.largest:,.6g} the gain is "
                f"surely below {self.margin:g}"
            )
        if not self.gains:
            return "a plateau cannot be shown with a single number of scans"
        last = self.gains[-1]
        end = last.gain.high
        up_to = "" if end is None else f", at most {end:.3g} is the last gain"
        return (
            f"no plateau is shown up to {self.largest:,.6g} scans: a gain of {self.margin:g} from "
            f"{last.n_real:,.6g} on is not ruled out{up_to}"
        )


def find_plateau(study: Study, margin: float, fit: LawFit | None) -> Plateau:
    """Compare every number of real scans with the largest, on the same test patients.

    Parameters
    ----------
    study
        A group.
    margin
        Gain that does not matter, in units of the measure.
    fit
        The chosen law, for its slope; None if there is none.
    """
    arms = study.curve_arms
    gains = [
        _gain(study, arm, arms[-1], margin) for arm in arms[:-1]
    ]  # fmt: skip
    begins = None
    for gain in reversed(gains):
        if not gain.below_margin:
            break
        begins = gain.n_real
    largest = float(study.sizes[-1]) if arms else 0.0
    if fit is None or fit.fitted is None or fit.resampled is None:
        reason = "no law was chosen"
        last = next_ = not_computed(reason, n=study.measured.n_patients, level=study.level)
    else:
        last, next_ = (
            study.estimate(
                float(fit.fitted.slope_per_doubling(n)[0]), fit.resampled.slope_per_doubling(n)
            )
            for n in (largest / 2, largest)
        )
    return Plateau(margin, largest, begins, tuple(gains), last, next_)


def _gain(study: Study, arm: int, largest: int, margin: float) -> Gain:
    gain = study.gain(arm, largest)
    below = gain.high is not None and gain.high < margin
    return Gain(study.measured.arms[arm].n_real, gain, below)
