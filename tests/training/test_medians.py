"""The median of values of which some are replaced."""

from __future__ import annotations

import numpy as np
import pytest

from scalemai.training.medians import changed_median


@pytest.mark.parametrize("share", [0.0, 0.1, 0.4, 0.9])
def test_the_median_is_that_of_all_values_after_the_change(share: float) -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(110.0, 18.0, 40_000).round().astype(np.int16)
    changed = int(share * values.size)
    old, rest = values[:changed], values[changed:]
    new = rng.normal(40.0, 12.0, int(1.1 * changed)).round().astype(np.int16)
    quantiles = np.quantile(values, np.linspace(0.0, 1.0, 101))
    found = changed_median(values.size, quantiles, old=old, new=new)
    assert found == pytest.approx(float(np.median(np.concatenate([rest, new]))), abs=1.0)


def test_values_beyond_those_of_ct_count_at_the_ends() -> None:
    values = np.array([-30_000, 10, 30_000], np.int16)
    quantiles = np.quantile(values, np.linspace(0.0, 1.0, 3))
    assert changed_median(3, quantiles, old=values[:0], new=values[2:]) >= 10
    assert changed_median(3, quantiles, old=values[2:], new=values[:2]) <= 10
