"""How the volume of a lesion follows from time: exponential or Gompertz, both ways.

Both laws are anchored at a reference: the volume that the lesion has on a day. Volumes are in
cubic millimetres, times in days.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from scalemai.anatomy.facts import DoublingTime
from scalemai.errors import ConfigError

__all__ = [
    "CARRYING_VOLUME_MM3",
    "LAWS",
    "Exponential",
    "Gompertz",
    "GrowthLaw",
    "LawName",
    "draw_doubling_days",
    "growth_law",
]

LawName = Literal["exponential", "gompertz"]

LAWS: tuple[LawName, ...] = get_args(LawName)

CARRYING_VOLUME_MM3 = 3.0e6
"""The volume that Gompertz growth tends to by default: three litres, more than any lesion that is
offered. Author's estimate, to be refined."""

_LONGEST_DAYS = 1e6


@dataclass(frozen=True, kw_only=True)
class Exponential:
    """Growth at a constant doubling time: V(t) = V0 2^((t - t0) / doubling time).

    Parameters
    ----------
    doubling_days
        Days in which the volume doubles.
    reference_mm3, reference_day
        The volume in mm3 on a day.

    Raises
    ------
    ConfigError
        Naming the field, if a number is impossible.
    """

    doubling_days: float
    reference_mm3: float
    reference_day: float = 0.0

    def __post_init__(self) -> None:
        _check_anchor(self.doubling_days, self.reference_mm3, self.reference_day)

    @property
    def name(self) -> LawName:
        """``"exponential"``."""
        return "exponential"

    def volume_mm3(self, day: float) -> float:
        """Volume in mm3 on a day; inf where it is beyond all numbers."""
        doublings = (day - self.reference_day) / self.doubling_days
        with np.errstate(over="ignore", under="ignore"):
            return float(self.reference_mm3 * np.exp2(doublings))

    def day_of(self, volume_mm3: float) -> float:
        """The day on which the lesion has a volume in mm3.

        Raises
        ------
        ConfigError
            If it never has.
        """
        ratio = _checked(volume_mm3, math.inf) / self.reference_mm3
        return self.reference_day + self.doubling_days * math.log2(ratio)

    def doubling_days_at(self, volume_mm3: float) -> float:
        """Instantaneous doubling time in days at a volume: the same at each."""
        _checked(volume_mm3, math.inf)
        return self.doubling_days


@dataclass(frozen=True, kw_only=True)
class Gompertz:
    """Growth that slows down as the lesion grows: V(t) = K exp(-ln(K / V0) exp(-a (t - t0))).

    Laird (Br J Cancer 1964;18:490-502) fitted this law to transplanted tumors of animals, Norton
    (Cancer Res 1988;48:7067-7071) to three historical data sets of human breast cancer. The rate
    ``a`` is such that the instantaneous doubling time at the reference volume is ``doubling_days``;
    with a large carrying volume K the law tends to the exponential one.

    Parameters
    ----------
    doubling_days
        Instantaneous doubling time in days at the reference volume; smaller lesions are faster.
    reference_mm3, reference_day
        The volume in mm3 on a day.
    carrying_mm3
        The volume in mm3 that growth tends to, larger than the reference.

    Raises
    ------
    ConfigError
        Naming the field, if a number is impossible.
    """

    doubling_days: float
    reference_mm3: float
    reference_day: float = 0.0
    carrying_mm3: float = CARRYING_VOLUME_MM3

    def __post_init__(self) -> None:
        _check_anchor(self.doubling_days, self.reference_mm3, self.reference_day)
        if not self.reference_mm3 < self.carrying_mm3 < math.inf:
            what = f"{self.carrying_mm3:g} mm3 is not above the volume of {self.reference_mm3:g}"
            fix = "give the volume that growth tends to, or use the exponential law"
            raise ConfigError(what, where="carrying_mm3", fix=fix)

    @property
    def name(self) -> LawName:
        """``"gompertz"``."""
        return "gompertz"

    @property
    def _distance(self) -> float:
        """How far the reference is from the end, in logarithms of volume."""
        return math.log(self.carrying_mm3 / self.reference_mm3)

    @property
    def _rate(self) -> float:
        """The share of that distance that is covered per day."""
        return math.log(2.0) / (self.doubling_days * self._distance)

    def volume_mm3(self, day: float) -> float:
        """Volume in mm3 on a day."""
        with np.errstate(over="ignore", under="ignore"):
            left = self._distance * np.exp(-self._rate * (day - self.reference_day))
            return float(self.carrying_mm3 * np.exp(-left))

    def day_of(self, volume_mm3: float) -> float:
        """The day on which the lesion has a volume in mm3.

        Raises
        ------
        ConfigError
            If it never has.
        """
        left = math.log(self.carrying_mm3 / _checked(volume_mm3, self.carrying_mm3))
        return self.reference_day - math.log(left / self._distance) / self._rate

    def doubling_days_at(self, volume_mm3: float) -> float:
        """Instantaneous doubling time in days at a volume in mm3.

        Raises
        ------
        ConfigError
            If the lesion never has that volume.
        """
        left = math.log(self.carrying_mm3 / _checked(volume_mm3, self.carrying_mm3))
        return self.doubling_days * self._distance / left


