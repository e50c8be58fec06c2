"""Organ masks are closed by a ball in millimetres, and nothing is taken away from them."""

from __future__ import annotations

import edt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalemai.detector.organ_mask import closed_organ, moved_surface
from scalemai.errors import ConfigError

SPACING_MM = (1.5, 1.0, 2.5)


def ball(centre: tuple[float, ...], diameter_mm: float, shape=(40, 50, 26)) -> np.ndarray:
    off = [(n - c) * s for n, c, s in zip(np.indices(shape), centre, SPACING_MM, strict=True)]
    return np.asarray(sum(o**2 for o in off) <= (0.5 * diameter_mm) ** 2)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.9, 1.0, 2.3, 5.0]),
    st.tuples(*[st.sampled_from([0.7, 1.0, 1.5, 3.0])] * 3),
)
def test_a_surface_moves_as_the_distance_transform_says(seed, radius, spacing) -> None:
    mask = np.random.default_rng(seed).random((9, 12, 10)) < 0.1
    if mask.any():
        away = edt.edt(np.ascontiguousarray(~mask), anisotropy=spacing)
        assert np.array_equal(moved_surface(mask, radius, spacing), away <= radius * (1 + 1e-5))
    full = ~mask
    if mask.any() and radius > 0.0:
        away = edt.edt(np.ascontiguousarray(full), anisotropy=spacing)
        assert np.array_equal(moved_surface(full, -radius, spacing), away > radius * (1 + 1e-5))


def test_a_tumor_inside_and_a_bite_at_the_surface_are_closed() -> None:
    organ = ball((20, 25, 13), 44.0)
    inside = ball((20, 25, 13), 18.0)
    bite = np.zeros(organ.shape, np.bool_)
    bite[18:23, :12, 12:15] = True  # 7.5 mm wide
    seen = organ & ~inside & ~bite
    closed = closed_organ(seen, SPACING_MM)
    assert (closed & inside).sum() == inside.sum()
    assert (closed & bite & organ).sum() > 0.7 * (bite & organ).sum()
    assert not (seen & ~closed).any()
    assert (closed & ~organ).sum() < 0.02 * organ.sum()


def test_a_wide_gap_stays_open_and_a_far_crumb_stays_apart() -> None:
    mask = ball((10, 25, 13), 16.0) | ball((30, 25, 13), 16.0)  # 14 mm between them
    assert np.array_equal(closed_organ(mask, SPACING_MM), mask)
    assert closed_organ(mask, SPACING_MM, closing_mm=9.0).sum() > mask.sum()


def test_an_organ_at_the_face_of_the_array_and_an_empty_one_are_left_as_they_are() -> None:
    block = np.zeros((12, 12, 12), np.bool_)
    block[:6] = True
    assert np.array_equal(closed_organ(block, (1.0, 1.0, 1.0)), block)
    empty = np.zeros((4, 4, 4), np.bool_)
    assert not closed_organ(empty, (1.0, 1.0, 1.0)).any()
    with pytest.raises(ConfigError, match="is no radius"):
        closed_organ(block, (1.0, 1.0, 1.0), closing_mm=-1.0)
