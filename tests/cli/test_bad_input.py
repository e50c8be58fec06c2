"""Every bad input ends in one line that names the file and the way out, and in nothing written."""

from __future__ import annotations

import gzip
import json
import re
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import polars as pl
import pytest

from scalemai.cases import build_index

from .hosts import (
    affine,
    body,
    inside,
    scalemai,
    synthesize,
    tree,
    write,
    write_case,
    write_cases,
    write_dicom,
)

Damage = Callable[[Path], None]


def ct(case: Path) -> Path:
    return case / "ct.nii.gz"


def liver(case: Path) -> Path:
    return case / "segmentations" / "liver.nii.gz"


def hu() -> np.ndarray:
    return body()[0]


def mask() -> np.ndarray:
    return body()[1]["liver"].astype(np.uint8)


def patch_header(path: Path, changes: dict[int, float]) -> None:
    """Set floats of a NIfTI header, by byte offset, as no library would write them."""
    plain = bytearray(gzip.decompress(path.read_bytes()))
    for offset, value in changes.items():
        struct.pack_into("<f", plain, offset, value)
    path.write_bytes(gzip.compress(bytes(plain)))


def with_pixdim_z(value: float) -> Damage:
    def damage(case: Path) -> None:
        image = nib.Nifti1Image(hu(), affine())
        image.set_sform(None, 0)
        image.set_qform(affine(), 1)
        nib.save(image, ct(case))
        patch_header(ct(case), {76 + 4 * 3: value})  # pixdim[3]

    return damage


def with_zero_column(case: Path) -> None:
    patch_header(ct(case), {280 + 16 * row + 4 * 2: 0.0 for row in range(3)})  # srow_[xyz][2]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def with_voxels(change: Callable[[np.ndarray], np.ndarray]) -> Damage:
    def damage(case: Path) -> None:
        write(ct(case), change(hu()))

    return damage


def not_a_number(array: np.ndarray) -> np.ndarray:
    array = array.astype(np.float32)
    array[0, 0, :3] = np.nan
    return array


def as_picture(array: np.ndarray) -> np.ndarray:
    return np.clip((array + 160) * 255 / 400, 0, 255).astype(np.uint8)


def shift_into_air(case: Path) -> None:
    write(liver(case), inside((58.0, 45.0, 5.0), (25.0, 20.0, 30.0)).astype(np.uint8))


def drop_slice(case: Path) -> None:
    write(liver(case), mask()[:, :, :-1])


def move_mask(case: Path) -> None:
    matrix = affine()
    matrix[2, 3] += 20.0
    write(liver(case), mask(), matrix)


def empty(case: Path) -> None:
    write(liver(case), np.zeros_like(mask()))


def soft(case: Path) -> None:
    write(liver(case), np.full(mask().shape, np.nan, np.float32))


# What is done to a good case; the file that the line must name; what is wrong; what to do.
BAD_CASES: dict[str, tuple[Damage, str, str, str]] = {
    "organ mask missing": (
        lambda case: liver(case).unlink(), "case", "no mask of .*liver", "it has kidney_left"),
    "organ mask empty": (empty, "liver.nii.gz", "mask is empty", "choose another structure"),
    "organ mask all NaN": (soft, "liver.nii.gz", "mask is empty", "choose another structure"),
    "mask one slice short": (
        drop_slice, "liver.nii.gz", "52 x 44 x 25 .* has 52 x 44 x 26", "resample the mask"),
    "mask moved": (move_mask, "liver.nii.gz", "20 mm off", "copy the affine"),
    "mask of another patient": (
        shift_into_air, "liver.nii.gz", "% of the liver mask lies in air", "mask of this CT"),
    "mask truncated": (
        lambda case: truncate(liver(case)), "liver.nii.gz", "truncated", "copy or download"),
    "zero spacing": (with_pixdim_z(0.0), "ct.nii.gz", "spacing .* 0 mm along k", "export"),
    "negative spacing": (with_pixdim_z(-4.0), "ct.nii.gz", "-4 mm along k", "export"),
    "zero column": (with_zero_column, "ct.nii.gz", "0 mm along array axis 2", "export"),
    "2-D": (with_voxels(lambda a: a[:, :, 13]), "ct.nii.gz", "is 2-D", "give the whole volume"),
    "4-D": (
        with_voxels(lambda a: np.stack([a, a, a], -1)), "ct.nii.gz", "is 4-D", "choose one phase"),
    "NaN": (with_voxels(not_a_number), "ct.nii.gz", "3 voxels are NaN", "replace them by -1000"),
    "8-bit": (with_voxels(as_picture), "ct.nii.gz", "8-bit", "export the CT again in Hounsfield"),
    "picture in 16 bits": (
        with_voxels(lambda a: as_picture(a).astype(np.int16)),
        "ct.nii.gz", "windowed 8-bit picture", "export the CT again in Hounsfield"),
    "normalised": (
        with_voxels(lambda a: (a / 1000.0).astype(np.float32)),
        "ct.nii.gz", "normalised", "export the CT again"),
    "offset missed": (
        with_voxels(lambda a: np.maximum(a + 1024, 0).astype(np.int16)),
        "ct.nii.gz", r"looks like HU \+ 1024", "pass --hu-offset -1024"),
    "constant": (with_voxels(np.zeros_like), "ct.nii.gz", "every voxel is 0", "export the series"),
    "CT truncated": (lambda case: truncate(ct(case)), "ct.nii.gz", "truncated", "copy or download"),
    "CT empty file": (
        lambda case: ct(case).write_bytes(b"") and None, "ct.nii.gz", "is empty", "copy the file"),
    "CT is a text": (
        lambda case: ct(case).write_text("no scan") and None,
        "ct.nii.gz", "not a NIfTI", "give .nii, .nii.gz or a DICOM"),
}  # fmt: skip


