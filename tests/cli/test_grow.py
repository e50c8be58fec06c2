"""``scalemai grow`` as its users call it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .hosts import hashes, scalemai, tree, write_case, write_cases

QUICK = ("--diameter", "24mm", "--schedule", "0, 90 d", "--doubling-days", 45, "--workers", 1)


@pytest.fixture
def case(tmp_path: Path) -> Path:
    return write_case(tmp_path / "data" / "case")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def timeline(out: Path, case: str = "case") -> dict:
    return json.loads((out / case / "timeline.json").read_text())


def test_a_case_is_grown_with_a_curve_and_a_film(case: Path, out: Path) -> None:
    said = scalemai("grow", case, "--out", out, *QUICK)
    assert said.code == 0, said.err
    assert said.lines[0].startswith("grown 1 / 1 cases")
    assert said.out == ""
    names = tree(out / "case")
    assert {"timeline.json", "timeline.gif", "growth_curve.png"} <= set(names)
    assert "day_0000/ct.nii.gz" in names
    assert "day_0090/segmentations/liver_lesion.nii.gz" in names
    (spec,) = timeline(out)["asked"]
    assert spec["diameter_mm"] == [24, 24]


def test_a_schedule_of_sizes_says_how_large_the_lesion_gets(case: Path, out: Path) -> None:
    said = scalemai("grow", case, "--out", out, "--schedule", "12, 20, 28 mm", "--workers", 1)
    assert said.code == 0, said.err
    content = timeline(out)
    assert content["schedule"] == {"at_mm": [12, 20, 28]}
    assert content["asked"][0]["diameter_mm"] == [28, 28]
    assert content["law"]["doubling_time"].startswith("drawn for ")


def test_a_schedule_may_be_a_json_file(case: Path, out: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text('{"every_days": 45, "until_days": 90}')
    said = scalemai("grow", case, "--out", out, *QUICK[:2], "--schedule", plan, "--workers", 1)
    assert said.code == 0, said.err
    assert timeline(out)["schedule"] == {"at_days": [0, 45, 90]}


def test_the_lesion_may_be_told_in_words(case: Path, out: Path) -> None:
    words = ("--describe", "a 24 mm cyst in the liver", "--schedule", "0, 90 d")
    said = scalemai("grow", case, "--out", out, *words, "--workers", 1)
    assert said.code == 0, said.err
    (spec,) = timeline(out)["asked"]
    assert (spec["organ"], spec["kind"], spec["diameter_mm"]) == ("liver", "cyst", [24, 24])


def test_the_law_and_the_axis_can_be_chosen(case: Path, out: Path, tmp_path: Path) -> None:
    words = ("--law", "gompertz", "--linear-axis")
    assert scalemai("grow", case, "--out", out, *QUICK, *words).code == 0
    assert timeline(out)["law"]["name"] == "gompertz"
    other = tmp_path / "other"
    assert scalemai("grow", case, "--out", other, *QUICK, "--law", "gompertz").code == 0
    first, second = (hashes(folder / "case") for folder in (out, other))
    assert {name for name in first if first[name] != second[name]} == {"growth_curve.png"}


def test_days_on_which_nothing_is_seen_are_remarked(case: Path, out: Path) -> None:
    words = ("--diameter", "12mm", "--schedule", "0, 400, 800 d", "--doubling-days", 45)
    said = scalemai("grow", case, "--out", out, *words, "--workers", 1)
    assert said.code == 0, said.err
    assert "note: case: the lesion is below what the scan shows in day_0000, day_0400" in said.err


def test_two_workers_and_a_second_run_give_the_same_files(tmp_path: Path) -> None:
    root = write_cases(tmp_path / "data", 2)
    first, second = tmp_path / "first", tmp_path / "second"
    assert scalemai("grow", root, "--out", first, *QUICK).code == 0
    assert scalemai("grow", root, "--out", second, *QUICK[:-1], 2).code == 0
    assert hashes(first) == hashes(second)
    said = scalemai("grow", root, "--out", first, *QUICK)
    assert said.lines[0] == "2 of 2 cases were done before"


def test_shares_of_the_work_are_the_whole_work(tmp_path: Path) -> None:
    root = write_cases(tmp_path / "data", 3)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert scalemai("grow", root, "--out", whole, *QUICK).code == 0
    for part in range(2):
        assert scalemai("grow", root, "--out", parts, *QUICK, "--shard", f"{part}/2").code == 0
    assert hashes(parts) == hashes(whole)


def test_a_dry_run_writes_nothing(case: Path, out: Path) -> None:
    said = scalemai("grow", case, "--out", out, *QUICK, "--dry-run")
    assert said.code == 0
    assert said.out.startswith("2 scans of each of 1 of 1 cases")
    assert "at_days=(0.0, 90.0)" in said.out
    assert not out.exists()
    said = scalemai("grow", "phantom:3", "--out", out, *QUICK, "--dry-run")
    assert said.out == f"3 phantoms, and 2 scans of each, to {out}\n"


def test_a_case_that_cannot_be_grown_is_listed_and_the_others_are_done(
    tmp_path: Path, out: Path
) -> None:
    root = write_cases(tmp_path / "data", 2)
    (root / "case_00" / "segmentations" / "liver.nii.gz").unlink()
    said = scalemai("grow", root, "--out", out, *QUICK)
    assert said.code == 1
    assert "failed: case_00: " in said.err
    assert "liver" in said.err
    assert (out / "case_01" / "timeline.json").is_file()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--schedule", "soon"], "--schedule: 'soon' is not a schedule"),
        (["--schedule", "0, 90"], "has no unit"),
        (["--schedule", "-90, 0 d"], "--schedule: -90 d is negative"),
        (["--schedule", "none.json"], "none.json: cannot be read"),
        (["--schedule", "5, 50 mm", "--diameter", "30mm"], "above the final diameter of 30 mm"),
        (["--law", "linear"], "--law: there is no growth law 'linear'"),
        (["--doubling-days", "0"], "--doubling-days: 0 days"),
        (["--organ", "liver,kidney"], "--organ: names several lesions"),
        (["--describe", "two 20 mm liver cysts"], "--describe: names several lesions"),
        (["--describe", "a liver cyst", "--kind", "cyst"], "--describe: says which lesions"),
        (["--organ", "knee"], "knee"),
        (["--kind", "pdac"], "pdac"),
        (["--diameter", "big"], "'big' is not a range"),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_code_two(
    case: Path, out: Path, words: list[str], says: str
) -> None:
    said = scalemai("grow", case, "--out", out, *words)
    assert said.code == 2
    assert says in said.err
    assert len(said.lines) == 1
    assert not out.exists()


def test_the_command_explains_itself() -> None:
    said = scalemai("grow", "--help")
    assert said.code == 0
    assert "every 3 months for 2 years" in " ".join(said.out.split())
    assert "grow" in scalemai("--help").out


@pytest.mark.slow
def test_phantoms_are_made_and_grown(tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = scalemai("grow", "phantom:1", "--out", out, *QUICK)
    assert said.code == 0, said.err
    assert len(list(out.glob("phantom_*/day_0090/ct.nii.gz"))) == 1
