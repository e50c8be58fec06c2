"""Tissue that is uneven at a given depth, as cortex and pyramids are: drawn anew, layer by layer.

The organ is freed of noise, and at every depth below its outline each voxel is ranked among those
of its layer. The ranks, as normal scores, are a field with the organ's correlation length; it is
drawn in the hole on condition of the scores beside it, and turned back into HU by the distribution
of each layer. What is put in thus goes on from what is there, and has the organ's HU at its depth
(Gaussian simulation of normal scores; Deutsch and Journel, GSLIB, 1998).
"""

from __future__ import annotations

from dataclasses import dataclass

import edt
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import ndtr, ndtri

from scalemai.geometry import Grid
from scalemai.synthesis.painting.noise_model import NoiseModel, smoothed_within
from scalemai.synthesis.removal.continuation import continued_noise
from scalemai.synthesis.removal.texture import QUANTILES, without_noise

__all__ = ["Structure", "even_tissue", "measure_structure"]

# Author's estimates, to be refined.
_FINE_MM = 1.2  # blurs less than a pyramid's edge, and takes most of the noise away
_HILUM_MM = 15.0  # a hollow narrower than twice this is not the outside
_LAYER_MM = 2.0
_FEWEST_IN_LAYER = 150
_LONGEST_LAG_MM = 20.0
_LENGTHS_MM = (2.0, 10.0)
_BAND_VOXELS = 4
_TAPER_MM = 1.5
_OWN_SHARE = 0.1  # of the scores: what is left of the noise
_EDGE_VOXELS = 0.6  # blur of the scan
_UNEVEN = 1.2  # times the noise: what is less is left to course and texture
_EVEN_SLOPE = 3.0  # times the usual slope of the smoothed scan
_SLOPE_MM = 1.5


@dataclass(frozen=True, eq=False)
class Structure:
    """An organ's unevenness; arrays of the box.

    Parameters
    ----------
    fine
        HU of the organ without noise, float32.
    layer
        Layer of each voxel by its depth below the outline, as a number with a fraction.
    scores
        Normal score of each voxel of the organ within its layer, float32; 0 elsewhere.
    quantiles
        HU, array (layers, quantiles).
    spread_hu
        Standard deviation in HU within a layer.
    model
        Correlation of the scores.
    """

    fine: NDArray[np.float32]
    layer: NDArray[np.float32]
    scores: NDArray[np.float32]
    quantiles: NDArray[np.float32]
    spread_hu: float
    model: NoiseModel

    def uneven(self, noise_hu: float) -> bool:
        """Whether the unevenness is much more than the noise."""
        return self.spread_hu > _UNEVEN * noise_hu

    def drawn(
        self,
        hole: NDArray[np.bool_],
        pure: NDArray[np.bool_],
        grid: Grid,
        rng: np.random.Generator,
    ) -> NDArray[np.float32]:
        """HU without noise in the hole, going on from the organ beside it.

        Parameters
        ----------
        hole, pure
            What is filled; voxels of the organ that hold nothing else.
        grid
            Grid of the box.
        rng
            Source of the field.
        """
        band = ndimage.binary_dilation(hole, iterations=_BAND_VOXELS) & pure
        scores = continued_noise(self.model, self.scores, band, rng, own_share=_OWN_SHARE)
        inside, layer = scores[hole], self.layer[hole]
        into = edt.edt(np.pad(hole, 1), anisotropy=grid.spacing_mm)[1:-1, 1:-1, 1:-1][hole]
        into -= min(grid.spacing_mm)
        weight = 1.0 - np.exp(-((into / _TAPER_MM) ** 2))
        share = ndtr(weight * _even_ranks(inside, layer) + (1.0 - weight) * inside)
        at = share * len(QUANTILES) - 0.5
        result = self.fine.copy()
        result[hole] = ndimage.map_coordinates(self.quantiles, [layer, at], order=1, mode="nearest")
        sigma = [_EDGE_VOXELS] * 3
        sigma[grid.axial_axis] = 0.0
        blurred = smoothed_within(result, hole | pure, tuple(sigma))
        return np.where(hole, blurred, result).astype(np.float32)


