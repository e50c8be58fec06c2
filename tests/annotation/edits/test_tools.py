"""Tools propose what a reader would draw, in mm."""

from __future__ import annotations

import numpy as np
import pytest

from scalemai.annotation.edits.tools import (
    fill_holes,
    grow_from,
    interpolate_slices,
    smooth,
    split,
)
from scalemai.errors import ConfigError

SPACING = (0.8, 0.8, 2.5)


def ball(shape: tuple[int, int, int], centre_mm: tuple[float, ...], radius_mm: float) -> np.ndarray:
    """A ball on an anisotropic grid."""
    axes = np.ogrid[tuple(slice(n) for n in shape)]
    parts = ((axis * step - c) ** 2 for axis, step, c in zip(axes, SPACING, centre_mm, strict=True))
    return np.asarray(sum(parts) <= radius_mm**2)


def dice(one: np.ndarray, two: np.ndarray) -> float:
    return float(2 * (one & two).sum() / (one.sum() + two.sum()))


@pytest.mark.parametrize("contrast_hu", [-60, 60])
@pytest.mark.parametrize("radius_mm", [5, 12])
def test_a_click_outlines_a_lesion_of_even_attenuation(contrast_hu: int, radius_mm: float) -> None:
    shape, centre = (64, 64, 24), (25.0, 25.0, 30.0)
    lesion = ball(shape, centre, radius_mm)
    rng = np.random.default_rng(3)
    hu = np.rint(100 + contrast_hu * lesion + rng.normal(0, 12, shape)).astype(np.int16)
    seed = tuple(round(c / s) for c, s in zip(centre, SPACING, strict=True))
    found = grow_from(hu, SPACING, seed, radius_mm=30)
    assert dice(found, lesion) > 0.85


def test_growth_does_not_run_along_a_thin_vessel() -> None:
    shape, centre = (64, 64, 24), (25.0, 25.0, 30.0)
    lesion = ball(shape, centre, 8)
    vessel = np.zeros(shape, bool)
    vessel[31:33, :, 12] = True
    hu = np.where(lesion | vessel, 160, 100).astype(np.int16)
    found = grow_from(hu, SPACING, (31, 31, 12), radius_mm=25)
    assert dice(found, lesion) > 0.9
    assert not found[31:33, 55:, 12].any()


def test_growth_stays_within_its_radius_and_where_it_may_grow() -> None:
    hu = np.full((40, 40, 16), 50, np.int16)
    allowed = np.zeros(hu.shape, bool)
    allowed[:20] = True
    found = grow_from(hu, SPACING, (15, 20, 8), radius_mm=6, allowed=allowed)
    assert found.any()
    assert not found[20:].any()
    where = (np.argwhere(found) - (15, 20, 8)) * SPACING
    assert np.linalg.norm(where, axis=1).max() <= 6


def test_a_seed_outside_or_no_radius_is_refused() -> None:
    hu = np.zeros((4, 4, 4), np.int16)
    with pytest.raises(ConfigError, match="outside"):
        grow_from(hu, SPACING, (4, 0, 0), radius_mm=5)
    with pytest.raises(ConfigError, match="above 0"):
        grow_from(hu, SPACING, (0, 0, 0), radius_mm=0)


def test_slices_between_drawn_ones_follow_the_shape() -> None:
    whole = ball((64, 64, 24), (25.0, 25.0, 30.0), 14)
    drawn = whole.copy()
    filled = np.nonzero(whole.any(axis=(0, 1)))[0]
    for k in filled:
        if (k - filled[0]) % 3 and k != filled[-1]:
            drawn[:, :, k] = False
    result = interpolate_slices(drawn, SPACING)
    kept = drawn.any(axis=(0, 1))
    assert np.array_equal(result[:, :, kept], drawn[:, :, kept])
    assert dice(result, whole) > 0.95


def test_slices_that_leave_nothing_out_are_said_to() -> None:
    with pytest.raises(ConfigError, match="nothing to fill"):
        interpolate_slices(ball((32, 32, 12), (12.0, 12.0, 15.0), 8), SPACING)


def test_two_lesions_that_touch_are_split_at_the_neck() -> None:
    one = ball((80, 48, 20), (18.0, 18.0, 25.0), 9)
    two = ball((80, 48, 20), (35.0, 18.0, 25.0), 9)
    pieces = split(one | two, SPACING)
    assert len(pieces) == 2
    assert np.array_equal(pieces[0] | pieces[1], one | two)
    assert not (pieces[0] & pieces[1]).any()
    assert max(dice(pieces[0], one), dice(pieces[0], two)) > 0.9


def test_one_ball_is_one_piece_and_separate_ones_are_told_apart() -> None:
    one = ball((80, 48, 20), (18.0, 18.0, 25.0), 9)
    assert len(split(one, SPACING)) == 1
    far = ball((80, 48, 20), (50.0, 18.0, 25.0), 5)
    pieces = split(one | far, SPACING)
    assert [int(p.sum()) for p in pieces] == [int(one.sum()), int(far.sum())]


def test_holes_are_filled_and_borders_smoothed_without_a_change_of_size() -> None:
    whole = ball((64, 64, 24), (25.0, 25.0, 30.0), 12)
    hollow = whole & ~ball((64, 64, 24), (25.0, 25.0, 30.0), 6)
    assert np.array_equal(fill_holes(hollow), whole)
    rough = whole ^ (np.random.default_rng(0).random(whole.shape) < 0.02)
    assert dice(smooth(rough, SPACING), whole) > dice(rough, whole)
    assert smooth(whole, SPACING).sum() == pytest.approx(whole.sum(), rel=0.08)
