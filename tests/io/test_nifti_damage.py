"""Damaged and hostile NIfTI files: one line that names the file, never a traceback or a hang."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scalemai.errors import CaseError, GeometryError, IntensityError, UnreadableFileError
from scalemai.io.nifti import read_grid, read_labels, read_mask, read_volume

VOX_OFFSET = 108
MEBIBYTE = 1 << 20
fuzz = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def _source() -> bytes:
    rng = np.random.default_rng(0)
    array = rng.normal(40, 20, (12, 11, 10)).astype(np.int16)
    image = nib.Nifti1Image(array, np.diag([0.8, 0.8, 2.5, 1]))
    image.header.set_slope_inter(1, 0)
    image.set_qform(image.affine, 1)
    return image.to_bytes()


SOURCE = _source()
STORED = np.asarray(nib.Nifti1Image.from_bytes(SOURCE).dataobj)


def _with_fields(**fields: object) -> bytes:
    header = nib.Nifti1Header(SOURCE[:348], check=False)
    for name, value in fields.items():
        header[name] = value
    return header.binaryblock + SOURCE[348:]


def _outcome(read: Callable[[Path], Any], path: Path) -> tuple[str, Any]:
    """The one line of the refusal, or what was read."""
    try:
        return "", read(path)
    except CaseError as error:
        return str(error), None


@pytest.fixture(params=["a.nii", "a.nii.gz"])
def save(request, tmp_path):
    """Write bytes as a plain or a compressed file; return its path."""

    def write(data: bytes) -> Path:
        path = tmp_path / request.param
        path.write_bytes(gzip.compress(data, 1) if path.suffix == ".gz" else data)
        return path

    return write


# --- damage --------------------------------------------------------------------------------


@fuzz
@given(st.integers(0, len(SOURCE) - 1))
def test_a_plain_file_cut_anywhere_is_refused(tmp_path, length):
    path = tmp_path / "a.nii"
    path.write_bytes(SOURCE[:length])
    with pytest.raises(UnreadableFileError, match=r"a\.nii: is (truncated|empty|not a NIfTI)"):
        read_volume(path)


@fuzz
@given(st.data())
def test_a_gzip_cut_anywhere_is_refused(tmp_path, data):
    packed = gzip.compress(SOURCE)
    path = tmp_path / "a.nii.gz"
    path.write_bytes(packed[: data.draw(st.integers(0, len(packed) - 1))])
    with pytest.raises(UnreadableFileError, match=r"a\.nii\.gz: is (truncated|empty|not a NIfTI)"):
        read_volume(path)


@fuzz
@given(st.sampled_from([0, 1, 9]), st.data())
def test_a_flipped_bit_in_a_gzip_never_changes_a_voxel_unnoticed(tmp_path, level, data):
    packed = bytearray(gzip.compress(SOURCE, level))
    at = data.draw(st.integers(0, len(packed) - 1))
    packed[at] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path / "a.nii.gz"
    path.write_bytes(packed)
    refusal, volume = _outcome(read_volume, path)
    if volume is None:
        assert str(path) in refusal
    else:  # the flip hit the gzip's time stamp or its name
        np.testing.assert_array_equal(volume.stored, STORED)


def test_a_wrong_checksum_is_noticed_although_every_voxel_arrived(tmp_path):
    packed = bytearray(gzip.compress(SOURCE))
    packed[-8] ^= 0xFF
    (tmp_path / "a.nii.gz").write_bytes(packed)
    with pytest.raises(UnreadableFileError, match="damaged"):
        read_volume(tmp_path / "a.nii.gz")


def test_an_endless_name_in_a_gzip_is_refused(tmp_path):
    packed = gzip.compress(SOURCE, mtime=0)
    named = packed[:3] + b"\x08" + packed[4:10] + b"x" * MEBIBYTE + b"\0" + packed[10:]
    (tmp_path / "a.nii.gz").write_bytes(named)
    with pytest.raises(UnreadableFileError, match="damaged"):
        read_volume(tmp_path / "a.nii.gz")


def test_a_gzip_of_several_members_is_read_whole(tmp_path):
    packed = gzip.compress(SOURCE[:1000]) + gzip.compress(SOURCE[1000:])
    (tmp_path / "a.nii.gz").write_bytes(packed)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii.gz").stored, STORED)


def test_a_plain_file_that_ends_early_is_told_by_how_many_bytes(tmp_path):
    (tmp_path / "a.nii").write_bytes(SOURCE[:-7])
    with pytest.raises(UnreadableFileError, match=r"truncated: 2,633 of 2,640 bytes"):
        read_volume(tmp_path / "a.nii")


@fuzz
@given(st.binary(max_size=1200))
def test_bytes_that_are_not_nifti_are_refused(tmp_path, junk):
    path = tmp_path / "a.nii"
    path.write_bytes(junk)
    with pytest.raises(CaseError, match=r"a\.nii: "):
        read_volume(path)


@settings(fuzz, max_examples=400)
@given(st.lists(st.tuples(st.integers(0, 351), st.integers(0, 255)), min_size=1, max_size=6))
def test_any_header_is_read_or_refused_and_never_crashes_a_reader(tmp_path, edits):
    data = bytearray(SOURCE)
    for at, value in edits:
        data[at] = value
    path = tmp_path / "a.nii"
    path.write_bytes(data)
    for read in (read_grid, read_volume, read_labels, read_mask):
        refusal, _ = _outcome(read, path)
        assert refusal == "" or refusal.startswith(f"{path}: ")


@fuzz
@given(st.sampled_from(["<f4", ">f4", "<f8"]), st.binary(min_size=512, max_size=512), st.booleans())
def test_any_float_voxels_are_read_or_refused_without_a_warning(tmp_path, dtype, junk, scaled):
    header = nib.Nifti1Header(endianness=dtype[0])
    header.set_data_dtype(dtype)
    header.set_data_shape((4, 4, 4))
    header.set_sform(np.eye(4), 1)
    header.set_slope_inter(1e38 if scaled else 1, 0)
    header["vox_offset"] = 352
    path = tmp_path / "a.nii"
    path.write_bytes(header.binaryblock + bytes(4) + junk)
    values = np.frombuffer(junk, dtype)[:64].reshape((4, 4, 4), order="F")
    np.testing.assert_array_equal(read_volume(path).stored, values)
    inside = read_mask(path).array
    assert not inside[np.isnan(values)].any()
    assert scaled or (inside == (values > 0.5)).all()
    refusal, _ = _outcome(read_labels, path)
    assert refusal == "" or "whole numbers" in refusal or "negative" in refusal


# --- impossible geometry -------------------------------------------------------------------


@pytest.mark.parametrize("step", [0.0, -0.8, np.nan])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_zero_or_negative_spacing_is_refused_by_naming_the_axis(save, step, axis):
    pixdim = [1, 0.8, 0.8, 2.5, 0, 0, 0, 0]
    pixdim[axis + 1] = step
    path = save(_with_fields(pixdim=pixdim))
    with pytest.raises(GeometryError, match=f"spacing is {step:g} mm along {'ijk'[axis]}"):
        read_volume(path)


def test_an_sform_of_zeros_is_refused(save):
    path = save(_with_fields(qform_code=0, sform_code=1, srow_x=0, srow_y=0, srow_z=0))
    with pytest.raises(GeometryError, match="spacing is 0 mm"):
        read_grid(path)


def test_an_impossible_quaternion_is_refused(save):
    path = save(_with_fields(sform_code=0, quatern_b=2.0))
    with pytest.raises(GeometryError, match="no usable affine"):
        read_grid(path)


def test_qform_and_sform_of_other_sizes_are_refused_with_both_sizes(save):
    path = save(_with_fields(srow_x=[1.6, 0, 0, 0], sform_code=1))
    with pytest.raises(GeometryError, match=r"sform says 1\.6 x .* qform 0\.8 x .*set sform_code"):
        read_volume(path)


@pytest.mark.parametrize("flipped", [["srow_x"], ["srow_x", "srow_y"]])
def test_qform_and_sform_that_mirror_each_other_are_refused(save, flipped):
    # Two flips are a half turn: the determinant does not see it, left and right are swapped all
    # the same.
    rows = {"srow_x": [0.8, 0, 0, 0], "srow_y": [0, 0.8, 0, 0], "srow_z": [0, 0, 2.5, 0]}
    rows |= {name: [-v for v in rows[name]] for name in flipped}
    path = save(_with_fields(sform_code=1, **rows))
    with pytest.raises(GeometryError, match=r"mirror each other.*RAS"):
        read_volume(path)


def test_qform_and_sform_that_differ_by_rounding_are_accepted(save):
    path = save(_with_fields(sform_code=1, srow_x=[0.8001, 0, 0, 0.01]))
    assert read_grid(path).spacing_mm[0] == pytest.approx(0.8001)


# --- hostile headers -----------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(32767, 32767, 32767), (3000, 3000, 3000), (20000, 20000, 9)])
def test_a_header_that_claims_a_huge_shape_takes_no_memory(save, shape):
    path = save(_with_fields(dim=[3, *shape, 1, 1, 1, 1]))
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableFileError, match="truncated"):
            read_volume(path)
        assert tracemalloc.get_traced_memory()[1] < 64 * MEBIBYTE
    finally:
        tracemalloc.stop()


def test_a_nifti2_header_that_claims_more_voxels_than_an_index_counts_is_refused(tmp_path):
    header = nib.Nifti2Header()
    header.set_data_shape((2, 2, 2))
    header["dim"][1:4] = 2**62
    (tmp_path / "a.nii").write_bytes(header.binaryblock + bytes(100))
    with pytest.raises(UnreadableFileError, match=r"start at byte|truncated"):
        read_volume(tmp_path / "a.nii")
    header["vox_offset"] = 544
    (tmp_path / "a.nii").write_bytes(header.binaryblock + bytes(100))
    with pytest.raises(UnreadableFileError, match="truncated"):
        read_volume(tmp_path / "a.nii")


@pytest.mark.parametrize("offset", [0, -5, 348, 1e15, 4e9, np.inf, np.nan])
def test_an_impossible_voxel_offset_is_refused(save, offset):
    path = save(_with_fields(vox_offset=offset))
    tracemalloc.start()
    try:
        with pytest.raises(
            UnreadableFileError, match=f"voxels start at byte {offset:g}".replace("+", r"\+")
        ):
            read_volume(path)
        assert tracemalloc.get_traced_memory()[1] < 64 * MEBIBYTE
    finally:
        tracemalloc.stop()


def test_a_voxel_offset_beyond_the_end_is_refused(save):
    with pytest.raises(UnreadableFileError, match="truncated"):
        read_volume(save(_with_fields(vox_offset=100_000)))


@pytest.mark.parametrize("size", [-16, 0, 2**31 - 1])
def test_an_extension_of_impossible_size_is_refused(save, size):
    data = SOURCE[:348] + b"\1\0\0\0" + struct.pack("<ii", size, 6) + bytes(8) + SOURCE[352:]
    data = data[:VOX_OFFSET] + struct.pack("<f", 368) + data[VOX_OFFSET + 4 :]
    with pytest.raises(UnreadableFileError, match=r"a\.nii"):
        read_volume(save(data))


@pytest.mark.parametrize(
    ("code", "text"), [(77, "unknown type code 77"), (32, "complex64"), (128, "'R'")]
)
def test_voxels_that_are_not_real_numbers_are_refused(save, code, text):
    with pytest.raises(UnreadableFileError, match=text):
        read_volume(save(_with_fields(datatype=code)))


def test_a_missing_intercept_is_refused(save):
    with pytest.raises(IntensityError, match="scl_inter is nan"):
        read_volume(save(_with_fields(scl_slope=1, scl_inter=np.nan)))


@pytest.mark.parametrize("dim", [[3, -12, 11, 10, 1, 1, 1, 1], [2, 12, 11, 10, 1, 1, 1, 1]])
def test_a_shape_that_is_not_a_volume_is_refused(save, dim):
    with pytest.raises(GeometryError, match=r"at least one voxel|is 2-D"):
        read_volume(save(_with_fields(dim=dim)))


def test_a_gzip_bomb_is_stopped_at_the_size_that_the_header_names(tmp_path):
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    with (tmp_path / "a.nii.gz").open("wb") as file:
        file.write(packer.compress(SOURCE))
        for _ in range(256):
            file.write(packer.compress(bytes(MEBIBYTE)))
        file.write(packer.flush())
    tracemalloc.start()
    try:
        np.testing.assert_array_equal(read_volume(tmp_path / "a.nii.gz").stored, STORED)
        assert tracemalloc.get_traced_memory()[1] < 64 * MEBIBYTE
    finally:
        tracemalloc.stop()


# --- files that are not there --------------------------------------------------------------


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UnreadableFileError, match=r"ct\.nii\.gz: no such file"):
        read_volume(tmp_path / "ct.nii.gz")


def test_a_folder_is_told_apart_from_a_file(tmp_path):
    (tmp_path / "ct.nii.gz").mkdir()
    with pytest.raises(UnreadableFileError, match="is a folder"):
        read_grid(tmp_path / "ct.nii.gz")


def test_a_file_below_a_file_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(UnreadableFileError, match="cannot be opened"):
        read_grid(tmp_path / "a" / "ct.nii")


def test_a_file_without_read_permission_is_refused(tmp_path):
    path = tmp_path / "ct.nii"
    path.write_bytes(SOURCE)
    path.chmod(0)
    try:
        path.read_bytes()
    except PermissionError:
        with pytest.raises(UnreadableFileError, match=r"may not be read; ask for read permission"):
            read_volume(path)
    else:
        pytest.skip("this user may read any file")


@pytest.mark.parametrize("missing", [".hdr", ".img"])
def test_half_a_pair_is_refused_by_naming_the_missing_half(tmp_path, missing):
    nib.save(nib.Nifti1Pair(STORED, np.eye(4)), tmp_path / "a.img")
    (tmp_path / f"a{missing}").unlink()
    present = ".hdr" if missing == ".img" else ".img"
    with pytest.raises(UnreadableFileError, match=rf"a\{missing}: no such file"):
        read_volume(tmp_path / f"a{present}")


def test_a_pair_with_too_few_voxels_is_refused(tmp_path):
    nib.save(nib.Nifti1Pair(STORED, np.eye(4)), tmp_path / "a.img")
    (tmp_path / "a.img").write_bytes((tmp_path / "a.img").read_bytes()[:-1])
    with pytest.raises(UnreadableFileError, match=r"a\.img: is truncated: 2,639 of 2,640"):
        read_volume(tmp_path / "a.hdr")


def test_an_analyze_pair_is_refused_because_it_has_no_position(tmp_path):
    nib.save(nib.AnalyzeImage(STORED, np.eye(4)), tmp_path / "a.img")
    with pytest.raises(UnreadableFileError, match="is not a NIfTI file"):
        read_volume(tmp_path / "a.hdr")


def test_no_file_stays_open_after_reading_or_refusing(tmp_path):
    good, bad = tmp_path / "good.nii.gz", tmp_path / "bad.nii.gz"
    good.write_bytes(gzip.compress(SOURCE))
    bad.write_bytes(gzip.compress(SOURCE)[:-100])
    held = [read_volume(good)]
    with pytest.raises(UnreadableFileError) as caught:
        read_volume(bad)
    opened = {Path(file.path).name for file in psutil.Process().open_files()}
    assert not opened & {good.name, bad.name}, (held, caught)
