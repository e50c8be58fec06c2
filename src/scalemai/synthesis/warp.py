"""Move the image with the tissue, and leave the scan's noise where it is.

Noise belongs to the scanner, not to the tissue: had the patient been scanned with the lesion, the
tissue would lie elsewhere but the noise would not have moved with it. Interpolating the image
would also smooth the noise, which gives an edit away. So the image is split into structure and
the rest, and only the structure moves. The structure at a voxel is the mean of the voxels nearby
that look alike once their noise is averaged out: a sigma filter (Lee, Comput Vis Graph Image
Process 1983;24:255-269) that is guided by the local mean. Where nothing but noise varies, there
is nothing to move and the voxels stay as they are stored.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.compiled import compiled
from scalemai.geometry import Region
from scalemai.synthesis.displacement import Displacement
from scalemai.volume import Volume

__all__ = ["warp_hu"]

_LEAST_VOXELS = 0.05  # smaller shifts change nothing that is seen
_REACH_MM = 2.5  # structure is averaged over this radius in the axial plane
_SLICES_MM = 3.0  # and over neighbouring slices that are nearer than this
_LAG_MM = 4.0  # noise is hardly correlated beyond; author's estimate, to be refined
_SOFT_HU = (-200.0, 300.0)  # where noise is measured: neither gas nor lung nor bone
_ALIKE = 2.5  # standard deviations of the averaged noise within which voxels look alike
_LEAST_NOISE_HU = 1.0


def warp_hu(
    volume: Volume, displacement: Displacement
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The image of the displacement's box after the tissue has moved.

    Parameters
    ----------
    volume
        The CT.
    displacement
        Of :func:`scalemai.synthesis.displacement.push_aside`.

    Returns
    -------
    hu
        float32 array of the box: new Hounsfield units, within the range of the voxels that have
        come near; the old ones where nothing has moved.
    edited
        Boolean array of the box: where they are new.
    """
    hu = volume.hu(displacement.region)
    spacing = displacement.grid.spacing_mm
    reach = np.array([1 if step < _SLICES_MM else 0 for step in spacing], np.int64)
    for axis in displacement.grid.in_plane_axes:
        reach[axis] = max(int(np.rint(_REACH_MM / spacing[axis])), 1)
    guide = ndimage.uniform_filter(hu, [3 if r else 1 for r in reach], mode="nearest")
    alike = _ALIKE * _noise_hu(hu, guide, displacement)
    warped = hu.copy()
    edited = np.zeros(hu.shape, np.bool_)
    _move_structure(hu, guide, displacement.offset, reach, alike, warped, edited)
    return warped, edited


