"""Equivalence and McNemar tests agree with published examples and hold their level."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar
from statsmodels.stats.weightstats import ttost_paired

from scalemai.statistics.equivalence import (
    tango_interval,
    tost_paired,
    tost_paired_proportions,
    tost_proportion,
)
from scalemai.statistics.mcnemar import mcnemar
from scalemai.statistics.proportions import PairedCounts

BENTUR = PairedCounts(1, 1, 7, 12)
"""Airway hyper-responsiveness before and after stem cell transplantation (Bentur 2009), as used
by Fagerland, Lydersen and Laake, BMC Med Res Methodol 2013;13:91."""


def test_mcnemar_equals_the_published_example() -> None:
    found = mcnemar(BENTUR)
    assert found.p_exact == pytest.approx(0.070, abs=5e-4)
    assert found.p_mid == pytest.approx(0.039, abs=5e-4)


@pytest.mark.parametrize(
    "counts", [(20, 5, 12, 63), (0, 3, 3, 0), (8, 0, 1, 2), (794, 86, 150, 570)]
)
def test_the_exact_p_equals_that_of_statsmodels(counts: tuple[int, int, int, int]) -> None:
    both, first, second, neither = counts
    theirs = their_mcnemar([[both, first], [second, neither]], exact=True)
    assert mcnemar(PairedCounts(*counts)).p_exact == pytest.approx(theirs.pvalue)


def test_mid_p_of_even_disagreement_is_one_half_of_its_own_probability_less() -> None:
    # Three against three: the exact p is 1, and the middle counts half.
    assert mcnemar(PairedCounts(5, 3, 3, 5)).p_mid == pytest.approx(1 - 20 / 64)


def test_methods_that_never_disagree_are_not_tested() -> None:
    found = mcnemar(PairedCounts(9, 0, 0, 4))
    assert found.p_exact is None
    assert found.p_mid is None
    assert found.reason == "the two never disagree"


def test_mid_p_holds_its_level() -> None:
    from scipy.stats import binom

    n = 60
    for disagree in (0.1, 0.3, 0.6):
        rejected = 0.0
        for total in range(1, n + 1):
            share = binom.pmf(total, n, disagree)
            for k in range(total + 1):
                p = mcnemar(PairedCounts(0, k, total - k, n - total)).p_mid
                if p is not None and p < 0.05:
                    rejected += share * binom.pmf(k, total, 0.5)
        assert 0.03 < rejected < 0.0525


# --- means ---------------------------------------------------------------------------------


@pytest.mark.parametrize("margin", [0.05, 0.3, 1.0])
def test_the_paired_tost_equals_that_of_statsmodels(margin: float) -> None:
    rng = np.random.default_rng(3)
    a = rng.normal(5, 1, 85)
    b = a + rng.normal(0.1, 0.8, 85)
    p, low, high = ttost_paired(a, b, -margin, margin)
    found = tost_paired(a, b, margin)
    assert found.p == pytest.approx(p, rel=1e-8)
    assert found.p_not_lower == pytest.approx(low[1], rel=1e-8)
    assert found.p_not_higher == pytest.approx(high[1], rel=1e-8)


def test_equivalence_is_shown_exactly_if_the_ninety_percent_interval_is_within_the_margin() -> None:
    rng = np.random.default_rng(4)
    for _ in range(200):
        a, b = rng.normal(0, 1, 80), rng.normal(0.1, 1, 80)
        found = tost_paired(a, b, 0.35)
        assert found.difference.low is not None
        assert found.difference.high is not None
        within = found.difference.low > -0.35 and found.difference.high < 0.35
        assert found.equivalent == within


def test_the_level_of_the_tost_is_held_at_the_margin() -> None:
    rng = np.random.default_rng(5)
    rejected = np.mean(
        [tost_paired(rng.normal(0.3, 1, 100), np.zeros(100), 0.3).equivalent for _ in range(40_000)]
    )
    assert 0.045 < rejected < 0.055


def test_all_four_conclusions_can_be_reached() -> None:
    rng = np.random.default_rng(6)
    noise = rng.normal(0, 1, 400)
    noise -= noise.mean()
    nothing = np.zeros(400)
    assert tost_paired(noise, nothing, 0.3).conclusion == "equivalent"
    assert tost_paired(noise + 0.15, nothing, 0.3).conclusion == "different, but within the margin"
    assert tost_paired(noise + 0.5, nothing, 0.3).conclusion == "different"
    assert tost_paired(noise[:80], nothing[:80], 0.1).conclusion == "inconclusive"


def test_pairs_without_variance_and_few_pairs_are_said_so() -> None:
    some = np.repeat([0.5, 0.6], 40)
    same = tost_paired(some, some, 0.02)
    assert same.p == 0
    assert same.conclusion == "equivalent"
    apart = tost_paired(some + 0.1, some, 0.02)
    assert apart.p == 1
    assert apart.conclusion == "different"
    assert tost_paired([0.5], [0.5], 0.02).conclusion == (
        "not computed because 1 pair is too few for a difference of means (at least 80)"
    )


def test_a_margin_that_is_none_is_refused() -> None:
    for margin in (0.0, -0.1, math.inf, math.nan):
        with pytest.raises(ValueError, match="margin"):
            tost_paired([1.0, 2.0], [1.0, 3.0], margin)


# --- proportions ---------------------------------------------------------------------------


def test_tangos_interval_equals_the_published_examples() -> None:
    # Fagerland, Lydersen and Laake, Stat Med 2014;33:2850, on the data of Bentur.
    found = tango_interval(BENTUR)
    assert (found.low, found.high) == pytest.approx((-0.517, -0.026), abs=5e-4)


def reference_z(counts: PairedCounts, delta: float) -> float:
    """Score statistic with the restricted maximum of the likelihood found by search."""
    n, b, c = sum(counts), counts.only_first, counts.only_second

    def lost(second: float) -> float:
        first = second + delta
        rest = 1 - first - second
        return -(
            b * math.log(max(first, 1e-300))
            + c * math.log(max(second, 1e-300))
            + (n - b - c) * math.log(max(rest, 1e-300))
        )

    low, high = max(0.0, -delta), (1 - delta) / 2
    second = float(
        minimize_scalar(lost, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    )
    return (b - c - n * delta) / math.sqrt(n * (2 * second + delta - delta**2))


@pytest.mark.parametrize("counts", [(30, 5, 9, 16), (50, 40, 20, 50), (7, 2, 1, 30)])
def test_the_proportion_tost_is_the_score_test_of_the_restricted_likelihood(
    counts: tuple[int, int, int, int],
) -> None:
    from scipy.special import ndtr

    table = PairedCounts(*counts)
    found = tost_paired_proportions(table, 0.15)
    assert found.p_not_lower == pytest.approx(ndtr(-reference_z(table, -0.15)), rel=1e-4)
    assert found.p_not_higher == pytest.approx(ndtr(reference_z(table, 0.15)), rel=1e-4)
    assert found.difference.low is not None
    assert found.difference.high is not None
    within = found.difference.low > -0.15 and found.difference.high < 0.15
    assert found.equivalent == within


def test_tangos_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    for shares in ((0.6, 0.15, 0.1, 0.15), (0.4, 0.3, 0.2, 0.1)):
        held = 0
        for draw in rng.multinomial(60, shares, size=1500):
            found = tango_interval(PairedCounts(*map(int, draw)))
            assert found.low is not None
            assert found.high is not None
            held += found.low <= shares[1] - shares[2] <= found.high
        assert 0.93 <= held / 1500 <= 0.97


def test_methods_that_agree_on_everything_are_equivalent_if_there_are_enough() -> None:
    assert tost_paired_proportions(PairedCounts(100, 0, 0, 0), 0.1).equivalent
    assert not tost_paired_proportions(PairedCounts(10, 0, 0, 0), 0.1).equivalent
    assert tost_paired_proportions(PairedCounts(0, 0, 0, 0), 0.1).p is None


def test_fifty_reads_cannot_pass_for_chance_and_two_hundred_can() -> None:
    assert not tost_proportion(25, 50, 0.1).equivalent
    assert tost_proportion(100, 200, 0.1).equivalent
    with pytest.raises(ValueError, match="impossible"):
        tost_proportion(3, 2, 0.1)
