"""The main job in memory: a CT and its masks in, the same CT with lesions and labels out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalemai.anatomy import Organ, is_lesion, organ
from scalemai.errors import ConfigError, MissingStructureError, PlacementError
from scalemai.geometry import Grid, Region
from scalemai.synthesis.automaton import BARRIER_STOP
from scalemai.synthesis.draw import draw_recipe
from scalemai.synthesis.field import search_radius_mm
from scalemai.synthesis.lesion import Lesion, paint_lesion, size_tolerance_mm
from scalemai.synthesis.neighbourhood import neighbourhood
from scalemai.synthesis.recipe import Recipe
from scalemai.synthesis.spec import LesionSpec, random_stream
from scalemai.synthesis.tissue import StructureBox, Tissue, crop_mask, join_boxes, prepare_tissue
from scalemai.volume import Mask, Volume

__all__ = [
    "Organs",
    "Synthesis",
    "grow_lesions",
    "paint_in_place",
    "paint_recipes",
    "structures_at_hand",
    "synthesize_volume",
]

_PLACES = 4  # tried for one lesion before the roomiest is kept
_GAP_VOXELS = 2
_MOST_LESIONS = 255  # numbers of lesions are stored as uint8


@dataclass(frozen=True)
class Synthesis:
    """A CT with lesions.

    Parameters
    ----------
    volume
        The CT with the lesions painted in; other voxels are those of the host, bit for bit.
    lesions
        The lesions in order of their numbers.
    """

    volume: Volume
    lesions: tuple[Lesion, ...]

    @property
    def labels(self) -> NDArray[np.uint8]:
        """uint8 array (i, j, k) on the volume's grid: 0, or the number of the lesion."""
        labels = np.zeros(self.volume.grid.shape, np.uint8, order="F")
        for one in self.lesions:
            labels[one.region][one.mask] = one.recipe.number
        return labels

    def mask(self, lesion: str, existing: StructureBox | None = None) -> Mask:
        """Union of the lesions of one mask name, for example ``"liver_lesion"``.

        ``existing`` adds lesions that the host has.
        """
        array = np.zeros(self.volume.grid.shape, np.bool_, order="F")
        if existing is not None:
            array[existing.region] = existing.array
        for one in self.lesions:
            if one.recipe.lesion == lesion:
                array[one.region] |= one.mask
        return Mask(array, self.volume.grid, lesion)


class Organs:
    """The organs of one case, each made ready on first use, with the lesions that it has by now.

    Parameters
    ----------
    boxes
        Masks by canonical name: organs, their sites, vessels, and lesions that are already there.
    grid
        Grid of the volume.
    """

    def __init__(self, boxes: Mapping[str, StructureBox], grid: Grid) -> None:
        self._boxes = boxes
        self._grid = grid
        self._tissues: dict[str, Tissue] = {}
        self._occupied: list[StructureBox] = []

    def structures_of(self, facts: Organ) -> tuple[str, ...]:
        """The masks at hand that make up an organ: those of its sides, else its own."""
        return structures_at_hand(facts, self._boxes.__contains__)

    def tissue(self, facts: Organ, structure: str) -> Tissue:
        """One structure, with its vessels and all lesions so far as barriers."""
        if structure not in self._tissues:
            existing = [box for name, box in self._boxes.items() if is_lesion(name)]
            vessels = [self._boxes[name] for name in facts.vessels if name in self._boxes]
            self._tissues[structure] = prepare_tissue(
                self._boxes[structure], self._grid, vessels, [*existing, *self._occupied]
            )
        return self._tissues[structure]

    def site(self, facts: Organ, site: str | None) -> StructureBox | None:
        """The mask of a named site, all its structures together, if the case has any."""
        names = () if site is None else facts.sites[site]
        return join_boxes([self._boxes[name] for name in names if name in self._boxes])

    def occupy(self, lesion: Lesion) -> None:
        """Keep later lesions off a painted one, its border, and two voxels round that."""
        a, b, c = (
            slice(max(s.start - _GAP_VOXELS, 0), s.stop + _GAP_VOXELS) for s in lesion.region
        )
        region: Region = (a, b, c)
        before = [s.start - o.start for s, o in zip(lesion.region, region, strict=True)]
        grown = np.pad(lesion.edited, [(n, _GAP_VOXELS) for n in before])
        for _ in range(_GAP_VOXELS):
            grown = _dilated(grown)
        box = StructureBox(lesion.recipe.lesion, region, grown)
        self._occupied.append(box)
        for tissue in self._tissues.values():
            tissue.block(box, BARRIER_STOP)


def structures_at_hand(facts: Organ, has: Callable[[str], bool]) -> tuple[str, ...]:
    """Which masks stand for an organ: all its sides, else the whole, else the sides there are."""
    sides = tuple(name for name in facts.structures if has(name))
    return (facts.name,) if sides != facts.structures and has(facts.name) else sides


def synthesize_volume(
    volume: Volume,
    masks: Mapping[str, Mask],
    specs: Sequence[LesionSpec],
    *,
    case_id: str,
    seed: int,
) -> Synthesis:
    """Grow the lesions asked for in one CT.

    Parameters
    ----------
    volume
        The host CT; it is not changed. ``metadata["phase"]`` is used where it is known.
    masks
        Masks on the volume's grid by canonical name: the organs, and where they exist their
        sites, vessels and existing lesions.
    specs
        One per lesion.
    case_id, seed
        Keys of the random streams: the same keys and input give the same voxels.

    Raises
    ------
    GeometryError
        If a mask lies on another grid.
    MissingStructureError
        If an organ asked for has no mask.
    PlacementError
        If an organ has no room for its lesion.
    """
    boxes = _cropped(volume, masks)
    lesions = grow_lesions(volume, boxes, specs, case_id=case_id, seed=seed)
    return Synthesis(_painted(volume, lesions), lesions)


