"""From data sets to a study: lesions of twelve organs, real ones apart from synthetic ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cli.hosts import SPACING_MM, inside, scalemai, synthesize, write, write_case
from scalemai.annotation.turing.building import build_study
from scalemai.annotation.turing.candidates import Candidate, Kind, lesions_of
from scalemai.annotation.turing.design import TuringDesign
from scalemai.annotation.turing.items import HEADER_BYTES
from scalemai.annotation.turing.matching import match
from scalemai.annotation.turing.sealing import open_key
from scalemai.case import Case
from scalemai.cases import open_cases
from scalemai.cases.phantom import write_phantom_case
from scalemai.cases.phantom.lesion_recipes import sample_lesion
from scalemai.errors import ConfigError
from scalemai.measure import longest_axial_diameter_mm
from scalemai.synthesis.files import Request, synthesize_case
from scalemai.synthesis.spec import LesionSpec

TWELVE = {
    "adrenal_gland": "adrenal_gland_left", "bone": "vertebrae_L3", "breast": "breast_left",
    "colon": "colon", "duodenum": "duodenum", "esophagus": "esophagus",
    "gall_bladder": "gall_bladder", "kidney": "kidney_left", "liver": "liver",
    "lung": "lung_left", "pancreas": "pancreas", "stomach": "stomach",
}  # fmt: skip


def data_sets(folder: Path, count: int = 4) -> tuple[Path, Path]:
    """Cases with drawn liver lesions, and other cases with grown ones beside a drawn one."""
    for number in range(2 * count):
        kind = "real" if number < count else "hosts"
        case = write_case(folder / kind / f"case_{number}", seed=number)
        centre = (24.0 + number / 4, -6.0, 6.0)
        ball = inside(centre, (7.0, 7.0, 7.0)).astype(np.uint8)
        write(case / "segmentations" / "liver_lesion.nii.gz", ball)
    out = folder / "synthetic"
    said = synthesize(folder / "hosts", "--out", out, "--organ", "liver", "--diameter", "12-16mm")
    assert said.code == 0, said.err
    return folder / "real", out


def test_of_a_synthetic_case_only_the_grown_lesions_are_taken(tmp_path: Path) -> None:
    real, synthetic = data_sets(tmp_path, 1)
    (case,) = open_cases(synthetic)
    (grown,) = lesions_of((case, "synthetic"))
    labels = case.mask("liver_lesion").array  # the drawn one is in it too
    assert labels.sum() > 0
    sidecar = json.loads((case.ct.parent / "synthesis.json").read_text())
    centre = np.array(sidecar["lesions"][0]["recipe"]["centre_mm"])
    native = case.grid().to_voxel(centre)  # LPS storage: the stored order is the native one
    assert np.abs((np.array(grown.centre) - native) * SPACING_MM).max() < 12
    assert grown.host == str((tmp_path / "hosts" / "case_1" / "ct.nii.gz").resolve())
    (drawn,) = open_cases(real)
    (one,) = lesions_of((drawn, "real"))
    ball = drawn.mask("liver_lesion")
    assert one.diameter_mm == pytest.approx(longest_axial_diameter_mm(ball.array, ball.grid))
    with pytest.raises(ConfigError, match="given as real"):
        lesions_of((case, "real"))


def test_the_command_builds_what_the_key_opens_and_says_nothing_of_it(tmp_path: Path) -> None:
    real, synthetic = data_sets(tmp_path)
    words = ("turing", "build", real, synthetic, "--set", "crop_mm=20", "--set", "size_calliper=2")
    study, key = tmp_path / "study", tmp_path / "key.json"
    said = scalemai(*words, "--out", study, "--key", key, "--workers", 1)
    assert said.code == 0, said.err
    assert "4 pairs: liver_lesion 4" in said.err
    assert "case_" not in said.err.replace(str(tmp_path), "")
    items = list((study / "items").iterdir())
    assert len({path.stat().st_size for path in items}) == 1
    assert len(items) == 8
    again = scalemai(*words, "--out", study, "--key", key, "--workers", 1)
    assert again.code == 2
    assert "something already" in again.err
    inside_ = scalemai(*words, "--out", tmp_path / "b", "--key", tmp_path / "b" / "key.json")
    assert inside_.code == 2
    assert not (tmp_path / "b").exists()
    swapped = scalemai(
        "turing", "build", synthetic, real, "--out", tmp_path / "c", "--key", tmp_path / "c.json",
        "--workers", 1,
    )  # fmt: skip
    assert swapped.code == 2
    assert not (tmp_path / "c.json").exists()
    early = scalemai("turing", "analyse", study, "--key", key, "--out", tmp_path / "out")
    assert early.code == 2
    assert "nobody has answered" in early.err


def test_a_case_that_cannot_be_read_costs_itself_alone(tmp_path: Path) -> None:
    real, synthetic = data_sets(tmp_path)
    (real / "case_2" / "segmentations" / "liver_lesion.nii.gz").write_bytes(b"\x1f\x8b nothing")
    said = scalemai(
        "turing", "build", real, synthetic, "--set", "crop_mm=20", "--set", "size_calliper=2",
        "--out", tmp_path / "study", "--key", tmp_path / "key.json", "--workers", 1,
    )  # fmt: skip
    assert said.code == 1
    assert "failed: real case_2" in said.err
    assert "3 pairs" in said.err


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("crop_mm=1", "crop_mm"),
        ("size_calliper=0.5", "size_calliper"),
        ("repeat_share=0.9", "repeat_share"),
        ("per_case=0", "per_case"),
        ("colour=red", "colour"),
        ("title=", "title"),
    ],
)
def test_an_impossible_design_is_refused_before_anything_is_read(
    tmp_path: Path, setting: str, reason: str
) -> None:
    said = scalemai(
        "turing", "build", tmp_path / "a", tmp_path / "b", "--set", setting,
        "--out", tmp_path / "study", "--key", tmp_path / "key.json",
    )  # fmt: skip
    assert said.code == 2
    assert reason in said.err
    assert not (tmp_path / "study").exists()


def test_the_planner_gives_the_power_of_designs(tmp_path: Path) -> None:
    said = scalemai("turing", "plan", "2x100,240", "--out", tmp_path)
    assert said.code == 0, said.err
    powers = [
        float(line.split("power of one reader ")[1][:4]) for line in said.out.splitlines()[:2]
    ]
    assert powers == [pytest.approx(0.24, abs=0.03), pytest.approx(0.82, abs=0.03)]
    assert (tmp_path / "reader_plan.parquet").is_file()


@pytest.mark.slow
def test_lesions_of_twelve_organs_are_paired_and_numbers_do_not_tell(tmp_path: Path) -> None:
    # Real ones are of the phantom's own model, which shares nothing with the synthesis.
    rng = np.random.default_rng(4)
    drawn = [sample_lesion(place, 11.0, "portal_venous", rng) for place in TWELVE.values()]
    folder = write_phantom_case(tmp_path / "real", 0, 9, lesions=drawn, preset="small")
    host = write_phantom_case(tmp_path / "hosts", 0, 9, preset="small")
    specs = tuple(LesionSpec(organ=name, diameter_mm=(9.0, 13.0)) for name in TWELVE)
    (plain,) = open_cases(host)
    grown = synthesize_case(plain, tmp_path / "grown", Request(specs=specs, counts=((1, 1),) * 12))
    cases: dict[tuple[Kind, str], Case] = {}
    found: list[Candidate] = []
    for kind, place in (("real", folder), ("synthetic", grown)):
        (case,) = open_cases(place)
        cases[kind, case.id] = case
        found += lesions_of((case, kind))
    design = TuringDesign(
        crop_mm=24.0, size_calliper=2.5, match_scanner=False, match_phase=False, per_case=99
    )
    matching = match(found, design)
    # A lesion that lies near the end of so short a scan cannot be cropped, and is said to.
    assert len({pair.real.structure for pair in matching.pairs}) >= 11, matching.unmatched
    near = "is too near the end of the scan for the crop"
    assert {one.reason for one in matching.unmatched} <= {near}, matching.unmatched
    built = build_study(matching, cases, tmp_path / "study", tmp_path / "key.json", design)
    sealed = open_key(tmp_path / "key.json", built.study)
    odd: dict[str, list[float]] = {"real": [], "synthetic": []}
    for name, one in sealed.items():
        hu = np.frombuffer(built.study.item(name)[HEADER_BYTES:], "<i2").astype(int)
        odd[one.truth].append(float((hu[hu != 0] % 2).mean()))
        assert hu.min() >= -1024
        assert hu.max() <= 3071
    # Neither kind has more odd numbers, as it would if one of them had been rounded otherwise.
    for shares in odd.values():
        assert abs(float(np.mean(shares)) - 0.5) < 0.05
