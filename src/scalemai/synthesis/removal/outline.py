"""Where the surface of an organ would run if a lesion were not there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.geometry import Grid
from scalemai.synthesis.painting.noise_model import smoothed_within
from scalemai.synthesis.removal.border import signed_distance_mm
from scalemai.synthesis.removal.relaxation import harmonic

__all__ = ["expected_organ", "overlooked"]

_SHELL_MM = 6.0  # voxels near the surface that tell how it runs
_FEWEST_VOXELS = 60
_SAMPLE_VOXELS = 20_000
_SMALLEST_BULGE_MM = 1.5
_LEAST_MISFITS = 2.3  # typical ones, of 1 mm or more: what stands out farther is a bulge
_CARRIED_MM = 3.0
_MOST_OUTSIDE = 0.7
_RIM_VOXELS = 2
_OUTLIER_MM = 1.0
_MOST_LACKING_MM = 3.0
_ROUNDS = 8
_LEAST_CONTRAST_HU = 60.0


def expected_organ(
    organ: NDArray[np.bool_], lesion: NDArray[np.bool_], grid: Grid
) -> NDArray[np.bool_]:
    """The organ without the lesion's bulge: a quadric through its surface around the lesion.

    A lesion inside the organ leaves a hole that is all organ. Where it comes to the surface, a
    quadric (plane, ball, tube, saddle) is fitted to the signed distance from the organ's surface
    around it, the nearer the more it counts. What of the lesion stands out of the quadric by
    more than 2.3 mm and 2.3 times its typical misfit is a bulge; so is a thin layer of organ that
    it carries. An organ with an edge or a corner there keeps its lesion's outline.

    Parameters
    ----------
    organ
        Boolean array (i, j, k): the organ, with or without the lesion.
    lesion
        The lesion.
    grid
        Their grid.

    Returns
    -------
    ndarray
        Boolean array: the organ and the lesion without the bulge.
    """
    whole = organ | lesion
    rest = organ & ~lesion
    cube = np.ones((3, 3, 3), np.bool_)
    skin = ndimage.binary_dilation(lesion, cube) & ~whole
    if not skin.any() or not rest.any():
        return whole
    # Only where organ meets outside is the surface seen; the lesion's own surface says nothing.
    inner = rest & ndimage.binary_dilation(~whole, cube)
    outer = ~whole & ndimage.binary_dilation(rest, cube)
    surface = np.where(whole, _far_from(outer, grid), -_far_from(inner, grid))
    shell = ~lesion & (np.abs(surface) <= _SHELL_MM)
    where = np.argwhere(shell)
    if len(where) < _FEWEST_VOXELS:
        return whole
    where = where[:: max(len(where) // _SAMPLE_VOXELS, 1)]
    spacing = np.asarray(grid.spacing_mm)
    voxels = np.argwhere(lesion)
    middle = voxels.mean(axis=0)
    radius = max(float(np.sqrt((((voxels - middle) * spacing) ** 2).sum(axis=1).mean())), 3.0)
    offset = (where - middle) * spacing / radius
    near = np.exp(-0.5 * ((offset**2).sum(axis=1) / 2.0**2))
    solution, error = _fit(offset, surface[tuple(where.T)] / radius, near, _OUTLIER_MM / radius)
    error *= radius
    # Organ drawn out over a bulge goes with it, or specks of it would be left.
    carried = rest & (_far_from(lesion, grid) <= _CARRIED_MM) & (surface <= _CARRIED_MM)
    voxels = np.argwhere(lesion | carried)
    height = _quadric((voxels - middle) * spacing / radius) @ solution * radius
    height += _correction(surface, shell, lesion, solution, middle, radius, grid)[tuple(voxels.T)]
    bulge = np.zeros_like(lesion)
    bulge[tuple(voxels.T)] = height < -_SMALLEST_BULGE_MM
    bulge &= lesion
    parts, _ = ndimage.label(bulge | skin, cube)
    touching = np.unique(parts[skin])
    heights = np.zeros(lesion.shape)
    heights[tuple(voxels.T)] = height
    high = np.unique(parts[bulge & (heights < -_LEAST_MISFITS * max(error, 1.0))])
    outside = np.isin(parts, np.intersect1d(touching[touching > 0], high)) & bulge
    if outside.any():
        # The bulge ends at the surface, not 1.5 mm above it.
        outside = ndimage.binary_dilation(outside, cube, iterations=2, mask=heights < 0.0)
    if np.count_nonzero(outside & lesion) > _MOST_OUTSIDE * np.count_nonzero(lesion):
        return whole  # the lesion takes the organ's whole thickness, or hangs on by a stalk
    return np.asarray(whole & ~outside, np.bool_)


def overlooked(
    hu: NDArray[np.float32],
    organ: NDArray[np.bool_],
    lesions: NDArray[np.bool_],
    grid: Grid,
) -> NDArray[np.bool_]:
    """Voxels beside an organ's mask that are organ: masks are often drawn a little too small.

    Within two voxels in the axial image, those that resemble the organ more than what lies beyond,
    where the two differ by 60 HU or more.

    Parameters
    ----------
    hu, organ, lesions
        Arrays (i, j, k): Hounsfield units, the organ with its lesions, all lesions.
    grid
        Their grid.
    """
    square = [3, 3, 3]
    square[grid.axial_axis] = 1
    wide = ndimage.binary_dilation(organ, np.ones(square, np.bool_), iterations=_RIM_VOXELS)
    beyond = ~wide & ~lesions
    own = organ & ~lesions
    if not beyond.any() or not own.any():
        return np.zeros_like(organ)
    sigma = [1.5] * 3
    sigma[grid.axial_axis] = 0.0
    outside = smoothed_within(hu, beyond, tuple(sigma))
    middle = np.float32(np.median(hu[own]))
    alike = np.abs(hu - middle) < np.abs(hu - outside)
    differs = (outside != 0) & (np.abs(outside - middle) > _LEAST_CONTRAST_HU)
    return np.asarray(wide & ~organ & ~lesions & alike & differs, np.bool_)


def _far_from(mask: NDArray[np.bool_], grid: Grid) -> NDArray[np.float32]:
    return -signed_distance_mm(mask, grid)


def _correction(
    surface: NDArray[np.float32],
    shell: NDArray[np.bool_],
    lesion: NDArray[np.bool_],
    solution: NDArray[np.float64],
    middle: NDArray[np.float64],
    radius: float,
    grid: Grid,
) -> NDArray[np.float32]:
    """What the quadric lacks in mm, so that its surface meets the organ's beside the lesion."""
    beside = shell & ndimage.binary_dilation(lesion, np.ones((3, 3, 3), np.bool_), iterations=2)
    where = np.argwhere(beside)
    lacks = np.zeros(lesion.shape, np.float32)
    if not len(where):
        return lacks
    quadric = _quadric((where - middle) * grid.spacing_mm / radius) @ solution * radius
    lacks[beside] = np.clip(surface[beside] - quadric, -_MOST_LACKING_MM, _MOST_LACKING_MM)
    return harmonic(lacks, beside, lesion, grid.spacing_mm)


