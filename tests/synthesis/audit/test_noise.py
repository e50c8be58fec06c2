"""What is read off noise, borders and stored levels, against fields of known make."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from scalemai.geometry import Grid
from scalemai.synthesis.audit.noise import noise_of, rise_distance_mm, rounding_of

from .patches_at_hand import NOISE_HU, SHAPE, distance_mm, grid_at_hand, noise, sphere

EVERYWHERE = np.ones(SHAPE, bool)


def test_white_noise_has_its_own_standard_deviation_and_no_correlation() -> None:
    rng = np.random.default_rng(0)
    found = noise_of(rng.normal(50, NOISE_HU, SHAPE), EVERYWHERE, grid_at_hand())
    assert np.exp(found["residual"]) == pytest.approx(NOISE_HU, rel=0.02)
    for name in ("lag1", "lag3", "diagonal", "anisotropy", "slices"):
        assert found[name] == pytest.approx(0.0, abs=0.03), name
    assert found["tails"] == pytest.approx(0.0, abs=0.05)


def test_an_axial_image_is_one_whatever_the_axis_order() -> None:
    hu = noise(np.random.default_rng(1))
    turned = np.ascontiguousarray(np.moveaxis(hu, 2, 0))
    affine = np.zeros((4, 4))
    affine[2, 0], affine[0, 1], affine[1, 2], affine[3, 3] = 2.5, 0.8, 0.8, 1.0
    other = Grid(turned.shape, affine)
    assert other.axial_axis == 0
    one = noise_of(hu, EVERYWHERE, grid_at_hand())
    two = noise_of(turned, np.ones(turned.shape, bool), other)
    assert one == pytest.approx(two)


def test_smoother_noise_has_less_power_at_high_frequencies() -> None:
    sharp, smooth = (
        noise_of(noise(np.random.default_rng(2), (s, s, 0.0)), EVERYWHERE, grid_at_hand())
        for s in (0.6, 1.2)
    )
    assert smooth["residual"] < sharp["residual"] - 0.5
    assert smooth["band4"] < sharp["band4"] - 1.0
    assert smooth["band1"] > sharp["band1"] + 0.5
    assert smooth["lag1"] < sharp["lag1"] - 0.3


def test_correlation_between_slices_is_seen() -> None:
    thin = noise(np.random.default_rng(3), (0.8, 0.8, 1.5))
    found = noise_of(thin, EVERYWHERE, grid_at_hand())
    assert found["slices"] < -0.5


def test_slow_shading_is_not_noise() -> None:
    hu = noise(np.random.default_rng(4))
    slope = np.linspace(0, 60, SHAPE[0])[:, None, None]
    one, two = (noise_of(x, EVERYWHERE, grid_at_hand()) for x in (hu, hu + slope))
    assert two["residual"] == pytest.approx(one["residual"], abs=0.01)


def test_a_region_that_is_too_small_has_no_noise() -> None:
    few = np.zeros(SHAPE, bool)
    few[10:13, 10:13, 8] = True
    assert noise_of(np.zeros(SHAPE, np.float32), few, grid_at_hand()) is None


def test_levels_that_never_occur_are_noticed() -> None:
    rng = np.random.default_rng(5)
    whole = np.rint(rng.normal(100, 12, SHAPE))
    rescaled = np.rint(np.rint(whole / 1.3) * 1.3)
    where = sphere(12.0)
    fair, gappy = (rounding_of(x.astype(np.float32), where, 1.0)["comb"] for x in (whole, rescaled))
    assert fair == pytest.approx(0.0, abs=0.25)  # a histogram as rough as counting makes it
    assert gappy > fair + 1.0


def test_values_that_are_stored_as_fractions_are_whole_only_where_they_were_cut() -> None:
    rng = np.random.default_rng(6)
    hu = rng.normal(100, 12, SHAPE).astype(np.float32)
    where = sphere(8.0)
    assert rounding_of(hu, where, 0.0)["whole"] < 0.01
    assert rounding_of(np.trunc(hu), where, 0.0)["whole"] == 1.0


@pytest.mark.parametrize("contrast_hu", [-60.0, 40.0])
@pytest.mark.parametrize("width_mm", [2.0, 4.0, 6.0])
def test_the_rise_of_a_linear_border_is_eight_tenths_of_its_width(
    width_mm: float, contrast_hu: float
) -> None:
    depth = 10.0 - distance_mm()
    hu = 110.0 + contrast_hu * np.clip(depth / width_mm + 0.5, 0, 1)
    found = [
        rise_distance_mm((hu + noise(rng)).astype(np.float32), -depth, EVERYWHERE, 8.0)
        for rng in map(np.random.default_rng, range(9))
    ]
    # Noise moves the ends of one border by half a millimetre; over some lesions it averages out.
    assert np.median(found) == pytest.approx(0.8 * width_mm, abs=0.3)


def test_the_rise_of_a_blurred_edge_is_that_of_the_error_function() -> None:
    depth = 10.0 - distance_mm()
    sigma = 1.5
    smooth = ndimage.gaussian_filter1d  # a straight profile, blurred: erf, 10 to 90 % in 2.563 sd
    line = np.linspace(-12, 12, 4801)
    profile = smooth((line > 0).astype(float), sigma / (line[1] - line[0]))
    hu = 100 - 50 * np.interp(depth, line, profile) + 0.2 * noise(np.random.default_rng(8))
    found = rise_distance_mm(hu.astype(np.float32), -depth, EVERYWHERE, 8.0)
    assert found == pytest.approx(2.563 * sigma, rel=0.1)


def test_a_border_that_noise_hides_has_no_rise() -> None:
    hu = (100 + noise(np.random.default_rng(9))).astype(np.float32)
    assert rise_distance_mm(hu, distance_mm() - 10.0, EVERYWHERE, 8.0) is None
