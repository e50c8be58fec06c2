"""Planes through a volume: the radiologist's sides, true proportions, whatever the storage."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from scalemai.geometry import Grid
from scalemai.preview.planes import Plane, mask_outline, plane_hu
from scalemai.volume import Mask, Volume

DIRECTIONS = ["axial", "coronal", "sagittal"]
MEBIBYTE = 1 << 20


def _marked(direction_ras: tuple[int, int, int]) -> Volume:
    """Water with a bright ball 30 mm from the middle in one direction of the patient."""
    affine = np.diag([1.0, 1.0, 2.5, 1.0])
    affine[:3, 3] = (-50, -50, -50)
    grid = Grid((101, 101, 41), affine)
    world = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))
    ball = np.linalg.norm(world - 30.0 * np.array(direction_ras), axis=-1) < 8
    return Volume(np.where(ball, 1000, 0).astype(np.int16), grid)


def _stored_as(volume: Volume, order, flips) -> Volume:
    """The same voxels at the same places, stored in another axis order and direction."""
    array = volume.stored.transpose(order)
    affine = volume.grid.affine[:, [*order, 3]]
    for axis, flip in enumerate(flips):
        if flip:
            affine = affine.copy()
            affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
            affine[:3, axis] *= -1
            array = np.flip(array, axis)
    return Volume(np.ascontiguousarray(array), Grid(array.shape, affine))


def _side_of_brightest(picture) -> str:
    down, right = np.argwhere(picture > 500).mean(axis=0) - (np.array(picture.shape) - 1) / 2
    if abs(right) > abs(down):
        return "left" if right < 0 else "right"
    return "top" if down < 0 else "bottom"


@pytest.mark.parametrize(
    ("direction", "ras", "side"),
    [
        ("axial", (1, 0, 0), "left"),
        ("axial", (-1, 0, 0), "right"),
        ("axial", (0, 1, 0), "top"),
        ("axial", (0, -1, 0), "bottom"),
        ("coronal", (1, 0, 0), "left"),
        ("coronal", (0, 0, 1), "top"),
        ("coronal", (0, 0, -1), "bottom"),
        ("sagittal", (0, 1, 0), "left"),
        ("sagittal", (0, -1, 0), "right"),
        ("sagittal", (0, 0, 1), "top"),
    ],
)
def test_each_side_of_the_patient_is_where_a_radiologist_expects_it(direction, ras, side):
    picture = plane_hu(_marked(ras), Plane(direction, (0, 0, 0), 90), 60)
    assert _side_of_brightest(picture) == side


def test_the_letters_name_the_sides():
    for direction in DIRECTIONS:
        plane = Plane(direction, (0, 0, 0), 90)
        vectors = {"R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0), "S": (0, 0, 1)}
        for letter, side in zip(plane.letters, ("left", "right", "top"), strict=True):
            assert _side_of_brightest(plane_hu(_marked(vectors[letter]), plane, 60)) == side


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_all_48_ways_to_store_a_volume_give_the_same_picture(direction):
    rng = np.random.default_rng(0)
    affine = np.diag([1.0, 1.5, 3.0, 1.0])
    volume = Volume(rng.integers(-100, 200, (30, 22, 9), np.int16), Grid((30, 22, 9), affine))
    plane = Plane(direction, (15.2, 14.1, 11.9), 40)
    expected = plane_hu(volume, plane, 64)
    for order in itertools.permutations(range(3)):
        for flips in itertools.product([False, True], repeat=3):
            other = plane_hu(_stored_as(volume, order, flips), plane, 64)
            np.testing.assert_allclose(other, expected, atol=0.01)


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(*[st.floats(0.6, 1.5)] * 3), st.tuples(*[st.floats(-30, 30)] * 3),
    st.sampled_from(DIRECTIONS),
)  # fmt: skip
def test_a_ball_is_outlined_as_a_circle_of_its_size_on_any_grid(spacing, tilt, direction):
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", tilt, degrees=True).as_matrix()
    affine[:3, :3] = turn * np.array(spacing)
    affine[:3, 3] = -affine[:3, :3] @ np.full(3, 23.5)
    grid = Grid((48, 48, 48), affine)
    world = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))
    mask = Mask(np.linalg.norm(world, axis=-1) < 12, grid)
    plane = Plane(direction, (0.3, -0.2, 0.1), 40)
    lines = mask_outline(mask, plane, 400)
    assert len(lines) == 1
    right, down = lines[0].T
    area = 0.5 * abs(right @ np.roll(down, 1) - down @ np.roll(right, 1)) * (40 / 400) ** 2
    assert area == pytest.approx(np.pi * 12**2, rel=0.05)
    for along in (right, down):
        assert np.ptp(along) * 0.1 == pytest.approx(24, abs=2 * max(spacing))
        assert abs((along.max() + along.min()) / 2 - 200) * 0.1 < max(spacing)


def test_an_outline_runs_along_the_border_between_voxels():
    array = np.zeros((20, 20, 20), bool)
    array[5:15, 5:15, 5:15] = True  # from 4.5 to 14.5 mm
    mask = Mask(array, Grid(array.shape, np.eye(4)))
    (line,) = mask_outline(mask, Plane("axial", (9.5, 9.5, 9.5), 20), 200)
    # The picture spans 20 mm: the border lies 5 mm, or 50 pixels, off its middle.
    assert line.min() == pytest.approx(50, abs=0.6)
    assert line.max() == pytest.approx(150, abs=0.6)


def test_a_single_voxel_is_outlined():
    array = np.zeros((9, 9, 9), bool)
    array[4, 4, 4] = True
    mask = Mask(array, Grid(array.shape, np.eye(4)))
    for direction in DIRECTIONS:
        assert len(mask_outline(mask, Plane(direction, (4, 4, 4), 9), 90)) == 1


def test_a_mask_that_fills_the_picture_has_no_outline():
    mask = Mask(np.ones((40, 40, 40), bool), Grid((40, 40, 40), np.eye(4)))
    assert mask_outline(mask, Plane("axial", (20, 20, 20), 9), 90) == []


def test_a_mask_elsewhere_has_no_outline():
    array = np.zeros((9, 9, 9), bool)
    array[0] = True
    mask = Mask(array, Grid(array.shape, np.eye(4)))
    assert mask_outline(mask, Plane("sagittal", (6, 4, 4), 9), 90) == []


@pytest.mark.parametrize("smooth", [False, True])
def test_a_gradient_keeps_its_hounsfield_units_and_its_scaling(smooth):
    stored = np.broadcast_to(np.arange(60, dtype=np.int16)[:, None, None], (60, 60, 20))
    volume = Volume(stored, Grid(stored.shape, np.diag([1.0, 1, 3, 1])), 10.0, -300.0)
    picture = plane_hu(volume, Plane("axial", (30, 30, 30), 20), 20, smooth=smooth)
    expected = (39.5 - np.arange(20)) * 10 - 300  # the patient's right, larger x, is on the left
    np.testing.assert_allclose(picture[7], expected, atol=0.6 if smooth else 0.01)


def test_averaging_keeps_the_mean_and_calms_the_noise():
    rng = np.random.default_rng(0)
    stored = rng.normal(50, 40, (300, 300, 3)).round().astype(np.int16)
    volume = Volume(stored, Grid(stored.shape, np.diag([0.5, 0.5, 2, 1])))
    picture = plane_hu(volume, Plane("axial", (75, 75, 2), 140), 70)
    assert picture.mean() == pytest.approx(50, abs=2)
    assert picture.std() < 25


def test_outside_of_the_volume_is_nan_and_its_edge_is_half_a_voxel_out():
    volume = Volume(np.full((10, 10, 10), 7, np.int16), Grid((10, 10, 10), np.eye(4)))
    picture = plane_hu(volume, Plane("axial", (4.5, 4.5, 4.5), 20), 200)
    seen = np.isfinite(picture)
    assert (picture[seen] == 7).all()
    assert seen.sum() == pytest.approx(100 * 100, rel=0.03)


def test_a_plane_that_misses_the_volume_is_empty():
    volume = Volume(np.ones((4, 4, 4), np.int16), Grid((4, 4, 4), np.eye(4)))
    assert np.isnan(plane_hu(volume, Plane("axial", (0, 0, 500), 20), 20)).all()


def test_one_slice_has_its_thickness():
    volume = Volume(np.ones((40, 40, 1), np.int16), Grid((40, 40, 1), np.diag([1.0, 1, 5, 1])))
    picture = plane_hu(volume, Plane("coronal", (20, 20, 0), 20), 200)
    assert np.isfinite(picture[:, 100]).sum() == pytest.approx(50, abs=2)


def test_nan_voxels_do_not_spread_over_a_smooth_picture():
    stored = np.full((30, 30, 30), 40.0, np.float32)
    stored[0, 0, 0] = np.nan
    volume = Volume(stored, Grid(stored.shape, np.eye(4)))
    picture = plane_hu(volume, Plane("axial", (15, 15, 2), 20), 40, smooth=True)
    np.testing.assert_allclose(picture, 40)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_volume_of_128_gigabytes_costs_the_memory_of_a_picture(direction):
    stored = np.broadcast_to(np.int16(50), (4000, 4000, 4000))
    volume = Volume(stored, Grid(stored.shape, np.diag([0.1, 0.1, 0.2, 1])))
    tracemalloc.start()
    try:
        picture = plane_hu(volume, Plane(direction, (200, 200, 400), 350), 340)
        assert tracemalloc.get_traced_memory()[1] < 512 * MEBIBYTE
    finally:
        tracemalloc.stop()
    assert (picture == 50).all()


def test_a_smooth_picture_has_no_seam_along_a_sharp_border():
    stored = np.full((40, 40, 5), 100, np.int16)
    stored[:20] = 40
    volume = Volume(stored, Grid(stored.shape, np.eye(4)))
    picture = plane_hu(volume, Plane("axial", (19.5, 19.5, 2), 20), 200, smooth=True)
    assert picture.min() >= 40
    assert picture.max() <= 100
