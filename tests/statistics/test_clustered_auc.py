"""Areas where patients have several scans: DeLong's if each has one, size, equivalence."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from scalemai.statistics.clustered_auc import compare_auc_clustered, tost_auc
from scalemai.statistics.roc import auc_difference_bootstrap, compare_auc_delong

Rows = tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]


def scans(
    rng: np.random.Generator, patients: int, share: float, most: int, *, gain: float = 0.0
) -> Rows:
    """Patients with up to ``most`` scans; some have scans with and without the lesion."""
    count = rng.integers(1, most + 1, patients)
    patient = np.repeat(np.arange(patients), count)
    own = (rng.random(patients) < share)[patient]
    positive = np.where(rng.random(patient.size) < 0.25, rng.random(patient.size) < 0.5, own)
    shared = 0.6 * rng.normal(size=patients)[patient]
    scores = [
        (1 + more) * positive
        + shared
        + 0.5 * rng.normal(size=patients)[patient]
        + 0.6 * rng.normal(size=patient.size)
        for more in (gain, 0.0)
    ]
    return positive, scores[0], scores[1], patient


@pytest.mark.parametrize("seed", range(4))
def test_with_one_scan_a_patient_the_statistic_is_delongs(seed: int) -> None:
    positive, a, b, patient = scans(np.random.default_rng(seed), 150, 0.4, 1, gain=0.5)
    ours, theirs = (
        compare_auc_clustered(positive, a, b, patient),
        compare_auc_delong(positive, a, b),
    )
    assert ours.z == pytest.approx(theirs.z, abs=1e-10)
    assert ours.difference.value == theirs.difference.value
    assert ours.first.low == pytest.approx(theirs.first.low, abs=1e-10)
    # Student's t in place of the normal distribution: a little wider, never narrower.
    assert theirs.p is not None
    assert ours.p is not None
    assert theirs.p <= ours.p <= theirs.p + 0.01


def test_copies_of_the_same_scans_prove_no_more_than_one_of_each() -> None:
    positive, a, b, patient = scans(np.random.default_rng(7), 80, 0.5, 1, gain=0.6)
    once = compare_auc_clustered(positive, a, b, patient)
    thrice = compare_auc_clustered(
        np.repeat(positive, 3), np.repeat(a, 3), np.repeat(b, 3), np.repeat(patient, 3)
    )
    assert thrice.z == pytest.approx(once.z, abs=1e-10)
    assert thrice.p == pytest.approx(once.p)
    assert thrice.difference.n == 80


def test_test_and_interval_are_one_statement_and_near_the_bootstrap() -> None:
    for seed in range(6):
        rows = scans(np.random.default_rng(seed), 120, 0.4, 3, gain=0.25)
        found = compare_auc_clustered(*rows)
        low, high = found.difference.low, found.difference.high
        assert low is not None
        assert high is not None
        assert found.p is not None
        assert (found.p < 0.05) == (low > 0 or high < 0)
        resampled = auc_difference_bootstrap(*rows, rng=np.random.default_rng(0), draws=1000)
        assert resampled.low == pytest.approx(low, abs=0.02)
        assert resampled.high == pytest.approx(high, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("patients", "share", "most"), [(60, 0.2, 3), (40, 0.5, 4), (120, 0.4, 3)])
def test_a_true_hypothesis_is_rejected_in_five_percent(
    patients: int, share: float, most: int
) -> None:
    rng = np.random.default_rng(11)
    tests = [compare_auc_clustered(*scans(rng, patients, share, most)) for _ in range(3000)]
    p = np.array([one.p for one in tests], float)
    assert 0.04 <= (p < 0.05).mean() <= 0.06
    # The unclustered test on the same rows would say "different" about twice as often.
    rows = [scans(np.random.default_rng([3, k]), patients, share, most) for k in range(1000)]
    naive = np.mean([(compare_auc_delong(*one[:3]).p or 1) < 0.05 for one in rows])
    assert naive > 0.065


def test_equal_detectors_are_shown_equivalent_with_many_patients_not_with_few() -> None:
    many = tost_auc(*scans(np.random.default_rng(5), 2000, 0.5, 2), 0.05)
    few = tost_auc(*scans(np.random.default_rng(5), 30, 0.5, 2), 0.05)
    assert many.equivalent
    assert not few.equivalent
    assert few.conclusion == "inconclusive"
    low, high = many.difference.low, many.difference.high
    assert low is not None
    assert high is not None
    assert -0.05 < low < high < 0.05
    assert many.difference.level == pytest.approx(0.9)


@pytest.mark.slow
def test_a_difference_of_just_the_margin_is_called_equivalent_in_at_most_five_percent() -> None:
    big = scans(np.random.default_rng(0), 60_000, 0.5, 2, gain=0.25)
    truth = compare_auc_clustered(*big).difference.value
    assert truth is not None
    rng = np.random.default_rng(1)
    called = [
        tost_auc(*scans(rng, 400, 0.5, 2, gain=0.25), abs(truth)).equivalent for _ in range(1000)
    ]
    assert np.mean(called) <= 0.065


def test_what_cannot_be_tested_says_why() -> None:
    positive = np.array([True] * 6 + [False] * 6)
    apart = positive.astype(float)
    patient = np.arange(12) // 2
    same = compare_auc_clustered(positive, apart, 2 * apart, patient)
    assert (same.difference.value, same.p) == (0.0, 1.0)
    assert "no variance" in same.difference.reason
    assert tost_auc(positive, apart, apart, patient, 0.05).p is None
    none = compare_auc_clustered(np.zeros(4, bool), np.arange(4), np.arange(4), np.arange(4))
    assert none.difference.reason == "there are no positives"
    one = compare_auc_clustered(positive, apart, -apart, np.where(positive, 0, np.arange(12)))
    assert "fewer than two patients have positives" in one.difference.reason
    assert one.p is None
    with pytest.raises(ValueError, match="NaN"):
        compare_auc_clustered(positive, apart * np.nan, apart, patient)
    with pytest.raises(ValueError, match="margin"):
        tost_auc(positive, apart, apart, patient, 0)
