"""Boxes round a place: one to put lesions into, and the patch that is cut from it.

::

    whole case  >  context: patch and a rim, so that lesions near the border of the patch grow
                   as if there were none  >  patch, with its lesion anywhere in it
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from scalemai.geometry import Region

__all__ = ["context_round", "cut", "draw_start"]

Number = TypeVar("Number", bound=np.generic)


def context_round(
    centre: Sequence[int], patch: Sequence[int], rim: int, shape: Sequence[int]
) -> Region:
    """The box of a patch and a rim round a voxel, within an array."""
    i, j, k = (
        slice(max(c - p // 2 - rim, 0), min(c + (p + 1) // 2 + rim, n))
        for c, p, n in zip(centre, patch, shape, strict=True)
    )
    return i, j, k


def draw_start(
    focus: Sequence[tuple[int, int]],
    patch: Sequence[int],
    shape: Sequence[int],
    rng: np.random.Generator,
) -> tuple[int, int, int]:
    """The first voxel of a patch that shows a focus, at random within the array.

    Parameters
    ----------
    focus
        First and last + 1 index along each axis. Of one that is larger than the patch, the
        middle is shown.
    patch
        Voxels of the patch.
    shape
        Of the array. Where it is smaller than the patch, the patch reaches beyond it: then the
        start may be negative.
    rng
        Stream of the patch.
    """
    starts = []
    for (first, end), size, length in zip(focus, patch, shape, strict=True):
        if end - first > size:
            first, end = (first + end) // 2, (first + end) // 2 + 1
        low, high = min(0, length - size), max(0, length - size)
        low, high = max(low, min(end - size, high)), min(high, max(first, low))
        starts.append(int(rng.integers(low, high + 1)))
    return starts[0], starts[1], starts[2]


def cut(
    array: NDArray[Number],
    start: Sequence[int],
    size: Sequence[int],
    beyond: Number | float | bool | Literal["edge"],
) -> NDArray[Number]:
    """A copy of a box that may reach beyond the array.

    Parameters
    ----------
    array
        Array (x, y, z).
    start, size
        First voxel, which may be negative, and voxels of the box.
    beyond
        Value beyond the array; or ``"edge"``, which continues its faces.
    """
    inner, pads = [], []
    for first, count, length in zip(start, size, array.shape, strict=True):
        low, high = max(first, 0), min(first + count, length)
        inner.append(slice(low, high))
        pads.append((low - first, first + count - high))
    part = array[tuple(inner)]
    if not any(before or after for before, after in pads):
        return part.copy()
    if beyond == "edge":
        return np.pad(part, pads, mode="edge")
    how: dict[str, Any] = {"mode": "constant", "constant_values": beyond}
    padded: NDArray[Number] = np.pad(part, pads, **how)
    return padded
