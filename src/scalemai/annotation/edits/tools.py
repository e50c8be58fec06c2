"""Tools that propose a mask: a reader sees it before it becomes an edit.

All work on crops and in mm; none keeps a state.
"""

from __future__ import annotations

import itertools
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.components import label_components
from scalemai.errors import ConfigError

__all__ = ["TOOLS", "Tool", "fill_holes", "grow_from", "interpolate_slices", "smooth", "split"]

Tool = Literal["grow", "fill", "interpolate", "smooth", "split"]

TOOLS: tuple[Tool, ...] = ("grow", "fill", "interpolate", "smooth", "split")
"""Names as pages ask for them."""

_Bools = NDArray[np.bool_]
_Spacing = tuple[float, float, float]

_CORE_MM = 2.5
"""Radius about the click whose voxels say what the lesion looks like; author's choice."""

_WIDTH = 2.5
"""Spreads about the middle that are still lesion. 2.5 standard deviations hold 98.8 % of a normal
distribution."""

_LEAST_SPREAD_HU = 8.0
"""The noise of a quiet abdominal CT, below which a spread is not believed; author's estimate."""

_PIECE_MM = 3.0
"""Lobes nearer than this are one piece; author's choice."""


def grow_from(
    hu: NDArray[np.int16],
    spacing_mm: _Spacing,
    seed: tuple[int, int, int],
    *,
    radius_mm: float,
    allowed: _Bools | None = None,
) -> _Bools:
    """The even region about a click: the voxels that are connected to it and look like it.

    What it looks like is measured by the median and spread of the CT within 2.5 mm of the click;
    then by where its border is, half-way between it and what is around it. The CT is smoothed by
    about a voxel, so that noise does not fray the border. Thin bridges, as to a vessel, are cut by
    an opening of one voxel if the seed survives it, and holes are filled.

    Parameters
    ----------
    hu
        CT (i, j, k) in HU; a crop.
    spacing_mm
        Of its axes.
    seed
        Indices of the click.
    radius_mm
        Nothing farther away is taken.
    allowed
        Where it may grow, for example the organ; everywhere by default.

    Raises
    ------
    ConfigError
        If the seed lies outside, or the radius is not positive.
    """
    if any(not 0 <= s < n for s, n in zip(seed, hu.shape, strict=True)):
        raise ConfigError(f"{seed} lies outside the crop", where="at")
    if not radius_mm > 0:
        raise ConfigError("is not above 0 mm", where="radius_mm")
    sigma = [min(1.0, 0.5 / step + 0.5) for step in spacing_mm]
    smoothed = ndimage.gaussian_filter(hu.astype(np.float32), sigma)
    offsets = np.ogrid[tuple(slice(-s, n - s) for s, n in zip(seed, hu.shape, strict=True))]
    distance2 = sum((o * step) ** 2 for o, step in zip(offsets, spacing_mm, strict=True))
    core = distance2 <= max(_CORE_MM, max(spacing_mm)) ** 2
    middle = float(np.median(smoothed[core]))
    spread = 1.4826 * float(np.median(np.abs(smoothed[core] - middle)))
    width = _WIDTH * max(spread, _LEAST_SPREAD_HU)
    within: _Bools = np.asarray(distance2 <= radius_mm**2)
    if allowed is not None:
        within &= allowed
    within[seed] = True
    region = _connected((np.abs(smoothed - middle) <= width) & within, seed)
    around = ndimage.binary_dilation(region, _ball(2 * _CORE_MM, spacing_mm)) & ~(
        ndimage.binary_dilation(region, _ball(_CORE_MM, spacing_mm))
    )
    if around.any():
        half = abs(float(np.median(smoothed[around])) - middle) / 2
        if half >= _LEAST_SPREAD_HU / 2:
            region = _connected((np.abs(smoothed - middle) <= half) & within, seed)
    return region & within


def _connected(like: _Bools, seed: tuple[int, int, int]) -> _Bools:
    """The part about the seed without thin bridges, with what it encloses."""
    like[seed] = True
    cross = ndimage.generate_binary_structure(3, 1)
    opened = ndimage.binary_opening(like, cross)
    chosen = opened if opened[seed] else like
    labels = label_components(chosen, 6)
    result: _Bools = ndimage.binary_fill_holes(labels == labels[seed])
    return result


def _ball(radius_mm: float, spacing_mm: _Spacing) -> _Bools:
    reach = [max(1, round(radius_mm / step)) for step in spacing_mm]
    axes = np.ogrid[tuple(slice(-n, n + 1) for n in reach)]
    parts = ((axis * step) ** 2 for axis, step in zip(axes, spacing_mm, strict=True))
    return np.asarray(sum(parts) <= max(radius_mm, max(spacing_mm)) ** 2)


