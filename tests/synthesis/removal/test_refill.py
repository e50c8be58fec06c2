"""What takes the place of a lesion is the organ: mean, noise, texture, surface."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage, stats

from scalemai.errors import GeometryError, PlacementError
from scalemai.geometry import Grid
from scalemai.synthesis.painting.noise_model import measure_noise
from scalemai.synthesis.removal.border import measure_border, signed_distance_mm
from scalemai.synthesis.removal.continuation import continued_noise
from scalemai.synthesis.removal.lungs import lung_around
from scalemai.synthesis.removal.outline import expected_organ, overlooked
from scalemai.synthesis.removal.refill import refill
from scalemai.synthesis.removal.relaxation import harmonic

SPACING = (0.8, 0.8, 2.5)
SHAPE = (110, 110, 44)
GRID = Grid(SHAPE, np.diag([*SPACING, 1.0]))
POINTS = np.moveaxis(np.indices(SHAPE), 0, -1) * SPACING - (44.0, 44.0, 54.0)
Bool = NDArray[np.bool_]
NOTHING = np.zeros(SHAPE, np.bool_)


def ball(radius_mm: float, at: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Bool:
    return np.asarray((((POINTS - at) / radius_mm) ** 2).sum(axis=-1) <= 1.0)


def noise(sd: float = 10.0, seed: int = 0) -> NDArray[np.float32]:
    field = ndimage.gaussian_filter(
        np.random.default_rng(seed).standard_normal(SHAPE), (0.9, 0.9, 0.3)
    )
    return np.asarray(field * (sd / field.std()), np.float32)


def filled(hu: NDArray[np.float32], hole: Bool, organ: Bool, seed: int = 0) -> NDArray[np.float32]:
    return refill(hu, hole, organ, hole & ~organ, hole, GRID, np.random.default_rng(seed)).hu


def test_a_smooth_field_goes_on_through_a_hole() -> None:
    x, y, z = np.moveaxis(POINTS, -1, 0)
    field = (0.5 * x + 0.01 * x * x - 0.02 * y * y + 0.01 * z * z).astype(np.float32)  # harmonic
    hole = ball(15.0)
    found = harmonic(field, ~hole, hole, SPACING)
    assert np.abs(found - field)[hole].max() < 0.2
    assert (found[~hole] == field[~hole]).all()


def test_nothing_flows_into_a_hole_from_another_tissue() -> None:
    hole = ball(12.0)
    organ = POINTS[..., 0] <= 0.0
    values = np.where(organ, 100.0, -100.0).astype(np.float32)
    found = harmonic(values, organ & ~hole, hole & organ, SPACING)
    assert np.abs(found[hole & organ] - 100.0).max() < 0.5


def test_a_hole_without_surroundings_is_refused() -> None:
    hole = ball(5.0)
    with pytest.raises(GeometryError, match="nothing to fill"):
        harmonic(np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.bool_), hole, SPACING)


def test_noise_goes_on_without_a_seam_and_with_its_amplitude() -> None:
    there = noise(12.0)
    model = measure_noise(there, np.ones(SHAPE, np.bool_), GRID)
    hole = ball(14.0)
    band = ndimage.binary_dilation(hole, iterations=3) & ~hole
    ratios, seams = [], []
    for seed in range(3):
        made = continued_noise(model, there, band, np.random.default_rng(seed))
        assert (made[band] == there[band]).all()
        depth = signed_distance_mm(hole, GRID)
        whole = np.where(hole, made, there)
        for low, high in ((0.0, 1.0), (1.0, 3.0), (3.0, 14.0)):
            ratios.append(whole[(depth > low) & (depth <= high)].std() / 12.0)
        step = np.abs(np.diff(whole, axis=0))
        across = hole[1:] != hole[:-1]
        seams.append(step[across].mean() / step[~hole[1:] & ~hole[:-1]].mean())
    assert 0.9 < min(ratios) < max(ratios) < 1.1
    assert np.mean(seams) == pytest.approx(1.0, abs=0.06)


def test_a_refilled_liver_has_the_histogram_noise_and_spectrum_of_the_liver() -> None:
    organ = ball(42.0)
    truth = (np.where(organ, 110.0 + 0.3 * POINTS[..., 0], -100.0) + noise()).astype(np.float32)
    hole = ball(14.0, (8.0, 4.0, 0.0))
    hu = np.where(hole, truth - 45.0, truth)
    new = filled(hu, hole, organ)
    assert (new[~hole] == hu[~hole]).all()
    assert stats.ks_2samp(new[hole], truth[hole]).statistic < 0.06
    whole = np.where(hole, new, hu)
    made, real = (measure_noise(a, hole, GRID) for a in (whole, truth))
    assert made.sd_hu / real.sd_hu == pytest.approx(1.0, abs=0.1)
    m, n = (s // 2 for s in real.autocorrelation.shape)
    for lag in (1, 2, 3):
        there, here = real.autocorrelation[m + lag, n], made.autocorrelation[m + lag, n]
        assert here == pytest.approx(there, abs=0.12)
    residual = ndimage.gaussian_filter(new - truth, (2.0, 2.0, 0.6))[hole]
    assert abs(residual).max() < 15.0  # the gradient across the organ goes on


def test_cortex_and_medulla_are_put_at_their_depth() -> None:
    organ = ball(42.0)
    depth = 42.0 - np.linalg.norm(POINTS, axis=-1)
    truth = np.where(organ, np.where(depth < 8.0, 190.0, 120.0), -100.0) + noise(8.0)
    hole = ball(12.0, (32.0, 0.0, 0.0)) & organ
    hu = np.where(hole, 60.0 + noise(8.0, seed=1), truth).astype(np.float32)
    new = filled(hu, hole, organ)
    cortex, medulla = hole & (depth > 2.0) & (depth < 6.0), hole & (depth > 11.0)
    assert np.median(new[cortex]) == pytest.approx(190.0, abs=6.0)
    assert np.median(new[medulla]) == pytest.approx(120.0, abs=6.0)


def test_pyramids_are_put_in_as_many_as_the_organ_has_and_meet_those_that_are_cut() -> None:
    organ = ball(42.0)
    depth = 42.0 - np.linalg.norm(POINTS, axis=-1)
    patches = ndimage.gaussian_filter(
        np.random.default_rng(5).standard_normal(SHAPE), [5.0 / s for s in SPACING]
    )
    pyramid = (depth > 8.0) & (patches > 0.3 * patches.std())
    truth = np.where(organ, np.where(pyramid, 80.0, 185.0), -100.0)
    truth = (ndimage.gaussian_filter(truth, (0.6, 0.6, 0.0)) + noise(8.0)).astype(np.float32)
    hole = ball(12.0, (28.0, 0.0, 0.0)) & organ
    hu = np.where(hole, 60.0 + noise(8.0, seed=1), truth).astype(np.float32)
    new = filled(hu, hole, organ)
    around = organ & ~hole
    shallow, deep = (depth > 4.0) & (depth < 7.0), (depth > 11.0) & (depth < 25.0)
    assert np.median(new[hole & shallow]) == pytest.approx(185.0, abs=6.0)
    assert stats.ks_2samp(new[hole & deep], truth[around & deep]).statistic < 0.1
    whole = np.where(hole, new, hu)
    step = np.abs(np.diff(whole, axis=0))
    inside = organ[1:] & organ[:-1] & (depth[1:] > 2.0) & (depth[:-1] > 2.0)
    across = inside & (hole[1:] != hole[:-1])
    usual = step[inside & ~hole[1:] & ~hole[:-1]].mean()
    assert step[across].mean() / usual == pytest.approx(1.0, abs=0.3)


def test_a_bulge_becomes_the_fat_that_it_grew_into() -> None:
    organ = POINTS[..., 0] <= 0.0
    wall = POINTS[..., 0] >= 16.0  # muscle that the lesion touches
    truth = np.where(organ, 100.0, np.where(wall, 55.0, -100.0)) + noise()
    lesion = ball(16.0)
    hu = np.where(lesion, 40.0 + noise(seed=1), truth).astype(np.float32)
    expected = expected_organ(organ | lesion, lesion, GRID)
    new = filled(hu, lesion, expected)
    assert np.median(new[lesion & (POINTS[..., 0] > 3.0)]) == pytest.approx(-100.0, abs=8.0)
    assert np.median(new[lesion & (POINTS[..., 0] < -3.0)]) == pytest.approx(100.0, abs=8.0)


@pytest.mark.parametrize(
    ("organ", "at", "radius_mm", "tolerance"),
    [
        (ball(40.0), (10.0, 0.0, 0.0), 12.0, 0.0),  # within
        (ball(40.0), (30.0, 0.0, 0.0), 10.0, 0.02),  # comes to the surface, does not bulge
        (ball(40.0), (40.0, 0.0, 0.0), 12.0, 0.03),  # half of it bulges
        (POINTS[..., 0] <= 0.0, (0.0, 0.0, 0.0), 14.0, 0.02),
        (np.hypot(POINTS[..., 1], POINTS[..., 2]) <= 9.0, (0.0, 0.0, 0.0), 15.0, 0.1),  # a tube
        (ball(40.0), (0.0, 0.0, 0.0), 30.0, 0.0),  # large, and within
    ],
    ids=[
        "within",
        "at the surface",
        "bulging",
        "half out of a plane",
        "wider than a tube",
        "large",
    ],
)
def test_the_surface_runs_where_it_would_without_the_lesion(
    organ: Bool, at: tuple[float, float, float], radius_mm: float, tolerance: float
) -> None:
    lesion = ball(radius_mm, at)
    expected = expected_organ(organ | lesion, lesion, GRID)
    carried = (expected != organ) & ~lesion  # organ drawn out over a bulge
    assert np.count_nonzero(carried) <= 0.05 * np.count_nonzero(lesion)
    wrong = np.count_nonzero((expected != organ) & lesion) / np.count_nonzero(lesion)
    assert wrong <= tolerance


def test_a_fissure_beside_a_bulge_does_not_bend_the_surface() -> None:
    organ = (POINTS[..., 0] <= 0.0) & ~(np.abs(POINTS[..., 1] - 18.0) < 2.0)
    lesion = ball(14.0)
    expected = expected_organ(organ | lesion, lesion, GRID)
    wrong = np.count_nonzero((expected != organ) & lesion) / np.count_nonzero(lesion)
    assert wrong < 0.15


def test_an_organ_goes_on_through_a_lesion_that_took_its_whole_thickness() -> None:
    organ = np.abs(POINTS[..., 0]) <= 4.0
    lesion = ball(18.0)
    expected = expected_organ(organ | lesion, lesion, GRID)
    assert (expected & organ).sum() > 0.98 * organ.sum()


def test_organ_that_a_small_mask_leaves_out_is_found_and_other_tissue_is_not() -> None:
    organ, small = ball(30.0), ball(29.0)
    hu = np.where(organ, 180.0, -100.0) + noise(8.0)
    muscle = (POINTS[..., 1] > 0) & ~organ
    hu = np.where(muscle, 60.0 + noise(8.0, seed=1), hu).astype(np.float32)
    found = overlooked(hu, small, NOTHING, GRID)
    # Slices above and below the ball are not looked at.
    left_out = organ & ~small & ndimage.binary_dilation(small, np.ones((3, 3, 1)))
    assert (found & left_out).sum() > 0.97 * left_out.sum()
    assert (found & ~organ).sum() < 0.03 * left_out.sum()


def test_the_border_of_a_lesion_is_measured() -> None:
    organ = ball(42.0)
    lesion = ball(14.0)
    for sigma, low, high in ((0.8, 0.4, 1.4), (3.0, 2.0, 4.0)):
        share = ndimage.gaussian_filter(lesion.astype(float), sigma / np.array(SPACING))
        hu = (100.0 - 60.0 * share + noise(6.0)).astype(np.float32)
        border = measure_border(hu, lesion, organ & ~lesion, GRID)
        assert low < border.width_mm < high, sigma
        assert border.reach_mm > 1.2 * sigma
        assert border.contrast_hu == pytest.approx(-60.0, abs=12.0)


def test_an_invisible_lesion_has_a_border_of_a_voxel_or_two() -> None:
    lesion = ball(14.0)
    border = measure_border(100.0 + noise(), lesion, ball(42.0) & ~lesion, GRID)
    assert 0.8 <= border.reach_mm < 2.0


def test_too_little_organ_to_learn_from_is_refused() -> None:
    organ = ball(8.0)
    with pytest.raises(PlacementError, match="left around the lesion"):
        filled(noise() + 100, ball(7.9), organ)


def lung(seed: int = 0) -> NDArray[np.float32]:
    """Lung with vessels in a wall of muscle, air outside."""
    hu = np.full(SHAPE, -860.0)
    for k in range(-40, 41, 11):
        for m in range(-40, 41, 13):
            radius = 1.0 + (k * m % 3) * 0.5
            along = POINTS[..., 1] - m - 0.3 * POINTS[..., 2]
            hu[np.hypot(POINTS[..., 0] - k, along) < radius] = 20.0
    inside = np.linalg.norm(POINTS[..., :2], axis=-1) < 38.0
    hu[~inside] = 40.0
    hu = ndimage.gaussian_filter(hu, (0.8, 0.8, 0.3))
    return np.asarray(hu + noise(25.0, seed), np.float32)


def test_lung_is_filled_with_lung_and_its_vessels() -> None:
    truth = lung()
    organ = np.linalg.norm(POINTS[..., :2], axis=-1) < 38.0
    hole = ball(11.0, (10.0, 5.0, 0.0))
    hu = np.where(ball(8.5, (10.0, 5.0, 0.0)), 40.0, truth).astype(np.float32)
    new = refill(hu, hole, organ, NOTHING, hole, GRID, np.random.default_rng(0), lung=True).hu
    assert (new[~hole] == hu[~hole]).all()
    assert np.median(new[hole]) == pytest.approx(np.median(truth[hole]), abs=15.0)
    assert stats.ks_2samp(new[hole], truth[hole]).statistic < 0.1
    vessels = new[hole] > -600.0
    assert 0.2 < vessels.mean() / (truth[hole] > -600.0).mean() < 4.0
    parts, _ = ndimage.label((new > -600.0) & hole)
    largest = np.bincount(parts.ravel())[1:].max()
    assert largest > 15  # a piece of vessel, not specks


def test_a_hole_larger_than_any_piece_of_lung_is_filled_in_parts() -> None:
    organ = np.linalg.norm(POINTS[..., :2], axis=-1) < 38.0
    hole = ball(26.0)
    hu = np.where(ball(23.5), 40.0, lung()).astype(np.float32)
    new = refill(hu, hole, organ, NOTHING, hole, GRID, np.random.default_rng(0), lung=True).hu
    assert np.median(new[hole]) == pytest.approx(-860.0, abs=20.0)


def test_the_lung_around_a_nodule_is_found_by_its_attenuation() -> None:
    nodule = ball(11.0, (10.0, 5.0, 0.0))
    hu = np.where(nodule, 40.0, lung()).astype(np.float32)
    hu[:8] = -1000.0  # air outside the body
    truth = np.linalg.norm(POINTS[..., :2], axis=-1) < 37.0
    truth[:8] = False
    found = lung_around(hu, nodule, GRID)
    dice = 2 * np.count_nonzero(found & truth) / (found.sum() + truth.sum())
    assert dice > 0.95
    assert not found[:6].any()
