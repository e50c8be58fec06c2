"""Precision, recall, F1, average precision and sensitivity by size, from masks to numbers."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from scalemai.errors import ConfigError, UnknownNameError
from scalemai.evaluation.lesions.bins import SizeBins
from scalemai.evaluation.lesions.components import find_components
from scalemai.evaluation.lesions.definitions import PERFORMANCE
from scalemai.evaluation.lesions.matching import match
from scalemai.evaluation.lesions.performance import (
    average_precision,
    lesion_performance,
    precision_recall,
)
from scalemai.evaluation.lesions.rows import (
    CANDIDATE_SCHEMA,
    FACTS,
    LESION_SCHEMA,
    candidate_frame,
    candidate_rows,
    lesion_frame,
    lesion_rows,
)
from scalemai.evaluation.lesions.rules import parse_rule
from scalemai.evaluation.lesions.sensitivity import sensitivity_by_size
from scalemai.evaluation.patients.threshold import Threshold
from scalemai.geometry import Grid
from scalemai.statistics.proportions import clopper_pearson, cluster_proportion, wilson

from .tables_of_lesions import candidates, lesions, scans

TP, DUPLICATE = "true_positive", "duplicate"


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


FOUND = lesions(("s0", 0.9), ("s0", 0.7), ("s1", 0.4), ("s2", None))
TRIED = candidates(
    ("s0", 0.9, TP),
    ("s0", 0.7, TP),
    ("s0", 0.6, DUPLICATE),
    ("s1", 0.4, TP),
    ("s3", 0.8),
    ("s3", 0.3),
)


def test_precision_recall_and_f1_are_counted_at_the_threshold() -> None:
    at = Threshold.fixed(0.5)
    got = precision_recall(FOUND, TRIED, scans=scans(6), rng=rng(), threshold=at)
    assert (got.precision.k, got.precision.n) == (2, 3)
    assert (got.recall.k, got.recall.n) == (2, 4)
    assert got.f1.value == pytest.approx(2 * (2 / 3) * 0.5 / (2 / 3 + 0.5))
    assert got.fp_per_scan.value == pytest.approx(1 / 6)
    everything = precision_recall(FOUND, TRIED, scans=scans(6), rng=rng())
    assert (everything.precision.k, everything.precision.n) == (3, 5)
    assert (everything.recall.k, everything.recall.n) == (3, 4)
    strict = precision_recall(FOUND, TRIED, scans=scans(6), rng=rng(), duplicates="false_positive")
    assert (strict.precision.k, strict.precision.n) == (3, 6)


def test_a_threshold_without_scores_is_refused() -> None:
    bare = [frame.with_columns(score=pl.lit(None, pl.Float64)) for frame in (FOUND, TRIED)]
    with pytest.raises(ConfigError, match="needs scores"):
        precision_recall(*bare, scans=scans(6), rng=rng(), threshold=Threshold.fixed(0.5))


def test_what_cannot_be_computed_has_a_reason() -> None:
    nothing = precision_recall(lesions(("s0", None)), candidates(), scans=scans(6), rng=rng())
    assert "no candidate is called" in nothing.precision.primary.reason
    assert nothing.f1.value == 0.0
    empty = precision_recall(lesion_frame([]), candidates(), scans=scans(6), rng=rng())
    for estimate in (empty.recall.primary, empty.f1):
        assert estimate.reason == "there are no lesions that count"
    assert not average_precision(lesion_frame([]), candidates(), scans=["s"], rng=rng()).computed


def test_a_perfect_detector_has_an_interval_that_knows_how_many_patients_there_were() -> None:
    rows = [(f"s{i}", 0.9) for i in range(12)]
    tried = [(case, score, TP) for case, score in rows]
    got = precision_recall(lesions(*rows), candidates(*tried), scans=scans(20), rng=rng())
    low = clopper_pearson(12, 12).low
    assert low is not None
    assert got.f1.low == pytest.approx(2 * low / (1 + low))
    assert (got.f1.value, got.f1.high) == (1.0, 1.0)
    area = average_precision(lesions(*rows), candidates(*tried), scans=scans(20), rng=rng())
    assert (area.value, area.low, area.high) == (1.0, low, 1.0)


@pytest.mark.parametrize("sick", [39, 40])
def test_few_patients_with_lesions_give_no_interval_however_many_are_healthy(sick: int) -> None:
    rows = [(f"s{i}", 0.9) for i in range(sick)] + [(f"s{i}", None) for i in range(sick - 2)]
    tried = [(f"s{i}", 0.9, TP) for i in range(sick)] + [(f"s{i}", 0.5) for i in range(60, 80)]
    got = lesion_performance(lesions(*rows), candidates(*tried), scans=scans(100), rng=rng())
    for one in (got.at_threshold.f1, got.average_precision, got.froc.cpm, *got.froc.rates.values()):
        assert one.value is not None
        if sick < 40:
            assert one.low is one.high is None
            assert one.reason == "39 patients with lesions are too few to resample (at least 40)"
        else:
            assert one.low is not None
    assert got.at_threshold.fp_per_scan.low is not None  # of all scans


def test_average_precision_is_counted_by_hand() -> None:
    # Descending: hit (1/1), false, hit (2/3), hit (3/4), false; one lesion of four is missed.
    area = average_precision(FOUND, TRIED, scans=scans(6), rng=rng())
    assert area.value == pytest.approx((1 / 1 + 2 / 3 + 3 / 4) / 4)


def test_a_missed_lesion_earns_nothing_however_few_false_positives_there_are() -> None:
    area = average_precision(
        lesions(("s0", 0.9), ("s1", None)), candidates(("s0", 0.9, TP)), scans=["s0", "s1"],
        rng=rng(),
    )  # fmt: skip
    assert area.value == 0.5


def test_sensitivity_by_size_counts_every_bin_and_says_which_interval_is_primary() -> None:
    table = lesions(
        ("s0", 0.9, 9.0), ("s1", None, 10.0), ("s2", 0.8, 20.0), ("s2", 0.2, 18.0),
        ("s3", None, 20.5), ("s4", 0.7, 51.0),
    )  # fmt: skip
    rows = {one.size_bin: one for one in sensitivity_by_size(table)}
    counts = {label: (one.sensitivity.k, one.sensitivity.n) for label, one in rows.items()}
    assert counts == {
        "<= 10 mm": (1, 2),
        "> 10 to 20 mm": (2, 2),
        "> 20 to 50 mm": (0, 1),
        "> 50 mm": (1, 1),
        "<= 20 mm": (3, 4),
        "> 20 mm": (1, 2),
    }
    small = rows["<= 10 mm"].sensitivity
    assert small.primary == wilson(1, 2)
    assert small.exact == clopper_pearson(1, 2)
    several = rows["> 10 to 20 mm"].sensitivity
    assert several.patients == 1
    assert several.primary is several.by_patient
    called = sensitivity_by_size(table, bins=[SizeBins((20,))], threshold=Threshold.fixed(0.5))
    assert [(one.sensitivity.k, one.sensitivity.n) for one in called] == [(2, 4), (1, 2)]


def test_an_empty_bin_says_that_it_is_empty() -> None:
    rows = sensitivity_by_size(lesion_frame([]))
    assert len(rows) == 6
    assert rows[0].sensitivity.primary.reason == "there are no lesions of <= 10 mm"


def test_lesions_of_one_patient_widen_the_interval_to_quote() -> None:
    # 20 patients with 5 lesions each, which are all found or all missed.
    rows = [(f"s{i}", 0.9 if i % 4 else None, 15.0) for i in range(20) for _ in range(5)]
    share = sensitivity_by_size(lesions(*rows))[1].sensitivity
    assert (share.k, share.n, share.patients) == (75, 100, 20)
    width = [
        estimate.high - estimate.low
        for estimate in (share.primary, share.wilson)
        if estimate.low is not None and estimate.high is not None
    ]
    assert width[0] > 1.8 * width[1]
    found = [score is not None for _, score, _ in rows]
    labels = [case for case, _, _ in rows]
    assert share.primary == cluster_proportion(found, [1] * 100, labels)


def test_a_lesion_without_a_diameter_is_refused() -> None:
    table = lesions(("s0", 0.9)).with_columns(diameter_mm=pl.lit(None, pl.Float64))
    with pytest.raises(ConfigError, match="s0: a lesion has no diameter_mm"):
        sensitivity_by_size(table)


def test_everything_of_one_structure_comes_with_definitions() -> None:
    result = lesion_performance(
        FOUND, TRIED, scans=scans(6), rng=rng(), structure="liver_lesion",
        threshold=Threshold.fixed(0.5, reason="by hand"), draws=200,
    )  # fmt: skip
    rows = pl.DataFrame(result.rows(), infer_schema_length=None)
    known = {definition.id for definition in PERFORMANCE}
    assert set(rows["definition"]) == known
    assert rows.filter(pl.col("metric") == "recall")["value"].item() == 0.5
    assert rows.filter(pl.col("metric") == "froc_sensitivity")["at"].to_list()[:2] == [
        "0.125",
        "0.25",
    ]
    assert "by hand" in rows.filter(pl.col("metric") == "recall")["threshold"].item()
    assert rows.filter(pl.col("metric") == "cpm")["threshold"].item() == ""
    assert (result.lesions, result.scans, result.duplicates) == (4, 6, 1)
    again = lesion_performance(
        FOUND, TRIED, scans=scans(6), rng=rng(), structure="liver_lesion",
        threshold=Threshold.fixed(0.5, reason="by hand"), draws=200,
    )  # fmt: skip
    assert again.rows() == result.rows()


# From masks. ------------------------------------------------------------------------------------

SHAPE = (40, 40, 16)
GRID = Grid(SHAPE, np.diag([-0.8, -0.8, 2.5, 1.0]))


def test_masks_become_rows_that_hold_every_fact() -> None:
    reference, probability = np.zeros(SHAPE, bool), np.zeros(SHAPE)
    reference[5:15, 5:10, 4:8] = True
    reference[30:32, 30:32, 8] = True
    probability[8:15, 5:10, 4:8] = 0.7
    probability[5:7, 5:10, 4:8] = 0.9
    probability[30, 30, 8] = 0.8
    probability[20:24, 0:3, 0] = 0.6
    truth = find_components(reference, GRID)
    guess = find_components(probability >= 0.5, GRID, probability=probability)
    matching = match(truth, guess, GRID, parse_rule("overlap"), reference_minimum_mm3=10)
    facts = {1: {"site": "segment 7", "contrast_hu": -40.0}}
    names = {"case": "c", "patient": "p", "structure": "liver_lesion", "organ": "liver"}
    table = lesion_frame(lesion_rows(matching, truth, facts=facts, **names))
    tried = candidate_frame(candidate_rows(matching, guess, **names))
    assert set(table.columns) == {
        *LESION_SCHEMA,
        "site",
        "contrast_hu",
    }
    assert tried.columns == list(CANDIDATE_SCHEMA)
    first, second = table.rows(named=True)
    assert (first["detected"], first["score"], first["candidates"]) == (True, 0.9, 2)
    assert (second["ignored"], second["detected"], second["score"]) == (True, None, None)
    assert first["diameter_mm"] == pytest.approx(0.8 * math.hypot(10, 5))
    assert first["size_bin"] == "<= 10 mm"
    assert (first["x_mm"], first["z_mm"]) == pytest.approx((-0.8 * 9.5, 2.5 * 5.5))
    assert (first["site"], second["site"]) == ("segment 7", None)
    assert tried["verdict"].to_list() == ["duplicate", "true_positive", "false_positive", "ignored"]
    assert tried["lesion"].to_list() == [1, 1, None, None]
    assert tried["at_border"].to_list() == [False, False, True, False]
    result = lesion_performance(table, tried, scans=["c", "d"], rng=rng())
    assert (result.ignored, result.ignored_candidates, result.many_to_one) == (1, 1, 1)
    assert result.at_threshold.recall.k == 1
    assert result.froc.end == 0.5


def test_tables_without_rows_keep_their_columns_and_types() -> None:
    assert dict(lesion_frame([]).schema) == LESION_SCHEMA
    assert dict(candidate_frame([]).schema) == CANDIDATE_SCHEMA


def test_facts_of_no_lesion_or_of_unknown_name_are_refused() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[3, 3, 3] = True
    truth = find_components(mask, GRID)
    matching = match(truth, (), GRID, parse_rule("overlap"))
    names = {"case": "c", "patient": "p", "structure": "s"}
    with pytest.raises(ConfigError, match="number 2"):
        lesion_rows(matching, truth, facts={2: {"site": "head"}}, **names)
    with pytest.raises(UnknownNameError, match="unknown fact 'cite'"):
        lesion_rows(matching, truth, facts={1: {"cite": "head"}}, **names)
    with pytest.raises(ConfigError, match="that were matched"):
        lesion_rows(matching, (), **names)
    assert "site" in FACTS
