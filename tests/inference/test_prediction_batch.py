"""Many cases: each costs itself alone, what is done stays done, and workers change nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="detectors need torch")
pytest.importorskip("monai", reason="networks are MONAI's")

from cli.hosts import hashes, partials
from scalemai.cases import open_cases
from scalemai.detector.files import Detector, write_detector
from scalemai.detector.network import build_network
from scalemai.detector.spec import DetectorSpec, NetworkSpec, Preprocessing
from scalemai.errors import ConfigError, LockedError, UnreadableFileError
from scalemai.inference.batch import Request, open_ledger, predict_cases
from scalemai.inference.settings import Runtime, Settings

from .hosts import Ball, turned, write_host

GRID = turned(spacing_mm=(2.0, 2.0, 4.0))
SPEC = DetectorSpec(
    organ="liver",
    classes=("liver_lesion",),
    preprocessing=Preprocessing(spacing_mm=(3.0, 3.0, 4.0)),
    network=NetworkSpec("unet", {"channels": [4, 8], "strides": [2]}),
    patch=(32, 32, 16),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hosts") / "data"
    for number in range(3):
        ball = Ball((10.0 * number - 10.0, 0.0, 0.0), 8.0)
        write_host(root / f"case_{number}", GRID, [ball], noise_hu=5.0)
    return root


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> Request:
    folder = tmp_path_factory.mktemp("detectors") / "one"
    write_detector(Detector(SPEC, build_network(SPEC, seed=2)), folder)
    return Request((folder,), Settings(threshold=0.4), Runtime(device="cpu", threads=1))


def run(root: Path, out: Path, request: Request, *, workers: int = 1) -> dict[str, str]:
    """Predict a data set; return how each case ended."""
    with (
        open_ledger(out, request) as ledger,
        predict_cases(open_cases(root), out, request, ledger=ledger, workers=workers) as outcomes,
    ):
        return {outcome.key: outcome.status for outcome in outcomes}


@pytest.fixture(scope="module")
def undisturbed(root: Path, request_: Request) -> dict[str, str]:
    out = root.with_name("undisturbed")
    assert set(run(root, out, request_).values()) == {"done"}
    return hashes(out)


def test_two_workers_write_the_same_files_as_one(
    root: Path, tmp_path: Path, request_: Request, undisturbed: dict[str, str]
) -> None:
    run(root, tmp_path / "out", request_, workers=2)
    assert hashes(tmp_path / "out") == undisturbed


def test_what_is_done_is_not_done_again_and_what_is_gone_is(
    root: Path, tmp_path: Path, request_: Request, undisturbed: dict[str, str]
) -> None:
    out = tmp_path / "out"
    run(root, out, request_)
    assert run(root, out, request_) == {}
    shutil.rmtree(out / "case_1")
    (out / ".case_2.999999.partial").mkdir()  # of a run that was killed
    assert run(root, out, request_) == {"case_1": "done"}
    assert hashes(out) == undisturbed
    assert partials(out) == []


def test_a_bad_case_costs_itself_and_is_tried_again(
    root: Path, tmp_path: Path, request_: Request, undisturbed: dict[str, str]
) -> None:
    copy = tmp_path / "data"
    shutil.copytree(root, copy)
    ct = copy / "case_1" / "ct.nii.gz"
    whole = ct.read_bytes()
    ct.write_bytes(whole[: len(whole) // 2])
    shutil.rmtree(copy / "case_2" / "segmentations")
    out = tmp_path / "out"
    assert run(copy, out, request_) == {"case_0": "done", "case_1": "failed", "case_2": "failed"}
    assert not (out / "case_1").exists()
    ct.write_bytes(whole)
    shutil.copytree(root / "case_2" / "segmentations", copy / "case_2" / "segmentations")
    assert run(copy, out, request_) == {"case_1": "done", "case_2": "done"}
    assert hashes(out) == undisturbed


def test_another_request_into_the_same_folder_is_refused(
    root: Path, tmp_path: Path, request_: Request
) -> None:
    out = tmp_path / "out"
    run(root, out, request_)
    other = Request(request_.detectors, Settings(threshold=0.6), request_.runtime)
    with pytest.raises(ConfigError, match=r"threshold was 0\.4 and is 0\.6"):
        open_ledger(out, other)
    folder = tmp_path / "two"
    write_detector(Detector(SPEC, build_network(SPEC, seed=3)), folder)
    with pytest.raises(ConfigError, match="weights was"):
        open_ledger(out, Request((folder,), request_.settings, request_.runtime))
    with open_ledger(out, request_), pytest.raises(LockedError):
        open_ledger(out, request_)


def test_a_detector_that_was_trained_on_is_read_again(
    root: Path, tmp_path: Path, request_: Request
) -> None:
    folder = tmp_path / "detector"
    write_detector(Detector(SPEC, build_network(SPEC, seed=5)), folder)
    request = Request((folder,), request_.settings, request_.runtime)
    run(root, tmp_path / "before", request)
    write_detector(Detector(SPEC, build_network(SPEC, seed=6)), folder)
    run(root, tmp_path / "after", request)
    digests = {
        json.loads((tmp_path / name / "case_0" / "findings.json").read_text())["provenance"][
            "detectors"
        ][0]["weights_sha256"]
        for name in ("before", "after")
    }
    assert len(digests) == 2


def test_a_foreign_or_damaged_detector_is_refused_before_any_case(
    root: Path, tmp_path: Path, request_: Request
) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    np.save(foreign / "checkpoint.npy", np.zeros(3))
    with pytest.raises(UnreadableFileError, match="cannot be read as a detector"):
        open_ledger(tmp_path / "out", Request((foreign,)))
    assert not (tmp_path / "out").exists()
    with pytest.raises(UnreadableFileError, match="no such folder; check --organs"):
        open_ledger(tmp_path / "out", Request(request_.detectors, organs=tmp_path / "none"))


def test_predictions_do_not_replace_cases(root: Path, request_: Request) -> None:
    with pytest.raises(ConfigError, match="would replace"):
        run(root, root, request_)
    (root / "ledger.jsonl").unlink()
