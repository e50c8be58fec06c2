"""One patient while lesions are put in: the CT, its masks and the lesions change together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalemai.anatomy import Organ, is_lesion, organ, structure
from scalemai.errors import UnknownNameError
from scalemai.geometry import Region
from scalemai.synthesis.effects.change import Change
from scalemai.synthesis.effects.contact import VesselContact, vessel_contacts
from scalemai.synthesis.effects.displacement import Displacement, push_aside
from scalemai.synthesis.effects.ducts import dilate_duct
from scalemai.synthesis.effects.vessels import find_vessels, narrow_vessel
from scalemai.synthesis.effects.warp import warp_hu
from scalemai.synthesis.effects.warp_masks import warp_masks
from scalemai.synthesis.families import surroundings
from scalemai.synthesis.growth.neighbourhood import Neighbourhood
from scalemai.synthesis.growth.permeability import BARRIER_STOP
from scalemai.synthesis.growth.tissue import (
    StructureBox,
    Tissue,
    crop_mask,
    join_boxes,
    prepare_tissue,
)
from scalemai.synthesis.painting.lesion import Lesion, paint_stage, with_mask
from scalemai.synthesis.recipe import Recipe
from scalemai.volume import Mask, Volume

__all__ = ["ESTIMATED_VESSEL", "Effects", "Patient", "Repaint", "cropped", "structures_at_hand"]

ESTIMATED_VESSEL = "estimated_vessel"
"""Name of vessels that no mask shows but the CT does."""

_GAP_VOXELS = 2
_BEYOND_MM = 25.0  # how far a lesion may grow out of its organ; author's choice

Repaint = Callable[[Volume, Neighbourhood], Lesion | None]
"""Paints a lesion again in tissue that was pushed aside."""


@dataclass(frozen=True)
class Effects:
    """What a lesion did to its surroundings.

    Parameters
    ----------
    contacts
        How the lesion touches vessels that have masks.
    structures
        Masks that changed.
    notes
        Remarks in words.
    """

    displacement: Displacement | None = None
    contacts: tuple[VesselContact, ...] = ()
    structures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain types, rounded to what is meaningful."""
        return {
            "displaced_mm": 0.0
            if self.displacement is None
            else round(self.displacement.greatest_mm, 2),
            "contacts": [
                {
                    "structure": one.structure,
                    "angle_deg": round(one.angle_deg),
                    "length_mm": round(one.length_mm, 1),
                    "relation": one.relation,
                }
                for one in self.contacts
            ],
            "structures": list(self.structures),
            "notes": list(self.notes),
        }


