"""An operating point is chosen on validation cases, written down, and locked for the test."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalemai.errors import ConfigError, UnknownNameError, UnreadableFileError
from scalemai.evaluation.patients.definitions import score_definition
from scalemai.evaluation.patients.operating_point import (
    apply_operating_point,
    choose_operating_point,
    read_operating_point,
    write_operating_point,
)
from scalemai.evaluation.patients.performance import patient_performance
from scalemai.evaluation.patients.rules import Rule, parse_rule
from scalemai.evaluation.tables import Table, read_table, write_table

POSITIVE = [False] * 10 + [True] * 10
NEGATIVE_SCORES = (0.02, 0.05, 0.1, 0.1, 0.2, 0.3, 0.35, 0.4, 0.55, 0.9)
POSITIVE_SCORES = (0.15, 0.38, 0.5, 0.6, 0.6, 0.7, 0.8, 0.85, 0.95, 0.99)
SCORE = [*NEGATIVE_SCORES, *POSITIVE_SCORES]


def digest(case: str) -> str:
    return hashlib.sha256(f"files of {case}".encode()).hexdigest()


def patients(
    positive: Sequence[bool | None] = POSITIVE,
    score: Sequence[float | None] = SCORE,
    *,
    prefix: str = "val",
    definition: str = "max-probability",
    patient: Sequence[str] | None = None,
) -> Table:
    names = [f"{prefix}-{i:02}" for i in range(len(positive))]
    frame = pl.DataFrame(
        {
            "case": names,
            "patient": names if patient is None else list(patient),
            "structure": "pancreatic_lesion",
            "positive": positive,
            "score": score,
        }
    )
    files = {name: digest(name) for name in names}
    return Table("patients", frame, (score_definition(definition),), files, {})


def choose(rule: str, table: Table | None = None, **options: Any) -> Any:
    table = patients() if table is None else table
    return choose_operating_point(table, rule, structure="pancreatic_lesion", **options)


def rates(threshold: float) -> tuple[float, float]:
    positive, score = np.array(POSITIVE), np.array(SCORE)
    called = score >= threshold
    return called[positive].mean(), (~called[~positive]).mean()


def test_each_rule_chooses_what_an_exhaustive_search_chooses() -> None:
    cuts = [*np.unique(SCORE), 2.0]
    by_cut = {cut: rates(cut) for cut in cuts}
    sensitivity, specificity = rates(choose("youden").threshold)
    best = max(s + p for s, p in by_cut.values())
    assert sensitivity + specificity == pytest.approx(best)
    sensitivity, specificity = rates(choose("specificity>=0.9").threshold)
    assert specificity >= 0.9
    assert sensitivity == max(s for s, p in by_cut.values() if p >= 0.9)
    sensitivity, specificity = rates(choose("sensitivity>=0.9").threshold)
    assert sensitivity >= 0.9
    assert specificity == max(p for s, p in by_cut.values() if s >= 0.9)


def test_the_threshold_lies_half_way_to_the_next_score() -> None:
    # Specificity 0.9 lets the 0.9 through: cut between 0.55 (negative) and 0.6.
    assert choose("specificity>=0.9").threshold == pytest.approx(0.575)
    # Everything must be caught: no score lies below the lowest positive but negatives do.
    assert choose("sensitivity>=1").threshold == pytest.approx((0.1 + 0.15) / 2)
    # No negative may be called: the highest negative is 0.9, the next positive 0.95.
    assert choose("specificity>=1").threshold == pytest.approx(0.925)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=2, max_size=40))
def test_a_target_specificity_always_holds_on_the_validation_cases(
    rows: list[tuple[bool, int]],
) -> None:
    positive, score = [p for p, _ in rows], [s / 10 for _, s in rows]
    if len(set(positive)) < 2:
        return
    point = choose("specificity>=0.8", patients(positive, score))
    negative = np.array(score)[~np.array(positive)]
    assert (negative < point.threshold).mean() >= 0.8
    # And no lower threshold would have done.
    lower = [s for s in {*score} if s < point.threshold]
    if lower:
        assert (negative < max(lower)).mean() < 0.8


def test_what_was_chosen_survives_its_file(tmp_path: Path) -> None:
    point = choose("specificity>=0.9")
    path = write_operating_point(point, tmp_path / "point.json")
    assert read_operating_point(path) == point
    content = json.loads(path.read_text())
    assert content["rule"] == "specificity>=0.9"
    assert content["definitions"] == ["patient-score-max-probability/1"]
    assert len(content["cases"]) == 20
    assert "val-03" not in path.read_text()
    assert content["validation"] == {
        "true_positives": 7, "false_positives": 1, "positives": 10, "negatives": 10,
    }  # fmt: skip
    again = write_operating_point(choose("specificity>=0.9"), tmp_path / "again.json")
    assert again.read_bytes() == path.read_bytes()


def test_a_file_that_was_touched_is_refused(tmp_path: Path) -> None:
    path = write_operating_point(choose("youden"), tmp_path / "point.json")
    content = json.loads(path.read_text())
    content["threshold"] = 0.4
    path.write_text(json.dumps(content))
    with pytest.raises(UnreadableFileError, match=r"point\.json: was changed after it was chosen"):
        read_operating_point(path)
    for text in ("{", "[]", '{"format": "another"}', "{}"):
        path.write_text(text)
        with pytest.raises(UnreadableFileError, match="is not an operating point"):
            read_operating_point(path)
    with pytest.raises(UnreadableFileError, match="cannot be read"):
        read_operating_point(tmp_path / "absent.json")


def test_other_cases_get_the_locked_threshold() -> None:
    point = choose("youden")
    threshold = apply_operating_point(patients(prefix="test"), point)
    assert threshold.value == point.threshold
    assert threshold.origin == "locked, youden on 20 validation cases"


def test_the_lock_survives_tables_on_disk(tmp_path: Path) -> None:
    validation = read_table(write_table(patients(), tmp_path / "validation"))
    test = read_table(write_table(patients(prefix="test"), tmp_path / "test"))
    point = choose("youden", validation)
    assert point == choose("youden")
    assert apply_operating_point(test, point).value == point.threshold
    with pytest.raises(ConfigError, match="val-00: the operating point was chosen on this case"):
        apply_operating_point(validation, point)


def test_cases_that_a_spreadsheet_numbers_are_recognised() -> None:
    frame = pl.DataFrame(
        {
            "case": range(20),
            "structure": "pancreatic_lesion",
            "positive": [int(p) for p in POSITIVE],
            "score": SCORE,
        }
    )
    numbered = Table("patients", frame)
    point = choose("youden", numbered)
    assert point.threshold == choose("youden").threshold
    with pytest.raises(ConfigError, match="0: the operating point was chosen on this case"):
        apply_operating_point(Table("patients", frame.head(1)), point)
    with pytest.raises(ConfigError, match=r"column positive .* holds String"):
        choose("youden", Table("patients", frame.with_columns(positive=pl.lit("yes"))))


def same_id() -> Table:
    table = patients(prefix="test")
    names = [*table.frame["case"][:-1], "val-07"]
    frame = table.frame.with_columns(case=pl.Series(names), patient=pl.Series(names))
    return Table("patients", frame, table.definitions, {}, {})


def same_patient() -> Table:
    return patients(prefix="test", patient=["val-11"] + [f"t{i}" for i in range(19)])


def same_files() -> Table:
    table = patients(prefix="test")
    cases = {**table.cases, "test-05": digest("val-02")}
    return Table("patients", table.frame, table.definitions, cases, {})


@pytest.mark.parametrize(
    ("table", "where"),
    [(same_id(), "val-07"), (same_patient(), "test-00"), (same_files(), "test-05")],
    ids=["id", "patient", "files"],
)
def test_one_shared_case_is_found_by_id_patient_or_files(table: Table, where: str) -> None:
    point = choose("youden")
    with pytest.raises(ConfigError, match=f"{where}: the operating point was chosen on this case"):
        apply_operating_point(table, point)
    label = apply_operating_point(table, point, accept_tuning=True)
    assert label.origin == "tuned on the test set"


def test_a_case_is_found_by_the_files_of_its_lesions_though_others_were_added(
    tmp_path: Path,
) -> None:
    of = {"pancreatic_lesion": {"val-02": "a" * 64}}
    point = choose("youden", replace(patients(), files=of))
    point = read_operating_point(write_operating_point(point, tmp_path / "point.json"))
    table = patients(prefix="test")
    apply_operating_point(replace(table, files={"liver_lesion": {"test-05": "a" * 64}}), point)
    shared = replace(table, files={"pancreatic_lesion": {"test-05": "a" * 64}})
    with pytest.raises(ConfigError, match="test-05: the operating point was chosen on this case"):
        apply_operating_point(shared, point)


def test_points_without_files_of_lesions_are_as_they_always_were(tmp_path: Path) -> None:
    written = json.loads(write_operating_point(choose("youden"), tmp_path / "p.json").read_text())
    assert {tuple(sorted(case)) for case in written["cases"]} == {("case", "files", "patient")}


def test_every_rate_of_a_tuned_threshold_carries_the_label() -> None:
    threshold = apply_operating_point(patients(), choose("youden"), accept_tuning=True)
    found = patient_performance(
        patients().frame,
        structure="pancreatic_lesion",
        threshold=threshold,
        rng=np.random.default_rng(0),
    )
    labelled = {
        row["metric"] for row in found.rows() if "tuned on the test set" in row["threshold"]
    }
    assert labelled == {"sensitivity", "specificity", "ppv", "npv", "f1", "balanced_accuracy"}
    with pytest.raises(ConfigError, match=r"val-00: .* and 19 more"):
        apply_operating_point(patients(), choose("youden"))


def test_a_threshold_of_another_score_structure_or_table_is_refused() -> None:
    point = choose("youden")
    volumes = patients(prefix="test", definition="radgpt")
    with pytest.raises(ConfigError, match="the table has patient-score-radgpt/1"):
        apply_operating_point(volumes, point)
    other = patients(prefix="test")
    frame = other.frame.with_columns(structure=pl.lit("liver_lesion"))
    with pytest.raises(ConfigError, match="is of pancreatic_lesion, the table of liver_lesion"):
        apply_operating_point(Table("patients", frame, other.definitions, {}, {}), point)
    with pytest.raises(ConfigError, match="cuts scores of patients, not of candidates"):
        apply_operating_point(candidates(), point)
    with pytest.raises(ConfigError, match="not on lesions"):
        choose("youden", Table("lesions", frame, (), {}, {}))
    with pytest.raises(UnknownNameError):
        choose_operating_point(patients(), "youden", structure="pancreas_lesion")


def test_missing_validation_predictions_count_as_wrong_at_every_threshold() -> None:
    score: list[float | None] = [*SCORE]
    score[0] = None
    point = choose("specificity>=0.8", patients(POSITIVE, score))
    # One negative is lost to the missing prediction, so only one more may be called.
    assert 0.55 < point.threshold <= 0.9
    assert point.validation["false_positives"] == 2
    with pytest.raises(ConfigError, match=r"no threshold reaches specificity>=1; .* 0\.9"):
        choose("specificity>=1", patients(POSITIVE, score))
    score[0], score[10] = 0.02, None
    with pytest.raises(ConfigError, match=r"the nearest is 0\.9"):
        choose("sensitivity>=0.95", patients(POSITIVE, score))


def test_rules_that_need_what_is_not_there_are_refused() -> None:
    with pytest.raises(ConfigError, match="needs positives"):
        choose("youden", patients([False] * 3, [0.1, 0.2, 0.3]))
    with pytest.raises(ConfigError, match="needs negatives"):
        choose("specificity>=0.9", patients([True] * 3, [0.1, 0.2, 0.3]))
    with pytest.raises(ConfigError, match="no score to put a threshold on"):
        choose("youden", patients([True, False], [None, None]))
    with pytest.raises(ConfigError, match="counted on candidates"):
        choose("fp-per-scan<=1")


def candidates(prefix: str = "val") -> Table:
    """Five scans, one of them without candidates; eight false positives."""
    scans = [f"{prefix}-{i}" for i in range(5)]
    entries = [
        (0, 0.95, "true_positive"), (0, 0.9, "false_positive"), (0, 0.2, "false_positive"),
        (1, 0.8, "false_positive"), (1, 0.75, "true_positive"), (1, 0.7, "duplicate"),
        (2, 0.6, "false_positive"), (2, 0.5, "false_positive"), (2, 0.45, "ignored"),
        (3, 0.4, "false_positive"), (3, 0.3, "true_positive"), (3, 0.1, "false_positive"),
        (3, 0.05, "false_positive"),
    ]  # fmt: skip
    frame = pl.DataFrame(
        {
            "case": [scans[i] for i, _, _ in entries],
            "structure": "pancreatic_lesion",
            "score": [score for _, score, _ in entries],
            "verdict": [verdict for _, _, verdict in entries],
        }
    )
    cases = {scan: digest(scan) for scan in scans}
    return Table("candidates", frame, (score_definition("max-candidate"),), cases, {})


def lesions() -> Table:
    frame = pl.DataFrame(
        {
            "case": ["val-0", "val-1", "val-3", "val-3", "val-2"],
            "structure": "pancreatic_lesion",
            "score": [0.95, 0.75, 0.3, None, 0.45],
            "ignored": [False, False, False, False, True],
        }
    )
    return Table("lesions", frame, (), {}, {})


def test_false_positives_per_scan_count_scans_without_candidates() -> None:
    point = choose("fp-per-scan<=0.8", candidates())
    # Four of five: 0.9, 0.8, 0.6, 0.5; the fifth scores 0.4. What is ignored has no say.
    assert point.threshold == pytest.approx(0.45)
    assert point.validation == {"true_positives": 2, "false_positives": 4, "scans": 5}
    threshold = apply_operating_point(candidates("test"), point)
    assert threshold.called([0.44, 0.46]).tolist() == [False, True]
    with pytest.raises(ConfigError, match="val-0: the operating point was chosen on this case"):
        apply_operating_point(candidates(), point)


def test_zero_false_positives_leave_the_candidates_above_the_first() -> None:
    assert choose("fp-per-scan<=0", candidates()).threshold == pytest.approx(0.925)


def test_a_target_sensitivity_of_lesions_counts_the_missed_and_not_the_ignored() -> None:
    assert choose("sensitivity>=0.75", candidates(), lesions=lesions()).threshold < 0.3 + 1e-9
    point = choose("sensitivity>=0.5", candidates(), lesions=lesions())
    assert 0.6 < point.threshold <= 0.75
    assert point.validation["positives"] == 4
    with pytest.raises(ConfigError, match=r"nearest is 0\.75"):
        choose("sensitivity>=0.8", candidates(), lesions=lesions())
    with pytest.raises(ConfigError, match="needs the table of lesions"):
        choose("sensitivity>=0.5", candidates())


def test_candidates_have_no_specificity() -> None:
    for rule in ("youden", "specificity>=0.9"):
        with pytest.raises(ConfigError, match="no true negatives"):
            choose(rule, candidates())
    bare = candidates()
    with pytest.raises(ConfigError, match="does not list its cases"):
        choose("fp-per-scan<=1", Table("candidates", bare.frame, (), {}, {}))


@pytest.mark.parametrize(
    "text", ["youden", "specificity>=0.9", "sensitivity>=0.85", "fp-per-scan<=0.125"]
)
def test_rules_survive_their_text(text: str) -> None:
    assert str(parse_rule(text)) == text
    assert parse_rule(f" {text.upper().replace('=', '= ')} ") == parse_rule(text)


@pytest.mark.parametrize(
    "text", ["", "best", "specificity>0.9", "specificity>=", "specificity>=.9.", "fp-per-scan>=1"]
)
def test_texts_that_are_no_rule_are_refused_with_the_rules(text: str) -> None:
    with pytest.raises(ConfigError, match=r"write youden, specificity>=0\.9"):
        parse_rule(text)


def test_impossible_targets_are_refused() -> None:
    with pytest.raises(ConfigError, match="give a share, not per cent"):
        parse_rule("specificity>=90")
    with pytest.raises(ConfigError, match="takes no target"):
        Rule("youden", 0.5)
    with pytest.raises(ConfigError, match="needs a target"):
        Rule("sensitivity")
