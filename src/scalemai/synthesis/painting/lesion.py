"""One lesion, from recipe to voxels: the pure half of synthesis."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalemai.geometry import Region
from scalemai.measure import equivalent_diameter_mm, longest_axial_diameter_mm
from scalemai.synthesis.drawing.contrast import visible_elements
from scalemai.synthesis.growth.field import (
    GrowthField,
    Rendering,
    border_width_mm,
    fit,
    grow,
    render,
)
from scalemai.synthesis.growth.neighbourhood import Neighbourhood
from scalemai.synthesis.growth.tissue import StructureBox
from scalemai.synthesis.painting.appearance import change_hu
from scalemai.synthesis.recipe import Recipe
from scalemai.volume import Volume

__all__ = [
    "Lesion",
    "LesionMeasures",
    "paint_lesion",
    "paint_stage",
    "size_tolerance_mm",
    "with_mask",
]


@dataclass(frozen=True, kw_only=True)
class LesionMeasures:
    """What came out, measured on the voxels that are written.

    Parameters
    ----------
    longest_axial_diameter_mm
        Of the mask, between voxel edges.
    volume_mm3, equivalent_diameter_mm
        Of the mask, and of the sphere of that volume.
    voxels
        Number of labelled voxels.
    parenchyma_hu, noise_hu
        Median and robust standard deviation of the organ around the lesion before painting.
    mean_change_hu, least_change_hu
        Change within the mask: mean, and smallest absolute one.
    contrast_to_noise
        Absolute mean change over noise.
    detectability
        The same times the root of the number of independent noise elements in the lesion's axial
        image: signal to noise of the lesion as an object (Rose 1948); below 3 to 5 nobody sees it.
    border_mm
        Every edited voxel lies within this distance in mm, and one voxel, of the mask.
    edited_voxels
        Number of voxels whose stored number changed, border included.
    complete
        Whether the diameter asked for was reached.
    limited_by
        Empty, or in words what left no room.
    """

    longest_axial_diameter_mm: float
    volume_mm3: float
    equivalent_diameter_mm: float
    voxels: int
    parenchyma_hu: float
    noise_hu: float
    mean_change_hu: float
    least_change_hu: float
    contrast_to_noise: float
    detectability: float
    border_mm: float
    edited_voxels: int
    complete: bool
    limited_by: str

    def to_json(self) -> dict[str, Any]:
        """Plain types, rounded to what is meaningful."""
        return {k: round(v, 3) if type(v) is float else v for k, v in asdict(self).items()}


@dataclass(frozen=True)
class Lesion:
    """A painted lesion on its box of the volume.

    Parameters
    ----------
    recipe
        What was painted.
    region
        The box within the volume.
    stored
        New numbers of the box, in the volume's own type; equal to the old outside the lesion.
    mask, edited
        Boolean arrays of the box: what is labelled, and what changed (the border fades out).
    measures
        What came out.
    field, edge
        The growth that it was cut from, and the arrival time of its border.
    """

    recipe: Recipe
    region: Region
    stored: NDArray[Any]
    mask: NDArray[np.bool_]
    edited: NDArray[np.bool_]
    measures: LesionMeasures
    field: GrowthField
    edge: float


def size_tolerance_mm(diameter_mm: float, volume: Volume) -> float:
    """How exactly a diameter in mm can be asked for: 5 %, or one voxel of the axial image."""
    first, second = volume.grid.in_plane_axes
    voxel = max(volume.grid.spacing_mm[first], volume.grid.spacing_mm[second])
    return max(0.05 * diameter_mm, voxel)


def with_mask(lesion: Lesion, region: Region, mask: NDArray[np.bool_], volume: Volume) -> Lesion:
    """A lesion in the volume whose mask is another one, with the sizes of that.

    Parameters
    ----------
    lesion
        The lesion.
    region, mask
        Its new mask: box of the volume, and boolean array of the box.
    volume
        The CT that holds it.
    """
    low = [min(a.start, b.start) for a, b in zip(lesion.region, region, strict=True)]
    high = [max(a.stop, b.stop) for a, b in zip(lesion.region, region, strict=True)]
    a, b, c = (slice(start, stop) for start, stop in zip(low, high, strict=True))
    both: Region = (a, b, c)
    new, edited = (np.zeros([s.stop - s.start for s in both], np.bool_) for _ in range(2))
    for out, box, array in ((new, region, mask), (edited, lesion.region, lesion.edited)):
        i, j, k = (slice(s.start - n, s.stop - n) for s, n in zip(box, low, strict=True))
        out[i, j, k] = array
    voxels = int(np.count_nonzero(new))
    volume_mm3 = voxels * volume.grid.voxel_volume_mm3
    measures = replace(
        lesion.measures,
        longest_axial_diameter_mm=longest_axial_diameter_mm(new, volume.grid),
        volume_mm3=float(volume_mm3),
        equivalent_diameter_mm=equivalent_diameter_mm(volume_mm3),
        voxels=voxels,
    )
    stored = np.array(volume.stored[both])
    return replace(lesion, region=both, stored=stored, mask=new, edited=edited, measures=measures)


def paint_lesion(volume: Volume, around: Neighbourhood, recipe: Recipe) -> Lesion | None:
    """Grow and paint one lesion. Pure: the same input gives the same voxels.

    Parameters
    ----------
    volume
        The CT; it is not changed.
    around
        The neighbourhood of the recipe's centre, earlier lesions among its barriers.
    recipe
        What was drawn.

    Returns
    -------
    Lesion or None
        None if there was room for not even one voxel.
    """
    field = grow(recipe, around)
    tolerance = size_tolerance_mm(recipe.diameter_mm, volume)
    rendering = fit(field, recipe, around, 0.95 * tolerance)
    return None if rendering is None else _paint(volume, around, recipe, field, rendering)


def paint_stage(
    volume: Volume,
    around: Neighbourhood,
    recipe: Recipe,
    field: GrowthField,
    edge: float,
    known: StructureBox | None = None,
) -> Lesion | None:
    """Paint a lesion as it was when its front stood at an arrival time.

    Parameters
    ----------
    volume, around, recipe
        As for :func:`paint_lesion`.
    field
        The recipe grown in that neighbourhood.
    edge
        Arrival time of the border: ``lesion.edge`` of the painted lesion gives that lesion again,
        an earlier one an earlier stage.
    known
        Its mask, where it is known already: of tissue that was pushed aside not another one may
        come out.

    Returns
    -------
    Lesion or None
        None if it fills not even one voxel.
    """
    rendering = render(field, recipe, around, edge)
    if rendering is None:
        return None
    if known is None:
        return _paint(volume, around, recipe, field, rendering)
    a, b, c = (
        slice(outer.start + inner.start, outer.start + inner.stop)
        for outer, inner in zip(around.region, rendering.box, strict=True)
    )
    mask = known.within((a, b, c))
    domain = around.domain.copy()
    domain[rendering.box] |= mask
    return _paint(volume, replace(around, domain=domain), recipe, field, rendering, mask)


def _paint(
    volume: Volume,
    around: Neighbourhood,
    recipe: Recipe,
    field: GrowthField,
    rendering: Rendering,
    known: NDArray[np.bool_] | None = None,
) -> Lesion | None:
    tolerance = size_tolerance_mm(recipe.diameter_mm, volume)
    # Numbers that are stored as whole ones change by at least one step.
    step = abs(volume.slope) if volume.stored.dtype.kind in "iu" else 0.0
    change, mask = change_hu(field, rendering, recipe, around, step, known)
    if not mask.any():
        return None
    box = rendering.box
    region = tuple(
        slice(outer.start + inner.start, outer.start + inner.stop)
        for outer, inner in zip(around.region, box, strict=True)
    )
    place: Region = (region[0], region[1], region[2])
    before = volume.stored[place]
    touched = change != 0.0
    stored = np.array(before)
    stored[touched] = volume.to_stored(around.hu[box][touched] + change[touched])
    edited = stored != before
    mask &= edited  # a voxel at the end of its type's range cannot change, so it bears no label
    if not mask.any():
        return None
    difference = (stored[mask].astype(np.float64) - before[mask]) * volume.slope
    volume_mm3 = int(np.count_nonzero(mask)) * volume.grid.voxel_volume_mm3
    diameter = longest_axial_diameter_mm(mask, volume.grid)
    complete = diameter >= recipe.diameter_mm - tolerance
    measures = LesionMeasures(
        longest_axial_diameter_mm=diameter,
        volume_mm3=float(volume_mm3),
        equivalent_diameter_mm=equivalent_diameter_mm(volume_mm3),
        voxels=int(np.count_nonzero(mask)),
        parenchyma_hu=around.parenchyma.mean_hu,
        noise_hu=around.parenchyma.noise_hu,
        mean_change_hu=float(difference.mean()),
        least_change_hu=float(np.abs(difference).min()),
        contrast_to_noise=abs(float(difference.mean())) / around.parenchyma.noise_hu,
        detectability=abs(float(difference.mean()))
        / around.parenchyma.noise_hu
        * visible_elements(diameter) ** 0.5,
        border_mm=border_width_mm(recipe, volume.grid),
        edited_voxels=int(np.count_nonzero(edited)),
        complete=complete,
        limited_by=""
        if complete
        else f"no more room in the {recipe.structure}: {diameter:.1f} of "
        f"{recipe.diameter_mm:.1f} mm",
    )
    return Lesion(recipe, place, stored, mask, edited, measures, field, rendering.edge)