@pytest.fixture
def case(tmp_path: Path) -> Path:
    return write_case(tmp_path / "data" / "case")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.mark.parametrize("name", BAD_CASES)
def test_a_bad_case_is_one_line_and_nothing_is_written(name: str, case: Path, out: Path) -> None:
    damage, file, wrong, way_out = BAD_CASES[name]
    damage(case)
    said = synthesize(case, "--out", out)
    assert said.code == 1
    summary, line = said.lines
    assert summary.startswith("synthesized 0 / 1 cases · 1 failed")
    where, _, what = line.removeprefix("failed: case: ").partition(": ")
    assert Path(where).name == file or line.startswith(f"failed: {file}: ")
    what, _, fix = what.partition("; ") if file != "case" else line.partition("; ")
    assert re.search(wrong, what), line
    assert way_out in fix, line
    assert tree(out) == []


def test_one_bad_case_of_ten_costs_itself_alone(tmp_path: Path, out: Path) -> None:
    root = write_cases(tmp_path / "data", 10)
    truncate(ct(root / "case_04"))
    said = synthesize(root, "--out", out)
    assert said.code == 1
    written = sorted(p.name for p in out.iterdir() if p.is_dir())
    assert written == [f"case_{n:02d}" for n in range(10) if n != 4]
    assert [line for line in said.lines if line.startswith("failed: ")] == [said.lines[-1]]
    assert said.lines[-1].startswith(f"failed: case_04: {ct(root / 'case_04')}: is truncated")
    assert "synthesized 9 / 10 cases · 1 failed" in said.err
    write_case(root / "case_04", seed=4)  # the same command then does what was left
    said = synthesize(root, "--out", out)
    assert said.code == 0
    assert "9 of 10 cases were done before" in said.err
    assert len([p for p in out.iterdir() if p.is_dir()]) == 10


def test_ten_bad_cases_are_ten_lines(tmp_path: Path, out: Path) -> None:
    root = write_cases(tmp_path / "data", 10)
    for one in root.iterdir():
        truncate(ct(one))
    said = synthesize(root, "--out", out)
    assert said.code == 1
    failed = [line for line in said.lines if line.startswith("failed: ")]
    assert failed == said.lines[-10:]
    assert [line.split(": ")[1] for line in failed] == [f"case_{n:02d}" for n in range(10)]
    assert tree(out) == []


# --- what is wrong with the request: nothing is started ------------------------------------


def refused(*words: object) -> str:
    """The one line of a request that is refused."""
    said = synthesize(*words)
    assert said.code in (1, 2)
    assert said.out == ""
    (line,) = said.lines
    assert line.startswith("scalemai: ")
    return line


def test_an_empty_folder_is_named(tmp_path: Path, out: Path) -> None:
    (tmp_path / "data").mkdir()
    assert str(tmp_path / "data") in refused(tmp_path / "data", "--out", out)
    assert not out.exists()


