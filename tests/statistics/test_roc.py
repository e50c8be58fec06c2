"""AUC, its tests and its curves agree with published values and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc_curve

from scalemai.statistics.roc import (
    auc_bootstrap,
    auc_delong,
    auc_difference_bootstrap,
    average_precision,
    average_precision_bootstrap,
    compare_auc_delong,
    roc_curve,
)

Array = NDArray[np.float64]


def hanley_mcneil_1982() -> tuple[NDArray[np.bool_], Array]:
    """CT of 58 normal and 51 abnormal patients, rated 1 to 5 (Radiology 1982;143:29)."""
    normal = np.repeat(np.arange(1.0, 6), [33, 6, 6, 11, 2])
    abnormal = np.repeat(np.arange(1.0, 6), [3, 2, 2, 11, 33])
    return np.arange(109) >= 58, np.concatenate([normal, abnormal])


def placements(positive: NDArray[np.bool_], score: Array) -> tuple[Array, Array]:
    """DeLong's structural components by comparing every pair."""
    a, b = score[positive][:, None], score[~positive][None]
    wins = (a > b) + 0.5 * (a == b)
    return wins.mean(axis=1), wins.mean(axis=0)


def rated(seed: int, n: int = 90) -> tuple[NDArray[np.bool_], Array, Array]:
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.4
    shared = rng.normal(size=n)
    a = np.round(1.2 * positive + shared + 0.5 * rng.normal(size=n), 1)
    b = np.round(0.8 * positive + shared + 0.5 * rng.normal(size=n), 1)
    return positive, a, b


def test_the_published_ratings_give_the_published_area_and_error() -> None:
    positive, score = hanley_mcneil_1982()
    estimate = auc_delong(positive, score)
    assert estimate.value == pytest.approx(0.8932, abs=5e-5)
    assert estimate.low is not None
    assert estimate.high is not None
    # The interval is symmetric on the logit scale; DeLong's error of these data is 0.0307.
    logit = [np.log(x / (1 - x)) for x in (estimate.low, estimate.high)]
    error = (logit[1] - logit[0]) / 2 / 1.959964 * estimate.value * (1 - estimate.value)
    assert error == pytest.approx(0.0307, abs=5e-5)


@pytest.mark.parametrize("seed", range(5))
def test_the_paired_test_equals_brute_force_over_all_pairs(seed: int) -> None:
    positive, a, b = rated(seed)
    (a10, a01), (b10, b01) = placements(positive, a), placements(positive, b)
    above, below = a10 - b10, a01 - b01
    error = np.sqrt(above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below))
    found = compare_auc_delong(positive, a, b)
    assert found.first.value == pytest.approx(a10.mean(), abs=1e-12)
    assert found.z == pytest.approx((a10.mean() - b10.mean()) / error, rel=1e-9)
    assert found.p == pytest.approx(2 * ndtr(-abs(found.z or 0.0)), rel=1e-9)
    assert found.difference.low == pytest.approx(
        a10.mean() - b10.mean() - 1.959964 * error, abs=1e-6
    )


@given(arrays(np.bool_, 30), arrays(np.int8, 30, elements=st.integers(0, 12)), st.booleans())
def test_curve_area_and_precision_equal_those_of_scikit_learn(
    positive: NDArray[np.bool_], score: NDArray[np.int8], flip: bool
) -> None:
    score = -score if flip else score
    if positive.all() or not positive.any():
        assert not auc_delong(positive, score).computed
        return
    curve = roc_curve(positive, score)
    fpr, tpr, threshold = sklearn_roc_curve(positive, score, drop_intermediate=False)
    np.testing.assert_allclose(curve.false_positive_rate, fpr)
    np.testing.assert_allclose(curve.sensitivity, tpr)
    np.testing.assert_array_equal(curve.threshold, threshold)
    assert auc_delong(positive, score).value == pytest.approx(roc_auc_score(positive, score))
    expected = average_precision_score(positive, score)
    assert average_precision(positive, score) == pytest.approx(expected)


@given(arrays(np.bool_, 25), arrays(np.int8, 25, elements=st.integers(0, 5)))
def test_turning_the_score_round_mirrors_area_and_interval(
    positive: NDArray[np.bool_], score: NDArray[np.int8]
) -> None:
    forth, back = auc_delong(positive, score), auc_delong(positive, -score.astype(int))
    if forth.value is None or forth.low is None or forth.high is None:
        assert back.reason == forth.reason or back.low is None
        return
    assert 0 <= forth.low <= forth.value <= forth.high <= 1
    assert back.low == pytest.approx(1 - forth.high, abs=1e-9)


def test_perfect_separation_has_an_interval_that_narrows_with_patients() -> None:
    small = auc_delong([1] * 5 + [0] * 5, [1.0] * 5 + [0.0] * 5)
    large = auc_delong([1] * 50 + [0] * 200, [1.0] * 50 + [0.0] * 200)
    assert small.high == large.high == 1
    assert small.low == pytest.approx(0.643, abs=5e-4)
    assert large.low == pytest.approx(0.976, abs=5e-4)
    # The bound is where the Hanley-McNeil error, balanced, is just 1.96 times too small.
    q = small.low
    assert q is not None
    spread = q * (1 - q) / 25 * (1 + 4 * ((1 - q) / (2 - q) + q / (1 + q)))
    assert (1 - q) / np.sqrt(spread) == pytest.approx(1.959964, abs=1e-5)