def fill_holes(mask: _Bools) -> _Bools:
    """The mask with what it encloses, in space and within each axial slice."""
    result: _Bools = ndimage.binary_fill_holes(mask)
    for k in range(mask.shape[2]):
        if result[:, :, k].any():
            result[:, :, k] = ndimage.binary_fill_holes(result[:, :, k])
    return result


def interpolate_slices(mask: _Bools, spacing_mm: _Spacing) -> _Bools:
    """The mask with the axial slices between those that were drawn.

    Between two drawn slices the border runs where the signed distances to both borders, in mm and
    weighted by nearness, add up to 0 (shape-based interpolation: Raya and Udupa 1990). Drawn slices
    stay as they are.

    Parameters
    ----------
    mask
        Array (i, j, k) whose empty slices between others are to be filled.
    spacing_mm
        Of its axes.

    Raises
    ------
    ConfigError
        If fewer than two slices are drawn, or none is left out between them.
    """
    drawn = np.nonzero(mask.any(axis=(0, 1)))[0]
    gaps = [(a, b) for a, b in itertools.pairwise(drawn) if b - a > 1]
    if not gaps:
        fix = "outline the lesion in two slices with a few between them"
        raise ConfigError("there is nothing to fill in", where="interpolate", fix=fix)
    result = mask.copy()
    for low, high in gaps:
        below, above = (_signed_mm(mask[:, :, k], spacing_mm[:2]) for k in (low, high))
        for k in range(low + 1, high):
            share = (k - low) / (high - low)
            result[:, :, k] = (1 - share) * below + share * above < 0
    return result


def smooth(mask: _Bools, spacing_mm: _Spacing) -> _Bools:
    """The mask with its border smoothed by about 1 mm; its volume stays much the same."""
    width = max(1.0, min(spacing_mm))
    blurred = ndimage.gaussian_filter(mask.astype(np.float32), [width / s for s in spacing_mm])
    return np.asarray(blurred >= 0.5)


def split(mask: _Bools, spacing_mm: _Spacing) -> list[_Bools]:
    """The pieces of a mask: those that do not touch, else its lobes.

    Lobes are what an erosion leaves apart, each as thick as a lesion worth a name; every voxel goes
    to the nearest. Largest first; one piece if there is no neck.

    Raises
    ------
    ConfigError
        If the mask is empty.
    """
    if not mask.any():
        raise ConfigError("the mask is empty", where="split")
    labels = label_components(mask)
    if labels.max() == 1:
        labels = _lobes(mask, spacing_mm)
    pieces = [labels == number for number in range(1, int(labels.max()) + 1)]
    return sorted((piece for piece in pieces if piece.any()), key=lambda p: -int(p.sum()))


def _lobes(mask: _Bools, spacing_mm: _Spacing) -> NDArray[np.unsignedinteger[Any]]:
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing_mm)[1:-1, 1:-1, 1:-1]
    summits = _summits(depth, spacing_mm)
    if summits.max() < 2:
        return mask.astype(np.uint32)
    nearest = ndimage.distance_transform_edt(
        summits == 0, sampling=spacing_mm, return_distances=False, return_indices=True
    )
    return np.where(mask, summits[tuple(nearest)], 0).astype(np.uint32)


def _summits(depth: NDArray[np.float64], spacing_mm: _Spacing) -> NDArray[np.uint32]:
    """Numbered parts that remain when the mask is eroded as far as it falls apart."""
    best = np.zeros(depth.shape, np.uint32)
    step = min(spacing_mm)
    for level in np.arange(step, depth.max(), step):
        labels = label_components(depth > level, 6).astype(np.uint32)
        tall = [
            n
            for n in range(1, int(labels.max()) + 1)
            if depth[labels == n].max() - level >= _PIECE_MM / 2
        ]
        if len(tall) > int(best.max()):
            best = np.zeros(depth.shape, np.uint32)
            for number, n in enumerate(tall, start=1):
                best[labels == n] = number
    return best


def _signed_mm(slice_: _Bools, spacing_mm: tuple[float, float]) -> NDArray[np.float64]:
    """Distance to the border in mm, negative inside."""
    inside = ndimage.distance_transform_edt(slice_, sampling=spacing_mm)
    outside = ndimage.distance_transform_edt(~slice_, sampling=spacing_mm)
    return np.asarray(outside - inside)
