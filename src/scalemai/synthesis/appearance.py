"""How a lesion looks: a change of HU relative to this patient's parenchyma, with its own noise.

The scan's noise is never synthesised: the change is added to the voxels that are there, so the
noise inside a uniform lesion is the noise of the scan, in amplitude and in spectrum. Only what
stands out of the noise, such as a small vessel or a cleft of fat that the lesion has overgrown,
is levelled.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalemai.compiled import compiled
from scalemai.synthesis.automaton import value_noise
from scalemai.synthesis.field import GrowthField, Rendering
from scalemai.synthesis.spec import Recipe
from scalemai.synthesis.tissue import Neighbourhood

__all__ = ["VISIBILITY_HU", "change_hu"]

VISIBILITY_HU = 2.0
"""Every labelled voxel differs from the input by at least this: no label without a change."""

_LEVELLING = 0.9  # share of the excess that is removed; a trace of what was there remains


def change_hu(
    field: GrowthField, rendering: Rendering, recipe: Recipe, around: Neighbourhood
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The change in HU and the mask of one lesion on the box of its rendering.

    Parameters
    ----------
    field, rendering, recipe, around
        A lesion on the voxels of its neighbourhood.

    Returns
    -------
    change
        float32 array of the box: HU to add; exactly 0 where nothing changes.
    mask
        Boolean array of the box: density of at least one half, inside the organ.
    """
    noise = around.parenchyma.noise_hu
    start = np.array([s.start for s in rendering.box], np.int64)
    core = recipe.necrosis
    look = np.array(
        [
            around.parenchyma.mean_hu,
            recipe.contrast_hu,
            recipe.texture_sd_hu,
            2.0 * recipe.texture_scale_mm / field.cell_mm,
            max(12.0, noise),
            np.inf if core is None else core.rim_share * field.edge,
            0.0 if core is None else core.core_hu,
            VISIBILITY_HU,
        ]
    )
    change = np.zeros(rendering.density.shape, np.float32)
    mask = np.zeros(rendering.density.shape, np.bool_)
    _paint(
        around.hu, around.organ, around.barrier, start, 2 * around.averaging_reach,
        rendering.density, rendering.age, field.from_voxel, field.noise, look, change, mask,
    )  # fmt: skip
    return change, mask


@compiled
def _paint(
    hu: NDArray[np.float32],
    organ: NDArray[np.bool_],
    barrier: NDArray[np.uint8],
    start: NDArray[np.int64],
    reach: NDArray[np.int64],
    density: NDArray[np.float32],
    age: NDArray[np.float32],
    from_voxel: NDArray[np.float64],
    table: NDArray[np.float32],
    look: NDArray[np.float64],
    change: NDArray[np.float32],
    mask: NDArray[np.bool_],
) -> None:
    mean, contrast, texture, scale, threshold, rim, core, visibility = (
        look[0], look[1], look[2], look[3], look[4], look[5], look[6], look[7],
    )  # fmt: skip
    ni, nj, nk = density.shape
    mi, mj, mk = organ.shape
    for i in range(ni):
        for j in range(nj):
            for k in range(nk):
                share = density[i, j, k]
                x, y, z = start[0] + i, start[1] + j, start[2] + k
                if share <= 0.0 or not organ[x, y, z] or barrier[x, y, z] == 2:
                    continue
                total = 0.0
                count = 0
                beside = 0
                beside_inside = 0
                for a in range(max(x - reach[0], 0), min(x + reach[0] + 1, mi)):
                    for b in range(max(y - reach[1], 0), min(y + reach[1] + 1, mj)):
                        for c in range(max(z - reach[2], 0), min(z + reach[2] + 1, mk)):
                            adjacent = abs(a - x) <= 1 and abs(b - y) <= 1 and abs(c - z) <= 1
                            beside += adjacent
                            if organ[a, b, c]:
                                total += hu[a, b, c]
                                count += 1
                                beside_inside += adjacent
                excess = total / count - mean
                # None of the noise and all of a vessel, a cleft or another layer of the organ.
                out = min(max(abs(excess) / threshold - 1.0, 0.0), 1.0)
                excess *= out * out * (3.0 - 2.0 * out)
                aim = contrast
                if texture > 0.0 or rim < np.inf:
                    u = from_voxel[0, 0] * x + from_voxel[0, 1] * y + from_voxel[0, 2] * z
                    v = from_voxel[1, 0] * x + from_voxel[1, 1] * y + from_voxel[1, 2] * z
                    w = from_voxel[2, 0] * x + from_voxel[2, 1] * y + from_voxel[2, 2] * z
                    u = (u + from_voxel[0, 3]) / scale
                    v = (v + from_voxel[1, 3]) / scale
                    w = (w + from_voxel[2, 3]) / scale
                    grain = value_noise(table, u + 8.1, v + 2.7, w + 6.3)
                    if rim < np.inf:
                        depth = age[i, j, k] - rim * (1.0 + 0.2 * grain)
                        dead = min(max(depth / (0.4 * rim) + 0.5, 0.0), 1.0)
                        dead = dead * dead * (3.0 - 2.0 * dead)
                        aim += dead * (core - mean - contrast)
                    aim += texture * grain
                filled = beside_inside / beside
                edit = share * (filled * aim - _LEVELLING * excess)
                if filled < 1.0:
                    # The organ's surface is partly fat: never beyond what was there and tumor.
                    was, will = hu[x, y, z], mean + aim
                    edit = min(max(edit, min(will - was, 0.0)), max(will - was, 0.0))
                inside = share >= 0.5
                if inside and abs(edit) < visibility:
                    edit = visibility if contrast > 0.0 else -visibility
                change[i, j, k] = edit
                mask[i, j, k] = inside
