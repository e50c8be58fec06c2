"""Sizes agree with geometry where it is known, and with exhaustive search where it is not."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from scalemai.errors import GeometryError
from scalemai.geometry import Grid
from scalemai.io.nifti import read_mask
from scalemai.measure import Sizes, equivalent_diameter_mm, longest_axial_diameter_mm, sizes_of

Bits = NDArray[np.bool_]
Points = NDArray[np.float64]


def grid_of(
    shape: tuple[int, ...], spacing: tuple[float, ...], turn: tuple[float, float, float] = (0, 0, 0)
) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix() @ np.diag(spacing)
    affine[:3, 3] = (-31.0, 12.5, 700.0)
    return Grid((shape[0], shape[1], shape[2]), affine)


def centred_mm(grid: Grid) -> tuple[Points, Points, Points]:
    """Distance in mm from the middle of the grid along its own axes."""
    i, j, k = np.indices(grid.shape, dtype=float)
    middle = [(n - 1) / 2 for n in grid.shape]
    a, b, c = grid.spacing_mm
    return (i - middle[0]) * a, (j - middle[1]) * b, (k - middle[2]) * c


def as_tuple(sizes: Sizes) -> tuple[float, ...]:
    return (
        sizes.diameter_mm,
        sizes.perpendicular_mm,
        sizes.feret_mm,
        sizes.equivalent_diameter_mm,
        sizes.volume_mm3,
    )


SPACINGS = [(1.0, 1.0, 1.0), (0.7, 0.7, 2.5), (0.8, 0.6, 1.25), (1.5, 0.75, 5.0)]
TURNS = [(0.0, 0.0, 0.0), (12.0, -9.0, 20.0), (0.0, 25.0, 0.0)]


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_sphere_reads_its_diameter_and_at_most_a_voxel_more(
    spacing: tuple[float, ...], turn: tuple[float, float, float]
) -> None:
    grid = grid_of(tuple(int(48 / s) | 1 for s in spacing), spacing, turn)
    x, y, z = centred_mm(grid)
    sizes = sizes_of(x**2 + y**2 + z**2 <= 18.0**2, grid)
    in_plane = float(np.hypot(*[grid.spacing_mm[axis] for axis in grid.in_plane_axes]))
    diagonal = float(np.linalg.norm(spacing))
    assert 36.0 - in_plane <= sizes.diameter_mm <= 36.0 + in_plane
    assert 36.0 - in_plane <= sizes.perpendicular_mm <= sizes.diameter_mm + 1e-9
    assert sizes.diameter_mm <= sizes.feret_mm <= 36.0 + diagonal
    assert sizes.equivalent_diameter_mm == pytest.approx(36.0, rel=0.01)
    assert sizes.volume_mm3 == pytest.approx(4 / 3 * np.pi * 18**3, rel=0.03)


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("angle", [0.0, 30.0, 71.0])
def test_an_ellipsoid_reads_its_axes(angle: float, turn: tuple[float, float, float]) -> None:
    grid = grid_of((121, 121, 21), (0.5, 0.5, 2.0), turn)
    x, y, z = centred_mm(grid)
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    mask = ((c * x + s * y) / 25) ** 2 + ((c * y - s * x) / 11) ** 2 + (z / 15) ** 2 <= 1
    sizes = sizes_of(mask, grid)
    assert sizes.diameter_mm == pytest.approx(50.0, abs=0.75)
    assert sizes.perpendicular_mm == pytest.approx(22.0, abs=0.75)
    assert sizes.feret_mm == pytest.approx(50.0, abs=1.5)
    assert sizes.volume_mm3 == pytest.approx(4 / 3 * np.pi * 25 * 11 * 15, rel=0.01)


def test_a_cigar_along_the_body_is_thin_in_axial_slices_and_long_in_space() -> None:
    grid = grid_of((41, 41, 61), (0.5, 0.5, 1.5))
    x, y, z = centred_mm(grid)
    beyond = np.maximum(np.abs(z) - 30.0, 0.0)
    sizes = sizes_of(x**2 + y**2 + beyond**2 <= 5.0**2, grid)
    assert sizes.diameter_mm == pytest.approx(10.0, abs=0.75)
    assert sizes.perpendicular_mm == pytest.approx(10.0, abs=0.75)
    assert sizes.feret_mm == pytest.approx(70.0, abs=1.6)


@pytest.mark.parametrize(("thickness", "spacing"), [(6, (1.0, 1.0, 3.0)), (10, (0.5, 0.5, 5.0))])
def test_across_a_boomerang_the_chord_does_not_reach_over_the_hollow(
    thickness: int, spacing: tuple[float, ...]
) -> None:
    i, j = np.indices((61, 50))
    arm = np.abs(i - 30) + 4
    flat = (j >= arm) & (j < arm + thickness)
    mask = np.repeat(flat[:, :, None], 3, axis=2)
    sizes = sizes_of(mask, grid_of(mask.shape, spacing))
    calliper = (30 + thickness) * spacing[1]
    assert sizes.diameter_mm == pytest.approx(np.hypot(61, thickness) * spacing[0], rel=0.01)
    # From the lower corner of one tip to the upper one of the other, the diameter tilts by phi;
    # a line at right angles to it cuts the arm at 45 degrees - phi.
    phi = np.arctan(thickness / 61)
    chord = thickness * spacing[1] / (np.cos(phi) - np.sin(phi))
    assert chord - 0.5 * spacing[1] <= sizes.perpendicular_mm <= chord + 1.2 * spacing[1]
    assert sizes.perpendicular_mm < 0.5 * calliper


def test_an_l_has_the_diagonal_of_its_corner_as_perpendicular() -> None:
    flat = np.zeros((50, 50), bool)
    flat[5:45, 5:13] = True
    flat[5:13, 5:45] = True
    mask = np.repeat(flat[:, :, None], 2, axis=2)
    sizes = sizes_of(mask, grid_of(mask.shape, (0.8, 0.8, 2.5)))
    assert sizes.diameter_mm == pytest.approx(0.8 * np.hypot(40, 40))
    assert sizes.perpendicular_mm == pytest.approx(0.8 * np.hypot(8, 8))
    assert sizes.feret_mm == pytest.approx(np.hypot(sizes.diameter_mm, 5.0))


def test_pixels_that_touch_at_a_corner_do_not_continue_a_chord() -> None:
    mask = np.zeros((9, 9, 1), bool)
    mask[[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6], 0] = True
    sizes = sizes_of(mask, grid_of(mask.shape, (1.0, 1.0, 1.0)))
    assert sizes.diameter_mm == pytest.approx(6 * np.sqrt(2))
    assert sizes.perpendicular_mm == pytest.approx(np.sqrt(2))
    mask[[3, 4], [4, 3], 0] = True
    longer = sizes_of(mask, grid_of(mask.shape, (1.0, 1.0, 1.0)))
    assert longer.perpendicular_mm == pytest.approx(2 * np.sqrt(2))


def test_one_voxel_has_a_size() -> None:
    mask = np.zeros((4, 4, 4), bool)
    mask[3, 0, 2] = True
    sizes = sizes_of(mask, grid_of(mask.shape, (0.8, 0.8, 2.5)))
    assert as_tuple(sizes) == pytest.approx(
        (
            0.8 * np.sqrt(2),
            0.8 * np.sqrt(2),
            np.sqrt(2 * 0.64 + 6.25),
            equivalent_diameter_mm(1.6),
            1.6,
        )
    )


def test_an_empty_mask_measures_nothing() -> None:
    mask = np.zeros((5, 6, 7), bool)
    assert as_tuple(sizes_of(mask, grid_of(mask.shape, (1, 1, 1)))) == (0, 0, 0, 0, 0)


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(GeometryError, match="mask of shape"):
        sizes_of(np.ones((3, 3, 3), bool), grid_of((3, 3, 4), (1, 1, 1)))


# Exhaustive search. ----------------------------------------------------------------------------


def corners_of(mask: Bits) -> Points:
    offsets = np.array(list(itertools.product((-0.5, 0.5), repeat=3)))
    found = np.argwhere(mask)[:, None, :] + offsets
    unique: Points = np.unique(found.reshape(-1, 3), axis=0)
    return unique


def greatest_distance(points: Points) -> float:
    return float(np.linalg.norm(points[:, None] - points[None], axis=2).max())


def runs_on_line(pixels: Points, point: Points, along: Points) -> float:
    """Longest union of intervals in which a line passes unit squares round ``pixels`` (n, 2)."""
    with np.errstate(divide="ignore"):
        first = (pixels - 0.5 - point) / along
        second = (pixels + 0.5 - point) / along
    enter = np.minimum(first, second).max(axis=1)
    leave = np.maximum(first, second).min(axis=1)
    hit = leave - enter > 1e-12
    longest, reach, began = 0.0, -np.inf, 0.0
    for a, b in sorted(zip(enter[hit], leave[hit], strict=True)):
        if a > reach + 1e-9:
            began = a
        reach = max(reach, b)
        longest = max(longest, reach - began)
    return longest


def exhaustive(mask: Bits, grid: Grid) -> tuple[float, float, float]:
    """Diameter, perpendicular and Feret of a small mask, in world coordinates, by trying all."""
    feret = greatest_distance(grid.to_world(corners_of(mask)))
    first, second = grid.in_plane_axes
    steps = grid.affine[:3, [first, second]]
    slices = []
    for index in range(grid.shape[grid.axial_axis]):
        pixels = np.argwhere(np.take(mask, index, axis=grid.axial_axis)).astype(float)
        if len(pixels):
            square = np.array(list(itertools.product((-0.5, 0.5), repeat=2)))
            corners = np.unique((pixels[:, None] + square).reshape(-1, 2), axis=0)
            slices.append((pixels, corners, corners @ steps.T))
    diameter = max(greatest_distance(world) for _, _, world in slices)
    perpendicular = 0.0
    for pixels, corners, world in slices:
        for a, b in itertools.combinations(range(len(corners)), 2):
            if np.linalg.norm(world[a] - world[b]) < diameter * (1 - 1e-7):
                continue
            axis = (world[b] - world[a]) / diameter
            # The direction in the plane at right angles to the diameter, in pixels.
            weights = steps.T @ axis
            along = np.array([-weights[1], weights[0]])
            along /= np.linalg.norm(along)
            unit = float(np.linalg.norm(steps @ along))
            places = np.unique(np.round(world @ axis, 9))
            origin = corners[a] - (corners[b] - corners[a]) * (world[a] @ axis) / diameter
            for low, high in itertools.pairwise(places):
                for place in (low + 1e-7 * (high - low), high - 1e-7 * (high - low)):
                    point = origin + (corners[b] - corners[a]) * place / diameter
                    perpendicular = max(perpendicular, unit * runs_on_line(pixels, point, along))
    return diameter, perpendicular, feret


masks = arrays(np.bool_, st.tuples(*[st.integers(1, 5)] * 2, st.integers(1, 3))).filter(np.any)


@settings(max_examples=150, deadline=None)
@given(masks, st.sampled_from(SPACINGS), st.sampled_from(TURNS))
def test_sizes_are_those_of_exhaustive_search(
    mask: Bits, spacing: tuple[float, ...], turn: tuple[float, float, float]
) -> None:
    grid = grid_of(mask.shape, spacing, turn)
    sizes = sizes_of(mask, grid)
    diameter, perpendicular, feret = exhaustive(mask, grid)
    assert sizes.diameter_mm == pytest.approx(diameter, abs=1e-9)
    assert sizes.feret_mm == pytest.approx(feret, abs=1e-9)
    assert sizes.perpendicular_mm == pytest.approx(perpendicular, abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(masks, st.floats(-0.3, 0.3), st.floats(-0.3, 0.3), st.floats(-0.3, 0.3))
def test_sheared_grids_are_measured_along_their_true_lengths(
    mask: Bits, a: float, b: float, c: float
) -> None:
    affine = np.array([[0.8, a, b, 5], [0, 1.1, c, 6], [0, 0, 2.5, 7], [0, 0, 0, 1]])
    grid = Grid((mask.shape[0], mask.shape[1], mask.shape[2]), affine)
    sizes = sizes_of(mask, grid)
    diameter, _, feret = exhaustive(mask, grid)
    assert sizes.diameter_mm == pytest.approx(diameter, abs=1e-9)
    assert sizes.feret_mm == pytest.approx(feret, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(
    arrays(np.bool_, (9, 8, 4)),
    st.sampled_from(SPACINGS),
    st.permutations(range(3)),
    st.tuples(*[st.booleans()] * 3),
)
def test_axis_order_direction_and_type_of_the_affine_change_no_size(
    mask: Bits, spacing: tuple[float, ...], order: list[int], flips: tuple[bool, ...]
) -> None:
    grid = grid_of(mask.shape, spacing)
    affine = grid.affine[:, [*order, 3]].copy()
    turned = np.transpose(mask, order)
    for axis, flip in enumerate(flips):
        if flip:
            turned = np.flip(turned, axis)
            affine[:3, 3] += affine[:3, axis] * (turned.shape[axis] - 1)
            affine[:3, axis] *= -1
    other = Grid((turned.shape[0], turned.shape[1], turned.shape[2]), affine.astype(np.float32))
    expected = as_tuple(sizes_of(mask, grid))
    assert as_tuple(sizes_of(turned, other)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.real
@pytest.mark.parametrize(
    "name", ["lung_tumor/lidc0001/nodule.nii.gz", "masks_only/hcc_liver_P1/nodule.nii.gz"]
)
def test_sizes_of_real_lesions_are_in_order(shared_data: Path, name: str) -> None:
    mask = read_mask(shared_data / name, "lesion")
    sizes = sizes_of(mask.array, mask.grid)
    assert sizes.diameter_mm == longest_axial_diameter_mm(mask.array, mask.grid)
    assert 0 < sizes.perpendicular_mm <= sizes.diameter_mm <= sizes.feret_mm
    assert sizes.equivalent_diameter_mm < sizes.feret_mm
    assert sizes.volume_mm3 == pytest.approx(mask.volume_ml * 1000)
