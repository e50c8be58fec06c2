"""What lesions grow in: one organ of one patient, cropped, with what bars their way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from scalemai.compiled import compiled
from scalemai.geometry import Grid, Region
from scalemai.measure import bounding_box
from scalemai.synthesis.growth.permeability import BARRIER_SLOW, BARRIER_STOP
from scalemai.volume import Mask

__all__ = ["StructureBox", "Tissue", "crop_mask", "join_boxes", "prepare_tissue"]

_PAD_VOXELS = 2


@dataclass(frozen=True)
class StructureBox:
    """A mask cut to the smallest box that holds it: a whole scan's mask is mostly empty.

    Parameters
    ----------
    name
        Canonical name of the structure.
    region
        The box within the volume.
    array
        Boolean array of the box.
    """

    name: str
    region: Region
    array: NDArray[np.bool_]

    def within(self, region: Region) -> NDArray[np.bool_]:
        """The mask on another box of the volume."""
        out = np.zeros([s.stop - s.start for s in region], np.bool_)
        here, there = _overlap(region, self.region)
        if here is not None and there is not None:
            out[here] = self.array[there]
        return out


def crop_mask(mask: Mask) -> StructureBox | None:
    """Cut a mask to its box, one pass over it; None if it is empty."""
    region = bounding_box(mask.array)
    if region is None:
        return None
    return StructureBox(mask.name, region, np.array(mask.array[region], order="C"))


def join_boxes(boxes: Sequence[StructureBox]) -> StructureBox | None:
    """The union of masks of one scan, under the first one's name; None if there are none."""
    if len(boxes) < 2:
        return boxes[0] if boxes else None
    low = [min(box.region[axis].start for box in boxes) for axis in range(3)]
    high = [max(box.region[axis].stop for box in boxes) for axis in range(3)]
    array = np.zeros(np.subtract(high, low), np.bool_)
    for box in boxes:
        i, j, k = (slice(s.start - a, s.stop - a) for s, a in zip(box.region, low, strict=True))
        array[i, j, k] |= box.array
    i, j, k = (slice(a, b) for a, b in zip(low, high, strict=True))
    return StructureBox(boxes[0].name, (i, j, k), array)


@dataclass(frozen=True)
class Tissue:
    """An organ's box of the scan: what may be invaded, what slows it, what stops it.

    Parameters
    ----------
    structure
        Canonical name of the mask, for example ``"kidney_left"``.
    region
        The box within the volume.
    grid
        Grid of the box.
    organ
        Boolean array of the box: the organ.
    barrier
        uint8 array of the box: codes of :mod:`scalemai.synthesis.growth.permeability`.
        Painting a lesion adds to it, so it is the one thing here that changes.
    """

    structure: str
    region: Region
    grid: Grid
    organ: NDArray[np.bool_]
    barrier: NDArray[np.uint8]

    @cached_property
    def widest_mm(self) -> float:
        """Upper bound in mm of the longest axial diameter that the organ has room for."""
        first, second = self.grid.in_plane_axes
        slices = np.moveaxis(self.organ[self.extent], self.grid.axial_axis, 0)
        height = _spans(np.any(slices, axis=2)) * self.grid.spacing_mm[first]
        width = _spans(np.any(slices, axis=1)) * self.grid.spacing_mm[second]
        return float(np.hypot(height, width).max())

    @cached_property
    def extent(self) -> Region:
        """The smallest part of the box that holds the organ."""
        low, high = _extent(self.organ)
        assert high[0] > low[0]  # no tissue is made of an empty mask
        i, j, k = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        return i, j, k

    def holds(self, at_mm: tuple[float, float, float]) -> bool:
        """Whether a point, RAS+ mm, lies in a voxel of the organ."""
        index = np.rint(self.grid.to_voxel(at_mm)).astype(int)
        inside = (index >= 0).all() and (index < self.grid.shape).all()
        return bool(inside) and bool(self.organ[tuple(index)])

    def is_free(self, at_mm: tuple[float, float, float]) -> bool:
        """Whether a point, RAS+ mm, lies in a voxel of the organ that nothing bars."""
        index = tuple(np.rint(self.grid.to_voxel(at_mm)).astype(int))
        return self.holds(at_mm) and bool(self.barrier[index] == 0)

    def paste(self, box: StructureBox) -> NDArray[np.bool_]:
        """A structure as a boolean array of this tissue's box."""
        return box.within(self.region)

    def block(self, box: StructureBox, code: int) -> None:
        """Add what overlaps of a box to the barriers, without weakening any."""
        here, there = _overlap(self.region, box.region)
        if here is None or there is None:
            return
        part = self.barrier[here]
        np.maximum(part, box.array[there].view(np.uint8) * np.uint8(code), out=part)


