"""Powers and sample sizes agree with statsmodels, R and published values."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.power import TTestPower

from scalemai.statistics.equivalence import tost_paired, tost_proportion
from scalemai.statistics.mcnemar import mcnemar
from scalemai.statistics.power import (
    n_mcnemar,
    n_paired_mean,
    n_proportion,
    n_sensitivity,
    n_tost_paired,
    power_mcnemar,
    power_paired_mean,
    power_proportion,
    power_tost_paired,
    power_tost_proportion,
    smallest_n,
)
from scalemai.statistics.power_auc import (
    auc_standard_error,
    n_auc,
    n_auc_width,
    power_auc,
    power_auc_difference,
)
from scalemai.statistics.proportions import PairedCounts, wilson


@pytest.mark.parametrize("n", [10, 34, 200])
@pytest.mark.parametrize("effect", [0.1, 0.5, 1.2])
@pytest.mark.parametrize("sides", [1, 2])
def test_the_paired_t_test_has_the_power_of_statsmodels(n: int, effect: float, sides: int) -> None:
    side = "two-sided" if sides == 2 else "larger"
    theirs = TTestPower().power(effect, n, 0.05, alternative=side)
    assert power_paired_mean(n, effect, 1.0, sides=sides) == pytest.approx(theirs, abs=1e-9)


def test_thirty_four_pairs_find_half_a_standard_deviation() -> None:
    # Cohen's table, and R: pwr.t.test(d = 0.5, power = 0.8, type = "paired") gives n = 33.4.
    assert n_paired_mean(0.5, 1.0) == 34
    assert n_paired_mean(0.01, 0.02) == 34
    assert power_paired_mean(33, 0.5, 1.0) < 0.8 <= power_paired_mean(34, 0.5, 1.0)


def test_reading_at_chance_has_the_published_power() -> None:
    # Balanced accuracy within 0.5 +- 0.1.
    for n, power in ((100, 0.24), (200, 0.77), (240, 0.82), (400, 0.98)):
        assert power_tost_proportion(n, 0.1) == pytest.approx(power, abs=0.0055)
    assert power_tost_proportion(50, 0.1) == 0
    # To see 0.6 instead of 0.5.
    assert power_proportion(120, 0.6) == pytest.approx(0.54, abs=0.005)
    assert power_proportion(240, 0.6) == pytest.approx(0.87, abs=0.005)


@pytest.mark.parametrize(("p", "null", "sides"), [(0.6, 0.5, 2), (0.35, 0.5, 1), (0.9, 0.8, 2)])
def test_the_power_of_a_proportion_counts_the_outcomes_that_reject(
    p: float, null: float, sides: int
) -> None:
    from scipy.stats import binom, binomtest

    n, total = 53, 0.0
    for k in range(n + 1):
        up, down = (binomtest(k, n, null, side).pvalue for side in ("greater", "less"))
        rejects = min(up, down) <= 0.025 if sides == 2 else (up if p > null else down) <= 0.05
        total += binom.pmf(k, n, p) * rejects
    assert power_proportion(n, p, null, sides=sides) == pytest.approx(total, abs=1e-12)


def test_the_power_of_equivalence_is_that_of_our_own_test() -> None:
    from scipy.stats import binom

    n = 180
    passes = [tost_proportion(k, n, 0.1).equivalent for k in range(n + 1)]
    expected = binom.pmf(np.flatnonzero(passes), n, 0.52).sum()
    assert power_tost_proportion(n, 0.1, p=0.52) == pytest.approx(expected, abs=1e-12)
    rng = np.random.default_rng(1)
    shown = np.mean(
        [tost_paired(rng.normal(0.05, 1, 80), np.zeros(80), 0.4).equivalent for _ in range(4000)]
    )
    assert power_tost_paired(80, 0.4, 1.0, difference=0.05) == pytest.approx(shown, abs=0.02)


def test_the_tost_needs_as_many_pairs_as_published() -> None:
    # Normal approximation (z(0.95) + z(0.9))^2 / 0.3^2 = 95.2, as of R's TOSTER; t needs more.
    assert 96 <= n_tost_paired(0.3, 1.0, power=0.8) <= 98
    assert power_tost_paired(5000, 0.02, 0.1) == pytest.approx(1.0)
    assert power_tost_paired(3, 0.001, 1.0) < 1e-3
    with pytest.raises(ValueError, match="never equivalent"):
        n_tost_paired(0.1, 1.0, difference=0.1)


def test_a_famous_number_of_answers_gives_five_points_either_way() -> None:
    n = n_proportion(0.5, 0.1)
    assert n == 381  # Wald's 385, less what Wilson's interval is narrower
    for exact in (False, True):
        many = n_proportion(0.9, 0.1, exact=exact)
        assert many > 100
    narrow, wide = wilson(round(0.9 * 200), 200), wilson(round(0.9 * 50), 50)
    assert narrow.high - narrow.low < wide.high - wide.low  # type: ignore[operator]


def test_a_rare_disease_needs_many_scans_for_its_sensitivity() -> None:
    positives, scans = n_sensitivity(0.9, 0.1, 0.02)
    assert positives == n_proportion(0.9, 0.1)
    assert scans == positives * 50


def test_mcnemars_sample_size_equals_connors_formula() -> None:
    from scipy.stats import norm

    for first, second, power in ((0.15, 0.05, 0.8), (0.3, 0.2, 0.9)):
        total, apart = first + second, first - second
        top = norm.ppf(0.975) * total**0.5 + norm.ppf(power) * (total - apart**2) ** 0.5
        assert n_mcnemar(first, second, power=power) == int(np.ceil((top / apart) ** 2))
    with pytest.raises(ValueError, match="no difference"):
        n_mcnemar(0.1, 0.1)


def test_mcnemars_power_is_that_of_the_mid_p_test() -> None:
    rng = np.random.default_rng(2)
    found = []
    for both, first, second, neither in rng.multinomial(155, [0.5, 0.15, 0.05, 0.3], size=3000):
        p = mcnemar(PairedCounts(int(both), int(first), int(second), int(neither))).p_mid
        found.append(p is not None and p < 0.05)
    assert power_mcnemar(155, 0.15, 0.05) == pytest.approx(np.mean(found), abs=0.025)


# --- AUC -----------------------------------------------------------------------------------


def test_the_power_of_an_auc_equals_that_of_proc() -> None:
    # R: power.roc.test(ncases = 41, ncontrols = 72, auc = 0.73) has power 0.9897453
    assert power_auc(0.73, 41, 72) == pytest.approx(0.9897453, abs=1e-6)


def test_the_standard_error_equals_hanley_and_mcneils_example() -> None:
    # Radiology 1982;143:29: AUC 0.893 of 51 abnormal and 58 normal scans, SE 0.032.
    error = auc_standard_error(0.893, 51, 58, variance="hanley-mcneil")
    assert error == pytest.approx(0.032, abs=1e-3)


@pytest.mark.parametrize(
    ("variance", "low", "high"), [("hanley-mcneil", 0.9, 1.1), ("obuchowski", 0.95, 1.25)]
)
@pytest.mark.parametrize("auc", [0.7, 0.85])
def test_the_standard_error_is_near_that_of_binormal_scores_or_safely_above(
    variance: str, low: float, high: float, auc: float
) -> None:
    from scipy.stats import norm, rankdata

    rng = np.random.default_rng(3)
    shift = norm.ppf(auc) * 2**0.5
    scores = np.concatenate(
        [rng.normal(shift, 1, (2000, 40)), rng.normal(0, 1, (2000, 60))], axis=1
    )
    ranks = rankdata(scores, axis=1)[:, :40].sum(axis=1)
    areas = (ranks - 40 * 41 / 2) / (40 * 60)
    error = auc_standard_error(auc, 40, 60, variance=variance)  # type: ignore[arg-type]
    assert low <= error / areas.std() <= high


def test_as_many_patients_as_are_said_give_power_and_width() -> None:
    positives, negatives = n_auc(0.75, null=0.65, power=0.9, negatives_per_positive=2)
    assert negatives == 2 * positives
    assert power_auc(0.75, positives, negatives, null=0.65) >= 0.9
    assert power_auc(0.75, positives - 1, negatives - 2, null=0.65) < 0.9
    positives, negatives = n_auc_width(0.9, 0.1)
    assert 2 * 1.95997 * auc_standard_error(0.9, positives, negatives) <= 0.1


def test_correlated_areas_are_easier_to_tell_apart() -> None:
    apart = power_auc_difference(0.9, 0.85, 100, 100, correlation=0.0)
    paired = power_auc_difference(0.9, 0.85, 100, 100, correlation=0.6)
    assert apart < paired
    assert power_auc_difference(0.85, 0.9, 100, 100, correlation=0.6) == pytest.approx(paired)


# --- requests that make no sense -----------------------------------------------------------


def test_impossible_requests_are_refused() -> None:
    for call in (
        lambda: power_paired_mean(1, 0.1, 1.0),
        lambda: power_paired_mean(10, 0.1, 0.0),
        lambda: power_paired_mean(10, 0.1, 1.0, sides=3),
        lambda: power_proportion(10, 1.2),
        lambda: power_tost_proportion(10, 0.6),
        lambda: n_proportion(0.5, 1.5),
        lambda: n_sensitivity(0.9, 0.1, 0.0),
        lambda: power_mcnemar(10, 0.8, 0.4),
        lambda: auc_standard_error(0.4, 10, 10),
        lambda: power_auc(0.7, 10, 10, null=0.8),
        lambda: n_auc_width(0.9, 2.0),
        lambda: power_auc_difference(0.9, 0.8, 10, 10, correlation=1.0),
        lambda: smallest_n(lambda n: False),
    ):
        with pytest.raises(ValueError):
            call()
