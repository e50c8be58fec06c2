"""Grids: voxels to millimetres and back, orientation, tilt, crops and comparison."""

from __future__ import annotations

import math
import pickle

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from scalemai.errors import GeometryError
from scalemai.geometry import CORNER_TOLERANCE_MM, Grid

shapes = st.tuples(*[st.integers(1, 600)] * 3)
spacings = st.tuples(*[st.floats(0.2, 12.0)] * 3)
origins = st.tuples(*[st.floats(-1500, 1500)] * 3)
tilts = st.tuples(*[st.floats(-25, 25)] * 3)
axis_orders = st.permutations(range(3))
axis_signs = st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3)


def _affine(spacing, origin, order=(0, 1, 2), signs=(1.0, 1.0, 1.0), tilt_deg=(0, 0, 0)):
    directions = np.zeros((3, 3))
    for axis, world in enumerate(order):
        directions[world, axis] = signs[axis]
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", tilt_deg, degrees=True).as_matrix()
    affine[:3, :3] = turn @ directions * np.asarray(spacing)
    affine[:3, 3] = origin
    return affine


grids = st.builds(
    lambda shape, *parts: Grid(shape, _affine(*parts)),
    shapes, spacings, origins, axis_orders, axis_signs, tilts,
)  # fmt: skip


@given(grids, st.lists(st.tuples(*[st.floats(-50, 700)] * 3), min_size=1, max_size=5))
def test_voxels_to_world_and_back_is_the_identity(grid, indices):
    points = np.asarray(indices)
    np.testing.assert_allclose(grid.to_voxel(grid.to_world(points)), points, atol=1e-6)


@given(grids)
def test_world_coordinates_agree_with_nibabel(grid):
    ijk = np.array([[0, 0, 0], [1.5, 2, 3], [10, 20, 30]])
    expected = nib.affines.apply_affine(grid.affine, ijk)
    np.testing.assert_allclose(grid.to_world(ijk), expected, atol=1e-9)


@given(grids)
def test_spacing_and_voxel_volume_agree_with_nibabel(grid):
    np.testing.assert_allclose(grid.spacing_mm, nib.affines.voxel_sizes(grid.affine))
    assert grid.voxel_volume_mm3 == pytest.approx(math.prod(grid.spacing_mm))


@given(spacings, origins, axis_orders, axis_signs, st.floats(-40, 40), st.integers(0, 2))
def test_orientation_codes_agree_with_nibabel(spacing, origin, order, signs, angle, about):
    tilt = [0.0, 0.0, 0.0]
    tilt[about] = angle
    grid = Grid((4, 5, 6), _affine(spacing, origin, order, signs, tilt))
    assert grid.orientation == "".join(nib.aff2axcodes(grid.affine))


@given(grids)
def test_the_axial_axis_is_the_one_called_inferior_or_superior(grid):
    assert grid.orientation[grid.axial_axis] in "IS"
    assert sorted([*grid.in_plane_axes, grid.axial_axis]) == [0, 1, 2]
    assert list(grid.in_plane_axes) == sorted(grid.in_plane_axes)


def test_x_grows_to_the_right_y_to_anterior_and_z_to_superior():
    assert Grid((2, 2, 2), np.eye(4)).orientation == "RAS"
    assert Grid((2, 2, 2), np.diag([-1.0, -1, 1, 1])).orientation == "LPS"


@given(spacings, st.floats(0, 40), st.integers(0, 2))
def test_a_rotated_grid_reports_its_tilt_and_no_shear(spacing, angle, about):
    tilt = [0.0, 0.0, 0.0]
    tilt[about] = angle
    grid = Grid((4, 5, 6), _affine(spacing, (0, 0, 0), tilt_deg=tilt))
    assert grid.tilt_deg == pytest.approx(angle, abs=1e-4)
    assert grid.shear_deg == pytest.approx(0, abs=1e-4)


@given(st.floats(1, 30))
def test_a_gantry_tilt_is_reported_as_shear_of_the_same_angle(angle):
    # An uncorrected gantry tilt: the table moves along z, the slices lean towards y.
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    affine[1, 2] = 3.0 * math.tan(math.radians(angle))
    grid = Grid((8, 8, 8), affine)
    assert grid.shear_deg == pytest.approx(angle, abs=1e-3)
    assert grid.voxel_volume_mm3 == pytest.approx(3.0)  # shear does not change a volume


@given(grids, st.data())
def test_a_crop_leaves_every_voxel_where_it_was(grid, data):
    region = []
    for n in grid.shape:
        start = data.draw(st.integers(0, n - 1))
        region.append(slice(start, data.draw(st.integers(start + 1, n))))
    part = grid.crop(tuple(region))
    offset = np.array([s.start for s in region])
    for corner in (np.zeros(3), np.array(part.shape) - 1.0):
        np.testing.assert_allclose(part.to_world(corner), grid.to_world(corner + offset), atol=1e-6)
    assert part.spacing_mm == pytest.approx(grid.spacing_mm)
    assert part.shape == tuple(s.stop - s.start for s in region)


def test_a_crop_of_nothing_is_refused():
    with pytest.raises(GeometryError, match="at least one voxel"):
        Grid((5, 5, 5), np.eye(4)).crop((slice(2, 2), slice(0, 5), slice(0, 5)))


@given(grids, st.tuples(*[st.floats(-2, 2)] * 3))
def test_difference_is_the_length_of_the_shift_in_mm(grid, shift):
    affine = grid.affine.copy()
    affine[:3, 3] += shift
    assert grid.difference_mm(Grid(grid.shape, affine)) == pytest.approx(
        np.linalg.norm(shift), abs=1e-6
    )


