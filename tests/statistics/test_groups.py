"""Groups are compared as R and scipy do, and shifts hold what the test does not reject."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import comb
from scipy.stats import false_discovery_control, mannwhitneyu

from scalemai.statistics.groups import (
    dunn,
    hodges_lehmann_shift,
    kruskal_wallis,
    pairwise_mann_whitney,
)
from scalemai.statistics.multiplicity import holm

# Ozone in New York by month, May to September (data set airquality of R).
OZONE = [
    [41, 36, 12, 18, 28, 23, 19, 8, 7, 16, 11, 14, 18, 14, 34, 6, 30, 11, 1, 11, 4, 32, 23, 45,
     115, 37],
    [29, 71, 39, 23, 21, 37, 20, 12, 13],
    [135, 49, 32, 64, 40, 77, 97, 97, 85, 10, 27, 7, 48, 35, 61, 79, 63, 16, 80, 108, 20, 52, 82,
     50, 64, 59],
    [39, 9, 16, 78, 35, 66, 122, 89, 110, 44, 28, 65, 22, 59, 23, 31, 44, 21, 9, 45, 168, 73, 76,
     118, 84, 85],
    [96, 78, 73, 91, 47, 32, 20, 23, 21, 24, 44, 21, 28, 9, 13, 46, 18, 13, 24, 16, 13, 23, 36, 7,
     14, 30, 14, 18, 20],
]  # fmt: skip

# Mucociliary efficiency (Hollander and Wolfe), the example of R's kruskal.test.
MUCOCILIARY = [[2.9, 3.0, 2.5, 2.6, 3.2], [3.8, 2.7, 4.0, 2.4], [2.8, 3.4, 3.7, 2.2, 2.0]]

# Permeability of membranes (Hollander and Wolfe), the example of R's wilcox.test.
AT_TERM = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]
EARLY = [1.15, 0.88, 0.90, 0.74, 1.21]


def test_kruskal_wallis_gives_the_values_that_r_documents() -> None:
    ozone, mucus = kruskal_wallis(OZONE), kruskal_wallis(MUCOCILIARY)
    assert ozone.h == pytest.approx(29.267, abs=5e-4)
    assert ozone.degrees == 4
    assert ozone.p == pytest.approx(6.901e-06, rel=1e-3)
    assert mucus.h == pytest.approx(0.77143, abs=5e-6)
    assert mucus.p == pytest.approx(0.68, abs=5e-4)
    assert ozone.epsilon_squared == pytest.approx(29.267 * 117 / (116**2 - 1), abs=1e-5)


def test_dunn_gives_the_values_of_rs_dunn_test() -> None:
    z = {(pair.first, pair.second): pair.statistic for pair in dunn(OZONE)}
    assert z[0, 1] == pytest.approx(-0.925158, abs=1e-6)
    assert z[0, 2] == pytest.approx(-4.419470, abs=1e-6)
    assert z[1, 2] == pytest.approx(-2.244208, abs=1e-6)
    assert z[2, 4] == pytest.approx(3.217199, abs=1e-6)


def test_dunn_of_two_groups_is_the_kruskal_wallis_test() -> None:
    (pair,) = dunn(OZONE[:2])
    whole = kruskal_wallis(OZONE[:2])
    assert pair.statistic**2 == pytest.approx(whole.h)
    assert pair.p == pytest.approx(whole.p)


def test_effect_size_of_groups_alike_is_what_the_docstring_says() -> None:
    rng = np.random.default_rng(0)
    found = [
        kruskal_wallis(np.split(rng.normal(size=40), [10, 25])).epsilon_squared for _ in range(1500)
    ]
    assert np.mean(found) == pytest.approx(2 / 39, rel=0.06)


def test_mann_whitney_is_scipys_with_p_of_the_family() -> None:
    pairs = pairwise_mann_whitney(MUCOCILIARY)
    plain = [
        mannwhitneyu(MUCOCILIARY[p.first], MUCOCILIARY[p.second], method="exact").pvalue
        for p in pairs
    ]
    np.testing.assert_allclose([p.p for p in pairs], plain)
    np.testing.assert_allclose([p.p_holm for p in pairs], holm(plain))
    np.testing.assert_allclose([p.p_bh for p in pairs], false_discovery_control(plain))


def test_shift_is_that_of_hollander_and_wolfe() -> None:
    assert hodges_lehmann_shift(AT_TERM, EARLY).value == pytest.approx(0.305)


@pytest.mark.parametrize("sizes", [(6, 9), (14, 5), (20, 20)])
def test_exact_interval_holds_the_shifts_that_the_test_does_not_reject(
    sizes: tuple[int, int],
) -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(0.4, 1, sizes[0]), rng.normal(0, 1, sizes[1])
    found = hodges_lehmann_shift(a, b)
    for end, outward in ((found.low, -1e-6), (found.high, 1e-6)):
        assert mannwhitneyu(a - (end + outward), b, method="exact").pvalue < 0.05
        assert mannwhitneyu(a - (end - outward), b, method="exact").pvalue >= 0.05


def test_so_few_units_leave_the_shift_unbounded() -> None:
    found = hodges_lehmann_shift([1.0, 2.0], [0.5, 3.0])
    assert (found.low, found.high) == (-np.inf, np.inf)


@pytest.mark.parametrize("decimals", [15, 1], ids=["exact", "tied"])
@pytest.mark.parametrize("sizes", [(12, 30), (60, 70)])
def test_shifts_are_covered_as_nominal(sizes: tuple[int, int], decimals: int) -> None:
    rng = np.random.default_rng(11)
    trials, held = 1200, 0
    for _ in range(trials):
        a = np.round(rng.normal(0, 4, sizes[0]), decimals) + 2
        b = np.round(rng.normal(0, 4, sizes[1]), decimals)
        found = hodges_lehmann_shift(a, b)
        held += found.low <= 2 <= found.high
    assert 0.93 <= held / trials <= 0.97


def test_exact_null_distribution_counts_all_arrangements() -> None:
    # Of all 5-of-11 arrangements, those with U = 0, 1, 2: 1, 1, 2 of them.
    a, b = np.arange(5.0), np.arange(5.0, 11.0)
    assert mannwhitneyu(a, b, method="exact").pvalue == pytest.approx(2 / comb(11, 5))
    b = b + np.arange(6) / 100  # so that differences are distinct
    differences = np.sort(np.subtract.outer(a, b), axis=None)
    for tail, left_out in ((0.5, 0), (1.5, 1), (2.5, 2), (3.5, 2), (4.5, 3)):
        found = hodges_lehmann_shift(a, b, level=float(1 - 2 * tail / comb(11, 5)))
        assert found.low == (differences[left_out - 1] if left_out else -np.inf)


@pytest.mark.parametrize(
    ("groups", "reason"),
    [
        ([[1.0, 2.0]], "fewer than two groups"),
        ([[1.0], []], "empty"),
        ([[1.0, 1.0], [1.0]], "all values are equal"),
    ],
)
def test_what_cannot_be_tested_says_why(groups: list[list[float]], reason: str) -> None:
    found = kruskal_wallis(groups)
    assert found.p is None
    assert reason in found.reason
    assert dunn(groups) == pairwise_mann_whitney(groups) == ()


def test_missing_values_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        kruskal_wallis([[1.0, np.nan], [2.0]])
