"""Which tissue around a lesion is rigid, which keeps its volume, and which gives way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.compiled import compiled
from scalemai.geometry import Region
from scalemai.synthesis.growth.tissue import StructureBox
from scalemai.volume import Volume

__all__ = ["Lattice", "Surroundings", "lay_lattice", "survey"]

TISSUE_LOSS = 0.005
"""Share of its volume that any tissue may lose: half of the 1 % that labels may change by."""

_FAT_LOSS = 0.2  # share of its volume that fat without a mask may lose: its lobules slide away,
# and no reader can tell; author's estimate, to be refined
_FAT_HU = (-200.0, -20.0)  # fat lies between -150 and -20 HU, here with its noise
_BONE_HU = 200.0  # denser than soft tissue; with contrast also vessels, so only where no mask says
_MOSTLY = 0.75  # share of a cell that must be fat for the cell to count as fat
_BONE_SHARE = 0.25
_SAMPLES = 2  # voxels looked at along each side of a cell, at most
_RAMP_CELLS = 3.0  # over so many cells from the border, or from bone, tissue moves ever less


@dataclass(frozen=True)
class Lattice:
    """Cells of whole voxels around a lesion.

    Parameters
    ----------
    start
        First voxel of the first cell along each axis, in indices of the volume.
    step
        Voxels per cell along each axis.
    shape
        Number of cells along each axis.
    """

    start: tuple[int, int, int]
    step: tuple[int, int, int]
    shape: tuple[int, int, int]

    @property
    def region(self) -> Region:
        """Voxels from the last centre before the first cell to the first centre after the last."""
        spans = []
        for start, step, cells in zip(self.start, self.step, self.shape, strict=True):
            low = start - (step + 1) // 2 + (step + 1) % 2
            high = start + cells * step + (step - 1) // 2
            spans.append(slice(start - (step + 1) // 2, high + 1) if step % 2 else slice(low, high))
        return spans[0], spans[1], spans[2]

    def samples(self) -> tuple[list[NDArray[np.intp]], NDArray[np.int64]]:
        """Indices of the volume to look at along each axis, and how many there are per cell."""
        indices, counts = [], []
        for start, step, cells in zip(self.start, self.step, self.shape, strict=True):
            count = min(step, _SAMPLES)
            within = ((np.arange(count) + 0.5) * step / count).astype(np.intp)
            indices.append((start + step * np.arange(cells)[:, None] + within).ravel())
            counts.append(count)
        return indices, np.array(counts, np.int64)

    def share(self, box: StructureBox) -> NDArray[np.float64]:
        """How much of each cell a mask takes, 0 to 1; every voxel counts."""
        counts = np.zeros(self.shape)
        first = np.array([s.start for s in box.region]) - np.array(self.start)
        _count(box.array, first, np.array(self.step), counts)
        counts /= float(np.prod(self.step))
        return counts


@dataclass(frozen=True, eq=False)
class Surroundings:
    """How the cells of a lattice respond to a push.

    Parameters
    ----------
    openness
        Array (i, j, k), 0 to 1: how easily tissue flows through a cell.
    fat
        Array (i, j, k), 0 to 1: the share of a cell that is fat and may shrink.
    lesion
        Array (i, j, k), 0 to 1: the share of a cell that the lesion takes.
    """

    openness: NDArray[np.float64]
    fat: NDArray[np.float64]
    lesion: NDArray[np.float64]

    def yielding(self, volume: float, comfort: float) -> NDArray[np.float64]:
        """Where a volume, in cells, finds room: the share of its volume that each cell loses.

        Every tissue loses up to :data:`TISSUE_LOSS`, and fat makes up the rest as far as it can.
        The sum is less than ``volume`` if there is not enough room.

        Parameters
        ----------
        volume
            How much has to find room, in cells.
        comfort
            Share of what fat can lose that it does lose at most.
        """
        beside = ndimage.binary_dilation(self.lesion > 0.0, np.ones((3, 3, 3)))
        tissue = TISSUE_LOSS * np.where(beside, 0.0, self.openness)
        fat = _FAT_LOSS * np.where(beside | (self.openness == 0.0), 0.0, self.fat)
        room, more = float(tissue.sum()), comfort * float(fat.sum())
        if volume <= room:
            return tissue * (volume / room)
        if more == 0.0:
            return tissue
        taken: NDArray[np.float64] = tissue + fat * (comfort * min((volume - room) / more, 1.0))
        return taken


def lay_lattice(
    shape: tuple[int, int, int], lesion: StructureBox, step: tuple[int, int, int], margin: int
) -> Lattice | None:
    """Cells around a lesion that stay clear of the border of the volume; None if none do.

    Parameters
    ----------
    shape
        Shape of the volume.
    lesion
        The lesion's mask.
    step
        Voxels per cell along each axis.
    margin
        Cells beyond the lesion's box on each side.
    """
    starts, cells = [], []
    for axis, inside in enumerate(lesion.region):
        length = inside.stop - inside.start
        count = -(-length // step[axis]) + 2 * margin
        start = (inside.start + inside.stop - count * step[axis]) // 2
        # The centre before the first cell and the one after the last do not move: they have to
        # lie within the volume.
        first = (step[axis] + 2) // 2
        missing = max(-((start - first) // step[axis]), 0)
        start, count = start + missing * step[axis], count - missing
        count = min(count, (shape[axis] - first - start) // step[axis])
        if count < 1:
            return None
        starts.append(start)
        cells.append(count)
    return Lattice((starts[0], starts[1], starts[2]), step, (cells[0], cells[1], cells[2]))


def survey(
    volume: Volume,
    lattice: Lattice,
    lesion: StructureBox,
    rigid: Iterable[StructureBox],
    kept: Iterable[StructureBox],
) -> Surroundings:
    """Look at the tissue in every cell of a lattice.

    Parameters
    ----------
    volume
        The CT.
    lattice
        The cells.
    lesion
        What pushes.
    rigid
        Masks of bones.
    kept
        Masks that must keep their volume: no fat within them gives way.
    """
    indices, per_cell = lattice.samples()
    raw = volume.stored[np.ix_(*indices)]
    hu = raw.astype(np.float64) * volume.slope + volume.intercept
    masked, bone = np.zeros(hu.shape, np.bool_), np.zeros(hu.shape, np.bool_)
    for target, boxes in ((masked, kept), (bone, rigid)):
        for box in boxes:
            _mark(target, box, indices)
    bone_cells = _cell_means(bone, per_cell) > 0.0
    dense = (hu > _BONE_HU) & ~masked
    bone_cells |= _cell_means(dense, per_cell) >= _BONE_SHARE
    filled = lattice.share(lesion)
    # A cell beside bone moves only as much as its other neighbours let it; holding it as well
    # keeps the surface of the bone itself in place.
    rigid_cells = ndimage.binary_dilation(bone_cells, np.ones((3, 3, 3))) & (filled == 0.0)
    openness = _ramp(lattice.shape)
    if rigid_cells.any():
        # Tissue is tied to bone: it slides the less, the nearer it lies, and hardly through the
        # gap between two ribs.
        distance = ndimage.distance_transform_edt(~rigid_cells)
        openness = np.minimum(openness, np.clip((distance - 0.5) / (_RAMP_CELLS - 0.5), 0.0, 1.0))
    fat = _cell_means((hu > _FAT_HU[0]) & (hu < _FAT_HU[1]) & ~masked, per_cell)
    near_mask = ndimage.binary_dilation(
        _cell_means(masked | bone, per_cell) > 0.0, np.ones((3, 3, 3))
    )
    fat[near_mask | (fat < _MOSTLY)] = 0.0
    return Surroundings(_reached(openness, filled), fat, filled)


def _ramp(shape: tuple[int, int, int]) -> NDArray[np.float64]:
    sides = [
        np.minimum((np.minimum(np.arange(n), n - 1 - np.arange(n)) + 0.5) / _RAMP_CELLS, 1.0)
        for n in shape
    ]
    i, j, k = np.ix_(*sides)
    return np.asarray(np.minimum(np.minimum(i, j), k), np.float64)


def _reached(openness: NDArray[np.float64], lesion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Close the cells that no flow from the lesion can reach, such as those within bone."""
    parts, count = ndimage.label(openness > 0.0)
    if count == 0:
        return openness
    inside = np.bincount(parts.ravel(), lesion.ravel(), count + 1)
    inside[0] = 0.0
    reached: NDArray[np.float64] = np.where(parts == inside.argmax(), openness, 0.0)
    return reached


