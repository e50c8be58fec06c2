"""The organ's mask as the network is shown it: closed, so that a tumor left out of it is in.

Organ segmenters omit tumors. A tumor inside is a hole, which is filled; one at the surface is a
bite, whose mouth is closed. Training damages masks on purpose and comes through here too, so that
the network sees the same at both times.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scalemai.compiled import compiled
from scalemai.errors import ConfigError
from scalemai.measure import bounding_box

__all__ = ["CLOSING_MM", "closed_organ", "moved_surface"]

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
    # Slow to import, and inference without an organ mask does without.
    import cc3d

    reach = [int(np.ceil(closing_mm / step)) + 1 for step in spacing_mm]
    work = np.pad(np.ascontiguousarray(organ[box]), [(n, n) for n in reach])
    if closing_mm > 0.0:
        grown = moved_surface(work, closing_mm, spacing_mm)
        work |= moved_surface(grown, -closing_mm, spacing_mm)
    outside = cc3d.connected_components(~work, connectivity=6)
    # The padding is one component, which holds the first corner; all others are holes.
    work |= outside != outside[0, 0, 0]
    inner = tuple(slice(n, size - n) for n, size in zip(reach, work.shape, strict=True))
    closed[box] |= work[inner]
    return closed


def moved_surface(
    mask: NDArray[np.bool_], by_mm: float, spacing_mm: Sequence[float]
) -> NDArray[np.bool_]:
    """A mask grown by a ball, or shrunk by one if the length is negative.

    A ball holds the voxels whose centres lie within its radius. The array does not end the mask:
    what touches a face is not shrunk from there. The work goes with the surface, not with the
    volume, so that a patch costs a millisecond.

    Parameters
    ----------
    mask
        Boolean array (x, y, z).
    by_mm
        Radius of the ball.
    spacing_mm
        Voxel size along the axes.
    """
    x, y, z = (float(step) for step in spacing_mm)
    radius = abs(by_mm)
    reach = [int(radius / step) for step in (x, y)]
    i, j = np.mgrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1].reshape(2, -1)
    left = (radius + 1e-9) ** 2 - (i * x) ** 2 - (j * y) ** 2
    kept = left >= 0.0
    columns = np.stack([i[kept], j[kept], np.sqrt(left[kept]) / z], axis=1).astype(np.int64)
    grown = np.array(mask if by_mm >= 0.0 else ~mask, np.bool_, order="C")
    _stamp(grown.copy(), grown, columns)
    return grown if by_mm >= 0.0 else ~grown


@compiled
def _stamp(mask: NDArray[np.bool_], out: NDArray[np.bool_], columns: NDArray[np.int64]) -> None:
    """Put a ball, given as columns (i, j, half length), on every voxel at the surface."""
    rows, lines, slices = mask.shape
    for i in range(rows):
        for j in range(lines):
            for k in range(slices):
                if not mask[i, j, k]:
                    continue
                if (
                    (i == 0 or mask[i - 1, j, k])
                    and (i == rows - 1 or mask[i + 1, j, k])
                    and (j == 0 or mask[i, j - 1, k])
                    and (j == lines - 1 or mask[i, j + 1, k])
                    and (k == 0 or mask[i, j, k - 1])
                    and (k == slices - 1 or mask[i, j, k + 1])
                ):
                    continue
                for n in range(len(columns)):
                    a, b = i + columns[n, 0], j + columns[n, 1]
                    if 0 <= a < rows and 0 <= b < lines:
                        first = max(k - columns[n, 2], 0)
                        last = min(k + columns[n, 2], slices - 1)
                        for c in range(first, last + 1):
                            out[a, b, c] = True
