"""The picture being built: Hounsfield units and labels, and how shapes are laid on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalemai.cases.phantom.labels import LABELS
from scalemai.cases.phantom.raster import (
    capsules,
    composite,
    composite_tube,
    resample,
    value_noise,
)

__all__ = ["F32", "Box", "Canvas", "Noise", "Tubes", "smooth_max", "smooth_min"]

F32 = NDArray[np.float32]
Real = NDArray[np.floating[Any]]
Shape = Callable[[F32, F32, F32], F32]
"""A field of three broadcast coordinate arrays in mm, negative inside."""

_ANY = np.ones(256, bool)


def smooth_min(a: Real, b: Real, blend_mm: float) -> F32:
    """Union of two fields with a fillet of about ``blend_mm`` (polynomial)."""
    h = np.maximum(np.float32(blend_mm) - np.abs(a - b), np.float32(0))
    out = np.minimum(a, b) - h * h * np.float32(0.25 / blend_mm)
    return out.astype(np.float32, copy=False)


def smooth_max(a: Real, b: Real, blend_mm: float) -> F32:
    """Intersection of two fields with a rounded edge."""
    return -smooth_min(-a, -b, blend_mm)


class Noise:
    """Smooth periodic noise of zero mean and about unit deviation, fixed in space.

    Parameters
    ----------
    rng
        Draws the tile.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        # Trilinear blends of unit normals have deviation 0.6 on average.
        self._tile = (rng.standard_normal((32, 32, 32)) / 0.6).astype(np.float32)

    def __call__(self, x: F32, y: F32, z: F32, wavelength_mm: float, octaves: int = 1) -> F32:
        """Noise at broadcast coordinates; each octave halves wavelength and amplitude."""
        shape = np.broadcast_shapes(x.shape, y.shape, z.shape)
        # Anything that is not a block of voxels is a list of points.
        block = shape if len(shape) == 3 else (int(np.prod(shape)), 1, 1)
        total = np.zeros(block, np.float32)
        part = np.empty_like(total)
        scale, gain = 2.0 / wavelength_mm, 1.0
        for octave in range(octaves):
            shift = np.float32(17.3 * octave / scale)
            u, v, w = (
                np.broadcast_to(np.asarray(a + shift, np.float32), shape).reshape(block)
                for a in (x, y, z)
            )
            value_noise(self._tile, u, v, w, scale, part)
            total += np.float32(gain) * part
            scale, gain = scale * 2.0, gain * 0.5
        return total.reshape(shape)


@dataclass(frozen=True)
class Box:
    """A block of voxels: where it is in the arrays and its coordinates in mm."""

    region: tuple[slice, slice, slice]
    x: F32
    y: F32
    z: F32

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.x.size, self.y.size, self.z.size

    @property
    def xyz(self) -> tuple[F32, F32, F32]:
        """Coordinates ready to broadcast."""
        return self.x[:, None, None], self.y[None, :, None], self.z[None, None, :]

    def slabs(self) -> Iterator[Box]:
        """The block in overlapping slabs along z: they bound the memory that painting needs."""
        i, j, k = self.region
        for low in range(0, self.z.size, 48):
            high = min(low + 50, self.z.size)
            if high - low < 3:
                break
            part = slice(k.start + low, k.start + high)
            yield Box((i, j, part), self.x, self.y, self.z[low:high])


@dataclass(frozen=True)
class Tubes:
    """Tapering capsules: points (n, 3), radii (n,), place along (n,), segments (m, 2)."""

    points: F32
    radii: F32
    where: F32
    segments: NDArray[np.int64]

    @staticmethod
    def along(points: ArrayLike, radii: ArrayLike) -> Tubes:
        """One chain of capsules; the place along it is its arc length in mm."""
        p = np.asarray(points, np.float32)
        r = np.broadcast_to(np.asarray(radii, np.float32), (len(p),)).copy()
        steps = np.linalg.norm(np.diff(p, axis=0), axis=1)
        where = np.concatenate([[0.0], np.cumsum(steps)]).astype(np.float32)
        n = np.arange(len(p) - 1)
        return Tubes(p, r, where, np.stack([n, n + 1], 1).astype(np.int64))

    @cached_property
    def length_mm(self) -> float:
        return float(self.where[-1])


@dataclass(frozen=True)
class TubeField:
    """What :meth:`Canvas.tubes` knows at each voxel of a box."""

    d: F32
    where: F32
    radius: F32


