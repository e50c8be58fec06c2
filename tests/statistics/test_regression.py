"""Errors are those of published formulas, confounding goes, refusals say why."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.typing import NDArray
from scipy.special import expit, stdtrit

from scalemai.statistics.clustered_regression import fit_clustered
from scalemai.statistics.regression import adjusted_differences
from scalemai.statistics.separation import collinear_column, separated


def test_errors_of_single_rows_are_hc2() -> None:
    rng = np.random.default_rng(0)
    x = np.column_stack([np.ones(40), rng.normal(size=(40, 2))])
    y = x @ [1, 2, 0] + rng.normal(size=40) * (1 + x[:, 1] ** 2)
    fit = fit_clustered(y, x, np.arange(40))
    reference = sm.OLS(y, x).fit(cov_type="HC2")
    np.testing.assert_allclose(fit.coefficients, reference.params)
    np.testing.assert_allclose(fit.covariance, reference.cov_params(), rtol=1e-9)


@pytest.mark.parametrize(("m", "n"), [(3, 27), (10, 10), (12, 60)])
def test_degrees_of_freedom_of_two_groups_are_those_of_imbens_and_kolesar(m: int, n: int) -> None:
    # Bell-McCaffrey, two means: (m + n)^2 (m - 1)(n - 1) / (m^2 (m - 1) + n^2 (n - 1)).
    rng = np.random.default_rng(1)
    x = np.column_stack([np.ones(m + n), np.repeat([1.0, 0.0], [m, n])])
    found, p = fit_clustered(rng.normal(size=m + n), x, np.arange(m + n)).contrast([0, 1])
    degrees = (m + n) ** 2 * (m - 1) * (n - 1) / (m**2 * (m - 1) + n**2 * (n - 1))
    assert f"{degrees:.1f} degrees of freedom" in found.method
    assert (p < 0.05) == (found.low > 0 or found.high < 0)


def test_errors_of_clusters_follow_the_formula_of_cr2() -> None:
    rng = np.random.default_rng(2)
    clusters = np.repeat(np.arange(12), rng.integers(1, 6, 12))
    x = np.column_stack([np.ones(clusters.size), rng.normal(size=clusters.size)])
    y = rng.normal(size=clusters.size) + rng.normal(size=12)[clusters]
    bread = np.linalg.inv(x.T @ x)
    residual = y - x @ bread @ x.T @ y
    meat = np.zeros((2, 2))
    for k in range(12):
        rows = clusters == k
        hat = x[rows] @ bread @ x[rows].T
        weight, vectors = np.linalg.eigh(np.eye(rows.sum()) - hat)
        score = x[rows].T @ (vectors / np.sqrt(weight) @ vectors.T) @ residual[rows]
        meat += np.outer(score, score)
    np.testing.assert_allclose(fit_clustered(y, x, clusters).covariance, bread @ meat @ bread)


def confounded(
    rng: np.random.Generator, n: int, few: int, *, effect: float = 0.0
) -> tuple[NDArray[np.float64], list[str], list[float], NDArray[np.intp]]:
    """Patients with up to several rows; group b is older, and age alone lowers the value."""
    group = np.repeat(["a", "b"], [n - few, few])
    age = rng.normal(60, 8, n) + 10 * (group == "b")
    rows = np.repeat(np.arange(n), 1 + rng.poisson(0.7, n))
    own = rng.normal(0, 0.08, n)
    y = 0.8 - 0.006 * (age - 60) + effect * (group == "b") + own
    noise = rng.normal(0, 0.04 * np.where(group == "b", 2, 1)[rows])
    return y[rows] + noise, group[rows].tolist(), age[rows].tolist(), rows


@pytest.mark.parametrize("few", [10, 30, 60])
def test_adjusted_intervals_cover_as_nominal_even_with_a_small_group(few: int) -> None:
    rng = np.random.default_rng(3)
    trials, held, missed = 700, 0, 0
    for _ in range(trials):
        y, group, age, rows = confounded(rng, 120, few, effect=0.03)
        (found,) = adjusted_differences(y, group, {"age": age}, rows)
        held += found.adjusted.low <= 0.03 <= found.adjusted.high
        missed += found.unadjusted.high < 0.03
    assert 0.925 <= held / trials <= 0.97
    assert missed > 0.2 * trials  # what adjustment is for


@pytest.mark.slow
@pytest.mark.parametrize("few", [30, 60])
def test_adjusted_rates_cover_as_nominal(few: int) -> None:
    rng = np.random.default_rng(4)
    trials, held, computed = 600, 0, 0
    for _ in range(trials):
        _, group, age, rows = confounded(rng, 120, few)
        linear = 1.0 - 0.05 * (np.asarray(age) - 60)
        effect = -0.6 * (np.asarray(group) == "b")
        y = rng.random(rows.size) < expit(linear + effect)
        (found,) = adjusted_differences(y, group, {"age": age}, rows, kind="binary")
        if found.adjusted.low is None:
            continue
        truth = float((expit(linear - 0.6) - expit(linear)).mean())
        computed += 1
        held += found.adjusted.low <= truth <= found.adjusted.high
    assert computed > 0.95 * trials
    assert 0.925 <= held / computed <= 0.975


def test_odds_ratio_without_covariates_is_that_of_the_table() -> None:
    y = np.repeat([1, 0, 1, 0], [30, 10, 20, 25])
    group = ["a"] * 40 + ["b"] * 45
    (found,) = adjusted_differences(y, group, {}, np.arange(85), kind="binary", reference="a")
    assert found.odds_ratio is not None
    assert found.odds_ratio.value == pytest.approx((20 / 25) / (30 / 10))
    assert found.unadjusted.value == pytest.approx(20 / 45 - 30 / 40)
    assert found.adjusted == found.unadjusted


def test_unadjusted_difference_of_means_is_welchs_with_one_row_a_patient() -> None:
    rng = np.random.default_rng(5)
    y = rng.normal(size=50)
    (found,) = adjusted_differences(y, ["a"] * 30 + ["b"] * 20, {}, np.arange(50))
    error = np.sqrt(y[:30].var(ddof=1) / 30 + y[30:].var(ddof=1) / 20)
    degrees = float(found.unadjusted.method.split()[-4])
    half = (found.unadjusted.high - found.unadjusted.low) / 2
    assert half / stdtrit(degrees, 0.975) == pytest.approx(error, rel=1e-3)


@pytest.mark.parametrize(
    ("covariate", "kind", "reason"),
    [
        ([0.0] * 20 + [1.0] * 20, "continuous", "collinear"),
        (["x"] * 20 + ["y"] * 20, "binary", "collinear"),
        ([float(k) for k in range(40)], "binary", "separation"),
    ],
)
def test_what_cannot_be_adjusted_says_why(covariate: list[object], kind: str, reason: str) -> None:
    group = (["a", "b"] * 20) if reason == "separation" else ["a"] * 20 + ["b"] * 20
    y = (np.arange(40) >= 15) if kind == "binary" else np.sin(np.arange(40.0))
    (found,) = adjusted_differences(y, group, {"where": covariate}, np.arange(40), kind=kind)
    assert reason in found.adjusted.reason
    if reason == "collinear" and kind == "continuous":
        assert found.unadjusted.computed


def test_a_group_in_which_all_succeed_is_separated() -> None:
    y = np.array([1, 1, 1, 1, 0, 1, 0, 1], bool)
    group = np.repeat([1.0, 0.0], 4)
    assert separated(y, np.column_stack([np.ones(8), group]))
    mixed = np.array([1, 0, 1, 1, 0, 1, 0, 1], bool)
    assert not separated(mixed, np.column_stack([np.ones(8), group]))


def test_the_column_that_others_determine_is_named() -> None:
    x = np.column_stack([np.ones(6), np.arange(6), 2 * np.arange(6) + 1])
    assert collinear_column(x, ["one", "age", "birth"]) == "birth"


def test_missing_covariates_are_refused() -> None:
    with pytest.raises(ValueError, match="age is missing"):
        adjusted_differences([1.0, 2.0], ["a", "b"], {"age": [1.0, None]}, [0, 1])
