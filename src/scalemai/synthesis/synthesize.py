"""The main job in memory: a CT and its masks in, the same CT with lesions and labels out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scalemai.anatomy import Organ, organ
from scalemai.errors import ConfigError, MissingStructureError, PlacementError
from scalemai.synthesis.drawing.draw import draw_recipe
from scalemai.synthesis.effects.contact import contact_places, vessel_contacts
from scalemai.synthesis.growth.tissue import StructureBox
from scalemai.synthesis.painting.lesion import Lesion, paint_lesion, size_tolerance_mm
from scalemai.synthesis.patient import Effects, Patient, cropped
from scalemai.synthesis.recipe import Recipe
from scalemai.synthesis.satellites import satellites_of
from scalemai.synthesis.spec import LesionSpec, random_stream
from scalemai.volume import Mask, Volume

__all__ = ["Synthesis", "grow_lesion", "paint_recipes", "synthesize_into", "synthesize_volume"]

_PLACES = 4  # tried for one lesion before the roomiest is kept
_ROUND_VESSELS = 0.9  # speed in fat relative to the organ of a lesion that shall touch a vessel
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
    effects
        What each did to its surroundings.
    boxes
        The masks that were given, as they are now; those that changed are named by the effects.
    """

    volume: Volume
    lesions: tuple[Lesion, ...]
    effects: tuple[Effects, ...]
    boxes: Mapping[str, StructureBox]

    @property
    def labels(self) -> NDArray[np.uint8]:
        """uint8 array (i, j, k) on the volume's grid: 0, or the number of the lesion."""
        labels = np.zeros(self.volume.grid.shape, np.uint8, order="F")
        for one in self.lesions:
            labels[one.region][one.mask] = one.recipe.number
        return labels

    @property
    def changed(self) -> tuple[str, ...]:
        """Structures whose masks are no longer those of the host."""
        return tuple(sorted({name for effect in self.effects for name in effect.structures}))

    def mask(self, name: str) -> Mask:
        """The mask of a structure as it is now, or the union of lesions, existing ones included.

        Parameters
        ----------
        name
            For example ``"liver_lesion"`` or ``"pancreas"``.
        """
        array = np.zeros(self.volume.grid.shape, np.bool_, order="F")
        if name in self.boxes:
            array[self.boxes[name].region] = self.boxes[name].array
        for one in self.lesions:
            if one.recipe.lesion == name:
                array[one.region] |= one.mask
        return Mask(array, self.volume.grid, name)


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
        sites, vessels, ducts, neighbouring organs and existing lesions.
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
    boxes = cropped(volume, masks)
    copy = volume.with_stored(volume.stored.copy(order="K"))
    return synthesize_into(copy, boxes, specs, case_id=case_id, seed=seed)


def synthesize_into(
    volume: Volume,
    boxes: Mapping[str, StructureBox],
    specs: Sequence[LesionSpec],
    *,
    case_id: str,
    seed: int,
) -> Synthesis:
    """As :func:`synthesize_volume`, but the volume's own numbers are changed: no copy is made."""
    if len(specs) > _MOST_LESIONS:
        raise ConfigError(f"{len(specs)} lesions in one case", fix=f"at most {_MOST_LESIONS}")
    patient = Patient(volume, dict(boxes))
    for number, spec in enumerate(specs, start=1):
        patient.put(grow_lesion(patient, spec, case_id=case_id, number=number, seed=seed))
    number = len(specs)
    for spec, parent in zip(specs, tuple(patient.lesions), strict=True):
        rng = random_stream(seed, case_id, parent.recipe.number, "satellites")
        for child in satellites_of(spec, parent, patient, rng):
            if number == _MOST_LESIONS:
                break
            number += 1
            lesion = _satellite(patient, child, parent, case_id=case_id, number=number, seed=seed)
            if lesion is None:
                number -= 1
            else:
                patient.put(lesion)
    return _result(patient)


def grow_lesion(
    patient: Patient, spec: LesionSpec, *, case_id: str, number: int, seed: int
) -> Lesion:
    """Find a place for one lesion and grow it there; it is not yet put in.

    Several places are tried until one has the room for the diameter, or gives the contact with a
    vessel that was asked for; else the best of them is kept.

    Raises
    ------
    MissingStructureError
        If the organ, or the vessel asked for, has no mask.
    PlacementError
        If the organ has no room.
    """
    volume, facts = patient.volume, organ(spec.organ)
    structure = _choose_structure(patient, facts, spec, case_id, number, seed)
    tissue = patient.tissue(facts, structure)
    best, least = None, np.inf
    for attempt, wanted in enumerate(
        _places(patient, facts, structure, spec, number, seed, case_id)
    ):
        recipe, around = draw_recipe(
            wanted,
            volume,
            tissue,
            case_id=case_id,
            number=number,
            seed=seed,
            attempt=attempt,
            sites=patient.sites_of(facts),
        )
        if spec.vessel is not None:  # it goes round the vessel, through the fat beside it
            recipe = replace(recipe, outside_speed=max(recipe.outside_speed, _ROUND_VESSELS))
        lesion = paint_lesion(volume, around, recipe)
        if lesion is None:
            continue
        miss = _miss(lesion, volume) + _off(patient, spec, lesion)
        if miss < least:
            best, least = lesion, miss
        if least <= 1.0:
            break
    if best is None:
        raise PlacementError(
            f"no room for lesion {number} in the {structure}",
            where=case_id,
            fix="ask for fewer or smaller lesions",
        )
    return best


