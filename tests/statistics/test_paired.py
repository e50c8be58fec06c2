"""Paired tests agree with scipy and R, and their intervals cover as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wilcoxon
from statsmodels.stats.multitest import multipletests

from scalemai.statistics.multiplicity import holm
from scalemai.statistics.paired import (
    hodges_lehmann,
    paired_differences,
    rank_biserial,
    wilcoxon_signed_rank,
)

# Hamilton depression scale before and after a tranquilizer: Hollander and Wolfe 1973, page 29,
# the example of R's wilcox.test.
BEFORE = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
AFTER = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]


def walsh(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """All means of two differences, i <= j, the slow way."""
    differences = paired_differences(a, b)
    i, j = np.triu_indices(differences.size)
    return np.sort((differences[i] + differences[j]) / 2)


def test_the_signed_rank_test_equals_the_example_of_r() -> None:
    found = wilcoxon_signed_rank(BEFORE, AFTER, "greater")
    assert found.statistic == 40  # R: V = 40, p-value = 0.01953
    assert found.p == pytest.approx(0.01953125, abs=1e-12)
    assert found.p_two_sided == pytest.approx(0.0390625, abs=1e-12)
    assert "exact" in found.method


def test_the_shift_equals_the_example_of_hollander_and_wolfe() -> None:
    shift = hodges_lehmann(BEFORE, AFTER)
    assert shift.value == pytest.approx(0.46, abs=1e-12)
    assert (shift.low, shift.high) == pytest.approx((0.010, 0.786), abs=1e-12)
    # R: 95 percent one-sided bound 0.175, the lower end of the two-sided 90 % interval.
    assert hodges_lehmann(BEFORE, AFTER, level=0.9).low == pytest.approx(0.175, abs=1e-12)


@pytest.mark.parametrize("zeros", ["pratt", "wilcox", "zsplit"])
@pytest.mark.parametrize("n", [9, 40, 300])
def test_p_values_equal_those_of_scipy(n: int, zeros: str) -> None:
    rng = np.random.default_rng(n)
    a = rng.integers(0, 1000, n) / 1000
    b = np.clip(a + rng.integers(-30, 40, n) / 1000, 0, 1)
    b[: n // 5] = a[: n // 5]
    found = wilcoxon_signed_rank(a, b, zeros=zeros)  # type: ignore[arg-type]
    exact = np.round(a - b, 12)  # scipy would take the last digits of a - b for differences
    for p, side in (
        (found.p_two_sided, "two-sided"),
        (found.p_greater, "greater"),
        (found.p_less, "less"),
    ):
        theirs = wilcoxon(exact, zero_method=zeros, alternative=side)
        assert p == pytest.approx(theirs.pvalue, rel=1e-9)
    assert found.zeros == np.count_nonzero(exact == 0)


def test_equal_differences_of_decimals_are_ties() -> None:
    # 0.3 - 0.2 is larger than 0.2 - 0.1 in binary; an exact test without ties would be wrong.
    assert np.unique(paired_differences([0.3, 0.2, 0.9], [0.2, 0.1, 0.8])).size == 1
    assert (paired_differences([0.1 + 0.2], [0.3]) == 0).all()


def test_identical_methods_have_no_p_value_but_a_reason() -> None:
    same = wilcoxon_signed_rank([0.5, 0.7, 0.9], [0.5, 0.7, 0.9])
    assert same.p is None
    assert same.reason == "identical on all cases"
    assert rank_biserial([0.5], [0.5]) is None
    shift = hodges_lehmann([0.5, 0.7, 0.9], [0.5, 0.7, 0.9])
    assert shift.value == 0
    assert shift.low is None
    assert shift.reason == "identical on all cases"


def test_values_that_are_no_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="no pairs"):
        wilcoxon_signed_rank([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="missing"):
        hodges_lehmann([1.0, np.nan], [1.0, 2.0])


def test_too_few_pairs_for_an_interval_are_named() -> None:
    shift = hodges_lehmann([1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 0.0, 0.0, 0.0, 0.0])
    assert shift.value == 3
    assert shift.low is None
    assert "5 pairs are too few" in shift.reason
    assert hodges_lehmann(np.arange(1.0, 7.0), np.zeros(6)).low == 1


@given(
    st.lists(st.integers(-20, 20), min_size=1, max_size=60),
    st.sampled_from([1.0, 0.01, 0.001, 37.5]),
)
@settings(deadline=None, max_examples=150)
def test_the_shift_is_the_median_of_all_walsh_averages(steps: list[int], unit: float) -> None:
    a = np.array(steps) * unit
    b = np.zeros(len(a))
    means = walsh(a, b)
    assert hodges_lehmann(a, b).value == pytest.approx(np.median(means), abs=1e-9 * unit)


@given(st.integers(0, 2**32 - 1), st.integers(6, 80))
@settings(deadline=None, max_examples=60)
def test_the_interval_has_as_many_walsh_averages_outside_as_the_test_allows(
    seed: int, n: int
) -> None:
    a = np.random.default_rng(seed).normal(size=n)
    b = np.zeros(n)
    shift, means = hodges_lehmann(a, b), walsh(a, b)
    assert shift.low is not None
    assert shift.high is not None
    below = int(np.searchsorted(means, shift.low, side="left"))
    above = int(means.size - np.searchsorted(means, shift.high, side="right"))
    assert below == above
    # Just inside the ends the two-sided test does not reject; just outside it does.
    for end, inwards in ((shift.low, 1e-9), (shift.high, -1e-9)):
        assert wilcoxon_signed_rank(a - end - inwards, b).p > 0.048  # type: ignore[operator]
        assert wilcoxon_signed_rank(a - end + inwards, b).p < 0.052  # type: ignore[operator]


def test_the_interval_of_the_shift_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(20)
    for n, draw in (
        (15, lambda size: rng.normal(size=size)),
        (80, lambda size: rng.standard_t(3, size=size)),
        (80, lambda size: np.round(rng.laplace(size=size), 2)),  # ties and zeros
    ):
        held = 0
        for _ in range(1500):
            shift = hodges_lehmann(draw(n) + 0.25, np.zeros(n))
            assert shift.low is not None
            assert shift.high is not None
            held += shift.low <= 0.25 <= shift.high
        assert 0.93 <= held / 1500 <= 0.97


def test_five_thousand_pairs_need_no_quadratic_memory() -> None:
    import tracemalloc

    a = np.random.default_rng(1).normal(size=5000)
    tracemalloc.start()
    hodges_lehmann(a, np.zeros(5000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6  # all Walsh averages would take 100 MB


def test_the_effect_is_one_if_all_favour_the_first_and_turns_its_sign() -> None:
    a, b = np.array([0.8, 0.9, 0.7]), np.array([0.7, 0.7, 0.65])
    assert rank_biserial(a, b) == 1
    assert rank_biserial(b, a) == -1
    # R's effectsize on the same data: (R+ - R-) / (R+ + R-), here (40 - 5) / 45.
    assert rank_biserial(BEFORE, AFTER) == pytest.approx(35 / 45)


def test_zeros_weaken_the_evidence_unless_they_are_dropped() -> None:
    rng = np.random.default_rng(5)
    change = np.concatenate([rng.normal(0.3, 1, 60), np.zeros(60)])
    nothing = np.zeros(120)
    pratt = wilcoxon_signed_rank(change, nothing, "greater").p
    dropped = wilcoxon_signed_rank(change, nothing, "greater", zeros="wilcox").p
    alone = wilcoxon_signed_rank(change[:60], nothing[:60], "greater").p
    assert dropped == pytest.approx(alone)
    assert pratt != pytest.approx(dropped)


# --- Holm ----------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_holm_equals_statsmodels(p: list[float]) -> None:
    theirs = multipletests(p, method="holm")[1]
    np.testing.assert_allclose(holm(p), theirs, atol=1e-12)


def test_holm_equals_the_example_of_r() -> None:
    # R: p.adjust(c(0.01, 0.02, 0.03, 0.04), "holm") is 0.04 0.06 0.06 0.06
    np.testing.assert_allclose(holm([0.01, 0.02, 0.03, 0.04]), [0.04, 0.06, 0.06, 0.06])
    assert holm([]).size == 0


def test_missing_p_values_are_refused() -> None:
    for wrong in ([0.5, np.nan], [1.5], [-0.1], [100.0]):
        with pytest.raises(ValueError, match="0 to 1"):
            holm(wrong)
