"""What the inside of a phantom lesion looks like: HU of points, before blur and noise.

A texture is a pattern for the body of the lesion and, over it, optional details. All are analytic
functions of the place in millimetres, so that they do not know the grid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.spatial import cKDTree

from scalemai.cases.phantom.lesion_shapes import StarShape, random_directions, rough_sphere

__all__ = ["PATTERNS", "PatternName", "Tissues", "texture_hu"]

PatternName = Literal[
    "homogeneous",
    "ring",
    "nodular_ring",
    "necrotic",
    "mosaic",
    "fluid",
    "septated",
    "honeycomb",
    "bubbles",
    "scar",
    "lamellar",
]

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Tissues:
    """HU of what a lesion is made of.

    Parameters
    ----------
    solid_hu
        The viable, solid part.
    rim_hu
        Rim, capsule, nodules or septa.
    filling_hu
        Fluid, necrosis, fat or scar.
    """

    solid_hu: float
    rim_hu: float
    filling_hu: float


@dataclass(frozen=True, eq=False)
class _Places:
    """Where the points of a lesion are.

    Parameters
    ----------
    offset_mm
        Shape (3, n): offsets from the centre, RAS+ mm.
    level
        Shape (n,): 0 in the centre, 1 on the surface.
    radius_mm
        Half the longest axial diameter.
    """

    offset_mm: F32
    level: F32
    radius_mm: float

    @property
    def depth_mm(self) -> F32:
        """Approximate depth below the surface."""
        depth: F32 = (1.0 - self.level) * np.float32(self.radius_mm)
        return depth

    def features(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Random points (count, 3), uniform in a ball a little larger than the lesion."""
        away = 1.1 * self.radius_mm * rng.random(count) ** (1 / 3)
        return away[:, None] * random_directions(rng, count)


def texture_hu(
    pattern: PatternName,
    tissues: Tissues,
    offset_mm: F32,
    level: F32,
    diameter_mm: float,
    rng: np.random.Generator,
    *,
    calcified: bool = False,
) -> F32:
    """HU of points inside a lesion.

    Parameters
    ----------
    pattern
        One of :data:`PATTERNS`.
    tissues
        HU of its parts.
    offset_mm
        Shape (3, n): offsets from the centre of the lesion, RAS+ mm.
    level
        Shape (n,): 0 in the centre, 1 on the surface.
    diameter_mm
        Longest axial diameter.
    rng
        Source of the pattern. How much is drawn does not depend on the points.
    calcified
        Whether specks of calcium are strewn in.

    Returns
    -------
    ndarray
        float32, shape (n,).
    """
    places = _Places(offset_mm, level, diameter_mm / 2.0)
    pattern_rng, speck_rng = (np.random.default_rng(s) for s in rng.integers(2**63, size=2))
    hu = PATTERNS[pattern](tissues, places, pattern_rng)
    if calcified:
        _calcify(hu, places, speck_rng)
    return hu


def _blend(low: float | F32, high: float | F32, weight: F32) -> F32:
    mixed: F32 = np.asarray(low + (high - low) * weight, dtype=np.float32)
    return mixed


def _step(x: F32, width: float) -> F32:
    """Smooth step from 0 to 1 over about ``width`` round zero."""
    step: F32 = special.expit(np.clip(4.0 * x / np.float32(width), -30.0, 30.0))
    return step


def _homogeneous(tissues: Tissues, places: _Places, rng: np.random.Generator) -> F32:
    """One tissue, slightly denser to one side."""
    direction = random_directions(rng, 1)[0].astype(np.float32)
    side = np.tensordot(direction, places.offset_mm, axes=1) / np.float32(places.radius_mm)
    return np.asarray(tissues.solid_hu + rng.uniform(0.0, 5.0) * side, dtype=np.float32)


def _ring(tissues: Tissues, places: _Places, rng: np.random.Generator) -> F32:
    """A rim of uneven thickness round a poorer middle."""
    thickness = max(rng.uniform(0.12, 0.3) * places.radius_mm, 1.2)
    uneven = _random_core(rng, amplitude=0.25).level(places.offset_mm)
    uneven /= np.maximum(_length(places.offset_mm), np.float32(1e-6))
    inner = _step(places.depth_mm - thickness * uneven, 0.6 * thickness)
    middle = _blend(tissues.solid_hu, tissues.filling_hu, _step(places.depth_mm - 2 * thickness, 2))
    return _blend(tissues.rim_hu, middle, inner)


