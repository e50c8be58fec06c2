"""Where a lesion starts: inside the organ, off its vessels, with room for the size asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalemai.errors import PlacementError
from scalemai.geometry import Grid
from scalemai.synthesis.automaton import BARRIER_STOP
from scalemai.synthesis.tissue import Tissue
from scalemai.volume import Volume

__all__ = ["ROOM_LEVELS", "choose_site", "part_of_pancreas"]

ROOM_LEVELS = (0.9, 0.75, 0.6, 0.45, 0.3, 0.0)
"""Shares of the lesion's ball inside the organ, in the order of preference (author's choice)."""

_CANDIDATES = 48
_BALL_POINTS = 160
_DRAWS = 4096

# Shares of the gland along its length, counted from the end in the duodenal loop. Used only where
# no masks of the parts exist. Author's estimate, to be refined; the parts' true borders are the
# superior mesenteric vein and the left border of the aorta (AJCC Cancer Staging Manual, 8th ed.).
_PANCREAS_SHARES = {"head": (0.0, 0.4), "body": (0.4, 0.7), "tail": (0.7, 1.0)}


def choose_site(
    volume: Volume,
    tissue: Tissue,
    diameter_mm: float,
    rng: np.random.Generator,
    part: NDArray[np.bool_] | None = None,
) -> tuple[float, float, float]:
    """Draw a place for the seed of a lesion.

    Points are drawn in millimetres, not in voxels, so that scans of one patient at two spacings
    get nearly the same places. Of the candidates, the first with the most room is taken.

    Parameters
    ----------
    volume, tissue
        The CT and the organ.
    diameter_mm
        Diameter of the lesion in mm.
    rng
        Stream of this decision.
    part
        Boolean array of the tissue's box that the seed must lie in; the whole organ if None.

    Returns
    -------
    tuple
        RAS+ mm.

    Raises
    ------
    PlacementError
        If no voxel of the part is free.
    """
    free = tissue.organ & (tissue.barrier == 0)
    if part is not None:
        free &= part
    points = _draw_inside(tissue.grid, free, rng)
    if not len(points):
        raise PlacementError(
            f"no free place is left in the {tissue.structure}",
            fix="ask for fewer lesions or another site",
        )
    share, look = _survey(volume, tissue, points, 0.5 * diameter_mm)
    # A ball that looks unlike the others lies in a large vessel, a cleft or a cyst.
    middle = np.median(look)
    usual = np.abs(look - middle) <= np.maximum(10.0, 3.0 * np.median(np.abs(look - middle)))
    for level in ROOM_LEVELS:
        fits = np.flatnonzero((share >= level) & usual)
        if fits.size:
            x, y, z = points[fits[0]]
            break
    if diameter_mm < 4.0 * max(tissue.grid.spacing_mm):
        # A lesion of a few voxels starts on a voxel, or it might fall between them.
        x, y, z = tissue.grid.to_world(np.rint(tissue.grid.to_voxel((x, y, z))))
    return float(x), float(y), float(z)


def part_of_pancreas(tissue: Tissue, part: str) -> NDArray[np.bool_]:
    """Estimate head, body or tail of a pancreas from its shape, where no mask of the part exists.

    The gland is walked from its lowest right end (the head lies in the duodenal loop, to the
    patient's right and below the tail); distance is measured through the gland, not through fat.

    Parameters
    ----------
    tissue
        The pancreas.
    part
        ``"head"``, ``"body"`` or ``"tail"``.
    """
    from scipy.sparse import coo_array  # slow to import, and needed here alone
    from scipy.sparse.csgraph import dijkstra

    # A coarse copy is enough: the result is three thick slices of a gland.
    inside = np.argwhere(tissue.organ)
    coarse_mm = 4.0
    world = tissue.grid.to_world(inside)
    cell = np.floor((world - world.min(axis=0)) / coarse_mm).astype(np.int64)
    shape = tuple(int(n) + 1 for n in cell.max(axis=0))
    flat = np.ravel_multi_index(tuple(cell.T), shape)
    nodes, back = np.unique(flat, return_inverse=True)
    where = np.stack(np.unravel_index(nodes, shape), axis=1)
    lookup = np.full(shape, -1)
    lookup[tuple(where.T)] = np.arange(len(nodes))
    padded = np.pad(lookup, 1, constant_values=-1)
    links = []
    for offset in np.ndindex(3, 3, 3):
        if offset <= (1, 1, 1):  # the other half of the neighbours
            continue
        other = padded[tuple((where + np.array(offset)).T)]
        found = np.flatnonzero(other >= 0)
        step = coarse_mm * np.linalg.norm(np.array(offset) - 1)
        links.append((found, other[found], np.full(found.size, step)))
    rows, columns, steps = (np.concatenate(column) for column in zip(*links, strict=True))
    graph = coo_array((steps, (rows, columns)), shape=(len(nodes), len(nodes)))
    # Right and below: the uncinate process is the lowest part, the tail the highest.
    start = int(np.argmax(where[:, 0] - 0.5 * where[:, 2]))
    along = dijkstra(graph.tocsr(), directed=False, indices=start)
    along[~np.isfinite(along)] = along[np.isfinite(along)].max()
    order = along[back] / max(float(along.max()), 1e-6)
    low, high = _PANCREAS_SHARES[part]
    chosen = (order >= low) & ((order < high) | (high == 1.0))
    result = np.zeros(tissue.organ.shape, np.bool_)
    result[tuple(inside[chosen].T)] = True
    return result


def _draw_inside(
    grid: Grid, free: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Up to ``_CANDIDATES`` points in mm whose nearest voxel is free, uniform in the volume."""
    shape = np.asarray(grid.shape)
    index = rng.random((_DRAWS, 3)) * shape - 0.5
    nearest = np.clip(np.rint(index).astype(np.int64), 0, shape - 1)
    hits = index[free[tuple(nearest.T)]][:_CANDIDATES]
    if len(hits) < _CANDIDATES // 4:
        # A thin organ fills little of its box: list its voxels instead of hoping to hit them.
        inside = np.argwhere(free)
        if not len(inside):
            return np.empty((0, 3))
        hits = inside[rng.integers(len(inside), size=_CANDIDATES)].astype(np.float64)
    return grid.to_world(hits)


def _ball(count: int) -> NDArray[np.float64]:
    """Points spread evenly in the unit ball: a Fibonacci sphere with radii of equal volume."""
    n = np.arange(count) + 0.5
    polar = np.arccos(1 - 2 * n / count)
    turn = np.pi * (1 + 5**0.5) * n
    radius = ((n * 0.754877666) % 1.0) ** (1 / 3)
    unit = np.stack(
        [np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], axis=1
    )
    points: NDArray[np.float64] = unit * radius[:, None]
    return points


def _survey(
    volume: Volume, tissue: Tissue, points_mm: NDArray[np.float64], radius_mm: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For a ball round each point: the share of it that is free organ, and the mean HU of that."""
    around = (points_mm[:, None, :] + _ball(_BALL_POINTS) * radius_mm).reshape(-1, 3)
    index = np.rint(tissue.grid.to_voxel(around)).astype(np.int64)
    shape = np.asarray(tissue.grid.shape)
    valid = ((index >= 0) & (index < shape)).all(axis=1)
    index = np.clip(index, 0, shape - 1)
    at = tuple(index.T)
    inside = (valid & tissue.organ[at] & (tissue.barrier[at] != BARRIER_STOP)).reshape(
        len(points_mm), -1
    )
    start = np.array([s.start for s in tissue.region])
    stored = volume.stored[tuple((index + start).T)].astype(np.float64).reshape(inside.shape)
    hu = stored * volume.slope + volume.intercept
    count = inside.sum(axis=1)
    mean = np.where(inside, hu, 0.0).sum(axis=1) / np.maximum(count, 1)
    return inside.mean(axis=1), mean
