"""The scanner's noise and blur, measured as a physicist would measure a CT."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scalemai.cases.phantom.scanner import KERNELS, acquire
from scalemai.errors import ConfigError, GeometryError, IntensityError, UnknownNameError
from scalemai.geometry import Grid


@dataclass(frozen=True)
class Settings:
    dose: float = 1.0
    kernel: str = "soft"


def axial_grid(shape: tuple[int, int, int], pixel_mm: float, slice_mm: float) -> Grid:
    return Grid(shape, np.diag([-pixel_mm, -pixel_mm, slice_mm, 1.0]))


def water_body(
    width_mm: float, depth_mm: float, *, pixel_mm: float = 1.0, slices: int = 6
) -> NDArray[np.float32]:
    """A water cylinder of elliptical section in air; the first axis runs left-right."""
    n = round(400 / pixel_mm)
    x = (np.arange(n) - (n - 1) / 2) * pixel_mm
    inside = (2 * x[:, None] / width_mm) ** 2 + (2 * x[None, :] / depth_mm) ** 2 < 1
    section = np.where(inside, np.float32(0), np.float32(-1000))
    return np.repeat(section[:, :, None], slices, axis=2)


def noise_of(
    ideal: NDArray[np.float32],
    settings: Settings = Settings(),
    *,
    pixel_mm: float = 1.0,
    slice_mm: float = 5.0,
    seed: int = 3,
) -> NDArray[np.float32]:
    grid = axial_grid(ideal.shape, pixel_mm, slice_mm)
    return acquire(ideal, grid, settings, np.random.default_rng(seed)) - ideal


def middle(noise: NDArray[np.float32], half: int = 24, shift: int = 0) -> NDArray[np.float32]:
    a, b = (n // 2 for n in noise.shape[:2])
    return noise[a + shift - half : a + shift + half, b - half : b + half]


def power_spectrum(roi: NDArray[np.float32], pixel_mm: float) -> NDArray[np.float64]:
    """NPS in HU^2 mm^2, averaged over slices; frequencies as those of numpy's fftfreq."""
    flat = roi - roi.mean(axis=(0, 1))
    power = np.abs(np.fft.fft2(flat, axes=(0, 1))) ** 2
    return power.mean(axis=2) * pixel_mm**2 / (roi.shape[0] * roi.shape[1])


