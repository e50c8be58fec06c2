"""Noise that is measured and made anew is the same noise: amplitude, texture, slices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.cases.phantom import sample_spec
from scalemai.cases.phantom.anatomy import build_anatomy
from scalemai.cases.phantom.scanner import acquire
from scalemai.errors import GeometryError, IntensityError
from scalemai.geometry import Grid
from scalemai.synthesis.painting.noise_model import measure_noise, noise_field

from ..conftest import read_real_host

SHAPE = (96, 88, 30)


def grid_of(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Grid:
    return Grid(shape, np.diag([*spacing, 1.0]))


def correlation(field: NDArray[np.floating], axis: int, lag: int) -> float:
    """Independent of the code under test: the mean product of neighbours."""
    moved = np.moveaxis(np.asarray(field, np.float64), axis, 0)
    return float((moved[lag:] * moved[:-lag]).mean() / (moved**2).mean())


def correlated_noise(sigma: tuple[float, float, float], sd: float = 12.0) -> NDArray[np.float64]:
    noise = ndimage.gaussian_filter(np.random.default_rng(5).standard_normal(SHAPE), sigma)
    return np.asarray(noise * (sd / noise.std()))


@pytest.mark.parametrize(
    "sigma",
    [(0.0, 0.0, 0.0), (0.8, 0.8, 0.0), (1.2, 1.2, 0.5), (0.6, 1.2, 0.8)],
    ids=["white", "smooth", "smoother", "anisotropic"],
)
def test_made_noise_has_the_sd_and_the_autocorrelation_of_what_was_measured(
    sigma: tuple[float, float, float],
) -> None:
    noise = correlated_noise(sigma)
    grid = grid_of(SHAPE, (0.8, 0.8, 2.5))
    model = measure_noise((110 + noise).round(), np.ones(SHAPE, np.bool_), grid)
    made = noise_field(model, SHAPE, np.random.default_rng(1))
    assert made.dtype == np.float32
    assert model.sd_hu == pytest.approx(12.0, rel=0.05)
    assert made.std() == pytest.approx(12.0, rel=0.05)
    assert abs(made.mean()) < 0.3
    for axis in range(3):
        for lag in (1, 2, 3):
            there, here = correlation(noise, axis, lag), correlation(made, axis, lag)
            assert here == pytest.approx(there, abs=0.05), (axis, lag)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_axial_images_are_found_whatever_the_order_of_the_axes(
    order: tuple[int, int, int],
) -> None:
    noise = correlated_noise((1.2, 1.2, 0.0)).transpose(order)
    matrix = np.eye(4)
    matrix[:3, :3] = np.diag((0.8, 0.8, 2.5))[:, order]
    model = measure_noise(noise, np.ones(noise.shape, np.bool_), Grid(noise.shape, matrix))
    assert model.axial_axis == order.index(2)
    made = noise_field(model, (60, 60, 60), np.random.default_rng(0))
    assert abs(correlation(made, order.index(2), 1)) < 0.05
    assert correlation(made, order.index(0), 1) > 0.75


def test_vessels_fat_and_slow_changes_do_not_count_as_noise() -> None:
    noise = correlated_noise((0.8, 0.8, 0.3), sd=10.0)
    i, j, _ = np.indices(SHAPE)
    hu = 100 + noise + 0.3 * i  # 29 HU from one side to the other
    for k in range(8, 96, 16):
        hu[(i - k) ** 2 + (j - k) ** 2 < 9] += 80  # vessels of 5 mm along the slices
    hu[:, :6] = -100 + noise[:, :6]
    model = measure_noise(hu, np.ones(SHAPE, np.bool_), grid_of(SHAPE, (0.8, 0.8, 2.5)))
    assert model.sd_hu == pytest.approx(10.0, rel=0.05)
    middle = model.autocorrelation.shape[0] // 2
    there = correlation(noise, 0, 1)
    assert model.autocorrelation[middle + 1, middle] == pytest.approx(there, abs=0.05)


def test_the_same_stream_gives_the_same_noise_and_another_gives_other_noise() -> None:
    model = measure_noise(
        correlated_noise((0.8, 0.8, 0.3)), np.ones(SHAPE, np.bool_), grid_of(SHAPE, (1, 1, 3))
    )
    one, again, other = (
        noise_field(model, (20, 30, 10), np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    assert one.tobytes() == again.tobytes()
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.1


def test_a_few_voxels_still_give_a_standard_deviation() -> None:
    noise = correlated_noise((0.8, 0.8, 0.0))
    where = np.zeros(SHAPE, np.bool_)
    where[30:37, 30:37, 10:14] = True
    model = measure_noise(100 + noise, where, grid_of(SHAPE, (0.8, 0.8, 2.5)))
    assert model.sd_hu == pytest.approx(12.0, rel=0.25)
    assert np.isfinite(noise_field(model, (9, 9, 9), np.random.default_rng(0))).all()


def test_without_voxels_the_flattest_tissue_of_the_scan_is_measured() -> None:
    hu = np.full(SHAPE, -1000.0)
    hu[20:70, 20:70] = 60 + correlated_noise((0.8, 0.8, 0.0))[20:70, 20:70]
    model = measure_noise(hu, np.zeros(SHAPE, np.bool_), grid_of(SHAPE, (0.8, 0.8, 2.5)))
    assert model.sd_hu == pytest.approx(12.0, rel=0.35)


def test_a_scan_without_tissue_is_refused_in_one_line() -> None:
    nothing = np.full(SHAPE, -1000.0)
    with pytest.raises(IntensityError, match="no uniform tissue"):
        measure_noise(nothing, np.zeros(SHAPE, np.bool_), grid_of(SHAPE, (1, 1, 1)))
    with pytest.raises(GeometryError, match="on a grid of shape"):
        measure_noise(nothing, np.zeros((2, 2, 2), np.bool_), grid_of(SHAPE, (1, 1, 1)))


@pytest.mark.parametrize("kernel", ["soft", "sharp"])
def test_noise_of_filtered_back_projection_is_that_of_a_second_scan(kernel: str) -> None:
    spec = sample_spec(
        4,
        spacing_mm=(0.8, 0.8, 2.5),
        shape=(140, 140, 24),
        centre_mm=(60.0, 0.0, 30.0),
        orientation="RAS",
        kernel=kernel,
    )
    anatomy = build_anatomy(spec)
    liver = anatomy.structures["liver"]
    inside = ndimage.binary_erosion(liver, np.ones((3, 3, 1)))
    plain = np.where(liver, np.float32(100.0), anatomy.ideal_hu)  # a liver without texture
    scans = [
        acquire(image, anatomy.grid, spec, np.random.default_rng(seed)).astype(np.float64)
        for image, seed in ((plain, 0), (plain, 1), (anatomy.ideal_hu, 0))
    ]
    noise = (scans[0] - scans[1]) / 2**0.5  # two scans of one patient differ by their noise alone
    sd = noise[inside].std()
    model = measure_noise(scans[0], liver, anatomy.grid)
    assert model.sd_hu == pytest.approx(sd, rel=0.05)
    m, n = (s // 2 for s in model.autocorrelation.shape)
    for lag in (1, 2, 3):
        pairs = inside[lag:] & inside[:-lag]
        there = (noise[lag:] * noise[:-lag])[pairs].mean() / sd**2
        assert model.autocorrelation[m + lag, n] == pytest.approx(there, abs=0.05)
    # The grain of a liver, a few HU, cannot be told from noise in one scan.
    assert sd < measure_noise(scans[2], liver, anatomy.grid).sd_hu < 1.1 * sd


@pytest.mark.real
def test_made_noise_looks_to_the_measurement_like_that_of_a_real_liver(shared_data: Path) -> None:
    volume, masks = read_real_host(shared_data, "crlm1004", ("liver",))
    model = measure_noise(volume.hu(), masks["liver"].array, volume.grid)
    assert 8.0 < model.sd_hu < 14.0
    shape = (120, 120, 20)
    made = noise_field(model, shape, np.random.default_rng(0))
    again = measure_noise(made, np.ones(shape, np.bool_), Grid(shape, volume.grid.affine))
    assert made.std() == pytest.approx(model.sd_hu, rel=0.05)
    assert again.sd_hu == pytest.approx(model.sd_hu, rel=0.05)
    m, n = (s // 2 for s in model.autocorrelation.shape)
    for lag in (1, 2, 3):
        assert correlation(made, 0, lag) == pytest.approx(
            model.autocorrelation[m + lag, n], abs=0.05
        )
        assert correlation(made, 1, lag) == pytest.approx(
            model.autocorrelation[m, n + lag], abs=0.05
        )
    assert correlation(made, 2, 1) == pytest.approx(model.slice_correlation[0], abs=0.05)