@dataclass
class Patient:
    """The state of one case while lesions are put in.

    Parameters
    ----------
    volume
        The CT; its stored numbers are changed in place.
    boxes
        Masks by canonical name: organs, their sites, vessels, neighbours, lesions that are already
        there. They follow what the lesions do.
    lesions, effects
        The lesions so far, and what each did, in order.
    """

    volume: Volume
    boxes: dict[str, StructureBox]
    lesions: list[Lesion] = field(default_factory=list)
    effects: list[Effects] = field(default_factory=list)
    _tissues: dict[str, Tissue] = field(default_factory=dict)
    _occupied: list[StructureBox] = field(default_factory=list)

    def structures_of(self, facts: Organ) -> tuple[str, ...]:
        """The masks at hand that make up an organ: those of its sides, else its own."""
        return structures_at_hand(facts, self.boxes.__contains__)

    def sites_of(self, facts: Organ) -> Mapping[str, StructureBox]:
        """The masks of an organ's sites, by site, as far as there are any."""
        found = {
            site: join_boxes([self.boxes[name] for name in names if name in self.boxes])
            for site, names in facts.sites.items()
        }
        return {site: box for site, box in found.items() if box is not None}

    def tissue(self, facts: Organ, name: str) -> Tissue:
        """One structure, with its vessels, neighbours and all lesions so far as barriers."""
        if name not in self._tissues:
            existing = [box for other, box in self.boxes.items() if is_lesion(other)]
            beside = {*facts.barriers, *self.structures_of(facts)} - {name}
            self._tissues[name] = prepare_tissue(
                self.boxes[name],
                self.volume.grid,
                [self.boxes[vessel] for vessel in facts.vessels if vessel in self.boxes],
                [*existing, *self._occupied],
                [self.boxes[other] for other in sorted(beside) if other in self.boxes],
                pad_mm=_BEYOND_MM if _may_leave(facts) else 0.0,
            )
        return self._tissues[name]

    def around(self, recipe: Recipe) -> Neighbourhood:
        """What a recipe's lesion sees of the patient as the patient is now."""
        facts = organ(recipe.organ)
        return surroundings(
            self.volume,
            self.tissue(facts, recipe.structure),
            facts,
            recipe.centre_mm,
            recipe.diameter_mm,
            outside=recipe.outside_speed > 0.0,
            noise_seed=recipe.noise_seed,
        )

    def put(self, lesion: Lesion, repaint: Repaint | None = None) -> Lesion:
        """Put a grown lesion in: push tissue aside, paint it, and let ducts and vessels follow.

        Parameters
        ----------
        lesion
            A lesion grown in the patient as it is now.
        repaint
            How it is painted in the tissue that was pushed aside; as it was grown if None.

        Returns
        -------
        Lesion
            The lesion as it lies in the volume.
        """
        recipe = lesion.recipe
        before = dict(self.boxes)
        notes: list[str] = []
        moved = self._push(lesion)
        if moved is not None:
            # Where it replaced the organ it lies in the organ, wherever the surface went.
            own = before[recipe.structure].within(lesion.region) & lesion.mask
            self._include(recipe.structure, StructureBox(recipe.structure, lesion.region, own))
            around = _without_thin_rim(self.around(lesion.recipe), lesion)
            again = (repaint or _same(lesion))(self.volume, around)
            lesion = lesion if again is None else again
        self.volume.stored[lesion.region][lesion.edited] = lesion.stored[lesion.edited]
        self._include(recipe.structure, _box_of(lesion))
        rng = np.random.Generator(np.random.Philox(recipe.noise_seed + 3))
        for one in recipe.obstructed:
            box = _box_of(lesion)
            notes += self._apply(dilate_duct(self.volume, self.boxes, box, one, rng))
        contacts = self._contacts(lesion) if recipe.narrowing > 0.0 else ()
        narrowed: set[str] = set()
        for contact in contacts:
            if contact.relation != "encasement" or contact.structure not in self.boxes:
                continue
            if contact.structure in narrowed:  # a part of a vessel that was narrowed as a whole
                continue
            change = narrow_vessel(
                self.volume, self.boxes, _box_of(lesion), contact, recipe.narrowing
            )
            notes += self._apply(change)
            narrowed |= set(change.masks)
            if recipe.lesion in change.masks:  # the ring that the lumen left is tumor
                box = change.masks[recipe.lesion]
                lesion = with_mask(lesion, box.region, box.array, self.volume)
                self.boxes.pop(recipe.lesion)
                if recipe.lesion in before:
                    self.boxes[recipe.lesion] = before[recipe.lesion]
        changed = tuple(sorted(n for n, box in self.boxes.items() if before.get(n) is not box))
        if changed:
            self._tissues.clear()
        self._occupy(lesion)
        self.lesions.append(lesion)
        self.effects.append(Effects(moved, contacts, changed, tuple(notes)))
        return lesion

    def _push(self, lesion: Lesion) -> Displacement | None:
        if lesion.recipe.displaced <= 0.0:
            return None
        bones = [box for name, box in self.boxes.items() if _is_bone(name)]
        moved = push_aside(
            self.volume,
            _box_of(lesion),
            lesion.recipe.displaced,
            rigid=bones,
            kept=self.boxes.values(),
        )
        if moved is None:
            return None
        hu, where = warp_hu(self.volume, moved)
        self.volume.stored[moved.region][where] = self.volume.to_stored(hu[where])
        # All masks at once, so that they keep apart: organs, lesions, and what bars the next ones.
        names = list(self.boxes)
        every = [*self.boxes.values(), *map(_box_of, self.lesions), *self._occupied]
        after = warp_masks(every, moved)
        count, lesions = len(names), len(self.lesions)
        self.boxes = {
            name: box for name, box in zip(names, after[:count], strict=True) if box is not None
        }
        self.lesions[:] = [
            one if box is None or box is was else with_mask(one, box.region, box.array, self.volume)
            for one, was, box in zip(
                self.lesions, every[count:], after[count : count + lesions], strict=False
            )
        ]
        self._occupied[:] = [box for box in after[count + lesions :] if box is not None]
        self._tissues.clear()
        return moved

    def _include(self, name: str, part: StructureBox) -> None:
        """An organ includes what has grown in it, and out of it."""
        joined = join_boxes([self.boxes[name], part])
        assert joined is not None  # two boxes join to one
        if np.count_nonzero(joined.array) > np.count_nonzero(self.boxes[name].array):
            self.boxes[name] = joined
            self._tissues.clear()

    def _contacts(self, lesion: Lesion) -> tuple[VesselContact, ...]:
        """Contact with the vessels at the organ; where none has a mask, with those that show."""
        facts = organ(lesion.recipe.organ)
        at_organ = [name for name in facts.vessels if structure(name).group == "vessel"]
        vessels = {name: self.boxes[name] for name in at_organ if name in self.boxes}
        if at_organ and not vessels:
            around = self.around(lesion.recipe)
            taken = around.barrier == BARRIER_STOP
            seen = find_vessels(around.hu, around.organ, around.grid, around.parenchyma, taken)
            found = crop_mask(Mask(seen, around.grid, ESTIMATED_VESSEL))
            if found is None:
                return ()
            a, b, c = (
                slice(outer.start + inner.start, outer.start + inner.stop)
                for outer, inner in zip(around.region, found.region, strict=True)
            )
            vessels = {found.name: StructureBox(found.name, (a, b, c), found.array)}
        return vessel_contacts(_box_of(lesion), vessels, self.volume.grid) if vessels else ()

    def _apply(self, change: Change | None) -> tuple[str, ...]:
        if change is None:
            return ()
        stored = self.volume.stored[change.region]
        stored[change.edited] = self.volume.to_stored(change.hu[change.edited])
        self.boxes.update(change.masks)
        return change.notes

    def _occupy(self, lesion: Lesion) -> None:
        """Keep later lesions off a painted one, its border, and two voxels round that."""
        a, b, c = (
            slice(max(s.start - _GAP_VOXELS, 0), s.stop + _GAP_VOXELS) for s in lesion.region
        )
        region: Region = (a, b, c)
        before = [s.start - o.start for s, o in zip(lesion.region, region, strict=True)]
        grown = np.pad(lesion.edited | lesion.mask, [(n, _GAP_VOXELS) for n in before])
        for _ in range(_GAP_VOXELS):
            grown = _dilated(grown)
        # The region ends with the volume.
        region = (
            self.volume.grid.clip([s.start for s in region], [s.stop - 1 for s in region]) or region
        )
        grown = grown[tuple(slice(s.stop - s.start) for s in region)]
        box = StructureBox(lesion.recipe.lesion, region, grown)
        self._occupied.append(box)
        for tissue in self._tissues.values():
            tissue.block(box, BARRIER_STOP)


