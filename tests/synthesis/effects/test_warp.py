"""The image moves with the tissue, and its noise stays that of the scan."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.geometry import Grid
from scalemai.synthesis.effects.displacement import Displacement, push_aside
from scalemai.synthesis.effects.warp import warp_hu
from scalemai.synthesis.growth.tissue import crop_mask
from scalemai.volume import Mask, Volume

Array = NDArray[np.float64]
RADIUS_MM = 14.0


def anatomy_hu(place_mm: Array) -> Array:
    """A liver with straight vessels, a gas bubble beside the lesion, and fat; no noise."""
    x, y, z = np.moveaxis(place_mm, -1, 0)

    def inside(depth: Array) -> Array:
        return 1.0 / (1.0 + np.exp(-depth / 0.5))  # edges as sharp as a scanner shows them

    hu = np.full(x.shape, 110.0)
    for a, b, radius in ((18.0, 0.0, 2.5), (-20.0, 6.0, 3.5), (0.0, 22.0, 2.0)):
        hu += 70.0 * inside(radius - np.hypot(x - a, y - b))
    hu += 70.0 * inside(2.5 - np.hypot(x - 4.0, z - 19.0))
    organ = inside(36.0 - np.linalg.norm(place_mm, axis=-1))
    hu = hu * organ - 100.0 * (1.0 - organ)
    gas = inside(5.0 - np.linalg.norm(place_mm - np.array([0.0, -23.0, 0.0]), axis=-1))
    return hu * (1.0 - gas) - 950.0 * gas


def scan(
    spacing_mm: tuple[float, float, float], noise_hu: float, grain_mm: float, seed: int = 3
) -> tuple[Volume, Array, Array]:
    """A CT of the anatomy, its noise alone, and where its voxels are."""
    shape = tuple(int(n) for n in np.ceil(100.0 / np.asarray(spacing_mm)))
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = -(np.asarray(shape) - 1) / 2 * spacing_mm
    grid = Grid((shape[0], shape[1], shape[2]), affine)
    place = grid.to_world(np.moveaxis(np.indices(shape), 0, -1))
    noise = np.random.default_rng(seed).standard_normal(shape)
    if grain_mm:
        noise = ndimage.gaussian_filter(noise, grain_mm / np.asarray(spacing_mm))
    noise *= noise_hu / noise.std()
    stored = np.rint(anatomy_hu(place) + noise).astype(np.int16)
    return Volume(stored, grid), noise, place


def push(volume: Volume, place: Array, share: float = 0.7) -> Displacement:
    lesion = Mask(np.linalg.norm(place, axis=-1) <= RADIUS_MM, volume.grid, "liver_tumor")
    box = crop_mask(lesion)
    assert box is not None
    found = push_aside(volume, box, share)
    assert found is not None
    return found


def came_from(place: Array, found: Displacement) -> Array:
    shift = np.moveaxis(found.offset, 0, -1) @ found.grid.affine[:3, :3].T
    return np.asarray(place[found.region] - shift, np.float64)


def step_variance(values: Array, where: NDArray[np.bool_], axis: int) -> float:
    """Variance of the difference between neighbours."""
    first = np.take(values, range(values.shape[axis] - 1), axis)
    second = np.take(values, range(1, values.shape[axis]), axis)
    both = np.take(where, range(values.shape[axis] - 1), axis)
    both &= np.take(where, range(1, values.shape[axis]), axis)
    return float(((second - first)[both] ** 2).mean())


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (0.8, 0.8, 2.5), (0.8, 0.8, 5.0)])
@pytest.mark.parametrize("grain_mm", [0.0, 0.8, 1.5])
def test_noise_keeps_its_amplitude_and_spectrum(
    spacing_mm: tuple[float, float, float], grain_mm: float
) -> None:
    volume, noise, place = scan(spacing_mm, 12.0, grain_mm)
    found = push(volume, place)
    new, _ = warp_hu(volume, found)
    truth = anatomy_hu(came_from(place, found))
    moved = np.abs(found.offset).max(axis=0) > 0.25
    uniform = moved & ~found.within & (np.abs(truth - 110.0) < 1.0)
    assert np.count_nonzero(uniform) > 5000
    after, before = new - truth, noise[found.region]
    assert after[uniform].std() == pytest.approx(before[uniform].std(), rel=0.05)
    for axis in (0, 1):
        steps = step_variance(after, uniform, axis) / step_variance(before, uniform, axis)
        assert steps == pytest.approx(1.0, rel=0.05)


def test_noise_at_the_edge_of_a_vessel_is_kept_too() -> None:
    volume, noise, place = scan((0.8, 0.8, 0.8), 12.0, 0.6)
    found = push(volume, place)
    new, edited = warp_hu(volume, found)
    truth = anatomy_hu(came_from(place, found))
    edge = edited & ~found.within & (truth > 120.0) & (truth < 175.0)
    assert np.count_nonzero(edge) > 500
    assert (new - truth)[edge].std() == pytest.approx(noise[found.region][edge].std(), rel=0.12)
    assert abs((new - truth)[edge].mean()) < 4.0


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (0.8, 0.8, 2.5)])
def test_structures_arrive_where_the_tissue_does(spacing_mm: tuple[float, float, float]) -> None:
    volume, _, place = scan(spacing_mm, 0.2, 0.0)
    found = push(volume, place)
    new, _ = warp_hu(volume, found)
    truth = anatomy_hu(came_from(place, found))
    outside = ~found.within & (np.abs(found.offset).max(axis=0) > 0.5)
    stayed = np.abs(volume.hu(found.region) - truth)[outside].mean()
    assert np.abs(new - truth)[outside].mean() < 0.25 * stayed
    vessels, expected = new > 145.0, truth > 145.0
    common = np.count_nonzero(vessels & expected & outside)
    both = np.count_nonzero(vessels & outside) + np.count_nonzero(expected & outside)
    assert 2 * common / both > 0.9


def test_edges_of_gas_do_not_ring() -> None:
    volume, _, place = scan((1.0, 1.0, 1.0), 0.0001, 0.0)
    found = push(volume, place)
    new, _ = warp_hu(volume, found)
    old = volume.hu(found.region)
    assert new.min() >= old.min() - 1.0
    assert new.max() <= old.max() + 1.0
    reach = 2 * int(np.ceil(np.abs(found.offset).max())) + 9
    near_gas = ndimage.binary_dilation(old < -500.0, iterations=3) & ~found.within
    low = ndimage.minimum_filter(old, reach)
    high = ndimage.maximum_filter(old, reach)
    assert (new >= low - 1.0)[near_gas].all()
    assert (new <= high + 1.0)[near_gas].all()


def test_voxels_that_are_not_edited_are_those_that_were_there() -> None:
    volume, _, place = scan((0.8, 0.8, 2.5), 12.0, 0.8)
    scaled = Volume(volume.stored, volume.grid, slope=0.5, intercept=-20.0)
    found = push(scaled, place)
    new, edited = warp_hu(scaled, found)
    old = scaled.hu(found.region)
    assert new.dtype == np.float32
    assert edited.any()
    assert new[~edited].tobytes() == old[~edited].tobytes()
    still = np.abs(found.offset).max(axis=0) < 0.05
    assert not edited[still].any()
    stored = scaled.to_stored(new)
    assert (stored[~edited] == scaled.stored[found.region][~edited]).all()


def test_the_order_of_the_axes_does_not_matter() -> None:
    volume, _, place = scan((0.8, 0.8, 2.5), 12.0, 0.8)
    found = push(volume, place)
    new, edited = warp_hu(volume, found)
    order = (2, 0, 1)
    affine = volume.grid.affine.copy()
    affine[:, :3] = affine[:, list(order)]
    shape = tuple(volume.grid.shape[axis] for axis in order)
    grid = Grid((shape[0], shape[1], shape[2]), affine)
    turned = Volume(np.asfortranarray(volume.stored.transpose(order)), grid)
    region = tuple(found.region[axis] for axis in order)
    box = (region[0], region[1], region[2])
    offset = found.offset[list(order)].transpose(0, 1 + 2, 1 + 0, 1 + 1)
    again = Displacement(box, grid.crop(box), offset, found.lesion, found.share)
    same, same_edited = warp_hu(turned, again)
    assert (same_edited == edited.transpose(order)).all()
    assert same.tobytes() == np.ascontiguousarray(new.transpose(order)).tobytes()
