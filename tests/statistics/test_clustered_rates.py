"""Rates per scan: covered whether patients are alike or differ, exact without events."""

from __future__ import annotations

import numpy as np
import pytest

from scalemai.statistics.clustered_rates import FEWEST, clustered_rate


@pytest.mark.parametrize("patients", [20, 60])
@pytest.mark.parametrize("dispersion", [np.inf, 1.0])
@pytest.mark.parametrize("scans", [1, 3])
def test_the_interval_covers(patients: int, dispersion: float, scans: int) -> None:
    rng, held = np.random.default_rng(1), 0
    for _ in range(1500):
        own = np.ones(patients)
        if np.isfinite(dispersion):
            own = rng.gamma(dispersion, 1 / dispersion, patients)
        patient = np.repeat(np.arange(patients), scans)
        found = clustered_rate(rng.poisson(own[patient]), patient)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 1 <= found.high
    assert 0.93 <= held / 1500 <= 0.985


def test_copies_of_scans_prove_no_more_than_one_of_each() -> None:
    counts = np.random.default_rng(0).negative_binomial(1, 0.2, 40)
    one = clustered_rate(counts, np.arange(40))
    three = clustered_rate(np.repeat(counts, 3), np.repeat(np.arange(40), 3))
    assert (three.value, three.n) == (one.value, 40)
    assert three.low == pytest.approx(one.low)
    assert three.high == pytest.approx(one.high)


def test_without_any_event_the_limit_is_exact() -> None:
    found = clustered_rate(np.zeros(50), np.arange(50))
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(3.689 / 50, abs=1e-4)


def test_few_patients_have_a_rate_and_no_interval() -> None:
    found = clustered_rate([1, 2, 3], ["a", "a", "b"])
    assert (found.value, found.low, found.n) == (2.0, None, 2)
    assert f"at least {FEWEST}" in found.reason
    with pytest.raises(ValueError, match="counts"):
        clustered_rate([-1], [0])