def test_a_path_that_is_not_there_is_named(tmp_path: Path, out: Path) -> None:
    line = refused(tmp_path / "data", "--out", out)
    assert f"{tmp_path / 'data'}: no such file or folder; check the path" in line
    assert not out.exists()


def test_an_organ_too_small_says_how_wide_it_is(case: Path, out: Path) -> None:
    said = synthesize(case, "--out", out, "--diameter", "100-120mm")
    assert said.code == 1
    assert "the liver is at most" in said.lines[-1]
    assert "too small for a lesion of 100 mm; ask for a smaller --diameter" in said.lines[-1]
    assert tree(out) == []


def test_a_place_outside_of_the_organ_is_refused(case: Path, out: Path) -> None:
    said = synthesize(case, "--out", out, "--at", "900,0,0")
    assert said.code == 1
    assert "(900, 0, 0) mm lies outside the liver; give RAS+ mm inside the organ" in said.lines[-1]
    assert tree(out) == []


# --- DICOM ---------------------------------------------------------------------------------


def test_unreadable_dicom_is_named(tmp_path: Path, out: Path) -> None:
    series = write_dicom(tmp_path / "series", hu())
    for file in series.iterdir():
        truncate(file)
    said = synthesize(
        series, "--labels", write_case(tmp_path / "m") / "segmentations", "--out", out
    )
    assert said.code == 1
    assert str(series) in said.lines[-1]
    assert said.lines[-1].count("; ") >= 1
    assert tree(out) == []


def test_two_series_in_one_folder_are_told_apart(tmp_path: Path, out: Path) -> None:
    masks = write_case(tmp_path / "m") / "segmentations"
    write_dicom(tmp_path / "mixed" / "a", hu())
    write_dicom(tmp_path / "mixed" / "b", hu(), series="1.2.826.0.1.3680043.8.498.2")
    said = synthesize(tmp_path / "mixed", "--labels", masks, "--out", out)
    assert said.code == 1
    assert "1.2.826.0.1.3680043.8.498.1" in said.lines[-1]
    assert "--series" in said.lines[-1]
    assert tree(out) == []
    chosen = "1.2.826.0.1.3680043.8.498.2"
    said = synthesize(tmp_path / "mixed", "--labels", masks, "--series", chosen, "--out", out)
    assert said.code == 0, said.err


# --- paths that climb ----------------------------------------------------------------------


def manifest(root: Path, image: str) -> None:
    root.mkdir(parents=True)
    labels = {"0": "background", "1": "liver"}
    training = [{"image": image, "label": "./labelsTr/a.nii.gz"}]
    content = {"modality": {"0": "CT"}, "labels": labels, "training": training}
    (root / "dataset.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("image", "wrong"),
    [
        ("../case/ct.nii.gz", "climbs"),
        ("imagesTr/../../case/ct.nii.gz", "climbs"),
        ("/etc/passwd", "absolute"),
        ("C:\\ct.nii.gz", "absolute"),
    ],
)
def test_a_manifest_that_leads_out_is_refused(
    tmp_path: Path, case: Path, out: Path, image: str, wrong: str
) -> None:
    manifest(tmp_path / "data" / "Task99", image)
    line = refused(tmp_path / "data" / "Task99", "--out", out)
    assert str(tmp_path / "data" / "Task99" / "dataset.json") in line
    assert wrong in line
    assert not out.exists()


def test_an_index_that_leads_out_is_refused(tmp_path: Path, out: Path) -> None:
    write_case(tmp_path / "data" / "secret")
    index = build_index(write_cases(tmp_path / "data" / "set", 2))
    table = pl.read_parquet(index)
    table.with_columns(ct=pl.lit("../secret/ct.nii.gz")).write_parquet(index)
    line = refused(index, "--out", out)
    assert f"{index}: " in line
    assert "climbs with '..'" in line
    assert not out.exists()


@pytest.mark.parametrize("name", ["../evil", "a/b", "..", "", ".hidden", "nul\0", 7, None])
def test_a_sidecar_that_writes_elsewhere_is_refused(
    case: Path, tmp_path: Path, out: Path, name: object
) -> None:
    assert synthesize(case, "--out", out).code == 0
    sidecar = out / "case" / "synthesis.json"
    content = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps({**content, "case": name}))
    said = scalemai("replay", sidecar, "--out", tmp_path / "again")
    assert said.code == 2
    (line,) = said.lines
    assert str(sidecar) in line
    assert not (tmp_path / "again").exists()
