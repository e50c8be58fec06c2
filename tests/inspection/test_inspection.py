"""Inspection: what a file holds and what is odd about it, for every odd file that is at hand."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest

from scalemai.anatomy import class_map
from scalemai.errors import UnreadableFileError
from scalemai.geometry import Grid
from scalemai.inspection import inspect_file
from scalemai.inspection.numbers import class_maps_of, count_labels, looks_like_labels, summarize
from scalemai.io.nifti import read_volume, write_labels, write_mask, write_volume
from scalemai.volume import Mask, Volume

# File: its kind, and the words of each of its warnings.
ODD = {
    "2d_slice.nii.gz": ("volume", ["is 2-D"]),
    "4d_single.nii.gz": ("CT", ["4-D (64, 64, 48, 1) with one volume"]),
    "4d_three.nii.gz": ("volume", ["split it into its 3 volumes"]),
    "anisotropic_thick.nii.gz": ("CT", ["slices are 9 mm apart"]),
    "big_endian.nii": ("CT", []),
    "dicom_16x16_nosuffix_monai.zip": ("DICOM", ["slices are missing"]),
    "dicom_oblique_rtutils.zip": ("DICOM", ["28.3 degrees", "not square", "normalised"]),
    "empty_mask.nii.gz": ("mask", ["the mask is empty"]),
    "float01.nii.gz": ("volume", ["runs from 0 to 1: normalised numbers, not Hounsfield units"]),
    "float32_inf.nii.gz": ("volume", ["1 voxels are NaN or infinite"]),
    "float64_nan_inf.nii.gz": ("volume", ["voxels are NaN or infinite"]),
    "int8_windowed.nii.gz": ("volume", ["8-bit numbers (int8, -128 to 127)"]),
    "lps.nii.gz": ("CT", []),
    "mask_255.nii.gz": ("mask", ["drawn with 255"]),
    "mask_float_soft.nii.gz": ("mask", ["stored as float32", "a soft mask"]),
    "mask_shifted_affine.nii.gz": ("mask", []),
    "mask_wrong_shape.nii.gz": ("mask", []),
    "nifti2.nii.gz": ("CT", []),
    "no_affine_codes.nii.gz": ("CT", []),
    "not_gzip.nii.gz": ("CT", ["is not compressed although its name ends in .gz"]),
    "oblique17.nii.gz": ("CT", ["turned by 17.0 degrees"]),
    "ok_int16.nii.gz": ("CT", []),
    "ok_liver.nii.gz": ("mask", []),
    "one_slice.nii.gz": ("CT", ["is a single slice"]),
    "pad_minus2048.nii.gz": ("CT", ["padding outside of the scan, down to -2048 HU"]),
    "pair.hdr": ("CT", []),
    "pair.img": ("CT", []),
    "pir.nii.gz": ("CT", []),
    "qform_sform_differ.nii.gz": ("volume", ["sform says 3 x 3 x 3 mm and qform 1.5 x 1.5 x 1.5"]),
    "sheared_gantry.nii.gz": ("CT", ["sheared by 18.4 degrees: gantry tilt"]),
    "slope_inter.nii.gz": ("CT", []),
    "truncated.nii.gz": ("volume", ["is truncated or damaged"]),
    "uint16_offset1024.nii.gz": ("volume", ["looks like HU + 1024"]),
    "uint8_png_like.nii.gz": ("volume", ["8-bit numbers (uint8, 0 to 255)"]),
}
UNREADABLE = {
    "empty_file.nii.gz": "is empty",
    "ok.mha": "is not a NIfTI file",
    "ok.nrrd": "is not a NIfTI file",
}


@pytest.mark.real
@pytest.mark.parametrize("name", sorted(ODD))
def test_every_odd_file_is_named_for_what_it_is(shared_data, name):
    kind, warnings = ODD[name]
    report = inspect_file(shared_data / "odd" / name)
    assert report.kind == kind
    assert len(report.warnings) == len(warnings)
    for said, expected in zip(report.warnings, warnings, strict=True):
        assert expected in said
    text = report.as_text()
    assert all(len(line) <= 100 for line in text.splitlines()[1:])
    facts = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert facts["kind"] == kind


@pytest.mark.real
@pytest.mark.parametrize("name", sorted(UNREADABLE))
def test_a_file_of_another_format_is_refused(shared_data, name):
    with pytest.raises(UnreadableFileError, match=UNREADABLE[name]):
        inspect_file(shared_data / "odd" / name)


@pytest.mark.real
def test_all_odd_files_are_covered(shared_data):
    assert {path.name for path in (shared_data / "odd").iterdir()} == set(ODD) | set(UNREADABLE)


@pytest.mark.real
def test_a_ct_is_described_with_grid_codes_and_percentiles(shared_data):
    path = shared_data / "abdomen" / "crlm1004" / "ct.nii.gz"
    report = inspect_file(path)
    assert report.kind == "CT"
    assert report.shape == (447, 337, 41)
    assert report.spacing_mm == pytest.approx((0.797, 0.797, 5.0), abs=1e-3)
    assert report.orientation == "LPS"
    assert report.dtype == "int16"
    assert report.header["sform_code"] == 1
    hu = np.asarray(nib.load(path).dataobj)
    assert report.numbers["min"] == hu.min()
    assert report.numbers["max"] == hu.max()
    assert report.numbers["p50"] == pytest.approx(np.median(hu), abs=20)
    text = report.as_text()
    assert "447 x 337 x 41 voxels of 0.797 x 0.797 x 5 mm, LPS" in text
    assert "-1024 to 1377" in text


@pytest.mark.real
def test_a_label_map_is_recognized_and_its_structures_named(shared_data):
    path = shared_data / "abdomen" / "ts_example_3mm_labelmap" / "labels.nii.gz"
    report = inspect_file(path)
    assert report.kind == "label map"
    assert report.class_maps == ("totalsegmentator-v2",)
    labels = np.asarray(nib.load(path).dataobj)
    assert [label.value for label in report.labels] == sorted(set(labels[labels > 0].tolist()))
    liver = next(label for label in report.labels if label.name == "liver")
    assert liver.value == 5
    assert liver.volume_ml == pytest.approx((labels == 5).sum() * 27 / 1000)
    assert "1043.12 ml  liver" in report.as_text()


@pytest.mark.real
def test_a_case_folder_is_described_with_the_volume_of_each_structure(shared_data):
    report = inspect_file(shared_data / "abdomen" / "crlm1004")
    assert report.kind == "case"
    volumes = {label.name: label.volume_ml for label in report.labels}
    assert set(volumes) == {"kidney_left", "kidney_right", "liver", "spleen"}
    assert volumes["liver"] == pytest.approx(1260.26, abs=0.01)
    assert report.warnings == ()


@pytest.mark.real
def test_a_dicom_folder_is_described_by_its_series_and_its_ct(shared_data):
    report = inspect_file(shared_data / "dicom" / "dcmqi_ct3")
    assert report.kind == "DICOM"
    assert len(report.contents) == 3
    assert sum(line.startswith("CT ") for line in report.contents) == 1
    assert report.shape == (512, 512, 3)
    assert report.numbers["min"] == -3024
    assert any("3 files are not DICOM" in warning for warning in report.warnings)


@pytest.mark.real
def test_a_data_set_is_described_by_its_cases(shared_data):
    report = inspect_file(shared_data / "abdomen")
    assert report.kind == "data set"
    assert {"crlm1004", "ts_example_3mm"} <= set(report.contents)


# --- made to measure -----------------------------------------------------------------------


def test_a_case_with_an_empty_and_a_misplaced_mask_is_warned_of(tmp_path, soft_tissue_volume):
    grid = soft_tissue_volume.grid
    folder = tmp_path / "case_1"
    write_volume(folder / "ct.nii.gz", soft_tissue_volume)
    moved = grid.affine.copy()
    moved[2, 3] += 30
    inside = np.zeros(grid.shape, bool)
    inside[20:30, 20:30, 10:20] = True
    for name, mask in {
        "liver": Mask(inside, grid),
        "spleen": Mask(np.zeros(grid.shape, bool), grid),
        "pancreas": Mask(inside, Grid(grid.shape, moved)),
    }.items():
        write_mask(folder / "segmentations" / f"{name}.nii.gz", mask)
    report = inspect_file(folder)
    assert [label.name for label in report.labels] == ["liver"]
    assert report.labels[0].volume_ml == pytest.approx(2.0)
    assert any("spleen mask is empty" in warning for warning in report.warnings)
    assert any("30" in warning and "mm" in warning for warning in report.warnings)


def test_affines_that_differ_by_a_shift_are_told_by_how_much(tmp_path):
    image = nib.Nifti1Image(np.zeros((20, 20, 20), np.int16), np.diag([1, 1, 2, 1.0]))
    image.set_qform(image.affine, 1)
    shifted = image.affine.copy()
    shifted[1, 3] = 12.5
    image.set_sform(shifted, 1)
    nib.save(image, tmp_path / "a.nii")
    assert any("disagree by 12.5 mm" in w for w in inspect_file(tmp_path / "a.nii").warnings)


def test_a_pixdim_that_belies_the_sform_is_told(tmp_path):
    image = nib.Nifti1Image(np.zeros((20, 20, 20), np.int16), np.diag([1, 1, 2, 1.0]))
    image.set_qform(None, 0)
    image.header["pixdim"][3] = 5
    nib.save(image, tmp_path / "a.nii")
    report = inspect_file(tmp_path / "a.nii")
    assert any("pixdim says 1 x 1 x 5 mm and the sform 1 x 1 x 2" in w for w in report.warnings)


def test_affines_without_codes_are_called_a_guess(tmp_path):
    image = nib.Nifti1Image(np.zeros((20, 20, 20), np.int16), np.eye(4))
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    nib.save(image, tmp_path / "a.nii")
    assert any("neither sform nor qform" in w for w in inspect_file(tmp_path / "a.nii").warnings)


def test_a_unit_other_than_mm_is_told(tmp_path):
    image = nib.Nifti1Image(np.zeros((20, 20, 20), np.int16), np.eye(4))
    image.header.set_xyzt_units("micron")
    nib.save(image, tmp_path / "a.nii")
    assert any(
        "unit of length is micrometre" in w for w in inspect_file(tmp_path / "a.nii").warnings
    )


def test_a_scaled_ct_is_reported_in_hounsfield_units(tmp_path, soft_tissue_volume):
    stored = (soft_tissue_volume.stored + 1024) * 2
    volume = Volume(stored, soft_tissue_volume.grid, 0.5, -1024.0)
    write_volume(tmp_path / "a.nii.gz", volume)
    report = inspect_file(tmp_path / "a.nii.gz")
    assert report.kind == "CT"
    assert report.scaling == (0.5, -1024.0)
    assert report.numbers == summarize(soft_tissue_volume)
    assert "stored x 0.5 -1024" in report.as_text()


def test_a_missing_path_is_refused(tmp_path):
    with pytest.raises(UnreadableFileError, match="no such file or folder"):
        inspect_file(tmp_path / "ct.nii.gz")


def test_a_file_that_is_nothing_of_ours_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(UnreadableFileError, match="holds no DICOM; give NIfTI"):
        inspect_file(tmp_path / "notes.txt")


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(UnreadableFileError):
        inspect_file(tmp_path)


@pytest.mark.parametrize("slope", [1.0, -2.0, 0.5])
def test_percentiles_are_those_of_numpy(slope):
    stored = np.random.default_rng(0).integers(-1000, 1000, (40, 50, 60), np.int16)
    volume = Volume(stored, Grid(stored.shape, np.eye(4)), slope, -24.0)
    numbers = summarize(volume)
    for percent in (1, 5, 50, 95, 99):
        expected = np.percentile(volume.hu(), percent)
        assert numbers[f"p{percent}"] == pytest.approx(expected, abs=0.01)
    assert (numbers["min"], numbers["max"]) == (volume.hu().min(), volume.hu().max())


def test_a_volume_of_nan_only_has_no_numbers():
    stored = np.full((4, 4, 4), np.nan, np.float32)
    assert summarize(Volume(stored, Grid(stored.shape, np.eye(4)))) == {}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_labels_are_counted_as_numpy_counts_them(dtype):
    labels = np.random.default_rng(0).integers(0, 9, (20, 21, 22)).astype(dtype)
    values, counts = np.unique(labels, return_counts=True)
    assert count_labels(labels) == dict(zip(values.tolist(), counts.tolist(), strict=True))


def test_a_label_map_of_one_class_map_guesses_that_map(tmp_path):
    known = [value for value in class_map("totalsegmentator-v2").labels if value]
    labels = np.repeat(np.array([0, *known], np.uint8), 8)[:, None, None]
    write_labels(
        tmp_path / "a.nii.gz", np.tile(labels, (1, 8, 8)), Grid((len(labels), 8, 8), np.eye(4))
    )
    report = inspect_file(tmp_path / "a.nii.gz")
    assert report.class_maps == ("totalsegmentator-v2",)
    assert all(label.name for label in report.labels)


def test_class_maps_are_not_guessed_from_a_single_value_or_an_unknown_one():
    assert class_maps_of({1}) == ()
    assert class_maps_of({1, 2, 60_000}) == ()


def test_class_maps_are_guessed_from_the_closest_on():
    guesses = class_maps_of({1, 2, 3})
    sizes = [len(set(class_map(name).labels) - {0}) for name in guesses]
    assert len(guesses) == 3
    assert sizes == sorted(sizes)
    assert all({1, 2, 3} <= set(class_map(name).labels) for name in guesses)


@pytest.mark.real
def test_real_scans_do_not_look_like_labels_and_real_masks_do(shared_data):
    for name in ("abdomen/crlm1004/ct.nii.gz", "lung_tumor/lidc0001/ct_3x.nii.gz"):
        assert not looks_like_labels(read_volume(shared_data / name).stored)
    for name in ("lung_tumor/lidc0001/nodule.nii.gz", "masks_only/hcc_liver_P1/hepaticVein.nii.gz"):
        assert looks_like_labels(read_volume(shared_data / name).stored)
