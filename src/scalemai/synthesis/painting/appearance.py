"""How a lesion looks: a change of HU relative to this patient's parenchyma, with its own noise.

The scan's noise is never synthesised: the change is added to the voxels that are there, so the
noise inside a uniform lesion is the noise of the scan, in amplitude and in spectrum. Only what
stands out of the noise, such as a small vessel or a cleft of fat that the lesion has overgrown,
is levelled. Where a lesion takes the place of another tissue (air, fat, a wall, bone), that
tissue's voxels go, and noise of the scan's own amplitude and spectrum comes in their stead.
"""

from __future__ import annotations

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from scalemai.compiled import compiled
from scalemai.synthesis.growth.field import GrowthField, Rendering, label
from scalemai.synthesis.growth.neighbourhood import Neighbourhood
from scalemai.synthesis.growth.permeability import BARRIER_STOP, BARRIER_WALL
from scalemai.synthesis.painting.interior import aim_hu
from scalemai.synthesis.recipe import Blend, Recipe

__all__ = ["VISIBILITY_HU", "change_hu"]

VISIBILITY_HU = 2.0
"""Every labelled voxel differs from the input by at least this: no label without a change."""

_GAS_HU, _CONTENT_HU = -300.0, 100.0  # next to a wall: gas; above the wall: positive contrast
_BLENDS = get_args(Blend)
_LEVELLING = 0.9  # share of the excess that is removed; a trace of what was there remains


