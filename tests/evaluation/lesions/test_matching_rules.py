"""Rules and size bins say what they mean and read what they write."""

from __future__ import annotations

import math

import pytest

from scalemai.errors import ConfigError
from scalemai.evaluation.lesions.bins import (
    DEFAULT_BINS,
    SMALL_AND_LARGE,
    SizeBins,
    parse_bins,
)
from scalemai.evaluation.lesions.definitions import (
    PERFORMANCE,
    candidate_definitions,
    lesion_definitions,
)
from scalemai.evaluation.lesions.rules import MatchingRule, parse_rule


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("overlap", MatchingRule("overlap")),
        ("iou>=0.1", MatchingRule("iou", 0.1)),
        ("IoU >= .25", MatchingRule("iou", 0.25)),
        ("centre", MatchingRule("centre")),
        ("center", MatchingRule("centre")),
        ("one-to-one", MatchingRule("overlap", one_to_one=True)),
        ("one-to-one  iou>=0.1", MatchingRule("iou", 0.1, one_to_one=True)),
        ("one-to-one centre", MatchingRule("centre", one_to_one=True)),
    ],
)
def test_a_rule_is_read_and_written(text: str, rule: MatchingRule) -> None:
    assert parse_rule(text) == rule
    assert parse_rule(str(rule)) == rule


@pytest.mark.parametrize("text", ["", "any", "iou", "iou>0.1", "iou>=1.5", "iou>=0", "one to one"])
def test_what_is_no_rule_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_rule(text)
    assert "\n" not in str(caught.value)


def test_a_lesion_of_exactly_20_mm_is_small() -> None:
    assert SMALL_AND_LARGE.label_of(20.0) == "<= 20 mm"
    assert SMALL_AND_LARGE.label_of(20.1) == "> 20 mm"
    assert DEFAULT_BINS.label_of(20.0) == "> 10 to 20 mm"
    assert DEFAULT_BINS.labels == ("<= 10 mm", "> 10 to 20 mm", "> 20 to 50 mm", "> 50 mm")
    assert [DEFAULT_BINS.index_of(d) for d in (0.9, 10, 10.01, 50, 50.1)] == [0, 0, 1, 2, 3]


def test_rounding_of_the_header_moves_no_lesion_over_a_border() -> None:
    assert SMALL_AND_LARGE.label_of(25 * 0.800000011920929) == "<= 20 mm"
    assert SMALL_AND_LARGE.label_of(20.002) == "> 20 mm"


def test_bins_are_read_and_written() -> None:
    assert parse_bins("10,20, 50") == DEFAULT_BINS
    assert parse_bins(str(SizeBins((2.5, 7.0)))) == SizeBins((2.5, 7.0))
    assert list(SMALL_AND_LARGE) == [("<= 20 mm", 0.0, 20.0), ("> 20 mm", 20.0, math.inf)]


@pytest.mark.parametrize("text", ["", "20,10", "0,10", "10,10", "a", "10,inf", "10,nan", "-5"])
def test_what_are_no_bins_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="size bins"):
        parse_bins(text)


def test_definitions_change_their_id_with_the_rule_and_the_filters() -> None:
    overlap = lesion_definitions(MatchingRule("overlap"))
    iou = lesion_definitions(MatchingRule("iou", 0.1), prediction_minimum_mm3=1e6)
    assert {one.column for one in overlap} == {one.column for one in iou}
    changed = {one.id for one in iou} - {one.id for one in overlap}
    assert changed == {
        "lesion-detected-iou-0.1-prediction-1000000-mm3/1",
        "lesion-score-iou-0.1-prediction-1000000-mm3/1",
    }
    plain = candidate_definitions(MatchingRule("overlap"))
    filtered = candidate_definitions(MatchingRule("overlap"), reference_minimum_mm3=50)
    assert {one.id for one in filtered} - {one.id for one in plain} == {
        "candidate-verdict-overlap-reference-50-mm3/1"
    }


def test_no_definition_is_there_twice() -> None:
    for group in (PERFORMANCE, lesion_definitions(MatchingRule())):
        assert len({one.id for one in group}) == len(group)
        assert len({one.column for one in group}) == len(group)
