"""Radiomic features on the digital phantom of the IBSI, and on bodies with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from scalemai.geometry import Grid
from scalemai.synthesis.audit.radiomics import first_order, radiomics, shape_of, texture_of

from .patches_at_hand import SHAPE, distance_mm, grid_at_hand, noise, sphere

# The digital phantom of the Image Biomarker Standardisation Initiative (A. Zwanenburg et al.,
# github.com/theibsi/data_sets, CC BY 4.0): four slices of five rows; 0 is outside the region.
LEVELS = np.array(
    (
        ((4, 4, 1, 1), (4, 4, 1, 1), (6, 6, 6, 6), (4, 1, 1, 1), (1, 1, 1, 1)),
        ((4, 0, 1, 1), (1, 1, 1, 1), (6, 3, 0, 1), (4, 1, 1, 1), (1, 1, 1, 1)),
        ((1, 1, 1, 1), (4, 1, 1, 1), (6, 6, 1, 1), (1, 1, 1, 1), (1, 1, 1, 1)),
        ((1, 1, 1, 1), (4, 4, 4, 4), (4, 4, 4, 4), (1, 1, 0, 0), (1, 1, 0, 0)),
    )
)
INSIDE = LEVELS > 0
GRID = Grid(LEVELS.shape, np.diag([2.0, 2.0, 2.0, 1.0]))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mean", 2.15),
        ("variance", 3.05),
        ("skewness", 1.08),
        ("kurtosis", -0.355),
        ("median", 1.0),
        ("p10", 1.0),
        ("p90", 4.0),
        ("interquartile_range", 3.0),
    ],
)
def test_intensities_agree_with_the_consensus(name: str, value: float) -> None:
    found = first_order(LEVELS[INSIDE].astype(float))[name]
    assert found == pytest.approx(value, rel=5e-3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("joint_entropy", 2.57),
        ("contrast", 5.12),
        ("dissimilarity", 1.38),
        ("inverse_difference", 0.688),
        ("correlation", 0.183),
    ],
)
def test_texture_merged_over_directions_agrees_with_the_consensus(name: str, value: float) -> None:
    assert texture_of(LEVELS, INSIDE)[name] == pytest.approx(value, rel=5e-3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("major_axis_mm", 11.4),
        ("minor_axis_mm", 9.31),
        ("least_axis_mm", 8.54),
        ("elongation", 0.816),
        ("flatness", 0.749),
    ],
)
def test_axes_agree_with_the_consensus(name: str, value: float) -> None:
    assert shape_of(INSIDE, GRID)[name] == pytest.approx(value, rel=5e-3)


def test_the_volume_counts_voxels() -> None:
    assert np.exp(shape_of(INSIDE, GRID)["log_volume_mm3"]) == pytest.approx(592.0)


def test_the_same_lesion_on_another_grid_has_the_same_features() -> None:
    def scanned(step: tuple[float, float, float]) -> dict[str, float]:
        shape = tuple(int(60 / s) for s in step)
        grid = Grid(shape, np.diag([*step, 1.0]))
        world = grid.to_world(np.moveaxis(np.indices(shape), 0, -1)) - 30.0
        r = np.linalg.norm(world / (14, 10, 9), axis=-1)
        hu = 100 - 40 * np.clip((1 - r) * 5 + 0.5, 0, 1) + 60 * np.sin(world[..., 0] / 4)
        return radiomics(hu.astype(np.float32), r <= 1, (r > 1.3) & (r < 1.8), grid)

    fine, coarse = scanned((0.75, 0.75, 1.0)), scanned((1.0, 1.0, 2.5))
    for name in ("shape_log_volume_mm3", "shape_major_axis_mm", "hu_mean", "hu_variance"):
        assert coarse[name] == pytest.approx(fine[name], rel=0.06), name
    for name in ("texture_joint_entropy", "texture_inverse_difference"):
        assert coarse[name] == pytest.approx(fine[name], rel=0.15), name


def test_intensities_are_told_relative_to_the_organ() -> None:
    hu = (110 - 35.0 * sphere(9.0) + noise(np.random.default_rng(0))).astype(np.float32)
    around = (distance_mm() > 12) & (distance_mm() < 18)
    here = radiomics(hu, sphere(9.0), around, grid_at_hand())
    there = radiomics(hu + 40, sphere(9.0), around, grid_at_hand())
    assert here["hu_mean"] == pytest.approx(-35.0, abs=1.5)
    assert there == pytest.approx(here, abs=1e-3)


def test_a_lesion_of_few_voxels_has_a_size_and_no_texture() -> None:
    few = np.zeros(SHAPE, bool)
    few[30:32, 30, 8] = True
    found = radiomics(np.zeros(SHAPE, np.float32), few, ~few, grid_at_hand())
    assert np.exp(found["shape_log_volume_mm3"]) == pytest.approx(2 * 0.8 * 0.8 * 2.5)
    assert np.isnan(found["texture_contrast"])
    assert np.isnan(found["shape_elongation"])
