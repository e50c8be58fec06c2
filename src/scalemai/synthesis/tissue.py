"""What a lesion grows in: one organ of one patient, cropped, and how its parenchyma looks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalemai.anatomy import PHASES, LesionKind, Organ, Phase, canonical_phase
from scalemai.errors import UnknownNameError
from scalemai.geometry import Grid, Region
from scalemai.measure import bounding_box
from scalemai.synthesis.automaton import BARRIER_SLOW, BARRIER_STOP
from scalemai.volume import Mask, Volume

__all__ = ["Neighbourhood", "Parenchyma", "Tissue", "expected_contrast_hu", "prepare_tissue"]

_PAD_VOXELS = 2
_SAMPLE_VOXELS = 40_000


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

    def block(self, array: NDArray[np.bool_], code: int) -> None:
        """Add a whole-volume boolean array to the barriers, without weakening any."""
        part = array[self.region]
        self.barrier[part] = np.maximum(self.barrier[part], np.uint8(code))


@dataclass(frozen=True)
class Parenchyma:
    """Median HU of the organ around a place, and robust standard deviation of its voxels in HU."""

    mean_hu: float
    noise_hu: float


@dataclass(frozen=True)
class Neighbourhood:
    """The part of a tissue within reach of one lesion; arrays are C-ordered copies of the box."""

    region: Region
    grid: Grid
    hu: NDArray[np.float32]
    organ: NDArray[np.bool_]
    barrier: NDArray[np.uint8]
    parenchyma: Parenchyma


def prepare_tissue(
    structure: str, organ: Mask, slow: Iterable[Mask] = (), stop: Iterable[Mask] = ()
) -> Tissue:
    """Crop an organ and what bars its tumors to the organ's box: one pass over each mask.

    Parameters
    ----------
    structure
        Canonical name of the organ's mask.
    organ
        The mask, not empty.
    slow, stop
        Vessels and ducts, which slow growth; lesions and neighbours, which stop it.
    """
    box = bounding_box(organ.array)
    if box is None:
        raise ValueError("the organ's mask is empty")  # callers refuse it with the file's name
    low = [s.start - _PAD_VOXELS for s in box]
    high = [s.stop - 1 + _PAD_VOXELS for s in box]
    region = organ.grid.clip(low, high)
    assert region is not None  # the box is inside its own grid
    inside = np.ascontiguousarray(organ.array[region])
    barrier = np.zeros(inside.shape, np.uint8)
    tissue = Tissue(structure, region, organ.grid.crop(region), inside, barrier)
    for mask in slow:
        tissue.block(mask.array, BARRIER_SLOW)
    for mask in stop:
        tissue.block(mask.array, BARRIER_STOP)
    return tissue


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
    values = hu[organ & (barrier == 0)]
    values = values[:: max(values.size // _SAMPLE_VOXELS, 1)]
    median = float(np.median(values))
    # 1.4826 MAD estimates the standard deviation and ignores vessels and fat.
    noise = 1.4826 * float(np.median(np.abs(values - median)))
    grid = tissue.grid.crop(local)
    return Neighbourhood(box, grid, hu, organ, barrier, Parenchyma(median, max(noise, 1.0)))


def expected_contrast_hu(
    facts: Organ, kind: LesionKind, parenchyma_hu: float, phase: str | None, z: float
) -> tuple[float, Phase]:
    """Lesion minus parenchyma in HU for this patient, and the phase that it was judged by.

    The facts give both attenuations by phase. The patient's own parenchyma says how strongly this
    scan is enhanced: the contrast is interpolated between the unenhanced one and that of the
    phase by the enhancement measured, so an unenhanced liver of 45 HU gets an unenhanced lesion
    whatever the header says.

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
    chosen: Phase | None = None
    if phase is not None:
        try:
            chosen = canonical_phase(phase)
        except UnknownNameError:
            chosen = None
    expected = facts.parenchyma_hu
    if chosen is None or chosen == "non_contrast":
        # A scan marked unenhanced that is bright was enhanced: data sets are wrong here often.
        chosen = min(PHASES, key=lambda p: abs(expected[p].mean_hu - parenchyma_hu))
    plain = kind.hu["non_contrast"].mean_hu - expected["non_contrast"].mean_hu
    lesion = kind.hu[chosen]
    full = lesion.mean_hu - expected[chosen].mean_hu
    rise = expected[chosen].mean_hu - expected["non_contrast"].mean_hu
    share = 0.0
    if rise > 0:
        measured = (parenchyma_hu - expected["non_contrast"].mean_hu) / rise
        share = float(np.clip(measured, 0.0, 1.5))
    spread = 0.5 * lesion.sd_hu * float(np.clip(z, -2.0, 2.0))
    if kind.cystic:
        # Fluid has its own attenuation, whatever the parenchyma does.
        return lesion.mean_hu + spread - parenchyma_hu, chosen
    return plain + share * (full - plain) + spread, chosen
