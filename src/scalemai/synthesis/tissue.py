"""What a lesion grows in: one organ of one patient, cropped, and how its parenchyma looks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from scalemai.anatomy import PHASES, LesionKind, Organ, Phase, canonical_phase
from scalemai.compiled import compiled
from scalemai.errors import UnknownNameError
from scalemai.geometry import Grid, Region
from scalemai.measure import bounding_box
from scalemai.synthesis.automaton import BARRIER_SLOW, BARRIER_STOP
from scalemai.volume import Mask, Volume

__all__ = [
    "Neighbourhood",
    "Parenchyma",
    "StructureBox",
    "Tissue",
    "crop_mask",
    "expected_contrast_hu",
    "neighbourhood",
    "prepare_tissue",
]

_PAD_VOXELS = 2
_SAMPLE_VOXELS = 40_000
_THIN_MM = 2.0
_WINDOWS = 4000
# The quieter windows hold noise alone, the others also edges of cortex, medulla and vessels. In
# pure noise of a usual kernel the lower quartile of window spreads is this much below the noise.
_QUIET_TO_NOISE = 1.12


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


def crop_mask(mask: Mask) -> StructureBox | None:
    """Cut a mask to its box, one pass over it; None if it is empty."""
    region = bounding_box(mask.array)
    if region is None:
        return None
    return StructureBox(mask.name, region, np.array(mask.array[region], order="C"))


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
        uint8 array of the box: codes of :mod:`scalemai.synthesis.automaton`. Painting a lesion
        adds to it, so it is the one thing here that changes.
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
        best = 0.0
        for index in range(self.organ.shape[self.grid.axial_axis]):
            plane = np.take(self.organ, index, axis=self.grid.axial_axis)
            rows, columns = (np.flatnonzero(plane.any(axis=axis)) for axis in (1, 0))
            if rows.size:
                height = (rows[-1] - rows[0] + 1) * self.grid.spacing_mm[first]
                width = (columns[-1] - columns[0] + 1) * self.grid.spacing_mm[second]
                best = max(best, float(np.hypot(height, width)))
        return best

    def holds(self, at_mm: tuple[float, float, float]) -> bool:
        """Whether a point, RAS+ mm, lies in a voxel of the organ."""
        index = np.rint(self.grid.to_voxel(at_mm)).astype(int)
        inside = (index >= 0).all() and (index < self.grid.shape).all()
        return bool(inside) and bool(self.organ[tuple(index)])

    def paste(self, box: StructureBox) -> NDArray[np.bool_]:
        """A structure as a boolean array of this tissue's box."""
        inside = np.zeros(self.grid.shape, np.bool_)
        here, there = _overlap(self.region, box.region)
        if here is not None and there is not None:
            inside[here] = box.array[there]
        return inside

    def block(self, box: StructureBox, code: int) -> None:
        """Add what overlaps of a box to the barriers, without weakening any."""
        here, there = _overlap(self.region, box.region)
        if here is None or there is None:
            return
        part = self.barrier[here]
        inside = box.array[there]
        part[inside] = np.maximum(part[inside], np.uint8(code))


@dataclass(frozen=True)
class Parenchyma:
    """How the organ around a place looks, in HU.

    Parameters
    ----------
    mean_hu
        Median of its voxels.
    noise_hu
        Standard deviation within the quieter of small axial windows: image noise, without the
        structure of the organ (cortex and medulla, vessels).
    low_hu, high_hu
        10th and 90th percentile: what still counts as usual for the organ.
    """

    mean_hu: float
    noise_hu: float
    low_hu: float
    high_hu: float


@dataclass(frozen=True)
class Neighbourhood:
    """The part of a tissue within reach of one lesion; arrays are C-ordered copies of the box."""

    region: Region
    grid: Grid
    hu: NDArray[np.float32]
    organ: NDArray[np.bool_]
    barrier: NDArray[np.uint8]
    parenchyma: Parenchyma

    @property
    def averaging_reach(self) -> NDArray[np.int64]:
        """Voxels to each side over which HU are averaged before tissue is judged.

        One in the axial plane; across it one where slices are thin. A single noisy voxel is
        never taken for a vessel or for fat.
        """
        reach = np.array([1 if step < _THIN_MM else 0 for step in self.grid.spacing_mm], np.int64)
        reach[list(self.grid.in_plane_axes)] = 1
        return reach


