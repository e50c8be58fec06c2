"""d' and criterion are those of the textbooks; their exact coverage is nominal."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom, norm

from scalemai.statistics.detection_theory import d_prime_2afc, signal_detection


def test_values_are_z_of_the_corrected_shares() -> None:
    found = signal_detection(95, 100, 50, 100)
    hit, alarm = norm.ppf(95.5 / 101), norm.ppf(50.5 / 101)
    assert found.d_prime.value == pytest.approx(hit - alarm)
    assert found.criterion.value == pytest.approx(-(hit + alarm) / 2)
    assert not found.corrected


def test_a_specificity_of_one_half_is_not_chance() -> None:
    # Sensitivity 0.95 and specificity 0.45: able, and prone to say "signal".
    found = signal_detection(9500, 10000, 5500, 10000)
    assert found.d_prime.value == pytest.approx(1.5, abs=0.05)
    assert found.criterion.value == pytest.approx(-0.88, abs=0.02)


@pytest.mark.parametrize("n", [60, 100])
@pytest.mark.parametrize(("d", "c"), [(0, 0), (0, -1), (1, 0), (1.5, -0.86), (2.5, 0)])
def test_exact_coverage_of_d_prime_and_criterion_is_nominal(n: int, d: float, c: float) -> None:
    every = np.arange(n + 1)
    hit = binom.pmf(every, n, norm.cdf(d / 2 - c))
    alarm = binom.pmf(every, n, norm.cdf(-d / 2 - c))
    held_d = held_c = 0.0
    for i in range(n + 1):
        for j in range(n + 1):
            weight = hit[i] * alarm[j]
            if weight < 1e-7:
                continue
            found = signal_detection(i, n, j, n)
            held_d += weight * (found.d_prime.low <= d <= found.d_prime.high)
            held_c += weight * (found.criterion.low <= c <= found.criterion.high)
    assert 0.93 <= held_d <= 0.97
    assert 0.93 <= held_c <= 0.97


def test_a_reader_without_errors_is_unbounded_above_only() -> None:
    found = signal_detection(40, 40, 0, 40)
    assert found.corrected
    assert found.d_prime.high == math.inf
    assert 0 < found.d_prime.low < found.d_prime.value < math.inf


def test_a_reader_who_always_says_signal_shows_no_ability() -> None:
    found = signal_detection(40, 40, 60, 60)
    assert found.corrected
    assert (found.d_prime.low, found.d_prime.high) == (-math.inf, math.inf)
    assert found.criterion.high < -1


def test_without_noises_there_is_no_d_prime() -> None:
    assert "no noises" in signal_detection(3, 4, 0, 0).d_prime.reason


@pytest.mark.parametrize(("share", "d"), [(0.5, 0.0), (0.76, 1.0), (0.92, 2.0)])
def test_two_alternatives_follow_the_table_of_green_and_swets(share: float, d: float) -> None:
    assert d_prime_2afc(round(share * 100_000), 100_000).value == pytest.approx(d, abs=0.02)


@pytest.mark.parametrize("p", [0.5, 0.7, 0.9])
def test_exact_coverage_of_two_alternatives_is_nominal(p: float) -> None:
    n, d = 100, math.sqrt(2) * norm.ppf(p)
    found = [d_prime_2afc(k, n) for k in range(n + 1)]
    held = np.array([one.low <= d <= one.high for one in found])
    assert 0.93 <= float(held @ binom.pmf(np.arange(n + 1), n, p)) <= 0.97