def radial_profile(
    spectrum: NDArray[np.float64], pixel_mm: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    f = np.fft.fftfreq(len(spectrum), pixel_mm)
    radius = np.hypot(f[:, None], f[None, :])
    edges = np.linspace(0, 0.5 / pixel_mm, 13)
    total, _ = np.histogram(radius, edges, weights=spectrum)
    count, _ = np.histogram(radius, edges)
    return (edges[:-1] + edges[1:]) / 2, total / count


@pytest.fixture(scope="module")
def fine_noise() -> dict[str, NDArray[np.float32]]:
    body = water_body(290, 290, pixel_mm=0.75, slices=10)
    return {name: noise_of(body, Settings(kernel=name), pixel_mm=0.75) for name in KERNELS}


@pytest.mark.parametrize(("slice_mm", "low", "high"), [(5.0, 10.0, 12.0), (1.0, 21.5, 26.5)])
def test_a_routine_scan_has_the_noise_of_a_clinical_liver(
    slice_mm: float, low: float, high: float
) -> None:
    noise = noise_of(water_body(320, 230), slice_mm=slice_mm)
    liver = middle(noise, shift=70)
    assert low < liver.std() < high


def test_the_noise_spectrum_peaks_at_middle_frequencies(
    fine_noise: dict[str, NDArray[np.float32]],
) -> None:
    f, power = radial_profile(power_spectrum(middle(fine_noise["soft"], 32), 0.75), 0.75)
    peak = power.argmax()
    assert 0.12 < f[peak] < 0.36
    assert power[0] < 0.6 * power[peak]
    assert power[-1] < 0.1 * power[peak]


def test_the_measured_spectrum_follows_the_kernel(
    fine_noise: dict[str, NDArray[np.float32]],
) -> None:
    for name, kernel in KERNELS.items():
        f, power = radial_profile(power_spectrum(middle(fine_noise[name], 32), 0.75), 0.75)
        expected = kernel.nps(f)
        folded = expected + kernel.nps(1 / 0.75 - f)  # along an axis; enough for the shape
        inner = f < 0.55
        ratio = power[inner] / folded[inner]
        assert np.abs(ratio / ratio.mean() - 1).max() < 0.25, name


def test_sharper_kernels_are_noisier(fine_noise: dict[str, NDArray[np.float32]]) -> None:
    soft, medium, sharp = (middle(fine_noise[k]).std() for k in ("soft", "medium", "sharp"))
    assert soft < medium < sharp
    expected = np.sqrt(KERNELS["sharp"].noise_power / KERNELS["soft"].noise_power)
    assert sharp / soft == pytest.approx(expected, rel=0.05)


def test_noise_falls_with_the_square_root_of_the_dose() -> None:
    body = water_body(300, 240)
    full, quarter = (middle(noise_of(body, Settings(dose=d))).std() for d in (1.0, 0.25))
    assert quarter / full == pytest.approx(2.0, rel=0.02)


def test_noise_falls_with_the_square_root_of_the_slice_thickness() -> None:
    body = water_body(300, 240)
    thick, thin = (middle(noise_of(body, slice_mm=s)).std() for s in (5.0, 1.25))
    assert thin / thick == pytest.approx(2.0, rel=0.02)


def test_a_coarse_matrix_is_as_noisy_as_a_fine_one() -> None:
    levels = []
    for pixel in (0.75, 2.5):
        body = water_body(300, 240, pixel_mm=pixel, slices=12)
        levels.append(middle(noise_of(body, pixel_mm=pixel), half=round(30 / pixel)).std())
    assert levels[1] == pytest.approx(levels[0], rel=0.05)


def test_noise_is_highest_in_the_middle_of_the_body() -> None:
    noise = noise_of(water_body(320, 320))
    assert middle(noise, 10).std() > 1.25 * middle(noise, 10, shift=140).std()


def test_larger_patients_are_noisier() -> None:
    small, average, large = (
        middle(noise_of(water_body(w, 0.75 * w))).std() for w in (250, 330, 390)
    )
    assert small < 0.8 * average
    assert large > 1.25 * average


def test_streaks_run_along_the_long_axis_of_the_body() -> None:
    supine = power_spectrum(middle(noise_of(water_body(380, 250)), 32), 1.0)
    on_the_side = power_spectrum(middle(noise_of(water_body(250, 380)), 32), 1.0)
    # Streaks along the first axis are waves along the second.
    assert supine[:3, 5:25].sum() > 3 * supine[5:25, :3].sum()
    assert on_the_side[5:25, :3].sum() > 3 * on_the_side[:3, 5:25].sum()


def test_a_round_body_has_no_preferred_direction() -> None:
    spectrum = power_spectrum(middle(noise_of(water_body(300, 300), seed=9), 32), 1.0)
    assert spectrum[:3, 5:25].sum() / spectrum[5:25, :3].sum() == pytest.approx(1.0, rel=0.25)


def test_mean_hounsfield_units_are_kept() -> None:
    body = water_body(330, 240)
    body[body == 0] = 57.3
    noise = noise_of(body)
    assert abs(float(middle(noise, 60).mean())) < 0.2
    for slab in np.split(middle(noise, 40), 6, axis=2):
        assert abs(float(slab.mean())) < 0.5


def test_noise_is_shared_by_neighbouring_slices_only() -> None:
    roi = middle(noise_of(water_body(300, 240, slices=12)), 40)
    flat = [roi[:, :, k].ravel() for k in range(roi.shape[2])]
    lag = [
        np.mean([np.corrcoef(flat[k], flat[k + n])[0, 1] for k in range(len(flat) - n)])
        for n in (1, 2, 3)
    ]
    assert 0.12 < lag[0] < 0.3
    assert abs(lag[1]) < 0.06
    assert abs(lag[2]) < 0.06


def test_noise_at_opposite_edges_of_the_picture_is_unrelated() -> None:
    body = np.zeros((120, 120, 40), np.float32)
    noise = noise_of(body)
    assert abs(np.corrcoef(noise[0].ravel(), noise[-1].ravel())[0, 1]) < 0.1
    assert abs(np.corrcoef(noise[:, 0].ravel(), noise[:, -1].ravel())[0, 1]) < 0.1


@pytest.mark.parametrize("kernel", list(KERNELS))
def test_edges_are_blurred_by_the_transfer_function(kernel: str) -> None:
    pixel = 0.5
    ideal = np.zeros((64, 64, 5), np.float32)
    ideal[32, 32] = 1000.0
    spread = (
        noise_of(ideal, Settings(dose=1e9, kernel=kernel), pixel_mm=pixel)[..., 2] + ideal[..., 2]
    )
    assert spread.sum() == pytest.approx(1000.0, rel=0.05)
    measured = np.abs(np.fft.fft2(spread))[0] / spread.sum()
    f = np.abs(np.fft.fftfreq(64, pixel))
    assert np.abs(measured - KERNELS[kernel].mtf(f)).max() < 0.05


def test_the_same_seed_gives_the_same_bytes() -> None:
    body = water_body(300, 240, pixel_mm=2.5)
    grid = axial_grid(body.shape, 2.5, 5.0)
    one, again, other = (
        acquire(body, grid, Settings(), np.random.default_rng(s)) for s in (5, 5, 6)
    )
    assert one.tobytes() == again.tobytes()
    assert (one != other).any()


def test_memory_order_does_not_change_the_result() -> None:
    body = water_body(300, 240, pixel_mm=2.5)
    grid = axial_grid(body.shape, 2.5, 5.0)
    c_order = acquire(body, grid, Settings(), np.random.default_rng(1))
    f_order = acquire(np.asfortranarray(body), grid, Settings(), np.random.default_rng(1))
    assert f_order.flags.f_contiguous
    np.testing.assert_array_equal(c_order, f_order)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_are_those_of_the_axis_that_runs_head_to_foot(axis: int) -> None:
    body = np.moveaxis(water_body(380, 250, pixel_mm=2.0), 2, axis)
    affine = np.zeros((4, 4))
    worlds = iter((0, 1))
    for array_axis in range(3):
        world = 2 if array_axis == axis else next(worlds)
        affine[world, array_axis] = 5.0 if world == 2 else -2.0
    affine[3, 3] = 1
    result = acquire(body, Grid(body.shape, affine), Settings(), np.random.default_rng(2))
    roi = middle(np.moveaxis(result - body, axis, 2), 20)
    assert 9 < roi.std() < 20
    spectrum = power_spectrum(roi, 2.0)
    assert spectrum[:2, 3:15].sum() > 2.5 * spectrum[3:15, :2].sum()


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    spacing=st.tuples(*[st.sampled_from([0.2, 0.7, 3.0, 10.0])] * 3),
    tilt_deg=st.floats(-30, 30),
    kernel=st.sampled_from(sorted(KERNELS)),
)
def test_any_small_or_oblique_grid_is_scanned(
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    tilt_deg: float,
    kernel: str,
) -> None:
    c, s = np.cos(np.radians(tilt_deg)), np.sin(np.radians(tilt_deg))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ np.diag(spacing)
    ideal = np.full(shape, 40.0, np.float32)
    ct = acquire(ideal, Grid(shape, affine), Settings(kernel=kernel), np.random.default_rng(0))
    assert ct.shape == shape
    assert ct.dtype == np.int16
    assert np.abs(ct - 40.0).max() < 400  # some noise; no runaway


