"""FROC curves agree with counting by hand, and say where they end."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalemai.errors import ConfigError
from scalemai.evaluation.lesions.froc import LUNA16_RATES, froc
from scalemai.evaluation.lesions.rows import candidate_frame, lesion_frame

from .tables_of_lesions import candidates, lesions, scans

TP = "true_positive"


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_a_perfect_detector_of_two_lesions_finds_both_at_every_rate() -> None:
    # picai_eval 1.4.13 gives a lesion sensitivity of at most 0.5 here.
    curve = froc(
        lesions(("s0", 0.9), ("s1", 0.8)),
        candidates(("s0", 0.9, TP), ("s1", 0.8, TP)),
        scans=scans(6),
        rng=rng(),
    )
    assert curve.sensitivity.tolist() == [0.0, 0.5, 1.0]
    assert curve.fp_per_scan.tolist() == [0.0, 0.0, 0.0]
    assert curve.threshold.tolist() == [np.inf, 0.9, 0.8]
    assert all(rate.value == 1.0 for rate in curve.rates.values())
    assert curve.cpm.value == 1.0
    assert curve.cpm.high == 1.0
    assert curve.cpm.low is not None
    assert 0 < curve.cpm.low < 0.5


def test_a_single_confidence_still_gives_a_point() -> None:
    # With one distinct confidence, picai_eval 1.4.13 gives a sensitivity of 0.
    curve = froc(
        lesions(("s0", 0.5), ("s1", 0.5), ("s2", None)),
        candidates(("s0", 0.5, TP), ("s1", 0.5, TP), ("s1", 0.5)),
        scans=scans(4),
        rng=rng(),
    )
    assert curve.sensitivity.tolist() == pytest.approx([0.0, 2 / 3])
    assert curve.fp_per_scan.tolist() == [0.0, 0.25]
    assert curve.rates[0.125].value == 0.0
    assert curve.rates[0.25].value == pytest.approx(2 / 3)


def test_sensitivity_is_read_at_thresholds_that_exist() -> None:
    curve = froc(
        lesions(("s0", 0.9), ("s1", 0.7), ("s2", 0.5), ("s3", None)),
        candidates(("s0", 0.8), ("s5", 0.6), ("s6", 0.6), ("s7", 0.4)),
        scans=scans(8),
        rng=rng(),
        rates=(0.1, 0.125, 0.3, 0.375, 0.5),
    )
    assert curve.fp_per_scan.tolist() == [0, 0, 1 / 8, 1 / 8, 3 / 8, 3 / 8, 4 / 8]
    assert curve.sensitivity.tolist() == [0, 1 / 4, 1 / 4, 1 / 2, 1 / 2, 3 / 4, 3 / 4]
    read = [rate.value for rate in curve.rates.values()]
    assert read == [0.25, 0.5, 0.5, 0.75, 0.75]
    assert curve.cpm.value == pytest.approx(np.mean([0.25, 0.5, 0.5, 0.75, 0.75]))
    assert curve.unreached == ()


def test_scans_without_lesions_and_candidates_dilute_false_positives() -> None:
    found, false = lesions(("s0", 0.9)), candidates(("s0", 0.95), ("s1", 0.95))
    assert froc(found, false, scans=scans(2), rng=rng()).end == 1.0
    assert froc(found, false, scans=scans(16), rng=rng()).end == 0.125


def test_a_curve_that_ends_before_a_rate_says_so() -> None:
    curve = froc(
        lesions(*((f"s{i}", 0.9 if i % 2 else None) for i in range(10))),
        candidates(("s0", 0.5), ("s1", 0.4)),
        scans=scans(10),
        rng=rng(),
    )
    assert curve.end == 0.2
    assert curve.unreached == (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
    assert "ends at 0.2 false positives per scan" in curve.rates[8.0].method
    assert "ends at" in curve.cpm.method
    assert "ends at" not in curve.rates[0.125].method
    assert curve.rates[8.0].value == 0.5


def test_the_rates_are_those_of_luna16() -> None:
    assert LUNA16_RATES == (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)


def test_duplicates_are_nothing_unless_asked_to_be_wrong() -> None:
    found = lesions(("s0", 0.9))
    tried = candidates(("s0", 0.9, TP), ("s0", 0.6, "duplicate"), ("s0", 0.5, "ignored"))
    assert froc(found, tried, scans=scans(4), rng=rng()).end == 0
    wrong = froc(found, tried, scans=scans(4), rng=rng(), duplicates="false_positive")
    assert wrong.end == 0.25
    assert wrong.threshold.tolist() == [np.inf, 0.9, 0.6]


def test_ignored_lesions_do_not_count() -> None:
    table = lesions(("s0", 0.9), ("s1", None), ("s2", None)).with_columns(
        ignored=pl.Series([False, True, False]), detected=pl.Series([True, None, False])
    )
    curve = froc(table, candidates(), scans=scans(3), rng=rng())
    assert curve.lesions == 2
    assert curve.sensitivity.tolist() == [0.0, 0.5]


def test_label_maps_without_scores_give_one_point() -> None:
    table = lesions(("s0", 0.9), ("s1", None)).with_columns(score=pl.lit(None, pl.Float64))
    tried = candidates(("s0", 0.1, TP), ("s2", 0.2)).with_columns(score=pl.lit(None, pl.Float64))
    curve = froc(table, tried, scans=scans(4), rng=rng())
    assert curve.sensitivity.tolist() == [0.0, 0.5]
    assert curve.fp_per_scan.tolist() == [0.0, 0.25]


def test_without_lesions_there_is_a_reason_instead_of_a_number() -> None:
    curve = froc(lesion_frame([]), candidates(("s0", 0.5)), scans=scans(4), rng=rng())
    assert curve.end == 0.25
    assert np.isnan(curve.sensitivity).all()
    assert str(curve.cpm) == "not computed because there are no lesions that count"


def test_without_candidates_nothing_is_found_and_the_interval_knows_how_many_patients() -> None:
    curve = froc(
        lesions(*((f"s{i}", None) for i in range(10))),
        candidate_frame([]),
        scans=scans(30),
        rng=rng(),
    )
    assert curve.sensitivity.tolist() == [0.0]
    assert (curve.cpm.value, curve.cpm.low) == (0.0, 0.0)
    assert curve.cpm.high == pytest.approx(0.3085, abs=1e-4)  # exact, 0 of 10


def test_structures_are_told_apart_or_pooled() -> None:
    liver = lesions(("s0", 0.9))
    kidney = lesions(("s0", None), structure="kidney_lesion")
    both = pl.concat([liver, kidney])
    one = froc(both, candidates(), scans=scans(3), structure="liver_lesion", rng=rng())
    assert (one.lesions, one.cpm.value) == (1, 1.0)
    pooled = froc(both, candidates(), scans=scans(3), rng=rng())
    assert (pooled.lesions, pooled.cpm.value) == (2, 0.5)
    absent = froc(both, candidates(), scans=scans(3), structure="colon_lesion", rng=rng())
    assert absent.lesions == 0
    assert not absent.cpm.computed


def test_the_same_seed_gives_the_same_interval() -> None:
    table = lesions(*((f"s{i}", 0.9 - i / 30 if i % 3 else None) for i in range(20)))
    tried = candidates(*((f"s{i}", 0.95 - i / 25) for i in range(18)))
    one, two = (froc(table, tried, scans=scans(25), rng=rng()) for _ in range(2))
    assert one.rates == two.rates
    assert one.cpm == two.cpm
    shuffled = froc(
        table.sample(fraction=1, shuffle=True, seed=1),
        tried.sample(fraction=1, shuffle=True, seed=2),
        scans=scans(25),
        rng=rng(),
    )
    assert shuffled.rates == one.rates


def test_scans_of_a_patient_are_resampled_together() -> None:
    table = lesions(*((f"s{i}", 0.9 if i % 4 else None) for i in range(160)))
    alone = froc(table, candidates(), scans=scans(160), rng=rng())
    paired = {f"s{i}": f"p{i // 4}" for i in range(160)}
    together = froc(table, candidates(), scans=paired, rng=rng())
    assert (alone.patients, together.patients) == (160, 40)
    assert (alone.cpm.n, together.cpm.n) == (160, 40)
    # Every patient has the same share, so that patients do not vary though lesions do.
    assert alone.cpm.low is not None
    assert together.cpm.low is None
    assert "same value" in together.cpm.reason


@pytest.mark.parametrize(
    ("rows", "tried", "names", "what"),
    [
        (lesions(("s9", 0.9)), candidates(), scans(3), "not listed"),
        (lesions(("s0", 0.9)), candidates(("s9", 0.9)), scans(3), "not listed"),
        (lesions(("s0", 0.9)), candidates(), [], "no scans"),
        (lesions(("s0", 0.9)), candidates(), ["s0", "s0"], "listed twice"),
        (lesions(("s0", 0.9), ("s0", 0.8), lesion=1), candidates(), scans(3), "listed twice"),
        (lesions(("s0", 0.9)), candidates(("s0", float("nan"))), scans(3), "NaN"),
        (lesions(("s0", 0.9)), candidates(("s0", 0.5, "wrong")), scans(3), "verdict"),
        (lesions(("s0", 0.9)).drop("detected"), candidates(), scans(3), "no column detected"),
        (lesions(("s0", 0.9)).drop("case"), candidates(), scans(3), "no column case"),
        (
            lesions(("s0", 0.9), ("s1", 0.8)).with_columns(score=pl.Series([0.9, None])),
            candidates(),
            scans(3),
            "others have none",
        ),
        (
            lesions(("s0", 0.9), ("s1", None)).with_columns(detected=pl.Series([True, None])),
            candidates(),
            scans(3),
            "neither detected nor missed",
        ),
        (
            lesions(("s0", 0.9), ("s1", 0.9)).with_columns(algorithm=pl.Series(["a", "b"])),
            candidates(),
            scans(3),
            "algorithms",
        ),
        (
            lesions(("s0", 0.9)),
            candidates(("s0", 0.9)).with_columns(patient=pl.lit("other")),
            scans(3),
            "belongs to both",
        ),
    ],
)
def test_tables_that_cannot_be_are_refused_in_one_line(
    rows: pl.DataFrame, tried: pl.DataFrame, names: list[str], what: str
) -> None:
    with pytest.raises(ConfigError, match=what) as caught:
        froc(rows, tried, scans=names, rng=rng())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rates", [(), (0.0, 1.0), (2.0, 1.0), (-1.0,), (float("nan"),)])
def test_impossible_rates_are_refused(rates: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="rates are positive and ascending"):
        froc(lesions(("s0", 0.9)), candidates(), scans=scans(2), rng=rng(), rates=rates)


score = st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.5])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.one_of(score, st.none()), min_size=1, max_size=8),
    st.lists(score, max_size=12),
    st.integers(1, 9),
)
def test_curves_are_those_of_counting_at_every_threshold(
    found: list[float | None], false: list[float], n: int
) -> None:
    curve = froc(
        lesions(*((f"s{i % n}", one) for i, one in enumerate(found))),
        candidates(*((f"s{i % n}", one) for i, one in enumerate(false))),
        scans=scans(n),
        rng=rng(),
        draws=20,
    )
    points = [(0.0, 0.0)]
    for threshold in sorted({one for one in [*found, *false] if one is not None}, reverse=True):
        hits = sum(one is not None and one >= threshold for one in found)
        points.append((sum(one >= threshold for one in false) / n, hits / len(found)))
    got = np.stack([curve.fp_per_scan, curve.sensitivity], axis=1)
    np.testing.assert_allclose(got, points, atol=1e-12)
    for rate, estimate in curve.rates.items():
        assert estimate.value == pytest.approx(max(s for fp, s in points if fp <= rate))
