"""Resampling patients gives honest intervals, whichever function does it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from scalemai.statistics.bca import FEWEST_CLUSTERS, resampled_interval
from scalemai.statistics.bootstrap import (
    cluster_bootstrap,
    cluster_mean,
    cluster_ratio,
    cluster_weights_bootstrap,
)
from scalemai.statistics.proportions import cluster_proportion

Rows = NDArray[np.float64]
Sample = Callable[[np.random.Generator, int], tuple[Rows, Rows]]


def lesions(p: float) -> Sample:
    """Found and all lesions of patients; lesions of a patient share their luck (rho = 0.3)."""

    def sample(rng: np.random.Generator, n: int) -> tuple[Rows, Rows]:
        size = 1 + rng.poisson(1, n)
        luck = rng.beta(p * 0.7 / 0.3, (1 - p) * 0.7 / 0.3, n)
        return rng.binomial(size, luck).astype(float), size.astype(float)

    return sample


def dice(rng: np.random.Generator, n: int) -> tuple[Rows, Rows]:
    return rng.beta(6, 1.5, n), np.ones(n)


def false_positives(rng: np.random.Generator, n: int) -> tuple[Rows, Rows]:
    return rng.negative_binomial(1, 0.5, n).astype(float), np.ones(n)


@pytest.mark.parametrize("n", [40, 60])
@pytest.mark.parametrize(
    ("sample", "truth"), [(dice, 0.8), (false_positives, 1.0)], ids=["dice", "false positives"]
)
def test_intervals_cover_as_nominal_with_forty_patients(
    sample: Sample, truth: float, n: int
) -> None:
    rng = np.random.default_rng(3)
    trials, held = 800, 0
    for _ in range(trials):
        numerator, denominator = sample(rng, n)
        estimate = cluster_ratio(numerator, denominator, np.arange(n), rng=rng, draws=800)
        assert estimate.low is not None
        assert estimate.high is not None
        held += estimate.low <= truth <= estimate.high
    assert 0.93 <= held / trials <= 0.97


@pytest.mark.parametrize("n", [15, 20, 40])
@pytest.mark.parametrize("share", [0.7, 0.85])
def test_shares_of_clustered_lesions_cover_as_nominal_with_few_patients(
    share: float, n: int
) -> None:
    rng = np.random.default_rng(3)
    trials, held = 2000, 0
    for _ in range(trials):
        found, all_of_them = lesions(share)(rng, n)
        estimate = cluster_proportion(found, all_of_them, np.arange(n))
        assert estimate.low is not None
        assert estimate.high is not None
        held += estimate.low <= share <= estimate.high
    # Of a single share, not on average over shares: those of few patients are a coarse lattice.
    assert 0.93 <= held / trials <= 0.98


def test_ignoring_the_patients_would_be_far_too_sure() -> None:
    rng = np.random.default_rng(5)
    patients = np.repeat(np.arange(50), 8)
    found = np.repeat(rng.random(50) < 0.6, 8).astype(float)
    together = cluster_mean(found, patients, rng=rng)
    alone = cluster_mean(found, np.arange(400), rng=rng)
    assert (together.n, alone.n) == (50, 400)
    width = [e.high - e.low for e in (together, alone)]  # type: ignore[operator]
    assert width[0] > 2.3 * width[1]


def test_sums_weights_and_indices_give_the_same_interval() -> None:
    rng = np.random.default_rng(8)
    clusters = rng.integers(0, 40, 150).astype(str)
    values = rng.normal(size=150)

    def again() -> np.random.Generator:
        return np.random.default_rng(99)

    by_rows = cluster_bootstrap(lambda rows: values[rows].mean(), clusters, rng=again())
    by_sums = cluster_mean(values, clusters, rng=again())
    by_weights = cluster_weights_bootstrap(
        lambda w: (w @ values) / w.sum(axis=1), clusters, rng=again()
    )
    for other in (by_sums, by_weights):
        assert other.method.startswith(by_rows.method)
        assert (other.value, other.low, other.high) == pytest.approx(
            (by_rows.value, by_rows.low, by_rows.high), abs=1e-12
        )


def test_the_bca_limits_equal_those_of_scipy_before_they_are_widened() -> None:
    from scipy.special import ndtr, stdtr
    from scipy.stats import bootstrap

    values = np.random.default_rng(4).exponential(size=200)
    n = len(values)
    # The level whose widened tail is the plain 2.5 %.
    wanted = 2 * stdtr(n - 1, 1.959963984540054 / np.sqrt(n / (n - 1))) - 1
    ours = cluster_mean(
        values, np.arange(n), rng=np.random.default_rng(0), draws=40_000, level=wanted
    )
    theirs = bootstrap(
        (values,), np.mean, n_resamples=40_000, method="BCa", rng=np.random.default_rng(1)
    ).confidence_interval
    assert ndtr(1.959963984540054) == pytest.approx(0.975)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=0.01)


def test_the_same_seed_gives_the_same_interval_and_rows_may_come_in_any_order() -> None:
    values = np.random.default_rng(1).random(100)
    patients = np.array([f"p{i // 2:02}" for i in range(100)])
    turned = np.random.default_rng(2).permutation(100)
    first = cluster_mean(values, patients, rng=np.random.default_rng(7))
    second = cluster_mean(values[turned], patients[turned], rng=np.random.default_rng(7))
    assert (first.low, first.high) == pytest.approx((second.low, second.high), abs=1e-12)


def test_too_few_clusters_keep_their_value_and_say_why_there_is_no_interval() -> None:
    one = cluster_mean([1.0, 2.0, 4.0], ["a", "a", "a"], rng=np.random.default_rng(0))
    assert one.value == pytest.approx(7 / 3)
    assert one.low is None
    assert one.reason == "1 patient is too few for the interval of a mean (at least 40)"
    some = cluster_ratio(np.arange(39.0), np.ones(39), np.arange(39), rng=np.random.default_rng(0))
    assert some.value == 19
    assert some.low is None
    assert some.reason == f"39 clusters are too few to resample (at least {FEWEST_CLUSTERS})"


def test_equal_values_and_undefined_statistics_have_no_interval() -> None:
    rng = np.random.default_rng(0)
    flat = cluster_mean(np.full(50, 0.7), np.arange(50), rng=rng)
    assert flat.value == pytest.approx(0.7)
    assert flat.low is None
    assert "same value" in flat.reason
    nothing = cluster_ratio(np.zeros(9), np.zeros(9), np.arange(9), rng=rng)
    assert str(nothing).startswith("not computed because the statistic is undefined")
    assert not cluster_mean([], [], rng=rng).computed


def test_a_statistic_that_many_resamples_cannot_have_gets_no_interval() -> None:
    # One patient of 50 is positive: about 36 % of resamples have none.
    positive = np.arange(50) == 3
    score = np.where(positive, 0.9, 0.1)
    rare = cluster_ratio(score * positive, positive, np.arange(50), rng=np.random.default_rng(0))
    assert rare.value == pytest.approx(0.9)
    assert rare.low is None
    assert "undefined in" in rare.reason
    # With three of fifty about 4 % are undefined; they are left out and counted.
    positive = np.arange(50) < 3
    few = cluster_ratio(
        np.arange(50) * positive, positive, np.arange(50), rng=np.random.default_rng(0)
    )
    assert few.low is not None
    assert few.method.endswith("undefined")


def test_all_lesions_found_is_as_sure_as_its_patients() -> None:
    patients = np.repeat(np.arange(20), 3)
    everything = cluster_proportion(np.ones(60), np.ones(60), patients)
    assert (everything.value, everything.high, everything.n) == (1.0, 1.0, 20)
    # Twenty trials, fewer by the degrees of freedom of a variance: Wilson's lower end.
    effective = 20 * (1.959964 / 2.093024) ** 2
    assert everything.low == pytest.approx(effective / (effective + 1.959964**2), rel=1e-5)
    none = cluster_proportion(np.zeros(60), np.ones(60), patients)
    assert none.high == pytest.approx(1 - everything.low)


def test_wrong_shapes_and_levels_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="cluster labels"):
        cluster_ratio([1, 2], [1, 2], ["a"], rng=rng)
    with pytest.raises(ValueError, match="one label a row"):
        cluster_bootstrap(lambda rows: 0.0, [["a"]], rng=rng)
    with pytest.raises(ValueError, match="level"):
        resampled_interval(0.5, np.array([0.5, 0.6]), np.zeros(50), 50, level=95)
    with pytest.raises(ValueError, match="at least one draw"):
        cluster_mean(np.arange(50.0), np.arange(50), rng=rng, draws=0)
    with pytest.raises(ValueError, match="more successes than trials"):
        cluster_proportion([2], [1], ["a"])