def grow_lesions(
    volume: Volume,
    boxes: Mapping[str, StructureBox],
    specs: Sequence[LesionSpec],
    *,
    case_id: str,
    seed: int,
) -> tuple[Lesion, ...]:
    """The lesions of :func:`synthesize_volume`, not yet painted into the volume."""
    if len(specs) > _MOST_LESIONS:
        raise ConfigError(f"{len(specs)} lesions in one case", fix=f"at most {_MOST_LESIONS}")
    organs = Organs(boxes, volume.grid)
    lesions: list[Lesion] = []
    for number, spec in enumerate(specs, start=1):
        facts = organ(spec.organ)
        structure = _choose_structure(organs, facts, spec, case_id, number, seed)
        tissue = organs.tissue(facts, structure)
        best: Lesion | None = None
        for attempt in range(1 if spec.at_mm is not None else _PLACES):
            recipe, around = draw_recipe(
                spec,
                volume,
                tissue,
                case_id=case_id,
                number=number,
                seed=seed,
                attempt=attempt,
                site=organs.site(facts, spec.site),
            )
            lesion = paint_lesion(volume, around, recipe)
            if lesion is None:
                continue
            if best is None or _miss(lesion) < _miss(best):
                best = lesion
            if _miss(best) <= size_tolerance_mm(recipe.diameter_mm, volume):
                break
        if best is None:
            raise PlacementError(
                f"no room for lesion {number} in the {structure}",
                where=case_id,
                fix="ask for fewer or smaller lesions",
            )
        lesions.append(best)
        organs.occupy(best)
    return tuple(lesions)


def paint_recipes(
    volume: Volume,
    boxes: Mapping[str, StructureBox],
    recipes: Sequence[Recipe],
    *,
    case_id: str,
) -> tuple[Lesion, ...]:
    """Grow recorded recipes in their host again: the same lesions as when they were drawn.

    Parameters
    ----------
    volume, boxes
        The host, as for :func:`grow_lesions`.
    recipes
        In the order of their numbers.
    case_id
        For messages.

    Raises
    ------
    MissingStructureError
        If a mask that a recipe grows in is absent.
    PlacementError
        If a lesion cannot be painted, so the host is another one.
    """
    organs = Organs(boxes, volume.grid)
    lesions: list[Lesion] = []
    for recipe in recipes:
        facts = organ(recipe.organ)
        if recipe.structure not in boxes:
            fix = "give the masks that the host had"
            raise MissingStructureError(f"no mask of {recipe.structure}", where=case_id, fix=fix)
        tissue = organs.tissue(facts, recipe.structure)
        radius = search_radius_mm(recipe.diameter_mm)
        around = neighbourhood(volume, tissue, recipe.centre_mm, radius)
        lesion = paint_lesion(volume, around, recipe)
        if lesion is None:
            fix = "give the CT and masks that the sidecar names"
            raise PlacementError(f"lesion {recipe.number} has no room", where=case_id, fix=fix)
        lesions.append(lesion)
        organs.occupy(lesion)
    return tuple(lesions)


def paint_in_place(volume: Volume, lesions: Iterable[Lesion]) -> None:
    """Write lesions into the volume's own array: the host is gone, and no copy is made."""
    for lesion in lesions:
        # Boxes may overlap where lesions do not; only what this one changed is written.
        volume.stored[lesion.region][lesion.edited] = lesion.stored[lesion.edited]


def _painted(volume: Volume, lesions: Iterable[Lesion]) -> Volume:
    copy = volume.with_stored(volume.stored.copy(order="K"))
    paint_in_place(copy, lesions)
    return copy


def _cropped(volume: Volume, masks: Mapping[str, Mask]) -> dict[str, StructureBox]:
    boxes: dict[str, StructureBox] = {}
    for name, mask in masks.items():
        mask.require_grid(volume.grid)
        box = crop_mask(mask)
        if box is not None:
            boxes[name] = StructureBox(name, box.region, box.array)
    return boxes


def _dilated(array: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """One step of dilation to the six neighbours."""
    grown = array.copy()
    for axis in range(3):
        ahead = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        behind = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        grown[ahead] |= array[behind]
        grown[behind] |= array[ahead]
    return grown


def _miss(lesion: Lesion) -> float:
    return abs(lesion.measures.longest_axial_diameter_mm - lesion.recipe.diameter_mm)


def _choose_structure(
    organs: Organs, facts: Organ, spec: LesionSpec, case_id: str, number: int, seed: int
) -> str:
    """The mask that a lesion grows in: the site's side, that of a given point, or one drawn."""
    names = organs.structures_of(facts)
    if not names:
        raise MissingStructureError(
            f"has no mask of the {facts.name}",
            where=case_id,
            fix=f"give {' or '.join(dict.fromkeys((facts.name, *facts.structures)))}",
        )
    sides = () if spec.site is None else facts.sites[spec.site]
    if sides and set(sides) <= set(facts.structures):
        have = " and ".join(names)
        names = tuple(name for name in names if name in sides)
        if not names:
            raise MissingStructureError(
                f"has no mask of the {' or '.join(sides)}, which the site {spec.site!r} needs",
                where=case_id,
                fix=f"it has {have}; leave the site out or give that mask",
            )
    if len(names) == 1:
        return names[0]
    if spec.at_mm is not None:
        for name in names:
            if organs.tissue(facts, name).holds(spec.at_mm):
                return name
        return names[0]
    volumes = np.array([np.count_nonzero(organs.tissue(facts, n).organ) for n in names], float)
    rng = random_stream(seed, case_id, number, "side")
    return names[int(rng.choice(len(names), p=volumes / volumes.sum()))]
