"""Compiled loops that put smooth shapes on a voxel grid. No anatomy here."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from scalemai.compiled import compiled

__all__ = ["capsules", "composite", "composite_tube", "resample", "value_noise"]


@compiled
def composite(
    hu: NDArray[np.float32],
    labels: NDArray[np.uint8],
    d: NDArray[np.float32],
    value: NDArray[np.float32],
    label: int,
    only: NDArray[np.bool_],
) -> None:
    """Lay a tissue over what is there, with the share of each voxel that the shape covers.

    A box voxel cut by a plane is covered by a ramp of the field; the ramp's width is the norm of
    the field's change per voxel, which has the variance of the exact box profile. So ``d`` need
    not be a distance: any smooth field that is negative inside will do.
    """
    ni, nj, nk = d.shape
    for i in range(ni):
        for j in range(nj):
            for k in range(nk):
                v = d[i, j, k]
                if v > 50.0 or not only[labels[i, j, k]]:
                    continue
                ia, ib = max(i - 1, 0), min(i + 1, ni - 1)
                ja, jb = max(j - 1, 0), min(j + 1, nj - 1)
                ka, kb = max(k - 1, 0), min(k + 1, nk - 1)
                gi = (d[ib, j, k] - d[ia, j, k]) / max(ib - ia, 1)
                gj = (d[i, jb, k] - d[i, ja, k]) / max(jb - ja, 1)
                gk = (d[i, j, kb] - d[i, j, ka]) / max(kb - ka, 1)
                width = math.sqrt(gi * gi + gj * gj + gk * gk)
                if width < 1e-6:
                    width = 1e-6
                share = 0.5 - v / width
                if share <= 0.0:
                    continue
                share = min(share, 1.0)
                hu[i, j, k] += np.float32(share) * (value[i, j, k] - hu[i, j, k])
                if v < 0.0 and label >= 0:
                    labels[i, j, k] = label


@compiled
def composite_tube(
    hu: NDArray[np.float32],
    labels: NDArray[np.uint8],
    d: NDArray[np.float32],
    radius: NDArray[np.float32],
    spacing: NDArray[np.float32],
    value: float,
    label: int,
    only: NDArray[np.bool_],
) -> None:
    """Like :func:`composite` for tubes, right also where a tube is thinner than a voxel.

    The centre of a thin tube of radius r, blurred by a voxel of deviation s, keeps
    ``1 - exp(-r^2 / 2 s^2)`` of its contrast.
    """
    ni, nj, nk = d.shape
    width = (spacing[0] + spacing[1] + spacing[2]) / 3.0
    for i in range(ni):
        for j in range(nj):
            for k in range(nk):
                v = d[i, j, k]
                if v > width or not only[labels[i, j, k]]:
                    continue
                share = min(max(0.5 - v / width, 0.0), 1.0)
                r = radius[i, j, k]
                s2 = width * width / 12.0
                peak = (1.0 - math.exp(-r * r / (2.0 * s2))) / min(0.5 + r / width, 1.0)
                share *= peak
                hu[i, j, k] += np.float32(share) * (np.float32(value) - hu[i, j, k])
                if v < 0.0 and label >= 0:
                    labels[i, j, k] = label


@compiled
def capsules(
    d: NDArray[np.float32],
    position: NDArray[np.float32],
    radius: NDArray[np.float32],
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    z: NDArray[np.float32],
    points: NDArray[np.float32],
    radii: NDArray[np.float32],
    where: NDArray[np.float32],
    segments: NDArray[np.int64],
    squeeze: NDArray[np.float32],
    margin: float,
) -> None:
    """Distance to the nearest of many tapering capsules, with its place along them and radius.

    ``squeeze`` multiplies offsets per world axis, so values below 1 make wide cross-sections.
    Voxels farther than ``margin`` from every capsule keep what they hold.
    """
    for s in range(segments.shape[0]):
        a, b = segments[s, 0], segments[s, 1]
        reach = max(radii[a], radii[b]) + margin
        ends = np.empty((3, 2), np.int64)
        for axis in range(3):
            line = x if axis == 0 else (y if axis == 1 else z)
            low = min(points[a, axis], points[b, axis]) - reach / squeeze[axis]
            high = max(points[a, axis], points[b, axis]) + reach / squeeze[axis]
            step = line[1] - line[0] if line.size > 1 else np.float32(1.0)
            ends[axis, 0] = max(math.ceil((low - line[0]) / step), 0)
            ends[axis, 1] = min(math.floor((high - line[0]) / step) + 1, line.size)
        ux = (points[b, 0] - points[a, 0]) * squeeze[0]
        uy = (points[b, 1] - points[a, 1]) * squeeze[1]
        uz = (points[b, 2] - points[a, 2]) * squeeze[2]
        length2 = ux * ux + uy * uy + uz * uz + 1e-9
        for i in range(ends[0, 0], ends[0, 1]):
            px = (x[i] - points[a, 0]) * squeeze[0]
            for j in range(ends[1, 0], ends[1, 1]):
                py = (y[j] - points[a, 1]) * squeeze[1]
                for k in range(ends[2, 0], ends[2, 1]):
                    pz = (z[k] - points[a, 2]) * squeeze[2]
                    h = (px * ux + py * uy + pz * uz) / length2
                    h = min(max(h, 0.0), 1.0)
                    qx, qy, qz = px - h * ux, py - h * uy, pz - h * uz
                    r = radii[a] + h * (radii[b] - radii[a])
                    v = math.sqrt(qx * qx + qy * qy + qz * qz) - r
                    if v < d[i, j, k]:
                        d[i, j, k] = v
                        position[i, j, k] = where[a] + h * (where[b] - where[a])
                        radius[i, j, k] = r


@compiled
def resample(
    lattice: NDArray[np.float32],
    u: NDArray[np.float32],
    v: NDArray[np.float32],
    w: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Trilinear values of a lattice at the separable index coordinates ``u``, ``v``, ``w``."""
    for i in range(u.size):
        a = min(int(u[i]), lattice.shape[0] - 2)
        fa = u[i] - a
        for j in range(v.size):
            b = min(int(v[j]), lattice.shape[1] - 2)
            fb = v[j] - b
            for k in range(w.size):
                c = min(int(w[k]), lattice.shape[2] - 2)
                fc = w[k] - c
                p00 = lattice[a, b, c] + fc * (lattice[a, b, c + 1] - lattice[a, b, c])
                p01 = lattice[a, b + 1, c] + fc * (lattice[a, b + 1, c + 1] - lattice[a, b + 1, c])
                p10 = lattice[a + 1, b, c] + fc * (lattice[a + 1, b, c + 1] - lattice[a + 1, b, c])
                p11 = lattice[a + 1, b + 1, c] + fc * (
                    lattice[a + 1, b + 1, c + 1] - lattice[a + 1, b + 1, c]
                )
                p0 = p00 + fb * (p01 - p00)
                p1 = p10 + fb * (p11 - p10)
                out[i, j, k] = p0 + fa * (p1 - p0)