class Canvas:
    """An axis-aligned RAS voxel block in body coordinates (mm, scaled to a standard adult).

    Parameters
    ----------
    x, y, z
        Voxel centres along each axis, ascending.
    """

    def __init__(self, x: F32, y: F32, z: F32) -> None:
        self.x, self.y, self.z = x, y, z
        self.spacing = np.array([a[1] - a[0] for a in (x, y, z)], np.float32)
        shape = (x.size, y.size, z.size)
        self.hu = np.full(shape, -1000, np.float32)
        self.labels = np.zeros(shape, np.uint8)

    def box(self, low: ArrayLike, high: ArrayLike) -> Box | None:
        """The voxels between two corners (one voxel more on each side), or None if off the grid."""
        slices = []
        for axis, lo, hi in zip(
            (self.x, self.y, self.z), np.asarray(low), np.asarray(high), strict=True
        ):
            a = max(int(np.searchsorted(axis, lo)) - 1, 0)
            b = min(int(np.searchsorted(axis, hi)) + 1, axis.size)
            # The gradient needs a neighbour, so a block is never one voxel thick.
            if b - a < 2:
                return None
            slices.append(slice(a, b))
        i, j, k = slices
        return Box((i, j, k), self.x[i], self.y[j], self.z[k])

    @property
    def everywhere(self) -> Box:
        i, j, k = (slice(0, n) for n in self.hu.shape)
        return Box((i, j, k), self.x, self.y, self.z)

    def field(self, shape: Shape, box: Box, step_mm: float = 2.5) -> F32:
        """A smooth field on a box, evaluated on a lattice fixed in space and interpolated.

        The lattice nodes are multiples of ``step_mm``, so the shape does not depend on the grid.
        """
        nodes: list[F32] = []
        index: list[F32] = []
        for axis in (box.x, box.y, box.z):
            first = np.floor(axis[0] / step_mm)
            count = int(np.ceil(axis[-1] / step_mm) - first) + 2
            nodes.append(((first + np.arange(count)) * step_mm).astype(np.float32))
            index.append((axis / np.float32(step_mm) - np.float32(first)).astype(np.float32))
        a, b, c = nodes
        values = shape(a[:, None, None], b[None, :, None], c[None, None, :])
        lattice = np.ascontiguousarray(
            np.broadcast_to(values, (a.size, b.size, c.size)), np.float32
        )
        out = np.empty(box.shape, np.float32)
        resample(lattice, index[0], index[1], index[2], out)
        return out

    def tubes(
        self,
        box: Box,
        tubes: Tubes,
        margin_mm: float,
        squeeze: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> TubeField:
        """Distance to capsules, place along them and radius, within ``margin_mm``."""
        # A plateau at the margin, not a cliff: the slope decides how far an edge is blended.
        d = np.full(box.shape, margin_mm, np.float32)
        where = np.zeros(box.shape, np.float32)
        radius = np.ones(box.shape, np.float32)
        capsules(
            d,
            where,
            radius,
            box.x,
            box.y,
            box.z,
            tubes.points,
            tubes.radii,
            tubes.where,
            tubes.segments,
            np.asarray(squeeze, np.float32),
            float(margin_mm),
        )
        return TubeField(d, where, radius)

    def around(self, tubes: Tubes, margin_mm: float) -> Box | None:
        """The box that holds capsules with a margin."""
        reach = float(tubes.radii.max()) + margin_mm
        return self.box(tubes.points.min(0) - reach, tubes.points.max(0) + reach)

    def paint(
        self,
        box: Box,
        d: F32,
        hu: float | F32,
        label: str | None = None,
        allowed: NDArray[np.bool_] = _ANY,
    ) -> None:
        """Lay a tissue of ``hu`` where ``d`` < 0, with partial volume at its edge."""
        value = np.broadcast_to(np.asarray(hu, np.float32), d.shape)
        number = -1 if label is None else LABELS[label]
        composite(self.hu[box.region], self.labels[box.region], d, value, number, allowed)

    def paint_vessel(
        self,
        tubes: Tubes,
        hu: float,
        label: str | None = None,
        allowed: NDArray[np.bool_] = _ANY,
    ) -> None:
        """Lay blood vessels or ducts, also thinner than a voxel."""
        width = float(self.spacing.mean())
        box = self.around(tubes, width)
        if box is None:
            return
        f = self.tubes(box, tubes, width)
        number = -1 if label is None else LABELS[label]
        composite_tube(
            self.hu[box.region],
            self.labels[box.region],
            f.d,
            f.radius,
            self.spacing,
            float(hu),
            number,
            allowed,
        )
