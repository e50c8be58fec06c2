"""Outlines of the phantom's lesions: closed surfaces from analytic geometry, no growth.

Every shape is a *level* function of a point in its own units. Its surface is where the level is 1;
smaller levels lie inside, and the sets below growing levels are nested, so that a slightly larger
or smaller lesion of the same shape is another threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from scalemai.geometry import Grid
from scalemai.measure import longest_axial_diameter_mm

__all__ = [
    "SHAPES",
    "Metaballs",
    "Shape",
    "ShapeName",
    "SizedShape",
    "StarShape",
    "Superquadric",
    "draw_shape",
    "random_directions",
    "rough_sphere",
]

ShapeName = Literal["ovoid", "harmonic", "lobulated", "spiculated", "superquadric", "tubular"]

_SPAN_SAMPLES = 97
_TALLEST = 0.65  # from the centre, in axial diameters
_POLAR, _AZIMUTH = 97, 192


class Shape(Protocol):
    """A closed surface."""

    @property
    def reach(self) -> float:
        """Radius of a ball round the origin that holds the shape."""

    def level(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Level, shape (...), of points, shape (3, ...)."""


@dataclass(frozen=True, eq=False)
class Superquadric:
    """A superquadric (Barr, IEEE CG&A 1981;1(1):11-23): from box-like to spindle-like.

    Parameters
    ----------
    axes
        Matrix (3, 3) from points to the coordinates in which the half axes are 1.
    roundness
        The two exponents; 1 and 1 make an ellipsoid, less makes edges flatter.
    """

    axes: NDArray[np.float32]
    roundness: tuple[float, float]

    @cached_property
    def reach(self) -> float:
        # A superquadric of exponents below 1 reaches into the corners of its box.
        return float(np.sqrt(3.0) / np.linalg.svd(self.axes, compute_uv=False).min())

    def level(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        e1, e2 = self.roundness
        x, y, z = np.abs(np.tensordot(self.axes, points, axes=1))
        ring = (x ** (2 / e2) + y ** (2 / e2)) ** (e2 / e1)
        level: NDArray[np.float32] = ((ring + z ** (2 / e1)) ** (e1 / 2)).astype(np.float32)
        return level


@dataclass(frozen=True, eq=False)
class StarShape:
    """A surface given by its distance from the centre in every direction.

    Parameters
    ----------
    axes
        Matrix (3, 3) that is applied to points first.
    radius
        Distance of the surface on a lattice (polar, azimuth) of directions; the polar angle runs
        from 0 to pi, the azimuth from 0 to 2 pi without its end.
    """

    axes: NDArray[np.float32]
    radius: NDArray[np.float32]

    @cached_property
    def reach(self) -> float:
        return float(self.radius.max() / np.linalg.svd(self.axes, compute_uv=False).min())

    def level(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        x, y, z = np.tensordot(self.axes, points, axes=1)
        distance = np.sqrt(x * x + y * y + z * z)
        polar = np.arccos(np.clip(z / np.maximum(distance, 1e-12), -1.0, 1.0))
        azimuth = np.arctan2(y, x) % (2 * np.pi)
        rows, columns = self.radius.shape
        closed = np.concatenate([self.radius, self.radius[:, :1]], axis=1)
        place = np.stack([polar * ((rows - 1) / np.pi), azimuth * (columns / (2 * np.pi))])
        surface = ndimage.map_coordinates(closed, place, order=1, mode="nearest")
        level: NDArray[np.float32] = distance / surface
        return level


@dataclass(frozen=True, eq=False)
class Metaballs:
    """Balls that melt into one another (after Blinn, ACM TOG 1982;1:235-256).

    Parameters
    ----------
    centres
        Centres of the balls, shape (n, 3).
    radii
        Their radii, shape (n,).
    sharpness
        How abruptly one ball takes over from the next; 4 is smooth, 15 leaves grooves.
    """

    centres: NDArray[np.float32]
    radii: NDArray[np.float32]
    sharpness: float

    @cached_property
    def reach(self) -> float:
        spread = np.linalg.norm(self.centres, axis=1) + 1.3 * self.radii
        return float(spread.max())

    def level(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        total = np.zeros(points.shape[1:], np.float32)
        for centre, radius in zip(self.centres, self.radii, strict=True):
            square = np.zeros(points.shape[1:], np.float32)
            for axis in range(3):
                square += (points[axis] - centre[axis]) ** 2
            np.add(total, np.exp(np.sqrt(square) * (-self.sharpness / float(radius))), out=total)
        level: NDArray[np.float32] = -np.log(np.maximum(total, np.float32(1e-37)))
        level /= np.float32(self.sharpness)
        return level


def _random_rotation(rng: np.random.Generator) -> NDArray[np.float32]:
    """A rotation matrix (3, 3), uniform over all orientations."""
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    q = q * np.sign(np.diag(r))
    if np.linalg.det(q) < 0:
        q[:, 0] = -q[:, 0]
    return np.asarray(q, dtype=np.float32)


def rough_sphere(
    rng: np.random.Generator, *, amplitude: float, decay: float, degrees: tuple[int, int]
) -> NDArray[np.float32]:
    """Radii of a sphere roughened by spherical harmonics, on the lattice of :class:`StarShape`.

    Harmonics of one degree are drawn as zonal ones about random poles, which span that degree
    (addition theorem).

    Parameters
    ----------
    amplitude
        Standard deviation of the logarithm of the radius.
    decay
        Exponent by which the amplitude falls with the degree.
    degrees
        First and last degree.
    """
    directions = _directions()
    total: NDArray[np.float64] = np.zeros(directions.shape[1:])
    for degree in range(degrees[0], degrees[1] + 1):
        for weight, pole in zip(
            rng.standard_normal(2 * degree + 1),
            random_directions(rng, 2 * degree + 1),
            strict=True,
        ):
            zonal = special.eval_legendre(degree, np.tensordot(pole, directions, axes=1))
            total += weight * degree**-decay * zonal
    scale = amplitude / max(float(total.std()), 1e-9)
    return np.asarray(np.exp(scale * total), dtype=np.float32)


def _directions() -> NDArray[np.float64]:
    polar = np.linspace(0.0, np.pi, _POLAR)[:, None]
    azimuth = np.arange(_AZIMUTH)[None, :] * (2 * np.pi / _AZIMUTH)
    level = np.cos(polar) * np.ones_like(azimuth)
    return np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), level])


