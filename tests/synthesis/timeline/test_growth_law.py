"""Laws of growth: what doubling, Gompertz and their inverses promise, for any numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalemai.anatomy import organ, organ_names
from scalemai.anatomy.facts import DoublingTime
from scalemai.errors import ConfigError
from scalemai.synthesis.spec import LARGEST_DIAMETER_MM, random_stream
from scalemai.synthesis.timeline.growth_law import (
    CARRYING_VOLUME_MM3,
    LAWS,
    Exponential,
    Gompertz,
    draw_doubling_days,
    growth_law,
)

doubling = st.floats(5.0, 2000.0)
volume = st.floats(1.0, 1e6)
day = st.floats(-2000.0, 2000.0)
law_name = st.sampled_from(LAWS)


def make(name: str, days: float, reference: float, at: float = 0.0) -> Exponential | Gompertz:
    return growth_law(name, doubling_days=days, reference_mm3=reference, reference_day=at)


@given(doubling, volume, day)
def test_an_exponential_volume_doubles_after_one_doubling_time(
    days: float, reference: float, start: float
) -> None:
    law = make("exponential", days, reference)
    assert law.volume_mm3(start + days) == pytest.approx(2 * law.volume_mm3(start), rel=1e-9)


@given(doubling, volume)
def test_a_gompertz_lesion_doubles_in_its_doubling_time_at_the_reference(
    days: float, reference: float
) -> None:
    law = make("gompertz", days, reference)
    assert law.doubling_days_at(reference) == pytest.approx(days, rel=1e-9)
    # Measured on the curve itself: V / V' = doubling time / ln 2.
    step = 1e-4 * days
    slope = (law.volume_mm3(step) - law.volume_mm3(-step)) / (2 * step)
    assert reference / slope * math.log(2) == pytest.approx(days, rel=1e-5)


@given(law_name, doubling, volume, day, st.floats(0.1, 500.0))
def test_volumes_grow_with_time(
    name: str, days: float, reference: float, start: float, later: float
) -> None:
    law = make(name, days, reference)
    before, after = law.volume_mm3(start), law.volume_mm3(start + later)
    # Where the law has come to the end of numbers, it stands still.
    assert before <= after
    if 1e-200 < before < 0.99 * CARRYING_VOLUME_MM3:
        assert before < after


@given(law_name, doubling, volume, st.floats(-3650, 3650), st.floats(1.0, 1e6))
def test_the_day_of_a_volume_is_the_day_on_which_the_lesion_has_it(
    name: str, days: float, reference: float, at: float, wanted: float
) -> None:
    law = make(name, days, reference, at)
    assert law.volume_mm3(at) == pytest.approx(reference)
    assert law.volume_mm3(law.day_of(wanted)) == pytest.approx(wanted, rel=1e-6)


@given(doubling, volume, st.floats(-5.0, 5.0))
def test_gompertz_growth_tends_to_exponential_growth_for_a_large_carrying_volume(
    days: float, reference: float, doublings: float
) -> None:
    plain = make("exponential", days, reference).volume_mm3(doublings * days)
    apart = []
    for carrying in (1e8, 1e30, 1e300):
        law = Gompertz(doubling_days=days, reference_mm3=reference, carrying_mm3=carrying)
        apart.append(abs(law.volume_mm3(doublings * days) / plain - 1))
    rounding = 1e-9
    assert apart[0] + rounding >= apart[1] >= apart[2] - rounding
    assert apart[2] < 0.02


@given(doubling, volume)
def test_gompertz_growth_was_faster_before_and_never_passes_the_carrying_volume(
    days: float, reference: float
) -> None:
    law = make("gompertz", days, reference)
    assert law.doubling_days_at(reference / 2) < days < law.doubling_days_at(reference * 2)
    assert law.volume_mm3(1e6) <= CARRYING_VOLUME_MM3


def test_the_carrying_volume_is_above_that_of_any_lesion_that_is_offered() -> None:
    assert math.pi / 6 * LARGEST_DIAMETER_MM**3 < CARRYING_VOLUME_MM3


def test_times_far_from_the_reference_are_no_errors() -> None:
    for name in LAWS:
        law = make(name, 0.01, 500.0)
        assert law.volume_mm3(-1e5) == 0.0
        assert law.volume_mm3(1e5) in (math.inf, CARRYING_VOLUME_MM3)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"doubling_days": 0.0}, "doubling_days"),
        ({"doubling_days": -30.0}, "doubling_days"),
        ({"doubling_days": math.nan}, "doubling_days"),
        ({"reference_mm3": 0.0}, "reference_mm3"),
        ({"reference_mm3": math.inf}, "reference_mm3"),
        ({"reference_day": math.nan}, "reference_day"),
        ({"carrying_mm3": 500.0}, "carrying_mm3"),
    ],
)
def test_an_impossible_law_names_its_field(change: dict[str, float], field: str) -> None:
    asked = {"doubling_days": 100.0, "reference_mm3": 500.0, **change}
    with pytest.raises(ConfigError, match=rf"^{field}: "):
        growth_law("gompertz", **asked)


def test_an_unknown_law_is_told_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="'logistic'; give exponential or gompertz"):
        make("logistic", 100.0, 500.0)


@pytest.mark.parametrize("wanted", [0.0, -1.0, math.nan, CARRYING_VOLUME_MM3])
def test_a_volume_that_a_gompertz_lesion_never_has_has_no_day(wanted: float) -> None:
    with pytest.raises(ConfigError, match="never has"):
        make("gompertz", 100.0, 500.0).day_of(wanted)


def test_doubling_times_are_drawn_between_the_ends_most_often_the_typical_one() -> None:
    times = DoublingTime(low_days=40, typical_days=132, high_days=400)
    drawn = [
        draw_doubling_days(times, random_stream(seed, "case", 1, "doubling time"))
        for seed in range(2000)
    ]
    assert min(drawn) >= 40
    assert max(drawn) <= 400
    counts, edges = np.histogram(np.log(drawn), bins=9)
    peak = counts.argmax()
    assert edges[peak - 1] <= math.log(132) <= edges[peak + 2]


def test_a_doubling_time_depends_on_its_key_alone() -> None:
    times = DoublingTime(low_days=40, typical_days=132, high_days=400)
    first, again, other = (
        draw_doubling_days(times, random_stream(3, case, 1, "doubling time"))
        for case in ("a", "a", "b")
    )
    assert first == again != other


def test_every_kind_of_every_organ_has_a_doubling_time_that_can_be_drawn() -> None:
    for name in organ_names():
        for kind in organ(name).kinds:
            times = kind.doubling_time
            days = draw_doubling_days(times, np.random.default_rng(0))
            assert times.low_days <= days <= times.high_days, (name, kind.name)
