"""Patches lead from one mask to another, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from scalemai.annotation.edits.patches import Patch
from scalemai.annotation.edits.runs import Runs
from scalemai.errors import ConfigError

SHAPE = (4, 3, 3)
masks = arrays(np.bool_, SHAPE).map(lambda mask: Runs.of_mask(mask, SHAPE))


@given(masks, masks)
def test_a_patch_leads_from_one_mask_to_the_other_and_back(one: Runs, two: Runs) -> None:
    patch = Patch.between(one, two)
    assert patch.apply(one) == two
    assert patch.inverse.apply(two) == one
    assert patch.apply(two) == two
    assert patch.is_empty == (one == two)


@given(masks, masks)
def test_a_patch_comes_back_from_bytes_and_from_json(one: Runs, two: Runs) -> None:
    patch = Patch.between(one, two)
    again = Patch.unpack(patch.pack())
    assert again == patch
    assert again.sha256 == patch.sha256
    assert Patch.from_plain(patch.to_plain(), SHAPE) == patch


@pytest.mark.parametrize(
    "plain", [{"set": [0, 99]}, {"set": [0, 2], "clear": [1, 1]}, {"set": "0,1"}, {"paint": []}]
)
def test_what_is_no_patch_is_refused(plain: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Patch.from_plain(plain, SHAPE)


@pytest.mark.parametrize("content", [b"", b"SMP1", b"SMP2" + bytes(8), b"SMP1" + b"\xff" * 8])
def test_bytes_that_are_no_patch_are_refused(content: bytes) -> None:
    with pytest.raises(ConfigError):
        Patch.unpack(content)