def test_ct_numbers_stay_in_twelve_bits() -> None:
    ideal = np.full((40, 40, 4), -1020.0, np.float32)
    ideal[20:] = 9000.0
    ct = noise_of(ideal, Settings(dose=0.01)) + ideal
    assert ct.min() == -1024
    assert ct.max() == 3071


def test_a_scan_needs_less_memory_than_two_ideal_images() -> None:
    ideal = water_body(300, 240, pixel_mm=2.0, slices=120)
    grid = axial_grid(ideal.shape, 2.0, 1.0)
    acquire(
        ideal[:, :, :2].copy(),
        axial_grid((200, 200, 2), 2.0, 1.0),
        Settings(),
        np.random.default_rng(0),
    )
    tracemalloc.start()
    acquire(ideal, grid, Settings(), np.random.default_rng(0))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * ideal.nbytes


def test_wrong_requests_are_named() -> None:
    ideal = np.zeros((8, 8, 2), np.float32)
    grid, rng = axial_grid((8, 8, 2), 1.0, 1.0), np.random.default_rng(0)
    with pytest.raises(UnknownNameError, match="unknown kernel 'softt'; did you mean 'soft'"):
        acquire(ideal, grid, Settings(kernel="softt"), rng)
    with pytest.raises(ConfigError, match="dose is 0"):
        acquire(ideal, grid, Settings(dose=0.0), rng)
    with pytest.raises(GeometryError, match="shape"):
        acquire(ideal[1:], grid, Settings(), rng)
    ideal[3, 3, 1] = np.nan
    with pytest.raises(IntensityError, match="NaN"):
        acquire(ideal, grid, Settings(), rng)


