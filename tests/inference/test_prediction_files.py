"""What is written overlays the CT in any viewer, and evaluation reads it as it is."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

pytest.importorskip("torch", reason="detectors need torch")
pytest.importorskip("monai", reason="windows are weighted by MONAI")

from cli.hosts import partials, tree, write_dicom
from cli.hosts import write_case as write_body
from scalemai.cases import open_cases
from scalemai.errors import ConfigError, OutputError
from scalemai.evaluation.maskset import open_masks
from scalemai.evaluation.probabilities import read_probability
from scalemai.evaluation.spreadsheet import read_csv
from scalemai.inference.files import check_target, write_prediction
from scalemai.inference.predict import Prediction, predict_case
from scalemai.inference.settings import Runtime, Settings

from .hosts import Ball, detector, turned, write_host

RUNTIME = Runtime(threads=1)
BALLS = [Ball((12.0, -8.0, 5.0), 8.0), Ball((-15.0, 10.0, -9.0), 5.0)]


def predicted(folder: Path, one=None, settings: Settings | None = None) -> Prediction:
    (case,) = open_cases(folder)
    return predict_case(one or detector(), case, settings, RUNTIME)


@pytest.fixture
def host(tmp_path: Path) -> Path:
    return write_host(tmp_path / "data" / "c", turned((2, 0, 1), (1, -1, -1)), BALLS)


def test_maps_and_masks_carry_the_header_of_the_ct(host: Path, tmp_path: Path) -> None:
    found = predicted(host)
    folder = write_prediction(found, tmp_path / "out" / "c")
    assert tree(folder) == [
        "findings.csv", "findings.json", "probabilities", "probabilities/liver_lesion.nii.gz",
        "segmentations", "segmentations/liver_lesion.nii.gz",
    ]  # fmt: skip
    ct = nib.load(host / "ct.nii.gz")
    for name in ("probabilities", "segmentations"):
        image = nib.load(folder / name / "liver_lesion.nii.gz")
        assert np.array_equal(image.affine, ct.affine)
        assert image.shape == ct.shape
        assert image.header["descrip"].tobytes().rstrip(b"\0") == b"scanner 7"
        assert int(image.header["sform_code"]) == int(ct.header["sform_code"])
    image = nib.load(folder / "probabilities" / "liver_lesion.nii.gz")
    assert (float(image.header["cal_min"]), float(image.header["cal_max"])) == (0.0, 1.0)
    values = np.asarray(image.dataobj)
    assert np.array_equal(values[found.region], found.probability("liver_lesion"))
    mask = np.asarray(nib.load(folder / "segmentations" / "liver_lesion.nii.gz").dataobj)
    assert np.array_equal(mask > 0, values >= 0.5)
    assert values.max() == 1.0


def test_the_tables_hold_every_finding_and_where_it_comes_from(host: Path, tmp_path: Path) -> None:
    found = predicted(host)
    folder = write_prediction(found, tmp_path / "out" / "c")
    plain = json.loads((folder / "findings.json").read_text())
    rows = read_csv(folder / "findings.csv")
    assert rows["case"].to_list() == ["c", "c"]
    assert rows["structure"].to_list() == ["liver_lesion"] * 2
    for one, told, row in zip(
        found.findings, plain["findings"], rows.iter_rows(named=True), strict=True
    ):
        assert told["diameter_mm"] == one.sizes.diameter_mm
        assert (told["x_mm"], told["y_mm"], told["z_mm"]) == one.centre_mm
        assert row["score"] == pytest.approx(one.score)
        assert row["contrast_hu"] == pytest.approx(one.contrast_hu)
        assert row["at_border"] is False
    assert plain["provenance"]["settings"]["threshold"] == 0.5
    assert plain["provenance"]["detectors"] == found.provenance["detectors"]
    assert plain["format"] == "scalemai-prediction/1"


def test_nothing_found_is_written_too(tmp_path: Path) -> None:
    host = write_host(tmp_path / "data" / "c", turned(), [])
    folder = write_prediction(predicted(host), tmp_path / "out" / "c")
    assert json.loads((folder / "findings.json").read_text())["findings"] == []
    assert read_csv(folder / "findings.csv").height == 0
    mask = nib.load(folder / "segmentations" / "liver_lesion.nii.gz")
    assert not np.asarray(mask.dataobj).any()


def test_the_same_prediction_is_the_same_bytes(host: Path, tmp_path: Path) -> None:
    one = write_prediction(predicted(host), tmp_path / "one" / "c")
    two = write_prediction(predicted(host), tmp_path / "two" / "c")
    for name in tree(one):
        if (one / name).is_file():
            assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_evaluation_opens_what_was_written(host: Path, tmp_path: Path) -> None:
    found = predicted(host)
    write_prediction(found, tmp_path / "out" / "c")
    masks = open_masks(tmp_path / "out")
    assert masks.ids == ("c",)
    maps = masks.maps_of("c")
    values = read_probability(maps["liver_lesion"], found.volume.grid, host / "ct.nii.gz")
    assert np.array_equal(values[found.region], found.probability("liver_lesion"))
    mask = masks["c"].mask("liver_lesion", on=found.volume.grid)
    assert np.array_equal(mask.array, found.mask("liver_lesion").array)


def test_a_dicom_seg_overlays_its_series(tmp_path: Path) -> None:
    from cli.hosts import body
    from scalemai.io.dicom import read_series
    from scalemai.io.dicom_seg import read_segmentation

    hu, masks = body()
    hu[18:24, 18:24, 12:15] = np.where(masks["liver"][18:24, 18:24, 12:15], 20, 20)
    series = write_dicom(tmp_path / "ct", hu)
    write_body(tmp_path / "masks")
    (case,) = open_cases(series, masks=tmp_path / "masks" / "segmentations")
    one = detector(spacing_mm=(2.5, 2.5, 4.0))
    found = predict_case(one, case, Settings(minimum_mm3=300.0), RUNTIME)
    folder = write_prediction(found, tmp_path / "out" / "ct", dicom_source=case)
    (segment,) = read_segmentation(folder / "segmentation.dcm", match_grid=read_series(series).grid)
    assert segment.mask.array.any()
    assert np.array_equal(segment.mask.array, found.mask("liver_lesion").array)


def test_a_dicom_seg_of_a_nifti_ct_is_refused_and_leaves_nothing(
    host: Path, tmp_path: Path
) -> None:
    (case,) = open_cases(host)
    with pytest.raises(ConfigError, match="this CT is NIfTI"):
        write_prediction(predicted(host), tmp_path / "out" / "c", dicom_source=case)
    assert not (tmp_path / "out").exists()


def test_only_predictions_are_replaced(host: Path, tmp_path: Path) -> None:
    (case,) = open_cases(host)
    with pytest.raises(ConfigError, match="would replace"):
        check_target(case, host)
    other = tmp_path / "notes"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is no prediction"):
        check_target(case, other)
    folder = write_prediction(predicted(host), tmp_path / "out" / "c")
    check_target(case, folder)
    write_prediction(predicted(host), folder)
    assert partials(tmp_path) == []


def test_what_cannot_be_written_leaves_nothing_behind(host: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file in the way")
    with pytest.raises(OutputError):
        write_prediction(predicted(host), tmp_path / "out" / "c")
    assert partials(tmp_path) == []
