"""What the noise of a region looks like: strength, correlation, spectrum, tails and rounding.

All numbers are of the finest scales, differences between neighbouring voxels above all, so that
the shape and the shading of a lesion hardly move them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from scalemai.geometry import Grid

__all__ = ["BANDS", "FEWEST_VOXELS", "noise_of", "rise_distance_mm", "rounding_of"]

FEWEST_VOXELS = 20
"""A region of fewer voxels has no noise that can be told (author's choice)."""

BANDS = 4
"""Bands of spatial frequency from zero to the Nyquist frequency of the coarser pixel side."""

_TAPER_VOXELS = 2.0
_BINS = 120
_FLATNESS = 0.15  # of the noise: a smaller step between lesion and organ has no border to be read
_LAGS = ((1, 0), (0, 1), (1, 1), (1, -1), (2, 0), (0, 2), (3, 0), (0, 3))


def noise_of(
    hu: NDArray[np.float32], where: NDArray[np.bool_], grid: Grid
) -> Mapping[str, float] | None:
    """Describe the noise of one region, in logarithms where a quantity is a ratio or an amount.

    Parameters
    ----------
    hu
        Hounsfield units, array (i, j, k).
    where
        Boolean array (i, j, k): the region.
    grid
        Grid of the arrays; it names the axial images.

    Returns
    -------
    mapping or None
        ``residual``: log standard deviation in HU of the discrete Laplacian of the axial image,
        scaled so that white noise gives its own. ``lag1`` to ``lag3``: log mean square difference
        over so many voxels, relative to two voxels; ``diagonal``, ``anisotropy``, ``slices``
        likewise. ``band1`` to ``band4``: log share of the noise power. ``gradient``: log ratio of
        the 90th percentile to the median of the gradient. ``tails``: excess kurtosis of the
        Laplacian, squashed to -1...1. NaN for what needs voxels with all their neighbours where
        there are too few; None if the region has fewer than :data:`FEWEST_VOXELS` voxels.
    """
    first, second = grid.in_plane_axes
    image = np.transpose(hu, (grid.axial_axis, first, second)).astype(np.float64)
    inside = np.transpose(where, (grid.axial_axis, first, second))
    centre = inside.copy()
    for axis in (1, 2):
        for step in (-1, 1):
            centre &= _shifted(inside, axis, step)
    if np.count_nonzero(inside) < FEWEST_VOXELS:
        return None
    laplacian = 4.0 * image
    for axis in (1, 2):
        for step in (-1, 1):
            laplacian -= _shifted(image, axis, step)
    found = dict.fromkeys(("residual", "gradient", "tails"), float("nan"))
    found |= _correlation(image, inside)
    found |= _spectrum(image, inside)
    residual = laplacian[centre] / 20.0**0.5
    if residual.size < FEWEST_VOXELS:
        return found
    spread = max(float(residual.std()), 1e-3)
    found["residual"] = float(np.log(spread))
    across = _shifted(image, 1, 1) - _shifted(image, 1, -1)
    down = _shifted(image, 2, 1) - _shifted(image, 2, -1)
    steep = np.hypot(across, down)[centre]
    middle, high = np.percentile(steep, [50, 90])
    found["gradient"] = float(np.log(max(high, 1e-3) / max(middle, 1e-3)))
    kurtosis = float(np.mean(((residual - residual.mean()) / spread) ** 4)) - 3.0
    found["tails"] = float(np.tanh(kurtosis / 3.0))
    return found


def rounding_of(
    hu: NDArray[np.float32], where: NDArray[np.bool_], quantum_hu: float
) -> Mapping[str, float]:
    """How the stored numbers of a region are spread over the levels that they can have.

    Parameters
    ----------
    hu
        Hounsfield units, array (i, j, k).
    where
        Boolean array (i, j, k): the region.
    quantum_hu
        Step between levels in HU; 0 if values are not stored as whole numbers.

    Returns
    -------
    mapping
        ``odd``: share of odd levels minus one half. ``comb``: root mean square difference of
        neighbouring bins of the histogram beyond what counting alone would give, in units of that.
        ``whole``: share of values that are whole HU, minus one where they always are.
        Zeros if the region is empty.
    """
    values = np.asarray(hu[where], np.float64)
    if values.size < FEWEST_VOXELS:
        return {"odd": 0.0, "comb": 0.0, "whole": 0.0}
    step = quantum_hu or 1.0
    level = np.rint(values / step)
    level -= level.min()
    low, high = np.percentile(level, [5, 95])
    histogram = np.bincount(level.astype(np.int64)).astype(np.float64)
    body = histogram[max(int(low) - 1, 0) : int(high) + 2]
    comb = 0.0
    if body.size >= 5:
        # A bin between its neighbours: of counts, the variance is that of their sum.
        bend = body[1:-1] - 0.5 * (body[:-2] + body[2:])
        chance = body[1:-1] + 0.25 * (body[:-2] + body[2:])
        comb = float(np.sqrt(np.sum(bend**2) / max(np.sum(chance), 1.0)))
    whole = 0.0 if quantum_hu else float(np.mean(values == np.rint(values)))
    absolute = np.rint(values / step).astype(np.int64)
    return {
        "odd": float(np.mean(absolute % 2 != 0)) - 0.5,
        "comb": float(np.log(max(comb, 1e-2))),
        "whole": whole,
    }


def rise_distance_mm(
    hu: NDArray[np.float32],
    signed_mm: NDArray[np.float64],
    valid: NDArray[np.bool_],
    reach_mm: float,
) -> float | None:
    """Distance in mm over which the border of a lesion rises from 10 to 90 % of its step.

    Voxels are averaged by their distance to the label's surface, so that noise averages out along
    the surface; the profile is made monotonic before it is read.

    Parameters
    ----------
    hu
        Hounsfield units, array (i, j, k).
    signed_mm
        Distance to the surface in mm, negative inside.
    valid
        Boolean array (i, j, k): lesion and organ; voxels of other tissue are left out.
    reach_mm
        How far to each side the profile is followed.

    Returns
    -------
    float or None
        None if there are too few voxels, or no step that stands out of the noise.
    """
    from sklearn.isotonic import IsotonicRegression  # slow to import, and needed here alone

    near = valid & (np.abs(signed_mm) <= reach_mm)
    if np.count_nonzero(near) < 4 * FEWEST_VOXELS:
        return None
    place, value = signed_mm[near], hu[near].astype(np.float64)
    inner, outer = value[place < -0.6 * reach_mm], value[place > 0.6 * reach_mm]
    if min(inner.size, outer.size) < FEWEST_VOXELS:
        return None
    step = float(outer.mean() - inner.mean())
    error = float(np.hypot(inner.std() / inner.size**0.5, outer.std() / outer.size**0.5))
    if abs(step) < 4.0 * error or abs(step) < _FLATNESS * float(outer.std()):
        return None
    share = (value - inner.mean()) / step
    edges = np.linspace(-reach_mm, reach_mm, _BINS + 1)
    which = np.clip(np.searchsorted(edges, place, side="right") - 1, 0, _BINS - 1)
    count = np.bincount(which, minlength=_BINS)
    held = count > 0
    mean = np.bincount(which, share, _BINS)[held] / count[held]
    middle = 0.5 * (edges[1:] + edges[:-1])[held]
    curve = IsotonicRegression().fit(middle, mean, sample_weight=count[held]).predict(middle)
    climbing = curve + np.arange(curve.size) * 1e-9  # strictly, as interpolation needs it
    low, high = np.interp([0.1, 0.9], climbing, middle)
    return float(high - low)


def _correlation(image: NDArray[np.float64], inside: NDArray[np.bool_]) -> dict[str, float]:
    """Mean square differences over a few lags, which are the correlation of the noise."""
    mean = {(0, a, b): _mean_square_difference(image, inside, (0, a, b)) for a, b in _LAGS}
    slices = _mean_square_difference(image, inside, (1, 0, 0))
    two = 0.5 * (mean[0, 2, 0] + mean[0, 0, 2])
    one = 0.5 * (mean[0, 1, 0] + mean[0, 0, 1])
    three = 0.5 * (mean[0, 3, 0] + mean[0, 0, 3])
    diagonal = 0.5 * (mean[0, 1, 1] + mean[0, 1, -1])
    return {
        "lag1": _log_ratio(one, two),
        "lag3": _log_ratio(three, two),
        "diagonal": _log_ratio(diagonal, two),
        "anisotropy": _log_ratio(mean[0, 1, 0], mean[0, 0, 1]),
        "slices": _log_ratio(slices, two),
    }


def _mean_square_difference(
    image: NDArray[np.float64], inside: NDArray[np.bool_], step: tuple[int, int, int]
) -> float:
    here = tuple(slice(max(-s, 0), -s if s > 0 else None) for s in step)
    there = tuple(slice(max(s, 0), s if s < 0 else None) for s in step)
    pairs = inside[here] & inside[there]
    if not pairs.any():
        return float("nan")
    return float(np.mean((image[there][pairs] - image[here][pairs]) ** 2))


def _spectrum(image: NDArray[np.float64], inside: NDArray[np.bool_]) -> dict[str, float]:
    """Log shares of the power in rings of frequency, of the slices with most of the region."""
    names = [f"band{n}" for n in range(1, BANDS + 1)]
    area = inside.sum(axis=(1, 2))
    power = np.zeros(BANDS)
    for k in np.argsort(-area, kind="stable")[:6]:
        if area[k] < FEWEST_VOXELS:
            break
        rows, columns = (np.flatnonzero(inside[k].any(axis=axis)) for axis in (1, 0))
        cut = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        mask = np.pad(inside[k][cut], 2)
        values = np.pad(image[k][cut], 2)
        # A soft edge, or the outline of the region would be the spectrum.
        taper = np.clip(ndimage.distance_transform_edt(mask) / _TAPER_VOXELS, 0.0, 1.0)
        flat = _flattened(values, taper)
        spectrum = np.abs(fft.fft2(flat)) ** 2
        a, b = fft.fftfreq(flat.shape[0]), fft.fftfreq(flat.shape[1])
        ring = np.minimum((np.hypot(a[:, None], b[None, :]) * 2 * BANDS).astype(int), BANDS - 1)
        power += np.bincount(ring.ravel(), spectrum.ravel(), BANDS)
    if not power.sum() > 0.0:
        return dict.fromkeys(names, float("nan"))
    share = np.log(np.maximum(power / power.sum(), 1e-6))
    return {name: float(value) for name, value in zip(names, share, strict=True)}


def _flattened(values: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values times weight, after a plane and slow changes are taken out."""
    smooth = ndimage.gaussian_filter(values * weight, 3.0, mode="constant")
    norm = ndimage.gaussian_filter(weight, 3.0, mode="constant")
    flat = (values - smooth / np.maximum(norm, 1e-6)) * weight
    return np.asarray(flat - weight * flat.sum() / max(weight.sum(), 1e-6), np.float64)


def _log_ratio(one: float, two: float) -> float:
    if not (np.isfinite(one) and np.isfinite(two)):
        return float("nan")
    return float(np.log(max(one, 1e-6) / max(two, 1e-6)))


def _shifted(array: NDArray[Any], axis: int, step: int) -> NDArray[Any]:
    """The array moved by one voxel; what comes in from beyond the end repeats or is False."""
    moved = np.roll(array, step, axis)
    edge = [slice(None)] * array.ndim
    edge[axis] = slice(0, 1) if step > 0 else slice(-1, None)
    if array.dtype == np.bool_:
        moved[tuple(edge)] = False
    else:
        moved[tuple(edge)] = array[tuple(edge)]
    return moved
