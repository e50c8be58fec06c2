"""When each voxel of a lesion that is there became tumor: one field, from its mask alone.

A front is marched from the voxel that lies deepest below the mask's border, at a speed equal to
that depth. It slows down towards the border and reaches all of it at about the same time, so the
border of the real mask is one of its level sets; a ball shrinks to a concentric ball, a lobe or a
tail, behind a neck, was reached last. Voxels are ranked by arrival, so an earlier mask of any
volume is had exactly, is connected, and lies within every later one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.compiled import compiled
from scalemai.errors import GeometryError
from scalemai.geometry import Grid
from scalemai.synthesis.growth.front import rise, take_first
from scalemai.synthesis.removal.border import signed_distance_mm

__all__ = ["LesionPast", "trace_past"]


@dataclass(frozen=True, eq=False)
class LesionPast:
    """How a lesion came to be; arrays of a box.

    Parameters
    ----------
    rank
        int32: order of arrival, 0 at the core; -1 outside the lesion.
    time
        float64: arrival time, dimensionless; inf outside.
    depth_mm
        Signed distance from the border of the final mask, positive inside.
    speed_mm
        Speed of the front in mm per unit of time.
    spacing_mm
        Distance between voxels along each axis.
    """

    rank: NDArray[np.int32]
    time: NDArray[np.float64]
    depth_mm: NDArray[np.float32]
    speed_mm: NDArray[np.float64]
    spacing_mm: tuple[float, float, float]

    @property
    def voxels(self) -> int:
        """Number of voxels of the final lesion."""
        return int(self.rank.max()) + 1

    def mask(self, voxels: int) -> NDArray[np.bool_]:
        """The lesion when it had so many voxels."""
        return np.asarray((self.rank >= 0) & (self.rank < voxels), np.bool_)

    def distance_mm(self, voxels: int) -> NDArray[np.float64]:
        """Distance of each voxel from the border of that time in mm, positive inside.

        Between voxels the border lies where the front was, so it has no steps.
        """
        if voxels >= self.voxels:
            return self.depth_mm.astype(np.float64)
        if voxels <= 0:
            return np.full(self.rank.shape, -np.inf)
        ordered = np.sort(self.time[self.rank >= 0])
        now = 0.5 * (ordered[voxels - 1] + ordered[voxels])
        inside = self.rank >= 0
        behind = np.zeros(self.rank.shape)
        behind[inside] = (now - self.time[inside]) * self.speed_mm[inside]
        behind = np.minimum(behind, np.maximum(self.depth_mm, 0.0))
        # Outside, the border has drawn back as far as at the nearest voxel of the lesion.
        return np.asarray(np.where(inside, behind, behind[self._nearest] + self.depth_mm))

    @cached_property
    def _nearest(self) -> tuple[NDArray[np.int32], ...]:
        """For each voxel of the box, the indices of the nearest voxel of the lesion."""
        found = ndimage.distance_transform_edt(
            self.rank < 0,
            sampling=self.spacing_mm,
            return_distances=False,
            return_indices=True,
        )
        return tuple(found)


def trace_past(inside: NDArray[np.bool_], grid: Grid) -> LesionPast:
    """Find when each voxel of a lesion became tumor.

    Parameters
    ----------
    inside
        Boolean array (i, j, k): one connected lesion.
    grid
        Its grid.

    Raises
    ------
    GeometryError
        If the mask is empty.
    """
    if not inside.any():
        raise GeometryError("an empty mask has no past")
    depth = signed_distance_mm(inside, grid)
    # Half a voxel at the border, where the centre of a voxel may lie on it.
    speed = np.maximum(depth.astype(np.float64), 0.5 * min(grid.spacing_mm))
    deepest = np.argwhere(inside & (depth == depth.max()))
    middle = np.argwhere(inside).mean(axis=0)
    apart = (((deepest - middle) * grid.spacing_mm) ** 2).sum(axis=1)
    seed = deepest[int(np.argmin(apart))]
    padded = np.pad(inside, 1)
    time = _march(
        padded.ravel(),
        np.pad(speed, 1, constant_values=1.0).ravel(),
        np.array(padded.shape, np.int64),
        np.array(grid.spacing_mm, np.float64),
        int(np.ravel_multi_index(tuple(seed + 1), padded.shape)),
    ).reshape(padded.shape)[1:-1, 1:-1, 1:-1]
    order = np.argsort(time[inside], kind="stable")
    ranks = np.empty(order.size, np.int32)
    ranks[order] = np.arange(order.size, dtype=np.int32)
    rank = np.full(inside.shape, -1, np.int32)
    rank[inside] = ranks
    return LesionPast(rank, time, depth, speed, grid.spacing_mm)


@compiled
def _reach_across(
    inside: NDArray[np.bool_],
    speed: NDArray[np.float64],
    steps: NDArray[np.int64],
    spacing: NDArray[np.float64],
    time: NDArray[np.float32],
    done: NDArray[np.bool_],
    heap: NDArray[np.int32],
    when: NDArray[np.float32],
    place: NDArray[np.int32],
) -> int:
    """Put voxels on the empty heap that touch reached ones by edge or corner; their number."""
    size = 0
    for cell in range(inside.size):
        if not inside[cell] or done[cell]:
            continue
        best = np.inf
        for i in range(-1, 2):
            for j in range(-1, 2):
                for k in range(-1, 2):
                    near = cell + i * steps[0] + j * steps[1] + k * steps[2]
                    if done[near]:
                        square = (i * spacing[0]) ** 2 + (j * spacing[1]) ** 2
                        square += (k * spacing[2]) ** 2
                        best = min(best, time[near] + np.sqrt(square) / speed[cell])
        if best < np.inf:
            time[cell] = best
            rise(heap, when, place, size, cell, time[cell])
            size += 1
    return size


@compiled
def _march(
    inside: NDArray[np.bool_],
    speed: NDArray[np.float64],
    shape: NDArray[np.int64],
    spacing: NDArray[np.float64],
    seed: int,
) -> NDArray[np.float64]:
    """Upwind arrival times from one voxel, first order, on a padded array."""
    total = inside.size
    time = np.full(total, np.inf, np.float32)
    done = np.zeros(total, np.bool_)
    heap = np.empty(total, np.int32)
    when = np.empty(total, np.float32)
    place = np.full(total, -1, np.int32)
    steps = np.array([shape[1] * shape[2], shape[2], 1])
    value = np.empty(3)
    weight = np.empty(3)
    time[seed] = 0.0
    rise(heap, when, place, 0, seed, time[seed])
    size = 1
    while True:
        if size == 0:
            # What hangs on by an edge or a corner of a voxel is reached across it.
            size = _reach_across(inside, speed, steps, spacing, time, done, heap, when, place)
            if size == 0:
                break
        cell = heap[0]
        take_first(heap, when, place, size)
        size -= 1
        place[cell] = -2
        done[cell] = True
        for axis in range(3):
            for sign in (-1, 1):
                other = cell + sign * steps[axis]
                if not inside[other] or done[other]:
                    continue
                count = 0
                for along in range(3):
                    best = np.inf
                    for side in (-1, 1):
                        near = other + side * steps[along]
                        if done[near] and time[near] < best:
                            best = time[near]
                    if best == np.inf:
                        continue
                    at = count
                    while at > 0 and value[at - 1] > best:
                        value[at] = value[at - 1]
                        weight[at] = weight[at - 1]
                        at -= 1
                    value[at] = best
                    weight[at] = 1.0 / (spacing[along] * spacing[along])
                    count += 1
                wait = 1.0 / speed[other]
                a = weight[0]
                b = weight[0] * value[0]
                c = weight[0] * value[0] * value[0]
                t = value[0] + wait / np.sqrt(a)
                for m in range(1, count):
                    if t <= value[m]:
                        break
                    a += weight[m]
                    b += weight[m] * value[m]
                    c += weight[m] * value[m] * value[m]
                    t = (b + np.sqrt(max(b * b - a * (c - wait * wait), 0.0))) / a
                if t < time[other]:
                    time[other] = t
                    at = place[other]
                    if at < 0:
                        at = size
                        size += 1
                    rise(heap, when, place, at, other, time[other])
    return time.astype(np.float64)