def _noise_hu(
    hu: NDArray[np.float32], guide: NDArray[np.float32], displacement: Displacement
) -> float:
    """Standard deviation in HU of the noise that is left in the local mean, robustly."""
    differences = []
    soft = (guide > _SOFT_HU[0]) & (guide < _SOFT_HU[1])
    for axis in displacement.grid.in_plane_axes:
        lag = max(int(np.ceil(_LAG_MM / displacement.grid.spacing_mm[axis])), 3)
        if guide.shape[axis] <= lag:
            continue
        after, before = _along(axis, lag, None), _along(axis, None, -lag)
        both = soft[after] & soft[before]
        apart = np.abs(guide[after][both] - guide[before][both])
        differences.append(apart[:: max(apart.size // 40_000, 1)])
    found = np.concatenate(differences) if differences else np.zeros(0)
    if found.size == 0:
        return _LEAST_NOISE_HU
    # The lower quartile of |a - b| is 0.3186 of its standard deviation, sqrt(2) times that of one
    # voxel; edges move it even less than the median.
    return max(float(np.quantile(found, 0.25)) / (0.3186 * 2**0.5), _LEAST_NOISE_HU)


def _along(axis: int, start: int | None, stop: int | None) -> Region:
    a, b, c = (slice(start, stop) if a == axis else slice(None) for a in range(3))
    return a, b, c


@compiled
def _move_structure(
    hu: NDArray[np.float32],
    guide: NDArray[np.float32],
    offset: NDArray[np.float32],
    reach: NDArray[np.int64],
    alike: float,
    warped: NDArray[np.float32],
    edited: NDArray[np.bool_],
) -> None:
    ni, nj, nk = hu.shape
    structure = np.full((ni, nj, nk), np.nan, np.float32)  # made where it is asked for
    weights = np.empty((3, 4), np.float32)
    for i in range(ni):
        for j in range(nj):
            for k in range(nk):
                u, v, w = offset[0, i, j, k], offset[1, i, j, k], offset[2, i, j, k]
                if max(abs(u), abs(v), abs(w)) < _LEAST_VOXELS:
                    continue
                x = min(max(i - u, 0.0), ni - 1.0)
                y = min(max(j - v, 0.0), nj - 1.0)
                z = min(max(k - w, 0.0), nk - 1.0)
                a, b, c = int(x), int(y), int(z)
                if not _differs(guide, i, j, k, a, b, c, alike):
                    continue
                for axis, t in ((0, x - a), (1, y - b), (2, z - c)):
                    weights[axis, 0] = 0.5 * (-t + 2 * t * t - t * t * t)
                    weights[axis, 1] = 0.5 * (2 - 5 * t * t + 3 * t * t * t)
                    weights[axis, 2] = 0.5 * (t + 4 * t * t - 3 * t * t * t)
                    weights[axis, 3] = 0.5 * (-t * t + t * t * t)
                low, high, moved = np.float32(np.inf), np.float32(-np.inf), np.float32(0.0)
                for p in range(4):
                    q = min(max(a + p - 1, 0), ni - 1)
                    for r in range(4):
                        s = min(max(b + r - 1, 0), nj - 1)
                        plane = weights[0, p] * weights[1, r]
                        for m in range(4):
                            n = min(max(c + m - 1, 0), nk - 1)
                            value = structure[q, s, n]
                            if np.isnan(value):
                                value = _structure(hu, guide, q, s, n, reach, alike)
                                structure[q, s, n] = value
                            moved += plane * weights[2, m] * value
                            # No ringing: stay between the eight voxels around the place.
                            if 0 < p < 3 and 0 < r < 3 and 0 < m < 3:
                                low, high = min(low, value), max(high, value)
                here = structure[i, j, k]
                if np.isnan(here):
                    here = _structure(hu, guide, i, j, k, reach, alike)
                    structure[i, j, k] = here
                moved = min(max(moved, low), high)
                warped[i, j, k] = hu[i, j, k] + (moved - here)
                edited[i, j, k] = True


@compiled
def _differs(
    guide: NDArray[np.float32], i: int, j: int, k: int, a: int, b: int, c: int, alike: float
) -> bool:
    """Whether there is more than noise between a voxel, or its surroundings, and another's."""
    ni, nj, nk = guide.shape
    low = guide[i, j, k]
    high = low
    for x, y, z in ((i, j, k), (a, b, c), (a + 1, b + 1, c + 1)):
        for d in (-2, 2):
            for p, q, r in ((x + d, y, z), (x, y + d, z), (x, y, z + d)):
                p, q, r = min(max(p, 0), ni - 1), min(max(q, 0), nj - 1), min(max(r, 0), nk - 1)
                low, high = min(low, guide[p, q, r]), max(high, guide[p, q, r])
    return high - low > 2.4 * alike


@compiled
def _structure(
    hu: NDArray[np.float32],
    guide: NDArray[np.float32],
    i: int,
    j: int,
    k: int,
    reach: NDArray[np.int64],
    alike: float,
) -> float:
    """Mean of the voxels nearby whose local mean is like that of this one."""
    ni, nj, nk = hu.shape
    centre = guide[i, j, k]
    total, count = np.float32(0.0), 0
    for p in range(max(i - reach[0], 0), min(i + reach[0] + 1, ni)):
        for q in range(max(j - reach[1], 0), min(j + reach[1] + 1, nj)):
            for r in range(max(k - reach[2], 0), min(k + reach[2] + 1, nk)):
                if abs(guide[p, q, r] - centre) <= alike:
                    total += hu[p, q, r]
                    count += 1
    return total / count
