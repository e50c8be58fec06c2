"""Centre lines of vessels and ducts."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.geometry import Grid

__all__ = [
    "CentreLine",
    "centre_lines",
    "smooth_line",
    "voxel_graph",
]

_FEWEST_VOXELS = 4
_MOST_BRANCHES = 24
_WIDE_VOXELS = 4.0  # a vessel of this radius is as well known from every other voxel


@dataclass(frozen=True, eq=False)
class CentreLine:
    """A smooth line along the middle of a tube, in equal steps.

    Parameters
    ----------
    points_mm
        RAS+ mm, shape (n, 3), n >= 2.
    radius_mm
        Radius in mm of the largest ball inside the tube there, shape (n,).
    """

    points_mm: NDArray[np.float64]
    radius_mm: NDArray[np.float64]

    @property
    def along_mm(self) -> NDArray[np.float64]:
        """Length in mm from the first point, shape (n,)."""
        steps = np.linalg.norm(np.diff(self.points_mm, axis=0), axis=1)
        return np.concatenate([[0.0], np.cumsum(steps)])

    @property
    def tangents(self) -> NDArray[np.float64]:
        """Unit vectors along the line, shape (n, 3)."""
        slope = np.gradient(self.points_mm, axis=0)
        unit: NDArray[np.float64] = slope / np.maximum(
            np.linalg.norm(slope, axis=1, keepdims=True), 1e-9
        )
        return unit


def voxel_graph(
    inside: NDArray[np.bool_], grid: Grid, cost: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.intp], Any]:
    """The voxels of a mask as a graph of 26 neighbours with edges in mm.

    Parameters
    ----------
    inside, grid
        Boolean array (i, j, k) and its grid.
    cost
        Factor per voxel, array (i, j, k), that an edge's length is multiplied by (mean of its
        two ends); 1 if None.

    Returns
    -------
    index
        Voxel indices (n, 3) of the nodes.
    graph
        Upper half of the distance matrix, a scipy CSR array (n, n).
    """
    from scipy.sparse import coo_array  # slow to import

    index = np.argwhere(inside)
    number = np.full(inside.shape, -1, np.int32)
    number[tuple(index.T)] = np.arange(len(index))
    rows, columns, lengths = [], [], []
    for step in product((-1, 0, 1), repeat=3):
        if step <= (0, 0, 0):
            continue
        here = tuple(slice(max(-s, 0), -s if s > 0 else None) for s in step)
        there = tuple(slice(max(s, 0), s if s < 0 else None) for s in step)
        both = inside[here] & inside[there]
        mm = float(np.linalg.norm(grid.affine[:3, :3] @ step))
        one, other = number[here][both], number[there][both]
        rows.append(one)
        columns.append(other)
        if cost is None:
            lengths.append(np.full(one.size, mm))
        else:
            lengths.append(mm * 0.5 * (cost[here][both] + cost[there][both]))
    edges = (np.concatenate(rows), np.concatenate(columns))
    graph = coo_array((np.concatenate(lengths), edges), shape=(len(index),) * 2).tocsr()
    return index, graph


def smooth_line(
    points_mm: NDArray[np.float64], step_mm: float, sigma_mm: float
) -> NDArray[np.float64]:
    """A polyline, RAS+ mm (n, 3), in equal steps and smoothed; its ends stay where they are."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points_mm, axis=0), axis=1))])
    keep = np.concatenate([[True], np.diff(length) > 1e-9])
    count = max(int(np.ceil(length[-1] / step_mm)) + 1, 3)
    at = np.linspace(0.0, length[-1], count)
    even = np.stack([np.interp(at, length[keep], points_mm[keep, a]) for a in range(3)], axis=1)
    if length[-1] <= 0.0:
        return even
    # Reflected through the end points, so that a straight line stays as long as it is.
    pad = min(count - 1, int(np.ceil(4.0 * sigma_mm / step_mm)))
    before = 2.0 * even[0] - even[pad:0:-1]
    after = 2.0 * even[-1] - even[-2 : -pad - 2 : -1]
    long = np.concatenate([before, even, after])
    sigma = sigma_mm / (length[-1] / (count - 1))
    smooth = ndimage.gaussian_filter1d(long, sigma, axis=0, mode="nearest")
    line: NDArray[np.float64] = smooth[pad : pad + count]
    return line


