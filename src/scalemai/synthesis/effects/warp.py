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
from scalemai.synthesis.effects.displacement import Displacement
from scalemai.volume import Volume

__all__ = ["warp_hu"]

_LEAST_VOXELS = 0.05  # smaller shifts change nothing that is seen
_REACH_MM = 2.5  # structure is averaged over this radius in the axial plane
_SLICES_MM = 3.0  # and over neighbouring slices that are nearer than this
_LAG_MM = 4.0  # noise is hardly correlated beyond; author's estimate, to be refined
_SOFT_HU = (-200.0, 300.0)  # where noise is measured: neither gas nor lung nor bone
_ALIKE = 2.5  # standard deviations of the averaged noise within which voxels look alike
_STRUCTURE = 1.8  # times as far apart: what differs by more is structure; with the above, 4.5
# standard deviations, which the range of a score of noisy values seldom reaches
_REST = 2.5  # standard deviations of the noise of one voxel
_STEEP, _AT_STEEP = 5.0, 0.2
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
        Of :func:`scalemai.synthesis.effects.displacement.push_aside`.

    Returns
    -------
    hu
        float32 array of the box: new Hounsfield units, within the range of the voxels that have
        come near; the old ones where nothing has moved.
    edited
        Boolean array of the box: where they are new.
    """
    # Axial images first: their rows are long, which the kernels run along.
    grid = displacement.grid
    order = (grid.axial_axis, *grid.in_plane_axes)
    across, first, second = (grid.spacing_mm[axis] for axis in order)
    hu = np.ascontiguousarray(volume.hu(displacement.region).transpose(order))
    components = displacement.offset.transpose(0, *(1 + axis for axis in order))
    offset = np.ascontiguousarray(components[list(order)])
    reach = np.array(
        [
            1 if across < _SLICES_MM else 0,
            max(int(np.rint(_REACH_MM / first)), 1),
            max(int(np.rint(_REACH_MM / second)), 1),
        ]
    )
    guide = ndimage.uniform_filter(hu, [1 + 2 * int(reach[0]), 3, 3], mode="nearest")
    alike = _ALIKE * _noise_hu(guide, (first, second))
    edited = np.zeros(hu.shape, np.bool_)
    needed = np.zeros(hu.shape[:2], np.bool_)
    _find_changes(guide, offset, alike, edited, needed)
    most = np.float32(_REST * _noise_hu(hu, (first, second)))
    structure = _structure(hu, guide, reach, np.float32(alike), most, needed)
    _move(structure, offset, edited, hu)
    back = np.argsort(order)
    return np.ascontiguousarray(hu.transpose(back)), np.ascontiguousarray(edited.transpose(back))


def _noise_hu(guide: NDArray[np.float32], spacing_mm: tuple[float, float]) -> float:
    """Standard deviation in HU of the noise of axial images, or of their local means, robustly.

    The images are the last two axes, of the given spacing.
    """
    differences = []
    soft = (guide > _SOFT_HU[0]) & (guide < _SOFT_HU[1])
    for axis, step in enumerate(spacing_mm, start=1):
        lag = max(int(np.ceil(_LAG_MM / step)), 3)
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
def _find_changes(
    guide: NDArray[np.float32],
    offset: NDArray[np.float32],
    alike: float,
    edited: NDArray[np.bool_],
    needed: NDArray[np.bool_],
) -> None:
    """Mark the voxels that structure moves to or from, and the rows (i, j) that they look at."""
    ni, nj, nk = guide.shape
    for i in range(ni):
        for j in range(nj):
            for k in range(nk):
                u, v, w = offset[0, i, j, k], offset[1, i, j, k], offset[2, i, j, k]
                if max(abs(u), abs(v), abs(w)) < _LEAST_VOXELS:
                    continue
                a = int(min(max(i - u, 0.0), ni - 1.0))
                b = int(min(max(j - v, 0.0), nj - 1.0))
                c = int(min(max(k - w, 0.0), nk - 1.0))
                if not _differs(guide, i, j, k, a, b, c, alike):
                    continue
                edited[i, j, k] = True
                needed[i, j] = True
                for p in range(max(a - 1, 0), min(a + 3, ni)):
                    for q in range(max(b - 1, 0), min(b + 3, nj)):
                        needed[p, q] = True


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
    return bool(high - low > _STRUCTURE * alike)


@compiled
def _structure(
    hu: NDArray[np.float32],
    guide: NDArray[np.float32],
    reach: NDArray[np.int64],
    alike: np.float32,
    most: np.float32,
    needed: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Mean of the voxels nearby whose local mean is like that of the voxel itself.

    What is farther from it than ``most`` is no noise but a thin structure, such as skin.
    """
    ni, nj, nk = hu.shape
    structure = np.empty_like(hu)
    total = np.empty(nk, np.float32)
    count = np.empty(nk, np.float32)
    for i in range(ni):
        for j in range(nj):
            if not needed[i, j]:
                continue
            total[:] = 0.0
            count[:] = 0.0
            centre = guide[i, j]
            for p in range(max(i - reach[0], 0), min(i + reach[0] + 1, ni)):
                for q in range(max(j - reach[1], 0), min(j + reach[1] + 1, nj)):
                    for r in range(-reach[2], reach[2] + 1):
                        low, high = max(-r, 0), nk - max(r, 0)
                        _add_alike(
                            centre[low:high],
                            guide[p, q, low + r : high + r],
                            hu[p, q, low + r : high + r],
                            alike,
                            total[low:high],
                            count[low:high],
                        )
            for k in range(nk):
                mean = total[k] / count[k]
                low, high = centre[k], centre[k]
                for q, r in ((j - 1, k), (j + 1, k), (j, k - 1), (j, k + 1)):
                    near = guide[i, min(max(q, 0), nj - 1), min(max(r, 0), nk - 1)]
                    low, high = min(low, near), max(high, near)
                # At the skin or a gut full of gas hardly anything is noise.
                limit = most if high - low < _STEEP * most else _AT_STEEP * most
                rest = min(max(hu[i, j, k] - mean, -limit), limit)
                structure[i, j, k] = hu[i, j, k] - rest
    return structure