def _nodular_ring(tissues: Tissues, places: _Places, rng: np.random.Generator) -> F32:
    """Globules along the edge, not touching one another (hemangioma)."""
    hu = np.full(places.level.shape, tissues.solid_hu, np.float32)
    count = int(rng.integers(5, 11))
    size = rng.uniform(0.16, 0.34, count) * places.radius_mm
    for direction, radius in zip(random_directions(rng, count), size, strict=True):
        x, y, z = places.offset_mm
        along = x * direction[0] + y * direction[1] + z * direction[2]
        # Globules cling to the surface, whatever the outline: a cone cut off below it.
        aside = np.sqrt(np.maximum(x * x + y * y + z * z - along**2, 0.0))
        beyond = np.where(along > 0, np.hypot(aside, 0.9 * places.depth_mm), np.float32(1e3))
        weight = _step((radius - beyond).astype(np.float32), 0.5 * radius)
        hu = _blend(hu, tissues.rim_hu, weight)
    return hu


def _necrotic(tissues: Tissues, places: _Places, rng: np.random.Generator) -> F32:
    """Solid with an irregular dead middle, off centre."""
    core = _random_core(rng, amplitude=0.25)
    shift = rng.uniform(0.0, 0.25) * places.radius_mm * random_directions(rng, 1)[0]
    size = rng.uniform(0.35, 0.62) * places.radius_mm
    level = core.level((places.offset_mm - shift[:, None]).astype(np.float32) / np.float32(size))
    soft = _step(1.0 - level, rng.uniform(0.15, 0.5))
    return _blend(_mosaic(tissues, places, rng), tissues.filling_hu, soft)


def _mosaic(tissues: Tissues, places: _Places, rng: np.random.Generator) -> F32:
    """Compartments of different enhancement: a Voronoi partition with soft borders."""
    seeds = places.features(rng, int(rng.integers(8, 20)))
    spread = 0.35 * (tissues.solid_hu - tissues.filling_hu)
    tone = np.clip(spread * rng.standard_normal(len(seeds)), -25.0, 25.0).astype(np.float32)
    first, second, near, other = _worley(seeds, places)
    weight = 0.5 * np.exp(-(second - first) / np.float32(0.12 * places.radius_mm))
    hu: F32 = tissues.solid_hu + _blend(tone[near], tone[other], weight)
    return hu


def _fluid(tissues: Tissues, places: _Places, rng: np.random.Generator) -> F32:
    """One cavity; sometimes the heavier part of its content has sunk to the back."""
    hu = np.full(places.level.shape, tissues.filling_hu, np.float32)
    has_level, height = rng.random() < 0.2, rng.uniform(-0.5, 0.1)
    if has_level and places.radius_mm > 8.0:
        sunk = _step(np.float32(height * places.radius_mm) - places.offset_mm[1], 1.0)
        hu += 18.0 * sunk
    return hu


def _septated(tissues: Tissues, places: _Places, rng: np.random.Generator) -> F32:
    """A few large chambers between thin walls."""
    return _chambers(tissues, places, rng, count=int(rng.integers(5, 10)), wall_mm=1.4)


def _honeycomb(tissues: Tissues, places: _Places, rng: np.random.Generator) -> F32:
    """Many small chambers round a scar (serous cystadenoma)."""
    count = int(np.clip(places.radius_mm**2 * rng.uniform(0.25, 0.5), 12, 160))
    hu = _chambers(tissues, places, rng, count=count, wall_mm=1.0)
    scar = _step(np.float32(0.16 * places.radius_mm) - _length(places.offset_mm), 2.0)
    return _blend(hu, tissues.rim_hu, scar)


def _bubbles(tissues: Tissues, places: _Places, rng: np.random.Generator) -> F32:
    """Round cysts of all sizes in solid tissue."""
    hu = np.full(places.level.shape, tissues.solid_hu, np.float32)
    centres = places.features(rng, int(rng.integers(12, 40)))
    radii = places.radius_mm * np.clip(0.09 * rng.pareto(1.8, len(centres)) + 0.09, 0.0, 0.4)
    for centre, radius in zip(centres, radii, strict=True):
        away = _length(places.offset_mm - centre[:, None].astype(np.float32))
        hu = _blend(hu, tissues.filling_hu, _step(np.float32(radius) - away, 0.6))
    return hu


