"""A small set of radiomic features, in millimetres and HU, as the IBSI defines them.

Definitions: Zwanenburg et al., Image Biomarker Standardisation Initiative, reference manual
(arXiv:1612.07003), and Radiology 2020;295:328-338. The tests check them on its digital phantom.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.geometry import Grid
from scalemai.measure import longest_axial_diameter_mm

__all__ = ["first_order", "radiomics", "shape_of", "texture_of"]

TEXTURE_STEP_MM = 2.0
TEXTURE_BIN_HU = 25.0
"""Voxel side and bin width of the texture matrix: those of configuration C of the IBSI."""

_FEWEST_VOXELS = 16
_HALF_DIRECTIONS = tuple(
    (a, b, c) for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1) if (a, b, c) > (0, 0, 0)
)


def radiomics(
    hu: NDArray[np.float32],
    lesion: NDArray[np.bool_],
    around: NDArray[np.bool_],
    grid: Grid,
) -> dict[str, float]:
    """All features of one lesion: shape, first order, texture and contrast.

    Parameters
    ----------
    hu
        Hounsfield units, array (i, j, k).
    lesion, around
        Boolean arrays (i, j, k): the lesion and the organ near it. Intensities are told relative
        to the median of the organ, since lesions of other patients and phases are compared.
    grid
        Grid of the arrays.

    Returns
    -------
    dict
        Features by name; NaN where a lesion is too small for one.
    """
    reference = float(np.median(hu[around])) if around.any() else float("nan")
    relative = hu - np.float32(0.0 if np.isnan(reference) else reference)
    steps = first_order(relative[lesion].astype(np.float64))
    if np.isnan(reference):
        steps |= dict.fromkeys(("mean", "median", "p10", "p90"), float("nan"))
    isotropic, inside = _resampled(relative, lesion, grid)
    levels = np.floor(isotropic / TEXTURE_BIN_HU).astype(np.int64)
    return {
        **{f"shape_{name}": value for name, value in shape_of(lesion, grid).items()},
        **{f"hu_{name}": value for name, value in steps.items()},
        **{f"texture_{name}": value for name, value in texture_of(levels, inside).items()},
    }


def first_order(values: NDArray[np.float64]) -> dict[str, float]:
    """Mean, variance, skewness, excess kurtosis and percentiles of the values of a region."""
    mean = float(values.mean())
    variance = float(values.var())
    spread = max(variance, 1e-12) ** 0.5
    p10, p25, median, p75, p90 = (float(x) for x in np.percentile(values, [10, 25, 50, 75, 90]))
    return {
        "mean": mean,
        "variance": variance,
        "skewness": float(np.mean((values - mean) ** 3)) / spread**3,
        "kurtosis": float(np.mean((values - mean) ** 4)) / spread**4 - 3.0,
        "median": median,
        "p10": p10,
        "p90": p90,
        "interquartile_range": p75 - p25,
    }


def shape_of(lesion: NDArray[np.bool_], grid: Grid) -> dict[str, float]:
    """Volume, longest axial diameter, and the axes of the lesion's principal components, in mm.

    The axes are four standard deviations of the voxel centres along each principal direction,
    which for an ellipsoid are 0.89 of its diameters.
    """
    centres = grid.to_world(np.argwhere(lesion))
    volume = len(centres) * grid.voxel_volume_mm3
    found = {
        "log_volume_mm3": float(np.log(volume)),
        "longest_axial_mm": longest_axial_diameter_mm(lesion, grid),
    }
    if len(centres) < 4:
        return found | dict.fromkeys(
            ("major_axis_mm", "minor_axis_mm", "least_axis_mm", "elongation", "flatness"),
            float("nan"),
        )
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(centres.T)), 0.0))
    least, minor, major = (4.0 * float(s) for s in spread)
    return found | {
        "major_axis_mm": major,
        "minor_axis_mm": minor,
        "least_axis_mm": least,
        "elongation": minor / max(major, 1e-6),
        "flatness": least / max(major, 1e-6),
    }


def texture_of(levels: NDArray[np.int64], inside: NDArray[np.bool_]) -> dict[str, float]:
    """Features of the grey level co-occurrence matrix, 13 directions merged, distance one voxel.

    Parameters
    ----------
    levels
        Whole grey levels on isotropic voxels, array (i, j, k).
    inside
        Boolean array (i, j, k): the region.
    """
    names = ("joint_entropy", "contrast", "dissimilarity", "inverse_difference", "correlation")
    if np.count_nonzero(inside) < _FEWEST_VOXELS:
        return dict.fromkeys(names, float("nan"))
    _, codes = np.unique(levels[inside], return_inverse=True)
    values = np.unique(levels[inside]).astype(np.float64)
    grey = np.zeros(levels.shape, np.int64)
    grey[inside] = codes
    n = len(values)
    matrix = np.zeros((n, n))
    for step in _HALF_DIRECTIONS:
        here = tuple(slice(max(-s, 0), -s if s > 0 else None) for s in step)
        there = tuple(slice(max(s, 0), s if s < 0 else None) for s in step)
        pairs = inside[here] & inside[there]
        joint = grey[here][pairs] * n + grey[there][pairs]
        matrix += np.bincount(joint, minlength=n * n).reshape(n, n)
    matrix += matrix.T
    if not matrix.sum():
        return dict.fromkeys(names, float("nan"))
    p = matrix / matrix.sum()
    apart = np.abs(values[:, None] - values[None, :])
    marginal = p.sum(axis=1)
    mean = float(marginal @ values)
    variance = float(marginal @ (values - mean) ** 2)
    covariance = float(((values - mean)[:, None] * (values - mean)[None, :] * p).sum())
    filled = p[p > 0]
    return {
        "joint_entropy": float(-(filled * np.log2(filled)).sum()),
        "contrast": float((apart**2 * p).sum()),
        "dissimilarity": float((apart * p).sum()),
        "inverse_difference": float((p / (1.0 + apart)).sum()),
        "correlation": covariance / variance if variance > 1e-12 else 1.0,
    }


def _resampled(
    hu: NDArray[np.float32], lesion: NDArray[np.bool_], grid: Grid
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Values and mask on cubes of 2 mm along the array axes, interpolated linearly."""
    steps = TEXTURE_STEP_MM / np.asarray(grid.spacing_mm)
    where = np.argwhere(lesion)
    low, high = where.min(axis=0) - 1.0, where.max(axis=0) + 1.0
    axes = [np.arange(a, b + 1e-6, step) for a, b, step in zip(low, high, steps, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"))
    values = ndimage.map_coordinates(hu.astype(np.float64), points, order=1, mode="nearest")
    share = ndimage.map_coordinates(lesion.astype(np.float64), points, order=1, mode="constant")
    return values, share >= 0.5
