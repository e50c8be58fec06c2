"""The image noise of a scan: measured where tissue is uniform, made anew where tissue is.

Noise is described by its standard deviation, its autocorrelation in the axial image (whose Fourier
transform is the noise power spectrum; the kernel shapes both) and its correlation between slices.
All three are read off a variogram, half the mean square difference of voxels a given step apart:
slow changes of the organ cancel in it, and differences across vessels and edges are truncated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from scalemai.compiled import compiled
from scalemai.errors import GeometryError, IntensityError
from scalemai.geometry import Grid
from scalemai.measure import bounding_box

__all__ = ["NoiseModel", "measure_noise", "noise_field", "smoothed_within", "wave_gains"]

# Author's estimates, to be refined, where no source is given.
_LAG_MM = 5.0  # beyond it the noise of usual kernels is not correlated
_FEWEST_LAGS, _MOST_LAGS = 7, 10
_UNCORRELATED = 0.65  # share of the longest step from which on voxels count as unrelated
_SLICE_LAG_MM = 5.0
_MOST_SLICE_LAGS = 6
_TREND_MM = 8.0
_ENOUGH_VOXELS = 400  # for a spectrum; the standard deviation alone takes fewer
_FEWEST_VOXELS = 30
_SAMPLE_PAIRS = 60_000
_START_VALUES = 5_000
_SETTLED = 2e-3
_TRUNCATE_SD = 2.5
_TRUNCATED_VARIANCE = 0.911264  # of a standard normal variable cut at 2.5
_USUAL_SD_PIXELS = 0.8  # of the Gaussian that stands for an unknown kernel
_USUAL_SLICE_CORRELATION = 0.2
_SOFT_TISSUE_HU = (-150.0, 300.0)


@dataclass(frozen=True, eq=False)
class NoiseModel:
    """Noise that is stationary and Gaussian, as it is locally in CT.

    Parameters
    ----------
    sd_hu
        Standard deviation in HU.
    autocorrelation
        Array (2 m + 1, 2 n + 1): correlation of voxels by their distance in voxels along the two
        axes of the axial image, in ascending order of array axes; 1 in the middle.
    slice_correlation
        Correlation with the same voxel one, two, ... slices away.
    axial_axis
        Array axis across the axial images.
    """

    sd_hu: float
    autocorrelation: NDArray[np.float64]
    slice_correlation: tuple[float, ...]
    axial_axis: int

    def power_spectrum(self, shape: tuple[int, int]) -> NDArray[np.float64]:
        """Noise power of an axial image of ``shape``, layout of ``scipy.fft.fft2``, mean 1."""
        return _non_negative(_spectrum(self.autocorrelation, shape))

    def slice_spectrum(self, slices: int) -> NDArray[np.float64]:
        """Noise power across the slices, layout of ``scipy.fft.fft``, mean 1."""
        one_side = np.array(self.slice_correlation, np.float64)
        return _non_negative(_spectrum(np.r_[one_side[::-1], 1.0, one_side], (slices,)))


def measure_noise(hu: NDArray[np.floating], where: NDArray[np.bool_], grid: Grid) -> NoiseModel:
    """Measure the noise of a scan in one tissue.

    Only the uniform part of ``where`` counts: neither its border in the axial image nor what
    stands out of it (vessels, fat, calcification). With fewer than 400 such voxels the correlation
    is that of a usual soft kernel; with fewer than 30 the flattest soft tissue of the array is
    taken instead of ``where``.

    Parameters
    ----------
    hu
        Hounsfield units, array (i, j, k).
    where
        Boolean array (i, j, k): voxels of one tissue, for example an organ without its lesions.
    grid
        Grid of the arrays.

    Raises
    ------
    GeometryError
        If the arrays are not of the grid's shape.
    IntensityError
        If neither ``where`` nor the rest of the array holds 30 voxels of uniform tissue.
    """
    if hu.shape != grid.shape or where.shape != grid.shape:
        what = f"arrays of shape {hu.shape} and {where.shape} on a grid of shape {grid.shape}"
        raise GeometryError(what)
    box = bounding_box(where)
    if box is not None:  # an organ is a small part of its scan
        values = np.asarray(hu[box], np.float32)
        uniform = _uniform(values, where[box], grid)
    if box is None or np.count_nonzero(uniform) < _FEWEST_VOXELS:
        values = np.asarray(hu, np.float32)
        uniform = _flattest(values, grid)
    count = int(np.count_nonzero(uniform))
    if count < _FEWEST_VOXELS:
        fix = "give voxels of one tissue in a CT that is not empty"
        raise IntensityError("there is no uniform tissue to measure the noise in", fix=fix)
    residual = values - _trend(values, uniform, grid)
    if count < _ENOUGH_VOXELS:
        inside = residual[uniform]
        # The trend through few voxels takes some of their noise away.
        sd = _truncated_variance(inside - np.median(inside)) ** 0.5
        return _usual(float(sd), grid)
    first, second = grid.in_plane_axes
    reach = [_lags(grid.spacing_mm[axis]) for axis in (first, second)]
    semivariance = np.full((2 * reach[0] + 1, 2 * reach[1] + 1), np.nan)
    for a, b in _half_plane(*reach):
        step = [0, 0, 0]
        step[first], step[second] = a, b
        one = _semivariance(residual, uniform, step)
        semivariance[reach[0] + a, reach[1] + b] = semivariance[reach[0] - a, reach[1] - b] = one
    semivariance[reach[0], reach[1]] = 0.0
    far = _distance(reach) >= _UNCORRELATED
    if not np.isfinite(semivariance[far]).any():  # thinner everywhere than the noise is long
        return _usual(float(_truncated_variance(residual[uniform]) ** 0.5), grid)
    sill = float(np.nanmean(semivariance[far]))
    if sill <= 0.0:
        return _usual(0.0, grid)
    correlation = np.nan_to_num(1.0 - semivariance / sill, nan=0.0) * _taper(reach)
    return NoiseModel(
        sd_hu=sill**0.5,
        autocorrelation=correlation,
        slice_correlation=_slice_correlation(residual, uniform, grid, sill),
        axial_axis=grid.axial_axis,
    )


def noise_field(
    model: NoiseModel, shape: tuple[int, int, int], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw noise as a model describes it: Gaussian, mean 0.

    Parameters
    ----------
    model
        From :func:`measure_noise`, of an array with the same axes and spacing.
    shape
        Shape (i, j, k) of the field.
    rng
        Source of the noise: one standard normal number per voxel and of a margin beside them.

    Returns
    -------
    ndarray
        HU, float32.
    """
    padded, gain = wave_gains(model, shape)
    spectrum = fft.rfftn(rng.standard_normal(padded, dtype=np.float32))
    spectrum *= gain.astype(np.float32)
    field = fft.irfftn(spectrum, s=padded, overwrite_x=True)
    cut = field[tuple(slice(n) for n in shape)] * np.float32(model.sd_hu)
    return np.ascontiguousarray(cut, np.float32)


