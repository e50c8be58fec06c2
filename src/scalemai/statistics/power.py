"""How many patients a study of means or proportions needs, and what it can show.

Powers are of tests at the stated level; sample sizes are the smallest whole numbers that reach
what is asked for, and never count patients that drop out.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from scalemai.statistics.equivalence import FEWEST_PAIRS
from scalemai.statistics.proportions import clopper_pearson, wilson

__all__ = [
    "n_mcnemar",
    "n_paired_mean",
    "n_proportion",
    "n_sensitivity",
    "n_tost_paired",
    "power_mcnemar",
    "power_paired_mean",
    "power_proportion",
    "power_tost_paired",
    "power_tost_proportion",
    "smallest_n",
]

_LARGEST = 10_000_000


def smallest_n(reaches: Callable[[int], bool], *, least: int = 2) -> int:
    """The smallest n from ``least`` for which ``reaches`` is true, if it stays true above.

    Parameters
    ----------
    reaches
        Whether n units are enough. Exact tests rise in steps with small falls between: for them
        another n nearby may do too.
    least
        Where to begin.

    Raises
    ------
    ValueError
        If ten million are not enough: there is no effect to find.
    """
    high = least
    while not reaches(high):
        if high >= _LARGEST:
            raise ValueError(f"more than {_LARGEST:,} units would be needed")
        high *= 2
    low = max(high // 2, least - 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high


def power_paired_mean(
    n: int, difference: float, sd: float, *, alpha: float = 0.05, sides: int = 2
) -> float:
    """Power of the paired t test.

    Parameters
    ----------
    n
        Number of pairs, at least 2.
    difference, sd
        True mean, and standard deviation, of the differences within pairs; in one unit.
    alpha, sides
        Level, and 1 or 2 sides. With one side, ``difference`` counts as in its direction.

    Notes
    -----
    From the noncentral t distribution. Wilcoxon's signed-rank test needs at most 16 % more
    pairs for any symmetric distribution, 5 % for normal differences (Hodges and Lehmann, Ann
    Math Stat 1956;27:324).
    """
    _require(alpha=alpha, sides=sides, sd=sd)
    if n < 2:
        raise ValueError(f"{n} pairs cannot be tested")
    from scipy.stats import nct, t

    shift = abs(difference) / sd * math.sqrt(n)
    critical = t.ppf(1 - alpha / sides, n - 1)
    power = float(nct.sf(critical, n - 1, shift))
    if sides == 2:
        # The far tail underflows to NaN for large shifts, where it is nothing.
        power += float(np.nan_to_num(nct.cdf(-critical, n - 1, shift)))
    return min(power, 1.0)


def n_paired_mean(
    difference: float, sd: float, *, power: float = 0.8, alpha: float = 0.05, sides: int = 2
) -> int:
    """Pairs that a paired t test needs; parameters as of :func:`power_paired_mean`."""
    _require(power=power)
    return smallest_n(
        lambda n: power_paired_mean(n, difference, sd, alpha=alpha, sides=sides) >= power
    )


def power_proportion(
    n: int, p: float, null: float = 0.5, *, alpha: float = 0.05, sides: int = 2
) -> float:
    """Power of the exact binomial test, whose true level is at most ``alpha``.

    Parameters
    ----------
    n
        Number of independent trials.
    p, null
        True proportion, and the one of the hypothesis.
    alpha, sides
        Level, and 1 or 2 sides; each of two sides is tested at ``alpha / 2``.
    """
    _require(alpha=alpha, sides=sides, p=p, null=null)
    from scipy.stats import binom

    tail = alpha / sides
    least = int(binom.isf(tail, n, null)) + 1  # smallest k with P(X >= k) <= tail
    most = int(binom.ppf(tail, n, null)) - 1
    if float(binom.cdf(most + 1, n, null)) <= tail:
        most += 1
    up, down = float(binom.sf(least - 1, n, p)), float(binom.cdf(most, n, p))
    if sides == 2:
        return up + down
    return up if p >= null else down


def power_tost_proportion(
    n: int, margin: float, *, p: float = 0.5, centre: float = 0.5, alpha: float = 0.05
) -> float:
    """Power to show that a proportion, or balanced accuracy, is within ``centre +- margin``.

    Parameters
    ----------
    n
        Number of independent trials; for a balanced accuracy half of them of each class.
    margin, centre
        The range that does not matter.
    p
        True proportion.
    alpha
        Level of each of the two exact tests of
        :func:`scalemai.statistics.equivalence.tost_proportion`.

    Notes
    -----
    With margin 0.1 about 0.5: 0.24 for n = 100, 0.77 for 200, 0.98 for 400.
    """
    _require(alpha=alpha, p=p)
    if not (margin > 0 and centre - margin >= 0 and centre + margin <= 1):
        raise ValueError(f"{centre} +- {margin} is no range of proportions")
    from scipy.stats import binom

    k = np.arange(n + 1)
    not_low = binom.sf(k - 1, n, centre - margin) <= alpha
    not_high = binom.cdf(k, n, centre + margin) <= alpha
    return float(binom.pmf(k[not_low & not_high], n, p).sum())


def n_proportion(p: float, width: float, *, level: float = 0.95, exact: bool = False) -> int:
    """Trials for which the interval of a proportion is no wider than ``width``.

    Parameters
    ----------
    p
        Expected proportion.
    width
        Wanted width of the whole interval, from end to end.
    level, exact
        Confidence level; Clopper-Pearson's interval instead of Wilson's.
    """
    _require(p=p, alpha=level)
    if not 0 < width < 1:
        raise ValueError(f"a width lies between 0 and 1, got {width}")

    def narrow(n: int) -> bool:
        one = (clopper_pearson if exact else wilson)(round(p * n), n, level)
        return one.low is not None and one.high is not None and one.high - one.low <= width

    return smallest_n(narrow, least=1)


def n_sensitivity(
    sensitivity: float, width: float, prevalence: float, *, level: float = 0.95
) -> tuple[int, int]:
    """Patients for a sensitivity whose interval is no wider than ``width``.

    Parameters
    ----------
    sensitivity, width, level
        As of :func:`n_proportion`. For a specificity give it and one minus the prevalence.
    prevalence
        Share of positive patients among those who are scanned.

    Returns
    -------
    tuple of int
        Positive patients, and patients to be scanned so that as many are expected.

    Notes
    -----
    Buderer, Acad Emerg Med 1996;3:895, with Wilson's interval in place of Wald's.
    """
    if not 0 < prevalence <= 1:
        raise ValueError(f"a prevalence lies between 0 and 1, got {prevalence}")
    positives = n_proportion(sensitivity, width, level=level)
    return positives, math.ceil(positives / prevalence)


def power_mcnemar(
    n: int, only_first: float, only_second: float, *, alpha: float = 0.05, sides: int = 2
) -> float:
    """Power of McNemar's test, in the normal approximation.

    Parameters
    ----------
    n
        Number of pairs.
    only_first, only_second
        True shares of pairs on which only the first, and only the second, succeeds.
    alpha, sides
        Level, and 1 or 2 sides.

    Notes
    -----
    Connor, Biometrics 1987;43:207. The lesser of the two tails is left out.
    """
    _require(alpha=alpha, sides=sides)
    disagree, apart = _discordance(only_first, only_second)
    from scipy.special import ndtr, ndtri

    reach = apart * math.sqrt(n) + float(ndtri(alpha / sides)) * math.sqrt(disagree)
    return float(ndtr(reach / math.sqrt(disagree - apart**2)))


def n_mcnemar(
    only_first: float,
    only_second: float,
    *,
    power: float = 0.8,
    alpha: float = 0.05,
    sides: int = 2,
) -> int:
    """Pairs that McNemar's test needs; parameters as of :func:`power_mcnemar`."""
    _require(power=power)
    if only_first == only_second:
        raise ValueError("there is no difference to find")
    return smallest_n(
        lambda n: power_mcnemar(n, only_first, only_second, alpha=alpha, sides=sides) >= power
    )


