"""The neighbourhood of a lesion as its organ's family sees it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scalemai.anatomy import Organ
from scalemai.synthesis.families.beyond import open_beyond
from scalemai.synthesis.families.grain import noise_around, noise_of
from scalemai.synthesis.families.wall import line_wall
from scalemai.synthesis.growth.field import search_radius_mm
from scalemai.synthesis.growth.neighbourhood import Limits, Neighbourhood, neighbourhood
from scalemai.synthesis.growth.tissue import Tissue
from scalemai.synthesis.recipe import Blend
from scalemai.volume import Volume

__all__ = ["blend_of", "is_absolute", "surroundings"]

_ANY = 1e6
_LUNG_VESSEL_HU = 150.0  # above the lung around it: a vessel of 2 mm at 1 mm spacing; author's
_CORTEX_HU = 180.0  # above the spongiosa around it; author's estimate, to be refined
_THROUGH, _FAR_MM = 0.35, 12.0  # of a lesion that breaks through a wall or a cortex; author's
_FAT = (-150.0, -20.0)
_SOFT = (-150.0, 150.0)


def is_absolute(facts: Organ) -> bool:
    """Whether lesions have an attenuation of their own, whatever the organ's is.

    So it is where the organ is not soft tissue: lung, bone, and a breast of fat.
    """
    return facts.family in ("lung", "bone") or _is_fatty(facts)


def blend_of(facts: Organ, form: str) -> Blend:
    """How lesions of a form meet the organ's own voxels."""
    if form in ("ground_glass", "part_solid", "blastic"):
        return "brighten"
    return "replace" if is_absolute(facts) or facts.family == "hollow" else "add"


def surroundings(
    volume: Volume,
    tissue: Tissue,
    facts: Organ,
    centre_mm: tuple[float, float, float],
    diameter_mm: float,
    *,
    outside: bool,
    noise_seed: int,
) -> Neighbourhood:
    """Cut out what a lesion will see, and say where it may grow.

    Parameters
    ----------
    volume, tissue, facts
        The CT, the organ in it, what is known of the organ.
    centre_mm, diameter_mm
        Seed in RAS+ mm, and the lesion's diameter in mm.
    outside
        Whether it may leave the organ.
    noise_seed
        Seed of the noise that goes where another tissue gives way.

    Raises
    ------
    PlacementError
        If the seed is not in reach of the organ.
    """
    around = neighbourhood(volume, tissue, centre_mm, search_radius_mm(diameter_mm))
    replaces = outside or is_absolute(facts) or facts.family == "hollow"
    if not replaces:
        return around
    noise = noise_around(volume, centre_mm)
    if facts.family == "hollow" and facts.wall_mm is not None:
        around = line_wall(around, facts, noise.sd_hu)
    elif facts.family == "lung":
        around = replace(around, limits=Limits(_LUNG_VESSEL_HU, _ANY, -_ANY))
    elif facts.family == "bone":
        around = replace(around, limits=Limits(_CORTEX_HU, _ANY, -_ANY))
    elif _is_fatty(facts):
        around = replace(around, limits=Limits(_ANY, _ANY, around.limits.gas_hu))
    if is_absolute(facts):
        # Noise is measured in soft tissue: what stands for it inside the organ is its structure.
        around = replace(around, parenchyma=replace(around.parenchyma, noise_hu=noise.sd_hu))
    if outside:
        range_hu = _SOFT if facts.family == "bone" else _FAT
        reach = diameter_mm if facts.family == "solid" else min(_THROUGH * diameter_mm, _FAR_MM)
        around = open_beyond(around, *range_hu, reach)
    rng = np.random.Generator(np.random.Philox(noise_seed + 2))
    return replace(around, grain=noise_of(noise, around.grid.shape, rng))


def _is_fatty(facts: Organ) -> bool:
    return facts.family == "solid" and facts.parenchyma_hu["non_contrast"].mean_hu < 0.0
