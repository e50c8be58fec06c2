"""Detection by group: areas and false positives per scan, with intervals, minimum, hospitals."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from scalemai.errors import ConfigError
from scalemai.evaluation.subgroups import compare_groups, outcome_of
from scalemai.evaluation.subgroups.files import write_subgroups
from scalemai.evaluation.subgroups.outcomes import read_outcome
from scalemai.evaluation.tables import Table, read_table, write_table
from scalemai.statistics.combining import difference_between
from scalemai.statistics.roc import auc_delong

from .simulated import question

LESION = "liver_lesion"


def scored(
    n: int = 240, *, blind: float = 1.0, scans: int = 1, seed: int = 0
) -> tuple[Table, pl.DataFrame]:
    """Half of the patients have a lesion; scores tell little of hospital C by ``blind``."""
    rng = np.random.default_rng(seed)
    hospital = np.array(["A", "B", "C"])[np.arange(n) % 3]
    positive = rng.random(n) < 0.5
    gain = np.where(hospital == "C", 1.5 * (1 - blind), 1.5)
    frame = pl.DataFrame(
        {
            "case": [f"c{k:04d}" for k in range(n * scans)],
            "patient": np.repeat([f"p{k:03d}" for k in range(n)], scans),
            "structure": LESION,
            "positive": np.repeat(positive, scans),
            "score": np.repeat(gain * positive + rng.normal(0, 1, n), scans)
            + rng.normal(0, 0.3, n * scans),
        }
    )
    metadata = pl.DataFrame(
        {
            "patient": [f"p{k:03d}" for k in range(n)],
            "hospital": hospital,
            "sex": np.where(np.arange(n) % 2, "F", "M"),
        }
    )
    return Table("patients", frame), metadata


def test_the_area_of_a_group_is_delongs_and_gaps_and_hospitals_follow() -> None:
    table, metadata = scored()
    asked = question("hospital,hospital+sex", home=("hospital", ("A", "B")))
    found = compare_groups(outcome_of(table, "auroc"), metadata, asked)
    by = found.factors[0]
    rows = table.frame.filter(pl.int_range(pl.len()) % 3 == 2)
    alone = auc_delong(rows["positive"].to_numpy(), rows["score"].to_numpy())
    worst = next(group for group in by.groups if group.worst)
    assert (worst.name, worst.estimate) == ("C", alone)
    assert worst.gap.high is not None
    assert worst.gap.high < 0
    assert by.largest_gap.low is not None
    assert by.largest_gap.low > 0
    assert len(found.factors[1].groups) == 6
    assert by.test.p is None
    assert "an area belongs to a group" in by.test.reason
    # Out of distribution against the hospitals that training cases came from.
    outside = found.distributions[0]
    assert found.home is not None
    assert outside.difference.value == difference_between(outside.estimate, found.home).value
    assert outside.difference.high is not None
    assert outside.difference.high < 0


def test_areas_of_groups_that_do_not_differ_are_covered() -> None:
    held = 0
    for seed in range(200):
        table, metadata = scored(120, blind=0.0, scans=2, seed=seed)
        found = compare_groups(outcome_of(table, "auroc"), metadata, question("hospital"))
        gap = found.factors[0].groups[2].gap
        assert gap.low is not None
        assert gap.high is not None
        held += gap.low <= 0 <= gap.high
    assert held / 200 >= 0.92


def test_both_kinds_of_patients_must_reach_the_minimum() -> None:
    table, metadata = scored()
    few = table.frame.with_columns(positive=pl.col("positive") & (pl.int_range(pl.len()) % 3 != 1))
    found = compare_groups(
        outcome_of(Table("patients", few), "auroc"), metadata, question("hospital", adjust=("sex",))
    )
    group = found.factors[0].groups[1]
    assert group.estimate.value is None
    assert group.estimate.reason == "0 patients with the lesion, below the minimum of 10"
    assert any("not adjusted" in note for note in found.factors[0].notes)


def test_a_missing_score_is_the_worst_or_left_out() -> None:
    table, metadata = scored()
    gaps = table.frame.with_columns(
        score=pl.when(pl.int_range(pl.len()) % 10 > 0).then(pl.col("score"))
    )
    values = {
        missing: compare_groups(
            outcome_of(Table("patients", gaps), "auroc", missing=missing), metadata,
            question("hospital"),
        ).overall.value
        for missing in ("worst", "omit")
    }  # fmt: skip
    scores = gaps["score"].to_numpy().copy()
    truth = gaps["positive"].to_numpy()
    lost = np.isnan(scores)
    scores[lost] = np.where(truth[lost], -1e9, 1e9)
    assert values["worst"] == pytest.approx(auc_delong(truth, scores).value)
    assert values["omit"] == pytest.approx(auc_delong(truth[~lost], scores[~lost]).value)
    assert values["omit"] > values["worst"]  # type: ignore[operator]  # numbers


def detections(folder: Path, n: int = 180) -> pl.DataFrame:
    """Hospital C has three false positives per scan, the others one in every other scan."""
    lesions, candidates, structures = [], [], []
    for k in range(n):
        place = {"case": f"c{k:03d}", "patient": f"p{k:03d}", "structure": LESION}
        state = "missing_prediction" if k == 0 else "both"
        structures.append({**place, "state": state})
        lesions.append({**place, "lesion": 1, "detected": False, "score": None})
        wrong = 0 if k == 0 else 2 + k % 5 % 3 if k % 3 == 2 else k % 2
        candidates += [
            {**place, "candidate": c, "score": 0.2 + 0.6 * (c == 1), "verdict": "false_positive"}
            for c in range(1, wrong + 1)
        ]
        candidates.append({**place, "candidate": 99, "score": 0.9, "verdict": "duplicate"})
    for kind, rows in (
        ("lesions", lesions), ("candidates", candidates), ("structures", structures)
    ):  # fmt: skip
        write_table(Table(kind, pl.DataFrame(rows, infer_schema_length=None)), folder)
    return pl.DataFrame(
        {
            "patient": [f"p{k:03d}" for k in range(n)],
            "hospital": np.array(["A", "B", "C"])[np.arange(n) % 3],
        }
    )


def test_false_positives_are_counted_over_all_scans_of_a_group(tmp_path: Path) -> None:
    metadata = detections(tmp_path)
    outcome = read_outcome(tmp_path, "fp_per_scan")
    found = compare_groups(outcome, metadata, question("hospital", home=("hospital", ("A", "B"))))
    candidates = read_table(tmp_path, "candidates").frame
    wrong = candidates.filter(
        (pl.col("verdict") == "false_positive") & (pl.col("case").str.slice(1).cast(int) % 3 == 2)
    )
    worst = next(group for group in found.factors[0].groups if group.worst)
    assert worst.name == "C"
    assert worst.estimate.value == pytest.approx(wrong.height / 60)
    assert worst.gap.low is not None
    assert worst.gap.low > 1
    assert found.factors[0].test.p < 1e-6
    assert (found.outcome.missing, found.overall.n) == (1, 179)
    assert any("1 scans without prediction are left out" in note for note in found.notes)
    assert found.distributions[0].difference.value > 1  # type: ignore[operator]  # a number
    fewer = read_outcome(tmp_path, "fp_per_scan", threshold=0.5)
    assert fewer.frame["value"].max() == 1
    page = write_subgroups(found, tmp_path / "out").read_text()
    assert "false positives per scan" in page


def test_false_positives_of_candidates_without_scores_have_no_threshold(tmp_path: Path) -> None:
    detections(tmp_path)
    frame = read_table(tmp_path, "candidates").frame
    write_table(Table("candidates", frame.drop("score")), tmp_path)
    with pytest.raises(ConfigError, match="needs scores"):
        read_outcome(tmp_path, "fp_per_scan", threshold=0.5)


def test_tables_carry_the_hashes_of_results_and_metadata(tmp_path: Path) -> None:
    table, metadata = scored()
    write_table(table, tmp_path / "results")
    found = compare_groups(
        read_outcome(tmp_path / "results", "auroc"), metadata, question("hospital"),
        digest=sha256(b"the file").hexdigest(),
    )  # fmt: skip
    write_subgroups(found, tmp_path / "out")
    result = (tmp_path / "results" / "patients.parquet").read_bytes()
    for kind in ("subgroups", "subgroup_tests"):
        written = read_table(tmp_path / "out", kind)
        assert written.settings["files"] == {
            "patients": sha256(result).hexdigest(),
            "metadata": sha256(b"the file").hexdigest(),
        }
        assert written.version
        assert len(written.cases) == 240
        assert "subgroup-area/1" in {one.id for one in written.definitions}
    # Without a file, the rows are hashed, whatever their order.
    one, two = (
        compare_groups(outcome_of(table, "auroc"), frame, question("hospital")).files["metadata"]
        for frame in (metadata, metadata.reverse())
    )
    assert one == two
