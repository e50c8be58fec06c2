"""Readers and cases as samples: intervals hold the truth with few readers too."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from scalemai.statistics.multireader import fixed_readers, jackknife_covariance, random_readers

Model = tuple[float, float, float, float, float]  # d', its spread, c, its spread, cases' spread


def answers(
    rng: np.random.Generator, readers: int, half: int, model: Model, d: NDArray, c: NDArray
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether each reader says "real" to real and to synthetic cases."""
    spread = np.hypot(1, model[4])

    def said(side: float) -> NDArray[np.bool_]:
        look = model[4] * rng.normal(size=half)
        return (d * side - c)[:, None] * spread + look + rng.normal(size=(readers, half)) > 0

    return said(0.5), said(-0.5)


def balanced(d: NDArray, c: NDArray) -> NDArray:
    return (norm.cdf(d / 2 - c) + 1 - norm.cdf(-d / 2 - c)) / 2


def figures(real: NDArray[np.bool_], synthetic: NDArray[np.bool_]) -> tuple[NDArray, NDArray]:
    """Balanced accuracies, and their covariance over cases by the jackknife."""
    n = real.shape[1]
    total_real, total = real.sum(axis=1), (~synthetic).sum(axis=1)
    without = np.concatenate(
        [
            ((total_real[:, None] - real) / (n - 1) + total[:, None] / n) / 2,
            (total_real[:, None] / n + (total[:, None] - ~synthetic) / (n - 1)) / 2,
        ],
        axis=1,
    )
    return (total_real / n + total / n) / 2, jackknife_covariance(without.T)


@pytest.mark.parametrize("readers", [3, 6])
@pytest.mark.parametrize(
    "model", [(0, 0, 0, 0, 0), (0, 0.3, -0.8, 0.4, 0.7), (0.3, 0.3, 0, 0.3, 1.0)]
)
def test_intervals_for_all_readers_cover_as_nominal(model: Model, readers: int) -> None:
    rng = np.random.default_rng(1)
    many = np.random.default_rng(2).standard_normal((2, 400_000))
    truth = balanced(model[0] + model[1] * many[0], model[2] + model[3] * many[1]).mean()
    trials, held = 1000, 0
    for _ in range(trials):
        d, c = rng.normal(model[0], model[1], readers), rng.normal(model[2], model[3], readers)
        values, covariance = figures(*answers(rng, readers, 60, model, d, c))
        found = random_readers(values, covariance, 120, share=True)
        held += found.low is None or found.low <= truth <= found.high
    assert 0.93 <= held / trials <= 0.97


@pytest.mark.parametrize("readers", [1, 4])
def test_intervals_for_these_readers_cover_as_nominal(readers: int) -> None:
    rng = np.random.default_rng(3)
    d, c = np.linspace(0.2, 1, readers), np.linspace(-1, 0, readers)
    trials, held = 1500, 0
    for _ in range(trials):
        values, covariance = figures(*answers(rng, readers, 60, (0, 0, 0, 0, 0.7), d, c))
        found = fixed_readers(values, covariance, 120, share=True)
        held += found.low <= balanced(d, c).mean() <= found.high
    assert 0.93 <= held / trials <= 0.97


def test_for_one_reader_the_jackknife_is_the_standard_error_of_a_mean() -> None:
    right = np.arange(40) % 3 == 0
    without = (right.sum() - right)[:, None] / 39
    assert jackknife_covariance(without)[0, 0] == pytest.approx(right.var(ddof=1) / 40)


def test_one_reader_says_nothing_of_others() -> None:
    found = random_readers([0.6], [[0.01]], 100)
    assert found.value == 0.6
    assert found.low is None
    assert "one reader" in found.reason


def test_more_readers_alike_do_not_narrow_what_shared_cases_leave_open() -> None:
    shared = np.full((8, 8), 0.002)
    few = random_readers(np.full(2, 0.6), shared[:2, :2], 100)
    many = random_readers(np.full(8, 0.6), shared, 100)
    assert many.high - many.low == pytest.approx(few.high - few.low)
