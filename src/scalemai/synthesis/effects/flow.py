"""Potential flow on a coarse lattice: where tissue goes when something grows among it.

The lattice is staggered: sources are known in cells, flows through the faces between them. A
flow through a face is in cells of the lattice per unit of time, so the divergence is the volume
that a cell gains per unit of time as a share of the cell, whatever the spacing or the angles of
the lattice.

Between the faces each component of the velocity is a quadratic spline along its own axis and
linear along the others. The divergence of such a field is the linear interpolation of the
divergences of the cells, exactly: where cells neither gain nor lose volume, no point does. (These
are the lowest spaces of the spline complex of Buffa, Rivas, Sangalli and Vazquez, SIAM J Numer
Anal 2011;49:818-844.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalemai.compiled import compiled

__all__ = ["potential_flow", "trace_back"]

_PAD = 2  # closed cells kept on each side of the lattice, so that no spline leaves the arrays
_TOLERANCE = 2e-3  # of the norm of the source: 0.01 % of volume in a usual cell
_MOST_ITERATIONS = 300
_SLOW = 0.15  # cells per stage below which one midpoint step is exact enough


def potential_flow(
    source: NDArray[np.float64],
    openness: NDArray[np.float64],
    cell_mm: tuple[float, float, float],
    guess: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Solve div(k grad p) = -source with no flow out of the lattice.

    Parameters
    ----------
    source
        Array (i, j, k): volume gained per unit of time as a share of the cell; sums to zero over
        every connected part of the open cells.
    openness
        Array (i, j, k), 0 to 1: how easily tissue flows through a cell; 0 is rigid.
    cell_mm
        Sides of a cell in mm.
    guess
        A pressure of an earlier call to start from.

    Returns
    -------
    flow
        Array (3, i + 4, j + 4, k + 4), padded by two cells on every side: element ``(a, c)`` is
        the flow from cell ``c`` to the next along axis ``a``, in cells per unit of time.
    pressure
        Array as ``flow``, without its first axis.
    """
    shape = tuple(n + 2 * _PAD for n in source.shape)
    inner = tuple(slice(_PAD, -_PAD) for _ in range(3))
    k, b = np.zeros(shape), np.zeros(shape)
    k[inner], b[inner] = openness, source
    conductance = np.zeros((3, *shape))
    for axis, side in enumerate(cell_mm):
        here = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        after = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        both = k[here] * k[after] > 0.0
        conductance[axis][here] = np.where(both, 0.5 * (k[here] + k[after]), 0.0) / side**2
    conductance *= min(cell_mm) ** 2
    pressure = np.zeros(shape) if guess is None else guess.copy()
    _solve(conductance[0], conductance[1], conductance[2], b, pressure)
    flow = conductance
    for axis in range(3):
        here = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        flow[axis][here] *= -np.diff(pressure, axis=axis)
    return flow, pressure


