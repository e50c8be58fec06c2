"""Runs over many cases: resumable, the same for any number of workers, honest about failures."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from scalemai.case import Presence
from scalemai.errors import ConfigError
from scalemai.evaluation.files import choose_points, write_evaluation
from scalemai.evaluation.maskset import open_masks
from scalemai.evaluation.pairing import Pairing, pair
from scalemai.evaluation.partial import partial_path
from scalemai.evaluation.patients.operating_point import (
    apply_operating_point,
    read_operating_point,
)
from scalemai.evaluation.request import Request
from scalemai.evaluation.run import Evaluation, collect, evaluate_cases, open_ledger
from scalemai.evaluation.summary import OVER_STRUCTURES, summarize
from scalemai.evaluation.tables import read_table

from ..hosts import (
    LABELS,
    prediction,
    reference,
    without_lesions,
    write_data,
    write_label_map,
    write_maps,
    write_masks,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("data")
    return write_data(root / "p", 6, of="prediction"), write_data(root / "r", 6)


def paired(data: tuple[Path, Path], request: Request | None = None, **how: object) -> Pairing:
    pred, ref = data
    return pair(open_masks(pred), open_masks(ref), request or Request(), **how)  # type: ignore[arg-type]  # passed on


def run(pairing: Pairing, out: Path, workers: int = 1) -> Evaluation:
    with open_ledger(out, pairing) as ledger:
        for outcome in evaluate_cases(pairing, out, ledger=ledger, workers=workers):
            assert outcome.status == "done", outcome.error
    return collect(pairing, out)


def written(evaluation: Evaluation, out: Path) -> dict[str, bytes]:
    write_evaluation(summarize(evaluation, draws=100), out)
    return {path.name: path.read_bytes() for path in sorted(out.iterdir()) if path.is_file()}


def test_the_number_of_workers_changes_no_byte(data: tuple[Path, Path], tmp_path: Path) -> None:
    one = written(run(paired(data), tmp_path / "a", 1), tmp_path / "one")
    two = written(run(paired(data), tmp_path / "b", 2), tmp_path / "two")
    assert one == two
    assert {"structures.parquet", "lesions.csv", "summary.json", "evaluation.html"} <= one.keys()


def test_a_killed_run_goes_on_and_gives_the_same_bytes(
    data: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    # The process kills itself in the middle of the third case, as a scheduler would.
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "import scalemai.evaluation.partial as partial\n"
        "import scalemai.evaluation.run as run\n"
        "from scalemai.evaluation.maskset import open_masks\n"
        "from scalemai.evaluation.pairing import pair\n"
        "from scalemai.evaluation.request import Request\n"
        "whole, count = partial.evaluate_case, [0]\n"
        "def deadly(case, request):\n"
        "    count[0] += 1\n"
        "    if count[0] == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return whole(case, request)\n"
        "partial.evaluate_case = deadly\n"
        "p, r, out = map(Path, sys.argv[1:])\n"
        "pairing = pair(open_masks(p), open_masks(r), Request())\n"
        "with run.open_ledger(out, pairing) as ledger:\n"
        "    list(run.evaluate_cases(pairing, out, ledger=ledger))\n"
    )
    command = [sys.executable, "-c", script, *map(str, (*data, out))]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == -9, ended.stderr
    pairing = paired(data)
    with open_ledger(out, pairing) as ledger:
        rest = evaluate_cases(pairing, out, ledger=ledger)
        assert rest.resumed == 2
        assert len(list(rest)) == 4
    resumed = written(collect(pairing, out), tmp_path / "resumed")
    assert resumed == written(run(pairing, tmp_path / "straight"), tmp_path / "whole")


def test_a_case_whose_files_have_changed_is_evaluated_again(tmp_path: Path) -> None:
    data = write_data(tmp_path / "p", 3, of="prediction"), write_data(tmp_path / "r", 3)
    out = tmp_path / "out"
    before = run(paired(data), out).structures.frame
    write_masks(data[0] / "case_01", without_lesions(prediction()))
    pairing = paired(data)
    with open_ledger(out, pairing) as ledger:
        again = evaluate_cases(pairing, out, ledger=ledger)
        assert again.resumed == 2
        assert [one.key for one in again] == ["case_01"]
    after = collect(pairing, out).structures.frame
    changed = pl.col("case") == "case_01"
    assert after.filter(~changed).equals(before.filter(~changed))
    assert not after.filter(changed).equals(before.filter(changed))


def resumed(pairing: Pairing, out: Path) -> int:
    with open_ledger(out, pairing) as ledger:
        again = evaluate_cases(pairing, out, ledger=ledger)
        for outcome in again:
            assert outcome.status == "done", outcome.error
    return again.resumed


def test_another_class_map_of_the_same_files_is_evaluated_again(tmp_path: Path) -> None:
    write_label_map(tmp_path / "p" / "case_0.nii.gz", prediction())
    write_label_map(tmp_path / "r" / "case_0.nii.gz", reference())
    out, request = tmp_path / "out", Request(structures=("liver", "spleen"), lesions=())

    def of(class_map: dict[int, str]) -> Pairing:
        sets = [open_masks(tmp_path / part, class_map=LABELS) for part in "pr"]
        sets[0] = open_masks(tmp_path / "p", class_map=class_map)
        return pair(*sets, request)

    right = run(of(LABELS), out).structures.frame
    assert resumed(of(LABELS), out) == 1
    swapped = of({1: "spleen", 2: "liver_lesion", 3: "liver"})
    assert resumed(swapped, out) == 0
    wrong = collect(swapped, out).structures.frame
    assert right["dsc"].min() > 0.5
    assert wrong["dsc"].max() < 0.1


def test_another_patient_or_phase_of_the_same_files_is_evaluated_again(
    data: tuple[Path, Path], tmp_path: Path
) -> None:
    def of(patient: str, phase: str) -> Pairing:
        facts = {f"case_{i:02d}": {"patient": "P", "phase": "venous"} for i in range(6)}
        facts["case_00"] = {"patient": patient, "phase": phase}
        return paired(data, metadata=facts)

    run(of("P", "venous"), tmp_path)
    assert resumed(of("P", "venous"), tmp_path) == 6
    other = of("Q", "arterial")
    assert resumed(other, tmp_path) == 5
    found = collect(other, tmp_path)
    assert set(found.structures.frame.filter(case="case_00")["patient"]) == {"Q"}
    assert set(found.lesions.frame.filter(case="case_00")["phase"]) == {"arterial"}


def test_what_is_stated_of_the_same_files_is_evaluated_again(
    data: tuple[Path, Path], tmp_path: Path
) -> None:
    before = paired(data)
    run(before, tmp_path)
    case = before.cases[1]
    told = replace(case.reference, stated={"liver_lesion": Presence.PRESENT})
    after = replace(before, cases=(before.cases[0], replace(case, reference=told)))
    assert resumed(after, tmp_path) == 1
    assert collect(after, tmp_path).patients.frame["positive"].to_list() == [True, True]


def test_results_of_another_request_are_not_mixed(data: tuple[Path, Path], tmp_path: Path) -> None:
    run(paired(data), tmp_path)
    other = paired(data, Request(tolerances_mm=(1.0,)))
    with pytest.raises(ConfigError, match=r"tolerances_mm was \[2.0\] and is \[1.0\]"):
        open_ledger(tmp_path, other)


def test_a_damaged_reference_costs_its_case_alone_and_is_told(tmp_path: Path) -> None:
    data = write_data(tmp_path / "p", 3, of="prediction"), write_data(tmp_path / "r", 3)
    path = data[1] / "case_01" / "segmentations" / "spleen.nii.gz"
    path.write_bytes(b"no NIfTI at all")
    pairing = paired(data)
    with open_ledger(tmp_path / "out", pairing) as ledger:
        states = {
            one.key: one.status for one in evaluate_cases(pairing, tmp_path / "out", ledger=ledger)
        }
    assert states == {"case_00": "done", "case_01": "failed", "case_02": "done"}
    found = collect(pairing, tmp_path / "out")
    assert found.failed == ("case_01",)
    assert found.structures.settings["failed"] == ["case_01"]
    assert set(found.structures.frame["case"]) == {"case_00", "case_02"}
    page = write_evaluation(summarize(found, draws=50), tmp_path / "out").read_text()
    assert "in no number: 1 of 3 cases (case_01)" in page


@pytest.mark.parametrize("missing", ["fail", "omit"])
def test_a_damaged_prediction_scores_as_a_missing_one(tmp_path: Path, missing: str) -> None:
    data = write_data(tmp_path / "p", 3, of="prediction"), write_data(tmp_path / "r", 3)
    request = Request(missing=missing)  # type: ignore[arg-type]  # one of both
    (data[0] / "case_00" / "segmentations" / "liver.nii.gz").write_bytes(b"no NIfTI at all")
    found = run(paired(data, request), tmp_path / "out")
    assert (found.failed, list(found.unusable)) == ((), ["case_00"])
    assert found.cases.frame["prediction"].to_list() == ["unusable", "present", "present"]
    damaged = summarize(found, draws=50)
    (data[0] / "case_00").rename(tmp_path / "gone")
    gone = summarize(run(paired(data, request), tmp_path / "other"), draws=50)
    columns = ["structure", "metric", "statistic", "value", "values"]
    assert damaged.structures.frame[columns].equals(gone.structures.frame[columns])
    for one, other in ((damaged.lesions, gone.lesions), (damaged.patients, gone.patients)):
        assert one.frame["value"].equals(other.frame["value"])
    counts = damaged.states.frame.filter(state="unusable_prediction")["cases"].to_list()
    assert counts == [1, 1, 1]
    page = write_evaluation(damaged, tmp_path / "out").read_text()
    assert "The predictions of 1 of 3 cases (case_00) cannot be used" in page


def test_a_prediction_that_is_damaged_later_leaves_no_old_numbers(tmp_path: Path) -> None:
    data = write_data(tmp_path / "p", 2, of="prediction"), write_data(tmp_path / "r", 2)
    before = run(paired(data), tmp_path / "out").structures.frame
    path = data[0] / "case_01" / "segmentations" / "liver.nii.gz"
    whole = path.read_bytes()
    path.write_bytes(b"damaged since")
    for _ in range(2):  # it is tried again every time
        assert resumed(paired(data), tmp_path / "out") == 1
        assert list(collect(paired(data), tmp_path / "out").unusable) == ["case_01"]
    path.write_bytes(whole)
    assert resumed(paired(data), tmp_path / "out") == 1
    assert collect(paired(data), tmp_path / "out").structures.frame.equals(before)


def test_results_of_a_case_whose_reference_fails_later_are_not_kept(tmp_path: Path) -> None:
    data = write_data(tmp_path / "p", 2, of="prediction"), write_data(tmp_path / "r", 2)
    run(paired(data), tmp_path / "out")
    (data[1] / "case_01" / "segmentations" / "spleen.nii.gz").write_bytes(b"damaged since")
    pairing = paired(data)
    with open_ledger(tmp_path / "out", pairing) as ledger:
        (outcome,) = evaluate_cases(pairing, tmp_path / "out", ledger=ledger)
    assert outcome.status == "failed"
    assert collect(pairing, tmp_path / "out").failed == ("case_01",)


def test_tables_say_what_they_mean_and_what_they_are_of(
    data: tuple[Path, Path], tmp_path: Path
) -> None:
    evaluation = run(paired(data), tmp_path)
    write_evaluation(summarize(evaluation, draws=50), tmp_path)
    for kind, columns in {
        "structures": {"dsc", "nsd_surfel_2mm", "nsd_voxel_2mm", "hd95_mm"},
        "lesions": {"diameter_mm", "detected", "size_bin"},
        "candidates": {"verdict", "score"},
        "patients": {"score", "positive"},
    }.items():
        table = read_table(tmp_path, kind)
        assert columns <= {one.column for one in table.definitions}
        assert columns <= set(table.frame.columns)
        assert sorted(table.cases) == [f"case_{number:02d}" for number in range(6)]
        assert all(len(digest) == 64 for digest in table.cases.values())
        assert table.settings["rule"] == "overlap"
        assert not any(str(tmp_path) in str(value) for value in table.settings.values())


def test_the_summary_counts_states_and_averages_what_counts(
    data: tuple[Path, Path], tmp_path: Path
) -> None:
    evaluation = run(paired(data), tmp_path)
    summary = summarize(evaluation, draws=200)
    states = dict(
        summary.states.frame.filter(structure="liver_lesion").select("state", "cases").iter_rows()
    )
    assert states["both"] == 3
    assert states["reference_empty"] == 3
    frame = summary.structures.frame.filter(metric="dsc", statistic="mean")
    values = evaluation.structures.frame
    for name in ("liver", "liver_lesion", "spleen"):
        (row,) = frame.filter(structure=name).rows(named=True)
        expected = values.filter(structure=name)["dsc"].mean()
        assert row["value"] == pytest.approx(expected)
        assert row["values"] == row["n"] == 6
    (over,) = frame.filter(structure=OVER_STRUCTURES).rows(named=True)
    assert over["value"] == pytest.approx(values["dsc"].mean())
    (lesions,) = summary.of_lesions
    assert (lesions.scans, lesions.lesions) == (6, 6)
    assert lesions.at_threshold.recall.primary.value == pytest.approx(0.5)
    assert lesions.at_threshold.fp_per_scan.value == pytest.approx((3 * 1 + 3 * 2) / 6)
    (patients,) = summary.of_patients
    assert (patients.positives, patients.negatives) == (3, 3)
    assert patients.sensitivity.value == 1.0
    assert patients.specificity.value == 0.0


def test_omitted_predictions_lower_no_mean_and_miss_no_lesion(tmp_path: Path) -> None:
    data = write_data(tmp_path / "p", 4, of="prediction"), write_data(tmp_path / "r", 4)
    (data[0] / "case_00").rename(tmp_path / "gone")
    numbers = {}
    for missing in ("fail", "omit"):
        found = run(paired(data, Request(missing=missing)), tmp_path / missing)  # type: ignore[arg-type]  # one of both
        summary = summarize(found, draws=50)
        (dsc,) = summary.structures.frame.filter(
            structure="spleen", metric="dsc", statistic="mean"
        ).rows(named=True)
        (lesions,) = summary.of_lesions
        numbers[missing] = (dsc["values"], lesions.scans, lesions.lesions, dsc["value"])
        (state,) = summary.states.frame.filter(structure="spleen", state="missing_prediction").rows(
            named=True
        )
        assert state["cases"] == 1
    assert numbers["fail"][:3] == (4, 4, 4)
    assert numbers["omit"][:3] == (3, 3, 2)
    assert numbers["fail"][3] == pytest.approx(numbers["omit"][3] * 3 / 4)


def test_scans_of_one_patient_are_resampled_together(
    data: tuple[Path, Path], tmp_path: Path
) -> None:
    facts = {f"case_{number:02d}": {"patient": f"P{number // 2}"} for number in range(6)}
    summary = summarize(run(paired(data, metadata=facts), tmp_path), draws=50)
    assert set(summary.structures.frame.drop_nulls("value")["n"]) == {3}
    assert summary.of_lesions[0].patients == 3


def test_an_operating_point_is_locked_to_other_cases(tmp_path: Path) -> None:
    validation = tmp_path / "p", write_data(tmp_path / "r", 4)
    for number in range(4):
        masks = prediction() if number % 2 == 0 else without_lesions(prediction())
        write_maps(validation[0] / f"case_{number:02d}", masks)
    found = run(paired(validation), tmp_path / "out")
    (path,) = choose_points(found, "youden", tmp_path / "out")
    assert path.name == "operating_point_liver_lesion.json"
    point = read_operating_point(path)
    with pytest.raises(ConfigError, match="was chosen on this case and 3 more"):
        summarize(found, points=[point], draws=50)
    tuned = summarize(found, points=[point], accept_tuning=True, draws=50)
    assert str(tuned.of_patients[0].threshold).endswith("tuned on the test set")
    assert tuned.of_patients[0].specificity.value == 1.0
    with pytest.raises(ConfigError, match="two operating points"):
        summarize(found, points=[point, point], draws=50)


@pytest.mark.parametrize("rule", ["youden", "fp-per-scan<=1"])
def test_cases_under_other_names_are_refused_whatever_else_is_evaluated(
    tmp_path: Path, rule: str
) -> None:
    data = tmp_path / "maps", write_data(tmp_path / "masks", 4)
    for number in range(4):
        masks = prediction() if number % 2 == 0 else without_lesions(prediction())
        write_maps(data[0] / f"case_{number:02d}", masks)
    few = Request(structures=("liver_lesion",))
    (path,) = choose_points(run(paired(data, few), tmp_path / "out"), rule, tmp_path / "out")
    point = read_operating_point(path)
    renamed = tmp_path / "p", tmp_path / "r"
    for old, new in zip(data, renamed, strict=True):
        for case in old.iterdir():
            shutil.copytree(case, new / case.name.replace("case", "other"))
    more = Request(structures=("liver_lesion", "spleen"))
    found = run(paired(renamed, more), tmp_path / "more")
    write_evaluation(summarize(found, draws=50), tmp_path / "more")
    for table in (
        getattr(found, point.kind),
        read_table(tmp_path / "more" / f"{point.kind}.parquet"),
        read_table(tmp_path / "more" / f"{point.kind}.csv"),
    ):
        with pytest.raises(ConfigError, match=r"other_00: .* was chosen on this case and 3 more"):
            apply_operating_point(table, point)


def test_cases_without_anything_to_find_are_not_taken_for_each_other(tmp_path: Path) -> None:
    data = write_data(tmp_path / "p", 2, of="prediction"), write_data(tmp_path / "r", 2)
    empty = without_lesions(prediction())
    write_masks(data[0] / "case_01", empty)
    found = run(paired(data), tmp_path / "out")
    assert list(found.patients.files["liver_lesion"]) == ["case_00"]
    assert "spleen" not in found.patients.files


def test_partial_results_hold_no_voxels(data: tuple[Path, Path], tmp_path: Path) -> None:
    run(paired(data), tmp_path)
    assert partial_path(tmp_path, "case_00").stat().st_size < 20_000
