"""Runs of voxels stand for masks exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scalemai.annotation.edits.runs import Runs
from scalemai.errors import ConfigError

SHAPE = (5, 4, 3)
masks = arrays(np.bool_, SHAPE)


@given(masks)
def test_a_mask_comes_back_from_its_runs(mask: np.ndarray) -> None:
    runs = Runs.of_mask(mask, SHAPE)
    assert np.array_equal(runs.mask(SHAPE), mask)
    assert runs.voxels == mask.sum()
    assert Runs.unpack(runs.pack()) == runs
    assert Runs.of_pairs(runs.pairs(), SHAPE) == runs
    flat = mask.ravel(order="F")
    assert np.array_equal(runs.numbers(), np.nonzero(flat)[0])


@given(masks, masks)
def test_runs_combine_as_masks_do(one: np.ndarray, two: np.ndarray) -> None:
    a, b = Runs.of_mask(one, SHAPE), Runs.of_mask(two, SHAPE)
    assert (a | b) == Runs.of_mask(one | two, SHAPE)
    assert (a & b) == Runs.of_mask(one & two, SHAPE)
    assert (a - b) == Runs.of_mask(one & ~two, SHAPE)
    total = one.sum() + two.sum()
    assert a.dice(b) == pytest.approx(2 * (one & two).sum() / total if total else 1.0)


@given(masks)
def test_the_box_is_the_smallest(mask: np.ndarray) -> None:
    box = Runs.of_mask(mask, SHAPE).box(SHAPE)
    if not mask.any():
        assert box is None
        return
    where = np.argwhere(mask)
    assert box == (tuple(where.min(axis=0)), tuple(where.max(axis=0) + 1))
    (low, high) = box
    inside = Runs.of_mask(mask, SHAPE).mask(SHAPE, box)
    assert np.array_equal(inside, mask[tuple(map(slice, low, high))])


@given(masks)
def test_a_crop_lies_where_it_was_cut(mask: np.ndarray) -> None:
    crop = mask[1:4, 1:3, 1:]
    whole = np.zeros(SHAPE, bool)
    whole[1:4, 1:3, 1:] = crop
    assert Runs.of_mask(crop, SHAPE, (1, 1, 1)) == Runs.of_mask(whole, SHAPE)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), max_size=8))
def test_pairs_may_overlap_and_come_in_any_order(pairs: list[tuple[int, int]]) -> None:
    flat = np.zeros(60, bool)
    for start, length in pairs:
        flat[start : start + length] = True
    runs = Runs.of_pairs([n for pair in pairs for n in pair], SHAPE)
    assert np.array_equal(runs.mask(SHAPE).ravel(order="F"), flat)


@pytest.mark.parametrize("pairs", [[0], [-1, 2], [59, 2], [0, 61], [0, -1], [0.5, 1], [True, 1]])
def test_pairs_that_are_no_runs_are_refused(pairs: list[int]) -> None:
    with pytest.raises(ConfigError, match="runs"):
        Runs.of_pairs(pairs, SHAPE)


@pytest.mark.parametrize("content", [b"1", b"\xff" * 16, bytes(16)])
def test_bytes_that_are_no_runs_are_refused(content: bytes) -> None:
    with pytest.raises(ConfigError, match="runs"):
        Runs.unpack(content)