def power_tost_paired(
    n: int, margin: float, sd: float, *, difference: float = 0.0, alpha: float = 0.05
) -> float:
    """Power of :func:`scalemai.statistics.equivalence.tost_paired` for normal differences.

    Parameters
    ----------
    n
        Number of pairs, at least 2.
    margin
        Largest difference of means that does not matter.
    sd, difference
        True standard deviation, and mean, of the differences within pairs.
    alpha
        Level of each one-sided test.

    Notes
    -----
    Exact: the probability that the mean is within the margin less ``t`` standard errors,
    integrated over the distribution of the standard error.
    """
    _require(alpha=alpha, sd=sd)
    if n < 2 or not margin > 0:
        raise ValueError(f"{n} pairs and margin {margin}: impossible")
    from scipy.integrate import quad
    from scipy.special import ndtr
    from scipy.stats import chi2, t

    freedom, root = n - 1, math.sqrt(n)
    critical = float(t.ppf(1 - alpha, freedom))

    def within(q: float) -> float:
        """Probability of success, given that the variance is at its quantile ``q``."""
        found = sd * math.sqrt(float(chi2.ppf(q, freedom)) / freedom)
        room = margin - critical * found / root
        if room <= 0:
            return 0.0
        high, low = (room - difference) * root / sd, (-room - difference) * root / sd
        return float(ndtr(high) - ndtr(low))

    # Beyond this quantile the standard error leaves no room at all.
    last = float(chi2.cdf(freedom * (margin * root / (critical * sd)) ** 2, freedom))
    return float(quad(within, 0.0, last, limit=200, epsabs=1e-9)[0]) if last > 0 else 0.0


def n_tost_paired(
    margin: float, sd: float, *, difference: float = 0.0, power: float = 0.8, alpha: float = 0.05
) -> int:
    """Pairs that a TOST needs; parameters as of :func:`power_tost_paired`.

    At least :data:`~scalemai.statistics.equivalence.FEWEST_PAIRS`, below which there is none.
    """
    _require(power=power)
    if abs(difference) >= margin:
        raise ValueError("a true difference outside the margin is never equivalent")
    return smallest_n(
        lambda n: power_tost_paired(n, margin, sd, difference=difference, alpha=alpha) >= power,
        least=FEWEST_PAIRS,
    )


def _discordance(only_first: float, only_second: float) -> tuple[float, float]:
    disagree = only_first + only_second
    if min(only_first, only_second) < 0 or not 0 < disagree <= 1:
        raise ValueError(f"shares {only_first} and {only_second} of pairs are impossible")
    return disagree, abs(only_first - only_second)


def _require(*, sides: int = 2, sd: float = 1.0, **shares: float) -> None:
    if sides not in (1, 2):
        raise ValueError(f"a test has 1 or 2 sides, not {sides}")
    if not sd > 0:
        raise ValueError(f"a standard deviation is positive, got {sd}")
    for name, value in shares.items():
        if not 0 < value < 1:
            raise ValueError(f"{name} lies between 0 and 1, got {value}")
