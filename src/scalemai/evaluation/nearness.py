"""What a lesion lies in and beside, in the box around it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from scalemai.evaluation.crops import Crop
from scalemai.evaluation.lesions.components import Component
from scalemai.evaluation.lesions.fact_definitions import NEIGHBOUR_MM
from scalemai.evaluation.segmentation.distances import nearest_mm
from scalemai.geometry import Grid, Region

__all__ = ["nearest_structure", "part_of", "shared", "surroundings"]

_Flags = NDArray[np.bool_]
_SAME_MM = 1e-3


def part_of(crop: Crop, region: Region) -> _Flags:
    """A mask in a box; a new array of the shape of the box."""
    part = np.zeros([span.stop - span.start for span in region], np.bool_)
    common = _common(crop, region)
    if common is not None and crop.region is not None:
        part[_within(common, region)] = crop.array[_within(common, crop.region)]
    return part


def shared(region: Region, inside: _Flags, crop: Crop) -> int:
    """How many voxels of a part of a box a mask holds."""
    common = _common(crop, region)
    if common is None or crop.region is None:
        return 0
    both = inside[_within(common, region)] & crop.array[_within(common, crop.region)]
    return int(np.count_nonzero(both))


def surroundings(one: Component, grid: Grid, reach_mm: float) -> tuple[Region, _Flags]:
    """A box around a component, and which of its voxels lie within a distance in mm of it.

    Its own voxels do not.
    """
    region = _widened(one, grid, reach_mm)
    own = _placed(one, region)
    around = np.zeros_like(own)
    free = np.argwhere(~own).astype(np.int32)
    away = nearest_mm(free, np.argwhere(own).astype(np.int32), grid.affine[:3, :3])
    around[~own] = away <= reach_mm
    return region, around


def nearest_structure(
    one: Component, grid: Grid, masks: Mapping[str, Crop], *, reach_mm: float = NEIGHBOUR_MM
) -> str | None:
    """Name of the structure nearest to a component, at most ``reach_mm`` away.

    Of structures that hold voxels of it, the one that holds most; else that with the shortest
    distance between the centres of voxels; of equal ones, the first by name.
    """
    held = {name: shared(one.region, one.mask, masks[name]) for name in sorted(masks)}
    if any(held.values()):
        return max(held, key=lambda name: held[name])
    region = _widened(one, grid, reach_mm)
    names, points = [], []
    for name in held:
        common = _common(masks[name], region)
        if common is not None:
            found = np.argwhere(_border(part_of(masks[name], region)))
            names += [name] * bool(len(found))
            points += [found] * bool(len(found))
    if not names:
        return None
    targets = np.argwhere(_border(_placed(one, region))).astype(np.int32)
    away = nearest_mm(np.concatenate(points).astype(np.int32), targets, grid.affine[:3, :3])
    ends = np.cumsum([len(found) for found in points])[:-1]
    least = [float(part.min()) for part in np.split(away, ends)]
    best = int(np.argmin(np.round(np.array(least) / _SAME_MM)))
    return names[best] if least[best] <= reach_mm + _SAME_MM else None


def _border(mask: _Flags) -> _Flags:
    """Voxels of which a face is not shared; those at the end of the box are none for that."""
    inner = mask.copy()
    for axis in range(3):
        low: list[slice] = [slice(None)] * 3
        high = list(low)
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        inner[tuple(high)] &= mask[tuple(low)]
        inner[tuple(low)] &= mask[tuple(high)]
    return mask & ~inner


def _widened(one: Component, grid: Grid, reach_mm: float) -> Region:
    # The steps of a sheared grid reach less far across than they are long.
    across = 1 / np.linalg.norm(np.linalg.inv(grid.affine[:3, :3]), axis=1)
    i, j, k = (
        slice(max(0, span.start - steps), min(size, span.stop + steps))
        for span, size, steps in zip(
            one.region, grid.shape, np.ceil(reach_mm / across).astype(int).tolist(), strict=True
        )
    )
    return i, j, k


def _placed(one: Component, region: Region) -> _Flags:
    own = np.zeros([span.stop - span.start for span in region], np.bool_)
    own[_within(one.region, region)] = one.mask
    return own


def _common(crop: Crop, region: Region) -> Region | None:
    if crop.region is None:
        return None
    i, j, k = (
        slice(max(a.start, b.start), min(a.stop, b.stop))
        for a, b in zip(crop.region, region, strict=True)
    )
    return (i, j, k) if all(span.start < span.stop for span in (i, j, k)) else None


def _within(region: Region, box: Region) -> Region:
    """A box in the indices of a box around it."""
    i, j, k = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(region, box, strict=True))
    return i, j, k
