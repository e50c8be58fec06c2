"""The classifier: what it must find, what it must not, and how sure it may be."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from scalemai.synthesis.audit.classifier import area_under_curve, discriminate
from scalemai.synthesis.audit.distance import maximum_mean_discrepancy
from scalemai.synthesis.audit.intervals import interval_by_case

NAMES = [f"feature {n}" for n in range(6)]


def pairs(n: int, shift: float, seed: int = 0):
    """n cases with one lesion of either class; one of six features differs by ``shift`` sd."""
    rng = np.random.default_rng(seed)
    table = rng.standard_normal((2 * n, 6))
    labels = np.arange(2 * n) < n
    table[labels, 0] += shift
    return table, labels, [f"case {k}" for k in range(n)] * 2


def test_the_area_counts_pairs_and_halves_of_ties() -> None:
    labels = np.array([True, True, False, False])
    assert area_under_curve(np.array([3.0, 1.0, 2.0, 0.0]), labels) == 0.75
    assert area_under_curve(np.array([1.0, 1.0, 1.0, 0.0]), labels) == 0.75
    assert area_under_curve(np.zeros(4), labels) == 0.5


def test_a_known_difference_is_found_with_its_area() -> None:
    table, labels, groups = pairs(150, 1.2)
    found, scores = discriminate(table, NAMES, labels, groups)
    best = norm.cdf(1.2 / 2**0.5)  # of the one feature that tells
    assert found.auc == pytest.approx(best, abs=0.06)
    assert found.low < found.auc < found.high
    assert found.p < 0.001
    assert found.telling[0][0] == "feature 0"
    assert area_under_curve(scores, labels) == pytest.approx(found.auc)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_equal_distributions_are_not_told_apart(seed: int) -> None:
    table, labels, groups = pairs(60, 0.0, seed)
    found, _ = discriminate(table, NAMES, labels, groups, seed=seed)
    assert found.low <= 0.5 <= found.high
    assert found.p > 0.05


def test_a_case_is_never_both_taught_and_tested() -> None:
    # Every case has its own feature values and one class: who splits cases tells all of them.
    rng = np.random.default_rng(4)
    values, classes = rng.standard_normal((24, 6)), np.arange(24) % 2 == 0
    table = np.repeat(values, 8, axis=0) + 1e-3 * rng.standard_normal((192, 6))
    labels = np.repeat(classes, 8)
    groups = np.repeat([f"case {k}" for k in range(24)], 8).tolist()
    found, _ = discriminate(table, NAMES, labels, groups)
    assert found.auc < 0.8
    assert found.high - found.low > 0.25  # 24 cases, not 192 lesions


def test_the_same_data_give_the_same_numbers_and_row_order_does_not_matter_to_cases() -> None:
    table, labels, groups = pairs(30, 0.5)
    one, scores = discriminate(table, NAMES, labels, groups)
    two, again = discriminate(table, NAMES, labels, groups)
    assert one == two
    assert np.array_equal(scores, again)


def test_missing_numbers_and_constant_features_do_no_harm() -> None:
    table, labels, groups = pairs(60, 1.5)
    table[::3, 1] = np.nan
    table[:, 2] = np.nan
    table[:, 3] = 7.0
    found, _ = discriminate(table, NAMES, labels, groups)
    assert found.auc > 0.75


def test_too_few_lesions_or_cases_give_a_reason_and_no_area() -> None:
    table, labels, groups = pairs(9, 1.0)
    found, scores = discriminate(table, NAMES, labels, groups)
    assert found.auc is None
    assert found.why_not == "too few lesions for an AUC: 9, and at least 10 are needed"
    assert np.isnan(scores).all()
    table, labels, _ = pairs(20, 1.0)
    found, _ = discriminate(table, NAMES, labels, ["one host"] * 40)
    assert found.auc is None
    assert found.why_not.startswith("too few cases for an AUC: 1")


def test_the_discrepancy_of_equal_sets_is_none_and_that_of_others_is_seen() -> None:
    rng = np.random.default_rng(5)
    groups = [f"case {k // 2}" for k in range(80)]
    labels = np.arange(80) < 40
    table = rng.standard_normal((80, 6))
    assert maximum_mean_discrepancy(table, labels, groups).p > 0.05
    table[labels, :2] += 1.0
    found = maximum_mean_discrepancy(table, labels, groups)
    assert found.p < 0.01
    assert found.squared > 0.01


def test_lesions_of_one_case_are_no_independent_evidence_of_distance() -> None:
    # Two cases against two: however many lesions, no permutation of cases is rare.
    rng = np.random.default_rng(6)
    centre = np.repeat(rng.standard_normal((4, 6)) * 3, 20, axis=0)
    table = centre + rng.standard_normal((80, 6))
    groups = np.repeat(["a", "b", "c", "d"], 20).tolist()
    assert maximum_mean_discrepancy(table, np.arange(80) < 40, groups).p > 0.1


def test_an_interval_is_as_wide_as_cases_allow() -> None:
    values = np.repeat(np.random.default_rng(7).standard_normal(20), 10)
    alone = [str(k) for k in range(200)]
    cases = np.repeat([str(k) for k in range(20)], 10).tolist()
    narrow = interval_by_case(values, alone, np.mean)
    wide = interval_by_case(values, cases, np.mean)
    assert narrow.value == wide.value == pytest.approx(values.mean())
    assert wide.high - wide.low > 2.0 * (narrow.high - narrow.low)
    assert interval_by_case([np.nan], ["a"], np.mean) is None


def test_one_case_says_nothing_of_others() -> None:
    found = interval_by_case([1.0, 2.0, 3.0], ["a", "a", "a"], np.mean)
    assert (found.value, found.low, found.high, found.n) == (2.0, None, None, 3)