@given(grids)
def test_float32_rounding_of_the_affine_does_not_make_another_grid(grid):
    rounded = grid.affine.astype(np.float32).astype(np.float64)
    assert grid.same_as(Grid(grid.shape, rounded))


def test_a_drift_of_the_spacing_is_seen_at_the_far_corner():
    # 0.4 um per voxel hides from a comparison of matrix entries and adds up to 0.2 mm.
    near = Grid((512, 512, 100), np.diag([0.8, 0.8, 3, 1]))
    drifted = Grid((512, 512, 100), np.diag([0.8004, 0.8, 3, 1]))
    assert near.difference_mm(drifted) == pytest.approx(511 * 0.0004)
    assert not near.same_as(drifted)
    assert near.same_as(drifted, tolerance_mm=0.3)


def test_grids_of_other_shapes_are_never_the_same():
    grid = Grid((5, 5, 5), np.eye(4))
    assert grid.difference_mm(Grid((5, 5, 6), np.eye(4))) == math.inf
    assert not grid.same_as(Grid((5, 5, 6), np.eye(4)), tolerance_mm=1e9)


def test_a_mirrored_grid_is_another_grid_although_it_covers_the_same_box():
    grid = Grid((11, 5, 5), np.eye(4))
    mirrored = np.diag([-1.0, 1, 1, 1])
    mirrored[0, 3] = 10
    assert grid.difference_mm(Grid((11, 5, 5), mirrored)) == pytest.approx(10)


def test_the_tolerance_is_finer_than_a_tenth_of_the_finest_clinical_voxel():
    grid = Grid((5, 5, 5), np.diag([0.5, 0.5, 0.5, 1]))
    shifted = grid.affine.copy()
    shifted[0, 3] += 0.051
    assert not grid.same_as(Grid(grid.shape, shifted))
    shifted[0, 3] = 0.049
    assert grid.same_as(Grid(grid.shape, shifted))
    assert 0.1 * min(grid.spacing_mm) >= CORNER_TOLERANCE_MM


@given(grids, st.tuples(*[st.floats(-40, 640)] * 3), st.tuples(*[st.floats(0, 60)] * 3))
def test_clip_holds_every_voxel_between_two_corners_and_none_outside_the_grid(grid, low, extent):
    high = np.add(low, extent)
    region = grid.clip(low, high)
    first = np.maximum(np.ceil(low), 0)
    last = np.minimum(np.floor(high), np.asarray(grid.shape) - 1)
    if (last >= first).all():
        assert region is not None
        for part, a, b in zip(region, first, last, strict=True):
            assert part.start <= a <= b < part.stop
    if region is not None:
        for part, n, a, b in zip(region, grid.shape, low, high, strict=True):
            assert 0 <= part.start < part.stop <= n
            assert part.start >= a - 1
            assert part.stop <= b + 2


def test_clip_outside_the_grid_is_none():
    grid = Grid((5, 5, 5), np.eye(4))
    assert grid.clip((7, 0, 0), (9, 4, 4)) is None
    assert grid.clip((-9, 0, 0), (-3, 4, 4)) is None


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_zero_spacing_is_refused_by_naming_its_axis(axis):
    affine = np.eye(4)
    affine[axis, axis] = 0
    with pytest.raises(GeometryError, match=f"spacing is 0 mm along array axis {axis}"):
        Grid((4, 4, 4), affine)


def test_parallel_axes_are_refused():
    affine = np.eye(4)
    affine[:3, 1] = affine[:3, 0] * 2
    with pytest.raises(GeometryError, match="parallel"):
        Grid((4, 4, 4), affine)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_affine_that_is_not_finite_is_refused(value):
    affine = np.eye(4)
    affine[1, 3] = value
    with pytest.raises(GeometryError, match="finite"):
        Grid((4, 4, 4), affine)


def test_an_affine_of_another_size_is_refused():
    with pytest.raises(GeometryError, match="4 x 4"):
        Grid((4, 4, 4), np.eye(3))


def test_a_projective_affine_is_refused():
    affine = np.eye(4)
    affine[3, 0] = 0.1
    with pytest.raises(GeometryError, match="last row"):
        Grid((4, 4, 4), affine)


@pytest.mark.parametrize("shape", [(4, 4), (4, 0, 4), (4, 4, 4, 1), (-1, 4, 4)])
def test_a_shape_that_is_not_three_positive_numbers_is_refused(shape):
    with pytest.raises(GeometryError, match="three axes"):
        Grid(shape, np.eye(4))


def test_a_grid_cannot_be_changed_through_its_affine_or_the_array_it_was_made_from():
    affine = np.eye(4)
    grid = Grid((4, 4, 4), affine)
    affine[0, 3] = 99
    assert grid.affine[0, 3] == 0
    with pytest.raises(ValueError, match="read-only"):
        grid.affine[0, 3] = 1


def test_a_grid_survives_pickling():
    grid = Grid((4, 5, 6), _affine((1, 2, 3), (4, 5, 6), tilt_deg=(10, 0, 0)))
    assert grid.orientation == "RAS"
    again = pickle.loads(pickle.dumps(grid))
    assert again.same_as(grid, tolerance_mm=0)


def test_the_description_gives_shape_spacing_and_orientation():
    grid = Grid((512, 512, 40), np.diag([-0.75, -0.75, 5, 1]))
    assert grid.describe() == "512 x 512 x 40 voxels of 0.75 x 0.75 x 5 mm, LPS"