def centre_lines(
    mask: NDArray[np.bool_], grid: Grid, step_mm: float | None = None
) -> tuple[CentreLine, ...]:
    """Centre lines of every branch of a vessel, the longest of each connected part first.

    From the end of each part the voxel that is farthest along the vessel is reached along the
    way on which the wall is farthest; what lies beside that way is done, and the rest is a branch
    (the scheme of Sato et al., "TEASAR", Pacific Graphics 2000).

    Parameters
    ----------
    mask, grid
        Boolean array (i, j, k) and its grid.
    step_mm
        Distance of the points; half the smallest spacing if None.

    Returns
    -------
    tuple
        Empty for a mask of fewer than 4 voxels.
    """
    if np.count_nonzero(mask) < _FEWEST_VOXELS:
        return ()
    padded = np.pad(mask, 1, mode="edge")  # a vessel that is cut off has no wall at the cut
    deep = ndimage.distance_transform_edt(padded, sampling=grid.spacing_mm)[1:-1, 1:-1, 1:-1]
    widest = float(deep.max())
    stride = [max(int(widest / (_WIDE_VOXELS * s)), 1) for s in grid.spacing_mm]
    every = tuple(slice(0, None, n) for n in stride)
    affine = grid.affine.copy()
    affine[:3, :3] = affine[:3, :3] * stride
    thin = mask[every]
    coarse = Grid(thin.shape, affine)
    if np.count_nonzero(thin) < _FEWEST_VOXELS:
        return ()
    ways = _ways(thin, deep[every], coarse)
    step = 0.5 * min(grid.spacing_mm) if step_mm is None else step_mm
    lines = []
    for points, radius in ways:
        sigma = max(float(np.median(radius)), max(coarse.spacing_mm))
        line = smooth_line(points, step, sigma)
        index = np.moveaxis(grid.to_voxel(line), -1, 0)
        around = ndimage.map_coordinates(deep, index, order=1, mode="nearest")
        lines.append(CentreLine(line, around))
    return tuple(lines)


def _ways(
    mask: NDArray[np.bool_], deep: NDArray[np.float64], grid: Grid
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Points in mm and radii in mm of the branches, voxel by voxel."""
    from scipy.sparse.csgraph import connected_components, dijkstra  # slow to import
    from scipy.spatial import cKDTree

    index, length = voxel_graph(mask, grid)
    _, cost = voxel_graph(mask, grid, np.where(mask, np.maximum(deep, 1e-3), np.inf) ** -2.0)
    world, radius = grid.to_world(index), deep[tuple(index.T)]
    tree = cKDTree(world)
    count, part = connected_components(length, directed=False)
    ways = []
    coarsest = max(grid.spacing_mm)
    for number in range(count):
        members = np.flatnonzero(part == number)
        if members.size < _FEWEST_VOXELS:
            continue
        first = dijkstra(length, directed=False, indices=members[0])
        root = members[np.argmax(first[members])]
        far = dijkstra(length, directed=False, indices=root)
        _, came = dijkstra(cost, directed=False, indices=root, return_predecessors=True)
        todo = np.zeros(len(index), np.bool_)
        todo[members] = True
        on_a_way = np.zeros(len(index), np.bool_)
        for _ in range(_MOST_BRANCHES):
            if not todo.any():
                break
            at = int(np.argmax(np.where(todo, far, -1.0)))
            way = [at]
            while came[at] >= 0 and not on_a_way[at]:
                at = int(came[at])
                way.append(at)
            joined = on_a_way[at]
            for near in tree.query_ball_point(world[way], 1.3 * radius[way] + coarsest):
                todo[near] = False
            on_a_way[way] = True
            points, wide = world[way], radius[way]
            kept = _without_ends(points, wide, joined)
            if kept is not None:
                ways.append(kept)
    return ways


def _without_ends(
    points: NDArray[np.float64], radius: NDArray[np.float64], joined: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """A way without the turn to the rim of the tube at its free ends; None for a mere spur."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    wide = float(np.median(radius))
    if joined and along[-1] < radius[-1] + 2.0 * wide:
        return None
    low, high = wide, along[-1] if joined else along[-1] - wide
    keep = (along >= low) & (along <= high)
    if np.count_nonzero(keep) < 3:
        # Hardly longer than wide: the straight line through it.
        middle = points.mean(axis=0)
        axis = np.linalg.svd(points - middle)[2][0] if len(points) > 1 else np.array([0, 0, 1.0])
        half = max(0.5 * along[-1], 0.5)
        ends = middle + np.outer([-half, 0.0, half], axis)
        return ends, np.full(3, radius.max())
    return points[keep], radius[keep]
