"""Pieces of a mask are told apart, however thin or dense it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from scalemai import components
from scalemai.components import label_components

FULL = np.ones((3, 3, 3), int)


@given(arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, max_side=7)))
def test_pieces_are_those_of_scipy_in_any_memory_order(mask: np.ndarray) -> None:
    expected, n = ndimage.label(mask, FULL)
    for stored in (np.ascontiguousarray(mask), np.asfortranarray(mask)):
        labels = label_components(stored)
        assert labels.max() == n
        assert len({*zip(labels.ravel(), expected.ravel(), strict=True)}) == n + (not mask.all())
        firsts = [labels.ravel(order="F").tolist().index(one) for one in range(1, n + 1)]
        assert firsts == sorted(firsts)


@pytest.mark.parametrize("shape", [(5, 1, 1), (1, 1, 7), (3, 3, 3), (9, 9, 1)])
def test_every_other_voxel_is_a_piece_of_its_own(shape: tuple[int, int, int]) -> None:
    mask = np.zeros(shape, np.bool_)
    mask[::2, ::2, ::2] = True
    assert label_components(mask).max() == mask.sum()


def test_big_arrays_are_not_copied_but_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.random.default_rng(0).random((20, 21, 22)) < 0.1
    small = label_components(mask)
    monkeypatch.setattr(components, "_SMALL_VOXELS", 10)
    assert np.array_equal(label_components(mask), small)


def test_corners_join_with_26_neighbours_only() -> None:
    mask = np.zeros((4, 4, 4), np.bool_)
    mask[0, 0, 0] = mask[1, 1, 1] = True
    assert label_components(mask).max() == 1
    assert label_components(mask, connectivity=6).max() == 2
