"""Rates and areas of patients are right, and as sure as their patients allow."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn import metrics

from scalemai.evaluation.patients.definitions import PERFORMANCE, ROWS
from scalemai.evaluation.patients.performance import PatientPerformance, patient_performance
from scalemai.evaluation.patients.threshold import Threshold
from scalemai.statistics.estimate import Estimate
from scalemai.statistics.proportions import wilson

RATES = ("sensitivity", "specificity", "ppv", "npv", "f1", "balanced_accuracy")


def table(positive: Any, score: Any, patient: Any = None) -> pl.DataFrame:
    n = len(positive)
    names = [f"case{i:04}" for i in range(n)]
    return pl.DataFrame(
        {
            "case": names,
            "patient": names if patient is None else [str(p) for p in patient],
            "structure": "liver_lesion",
            "positive": positive,
            "score": score,
        }
    )


def evaluate(frame: pl.DataFrame, cut: float | None = 0.5, **options: Any) -> PatientPerformance:
    return patient_performance(
        frame,
        structure="liver_lesion",
        threshold=None if cut is None else Threshold.fixed(cut),
        rng=np.random.default_rng(0),
        **options,
    )


def drawn(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    positive = rng.random(n) < 0.4
    return positive, np.clip(rng.normal(0.35 + 0.3 * positive, 0.2), 0, 1)


def holds(estimate: Estimate, truth: float) -> bool:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low <= truth <= estimate.high


def test_every_number_equals_that_of_scikit_learn() -> None:
    positive, score = drawn(np.random.default_rng(1), 150)
    called = score >= 0.5
    found = evaluate(table(positive, score))
    expected = {
        "sensitivity": metrics.recall_score(positive, called),
        "specificity": metrics.recall_score(~positive, ~called),
        "ppv": metrics.precision_score(positive, called),
        "npv": metrics.precision_score(~positive, ~called),
        "f1": metrics.f1_score(positive, called),
        "balanced_accuracy": metrics.balanced_accuracy_score(positive, called),
        "auroc": metrics.roc_auc_score(positive, score),
        "auroc_bootstrap": metrics.roc_auc_score(positive, score),
        "average_precision": metrics.average_precision_score(positive, score),
    }
    for name, value in expected.items():
        estimate = getattr(found, name)
        assert estimate.value == pytest.approx(value), name
        assert holds(estimate, value), name
    assert found.sensitivity == wilson(int((positive & called).sum()), int(positive.sum()))


def test_intervals_cover_as_nominal() -> None:
    from scipy.special import ndtr

    rng = np.random.default_rng(7)
    sensitivity, specificity = 0.85, 0.8
    truth = {
        "sensitivity": sensitivity,
        "specificity": specificity,
        "f1": 2 * 0.4 * 0.85 / (2 * 0.4 * 0.85 + 0.6 * 0.2 + 0.4 * 0.15),
        "balanced_accuracy": 0.825,
        "ppv": 0.4 * 0.85 / (0.4 * 0.85 + 0.6 * 0.2),
        "npv": 0.6 * 0.8 / (0.6 * 0.8 + 0.4 * 0.15),
    }
    assert ndtr(0) == 0.5
    trials = 1200
    held = dict.fromkeys(truth, 0)
    for _ in range(trials):
        positive = rng.random(60) < 0.4
        called = np.where(positive, rng.random(60) < sensitivity, rng.random(60) < 1 - specificity)
        found = evaluate(table(positive, called * 1.0), draws=1)
        for name, value in truth.items():
            held[name] += holds(getattr(found, name), value)
    for name, count in held.items():
        assert 0.93 <= count / trials <= 0.97, name


def test_scans_of_one_patient_are_not_counted_as_patients() -> None:
    positive, score = drawn(np.random.default_rng(2), 120)
    alone = evaluate(table(positive, score))
    again = evaluate(table(np.tile(positive, 5), np.tile(score, 5), np.tile(np.arange(120), 5)))
    for definition in PERFORMANCE:
        one, five = (getattr(result, definition.column) for result in (alone, again))
        assert five.value == pytest.approx(one.value)
        # Five copies of a scan are no news: the interval must not shrink by the root of five.
        assert five.high - five.low > 0.75 * (one.high - one.low), definition.column
    assert "effective trials" in again.sensitivity.method
    assert again.sensitivity.n == int(positive.sum())


def test_a_missing_prediction_is_a_failure_unless_it_is_left_out() -> None:
    positive = [True, True, True, False, False, False, None]
    score = [0.9, 0.8, None, 0.1, 0.2, None, 0.4]
    failed = evaluate(table(positive, score))
    assert (failed.missing, failed.not_assessed) == (2, 1)
    assert failed.sensitivity.value == pytest.approx(2 / 3)
    assert failed.specificity.value == pytest.approx(2 / 3)
    assert failed.auroc.value == pytest.approx(4 / 9)
    left = evaluate(table(positive, score), missing="omit")
    assert left.sensitivity.value == left.specificity.value == left.auroc.value == 1
    assert (left.missing, left.positives, left.negatives) == (2, 2, 2)


def test_without_a_threshold_there_are_areas_and_no_rates() -> None:
    positive, score = drawn(np.random.default_rng(3), 60)
    found = evaluate(table(positive, score), None)
    assert found.auroc.computed
    assert found.counts is None
    for name in RATES:
        assert str(getattr(found, name)) == "not computed because there is no threshold"


def test_cases_of_one_kind_give_what_they_can_and_say_what_they_cannot() -> None:
    healthy = evaluate(table([False] * 12, np.linspace(0, 0.6, 12)))
    assert healthy.specificity.value == pytest.approx(10 / 12)
    assert str(healthy.sensitivity) == "not computed because there are no positives"
    assert healthy.auroc.reason == "there are no positives"
    assert healthy.balanced_accuracy.reason == "there are no positives"
    ill = evaluate(table([True] * 12, np.linspace(0, 0.6, 12)))
    assert str(ill.specificity) == "not computed because there are no negatives"
    assert ill.balanced_accuracy.reason == "there are no negatives"
    silent = evaluate(table([True, False] * 6, np.zeros(12)))
    assert (silent.ppv.reason, silent.npv.computed) == ("none is called positive", True)
    assert not healthy.average_precision.computed


@pytest.mark.parametrize(
    ("positive", "reason"), [(True, "there are no negatives"), (False, "there are no positives")]
)
def test_scans_of_one_kind_say_what_is_lacking_if_patients_have_several(
    positive: bool, reason: str
) -> None:
    found = evaluate(table([positive] * 20, np.linspace(0, 1, 20), np.arange(20) // 2))
    for one in (found.auroc, found.auroc_bootstrap, found.balanced_accuracy):
        assert str(one) == f"not computed because {reason}"
    if not positive:
        assert str(found.average_precision) == f"not computed because {reason}"


def test_rows_carry_definition_and_threshold_of_every_number() -> None:
    positive, score = drawn(np.random.default_rng(4), 50)
    found = evaluate(table(positive, score))
    listed = {row["metric"]: row for row in found.rows()}
    assert set(listed) == {definition.column for definition in PERFORMANCE}
    assert listed["sensitivity"]["threshold"] == "score >= 0.5, fixed beforehand"
    assert listed["auroc"]["threshold"] == ""
    assert listed["auroc"]["definition"] == "patient-auroc/1"
    assert listed["f1"]["low"] < listed["f1"]["value"] < listed["f1"]["high"]


def test_the_order_of_rows_changes_nothing() -> None:
    positive, score = drawn(np.random.default_rng(5), 80)
    frame = table(positive, score, np.arange(80) // 2)
    assert evaluate(frame) == evaluate(frame.sample(fraction=1, shuffle=True, seed=1))


def test_definition_ids_are_unique() -> None:
    ids = [definition.id for definition in (*PERFORMANCE, *ROWS)]
    assert len(set(ids)) == len(ids)
