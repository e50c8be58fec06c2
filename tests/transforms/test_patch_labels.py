"""Where label values lie in a patch, against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scalemai.transforms.patch_labels import spans_of

# Rows shorter and longer than what is compared at once, and no multiple of it.
ROWS = st.integers(1, 70)


@settings(deadline=None)  # kernels are compiled on first use
@given(ROWS, st.integers(0, 2**32 - 1), st.sampled_from([np.uint8, np.int16, np.int64, np.float32]))
def test_counts_and_boxes_are_those_of_numpy(row: int, seed: int, kind: type) -> None:
    rng = np.random.default_rng(seed)
    runs = rng.integers(0 if kind is np.uint8 else -1, 4, (3, 4, row))
    longer = np.repeat(runs, int(rng.integers(1, 30)), axis=2)
    labels: NDArray[Any] = longer[:, :, :row].astype(kind)
    spans = spans_of(labels)
    for value in range(1, 4):
        at = np.argwhere(labels == value)
        assert spans.voxels((value,)) == len(at)
        region = spans.region((value,))
        if not len(at):
            assert region is None
            continue
        assert region is not None
        np.testing.assert_array_equal([s.start for s in region], at.min(axis=0))
        np.testing.assert_array_equal([s.stop for s in region], at.max(axis=0) + 1)


@pytest.mark.parametrize("place", [0, 15, 16, 17, 39])
def test_a_fraction_is_found_wherever_it_stands_in_a_row(place: int) -> None:
    labels = np.ones((2, 2, 40), np.float32)
    labels[1, 1, place] = 1.5
    with pytest.raises(ValueError, match="holds fractions"):
        spans_of(labels)
