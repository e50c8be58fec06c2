"""Detectors on the same cases: areas, rates and lesions, with tests that are known elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score
from statsmodels.stats.multitest import multipletests

from scalemai.errors import ConfigError, UnknownNameError
from scalemai.evaluation.comparison.detection import compare_detectors, is_of_detectors
from scalemai.evaluation.comparison.files import write_detection
from scalemai.evaluation.comparison.pairs import IDENTICAL
from scalemai.evaluation.comparison.question import Question
from scalemai.evaluation.definitions import Definition
from scalemai.evaluation.tables import Table, read_table, write_table
from scalemai.statistics.mcnemar import mcnemar
from scalemai.statistics.proportions import PairedCounts
from scalemai.statistics.roc import auc_difference_bootstrap, compare_auc_delong

LESION = "pancreatic_lesion"


def asked(*metrics: str, **more: Any) -> Question:
    return Question(metrics, draws=200, **more)


def patients(
    folder: Path,
    positive: np.ndarray,
    score: np.ndarray,
    *,
    scans: int = 1,
    settings: dict[str, Any] | None = None,
    **columns: object,
) -> Path:
    """Write the table `patients` as an evaluation does, in a random order of rows."""
    n = len(positive)
    frame = pl.DataFrame(
        {
            "case": [f"c{k:03d}" for k in range(n)],
            "patient": [f"p{k // scans:03d}" for k in range(n)],
            "structure": [LESION] * n,
            "positive": positive,
            "score": score,
        }
    ).with_columns(**{name: pl.lit(value) for name, value in columns.items()})
    order = np.random.default_rng(len(folder.name)).permutation(n)
    write_table(Table("patients", frame[order], settings=settings or {}), folder)
    return folder


@pytest.fixture
def truth() -> np.ndarray:
    return np.random.default_rng(0).random(80) < 0.5


@pytest.fixture
def scores(truth: np.ndarray) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    hard = rng.normal(0, 0.15, 80)
    return [
        np.clip(0.5 + gain * (truth - 0.5) + hard + rng.normal(0, 0.1, 80), 0, 1)
        for gain in (0.6, 0.3, 0.2)
    ]


def three(root: Path, truth: np.ndarray, scores: list[np.ndarray], **more: Any) -> list[Path]:
    return [patients(root / name, truth, s, **more) for name, s in zip("ABC", scores, strict=True)]


# --- areas ---------------------------------------------------------------------------------


def test_areas_are_compared_by_delong_and_by_resampled_patients(
    tmp_path: Path, truth: np.ndarray, scores: list[np.ndarray]
) -> None:
    found = compare_detectors(three(tmp_path, truth, scores), asked("auroc")).pairs
    raw = []
    for number, (i, j) in enumerate(((0, 1), (0, 2), (1, 2))):
        row = found.row(number, named=True)
        expected = compare_auc_delong(truth, scores[i], scores[j])
        assert row["value_first"] == pytest.approx(roc_auc_score(truth, scores[i]))
        assert row["value_second"] == pytest.approx(roc_auc_score(truth, scores[j]))
        for name, value in (
            ("difference", expected.difference.value),
            ("difference_low", expected.difference.low),
            ("difference_high", expected.difference.high),
            ("p", expected.p),
        ):
            assert row[name] == pytest.approx(value)
        boot = auc_difference_bootstrap(
            truth, scores[i], scores[j], np.arange(80),
            rng=np.random.default_rng([0, 0, 0, number]), draws=200,
        )  # fmt: skip
        assert (row["resampled_low"], row["resampled_high"]) == pytest.approx((boot.low, boot.high))
        raw.append(expected.p)
    np.testing.assert_allclose(found["p_holm"], multipletests(raw, method="holm")[1])
    assert found["verdict"][0] == "A is better"


def test_areas_of_patients_with_several_scans_are_tested_by_patient(
    tmp_path: Path, truth: np.ndarray, scores: list[np.ndarray]
) -> None:
    folders = three(tmp_path, truth, scores, scans=2)
    row = compare_detectors(folders[:2], asked("auroc")).pairs.row(0, named=True)
    assert (row["n_cases"], row["n"], row["method"]) == (80, 40, "obuchowski, paired")
    assert (row["p"] < 0.05) == (row["difference_low"] > 0 or row["difference_high"] < 0)
    assert row["resampled_low"] == pytest.approx(row["difference_low"], abs=0.04)
    assert row["p"] != compare_auc_delong(truth, scores[0], scores[1]).p


def test_detectors_are_equivalent_only_where_that_was_shown(
    tmp_path: Path, truth: np.ndarray, scores: list[np.ndarray]
) -> None:
    near = scores[0] + np.random.default_rng(3).normal(0, 0.02, 80)
    folders = [patients(tmp_path / "A", truth, scores[0]), patients(tmp_path / "B", truth, near)]
    metrics = ("auroc", "sensitivity")
    wide = compare_detectors(folders, asked(*metrics)).pairs
    assert wide["margin"].to_list() == [0.05, 0.05]
    area = wide.row(0, named=True)
    assert area["verdict"] == "equivalent within the margin"
    assert -0.05 < area["equivalence_low"] < area["equivalence_high"] < 0.05
    # The areas of forty positives show it; as many yes-or-no answers do not.
    assert wide["equivalent"].to_list() == [True, False]
    narrow = compare_detectors(folders, asked("auroc", margins={"auroc": 1e-4})).pairs
    assert narrow["verdict"].to_list() == ["inconclusive"]
    with pytest.raises(ConfigError, match="5 is no margin of auroc"):
        compare_detectors(folders, asked("auroc", margins={"auroc": 5.0}))


def test_what_has_no_negatives_says_why_there_is_no_area(tmp_path: Path) -> None:
    truth = np.ones(6, dtype=bool)
    folders = [patients(tmp_path / name, truth, np.arange(6.0)) for name in "AB"]
    found = compare_detectors(folders, asked("auroc", "specificity"))
    assert found.pairs["p"].to_list() == [None, None]
    area, rate = found.pairs["verdict"]
    assert area == "not computed because there are no negatives"
    assert rate == "not computed because there are no negatives that both have"
    write_detection(found, tmp_path / "out")


# --- rates ---------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["sensitivity", "specificity"])
def test_rates_are_compared_by_mcnemars_exact_test_at_one_half(
    tmp_path: Path, truth: np.ndarray, scores: list[np.ndarray], metric: str
) -> None:
    comparison = compare_detectors(three(tmp_path, truth, scores), asked(metric))
    found = comparison.pairs
    keep = truth if metric == "sensitivity" else ~truth
    right = [(s >= 0.5) == truth for s in scores]
    raw = []
    for number, (i, j) in enumerate(((0, 1), (0, 2), (1, 2))):
        a, b = right[i][keep], right[j][keep]
        counts = PairedCounts(
            int((a & b).sum()), int((a & ~b).sum()), int((~a & b).sum()), int((~a & ~b).sum())
        )
        row = found.row(number, named=True)
        assert tuple(row[name] for name in counts._fields) == tuple(counts)
        disagree = counts.only_first + counts.only_second
        assert row["p"] == pytest.approx(binomtest(counts.only_first, disagree).pvalue)
        expected = mcnemar(counts)
        assert row["p_mid"] == pytest.approx(expected.p_mid)
        assert row["difference_low"] == pytest.approx(expected.difference.low)
        assert row["method"] == "newcombe, paired"
        assert row["value_first"] - row["value_second"] == pytest.approx(row["difference"])
        raw.append(row["p"])
    np.testing.assert_allclose(found["p_holm"], multipletests(raw, method="holm")[1])
    assert any("the results state none" in note for note in comparison.notes)


def test_each_result_is_cut_at_its_own_stated_threshold(tmp_path: Path) -> None:
    truth = np.ones(10, dtype=bool)
    score = np.arange(10.0) * 20
    one = patients(tmp_path / "A", truth, score, threshold=100.0)
    two = patients(tmp_path / "B", truth, score, settings={"score": "r-super"})
    three = patients(
        tmp_path / "C", truth, score / 180,
        settings={"score": "max-probability", "probability_threshold": 0.9},
    )  # fmt: skip
    four = patients(tmp_path / "D", truth, score, settings={"score": "radgpt"})
    found = compare_detectors([one, two, three, four], asked("sensitivity")).pairs
    assert found["value_first"][0] == 0.5
    assert found["value_second"].to_list()[:3] == [0.7, 0.1, 0.6]
    assert found["threshold_first"][0] == "score >= 100, fixed beforehand (column threshold)"
    assert "> 70" in found["threshold_second"][2]
    assert len(set(found["threshold_second"][:3])) == 3


def test_one_result_with_two_thresholds_is_refused(tmp_path: Path, truth: np.ndarray) -> None:
    one = patients(tmp_path / "A", truth, truth.astype(float))
    frame = read_table(one, "patients").frame
    two = tmp_path / "B"
    write_table(Table("patients", frame.with_columns(threshold=pl.arange(0, 80))), two)
    with pytest.raises(ConfigError, match="states 80 thresholds"):
        compare_detectors([one, two], asked("sensitivity"))


def test_a_missing_prediction_is_wrong_unless_it_is_left_out(tmp_path: Path) -> None:
    truth = np.array([True] * 10 + [False] * 10)
    perfect = truth.astype(float)
    gaps = np.where(np.arange(20) % 5 == 0, np.nan, perfect)
    folders = [patients(tmp_path / "A", truth, perfect), patients(tmp_path / "B", truth, gaps)]
    metrics = ("sensitivity", "specificity")
    worst = compare_detectors(folders, asked(*metrics))
    assert worst.pairs["value_second"].to_list() == [0.8, 0.8]
    assert worst.pairs["missing_second"].to_list() == [4, 4]
    assert any("predictions are missing (B 4); they count as wrong" in n for n in worst.notes)
    omitted = compare_detectors(folders, asked(*metrics, missing="omit")).pairs
    assert omitted["value_second"].to_list() == [1.0, 1.0]
    assert omitted["positives"].to_list() == [8, 0]
    assert omitted["verdict"].to_list() == [IDENTICAL] * 2


# --- lesions -------------------------------------------------------------------------------


def lesions(folder: Path, found: list[list[bool]], **columns: list[Any]) -> Path:
    """Write the table `lesions`: what was detected, by case."""
    rows = [
        (f"c{case}", f"p{case}", LESION, number, hit)
        for case, hits in enumerate(found)
        for number, hit in enumerate(hits, start=1)
    ]
    frame = pl.DataFrame(
        rows, schema=["case", "patient", "structure", "lesion", "detected"], orient="row"
    ).with_columns(**{name: pl.Series(values) for name, values in columns.items()})
    write_table(Table("lesions", frame), folder)
    return folder


def test_lesions_are_paired_by_case_and_number_and_tested_by_patient(tmp_path: Path) -> None:
    one = lesions(tmp_path / "A", [[True] * 3] * 6 + [[False, True]] * 2)
    two = lesions(tmp_path / "B", [[False] * 3] * 6 + [[False, True]] * 2)
    row = compare_detectors([one, two], asked("lesion_sensitivity")).pairs.row(0, named=True)
    assert (row["n_cases"], row["n"], row["positives"]) == (8, 8, 22)
    assert (row["both"], row["only_first"], row["only_second"], row["neither"]) == (2, 18, 0, 2)
    assert row["difference"] == pytest.approx(18 / 22)
    assert row["difference_low"] is None  # eight patients are too few to resample
    assert row["p"] == pytest.approx(2 / 2**6)  # six patients, not eighteen lesions, differ
    assert row["verdict"] == "A is better"


def test_lesions_to_be_ignored_do_not_count_and_lists_that_differ_are_said(tmp_path: Path) -> None:
    hits = [[True, False]] * 6
    one = lesions(tmp_path / "A", hits, ignored=[False, True] * 6)
    two = lesions(tmp_path / "B", [*hits[:5], [True]])
    found = compare_detectors([one, two], asked("lesion_sensitivity"))
    assert found.pairs["positives"].to_list() == [6]
    assert found.unpaired.rows() == [("lesion_sensitivity", "c5 / lesion 2", "B")]
    assert any("lists differ" in note for note in found.notes)
    assert any("5 without reference are left out" in note for note in found.notes)


def test_lesions_matched_by_other_rules_are_refused(tmp_path: Path) -> None:
    folders = []
    for name in ("A", "B"):
        folder = lesions(tmp_path / name, [[True]] * 6)
        rule = Definition(
            f"rule-{name.lower()}/1", "detected", "Found", "", None, "By a rule.", "x"
        )
        write_table(Table("lesions", read_table(folder, "lesions").frame, (rule,)), folder)
        folders.append(folder)
    with pytest.raises(ConfigError, match="they mean other things"):
        compare_detectors(folders, asked("lesion_sensitivity"))


# --- pairing -------------------------------------------------------------------------------


def test_cases_that_one_lacks_are_left_out_for_both_and_listed(
    tmp_path: Path, truth: np.ndarray, scores: list[np.ndarray]
) -> None:
    one = patients(tmp_path / "A", truth, scores[0])
    two = patients(tmp_path / "B", truth[:70], scores[1][:70])
    found = compare_detectors([one, two], asked("auroc"))
    row = found.pairs.row(0, named=True)
    assert row["n"] == 70
    assert row["value_first"] == pytest.approx(roc_auc_score(truth[:70], scores[0][:70]))
    assert found.unpaired["case"].to_list() == [f"c{n:03d}" for n in range(70, 80)]
    assert found.unpaired["missing_in"].unique().to_list() == ["B"]


def test_what_cannot_be_paired_is_refused(tmp_path: Path, truth: np.ndarray) -> None:
    one = patients(tmp_path / "A", truth, truth.astype(float))
    frame = read_table(one, "patients").frame
    renamed = frame.with_columns(case="x" + pl.col("case"), patient="x" + pl.col("patient"))
    turned = frame.with_columns(~pl.col("positive"))
    twice = pl.concat([frame, frame[:1]])
    nameless = frame.with_columns(case=pl.lit(None, pl.String))
    for name, changed, message in (
        ("renamed", renamed, "nothing of pancreatic_lesion is common"),
        ("turned", turned, "is (positive|negative) for"),
        ("twice", twice, "stands there twice"),
        ("nameless", nameless, "row 1 of 80 names no case"),
        ("words", frame.with_columns(score=pl.lit("high")), "column score holds String"),
    ):
        write_table(Table("patients", changed), tmp_path / name)
        with pytest.raises(ConfigError, match=message):
            compare_detectors([one, tmp_path / name], asked("auroc"))
    with pytest.raises(ConfigError, match="1 detector is nothing to compare"):
        compare_detectors([one], asked("auroc"))
    with pytest.raises(UnknownNameError, match="spleen"):
        compare_detectors([one, twice_free(tmp_path, frame)], asked("auroc", classes=("spleen",)))


def twice_free(root: Path, frame: pl.DataFrame) -> Path:
    write_table(Table("patients", frame), root / "other")
    return root / "other"


def test_a_table_of_patients_clusters_scans(
    tmp_path: Path, truth: np.ndarray, scores: list[np.ndarray]
) -> None:
    folders = []
    for folder in three(tmp_path, truth, scores)[:2]:
        frame = read_table(folder, "patients").frame.drop("patient")
        write_table(Table("patients", frame), folder)
        folders.append(folder)
    lines = ["case,patient", *(f"c{n:03d},q{n // 4}" for n in range(80))]
    (tmp_path / "m.csv").write_text("\n".join(lines) + "\n")
    found = compare_detectors(folders, asked("sensitivity"), metadata=tmp_path / "m.csv").pairs
    assert found["method"].to_list() == ["patient bootstrap"]
    assert found["n"][0] <= 20


def test_a_published_sensitivity_is_a_metric_like_any_other(
    tmp_path: Path, truth: np.ndarray
) -> None:
    for name in "AB":
        (tmp_path / name).mkdir()
        (tmp_path / name / "sensitivity.csv").write_text("name,liver\na,0.5\nb,0.4\n")
    published = [tmp_path / "A", tmp_path / "B"]
    assert not is_of_detectors(published, ["sensitivity"])
    ours = patients(tmp_path / "ours", truth, truth.astype(float))
    assert is_of_detectors([ours], ["sensitivity", "auroc"])
    with pytest.raises(ConfigError, match="is no table of patients"):
        is_of_detectors([*published, ours], ["sensitivity"])
    with pytest.raises(ConfigError, match="dsc cannot be compared together with auroc"):
        is_of_detectors([ours], ["auroc", "dsc"])


def test_the_same_question_writes_the_same_bytes(
    tmp_path: Path, truth: np.ndarray, scores: list[np.ndarray]
) -> None:
    folders = three(tmp_path / "in", truth, scores)
    for out in ("one", "two"):
        write_detection(compare_detectors(folders, asked("auroc")), tmp_path / out)
    for file in ("detection_pairs.csv", "detection_pairs.parquet", "comparison.html"):
        one, two = ((tmp_path / out / file).read_bytes() for out in ("one", "two"))
        assert one == two
    table = read_table(tmp_path / "one", "detection_pairs")
    assert table.definition("p_holm") is not None
    assert len(table.cases) == 80
