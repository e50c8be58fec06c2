"""``scalemai calibrate``: from predictions to operating points that other cases accept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="detectors need torch")
pytest.importorskip("monai", reason="windows are weighted by MONAI")

import numpy as np

from inference.hosts import (
    Ball,
    detector,
    make_threshold,
    save,
    turned,
    within,
    write_host,
)
from scalemai.detector.files import read_detector, weights_digest, write_detector
from scalemai.detector.network import NETWORKS
from scalemai.inference.calibration.calibrate import Calibration
from scalemai.inference.calibration.files import write_calibration
from scalemai.inference.calibration.maps import CalibrationMap

from .hosts import Said, hashes, scalemai

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
    for number in range(4):
        ball = Ball((12.0, -8.0, 5.0), 8.0)
        balls = [ball] if number % 2 else []
        write_host(tmp_path / "data" / f"case_{number}", GRID, balls, noise_hu=5.0)
        truth = np.zeros(GRID.shape, np.uint8)
        if balls:
            truth |= within(GRID, ball.centre_mm, (ball.radius_mm,) * 3).astype(np.uint8)
        save(tmp_path / "truth" / f"case_{number}" / "liver_lesion.nii.gz", truth, GRID)
    return tmp_path / "data"


def test_predictions_and_references_become_locked_operating_points(
    model: Path, data: Path, tmp_path: Path
) -> None:
    assert _predicted(model, data, tmp_path / "seen").code == 0
    weights = hashes(model)
    out = tmp_path / "out"
    said = scalemai(
        "calibrate", model, tmp_path / "seen", tmp_path / "truth", "--out", out, "--workers", 1,
        "--rule", "youden", "--rule", "specificity>=0.9",
    )  # fmt: skip
    assert said.code == 0, said.err
    assert said.out.endswith(f"{out / 'calibration.html'}\n")
    assert "not computed because only 2 patients have a positive, and 10 are needed" in said.out
    kept = hashes(model)
    assert {name: kept[name] for name in weights} == weights
    plain = json.loads((model / "calibration.json").read_text())
    assert plain["weights_sha256"] == weights_digest(read_detector(model))
    assert plain["calibrations"] == []
    (point,) = model.glob("operating_point_*_youden.json")
    again = scalemai(
        "evaluate", tmp_path / "seen", tmp_path / "truth", "--out", tmp_path / "test",
        "--workers", 1, "--operating-point", point,
    )  # fmt: skip
    assert again.code == 2
    assert "was chosen on this case" in again.err
    same = scalemai("calibrate", model, out / "evaluation", "--out", tmp_path / "same")
    assert same.code == 0, same.err
    assert "fp-per-scan<=1: candidates from" in same.out


def test_findings_get_the_probabilities_of_the_calibration_and_keep_their_scores(
    model: Path, data: Path, tmp_path: Path
) -> None:
    said = _predicted(model, data, tmp_path / "none", "--calibrated")
    assert said.code == 1
    assert "write it with scalemai calibrate" in said.err
    halved = CalibrationMap("isotonic", scores=(0.0, 1.0), probabilities=(0.0, 0.5))
    known = Calibration("candidates", "liver_lesion", ("candidate-score-max/1",), halved, 20, 20)
    digest = weights_digest(read_detector(model))
    write_calibration([known], model / "calibration.json", digest)
    assert _predicted(model, data, tmp_path / "seen", "--calibrated").code == 0
    assert _predicted(model, data, tmp_path / "plain").code == 0
    (finding,) = _findings(tmp_path / "seen" / "case_1")
    (plain,) = _findings(tmp_path / "plain" / "case_1")
    assert finding["probability"] == pytest.approx(0.5 * finding["score"])
    assert plain == {**finding, "probability": None}
    both = _predicted(model, data, tmp_path / "both", "--calibrated", "--also", model)
    assert both.code == 2
    assert "the mean of several detectors" in both.err
    write_calibration([], model / "calibration.json", digest)
    few = _predicted(model, data, tmp_path / "few", "--calibrated")
    assert few.code == 2
    assert "candidates of liver_lesion were not calibrated" in few.err


def test_what_cannot_be_calibrated_is_said_in_one_line(
    model: Path, data: Path, tmp_path: Path
) -> None:
    said = scalemai("calibrate", model, data, "--out", tmp_path / "out")
    assert said.code == 1
    assert len(said.lines) == 1
    assert not (model / "calibration.json").exists()
    said = scalemai("calibrate", data, data, "--out", tmp_path / "out")
    assert said.code == 1
    assert "cannot be read as a detector" in said.err


def _predicted(model: Path, data: Path, out: Path, *words: object) -> Said:
    return scalemai("predict", model, data, "--out", out, "--device", "cpu", "--threads", 1, *words)


def _findings(case: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((case / "findings.json").read_text())["findings"]
    return found
