"""Agreement coefficients equal published examples, and intervals hold the truth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import stdtrit
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa as statsmodels_cohen
from statsmodels.stats.inter_rater import fleiss_kappa as statsmodels_fleiss

from scalemai.statistics.agreement import (
    FEWEST_MIXED,
    cohen_kappa,
    fleiss_kappa,
    gwet_ac1,
    rating_counts,
)
from scalemai.statistics.estimate import Estimate

# Krippendorff (2011) and Gwet's handbook: four raters, twelve units, missing ratings (0).
FOUR_RATERS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
).T

# Fleiss 1971: fourteen raters, ten subjects, five categories, as in his worked example.
FLEISS = np.array(
    [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]
)  # fmt: skip


def test_ac1_and_kappa_are_those_of_gwets_handbook() -> None:
    counts = rating_counts(FOUR_RATERS - 1)
    assert gwet_ac1(counts).value == pytest.approx(0.77544, abs=5e-6)
    assert fleiss_kappa(counts).value == pytest.approx(0.76117, abs=5e-6)
    assert gwet_ac1(counts).n == 11  # one unit has a single rating


def error_of(found: Estimate, n: int) -> float:
    """The standard error that an interval on the scale of log(1 - k) was made from."""
    width = np.log((1 - found.low) / (1 - found.high)) / 2
    return float(width * (1 - found.value) / stdtrit(n - 1, 0.975))


def test_standard_error_of_cohen_kappa_is_that_of_fleiss_cohen_and_everitt() -> None:
    table = np.array([[22, 6, 3], [5, 31, 4], [2, 3, 24]])
    a, b = (np.repeat(index.ravel(), table.ravel()) for index in np.indices(table.shape))
    expected = statsmodels_cohen(table).std_kappa
    n = int(table.sum())
    assert error_of(cohen_kappa(a, b), n) == pytest.approx(expected * (n / (n - 1)) ** 0.5)


@pytest.mark.parametrize("coefficient", [fleiss_kappa, gwet_ac1])
def test_standard_errors_of_several_raters_are_those_of_the_jackknife(
    coefficient: Callable[[NDArray[np.float64]], Estimate],
) -> None:
    counts = raters(np.random.default_rng(4), 300, 4, rare=False)
    counts[::7, 0] = np.maximum(counts[::7, 0] - 3, 0)  # some with fewer ratings, some with one
    n = len(counts)
    without = np.array([coefficient(np.delete(counts, k, axis=0)).value for k in range(n)])
    expected = np.sqrt(((without - without.mean()) ** 2).sum() * (n - 1) / n)
    found = coefficient(counts)
    assert error_of(found, found.n) == pytest.approx(expected, rel=0.02)


def test_fleiss_kappa_is_the_worked_example() -> None:
    assert fleiss_kappa(FLEISS).value == pytest.approx(0.210, abs=5e-4)
    assert fleiss_kappa(FLEISS).value == pytest.approx(statsmodels_fleiss(FLEISS))


@pytest.mark.parametrize("weights", ["none", "linear", "quadratic"])
def test_cohen_kappa_is_that_of_scikit_learn(weights: str) -> None:
    rng = np.random.default_rng(0)
    a = rng.integers(0, 5, 80)
    b = np.clip(a + rng.integers(-1, 2, 80), 0, 4)
    expected = cohen_kappa_score(a, b, weights=None if weights == "none" else weights)
    assert cohen_kappa(a, b, weights=weights).value == pytest.approx(expected)


def raters(rng: np.random.Generator, n: int, raters: int, rare: bool) -> NDArray[np.float64]:
    share = rng.beta(0.3, 2, n) if rare else rng.beta(1, 1, n)
    said = rng.binomial(raters, share)
    return np.stack([raters - said, said], axis=1).astype(float)


@pytest.mark.parametrize("readers", [2, 4])
@pytest.mark.parametrize("n", [60, 120])
def test_intervals_of_kappa_cover_as_nominal(n: int, readers: int) -> None:
    rng = np.random.default_rng(1)
    truth = 1 / 3  # of the uniform distribution of shares: var / (mean (1 - mean))
    trials, held = 1500, 0
    for _ in range(trials):
        found = fleiss_kappa(raters(rng, n, readers, rare=False))
        held += found.low <= truth <= found.high
    assert 0.93 <= held / trials <= 0.97


@pytest.mark.parametrize("n", [60, 120])
def test_intervals_of_ac1_cover_as_nominal_where_an_answer_is_rare(n: int) -> None:
    rng = np.random.default_rng(2)
    truth = gwet_ac1(raters(rng, 400_000, 4, rare=True), categories=2).value
    trials, held = 1500, 0
    for _ in range(trials):
        found = gwet_ac1(raters(rng, n, 4, rare=True), categories=2)
        held += found.low <= truth <= found.high
    assert 0.93 <= held / trials <= 0.97


def test_intervals_of_cohen_kappa_cover_as_nominal() -> None:
    rng = np.random.default_rng(3)
    trials, held = 1500, 0
    for _ in range(trials):
        truth = rng.random(100) < 0.4
        a, b = ((truth ^ (rng.random(100) < 0.15)).astype(int) for _ in range(2))
        # Both say yes with 0.4 * 0.85 + 0.6 * 0.15; they agree if both or none err.
        yes, agree = 0.43, 0.85**2 + 0.15**2
        chance = yes**2 + (1 - yes) ** 2
        found = cohen_kappa(a, b)
        held += found.low <= (agree - chance) / (1 - chance) <= found.high
    assert 0.93 <= held / trials <= 0.97


def test_kappa_of_a_rare_answer_has_no_interval_but_ac1_does() -> None:
    counts = np.array([[2.0, 0.0]] * 90 + [[1.0, 1.0]] * 4 + [[0.0, 2.0]] * 6)
    found = fleiss_kappa(counts)
    assert found.low is None
    assert f"at least {FEWEST_MIXED}" in found.reason
    assert gwet_ac1(counts).low is not None


@pytest.mark.parametrize("answer", [0, 1])
def test_one_answer_throughout_tells_nothing_of_kappa(answer: int) -> None:
    same = np.full(30, answer)
    assert "one answer" in cohen_kappa(same, same).reason
    counts = rating_counts(np.stack([same, same], axis=1))
    assert fleiss_kappa(counts).value is None
    assert gwet_ac1(counts, categories=2).value == 1.0


def test_a_table_without_ratings_has_no_agreement() -> None:
    assert "two ratings" in fleiss_kappa(rating_counts(np.full((3, 2), -1))).reason
