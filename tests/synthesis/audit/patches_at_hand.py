"""Patches of a known scan: spheres of tissue in noise of a known kernel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.geometry import Grid
from scalemai.synthesis.audit.patches import Patch

SPACING_MM = (0.8, 0.8, 2.5)
SHAPE = (72, 72, 16)
NOISE_HU = 12.0


def grid_at_hand() -> Grid:
    return Grid(SHAPE, np.diag([*SPACING_MM, 1.0]))


def noise(rng: np.random.Generator, sigma: tuple[float, float, float] = (0.8, 0.8, 0.0)):
    """Correlated noise of :data:`NOISE_HU`."""
    field = ndimage.gaussian_filter(rng.standard_normal(SHAPE), sigma)
    return NOISE_HU * field / field.std()


def sphere(radius_mm: float) -> NDArray[np.bool_]:
    return distance_mm() <= radius_mm


def distance_mm() -> NDArray[np.float64]:
    grid = grid_at_hand()
    world = grid.to_world(np.moveaxis(np.indices(SHAPE), 0, -1))
    middle = grid.to_world((np.array(SHAPE) - 1) / 2)
    return np.linalg.norm(world - middle, axis=-1)


def patch_at_hand(seed: int, *, contrast_hu: float = 0.0, radius_mm: float = 9.0) -> Patch:
    """A sphere with a border of 2 mm in uniform tissue; without contrast, a sham."""
    rng = np.random.default_rng(seed)
    density = np.clip((radius_mm - distance_mm()) / 2.0 + 0.5, 0.0, 1.0)
    host = np.rint(110.0 + noise(rng)).astype(np.float32)
    lesion = sphere(radius_mm)
    zone = sphere(radius_mm + 2.0)
    return Patch(
        case=f"case {seed}",
        group=f"host {seed // 2}",
        number=1,
        organ="liver",
        hu=np.rint(host + contrast_hu * density).astype(np.float32),
        grid=grid_at_hand(),
        lesion=lesion,
        zone=zone,
        tissue=~lesion,
        host=host,
        border_mm=2.0,
    )
