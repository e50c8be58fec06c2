"""Real series, against SimpleITK and against the same patients' NIfTI files."""

from __future__ import annotations

import itertools
import zipfile
from pathlib import Path

import numpy as np
import pytest

from scalemai.errors import GeometryError, UnreadableFileError
from scalemai.io.dicom import list_series, read_series
from scalemai.io.dicom_seg import read_segmentation
from scalemai.io.nifti import read_volume
from scalemai.volume import Volume

sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is the independent reference")

pytestmark = pytest.mark.real

SERIES = {
    "hcc006": ("dicom/hcc006_20slices.zip", "", np.int16),
    "dcmqi": ("dicom/dcmqi_ct3", "ct", np.int16),
    "sarcoma": ("soft_tissue/sts_001/dicom_ct_rtstruct.zip", "ct", np.int16),
    "oblique": ("odd/dicom_oblique_rtutils.zip", "oriented_data", np.float32),
}


def unpacked(source: Path, folder: Path) -> Path:
    if source.is_dir():
        return source
    with zipfile.ZipFile(source) as archive:
        archive.extractall(folder)
    return folder


@pytest.mark.parametrize("name", SERIES)
def test_voxels_and_their_places_are_those_of_simpleitk(
    shared_data: Path, tmp_path: Path, name: str
) -> None:
    relative, inner, dtype = SERIES[name]
    volume = read_series(shared_data / relative)
    assert volume.stored.dtype == dtype
    reader = sitk.ImageSeriesReader()
    folder = str(unpacked(shared_data / relative, tmp_path) / inner)
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(folder))
    image = reader.Execute()
    reference = sitk.GetArrayFromImage(image).transpose(2, 1, 0)
    np.testing.assert_allclose(volume.hu(), reference, rtol=1e-6, atol=1e-5)
    for corner in itertools.product(*[(0, n - 1) for n in volume.grid.shape]):
        lps = image.TransformIndexToPhysicalPoint(corner)
        ras = np.multiply(lps, [-1, -1, 1])
        np.testing.assert_allclose(volume.grid.to_world(corner), ras, atol=1e-4)


def test_the_sarcoma_series_is_the_same_volume_as_its_nifti(shared_data: Path) -> None:
    case = shared_data / "soft_tissue" / "sts_001"
    dicom, nifti = read_series(case / "dicom_ct_rtstruct.zip"), read_volume(case / "ct.nii.gz")
    assert dicom.grid.same_as(nifti.grid, tolerance_mm=1e-4)
    np.testing.assert_array_equal(dicom.hu(), nifti.hu())


def test_the_liver_series_lies_where_its_downsampled_nifti_lies(shared_data: Path) -> None:
    dicom = read_series(shared_data / "dicom" / "hcc006_20slices.zip")
    nifti = read_volume(shared_data / "abdomen" / "hcc006" / "ct_3x.nii.gz")
    coarse = np.argwhere(np.ones(nifti.grid.shape, bool))[::7]
    centre = dicom.grid.to_voxel(nifti.grid.to_world(coarse))
    assert np.abs(centre - np.rint(centre)).max() < 1e-4
    centre = np.rint(centre).astype(int)
    inside = ((centre >= 2) & (centre < np.array(dicom.grid.shape) - 2)).all(axis=1)
    assert inside.sum() > 10_000
    told = nifti.hu()[tuple(coarse[inside].T)]
    fine = np.clip(dicom.hu(), -1024, None)

    def error_hu(shift: tuple[int, int, int]) -> float:
        """Mean difference if the fine volume lay ``shift`` voxels further on."""
        i, j, k = (centre[inside] + shift).T
        around = itertools.product((-1, 0, 1), repeat=2)
        mean = np.mean([fine[i + di, j + dj, k] for di, dj in around], axis=0)
        return float(np.abs(mean - told).mean())

    steps = [shift for shift in itertools.product((-1, 0, 1), repeat=3) if any(shift)]
    assert error_hu((0, 0, 0)) < 7
    assert error_hu((0, 0, 0)) < 0.9 * min(error_hu(shift) for shift in steps)


def test_padding_of_the_liver_series_is_reported_as_minus_2048(shared_data: Path) -> None:
    volume = read_series(shared_data / "dicom" / "hcc006_20slices.zip")
    assert volume.metadata["padding_hu"] == -2048.0
    assert volume.metadata["padding_voxels"] == np.count_nonzero(volume.hu() < -1024)
    assert volume.hu().min() == -2048.0


def test_missing_head_slices_are_refused_with_their_number(shared_data: Path) -> None:
    source = shared_data / "odd" / "dicom_16x16_nosuffix_monai.zip"
    assert list_series(source)[0].n_images == 4
    with pytest.raises(GeometryError, match=r"161 between -99\.48 and 103\.02 mm"):
        read_series(source)


def test_a_folder_without_ct_tells_what_it_holds(shared_data: Path) -> None:
    with pytest.raises(UnreadableFileError, match="found SEG 'Liver Segmentation'"):
        read_series(shared_data / "dicom" / "dcmqi_ct3" / "seg")
    found = list_series(shared_data / "soft_tissue" / "sts_001" / "dicom_ct_rtstruct.zip")
    assert [(series.modality, series.n_instances) for series in found] == [
        ("RTSTRUCT", 1),
        ("CT", 59),
    ]


@pytest.fixture
def colon_ct(shared_data: Path) -> Volume:
    return read_series(shared_data / "dicom" / "dcmqi_ct3" / "ct")


def test_a_segmentation_of_dcmqi_is_the_mask_of_its_nrrd(
    shared_data: Path, colon_ct: Volume
) -> None:
    folder = shared_data / "dicom" / "dcmqi_ct3"
    (segment,) = read_segmentation(folder / "seg" / "liver.dcm", match_grid=colon_ct.grid)
    assert (segment.label, segment.algorithm_type) == ("Liver", "SEMIAUTOMATIC")
    assert segment.algorithm_name == "SlicerEditor"
    assert segment.series_uid == colon_ct.metadata["series_uid"]
    image = sitk.ReadImage(str(folder / "nrrd" / "liver_seg.nrrd"))
    reference = sitk.GetArrayFromImage(image).transpose(2, 1, 0) > 0
    assert reference.any()
    # The NRRD has the slices of the CT, in the same or the opposite order: ask the positions.
    first = np.multiply(image.TransformIndexToPhysicalPoint((0, 0, 0)), [-1, -1, 1])
    assert np.allclose(colon_ct.grid.to_voxel(first), [0, 0, 0], atol=0.01)
    np.testing.assert_array_equal(segment.mask.array, reference)


def test_overlapping_and_sparse_segments_lie_on_the_ct(shared_data: Path, colon_ct: Volume) -> None:
    path = shared_data / "dicom" / "dcmqi_ct3" / "seg" / "partial_overlaps.dcm"
    segments = read_segmentation(path, match_grid=colon_ct.grid)
    assert [segment.number for segment in segments] == [1, 2, 3, 4, 5]
    voxels = {s.label: s.mask.array.sum(axis=(0, 1)).tolist() for s in segments}
    assert voxels["GREEN"] == [0, 9602, 0]
    assert voxels["PURPLE"] == [117, 117, 10509]
    masks = [segment.mask.array for segment in segments]
    assert any((one & two).any() for one, two in itertools.combinations(masks, 2))
    (alone,) = read_segmentation(path, segments=["DARK_BLUE"])
    (by_number,) = read_segmentation(path, segments=[5])
    np.testing.assert_array_equal(alone.mask.array, by_number.mask.array)
    assert alone.mask.array.sum() == 4713
