"""Commands beside synthesize: each writes what it says, and says in one line what is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from .hosts import body, hashes, scalemai, synthesize, tree, write, write_case, write_cases


@pytest.fixture
def case(tmp_path: Path) -> Path:
    return write_case(tmp_path / "data" / "case")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


# --- replay, index -------------------------------------------------------------------------


def test_replay_gives_the_same_files_and_says_where(case: Path, out: Path, tmp_path: Path) -> None:
    assert synthesize(case, "--out", out, "--count", 3).code == 0
    said = scalemai("replay", out / "case" / "synthesis.json", "--out", tmp_path / "again")
    assert (said.code, said.out, said.err) == (0, f"{tmp_path / 'again' / 'case'}\n", "")
    assert hashes(tmp_path / "again") == hashes(out)


def test_replay_does_not_replace_the_host(case: Path, out: Path) -> None:
    assert synthesize(case, "--out", out).code == 0
    before = hashes(case)
    said = scalemai("replay", out / "case" / "synthesis.json", "--out", case.parent)
    assert said.code == 2
    assert f"{case}: the result would replace its host" in said.lines[0]
    assert hashes(case) == before


def test_an_index_is_written_and_opened(tmp_path: Path, out: Path) -> None:
    root = write_cases(tmp_path / "data", 2)
    said = scalemai("index", root)
    assert (said.code, said.out) == (0, f"{root / 'cases.parquet'}\n")
    assert synthesize(root / "cases.parquet", "--out", out).code == 0
    assert sorted(p for p in tree(out) if "/" not in p) == ["case_00", "case_01"]


# --- phantom, preview, info ----------------------------------------------------------------


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms") / "small"
    said = scalemai("phantom", "--out", folder, "--n", 1, "--small", "--workers", 1)
    assert (said.code, said.out) == (0, ""), said.err
    return folder


def test_a_phantom_is_a_host_with_masks(phantoms: Path, out: Path) -> None:
    said = synthesize(phantoms, "--out", out, "--organ", "pancreas,liver,kidney", "--count", 3)
    assert said.code == 0, said.err
    assert "note: " not in said.err  # every organ has its mask
    case = out / "phantom_00000"
    assert scalemai("replay", case / "synthesis.json", "--out", out.with_name("b")).code == 0
    assert hashes(out.with_name("b")) == hashes(out)


def test_more_phantoms_are_added_to_a_folder_and_lost_ones_made_again(
    phantoms: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(phantoms, folder)
    said = scalemai("phantom", "--out", folder, "--n", 1, "--small", "--workers", 1)
    assert said.lines[0] == "1 of 1 cases were done before"
    shutil.rmtree(folder / "phantom_00000")
    (folder / ".phantom_00000.1.partial").mkdir()
    said = scalemai("phantom", "--out", folder, "--n", 1, "--small", "--workers", 1)
    assert said.code == 0
    assert hashes(folder) == hashes(phantoms)
    assert tree(folder) == tree(phantoms)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--phase", "arterail"], "unknown contrast phase 'arterail'; did you mean 'arterial'"),
        (["--spacing", "1,2"], "--spacing: '1,2' is not x,y,z; give three numbers in mm"),
        (["--spacing", "0,1,1"], "--spacing is (0.0, 1.0, 1.0); give three of"),
        (["--spacing", "-1,1,1"], "--spacing is (-1.0, 1.0, 1.0); give three of"),
        (["--spacing", "nan,1,1"], "--spacing: 'nan,1,1' is not x,y,z"),
    ],
)
def test_an_impossible_phantom_is_refused(out: Path, words: list[str], named: str) -> None:
    said = scalemai("phantom", "--out", out, "--n", 1, "--small", *words)
    assert said.code == 2
    (line,) = said.lines
    assert named in line
    assert not out.exists()


@pytest.mark.slow
def test_one_command_makes_phantoms_and_grows_tumors_in_them(out: Path) -> None:
    said = synthesize("phantom:1", "--out", out, "--montage")
    assert said.code == 0, said.err
    assert said.out == f"{out / 'montage.png'}\n"
    assert "phantom_00000/segmentations/liver_lesion.nii.gz" in tree(out)


def test_a_preview_is_a_picture_of_the_case(case: Path, out: Path) -> None:
    synthesize(case, "--out", out)
    picture = out.with_name("p.png")
    said = scalemai("preview", out / "case", "--out", picture)
    assert (said.code, said.out) == (0, f"{picture}\n")
    assert picture.read_bytes().startswith(b"\x89PNG")
    one = out.with_name("one.png")
    assert scalemai("preview", case, "--structure", "liver, kidney_left", "--out", one).code == 0
    assert one.read_bytes() != picture.read_bytes()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--structure", "livr"], "has no mask of 'livr'; the nearest is liver"),
        (["--structure", "pancreas"], "has no mask of 'pancreas'; it has kidney_left, liver"),
        (["--structure", ","], "--structure: no structure is named"),
        (["--window", "bones"], "unknown window 'bones'; did you mean 'bone'?"),
    ],
)
def test_a_wrong_preview_writes_nothing(case: Path, words: list[str], named: str) -> None:
    said = scalemai("preview", case, "--out", case.parent / "p.png", *words)
    assert said.code in (1, 2)
    (line,) = said.lines
    assert named in line
    assert not (case.parent / "p.png").exists()


def test_a_bad_case_does_not_keep_others_from_their_pictures(tmp_path: Path) -> None:
    root = write_cases(tmp_path / "data", 3)
    (root / "case_01" / "ct.nii.gz").write_bytes(b"")
    said = scalemai("preview", root, "--out", tmp_path / "pictures")
    assert said.code == 1
    assert tree(tmp_path / "pictures") == ["case_00.png", "case_02.png"]
    (line,) = said.lines
    assert line.startswith(f"failed: case_01: {root / 'case_01' / 'ct.nii.gz'}: is empty")


def test_info_says_what_a_file_holds(case: Path) -> None:
    said = scalemai("info", case / "ct.nii.gz")
    assert (said.code, said.err) == (0, "")
    assert "52 x 44 x 26 voxels of 2.5 x 2.5 x 4 mm, LPS" in said.out
    content = json.loads(scalemai("info", case / "segmentations" / "liver.nii.gz", "--json").out)
    assert content["kind"] == "mask"


def test_a_class_map_that_is_asked_for_can_be_given(tmp_path: Path) -> None:
    hu, masks = body()
    for name in ("a", "b"):
        write(tmp_path / "data" / name / "ct.nii.gz", hu)
        write(tmp_path / "data" / name / "labels.nii.gz", (5 * masks["liver"]).astype(np.uint8))
    for command, target in (("info", "data/a"), ("index", "data")):
        said = scalemai(command, tmp_path / target)
        assert said.code in (1, 2)
        assert "give --class-map" in said.lines[0]
        said = scalemai(command, tmp_path / target, "--class-map", "totalsegmentator-v2")
        assert said.code == 0, said.err
    out = tmp_path / "out"
    assert synthesize(tmp_path / "data" / "cases.parquet", "--out", out).code == 0


@pytest.mark.parametrize("command", ["index", "info", "preview"])
def test_a_path_that_is_not_there_is_one_line(command: str, tmp_path: Path) -> None:
    said = scalemai(command, tmp_path / "nowhere")
    assert said.code in (1, 2)
    (line,) = said.lines
    assert str(tmp_path / "nowhere") in line
    assert list(tmp_path.iterdir()) == []
