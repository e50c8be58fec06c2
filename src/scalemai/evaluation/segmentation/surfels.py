"""How much surface a block of 2 x 2 x 2 voxels holds, for each of its 256 patterns.

The surface of a mask is that of marching cubes (Lorensen and Cline, Computer Graphics
1987;21(4):163-169) on the lattice of voxel centres: it cuts an edge of the block half-way where
one end is inside the mask and the other is not. What marching cubes leaves open is settled so
that areas equal those of the surface Dice of Nikolov et al. (J Med Internet Res
2021;23(7):e26151), whose areas therefore need no table here:

* where a face has its two inside corners on a diagonal, the corners of the minority (inside or
  outside) are cut off separately; four against four, both ways have the same area on a
  rectangular grid, and the mean is taken on a sheared one;
* an outline that is not flat is spanned by the triangles whose total area, on a cube, is largest.
"""

from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["CORNER_BIT", "surfel_areas_mm2"]

_Corner = tuple[int, int, int]
_Edge = frozenset[_Corner]
_Triangles = tuple[tuple[int, int, int], ...]

CORNER_BIT: dict[_Corner, int] = {
    (i, j, k): 2 * i + j + 4 * k for i, j, k in itertools.product((0, 1), repeat=3)
}
"""Which bit of a pattern says whether the corner (i, j, k) of the block is inside the mask."""


def surfel_areas_mm2(frame_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area of the surface in a block of 2 x 2 x 2 voxels, for each pattern.

    Parameters
    ----------
    frame_mm
        Matrix (3, 3) whose columns are the steps in mm from a voxel to the next along each axis.

    Returns
    -------
    array
        Square millimetres, shape (256,); 0 for patterns 0 and 255, which hold no surface.
    """
    pattern, normals, weight = _triangles()
    # The cross product of two mapped vectors is the mapped cross product times the cofactors.
    cofactors = np.linalg.det(frame_mm) * np.linalg.inv(frame_mm).T
    area = np.linalg.norm(normals @ cofactors.T, axis=1) * weight
    return np.bincount(pattern, weights=area, minlength=256).astype(np.float64)


@lru_cache(maxsize=1)
def _triangles() -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """All triangles of all patterns: pattern, normal of the triangle's area, weight."""
    pattern: list[int] = []
    normals: list[NDArray[np.float64]] = []
    weight: list[float] = []
    for code in range(1, 255):
        inside = frozenset(corner for corner, bit in CORNER_BIT.items() if code >> bit & 1)
        outside = frozenset(CORNER_BIT) - inside
        smaller = min(len(inside), len(outside))
        minorities = [side for side in (inside, outside) if len(side) == smaller]
        for minority in minorities:
            for outline in _outlines(minority):
                spans = _largest_spans(outline)
                for span in spans:
                    pattern += [code] * len(span)
                    normals.append(span)
                    weight += [1.0 / (len(minorities) * len(spans))] * len(span)
    return np.array(pattern), np.concatenate(normals), np.array(weight)


def _outlines(minority: frozenset[_Corner]) -> list[NDArray[np.float64]]:
    """Closed polygons (n, 3) on the faces of the unit cube that part a set of corners."""
    joined: dict[_Edge, list[_Edge]] = {}
    for a, b in itertools.chain.from_iterable(_cuts(face, minority) for face in _faces()):
        joined.setdefault(a, []).append(b)
        joined.setdefault(b, []).append(a)
    outlines = []
    while joined:
        edge: _Edge | None = next(iter(joined))
        points = []
        while edge is not None:
            points.append(np.mean([*edge], axis=0))
            edge = next((n for n in joined.pop(edge) if n in joined), None)
        outlines.append(np.array(points))
    return outlines


def _faces() -> list[list[_Corner]]:
    """The six faces of the unit cube, each as its four corners going round."""
    ring = ((0, 0), (1, 0), (1, 1), (0, 1))
    return [
        [(*pair[:axis], side, *pair[axis:]) for pair in ring]  # type: ignore[misc] # always three
        for axis, side in itertools.product(range(3), (0, 1))
    ]


def _cuts(face: list[_Corner], minority: frozenset[_Corner]) -> list[tuple[_Edge, _Edge]]:
    """Pairs of edges of a face that the surface joins by a line across it."""
    edges = [frozenset((face[n - 1], face[n])) for n in range(4)]
    cut = [edge for edge in edges if len(edge & minority) == 1]
    if len(cut) == 2:
        return [(cut[0], cut[1])]
    if len(cut) == 4:
        return [(edges[n], edges[(n + 1) % 4]) for n in range(4) if face[n] in minority]
    return []


def _largest_spans(outline: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Normals (triangles, 3), as long as the areas, of the largest surfaces with this outline."""
    spans = []
    for triangles in _triangulations(0, len(outline) - 1):
        a, b, c = np.moveaxis(outline[np.array(triangles)], 1, 0)
        spans.append(np.cross(b - a, c - a) / 2)
    areas = [float(np.linalg.norm(span, axis=1).sum()) for span in spans]
    return [span for span, area in zip(spans, areas, strict=True) if area > max(areas) - 1e-9]


@lru_cache(maxsize=32)
def _triangulations(first: int, last: int) -> tuple[_Triangles, ...]:
    """Every way to cut the polygon of the points first ... last into triangles."""
    if last - first < 2:
        return ((),)
    return tuple(
        (*left, *right, (first, middle, last))
        for middle in range(first + 1, last)
        for left in _triangulations(first, middle)
        for right in _triangulations(middle, last)
    )
