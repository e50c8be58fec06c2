"""From each point of one border to the nearest point of the other, in mm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalemai.evaluation.segmentation.lattice import LONGEST_AXIS, nearest_on_lattice

__all__ = ["nearest_mm", "share_reached", "weighted_percentile"]

_SPARSE = 200
"""Lattice points for each point of either border beyond which a search tree is the faster.

Measured on an organ of 1.4 million voxels of 0.8 x 0.8 x 2.5 mm: 10 ns a lattice point, 1.7
microseconds a point in a tree. A tree slows down where many targets are equally near, as round a
common centre; bodies with such a centre fill more of their box than this."""

_TIE = 1e-9
"""Relative difference of sums of areas that is rounding: the order of the sum must not decide."""


def nearest_mm(
    points: NDArray[np.int32], targets: NDArray[np.int32], frame_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Distance in mm, shape (n,), from each point to the nearest target, in double precision.

    Parameters
    ----------
    points, targets
        Indices, shape (n, 3) and (m, 3), m > 0, none negative, on one lattice.
    frame_mm
        Matrix (3, 3) of the steps in mm along the array axes, one per column. Axes need not be
        at right angles.
    """
    i, j, k = (int(n) + 1 for n in np.maximum(points.max(axis=0), targets.max(axis=0)))
    spacing_mm = np.diag(frame_mm)
    rectangular = bool((frame_mm == np.diag(spacing_mm)).all())
    sparse = i * j * k > _SPARSE * (len(points) + len(targets))
    if rectangular and not sparse and max(i, j, k) <= LONGEST_AXIS:
        step_i, step_j, step_k = (float(step) for step in spacing_mm)
        return nearest_on_lattice(points, targets, (i, j, k), (step_i, step_j, step_k))
    return _by_tree(points, targets, frame_mm)


def _by_tree(
    points: NDArray[np.int32], targets: NDArray[np.int32], frame_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """For any frame; work and memory follow the borders, not their box."""
    from scipy.spatial import cKDTree

    # A tree that is asked once is not worth balancing.
    tree = cKDTree(targets @ frame_mm.T, leafsize=32, balanced_tree=False)
    distance: NDArray[np.float64] = tree.query(points @ frame_mm.T)[0]
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
