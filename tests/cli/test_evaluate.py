"""``scalemai evaluate``: exit codes, what goes to which stream, files, phantoms, real masks."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import polars as pl
import pytest

from scalemai.evaluation.tables import read_table

from .hosts import affine, body, inside, scalemai, write, write_case


def shifted(root: Path, out: Path, structures: tuple[str, ...], voxels: int = 1) -> Path:
    """Predictions: the masks of a data set, moved along the first axis of their arrays."""
    for path in sorted(root.rglob("segmentations/*.nii.gz")):
        name = path.name.removesuffix(".nii.gz")
        if name in structures:
            image = nib.load(path)
            moved = np.roll(np.asarray(image.dataobj), voxels, axis=0).astype(np.uint8)
            target = out / path.parent.parent.name / "segmentations" / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(moved, image.affine), target)
    return out


@pytest.fixture
def data(tmp_path: Path) -> tuple[Path, Path]:
    """Two cases with a liver lesion each; the second prediction misses it."""
    for number in range(2):
        case = write_case(tmp_path / "r" / f"case_{number}", seed=number)
        lesion = inside((25.0, 0.0, 5.0), (9.0, 9.0, 9.0))
        write(case / "segmentations" / "liver_lesion.nii.gz", lesion.astype(np.uint8))
        masks = body(number)[1] | {"liver_lesion": lesion & (number == 0)}
        for name, mask in masks.items():
            path = tmp_path / "p" / f"case_{number}" / "segmentations" / f"{name}.nii.gz"
            write(path, mask.astype(np.uint8))
    return tmp_path / "p", tmp_path / "r"


def test_an_evaluation_writes_tables_and_a_page_and_exits_with_0(
    data: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    said = scalemai("evaluate", *data, "--out", out, "--images", data[1], "--workers", 1)
    assert said.code == 0, said.err
    assert "liver: DSC 1.000 (2 cases)" in said.out
    # Wilson's limits of 1 of 2: (1 + z2/2 -+ z sqrt(1/2 + z2/4)) / (2 + z2), with z2 = 3.8415.
    assert "lesion: lesion sensitivity 0.500 (0.095 to 0.905; 2 lesions, 2 patients)" in said.out
    assert "lesion: AUROC of patients not computed because there are no negatives" in said.out
    assert said.out.splitlines()[-1] == str(out / "evaluation.html")
    lesions = read_table(out, "lesions").frame
    assert lesions["detected"].to_list() == [True, False]
    page = (out / "evaluation.html").read_text()
    assert "Free-response" in page or "FROC" in page
    assert page.count("data:image/png;base64") == 1  # the missed lesion, on its CT
    assert "surface elements" in page.lower()  # definitions stand beside the numbers


def test_a_missing_prediction_is_told_and_counted(data: tuple[Path, Path], tmp_path: Path) -> None:
    (data[0] / "case_1").rename(tmp_path / "gone")
    said = scalemai("evaluate", *data, "--out", tmp_path / "out", "--workers", 1)
    assert said.code == 0
    assert "note: 1 of 2 cases have no prediction (case_1): counted as failures" in said.err
    assert "liver: DSC 0.500 (2 cases)" in said.out


def test_a_damaged_prediction_is_listed_with_exit_code_1_and_the_rest_is_evaluated(
    data: tuple[Path, Path], tmp_path: Path
) -> None:
    bad = data[0] / "case_1" / "segmentations" / "liver.nii.gz"
    bad.write_bytes(b"nothing")
    said = scalemai("evaluate", *data, "--out", tmp_path / "out", "--workers", 1)
    assert said.code == 1
    assert any(
        line.startswith("unusable prediction: case_1: ") and str(bad) in line for line in said.lines
    )
    assert "Traceback" not in said.err
    assert "liver: DSC 0.500 (2 cases)" in said.out
    cases = read_table(tmp_path / "out", "cases").frame
    assert cases["prediction"].to_list() == ["present", "unusable"]


def test_another_grid_is_one_line_that_names_both_files(
    data: tuple[Path, Path], tmp_path: Path
) -> None:
    path = data[0] / "case_0" / "segmentations" / "liver.nii.gz"
    matrix = affine()
    matrix[:, 2] *= 2
    write(path, np.ones((52, 44, 26), np.uint8), matrix)
    said = scalemai("evaluate", *data, "--out", tmp_path / "out", "--workers", 1)
    assert said.code == 1
    (line,) = [line for line in said.lines if line.startswith("unusable prediction: case_0")]
    assert str(path) in line
    assert str(data[1] / "case_0") in line


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--rule", "nearest"], "is no matching rule"),
        (["--tolerance", "two"], "--tolerance: 'two' is no list of numbers"),
        (["--size-bins", "20,10"], "ascending order"),
        (["--structures", "livver"], "did you mean"),
        (["--structures", ","], "no structure is named"),
        (["--preset", "best"], "unknown preset"),
        (["--preset", "r-super"], "needs probability maps"),
        (["--missing", "ignore"], "unknown treatment of missing predictions"),
        (["--gate", "both"], "unknown gate"),
        (["--choose", "best"], "no rule reads"),
    ],
)
def test_a_wrong_request_is_one_line_with_exit_code_2(
    data: tuple[Path, Path], tmp_path: Path, words: list[str], what: str
) -> None:
    said = scalemai("evaluate", *data, "--out", tmp_path / "out", *words, "--workers", 1)
    assert said.code == 2
    assert what in said.lines[-1]
    assert "Traceback" not in said.err


def test_another_request_into_the_same_folder_is_refused(
    data: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert scalemai("evaluate", *data, "--out", out, "--workers", 1).code == 0
    said = scalemai("evaluate", *data, "--out", out, "--tolerance", "1,2", "--workers", 1)
    assert said.code == 2
    assert "the folder holds another run" in said.err
    again = scalemai("evaluate", *data, "--out", out, "--workers", 1)
    assert again.code == 0
    assert "2 of 2 cases were done before" in again.err


def test_a_threshold_is_chosen_locked_and_refused_on_its_own_cases(
    data: tuple[Path, Path], tmp_path: Path
) -> None:
    write(
        data[1] / "case_1" / "segmentations" / "liver_lesion.nii.gz",
        np.zeros((52, 44, 26), np.uint8),
    )
    out = tmp_path / "out"
    said = scalemai("evaluate", *data, "--out", out, "--choose", "youden", "--workers", 1)
    assert said.code == 0, said.err
    point = out / "operating_point_liver_lesion.json"
    assert json.loads(point.read_text())["rule"] == "youden"
    words = ("--operating-point", point, "--workers", 1)
    refused = scalemai("evaluate", *data, "--out", tmp_path / "again", *words)
    assert refused.code == 2
    assert "was chosen on this case" in refused.err
    told = scalemai("evaluate", *data, "--out", tmp_path / "told", *words, "--accept-tuning")
    assert told.code == 0
    rows = read_table(tmp_path / "told", "patient_summary").frame.drop_nulls("value")
    rates = rows.filter(pl.col("metric") == "sensitivity")
    assert rates["threshold"][0].endswith("tuned on the test set")


def test_a_number_without_interval_says_why_and_what_it_is_of(
    data: tuple[Path, Path], tmp_path: Path
) -> None:
    table = tmp_path / "facts.csv"
    table.write_text("case,patient\ncase_0,P\ncase_1,P\n")
    words = ("--metadata", table, "--structures", "liver_lesion,liver", "--workers", 1)
    said = scalemai("evaluate", *data, "--out", tmp_path / "out", *words)
    assert said.code == 0, said.err
    (line,) = [line for line in said.out.splitlines() if "lesion sensitivity" in line]
    assert line.startswith("liver_lesion: lesion sensitivity 0.500 (no interval because 1 ")
    assert line.endswith("too few for the interval of a share (at least 15); 2 lesions, 1 patient)")
    assert "mean over structures: DSC 0.750 (4 values)" in said.out


@pytest.mark.slow
def test_a_phantom_goes_through_the_whole_command(tmp_path: Path) -> None:
    assert scalemai("phantom", "--small", "--n", 2, "--out", tmp_path / "r").code == 0
    said = scalemai(
        "synthesize", tmp_path / "r", "--organ", "liver", "--diameter", "20-30mm",
        "--out", tmp_path / "sick", "--workers", 1,
    )  # fmt: skip
    assert said.code == 0, said.err
    names = ("liver", "liver_lesion")
    pred = shifted(tmp_path / "sick", tmp_path / "p", names)
    out = tmp_path / "out"
    words = ("--images", tmp_path / "sick", "--workers", 2, "--tolerance", "2.5,5")
    said = scalemai("evaluate", pred, tmp_path / "sick", "--out", out, *words)
    assert said.code == 0, said.err
    frame = read_table(out, "structures").frame
    assert set(frame["structure"]) == set(names)
    # Everything moved by one voxel of 2.5 mm: borders lie within 2.5 mm, and not all within less.
    assert frame["nsd_surfel_2.5mm"].min() > 0.999
    assert 0.8 < frame.filter(structure="liver")["dsc"].min() < 1
    assert frame["hd_mm"].max() <= 2.6
    lesions = read_table(out, "lesions").frame
    assert lesions["detected"].all()
    assert (lesions["diameter_mm"] > 15).all()
    assert (out / "evaluation.html").stat().st_size > 100_000


@pytest.mark.real
def test_real_masks_against_a_shifted_copy(shared_data: Path, tmp_path: Path) -> None:
    root = tmp_path / "r"
    root.mkdir()
    (root / "crlm1004").symlink_to(shared_data / "abdomen" / "crlm1004")
    pred = tmp_path / "p"
    shifted(shared_data / "abdomen" / "crlm1004", pred, ("liver", "spleen", "kidney_left"), 2)
    out = tmp_path / "out"
    said = scalemai("evaluate", pred, root, "--out", out, "--tolerance", "1,2", "--workers", 1)
    assert said.code == 0, said.err
    frame = read_table(out, "structures").frame
    assert set(frame["structure"]) == {"liver", "spleen", "kidney_left"}
    # Two voxels of 0.797 mm are 1.59 mm: all within 2 mm, and volumes are what they were.
    assert frame["nsd_surfel_2mm"].min() > 0.99
    assert frame["nsd_surfel_1mm"].max() < 0.95
    assert frame["volume_error_ml"].abs().max() < 0.5
    assert frame["dsc"].min() > 0.9
    assert frame["hd_mm"].max() < 6