def measure_structure(
    hu: NDArray[np.float32],
    pure: NDArray[np.bool_],
    organ: NDArray[np.bool_],
    noise_hu: float,
    grid: Grid,
) -> Structure:
    """Measure how uneven an organ is at each depth.

    Parameters
    ----------
    hu
        Hounsfield units, float32, array (i, j, k).
    pure, organ
        Voxels to learn from; the whole organ as it is expected to be.
    noise_hu
        Standard deviation of the noise.
    grid
        Grid of the arrays.
    """
    fine = smoothed_within(hu, pure, tuple(_FINE_MM / s for s in grid.spacing_mm))
    depth = _depth_below_outline(organ, grid)
    layer = np.maximum(depth / _LAYER_MM - 0.5, 0.0).astype(np.float32)
    number = np.rint(layer).astype(np.int64)
    counts = np.bincount(number[pure])
    enough = np.flatnonzero(counts >= _FEWEST_IN_LAYER)
    last = int(enough[-1]) if enough.size else 0
    number, layer = np.minimum(number, last), np.minimum(layer, np.float32(last))
    first = int(enough[0]) if enough.size else 0
    number, layer = np.maximum(number, first) - first, np.maximum(layer, first) - first
    scores = np.zeros(hu.shape, np.float32)
    table = np.full((last - first + 1, len(QUANTILES)), np.nan)
    spread = 0.0
    for one in range(len(table)):
        here = pure & (number == one)
        values = fine[here]
        if not values.size:
            table[one] = table[one - 1]
            continue
        table[one] = without_noise(hu[here], np.quantile(values, QUANTILES), noise_hu)
        order = np.argsort(np.argsort(values, kind="stable"), kind="stable")
        scores[here] = ndtri((order + 0.5) / values.size)
        spread += values.size * float(np.ptp(np.quantile(values, (0.05, 0.95))) / 3.29) ** 2
    spread = (spread / max(int(np.count_nonzero(pure)), 1)) ** 0.5
    level = table[:, len(QUANTILES) // 2][number]
    # The correlation is that of the HU: ranks of the cortex are mostly those of its noise.
    model = _correlation(np.where(pure, fine - level, 0.0).astype(np.float32), pure, grid)
    return Structure(fine, layer, scores, table.astype(np.float32), spread, model)


def even_tissue(hu: NDArray[np.float32], organ: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """Voxels of an organ where it is even, so that what differs is noise.

    Parameters
    ----------
    hu, organ, grid
        Hounsfield units, the organ, and the grid of both.
    """
    if not organ.any():
        return organ
    sigma = [_SLOPE_MM / s for s in grid.spacing_mm]
    sigma[grid.axial_axis] = 0.0
    smooth = smoothed_within(hu, organ, tuple(sigma))
    slope = np.hypot(*(np.gradient(smooth, grid.spacing_mm[a], axis=a) for a in grid.in_plane_axes))
    usual = float(np.quantile(slope[organ], 0.25)) / 0.7585  # of a Rayleigh distribution
    return np.asarray(organ & (slope <= _EVEN_SLOPE * usual), np.bool_)


def _even_ranks(scores: NDArray[np.float32], layer: NDArray[np.float32]) -> NDArray[np.float64]:
    """Scores stretched until every rank is there alike, layer by layer.

    A hole holds a few large patches, which by chance are mostly low or mostly high.
    """
    result = scores.astype(np.float64)
    for one in np.unique(np.rint(layer)):
        window = np.abs(layer - one) <= 1.0
        order = np.argsort(np.argsort(scores[window], kind="stable"), kind="stable")
        part = ndtri((order + 0.5) / order.size)
        chosen = np.rint(layer[window]) == one
        result[np.rint(layer) == one] = part[chosen]
    return result


def _depth_below_outline(organ: NDArray[np.bool_], grid: Grid) -> NDArray[np.float32]:
    """Depth in mm below the organ's outline, hollows such as the renal sinus filled."""
    margin = [int(np.ceil(_HILUM_MM / s)) + 1 for s in grid.spacing_mm]
    # Beyond the box the organ goes on: its cut is no surface.
    padded = np.pad(organ, [(m, m) for m in margin], mode="edge")
    outside = edt.edt(~padded, anisotropy=grid.spacing_mm)
    wide = edt.edt(outside <= _HILUM_MM, anisotropy=grid.spacing_mm, black_border=False)
    depth = np.maximum(wide - _HILUM_MM, 0.0)
    box = tuple(slice(m, m + n) for m, n in zip(margin, organ.shape, strict=True))
    return np.asarray(depth[box], np.float32)


def _correlation(field: NDArray[np.float32], pure: NDArray[np.bool_], grid: Grid) -> NoiseModel:
    """Gaussian correlation that falls to a half where that of the scores does."""
    lengths = [_half_length_mm(field, pure, axis, grid) / 1.1774 for axis in range(3)]
    plane = float(np.mean([lengths[axis] for axis in grid.in_plane_axes]))
    plane = float(np.clip(plane, *_LENGTHS_MM))
    across = float(np.clip(lengths[grid.axial_axis], 0.7 * plane, 1.5 * plane))
    lines = []
    for axis in (*grid.in_plane_axes, grid.axial_axis):
        length = across if axis == grid.axial_axis else plane
        steps = np.arange(int(np.ceil(3.5 * length / grid.spacing_mm[axis])) + 1)
        line = np.exp(-0.5 * (steps * grid.spacing_mm[axis] / length) ** 2)
        lines.append(line)
    first, second = (np.r_[line[:0:-1], line] for line in lines[:2])
    return NoiseModel(
        1.0, np.outer(first, second), tuple(map(float, lines[2][1:])), grid.axial_axis
    )


def _half_length_mm(
    field: NDArray[np.float32], pure: NDArray[np.bool_], axis: int, grid: Grid
) -> float:
    spacing = grid.spacing_mm[axis]
    variance = max(float((field[pure] ** 2).mean()), 1e-6)
    before = 1.0
    for lag in range(1, min(int(_LONGEST_LAG_MM / spacing) + 1, field.shape[axis])):
        low = tuple(slice(None, -lag) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(lag, None) if a == axis else slice(None) for a in range(3))
        both = pure[low] & pure[high]
        if not both.any():
            break
        now = float((field[low][both] * field[high][both]).mean()) / variance
        if now <= 0.5:
            return spacing * (lag - (0.5 - now) / max(before - now, 1e-6))
        before = now
    return _LONGEST_LAG_MM
