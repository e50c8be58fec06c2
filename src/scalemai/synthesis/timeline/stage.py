"""One lesion on one day: its growth field cut at an earlier time, and the label that follows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scalemai.geometry import Region
from scalemai.measure import equivalent_diameter_mm, longest_axial_diameter_mm
from scalemai.synthesis.drawing.contrast import visible_elements
from scalemai.synthesis.growth.field import label, render
from scalemai.synthesis.growth.neighbourhood import Neighbourhood
from scalemai.synthesis.painting.appearance import VISIBILITY_HU
from scalemai.synthesis.painting.lesion import Lesion, paint_stage, with_mask
from scalemai.synthesis.patient import Patient
from scalemai.synthesis.timeline.field_volume import VolumeCurve, volume_curve
from scalemai.volume import Volume

__all__ = [
    "Scene",
    "Stage",
    "edge_of_size",
    "held_within",
    "lesion_at",
    "scene_of",
]

_BISECTIONS = 16


@dataclass(frozen=True, eq=False)
class Stage:
    """One lesion on one day.

    Parameters
    ----------
    name
        The name of its mask, for example ``"liver_lesion"``.
    edge
        Arrival time of its border.
    law_mm3
        The volume in mm3 that the growth law says.
    field_mm3
        The volume in mm3 that its field encloses there, before rounding to voxels.
    lesion
        What is painted; None if it is below what the scan shows.
    """

    name: str
    edge: float
    law_mm3: float
    field_mm3: float
    lesion: Lesion | None


@dataclass(frozen=True, eq=False)
class Scene:
    """A lesion as it is in the end, what it grew in, and its volume at each time.

    Parameters
    ----------
    final
        The lesion of the last scan.
    around
        Its neighbourhood in the host.
    curve
        Volume of its field over arrival time.
    """

    final: Lesion
    around: Neighbourhood
    curve: VolumeCurve

    @property
    def final_mm3(self) -> float:
        """Volume in mm3 of the field at the end."""
        return self.curve.volume_mm3(self.final.edge)


def scene_of(patient: Patient, final: Lesion) -> Scene:
    """A lesion of the last scan in the patient that had none yet."""
    around = patient.around(final.recipe)
    return Scene(final, around, volume_curve(final.field, around, final.edge))


def lesion_at(
    volume: Volume, around: Neighbourhood, scene: Scene, edge: float, within: Lesion
) -> Lesion | None:
    """A lesion as it was at an arrival time, its mask within a later one.

    Of the voxels of the later mask that changed visibly the fullest bear the label, as many as make
    up the volume: a fixed share of a voxel would make volumes leap where slices are thick. The mask
    has the same ratio to its field as the final one.

    Parameters
    ----------
    volume, around
        The CT as it is now, and the lesion's neighbourhood in it.
    scene
        The lesion as it is in the end.
    edge
        Arrival time of its border.
    within
        The lesion of a later day.

    Returns
    -------
    Lesion or None
        None if not one voxel is left.
    """
    final = scene.final
    ratio = final.measures.volume_mm3 / scene.final_mm3
    count = round(scene.curve.volume_mm3(edge) * ratio / volume.grid.voxel_volume_mm3)
    lesion = paint_stage(volume, around, final.recipe, final.field, edge)
    rendering = render(final.field, final.recipe, around, edge)
    if lesion is None or rendering is None or not count:
        return None
    before = volume.stored[lesion.region].astype(np.float64)
    change = np.abs(lesion.stored - before) * abs(volume.slope)
    possible = _seen_from(lesion.region, within) & (change >= VISIBILITY_HU)
    places = np.flatnonzero(possible & (rendering.density > 0.0))
    order = np.lexsort((-rendering.density.ravel()[places], -rendering.filled.ravel()[places]))
    mask = np.zeros(lesion.mask.shape, np.bool_)
    mask.ravel()[places[order[:count]]] = True
    return _measured(replace(lesion, mask=mask), volume) if mask.any() else None


def held_within(lesion: Lesion, later: Lesion, volume: Volume) -> Lesion | None:
    """A lesion as it lies in a volume, its mask cut to a later one; None if nothing is left."""
    mask = lesion.mask & _seen_from(lesion.region, later)
    if not mask.any():
        return None
    return lesion if (mask == lesion.mask).all() else with_mask(lesion, lesion.region, mask, volume)


def edge_of_size(scene: Scene, size_mm: float) -> float:
    """The arrival time at which the mask, as far as voxels allow, is as wide as asked for.

    Parameters
    ----------
    scene
        The lesion as it is in the end.
    size_mm
        Longest axial diameter in mm.
    """
    lesion, around = scene.final, scene.around

    def width(edge: float) -> float:
        rendering = render(lesion.field, lesion.recipe, around, edge)
        if rendering is None:
            return 0.0
        return longest_axial_diameter_mm(label(rendering, around), around.grid)

    low, high = 0.0, lesion.edge
    below, above = 0.0, lesion.measures.longest_axial_diameter_mm
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        now = width(middle)
        if now < size_mm:
            low, below = middle, now
        else:
            high, above = middle, now
    return low if size_mm - below < above - size_mm else high


def _measured(lesion: Lesion, volume: Volume) -> Lesion:
    """A lesion whose measures are those of its mask; its size is what the law says."""
    mask, was = lesion.mask, lesion.measures
    before = volume.stored[lesion.region][mask].astype(np.float64)
    change = (lesion.stored[mask] - before) * volume.slope
    count = int(np.count_nonzero(mask))
    volume_mm3 = count * volume.grid.voxel_volume_mm3
    diameter = longest_axial_diameter_mm(mask, volume.grid)
    contrast_to_noise = abs(float(change.mean())) / was.noise_hu
    measures = replace(
        was,
        longest_axial_diameter_mm=diameter,
        volume_mm3=volume_mm3,
        equivalent_diameter_mm=equivalent_diameter_mm(volume_mm3),
        voxels=count,
        mean_change_hu=float(change.mean()),
        least_change_hu=float(np.abs(change).min()),
        contrast_to_noise=contrast_to_noise,
        detectability=contrast_to_noise * visible_elements(diameter) ** 0.5,
        complete=True,
        limited_by="",
    )
    return replace(lesion, measures=measures)


def _seen_from(region: Region, other: Lesion) -> NDArray[np.bool_]:
    """The mask of another lesion on a box of the volume."""
    seen = np.zeros([s.stop - s.start for s in region], np.bool_)
    spans = [
        (max(a.start, b.start), min(a.stop, b.stop))
        for a, b in zip(region, other.region, strict=True)
    ]
    if all(low < high for low, high in spans):
        mine, theirs = (
            tuple(slice(p - o.start, q - o.start) for (p, q), o in zip(spans, box, strict=True))
            for box in (region, other.region)
        )
        seen[mine] = other.mask[theirs]
    return seen
