"""From each point of one border to the nearest point of the other, in mm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["is_rectangular", "nearest_mm", "share_reached", "weighted_percentile"]

_DENSE_POINTS = 200_000
_DENSE_SHARE = 0.125
"""A border of more points than both is searched by a distance transform.

A search tree takes some 40 bytes a point and a transform 4 bytes a voxel of the box (measured;
author's estimate of the crossing). Borders of anatomy are thin; only noise is dense."""

_TIE = 1e-9
"""Relative difference of sums of areas that is rounding: the order of the sum must not decide."""


def is_rectangular(frame_mm: NDArray[np.float64]) -> bool:
    """Whether a matrix (3, 3) of steps in mm is diagonal: distances follow from spacings alone."""
    return bool((frame_mm == np.diag(np.diag(frame_mm))).all())


def nearest_mm(
    points: NDArray[np.int32], targets: NDArray[np.int32], frame_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Distance in mm, shape (n,), from each point to the nearest target.

    Parameters
    ----------
    points, targets
        Indices, shape (n, 3) and (m, 3), m > 0, none negative, on one lattice.
    frame_mm
        Matrix (3, 3) of the steps in mm along the array axes, one per column. Axes need not be
        at right angles.
    """
    if len(targets) > _DENSE_POINTS and is_rectangular(frame_mm):
        shape = np.maximum(points.max(axis=0), targets.max(axis=0)) + 1
        if len(targets) > _DENSE_SHARE * np.prod(shape.astype(float)):
            return _by_transform(points, targets, frame_mm, tuple(int(n) for n in shape))
    return _by_tree(points, targets, frame_mm)


def _by_tree(
    points: NDArray[np.int32], targets: NDArray[np.int32], frame_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Exact to double precision; work and memory follow the borders, not the box."""
    from scipy.spatial import cKDTree

    # A tree that is asked once is not worth balancing.
    tree = cKDTree(targets @ frame_mm.T, leafsize=32, balanced_tree=False)
    distance: NDArray[np.float64] = tree.query(points @ frame_mm.T)[0]
    return distance


def _by_transform(
    points: NDArray[np.int32],
    targets: NDArray[np.int32],
    frame_mm: NDArray[np.float64],
    shape: tuple[int, ...],
) -> NDArray[np.float64]:
    """Exact to single precision; work and memory follow the box."""
    import edt

    free = np.ones(shape, np.bool_)
    free[tuple(targets.T)] = False
    transform = edt.edt(free, anisotropy=tuple(np.diag(frame_mm)), black_border=False, parallel=1)
    distance: NDArray[np.float64] = transform[tuple(points.T)].astype(np.float64)
    return distance


def weighted_percentile(
    distances_mm: NDArray[np.float64], areas_mm2: NDArray[np.float64], percent: float
) -> float:
    """The smallest distance that ``percent`` of the area does not exceed, in mm.

    Parameters
    ----------
    distances_mm, areas_mm2
        Distance and area of each surface element, shape (n,), n > 0.
    percent
        Above 0, up to 100.
    """
    order = np.argsort(distances_mm, kind="stable")
    summed = np.cumsum(areas_mm2[order])
    place = np.searchsorted(summed, summed[-1] * (percent / 100 - _TIE))
    return float(distances_mm[order[place]])


def share_reached(
    distances_mm: tuple[NDArray[np.float64], NDArray[np.float64]],
    weights: tuple[NDArray[np.float64], NDArray[np.float64]],
    reach_mm: float,
) -> float:
    """Which share of two borders together lies within ``reach_mm`` of the other one."""
    reached = sum(w[d <= reach_mm].sum() for d, w in zip(distances_mm, weights, strict=True))
    return float(reached / sum(w.sum() for w in weights))
