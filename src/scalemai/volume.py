"""Voxels that know where they are and how they were stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalemai.errors import GeometryError, IntensityError
from scalemai.geometry import Grid, Region

__all__ = ["Mask", "Volume"]


@dataclass(frozen=True, eq=False)
class Volume:
    """A CT volume: numbers as stored, their scaling to Hounsfield units, and their grid.

    The stored numbers are kept in the type of the file (usually int16), so that a volume costs
    what the file costs and untouched voxels are written back bit for bit. Ask :meth:`hu` for
    Hounsfield units of the region that you work on.

    Parameters
    ----------
    stored
        Array (i, j, k) in the file's own numeric type.
    grid
        Where the voxels are.
    slope, intercept
        ``HU = stored * slope + intercept``.
    path
        Where the volume was read from, for messages; None if it was made in memory.
    metadata
        Acquisition facts in plain types (``series_uid``, ``kvp``, ``phase``, ...).
    header
        The container's own header (a nibabel header), kept so that what is written carries
        the same codes; None means "make a standard one".

    Raises
    ------
    GeometryError
        If the array is not of the grid's shape.
    """

    stored: NDArray[Any]
    grid: Grid
    slope: float = 1.0
    intercept: float = 0.0
    path: Path | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    header: Any = None

    def __post_init__(self) -> None:
        if self.stored.shape != self.grid.shape:
            raise GeometryError(
                f"array of shape {self.stored.shape} on a grid of shape {self.grid.shape}",
                where=self.path,
            )

    @property
    def is_identity_scaled(self) -> bool:
        """Whether stored numbers are Hounsfield units as they stand."""
        return self.slope == 1.0 and self.intercept == 0.0

    def hu(self, region: Region | None = None) -> NDArray[np.float32]:
        """Hounsfield units, float32, C order, of a box (or of everything): always a copy."""
        part = self.stored if region is None else self.stored[region]
        values = np.array(part, dtype=np.float32, order="C")
        if not self.is_identity_scaled:
            values *= np.float32(self.slope)
            values += np.float32(self.intercept)
        return values

    def to_stored(self, hu: NDArray[np.floating[Any]]) -> NDArray[Any]:
        """Hounsfield units as stored numbers: rounded (never truncated) and clipped to the type.

        Raises
        ------
        IntensityError
            If a value is NaN and the stored type is an integer, which has no NaN.
        """
        values = np.asarray(hu, dtype=np.float64)
        if not self.is_identity_scaled:
            values = (values - self.intercept) / self.slope
        kind = self.stored.dtype
        if kind.kind in "iu":
            if np.isnan(values).any():
                raise IntensityError(f"NaN cannot be stored as {kind}", where=self.path)
            limits = np.iinfo(kind)
            values = np.clip(np.rint(values), limits.min, limits.max)
        return values.astype(kind)

    def with_stored(self, stored: NDArray[Any]) -> Volume:
        """The same volume with other numbers of the same shape."""
        return replace(self, stored=stored)


@dataclass(frozen=True, eq=False)
class Mask:
    """One structure or lesion as a boolean array on a grid.

    Parameters
    ----------
    array
        Boolean array (i, j, k).
    grid
        Where the voxels are.
    name
        Canonical structure name, for example ``"liver"``.
    path
        Where the mask was read from, for messages.
    """

    array: NDArray[np.bool_]
    grid: Grid
    name: str = ""
    path: Path | None = None

    def __post_init__(self) -> None:
        if self.array.shape != self.grid.shape:
            raise GeometryError(
                f"mask of shape {self.array.shape} on a grid of shape {self.grid.shape}",
                where=self.path,
            )

    def require_grid(self, grid: Grid) -> None:
        """Refuse to be used on another grid.

        Raises
        ------
        GeometryError
            If the mask's voxels do not lie on those of ``grid``.
        """
        if not self.grid.same_as(grid):
            raise GeometryError(
                f"{self.name or 'mask'} has {self.grid.describe()}, the CT {grid.describe()}",
                where=self.path,
                fix="give the mask that was drawn on this CT",
            )

    @property
    def volume_ml(self) -> float:
        """Volume of the structure in millilitres."""
        return float(np.count_nonzero(self.array)) * self.grid.voxel_volume_mm3 / 1000.0