@compiled
def _add_alike(
    centre: NDArray[np.float32],
    beside: NDArray[np.float32],
    value: NDArray[np.float32],
    alike: np.float32,
    total: NDArray[np.float32],
    count: NDArray[np.float32],
) -> None:
    for k in range(centre.size):  # without a branch, so that it runs on several voxels at a time
        weight = np.float32(abs(beside[k] - centre[k]) <= alike)
        total[k] += weight * value[k]
        count[k] += weight


@compiled
def _move(
    structure: NDArray[np.float32],
    offset: NDArray[np.float32],
    edited: NDArray[np.bool_],
    hu: NDArray[np.float32],
) -> None:
    """Add to each edited voxel the structure that came there, less the one that was there.

    Cubic convolution (Keys 1981) keeps edges sharp. It may ring, so the result stays between the
    eight voxels around the place that it came from.
    """
    ni, nj, nk = hu.shape
    weights = np.empty((3, 4), np.float32)
    index = np.empty((3, 4), np.int64)
    for i in range(ni):
        for j in range(nj):
            for k in range(nk):
                if not edited[i, j, k]:
                    continue
                for axis, start, size in ((0, i, ni), (1, j, nj), (2, k, nk)):
                    place = min(max(start - offset[axis, i, j, k], np.float32(0.0)), size - 1.0)
                    first = int(place)
                    t = np.float32(place - first)
                    weights[axis, 0] = 0.5 * (-t + 2 * t * t - t * t * t)
                    weights[axis, 1] = 0.5 * (2 - 5 * t * t + 3 * t * t * t)
                    weights[axis, 2] = 0.5 * (t + 4 * t * t - 3 * t * t * t)
                    weights[axis, 3] = 0.5 * (-t * t + t * t * t)
                    for p in range(4):
                        index[axis, p] = min(max(first + p - 1, 0), size - 1)
                low, high, moved = np.float32(np.inf), np.float32(-np.inf), np.float32(0.0)
                for p in range(4):
                    for q in range(4):
                        row = structure[index[0, p], index[1, q]]
                        a, b = row[index[2, 0]], row[index[2, 1]]
                        c, d = row[index[2, 2]], row[index[2, 3]]
                        moved += (
                            weights[0, p]
                            * weights[1, q]
                            * (
                                weights[2, 0] * a
                                + weights[2, 1] * b
                                + weights[2, 2] * c
                                + weights[2, 3] * d
                            )
                        )
                        if 0 < p < 3 and 0 < q < 3:
                            low, high = min(low, min(b, c)), max(high, max(b, c))
                hu[i, j, k] += min(max(moved, low), high) - structure[i, j, k]
