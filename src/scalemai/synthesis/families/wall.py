"""The wall of a hollow organ, found from its mask and the CT; and where growth starts in it.

Masks of bowel, stomach and bladders hold wall and content together. The wall is the inner shell
of the mask, as thick as the organ's facts say and at least one voxel. Content is told by its
attenuation: gas, positive contrast, stool (which is uneven), and fluid. Growth never enters the
first three; fluid it may, so that polyps have a lumen to hang in and walls can narrow it.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import edt
import numpy as np
from numpy.typing import NDArray

from scalemai.anatomy import Organ
from scalemai.errors import PlacementError
from scalemai.synthesis.drawing.site import ball, draw_inside
from scalemai.synthesis.families.beyond import axial_mean
from scalemai.synthesis.growth.neighbourhood import Neighbourhood
from scalemai.synthesis.growth.permeability import BARRIER_LUMEN, BARRIER_WALL
from scalemai.synthesis.growth.tissue import Tissue
from scalemai.volume import Volume

__all__ = ["choose_wall_site", "line_wall", "tube_axis"]

_GAS_HU = -150.0  # darker than fat: at least a tenth of the voxel is gas
_CONTRAST_ABOVE_WALL_HU = 90.0  # no wall enhances so far above the wall (author's estimate)
_LEAST_CONTRAST_HU = 180.0
_UNEVEN_SD = 2.0  # of the noise: more is stool (author's estimate, to be refined)
_LEAST_UNEVEN_HU = 25.0
_DARKEST_SEED_HU = -60.0
_FEWEST_VOXELS = 30
_WALL_PERCENTILE = 65.0
_SOFT_SHARES = (0.95, 0.85, 0.7, 0.5, 0.3, 0.0)
_COLLAPSED = 2.0  # thicknesses of wall from the surface: two walls that touch; author's choice
_BALL_POINTS = 160


def line_wall(around: Neighbourhood, facts: Organ, noise_hu: float) -> Neighbourhood:
    """Sort the inside of a hollow organ into wall, fluid, and what growth never enters.

    Parameters
    ----------
    around
        Neighbourhood in the organ's mask.
    facts
        A hollow organ.
    noise_hu
        Noise of the scan, to tell stool from fluid.

    Returns
    -------
    Neighbourhood
        With the wall's attenuation as parenchyma, and codes of wall and lumen.
    """
    assert facts.wall_mm is not None  # every hollow organ has it
    inside = around.organ
    first, second = around.grid.in_plane_axes
    voxel = max(around.grid.spacing_mm[first], around.grid.spacing_mm[second])
    thin = max(facts.wall_mm.low, 1.05 * voxel)
    thick = max(facts.wall_mm.high, thin)
    # Beyond the box the organ goes on: its cut is no surface.
    depth = edt.edt(np.pad(inside, 1, mode="edge"), anisotropy=around.grid.spacing_mm)
    depth = depth[1:-1, 1:-1, 1:-1]
    mean = axial_mean(around.hu, around)
    outer = inside & (depth <= thin) & (around.hu > _GAS_HU)
    wall_hu = _wall_hu(around.hu[outer], facts)
    bright = max(wall_hu + _CONTRAST_ABOVE_WALL_HU, _LEAST_CONTRAST_HU)
    soft = inside & (around.hu > _GAS_HU) & (around.hu < bright)
    square = axial_mean(around.hu**2, around) - mean**2
    even = np.sqrt(np.maximum(square, 0.0)) < max(_UNEVEN_SD * noise_hu, _LEAST_UNEVEN_HU)
    # The outermost layer is wall whatever it looks like. Further in, wall is what is as even and as
    # dense as wall: bile, urine and water are darker, stool and mixed contrast are uneven. What
    # lies deeper than two walls is content, as dense as it may be.
    wall = outer & soft
    inner = soft & ~wall & even
    as_wall = inner & (mean >= 0.5 * (wall_hu + 15.0)) & (depth <= _COLLAPSED * thick)
    fluid = inner & ~as_wall & (mean > -30.0)
    wall |= as_wall
    barrier = around.barrier.copy()
    barrier[wall & (barrier == 0)] = BARRIER_WALL
    barrier[fluid & (barrier == 0)] = BARRIER_LUMEN
    parenchyma = replace(
        around.parenchyma,
        mean_hu=wall_hu,
        noise_hu=noise_hu,
        low_hu=wall_hu - 40.0,
        high_hu=wall_hu + 40.0,
    )
    return replace(around, domain=wall | fluid, barrier=barrier, parenchyma=parenchyma)


def choose_wall_site(
    volume: Volume,
    tissue: Tissue,
    facts: Organ,
    diameter_mm: float,
    form: str,
    rng: np.random.Generator,
    part: NDArray[np.bool_] | None = None,
) -> tuple[float, float, float]:
    """Draw a place in the wall for the seed of a lesion, RAS+ mm.

    Plaques start anywhere in the wall; polyps and rings where there is little gas, stool or
    contrast beside it, as they need room to grow inward.

    Raises
    ------
    PlacementError
        If no voxel of the wall is free.
    """
    assert facts.wall_mm is not None
    thick = facts.wall_mm.high
    points = draw_inside(tissue, part, rng, lambda at: _is_wall(volume, tissue, thick, at))
    if not len(points):
        raise PlacementError(
            f"no free place in the wall of the {tissue.structure}: its mask holds gas or contrast",
            fix="ask for fewer lesions, or give a mask that includes the wall",
        )
    share = _soft_share(volume, tissue, points, 0.5 * diameter_mm)
    levels = (0.3, 0.0) if form == "plaque" else _SOFT_SHARES
    for level in levels:
        fits = np.flatnonzero(share >= level)
        if fits.size:
            x, y, z = tissue.grid.to_world(np.rint(tissue.grid.to_voxel(points[fits[0]])))
            return float(x), float(y), float(z)
    x, y, z = points[0]
    return float(x), float(y), float(z)


def tube_axis(
    tissue: Tissue, centre_mm: tuple[float, float, float], radius_mm: float
) -> NDArray[np.float64]:
    """Unit vector in RAS+ along which a hollow organ runs, from its voxels within a radius."""
    reach = radius_mm * np.linalg.norm(tissue.grid.inverse[:3, :3], axis=1)
    at = tissue.grid.to_voxel(centre_mm)
    region = tissue.grid.clip(at - reach, at + reach)
    assert region is not None  # the centre lies in the organ
    voxels = np.argwhere(tissue.organ[region]) + [s.start for s in region]
    world = tissue.grid.to_world(voxels)
    world = world[np.linalg.norm(world - centre_mm, axis=1) <= radius_mm]
    if len(world) < 4:
        return np.array([0.0, 0.0, 1.0])
    values, vectors = np.linalg.eigh(np.cov((world - world.mean(axis=0)).T))
    axis: NDArray[np.float64] = vectors[:, int(np.argmax(values))]
    return axis * (1.0 if axis[int(np.argmax(np.abs(axis)))] > 0 else -1.0)


def _wall_hu(values: NDArray[np.float32], facts: Organ) -> float:
    """Attenuation of the wall: of its voxels that are neither mixed with fat nor with gas."""
    low = min(hu.mean_hu for hu in facts.parenchyma_hu.values()) - 25.0
    high = max(hu.mean_hu for hu in facts.parenchyma_hu.values()) + 40.0
    pure = values[(values > low) & (values < high)]
    if pure.size < _FEWEST_VOXELS:
        return facts.parenchyma_hu["non_contrast"].mean_hu
    # Most of what is mixed with content is darker than the wall.
    return float(np.percentile(pure, _WALL_PERCENTILE))


def _is_wall(
    volume: Volume, tissue: Tissue, wall_mm: float, voxels: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which voxels (n, 3) of the mask lie near its surface and hold neither gas nor contrast."""
    hu = _hu_at(volume, tissue, voxels)
    soft = (hu > _DARKEST_SEED_HU) & (hu < _LEAST_CONTRAST_HU)
    steps = np.array(list(product((-1, 0, 1), repeat=3)), np.float64)
    steps = steps[np.any(steps != 0, axis=1)]
    # In the direction of each neighbour, by the wall's thickness or at least one voxel.
    length = np.linalg.norm(steps * tissue.grid.spacing_mm, axis=1, keepdims=True)
    steps *= np.maximum(wall_mm / length, 1.0)
    there = np.rint(voxels[:, None, :] + steps).astype(np.int64)
    shape = np.asarray(tissue.grid.shape)
    valid = ((there >= 0) & (there < shape)).all(axis=2)
    there = np.clip(there, 0, shape - 1)
    outside = valid & ~tissue.organ[there[..., 0], there[..., 1], there[..., 2]]
    near: NDArray[np.bool_] = soft & outside.any(axis=1)
    return near


