"""Rankings agree with scipy and published tables, and say how firm they are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import friedmanchisquare, kendalltau

from scalemai.statistics.paired import wilcoxon_signed_rank
from scalemai.statistics.rank_stability import rank_stability, tau_between
from scalemai.statistics.ranking import friedman, kendall_tau, nemenyi, unit_ranks

# Three ways of rounding first base: Hollander and Wolfe 1973, page 140, the example of R's
# friedman.test.
ROUNDING_S = np.array(
    [
        [5.40, 5.50, 5.55], [5.85, 5.70, 5.75], [5.20, 5.60, 5.50], [5.55, 5.50, 5.40],
        [5.90, 5.85, 5.70], [5.45, 5.55, 5.60], [5.40, 5.40, 5.35], [5.45, 5.50, 5.35],
        [5.25, 5.15, 5.00], [5.85, 5.80, 5.70], [5.25, 5.20, 5.10], [5.65, 5.55, 5.45],
        [5.60, 5.35, 5.45], [5.05, 5.00, 4.95], [5.50, 5.50, 5.40], [5.45, 5.55, 5.50],
        [5.55, 5.55, 5.35], [5.45, 5.50, 5.55], [5.50, 5.45, 5.25], [5.65, 5.60, 5.40],
        [5.70, 5.65, 5.55], [6.30, 6.30, 6.25],
    ]
)  # fmt: skip


def test_friedmans_test_equals_the_example_of_r() -> None:
    found = friedman(ROUNDING_S)
    # R: Friedman chi-squared = 11.143, df = 2, p-value = 0.003805
    assert found.chi2 == pytest.approx(11.143, abs=5e-4)
    assert found.p == pytest.approx(0.003805, abs=5e-7)
    assert (found.n, found.algorithms) == (22, 3)


def test_friedmans_test_equals_scipy_with_ties() -> None:
    scores = np.random.default_rng(1).integers(0, 6, (50, 5)) / 5
    theirs = friedmanchisquare(*scores.T)
    found = friedman(scores)
    assert found.chi2 == pytest.approx(theirs.statistic)
    assert found.p == pytest.approx(theirs.pvalue)
    assert found.mean_ranks.sum() == pytest.approx(15)


def test_the_f_statistic_and_critical_differences_equal_those_of_demsar() -> None:
    # Demsar, J Mach Learn Res 2006;7:1: chi-squared 9.28 of 4 classifiers on 14 data sets gives
    # F = 3.69; Nemenyi's critical difference is 1.25 at 0.05 and 1.12 at 0.10.
    n, k, chi2 = 14, 4, 9.28
    assert (n - 1) * chi2 / (n * (k - 1) - chi2) == pytest.approx(3.69, abs=0.005)
    ranks = [3.143, 2.000, 2.893, 1.964]
    assert nemenyi(ranks, 14).critical_difference == pytest.approx(1.25, abs=0.005)
    assert nemenyi(ranks, 14, level=0.10).critical_difference == pytest.approx(1.12, abs=0.005)


def test_nemenyis_quantiles_are_those_of_the_published_table() -> None:
    published = [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]
    for k, q in zip(range(2, 11), published, strict=True):
        difference = nemenyi(np.arange(k), 1).critical_difference
        assert difference / np.sqrt(k * (k + 1) / 6) == pytest.approx(q, abs=1.5e-3)


def test_nemenyis_p_values_cross_the_level_at_the_critical_difference() -> None:
    critical = nemenyi([1, 2, 3, 4], 30).critical_difference
    found = nemenyi([1.0, 1.0 + critical, 3.9, 4.0], 30)
    assert found.p[0, 1] == pytest.approx(0.05, abs=1e-4)
    np.testing.assert_array_equal(found.p, found.p.T)
    assert (np.diag(found.p) == 1).all()


def test_nothing_to_rank_is_said_so() -> None:
    assert friedman(np.ones((5, 3))).reason == "all algorithms are alike on every unit"
    assert friedman(np.random.default_rng(0).random((5, 2))).p is None
    assert friedman(np.random.default_rng(0).random((1, 3))).reason == "1 units are too few"
    same_order = friedman(np.tile([3.0, 2.0, 1.0], (5, 1)))
    assert same_order.f == np.inf
    assert same_order.p_f == 0
    with pytest.raises(ValueError, match="finite"):
        friedman([[0.5, np.nan, 0.2]])


def test_the_highest_score_has_rank_one_and_ties_share() -> None:
    np.testing.assert_array_equal(unit_ranks([[0.9, 0.5, 0.9, 0.1]]), [[1.5, 3, 1.5, 4]])


def test_tau_equals_that_of_scipy() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.integers(0, 8, (2, 200, 9))
    ours = kendall_tau(a, b)
    theirs = [kendalltau(x, y).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(ours, theirs, atol=1e-12)
    assert np.isnan(kendall_tau([1, 1, 1], [1, 2, 3]))


# --- stability -----------------------------------------------------------------------------


def algorithms(rng: np.random.Generator, means: list[float], n: int) -> np.ndarray:
    """Scores that share what is hard about a case."""
    return rng.normal(0, 1, (n, 1)) + rng.normal(means, 1.0, (n, len(means)))


def test_a_clear_order_is_stable_and_a_tie_is_not() -> None:
    rng = np.random.default_rng(3)
    clear = rank_stability(algorithms(rng, [3.0, 2.0, 1.0], 200), rng=rng, draws=500)
    np.testing.assert_array_equal(clear.ranks, [1, 2, 3])
    np.testing.assert_array_equal(clear.distribution, np.eye(3))
    assert clear.tau.value == 1
    close = rank_stability(algorithms(rng, [1.0, 1.0, 1.0], 200), rng=rng, draws=500)
    assert close.tau.value is not None
    assert close.tau.value < 0.9
    assert (close.high - close.low).max() >= 1


def test_probabilities_of_places_and_of_being_first_sum_to_one() -> None:
    rng = np.random.default_rng(4)
    found = rank_stability(algorithms(rng, [0.1, 0.1, 0.0, 0.0], 40), rng=rng)
    np.testing.assert_allclose(found.distribution.sum(axis=1), 1)
    assert found.first.sum() == pytest.approx(1)


def test_identical_algorithms_share_every_place() -> None:
    one = np.random.default_rng(5).random((30, 1))
    found = rank_stability(np.hstack([one, one, one - 0.5]), rng=np.random.default_rng(0))
    np.testing.assert_array_equal(found.ranks, [1, 1, 3])
    np.testing.assert_allclose(found.first, [0.5, 0.5, 0])
    np.testing.assert_array_equal(found.distribution[:2, 0], [1, 1])


def test_resamples_are_of_patients_not_of_their_scans() -> None:
    # Twenty copies of each scan are no news: ranges must not shrink.
    rng = np.random.default_rng(6)
    scores = algorithms(rng, [0.2, 0.0], 20)
    patients = np.repeat(np.arange(20), 20)
    once = rank_stability(scores, rng=np.random.default_rng(1))
    copies = rank_stability(np.repeat(scores, 20, axis=0), patients, rng=np.random.default_rng(1))
    np.testing.assert_allclose(copies.first, once.first)
    pooled = rank_stability(np.repeat(scores, 20, axis=0), rng=np.random.default_rng(1))
    assert max(pooled.first) > max(once.first)
    assert copies.scores[0].n == 20


def test_the_same_seed_gives_the_same_resamples() -> None:
    scores = algorithms(np.random.default_rng(7), [0.0, 0.1, 0.1], 50)
    one, two = (rank_stability(scores, rng=np.random.default_rng(9)) for _ in range(2))
    np.testing.assert_array_equal(one.distribution, two.distribution)
    assert one.scores == two.scores


def test_ranking_by_mean_rank_is_robust_to_one_wild_value() -> None:
    scores = np.tile([[0.9, 0.8]], (20, 1)) + np.random.default_rng(0).normal(0, 0.01, (20, 2))
    scores[0] = [0.0, 5.0]
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(rank_stability(scores, rng=rng).ranks, [2, 1])
    by_rank = rank_stability(scores, rng=rng, by="mean rank")
    np.testing.assert_array_equal(by_rank.ranks, [1, 2])
    assert by_rank.scores[0].value == pytest.approx(1.05)


def test_intervals_of_mean_scores_cover_as_often_as_they_say() -> None:
    rng = np.random.default_rng(8)
    held = []
    for _ in range(400):
        scores = rng.beta(8, 2, (60, 4))
        found = rank_stability(scores, rng=rng, draws=400)
        for score in found.scores:
            assert score.low is not None
            assert score.high is not None
            held.append(score.low <= 0.8 <= score.high)
    assert 0.93 <= np.mean(held) <= 0.97


def test_two_metrics_that_agree_have_a_tau_of_one() -> None:
    scores = algorithms(np.random.default_rng(10), [3.0, 2.0, 1.0, 0.0], 100)
    tau = tau_between(scores, 2 * scores + 1, rng=np.random.default_rng(0), draws=300)
    assert tau.value == 1
    assert (tau.low, tau.high) == (1, 1)
    assert tau_between(scores, -scores, rng=np.random.default_rng(0), draws=300).value == -1
    flat = tau_between(scores, np.ones_like(scores), rng=np.random.default_rng(0), draws=300)
    assert flat.value is None
    with pytest.raises(ValueError, match="same units"):
        tau_between(scores, scores[:50], rng=np.random.default_rng(0))


def test_ranges_of_places_from_tests_hold_the_true_place() -> None:
    """The rule behind ``tested_place_low`` and ``tested_place_high``."""
    from scalemai.statistics.multiplicity import holm

    rng = np.random.default_rng(11)
    means = [0.0, 0.0, 0.25, 0.5, 0.5]
    true = [sum(other > mean for other in means) + 1 for mean in means]
    held = []
    for _ in range(250):
        scores = algorithms(rng, means, 60)
        i, j = np.nonzero(~np.eye(5, dtype=bool))
        p = [
            wilcoxon_signed_rank(scores[:, a], scores[:, b]).p_greater
            for a, b in zip(i, j, strict=True)
        ]
        wins = holm(np.array(p, dtype=float)) < 0.05
        low = [1 + np.count_nonzero(wins & (j == k)) for k in range(5)]
        high = [5 - np.count_nonzero(wins & (i == k)) for k in range(5)]
        held.append(all(low[k] <= true[k] <= high[k] for k in range(5)))
    assert np.mean(held) >= 0.95


@pytest.mark.parametrize("patients", [1, 4])
def test_few_patients_have_places_but_no_stability_of_them(patients: int) -> None:
    rng = np.random.default_rng(0)
    scores = np.repeat(rng.random((patients, 3)) + np.arange(3), 5, axis=0)
    clusters = np.repeat(np.arange(patients), 5)
    found = rank_stability(scores, clusters, rng=rng, draws=100)
    np.testing.assert_array_equal(found.ranks, [3, 2, 1])
    assert [found.distribution, found.first, found.low, found.high] == [None] * 4
    assert found.tau.value is None
    assert "too few to resample (at least 5)" in found.tau.reason
    tau = tau_between(scores, scores, clusters, rng=rng, draws=100)
    assert (tau.value, tau.low, tau.high) == (1.0, None, None)
    assert tau.reason == found.tau.reason
