"""Lung where a nodule was: a piece of the same lung that fits, vessels and all."""

from __future__ import annotations

from collections.abc import Callable

import edt
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.errors import PlacementError
from scalemai.geometry import Grid
from scalemai.synthesis.painting.noise_model import smoothed_within
from scalemai.synthesis.removal.relaxation import harmonic

__all__ = ["transplant"]

# Author's estimates, to be refined.
_TRIALS = 6000
_POINTS = 900
_RING_MM = 4.0
_DEPTH_HU_PER_MM = 12.0  # how much a mm of depth below the pleura weighs against a misfit in HU
_MISFIT_LIMIT_HU = 250.0  # a vessel that ends at the seam counts no more than this
_COVERED = 0.995
_VESSEL_HU = 120.0  # above the median of the lung
_AVERAGE_MM = 4.0
_SMALLEST_PIECE_VOXELS = 60
_FEATHER_MM = 1.5
_FEWEST_VOXELS = 30
_AROUND_MM = 20.0
_BEST = 100  # pieces that fit at their edge, whose distribution is then looked at
_UNLIKE_HU = 1000.0  # how much a Kolmogorov-Smirnov distance of 1 weighs against a misfit in HU
_MOST_COMPARED = 4000


def transplant(
    hu: NDArray[np.float32],
    hole: NDArray[np.bool_],
    source: NDArray[np.bool_],
    depth_mm: NDArray[np.float32],
    grid: Grid,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Copy a piece of lung into a hole.

    Places are drawn where the whole piece would lie in lung; those count whose surroundings
    resemble those of the hole most, at about the same depth below the pleura; their mean is
    adjusted to that around the hole. Of these the one is taken that then has its HU distributed as
    those of the lung within 20 mm. A hole that fits nowhere is filled in two halves.

    Parameters
    ----------
    hu
        Hounsfield units, float32, array (i, j, k).
    hole, source
        What is filled; lung that may be copied.
    depth_mm
        Depth of each voxel below the lung's surface in mm.
    grid
        Grid of the arrays.
    rng
        Draws the places that are tried.

    Returns
    -------
    mean, grain
        HU of the filled scan smoothed, and what was smoothed away; float32. Outside the hole the
        grain is 0.

    Raises
    ------
    PlacementError
        If no piece fits anywhere.
    """
    blurred = ndimage.gaussian_filter(hu, _in_plane(1.0, grid))
    level = float(np.median(hu[source]))
    plain = source & (blurred < level + _VESSEL_HU)
    average = smoothed_within(hu, plain, tuple(_AVERAGE_MM / s for s in grid.spacing_mm))
    average = np.where(average == 0, np.float32(level), average)
    ring = ndimage.binary_dilation(hole, _ball(_RING_MM, grid)) & source
    around = (
        harmonic(average, ring & plain, hole, grid.spacing_mm) if (ring & plain).any() else None
    )

    smooth = ndimage.gaussian_filter(hu, _in_plane(0.8, grid))
    fine = hu - smooth

    def loudness(where: NDArray[np.bool_]) -> float:
        """Noise of plain lung, from what smoothing takes away."""
        values = np.abs(fine[where])
        return max(float(np.median(values)), 0.1) if values.size >= _FEWEST_VOXELS else 1.0

    mean, grain = smooth.copy(), fine.copy()
    pieces = [hole]
    near = source & (edt.edt(~hole, anisotropy=grid.spacing_mm) <= _AROUND_MM)
    if np.count_nonzero(near) < _FEWEST_VOXELS:
        near = source
    usual = np.sort(hu[near])
    while pieces:
        piece = pieces.pop()

        def unlike(shift: NDArray[np.int64], piece: NDArray[np.bool_] = piece) -> float:
            here = np.argwhere(piece)
            here = here[:: max(len(here) // _MOST_COMPARED, 1)]
            there = tuple((here + shift).T)
            level = average[there] if around is None else around[tuple(here.T)]
            return _distance(hu[there] + level - average[there], usual)

        shift = _best_shift(piece, source, blurred, unlike, depth_mm, grid, rng)
        where = np.argwhere(piece)
        if shift is None:
            if len(where) <= _SMALLEST_PIECE_VOXELS:
                what = "no piece of lung fits into the place of the lesion"
                raise PlacementError(what, fix="leave the case out: too little lung to copy")
            pieces += _halves(piece, where, grid)
            continue
        there = tuple((where + shift).T)
        copy = smooth[there]
        if around is not None:
            copy = copy + around[piece] - average[there]
        mean[piece] = copy
        gain = np.clip(loudness(ring & plain) / loudness(_mask_of(there, plain)), 0.6, 1.6)
        grain[piece] = fine[there] * np.float32(gain)
    # What the lesion's border has not reached is the lung that was there; the noise of two places
    # is mixed so that its amplitude is kept.
    inner = ndimage.distance_transform_edt(hole, sampling=grid.spacing_mm)
    weight = np.clip(inner / (_FEATHER_MM + 0.5 * min(grid.spacing_mm)), 0.0, 1.0)
    mean = weight * mean + (1.0 - weight) * smooth
    grain = (weight * grain + (1.0 - weight) * fine) / np.hypot(weight, 1.0 - weight)
    return (
        np.where(hole, mean, hu).astype(np.float32),
        np.where(hole, grain, 0.0).astype(np.float32),
    )


def _best_shift(
    piece: NDArray[np.bool_],
    source: NDArray[np.bool_],
    blurred: NDArray[np.float32],
    unlike: Callable[[NDArray[np.int64]], float],
    depth_mm: NDArray[np.float32],
    grid: Grid,
    rng: np.random.Generator,
) -> NDArray[np.int64] | None:
    """Where to copy from, in voxels; None if the piece lies in lung nowhere."""
    voxels = np.argwhere(piece)
    low, high = voxels.min(axis=0), voxels.max(axis=0)
    inside = _some(voxels, rng)
    edge = ndimage.binary_dilation(piece, _ball(_RING_MM, grid)) & source & ~piece
    ring = _some(np.argwhere(edge), rng)
    middle = np.rint(voxels.mean(axis=0)).astype(np.int64)
    candidates = np.argwhere(source)
    candidates = candidates[rng.integers(len(candidates), size=_TRIALS)] - middle
    best: list[tuple[float, int]] = []
    limit = np.inf
    wanted = blurred[tuple(ring.T)]
    depth = depth_mm[tuple(inside.T)]
    shape = np.asarray(source.shape)
    for number, shift in enumerate(candidates):
        if (low + shift < 0).any() or (high + shift >= shape).any():
            continue
        index = tuple((inside + shift).T)
        if source[index].mean() < _COVERED:
            continue
        deeper = float(np.abs(depth_mm[index] - depth).mean())
        cost = (_DEPTH_HU_PER_MM * deeper) ** 2
        if cost < limit and len(ring):
            beside = np.clip(ring + shift, 0, shape - 1)
            misfit = np.minimum(np.abs(blurred[tuple(beside.T)] - wanted), _MISFIT_LIMIT_HU)
            cost += float((misfit**2).mean())
        if cost < limit:
            best = sorted([*best, (cost, number)])[:_BEST]
            limit = best[-1][0] if len(best) == _BEST else np.inf
    if not best:
        return None
    costs = [cost + (_UNLIKE_HU * unlike(candidates[number])) ** 2 for cost, number in best]
    return np.asarray(candidates[best[int(np.argmin(costs))][1]])


def _distance(values: NDArray[np.float32], usual: NDArray[np.float32]) -> float:
    """Kolmogorov-Smirnov distance to sorted values."""
    at = np.sort(values)
    below = np.searchsorted(usual, at) / usual.size
    return float(np.abs(below - (np.arange(at.size) + 0.5) / at.size).max())


def _mask_of(index: tuple[NDArray[np.int64], ...], within: NDArray[np.bool_]) -> NDArray[np.bool_]:
    mask = np.zeros_like(within)
    mask[index] = True
    return mask & within


def _halves(
    piece: NDArray[np.bool_], where: NDArray[np.int64], grid: Grid
) -> list[NDArray[np.bool_]]:
    span = (where.max(axis=0) - where.min(axis=0) + 1) * np.asarray(grid.spacing_mm)
    axis = int(np.argmax(span))
    cut = int(np.median(where[:, axis]))
    index = np.arange(piece.shape[axis]).reshape([-1 if a == axis else 1 for a in range(3)])
    parts = [piece & (index <= cut), piece & (index > cut)]
    if not parts[1].any():
        parts = [piece & (index < cut), piece & (index >= cut)]
    return [part for part in parts if part.any()]


def _some(points: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    if len(points) <= _POINTS:
        return points
    return points[np.sort(rng.choice(len(points), _POINTS, replace=False))]


def _ball(radius_mm: float, grid: Grid) -> NDArray[np.bool_]:
    half = [int(np.ceil(radius_mm / s)) for s in grid.spacing_mm]
    axes = [np.arange(-h, h + 1) * s for h, s in zip(half, grid.spacing_mm, strict=True)]
    square = sum(np.meshgrid(*(a**2 for a in axes), indexing="ij"))
    return np.asarray(square <= radius_mm**2, np.bool_)


def _in_plane(sigma: float, grid: Grid) -> tuple[float, ...]:
    return tuple(0.0 if axis == grid.axial_axis else sigma for axis in range(3))