def _hu_at(volume: Volume, tissue: Tissue, voxels: NDArray[np.int64]) -> NDArray[np.float64]:
    start = np.array([s.start for s in tissue.region])
    stored = volume.stored[tuple((voxels + start).T)].astype(np.float64)
    hu: NDArray[np.float64] = stored * volume.slope + volume.intercept
    return hu


def _soft_share(
    volume: Volume, tissue: Tissue, points_mm: NDArray[np.float64], radius_mm: float
) -> NDArray[np.float64]:
    """Of a ball round each point, the share of what lies in the organ that is soft tissue."""
    around = (points_mm[:, None, :] + ball(_BALL_POINTS) * radius_mm).reshape(-1, 3)
    index = np.rint(tissue.grid.to_voxel(around)).astype(np.int64)
    shape = np.asarray(tissue.grid.shape)
    valid = ((index >= 0) & (index < shape)).all(axis=1)
    index = np.clip(index, 0, shape - 1)
    inside = (valid & tissue.organ[tuple(index.T)]).reshape(len(points_mm), -1)
    hu = _hu_at(volume, tissue, index).reshape(inside.shape)
    soft = inside & (hu > _DARKEST_SEED_HU) & (hu < _LEAST_CONTRAST_HU)
    share: NDArray[np.float64] = soft.sum(axis=1) / np.maximum(inside.sum(axis=1), 1)
    return share
