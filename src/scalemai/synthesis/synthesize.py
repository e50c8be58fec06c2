"""The main job in memory: a CT and its masks in, the same CT with lesions and labels out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.anatomy import Organ, organ
from scalemai.errors import CaseError, MissingStructureError, PlacementError
from scalemai.geometry import Region
from scalemai.synthesis.automaton import BARRIER_STOP
from scalemai.synthesis.draw import draw_recipe
from scalemai.synthesis.lesion import Lesion, paint_lesion, size_tolerance_mm
from scalemai.synthesis.spec import LesionSpec, Recipe, random_stream
from scalemai.synthesis.tissue import Tissue, prepare_tissue
from scalemai.volume import Mask, Volume

__all__ = ["Synthesis", "Tissues", "paint_recipes", "synthesize_volume"]

_PLACES = 4  # tried for one lesion before the roomiest is kept
_GAP_VOXELS = 2


@dataclass(frozen=True)
class Synthesis:
    """A CT with lesions.

    Parameters
    ----------
    volume
        The CT with the lesions painted in; other voxels are those of the host, bit for bit.
    labels
        uint8 array (i, j, k) on the volume's grid: 0, or the number of the lesion.
    lesions
        The lesions in order of their numbers.
    """

    volume: Volume
    labels: NDArray[np.uint8]
    lesions: tuple[Lesion, ...]

    def mask(self, lesion: str) -> Mask:
        """Union of the lesions of one mask name, for example ``"liver_lesion"``."""
        numbers = [one.recipe.number for one in self.lesions if one.recipe.lesion == lesion]
        return Mask(np.isin(self.labels, numbers), self.volume.grid, lesion)


class Tissues:
    """The organs of one case, each cropped on first use.

    Parameters
    ----------
    masks
        Masks by canonical name: organs, their sites, vessels, and lesions that are already there.
    """

    def __init__(self, masks: Mapping[str, Mask]) -> None:
        self._masks = masks
        self._tissues: dict[str, Tissue] = {}
        self._occupied: list[tuple[NDArray[np.bool_], Region]] = []

    def structures_of(self, facts: Organ) -> tuple[str, ...]:
        """The masks at hand that make up an organ: its own, or those of its sides."""
        if facts.name in self._masks:
            return (facts.name,)
        return tuple(name for name in facts.structures if name in self._masks)

    def tissue(self, facts: Organ, structure: str) -> Tissue:
        """The box of one structure, with vessels and existing lesions as barriers."""
        if structure not in self._tissues:
            existing = [m for name, m in self._masks.items() if name.endswith("_lesion")]
            vessels = [self._masks[name] for name in facts.vessels if name in self._masks]
            mask = self._masks[structure]
            tissue = prepare_tissue(structure, mask, vessels, existing)
            for grown, box in self._occupied:
                tissue.block(grown, BARRIER_STOP, box)
            self._tissues[structure] = tissue
        return self._tissues[structure]

    def site_mask(self, facts: Organ, site: str | None) -> Mask | None:
        """The mask of a named site, if the case has one."""
        return None if site is None else self._masks.get(facts.sites[site])

    def occupy(self, lesion: Lesion) -> None:
        """Keep later lesions off a painted one, its border, and two voxels round that."""
        low, high = zip(
            *((max(s.start - _GAP_VOXELS, 0), s.stop) for s in lesion.region), strict=True
        )
        box = (
            slice(low[0], high[0] + _GAP_VOXELS),
            slice(low[1], high[1] + _GAP_VOXELS),
            slice(low[2], high[2] + _GAP_VOXELS),
        )
        before = [s.start - b.start for s, b in zip(lesion.region, box, strict=True)]
        padded = np.pad(lesion.edited, [(n, _GAP_VOXELS) for n in before])
        grown = ndimage.binary_dilation(padded, iterations=_GAP_VOXELS)
        self._occupied.append((grown, box))
        for tissue in self._tissues.values():
            tissue.block(grown, BARRIER_STOP, box)


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
    MissingStructureError
        If an organ asked for has no mask.
    PlacementError
        If an organ has no room for its lesion.
    """
    tissues = Tissues(masks)
    painted = _Canvas(volume)
    for number, spec in enumerate(specs, start=1):
        facts = organ(spec.organ)
        structure = _choose_structure(tissues, facts, spec, case_id, number, seed)
        tissue = tissues.tissue(facts, structure)
        site = tissues.site_mask(facts, spec.site)
        best: Lesion | None = None
        for attempt in range(1 if spec.at_mm is not None else _PLACES):
            recipe = draw_recipe(
                spec,
                volume,
                tissue,
                case_id=case_id,
                number=number,
                seed=seed,
                attempt=attempt,
                site_mask=site,
            )
            lesion = paint_lesion(volume, tissue, recipe)
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
        painted.add(best)
        tissues.occupy(best)
    return painted.result()


