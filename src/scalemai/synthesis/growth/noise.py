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
    weight2 = 0.0
    for dx in range(2):
        wx = fx if dx else 1.0 - fx
        for dy in range(2):
            wy = fy if dy else 1.0 - fy
            for dz in range(2):
                w = wx * wy * (fz if dz else 1.0 - fz)
                a = (ix + dx) % 16
                b = (iy + dy) % 16
                c = (iz + dz) % 16
                total += w * table[a, b, c]
                weight2 += w * w
    # Interpolation averages independent numbers; dividing by the weights' norm keeps the variance.
    return float(total / np.sqrt(weight2))
