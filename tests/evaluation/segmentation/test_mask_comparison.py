"""Shapes whose overlap and distances are known, stored in any way."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from brute_force import axes_mm, ellipsoid, grid_of, sphere
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from scalemai.errors import ConfigError, GeometryError
from scalemai.evaluation.segmentation import StructureResult, compare_masks
from scalemai.geometry import Grid

ANISOTROPIC = grid_of((72, 64, 28), (0.8, 0.9, 2.5))
DIAGONAL_MM = float(np.linalg.norm(ANISOTROPIC.spacing_mm))


def capsule(grid: Grid, axis: int, half_length_mm: float, radius_mm: float) -> np.ndarray:
    """A cigar along one axis."""
    beyond = [
        np.maximum(np.abs(x) - half_length_mm, 0) if n == axis else x
        for n, x in enumerate(axes_mm(grid))
    ]
    return sum(x**2 for x in beyond) <= radius_mm**2


def l_shape(shape: tuple[int, int, int]) -> np.ndarray:
    mask = np.zeros(shape, np.bool_)
    mask[10:40, 10:16, 5:10] = True
    mask[10:16, 10:40, 5:10] = True
    return mask


def measures(result: StructureResult) -> np.ndarray:
    """All numbers of a result in which both masks hold voxels."""
    return np.array([value for name, value in result.row().items() if name != "state"], float)


def test_a_mask_agrees_with_itself_perfectly() -> None:
    mask = sphere(ANISOTROPIC, 15.0)
    result = compare_masks(mask, mask.copy(), ANISOTROPIC, tolerances_mm=(0.0, 2.0))
    assert result.state == "both"
    assert (result.dsc, result.iou) == (1.0, 1.0)
    assert set(result.nsd_surfel.values()) | set(result.nsd_voxel.values()) == {1.0}
    assert (result.hd_mm, result.hd95_mm, result.assd_mm, result.volume_error_ml) == (0, 0, 0, 0)


@pytest.mark.parametrize(("inner_mm", "outer_mm"), [(12.0, 15.0), (8.0, 24.0)])
def test_concentric_spheres_are_the_difference_of_their_radii_apart(
    inner_mm: float, outer_mm: float
) -> None:
    inner, outer = sphere(ANISOTROPIC, inner_mm), sphere(ANISOTROPIC, outer_mm)
    result = compare_masks(inner, outer, ANISOTROPIC)
    gap, cubes = outer_mm - inner_mm, (inner_mm**3, outer_mm**3)
    assert result.dsc == pytest.approx(2 * cubes[0] / sum(cubes), abs=0.01)
    assert result.iou == pytest.approx(cubes[0] / cubes[1], abs=0.01)
    assert result.hd_mm == pytest.approx(gap, abs=DIAGONAL_MM)
    assert result.hd95_mm == pytest.approx(gap, abs=DIAGONAL_MM / 2)
    # Surface elements sit in the middle of their blocks: the nearest is up to half a slice nearer.
    assert gap - 1.25 < result.assd_mm < gap + 0.1
    assert result.volume_error_share == pytest.approx(cubes[0] / cubes[1] - 1, abs=0.01)
    assert result.volume_error_ml == pytest.approx(
        (cubes[0] - cubes[1]) * 4 / 3 * np.pi / 1000, rel=0.01
    )


def test_the_mean_distance_of_spheres_is_short_by_about_half_a_voxel_whatever_its_size() -> None:
    for step_mm in (2.0, 1.0, 0.5):
        n = int(50 / step_mm)
        grid = grid_of((n, n, n), (step_mm, step_mm, step_mm))
        result = compare_masks(sphere(grid, 12.0), sphere(grid, 20.0), grid)
        assert result.assd_mm is not None
        assert 0.4 < (8.0 - result.assd_mm) / step_mm < 0.6


def test_nested_ellipsoids_are_farthest_apart_at_their_long_ends() -> None:
    small, large = (
        ellipsoid(ANISOTROPIC, radii) for radii in ((10.0, 12.0, 14.0), (12.0, 15.0, 30.0))
    )
    result = compare_masks(large, small, ANISOTROPIC)
    volumes = 10 * 12 * 14, 12 * 15 * 30
    assert result.dsc == pytest.approx(2 * volumes[0] / sum(volumes), abs=0.01)
    assert result.volume_error_share == pytest.approx(volumes[1] / volumes[0] - 1, rel=0.02)
    assert result.hd_mm == pytest.approx(16.0, abs=2.5)
    assert result.hd95_mm is not None
    assert result.hd95_mm < result.hd_mm


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_cigar_pushed_along_itself_is_off_by_the_push_at_its_tips_alone(axis: int) -> None:
    grid = grid_of((80, 80, 80), (0.8, 0.9, 1.25))
    mask = capsule(grid, axis, half_length_mm=15.0, radius_mm=5.0)
    push = [0, 0, 0]
    push[axis] = 4
    result = compare_masks(np.roll(mask, push, axis=(0, 1, 2)), mask, grid)
    assert result.hd_mm == pytest.approx(4 * grid.spacing_mm[axis], abs=1e-12)
    assert result.nsd_surfel[2.0] is not None
    assert result.nsd_surfel[2.0] > 0.85
    assert result.volume_error_ml == 0


def test_an_l_shape_pushed_into_its_hollow_is_off_by_the_push() -> None:
    """A Hausdorff distance that filled hollows, or took the box, would be smaller."""
    mask = l_shape(ANISOTROPIC.shape)
    result = compare_masks(np.roll(mask, (4, 0, 0), axis=(0, 1, 2)), mask, ANISOTROPIC)
    assert result.hd_mm == pytest.approx(4 * 0.8)
    leg, foot = 30 * 6, 6 * 24
    shared = (30 - 4) * 6 + 2 * 24
    assert result.dsc == pytest.approx(shared / (leg + foot))


def test_a_shortened_box_has_the_dice_and_distance_of_its_sides() -> None:
    reference, prediction = np.zeros((2, *ANISOTROPIC.shape), np.bool_)
    reference[10:40, 10:40, 5:15] = True
    prediction[10:40, 10:40, 5:12] = True
    result = compare_masks(prediction, reference, ANISOTROPIC)
    assert result.dsc == pytest.approx(14 / 17)
    assert result.iou == pytest.approx(0.7)
    assert result.hd_mm == pytest.approx(7.5)
    assert result.reference_ml == pytest.approx(9000 * 1.8 / 1000)
    assert result.volume_error_share == pytest.approx(-0.3)


def test_one_voxel_off_by_a_slice_is_half_right_in_surfels_and_all_wrong_in_voxels() -> None:
    """2.5 mm off at a tolerance of 2 mm: the two share the face between them, not a voxel."""
    reference, prediction = np.zeros((2, 9, 9, 9), np.bool_)
    reference[4, 4, 4] = prediction[4, 4, 5] = True
    result = compare_masks(prediction, reference, grid_of((9, 9, 9), (0.8, 0.8, 2.5)))
    assert result.nsd_surfel[2.0] == pytest.approx(0.5)
    assert result.nsd_voxel[2.0] == 0.0
    assert (result.dsc, result.hd_mm) == (0.0, 2.5)


def test_a_mask_that_the_scan_cuts_off_is_closed_at_the_cut() -> None:
    cut, whole = np.ones((6, 6, 6), np.bool_), np.zeros((10, 10, 10), np.bool_)
    whole[2:8, 2:8, 2:8] = True
    smaller = ndimage.binary_erosion(whole)
    at_edge = compare_masks(smaller[2:8, 2:8, 2:8], cut, grid_of((6, 6, 6), (1, 1, 3)))
    inside = compare_masks(smaller, whole, grid_of((10, 10, 10), (1, 1, 3)))
    np.testing.assert_array_equal(measures(at_edge), measures(inside))


def test_swapping_the_masks_turns_the_volume_error_and_nothing_else() -> None:
    a, b = sphere(ANISOTROPIC, 14.0), np.roll(sphere(ANISOTROPIC, 17.0), 3, axis=1)
    one, other = compare_masks(a, b, ANISOTROPIC), compare_masks(b, a, ANISOTROPIC)
    assert one.volume_error_ml == -other.volume_error_ml
    for name in ("dsc", "iou", "hd_mm", "hd95_mm"):
        assert getattr(one, name) == getattr(other, name)
    assert one.assd_mm == pytest.approx(other.assd_mm, rel=1e-12)
    assert one.nsd_surfel[2.0] == pytest.approx(other.nsd_surfel[2.0], rel=1e-12)
    assert one.nsd_voxel == other.nsd_voxel


TURNS = [
    (order, signs)
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


@settings(max_examples=60)
@given(
    turn=st.sampled_from(TURNS),
    layout=st.sampled_from("CF"),
    strided=st.booleans(),
    single=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_axis_order_flips_and_storage_do_not_change_a_number(
    turn: tuple[tuple[int, ...], tuple[int, ...]],
    layout: str,
    strided: bool,
    single: bool,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.standard_normal((16, 14, 10)), 1.2)
    a, b = np.roll(field, 1, axis=0) > 0.2, field > 0.1
    a[3, 3, 3] = b[5, 5, 5] = True
    grid = grid_of(a.shape, (0.4, 0.8, 2.5))
    order, signs = turn
    affine = np.eye(4)
    affine[:3, :3] = grid.affine[:3, list(order)] * np.array(signs)
    # A rotated patient: the same lattice, no longer along the axes of the world.
    angle = 0.3
    spin = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    affine[:3, :3] = spin @ affine[:3, :3]
    if single:
        affine = affine.astype(np.float32).astype(np.float64)
    stored = []
    for mask in (a, b):
        turned = np.flip(mask.transpose(order), [n for n in range(3) if signs[n] < 0])
        turned = np.array(turned, order=layout)  # type: ignore[call-overload] # "C" or "F"
        stored.append(np.repeat(turned, 2, axis=1)[:, ::2] if strided else turned)
    i, j, k = stored[0].shape
    again = compare_masks(stored[0], stored[1], Grid((i, j, k), affine), tolerances_mm=(0.4, 2.0))
    once = compare_masks(a, b, grid, tolerances_mm=(0.4, 2.0))
    np.testing.assert_allclose(
        measures(again), measures(once), rtol=1e-6 if single else 1e-12, atol=1e-15
    )
    assert again.nsd_voxel == once.nsd_voxel


@pytest.mark.parametrize("step_mm", [0.4, float(np.float32(0.4)), 0.4000002])
def test_five_voxels_of_04_mm_are_within_2_mm_however_04_was_written(step_mm: float) -> None:
    reference, prediction = np.zeros((2, 30, 20, 20), np.bool_)
    reference[5:15, 5:15, 5:15] = True
    prediction[5:20, 5:15, 5:15] = True
    result = compare_masks(prediction, reference, grid_of(reference.shape, (step_mm, 1.0, 1.0)))
    assert result.nsd_surfel[2.0] == result.nsd_voxel[2.0] == 1.0


def test_the_same_masks_give_the_same_bits() -> None:
    a, b = sphere(ANISOTROPIC, 14.0), np.roll(sphere(ANISOTROPIC, 17.0), 3, axis=1)
    assert compare_masks(a, b, ANISOTROPIC) == compare_masks(a, b, ANISOTROPIC)


def test_a_stray_voxel_at_the_other_end_of_a_scan_costs_no_map_of_what_lies_between() -> None:
    grid = grid_of((300, 300, 300), (0.8, 0.8, 1.0))
    reference = np.zeros(grid.shape, np.bool_)
    reference[5:30, 5:30, 5:30] = True
    prediction = reference.copy()
    prediction[298, 297, 296] = True
    compare_masks(reference, reference, grid)  # tables and kernels are made once
    tracemalloc.start()
    result = compare_masks(prediction, reference, grid)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    expected = np.linalg.norm(np.array([298 - 29, 297 - 29, 296 - 29]) * grid.spacing_mm)
    assert result.hd_mm == pytest.approx(expected, abs=1e-9)
    assert result.hd95_mm == 0.0
    # The prediction's own box reaches across the scan and is copied once, a byte a voxel.
    assert peak < 1.5 * reference.nbytes


def test_masks_that_are_not_on_the_grid_or_not_boolean_are_refused() -> None:
    mask = sphere(ANISOTROPIC, 10.0)
    with pytest.raises(GeometryError, match=r"prediction has shape .* its grid"):
        compare_masks(mask[1:], mask, ANISOTROPIC)
    with pytest.raises(GeometryError, match="reference has shape"):
        compare_masks(mask, mask.transpose(2, 1, 0), ANISOTROPIC)
    with pytest.raises(ConfigError, match="prediction is of type uint8, not boolean"):
        compare_masks(mask.astype(np.uint8), mask, ANISOTROPIC)


@pytest.mark.parametrize(
    ("tolerances_mm", "wrong"),
    [((-1.0,), "-1 mm is impossible"), ((np.nan,), "nan mm"), ((2.0, 2.0000001), "given twice")],
)
def test_impossible_and_repeated_tolerances_are_refused(
    tolerances_mm: tuple[float, ...], wrong: str
) -> None:
    mask = sphere(ANISOTROPIC, 10.0)
    with pytest.raises(ConfigError, match=wrong):
        compare_masks(mask, mask, ANISOTROPIC, tolerances_mm=tolerances_mm)
