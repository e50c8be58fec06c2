"""The presets call the same spheres positive as the published rules do, on any grid."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion, zoom

from scalemai.errors import ConfigError, GeometryError, IntensityError, UnknownNameError
from scalemai.evaluation.patients.presets import PRESETS, RadGPT, RSuper, preset
from scalemai.geometry import Grid
from scalemai.io.nifti import read_mask

Mask = NDArray[np.bool_]

SMALLEST_MM = {50: (5, 8, 5), 70: (6, 9, 6), 200: (8, 11, 8), 500: (10, 13, 10)}
"""Smallest sphere called positive at a threshold in mm3: unfiltered, RadGPT, R-Super."""

ISOTROPIC = ((1.0, 1.0, 1.0), (0.1, 0.2, 0.3))
CLINICAL = ((0.8, 0.8, 2.5), (0.5, 0.5, 0.5))


def sphere(
    diameter_mm: float,
    spacing_mm: Sequence[float],
    offset_mm: Sequence[float] = (0, 0, 0),
    side_mm: float = 40,
) -> tuple[Mask, Grid]:
    """A sphere off the middle of a cube; voxels count by their centres."""
    shape = tuple(round(side_mm / step) for step in spacing_mm)
    axes = [
        (np.arange(n) - (n - 1) / 2) * step - off
        for n, step, off in zip(shape, spacing_mm, offset_mm, strict=True)
    ]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    grid = Grid((shape[0], shape[1], shape[2]), np.diag([*spacing_mm, 1.0]))
    return x**2 + y**2 + z**2 <= (diameter_mm / 2) ** 2, grid


def smallest(threshold: float, spacing: Sequence[float], offset: Sequence[float]) -> list[int]:
    found: list[int] = []
    rules = (RadGPT(threshold), RSuper(0.5, threshold))
    for which in range(3):
        for diameter in range(2, 20):
            mask, grid = sphere(diameter, spacing, offset)
            if which == 0:
                called = mask.sum() * grid.voxel_volume_mm3 > threshold
            elif which == 1:
                score = rules[0].score(mask, np.ones_like(mask), grid)
                called = rules[0].threshold.called(score).item()
            else:
                score = rules[1].score(mask.astype(np.float32), grid)
                called = rules[1].threshold.called(score).item()
            if called:
                found.append(diameter)
                break
    return found


@pytest.mark.parametrize("threshold", SMALLEST_MM)
@pytest.mark.parametrize(("spacing", "offset"), [ISOTROPIC, CLINICAL])
def test_the_smallest_sphere_called_positive_is_the_published_one(
    threshold: int, spacing: Sequence[float], offset: Sequence[float]
) -> None:
    assert smallest(threshold, spacing, offset) == list(SMALLEST_MM[threshold])


@pytest.mark.parametrize("spacing", [(0.7, 0.7, 1.0), (0.8, 0.8, 2.0), (1.0, 1.0, 1.0)])
@pytest.mark.parametrize("offset", [(0, 0, 0), (0.5, 0.5, 0.5)])
def test_elsewhere_on_the_lattice_it_moves_by_no_more_than_a_millimetre(
    spacing: Sequence[float], offset: Sequence[float]
) -> None:
    for threshold, published in SMALLEST_MM.items():
        found = smallest(threshold, spacing, offset)
        assert np.abs(np.subtract(found, published)).max() <= 1


def blobs(seed: int, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """A smooth random map in [0, 1] with several islands."""
    rng = np.random.default_rng(seed)
    coarse = rng.random([max(n // 4, 2) for n in shape])
    smooth = zoom(coarse, np.divide(shape, coarse.shape), order=1)
    return np.clip(smooth, 0, 1).astype(np.float32)


@pytest.mark.parametrize("seed", range(8))
def test_presets_equal_the_rules_written_out_over_the_whole_volume(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(9, 40, 3))
    spacing = rng.uniform(0.6, 3.1, 3).round(3)
    grid = Grid((shape[0], shape[1], shape[2]), np.diag([*spacing, 1]))
    probability = blobs(seed, grid.shape)
    organ = blobs(seed + 100, grid.shape) > 0.4
    tumor = probability > 0.6
    cube = np.ones((3, 3, 3))

    nearest = zoom((tumor & organ).astype(np.uint8), spacing, order=0)
    assert RadGPT().score(tumor, organ, grid) == binary_erosion(nearest, cube).sum()

    linear = zoom(probability, spacing, order=1)
    above = linear > 0.6
    opened = binary_dilation(binary_erosion(above, cube), cube, iterations=2) & above
    assert RSuper(0.6).score(probability, grid) == opened.sum()
    assert RSuper().maximum(probability, grid) == pytest.approx(linear.max(), abs=1e-6)


def test_no_number_depends_on_how_the_array_is_stored() -> None:
    mask, grid = sphere(11, (0.75, 1.25, 2.0), (0.3, -0.2, 0.4), side_mm=25)
    probability = np.where(mask, 0.83, 0.1).astype(np.float32)
    organ = np.ones_like(mask)
    expected = (
        RadGPT().score(mask, organ, grid),
        RSuper().score(probability, grid),
        RSuper().maximum(probability, grid),
    )
    assert expected[0] > 0
    for order in itertools.permutations(range(3)):
        for flips in itertools.product([False, True], repeat=3):
            turned = [
                np.flip(a.transpose(order), [i for i in range(3) if flips[i]])
                for a in (mask, probability)
            ]
            affine = grid.affine[:, [*order, 3]].copy()
            for axis in range(3):
                if flips[axis]:
                    affine[:, 3] += affine[:, axis] * (turned[0].shape[axis] - 1)
                    affine[:, axis] *= -1
            there = Grid(turned[0].shape, affine)
            found = (
                RadGPT().score(turned[0], np.ones_like(turned[0]), there),
                RSuper().score(turned[1], there),
                RSuper().maximum(turned[1], there),
            )
            assert found == expected


def test_radgpt_counts_strictly_and_r_super_does_not() -> None:
    block = np.zeros((20, 20, 20), bool)
    block[5:10, 5:10, 5:10] = True
    grid = Grid(block.shape, np.eye(4))
    eroded = RadGPT(27).score(block, np.ones_like(block), grid)
    assert eroded == 27
    assert not RadGPT(27).threshold.called(eroded)
    opened = RSuper(0.5, 125).score(block.astype(np.float32), grid)
    assert opened == 125
    assert RSuper(0.5, 125).threshold.called(opened)


def test_tumor_outside_the_organ_does_not_count_for_radgpt() -> None:
    mask, grid = sphere(20, (1, 1, 1))
    organ = np.zeros_like(mask)
    assert RadGPT().score(mask, organ, grid) == 0
    organ[:20] = True
    whole = RadGPT().score(mask, np.ones_like(mask), grid)
    assert 0.35 * whole < RadGPT().score(mask, organ, grid) < 0.55 * whole


def test_a_thin_shell_is_volume_for_nobody_but_the_maximum_sees_it() -> None:
    shell = np.zeros((30, 30, 30), np.float32)
    shell[4:26, 4:26, 10:12] = 0.9
    grid = Grid(shell.shape, np.eye(4))
    assert RSuper().score(shell, grid) == 0
    assert RSuper().maximum(shell, grid) == pytest.approx(0.9)


def test_empty_maps_score_zero() -> None:
    empty, grid = np.zeros((9, 8, 7), np.float32), Grid((9, 8, 7), np.diag([0.9, 0.9, 3, 1]))
    assert RSuper().score(empty, grid) == RSuper().maximum(empty, grid) == 0
    assert RadGPT().score(empty > 0, empty == 0, grid) == 0


def test_presets_go_by_name_and_refuse_nonsense() -> None:
    assert preset("radgpt") is PRESETS["radgpt"]
    assert str(preset("r-super").threshold).startswith("score >= 50, fixed beforehand (preset r-s")
    with pytest.raises(UnknownNameError, match="r-super"):
        preset("rsuper")
    with pytest.raises(ConfigError, match="not a volume"):
        RadGPT(-1)
    with pytest.raises(ConfigError, match="cut of 1"):
        RSuper(1.0)
    grid = Grid((4, 4, 4), np.eye(4))
    with pytest.raises(GeometryError, match="on a grid of shape"):
        RadGPT().score(np.ones((4, 4, 4), bool), np.ones((4, 4, 5), bool), grid)
    with pytest.raises(IntensityError, match=r"within \[0, 1\]"):
        RSuper().score(np.full((4, 4, 4), 1.5), grid)
    tilted = np.eye(4)
    tilted[1, 2] = 0.2
    with pytest.raises(GeometryError, match="degrees off right angles"):
        RadGPT().score(np.ones((4, 4, 4), bool), np.ones((4, 4, 4), bool), Grid((4, 4, 4), tilted))


@pytest.mark.real
def test_a_real_lung_tumor_of_seven_millilitres_is_called_by_both(shared_data: Path) -> None:
    fine = read_mask(shared_data / "lung_tumor/lidc0001/nodule.nii.gz", "lung_tumor")
    coarse = read_mask(shared_data / "lung_tumor/lidc0001/nodule_3x.nii.gz", "lung_tumor")
    for mask in (fine, coarse):
        everywhere = np.ones_like(mask.array)
        eroded = RadGPT().score(mask.array, everywhere, mask.grid)
        opened = RSuper().score(mask.array.astype(np.float32), mask.grid)
        assert 3000 < eroded < opened < 7200
        assert RadGPT().threshold.called(eroded)
        assert RSuper().threshold.called(opened)
