"""Areas of surface elements come from geometry, and are those of the reference implementation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from brute_force import grid_of, sphere

from scalemai.evaluation.segmentation.borders import borders_of
from scalemai.evaluation.segmentation.surfels import CORNER_BIT, surfel_areas_mm2
from scalemai.measure import bounding_box

SHEARED = np.array([[0.8, 0.0, 0.3], [0.0, 0.9, 0.7], [0.0, 0.0, 2.4]])


def pattern(corners: set[tuple[int, int, int]]) -> int:
    return sum(1 << CORNER_BIT[corner] for corner in corners)


def test_a_flat_wall_has_the_area_of_the_voxel_side() -> None:
    areas = surfel_areas_mm2(np.diag([0.8, 1.1, 2.5]))
    for axis, expected in enumerate((1.1 * 2.5, 0.8 * 2.5, 0.8 * 1.1)):
        wall = {corner for corner in CORNER_BIT if corner[axis] == 0}
        assert areas[pattern(wall)] == pytest.approx(expected)


def test_a_single_corner_is_cut_off_by_the_triangle_of_edge_middles() -> None:
    p, q, r = np.diag([0.8, 1.1, 2.5]) / 2
    expected = np.linalg.norm(np.cross(q - p, r - p)) / 2
    areas = surfel_areas_mm2(np.diag([0.8, 1.1, 2.5]))
    assert [areas[pattern({corner})] for corner in CORNER_BIT] == pytest.approx([expected] * 8)


def test_full_and_empty_blocks_hold_no_surface_and_all_others_do() -> None:
    areas = surfel_areas_mm2(np.eye(3))
    assert areas[0] == areas[255] == 0
    assert areas[1:255].min() > 0.2


@pytest.mark.parametrize("frame_mm", [np.diag([0.8, 1.1, 2.5]), SHEARED])
def test_a_mask_and_its_complement_have_the_same_surface(frame_mm: np.ndarray) -> None:
    areas = surfel_areas_mm2(frame_mm)
    np.testing.assert_allclose(areas, areas[::-1], rtol=1e-12)


@pytest.mark.parametrize("frame_mm", [np.diag([0.8, 1.1, 2.5]), SHEARED])
def test_areas_do_not_depend_on_the_order_or_direction_of_the_axes(frame_mm: np.ndarray) -> None:
    areas = surfel_areas_mm2(frame_mm)
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            turned = surfel_areas_mm2(frame_mm[:, list(order)] * np.array(signs))
            for code in range(256):
                corners = {c for c, bit in CORNER_BIT.items() if code >> bit & 1}
                moved = {
                    tuple(c[a] if s == 1 else 1 - c[a] for a, s in zip(order, signs, strict=True))
                    for c in corners
                }
                assert turned[pattern(moved)] == pytest.approx(areas[code], rel=1e-12)


def test_a_sphere_of_voxels_has_a_tenth_more_surface_than_a_sphere() -> None:
    """Half-way cuts cannot follow the slope; the excess of about 9 % is the convention's own."""
    grid = grid_of((90, 90, 90), (0.5, 0.5, 0.5))
    mask = sphere(grid, 20.0)
    box = bounding_box(mask)
    assert box is not None
    area = borders_of(mask, box, (0, 0, 0), np.diag(grid.spacing_mm)).areas_mm2.sum()
    assert 1.07 < area / (4 * np.pi * 20.0**2) < 1.11


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (0.8, 0.8, 2.5), (0.3, 1.7, 5.0)])
def test_all_256_areas_are_those_of_the_reference_implementation(
    spacing_mm: tuple[float, float, float],
) -> None:
    tables = pytest.importorskip("surface_distance.lookup_tables")
    theirs = tables.create_table_neighbour_code_to_surface_area(spacing_mm)
    bits = tables.ENCODE_NEIGHBOURHOOD_3D_KERNEL
    areas = surfel_areas_mm2(np.diag(spacing_mm))
    for code in range(256):
        their_code = sum(int(bits[c]) for c, bit in CORNER_BIT.items() if code >> bit & 1)
        assert areas[code] == pytest.approx(theirs[their_code], rel=1e-12, abs=1e-15)