def change_hu(
    field: GrowthField,
    rendering: Rendering,
    recipe: Recipe,
    around: Neighbourhood,
    quantum_hu: float = 1.0,
    known: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The change in HU and the mask of one lesion on the box of its rendering.

    Parameters
    ----------
    field, rendering, recipe, around
        A lesion on the voxels of its neighbourhood.
    quantum_hu
        Step of the stored numbers in HU: no labelled voxel changes by less.
    known
        Boolean array of the box: the label, where it is known already; found if None.

    Returns
    -------
    change
        float32 array of the box: HU to add; exactly 0 where nothing changes. It is not 0 in a few
        voxels beside the organ's mask that the lesion touches.
    mask
        Boolean array of the box: the label.
    """
    box = rendering.box
    start = np.array([s.start for s in box], np.int64)
    mask = label(rendering, around) if known is None else known & around.domain[box]
    mask &= around.barrier[box] != BARRIER_STOP
    aim = aim_hu(field, rendering, recipe, around.parenchyma.mean_hu)
    grain = around.grain
    look = np.array(
        [
            around.parenchyma.mean_hu,
            recipe.contrast_hu,
            max(12.0, around.parenchyma.noise_hu),
            max(VISIBILITY_HU, quantum_hu),
            _LEVELLING if recipe.vessel_speed < 1.0 else 1.0,
        ]
    )
    change = np.zeros(rendering.density.shape, np.float32)
    _paint(
        around.hu, around.organ, around.domain, around.barrier, start, 2 * around.averaging_reach,
        rendering.density, mask, aim,
        np.zeros((1, 1, 1), np.float32) if grain is None else np.ascontiguousarray(grain[box]),
        _BLENDS.index(recipe.blend), look, change,
    )  # fmt: skip
    return change, mask


@compiled
def _spill(
    hu: NDArray[np.float32],
    organ: NDArray[np.bool_],
    density: NDArray[np.float32],
    mask: NDArray[np.bool_],
    aims: NDArray[np.float32],
    start: NDArray[np.int64],
    reach: NDArray[np.int64],
    x: int,
    y: int,
    z: int,
    usual: float,
) -> float:
    """Change in HU of a voxel beside the organ's mask that is partly organ all the same.

    Masks are often drawn a little too small. The voxel's share of organ is read off its HU,
    between the organ and what lies two voxels further out, away from the organ: fat, or the
    neighbour that the organ touches. Without this, a rim of unchanged parenchyma would surround
    every lesion at the surface, and one of air a nodule at the pleura. ``usual`` is the organ's
    attenuation, NaN if that of the voxels next to this one counts; ``reach`` is 0 along axes that
    are too coarse to look along.
    """
    ni, nj, nk = density.shape
    mi, mj, mk = organ.shape
    lesion, aim, own, neighbours, labelled = 0.0, 0.0, 0.0, 0, 0
    di, dj, dk = 0, 0, 0
    ra, rb, rc = min(reach[0], 1), min(reach[1], 1), min(reach[2], 1)
    for a in range(-ra, ra + 1):
        for b in range(-rb, rb + 1):
            for c in range(-rc, rc + 1):
                u, v, w = x + a, y + b, z + c
                if u < 0 or v < 0 or w < 0 or u >= mi or v >= mj or w >= mk:
                    continue
                if not organ[u, v, w]:
                    continue
                neighbours += 1
                own += hu[u, v, w]
                di, dj, dk = di + a, dj + b, dk + c
                i, j, k = u - start[0], v - start[1], w - start[2]
                if 0 <= i < ni and 0 <= j < nj and 0 <= k < nk:
                    lesion += density[i, j, k]
                    if mask[i, j, k]:
                        labelled += 1
                        aim += aims[i, j, k]
    length = np.sqrt(di * di + dj * dj + dk * dk)
    if labelled == 0 or length == 0.0:
        return 0.0
    u = x - int(np.rint(2.0 * di / length))
    v = y - int(np.rint(2.0 * dj / length))
    w = z - int(np.rint(2.0 * dk / length))
    if u < 0 or v < 0 or w < 0 or u >= mi or v >= mj or w >= mk or organ[u, v, w]:
        return 0.0
    inside = own / neighbours if np.isnan(usual) else usual
    out = hu[u, v, w]
    if abs(inside - out) < 30.0:  # another organ of the same attenuation: nothing tells them apart
        return 0.0
    share = min((hu[x, y, z] - out) / (inside - out), 1.0)
    if share < 0.25:  # within the noise of what lies outside
        return 0.0
    return float(share * (aim / labelled - inside) * lesion / neighbours)


@compiled
def _paint(
    hu: NDArray[np.float32],
    organ: NDArray[np.bool_],
    domain: NDArray[np.bool_],
    barrier: NDArray[np.uint8],
    start: NDArray[np.int64],
    reach: NDArray[np.int64],
    density: NDArray[np.float32],
    mask: NDArray[np.bool_],
    aims: NDArray[np.float32],
    grain: NDArray[np.float32],
    blend: int,
    look: NDArray[np.float64],
    change: NDArray[np.float32],
) -> None:
    mean, contrast, threshold, visibility, levelling = look[0], look[1], look[2], look[3], look[4]
    ni, nj, nk = density.shape
    mi, mj, mk = organ.shape
    noisy = grain.shape[0] == ni and grain.shape[1] == nj and grain.shape[2] == nk
    for i in range(ni):
        for j in range(nj):
            for k in range(nk):
                share = density[i, j, k]
                x, y, z = start[0] + i, start[1] + j, start[2] + k
                if barrier[x, y, z] == 2:
                    continue
                if not domain[x, y, z]:
                    if not organ[x, y, z]:
                        change[i, j, k] = _spill(
                            hu,
                            organ,
                            density,
                            mask,
                            aims,
                            start,
                            reach,
                            x,
                            y,
                            z,
                            mean if blend == 0 else np.nan,
                        )
                    continue
                if share <= 0.0 and not mask[i, j, k]:
                    continue
                aim = aims[i, j, k]
                total = 0.0
                count = 0
                beside = 0
                beside_inside = 0
                lowest, highest = np.inf, -np.inf
                for a in range(max(x - reach[0], 0), min(x + reach[0] + 1, mi)):
                    for b in range(max(y - reach[1], 0), min(y + reach[1] + 1, mj)):
                        for c in range(max(z - reach[2], 0), min(z + reach[2] + 1, mk)):
                            adjacent = abs(a - x) <= 1 and abs(b - y) <= 1 and abs(c - z) <= 1
                            beside += adjacent
                            if adjacent:
                                lowest = min(lowest, hu[a, b, c])
                                highest = max(highest, hu[a, b, c])
                            if organ[a, b, c] or (blend != 0 and adjacent):
                                total += hu[a, b, c]
                                count += 1
                                beside_inside += adjacent
                was = hu[x, y, z]
                content = lowest < _GAS_HU or highest > mean + _CONTENT_HU
                if barrier[x, y, z] == BARRIER_WALL and content:
                    # Partly gas or contrast: the tumor takes the wall's part and no more.
                    edit = share * (aim - mean)
                elif blend == 1 or not organ[x, y, z]:
                    # Another tissue gives way. The noise that goes with it is made up for, so
                    # that the sum of the old and the new has the variance of the scan.
                    edit = share * (aim - was)
                    if noisy:
                        edit += grain[i, j, k] * np.sqrt(max(share * (2.0 - share), 0.0))
                elif blend == 2:
                    # What is denser than the lesion shines through it.
                    edit = share * max(aim - total / count, 0.0)
                else:
                    excess = total / count - mean
                    # None of the noise and all of a vessel, a cleft or another layer of the organ.
                    out = min(max(abs(excess) / threshold - 1.0, 0.0), 1.0)
                    excess *= out * out * (3.0 - 2.0 * out)
                    organ_share = beside_inside / beside
                    edit = share * (organ_share * (aim - mean) - levelling * excess)
                    if organ_share < 1.0:
                        # The organ's surface is partly fat: never beyond what was there and tumor.
                        edit = min(max(edit, min(aim - was, 0.0)), max(aim - was, 0.0))
                if mask[i, j, k] and abs(edit) < visibility:
                    edit = visibility if contrast > 0.0 else -visibility
                change[i, j, k] = edit
