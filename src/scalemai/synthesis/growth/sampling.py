"""A field of arrival times asked at the scan's voxels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalemai.compiled import compiled

__all__ = ["STEEPEST", "reached_box", "sample"]

STEEPEST = 4.0
"""Most time per mm, and inverse of the least, that the width of a border follows."""


@compiled
def reached_box(
    time: NDArray[np.float32],
    limit: float,
    from_voxel: NDArray[np.float64],
    to_voxel: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest voxel indices (3,) of the cells that turned by a time."""
    n = time.shape[0]
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for i in range(n):
        for j in range(n):
            first, last = n, -1
            for k in range(n):
                if time[i, j, k] <= limit:
                    first = min(first, k)
                    last = k
            if last < 0:
                continue
            for k in (first, last):
                u, v, w = i - from_voxel[0, 3], j - from_voxel[1, 3], k - from_voxel[2, 3]
                for axis in range(3):
                    x = to_voxel[axis, 0] * u + to_voxel[axis, 1] * v + to_voxel[axis, 2] * w
                    low[axis] = min(low[axis], x)
                    high[axis] = max(high[axis], x)
    return low, high


@compiled
def _known_mean(
    times: tuple[float, float, float, float, float, float, float, float],
    x: float,
    y: float,
    z: float,
) -> tuple[float, float]:
    """As the trilinear mean of eight corners, of those that were reached; and their weight."""
    total, known = 0.0, 0.0
    for corner in range(8):
        t = times[corner]
        if t < np.inf:
            weight = x if corner & 4 else 1.0 - x
            weight *= y if corner & 2 else 1.0 - y
            weight *= z if corner & 1 else 1.0 - z
            total += weight * t
            known += weight
    return (total / known, known) if known > 0.0 else (0.0, 0.0)


@compiled
def _known_rise(
    times: tuple[float, float, float, float, float, float, float, float], bit: int
) -> float:
    """Mean of the corners at one face of a cell minus that at the opposite one; 0 if unknown."""
    early, late = 0.0, 0.0
    first, second = 0, 0
    for corner in range(8):
        t = times[corner]
        if t < np.inf:
            if corner & bit:
                late += t
                second += 1
            else:
                early += t
                first += 1
    return late / second - early / first if first and second else 0.0


@compiled
def sample(
    time: NDArray[np.float32],
    from_voxel: NDArray[np.float64],
    start: NDArray[np.int64],
    parts: NDArray[np.int64],
    edge: float,
    width: float,
    cell: float,
    outline: bool,
    density: NDArray[np.float32],
    filled: NDArray[np.float32],
    age: NDArray[np.float32],
) -> None:
    """Put a field on the voxels of a box.

    Parameters
    ----------
    time, from_voxel, cell
        Of the field: arrival times, matrix (3, 4) from voxel to cell indices, mm between cells.
    start, parts
        First voxel of the box, and points per voxel along each axis.
    edge, width
        Arrival time of the border, and the width in mm over which density fades.
    outline
        Whether to work out ``filled`` (and ``age``) only, which takes less time.
    density, filled, age
        Receive means over each voxel: density, share within the edge, time since turning.
    """
    ni, nj, nk = density.shape
    samples = parts[0] * parts[1] * parts[2]
    n = time.shape[0]
    fades = 0.5 * STEEPEST * width  # farther from the edge a place is all lesion or none
    # Offsets of points within a voxel, and the matrix, where the loop need not fetch them again.
    offsets = np.empty((3, parts.max()))
    for axis in range(3):
        for m in range(parts[axis]):
            offsets[axis, m] = start[axis] + (m + 0.5) / parts[axis] - 0.5
    na, nb, nc = parts[0], parts[1], parts[2]
    ux, uy, uz, u0 = from_voxel[0]
    vx, vy, vz, v0 = from_voxel[1]
    wx, wy, wz, w0 = from_voxel[2]
    for i in range(ni):
        for j in range(nj):
            for k in range(nk):
                soft = 0.0
                hard = 0
                deep = 0.0
                for a in range(na):
                    x = i + offsets[0, a]
                    for b in range(nb):
                        y = j + offsets[1, b]
                        for c in range(nc):
                            z = k + offsets[2, c]
                            u = ux * x + uy * y + uz * z + u0
                            v = vx * x + vy * y + vz * z + v0
                            w = wx * x + wy * y + wz * z + w0
                            p, q, r = int(np.floor(u)), int(np.floor(v)), int(np.floor(w))
                            if p < 0 or q < 0 or r < 0 or p >= n - 1 or q >= n - 1 or r >= n - 1:
                                continue
                            t0, t1 = time[p, q, r], time[p, q, r + 1]
                            t2, t3 = time[p, q + 1, r], time[p, q + 1, r + 1]
                            t4, t5 = time[p + 1, q, r], time[p + 1, q, r + 1]
                            t6, t7 = time[p + 1, q + 1, r], time[p + 1, q + 1, r + 1]
                            latest = max(max(t0, t1, t2, t3), max(t4, t5, t6, t7))
                            if latest < np.inf:
                                u, v, w = u - p, v - q, w - r
                                near = (1.0 - w) * t0 + w * t1
                                near += v * ((1.0 - w) * t2 + w * t3 - near)
                                beyond = (1.0 - w) * t4 + w * t5
                                beyond += v * ((1.0 - w) * t6 + w * t7 - beyond)
                                arrival = near + u * (beyond - near)
                            elif min(min(t0, t1, t2, t3), min(t4, t5, t6, t7)) == np.inf:
                                continue
                            else:
                                times = (t0, t1, t2, t3, t4, t5, t6, t7)
                                arrival, known = _known_mean(times, u - p, v - q, w - r)
                                if known < 0.2:  # beyond the last cell before a barrier
                                    continue
                            since = edge - arrival
                            if since >= 0.0:
                                hard += 1
                                deep += since
                            if outline or since <= -fades:
                                continue
                            # Time to depth in mm: the front passed here at 1 / slope.
                            if since >= fades:
                                soft += 1.0
                            else:
                                if latest < np.inf:
                                    du = 0.25 * (t4 + t5 + t6 + t7 - t0 - t1 - t2 - t3)
                                    dv = 0.25 * (t2 + t3 + t6 + t7 - t0 - t1 - t4 - t5)
                                    dw = 0.25 * (t1 + t3 + t5 + t7 - t0 - t2 - t4 - t6)
                                else:
                                    times = (t0, t1, t2, t3, t4, t5, t6, t7)
                                    du = _known_rise(times, 4)
                                    dv = _known_rise(times, 2)
                                    dw = _known_rise(times, 1)
                                square = du * du + dv * dv + dw * dw
                                slope = min(max(np.sqrt(square) / cell, 1.0 / STEEPEST), STEEPEST)
                                soft += min(max(since / (slope * width) + 0.5, 0.0), 1.0)
                density[i, j, k] = soft / samples
                filled[i, j, k] = hard / samples
                age[i, j, k] = deep / samples
