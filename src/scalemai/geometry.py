"""Where voxels are: a grid in RAS+ millimetres, without the voxels."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalemai.errors import GeometryError

__all__ = ["CORNER_TOLERANCE_MM", "Grid", "Region"]

Region = tuple[slice, slice, slice]
"""A box of voxels: one ``slice`` with explicit start and stop per array axis."""

CORNER_TOLERANCE_MM = 0.05
"""Two grids are the same when no corner voxel moves by more than this.

float32 affines of a 512-voxel axis differ from float64 ones by up to about 0.03 mm, and
0.05 mm is a tenth of the finest clinical CT voxel. Comparing corner points rather than matrix
entries keeps the tolerance in millimetres whatever the origin."""


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular lattice of voxel centres in RAS+ world space.

    Parameters
    ----------
    shape
        Number of voxels along the three array axes ``(i, j, k)``.
    affine
        Matrix (4, 4) that maps voxel indices, which name voxel *centres*, to RAS+ mm: x grows to
        the patient's right, y to anterior, z to superior.

    Raises
    ------
    GeometryError
        If the shape is not three positive numbers, or the affine is not finite or is singular
        (zero spacing along an axis).
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise GeometryError(f"a grid needs three axes of at least one voxel, got {self.shape}")
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise GeometryError("the affine is not a finite 4 x 4 matrix")
        if (affine[3] != (0, 0, 0, 1)).any():
            raise GeometryError(f"the last row of the affine is {affine[3].tolist()}, not 0 0 0 1")
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        for axis, step in enumerate(spacing):
            if step <= 1e-6:
                raise GeometryError(f"spacing is {step:g} mm along array axis {axis}")
        if abs(np.linalg.det(affine[:3, :3] / spacing)) < 1e-3:
            raise GeometryError("two axes of the affine are parallel, so the volume is flat")
        affine.setflags(write=False)
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        object.__setattr__(self, "affine", affine)

    @cached_property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance in mm between neighbouring voxel centres along each array axis."""
        i, j, k = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(i), float(j), float(k)

    @cached_property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel in cubic mm; right for sheared grids too."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @cached_property
    def inverse(self) -> NDArray[np.float64]:
        """Matrix (4, 4) from RAS+ mm to voxel indices."""
        return np.linalg.inv(self.affine).astype(np.float64)

    @cached_property
    def directions(self) -> NDArray[np.float64]:
        """Unit vectors (3, 3) of the array axes in RAS+, one per column."""
        unit: NDArray[np.float64] = self.affine[:3, :3] / np.asarray(self.spacing_mm)
        return unit

    @cached_property
    def axial_axis(self) -> Literal[0, 1, 2]:
        """The array axis that runs nearest to head-foot: its slices are the axial images."""
        best = max(
            itertools.permutations(range(3)),
            key=lambda order: sum(abs(self.directions[w, a]) for a, w in enumerate(order)),
        )
        axis = best.index(2)
        return 0 if axis == 0 else 1 if axis == 1 else 2

    @property
    def in_plane_axes(self) -> tuple[int, int]:
        """The two array axes that span an axial image, in ascending order."""
        first, second = (axis for axis in range(3) if axis != self.axial_axis)
        return first, second

    @cached_property
    def orientation(self) -> str:
        """Nearest axis codes, for example ``"RAS"`` or ``"LPS"``: where each array axis points."""
        order = max(
            itertools.permutations(range(3)),
            key=lambda o: sum(abs(self.directions[w, a]) for a, w in enumerate(o)),
        )
        codes = ("LR", "PA", "IS")
        return "".join(codes[w][int(self.directions[w, a] > 0)] for a, w in enumerate(order))

    @cached_property
    def tilt_deg(self) -> float:
        """Largest angle in degrees between an array axis and its nearest world axis."""
        return float(
            np.degrees(np.arccos(np.clip(np.abs(self.directions).max(axis=0), 0, 1))).max()
        )

    @cached_property
    def shear_deg(self) -> float:
        """Deviation from right angles between array axes, in degrees (gantry tilt)."""
        gram = np.abs(self.directions.T @ self.directions - np.eye(3)).max()
        return float(np.degrees(np.arcsin(np.clip(gram, 0, 1))))

    def to_world(self, ijk: ArrayLike) -> NDArray[np.float64]:
        """RAS+ mm, shape (..., 3), of voxel indices, shape (..., 3); fractions allowed."""
        points = np.asarray(ijk, dtype=np.float64)
        world: NDArray[np.float64] = points @ self.affine[:3, :3].T + self.affine[:3, 3]
        return world

    def to_voxel(self, xyz_mm: ArrayLike) -> NDArray[np.float64]:
        """Fractional voxel indices, shape (..., 3), of RAS+ mm points, shape (..., 3)."""
        points = np.asarray(xyz_mm, dtype=np.float64)
        index: NDArray[np.float64] = points @ self.inverse[:3, :3].T + self.inverse[:3, 3]
        return index

    @cached_property
    def corners_mm(self) -> NDArray[np.float64]:
        """RAS+ mm, shape (8, 3), of the eight corner voxel centres."""
        ends = [(0, n - 1) for n in self.shape]
        return self.to_world(list(itertools.product(*ends)))

    def difference_mm(self, other: Grid) -> float:
        """Largest displacement of a corner voxel in mm; inf if the shapes differ."""
        if self.shape != other.shape:
            return float("inf")
        return float(np.linalg.norm(self.corners_mm - other.corners_mm, axis=1).max())

    def same_as(self, other: Grid, *, tolerance_mm: float = CORNER_TOLERANCE_MM) -> bool:
        """Whether voxels of both grids lie on top of each other within ``tolerance_mm``."""
        return self.difference_mm(other) <= tolerance_mm

    def crop(self, region: Region) -> Grid:
        """The grid of a box; ``region`` holds slices with explicit start and stop."""
        start = [int(s.start) for s in region]
        affine = self.affine.copy()
        affine[:3, 3] = self.to_world(start)
        shape = tuple(int(s.stop) - int(s.start) for s in region)
        return Grid((shape[0], shape[1], shape[2]), affine)

    def clip(self, low: ArrayLike, high: ArrayLike) -> Region | None:
        """The box between two index corners, inclusive, cut to the grid; None if empty."""
        start = np.maximum(np.floor(np.asarray(low, float)).astype(int), 0)
        stop = np.minimum(np.ceil(np.asarray(high, float)).astype(int) + 1, self.shape)
        if (stop <= start).any():
            return None
        a, b, c = (slice(int(lo), int(hi)) for lo, hi in zip(start, stop, strict=True))
        return a, b, c

    def describe(self) -> str:
        """One line for messages: shape, spacing and orientation."""
        size = " x ".join(str(n) for n in self.shape)
        step = " x ".join(f"{s:.3g}" for s in self.spacing_mm)
        return f"{size} voxels of {step} mm, {self.orientation}"
