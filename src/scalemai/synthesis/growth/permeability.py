"""How fast the front moves at a place: what tissue lets through, times a random heterogeneity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalemai.compiled import compiled
from scalemai.synthesis.growth.noise import value_noise

__all__ = [
    "BARRIER_LUMEN",
    "BARRIER_OUTSIDE",
    "BARRIER_SLOW",
    "BARRIER_STOP",
    "BARRIER_WALL",
    "speed_at",
]

BARRIER_SLOW = 1
"""Code of a voxel that slows growth: a vessel or duct that has a mask."""

BARRIER_STOP = 2
"""Code of a voxel that growth never enters: another lesion, another organ, gas."""

BARRIER_OUTSIDE = 3
"""Code of a voxel beyond the organ that an exophytic lesion may enter: fat, or muscle at a bone."""

BARRIER_LUMEN = 4
"""Code of a voxel of fluid inside a hollow organ."""

BARRIER_WALL = 5
"""Code of a voxel in the wall of a hollow organ: the front runs freely."""

_SPICULE_HASTE = 3.0  # along a spicule; the wedge behind it opens by asin(1/3), 19 degrees a side
_SPICULE_CELLS = 1.2  # half width of the path in cells


@compiled
def _permeability(
    hu: NDArray[np.float32],
    domain: NDArray[np.bool_],
    barrier: NDArray[np.uint8],
    x: float,
    y: float,
    z: float,
    reach: NDArray[np.int64],
    tissue: NDArray[np.float64],
) -> float:
    """How easily tumor spreads here: 1 in parenchyma, 0 where it must stop."""
    ni, nj, nk = domain.shape
    i0, j0, k0 = int(np.floor(x)), int(np.floor(y)), int(np.floor(z))
    if i0 < -1 or j0 < -1 or k0 < -1 or i0 >= ni or j0 >= nj or k0 >= nk:
        return 0.0
    inside = 0.0
    for di in range(2):
        i = i0 + di
        if i < 0 or i >= ni:
            continue
        wi = x - i0 if di else 1.0 - (x - i0)
        for dj in range(2):
            j = j0 + dj
            if j < 0 or j >= nj:
                continue
            row = 0.0
            if k0 >= 0 and domain[i, j, k0]:
                row = 1.0 - (z - k0)
            if k0 + 1 < nk and domain[i, j, k0 + 1]:
                row += z - k0
            inside += wi * (y - j0 if dj else 1.0 - (y - j0)) * row
    if inside < 0.5:
        return 0.0
    ci = min(max(int(np.rint(x)), 0), ni - 1)
    cj = min(max(int(np.rint(y)), 0), nj - 1)
    ck = min(max(int(np.rint(z)), 0), nk - 1)
    mean, bright, dark, gas = tissue[0], tissue[1], tissue[2], tissue[3]
    slow_vessel, slow_fat = tissue[4], tissue[5]
    code = barrier[ci, cj, ck]
    if code == 2:
        return 0.0
    if code == 1:
        return float(slow_vessel)
    if code == 3:
        return float(tissue[6])
    if code == 4:
        return float(tissue[7])
    if code == 5:
        return 1.0
    # A mean over the neighbouring voxels of the organ: one noisy voxel is not a vessel.
    total = 0.0
    count = 0
    for i in range(max(ci - reach[0], 0), min(ci + reach[0] + 1, ni)):
        for j in range(max(cj - reach[1], 0), min(cj + reach[1] + 1, nj)):
            for k in range(max(ck - reach[2], 0), min(ck + reach[2] + 1, nk)):
                if domain[i, j, k] and barrier[i, j, k] != 3:
                    total += hu[i, j, k]
                    count += 1
    if count == 0:
        return 1.0
    local = total / count
    if local < gas:
        return 0.0
    if local > mean + bright:
        share = min((local - mean - bright) / bright, 1.0)
        return float(1.0 + share * (slow_vessel - 1.0))
    if local < mean - dark:
        share = min((mean - dark - local) / dark, 1.0)
        return float(1.0 + share * (slow_fat - 1.0))
    return 1.0


@compiled
def speed_at(
    cell: int,
    n: int,
    centre: int,
    hu: NDArray[np.float32],
    domain: NDArray[np.bool_],
    barrier: NDArray[np.uint8],
    to_voxel: NDArray[np.float64],
    reach: NDArray[np.int64],
    tissue: NDArray[np.float64],
    table: NDArray[np.float32],
    wavelength_cells: float,
    irregularity: float,
    spicules: NDArray[np.float64],
) -> float:
    """Local speed of the front in mm per time unit; 0 where it must stop."""
    i = cell // (n * n)
    j = (cell // n) % n
    k = cell % n
    x = to_voxel[0, 0] * i + to_voxel[0, 1] * j + to_voxel[0, 2] * k + to_voxel[0, 3]
    y = to_voxel[1, 0] * i + to_voxel[1, 1] * j + to_voxel[1, 2] * k + to_voxel[1, 3]
    z = to_voxel[2, 0] * i + to_voxel[2, 1] * j + to_voxel[2, 2] * k + to_voxel[2, 3]
    flow = _permeability(hu, domain, barrier, x, y, z, reach, tissue)
    if flow <= 0.0:
        return flow
    for m in range(spicules.shape[0]):
        a, b, c = float(i - centre), float(j - centre), float(k - centre)
        along = a * spicules[m, 0] + b * spicules[m, 1] + c * spicules[m, 2]
        aside = a * a + b * b + c * c - along * along
        if 0.0 < along < spicules[m, 3] and aside < _SPICULE_CELLS * _SPICULE_CELLS:
            flow *= _SPICULE_HASTE
            break
    if irregularity == 0.0:
        return flow
    u = (i - centre) / wavelength_cells
    v = (j - centre) / wavelength_cells
    w = (k - centre) / wavelength_cells
    broad = value_noise(table, u + 3.7, v + 5.3, w + 1.9)
    fine = value_noise(table, 2.3 * u + 9.1, 2.3 * v + 0.4, 2.3 * w + 12.6)
    return float(flow * np.exp(irregularity * (0.9 * broad + 0.436 * fine)))
