"""NIfTI in and out: the same numbers as the reference readers, the same bytes as the source."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scalemai.errors import GeometryError, IntensityError, OutputError, UnreadableFileError
from scalemai.geometry import Grid
from scalemai.io.nifti import (
    is_nifti_name,
    read_grid,
    read_labels,
    read_mask,
    read_volume,
    write_labels,
    write_mask,
    write_volume,
)
from scalemai.volume import Mask, Volume

READABLE = [
    "4d_single.nii.gz", "anisotropic_thick.nii.gz", "big_endian.nii", "empty_mask.nii.gz",
    "float01.nii.gz", "float32_inf.nii.gz", "float64_nan_inf.nii.gz", "int8_windowed.nii.gz",
    "lps.nii.gz", "mask_255.nii.gz", "mask_float_soft.nii.gz", "mask_shifted_affine.nii.gz",
    "mask_wrong_shape.nii.gz", "nifti2.nii.gz", "no_affine_codes.nii.gz", "not_gzip.nii.gz",
    "oblique17.nii.gz", "ok_int16.nii.gz", "ok_liver.nii.gz", "one_slice.nii.gz",
    "pad_minus2048.nii.gz", "pair.hdr", "pair.img", "pir.nii.gz", "sheared_gantry.nii.gz",
    "slope_inter.nii.gz", "uint16_offset1024.nii.gz", "uint8_png_like.nii.gz",
]  # fmt: skip
REFUSED = {
    "2d_slice.nii.gz": (GeometryError, "is 2-D"),
    "4d_three.nii.gz": (GeometryError, "split it into its 3 volumes"),
    "empty_file.nii.gz": (UnreadableFileError, "is empty"),
    "qform_sform_differ.nii.gz": (GeometryError, "sform says 3 x 3 x 3 mm and qform 1.5"),
    "truncated.nii.gz": (UnreadableFileError, "is truncated"),
    "ok.nrrd": (UnreadableFileError, "is not a NIfTI file.*convert .nrrd"),
    "ok.mha": (UnreadableFileError, "is not a NIfTI file.*convert .nrrd and .mha"),
}
DTYPES = ["<i2", ">i2", "<u2", "<i4", "<f4", ">f4", "<f8", "u1", "i1"]
AFFINE = np.array([[-0.7, 0, 0.1, 80], [0, 0.7, 0, -90], [0.05, 0, 2.5, -700], [0, 0, 0, 1.0]])


def _plain(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def _nibabel(path: Path) -> nib.Nifti1Image:
    # Two files are a plain NIfTI named .gz and a pair: let nibabel look at the content.
    return nib.load(path) if "pair" in path.name else _image_class(path).from_bytes(_plain(path))


def _image_class(path: Path) -> type[nib.Nifti1Image]:
    return nib.Nifti2Image if _plain(path)[:4] == b"\x1c\x02\x00\x00" else nib.Nifti1Image


# --- against the reference readers ---------------------------------------------------------


@pytest.mark.real
@pytest.mark.parametrize("name", READABLE)
def test_numbers_and_grid_are_those_of_nibabel(shared_data, name):
    path = shared_data / "odd" / name
    volume, image = read_volume(path), _nibabel(path)
    expected = np.asarray(image.dataobj, np.float64).reshape(volume.grid.shape)
    np.testing.assert_array_equal(volume.hu(), expected.astype(np.float32))
    np.testing.assert_array_equal(volume.grid.affine, image.affine)
    assert volume.stored.dtype == image.get_data_dtype()
    assert read_grid(path).same_as(volume.grid, tolerance_mm=0)


@pytest.mark.real
@pytest.mark.parametrize("name", sorted(set(READABLE) - {"nifti2.nii.gz", "sheared_gantry.nii.gz"}))
def test_every_voxel_lies_where_simpleitk_puts_it(shared_data, name):
    sitk = pytest.importorskip("SimpleITK")
    path = shared_data / "odd" / name
    image, volume = sitk.ReadImage(str(path)), read_volume(path)
    stored = sitk.GetArrayViewFromImage(image).T
    finite = np.nan_to_num(volume.hu(), nan=0, posinf=0, neginf=0)  # ITK's reader does the same
    np.testing.assert_array_equal(finite, stored.astype(np.float32))
    for corner in ((0, 0, 0), (volume.grid.shape[0] - 1, 0, 0), (5, 7, 0)):
        lps = np.array(image.TransformContinuousIndexToPhysicalPoint([float(n) for n in corner]))
        ras = volume.grid.to_world(corner)
        np.testing.assert_allclose(lps * (-1, -1, 1), ras, atol=1e-3)


@pytest.mark.real
@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_file_that_is_not_one_volume_is_refused_by_saying_why(shared_data, name):
    kind, text = REFUSED[name]
    path = shared_data / "odd" / name
    with pytest.raises(kind, match=text) as caught:
        read_volume(path)
    assert caught.value.where == str(path)
    assert caught.value.fix


@pytest.mark.real
def test_every_odd_file_is_either_readable_or_refused(shared_data):
    names = {p.name for p in (shared_data / "odd").iterdir() if p.suffix != ".zip"}
    assert names == set(READABLE) | set(REFUSED)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_every_numeric_type_of_nibabel_is_read_in_its_own_byte_order(tmp_path, dtype, kind):
    array = np.arange(3 * 4 * 5).reshape(3, 4, 5).astype(dtype)
    header = kind.header_class(endianness=np.dtype(dtype).str[0].replace("|", "<"))
    header.set_data_dtype(dtype)
    kind(array, AFFINE, header).to_filename(tmp_path / "a.nii.gz")
    volume = read_volume(tmp_path / "a.nii.gz")
    assert volume.stored.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(volume.stored, array)
    np.testing.assert_allclose(volume.grid.affine, AFFINE, atol=1e-5)


# --- written as it was ---------------------------------------------------------------------


@pytest.mark.real
@pytest.mark.parametrize(
    "name", sorted(set(READABLE) - {"4d_single.nii.gz", "pair.hdr", "pair.img"})
)
def test_an_unchanged_volume_is_written_as_the_same_bytes(shared_data, tmp_path, name):
    source = shared_data / "odd" / name
    write_volume(tmp_path / "again.nii.gz", read_volume(source))
    assert _plain(tmp_path / "again.nii.gz") == _plain(source)


@pytest.mark.real
@pytest.mark.parametrize("name", ["crlm1004", "ts_example_3mm"])
def test_a_clinical_ct_is_written_as_the_same_bytes(shared_data, tmp_path, name):
    source = shared_data / "abdomen" / name / "ct.nii.gz"
    write_volume(tmp_path / "again.nii", read_volume(source))
    assert (tmp_path / "again.nii").read_bytes() == _plain(source)


@pytest.mark.real
@pytest.mark.parametrize("half", ["pair.hdr", "pair.img"])
def test_a_pair_becomes_one_file_with_the_same_voxels_and_fields(shared_data, tmp_path, half):
    source = shared_data / "odd" / half
    write_volume(tmp_path / "one.nii", read_volume(source))
    one, pair = nib.load(tmp_path / "one.nii"), nib.load(source)
    np.testing.assert_array_equal(one.dataobj, pair.dataobj)
    changed = [k for k in pair.header if not np.array_equal(one.header[k], pair.header[k])]
    assert set(changed) <= {"magic", "vox_offset", "scl_slope", "scl_inter"}


@pytest.mark.parametrize("codes", [(1, 1), (2, 0), (0, 1), (4, 3)])
def test_header_codes_are_kept(tmp_path, codes):
    image = nib.Nifti1Image(np.zeros((3, 4, 5), np.int16), np.diag([2, 2, 3, 1.0]))
    image.set_sform(image.affine, codes[0])
    image.set_qform(image.affine, codes[1])
    image.header["descrip"] = b"portal venous"
    image.header.set_xyzt_units("mm", "sec")
    image.to_filename(tmp_path / "a.nii")
    volume = read_volume(tmp_path / "a.nii")
    write_volume(tmp_path / "b.nii", volume)
    write_mask(tmp_path / "m.nii", Mask(volume.stored == 0, volume.grid), like=volume)
    for name in ("b.nii", "m.nii"):
        header = nib.load(tmp_path / name).header
        assert (int(header["sform_code"]), int(header["qform_code"])) == codes
        assert header["descrip"].item() == b"portal venous"
        assert header.get_xyzt_units() == ("mm", "sec")


@pytest.mark.parametrize("scaling", [(1.0, -1024.0), (0.5, 3.0), (np.nan, np.nan), (0.0, 0.0)])
def test_the_scaling_of_the_file_is_applied_and_written_back(tmp_path, scaling):
    image = nib.Nifti1Image(np.full((3, 4, 5), 1100, np.int16), np.eye(4))
    image.header.set_slope_inter(1, 0)
    image.to_filename(tmp_path / "a.nii")
    data = bytearray((tmp_path / "a.nii").read_bytes())
    data[112:120] = np.array(scaling, "<f4").tobytes()
    (tmp_path / "a.nii").write_bytes(data)
    volume = read_volume(tmp_path / "a.nii")
    slope, intercept = (1.0, 0.0) if not scaling[0] > 0 else scaling
    assert (volume.hu() == 1100 * slope + intercept).all()
    write_volume(tmp_path / "b.nii", volume)
    assert (tmp_path / "b.nii").read_bytes() == bytes(data)


def test_extensions_are_kept(tmp_path):
    image = nib.Nifti1Image(np.zeros((3, 4, 5), np.int16), np.eye(4))
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"scanned at dawn"))
    image.header.extensions.append(nib.nifti1.Nifti1Extension("afni", b"<AFNI/>" * 200))
    image.to_filename(tmp_path / "a.nii")
    write_volume(tmp_path / "b.nii", read_volume(tmp_path / "a.nii"))
    assert (tmp_path / "b.nii").read_bytes() == (tmp_path / "a.nii").read_bytes()


def test_an_extension_of_odd_length_does_not_stop_the_reader(tmp_path):
    image = nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4))
    image.to_filename(tmp_path / "a.nii")
    data = (tmp_path / "a.nii").read_bytes()
    odd = data[:348] + b"\1\0\0\0" + np.array([24, 6], "<i4").tobytes() + b"a comment here.."
    offset = np.array([len(odd)], "<f4").tobytes()
    (tmp_path / "b.nii").write_bytes(odd[:108] + offset + odd[112:] + data[352:])
    np.testing.assert_array_equal(read_volume(tmp_path / "b.nii").stored, np.asarray(image.dataobj))


# --- written from memory -------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.int16, np.uint8, np.int32, np.float32]),
        hnp.array_shapes(min_dims=3, max_dims=3, max_side=9),
        elements={"allow_nan": False},
    ),
    st.booleans(),
)
def test_any_array_survives_writing_and_reading(tmp_path_factory, array, c_order):
    path = tmp_path_factory.mktemp("any") / "a.nii.gz"
    stored = np.array(array, order="C" if c_order else "F")
    write_volume(path, Volume(stored, Grid(stored.shape, AFFINE)))
    back = read_volume(path)
    np.testing.assert_array_equal(back.stored, stored)
    assert back.stored.dtype == stored.dtype
    assert back.grid.same_as(Grid(stored.shape, AFFINE), tolerance_mm=1e-3)


def test_writing_twice_gives_the_same_bytes_whatever_the_name_and_folder(
    tmp_path, soft_tissue_volume
):
    digests = set()
    for name in ("a.nii.gz", "deep/er/b.nii.gz", "a.nii.gz"):
        write_volume(tmp_path / name, soft_tissue_volume)
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1


def test_a_standard_header_positions_the_volume_for_sform_and_qform_readers(
    tmp_path, soft_tissue_volume
):
    write_volume(tmp_path / "a.nii.gz", soft_tissue_volume)
    header = nib.load(tmp_path / "a.nii.gz").header
    np.testing.assert_allclose(header.get_sform(coded=True)[0], soft_tissue_volume.grid.affine)
    np.testing.assert_allclose(header.get_qform(coded=True)[0], soft_tissue_volume.grid.affine)
    assert header.get_xyzt_units()[0] == "mm"


@pytest.mark.real
@pytest.mark.parametrize("name", ["lps.nii.gz", "oblique17.nii.gz", "no_affine_codes.nii.gz"])
def test_a_cropped_volume_is_written_where_it_lies(shared_data, tmp_path, name):
    whole = read_volume(shared_data / "odd" / name)
    region = (slice(10, 40), slice(5, 25), slice(20, 30))
    part = Volume(whole.stored[region], whole.grid.crop(region), header=whole.header)
    write_volume(tmp_path / "part.nii.gz", part)
    write_mask(tmp_path / "mask.nii.gz", Mask(part.stored > 0, part.grid), like=part)
    for written in ("part.nii.gz", "mask.nii.gz"):
        image = nib.load(tmp_path / written)
        np.testing.assert_allclose(image.affine, part.grid.affine, atol=1e-3)
        assert image.shape == (30, 20, 10)


@pytest.mark.real
def test_labels_written_like_a_big_endian_volume_keep_their_values(shared_data, tmp_path):
    like = read_volume(shared_data / "odd" / "big_endian.nii")
    labels = np.zeros(like.grid.shape, np.uint16)
    labels[3, 4, 5] = 1000
    write_labels(tmp_path / "labels.nii.gz", labels, like.grid, like)
    assert np.asarray(nib.load(tmp_path / "labels.nii.gz").dataobj)[3, 4, 5] == 1000
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.nii.gz")[0], labels)


@pytest.mark.real
def test_a_mask_is_unscaled_although_its_volume_is_scaled(shared_data, tmp_path):
    like = read_volume(shared_data / "odd" / "slope_inter.nii.gz")
    write_mask(tmp_path / "m.nii.gz", Mask(like.hu() > 0, like.grid), like=like)
    values = np.unique(np.asarray(nib.load(tmp_path / "m.nii.gz").dataobj))
    assert values.tolist() == [0, 1]
    np.testing.assert_array_equal(read_mask(tmp_path / "m.nii.gz").array, like.hu() > 0)


def test_labels_of_another_shape_are_refused(tmp_path):
    with pytest.raises(GeometryError, match=r"labels \(2, 2, 2\) on a grid \(3, 3, 3\)"):
        write_labels(tmp_path / "a.nii", np.zeros((2, 2, 2), np.uint8), Grid((3, 3, 3), np.eye(4)))


def test_a_type_that_nifti_lacks_is_refused_and_nothing_is_written(tmp_path):
    volume = Volume(np.zeros((3, 3, 3), np.float16), Grid((3, 3, 3), np.eye(4)))
    with pytest.raises(OutputError, match="float16"):
        write_volume(tmp_path / "a.nii", volume)
    assert list(tmp_path.iterdir()) == []


# --- masks and label maps ------------------------------------------------------------------


@pytest.mark.real
@pytest.mark.parametrize("name", ["mask_255.nii.gz", "mask_float_soft.nii.gz", "ok_liver.nii.gz"])
def test_masks_of_every_convention_have_the_same_voxels(shared_data, name):
    expected = np.asarray(nib.load(shared_data / "odd" / "ok_liver.nii.gz").dataobj) == 1
    mask = read_mask(shared_data / "odd" / name, "liver")
    np.testing.assert_array_equal(mask.array, expected)
    assert mask.name == "liver"
    assert mask.path == shared_data / "odd" / name


@pytest.mark.real
def test_an_empty_mask_is_read_as_empty(shared_data):
    assert read_mask(shared_data / "odd" / "empty_mask.nii.gz").volume_ml == 0


@pytest.mark.real
def test_a_label_map_is_read_in_the_smallest_type_that_holds_it(shared_data):
    path = shared_data / "abdomen" / "ts_example_3mm_labelmap" / "labels.nii.gz"
    labels, grid = read_labels(path)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, np.asarray(nib.load(path).dataobj))
    assert grid.shape == labels.shape


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint16])
def test_labels_stored_as_any_type_are_read_as_integers(tmp_path, dtype):
    values = np.array([0, 1, 7, 300], dtype).reshape(2, 2, 1)
    nib.save(nib.Nifti1Image(values, np.eye(4), dtype=dtype), tmp_path / "a.nii")
    labels, _ = read_labels(tmp_path / "a.nii")
    assert labels.dtype == np.uint16
    np.testing.assert_array_equal(labels, values)


@pytest.mark.parametrize("bad", [0.5, np.nan, np.inf, 1e30])
def test_label_values_that_are_not_whole_are_refused(tmp_path, bad):
    values = np.array([0, 1, 2, bad], np.float32).reshape(2, 2, 1)
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(IntensityError, match="not whole numbers"):
        read_labels(tmp_path / "a.nii")


def test_a_ct_given_as_a_label_map_is_refused(tmp_path, soft_tissue_volume):
    write_volume(tmp_path / "ct.nii.gz", soft_tissue_volume)
    with pytest.raises(IntensityError, match=r"-1000 is negative.*is this the CT"):
        read_labels(tmp_path / "ct.nii.gz")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.nii", True), ("A.NII.GZ", True), ("a.hdr", True), ("a.nrrd", False), ("nii", False)],
)
def test_a_nifti_name_is_told_by_its_ending(name, expected):
    assert is_nifti_name(Path(name)) is expected