@compiled
def _solve(
    cx: NDArray[np.float64],
    cy: NDArray[np.float64],
    cz: NDArray[np.float64],
    b: NDArray[np.float64],
    p: NDArray[np.float64],
) -> int:
    """Conjugate gradients, preconditioned by a modified incomplete Cholesky factorisation.

    The factorisation keeps the sums of rows (Gustafsson, BIT 1978;18:142-156), which makes the
    number of iterations grow with the root of the lattice's side only.
    """
    ni, nj, nk = b.shape
    diagonal = np.zeros((ni, nj, nk))
    pivot = np.zeros((ni, nj, nk))
    for i in range(1, ni - 1):
        for j in range(1, nj - 1):
            for k in range(1, nk - 1):
                d = (
                    cx[i, j, k] + cx[i - 1, j, k] + cy[i, j, k]
                    + cy[i, j - 1, k] + cz[i, j, k] + cz[i, j, k - 1]
                )  # fmt: skip
                if d == 0.0:
                    p[i, j, k] = 0.0
                    continue
                diagonal[i, j, k] = d
                ax = cx[i - 1, j, k] * pivot[i - 1, j, k]
                ay = cy[i, j - 1, k] * pivot[i, j - 1, k]
                az = cz[i, j, k - 1] * pivot[i, j, k - 1]
                e = d - ax * ax - ay * ay - az * az
                e -= 0.97 * (
                    ax * (cy[i - 1, j, k] + cz[i - 1, j, k]) * pivot[i - 1, j, k]
                    + ay * (cx[i, j - 1, k] + cz[i, j - 1, k]) * pivot[i, j - 1, k]
                    + az * (cx[i, j, k - 1] + cy[i, j, k - 1]) * pivot[i, j, k - 1]
                )
                if e < 0.25 * d:
                    e = d
                pivot[i, j, k] = 1.0 / np.sqrt(e)
    r = np.zeros((ni, nj, nk))
    z = np.zeros((ni, nj, nk))
    direction = np.zeros((ni, nj, nk))
    image = np.zeros((ni, nj, nk))
    wanted = 0.0
    left = 0.0
    for i in range(1, ni - 1):
        for j in range(1, nj - 1):
            for k in range(1, nk - 1):
                if diagonal[i, j, k] == 0.0:
                    continue
                v = b[i, j, k] - (
                    diagonal[i, j, k] * p[i, j, k]
                    - cx[i, j, k] * p[i + 1, j, k] - cx[i - 1, j, k] * p[i - 1, j, k]
                    - cy[i, j, k] * p[i, j + 1, k] - cy[i, j - 1, k] * p[i, j - 1, k]
                    - cz[i, j, k] * p[i, j, k + 1] - cz[i, j, k - 1] * p[i, j, k - 1]
                )  # fmt: skip
                r[i, j, k] = v
                left += v * v
                wanted += b[i, j, k] * b[i, j, k]
    wanted *= _TOLERANCE * _TOLERANCE
    previous = 0.0
    for iteration in range(_MOST_ITERATIONS):
        if left <= wanted:
            return iteration
        for i in range(1, ni - 1):
            for j in range(1, nj - 1):
                for k in range(1, nk - 1):
                    e = pivot[i, j, k]
                    if e > 0.0:
                        z[i, j, k] = e * (
                            r[i, j, k]
                            + cx[i - 1, j, k] * pivot[i - 1, j, k] * z[i - 1, j, k]
                            + cy[i, j - 1, k] * pivot[i, j - 1, k] * z[i, j - 1, k]
                            + cz[i, j, k - 1] * pivot[i, j, k - 1] * z[i, j, k - 1]
                        )
        product = 0.0
        for i in range(ni - 2, 0, -1):
            for j in range(nj - 2, 0, -1):
                for k in range(nk - 2, 0, -1):
                    e = pivot[i, j, k]
                    if e > 0.0:
                        z[i, j, k] = e * (
                            z[i, j, k]
                            + e
                            * (
                                cx[i, j, k] * z[i + 1, j, k]
                                + cy[i, j, k] * z[i, j + 1, k]
                                + cz[i, j, k] * z[i, j, k + 1]
                            )
                        )
                        product += z[i, j, k] * r[i, j, k]
        ratio = 0.0 if iteration == 0 else product / previous
        previous = product
        curvature = 0.0
        for i in range(1, ni - 1):
            for j in range(1, nj - 1):
                for k in range(1, nk - 1):
                    direction[i, j, k] = z[i, j, k] + ratio * direction[i, j, k]
        for i in range(1, ni - 1):
            for j in range(1, nj - 1):
                for k in range(1, nk - 1):
                    v = (
                        diagonal[i, j, k] * direction[i, j, k]
                        - cx[i, j, k] * direction[i + 1, j, k]
                        - cx[i - 1, j, k] * direction[i - 1, j, k]
                        - cy[i, j, k] * direction[i, j + 1, k]
                        - cy[i, j - 1, k] * direction[i, j - 1, k]
                        - cz[i, j, k] * direction[i, j, k + 1]
                        - cz[i, j, k - 1] * direction[i, j, k - 1]
                    )
                    image[i, j, k] = v
                    curvature += v * direction[i, j, k]
        if curvature <= 0.0:
            return iteration
        step = previous / curvature
        left = 0.0
        for i in range(1, ni - 1):
            for j in range(1, nj - 1):
                for k in range(1, nk - 1):
                    p[i, j, k] += step * direction[i, j, k]
                    r[i, j, k] -= step * image[i, j, k]
                    left += r[i, j, k] * r[i, j, k]
    return _MOST_ITERATIONS


