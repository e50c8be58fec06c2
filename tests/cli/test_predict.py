"""``scalemai predict``: from a detector and CTs to files that ``scalemai evaluate`` reads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

pytest.importorskip("torch", reason="detectors need torch")
pytest.importorskip("monai", reason="windows are weighted by MONAI")

from inference.hosts import (
    Ball,
    detector,
    make_threshold,
    save,
    turned,
    within,
    write_host,
)
from scalemai.detector.files import write_detector
from scalemai.detector.network import NETWORKS

from .hosts import scalemai, tree

BALLS = {
    "one": [Ball((12.0, -8.0, 5.0), 8.0)],
    "two": [Ball((-12.0, 8.0, 5.0), 8.0), Ball((10.0, 5.0, -12.0), 6.0)],
    "none": [],
}
GRID = turned((2, 0, 1), (1, -1, -1))


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network of which the answer is known, under a name of its own."""
    monkeypatch.setitem(NETWORKS, "threshold", make_threshold)  # type: ignore[arg-type]  # a dict


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_detector(detector(), tmp_path / "detector")
    return tmp_path / "detector"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name, balls in BALLS.items():
        write_host(tmp_path / "data" / name, GRID, balls, noise_hu=5.0)
    return tmp_path / "data"


def predict(*words: object):
    return scalemai("predict", *words, "--device", "cpu", "--threads", 1)


def test_cases_become_maps_masks_and_findings(model: Path, data: Path, tmp_path: Path) -> None:
    said = predict(model, data, "--out", tmp_path / "out")
    assert said.code == 0, said.err
    assert "predicted 3 / 3 cases" in said.err
    for name, balls in BALLS.items():
        assert "probabilities/liver_lesion.nii.gz" in tree(tmp_path / "out" / name)
        found = json.loads((tmp_path / "out" / name / "findings.json").read_text())["findings"]
        assert len(found) == len(balls)
    again = predict(model, data, "--out", tmp_path / "out")
    assert again.code == 0
    assert "3 of 3 cases were done before" in again.err


def test_evaluate_reads_what_predict_writes(model: Path, data: Path, tmp_path: Path) -> None:
    for name, balls in BALLS.items():
        truth = np.zeros(GRID.shape, np.uint8)
        for ball in balls:
            truth |= within(GRID, ball.centre_mm, (ball.radius_mm,) * 3).astype(np.uint8)
        save(tmp_path / "truth" / name / "liver_lesion.nii.gz", truth, GRID)
    assert predict(model, data, "--out", tmp_path / "out").code == 0
    said = scalemai(
        "evaluate", tmp_path / "out", tmp_path / "truth", "--out", tmp_path / "result",
        "--workers", 1,
    )  # fmt: skip
    assert said.code == 0, said.err
    lesions = pl.read_parquet(next((tmp_path / "result").rglob("lesions.parquet")))
    assert lesions.height == 3
    assert lesions["detected"].all()
    assert (lesions["score"] > 0.99).all()
    candidates = pl.read_parquet(next((tmp_path / "result").rglob("candidates.parquet")))
    assert set(candidates["verdict"]) == {"true_positive"}


def test_ensembles_organs_of_a_folder_and_one_ct_with_its_mask(model: Path, tmp_path: Path) -> None:
    folder = write_host(tmp_path / "data" / "c", GRID, BALLS["one"], masks=False)
    mask = within(GRID, (0.0, 0.0, 0.0), (36.0, 30.0, 33.0)).astype(np.uint8)
    save(tmp_path / "masks" / "c.nii.gz", mask, GRID)
    said = predict(
        model, tmp_path / "data", "--organs", tmp_path / "masks", "--also", model,
        "--out", tmp_path / "one",
    )  # fmt: skip
    assert said.code == 0, said.err
    found = json.loads((tmp_path / "one" / "c" / "findings.json").read_text())
    assert len(found["provenance"]["detectors"]) == 2
    label = save(tmp_path / "liver.nii.gz", mask, GRID)
    said = predict(model, folder / "ct.nii.gz", "--labels", label, "--out", tmp_path / "two")
    assert said.code == 0, said.err
    alone = json.loads((tmp_path / "two" / "c" / "findings.json").read_text())
    assert alone["findings"][0]["x_mm"] == pytest.approx(found["findings"][0]["x_mm"], abs=0.1)


def test_a_case_without_organ_fails_alone_and_says_what_to_do(
    model: Path, data: Path, tmp_path: Path
) -> None:
    write_host(data / "bare", GRID, BALLS["one"], masks=False)
    said = predict(model, data, "--out", tmp_path / "out")
    assert said.code == 1
    (line,) = [line for line in said.lines if line.startswith("failed: ")]
    assert line.startswith("failed: bare: has no mask of the liver")
    assert "--labels with a label map or folder, or --organs FOLDER with bare/liver" in line
    assert (tmp_path / "out" / "one" / "findings.json").is_file()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--device", "cuda:9"], 2, "device: "),
        (["--device", "tpu9"], 2, "'tpu9' is no device; give auto, cpu, cuda, cuda:1 or mps"),
        (["--precision", "float8"], 2, "unknown precision 'float8'"),
        (["--overlap", "1"], 2, "overlap: 1 is impossible; give from 0 to below 1"),
        (["--also", "nowhere"], 1, "nowhere: cannot be read as a detector"),
        (["--organs", "nowhere"], 1, "nowhere: no such folder; check --organs"),
        (["--dicom-seg"], 1, "a DICOM SEG refers to a DICOM series, and this CT is NIfTI"),
    ],
)
def test_a_wrong_request_is_one_line(
    model: Path, data: Path, tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    said = scalemai("predict", model, data, "--out", tmp_path / "out", *words)
    assert said.code == code
    assert any(message in line for line in said.lines), said.err
    assert "Traceback" not in said.err


def test_a_folder_that_is_no_detector_is_refused(data: Path, tmp_path: Path) -> None:
    said = predict(data, data, "--out", tmp_path / "out")
    assert said.code == 1
    (line,) = said.lines
    assert "cannot be read as a detector" in line
    assert "give the folder that scalemai train wrote" in line
    assert not (tmp_path / "out").exists()


def test_without_torch_the_extra_is_named(data: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from scalemai.cli.app import main\n"
        f"sys.argv = ['scalemai', 'predict', {str(data)!r}, {str(data)!r}, '--out', 'out']\n"
        "main()\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert run.returncode == 1
    assert run.stderr == "scalemai: a detector needs torch; pip install 'scalemai[train]'\n"
