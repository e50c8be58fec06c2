"""Distances to the border of a mask, and how wide the border of a lesion is in the scan."""

from __future__ import annotations

from dataclasses import dataclass

import edt
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from scalemai.geometry import Grid

__all__ = ["LesionBorder", "measure_border", "signed_distance_mm"]

_LOOK_MM = 7.0
_BIN_MM = 0.5
_FEWEST_VOXELS = 12
_NOT_SEEN_HU = 2.5  # what is left of the contrast where the lesion ends
_LEAST_CONTRAST_HU = 8.0
_WIDEST_MM = 6.0


@dataclass(frozen=True)
class LesionBorder:
    """How a lesion turns into the tissue around it.

    Parameters
    ----------
    width_mm
        Standard deviation in mm of the blurred step that the border is.
    reach_mm
        How far beyond the mask its attenuation differs from that of the tissue around.
    contrast_hu
        Lesion, away from its border, minus the tissue around it.
    profile
        Distances in mm from the mask's border, rising, negative outside; and the share of the
        contrast there, from 0 to 1. Empty if the contrast is too weak to tell.
    """

    width_mm: float
    reach_mm: float
    contrast_hu: float
    profile: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())

    def share(self, distance_mm: NDArray[np.floating]) -> NDArray[np.float64]:
        """Share of lesion in voxels, by their distance in mm from its border; never quite 0.

        That is the measured profile, but no less than a blurred step has.
        """
        step = ndtr(np.asarray(distance_mm, np.float64) / self.width_mm)
        at, share = self.profile
        if at:
            step = np.maximum(step, np.interp(distance_mm, at, share, left=0.0))
        return np.asarray(step)


def signed_distance_mm(mask: NDArray[np.bool_], grid: Grid) -> NDArray[np.float32]:
    """Distance in mm of each voxel centre from the mask's border: positive inside.

    The border runs midway between voxels. Sheared grids are taken as right-angled, which is off by
    the cosine of the tilt.
    """
    inside = edt.edt(np.ascontiguousarray(mask), anisotropy=grid.spacing_mm)
    outside = edt.edt(np.ascontiguousarray(~mask), anisotropy=grid.spacing_mm)
    # Both count from centre to centre, so the border lies half a step from either.
    half = 0.5 * min(grid.spacing_mm)
    distance = np.where(mask, np.maximum(inside - half, 0.0), -np.maximum(outside - half, 0.0))
    return np.asarray(distance, np.float32)


def measure_border(
    hu: NDArray[np.float32],
    lesion: NDArray[np.bool_],
    tissue: NDArray[np.bool_],
    grid: Grid,
) -> LesionBorder:
    """Measure the border of a lesion from its profile along the distance from the mask.

    Parameters
    ----------
    hu, lesion, tissue
        Arrays (i, j, k): Hounsfield units, the lesion, and the tissue that it lies in, without it
        and without other lesions.
    grid
        Their grid.
    """
    first, second = grid.in_plane_axes
    pixel = max(grid.spacing_mm[first], grid.spacing_mm[second])
    usual = LesionBorder(0.6 * pixel, 1.5 * pixel, 0.0)
    distance = signed_distance_mm(lesion, grid)
    used = (lesion | tissue) & (np.abs(distance) <= _LOOK_MM)
    bins = np.floor(distance[used] / _BIN_MM).astype(int)
    values = hu[used]
    edges, means = [], []
    for number in np.unique(bins):
        part = values[bins == number]
        if part.size >= _FEWEST_VOXELS:
            edges.append((number + 0.5) * _BIN_MM)
            means.append(float(np.median(part)))
    at, profile = np.array(edges), np.array(means)
    if not (at > 0).any() or (at < -2.0).sum() < 2:
        return usual
    beyond = profile[at < min(-3.0, at.min() + 2.0)]
    far = float(np.median(beyond))
    error = float(np.abs(beyond - far).max())  # of one point of the profile
    near = float(np.median(profile[at >= min(2.0, 0.6 * at.max())]))
    contrast = near - far
    if abs(contrast) < max(_LEAST_CONTRAST_HU, 3.0 * error):
        return LesionBorder(usual.width_mm, usual.reach_mm, contrast)
    share = np.clip((profile - far) / contrast, 0.0, 1.0)
    share = np.maximum.accumulate(share)  # from outside to inside it only rises
    low, high = (
        float(np.interp(q, share, at)) for q in (0.16, 0.84)
    )  # +- one sd of a blurred step
    gone = min(max(_NOT_SEEN_HU, error) / abs(contrast), 0.5)
    reach = -float(np.interp(gone, share, at))
    seen = share > gone
    return LesionBorder(
        width_mm=float(np.clip(0.5 * (high - low), 0.5 * pixel, _WIDEST_MM)),
        reach_mm=float(np.clip(reach + 0.5 * pixel, 1.2 * pixel, _WIDEST_MM)),
        contrast_hu=contrast,
        profile=((-reach, *map(float, at[seen])), (0.0, *map(float, share[seen]))),
    )
