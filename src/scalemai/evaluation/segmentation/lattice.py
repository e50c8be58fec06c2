"""Exact distances between points of a rectangular lattice, in time that follows its box.

A distance transform that is taken only where it is asked for (lower envelopes of parabolas after
Felzenszwalb and Huttenlocher, Theory of Computing 2012;8:415-428): the nearest target along the
first axis for every lattice point, 2 bytes each; then, plane by plane, only for planes that hold
a point that asks, the nearest within the plane; then along the last axis for that point alone.
All in double precision.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalemai.compiled import compiled

__all__ = ["LONGEST_AXIS", "nearest_on_lattice"]

LONGEST_AXIS = 65_534
"""Lattice points along an axis, at most."""

_NONE = 65_535
"""No target on this line."""


def nearest_on_lattice(
    points: NDArray[np.int32],
    targets: NDArray[np.int32],
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
) -> NDArray[np.float64]:
    """Distance in mm, shape (n,), from each point to the nearest target.

    Parameters
    ----------
    points, targets
        Indices, shape (n, 3) and (m, 3), m > 0. Points that are ordered by their first index are
        answered fastest.
    shape
        Number of lattice points along each axis, none above :data:`LONGEST_AXIS`.
    spacing_mm
        Distance between neighbours along each axis.
    """
    steps = np.full(shape, _NONE, np.uint16)
    steps[tuple(targets.T)] = 0
    _sweep(steps)
    return np.sqrt(_search(points, steps, np.asarray(spacing_mm, np.float64)))


@compiled
def _sweep(steps: NDArray[np.uint16]) -> None:
    """Steps along the first axis to the nearest 0, in place."""
    last = steps.shape[0] - 1
    for direction in (1, -1):
        for n in range(1, last + 1):
            i = n if direction == 1 else last - n
            for j in range(steps.shape[1]):
                row, before = steps[i, j], steps[i - direction, j]
                for k in range(steps.shape[2]):
                    near = before[k]
                    if near < row[k] and near + 1 < row[k]:
                        row[k] = near + 1


@compiled
def _search(
    points: NDArray[np.int32], steps: NDArray[np.uint16], spacing_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Squared distance of each point."""
    squares = np.empty(len(points), np.float64)
    plane = np.empty(steps.shape[1:], np.float64)
    vertex = np.empty(steps.shape[1], np.int64)
    height = np.empty(steps.shape[1], np.float64)
    start = np.empty(steps.shape[1], np.float64)
    current = -1
    for n in range(len(points)):
        i, j, k = points[n]
        if i != current:
            current = i
            _fill_plane(plane, steps[i], spacing_mm, vertex, height, start)
        row = plane[j]
        best = row[k]
        for step in range(1, max(k, len(row) - 1 - k) + 1):
            along = (step * spacing_mm[2]) ** 2
            if along >= best:
                break
            if step <= k:
                best = min(best, row[k - step] + along)
            if k + step < len(row):
                best = min(best, row[k + step] + along)
        squares[n] = best
    return squares


@compiled
def _fill_plane(
    plane: NDArray[np.float64],
    steps: NDArray[np.uint16],
    spacing_mm: NDArray[np.float64],
    vertex: NDArray[np.int64],
    height: NDArray[np.float64],
    start: NDArray[np.float64],
) -> None:
    """Squared distances over the first two axes, for the points (j, k) of one plane.

    Each target is a parabola over j; the lower envelope is kept as the vertices and heights of
    its pieces and the j where each begins.
    """
    square = spacing_mm[1] ** 2
    for k in range(steps.shape[1]):
        pieces = 0
        for j in range(steps.shape[0]):
            if steps[j, k] == _NONE:
                continue
            above = (steps[j, k] * spacing_mm[0]) ** 2
            begin = -np.inf
            while pieces:
                v = vertex[pieces - 1]
                begin = 0.5 * ((above - height[pieces - 1]) / (square * (j - v)) + (j + v))
                if begin > start[pieces - 1]:
                    break
                pieces -= 1
                begin = -np.inf
            vertex[pieces], height[pieces], start[pieces] = j, above, begin
            pieces += 1
        piece = 0
        for j in range(steps.shape[0]):
            if not pieces:
                plane[j, k] = np.inf
                continue
            while piece + 1 < pieces and start[piece + 1] <= j:
                piece += 1
            plane[j, k] = height[piece] + ((j - vertex[piece]) * spacing_mm[1]) ** 2
