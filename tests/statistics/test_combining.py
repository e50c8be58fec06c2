"""Differences of estimates made apart; the largest of several, which was sought."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import stdtrit
from scipy.stats import studentized_range

from scalemai.statistics.combining import (
    difference_between,
    largest_difference,
    simultaneous_level,
)
from scalemai.statistics.estimate import Estimate, not_computed
from scalemai.statistics.proportions import difference_unpaired, wilson


def test_of_wilsons_limits_it_is_newcombes_interval() -> None:
    found = difference_between(wilson(56, 70), wilson(48, 80))
    expected = difference_unpaired(56, 70, 48, 80)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert expected.low == pytest.approx(0.0524, abs=1e-4)  # Newcombe 1998, example (a)


def t_interval(values: np.ndarray, level: float = 0.95) -> Estimate:
    mean, n = float(values.mean()), values.size
    reach = stdtrit(n - 1, 0.5 + level / 2) * values.std(ddof=1) / math.sqrt(n)
    return Estimate(mean, mean - reach, mean + reach, level, n)


@pytest.mark.parametrize("sizes", [(20, 20), (20, 150)])
def test_differences_of_means_are_covered_as_nominal(sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(2000):
        found = difference_between(
            t_interval(rng.normal(0.3, 1, sizes[0])), t_interval(rng.normal(0, 2, sizes[1]))
        )
        held += found.low <= 0.3 <= found.high
    assert 0.93 <= held / 2000 <= 0.97


def test_simultaneous_level_is_tukeys() -> None:
    assert simultaneous_level(2) == 0.95
    assert studentized_range.cdf(math.sqrt(2) * 2.3437, 3, np.inf) == pytest.approx(0.95, abs=1e-3)
    assert simultaneous_level(3) == pytest.approx(0.9809, abs=1e-3)
    with pytest.raises(ValueError, match="no differences"):
        simultaneous_level(1)


@pytest.mark.parametrize("groups", [2, 3, 6])
def test_largest_gap_of_groups_alike_is_covered_as_nominal(groups: int) -> None:
    rng = np.random.default_rng(1)
    level = simultaneous_level(groups)
    held = 0
    for _ in range(1500):
        found = largest_difference([t_interval(x, level) for x in rng.normal(size=(groups, 60))])
        held += found.low <= 0 <= found.high
    assert 0.93 <= held / 1500 <= 0.97


@pytest.mark.parametrize("means", [(0, 1), (0, 0.2, 0.4), (0, 0, 0, 1)])
def test_largest_gap_of_groups_that_differ_is_never_missed_more(means: tuple[float, ...]) -> None:
    rng = np.random.default_rng(2)
    level = simultaneous_level(len(means))
    truth = max(means) - min(means)
    held = 0
    for _ in range(1000):
        groups = rng.normal(size=(len(means), 60)) + np.asarray(means)[:, None]
        found = largest_difference([t_interval(x, level) for x in groups])
        held += found.low <= truth <= found.high
    assert held / 1000 >= 0.93


def test_intervals_of_another_level_are_refused() -> None:
    with pytest.raises(ValueError, match="simultaneous"):
        largest_difference([wilson(3, 10), wilson(4, 10), wilson(5, 10)])
    with pytest.raises(ValueError, match="differ"):
        difference_between(wilson(3, 10), wilson(3, 10, 0.9))


def test_what_was_not_computed_stays_so() -> None:
    gone = not_computed("3 patients are below the minimum of 10")
    assert difference_between(wilson(3, 10), gone).reason == gone.reason
    assert "fewer than two" in largest_difference([wilson(3, 10), gone]).reason