def _scar(tissues: Tissues, places: _Places, rng: np.random.Generator) -> F32:
    """Solid with a star-shaped scar in the middle."""
    scar = np.zeros(places.level.shape, np.float32)
    count = int(rng.integers(3, 7))
    for direction in random_directions(rng, count):
        length = rng.uniform(0.45, 0.8) * places.radius_mm
        width = max(rng.uniform(0.07, 0.14) * places.radius_mm, 0.9)
        along = np.tensordot(direction.astype(np.float32), places.offset_mm, axes=1)
        square = np.maximum(_length(places.offset_mm) ** 2 - along**2, 0.0)
        taper = np.clip(1.0 - along / np.float32(length), 0.0, 1.0) * (along > -width)
        scar = np.maximum(scar, _step((width * taper - np.sqrt(square)).astype(np.float32), 1.0))
    return _blend(_homogeneous(tissues, places, rng), tissues.filling_hu, scar)


def _lamellar(tissues: Tissues, places: _Places, rng: np.random.Generator) -> F32:
    """Concentric shells, like an onion or a target."""
    period = rng.uniform(0.3, 0.55)
    phase = rng.uniform(0.0, 2 * np.pi)
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * places.level / np.float32(period) + np.float32(phase))
    return _blend(tissues.solid_hu, 0.5 * (tissues.solid_hu + tissues.rim_hu), wave)


PATTERNS: Mapping[PatternName, Callable[[Tissues, _Places, np.random.Generator], F32]] = {
    "homogeneous": _homogeneous,
    "ring": _ring,
    "nodular_ring": _nodular_ring,
    "necrotic": _necrotic,
    "mosaic": _mosaic,
    "fluid": _fluid,
    "septated": _septated,
    "honeycomb": _honeycomb,
    "bubbles": _bubbles,
    "scar": _scar,
    "lamellar": _lamellar,
}
"""The patterns by name."""


def _chambers(
    tissues: Tissues, places: _Places, rng: np.random.Generator, *, count: int, wall_mm: float
) -> F32:
    """Fluid in the cells of a Voronoi partition, walls between them (Worley, SIGGRAPH 1996)."""
    seeds = places.features(rng, count)
    tone = rng.normal(0.0, 2.0, count)
    first, second, near, _ = _worley(seeds, places)
    wall = _step(np.float32(wall_mm) - (second - first), 0.6)
    return _blend((tissues.filling_hu + tone[near]).astype(np.float32), tissues.rim_hu, wall)


def _worley(
    seeds: NDArray[np.float64], places: _Places
) -> tuple[F32, F32, NDArray[np.intp], NDArray[np.intp]]:
    """Distances in mm to the nearest and next seed of every point, and which they are."""
    distance, index = cKDTree(seeds).query(places.offset_mm.T, k=2)
    first, second = distance.astype(np.float32).T
    return first, second, index[:, 0], index[:, 1]


def _random_core(rng: np.random.Generator, *, amplitude: float) -> StarShape:
    rough = rough_sphere(rng, amplitude=amplitude, decay=1.5, degrees=(2, 6))
    return StarShape(np.eye(3, dtype=np.float32), rough)


def _length(offset_mm: F32) -> F32:
    x, y, z = offset_mm
    length: F32 = np.sqrt(x * x + y * y + z * z)
    return length


def _calcify(hu: F32, places: _Places, rng: np.random.Generator) -> None:
    """Strew specks of calcium of 0.6 to 2 mm over a part of the lesion, in place."""
    count = int(rng.integers(3, 12))
    middle = 0.4 * places.features(rng, 1)[0]
    centres = middle + 0.45 * places.features(rng, count)
    radii = np.minimum(rng.uniform(0.6, 2.0, count), 0.25 * places.radius_mm)
    density = rng.uniform(250.0, 700.0, count)
    for centre, radius, calcium in zip(centres, radii, density, strict=True):
        inside = _length(places.offset_mm - centre[:, None].astype(np.float32)) <= radius
        hu[inside] = calcium
