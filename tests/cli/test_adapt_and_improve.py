"""``scalemai adapt`` and ``scalemai improve``: a detector in, a better one out, or the old one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import yaml

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("monai", reason="networks are MONAI's")
pytest.importorskip("lightning_fabric", reason="training runs on Lightning Fabric")

from scalemai.detector.files import Detector, read_detector, write_detector
from scalemai.detector.network import build_network
from scalemai.detector.spec import NetworkSpec
from scalemai.evaluation.tables import Table, write_table
from training.hosts import SPEC, pancreas, write_patient, write_set

from .hosts import Said, scalemai

QUICK = (
    "steps=2",
    "batch=2",
    "validation.patches=2",
    "compute.threads=1",
    "run.workers=0",
    "run.tensorboard=false",
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    spec = replace(SPEC, network=NetworkSpec("basic-unet", {"features": [4, 4, 4, 4, 4, 4]}))
    write_detector(Detector(spec, build_network(spec).eval()), tmp_path / "detector")
    return tmp_path / "detector"


@pytest.fixture
def normal(tmp_path: Path) -> Path:
    write_set(tmp_path / "normal", normal=3)
    return tmp_path / "normal"


def run(*words: object) -> Said:
    settings = [word for text in QUICK for word in ("--set", text)]
    return scalemai(*words, *settings, "--workers", 1, "--rounds", 1)


def test_a_detector_is_adapted_and_goes_on_where_it_was(
    model: Path, normal: Path, tmp_path: Path
) -> None:
    for number in range(3):
        write_patient(tmp_path / "source" / f"normal_{number}", pancreas(), seed=9 + number)
    words = ("adapt", model, normal, "--source", tmp_path / "source", "--out", tmp_path / "out")
    said = run(*words)
    assert said.code == 0, said.err
    assert "target: sensitivity at 1 false candidates per scan, all" in said.out
    assert "source: false candidates per scan at a probability of 0.5" in said.out
    assert "; change 0.000" in said.out
    assert "nothing gained: no round of 1 found clearly more" in said.err
    assert said.out.endswith(f"{tmp_path / 'out' / 'comparison.html'}\n")
    first = (tmp_path / "out" / "comparison.json").read_text()
    again = run(*words)
    assert again.code == 0, again.err
    assert (tmp_path / "out" / "comparison.json").read_text() == first
    other = run(*words, "--set", "optimiser.learning_rate=0.5")
    assert other.code == 2
    assert "optimiser.learning_rate" in other.err


def test_what_an_evaluation_missed_steers_the_training(
    model: Path, normal: Path, tmp_path: Path
) -> None:
    write_table(_lesions(missed=True), tmp_path / "evaluation")
    said = run(
        "improve", model, tmp_path / "evaluation", "--hosts", normal, "--out", tmp_path / "out",
        "--rate", 2, "--replay", "--anchor", 0.1,
    )  # fmt: skip
    assert said.code == 0, said.err
    assert "like those missed: sensitivity at 2 false candidates per scan, all" in said.out
    assert "usual: false candidates per scan at a probability of 0.5" in said.out
    asked = read_detector(tmp_path / "out" / "detector").origin["population"]
    written = (tmp_path / "out" / "errors" / "population.yaml").read_text()
    assert yaml.safe_load(asked) == yaml.safe_load(written)
    rows = json.loads((tmp_path / "out" / "comparison.json").read_text())["before_and_after"]
    assert {row["group"] for row in rows} == {"like those missed", "usual"}


def test_an_evaluation_without_misses_asks_for_nothing(
    model: Path, normal: Path, tmp_path: Path
) -> None:
    write_table(_lesions(missed=False), tmp_path / "evaluation")
    said = run(
        "improve", model, tmp_path / "evaluation", "--hosts", normal, "--out", tmp_path / "out"
    )
    assert said.code == 2
    assert "no lesion was missed" in said.err
    assert not (tmp_path / "out" / "detector").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--margin", "2"), "margin: 2 is impossible; give 0 to 1"),
        (("--pull", "1"), "pull: 1 is impossible; give 0 to below 1"),
        (("--rate", "0"), "rate: 0 is impossible; give a rate above 0"),
        (("--anchor", "-1"), "anchor: -1 is impossible; give 0 to 1000"),
        (("--set", "detector.organ=liver"), "would make another detector"),
        (("--set", "stepz=3"), "steps"),
    ],
)
def test_a_wrong_request_is_one_line_and_no_case_is_read(
    model: Path, normal: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    said = run("adapt", model, normal, "--out", tmp_path / "out", *words)
    assert said.code == 2
    (line,) = said.lines
    assert message in line
    assert not (tmp_path / "out").exists()


def _lesions(*, missed: bool) -> Table:
    """Lesions of the head that were found, and small ones of the tail."""
    rows = [
        {
            "case": f"c{number}",
            "structure": "pancreatic_lesion",
            "detected": number % 2 == 0 or not missed,
            "diameter_mm": 25.0 if number % 2 == 0 else 8.0 + 0.1 * number,
            "organ": "pancreas",
            "site": "head" if number % 2 == 0 else "tail",
        }
        for number in range(24)
    ]
    return Table("lesions", pl.DataFrame(rows))