def random_directions(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Unit vectors (count, 3), uniform over the sphere."""
    poles = rng.standard_normal((count, 3))
    unit: NDArray[np.float64] = poles / np.linalg.norm(poles, axis=1, keepdims=True)
    return unit


def _stretch(rng: np.random.Generator, most: float) -> NDArray[np.float32]:
    """A random orientation with half axes between 1 and ``1 / most``."""
    axes = rng.uniform(1.0, most, 3).astype(np.float32)
    return axes[:, None] * _random_rotation(rng)


def _ovoid(rng: np.random.Generator) -> Shape:
    rough = rough_sphere(rng, amplitude=rng.uniform(0.01, 0.05), decay=2.0, degrees=(2, 4))
    return StarShape(_stretch(rng, 1.35), rough)


def _harmonic(rng: np.random.Generator) -> Shape:
    rough = rough_sphere(
        rng, amplitude=rng.uniform(0.08, 0.2), decay=rng.uniform(1.0, 2.2), degrees=(2, 9)
    )
    return StarShape(_stretch(rng, 1.5), rough)


def _spiculated(rng: np.random.Generator) -> Shape:
    rough = rough_sphere(rng, amplitude=rng.uniform(0.06, 0.14), decay=1.2, degrees=(2, 7))
    directions = _directions()
    count = int(rng.integers(18, 41))
    for pole in random_directions(rng, count):
        angle = np.arccos(np.clip(np.tensordot(pole, directions, axes=1), -1.0, 1.0))
        height, width = rng.uniform(0.25, 0.9), rng.uniform(0.12, 0.26)
        rough += (height * np.clip(1.0 - angle / width, 0.0, None)).astype(np.float32)
    return StarShape(_stretch(rng, 1.4), rough)


def _superquadric(rng: np.random.Generator) -> Shape:
    e1, e2 = rng.uniform(0.55, 1.25, 2)
    return Superquadric(_stretch(rng, 1.6), (float(e1), float(e2)))


def _lobulated(rng: np.random.Generator) -> Shape:
    count = int(rng.integers(3, 8))
    away = rng.uniform(0.45, 0.95, count)[:, None] * random_directions(rng, count)
    centres = np.vstack([np.zeros(3), away]).astype(np.float32)
    radii = np.concatenate([rng.uniform(0.6, 0.8, 1), rng.uniform(0.3, 0.6, count)])
    return Metaballs(centres, radii.astype(np.float32), float(rng.uniform(5.0, 12.0)))


def _tubular(rng: np.random.Generator) -> Shape:
    """A bent, tapering string of balls, such as a tumor that follows a duct."""
    s = np.linspace(-1.0, 1.0, 9)
    bend = rng.uniform(-0.5, 0.5, 2)
    spine = np.stack([s, bend[0] * s**2, bend[1] * (s**3 - s)], axis=1)
    spine = spine - spine.mean(axis=0)
    radii = rng.uniform(0.38, 0.6) * (1.0 - 0.45 * np.abs(s - rng.uniform(-0.4, 0.4)))
    radii *= rng.uniform(0.85, 1.15, len(s))
    rotated = spine @ _random_rotation(rng).T
    return Metaballs(rotated.astype(np.float32), radii.astype(np.float32), 9.0)


SHAPES: Mapping[ShapeName, Callable[[np.random.Generator], Shape]] = {
    "ovoid": _ovoid,
    "harmonic": _harmonic,
    "lobulated": _lobulated,
    "spiculated": _spiculated,
    "superquadric": _superquadric,
    "tubular": _tubular,
}
"""The families of outlines; each call draws another member."""


@dataclass(frozen=True, eq=False)
class SizedShape:
    """A shape in millimetres.

    Parameters
    ----------
    shape
        The outline in its own units.
    unit_mm
        Millimetres per unit.
    squeeze
        Factor by which the shape is flattened along z.
    extent_mm
        Largest distance of the surface from the centre along world x, y and z, in mm.
    """

    shape: Shape
    unit_mm: float
    squeeze: float
    extent_mm: tuple[float, float, float]

    def level(self, offset_mm: NDArray[np.float32]) -> NDArray[np.float32]:
        """Level, shape (...), of offsets from the centre in mm RAS+, shape (3, ...)."""
        x, y, z = offset_mm / np.float32(self.unit_mm)
        return self.shape.level(np.stack([x, y, z * np.float32(self.squeeze)]))


def draw_shape(name: ShapeName, diameter_mm: float, rng: np.random.Generator) -> SizedShape:
    """Draw an outline whose longest axial diameter is ``diameter_mm``.

    A shape that happens to stand upright is flattened, so that its axial diameter is not a small
    part of its height.
    """
    shape = SHAPES[name](rng)
    n = _SPAN_SAMPLES
    axis = np.linspace(-shape.reach, shape.reach, n, dtype=np.float32)
    inside = shape.level(np.stack(np.meshgrid(axis, axis, axis, indexing="ij"))) <= 1.0
    step = 2.0 * shape.reach / (n - 1)
    grid = Grid((n, n, n), np.diag([step, step, step, 1.0]))
    # Between corners of cells, a diameter reads about half a cell too long.
    span = longest_axial_diameter_mm(inside, grid) - step / 2
    unit_mm = diameter_mm / span
    x, y, z = (
        float(np.abs(axis[inside.any(axis=tuple({0, 1, 2} - {a}))]).max() + step) * unit_mm
        for a in range(3)
    )
    squeeze = max(1.0, z / (_TALLEST * diameter_mm))
    return SizedShape(shape, unit_mm, squeeze, (x, y, z / squeeze))
