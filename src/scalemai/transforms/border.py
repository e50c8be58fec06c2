"""How much of a lesion lies beyond the border of a patch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalemai.geometry import Grid, Region

__all__ = ["cut_share"]

_ROUNDS = 12


def cut_share(
    mask: NDArray[np.bool_], region: Region, grid: Grid, closed: NDArray[np.bool_]
) -> float:
    """Estimate which share of a lesion's volume was cut off by the border of its patch.

    Growth stops at the border as if the organ ended there, but times of arrival inside are those
    that they would be without a border: the lesion is a larger one cut by a plane. What lies
    beyond each face is taken for a cap of the ball of the whole lesion's volume, whose base has
    the area that the lesion covers of the face. The start of growth lies inside, so a cap is no
    more than half a ball.

    Parameters
    ----------
    mask
        Boolean array of the lesion's box.
    region
        That box within the patch.
    grid
        Grid of the patch.
    closed
        Boolean array (3, 2): whether the lower and the upper end of an axis is a border.

    Returns
    -------
    float
        0 to 1.
    """
    seen = np.count_nonzero(mask) * grid.voxel_volume_mm3
    areas = []
    for axis, (low, high) in enumerate(closed):
        face_mm2 = grid.voxel_volume_mm3 / grid.spacing_mm[axis]
        if low and region[axis].start == 0:
            areas.append(face_mm2 * np.count_nonzero(np.take(mask, 0, axis=axis)))
        if high and region[axis].stop == grid.shape[axis]:
            areas.append(face_mm2 * np.count_nonzero(np.take(mask, -1, axis=axis)))
    if not any(areas):
        return 0.0
    base = np.sqrt(np.asarray(areas) / np.pi)
    whole = seen
    for _ in range(_ROUNDS):
        radius = (0.75 * whole / np.pi) ** (1.0 / 3.0)
        height = radius - np.sqrt(np.maximum(radius**2 - np.minimum(base, radius) ** 2, 0.0))
        whole = seen + float(np.sum(np.pi * height**2 * (radius - height / 3.0)))
    return float(1.0 - seen / whole)
