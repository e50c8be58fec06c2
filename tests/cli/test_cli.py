"""The command as its users call it: help, exit codes, what goes to which stream, shares of work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from scalemai._version import __version__
from scalemai.synthesis.batch import open_ledger
from scalemai.synthesis.files import Request
from scalemai.synthesis.spec import LesionSpec

from .hosts import (
    body,
    hashes,
    scalemai,
    synthesize,
    tree,
    write,
    write_case,
    write_cases,
    write_dicom,
)

COMMANDS = (
    "synthesize", "grow", "rewind", "remove", "describe", "population", "audit", "gallery",
    "train", "transfer", "adapt", "improve", "predict", "calibrate", "nnunet", "evaluate",
    "compare", "scaling", "subgroups", "errors", "reader-study", "phantom", "replay", "preview",
    "info", "index",
)  # fmt: skip
HEAVY = (
    "torch", "numpy", "scipy", "nibabel", "numba", "polars", "matplotlib", "pydicom", "highdicom",
    "rich",
)  # fmt: skip


@pytest.fixture
def case(tmp_path: Path) -> Path:
    return write_case(tmp_path / "data" / "case")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


# --- start ---------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["synthesize", "--help"]])
def test_help_loads_no_heavy_library(words: list[str]) -> None:
    # Which modules are loaded does not depend on the machine, as a time would. Recent versions of
    # typer check arguments with pydantic, but the list of commands needs not even that.
    heavy = (*HEAVY, "pydantic") if words == ["--help"] else HEAVY
    code = (
        "import sys\n"
        "from scalemai.cli.app import main\n"
        f"sys.argv = ['scalemai', *{words!r}]\n"
        "try: main()\n"
        "except SystemExit as leave: assert not leave.code, leave.code\n"
        f"print('loaded:', *[name for name in {heavy!r} if name in sys.modules])\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "loaded:"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    said = scalemai(command, "--help")
    assert said.code == 0
    assert f"scalemai {command}" in said.out
    assert said.err == ""
    assert command in scalemai("--help").out


def test_the_version_is_that_of_the_package() -> None:
    assert scalemai("--version").out == f"{__version__}\n"


def test_the_module_can_be_run() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "scalemai", "--version"], capture_output=True, text=True, check=True
    )
    assert run.stdout == f"{__version__}\n"


# --- a request that is wrong ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "named", "way_out"),
    [
        (["--organ", "livr"], "unknown organ 'livr'", "did you mean 'liver'"),
        (["--organ", "pancreaz,liver"], "unknown organ 'pancreaz'", "did you mean 'pancreas'"),
        (["--organ", " , "], "--organ: no organ is named", "--organ liver"),
        (["--kind", "pdac"], "unknown lesion kind of liver 'pdac'", "hcc"),
        (["--site", "tail"], "--site: liver has no site 'tail'", "known sites"),
        (["--count", "0"], "--count: '0' is not a count", "1-3"),
        (["--count", "1.5"], "--count: '1.5' is not a count", "whole numbers"),
        (["--count", "3-1"], "--count: '3-1' ends below its start", "did you mean 1-3?"),
        (["--count", "51"], "--count", "1 to 50"),
        (["--count", "many"], "--count: 'many' is not a range", "give one number"),
        (["--count", "1-3mm"], "--count", "whole numbers"),
        (["--diameter", "big"], "--diameter: 'big' is not a range", "3-40mm"),
        (["--diameter", "40-3"], "--diameter: '40-3' ends below", "did you mean 3-40?"),
        (["--diameter", "0-3"], "--diameter: 0-3 mm is not a range", "2 to 150 mm"),
        (["--diameter", "2-3m"], "--diameter", "3-40mm"),
        (["--at", "1,2"], "--at: '1,2' is not x,y,z", "three numbers"),
        (["--at", "a,b,c"], "--at: 'a,b,c' is not x,y,z", "three numbers"),
        (["--at", "nan,0,0"], "--at: 'nan,0,0' is not x,y,z", "three numbers"),
        (["--at", "1,inf,2"], "--at: '1,inf,2' is not x,y,z", "three numbers"),
        (["--contrast-hu", "0"], "--contrast-hu: 0 HU", "1 to 1000 HU"),
        (["--contrast-hu", "nan"], "--contrast-hu: nan HU", "1 to 1000 HU"),
        (["--hu-offset", "nan"], "--hu-offset: nan HU", "-1024"),
        (["--shard", "2/2"], "--shard: '2/2' is not a shard", "0 to N-1"),
        (["--shard", "0/0"], "--shard: '0/0' is not a shard", "0 to N-1"),
        (["--shard", "1"], "--shard: '1' is not a shard", "give I/N"),
        (["--shard", "-1/2"], "--shard: '-1/2' is not a shard", "give I/N"),
        (["--layout", "pant"], "unknown layout 'pant'", "did you mean 'pants'"),
        (["--layout", "msd"], "is not laid out as msd", "it looks like"),
        (["--class-map", "pant"], "unknown class map 'pant'", "did you mean 'pants'"),
        (["--labels", "nowhere.nii.gz"], "nowhere.nii.gz", "check the path"),
    ],
)
def test_a_wrong_request_is_one_line_and_starts_nothing(
    case: Path, out: Path, words: list[str], named: str, way_out: str
) -> None:
    said = synthesize(case, "--out", out, *words)
    assert said.code == (1 if "nowhere.nii.gz" in words else 2)
    assert said.out == ""
    (line,) = said.lines
    assert line.startswith("scalemai: ")
    assert named in line
    assert way_out in line.partition(named)[2]
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--seed", "-1"], "--seed"),
        (["--seed", "one"], "--seed"),
        (["--workers", "0"], "--workers"),
        (["--colour", "red"], "--colour"),
    ],
)
def test_a_wrong_option_is_named(case: Path, out: Path, words: list[str], named: str) -> None:
    said = scalemai("synthesize", case, "--out", out, *words)
    assert said.code == 2
    assert named in said.lines[-1]
    assert "--help" in said.err
    assert not out.exists()


@pytest.mark.parametrize("cases", ["phantom:0", "phantom:-1", "phantom:x", "phantom:"])
def test_a_wrong_number_of_phantoms_is_refused(cases: str, out: Path) -> None:
    said = synthesize(cases, "--out", out)
    assert said.code == 2
    assert said.lines == [
        f"scalemai: CASES: {cases!r} is no number of phantoms; give phantom or phantom:N"
    ]
    assert list(out.parent.iterdir()) == []


def test_phantoms_are_not_made_in_parts(out: Path) -> None:
    said = synthesize("phantom:4", "--shard", "0/2", "--out", out)
    assert said.code == 2
    assert "--shard: phantoms are not made in parts; run scalemai phantom" in said.lines[0]
    assert list(out.parent.iterdir()) == []


def test_a_folder_may_be_called_like_phantoms(tmp_path: Path, out: Path) -> None:
    write_cases(tmp_path / "phantoms", 1)
    assert synthesize(tmp_path / "phantoms", "--out", out).code == 0


def test_options_of_one_ct_are_refused_for_a_data_set(tmp_path: Path, out: Path) -> None:
    root = write_cases(tmp_path / "data", 2)
    masks = root / "case_00" / "segmentations"
    said = synthesize(root, "--labels", masks, "--out", out)
    assert said.code == 2
    assert said.lines[0].startswith("scalemai: --labels cannot be used here")
    assert not out.exists()


# --- what is shown where -------------------------------------------------------------------


def test_progress_and_failures_are_not_mixed_with_results(tmp_path: Path, out: Path) -> None:
    root = write_cases(tmp_path / "data", 3)
    (root / "case_01" / "ct.nii.gz").write_bytes(b"")
    said = synthesize(root, "--out", out)
    assert said.code == 1
    assert said.out == ""
    assert said.lines[0].startswith("synthesized 2 / 3 cases · 1 failed")
    assert [line.startswith("failed: case_01: ") for line in said.lines] == [False, True]
    assert "\x1b" not in said.err  # no colours or cursor where no terminal is


def test_an_organ_without_mask_is_remarked(case: Path, out: Path) -> None:
    said = synthesize(case, "--out", out, "--organ", "liver,pancreas")
    assert said.code == 0
    note = "the case has no mask of the pancreas; none was grown there"
    assert f"note: case: {note}" in said.lines
    assert json.loads((out / "case" / "synthesis.json").read_text())["notes"] == [note]


def test_cases_that_are_left_out_are_remarked(tmp_path: Path, out: Path) -> None:
    root = write_cases(tmp_path / "data", 1)
    write(root / "other" / "scan.nii.gz", body()[0])
    said = synthesize(root, "--out", out)
    assert said.code == 0
    assert said.lines[0].startswith(f"note: {root / 'other'} has NIfTI files, but none is called")


def test_a_second_run_does_nothing(case: Path, out: Path) -> None:
    assert synthesize(case, "--out", out).code == 0
    before = hashes(out), (out / "case").stat().st_mtime_ns
    said = synthesize(case, "--out", out)
    assert said.code == 0
    assert said.lines[0] == "1 of 1 cases were done before"
    assert (hashes(out), (out / "case").stat().st_mtime_ns) == before


def test_another_way_of_reading_the_hosts_is_another_request(case: Path, out: Path) -> None:
    assert synthesize(case, "--out", out).code == 0
    said = synthesize(case, "--out", out, "--hu-offset", "5")
    assert said.code == 2
    assert "and is HU offset 5" in said.err


def test_a_dry_run_writes_nothing(case: Path, out: Path) -> None:
    said = synthesize(case, "--out", out, "--dry-run", "--organ", "liver,kidney")
    assert said.code == 0
    assert said.out.startswith(f"1 of 1 cases to {out}\n")
    assert "liver" in said.out
    assert "kidney" in said.out
    assert not out.exists()
    said = synthesize("phantom:3", "--out", out, "--dry-run")
    assert said.code == 0
    assert said.out.startswith("3 phantoms")
    assert sorted(p.name for p in out.parent.iterdir()) == ["data"]


def test_the_same_seed_gives_the_same_files_and_another_does_not(case: Path, out: Path) -> None:
    made = {}
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        folder = out.with_name(name)
        assert synthesize(case, "--out", folder, "--seed", seed).code == 0
        made[name] = hashes(folder)
    assert made["a"] == made["b"]
    assert made["a"]["case/ct.nii.gz"] != made["c"]["case/ct.nii.gz"]


def test_shares_of_the_work_make_the_whole(tmp_path: Path) -> None:
    root = write_cases(tmp_path / "data", 5)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert synthesize(root, "--out", whole).code == 0
    counts = []
    for part in range(3):
        said = synthesize(root, "--out", parts, "--shard", f"{part}/3")
        assert said.code == 0, said.err
        counts.append(int(said.lines[-1].split(" / ")[1].split()[0]))
    assert sum(counts) == 5
    assert hashes(parts) == hashes(whole)
    said = synthesize(root, "--out", parts, "--shard", "0/3", "--seed", 1)
    assert said.code == 2
    assert "seed was 0 and is 1" in said.lines[0]


def test_two_runs_in_one_folder_are_refused(case: Path, out: Path) -> None:
    with open_ledger(out, Request(specs=(LesionSpec(organ="liver"),))):
        said = synthesize(case, "--out", out)
    assert said.code == 1
    (line,) = said.lines
    assert f"scalemai: {out}: another run is writing here (process " in line
    assert "wait for its end, or choose another folder" in line
    assert tree(out) == []


def test_the_output_may_lie_within_the_data_set(tmp_path: Path) -> None:
    root = write_cases(tmp_path / "data", 2)
    for expected in (0, 2):  # cases that are done
        said = synthesize(root, "--out", root / "grown")
        assert said.code == 0, said.err
        assert said.err.count("2 of 2 cases were done before") == expected // 2
    assert sorted(p.name for p in (root / "grown").iterdir() if p.is_dir()) == [
        "case_00",
        "case_01",
    ]


def test_a_reader_that_stops_early_is_no_error(case: Path) -> None:
    command = f"{sys.executable} -m scalemai info {case / 'ct.nii.gz'} | true"
    run = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert run.stderr == ""


# --- ways to give a CT ---------------------------------------------------------------------


def test_an_offset_that_was_missed_can_be_given(tmp_path: Path, out: Path) -> None:
    case = write_case(tmp_path / "data" / "case")
    hu = body()[0]
    write(case / "ct.nii.gz", (np.maximum(hu, -1024) + 1024).astype(np.uint16))
    assert synthesize(case, "--out", out).code == 1
    # Nothing came of the first request, so the mended one may have its folder.
    said = synthesize(case, "--out", out, "--hu-offset", -1024, "--contrast-hu", -40)
    assert said.code == 0, said.err
    before = np.asanyarray(nib.load(case / "ct.nii.gz").dataobj).astype(float)
    after = np.asanyarray(nib.load(out / "case" / "ct.nii.gz").dataobj).astype(float)
    lesion = np.asanyarray(nib.load(out / "case" / "lesions.nii.gz").dataobj) == 1
    # The file may gain a rescale intercept; the difference of the two scans is that of HU.
    shift = np.median((after - before)[~lesion])
    assert shift in (0.0, -1024.0)
    assert np.mean((after - before)[lesion]) - shift < -15
    said = scalemai("replay", out / "case" / "synthesis.json", "--out", out.with_name("again"))
    assert said.code == 0, said.err
    assert hashes(out.with_name("again")) == hashes(out)


def test_masks_may_lie_elsewhere(tmp_path: Path, out: Path) -> None:
    case = write_case(tmp_path / "data" / "p1")
    ct = write(tmp_path / "scans" / "p1.nii.gz", body()[0])
    assert synthesize(ct, "--labels", case / "segmentations", "--out", out).code == 0
    assert (out / "p1" / "segmentations" / "liver.nii.gz").is_file()
    one = out.with_name("one")
    assert synthesize(ct, "--labels", case / "segmentations/liver.nii.gz", "--out", one).code == 0
    assert hashes(one)["p1/ct.nii.gz"] == hashes(out)["p1/ct.nii.gz"]


def test_a_label_map_needs_its_class_map(tmp_path: Path, out: Path) -> None:
    hu, masks = body()
    ct = write(tmp_path / "p1.nii.gz", hu)
    labels = write(tmp_path / "all.nii.gz", (5 * masks["liver"]).astype(np.uint8))
    said = synthesize(ct, "--labels", labels, "--out", out)
    assert said.code == 2
    assert f"scalemai: {labels}: label values mean nothing" in said.lines[0]
    assert "or name a single mask after its structure" in said.lines[0]
    assert "give --class-map, one of " in said.lines[0]
    said = synthesize(ct, "--labels", labels, "--class-map", "totalsegmentator-v2", "--out", out)
    assert said.code == 0, said.err
    assert (out / "p1" / "segmentations" / "liver_lesion.nii.gz").is_file()


def test_masks_of_other_formats_are_refused_by_name(case: Path, out: Path) -> None:
    nrrd = case.parent / "seg.nrrd"
    nrrd.write_bytes(b"NRRD0004")
    said = synthesize(case, "--labels", nrrd, "--class-map", "pants", "--out", out)
    assert said.code == 2
    assert said.lines[0].startswith(f"scalemai: {nrrd}: is neither NIfTI nor DICOM; give NIfTI")
    assert not out.exists()


def test_a_damaged_segmentation_is_named(case: Path, out: Path) -> None:
    seg = case.parent / "seg.dcm"
    seg.write_bytes(b"\0" * 128 + b"DICM")
    said = synthesize(case, "--labels", seg, "--out", out)
    assert said.code == 1
    assert len(said.lines) == 1
    assert str(seg) in said.lines[0]
    assert not out.exists()


@pytest.mark.real
def test_a_dicom_segmentation_may_hold_the_masks(shared_data: Path, out: Path) -> None:
    folder = shared_data / "dicom" / "dcmqi_ct3"
    seg = folder / "seg" / "liver.dcm"
    said = synthesize(folder / "ct", "--labels", seg, "--out", out)
    assert said.code == 0, said.err
    (made,) = out.glob("*/segmentations/liver_lesion.nii.gz")
    again = scalemai("replay", made.parents[1] / "synthesis.json", "--out", out.parent / "again")
    assert again.code == 0, again.err
    assert hashes(out.parent / "again") == hashes(out)


def test_dicom_with_masks_of_its_grid_works_end_to_end(tmp_path: Path, out: Path) -> None:
    masks = write_case(tmp_path / "masks") / "segmentations"
    hu = body()[0]
    series = write_dicom(tmp_path / "p1", hu)
    said = synthesize(series, "--labels", masks, "--out", out, "--count", 2)
    assert said.code == 0, said.err
    image = nib.load(out / "p1" / "ct.nii.gz")
    reference = nib.load(tmp_path / "masks" / "ct.nii.gz")
    # Whatever axis order was chosen, both scans are the same in RAS+ but for the lesions.
    after = nib.as_closest_canonical(image)
    before = nib.as_closest_canonical(reference)
    assert np.allclose(after.affine, before.affine, atol=1e-3)
    lesions = nib.as_closest_canonical(nib.load(out / "p1" / "lesions.nii.gz"))
    changed = np.asanyarray(after.dataobj) != np.asanyarray(before.dataobj)
    assert changed[np.asanyarray(lesions.dataobj) > 0].all()
    assert changed.sum() < 0.05 * changed.size
    said = scalemai("replay", out / "p1" / "synthesis.json", "--out", tmp_path / "again")
    assert said.code == 0, said.err
    assert hashes(tmp_path / "again") == hashes(out)
