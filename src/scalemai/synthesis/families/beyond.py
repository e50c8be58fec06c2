"""Growth beyond the organ: into the fat around it, or the soft tissue at a bone."""

from __future__ import annotations

from dataclasses import replace

import edt
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.synthesis.growth.neighbourhood import Neighbourhood
from scalemai.synthesis.growth.permeability import BARRIER_OUTSIDE

__all__ = ["axial_mean", "open_beyond"]


def open_beyond(
    around: Neighbourhood, low_hu: float, high_hu: float, reach_mm: float
) -> Neighbourhood:
    """Let growth leave the organ where the tissue, averaged in the axial image, is in a range.

    Voxels that touch the organ may be denser: they are partly organ, as masks are often drawn
    a little too small. Neighbouring organs and vessels that have masks stay closed; what has no
    mask is told from fat by its attenuation alone.
    """
    mean = axial_mean(around.hu, around)
    beside = ndimage.binary_dilation(around.organ, _cross(around))
    densest = around.parenchyma.mean_hu + 2.0 * around.parenchyma.noise_hu
    fits = (mean >= low_hu) & ((mean <= high_hu) | (beside & (mean <= densest)))
    open_ = fits & ~around.organ & ~around.domain & (around.barrier == 0)
    away = edt.edt(~around.organ, anisotropy=around.grid.spacing_mm)
    open_ &= away <= reach_mm
    barrier = around.barrier.copy()
    barrier[open_] = BARRIER_OUTSIDE
    return replace(around, domain=around.domain | open_, barrier=barrier)


def axial_mean(values: NDArray[np.float32], around: Neighbourhood) -> NDArray[np.float32]:
    """Mean over 3 x 3 voxels of the axial image."""
    size = [3, 3, 3]
    size[around.grid.axial_axis] = 1
    mean: NDArray[np.float32] = ndimage.uniform_filter(values, size, mode="nearest")
    return mean


def _cross(around: Neighbourhood) -> NDArray[np.bool_]:
    cross = ndimage.generate_binary_structure(3, 1)
    before = [slice(None)] * 3
    before[around.grid.axial_axis] = slice(0, 3, 2)
    cross[tuple(before)] = False
    return np.asarray(cross, np.bool_)
