"""Mass effect: a lesion that grew has pushed tissue aside, and every structure with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import edt
import numpy as np
from numpy.typing import NDArray

from scalemai.compiled import compiled
from scalemai.geometry import Grid, Region
from scalemai.synthesis.effects.compliance import Lattice, Surroundings, lay_lattice, survey
from scalemai.synthesis.effects.flow import potential_flow, trace_back
from scalemai.synthesis.growth.tissue import StructureBox
from scalemai.volume import Volume

__all__ = ["Displacement", "push_aside", "warp_point"]

_CELLS_PER_RADIUS = 6.0
_MARGINS = (11, 14, 18, 24)  # cells beyond the lesion's box: 1.8 to 4 radii
_COMFORT = 0.5  # a nearer border is good enough if fat loses no more than half of what it can
_LARGEST_SHARE = 0.9  # what a lesion starts from replaces tissue, it does not push it
_VISIBLE_VOXELS = 0.5
_LEAST_JACOBIAN = 0.01
_PARTS = (1.0, 0.7, 0.5, 0.35, 0.25)  # of the share, tried in turn until nothing folds


@dataclass(frozen=True, eq=False)
class Displacement:
    """Where the tissue in a box of the volume has gone.

    Parameters
    ----------
    region
        The box within the volume. Nothing moves on its border or beyond.
    grid
        Grid of the box.
    offset
        float32 array (3, i, j, k) in voxels of the box: what is now at voxel ``x`` came from
        ``x - offset[:, x]``.
    lesion
        The lesion that pushed. Within it the field only joins what lies around it.
    share
        Share of the lesion's volume that has been pushed aside. It is less than what was asked
        for where the tissue around has not enough room.
    """

    region: Region
    grid: Grid
    offset: NDArray[np.float32]
    lesion: StructureBox
    share: float

    @cached_property
    def within(self) -> NDArray[np.bool_]:
        """Boolean array of the box: the lesion."""
        inside = np.zeros(self.grid.shape, np.bool_)
        here, there = [], []
        for mine, its in zip(self.region, self.lesion.region, strict=True):
            low = max(mine.start, its.start)
            high = max(min(mine.stop, its.stop), low)
            here.append(slice(low - mine.start, high - mine.start))
            there.append(slice(low - its.start, high - its.start))
        inside[tuple(here)] = self.lesion.array[tuple(there)]
        return inside

    @cached_property
    def greatest_mm(self) -> float:
        """Length in mm of the largest displacement outside the lesion."""
        metric = (self.grid.affine[:3, :3].T @ self.grid.affine[:3, :3]).astype(np.float32)
        return float(np.sqrt(_greatest(self.offset, self.within, metric)))

    @cached_property
    def least_jacobian(self) -> float:
        """Least volume ratio of the map ``x -> x - offset``: positive if nothing folds.

        The least of the determinants at the eight corners of every cell between voxel centres,
        each from the three edges that meet there.
        """
        middle = np.array(
            [
                (inner.start + inner.stop) // 2 - outer.start
                for inner, outer in zip(self.lesion.region, self.region, strict=True)
            ]
        )
        middle = np.clip(middle, 0, np.array(self.grid.shape) - 2)
        return float(_least_jacobian(self.offset, middle))


def push_aside(
    volume: Volume,
    lesion: StructureBox,
    share: float,
    *,
    rigid: Iterable[StructureBox] = (),
    kept: Iterable[StructureBox] = (),
) -> Displacement | None:
    """How the tissue around a lesion has moved while it grew.

    The lesion is a source of volume from which tissue flows away along the gradient of a
    potential, as through a porous body, without losing volume. Around a sphere this is
    ``r' = (r**3 + c**3) ** (1 / 3)``. Bone lets no flow through. The volume finds room in the
    surroundings: every tissue may lose half a per cent, and fat that has no mask more.
    Where there is too little room the lesion pushes less; see :attr:`Displacement.share`.

    Parameters
    ----------
    volume
        The CT before the lesion is painted.
    lesion
        Mask of the lesion as it is in the end.
    share
        Share of its volume, 0 to 1, that pushed tissue aside; the rest took the place of tissue.
    rigid
        Masks of bones. Without them what is dense and has no mask counts as bone.
    kept
        Masks that must keep their volume: all that the case has.

    Returns
    -------
    Displacement or None
        None if nothing outside the lesion moves by half a voxel of the finest axis: nothing
        would be seen.
    """
    spacing = np.asarray(volume.grid.spacing_mm)
    voxels = int(np.count_nonzero(lesion.array))
    share = min(share, _LARGEST_SHARE)
    radius = (3.0 * voxels * volume.grid.voxel_volume_mm3 / (4.0 * np.pi)) ** (1.0 / 3.0)
    # A sphere's surface moves furthest, from its smaller radius of before.
    if share <= 0.0 or radius * (1.0 - (1.0 - share) ** (1.0 / 3.0)) < 0.3 * spacing.min():
        return None
    sides = np.maximum(np.rint(radius / _CELLS_PER_RADIUS / spacing), 1).astype(int)
    step = (int(sides[0]), int(sides[1]), int(sides[2]))
    wanted = share * voxels / float(np.prod(sides))
    room = _make_room(volume, lesion, step, wanted, tuple(rigid), tuple(kept))
    if room is None:
        return None
    lattice, around, sink = room
    if not (around.lesion * around.openness).any():  # within bone, or at the border of the volume
        return None
    pushed = share * min(float(sink.sum()) / wanted, 1.0)
    flows = _stages(volume.grid, lattice, around, sink, lesion, pushed)
    region = lattice.region
    # Wedged against bone, tissue would have to squeeze through less than a cell of the lattice.
    # The lesion has pushed less then: the same flow for a shorter time.
    for part in _PARTS:
        nodes = np.zeros((3, *lattice.shape))
        trace_back(part * flows, nodes)
        nodes *= np.array(lattice.step)[:, None, None, None]
        offset = _refine(nodes.astype(np.float32), lattice, region)
        found = Displacement(region, volume.grid.crop(region), offset, lesion, part * pushed)
        if found.greatest_mm < _VISIBLE_VOXELS * spacing.min():
            return None
        if found.least_jacobian >= _LEAST_JACOBIAN:
            return found
    return None


def warp_point(
    point_mm: tuple[float, float, float], displacement: Displacement
) -> tuple[float, float, float]:
    """Where the tissue at a point, RAS+ mm, has gone, in RAS+ mm."""
    start = displacement.grid.to_voxel(point_mm)
    if (start <= 0).any() or (start >= np.array(displacement.grid.shape) - 1).any():
        return point_mm
    place = displacement.grid.to_world(_follow(displacement.offset, start))
    return float(place[0]), float(place[1]), float(place[2])


def _make_room(
    volume: Volume,
    lesion: StructureBox,
    step: tuple[int, int, int],
    wanted: float,
    rigid: tuple[StructureBox, ...],
    kept: tuple[StructureBox, ...],
) -> tuple[Lattice, Surroundings, NDArray[np.float64]] | None:
    """The smallest surroundings that have room for a volume in cells, and where; else the largest.

    None if the lesion lies so near the border of the volume that nothing can move.
    """
    found = None
    for margin in _MARGINS:
        lattice = lay_lattice(volume.grid.shape, lesion, step, margin)
        if lattice is None:
            return None
        around = survey(volume, lattice, lesion, rigid, kept)
        comfort = 1.0 if margin == _MARGINS[-1] else _COMFORT
        sink = around.yielding(wanted, comfort)
        found = lattice, around, sink
        if sink.sum() >= (1.0 - 1e-9) * wanted:
            break
    return found


def _stages(
    grid: Grid,
    lattice: Lattice,
    around: Surroundings,
    sink: NDArray[np.float64],
    lesion: StructureBox,
    share: float,
) -> NDArray[np.float64]:
    """The flows of all stages, as :func:`trace_back` takes them."""
    sources = _growing_cores(grid, lattice, around, lesion, share)
    cell_mm = tuple(n * s for n, s in zip(lattice.step, grid.spacing_mm, strict=True))
    flows, pressure = [], None
    for source in sources:
        flow, pressure = potential_flow(
            source * sink.sum() - sink,
            around.openness,
            (cell_mm[0], cell_mm[1], cell_mm[2]),
            pressure,
        )
        flows.append(flow)
    return np.stack(flows)


def _growing_cores(
    grid: Grid, lattice: Lattice, around: Surroundings, lesion: StructureBox, share: float
) -> list[NDArray[np.float64]]:
    """The source of each stage: the tissue that is lesion already, each summing to one.

    A source that reached beyond would swell tissue that is still to be pushed out. It is drawn in
    by half a cell since the lattice blurs it, but not so far that the core thins out to nothing.
    """
    depth = edt.edt(np.pad(lesion.array, 1), anisotropy=grid.spacing_mm, parallel=1)[
        1:-1, 1:-1, 1:-1
    ]
    depths = np.sort(depth[lesion.array])[::-1]
    radius = _CELLS_PER_RADIUS
    stages = 3 if share <= 0.6 else 5
    open_cells = around.openness > 0.0
    sources = []
    for stage in range(stages):
        filled = 1.0 - share * (1.0 - stage / stages)
        side = radius * filled ** (1.0 / 3.0)
        drawn_in = filled * max(1.0 - 0.5 / side, 0.6) ** 3
        filled = max(drawn_in, min(filled, share / stages / 0.7))
        least = depths[min(int(filled * depths.size), depths.size - 1)]
        core = StructureBox(lesion.name, lesion.region, lesion.array & (depth >= least))
        source = lattice.share(core) * open_cells
        if not source.any():
            source = around.lesion * open_cells
        sources.append(source / max(float(source.sum()), 1e-12))
    return sources


def _refine(nodes: NDArray[np.float32], lattice: Lattice, region: Region) -> NDArray[np.float32]:
    """Cubic convolution (Keys 1981) from the centres of the cells to the voxels of a box."""
    values = nodes
    for axis in (2, 1, 0):
        start, step = lattice.start[axis], lattice.step[axis]
        voxel = np.arange(region[axis].start, region[axis].stop)
        place = (voxel - start - 0.5 * (step - 1)) / step
        first = np.floor(place).astype(np.int64) - 1
        t = place - np.floor(place)
        weights = np.stack(
            [
                0.5 * (-t + 2 * t**2 - t**3),
                0.5 * (2 - 5 * t**2 + 3 * t**3),
                0.5 * (t + 4 * t**2 - 3 * t**3),
                0.5 * (-(t**2) + t**3),
            ],
            axis=1,
        ).astype(np.float32)
        before, after = values.shape[: axis + 1], values.shape[axis + 2 :]
        flat = values.reshape(int(np.prod(before)), values.shape[axis + 1], -1)
        out = np.zeros((flat.shape[0], voxel.size, flat.shape[2]), np.float32)
        _interpolate(flat, first, weights, out)
        values = out.reshape(*before, voxel.size, *after)
    for axis in (1, 2, 3):
        edge = np.moveaxis(values, axis, 0)
        edge[0] = edge[-1] = 0.0
    return values


@compiled
def _interpolate(
    values: NDArray[np.float32],
    first: NDArray[np.int64],
    weights: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    nodes = values.shape[1]
    for a in range(values.shape[0]):
        for x in range(out.shape[1]):
            for d in range(4):
                node = first[x] + d
                if 0 <= node < nodes:
                    w = weights[x, d]
                    for c in range(values.shape[2]):
                        out[a, x, c] += w * values[a, node, c]


@compiled
def _greatest(
    offset: NDArray[np.float32], within: NDArray[np.bool_], metric: NDArray[np.float32]
) -> float:
    """Greatest squared length in mm outside a mask."""
    _, ni, nj, nk = offset.shape
    xx, yy, zz = metric[0, 0], metric[1, 1], metric[2, 2]
    xy, xz, yz = 2 * metric[0, 1], 2 * metric[0, 2], 2 * metric[1, 2]
    best = np.float32(0.0)
    for i in range(ni):
        for j in range(nj):
            for k in range(nk):
                if within[i, j, k]:
                    continue
                x, y, z = offset[0, i, j, k], offset[1, i, j, k], offset[2, i, j, k]
                length = xx * x * x + yy * y * y + zz * z * z + xy * x * y + xz * x * z + yz * y * z
                best = max(best, length)
    return float(best)


@compiled
def _least_jacobian(offset: NDArray[np.float32], middle: NDArray[np.int64]) -> float:
    _, ni, nj, nk = offset.shape
    least = _corner_jacobian(offset, middle[0], middle[1], middle[2])
    for i in range(ni - 1):
        for j in range(nj - 1):
            for k in range(nk - 1):
                # Where the differences of a component sum to m at most, no eigenvalue is below
                # 1 - m (Gershgorin): most cells need no more than this. The edges from one corner
                # stand for the others, with a margin of half as much again.
                m = 0.0
                for a in range(3):
                    here = offset[a, i, j, k]
                    m = max(
                        m,
                        abs(offset[a, i + 1, j, k] - here)
                        + abs(offset[a, i, j + 1, k] - here)
                        + abs(offset[a, i, j, k + 1] - here),
                    )
                bound = 1.0 - 1.5 * m
                if bound > 0.0 and bound * bound * bound > least:
                    continue
                least = min(least, _corner_jacobian(offset, i, j, k))
    return least


@compiled
def _corner_jacobian(offset: NDArray[np.float32], i: int, j: int, k: int) -> float:
    """Least determinant of ``x - offset`` at the corners of the cell from voxel (i, j, k)."""
    least = np.inf
    m = np.empty((3, 3))
    for a in range(2):
        for b in range(2):
            for c in range(2):
                for n in range(3):
                    o = offset[n]
                    m[n, 0] = o[i, j + b, k + c] - o[i + 1, j + b, k + c]
                    m[n, 1] = o[i + a, j, k + c] - o[i + a, j + 1, k + c]
                    m[n, 2] = o[i + a, j + b, k] - o[i + a, j + b, k + 1]
                    m[n, n] += 1.0
                least = min(
                    least,
                    m[0, 0] * (m[1, 1] * m[2, 2] - m[1, 2] * m[2, 1])
                    - m[0, 1] * (m[1, 0] * m[2, 2] - m[1, 2] * m[2, 0])
                    + m[0, 2] * (m[1, 0] * m[2, 1] - m[1, 1] * m[2, 0]),
                )
    return float(least)


@compiled
def _follow(offset: NDArray[np.float32], start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve ``y - offset(y) = start``: what lies at ``start`` ends at ``y``."""
    place = start.copy()
    for _ in range(200):
        moved = 0.0
        i, j, k = int(place[0]), int(place[1]), int(place[2])
        x, y, z = place[0] - i, place[1] - j, place[2] - k
        for a in range(3):
            o = offset[a]
            value = 0.0
            for p in range(2):
                for q in range(2):
                    for r in range(2):
                        weight = (x if p else 1 - x) * (y if q else 1 - y) * (z if r else 1 - z)
                        value += weight * o[i + p, j + q, k + r]
            after = start[a] + value
            after = min(max(after, 0.0), offset.shape[a + 1] - 1.001)
            moved = max(moved, abs(after - place[a]))
            place[a] = after
        if moved < 1e-4:
            break
    return place