@compiled
def value_noise(
    tile: NDArray[np.float32],
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    z: NDArray[np.float32],
    scale: float,
    out: NDArray[np.float32],
) -> None:
    """Smooth noise from a periodic tile at points (3-D arrays, broadcast) times ``scale``."""
    n = tile.shape[0]
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                gx, gy, gz = x[i, j, k] * scale, y[i, j, k] * scale, z[i, j, k] * scale
                fx, fy, fz = math.floor(gx), math.floor(gy), math.floor(gz)
                tx, ty, tz = gx - fx, gy - fy, gz - fz
                a, b, c = int(fx) % n, int(fy) % n, int(fz) % n
                a1, b1, c1 = (a + 1) % n, (b + 1) % n, (c + 1) % n
                tx, ty = tx * tx * (3 - 2 * tx), ty * ty * (3 - 2 * ty)
                tz = tz * tz * (3 - 2 * tz)
                p00 = tile[a, b, c] + tz * (tile[a, b, c1] - tile[a, b, c])
                p01 = tile[a, b1, c] + tz * (tile[a, b1, c1] - tile[a, b1, c])
                p10 = tile[a1, b, c] + tz * (tile[a1, b, c1] - tile[a1, b, c])
                p11 = tile[a1, b1, c] + tz * (tile[a1, b1, c1] - tile[a1, b1, c])
                p0 = p00 + ty * (p01 - p00)
                p1 = p10 + ty * (p11 - p10)
                out[i, j, k] = p0 + tx * (p1 - p0)