@pytest.mark.parametrize("area", [0.6, 0.8, 0.9, 0.97])
@pytest.mark.parametrize(("m", "n"), [(20, 30), (40, 120)])
def test_delongs_interval_covers_as_nominal(area: float, m: int, n: int) -> None:
    rng = np.random.default_rng(17)
    positive = np.arange(m + n) < m
    trials, held = 1500, 0
    for _ in range(trials):
        score = rng.normal(size=m + n) + np.sqrt(2) * ndtri(area) * positive
        estimate = auc_delong(positive, score)
        assert estimate.low is not None
        assert estimate.high is not None
        held += estimate.low <= area <= estimate.high
    assert 0.93 <= held / trials <= 0.97


def test_the_paired_difference_covers_as_nominal() -> None:
    rng = np.random.default_rng(23)
    positive = np.arange(80) < 35
    truth = ndtr(1.2 / np.sqrt(2)) - ndtr(0.6 / np.sqrt(2))
    trials, held, rejected = 1500, 0, 0
    for _ in range(trials):
        shared = rng.normal(size=80)
        one, two, three = (0.6 * shared + 0.8 * rng.normal(size=80) for _ in range(3))
        found = compare_auc_delong(positive, one + 1.2 * positive, two + 0.6 * positive)
        assert found.difference.low is not None
        assert found.difference.high is not None
        held += found.difference.low <= truth <= found.difference.high
        p = compare_auc_delong(positive, two + 0.6 * positive, three + 0.6 * positive).p
        assert p is not None
        rejected += p < 0.05
    assert 0.93 <= held / trials <= 0.97
    assert 0.03 <= rejected / trials <= 0.07


def test_the_patient_bootstrap_covers_as_nominal_where_delong_is_too_sure() -> None:
    rng = np.random.default_rng(29)
    patients = np.repeat(np.arange(50), 3)
    positive = np.repeat(np.arange(50) < 20, 3)
    trials, held, too_sure = 500, 0, 0
    for _ in range(trials):
        score = np.repeat(rng.normal(size=50), 3) * 0.9 + rng.normal(size=150) * np.sqrt(0.19)
        score += np.sqrt(2) * ndtri(0.8) * positive
        ours = auc_bootstrap(positive, score, patients, rng=rng, draws=600)
        naive = auc_delong(positive, score)
        assert ours.low is not None
        assert ours.high is not None
        assert naive.low is not None
        assert naive.high is not None
        held += ours.low <= 0.8 <= ours.high
        too_sure += naive.low <= 0.8 <= naive.high
    assert 0.93 <= held / trials <= 0.97
    assert too_sure / trials < 0.85


def test_bootstrap_and_delong_agree_when_every_row_is_a_patient() -> None:
    positive, a, b = rated(2, 400)
    rng = np.random.default_rng(0)
    boot = auc_bootstrap(positive, a, np.arange(400), rng=rng)
    delong = compare_auc_delong(positive, a, b)
    assert boot.value == pytest.approx(delong.first.value, abs=1e-12)
    assert (boot.low, boot.high) == pytest.approx((delong.first.low, delong.first.high), abs=0.01)
    paired = auc_difference_bootstrap(positive, a, b, np.arange(400), rng=rng)
    expected = (delong.difference.low, delong.difference.high)
    assert (paired.low, paired.high) == pytest.approx(expected, abs=0.01)


def test_what_cannot_be_estimated_says_why() -> None:
    rng = np.random.default_rng(0)
    assert auc_delong([True] * 4, [1, 2, 3, 4]).reason == "there are no negatives"
    assert auc_delong([False] * 4, [1, 2, 3, 4]).reason == "there are no positives"
    assert auc_delong([], []).reason == "there are no positives"
    single = auc_delong([1, 0, 0, 0], [3, 1, 2, 4])
    assert single.value == pytest.approx(2 / 3)
    assert single.reason == "DeLong's variance needs two positives and two negatives"
    flat = auc_delong([1, 1, 0, 0], [1, 1, 1, 1])
    assert (flat.value, flat.low, flat.reason) == (0.5, None, "all scores are equal")
    same = compare_auc_delong(*hanley_mcneil_1982(), hanley_mcneil_1982()[1])
    assert (same.difference.value, same.p) == (0.0, 1.0)
    assert not compare_auc_delong([True, True], [1, 2], [2, 1]).difference.computed
    assert not average_precision_bootstrap([0] * 9, np.arange(9), np.arange(9), rng=rng).computed
    assert np.isnan(average_precision([], []))
    with pytest.raises(ValueError, match="1 of 2 scores are NaN"):
        roc_curve([True, False], [np.nan, 1.0])
    with pytest.raises(ValueError, match="reference values"):
        auc_delong([True], [1.0, 2.0])


def test_a_perfect_score_is_as_sure_as_its_patients() -> None:
    positive = np.repeat(np.arange(20) < 8, 4)
    perfect = auc_bootstrap(
        positive, positive * 1.0, np.repeat(np.arange(20), 4), rng=np.random.default_rng(0)
    )
    alone = auc_delong(np.arange(20) < 8, np.arange(20) < 8)
    assert (perfect.low, perfect.high, perfect.n) == (alone.low, 1.0, 20)


def test_average_precision_lies_within_its_interval() -> None:
    positive, a, _ = rated(6, 200)
    estimate = average_precision_bootstrap(
        positive, a, np.arange(200), rng=np.random.default_rng(0)
    )
    assert estimate.value == pytest.approx(average_precision_score(positive, a))
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.low < (estimate.value or 0) < estimate.high
