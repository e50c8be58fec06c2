"""A CT series becomes the volume that was scanned, whatever the files are called."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from dicom_phantom import (
    ORIGIN_LPS_MM,
    SERIES_UID,
    SPACING_MM,
    classic,
    enhanced,
    hounsfield,
    save,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from scalemai.errors import GeometryError, UnreadableFileError
from scalemai.geometry import Grid
from scalemai.io.dicom import read_series


def expected_grid(shape: tuple[int, int, int]) -> Grid:
    affine = np.diag([-SPACING_MM[0], -SPACING_MM[1], SPACING_MM[2], 1.0])
    affine[:3, 3] = (-ORIGIN_LPS_MM[0], -ORIGIN_LPS_MM[1], ORIGIN_LPS_MM[2])
    return Grid(shape, affine)


@settings(max_examples=25, deadline=None)
@given(
    order=st.permutations(range(6)),
    numbers=st.permutations(range(6)),
    suffix=st.sampled_from(["", ".dcm", ".IMA", ".0001"]),
)
def test_slices_are_ordered_by_position_whatever_names_and_instance_numbers_say(
    order: list[int], numbers: list[int], suffix: str
) -> None:
    hu = hounsfield()
    datasets = classic(hu)
    for dataset, number in zip(datasets, numbers, strict=True):
        dataset.InstanceNumber = number
    with tempfile.TemporaryDirectory() as folder:
        save([datasets[n] for n in order], Path(folder), "IM{:02d}" + suffix)
        volume = read_series(folder)
    assert volume.stored.dtype == np.int16
    assert volume.is_identity_scaled
    np.testing.assert_array_equal(volume.stored, hu)
    assert volume.grid.difference_mm(expected_grid(hu.shape)) < 1e-6
    assert volume.metadata["sop_instance_uids"] == [f"{SERIES_UID}.{k + 1}" for k in range(6)]
    assert volume.metadata["source_files"] == [f"IM{order.index(k):02d}{suffix}" for k in range(6)]


def test_subfolders_a_dicomdir_and_stray_files_do_not_matter(tmp_path: Path) -> None:
    hu = hounsfield()
    datasets = classic(hu)
    save(datasets[:3], tmp_path / "disc" / "PAT0" / "SER0", "IM{}")
    save(datasets[3:], tmp_path / "disc" / "PAT0" / "SER1", "IM{}")
    directory = Dataset()
    directory.file_meta = FileMetaDataset()
    directory.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    directory.file_meta.MediaStorageSOPInstanceUID = f"{SERIES_UID}.0"
    directory.FileSetID = "DISC"
    directory.save_as(tmp_path / "disc" / "DICOMDIR", enforce_file_format=True)
    (tmp_path / "disc" / "README.TXT").write_text("Viewer for Windows 95")
    (tmp_path / "disc" / "autorun.exe").write_bytes(bytes(4096))
    (tmp_path / "disc" / "._IM0001.dcm").write_bytes(b"\x00\x05\x16\x07Mac OS X")
    volume = read_series(tmp_path / "disc")
    np.testing.assert_array_equal(volume.stored, hu)
    assert volume.metadata["files_not_dicom"] == 3


def test_a_zip_is_read_in_place_and_gives_the_same_volume(tmp_path: Path) -> None:
    folder = save(classic(hounsfield()), tmp_path / "study")
    archive = shutil.make_archive(str(tmp_path / "study"), "zip", folder)
    before = sorted(tmp_path.rglob("*"))
    zipped, plain = read_series(archive), read_series(folder)
    np.testing.assert_array_equal(zipped.stored, plain.stored)
    assert zipped.grid.same_as(plain.grid, tolerance_mm=0)
    assert zipped.metadata == plain.metadata
    assert sorted(tmp_path.rglob("*")) == before


def test_descending_and_oblique_slices_keep_their_world_positions(tmp_path: Path) -> None:
    # Columns run to the patient's head, rows to the left: a sagittal-like, tipped acquisition.
    angle = np.radians(17)
    row = np.array([0.0, np.cos(angle), np.sin(angle)])
    column = np.array([0.0, np.sin(angle), -np.cos(angle)])
    normal = np.cross(row, column)
    hu = hounsfield()
    for sign in (1.0, -1.0):
        step = sign * 3.0 * normal
        folder = save(
            classic(hu, orientation=[*row, *column], step_lps_mm=step), tmp_path / str(sign)
        )
        volume = read_series(folder)
        for i, j, k in itertools.product((0, 13), (0, 10), (0, 5)):
            lps = (
                np.asarray(ORIGIN_LPS_MM)
                + row * SPACING_MM[0] * i
                + column * SPACING_MM[1] * j
                + step * k
            )
            index = volume.grid.to_voxel(lps * [-1, -1, 1])
            np.testing.assert_allclose(index, np.rint(index), atol=1e-4)
            assert volume.stored[tuple(np.rint(index).astype(int))] == hu[i, j, k]
        assert volume.grid.shear_deg < 1e-3


def test_metadata_tell_the_acquisition_and_nothing_of_the_patient(tmp_path: Path) -> None:
    datasets = classic(hounsfield(), ContrastBolusAgent="IOMERON", ProtocolName="Leber 3-phasig")
    metadata = read_series(save(datasets, tmp_path)).metadata
    assert metadata["series_uid"] == SERIES_UID
    assert metadata["kvp"] == 120.0
    assert metadata["kernel"] == "B30f"
    assert metadata["slice_thickness_mm"] == 2.5
    assert metadata["series_number"] == 4
    assert metadata["phase_text"] == "ABDOMEN PORTAL | Leber 3-phasig | IOMERON"
    told = repr(metadata)
    for private in ("Doe", "P-17", "1950", "2024", "A-1"):
        assert private not in told
    plain = (str, int, float, bool, type(None), list)
    assert all(isinstance(value, plain) for value in metadata.values())


def test_one_slice_takes_its_spacing_from_the_header_or_from_the_caller(tmp_path: Path) -> None:
    hu = hounsfield((14, 11, 1))
    told = read_series(save(classic(hu), tmp_path / "told"))
    assert told.grid.spacing_mm == pytest.approx(SPACING_MM)
    folder = save(classic(hu, SliceThickness=None), tmp_path / "silent")
    with pytest.raises(GeometryError, match="pass slice_spacing_mm"):
        read_series(folder)
    assert read_series(folder, slice_spacing_mm=5.0).grid.spacing_mm[2] == pytest.approx(5.0)


def test_an_enhanced_file_is_read_frame_by_frame_with_each_frames_rescale(tmp_path: Path) -> None:
    hu = hounsfield()
    dataset = enhanced(hu, order=[4, 0, 5, 2, 1, 3])
    path = save([dataset], tmp_path, "enhanced") / "enhanced0"
    dataset.save_as(path, enforce_file_format=True)
    volume = read_series(path)
    np.testing.assert_array_equal(volume.stored, hu)
    assert volume.grid.difference_mm(expected_grid(hu.shape)) < 1e-6


def test_localizer_frames_of_an_enhanced_file_are_left_out(tmp_path: Path) -> None:
    hu = hounsfield()
    order = [3, 0, 1, 2, 3, 4, 5]
    folder = save([enhanced(hu, order, localizer_frames=1)], tmp_path)
    volume = read_series(folder)
    np.testing.assert_array_equal(volume.stored, hu)
    assert volume.metadata["localizers_excluded"] == 1


def test_a_scout_in_the_series_is_left_out_and_counted(tmp_path: Path) -> None:
    hu = hounsfield()
    scout = classic(
        hounsfield((40, 60, 1)),
        orientation=[1, 0, 0, 0, 0, -1],
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
        SOPInstanceUID=f"{SERIES_UID}.99",
    )
    volume = read_series(save([*scout, *classic(hu)], tmp_path))
    np.testing.assert_array_equal(volume.stored, hu)
    assert volume.metadata["localizers_excluded"] == 1


def test_files_that_lost_their_preamble_are_still_read(tmp_path: Path) -> None:
    hu = hounsfield()
    for number, dataset in enumerate(classic(hu)):
        plain = tmp_path / f"{number}"
        dataset.save_as(plain, enforce_file_format=True)
        data = plain.read_bytes()
        meta = int.from_bytes(data[140:144], "little")
        plain.write_bytes(data[144 + meta :])
    np.testing.assert_array_equal(read_series(tmp_path).stored, hu)


def test_odd_header_values_are_remarked_on_and_do_not_stop_the_reading(tmp_path: Path) -> None:
    hu = hounsfield()
    folder = save(classic(hu), tmp_path)
    for path in folder.iterdir():
        # A trailing letter makes the UID invalid, as some anonymisers do.
        path.write_bytes(
            path.read_bytes().replace(
                b"1.2.826.0.1.3680043.8.498.1.2", b"1.2.826.0.1.3680043.8.498.1.x"
            )
        )
    volume = read_series(folder)
    np.testing.assert_array_equal(volume.stored, hu)
    assert any("Invalid value for VR UI" in remark for remark in volume.metadata["header_remarks"])


@pytest.mark.parametrize("name", ["nowhere", "empty", "text.dcm", "notes"])
def test_what_holds_no_ct_is_refused_with_what_was_found(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("no image")
    (tmp_path / "text.dcm").write_text("not an image at all, although it is called one" * 9)
    said = {
        "nowhere": "no such file or folder",
        "empty": "found no DICOM images",
        "text.dcm": "suffix of a DICOM file",
        "notes": "1 files that are not DICOM",
    }
    with pytest.raises(UnreadableFileError, match=said[name]):
        read_series(tmp_path / name)
