"""Training and inference see a scan alike, whatever its axes and spacing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from scalemai.detector.preprocessing import channels_of, interpolate, prepare, whole
from scalemai.detector.spec import Preprocessing
from scalemai.errors import GeometryError, MissingStructureError
from scalemai.geometry import Grid
from scalemai.volume import Mask, Volume

SLOPE = np.array([1.0, 2.0, -0.5])  # HU per mm along x, y, z
COARSE = Preprocessing(spacing_mm=(1.0, 1.5, 2.0), margin_mm=12.0)


def scan(affine: np.ndarray, shape: tuple[int, int, int]) -> tuple[Volume, Mask]:
    """A ramp in world space and a ball of 15 mm round the middle of the grid."""
    grid = Grid(shape, affine)
    xyz = grid.to_world(np.stack(np.indices(shape), axis=-1))
    middle = grid.to_world((np.array(shape) - 1) / 2)
    ball = ((xyz - middle) ** 2).sum(axis=-1) < 15.0**2
    return Volume((xyz @ SLOPE).astype(np.float32), grid), Mask(ball, grid, "liver")


def turned(order: tuple[int, int, int], signs: tuple[int, int, int]) -> np.ndarray:
    """An affine of 0.8 x 0.9 x 2.5 mm with its axes in another order and sense."""
    affine = np.eye(4)
    affine[:3, :3] = 0.0
    for axis, (world, sign, step) in enumerate(zip(order, signs, (0.8, 0.9, 2.5), strict=True)):
        affine[world, axis] = sign * step
    affine[:3, 3] = (10.0, -20.0, 30.0)
    return affine


@pytest.mark.parametrize(
    ("order", "signs"),
    [*itertools.product(itertools.permutations(range(3)), [(1, 1, 1), (-1, 1, -1)])],
)
def test_a_linear_image_keeps_its_values_in_world_space(order, signs) -> None:
    volume, organ = scan(turned(order, signs), (70, 64, 30))
    made = prepare(volume, organ, COARSE)
    assert made.grid.orientation == "RAS"
    assert made.grid.spacing_mm == pytest.approx((1.0, 1.5, 2.0))
    xyz = made.grid.to_world(np.stack(np.indices(made.grid.shape), axis=-1))
    inner = (slice(5, -5),) * 3
    assert np.abs(made.hu - xyz @ SLOPE)[inner].max() < 1e-3
    back = interpolate(made.hu, made.grid, made.source.crop(made.region))
    assert back.shape == tuple(s.stop - s.start for s in made.region)
    assert np.abs(back - volume.stored[made.region])[inner].max() < 1e-3


def test_an_oblique_scan_keeps_its_own_axes() -> None:
    angle = np.radians(12.0)
    tilt = np.eye(4)
    tilt[:3, :3] = [
        [np.cos(angle), -np.sin(angle), 0.0],
        [np.sin(angle), np.cos(angle), 0.0],
        [0.0, 0.0, 1.0],
    ]
    volume, organ = scan(tilt @ turned((0, 1, 2), (1, -1, 1)), (60, 60, 40))
    made = prepare(volume, organ, COARSE)
    xyz = made.grid.to_world(np.stack(np.indices(made.grid.shape), axis=-1))
    assert np.abs(made.hu - xyz @ SLOPE)[5:-5, 5:-5, 5:-5].max() < 1e-3


def test_masks_keep_their_volume_and_their_class() -> None:
    volume, organ = scan(turned((0, 1, 2), (1, 1, 1)), (70, 70, 40))
    lesion = np.zeros(volume.grid.shape, np.bool_)
    lesion[30:40, 30:40, 18:22] = True
    made = prepare(volume, organ, COARSE, {1: organ.array, 2: lesion})
    voxel = made.grid.voxel_volume_mm3
    assert made.organ.sum() * voxel == pytest.approx(4 / 3 * np.pi * 15**3, rel=0.03)
    assert made.labels is not None
    assert (made.labels == 2).sum() * voxel == pytest.approx(8 * 9 * 10, rel=0.15)


def test_noise_is_averaged_where_voxels_are_left_out() -> None:
    grid = Grid((64, 64, 64), np.eye(4))
    noise = np.random.default_rng(0).normal(0.0, 20.0, grid.shape).astype(np.float32)
    organ = Mask(np.ones(grid.shape, np.bool_), grid, "liver")
    made = prepare(Volume(noise, grid), organ, Preprocessing(spacing_mm=(3.0, 3.0, 3.0)))
    assert made.hu.std() < 8.0


def test_the_window_runs_from_minus_one_to_one() -> None:
    hu = np.array([-2000.0, -175.0, 37.5, 250.0, 3000.0], np.float32).reshape(5, 1, 1)
    seen = channels_of(hu, np.ones(hu.shape, np.bool_), Preprocessing())
    assert seen[0].ravel().tolist() == [-1.0, -1.0, 0.0, 1.0, 1.0]
    assert seen.shape == (2, 5, 1, 1)
    assert seen[1].all()


def test_the_organs_window_makes_contrast_phases_alike() -> None:
    both = Preprocessing(window_hu=(-1000.0, 1000.0), organ_window_hu=(-100.0, 50.0))
    assert both.channels == 3
    organ = np.ones((5, 1, 1), np.bool_)
    organ[:2] = False
    seen = []
    for organ_hu in (55.0, 120.0):
        hu = np.array([-800.0, 700.0, organ_hu, organ_hu - 25.0, organ_hu + 5.0], np.float32)
        hu = hu.reshape(organ.shape)
        made = channels_of(hu, organ, both)
        assert made.dtype == np.float32
        assert np.array_equal(made, channels_of(hu, organ, both, organ_hu))
        seen.append(made)
    assert seen[0][2].ravel() == pytest.approx([-1.0, 1.0, 1 / 3, 0.0, 0.4])
    assert np.array_equal(seen[0][1:], seen[1][1:])
    assert not np.array_equal(seen[0][0], seen[1][0])


def test_the_median_is_that_of_the_organ_with_its_lesions() -> None:
    volume, organ = scan(turned((0, 1, 2), (1, 1, 1)), (40, 36, 30))
    made = prepare(volume, organ, COARSE)
    assert made.organ_hu == float(np.median(made.hu[made.organ]))
    nothing = np.zeros(made.organ.shape, np.bool_)
    window = Preprocessing(organ_window_hu=(-100.0, 100.0))
    assert np.isfinite(channels_of(made.hu, nothing, window)).all()


def test_an_empty_organ_and_a_tilted_gantry_are_refused() -> None:
    volume, _ = scan(turned((0, 1, 2), (1, 1, 1)), (20, 20, 10))
    empty = Mask(np.zeros(volume.grid.shape, np.bool_), volume.grid, "liver")
    with pytest.raises(MissingStructureError, match="the liver mask is empty"):
        prepare(volume, empty, COARSE)
    sheared = turned((0, 1, 2), (1, 1, 1))
    sheared[1, 2] = 0.6
    tilted, mask = scan(sheared, (20, 20, 10))
    with pytest.raises(GeometryError, match="right angles"):
        prepare(tilted, mask, COARSE)


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.5, 2.0), (0.5, 0.4, 1.0)])
def test_parts_of_an_interpolation_are_those_of_the_whole(spacing_mm) -> None:
    volume, organ = scan(turned((2, 0, 1), (-1, 1, -1)), (40, 36, 30))
    made = prepare(volume, organ, Preprocessing(spacing_mm=spacing_mm, margin_mm=12.0))
    noise = np.random.default_rng(0).normal(size=made.grid.shape).astype(np.float32)
    box = made.source.crop(made.region)
    expected = interpolate(noise, made.grid, box)
    for start in range(0, box.shape[1], 7):
        part = (slice(0, box.shape[0]), slice(start, min(start + 7, box.shape[1])), slice(3, 20))
        found = interpolate(noise, made.grid, box.crop(part))
        assert np.abs(found - expected[part]).max() < 1e-5


def test_without_an_organ_the_whole_scan_is_taken() -> None:
    volume, organ = scan(turned((0, 1, 2), (-1, -1, 1)), (30, 32, 20))
    made = prepare(volume, None, COARSE)
    assert made.region == whole(volume.grid)
    assert made.organ.all()
    told = prepare(volume, organ, COARSE, region=whole(volume.grid))
    assert np.array_equal(told.hu, made.hu)
    assert told.organ.any()
    assert not told.organ.all()
