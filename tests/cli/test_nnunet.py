"""``scalemai nnunet``: what it writes, what it says, and its exit codes."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from .hosts import Said, hashes, scalemai, write_cases

NAME = "Dataset501_Liver"


def export(out: Path, *words: object) -> Said:
    return scalemai("nnunet", "export", *words, "--out", out, "--organ", "liver", "--workers", 1)


def test_cases_are_exported_and_counted(tmp_path: Path) -> None:
    cases, out = write_cases(tmp_path / "cases", 3), tmp_path / NAME
    said = export(out, cases, "--folds", 3)
    assert said.code == 0
    assert said.out == f"{out}: 3 normal; 3 folds\n"
    assert json.loads((out / "dataset.json").read_text())["numTraining"] == 3
    before = hashes(out)
    again = export(out, cases, "--folds", 3)
    assert "3 of 3 cases were done before" in again.err
    assert hashes(out) == before


def test_data_sets_of_one_name_are_told_apart_by_the_user(tmp_path: Path) -> None:
    cases = write_cases(tmp_path / "cases", 2)
    said = export(tmp_path / NAME, cases, cases)
    assert said.code == 2
    assert "NAME=PATH" in said.err
    said = export(tmp_path / NAME, cases, f"second={cases}")
    assert said.code == 0
    names = json.loads((tmp_path / NAME / "dataset.json").read_text())["dataset"]
    assert sorted(names) == ["case_00", "case_01", "second_case_00", "second_case_01"]


def test_a_bad_case_is_listed_and_the_others_are_there(tmp_path: Path) -> None:
    cases = write_cases(tmp_path / "cases", 2)
    (cases / "case_00" / "segmentations" / "liver.nii.gz").unlink()
    said = export(tmp_path / NAME, cases)
    assert said.code == 1
    assert "failed: case_00: has no mask of liver" in said.err
    assert list(json.loads((tmp_path / NAME / "dataset.json").read_text())["dataset"]) == [
        "case_01"
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "Liver"], "DatasetNNN_NAME"),
        (["--out", NAME, "--organ", "liver,kidney", "--class", "cyst"], "--class"),
        (["--out", NAME, "--organ", "livr"], "did you mean 'liver'"),
        (["--out", NAME, "--missing", "skip"], "refuse or ignore"),
    ],
)
def test_a_wrong_request_is_one_line(words: list[str], said: str, tmp_path: Path) -> None:
    cases = write_cases(tmp_path / "cases", 1)
    words = [str(tmp_path / word) if word in ("Liver", NAME) else word for word in words]
    answer = scalemai("nnunet", "export", cases, *words, "--workers", 1)
    assert answer.code == 2
    assert len(answer.lines) == 1
    assert said in answer.err


def test_what_the_trainer_puts_in_is_written_beside_the_plans(tmp_path: Path) -> None:
    cases, out = write_cases(tmp_path / "cases", 2), tmp_path / "nnUNet_raw" / NAME
    export(out, cases)
    lesions = tmp_path / "lesions.yaml"
    lesions.write_text("liver: {kinds: metastasis, size_mm: {uniform: [5, 20]}}")
    said = scalemai("nnunet", "configure", out, "--population", lesions, "--epochs", 3)
    assert said.code == 0
    path = tmp_path / "nnUNet_preprocessed" / NAME / "scalemai.json"
    assert said.out == f"{path}\n"
    settings = json.loads(path.read_text())
    assert settings["epochs"] == 3
    assert "metastasis" in settings["population"]


def test_a_data_set_that_is_not_there_is_named(tmp_path: Path) -> None:
    for verb in ("plan", "train", "configure"):
        said = scalemai("nnunet", verb, tmp_path / NAME)
        assert said.code == 2
        assert "run scalemai nnunet export first" in said.err


def test_the_folder_for_nnunets_own_commands_holds_the_trainer() -> None:
    said = scalemai("nnunet", "trainers")
    (file,) = Path(said.out.strip()).glob("*.py")
    assert file.stem == "nnUNetTrainerScaleMAI"


@pytest.mark.skipif(find_spec("nnunetv2") is not None, reason="nnU-Net is installed")
def test_without_nnunet_it_is_said_how_to_install_it(tmp_path: Path) -> None:
    out = tmp_path / "nnUNet_raw" / NAME
    export(out, write_cases(tmp_path / "cases", 2))
    for words in (("plan", out), ("train", out)):
        said = scalemai("nnunet", *words)
        assert said.code == 1
        assert "nnU-Net v2 is not installed" in said.err
        assert len(said.lines) == 1