def smoothed_within(
    values: NDArray[np.float32],
    inside: NDArray[np.bool_],
    sigma_voxels: tuple[float, ...],
) -> NDArray[np.float32]:
    """Gaussian mean of the voxels inside a mask, everywhere; 0 where none is in reach."""
    weight = ndimage.gaussian_filter(inside.astype(np.float32), sigma_voxels, mode="constant")
    total = ndimage.gaussian_filter(np.where(inside, values, 0), sigma_voxels, mode="constant")
    mean: NDArray[np.float32] = np.where(weight > 1e-6, total / np.maximum(weight, 1e-6), 0)
    return mean.astype(np.float32)


def wave_gains(
    model: NoiseModel, shape: tuple[int, int, int]
) -> tuple[tuple[int, int, int], NDArray[np.float64]]:
    """What white noise is multiplied by in ``rfftn`` to become this noise of unit variance.

    Parameters
    ----------
    model
        From :func:`measure_noise`.
    shape
        Shape (i, j, k) of the field that is wanted.

    Returns
    -------
    padded
        The shape to draw, larger as a transform goes round at its edges.
    gains
        float64 array, layout of ``rfftn`` of that shape.
    """
    axial = model.axial_axis
    first, second = (axis for axis in range(3) if axis != axial)
    margin = [0, 0, 0]
    margin[axial] = len(model.slice_correlation)
    margin[first], margin[second] = (n // 2 for n in model.autocorrelation.shape)
    a, b, c = (int(fft.next_fast_len(n + m, real=True)) for n, m in zip(shape, margin, strict=True))
    padded = (a, b, c)
    plane = model.power_spectrum((padded[first], padded[second]))
    across = model.slice_spectrum(padded[axial])
    gain = np.sqrt(np.expand_dims(plane, axial) * np.expand_dims(across, (first, second)))
    return padded, gain[..., : c // 2 + 1]


def _uniform(hu: NDArray[np.float32], where: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """Voxels whose surroundings in the axial image are of the tissue, and usual for it."""
    square = [3, 3, 3]
    square[grid.axial_axis] = 1
    inner: NDArray[np.bool_] = ndimage.binary_erosion(where, np.ones(square, np.bool_))
    if np.count_nonzero(inner) < _ENOUGH_VOXELS:
        inner = where.copy()
    if np.count_nonzero(inner) < _FEWEST_VOXELS:
        return inner
    local = smoothed_within(hu, inner, tuple(0.0 if n == 1 else 1.5 for n in square))
    local -= _trend(hu, inner, grid)
    means = local[inner]
    middle = np.median(means)
    spread = 1.4826 * np.median(np.abs(means - middle))
    # Four, not three: cutting the tails of the noise itself would make it seem weaker.
    usual = np.abs(local - middle) <= 4.0 * max(spread, 0.5)
    return np.asarray(inner & usual, np.bool_)


def _flattest(hu: NDArray[np.float32], grid: Grid) -> NDArray[np.bool_]:
    """The tenth of the soft tissue in the array whose surroundings vary least."""
    soft = np.asarray((hu > _SOFT_TISSUE_HU[0]) & (hu < _SOFT_TISSUE_HU[1]), np.bool_)
    if not soft.any():
        return soft
    size = [5, 5, 5]
    size[grid.axial_axis] = 1
    mean = ndimage.uniform_filter(hu, size)
    variance = ndimage.uniform_filter((hu - mean) ** 2, size)
    return np.asarray(soft & (variance <= np.percentile(variance[soft], 10.0)), np.bool_)


def _trend(hu: NDArray[np.float32], inside: NDArray[np.bool_], grid: Grid) -> NDArray[np.float32]:
    sigma = tuple(max(_TREND_MM / step, 6.0) for step in grid.spacing_mm)
    within_slice = tuple(0.0 if n == grid.axial_axis else s for n, s in enumerate(sigma))
    return smoothed_within(hu, inside, within_slice)


def _semivariance(
    residual: NDArray[np.float32], inside: NDArray[np.bool_], step: list[int]
) -> float:
    """Half the mean square difference of voxels one step apart; NaN if there are too few."""
    every = max(int(np.count_nonzero(inside)) // _SAMPLE_PAIRS, 1)
    apart = _differences(residual, inside, np.array(step), every)
    if apart.size < _FEWEST_VOXELS:
        return float("nan")
    return _truncated_variance(apart) / 2.0


@compiled
def _differences(
    residual: NDArray[np.float32], inside: NDArray[np.bool_], step: NDArray[np.int64], every: int
) -> NDArray[np.float32]:
    """Differences of voxels one step apart that are both inside, one pair of ``every``."""
    ni, nj, nk = residual.shape
    di, dj, dk = step[0], step[1], step[2]
    apart = np.empty(residual.size // every + 1, np.float32)
    pairs, found = 0, 0
    for i in range(max(-di, 0), ni - max(di, 0)):
        for j in range(max(-dj, 0), nj - max(dj, 0)):
            for k in range(max(-dk, 0), nk - max(dk, 0)):
                if inside[i, j, k] and inside[i + di, j + dj, k + dk]:
                    if pairs % every == 0:
                        apart[found] = residual[i + di, j + dj, k + dk] - residual[i, j, k]
                        found += 1
                    pairs += 1
    return apart[:found]


def _truncated_variance(values: NDArray[np.floating]) -> float:
    """Mean square about 0 as a normal distribution has it, tails left out; robust."""
    square = np.asarray(values, np.float64) ** 2
    # Where to begin is not critical, so a part of the values will do.
    start = np.median(square[:: max(square.size // _START_VALUES, 1)])
    return float(_settle(square, float(start) / 0.4549364))  # median of a chi-squared variable


@compiled
def _settle(square: NDArray[np.float64], variance: float) -> float:
    """Truncate at 2.5 sd of the last estimate, again and again.

    It settles within a few rounds, and the rounding of stored HU, which moves a median, averages
    out.
    """
    for _ in range(6):
        limit = _TRUNCATE_SD**2 * max(variance, 1e-6)
        total, count = 0.0, 0
        for value in square:
            if value <= limit:
                total += value
                count += 1
        if count == 0:
            break
        before, variance = variance, total / count / _TRUNCATED_VARIANCE
        if abs(variance - before) < _SETTLED * variance:
            break
    return variance


def _slice_correlation(
    residual: NDArray[np.float32], inside: NDArray[np.bool_], grid: Grid, sill: float
) -> tuple[float, ...]:
    axial = grid.axial_axis
    count = min(int(np.ceil(_SLICE_LAG_MM / grid.spacing_mm[axial])) + 1, _MOST_SLICE_LAGS)
    found: list[float] = []
    for lag in range(1, min(count, residual.shape[axial] - 1) + 1):
        step = [0, 0, 0]
        step[axial] = lag
        half = _semivariance(residual, inside, step)
        # Below zero it is anatomy that differs from slice to slice.
        found.append(0.0 if np.isnan(half) else float(np.clip(1.0 - half / sill, 0.0, 0.98)))
    return tuple(found) or (0.0,)


def _usual(sd_hu: float, grid: Grid) -> NoiseModel:
    line = np.exp(-(np.arange(-4, 5) ** 2) / (4.0 * _USUAL_SD_PIXELS**2))
    return NoiseModel(sd_hu, np.outer(line, line), (_USUAL_SLICE_CORRELATION,), grid.axial_axis)


def _lags(step_mm: float) -> int:
    return int(np.clip(np.ceil(_LAG_MM / step_mm), _FEWEST_LAGS, _MOST_LAGS))


def _half_plane(m: int, n: int) -> Iterator[tuple[int, int]]:
    """Every step but one of each pair of opposite ones, and none of zero."""
    yield from ((a, b) for a in range(m + 1) for b in range(-n, n + 1) if a > 0 or b > 0)


def _distance(reach: list[int]) -> NDArray[np.float64]:
    """Length of each step as a share of the longest."""
    a, b = (np.arange(-n, n + 1) / n for n in reach)
    return np.asarray(np.hypot(a[:, None], b[None, :]))


def _taper(reach: list[int]) -> NDArray[np.float64]:
    """1 for the short steps that matter, falling to 0 at the longest: sampling error is noise."""
    beyond = np.clip((_distance(reach) - 0.6) / 0.4, 0.0, 1.0)
    return np.asarray(0.5 + 0.5 * np.cos(np.pi * beyond))


def _spectrum(correlation: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Transform of a centred correlation, folded where the image is smaller than its steps."""
    folded = np.zeros(shape)
    index = np.ix_(
        *((np.arange(c) - c // 2) % n for c, n in zip(correlation.shape, shape, strict=True))
    )
    np.add.at(folded, index, correlation)
    return np.asarray(fft.fftn(folded).real)


def _non_negative(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """A sampled correlation may have a transform that dips below zero; none of noise does."""
    cut = np.maximum(power, 0.0)
    return np.asarray(cut / cut.mean())
