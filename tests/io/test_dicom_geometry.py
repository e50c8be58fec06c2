"""Positions decide the grid; what forms no grid is refused with the place that is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_phantom import ORIGIN_LPS_MM, SERIES_UID, SPACING_MM, classic, hounsfield, override, save
from hypothesis import given
from hypothesis import strategies as st

from scalemai.errors import GeometryError, UnreadableFileError
from scalemai.geometry import Grid
from scalemai.io.dicom import read_series
from scalemai.io.dicom_geometry import lattice, place


def test_a_missing_slice_is_refused_with_its_place_and_its_width(tmp_path: Path) -> None:
    datasets = classic(hounsfield())
    del datasets[2]
    with pytest.raises(GeometryError) as caught:
        read_series(save(datasets, tmp_path))
    message = str(caught.value)
    assert "slices are missing: 1 between -137.50 and -132.50 mm (5.00 mm apart)" in message
    assert "2.500 mm apart along the normal" in message


def test_a_gap_that_is_no_multiple_of_the_spacing_is_refused_as_uneven(tmp_path: Path) -> None:
    datasets = classic(hounsfield())
    for dataset in datasets[3:]:
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y, z + 0.9]
    with pytest.raises(GeometryError, match=r"gaps run from 2\.500 to 3\.400 mm"):
        read_series(save(datasets, tmp_path))


@given(st.lists(st.floats(-0.05, 0.05), min_size=6, max_size=6))
def test_positions_rounded_to_a_tenth_of_a_millimetre_are_still_one_lattice(
    errors: list[float],
) -> None:

    depth = np.arange(6) * 0.625 + np.asarray(errors)
    positions = np.stack([np.zeros(6), np.zeros(6), depth], axis=1)
    numbers, step = lattice(
        positions, np.array([0.0, 0, 1]), where="x", spacing_mm=None, gaps="refuse"
    )
    assert numbers.tolist() == [0, 1, 2, 3, 4, 5]
    assert step[2] == pytest.approx(0.625, abs=0.021)


def test_small_errors_of_spacing_may_not_add_up_over_a_long_series(tmp_path: Path) -> None:
    # Half of the slices 1.00 mm apart, half 1.04: each gap passes a 5 % test, the positions do not.
    datasets = classic(hounsfield((4, 4, 60)))
    depths = np.concatenate([np.arange(30) * 1.0, 29 + np.arange(1, 31) * 1.04])
    for dataset, depth in zip(datasets, depths, strict=True):
        dataset.ImagePositionPatient = [0, 0, float(depth)]
    with pytest.raises(GeometryError, match="unevenly spaced"):
        read_series(save(datasets, tmp_path))


@pytest.mark.parametrize("tilt", [-22.5, 12.0])
def test_a_tilted_gantry_gives_a_sheared_grid_with_every_voxel_in_its_place(
    tmp_path: Path, tilt: float
) -> None:
    angle = np.radians(tilt)
    column = [0.0, np.cos(angle), np.sin(angle)]
    hu = hounsfield()
    folder = save(classic(hu, orientation=[1, 0, 0, *column], step_lps_mm=[0, 0, 3.0]), tmp_path)
    volume = read_series(folder)
    np.testing.assert_array_equal(volume.stored, hu)
    assert volume.metadata["gantry_tilt_deg"] == pytest.approx(abs(tilt), abs=1e-4)
    assert volume.grid.shear_deg == pytest.approx(abs(tilt), abs=1e-4)
    corner = np.asarray(ORIGIN_LPS_MM) + np.add(
        [13 * SPACING_MM[0], 0, 5 * 3.0], 10 * SPACING_MM[1] * np.asarray(column)
    )
    np.testing.assert_allclose(volume.grid.to_world([13, 10, 5]), corner * [-1, -1, 1], atol=1e-5)
    thickness = 3.0 * np.cos(angle)
    voxel = SPACING_MM[0] * SPACING_MM[1] * thickness
    assert volume.grid.voxel_volume_mm3 == pytest.approx(voxel)


def test_an_upright_series_has_no_tilt(tmp_path: Path) -> None:
    assert read_series(save(classic(hounsfield()), tmp_path)).metadata["gantry_tilt_deg"] == 0.0


def test_exact_copies_are_dropped_and_named(tmp_path: Path) -> None:
    hu = hounsfield()
    datasets = classic(hu)
    copies = classic(hu)[1:3]
    copies[1].SOPInstanceUID = f"{SERIES_UID}.77"  # sent twice under another identifier
    save(datasets, tmp_path, "a{}")
    save(copies, tmp_path, "b{}")
    volume = read_series(tmp_path)
    np.testing.assert_array_equal(volume.stored, hu)
    assert volume.metadata["duplicates_dropped"] == ["b0", "b1"]


def test_two_phases_in_one_series_are_refused_with_what_tells_them_apart(tmp_path: Path) -> None:
    first = classic(hounsfield(seed=1), AcquisitionNumber=1)
    second = classic(hounsfield(seed=2), AcquisitionNumber=2)
    for dataset in second:
        dataset.SOPInstanceUID += ".2"
    with pytest.raises(GeometryError) as caught:
        read_series(save([*first, *second], tmp_path))
    message = str(caught.value)
    assert "two different images lie at -140.00 mm along the normal" in message
    assert "AcquisitionNumber 1 and 2" in message
    assert "6 of 12 images share a position" in message


def test_one_identifier_with_two_different_images_is_refused(tmp_path: Path) -> None:
    damaged = classic(hounsfield(seed=1))[3]
    datasets = classic(hounsfield(seed=2))
    with pytest.raises(GeometryError, match=r"two different images lie at -132\.50 mm"):
        read_series(save([*datasets, damaged], tmp_path))


@pytest.mark.parametrize(
    ("elements", "said"),
    [
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}, "mixes orientations: 1 of 6"),
        ({"PixelSpacing": [0.9, 0.8]}, "mixes pixel spacings"),
        ({"ImagePositionPatient": None}, "has no ImagePositionPatient"),
        ({"PixelSpacing": None}, "has no PixelSpacing"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0, 0]}, "mixes orientations"),
    ],
)
def test_an_image_that_does_not_fit_the_others_is_named(
    tmp_path: Path, elements: dict[str, object], said: str
) -> None:
    datasets = classic(hounsfield())
    override(datasets[4], dict(elements))
    with pytest.raises(GeometryError, match=said) as caught:
        read_series(save(datasets, tmp_path))
    assert "004.dcm" in str(caught.value)


def test_mixed_image_sizes_are_refused(tmp_path: Path) -> None:
    larger = classic(hounsfield((20, 11, 6)))[5]
    with pytest.raises(GeometryError, match=r"mixes image sizes: 1 of 6 images differ"):
        read_series(save([*classic(hounsfield())[:5], larger], tmp_path))


@pytest.mark.parametrize(
    ("elements", "said"),
    [
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "not two perpendicular unit vectors"),
        ({"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]}, "not two perpendicular unit vectors"),
        ({"PixelSpacing": [0, 0]}, "PixelSpacing is 0 x 0 mm"),
    ],
)
def test_an_impossible_geometry_is_refused(
    tmp_path: Path, elements: dict[str, object], said: str
) -> None:
    with pytest.raises(GeometryError, match=said):
        read_series(save(classic(hounsfield(), **elements), tmp_path))


def test_a_position_with_two_numbers_is_a_damaged_header(tmp_path: Path) -> None:
    folder = save(classic(hounsfield(), ImagePositionPatient=[1, 2]), tmp_path)
    with pytest.raises(UnreadableFileError, match="ImagePositionPatient has 2 values"):
        read_series(folder)


@given(
    axes=st.permutations(range(3)),
    flips=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    start=st.tuples(*[st.integers(0, 3)] * 3),
    seed=st.integers(0, 9),
)
def test_placing_an_array_on_a_coinciding_grid_keeps_every_voxel_in_the_world(
    axes: list[int], flips: tuple[bool, ...], start: tuple[int, ...], seed: int
) -> None:
    affine = np.array([[-0.7, 0.1, 0.3, 5], [0.2, -0.9, 0.4, 7], [0, 0.1, 2.4, -90], [0, 0, 0, 1]])
    target = Grid((8, 9, 7), affine)
    small = np.random.default_rng(seed).random((4, 5, 3)) < 0.3
    expected = np.zeros(target.shape, bool)
    expected[tuple(slice(s, s + n) for s, n in zip(start, small.shape, strict=True))] = small
    turned, turn = small.transpose(axes), np.zeros((4, 4))
    turn[3, 3] = 1
    for axis, (old, flip) in enumerate(zip(axes, flips, strict=True)):
        turn[old, axis] = -1 if flip else 1
        turn[old, 3] = start[old] + (small.shape[old] - 1 if flip else 0)
        if flip:
            turned = np.flip(turned, axis)
    grid = Grid(turned.shape, affine @ turn)
    np.testing.assert_array_equal(place(turned, grid, target), expected)


def test_a_grid_that_is_off_by_half_a_voxel_or_too_small_is_refused() -> None:
    target = Grid((8, 8, 8), np.eye(4))
    shifted = np.eye(4)
    shifted[0, 3] = 0.5
    with pytest.raises(GeometryError, match="do not lie on those of the other grid"):
        place(np.ones((4, 4, 4), bool), Grid((4, 4, 4), shifted), target)
    finer = np.diag([0.5, 0.5, 0.5, 1.0])
    with pytest.raises(GeometryError, match="do not lie on those of the other grid"):
        place(np.ones((4, 4, 4), bool), Grid((4, 4, 4), finer), target)
    outside = np.eye(4)
    outside[2, 3] = 7
    with pytest.raises(GeometryError, match="48 of its voxels lie outside"):
        place(np.ones((4, 4, 4), bool), Grid((4, 4, 4), outside), target)
    empty = np.zeros((4, 4, 4), bool)
    assert not place(empty, Grid((4, 4, 4), outside), target).any()
