"""Surface measures from their definitions, all distances one by one; and shapes to measure."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist

from scalemai.geometry import Grid


def grid_of(shape: tuple[int, ...], spacing_mm: tuple[float, ...]) -> Grid:
    i, j, k = shape
    return Grid((i, j, k), np.diag([*spacing_mm, 1.0]))


def axes_mm(grid: Grid) -> list[np.ndarray]:
    """Voxel centres in mm from the middle of an upright grid, ready to broadcast."""
    ramps = [
        (np.arange(n) - (n - 1) / 2) * s for n, s in zip(grid.shape, grid.spacing_mm, strict=True)
    ]
    return list(np.meshgrid(*ramps, indexing="ij", sparse=True))


def ellipsoid(grid: Grid, radii_mm: tuple[float, float, float]) -> np.ndarray:
    return sum((x / r) ** 2 for x, r in zip(axes_mm(grid), radii_mm, strict=True)) <= 1.0


def sphere(grid: Grid, radius_mm: float) -> np.ndarray:
    return ellipsoid(grid, (radius_mm,) * 3)


def voxel_border(mask: np.ndarray) -> np.ndarray:
    """Indices of mask voxels with a side outside; what is off the array is outside."""
    return np.argwhere(mask & ~ndimage.binary_erosion(mask))


def surfel_places(mask: np.ndarray) -> np.ndarray:
    """Indices of blocks of 2 x 2 x 2 voxels that are neither full nor empty."""
    padded = np.pad(mask, 1)
    n = np.array(padded.shape) - 1
    blocks = sum(
        padded[a : a + n[0], b : b + n[1], c : c + n[2]].astype(int)
        for a, b, c in itertools.product((0, 1), repeat=3)
    )
    return np.argwhere((blocks > 0) & (blocks < 8))


def nearest(points: np.ndarray, targets: np.ndarray, affine: np.ndarray) -> np.ndarray:
    matrix = affine[:3, :3]
    return cdist(points @ matrix.T, targets @ matrix.T).min(axis=1)


def voxel_nsd(a: np.ndarray, b: np.ndarray, grid: Grid, tolerance_mm: float) -> float:
    first, second = voxel_border(a), voxel_border(b)
    both = (nearest(first, second, grid.affine), nearest(second, first, grid.affine))
    return float(np.mean(np.concatenate(both) <= tolerance_mm + 1e-4))


class SurfaceDistance:
    """The reference implementation, with the names that NumPy 2 took away put back for it.

    It is release 0.1 of ``surface-distance``. Without the names it fails exactly where a mask is
    empty.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.module = pytest.importorskip("surface_distance")
        monkeypatch.setattr(np, "Inf", np.inf, raising=False)
        monkeypatch.setattr(np, "NaN", np.nan, raising=False)

    def distances(self, a: np.ndarray, b: np.ndarray, grid: Grid) -> dict[str, np.ndarray]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it uses names that SciPy will drop
            return self.module.compute_surface_distances(b, a, grid.spacing_mm)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.module, name)
