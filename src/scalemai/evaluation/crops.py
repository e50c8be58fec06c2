"""Masks of a whole case at once in little memory: each is kept as the box around its voxels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalemai.case import Case
from scalemai.geometry import Grid, Region
from scalemai.measure import bounding_box

__all__ = ["Crop", "crop", "empty", "read_crops"]


@dataclass(frozen=True, eq=False, slots=True)
class Crop:
    """A mask as the box around its voxels.

    Parameters
    ----------
    grid
        The grid of the whole mask.
    region
        The box; None if the mask is empty.
    array
        Boolean array of the shape of ``region``, Fortran order; of no voxels if it is empty.
    """

    grid: Grid
    region: Region | None
    array: NDArray[np.bool_]

    @property
    def is_empty(self) -> bool:
        """Whether no voxel is set."""
        return self.region is None

    def full(self) -> NDArray[np.bool_]:
        """The whole mask, Fortran order; a new array."""
        whole = np.zeros(self.grid.shape, np.bool_, order="F")
        if self.region is not None:
            whole[self.region] = self.array
        return whole

    def __and__(self, other: Crop) -> Crop:
        """The voxels of both."""
        return crop(self.full() & other.full(), self.grid)


def crop(mask: NDArray[np.bool_], grid: Grid) -> Crop:
    """Cut a mask to its box; the array given is not kept."""
    box = bounding_box(mask)
    if box is None:
        return empty(grid)
    return Crop(grid, box, np.array(mask[box], np.bool_, order="F"))


def empty(grid: Grid) -> Crop:
    """A mask without voxels."""
    return Crop(grid, None, np.zeros((0, 0, 0), np.bool_))


def read_crops(case: Case, names: Iterable[str], grid: Grid) -> dict[str, Crop]:
    """Read masks onto a grid, each file once, at most one of them whole at a time.

    Parameters
    ----------
    case
        Whose masks.
    names
        Structures; those that the case does not have are left out, empty ones are not.
    grid
        Where they are wanted.

    Raises
    ------
    GeometryError, IntensityError, UnreadableFileError
        As of :meth:`scalemai.case.Case.each_mask`.
    """
    return {
        mask.name: crop(mask.array, grid)
        for mask in case.each_mask(dict.fromkeys(name for name in names if case.has(name)), on=grid)
    }