GrowthLaw = Exponential | Gompertz


def growth_law(
    name: str,
    *,
    doubling_days: float,
    reference_mm3: float,
    reference_day: float = 0.0,
    carrying_mm3: float = CARRYING_VOLUME_MM3,
) -> GrowthLaw:
    """A law by name, anchored at the volume that a lesion has on a day.

    Parameters
    ----------
    name
        ``"exponential"`` or ``"gompertz"``.
    doubling_days, reference_mm3, reference_day, carrying_mm3
        As for :class:`Exponential` and :class:`Gompertz`; only the latter uses the last.

    Raises
    ------
    ConfigError
        If there is no such law, or a number is impossible.
    """
    if name not in LAWS:
        fix = f"give {' or '.join(LAWS)}"
        raise ConfigError(f"there is no growth law {name!r}", where="law", fix=fix)
    if name == "exponential":
        return Exponential(
            doubling_days=doubling_days, reference_mm3=reference_mm3, reference_day=reference_day
        )
    return Gompertz(
        doubling_days=doubling_days,
        reference_mm3=reference_mm3,
        reference_day=reference_day,
        carrying_mm3=carrying_mm3,
    )


def draw_doubling_days(times: DoublingTime, rng: np.random.Generator) -> float:
    """Draw a doubling time in days: triangular in its logarithm, most often the typical one.

    Doubling times of one kind of tumor spread over an order of magnitude and are skewed, so their
    logarithms are drawn.

    Parameters
    ----------
    times
        The fast end, the typical value and the slow end, from the organ's facts.
    rng
        The random stream of this decision.
    """
    low, typical, high = (
        math.log(days) for days in (times.low_days, times.typical_days, times.high_days)
    )
    return math.exp(rng.triangular(low, typical, high)) if low < high else times.typical_days


def _check_anchor(doubling_days: float, reference_mm3: float, reference_day: float) -> None:
    if not 0.0 < doubling_days <= _LONGEST_DAYS:
        fix = "give the days in which the volume doubles, above 0"
        raise ConfigError(f"{doubling_days:g} days", where="doubling_days", fix=fix)
    if not 0.0 < reference_mm3 < math.inf:
        fix = "give a volume above 0"
        raise ConfigError(f"{reference_mm3:g} mm3", where="reference_mm3", fix=fix)
    if not abs(reference_day) <= _LONGEST_DAYS:
        raise ConfigError(f"day {reference_day:g}", where="reference_day", fix="give a day")


def _checked(volume_mm3: float, most_mm3: float) -> float:
    if not 0.0 < volume_mm3 < most_mm3:
        limit = "" if math.isinf(most_mm3) else f" and below {most_mm3:g} mm3"
        fix = f"give a volume above 0{limit}"
        raise ConfigError(f"the lesion never has {volume_mm3:g} mm3", where="volume_mm3", fix=fix)
    return volume_mm3
