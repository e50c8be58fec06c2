"""McNemar's test: two yes-or-no results on the same units."""

from __future__ import annotations

from dataclasses import dataclass

from scalemai.statistics.estimate import Estimate
from scalemai.statistics.proportions import PairedCounts, difference_paired

__all__ = ["McNemarTest", "mcnemar"]


@dataclass(frozen=True, slots=True)
class McNemarTest:
    """Whether two proportions on the same units differ.

    Parameters
    ----------
    p_exact
        Two-sided, from the binomial distribution of the units that disagree; never too small.
    p_mid
        Two-sided mid-p, which comes nearer to its level and rarely exceeds it.
    difference
        First proportion minus second, with Newcombe's interval.
    reason
        Why there are no p-values.
    """

    p_exact: float | None
    p_mid: float | None
    difference: Estimate
    reason: str = ""


def mcnemar(counts: PairedCounts, level: float = 0.95) -> McNemarTest:
    """Test whether the first result is as often a success as the second.

    Parameters
    ----------
    counts
        Units on which both, only the first, only the second, and neither succeeded.
    level
        Confidence level of the interval of the difference.

    Returns
    -------
    McNemarTest
        Without p-values if the two never disagree.

    Raises
    ------
    ValueError
        If a count is negative.

    Notes
    -----
    McNemar, Psychometrika 1947;12:153; mid-p as recommended by Fagerland, Lydersen and Laake,
    BMC Med Res Methodol 2013;13:91.
    """
    difference = difference_paired(counts, level)
    fewer, more = sorted((counts.only_first, counts.only_second))
    if fewer + more == 0:
        reason = "the two never disagree" if sum(counts) else "there are no pairs"
        return McNemarTest(None, None, difference, reason)
    from scipy.stats import binom

    exact = min(1.0, 2 * float(binom.cdf(fewer, fewer + more, 0.5)))
    if fewer == more:
        # Both tails meet in the middle; its probability must not be taken twice.
        return McNemarTest(exact, 1.0 - float(binom.pmf(fewer, fewer + more, 0.5)), difference)
    return McNemarTest(exact, exact - float(binom.pmf(fewer, fewer + more, 0.5)), difference)
