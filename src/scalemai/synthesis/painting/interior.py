"""What a lesion is made of at each place: rim, viable tissue, core, necrosis, calcium."""

from __future__ import annotations

from typing import get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from scalemai.compiled import compiled
from scalemai.synthesis.growth.field import GrowthField, Rendering
from scalemai.synthesis.growth.noise import value_noise
from scalemai.synthesis.recipe import Pattern, Recipe

__all__ = ["aim_hu"]

_PATTERNS = get_args(Pattern)


def aim_hu(
    field: GrowthField, rendering: Rendering, recipe: Recipe, parenchyma_hu: float
) -> NDArray[np.float32]:
    """HU that a voxel of pure lesion would have, noise aside; float32 array of the box.

    Everything follows from how long ago a place turned: the rim is young, the core old. The
    viable rim outside necrosis keeps its width while the lesion grows, as oxygen reaches no
    farther; so small lesions, and early stages of large ones, have no dead core.
    """
    dead, rim, core = recipe.necrosis, recipe.rim, recipe.core
    look = np.array(
        [
            parenchyma_hu,
            recipe.contrast_hu,
            recipe.texture_sd_hu,
            2.0 * recipe.texture_scale_mm / field.cell_mm,
            max(rendering.edge, 1e-6),
            np.inf if dead is None else max(dead.rim_share * field.edge, 1e-6),
            0.0 if dead is None else dead.core_hu,
            0.0 if rim is None else rim.width_mm,
            0.0 if rim is None else rim.contrast_hu,
            0.0 if core is None else core.share,
            0.0 if core is None else core.contrast_hu,
        ]
    )
    inclusions = np.array(
        [
            [
                _PATTERNS.index(one.pattern),
                one.share,
                one.hu,
                2.0 * one.scale_mm / field.cell_mm,
                # Grains and patches fill the share of space above this height of the noise.
                float(ndtri(1.0 - min(max(one.share, 1e-6), 1.0 - 1e-6))),
            ]
            for one in recipe.inclusions
        ],
        np.float64,
    ).reshape(-1, 5)
    start = np.array([s.start for s in rendering.box], np.int64)
    aims = np.empty(rendering.density.shape, np.float32)
    _fill(
        start, rendering.density, rendering.age, field.from_voxel, field.noise,
        look, inclusions, aims,
    )  # fmt: skip
    return aims


@compiled
def _smooth(x: float) -> float:
    """0 below -1/2, 1 above 1/2, smooth in between."""
    t = min(max(x + 0.5, 0.0), 1.0)
    return float(t * t * (3.0 - 2.0 * t))


@compiled
def _fill(
    start: NDArray[np.int64],
    density: NDArray[np.float32],
    age: NDArray[np.float32],
    from_voxel: NDArray[np.float64],
    table: NDArray[np.float32],
    look: NDArray[np.float64],
    inclusions: NDArray[np.float64],
    aims: NDArray[np.float32],
) -> None:
    mean, contrast, texture, scale, edge = look[0], look[1], look[2], look[3], look[4]
    dead_from, dead_hu, rim_width, rim_contrast = look[5], look[6], look[7], look[8]
    core_share, core_contrast = look[9], look[10]
    plain = texture <= 0.0 and dead_from == np.inf and inclusions.shape[0] == 0
    ni, nj, nk = density.shape
    for i in range(ni):
        for j in range(nj):
            for k in range(nk):
                aim = mean + contrast
                if density[i, j, k] <= 0.0:
                    aims[i, j, k] = aim
                    continue
                depth = age[i, j, k]
                grain = 0.0
                x, y, z = start[0] + i, start[1] + j, start[2] + k
                u = from_voxel[0, 0] * x + from_voxel[0, 1] * y + from_voxel[0, 2] * z
                v = from_voxel[1, 0] * x + from_voxel[1, 1] * y + from_voxel[1, 2] * z
                w = from_voxel[2, 0] * x + from_voxel[2, 1] * y + from_voxel[2, 2] * z
                u, v, w = u + from_voxel[0, 3], v + from_voxel[1, 3], w + from_voxel[2, 3]
                if not plain:
                    grain = value_noise(table, u / scale + 8.1, v / scale + 2.7, w / scale + 6.3)
                aim += texture * grain
                if core_share > 0.0:
                    inner = _smooth((depth - (1.0 - core_share) * edge) / 1.5)
                    aim += inner * (core_contrast - contrast)
                if rim_width > 0.0:
                    outer = 1.0 - _smooth((depth - rim_width) / max(0.5 * rim_width, 0.5))
                    aim += outer * (rim_contrast - contrast)
                if dead_from < np.inf:
                    gone = _smooth((depth - dead_from * (1.0 + 0.2 * grain)) / (0.4 * dead_from))
                    aim += gone * (dead_hu - aim + texture * grain)
                passed = 1.0 - depth / edge  # 0 at the seed, 1 at the front
                for m in range(inclusions.shape[0]):
                    share, hu, size = inclusions[m, 1], inclusions[m, 2], inclusions[m, 3]
                    if inclusions[m, 0] == 0.0:
                        inside = _smooth((share ** (1 / 3) * (1.0 + 0.15 * grain) - passed) / 0.12)
                    elif inclusions[m, 0] == 1.0:
                        inside = _smooth((passed - (1.0 - share) ** (1 / 3)) / 0.06)
                    else:
                        height = value_noise(table, u / size + 1.3, v / size + 9.2, w / size + 4.4)
                        inside = _smooth((height - inclusions[m, 4]) / 0.7)
                    aim += inside * (hu - aim)
                aims[i, j, k] = aim