def prepare_tissue(
    organ: StructureBox,
    grid: Grid,
    slow: Iterable[StructureBox] = (),
    stop: Iterable[StructureBox] = (),
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
    """
    low = [s.start - _PAD_VOXELS for s in organ.region]
    high = [s.stop - 1 + _PAD_VOXELS for s in organ.region]
    region = grid.clip(low, high)
    assert region is not None  # the box is inside its own grid
    box = grid.crop(region)
    empty = np.zeros(box.shape, np.bool_)
    tissue = Tissue(organ.name, region, box, empty, np.zeros(box.shape, np.uint8))
    tissue = replace(tissue, organ=tissue.paste(organ))
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


def neighbourhood(
    volume: Volume, tissue: Tissue, centre_mm: tuple[float, float, float], radius_mm: float
) -> Neighbourhood:
    """Cut the cube of ``radius_mm`` round a point out of a tissue, with HU and statistics."""
    spacing = np.asarray(tissue.grid.spacing_mm)
    centre = tissue.grid.to_voxel(centre_mm)
    # In a sheared grid a world distance spans more index steps than spacing alone says.
    stretch = np.linalg.norm(tissue.grid.inverse[:3, :3], axis=1) * spacing
    half = radius_mm * stretch / spacing + 1
    local = tissue.grid.clip(centre - half, centre + half)
    assert local is not None  # the centre is inside the organ
    region = tuple(
        slice(outer.start + inner.start, outer.start + inner.stop)
        for outer, inner in zip(tissue.region, local, strict=True)
    )
    box: Region = (region[0], region[1], region[2])
    hu = volume.hu(box)
    organ = np.ascontiguousarray(tissue.organ[local])
    barrier = np.ascontiguousarray(tissue.barrier[local])
    return Neighbourhood(
        box, tissue.grid.crop(local), hu, organ, barrier, _look(hu, organ, barrier, tissue.grid)
    )


def _look(
    hu: NDArray[np.float32], organ: NDArray[np.bool_], barrier: NDArray[np.uint8], grid: Grid
) -> Parenchyma:
    values = hu[organ & (barrier == 0)]
    if not values.size:
        values = hu[organ]
    values = values[:: max(values.size // _SAMPLE_VOXELS, 1)]
    low, median, high = (float(x) for x in np.percentile(values, [10, 50, 90]))
    first, second = grid.in_plane_axes
    order = (grid.axial_axis, first, second)
    # A window of about 8 mm, but of at least 5 x 5 voxels: noise is correlated over two or three.
    half = int(np.clip(round(4.0 / max(grid.spacing_mm[first], grid.spacing_mm[second])), 2, 6))
    planes, inside = np.transpose(hu, order), np.transpose(organ & (barrier == 0), order)
    spread = np.empty(_WINDOWS)
    step = max(int((organ.size / _WINDOWS) ** (1 / 3) / 2), 1)
    count = _window_spreads(planes, inside, half, step, spread)
    if count:
        noise = _QUIET_TO_NOISE * float(np.percentile(spread[:count], 25))
    else:  # an organ thinner than a window; 1.4826 MAD estimates the standard deviation
        noise = 1.4826 * float(np.median(np.abs(values - median)))
    return Parenchyma(median, max(noise, 1.0), low, high)


@compiled
def _window_spreads(
    planes: NDArray[np.float32],
    inside: NDArray[np.bool_],
    half: int,
    step: int,
    spread: NDArray[np.float64],
) -> int:
    """Standard deviations within axial windows that lie in the organ by nine tenths."""
    slices, rows, columns = planes.shape
    least = 0.9 * (2 * half + 1) ** 2
    found = 0
    for s in range(0, slices, step):
        for r in range(half, rows - half, step):
            for c in range(half, columns - half, step):
                if not inside[s, r, c]:
                    continue
                count, total, square = 0, 0.0, 0.0
                for i in range(r - half, r + half + 1):
                    for j in range(c - half, c + half + 1):
                        if inside[s, i, j]:
                            value = planes[s, i, j]
                            count += 1
                            total += value
                            square += value * value
                if count < least:
                    continue
                mean = total / count
                spread[found] = np.sqrt(max(square / count - mean * mean, 0.0))
                found += 1
                if found == spread.size:
                    return found
    return found


def expected_contrast_hu(
    facts: Organ, kind: LesionKind, parenchyma_hu: float, phase: str | None, z: float
) -> float:
    """Lesion minus parenchyma in HU for this patient.

    The facts give both attenuations by phase. The patient's own parenchyma says how strongly this
    scan is enhanced: the contrast is interpolated between the unenhanced one and that of the
    phase by the enhancement measured, so an unenhanced liver of 45 HU gets an unenhanced lesion
    whatever the header says. Fat makes the parenchyma darker but not the lesion, so in a fatty
    liver a metastasis may be the brighter of the two.

    Parameters
    ----------
    facts, kind
        Organ and lesion kind.
    parenchyma_hu
        Median HU of the parenchyma around the lesion.
    phase
        Phase as stated by the data set; the nearest by attenuation if None or not understood.
    z
        Standard normal number: where in the spread between patients this lesion lies.
    """
    expected = facts.parenchyma_hu
    chosen = _phase_of(facts, parenchyma_hu, phase)
    lesion = kind.hu[chosen]
    spread = 0.5 * lesion.sd_hu * float(np.clip(z, -2.0, 2.0))
    if kind.cystic:
        # Fluid has its own attenuation, whatever the parenchyma does.
        return lesion.mean_hu + spread - parenchyma_hu
    plain = kind.hu["non_contrast"].mean_hu - expected["non_contrast"].mean_hu
    full = lesion.mean_hu - expected[chosen].mean_hu
    rise = expected[chosen].mean_hu - expected["non_contrast"].mean_hu
    enhanced = parenchyma_hu - expected["non_contrast"].mean_hu
    share = float(np.clip(enhanced / rise, 0.0, 1.5)) if rise > 0 else 0.0
    # Within one standard deviation low attenuation is the patient's; below it is fat.
    fat = max(-enhanced - expected["non_contrast"].sd_hu, 0.0)
    return plain + share * (full - plain) + fat + spread


def _phase_of(facts: Organ, parenchyma_hu: float, stated: str | None) -> Phase:
    nearest = min(PHASES, key=lambda p: abs(facts.parenchyma_hu[p].mean_hu - parenchyma_hu))
    if stated is None:
        return nearest
    try:
        phase = canonical_phase(stated)
    except UnknownNameError:
        return nearest
    # A scan marked unenhanced that is bright was enhanced: data sets are wrong here often.
    return nearest if phase == "non_contrast" else phase