def _mark(
    target: NDArray[np.bool_], box: StructureBox, indices: Sequence[NDArray[np.intp]]
) -> None:
    here, there = [], []
    for index, inner in zip(indices, box.region, strict=True):
        low, high = np.searchsorted(index, (inner.start, inner.stop))
        if high <= low:
            return
        here.append(slice(int(low), int(high)))
        there.append(index[low:high] - inner.start)
    target[tuple(here)] |= box.array[np.ix_(*there)]


def _cell_means(samples: NDArray[np.bool_], per_cell: NDArray[np.int64]) -> NDArray[np.float64]:
    counts = np.zeros(samples.shape // per_cell)
    _count(samples, np.zeros(3, np.int64), per_cell, counts)
    counts /= float(np.prod(per_cell))
    return counts


@compiled
def _count(
    samples: NDArray[np.bool_],
    first: NDArray[np.int64],
    step: NDArray[np.int64],
    counts: NDArray[np.float64],
) -> None:
    """Count the true samples in each cell; sample (0, 0, 0) lies at ``first``."""
    ni, nj, nk = samples.shape
    ci, cj, ck = counts.shape
    for i in range(max(-first[0], 0), min(ni, ci * step[0] - first[0])):
        a = (i + first[0]) // step[0]
        for j in range(max(-first[1], 0), min(nj, cj * step[1] - first[1])):
            b = (j + first[1]) // step[1]
            for k in range(max(-first[2], 0), min(nk, ck * step[2] - first[2])):
                if samples[i, j, k]:
                    counts[a, b, (k + first[2]) // step[2]] += 1.0