@compiled
def _velocity(
    flow: NDArray[np.float64], x: float, y: float, z: float
) -> tuple[float, float, float]:
    """Velocity in cells per unit of time at a point in cells of the padded lattice."""
    _, ni, nj, nk = flow.shape
    x = min(max(x, 1.0), ni - 2.001)
    y = min(max(y, 1.0), nj - 2.001)
    z = min(max(z, 1.0), nk - 2.001)
    i, j, k = int(x), int(y), int(z)
    fx, fy, fz = x - i, y - j, z - k
    # The face nearest along the own axis; faces lie half a cell after their cell.
    a = int(np.rint(x - 0.5))
    t = x - 0.5 - a
    u = 0.0
    for d, w in ((a - 1, 0.5 * (0.5 - t) ** 2), (a, 0.75 - t * t), (a + 1, 0.5 * (0.5 + t) ** 2)):
        u += w * (
            (1.0 - fy) * ((1.0 - fz) * flow[0, d, j, k] + fz * flow[0, d, j, k + 1])
            + fy * ((1.0 - fz) * flow[0, d, j + 1, k] + fz * flow[0, d, j + 1, k + 1])
        )
    a = int(np.rint(y - 0.5))
    t = y - 0.5 - a
    v = 0.0
    for d, w in ((a - 1, 0.5 * (0.5 - t) ** 2), (a, 0.75 - t * t), (a + 1, 0.5 * (0.5 + t) ** 2)):
        v += w * (
            (1.0 - fx) * ((1.0 - fz) * flow[1, i, d, k] + fz * flow[1, i, d, k + 1])
            + fx * ((1.0 - fz) * flow[1, i + 1, d, k] + fz * flow[1, i + 1, d, k + 1])
        )
    a = int(np.rint(z - 0.5))
    t = z - 0.5 - a
    w_ = 0.0
    for d, w in ((a - 1, 0.5 * (0.5 - t) ** 2), (a, 0.75 - t * t), (a + 1, 0.5 * (0.5 + t) ** 2)):
        w_ += w * (
            (1.0 - fx) * ((1.0 - fy) * flow[2, i, j, d] + fy * flow[2, i, j + 1, d])
            + fx * ((1.0 - fy) * flow[2, i + 1, j, d] + fy * flow[2, i + 1, j + 1, d])
        )
    return u, v, w_


@compiled
def trace_back(flows: NDArray[np.float64], offset: NDArray[np.float64]) -> None:
    """Follow the centre of every cell back through the stages of a flow.

    Parameters
    ----------
    flows
        Array (stages, 3, i + 4, j + 4, k + 4) of :func:`potential_flow`, first stage first; each
        lasts ``1 / stages``.
    offset
        Array (3, i, j, k), filled with the place of each centre at the end minus its place at the
        beginning, in cells.
    """
    stages = flows.shape[0]
    dt = 1.0 / stages
    _, ni, nj, nk = offset.shape
    for i in range(ni):
        for j in range(nj):
            for k in range(nk):
                x, y, z = float(i + _PAD), float(j + _PAD), float(k + _PAD)
                for stage in range(stages - 1, -1, -1):
                    flow = flows[stage]
                    u, v, w = _velocity(flow, x, y, z)
                    fast = max(abs(u), abs(v), abs(w)) * dt
                    if fast == 0.0:
                        continue
                    if fast < _SLOW:
                        u, v, w = _velocity(
                            flow, x - 0.5 * dt * u, y - 0.5 * dt * v, z - 0.5 * dt * w
                        )
                        x, y, z = x - dt * u, y - dt * v, z - dt * w
                        continue
                    steps = 1 + int(fast / 0.7)
                    h = dt / steps
                    for step in range(steps):
                        if step > 0:
                            u, v, w = _velocity(flow, x, y, z)
                        u2, v2, w2 = _velocity(
                            flow, x - 0.5 * h * u, y - 0.5 * h * v, z - 0.5 * h * w
                        )
                        u3, v3, w3 = _velocity(
                            flow, x - 0.5 * h * u2, y - 0.5 * h * v2, z - 0.5 * h * w2
                        )
                        u4, v4, w4 = _velocity(flow, x - h * u3, y - h * v3, z - h * w3)
                        x -= h / 6.0 * (u + 2.0 * (u2 + u3) + u4)
                        y -= h / 6.0 * (v + 2.0 * (v2 + v3) + v4)
                        z -= h / 6.0 * (w + 2.0 * (w2 + w3) + w4)
                offset[0, i, j, k] = i + _PAD - x
                offset[1, i, j, k] = j + _PAD - y
                offset[2, i, j, k] = k + _PAD - z
