"""Unevenness of an organ at some millimetres, with the skew that it has: fat between lobules."""

from __future__ import annotations

import edt
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import ndtri

from scalemai.geometry import Grid
from scalemai.synthesis.painting.noise_model import smoothed_within

__all__ = ["QUANTILES", "balanced", "drawn_texture", "without_noise"]

QUANTILES = (np.arange(64) + 0.5) / 64
"""Where the distributions of HU are held."""

# Author's estimates, to be refined.
_TEXTURE_MM = 2.5  # standard deviation of the Gaussian that the texture is made with
_TREND_MM = 8.0
_TAPER_MM = 3.0
_TAIL_SD = 3.0  # what stands out farther is a vessel, not texture
_DECONVOLUTION_STEPS = 15


def drawn_texture(
    rest: NDArray[np.float32],
    hole: NDArray[np.bool_],
    pure: NDArray[np.bool_],
    noise_hu: float,
    grid: Grid,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Draw texture between 3 and 10 mm that with the noise has the organ's distribution of HU.

    It fades toward the edge of the hole, where the course already follows what is beside it.

    Parameters
    ----------
    rest
        HU minus the organ's course, float32, array (i, j, k).
    hole, pure
        What is filled; voxels of the organ to learn from.
    noise_hu
        Standard deviation of the noise.
    grid
        Grid of the arrays.
    rng
        Source of the field.

    Returns
    -------
    ndarray
        HU, float32; 0 outside of the hole.
    """
    texture = np.zeros(grid.shape, np.float32)
    if not hole.any():
        return texture
    trend = smoothed_within(rest, pure, _sigma(_TREND_MM, grid))
    values = (rest - trend)[pure].astype(np.float64)
    values -= np.median(values)
    spread = 1.4826 * float(np.median(np.abs(values)))
    values = values[np.abs(values) <= max(_TAIL_SD * spread, 1e-6)]
    table = without_noise(values, np.zeros(len(QUANTILES)), noise_hu)
    table -= table.mean()  # the course is a mean
    white = rng.standard_normal(grid.shape, dtype=np.float32)
    field = ndimage.gaussian_filter(white, _sigma(_TEXTURE_MM, grid), mode="wrap")
    field -= ndimage.gaussian_filter(white, _sigma(_TREND_MM, grid), mode="wrap")
    # A small hole holds a few patches, which by chance are mostly low or mostly high.
    order = np.argsort(np.argsort(field[hole], kind="stable"), kind="stable")
    drawn = np.interp((order + 0.5) / order.size, QUANTILES, table)
    texture[hole] = _weight(hole, grid) * drawn
    return texture


def balanced(
    grain: NDArray[np.float32], hole: NDArray[np.bool_], grid: Grid
) -> NDArray[np.float32]:
    """Noise and texture with mean 0 in the hole, changed only away from its edge.

    A small hole holds so few grains that their mean would be seen as another tissue.
    """
    result = grain.copy()
    if hole.any():
        weight = _weight(hole, grid)
        result[hole] -= weight * np.float32(grain[hole].mean() / max(float(weight.mean()), 1e-6))
    return result


def _weight(hole: NDArray[np.bool_], grid: Grid) -> NDArray[np.float32]:
    """For each voxel of the hole: 0 at its edge, 1 in its middle."""
    into = edt.edt(np.pad(hole, 1), anisotropy=grid.spacing_mm)[1:-1, 1:-1, 1:-1][hole]
    return np.asarray(np.sqrt(1.0 - np.exp(-((into / _TAPER_MM) ** 2))), np.float32)


def without_noise(
    hu: NDArray[np.floating], guess: NDArray[np.float64], noise_hu: float
) -> NDArray[np.float64]:
    """Quantiles that become those of the scan once noise is added to them.

    Parameters
    ----------
    hu
        Values with noise, one axis.
    guess
        Quantiles at :data:`QUANTILES` to begin with.
    noise_hu
        Standard deviation of the noise.
    """
    wanted = np.quantile(hu, QUANTILES)
    noise = noise_hu * ndtri((np.arange(32) + 0.5) / 32)
    table = guess
    for _ in range(_DECONVOLUTION_STEPS):
        noisy = np.quantile(table[:, None] + noise, QUANTILES)
        table = np.sort(table + 0.7 * (wanted - noisy))
    return np.asarray(table)


def _sigma(length_mm: float, grid: Grid) -> tuple[float, ...]:
    return tuple(length_mm / step for step in grid.spacing_mm)
