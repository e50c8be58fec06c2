"""Where a lesion starts: inside the organ, off its vessels, with room for the size asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from scalemai.compiled import compiled
from scalemai.errors import PlacementError
from scalemai.synthesis.growth.permeability import BARRIER_STOP
from scalemai.synthesis.growth.tissue import Tissue
from scalemai.volume import Volume

__all__ = ["ROOM_LEVELS", "ball", "choose_site", "draw_inside", "parts_of_pancreas"]

ROOM_LEVELS = (0.9, 0.75, 0.6, 0.45, 0.3, 0.0)
"""Shares of the lesion's ball inside the organ, in the order of preference (author's choice)."""

_SURFACE_ROOM = (0.5, 0.8)  # share of the ball inside, of a lesion at the surface
_SHOWN = 0.97
_CANDIDATES = 48
_BALL_POINTS = 160
_DRAWS, _DRAWN_AT_ONCE = 4096, 512
_COARSE_MM = 4.0

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
    *,
    at_surface: bool = False,
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
    at_surface
        Prefer places where a part of the lesion's ball lies beyond the organ: an exophytic
        lesion, or a nodule at the pleura.

    Returns
    -------
    tuple
        RAS+ mm.

    Raises
    ------
    PlacementError
        If no voxel of the part is free.
    """
    points = draw_inside(tissue, part, rng)
    if not len(points):
        raise PlacementError(
            f"no free place is left in the {tissue.structure}",
            fix="ask for fewer lesions or another site",
        )
    share, look, seen = _survey(volume, tissue, points, 0.5 * diameter_mm)
    # A ball that looks unlike the others lies in a large vessel, a cleft or a cyst.
    middle = np.median(look)
    usual = np.abs(look - middle) <= np.maximum(10.0, 3.0 * np.median(np.abs(look - middle)))
    wanted = [(share >= level) & usual for level in ROOM_LEVELS]
    if at_surface:
        wanted.insert(0, (share >= _SURFACE_ROOM[0]) & (share <= _SURFACE_ROOM[1]) & usual & seen)
    for suits in wanted:
        fits = np.flatnonzero(suits)
        if fits.size:
            x, y, z = points[fits[0]]
            break
    if diameter_mm < 1.5 * max(tissue.grid.spacing_mm):
        # A lesion of a few voxels starts on a voxel, or it might fall between them.
        x, y, z = tissue.grid.to_world(np.rint(tissue.grid.to_voxel((x, y, z))))
    return float(x), float(y), float(z)


def parts_of_pancreas(tissue: Tissue) -> Mapping[str, NDArray[np.bool_]]:
    """Estimate head, body and tail of a pancreas from its shape, where no masks of them exist.

    The gland is walked from its lowest right end (the head lies in the duodenal loop, to the
    patient's right and below the tail); distance is measured through the gland, not through fat.
    Crumbs of mask beside the gland belong to the part that they are nearest to.

    Parameters
    ----------
    tissue
        The pancreas.

    Returns
    -------
    mapping
        Boolean arrays of the tissue's box under ``"head"``, ``"body"`` and ``"tail"``.
    """
    # Slow to import, and needed here alone.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components, dijkstra
    from scipy.spatial import cKDTree

    # A coarse copy is enough: the result is three thick slices of a gland.
    inside = np.argwhere(tissue.organ)
    world = tissue.grid.to_world(inside)
    cell = np.floor((world - world.min(axis=0)) / _COARSE_MM).astype(np.int64)
    where, back = np.unique(cell, axis=0, return_inverse=True)
    back = back.ravel()
    pairs = cKDTree(where).query_pairs(1.8, output_type="ndarray")  # the 26 neighbours
    steps = np.linalg.norm(where[pairs[:, 0]] - where[pairs[:, 1]], axis=1)
    count = len(where)
    graph = coo_array((steps, (pairs[:, 0], pairs[:, 1])), shape=(count, count)).tocsr()
    _, component = connected_components(graph, directed=False)
    gland = np.flatnonzero(component == np.bincount(component[back]).argmax())
    # Right and below: the uncinate process is the lowest part, the tail the highest.
    start = gland[np.argmax(where[gland, 0] - 0.5 * where[gland, 2])]
    along = dijkstra(graph, directed=False, indices=int(start))[gland]
    _, nearest = cKDTree(where[gland]).query(where)
    order = (along[nearest] / max(float(along.max()), 1e-6))[back]
    parts = {}
    for part, (low, high) in _PANCREAS_SHARES.items():
        chosen = (order >= low) & ((order < high) | (high == 1.0))
        parts[part] = np.zeros(tissue.organ.shape, np.bool_)
        parts[part][tuple(inside[chosen].T)] = True
    return parts


