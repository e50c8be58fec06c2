"""The course of the pancreatic and bile ducts: from their masks, or from the gland around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.geometry import Grid, Region
from scalemai.synthesis.effects.centreline import CentreLine, centre_lines, smooth_line, voxel_graph
from scalemai.synthesis.effects.vesselness import tube_response
from scalemai.synthesis.growth.tissue import StructureBox
from scalemai.volume import Volume

__all__ = ["DuctCourse", "find_bile_duct", "find_duct"]

# Author's estimates, to be refined.
_CELL_MM = 1.5
_STEP_MM = 0.5
_PAD_MM = 4.0
_SMOOTH_MM = 4.0
_MASK_SMOOTH_MM = 2.0
_SNAP_MM = 4.0
_OUT_OF_NOISE = 4.0
_MASKED_COST = 0.02  # of unmasked gland: where the duct is known, the course keeps to it
_DUCT_RADII_MM = (1.0, 1.5, 2.5)
_SHORTEST_MM = 12.0
_GAP_MM = 20.0


@dataclass(frozen=True, eq=False)
class DuctCourse:
    """Where a duct runs.

    Parameters
    ----------
    line
        From upstream (tail, liver hilum) to the papilla; ``radius_mm`` is that of the largest ball
        inside what the duct runs in: the gland, or the mask of the bile duct.
    notes
        What had to be estimated, in words.
    """

    line: CentreLine
    notes: tuple[str, ...] = ()


def find_duct(volume: Volume, boxes: Mapping[str, StructureBox]) -> DuctCourse | None:
    """The course of the main pancreatic duct from the tail to the papilla.

    Where no mask shows the duct it is the middle of the gland, as near as a dark tube in the scan
    does not say otherwise.

    Parameters
    ----------
    volume
        The CT.
    boxes
        Masks by canonical name: ``pancreas`` is needed; ``pancreatic_duct`` and
        ``common_bile_duct`` help.

    Returns
    -------
    DuctCourse or None
        None if there is no pancreas, or one too small to have a course.
    """
    found = _Gland.of(volume, boxes)
    if found is None:
        return None
    notes: tuple[str, ...] = ()
    duct = boxes.get("pancreatic_duct")
    if duct is None:
        notes = ("pancreatic_duct: no mask: its course is estimated as the middle of the gland",)
    return _along(found, found.papilla, found.tail, notes)


def find_bile_duct(volume: Volume, boxes: Mapping[str, StructureBox]) -> DuctCourse | None:
    """The course of the common bile duct from the liver hilum to the papilla.

    From the mask of the duct; without one, only the part inside the head of the pancreas is
    estimated, which enters the head at the back of its top.
    """
    duct = boxes.get("common_bile_duct")
    if duct is not None:
        region = _padded(duct, volume.grid)
        lines = centre_lines(duct.within(region), volume.grid.crop(region), _STEP_MM)
        if lines:
            longest = max(lines, key=lambda line: float(line.along_mm[-1]))
            if longest.points_mm[0, 2] < longest.points_mm[-1, 2]:
                longest = CentreLine(longest.points_mm[::-1], longest.radius_mm[::-1])
            return DuctCourse(longest)
    found = _Gland.of(volume, boxes)
    if found is None:
        return None
    note = (
        "common_bile_duct: no mask: its course is estimated, and only inside the head of the "
        "pancreas"
    )
    return _along(found, found.papilla, found.porta, (note,))


@dataclass(frozen=True, eq=False)
class _Gland:
    """The pancreas as a graph of cells, with the nodes that ducts run between."""

    grid: Grid
    deep: NDArray[np.float64]
    world: NDArray[np.float64]
    cost: Any
    duct_mm: NDArray[np.float64]
    papilla: int
    tail: int
    porta: int

    @classmethod
    def of(cls, volume: Volume, boxes: Mapping[str, StructureBox]) -> _Gland | None:
        from scipy.sparse.csgraph import connected_components, dijkstra  # slow to import
        from scipy.spatial import cKDTree

        if "pancreas" not in boxes:
            return None
        region = _padded(boxes["pancreas"], volume.grid)
        fine = volume.grid.crop(region)
        organ = boxes["pancreas"].within(region)
        deep = ndimage.distance_transform_edt(organ, sampling=fine.spacing_mm)
        ease = np.where(organ, np.maximum(deep, 1e-3), 1.0) ** 2.0
        ease *= _darkness(volume.hu(region), organ, fine)
        duct = boxes.get("pancreatic_duct")
        known = None if duct is None else ndimage.binary_dilation(duct.within(region))
        if known is not None:
            ease[known] = float(ease.max()) / _MASKED_COST
        stride = [max(int(_CELL_MM / s), 1) for s in fine.spacing_mm]
        every = tuple(slice(0, None, n) for n in stride)
        affine = fine.affine.copy()
        affine[:3, :3] = affine[:3, :3] * stride
        coarse = Grid(organ[every].shape, affine)
        index, length = voxel_graph(organ[every], coarse)
        if len(index) < 10:
            return None
        _, cost = voxel_graph(organ[every], coarse, 1.0 / ease[every])
        world = coarse.to_world(index)
        bridges = _bridges(world, connected_components(length, directed=False)[1])
        length, cost = length + bridges, cost + bridges
        _, part = connected_components(length, directed=False)
        gland = part == np.bincount(part).argmax()
        # Right and below: the head lies in the duodenal loop, the tail climbs to the spleen.
        score = np.where(gland, world[:, 0] - 0.5 * world[:, 2], -np.inf)
        papilla = int(np.argmax(score))
        members = np.flatnonzero(gland)
        tree = cKDTree(world[members])
        bile = boxes.get("common_bile_duct")
        for box in (bile, duct):
            if box is None:
                continue
            voxels = np.argwhere(box.array) + [s.start for s in box.region]
            places = volume.grid.to_world(voxels)
            end = places[np.argmax(places[:, 0] - 0.5 * places[:, 2])]
            if box is bile:
                end = places[np.argmin(places[:, 2])]
            gap, node = tree.query(end)
            if gap <= 15.0:
                papilla = int(members[node])
        far = dijkstra(length, directed=False, indices=papilla)
        tail = int(np.argmax(np.where(gland, far, -1.0)))
        # The bile duct comes down behind the head, on its right.
        head = gland & (far <= 0.35 * far[tail])
        top = world[:, 2] - world[:, 1] + world[:, 0]
        porta = int(np.argmax(np.where(head, top, -np.inf)))
        masked = np.empty((0, 3))
        if duct is not None:
            masked = volume.grid.to_world(np.argwhere(duct.array) + [s.start for s in duct.region])
        return cls(fine, deep, world, cost, masked, papilla, tail, porta)


def _along(gland: _Gland, papilla: int, upstream: int, notes: tuple[str, ...]) -> DuctCourse | None:
    from scipy.sparse.csgraph import dijkstra  # slow to import

    _, came = dijkstra(gland.cost, directed=False, indices=papilla, return_predecessors=True)
    way = [upstream]
    while came[way[-1]] >= 0:
        way.append(int(came[way[-1]]))
    points = gland.world[way]
    if len(points) < 3:
        return None
    line = smooth_line(points, _STEP_MM, _SMOOTH_MM)
    if upstream == gland.tail and len(gland.duct_mm):
        line = smooth_line(_drawn_to(line, gland.duct_mm), _STEP_MM, _MASK_SMOOTH_MM)
    length = float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())
    if length < _SHORTEST_MM:
        return None
    index = np.moveaxis(gland.grid.to_voxel(line), -1, 0)
    radius = ndimage.map_coordinates(gland.deep, index, order=1, mode="nearest")
    # The way begins at the very tip of the gland; no duct can be seen in its last millimetres.
    first = int(np.argmax(np.cumsum(np.full(len(line), _STEP_MM)) >= float(np.median(radius))))
    return DuctCourse(CentreLine(line[first:], radius[first:]), notes)


def _bridges(world_mm: NDArray[np.float64], part: NDArray[np.intp]) -> Any:
    """Edges in mm across the gaps of a gland whose mask fell into pieces, shortest first."""
    from scipy.sparse import coo_array  # slow to import
    from scipy.spatial import cKDTree

    part = np.array(part)
    rows, columns, lengths = [], [], []
    trees = {n: (np.flatnonzero(part == n), cKDTree(world_mm[part == n])) for n in np.unique(part)}
    joined = {n: n for n in trees}
    gaps = []
    for n, (members, _) in trees.items():
        for m, (others, tree) in trees.items():
            if m > n:
                gap, at = tree.query(world_mm[members], distance_upper_bound=_GAP_MM)
                best = int(np.argmin(gap))
                if np.isfinite(gap[best]):
                    gaps.append((float(gap[best]), n, m, members[best], others[at[best]]))
    for gap, n, m, one, other in sorted(gaps):
        if joined[n] == joined[m]:
            continue
        old, new = joined[m], joined[n]
        joined = {k: new if v == old else v for k, v in joined.items()}
        rows.append(one)
        columns.append(other)
        lengths.append(float(gap))
    shape = (len(world_mm),) * 2
    return coo_array((np.array(lengths, float), (rows, columns)), shape=shape).tocsr()


def _drawn_to(line: NDArray[np.float64], duct_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """A line moved to the middle of the voxels of a mask beside it, where there are any."""
    from scipy.spatial import cKDTree  # slow to import

    near = cKDTree(duct_mm).query_ball_point(line, _SNAP_MM)
    middle = [duct_mm[n].mean(axis=0) if n else point for n, point in zip(near, line, strict=True)]
    return np.array(middle)


def _darkness(hu: NDArray[np.float32], organ: NDArray[np.bool_], grid: Grid) -> NDArray[np.float64]:
    """Factor of 1 and more by which a dark tube that stands out of the noise draws the course."""
    inside = ndimage.binary_erosion(organ)
    if not inside.any():
        return np.ones(hu.shape)
    middle = float(np.median(hu[inside]))
    # Fat beside the gland must not look like the wall of a tube.
    level = np.clip(np.where(organ, hu, middle), middle - 80.0, middle + 40.0).astype(np.float32)
    radii = [radius for radius in _DUCT_RADII_MM if radius > 0.5 * max(grid.spacing_mm)]
    found = tube_response(level, grid, radii, inside, bright=False)
    values = found[inside]
    usual = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - usual)))
    cut = max(usual + _OUT_OF_NOISE * spread, 1.0)  # noise has tubes of its own
    gain = np.clip(found / cut - 1.0, 0.0, 3.0)
    draw: NDArray[np.float64] = (1.0 + gain) ** 1.5
    return draw


def _padded(box: StructureBox, grid: Grid) -> Region:
    reach = _PAD_MM * np.linalg.norm(grid.inverse[:3, :3], axis=1)
    region = grid.clip(
        np.array([s.start for s in box.region]) - reach,
        np.array([s.stop - 1 for s in box.region]) + reach,
    )
    assert region is not None  # the box is inside its own grid
    return region