def paint_recipes(
    volume: Volume,
    boxes: Mapping[str, StructureBox],
    recipes: Sequence[Recipe],
    *,
    case_id: str,
) -> Synthesis:
    """Grow recorded recipes in their host again, in place: the same as when they were drawn.

    Parameters
    ----------
    volume, boxes
        The host, as for :func:`synthesize_into`.
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
    patient = Patient(volume, dict(boxes))
    for recipe in recipes:
        lesion = _paint_again(patient, recipe, case_id)
        if lesion is None:
            fix = "give the CT and masks that the sidecar names"
            raise PlacementError(f"lesion {recipe.number} has no room", where=case_id, fix=fix)
        patient.put(lesion)
    return _result(patient)


def _paint_again(patient: Patient, recipe: Recipe, case_id: str) -> Lesion | None:
    if recipe.structure not in patient.boxes:
        fix = "give the masks that the host had"
        raise MissingStructureError(f"no mask of {recipe.structure}", where=case_id, fix=fix)
    return paint_lesion(patient.volume, patient.around(recipe), recipe)


def _result(patient: Patient) -> Synthesis:
    return Synthesis(patient.volume, tuple(patient.lesions), tuple(patient.effects), patient.boxes)


def _places(
    patient: Patient,
    facts: Organ,
    structure: str,
    spec: LesionSpec,
    number: int,
    seed: int,
    case_id: str,
) -> list[LesionSpec]:
    """The spec, once per place to try; where a vessel decides the place, with the place."""
    if spec.vessel is None:
        return [spec] * (1 if spec.at_mm is not None else _PLACES)
    name, angles = spec.vessel
    if name not in patient.boxes:
        raise MissingStructureError(
            f"has no mask of the {name}",
            where=case_id,
            fix="leave the vessel out, or give its mask",
        )
    rng = random_stream(seed, case_id, number, "vessel")
    middle = 0.5 * sum(spec.diameter_mm)
    tissue = patient.tissue(facts, structure)
    site = None if spec.site is None else patient.sites_of(facts).get(spec.site)
    leaves = True if spec.exophytic is None else spec.exophytic
    places = contact_places(
        patient.boxes[name],
        tissue if site is None else site,
        patient.volume.grid,
        middle,
        angles,
        rng,
        beyond=leaves,
    )
    places = [place for place in places if tissue.holds(place)]
    if not places:
        raise PlacementError(
            f"the {name} is nowhere near the {structure}",
            where=case_id,
            fix="ask for a vessel at the organ",
        )
    return [replace(spec, vessel=None, at_mm=place, exophytic=leaves) for place in places]


def _off(patient: Patient, spec: LesionSpec, lesion: Lesion) -> float:
    """How far a contact angle is from the one asked for, in units of 20 degrees."""
    if spec.vessel is None:
        return 0.0
    name, (low, high) = spec.vessel
    box = StructureBox(lesion.recipe.lesion, lesion.region, lesion.mask)
    found = vessel_contacts(box, {name: patient.boxes[name]}, patient.volume.grid)
    angle = found[0].angle_deg if found else 0.0
    off = max(low - angle, angle - high, 0.0)
    return off / 20.0 + (2.0 if off > 0 else 0.0)


def _miss(lesion: Lesion, volume: Volume) -> float:
    """How far the diameter is from the one asked for, in units of what is tolerated."""
    asked = lesion.recipe.diameter_mm
    off = abs(lesion.measures.longest_axial_diameter_mm - asked)
    return off / size_tolerance_mm(asked, volume)


def _satellite(
    patient: Patient,
    spec: LesionSpec,
    parent: Lesion,
    *,
    case_id: str,
    number: int,
    seed: int,
) -> Lesion | None:
    """A small lesion beside another one; None where there is no room after all."""
    facts = organ(spec.organ)
    structure = parent.recipe.structure
    try:
        recipe, around = draw_recipe(
            spec,
            patient.volume,
            patient.tissue(facts, structure),
            case_id=case_id,
            number=number,
            seed=seed,
            sites=patient.sites_of(facts),
        )
    except PlacementError:
        return None
    recipe = replace(recipe, parent=parent.recipe.number)
    return paint_lesion(patient.volume, around, recipe)


def _choose_structure(
    patient: Patient, facts: Organ, spec: LesionSpec, case_id: str, number: int, seed: int
) -> str:
    """The mask that a lesion grows in: the site's side, that of a given point, or one drawn."""
    names = patient.structures_of(facts)
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
            if patient.tissue(facts, name).holds(spec.at_mm):
                return name
        return names[0]
    volumes = np.array([np.count_nonzero(patient.tissue(facts, n).organ) for n in names], float)
    rng = random_stream(seed, case_id, number, "side")
    return names[int(rng.choice(len(names), p=volumes / volumes.sum()))]
