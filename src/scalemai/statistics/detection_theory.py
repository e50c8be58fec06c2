"""Signal detection: how well two classes are told apart, whatever the habit of answering.

With equal normal distributions of evidence, ``d' = z(H) - z(F)`` is the distance of the two
classes in standard deviations and ``c = -(z(H) + z(F)) / 2`` is where the reader draws the line:
negative if he says "signal" more readily (Green and Swets 1966; Macmillan and Creelman 2005).
``H`` is the share of signals called signal, ``F`` of noises called signal. Shares of 0 and 1 have
no quantile, so half a trial is added to every count (log-linear correction; Hautus, Behav Res
Methods Instrum Comput 1995;27:46).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scalemai.statistics.estimate import Estimate, not_computed
from scalemai.statistics.proportions import wilson

__all__ = ["SignalDetection", "d_prime_2afc", "signal_detection"]


@dataclass(frozen=True, slots=True)
class SignalDetection:
    """Ability and habit of one reader.

    Parameters
    ----------
    d_prime
        Distance of the classes; 0 is chance.
    criterion
        Where the line is drawn; 0 is unbiased, negative favours "signal".
    corrected
        Whether a share of 0 or 1 was there, so that the values rest on the correction.
    """

    d_prime: Estimate
    criterion: Estimate
    corrected: bool


def signal_detection(
    hits: int, signals: int, false_alarms: int, noises: int, *, level: float = 0.95
) -> SignalDetection:
    """d' and criterion of a yes-or-no task.

    Parameters
    ----------
    hits, signals
        Signals called signal, and all signals.
    false_alarms, noises
        Noises called signal, and all noises.
    level
        Confidence level.

    Returns
    -------
    SignalDetection
        Values with the log-linear correction; intervals from Wilson's limits of both shares
        taken through z and combined (Zou and Donner, Stat Med 2008;27:1693). An end is infinite
        where a share of 0 or 1 leaves it unbounded. Not computed without signals or noises.

    Raises
    ------
    ValueError
        As of :func:`scalemai.statistics.proportions.wilson`.
    """
    n = signals + noises
    hit, alarm = wilson(hits, signals, level), wilson(false_alarms, noises, level)
    if hit.value is None or alarm.value is None:
        none = not_computed(f"there are no {'noises' if signals else 'signals'}", n=n, level=level)
        return SignalDetection(none, none, corrected=False)
    zh, zf = _corrected_z(hits, signals), _corrected_z(false_alarms, noises)
    h = _reach(hit, zh)
    f = _reach(alarm, zf)
    name = "wilson limits through z, combined"
    d = Estimate(
        zh - zf, zh - zf - math.hypot(h[0], f[1]), zh - zf + math.hypot(h[1], f[0]), level, n, name
    )
    c = -(zh + zf) / 2
    criterion = Estimate(
        c, c - math.hypot(h[1], f[1]) / 2, c + math.hypot(h[0], f[0]) / 2, level, n, name
    )
    return SignalDetection(d, criterion, hit.value in (0, 1) or alarm.value in (0, 1))


def d_prime_2afc(correct: int, trials: int, *, level: float = 0.95) -> Estimate:
    """d' of a task with two alternatives shown together, one of which is the signal.

    Parameters
    ----------
    correct, trials
        Pairs in which the signal was picked, and all pairs.
    level
        Confidence level.

    Returns
    -------
    Estimate
        ``sqrt(2) z(p)`` with the log-linear correction; the interval is Wilson's, taken through
        the same function. Negative values mean that the wrong one was picked more often than
        chance does.

    Raises
    ------
    ValueError
        As of :func:`scalemai.statistics.proportions.wilson`.
    """
    share = wilson(correct, trials, level)
    if share.value is None or share.low is None or share.high is None:
        return share
    root = math.sqrt(2)
    value = root * _corrected_z(correct, trials)
    low, high = root * _z(share.low), root * _z(share.high)
    return Estimate(
        value, min(low, value), max(high, value), level, trials, "wilson limits through z"
    )


def _corrected_z(k: int, n: int) -> float:
    return _z((k + 0.5) / (n + 1))


def _z(share: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(min(max(share, 0.0), 1.0)))


def _reach(share: Estimate, middle: float) -> tuple[float, float]:
    """How far the limits of a share lie below and above its corrected z."""
    assert share.low is not None
    assert share.high is not None
    return max(middle - _z(share.low), 0.0), max(_z(share.high) - middle, 0.0)
