"""Schedules: what the words mean, and which are refused in which words."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalemai.errors import ConfigError
from scalemai.synthesis.timeline.schedule import (
    MOST_SCANS,
    Schedule,
    parse_schedule,
    read_schedule,
    schedule_from_json,
)

MONTH = 365.25 / 12


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("0, 90, 180 d", [0, 90, 180]),
        ("0,90,180d", [0, 90, 180]),
        ("0 days; 13 weeks; 1 year", [0, 91, 365.25]),
        ("0, 6, 12 months", [0, 6 * MONTH, 12 * MONTH]),
        ("0-24 months every 6", [0, 6 * MONTH, 12 * MONTH, 18 * MONTH, 24 * MONTH]),
        ("0 to 2 years every 6 months", [0, 6 * MONTH, 12 * MONTH, 18 * MONTH, 24 * MONTH]),
        ("0-12 every 3 weeks", [0, 21, 42, 63, 84]),
        ("every 3 months for 1 year", [0, 3 * MONTH, 6 * MONTH, 9 * MONTH, 12 * MONTH]),
        ("Every Month for 2 months.", [0, MONTH, 2 * MONTH]),
        ("every 5 d for 12 d", [0, 5, 10]),  # the last step falls short of the end
        ("0 d", [0]),
    ],
)
def test_words_are_days(text: str, days: list[float]) -> None:
    schedule = parse_schedule(text)
    assert schedule.at_days == pytest.approx(days, abs=1e-6)
    assert schedule.at_mm == ()


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("5, 10, 20 mm", [5, 10, 20]),
        ("5 and 10 mm", [5, 10]),
        ("0.5, 1, 2 cm", [5, 10, 20]),
        ("5 mm, 1 cm", [5, 10]),
        ("10-30 mm every 10", [10, 20, 30]),
    ],
)
def test_words_are_sizes(text: str, sizes: list[float]) -> None:
    schedule = parse_schedule(text)
    assert schedule.at_mm == pytest.approx(sizes)
    assert schedule.at_days == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0, 90, 180", "schedule: '0, 90, 180' has no unit"),
        ("0, 3 fortnights", "schedule: 'fortnights' in '0, 3 fortnights' is no unit"),
        ("every 3 for 2 years", "schedule: 'every 3 for 2 years' has no unit"),
        ("soon", "schedule: 'soon' is not a schedule"),
        ("", "schedule: '' is not a schedule"),
        ("0, 5 mm, 90 d", "mixes times and sizes"),
        ("-30, 0, 30 d", "at_days: -30 d is negative"),
        ("30, 60 d", "at_days: the first scan is day 0, not day 30"),
        ("0, 90, 60 d", "at_days: 60 d comes after 90 d"),
        ("0, 90, 90 d", "at_days: 90 d is named twice"),
        ("20, 10 mm", "at_mm: 10 mm comes after 20 mm"),
        ("1, 20 mm", "at_mm: 1 to 20 mm are no sizes"),
        ("10, 400 mm", "at_mm: 10 to 400 mm are no sizes"),
        ("0, 200 years", "at_days: 73050 d is more than a century"),
        ("every 0 months for 2 years", "a step of 0 d leads nowhere"),
        ("12-0 months every 3", "ends at 0 d, before its start"),
        ("every day for 10 years", f"more than {MOST_SCANS} scans"),
    ],
)
def test_a_wrong_schedule_is_refused_in_one_line_that_names_the_field(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse_schedule(text)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert ";" in str(refusal.value)  # what to do about it


@given(st.text("0123456789.,;- demonthswkyrcv", max_size=24))
def test_any_text_is_a_schedule_or_refused(text: str) -> None:
    try:
        schedule = parse_schedule(text)
    except ConfigError:
        return
    values = schedule.at_days or schedule.at_mm
    assert list(values) == sorted(set(values))


@pytest.mark.parametrize(
    ("data", "days"),
    [
        ({"at_days": [0, 90, 180]}, (0, 90, 180)),
        ({"every_days": 90, "until_days": 200}, (0, 90, 180)),
    ],
)
def test_json_is_days(data: dict[str, Any], days: tuple[float, ...]) -> None:
    assert schedule_from_json(data).at_days == days


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"at_days": [0, "soon"]}, "at_days: 'soon' is no number"),
        ({"at_days": [0, True]}, "at_days: True is no number"),
        ({"at_days": [0, math.nan]}, "at_days: a number is out of all measure"),
        ({"at_days": [0, 10**400]}, "at_days: a number is out of all measure"),
        ({"at_days": []}, "at_days: the list is empty"),
        ({"at_days": "0, 90"}, "at_days: '0, 90' is not a list"),
        ({"at_days": [0], "at_mm": [5]}, "schedule: at_days, at_mm is not a schedule"),
        ({"days": [0, 90]}, "schedule: days is not a schedule"),
        ([0, 90], "schedule: list is not a schedule"),
        ({}, "schedule: nothing is not a schedule"),
        ({"every_days": 90}, "schedule: every_days is not a schedule"),
        ({"every_days": 0, "until_days": 90}, "every_days: a step of 0 d leads nowhere"),
        ({"every_days": 9, "until_days": -9}, "every_days: it ends at -9 d"),
    ],
)
def test_wrong_json_is_refused_by_field(data: object, says: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        schedule_from_json(data)
    assert says in str(refusal.value)


@pytest.mark.parametrize("text", ["0-24 months every 3", "5, 10, 20 mm"])
def test_what_is_written_as_json_is_read_back(text: str) -> None:
    schedule = parse_schedule(text)
    assert schedule_from_json(json.loads(json.dumps(schedule.to_json()))) == schedule


def test_a_json_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text('{"at_mm": [5, 10]}')
    assert read_schedule(path) == Schedule(at_mm=(5, 10))
    assert read_schedule("5, 10 mm") == Schedule(at_mm=(5, 10))


@pytest.mark.parametrize("content", [None, "{", "[" * 100_000])
def test_a_file_that_is_no_json_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "plan.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=r"plan\.json: cannot be read"):
        read_schedule(path)


@pytest.mark.parametrize(
    ("sizes", "asked", "says"),
    [
        ((5.0, 10.0, 20.0), (15.0, 15.0), "at_mm: 20 mm is above the final diameter of 15 mm"),
        ((5.0, 10.0), (15.0, 15.0), "at_mm: the last size is 10 mm, but a diameter of 15 mm"),
        ((5.0, 10.0), (3.0, 40.0), "at_mm: the last size is 10 mm, but a diameter of 3-40 mm"),
    ],
)
def test_sizes_end_with_the_diameter_that_is_asked_for(
    sizes: tuple[float, ...], asked: tuple[float, float], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        Schedule(at_mm=sizes).check_final(asked)


def test_sizes_that_end_with_the_diameter_and_days_of_any_are_accepted() -> None:
    Schedule(at_mm=(5.0, 10.0)).check_final((10.0, 10.0))
    Schedule(at_days=(0.0, 90.0)).check_final((3.0, 40.0))


@pytest.mark.parametrize("values", [{}, {"at_days": (0.0,), "at_mm": (5.0,)}])
def test_a_schedule_holds_times_or_sizes(values: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(ConfigError, match=r"^schedule: "):
        Schedule(**values)
