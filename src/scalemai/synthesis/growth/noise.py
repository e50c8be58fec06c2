"""Smooth periodic noise that any place can be asked for, without a field in memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalemai.compiled import compiled

__all__ = ["noise_table", "value_noise"]

_PERIOD = 16  # side of the table in cells; a lesion spans two or three of them


def noise_table(seed: int) -> NDArray[np.float32]:
    """Table (16, 16, 16) of standard normal numbers behind :func:`value_noise`."""
    rng = np.random.Generator(np.random.Philox(seed))
    return rng.standard_normal((_PERIOD,) * 3).astype(np.float32)


@compiled
def value_noise(table: NDArray[np.float32], x: float, y: float, z: float) -> float:
    """Smooth periodic noise of about unit variance at a point, in cells of the table."""
    ix, iy, iz = int(np.floor(x)), int(np.floor(y)), int(np.floor(z))
    fx, fy, fz = x - ix, y - iy, z - iz
    fx = fx * fx * (3.0 - 2.0 * fx)
    fy = fy * fy * (3.0 - 2.0 * fy)
    fz = fz * fz * (3.0 - 2.0 * fz)
    total = 0.0
    for dx in range(2):
        wx = fx if dx else 1.0 - fx
        a = (ix + dx) & 15
        for dy in range(2):
            wy = wx * (fy if dy else 1.0 - fy)
            b = (iy + dy) & 15
            total += wy * ((1.0 - fz) * table[a, b, iz & 15] + fz * table[a, b, (iz + 1) & 15])
    # Interpolation averages independent numbers; dividing by the weights' norm keeps the variance.
    norm = fx * fx + (1.0 - fx) * (1.0 - fx)
    norm *= fy * fy + (1.0 - fy) * (1.0 - fy)
    norm *= fz * fz + (1.0 - fz) * (1.0 - fz)
    return float(total / np.sqrt(norm))
