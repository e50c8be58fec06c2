"""Calibration: probabilities that mean what they say, chosen on patients that were left out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from scalemai.errors import ConfigError, UnreadableFileError
from scalemai.evaluation.lesions.definitions import candidate_definitions
from scalemai.evaluation.lesions.rules import parse_rule
from scalemai.evaluation.patients.definitions import score_definition
from scalemai.evaluation.patients.operating_point import (
    apply_operating_point,
    read_operating_point,
)
from scalemai.evaluation.tables import Table
from scalemai.inference.calibration.calibrate import Calibrated, calibrate
from scalemai.inference.calibration.choosing import choose_map
from scalemai.inference.calibration.error import calibration_error, reliability_bins
from scalemai.inference.calibration.files import (
    CALIBRATION,
    read_calibration,
    require_predictions_of,
    write_calibrated,
)
from scalemai.inference.calibration.fitting import fit_map
from scalemai.inference.calibration.maps import METHODS, CalibrationMap, Method

SHA = "ab" * 32


def drawn(
    n: int, seed: int, distort: object = lambda odds: odds
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcomes that follow known odds, and scores that distort these."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(0.0, 1.5, n)
    positive = rng.random(n) < expit(odds)
    score = expit(distort(odds))  # type: ignore[operator]  # a function of odds
    return score, positive, np.array([f"p{i}" for i in range(n)])


def tables(n: int, seed: int = 0, *, positives: bool = True) -> tuple[Table, Table, Table]:
    """An evaluation of ``n`` patients: overconfident scores, two candidates each."""
    score, positive, case = drawn(n, seed, lambda odds: 3.0 * odds)
    if not positives:
        positive[:] = False
    named = {"structure": "pancreatic_lesion"}
    cases = {name: f"{i:064x}" for i, name in enumerate(case)}
    patients = pl.DataFrame(
        {"case": case, "patient": case, "positive": positive, "score": score}
    ).with_columns(structure=pl.lit(named["structure"]), state=pl.lit("scored"))
    rng = np.random.default_rng(seed + 1)
    low = rng.random(n) * score
    candidates = pl.DataFrame(
        {
            "case": np.repeat(case, 2),
            "score": np.column_stack([score, low]).ravel(),
            "verdict": [
                verdict
                for hit in positive
                for verdict in ("true_positive" if hit else "false_positive", "false_positive")
            ],
        }
    ).with_columns(structure=pl.lit(named["structure"]))
    lesions = patients.filter("positive").select("case", "structure", "score")
    return (
        Table("patients", patients, (score_definition("max-probability"),), cases),
        Table("candidates", candidates, candidate_definitions(parse_rule("overlap")), cases),
        Table("lesions", lesions, (), cases),
    )


@pytest.fixture(scope="module")
def calibrated() -> Calibrated:
    return calibrate(*tables(240), draws=200)


def test_a_temperature_undoes_an_overconfidence_of_three() -> None:
    score, positive, _ = drawn(4000, 1, lambda odds: 3.0 * odds)
    found = fit_map("temperature", score, positive)
    assert found.slope == pytest.approx(1 / 3, rel=0.08)
    assert found.intercept == 0.0


def test_platt_scaling_undoes_a_shift_too() -> None:
    score, positive, _ = drawn(4000, 2, lambda odds: 2.0 * odds + 1.0)
    found = fit_map("platt", score, positive)
    assert (found.slope, found.intercept) == pytest.approx((0.5, -0.5), abs=0.08)


def test_isotonic_steps_follow_any_rising_distortion() -> None:
    score, positive, _ = drawn(6000, 3, lambda odds: odds**3)
    found = fit_map("isotonic", score, positive)
    odds = np.linspace(-1.5, 1.5, 7)
    np.testing.assert_allclose(found(expit(odds**3)), expit(odds), atol=0.1)


def test_scores_that_separate_everything_do_not_give_certainty() -> None:
    score, positive = np.array([0.0] * 10 + [1.0] * 10), np.arange(20) >= 10
    for method in METHODS[1:]:
        low, high = fit_map(method, score, positive)([0.0, 1.0])
        assert 1 / 12 - 1e-4 <= low < high <= 11 / 12 + 1e-4


@given(
    st.lists(st.tuples(st.floats(0.0, 1.0), st.booleans()), min_size=4, max_size=60),
    st.sampled_from(METHODS),
)
def test_maps_rise_stay_within_0_and_1_and_survive_json(
    rows: list[tuple[float, bool]], method: Method
) -> None:
    score = np.array([0.1, 0.9, *(s for s, _ in rows)])
    positive = np.array([False, True, *(p for _, p in rows)])
    found = fit_map(method, score, positive)
    seen = found(np.linspace(0.0, 1.0, 101))
    assert (np.diff(seen) >= -1e-12).all()
    assert seen.min() >= 0.0
    assert seen.max() <= 1.0
    assert CalibrationMap.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_the_map_with_the_lowest_log_loss_on_others_is_chosen() -> None:
    choice = choose_map(*drawn(400, 4, lambda odds: 3.0 * odds), draws=100)
    assert choice.chosen is not None
    losses = {name: one.value for name, one in choice.log_loss.items()}
    assert losses[choice.chosen.method] == min(losses.values())
    assert losses["none"] > losses["temperature"]
    before, after = choice.error["none"], choice.error[choice.chosen.method]
    assert before.low is not None
    assert after.value is not None
    assert after.value < before.low


def test_scores_that_are_right_already_stay_nearly_as_they_are() -> None:
    choice = choose_map(*drawn(1000, 5), draws=50)
    assert choice.chosen is not None
    np.testing.assert_allclose(choice.chosen([0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.06)


def test_the_same_seed_chooses_the_same_map_with_the_same_intervals() -> None:
    one, two = (choose_map(*drawn(120, 6), seed=3, draws=50) for _ in range(2))
    assert one.chosen == two.chosen
    assert one.error == two.error


def test_too_few_patients_with_a_positive_give_no_map_but_the_reason() -> None:
    score, positive, patient = drawn(60, 7)
    positive = np.arange(60) < 9
    choice = choose_map(score, positive, patient)
    assert choice.chosen is None
    assert choice.reason == "only 9 patients have a positive, and 10 are needed"


def test_rows_of_few_patients_do_not_pass_for_many() -> None:
    score, positive, _ = drawn(200, 8)
    choice = choose_map(score, positive, np.array([f"p{i % 5}" for i in range(200)]))
    assert choice.chosen is None
    assert "only 5 patients" in choice.reason


def test_the_calibration_error_is_the_distance_from_what_happens() -> None:
    positive, patient = np.arange(100) % 2 == 0, np.arange(100).astype(str)
    rng = np.random.default_rng(0)
    off = calibration_error(np.full(100, 0.3), positive, patient, rng=rng, draws=200)
    assert off.value == pytest.approx(0.2)
    assert off.low is not None
    assert off.high is not None
    assert off.low < 0.2 < off.high
    bins = reliability_bins(np.full(100, 0.3), positive, patient)
    assert sum(one.observed.n for one in bins) == 100


def test_operating_points_are_locked_and_refused_on_the_cases_they_were_chosen_on(
    calibrated: Calibrated, tmp_path: Path
) -> None:
    (tmp_path / "detector").mkdir()
    page = write_calibrated(
        calibrated, tmp_path / "out", detector=tmp_path / "detector", weights_sha256=SHA
    )
    assert "Reliability" in page.read_text(encoding="utf-8")
    names = sorted(path.name for path in (tmp_path / "detector").glob("operating_point_*"))
    assert names == [
        "operating_point_pancreatic_lesion_fp-per-scan-1.json",
        "operating_point_pancreatic_lesion_youden.json",
    ]
    point = read_operating_point(tmp_path / "out" / names[1])
    with pytest.raises(ConfigError, match="was chosen on this case"):
        apply_operating_point(tables(240)[0], point)
    per_scan = read_operating_point(tmp_path / "out" / names[0])
    assert per_scan.validation["false_positives"] <= per_scan.validation["scans"] == 240


def test_maps_lie_beside_the_detector_and_belong_to_its_weights(
    calibrated: Calibrated, tmp_path: Path
) -> None:
    (tmp_path / "detector").mkdir()
    write_calibrated(calibrated, tmp_path, detector=tmp_path / "detector", weights_sha256=SHA)
    read = read_calibration(tmp_path / "detector", weights_sha256=SHA)
    assert read == calibrated.calibrations
    assert {one.unit for one in read} == {"patients", "candidates"}
    assert read[0].score == ("patient-score-max-probability/1",)
    with pytest.raises(ConfigError, match="other weights"):
        read_calibration(tmp_path / "detector", weights_sha256="00" * 32)
    (tmp_path / CALIBRATION).write_text('{"format": 1}')
    with pytest.raises(UnreadableFileError, match="scalemai calibrate"):
        read_calibration(tmp_path, weights_sha256=SHA)


def test_without_positives_nothing_is_chosen_and_everything_says_why() -> None:
    found = calibrate(*tables(40, positives=False), rules=["youden", "fp-per-scan<=0.5"], draws=20)
    assert [point.rule for point in found.points] == ["fp-per-scan<=0.5"]
    assert "there are none" in found.missed["pancreatic_lesion", "youden"]
    assert found.calibrations == ()
    assert found.choices["patients", "pancreatic_lesion"].reason.startswith("only 0 patients")


def test_volumes_are_not_taken_for_probabilities() -> None:
    patients, candidates, lesions = tables(40)
    in_mm3 = Table(
        "patients", patients.frame.with_columns(pl.col("score") * 500), (), patients.cases
    )
    found = calibrate(in_mm3, candidates, lesions, rules=["youden"], draws=20)
    assert "volumes" in found.choices["patients", "pancreatic_lesion"].reason


def test_a_rule_that_is_none_is_refused_before_anything_is_chosen() -> None:
    with pytest.raises(ConfigError, match="no rule reads"):
        calibrate(*tables(40), rules=["best"])


def test_predictions_of_another_detector_are_refused(tmp_path: Path) -> None:
    for case, sha in (("a", SHA), ("b", "cd" * 32)):
        (tmp_path / case).mkdir()
        told = {"provenance": {"detectors": [{"weights_sha256": sha}]}}
        (tmp_path / case / "findings.json").write_text(json.dumps(told))
    with pytest.raises(ConfigError, match=r"^b: was predicted by another detector"):
        require_predictions_of(tmp_path, SHA)