def _fit(
    points: NDArray[np.float64],
    target: NDArray[np.floating],
    near: NDArray[np.float64],
    outlier: float,
) -> tuple[NDArray[np.float64], float]:
    """Fit a quadric, and its misfit; robust, as a fissure or another lobe is no such surface."""
    terms = _quadric(points)
    # A little ridge on the curvatures keeps the fit from swinging where the surface is hardly seen.
    ridge = np.diag([0, 0, 0, 0, 1, 1, 1, 1, 1, 1.0]) * 0.05
    weight = near
    for _ in range(_ROUNDS):
        system = np.vstack([terms * weight[:, None], ridge * (weight**2).sum() ** 0.5])
        right = np.r_[target * weight, np.zeros(10)]
        solution, *_ = np.linalg.lstsq(system, right, rcond=None)
        misfit = terms @ solution - target
        weight = near / np.sqrt(1.0 + (misfit / outlier) ** 2)
    return solution, float(np.sqrt(((misfit * weight) ** 2).sum() / (weight**2).sum()))


def _quadric(x: NDArray[np.float64]) -> NDArray[np.float64]:
    a, b, c = x.T
    one = np.ones_like(a)
    return np.stack([one, a, b, c, a * a, b * b, c * c, a * b, a * c, b * c], axis=1)