@compiled
def _extent(array: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First index, and the one after the last, of the True voxels along each axis."""
    ni, nj, nk = array.shape
    low, high = np.full(3, 2**62, np.int64), np.zeros(3, np.int64)
    for i in range(ni):
        for j in range(nj):
            row = array[i, j]
            hits = 0
            for k in range(nk):
                hits += row[k]
            if hits == 0:
                continue
            first, last = 0, nk - 1
            while not row[first]:
                first += 1
            while not row[last]:
                last -= 1
            low[0], high[0] = min(low[0], i), i + 1
            low[1], high[1] = min(low[1], j), max(high[1], j + 1)
            low[2], high[2] = min(low[2], first), max(high[2], last + 1)
    return low, high


def _spans(hit: NDArray[np.bool_]) -> NDArray[np.intp]:
    """For each row, the number of cells from the first to the last that is hit; 0 if none is."""
    length = hit.shape[1] - hit.argmax(axis=1) - hit[:, ::-1].argmax(axis=1)
    return np.asarray(np.where(hit.any(axis=1), length, 0), np.intp)


def prepare_tissue(
    organ: StructureBox,
    grid: Grid,
    slow: Iterable[StructureBox] = (),
    stop: Iterable[StructureBox] = (),
    beside: Iterable[StructureBox] = (),
    *,
    pad_mm: float = 0.0,
) -> Tissue:
    """Make an organ ready for growth.

    Parameters
    ----------
    organ
        The organ's mask.
    grid
        Grid of the whole volume.
    slow, stop
        Vessels and ducts, which slow growth; lesions, which stop it.
    beside
        Neighbouring organs, which stop it beyond this one.
    pad_mm
        How far beyond the organ a lesion may grow.
    """
    pad = [_PAD_VOXELS + int(np.ceil(pad_mm / step)) for step in grid.spacing_mm]
    low = [s.start - n for s, n in zip(organ.region, pad, strict=True)]
    high = [s.stop - 1 + n for s, n in zip(organ.region, pad, strict=True)]
    region = grid.clip(low, high)
    assert region is not None  # the box is inside its own grid
    box = grid.crop(region)
    empty = np.zeros(box.shape, np.bool_)
    tissue = Tissue(organ.name, region, box, empty, np.zeros(box.shape, np.uint8))
    tissue = replace(tissue, organ=tissue.paste(organ))
    for neighbour in beside:
        tissue.block(neighbour, BARRIER_STOP)
    if pad_mm:
        # Masks overlap: the organ's own voxels are its own.
        own = tissue.barrier[tissue.extent]
        np.multiply(own, ~tissue.organ[tissue.extent], out=own)
    for vessel in slow:
        tissue.block(vessel, BARRIER_SLOW)
    for lesion in stop:
        tissue.block(lesion, BARRIER_STOP)
    return tissue


def _overlap(first: Region, second: Region) -> tuple[Region | None, Region | None]:
    """Where two boxes of one volume overlap, in the indices of each; None if they do not."""
    shared = [
        (max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(first, second, strict=True)
    ]
    if any(stop <= start for start, stop in shared):
        return None, None
    mine, theirs = (
        tuple(slice(p - o.start, q - o.start) for (p, q), o in zip(shared, outer, strict=True))
        for outer in (first, second)
    )
    return (mine[0], mine[1], mine[2]), (theirs[0], theirs[1], theirs[2])
