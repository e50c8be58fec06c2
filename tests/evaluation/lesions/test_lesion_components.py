"""Components are what a radiologist would call one lesion, wherever and however they are stored."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.errors import ConfigError, GeometryError, IntensityError
from scalemai.evaluation.lesions.components import Component, find_components
from scalemai.geometry import Grid
from scalemai.io.nifti import read_mask
from scalemai.measure import sizes_of

Bits = NDArray[np.bool_]


def grid_of(shape: tuple[int, ...], spacing: tuple[float, float, float] = (1, 1, 1)) -> Grid:
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (-50.0, 20.0, 300.0)
    return Grid((shape[0], shape[1], shape[2]), affine)


def whole(component: Component, grid: Grid) -> Bits:
    mask = np.zeros(grid.shape, bool)
    mask[component.region] = component.mask
    return mask


def test_voxels_that_touch_at_a_corner_are_one_lesion() -> None:
    mask = np.zeros((6, 6, 6), bool)
    mask[1, 1, 1] = mask[2, 2, 2] = True
    mask[4, 4, 4] = mask[5, 4, 4] = True
    mask[0, 4, 2] = True
    found = find_components(mask, grid_of(mask.shape))
    assert sorted(one.voxels for one in found) == [1, 2, 2]


def test_an_empty_mask_has_no_components() -> None:
    mask = np.zeros((4, 5, 6), bool)
    assert find_components(mask, grid_of(mask.shape)) == ()
    assert find_components(mask, grid_of(mask.shape), probability=np.zeros(mask.shape)) == ()


def test_every_fact_of_a_component_is_measured_where_it_lies() -> None:
    mask = np.zeros((30, 30, 20), bool)
    mask[10:15, 20:22, 3:6] = True
    grid = grid_of(mask.shape, (0.8, 0.8, 2.5))
    probability = np.where(mask, 0.6, 0.9)
    probability[12, 21, 4] = 0.75
    (lesion,) = find_components(mask, grid, probability=probability)
    assert lesion.number == 1
    assert lesion.region == (slice(10, 15), slice(20, 22), slice(3, 6))
    assert lesion.mask.shape == (5, 2, 3)
    assert lesion.voxels == 30
    assert lesion.score == 0.75
    assert lesion.centre_mm == pytest.approx((-50 + 12 * 0.8, 20 + 20.5 * 0.8, 300 + 4 * 2.5))
    assert lesion.sizes == sizes_of(mask, grid)
    assert not lesion.at_border


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("count", [2, 3, 20])
def test_specks_in_a_row_are_told_apart(axis: int, count: int) -> None:
    # cc3d 4.1.1 by itself fails where every other voxel of one line is set.
    mask = np.zeros((41, 41, 41), bool)
    line: list[slice | int] = [20, 20, 20]
    line[axis] = slice(0, 2 * count, 2)
    mask[tuple(line)] = True
    assert len(find_components(mask, grid_of(mask.shape))) == count


@pytest.mark.parametrize("face", [(0, slice(2, 4), 2), (slice(2, 4), 2, 6), (2, 5, slice(2, 4))])
def test_a_lesion_that_the_scan_cuts_says_so(face: tuple[slice | int, ...]) -> None:
    mask = np.zeros((7, 6, 7), bool)
    mask[face] = True
    (lesion,) = find_components(mask, grid_of(mask.shape))
    assert lesion.at_border
    assert lesion.voxels == 2


def test_the_volume_filter_keeps_what_is_exactly_as_large() -> None:
    mask = np.zeros((20, 20, 20), bool)
    mask[1, 1, 1:6] = True
    mask[5, 5, 1:5] = True
    # 5 voxels of 0.8 x 0.8 x 2.5 mm are 8 mm3; a header in float32 says 8.0000003 or 7.9999997.
    affine = np.diag([0.8, 0.8, 2.5, 1.0]).astype(np.float32)
    for grid in (grid_of(mask.shape, (0.8, 0.8, 2.5)), Grid(mask.shape, affine)):
        assert [one.voxels for one in find_components(mask, grid, minimum_mm3=8.0)] == [5]
        assert find_components(mask, grid, minimum_mm3=8.01) == ()


@pytest.mark.parametrize("bad", [1.0001, -0.01, np.nan, np.inf])
def test_a_probability_outside_0_to_1_is_refused(bad: float) -> None:
    mask = np.ones((3, 3, 3), bool)
    probability = np.full(mask.shape, 0.5)
    probability[2, 1, 0] = bad
    with pytest.raises(IntensityError, match="probabilities run from"):
        find_components(mask, grid_of(mask.shape), probability=probability)


def test_arrays_of_another_shape_are_refused() -> None:
    mask = np.ones((3, 3, 3), bool)
    with pytest.raises(GeometryError, match="mask of shape"):
        find_components(mask, grid_of((3, 3, 4)))
    with pytest.raises(GeometryError, match="probabilities of shape"):
        find_components(mask, grid_of(mask.shape), probability=np.zeros((3, 3, 4)))


@pytest.mark.parametrize("minimum", [-1.0, np.nan])
def test_an_impossible_minimum_is_refused(minimum: float) -> None:
    mask = np.ones((3, 3, 3), bool)
    with pytest.raises(ConfigError, match="minimum volume"):
        find_components(mask, grid_of(mask.shape), minimum_mm3=minimum)


@settings(max_examples=60, deadline=None)
@given(arrays(np.bool_, (7, 6, 5)))
def test_components_are_those_of_an_independent_labelling(mask: Bits) -> None:
    grid = grid_of(mask.shape)
    found = find_components(mask, grid)
    labels, count = ndimage.label(mask, np.ones((3, 3, 3)))
    assert len(found) == count
    expected = {(labels == label).tobytes() for label in range(1, count + 1)}
    assert {whole(one, grid).tobytes() for one in found} == expected
    assert [one.number for one in found] == list(range(1, count + 1))
    assert [one.voxels for one in found] == sorted((one.voxels for one in found), reverse=True)


@settings(max_examples=60, deadline=None)
@given(arrays(np.bool_, (7, 6, 5)), st.permutations(range(3)), st.tuples(*[st.booleans()] * 3))
def test_axis_order_and_direction_change_neither_numbers_nor_places(
    mask: Bits, order: list[int], flips: tuple[bool, ...]
) -> None:
    grid = grid_of(mask.shape, (0.7, 0.9, 2.0))
    affine = grid.affine[:, [*order, 3]].copy()
    turned = np.transpose(mask, order)
    for axis, flip in enumerate(flips):
        if flip:
            turned = np.flip(turned, axis)
            affine[:3, 3] += affine[:3, axis] * (turned.shape[axis] - 1)
            affine[:3, axis] *= -1
    other = Grid((turned.shape[0], turned.shape[1], turned.shape[2]), affine)
    pairs = zip(find_components(mask, grid), find_components(turned, other), strict=True)
    for one, two in pairs:
        assert (one.number, one.voxels, one.at_border) == (two.number, two.voxels, two.at_border)
        assert one.centre_mm == pytest.approx(two.centre_mm, abs=1e-6)
        assert one.sizes.feret_mm == pytest.approx(two.sizes.feret_mm, abs=1e-6)


def test_a_whole_scan_is_worked_on_in_boxes() -> None:
    shape = (512, 512, 300)
    mask = np.zeros(shape, bool, order="F")
    rng = np.random.default_rng(0)
    for _ in range(40):
        i, j, k = (int(rng.integers(20, n - 20)) for n in shape)
        mask[i - 6 : i + 6, j - 6 : j + 6, k - 3 : k + 3] = True
    grid = grid_of(shape, (0.7, 0.7, 1.5))
    find_components(mask[:40, :40, :40], grid_of((40, 40, 40)))  # compile
    start = time.process_time()
    found = find_components(mask, grid)
    spent = time.process_time() - start
    tracemalloc.start()
    find_components(mask, grid)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 30 <= len(found) <= 40
    assert all(one.mask.size < 30_000 for one in found)
    # Measured at 0.2 s; labels of the box of everything take 2 or 4 bytes a voxel.
    assert spent < 5
    assert peak < 6 * mask.nbytes


@pytest.mark.real
def test_a_real_nodule_is_one_component(shared_data: Path) -> None:
    mask = read_mask(shared_data / "lung_tumor/lidc0001/nodule.nii.gz", "nodule")
    found = find_components(mask.array, mask.grid, minimum_mm3=50)
    assert len(found) == 1
    assert 25 < found[0].sizes.diameter_mm < 45
    assert found[0].sizes.volume_mm3 == pytest.approx(mask.volume_ml * 1000, rel=0.02)
