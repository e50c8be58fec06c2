"""Intervals of proportions agree with published values and cover as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from scalemai.statistics.estimate import Estimate
from scalemai.statistics.proportions import (
    PairedCounts,
    clopper_pearson,
    difference_paired,
    difference_unpaired,
    wilson,
)

COUNTS = [(0, 1), (1, 1), (0, 12), (12, 12), (20, 31), (26, 31), (1, 500), (4000, 5000)]


def ends(estimate: Estimate) -> tuple[float, float]:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low, estimate.high


@pytest.mark.parametrize(("k", "n"), COUNTS)
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_both_intervals_equal_those_of_statsmodels(k: int, n: int, level: float) -> None:
    for ours, method in ((wilson, "wilson"), (clopper_pearson, "beta")):
        theirs = proportion_confint(k, n, 1 - level, method)
        assert ends(ours(k, n, level)) == pytest.approx(theirs, abs=1e-9)


def test_twenty_of_thirty_one_lesions_say_little() -> None:
    assert ends(clopper_pearson(20, 31)) == pytest.approx((0.454, 0.808), abs=5e-4)
    assert ends(clopper_pearson(26, 31)) == pytest.approx((0.663, 0.945), abs=5e-4)


def coverage(method: object, n: int, p: np.ndarray) -> np.ndarray:
    """Exact coverage at each p: the probability of all counts whose interval holds it."""
    from scipy.stats import binom

    low, high = np.array([ends(method(k, n)) for k in range(n + 1)]).T  # type: ignore[operator]
    held = (low <= p[:, None]) & (p[:, None] <= high)
    return (binom.pmf(np.arange(n + 1), n, p[:, None]) * held).sum(axis=1)


@pytest.mark.parametrize("n", [15, 31, 100])
def test_wilson_covers_as_nominal_on_average_and_the_exact_one_always(n: int) -> None:
    p = np.linspace(0.01, 0.99, 399)
    assert 0.93 <= coverage(wilson, n, p).mean() <= 0.97
    assert coverage(clopper_pearson, n, p).min() >= 0.95


def test_no_trials_are_said_not_computed_and_impossible_counts_are_refused() -> None:
    assert str(wilson(0, 0)) == "not computed because there are no trials"
    for k, n in ((3, 2), (-1, 5), (0, -1)):
        with pytest.raises(ValueError, match="impossible"):
            clopper_pearson(k, n)
    with pytest.raises(ValueError, match="level"):
        wilson(1, 2, 95)


def test_the_unpaired_difference_equals_newcombes_example_and_statsmodels() -> None:
    # 56/70 against 48/80 is example (a) of the paper.
    estimate = difference_unpaired(56, 70, 48, 80)
    assert ends(estimate) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    for counts in [(56, 70, 48, 80), (9, 10, 3, 10), (10, 10, 0, 20), (0, 10, 0, 10)]:
        theirs = confint_proportions_2indep(*counts, method="newcomb", compare="diff")
        assert ends(difference_unpaired(*counts)) == pytest.approx(theirs, abs=1e-9)


def test_a_difference_without_units_is_not_computed() -> None:
    assert not difference_unpaired(0, 0, 1, 2).computed
    assert not difference_paired(PairedCounts(0, 0, 0, 0)).computed
    with pytest.raises(ValueError, match="negative"):
        difference_paired(PairedCounts(1, -1, 0, 0))


@given(*[st.integers(0, 60)] * 4)
def test_swapping_the_pairs_turns_the_paired_difference_round(
    both: int, first: int, second: int, neither: int
) -> None:
    forth = difference_paired(PairedCounts(both, first, second, neither))
    back = difference_paired(PairedCounts(both, second, first, neither))
    if forth.value is None:
        assert both + first + second + neither == 0
        return
    low, high = ends(forth)
    assert -1 <= low <= forth.value <= high <= 1
    assert ends(back) == pytest.approx((-high, -low), abs=1e-9)


@pytest.mark.parametrize("n", [30, 80])
@pytest.mark.parametrize("shared", [0.0, 0.6])
def test_both_differences_cover_as_nominal(n: int, shared: float) -> None:
    rng = np.random.default_rng(11)
    pairs = unpaired = 0
    trials = 1500
    for _ in range(trials):
        p, q = rng.uniform(0.1, 0.95, 2)
        # A common uniform makes both results on a unit agree: pairs are worth something.
        u, v = rng.random((2, n))
        v = np.where(rng.random(n) < shared, u, v)
        a, b = u < p, v < q
        table = PairedCounts(*(int(x.sum()) for x in (a & b, a & ~b, ~a & b, ~a & ~b)))
        low, high = ends(difference_paired(table))
        pairs += low <= p - q <= high
        other = rng.random(n) < q
        low, high = ends(difference_unpaired(int(a.sum()), n, int(other.sum()), n))
        unpaired += low <= p - q <= high
    assert 0.93 <= pairs / trials <= 0.97
    assert 0.93 <= unpaired / trials <= 0.97
