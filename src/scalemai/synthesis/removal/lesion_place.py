"""A lesion that is in the scan: which organ it lies in, and what of the scan shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.anatomy import Organ, is_lesion, organ, organ_names, structure
from scalemai.components import label_components
from scalemai.errors import ConfigError, MissingStructureError, PlacementError
from scalemai.geometry import Grid, Region
from scalemai.measure import bounding_box
from scalemai.synthesis.growth.tissue import StructureBox
from scalemai.synthesis.removal.border import LesionBorder, measure_border, signed_distance_mm
from scalemai.synthesis.removal.lungs import lung_around
from scalemai.synthesis.removal.outline import expected_organ, overlooked
from scalemai.volume import Volume

__all__ = ["FoundLesion", "LesionPlace", "find_lesions", "organ_of_lesion", "place_of"]

_EXAMPLE = "liver_lesion"
_MARGIN_MM = 30.0
_BESIDE_MM = 8.0
_LUNG_MARGIN_MM = 80.0  # a piece of lung is copied from there
_MOST_IN_CHEST_WALL = 0.2  # of a nodule, by a mask that is drawn a little too large
_MOST_OF_ORGAN = 0.5  # author's choice: more leaves too little to learn from


@dataclass(frozen=True, eq=False)
class FoundLesion:
    """One connected lesion of a mask.

    Parameters
    ----------
    number
        From 1, the largest first; over all masks of one call.
    name
        Lesion structure, for example ``"liver_lesion"``.
    region
        Its box in the volume.
    array
        Boolean array of the box.
    """

    number: int
    name: str
    region: Region
    array: NDArray[np.bool_]

    @property
    def voxels(self) -> int:
        """Number of its voxels."""
        return int(np.count_nonzero(self.array))


@dataclass(frozen=True, eq=False)
class LesionPlace:
    """The part of a scan around one lesion; arrays of the box.

    Parameters
    ----------
    lesion
        The lesion.
    organ
        Facts of the organ that it lies in.
    structure
        Name of the organ's mask; ``""`` if the lung was found by its attenuation.
    region, grid
        The box within the volume, and its grid.
    hu
        Hounsfield units, float32.
    inside
        The lesion.
    tissue
        The organ's mask, the lesion, and organ beside the mask near the lesion.
    expected
        The organ as it would be without the lesion; ``tissue`` beyond it is the bulge.
    hole
        What shows the lesion: the lesion, and its blurred border within what is replaced.
    lesions
        All lesions with a border as wide as this one's.
    border
        How the lesion turns into the tissue around it.
    """

    lesion: FoundLesion
    organ: Organ
    structure: str
    region: Region
    grid: Grid
    hu: NDArray[np.float32]
    inside: NDArray[np.bool_]
    tissue: NDArray[np.bool_]
    expected: NDArray[np.bool_]
    hole: NDArray[np.bool_]
    lesions: NDArray[np.bool_]
    border: LesionBorder

    @property
    def bulge(self) -> NDArray[np.bool_]:
        """What becomes what is outside the organ."""
        return self.tissue & ~self.expected


def organ_of_lesion(name: str) -> Organ:
    """Facts of the organ that a lesion structure lies in, if lesions there can be replaced.

    Raises
    ------
    UnknownNameError
        If there is no such structure.
    ConfigError
        If it is no lesion, nothing is known of its organ, or normal tissue cannot be put in the
        lesion's place: the wall of a hollow organ and the cortex of a bone are gone where a tumor
        was.
    """
    entry = structure(name)
    if not is_lesion(name):
        raise ConfigError(f"{name} is no lesion", where="lesion", fix=f"for example {_EXAMPLE}")
    while entry.name not in organ_names():
        if entry.parent is None:
            what = f"normal tissue cannot take the place of a {name}: no facts of its organ"
            raise ConfigError(what, where="lesion", fix="choose a lesion of another organ")
        entry = structure(entry.parent)
    facts = organ(entry.name)
    if facts.family in ("hollow", "bone"):
        lost = "wall" if facts.family == "hollow" else "cortex"
        what = f"a {name} cannot be taken away: the {lost} that it grew in cannot be rebuilt"
        raise ConfigError(what, where="lesion", fix="choose a lesion of a solid organ or lung")
    return facts


def find_lesions(masks: Mapping[str, StructureBox]) -> list[FoundLesion]:
    """The connected lesions of some masks, the largest first.

    A lesion that several masks hold (a tumor in the mask of its kind and in that of all lesions) is
    found once, under the name that comes first.
    """
    found: list[tuple[int, int, str, Region, NDArray[np.bool_]]] = []
    for order, (name, box) in enumerate(masks.items()):
        parts = label_components(box.array)
        for number, inner in enumerate(ndimage.find_objects(parts), start=1):
            if inner is None:
                continue
            a, b, c = (
                slice(o.start + i.start, o.start + i.stop)
                for o, i in zip(box.region, inner, strict=True)
            )
            array = np.ascontiguousarray(parts[inner] == number)
            if not any(_same(one[3], one[4], (a, b, c), array) for one in found):
                found.append((-int(np.count_nonzero(array)), order, name, (a, b, c), array))
    found.sort(key=lambda one: (one[0], one[1], [s.start for s in one[3]]))
    return [
        FoundLesion(number, name, region, array)
        for number, (_, _, name, region, array) in enumerate(found, start=1)
    ]


def place_of(
    volume: Volume,
    lesion: FoundLesion,
    organs: Mapping[str, StructureBox],
    lesions: Sequence[StructureBox],
) -> LesionPlace:
    """Look at a lesion in its scan.

    Parameters
    ----------
    volume
        The CT.
    lesion
        The lesion.
    organs
        Masks of its organ or the organ's sides; empty for a lung without mask.
    lesions
        Every lesion mask of the case.

    Raises
    ------
    ConfigError
        As :func:`organ_of_lesion`.
    MissingStructureError
        If the organ has no mask, or no lung is found.
    PlacementError
        If the lesion touches the border of the scan, lies outside its organ, or is more than half
        of it.
    """
    facts = organ_of_lesion(lesion.name)
    title = f"lesion {lesion.number} of the {lesion.name} mask"
    for part, length in zip(lesion.region, volume.grid.shape, strict=True):
        if part.start == 0 or part.stop == length:
            what = f"{title} touches the border of the scan"
            raise PlacementError(what, fix="its tissue is not all there; leave it out")
    lung = facts.family == "lung"
    region = _box(volume.grid, lesion.region, _LUNG_MARGIN_MM if lung else _MARGIN_MM)
    grid = volume.grid.crop(region)
    hu = volume.hu(region)
    inside = StructureBox(lesion.name, lesion.region, lesion.array).within(region)
    every = inside.copy()
    for box in lesions:
        every |= box.within(region)
    name, mask, organ_voxels = _organ_at(organs, inside, region)
    if not name:
        if not lung:
            raise MissingStructureError(
                f"has no mask of the {facts.name} that its {lesion.name} lies in",
                fix=f"give one ({' or '.join(facts.structures)})",
            )
        mask = lung_around(hu, every, grid)
    elif not (mask & ndimage.binary_dilation(inside, iterations=2)).any():
        what = f"{title} lies outside the {facts.name}"
        raise PlacementError(what, fix="check that both masks belong to this CT")
    tissue = mask | inside
    share = lesion.voxels / max(organ_voxels + int(np.count_nonzero(inside & ~mask)), 1)
    if name and share > _MOST_OF_ORGAN:
        what = f"{title} is {100 * share:.0f} % of the {name}"
        raise PlacementError(what, fix="leave it out: too little normal tissue is left")
    distance = signed_distance_mm(inside, grid)
    if not lung:
        tissue |= overlooked(hu, tissue, every, grid) & (distance > -_BESIDE_MM)
    border = measure_border(hu, inside, tissue & ~every, grid)
    expected = expected_organ(tissue, inside, grid)
    if lung and np.count_nonzero(inside & ~expected) > _MOST_IN_CHEST_WALL * lesion.voxels:
        expected = tissue  # a surface with fissures and vessels is no quadric
    wide = (distance >= -border.reach_mm) | _beside(inside, grid)
    others = every & ~inside
    bulge = tissue & ~expected
    # Beside a bulge only what its edge has blurred is new.
    square = [3, 3, 3]
    square[grid.axial_axis] = 1
    skirt = ndimage.binary_dilation(bulge, np.ones(square, np.bool_), iterations=2) & ~tissue
    hole = ((wide & expected) | inside | bulge | skirt) & ~others
    widened = wide | (signed_distance_mm(every, grid) >= -border.reach_mm) | _beside(every, grid)
    return LesionPlace(
        lesion, facts, name, region, grid, hu, inside, tissue, expected, hole, widened, border
    )


def _same(
    region: Region, array: NDArray[np.bool_], other: Region, other_array: NDArray[np.bool_]
) -> bool:
    """Whether two lesions share most of their voxels."""
    box = StructureBox("", region, array)
    shared = np.count_nonzero(box.within(other) & other_array)
    return bool(2 * shared > min(np.count_nonzero(array), np.count_nonzero(other_array)))


def _organ_at(
    organs: Mapping[str, StructureBox], inside: NDArray[np.bool_], region: Region
) -> tuple[str, NDArray[np.bool_], int]:
    """The mask that the lesion lies in or beside, as an array of the box, and its size."""
    near = ndimage.binary_dilation(inside, iterations=2)
    best: tuple[int, str, NDArray[np.bool_], int] = (-1, "", np.zeros_like(inside), 0)
    for name, box in organs.items():
        here = box.within(region)
        meets = int(np.count_nonzero(here & near))
        if meets > best[0]:
            best = (meets, name, here, int(np.count_nonzero(box.array)))
    return best[1:]


def _beside(mask: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """The mask in the slices above and below: a thick slice shows what ends next to it."""
    line = np.zeros((3, 3, 3), np.bool_)
    centre = [1, 1, 1]
    for step in (0, 1, 2):
        centre[grid.axial_axis] = step
        line[tuple(centre)] = True
    return np.asarray(ndimage.binary_dilation(mask, line), np.bool_)


def _box(grid: Grid, region: Region, margin_mm: float) -> Region:
    # In a sheared grid a world distance spans more index steps than spacing alone says.
    reach = margin_mm * np.linalg.norm(grid.inverse[:3, :3], axis=1)
    low = np.array([s.start for s in region]) - reach
    high = np.array([s.stop - 1 for s in region]) + reach
    box = grid.clip(low, high)
    assert box is not None  # the lesion is inside
    return box


def cropped(array: NDArray[np.bool_], region: Region, name: str) -> StructureBox | None:
    """An array of a box as a cropped mask; None if it is empty."""
    inner = bounding_box(array)
    if inner is None:
        return None
    a, b, c = (
        slice(o.start + i.start, o.start + i.stop) for o, i in zip(region, inner, strict=True)
    )
    return StructureBox(name, (a, b, c), np.ascontiguousarray(array[inner]))
