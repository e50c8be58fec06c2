"""What a stroke must change: from places of the page, and the brush in mm, by numpy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Place = tuple[float, float]
AXES = {"axial": (0, 1, 2), "coronal": (0, 2, 1), "sagittal": (1, 2, 0)}
"""Across, down and through a plane, as axes of an array in LPS order."""


@dataclass(frozen=True)
class Screen:
    """A plane on the page that shows a box of the scan as large as it can, in the middle.

    Parameters
    ----------
    canvas
        x, y, width and height on the page, pixels.
    plane
        Its name.
    low, dims
        First voxel and size of the box, LPS order.
    spacing_mm
        Voxel size.
    """

    canvas: dict[str, float]
    plane: str
    low: Sequence[int]
    dims: Sequence[int]
    spacing_mm: Sequence[float]

    @property
    def _scale(self) -> float:
        across, down, _ = AXES[self.plane]
        width, height = (self.dims[a] * self.spacing_mm[a] for a in (across, down))
        return min(self.canvas["width"] / width, self.canvas["height"] / height)

    def voxel(self, place: Place) -> tuple[float, float]:
        """Voxel of the scan, along across and down, with fractions, under a place of the page."""
        result = []
        for n, axis in enumerate(AXES[self.plane][:2]):
            side, start = (("width", "x"), ("height", "y"))[n]
            off = place[n] - self.canvas[start] - self.canvas[side] / 2
            if n == 1 and self.plane != "axial":
                off = -off  # the head is up
            middle = self.low[axis] + (self.dims[axis] - 1) / 2
            result.append(middle + off / (self._scale * self.spacing_mm[axis]))
        return result[0], result[1]

    def place(self, voxel: Sequence[float]) -> Place:
        """Whole pixel of the page nearest to a voxel of the scan."""
        result = []
        for n, axis in enumerate(AXES[self.plane][:2]):
            side, start = (("width", "x"), ("height", "y"))[n]
            off = (voxel[axis] - self.low[axis] - (self.dims[axis] - 1) / 2) * self._scale
            off *= self.spacing_mm[axis] * (-1 if n == 1 and self.plane != "axial" else 1)
            result.append(round(self.canvas[start] + self.canvas[side] / 2 + off))
        return result[0], result[1]

    def swept(
        self, shape: Sequence[int], index: int, path: Sequence[Place], radius_mm: float
    ) -> NDArray[np.bool_]:
        """Voxels of a slice whose centres lie within a radius in mm of the path that was drawn."""
        across, down, through = AXES[self.plane]
        u = np.arange(shape[across])[:, None] * self.spacing_mm[across]
        v = np.arange(shape[down])[None, :] * self.spacing_mm[down]
        step = np.array([self.spacing_mm[across], self.spacing_mm[down]])
        points = [np.array(self.voxel(place)) * step for place in path]
        away = np.full((shape[across], shape[down]), np.inf)
        for start, end in pairwise(points):
            line = end - start
            share = ((u - start[0]) * line[0] + (v - start[1]) * line[1]) / (line @ line)
            share = np.clip(share, 0, 1)
            near = np.hypot(u - start[0] - share * line[0], v - start[1] - share * line[1])
            away = np.minimum(away, near)
        assert np.abs(away - radius_mm).min() > 1e-6  # nothing hangs on rounding
        result = np.zeros(shape, bool)
        place = [slice(None)] * 3
        place[through] = index
        result[tuple(place)] = away <= radius_mm
        return result


def crop_around(
    mask: NDArray[np.bool_], spacing_mm: Sequence[float], size_mm: float = 128.0
) -> tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]:
    """The voxel in the middle of a mask, and first voxel and size of the box shown around it."""
    at = np.argwhere(mask)
    at = at[np.lexsort((at[:, 0], at[:, 1], at[:, 2]))]
    centre = at[len(at) // 2]
    size = np.minimum(np.round(size_mm / np.asarray(spacing_mm)).astype(int), mask.shape)
    low = np.clip(centre - size // 2, 0, np.subtract(mask.shape, size))
    x, y, z = (int(n) for n in centre)
    i, j, k = (int(n) for n in low)
    a, b, c = (int(n) for n in size)
    return (x, y, z), (i, j, k), (a, b, c)
