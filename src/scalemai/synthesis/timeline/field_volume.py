"""The volume that a growth field encloses at each time, finer than cells and voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalemai.compiled import compiled
from scalemai.synthesis.growth.field import GrowthField
from scalemai.synthesis.growth.neighbourhood import Neighbourhood
from scalemai.synthesis.growth.permeability import BARRIER_STOP

__all__ = ["VolumeCurve", "volume_curve"]

_SAMPLES = 5  # per cell and direction: 3 cells across, a lesion still has thousands
_BINS = 8192


@dataclass(frozen=True, eq=False)
class VolumeCurve:
    """Volume over arrival time, rising; both ways by interpolation.

    Parameters
    ----------
    edges
        Arrival times, shape (n,), from 0.
    volumes_mm3
        Volume in mm3 that had turned by then, shape (n,), from 0.
    """

    edges: NDArray[np.float64]
    volumes_mm3: NDArray[np.float64]

    def volume_mm3(self, edge: float) -> float:
        """Volume in mm3 when the front stands at an arrival time."""
        return float(np.interp(edge, self.edges, self.volumes_mm3))

    def edge_of(self, volume_mm3: float) -> float:
        """Arrival time at which the lesion has a volume in mm3; the nearest if it never has."""
        return float(np.interp(volume_mm3, self.volumes_mm3, self.edges))


def volume_curve(field: GrowthField, around: Neighbourhood, edge: float) -> VolumeCurve:
    """Measure a field from its seed up to an arrival time.

    The field is sampled between its cells as :func:`scalemai.synthesis.growth.field.render`
    samples it, and counts where a label may lie, so the volume is that of the mask without its
    rounding to voxels.

    Parameters
    ----------
    field, around
        A field and the neighbourhood that it grew in.
    edge
        Arrival time of the last volume on the curve.
    """
    allowed = around.domain & (around.barrier != BARRIER_STOP)
    to_voxel = np.linalg.inv(field.from_voxel[:, :3]).astype(np.float64)
    counts = np.zeros(_BINS, np.int64)
    _count(field.time, to_voxel, field.from_voxel[:, 3], allowed, edge, _SAMPLES, counts)
    sample_mm3 = (field.cell_mm / _SAMPLES) ** 3
    volumes = np.concatenate([[0.0], np.cumsum(counts) * sample_mm3])
    edges = np.linspace(0.0, edge, _BINS + 1)
    # Where nothing turned between two times, the later one is as good: the curve stays invertible.
    rising = np.concatenate([np.diff(volumes) > 0.0, [True]])
    return VolumeCurve(edges[rising], volumes[rising])


@compiled
def _count(
    time: NDArray[np.float32],
    to_voxel: NDArray[np.float64],
    origin: NDArray[np.float64],
    allowed: NDArray[np.bool_],
    edge: float,
    samples: int,
    counts: NDArray[np.int64],
) -> None:
    n = time.shape[0]
    ni, nj, nk = allowed.shape
    bins = counts.size
    for i in range(n - 1):
        for j in range(n - 1):
            for k in range(n - 1):
                earliest = np.inf
                for di in range(2):
                    for dj in range(2):
                        for dk in range(2):
                            earliest = min(earliest, time[i + di, j + dj, k + dk])
                if earliest > edge:
                    continue
                for a in range(samples):
                    u = i + (a + 0.5) / samples
                    for b in range(samples):
                        v = j + (b + 0.5) / samples
                        for c in range(samples):
                            w = k + (c + 0.5) / samples
                            arrival = 0.0
                            known = 0.0
                            for di in range(2):
                                wi = u - i if di else 1.0 - (u - i)
                                for dj in range(2):
                                    wj = wi * (v - j if dj else 1.0 - (v - j))
                                    for dk in range(2):
                                        t = time[i + di, j + dj, k + dk]
                                        if t < np.inf:
                                            wk = wj * (w - k if dk else 1.0 - (w - k))
                                            arrival += wk * t
                                            known += wk
                            if known < 0.2 or arrival > edge * known:
                                continue
                            p, q, r = u - origin[0], v - origin[1], w - origin[2]
                            x = int(
                                np.rint(
                                    to_voxel[0, 0] * p + to_voxel[0, 1] * q + to_voxel[0, 2] * r
                                )
                            )
                            y = int(
                                np.rint(
                                    to_voxel[1, 0] * p + to_voxel[1, 1] * q + to_voxel[1, 2] * r
                                )
                            )
                            z = int(
                                np.rint(
                                    to_voxel[2, 0] * p + to_voxel[2, 1] * q + to_voxel[2, 2] * r
                                )
                            )
                            if x < 0 or y < 0 or z < 0 or x >= ni or y >= nj or z >= nk:
                                continue
                            if allowed[x, y, z]:
                                turned = int(arrival / known / edge * bins)
                                counts[min(max(turned, 0), bins - 1)] += 1
