"""Items: crops around lesions as the page gets them, of real and of synthetic ones alike.

An item is one file that is sent as it is: a header of fixed length, HU as int16, and zeros up to
the length that all items of a study have. HU of both kinds are read in one way, rounded to whole
numbers and cut to one range; nothing is resampled. Both items of a pair have the same header: the
number of voxels, and the voxel size that they are drawn with, are those of the pair.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scalemai.annotation.store.layout import StoredCase
from scalemai.errors import GeometryError, IntensityError
from scalemai.volume import Volume

__all__ = ["HEADER_BYTES", "HU_RANGE", "crop_around", "item_bytes", "size_of_item"]

HEADER_BYTES = 384
"""Of every item: 8 that say how long the rest is, and JSON filled up with spaces."""

HU_RANGE = (-1024, 3071)
"""HU beyond these become these: what lies outside a scanner's field of view has a number that
differs from one maker, and one writer of files, to another. 12 bits from air, as CT has them."""


def crop_around(volume: Volume, centre: Sequence[int], size: Sequence[int]) -> NDArray[np.int16]:
    """HU around a voxel, rounded to whole numbers, within :data:`HU_RANGE`; Fortran order.

    Parameters
    ----------
    volume
        The CT.
    centre
        Voxel in the stored order of axes (:class:`~scalemai.annotation.store.layout.StoredCase`).
    size
        Voxels along each of these axes, odd.

    Raises
    ------
    GeometryError
        If the crop reaches beyond the scan: filling up would show.
    IntensityError
        If there are voxels without a number.
    """
    stored = StoredCase.of_grid(volume.grid)
    low = [c - n // 2 for c, n in zip(centre, size, strict=True)]
    high = [start + n for start, n in zip(low, size, strict=True)]
    if min(low) < 0 or any(b > n for b, n in zip(high, stored.shape, strict=True)):
        raise GeometryError("the crop reaches beyond the scan", where=volume.path)
    place = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    hu = stored.from_native(volume.stored)[place].astype(np.float64)
    hu *= volume.slope
    hu += volume.intercept
    if np.isnan(hu).any():
        raise IntensityError("has voxels without a number", where=volume.path)
    return np.asarray(np.clip(np.rint(hu), *HU_RANGE), dtype="<i2", order="F")


def size_of_item(size: Sequence[int]) -> int:
    """Bytes of an item of this many voxels along each axis, without what fills it up."""
    return HEADER_BYTES + 2 * int(np.prod(size, dtype=np.int64))


def item_bytes(hu: NDArray[np.int16], spacing_mm: Sequence[float], length: int) -> bytes:
    """An item: a crop of a review (``pages/assets/js/region.js``) with CT alone.

    Parameters
    ----------
    hu
        From :func:`crop_around`.
    spacing_mm
        Voxel size that it is drawn with.
    length
        Bytes of every item of the study.

    Raises
    ------
    ValueError
        If it is longer than that.
    """
    header = {
        "low": [0, 0, 0],
        "dims": list(hu.shape),
        "spacing_mm": [float(step) for step in spacing_mm],
        "shape": list(hu.shape),
        "revision": 0,
        "structures": [],
        "layers": [{"name": "ct", "type": "int16", "bytes": hu.nbytes}],
    }
    text = json.dumps(header).encode()
    room = HEADER_BYTES - 8
    content = struct.pack("<II", room, 0) + text.ljust(room) + hu.tobytes(order="F")
    if len(text) > room or len(content) > length:
        raise ValueError(f"{len(content)} bytes do not fit into {length}")
    return content.ljust(length, b"\0")
