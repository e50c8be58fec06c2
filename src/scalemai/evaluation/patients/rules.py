"""Rules that choose an operating point from counts at every threshold."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scalemai.errors import ConfigError
from scalemai.statistics.roc import RocCurve

__all__ = ["Rule", "choose_threshold", "parse_rule"]

Aim = Literal["youden", "specificity", "sensitivity", "fp-per-scan"]

_TEXT = re.compile(r"(specificity|sensitivity)>=([0-9.eE-]+)|(fp-per-scan)<=([0-9.eE-]+)")


@dataclass(frozen=True, slots=True)
class Rule:
    """What an operating point is to achieve on the validation cases.

    Parameters
    ----------
    aim
        ``youden``: the largest sum of sensitivity and specificity (Youden, Cancer 1950;3:32), of
        equal ones the one with fewest false positives. ``specificity``: the highest sensitivity
        with at least this specificity. ``sensitivity``: the fewest false positives with at least
        this sensitivity. ``fp-per-scan``: the highest sensitivity with at most this many false
        positives per scan.
    target
        The bound; None for ``youden``.

    Raises
    ------
    ConfigError
        If the target is missing, superfluous or impossible.
    """

    aim: Aim
    target: float | None = None

    def __post_init__(self) -> None:
        if self.aim == "youden":
            if self.target is not None:
                raise ConfigError("the rule youden takes no target", where="rule")
        elif self.target is None or not math.isfinite(self.target) or self.target < 0:
            raise ConfigError(f"the rule {self.aim} needs a target of 0 or more", where="rule")
        elif self.aim != "fp-per-scan" and self.target > 1:
            what = f"a {self.aim} of {self.target:g} is not within 0 and 1"
            raise ConfigError(what, where="rule", fix="give a share, not per cent")

    def __str__(self) -> str:
        if self.target is None:
            return self.aim
        return f"{self.aim}{'<=' if self.aim == 'fp-per-scan' else '>='}{self.target:g}"


def parse_rule(text: str) -> Rule:
    """The rule that a text states.

    ``youden``, ``specificity>=0.9``, ``sensitivity>=0.9`` or ``fp-per-scan<=1``, with any number.

    Raises
    ------
    ConfigError
        If the text is none of these, or its target is impossible.
    """
    plain = text.replace(" ", "").lower()
    if plain == "youden":
        return Rule("youden")
    match = _TEXT.fullmatch(plain)
    try:
        if match and match[1] == "specificity":
            return Rule("specificity", float(match[2]))
        if match and match[1]:
            return Rule("sensitivity", float(match[2]))
        if match:
            return Rule("fp-per-scan", float(match[4]))
    except ValueError as error:
        if isinstance(error, ConfigError):
            raise
    fix = "write youden, specificity>=0.9, sensitivity>=0.9 or fp-per-scan<=1"
    raise ConfigError(f"no rule reads {text!r}", where="rule", fix=fix)


def choose_threshold(curve: RocCurve, rule: Rule, scans: int) -> tuple[float, int]:
    """The threshold that a rule chooses, for ``score >= threshold``.

    Parameters
    ----------
    curve
        Counts at every score. Infinite scores stand for missing predictions: no threshold
        changes whether they are called.
    rule
        What to achieve.
    scans
        Number of scans, for false positives per scan.

    Returns
    -------
    tuple
        The threshold, half-way between the lowest score that is called and the highest that is
        not, and the index of its counts in ``curve``.

    Raises
    ------
    ConfigError
        If no threshold achieves the target, or positives or negatives that the rule needs are
        absent.
    """
    reachable = _reachable(curve.threshold)
    if rule.aim in ("youden", "sensitivity", "specificity") and not curve.positives:
        raise ConfigError(f"the rule {rule} needs positives, and there are none")
    if rule.aim in ("youden", "specificity") and not curve.negatives:
        raise ConfigError(f"the rule {rule} needs negatives, and there are none")
    reached, passes, last = _judged(curve, rule, scans)
    good = reachable[passes(reached[reachable])]
    if not good.size:
        nearest = (
            reached[reachable].min() if rule.aim == "fp-per-scan" else reached[reachable].max()
        )
        what = f"no threshold reaches {rule}; the nearest is {nearest:.4g}"
        raise ConfigError(what, fix="relax the target, or supply the missing predictions")
    index = int(good[-1 if last else 0])
    return _between(curve.threshold, index), index


def _judged(
    curve: RocCurve, rule: Rule, scans: int
) -> tuple[NDArray[np.float64], Callable[[NDArray[np.float64]], NDArray[np.bool_]], bool]:
    """What is bounded at each threshold, whether it passes, and whether the laxest is wanted."""
    target = rule.target or 0.0
    if rule.aim == "youden":
        return curve.sensitivity - curve.false_positive_rate, _is_largest, False
    if rule.aim == "specificity":
        specificity = 1 - curve.false_positive_rate
        return specificity, lambda reached: reached >= target - 1e-12, True
    if rule.aim == "sensitivity":
        return curve.sensitivity, lambda reached: reached >= target - 1e-12, False
    per_scan = curve.false_positives / scans
    return per_scan, lambda reached: reached <= target + 1e-12, True


def _is_largest(reached: NDArray[np.float64]) -> NDArray[np.bool_]:
    # Sums of fractions that are equal on paper differ by rounding.
    largest: NDArray[np.bool_] = reached >= reached.max() - 1e-12
    return largest


def _reachable(threshold: NDArray[np.float64]) -> NDArray[np.intp]:
    """Indices of counts that a finite threshold gives."""
    finite = np.flatnonzero(np.isfinite(threshold))
    if not finite.size:
        raise ConfigError("there is no score to put a threshold on")
    # The entry before the highest finite score calls none of the finite ones.
    return np.concatenate([[finite[0] - 1], finite])


def _between(threshold: NDArray[np.float64], index: int) -> float:
    called = threshold[index]
    left = threshold[index + 1] if index + 1 < threshold.size else -np.inf
    if np.isinf(left):
        return float(called)
    if np.isinf(called):
        return float(np.nextafter(left, np.inf))
    middle = left + (called - left) / 2
    return float(middle if middle > left else called)
