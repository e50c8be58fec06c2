"""Passing a visual Turing test: balanced accuracy shown to be near one half."""

from __future__ import annotations

from scalemai.statistics.equivalence import Equivalence, tost_proportion
from scalemai.statistics.estimate import Estimate, not_computed

__all__ = ["MARGIN", "tost_balanced_accuracy"]

MARGIN = 0.1
"""Balanced accuracy within 0.4 to 0.6 counts as unable to tell; author's estimate, to be refined.

Below 0.4 a reader tells the cases apart too, and names them the wrong way round."""


def tost_balanced_accuracy(
    real_correct: int,
    real: int,
    synthetic_correct: int,
    synthetic: int,
    *,
    margin: float = MARGIN,
    level: float = 0.05,
) -> Equivalence:
    """Is a reader's balanced accuracy within ``0.5 +- margin``?

    Parameters
    ----------
    real_correct, real
        Real cases called real, and all real cases read.
    synthetic_correct, synthetic
        Synthetic cases called synthetic, and all synthetic cases read.
    margin, level
        Largest distance from 0.5 that does not matter, and level of each one-sided test.

    Returns
    -------
    Equivalence
        With as many real as synthetic cases, exact binomial tests of the correct answers;
        otherwise score tests of the difference of "real" answers to real and to synthetic cases
        (Miettinen and Nurminen, Stat Med 1985;4:213), which is twice the distance from 0.5.
        Not computed without cases of either kind.

    Raises
    ------
    ValueError
        If counts or margin are impossible.
    """
    if not 0 < margin < 0.5 or not (
        0 <= real_correct <= real and 0 <= synthetic_correct <= synthetic
    ):
        raise ValueError("counts or margin are impossible")
    n, confidence = real + synthetic, 1 - 2 * level
    if real == 0 or synthetic == 0:
        gone = not_computed("there are cases of one kind only", n=n, level=confidence)
        return Equivalence(None, None, None, None, gone, margin, level)
    if real == synthetic:
        return tost_proportion(real_correct + synthetic_correct, n, margin, level=level)
    from statsmodels.stats.proportion import confint_proportions_2indep, test_proportions_2indep

    counts = (real_correct, real, synthetic - synthetic_correct, synthetic)

    def p(value: float, alternative: str) -> float:
        found = test_proportions_2indep(
            *counts, value=value, method="score", alternative=alternative, return_results=True
        )
        return float(found.pvalue)

    ends = confint_proportions_2indep(*counts, method="score", alpha=2 * level)
    distance = (real_correct / real - counts[2] / synthetic) / 2
    difference = Estimate(
        distance, float(ends[0]) / 2, float(ends[1]) / 2, confidence, n, "miettinen-nurminen"
    )
    low, high = p(-2 * margin, "larger"), p(2 * margin, "smaller")
    # A reader who always answers the same leaves the test for a difference without variance.
    same = counts[0] in (0, real) and counts[0] / real == counts[2] / synthetic
    apart = 1.0 if same else p(0.0, "two-sided")
    return Equivalence(max(low, high), low, high, apart, difference, margin, level)
