"""Crops and slices of a stored case, by memory map: only what is shown is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scalemai.annotation.edits.runs import Box
from scalemai.annotation.store.layout import CT_FILE, STRUCTURES_FILE, StoredCase
from scalemai.errors import ConfigError, UnreadableFileError

__all__ = ["PLANES", "Plane", "Region", "box_around", "open_ct", "read_region", "read_slice"]

Plane = Literal["axial", "coronal", "sagittal"]

PLANES: dict[Plane, int] = {"sagittal": 0, "coronal": 1, "axial": 2}
"""Which stored axis stands at right angles to a plane."""


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A crop of a stored case.

    Parameters
    ----------
    box
        Where it lies in the stored grid.
    ct
        HU, int16, Fortran order, of the box's size.
    structures
        Label map of the organs, uint8, likewise.
    """

    box: Box
    ct: NDArray[np.int16]
    structures: NDArray[np.uint8]


def box_around(stored: StoredCase, centre: Sequence[int], size_mm: Sequence[float]) -> Box:
    """The box of a size in mm around a voxel, moved into the scan and cut where it is larger.

    Parameters
    ----------
    stored
        The case.
    centre
        Indices in the stored grid.
    size_mm
        Extent along each stored axis.

    Raises
    ------
    ConfigError
        If the centre lies outside, or a size is not positive.
    """
    if any(not 0 <= int(c) < n for c, n in zip(centre, stored.shape, strict=True)):
        raise ConfigError(f"{tuple(centre)} lies outside the scan", where="centre")
    if any(not size > 0 for size in size_mm):
        raise ConfigError("is not above 0 mm", where="size")
    low, high = [], []
    for axis in range(3):
        wanted = max(1, round(size_mm[axis] / stored.grid.spacing_mm[axis]))
        size = min(wanted, stored.shape[axis])
        first = min(max(int(centre[axis]) - size // 2, 0), stored.shape[axis] - size)
        low.append(first)
        high.append(first + size)
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])


def open_ct(folder: Path, stored: StoredCase) -> NDArray[np.int16]:
    """The whole CT as a read-only memory map; HU.

    Raises
    ------
    UnreadableFileError
        If the file is absent or not of the right size.
    """
    return _mapped(folder / CT_FILE, "<i2", stored)  # type: ignore[return-value]


def read_region(folder: Path, stored: StoredCase, box: Box) -> Region:
    """A crop.

    Raises
    ------
    UnreadableFileError
        If a file of the store is absent or damaged.
    """
    place = tuple(slice(low, high) for low, high in zip(*box, strict=True))
    ct = open_ct(folder, stored)[place]
    structures = _mapped(folder / STRUCTURES_FILE, "u1", stored)[place]
    return Region(box, np.array(ct, order="F"), np.array(structures, order="F"))


def read_slice(folder: Path, stored: StoredCase, plane: Plane, index: int) -> NDArray[np.int16]:
    """One image as it is looked at: rows from top to bottom, columns from left to right; HU.

    The patient's right is on the left of axial and coronal images, his front on the left of
    sagittal ones; his head is up. Pixels are not square unless the spacing is.

    Raises
    ------
    ConfigError
        If there is no such slice.
    UnreadableFileError
        If the store is damaged.
    """
    axis = PLANES[plane]
    if not 0 <= index < stored.shape[axis]:
        what = f"there is no slice {index}"
        raise ConfigError(what, where=plane, fix=f"give 0 to {stored.shape[axis] - 1}")
    place = tuple(index if a == axis else slice(None) for a in range(3))
    image = open_ct(folder, stored)[place].T
    return np.ascontiguousarray(image if plane == "axial" else image[::-1])


def _mapped(path: Path, kind: str, stored: StoredCase) -> NDArray[np.generic]:
    try:
        return np.memmap(path, kind, "r", shape=stored.shape, order="F")
    except (OSError, ValueError) as error:
        fix = "make the review again"
        raise UnreadableFileError("the working store is damaged", where=path, fix=fix) from error