def paint_recipes(
    volume: Volume, masks: Mapping[str, Mask], recipes: Sequence[Recipe], *, case_id: str
) -> Synthesis:
    """Paint recorded recipes into their host again: the same voxels as when they were drawn.

    Parameters
    ----------
    volume, masks
        The host, as for :func:`synthesize_volume`.
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
    tissues = Tissues(masks)
    painted = _Canvas(volume)
    for recipe in recipes:
        facts = organ(recipe.organ)
        if recipe.structure not in masks:
            fix = "give the masks that the host had"
            raise MissingStructureError(f"no mask of {recipe.structure}", where=case_id, fix=fix)
        # Tissues are made in the order of the recipes, as when they were drawn.
        lesion = paint_lesion(volume, tissues.tissue(facts, recipe.structure), recipe)
        if lesion is None:
            fix = "give the CT and masks that the sidecar names"
            raise PlacementError(f"lesion {recipe.number} has no room", where=case_id, fix=fix)
        painted.add(lesion)
        tissues.occupy(lesion)
    return painted.result()


class _Canvas:
    """The volume that is being painted: copied once, when the first lesion comes."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._stored = volume.stored.copy(order="K")
        self._labels = np.zeros(volume.grid.shape, np.uint8, order="F")
        self._lesions: list[Lesion] = []

    def add(self, lesion: Lesion) -> None:
        if lesion.recipe.number > 255:
            raise CaseError("more than 255 lesions in one case", fix="ask for fewer")
        # Boxes may overlap where lesions do not; only what this one changed is written.
        self._stored[lesion.region][lesion.edited] = lesion.stored[lesion.edited]
        self._labels[lesion.region][lesion.mask] = lesion.recipe.number
        self._lesions.append(lesion)

    def result(self) -> Synthesis:
        return Synthesis(self._volume.with_stored(self._stored), self._labels, tuple(self._lesions))


def _miss(lesion: Lesion) -> float:
    return abs(lesion.measures.longest_axial_diameter_mm - lesion.recipe.diameter_mm)


def _choose_structure(
    tissues: Tissues, facts: Organ, spec: LesionSpec, case_id: str, number: int, seed: int
) -> str:
    """The mask that a lesion grows in: the site's side, that of a given point, or one drawn."""
    names = tissues.structures_of(facts)
    if not names:
        raise MissingStructureError(
            f"has no mask of the {facts.name}",
            where=case_id,
            fix=f"give {' or '.join(dict.fromkeys((facts.name, *facts.structures)))}",
        )
    if spec.site is not None and facts.sites[spec.site] in names:
        return facts.sites[spec.site]
    if len(names) == 1:
        return names[0]
    if spec.at_mm is not None:
        for name in names:
            box = tissues.tissue(facts, name)
            index = np.rint(box.grid.to_voxel(spec.at_mm)).astype(int)
            if (index >= 0).all() and (index < box.grid.shape).all() and box.organ[tuple(index)]:
                return name
        return names[0]
    volumes = np.array([np.count_nonzero(tissues.tissue(facts, n).organ) for n in names], float)
    rng = random_stream(seed, case_id, number, "side")
    return names[int(rng.choice(len(names), p=volumes / volumes.sum()))]