@pytest.mark.real
def test_the_texture_is_that_of_a_clinical_scan(shared_data: Path) -> None:
    """Slice differences in a real liver and ours agree in size, mean frequency and direction."""
    folder = shared_data / "abdomen" / "crlm1004"
    real = np.asarray(nib.load(folder / "ct.nii.gz").dataobj, dtype=np.float32)
    liver = np.asarray(nib.load(folder / "segmentations" / "liver.nii.gz").dataobj) > 0
    side, pixel = 24, 0.797
    real_rois = [
        real[i : i + side, j : j + side, k + 1] - real[i : i + side, j : j + side, k]
        for k in range(liver.shape[2] - 1)
        for i in range(0, liver.shape[0] - side, side)
        for j in range(0, liver.shape[1] - side, side)
        if liver[i : i + side, j : j + side, k : k + 2].all()
    ]
    body = water_body(330, 235, pixel_mm=pixel, slices=8)
    noise = noise_of(body, Settings(kernel="medium", dose=1.2), pixel_mm=pixel)
    ours = np.diff(middle(noise, 48, shift=80), axis=2)
    our_rois = [
        ours[i : i + side, j : j + side, k]
        for k in range(ours.shape[2])
        for i in range(0, 96, side)
        for j in range(0, 96, side)
    ]
    f = np.fft.fftfreq(side, pixel)
    radius = np.hypot(f[:, None], f[None, :])
    noise_band = radius > 0.14  # below it, real livers show vessels that end between two slices
    found = []
    for rois in (real_rois, our_rois):
        spectrum = power_spectrum(np.stack(rois, axis=-1) / np.sqrt(2), pixel)
        level = np.sqrt((spectrum * noise_band).sum() / (side * pixel) ** 2)
        mean_frequency = np.average(radius[noise_band], weights=spectrum[noise_band])
        direction = spectrum[:3, 4:12].sum() / spectrum[4:12, :3].sum()
        found.append((level, mean_frequency, direction))
    (level, mean_frequency, direction), (our_level, our_mean, our_direction) = found
    assert our_level == pytest.approx(level, rel=0.5)
    assert our_mean == pytest.approx(mean_frequency, rel=0.15)
    assert direction > 2
    assert 0.4 < our_direction / direction < 2.5
