"""``remove`` and ``rewind``: cases in, counterfactual cases out, and each error in one line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from .hosts import ORGANS, SHAPE, body, hashes, inside, partials, scalemai, write

CENTRE = ORGANS["liver"][0]
LESION = inside(CENTRE, (12.0, 12.0, 12.0))
SMALL = inside((25.0, 0.0, 30.0), (5.0, 5.0, 6.0))


def patient(folder: Path, lesion: NDArray[np.bool_] = LESION, *, bare: bool = False) -> Path:
    """A case with a dark lesion in its liver."""
    hu, masks = body()
    hu = hu.copy()
    hu[lesion] -= 50
    write(folder / "ct.nii.gz", hu)
    for name, mask in ({} if bare else masks).items():
        write(folder / "segmentations" / f"{name}.nii.gz", mask.astype(np.uint8))
    write(folder / "segmentations" / "liver_lesion.nii.gz", lesion.astype(np.uint8))
    return folder


def array(path: Path) -> NDArray[np.int64]:
    return np.asarray(nib.load(path).dataobj).astype(np.int64)


def run(*words: object) -> tuple[int, str]:
    said = scalemai(*words, "--workers", 1)
    assert "Traceback" not in said.err
    return said.code, said.err


def test_remove_leaves_a_case_without_the_lesion(tmp_path: Path) -> None:
    case, out = patient(tmp_path / "case"), tmp_path / "out"
    code, err = run("remove", case, "--out", out)
    assert code == 0, err
    before, after = array(case / "ct.nii.gz"), array(out / "case" / "ct.nii.gz")
    liver = array(case / "segmentations" / "liver.nii.gz") > 0
    assert np.median(after[LESION]) == pytest.approx(np.median(before[liver & ~LESION]), abs=4)
    far = ~inside(CENTRE, (22.0, 22.0, 24.0))
    assert (after[far] == before[far]).all()
    segmentations = out / "case" / "segmentations"
    assert not array(segmentations / "liver_lesion.nii.gz").any()
    assert (array(segmentations / "liver.nii.gz")[LESION] == 1).all()
    record = json.loads((out / "case" / "removal.json").read_text())
    (one,) = record["removed"]
    assert one["structure"] == "liver"
    assert one["measured"]["voxels"] == LESION.sum()
    assert one["measured"]["histogram_ks"] < 0.15
    assert (out / "case" / record["host"]["ct"]).resolve() == (case / "ct.nii.gz").resolve()


def test_the_hole_in_an_organ_mask_that_leaves_tumors_out_is_closed(tmp_path: Path) -> None:
    case, out = patient(tmp_path / "case"), tmp_path / "out"
    liver = case / "segmentations" / "liver.nii.gz"
    write(liver, ((array(liver) > 0) & ~LESION).astype(np.uint8))
    assert run("remove", case, "--out", out)[0] == 0
    assert array(out / "case" / "segmentations" / "liver.nii.gz")[LESION].all()


def test_one_of_several_lesions_is_removed_by_its_number(tmp_path: Path) -> None:
    case, out = patient(tmp_path / "case", LESION | SMALL), tmp_path / "out"
    assert run("remove", case, "--out", out, "--number", 2)[0] == 0
    left = array(out / "case" / "segmentations" / "liver_lesion.nii.gz") > 0
    assert (left == LESION).all()
    before, after = array(case / "ct.nii.gz"), array(out / "case" / "ct.nii.gz")
    assert (after[LESION] == before[LESION]).all()
    assert (after[SMALL] != before[SMALL]).any()


def test_the_same_command_gives_the_same_files_and_does_nothing_twice(tmp_path: Path) -> None:
    case = patient(tmp_path / "case")
    outs = [tmp_path / "a" / "out", tmp_path / "b" / "out"]
    for out in outs:
        assert run("remove", case, "--out", out)[0] == 0
    assert hashes(outs[0]) == hashes(outs[1])
    assert "were done before" in run("remove", case, "--out", outs[0])[1]
    code, err = run("remove", case, "--out", outs[0], "--seed", 1)
    assert code == 2
    assert "seed" in err
    assert not partials(tmp_path)


def test_months_before_the_tumor_is_smaller(tmp_path: Path) -> None:
    case, out = patient(tmp_path / "case"), tmp_path / "out"
    code, err = run("rewind", case, "--out", out, "--months", 6, "--doubling-days", 182.625)
    assert code == 0, err
    left = array(out / "case" / "segmentations" / "liver_lesion.nii.gz") > 0
    assert left.sum() == round(LESION.sum() / 2)
    assert not (left & ~LESION).any()
    assert array(out / "case" / "segmentations" / "liver.nii.gz")[LESION].all()
    after = array(out / "case" / "ct.nii.gz")
    assert np.median(after[left]) < 85.0
    record = json.loads((out / "case" / "rewind.json").read_text())
    assert record["days_before"] == pytest.approx(182.625)
    assert record["lesions"][0]["measured"]["voxels"] == left.sum()


def test_no_months_before_is_the_scan_itself(tmp_path: Path) -> None:
    case, out = patient(tmp_path / "case"), tmp_path / "out"
    assert run("rewind", case, "--out", out, "--months", 0)[0] == 0
    for name in ("ct.nii.gz", "segmentations/liver_lesion.nii.gz", "segmentations/liver.nii.gz"):
        there, here = nib.load(case / name), nib.load(out / "case" / name)
        assert (np.asarray(there.dataobj) == np.asarray(here.dataobj)).all()
        assert (there.affine == here.affine).all()


def test_a_schedule_gives_nested_scans_and_the_last_is_the_real_one(tmp_path: Path) -> None:
    case, out = patient(tmp_path / "case"), tmp_path / "out"
    code, err = run("rewind", case, "--out", out, "--schedule", "0, 200, 400 d", "--kind", "hcc")
    assert code == 0, err
    names = [f"before_{days:04d}_days" for days in (400, 200, 0)]
    assert set(names) <= {path.name for path in (out / "case").iterdir()}
    masks = [
        array(out / "case" / name / "segmentations" / "liver_lesion.nii.gz") > 0 for name in names
    ]
    assert 0 < masks[0].sum() < masks[1].sum() < masks[2].sum() == LESION.sum()
    assert not (masks[0] & ~masks[1]).any()
    last = array(out / "case" / names[-1] / "ct.nii.gz")
    assert (last == array(case / "ct.nii.gz")).all()


def test_a_doubling_time_that_was_assumed_is_said(tmp_path: Path) -> None:
    case, out = patient(tmp_path / "case"), tmp_path / "out"
    code, err = run("rewind", case, "--out", out, "--months", 3)
    assert code == 0
    assert "whose volume doubles in" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["remove", "--lesion", "liver"], "liver is no lesion"),
        (["remove", "--lesion", "nonsense"], "unknown structure"),
        (["remove", "--lesion", "colon_lesion"], "the wall that it grew in cannot be rebuilt"),
        (["remove", "--number", "0"], "--number"),
        (["rewind"], "--months and --schedule"),
        (["rewind", "--months", "-3"], "--months"),
        (["rewind", "--schedule", "5, 10 mm"], "--schedule"),
        (["rewind", "--months", "3", "--law", "linear"], "there is no growth law"),
        (["rewind", "--months", "3", "--doubling-days", "0"], "doubling"),
    ],
)
def test_a_wrong_request_is_one_line_and_nothing_is_written(
    tmp_path: Path, words: list[str], message: str
) -> None:
    case, out = patient(tmp_path / "case"), tmp_path / "out"
    said = scalemai(words[0], case, "--out", out, "--workers", 1, *words[1:])
    assert said.code == 2
    assert len(said.lines) == 1
    assert re.search(message, said.err)
    assert not out.exists()


def test_cases_that_cannot_be_changed_are_listed_and_the_others_done(tmp_path: Path) -> None:
    root, out = tmp_path / "cases", tmp_path / "out"
    patient(root / "good")
    patient(root / "empty", np.zeros(SHAPE, np.bool_))
    patient(root / "no_liver", bare=True)
    edge = np.zeros(SHAPE, np.bool_)
    edge[20:30, 20:30, :3] = True
    patient(root / "edge", edge)
    patient(root / "large", inside(CENTRE, (27.0, 27.0, 30.0)))
    code, err = run("remove", root, "--out", out)
    assert code == 1
    assert (out / "good" / "removal.json").is_file()
    for name, reason in (
        ("empty", "the liver_lesion mask is empty"),
        ("no_liver", "has no mask of the liver"),
        ("edge", "touches the border of the scan"),
        ("large", "% of the liver"),
    ):
        (line,) = [one for one in err.splitlines() if one.startswith(f"failed: {name}")]
        assert reason in line
        assert not (out / name).exists()


def test_the_original_is_never_replaced(tmp_path: Path) -> None:
    case = patient(tmp_path / "cases" / "case")
    before = hashes(tmp_path / "cases")
    for verb in (["remove"], ["rewind", "--months", 3]):
        code, err = run(verb[0], case, "--out", tmp_path / "cases", *verb[1:])
        assert code == 2
        assert "would replace its host" in err
    after = hashes(tmp_path / "cases")
    assert {name: after[name] for name in before} == before
