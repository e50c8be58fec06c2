"""A lesion on the voxels of a grid: how much of each voxel it covers, and with what HU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from scalemai.cases.phantom.lesion_shapes import SizedShape
from scalemai.components import label_components
from scalemai.geometry import Grid
from scalemai.measure import longest_axial_diameter_mm

__all__ = ["Cover", "Stamp"]

F32 = NDArray[np.float32]
Bool = NDArray[np.bool_]

_CHUNK = 1 << 20  # points that are worked on at a time


@dataclass(frozen=True, eq=False)
class Cover:
    """A lesion of one size on the voxels of a stamp.

    Parameters
    ----------
    threshold
        Level of its surface.
    share
        Part of each voxel that is covered, 0 to 1.
    mask
        Voxels that are covered by half or more: one connected piece.
    diameter_mm
        Longest axial diameter of the mask.
    """

    threshold: float
    share: F32
    mask: Bool
    diameter_mm: float


class Stamp:
    """A shape sampled finely on a box of voxels round its centre.

    Voxels are divided into cells of at most 1 mm, so that the edge of a lesion has its partial
    volume in thick slices too. The field of levels is computed once; growing or shrinking the
    lesion, or cutting it where tissue must not be entered, is then cheap.

    Parameters
    ----------
    shape
        The outline.
    grid
        Where it lands; only the spacing and directions matter.
    fraction
        Position of the centre relative to a voxel centre, in voxels, each -0.5 to 0.5.
    diameter_mm
        Nominal longest axial diameter.
    margin_mm
        Width of the border; 0 is sharp.
    """

    def __init__(
        self,
        shape: SizedShape,
        grid: Grid,
        fraction: ArrayLike,
        diameter_mm: float,
        margin_mm: float,
    ) -> None:
        self._grid = grid
        self._fraction = np.asarray(fraction, dtype=np.float64)[:, None]
        self._diameter_mm = diameter_mm
        self._shares: dict[float, F32] = {}
        self._margin_level = 2.0 * margin_mm / diameter_mm
        coarsest = max(grid.spacing_mm)
        # A lesion of a voxel or two may have to grow a good deal before it covers half of one.
        self.largest = 1.25 if diameter_mm > 4.0 * coarsest else 2.0
        reach = np.asarray(shape.extent_mm) * (self.largest + self._margin_level)
        steps = np.abs(grid.inverse[:3, :3]) @ reach
        self.half = tuple(int(np.ceil(s + 0.5)) for s in steps)
        cell = float(np.clip(diameter_mm / 12.0, 0.25, 1.0))
        self._cells = tuple(max(1, int(np.ceil(s / cell - 1e-6))) for s in grid.spacing_mm)
        self._shape = tuple((2 * h + 1) * c for h, c in zip(self.half, self._cells, strict=True))
        self._level = self._for_chunks(shape.level, np.arange(np.prod(self._shape)))
        self._level = self._level.reshape(self._shape)

    def cover(self, threshold: float, allowed: Bool) -> Cover:
        """The lesion whose surface is at a level, cut to the allowed voxels of the box."""
        share = self._share(threshold) * allowed
        pieces = label_components(share >= 0.5)
        sizes = np.bincount(pieces.ravel())
        if len(sizes) < 2:
            nothing = np.zeros(allowed.shape, bool)
            return Cover(threshold, np.zeros_like(share), nothing, 0.0)
        mask = pieces == 1 + int(np.argmax(sizes[1:]))
        # Crumbs that an obstacle has cut off from the lesion would be lesion without a mask.
        share *= ndimage.binary_dilation(mask, np.ones((3, 3, 3), bool))
        return Cover(threshold, share, mask, longest_axial_diameter_mm(mask, self._grid))

    def whole(self, cover: Cover) -> float:
        """What a lesion would cover if all voxels of the box were allowed, in voxels."""
        return float(self._share(cover.threshold).sum())

    def fit(self, allowed: Bool) -> Cover | None:
        """The lesion of nominal diameter, to 5 % or a voxel; None if it cannot have that size.

        Where the allowed region cuts it, it grows until it has the diameter all the same.
        """
        across = max(self._grid.spacing_mm[axis] for axis in self._grid.in_plane_axes)
        tolerance = max(0.05 * self._diameter_mm, across)
        best = self.cover(1.0, allowed)
        low, high = 0.5, self.largest
        if best.diameter_mm == 0.0 or abs(best.diameter_mm - self._diameter_mm) > tolerance:
            for _ in range(12):
                tried = self.cover((low + high) / 2, allowed)
                better = abs(tried.diameter_mm - self._diameter_mm)
                if tried.diameter_mm and (
                    not best.diameter_mm or better < abs(best.diameter_mm - self._diameter_mm)
                ):
                    best = tried
                if tried.diameter_mm < self._diameter_mm:
                    low = tried.threshold
                else:
                    high = tried.threshold
        fits = best.diameter_mm and abs(best.diameter_mm - self._diameter_mm) <= tolerance
        return best if fits else None

    def paint(self, cover: Cover, hu: F32, texture: Callable[[F32, F32], F32]) -> None:
        """Mix the lesion into the HU of the box, in place, by the share that it covers.

        Parameters
        ----------
        cover
            The lesion, of this stamp.
        hu
            HU of the box.
        texture
            HU of points, from their offset in mm (3, n) and their level, 1 on the surface (n,).
        """
        weight = self._weight(cover.threshold)
        places = np.flatnonzero(weight)
        level = self._level.ravel()

        def inner(offset_mm: F32, part: NDArray[np.int64]) -> F32:
            return texture(offset_mm, level[part] / np.float32(cover.threshold))

        values = np.zeros(weight.size, np.float32)
        values[places] = self._for_chunks(inner, places, with_index=True)
        values *= weight.ravel()
        full = np.maximum(self._share(cover.threshold), np.float32(1e-6))
        mean = self._mean_over_voxels(values.reshape(self._shape)) / full
        hu += cover.share * (mean - hu)

    def _share(self, threshold: float) -> F32:
        """Part of each voxel that is covered; candidate places ask for the same few levels."""
        if threshold not in self._shares:
            self._shares[threshold] = self._mean_over_voxels(self._weight(threshold))
        return self._shares[threshold]

    def _weight(self, threshold: float) -> F32:
        if self._margin_level < 1e-6:
            return (self._level <= threshold).astype(np.float32)
        ramp = (np.float32(threshold) - self._level) / np.float32(self._margin_level)
        weight: F32 = np.clip(ramp + np.float32(0.5), 0.0, 1.0)
        return weight

    def _mean_over_voxels(self, values: F32) -> F32:
        (a, b, c), (p, q, r) = ((2 * h + 1 for h in self.half), self._cells)
        mean: F32 = values.reshape(a, p, b, q, c, r).mean(axis=(1, 3, 5), dtype=np.float32)
        return mean

    def _for_chunks(
        self,
        function: Callable[..., F32],
        places: NDArray[np.int64],
        *,
        with_index: bool = False,
    ) -> F32:
        """Apply a function of offsets in mm to cells, a bounded number of them at a time."""
        result = np.empty(len(places), np.float32)
        for start in range(0, len(places), _CHUNK):
            part = places[start : start + _CHUNK]
            cell = np.stack(np.unravel_index(part, self._shape)).astype(np.float64)
            count = np.array(self._cells, float)[:, None]
            index = (cell + 0.5) / count - 0.5 - np.array(self.half, float)[:, None]
            index -= self._fraction
            offset = (self._grid.affine[:3, :3] @ index).astype(np.float32)
            result[start : start + _CHUNK] = (
                function(offset, part) if with_index else function(offset)
            )
        return result
