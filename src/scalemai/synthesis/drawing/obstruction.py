"""Whether a lesion closes a duct: where it lies, how large it is, and what was asked."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalemai.anatomy import LesionKind
from scalemai.synthesis.drawing.site import parts_of_pancreas
from scalemai.synthesis.growth.tissue import StructureBox, Tissue
from scalemai.synthesis.recipe import Obstructed, Recipe
from scalemai.synthesis.spec import LesionSpec

__all__ = ["draw_obstructed"]

_LEAST_ATROPHY_IF_ASKED = 0.2


def draw_obstructed(
    spec: LesionSpec,
    kind: LesionKind,
    recipe: Recipe,
    tissue: Tissue,
    sites: Mapping[str, StructureBox],
    rng: np.random.Generator,
) -> tuple[Obstructed, ...]:
    """Draw which ducts a lesion closes, their calibre upstream, and how far the gland shrinks.

    The kind's first duct is closed wherever the lesion lies, if that was asked for; else, and for
    others, the facts say at which sites.
    """
    found: list[Obstructed] = []
    for facts in kind.obstructs:
        happens, wide, thin = rng.random(3)
        if spec.duct is False:
            continue
        small = recipe.diameter_mm < facts.from_diameter_mm
        if not spec.duct and (small or happens >= facts.probability):
            continue
        at_will = spec.duct and facts is kind.obstructs[0]
        if not at_will and facts.sites and _site_of(recipe, tissue, sites) not in facts.sites:
            continue
        low, high = facts.atrophy.low, facts.atrophy.high
        atrophy = low + thin * (high - low)
        if spec.atrophy is False:
            atrophy = 0.0
        elif spec.atrophy and high > 0.0:
            atrophy = max(atrophy, min(_LEAST_ATROPHY_IF_ASKED, high))
        calibre = facts.calibre_mm.low + wide * (facts.calibre_mm.high - facts.calibre_mm.low)
        found.append(
            Obstructed(structure=facts.structure, calibre_mm=float(calibre), atrophy=float(atrophy))
        )
    return tuple(found)


def _site_of(recipe: Recipe, tissue: Tissue, sites: Mapping[str, StructureBox]) -> str | None:
    """The site that a lesion's seed lies in: by the masks of sites, else by the gland's form."""
    at = tuple(np.rint(tissue.grid.to_voxel(recipe.centre_mm)).astype(int))
    for name, box in sites.items():
        if tissue.paste(box)[at]:
            return name
    if recipe.organ == "pancreas" and not sites:
        for name, part in parts_of_pancreas(tissue).items():
            if part[at]:
                return name
    return None
