"""Rates per scan: no more certain for copies of scans, exact without events."""

from __future__ import annotations

import numpy as np
import pytest

from scalemai.statistics.clustered_rates import FEWEST, clustered_rate


def test_copies_of_scans_prove_no_more_than_one_of_each() -> None:
    counts = np.random.default_rng(0).negative_binomial(1, 0.2, 60)
    one = clustered_rate(counts, np.arange(60))
    three = clustered_rate(np.repeat(counts, 3), np.repeat(np.arange(60), 3))
    assert (three.value, three.n) == (one.value, 60)
    assert three.low == pytest.approx(one.low)
    assert three.high == pytest.approx(one.high)


def test_without_any_event_the_limit_is_exact() -> None:
    found = clustered_rate(np.zeros(60), np.arange(60))
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(3.689 / 60, abs=1e-4)


def test_few_patients_have_a_rate_and_no_interval() -> None:
    found = clustered_rate([1, 2, 3], ["a", "a", "b"])
    assert (found.value, found.low, found.n) == (2.0, None, 2)
    assert f"at least {FEWEST}" in found.reason
    with pytest.raises(ValueError, match="counts"):
        clustered_rate([-1], [0])
