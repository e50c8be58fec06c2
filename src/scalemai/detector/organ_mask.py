"""The organ's mask as the network is shown it: closed, so that a tumor left out of it is in.

Organ segmenters omit tumors. A tumor inside is a hole, which is filled; one at the surface is a
bite, whose mouth is closed. Training damages masks on purpose and comes through here too, so that
the network sees the same at both times.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scalemai.errors import ConfigError
from scalemai.measure import bounding_box

__all__ = ["CLOSING_MM", "closed_organ"]

CLOSING_MM = 5.0
"""Half the width in mm of the widest bite that is closed; author's estimate, to be refined."""


def closed_organ(
    organ: NDArray[np.bool_], spacing_mm: Sequence[float], *, closing_mm: float = CLOSING_MM
) -> NDArray[np.bool_]:
    """Close an organ's mask by a ball, then fill its holes.

    Parameters
    ----------
    organ
        Boolean array (x, y, z).
    spacing_mm
        Voxel size along its axes.
    closing_mm
        Radius of the ball; 0 fills holes only.

    Returns
    -------
    ndarray
        A new array that holds all voxels of the old one. Beyond the array there is no organ.

    Raises
    ------
    ConfigError
        If the radius is negative.
    """
    if not closing_mm >= 0.0:
        raise ConfigError(f"{closing_mm:g} mm is no radius", where="closing_mm", fix="give 0 mm up")
    closed = organ.copy()
    box = bounding_box(organ)
    if box is None:
        return closed
    # Slow to import, and inference without an organ mask needs neither.
    import cc3d
    import edt

    reach = [int(np.ceil(closing_mm / step)) + 1 for step in spacing_mm]
    work = np.pad(np.ascontiguousarray(organ[box]), [(n, n) for n in reach])
    if closing_mm > 0.0:
        steps = tuple(float(step) for step in spacing_mm)
        grown = edt.edt(~work, anisotropy=steps, parallel=1) <= closing_mm
        work |= edt.edt(grown, anisotropy=steps, parallel=1) > closing_mm
    outside = cc3d.connected_components(~work, connectivity=6)
    # The padding is one component, which holds the first corner; all others are holes.
    work |= outside != outside[0, 0, 0]
    inner = tuple(slice(n, size - n) for n, size in zip(reach, work.shape, strict=True))
    closed[box] |= work[inner]
    return closed