def draw_inside(
    tissue: Tissue,
    part: NDArray[np.bool_] | None,
    rng: np.random.Generator,
    keep: Callable[[NDArray[np.int64]], NDArray[np.bool_]] | None = None,
) -> NDArray[np.float64]:
    """Draw points in mm, uniform in the volume, whose nearest voxel is free; at most 48.

    Parameters
    ----------
    tissue
        The organ.
    part
        Boolean array of the tissue's box that they must lie in; the whole organ if None.
    rng
        Stream of this decision.
    keep
        Which of some voxels, array (n, 3), to keep, for example those of a wall.
    """
    low, high = (np.array([getattr(s, end) for s in tissue.extent]) for end in ("start", "stop"))
    hits = np.empty((0, 3))
    for _ in range(_DRAWS // _DRAWN_AT_ONCE):
        index = low + rng.random((_DRAWN_AT_ONCE, 3)) * (high - low) - 0.5
        voxels = np.clip(np.rint(index).astype(np.int64), low, high - 1)
        at = tuple(voxels.T)
        free = tissue.organ[at] & (tissue.barrier[at] == 0)
        if part is not None:
            free &= part[at]
        if keep is not None:
            free[free] = keep(voxels[free])
        hits = np.concatenate([hits, index[free]])[:_CANDIDATES]
        if len(hits) == _CANDIDATES:
            break
    if len(hits) < _CANDIDATES // 4:
        # A thin organ fills little of its box: list its voxels instead of hoping to hit them.
        everywhere = tissue.organ[tissue.extent] & (tissue.barrier[tissue.extent] == 0)
        if part is not None:
            everywhere &= part[tissue.extent]
        inside = np.argwhere(everywhere) + low
        if not len(inside):
            return np.empty((0, 3))
        drawn = inside[rng.integers(len(inside), size=_CANDIDATES if keep is None else _DRAWS)]
        hits = (drawn if keep is None else drawn[keep(drawn)][:_CANDIDATES]).astype(np.float64)
    return tissue.grid.to_world(hits)


def ball(count: int) -> NDArray[np.float64]:
    """Points (count, 3) spread evenly in the unit ball: a Fibonacci sphere, equal volumes."""
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
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """For a ball round each point: the share of it that is free organ, and the mean HU of that.

    Third, whether the scan shows all of the ball: its end is no surface of the organ.
    """
    start = np.array([s.start for s in tissue.region])
    inside, shown, at = _balls(
        tissue.grid.to_voxel(points_mm),
        ball(_BALL_POINTS) @ (radius_mm * tissue.grid.inverse[:3, :3]).T,
        tissue.organ,
        tissue.barrier,
        start,
        np.array(volume.grid.shape),
    )
    # Numbers are fetched here, as files may hold them in an order of bytes unknown to kernels.
    stored = volume.stored[tuple((at + start).T)].astype(np.float64).reshape(inside.shape)
    hu = stored * volume.slope + volume.intercept
    count = inside.sum(axis=1)
    mean = np.where(inside, hu, 0.0).sum(axis=1) / np.maximum(count, 1)
    return inside.mean(axis=1), mean, shown > _SHOWN * _BALL_POINTS


@compiled
def _balls(
    centres: NDArray[np.float64],
    points: NDArray[np.float64],
    organ: NDArray[np.bool_],
    barrier: NDArray[np.uint8],
    start: NDArray[np.int64],
    scan: NDArray[np.int64],
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
    """Of points (p, 3) round centres (n, 3), in voxels: which are free organ (n, p), how many the
    scan shows (n,), and their voxels (n * p, 3), those beyond the arrays moved to the border.

    ``start`` is the first voxel of the arrays within a scan of shape ``scan``.
    """
    count, each = len(centres), len(points)
    inside, shown = np.zeros((count, each), np.bool_), np.zeros(count, np.int64)
    at = np.empty((count * each, 3), np.int64)
    ni, nj, nk = organ.shape
    for n in range(count):
        for m in range(each):
            i = int(np.rint(centres[n, 0] + points[m, 0]))
            j = int(np.rint(centres[n, 1] + points[m, 1]))
            k = int(np.rint(centres[n, 2] + points[m, 2]))
            shown[n] += (
                0 <= i + start[0] < scan[0]
                and 0 <= j + start[1] < scan[1]
                and 0 <= k + start[2] < scan[2]
            )
            if 0 <= i < ni and 0 <= j < nj and 0 <= k < nk:
                inside[n, m] = organ[i, j, k] and barrier[i, j, k] != BARRIER_STOP
            to = n * each + m
            at[to, 0] = min(max(i, 0), ni - 1)
            at[to, 1] = min(max(j, 0), nj - 1)
            at[to, 2] = min(max(k, 0), nk - 1)
    return inside, shown, at