def structures_at_hand(facts: Organ, has: Callable[[str], bool]) -> tuple[str, ...]:
    """Which masks stand for an organ: all its sides, else the whole, else the sides there are."""
    sides = tuple(name for name in facts.structures if has(name))
    return (facts.name,) if sides != facts.structures and has(facts.name) else sides


def _without_thin_rim(around: Neighbourhood, lesion: Lesion) -> Neighbourhood:
    """A layer of organ of one voxel between a lesion and the outside is not organ to painting.

    Where a lesion reaches the surface nothing of the organ lies over it; the voxels that were
    partly organ are tinted as those beside a mask are.
    """
    mask = _box_of(lesion).within(around.region)
    beside = _dilated(mask) & around.organ & ~mask
    thin = beside & _dilated(~around.organ)
    if not thin.any():
        return around
    organ_, domain = around.organ & ~thin, around.domain & ~thin
    return replace(around, organ=organ_, domain=domain)


def _is_bone(name: str) -> bool:
    try:
        return structure(name).group == "bone"
    except UnknownNameError:
        return False  # a data set's own name


def _may_leave(facts: Organ) -> bool:
    return facts.family in ("hollow", "bone") or any(kind.exophytic for kind in facts.kinds)


def _same(lesion: Lesion) -> Repaint:
    def repaint(volume: Volume, around: Neighbourhood) -> Lesion | None:
        return paint_stage(
            volume, around, lesion.recipe, lesion.field, lesion.edge, _box_of(lesion)
        )

    return repaint


def _box_of(lesion: Lesion) -> StructureBox:
    return StructureBox(lesion.recipe.lesion, lesion.region, lesion.mask)


def _dilated(array: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """One step of dilation to the six neighbours."""
    grown = array.copy()
    for axis in range(3):
        ahead = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        behind = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        grown[ahead] |= array[behind]
        grown[behind] |= array[ahead]
    return grown


def cropped(volume: Volume, masks: Mapping[str, Mask]) -> dict[str, StructureBox]:
    """Masks cut to their boxes, the empty ones left out.

    Raises
    ------
    GeometryError
        If a mask lies on another grid.
    """
    boxes: dict[str, StructureBox] = {}
    for name, mask in masks.items():
        mask.require_grid(volume.grid)
        box = crop_mask(mask)
        if box is not None:
            boxes[name] = StructureBox(name, box.region, box.array)
    return boxes
