"""Stored numbers become Hounsfield units, exactly where they can, for every compression."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gdcm
import numpy as np
import pytest
from dicom_phantom import classic, hounsfield, put_pixels, save
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEGExtended12Bit,
    JPEGLSLossless,
    RLELossless,
)

from scalemai.errors import IntensityError, MissingExtraError, UnreadableFileError
from scalemai.io.dicom import read_series


def test_each_slice_is_rescaled_by_its_own_slope_and_intercept(tmp_path: Path) -> None:
    hu = (hounsfield() // 2) * 2
    datasets = [
        classic(hu, slope=slope, intercept=intercept)[k]
        for k, (slope, intercept) in enumerate(
            [(1, -1024), (2, -1024), (1, 0), (2, 0), (1, -1000), (1, -8192)]
        )
    ]
    volume = read_series(save(datasets, tmp_path))
    assert volume.stored.dtype == np.int16
    np.testing.assert_array_equal(volume.stored, hu)


def test_a_fractional_rescale_gives_float32_with_every_other_slice_kept_exact(
    tmp_path: Path,
) -> None:
    hu = hounsfield()
    datasets = classic(hu)
    datasets[3] = classic(hu, slope=0.1, intercept=-1024.5)[3]
    volume = read_series(save(datasets, tmp_path))
    assert volume.stored.dtype == np.float32
    np.testing.assert_array_equal(volume.stored[:, :, :3], hu[:, :, :3])
    np.testing.assert_allclose(volume.stored[:, :, 3], hu[:, :, 3], atol=0.0501)


def test_numbers_beyond_int16_are_kept_as_float32_instead_of_wrapping(tmp_path: Path) -> None:
    datasets = classic(hounsfield())
    metal = np.full((11, 14), 60000, np.uint16)
    put_pixels(datasets[2], metal)
    volume = read_series(save(datasets, tmp_path))
    assert volume.stored.dtype == np.float32
    assert (volume.stored[:, :, 2] == 60000 - 1024).all()


@pytest.mark.parametrize("declared", [-2000, 63536])
def test_padding_is_kept_as_stored_and_counted(tmp_path: Path, declared: int) -> None:
    hu = hounsfield()
    hu[:3, :2, :] = -2000 - 1024
    datasets = classic(hu)
    for dataset in datasets:
        # Scanners write the signed value under an unsigned representation too.
        dataset.add_new("PixelPaddingValue", "SS" if declared < 0 else "US", declared)
    volume = read_series(save(datasets, tmp_path))
    np.testing.assert_array_equal(volume.stored, hu)
    assert volume.metadata["padding_hu"] == -3024.0
    assert volume.metadata["padding_voxels"] == 3 * 2 * 6


def test_a_declared_padding_inside_the_scale_is_counted_by_its_value(tmp_path: Path) -> None:
    hu = np.clip(hounsfield(), -900, None)
    hu[0, :, :] = -1024
    datasets = classic(hu)
    for dataset in datasets:
        dataset.add_new("PixelPaddingValue", "SS", 0)
    metadata = read_series(save(datasets, tmp_path)).metadata
    assert (metadata["padding_hu"], metadata["padding_voxels"]) == (-1024.0, 11 * 6)


def test_without_padding_none_is_reported(tmp_path: Path) -> None:
    metadata = read_series(save(classic(hounsfield()), tmp_path)).metadata
    assert (metadata["padding_hu"], metadata["padding_voxels"]) == (None, 0)


@pytest.mark.parametrize("signed", [False, True])
def test_overlay_bits_above_twelve_stored_bits_are_not_taken_for_voxels(
    tmp_path: Path, signed: bool
) -> None:
    hu = np.clip(hounsfield(), -1000, 1000)
    intercept = 0 if signed else -1024
    datasets = classic(hu, intercept=intercept)
    for k, dataset in enumerate(datasets):
        stored = hu[:, :, k].T.astype(np.int32) - intercept
        dirty = ((stored & 0x0FFF) | 0x5000).astype(np.uint16)
        put_pixels(dataset, dirty)
        dataset.BitsStored, dataset.HighBit = 12, 11
        dataset.PixelRepresentation = int(signed)
    np.testing.assert_array_equal(read_series(save(datasets, tmp_path)).stored, hu)


@pytest.mark.parametrize(
    ("elements", "said"),
    [
        ({"RescaleSlope": None}, "RescaleSlope is absent and RescaleIntercept -1024"),
        ({"RescaleIntercept": None}, "RescaleIntercept absent"),
        ({"RescaleSlope": 0}, "RescaleSlope is 0"),
        ({"RescaleType": "Z_EFF"}, "RescaleType is Z_EFF, not Hounsfield units"),
    ],
)
def test_numbers_that_are_no_hounsfield_units_are_refused(
    tmp_path: Path, elements: dict[str, Any], said: str
) -> None:
    with pytest.raises(IntensityError, match=said):
        read_series(save(classic(hounsfield(), **elements), tmp_path))


def test_a_colour_capture_in_a_ct_series_is_refused(tmp_path: Path) -> None:
    datasets = classic(hounsfield())
    for dataset in datasets:
        put_pixels(dataset, np.zeros((11, 14 * 3), np.uint8))
        dataset.Columns, dataset.SamplesPerPixel, dataset.PlanarConfiguration = 14, 3, 0
        dataset.PhotometricInterpretation = "RGB"
    with pytest.raises(IntensityError, match="colours"):
        read_series(save(datasets, tmp_path))


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_every_native_encoding_gives_the_same_volume(tmp_path: Path, syntax: str) -> None:
    hu = hounsfield()
    datasets = classic(hu)
    for dataset in datasets:
        dataset.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            dataset["PixelData"].VR = "OW"
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
    volume = read_series(save(datasets, tmp_path))
    np.testing.assert_array_equal(volume.stored, hu)
    assert volume.metadata["transfer_syntax"] == syntax


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_run_length_and_jpeg_ls_are_decoded(tmp_path: Path, syntax: str) -> None:
    hu = smooth()
    datasets = classic(hu)
    for dataset in datasets:
        dataset.compress(syntax, generate_instance_uid=False)
    volume = read_series(save(datasets, tmp_path))
    np.testing.assert_array_equal(volume.stored, hu)
    assert volume.metadata["transfer_syntax"] == syntax


@pytest.mark.parametrize(
    "syntax",
    ["JPEGLosslessProcess14", "JPEGLosslessProcess14_1", "JPEG2000Lossless", "JPEGLSLossless"],
)
@pytest.mark.parametrize("intercept", [0, -1024])
def test_files_compressed_by_gdcm_are_decoded(tmp_path: Path, syntax: str, intercept: int) -> None:
    hu = smooth()
    folder = save(classic(hu, intercept=intercept), tmp_path)
    for path in folder.iterdir():
        compress_with_gdcm(path, getattr(gdcm.TransferSyntax, syntax))
    volume = read_series(folder)
    np.testing.assert_array_equal(volume.stored, hu)
    assert volume.metadata["transfer_syntax"].startswith("1.2.840.10008.1.2.4.")


def test_a_compression_without_decoder_names_the_package_to_install(tmp_path: Path) -> None:
    folder = save(encapsulated(HTJ2KLossless), tmp_path)
    with pytest.raises(MissingExtraError, match="pip install pylibjpeg pylibjpeg-openjpeg"):
        read_series(folder)


def test_twelve_bit_lossy_jpeg_and_unknown_compressions_are_refused_by_file(tmp_path: Path) -> None:
    for syntax in (JPEGExtended12Bit, "1.2.840.10008.1.2.4.102"):
        folder = save(encapsulated(syntax), tmp_path / syntax)
        with pytest.raises(UnreadableFileError, match=r"000\.dcm"):
            read_series(folder)


@pytest.mark.parametrize("syntax", [None, RLELossless, JPEGLSLossless])
def test_a_file_whose_pixels_are_cut_off_is_named(tmp_path: Path, syntax: str | None) -> None:
    datasets = classic(smooth())
    if syntax is not None:
        for dataset in datasets:
            dataset.compress(syntax, generate_instance_uid=False)
    folder = save(datasets, tmp_path)
    cut = folder / "003.dcm"
    cut.write_bytes(cut.read_bytes()[:-60])
    with pytest.raises(UnreadableFileError, match=r"003\.dcm: .*truncated"):
        read_series(folder)


def test_a_file_without_pixels_is_named(tmp_path: Path) -> None:
    datasets = classic(hounsfield())
    del datasets[1].PixelData
    with pytest.raises(UnreadableFileError, match=r"001\.dcm: there are no pixel data"):
        read_series(save(datasets, tmp_path))


def smooth() -> NDArray[np.int16]:
    """Numbers that compress, so that a decoder has to do its work."""
    i, j, k = np.meshgrid(np.arange(32), np.arange(24), np.arange(4), indexing="ij")
    return (-900 + 60 * i - 25 * j + 200 * k).astype(np.int16)


def encapsulated(syntax: str) -> list[Dataset]:
    datasets = classic(hounsfield())
    for dataset in datasets:
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.BitsStored, dataset.HighBit = 12, 11
        dataset.PixelData = encapsulate([bytes(range(200))])
        dataset["PixelData"].VR = "OB"
    return datasets


def compress_with_gdcm(path: Path, syntax: int) -> None:
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
