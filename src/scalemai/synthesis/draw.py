"""From what is wanted to what is painted: draw a recipe for one lesion in one patient."""

from __future__ import annotations

import numpy as np

from scalemai.anatomy import LesionKind, Organ, organ
from scalemai.errors import PlacementError
from scalemai.synthesis.contrast import draw_contrast_hu, require_possible_hu
from scalemai.synthesis.field import search_radius_mm
from scalemai.synthesis.neighbourhood import Neighbourhood, neighbourhood
from scalemai.synthesis.recipe import Necrosis, Recipe
from scalemai.synthesis.site import choose_site, parts_of_pancreas
from scalemai.synthesis.spec import LesionSpec, random_stream
from scalemai.synthesis.tissue import StructureBox, Tissue
from scalemai.volume import Volume

__all__ = ["draw_recipe"]

_SLOW_VESSEL = 0.12  # author's choice: a vessel is wrapped long before it is invaded
_LARGEST_SHARE_OF_SPAN = 0.95
_LARGEST_TEXTURE = 0.25  # of the contrast: more would hide parts of the lesion
_SPEED_SPREAD = 0.6  # standard deviation of log speed of the most irregular lesion


def draw_recipe(
    spec: LesionSpec,
    volume: Volume,
    tissue: Tissue,
    *,
    case_id: str,
    number: int,
    seed: int,
    attempt: int = 0,
    site: StructureBox | None = None,
) -> tuple[Recipe, Neighbourhood]:
    """Draw what a spec leaves open: place, form and look of one lesion.

    Each decision has its own random stream, so that another size or another attempt at a place
    does not change the form.

    Parameters
    ----------
    spec
        What is wanted.
    volume, tissue
        The CT and the organ.
    case_id, number, seed
        Keys of the random streams.
    attempt
        0 for the first place that is tried, then 1, 2, ...
    site
        Mask of the spec's site, if the case has one.

    Returns
    -------
    tuple
        The recipe, and the neighbourhood that it was drawn for.

    Raises
    ------
    PlacementError
        If the organ is too small for the size asked for, or no place is free.
    ConfigError
        If a contrast was asked for that no lesion has.
    """
    facts = organ(spec.organ)
    shape = random_stream(seed, case_id, number, "shape")
    kind = _draw_kind(facts, spec, random_stream(seed, case_id, number, "kind"))
    diameter = _draw_diameter(spec, tissue, random_stream(seed, case_id, number, "size"))
    if spec.at_mm is not None:
        centre = _checked_place(spec.at_mm, tissue)
    else:
        place = random_stream(seed, case_id, number, f"place {attempt}")
        part = None
        if site is not None:
            part = tissue.paste(site)
        elif spec.site is not None and facts.name == "pancreas":
            part = parts_of_pancreas(tissue)[spec.site]
        centre = choose_site(volume, tissue, diameter, place, part)
    rotation = shape.standard_normal(4)
    rotation /= np.linalg.norm(rotation)
    longest = shape.uniform(kind.elongation.low, kind.elongation.high)
    axes = np.array([longest, shape.uniform(1.0, longest), 1.0])
    axes /= np.prod(axes) ** (1 / 3)
    irregularity = _SPEED_SPREAD * shape.uniform(kind.irregularity.low, kind.irregularity.high)
    wavelength = shape.uniform(0.3, 0.5)
    noise_seed = int(shape.integers(2**63))
    look = random_stream(seed, case_id, number, "look")
    margin = look.uniform(kind.margin_width_mm.low, kind.margin_width_mm.high)
    z = float(look.standard_normal())
    necrosis = None if spec.uniform else _draw_necrosis(kind, diameter, look)
    around = neighbourhood(volume, tissue, centre, search_radius_mm(diameter))
    stated = volume.metadata.get("phase")
    phase = None if stated is None else str(stated)
    if spec.contrast_hu is None:
        contrast = draw_contrast_hu(facts, kind, around.parenchyma, phase, diameter, z)
    else:
        contrast = require_possible_hu(spec.contrast_hu, around.parenchyma.mean_hu)
    recipe = Recipe(
        number=number,
        organ=facts.name,
        structure=tissue.structure,
        lesion=facts.lesion,
        kind=kind.name,
        diameter_mm=diameter,
        centre_mm=centre,
        rotation=(float(rotation[0]), float(rotation[1]), float(rotation[2]), float(rotation[3])),
        axes=(float(axes[0]), float(axes[1]), float(axes[2])),
        irregularity=irregularity,
        wavelength=wavelength,
        vessel_speed=1.0 if kind.cystic else _SLOW_VESSEL,
        noise_seed=noise_seed,
        contrast_hu=float(contrast),
        margin_mm=min(margin, 0.3 * diameter),
        texture_sd_hu=0.0
        if spec.uniform
        else min(kind.texture.sd_hu, _LARGEST_TEXTURE * abs(contrast)),
        texture_scale_mm=kind.texture.scale_mm,
        necrosis=necrosis,
    )
    return recipe, around


def _draw_kind(facts: Organ, spec: LesionSpec, rng: np.random.Generator) -> LesionKind:
    if spec.kind is not None:
        return facts.kind(spec.kind)
    weights = np.array([kind.weight for kind in facts.kinds])
    return facts.kinds[int(rng.choice(len(weights), p=weights / weights.sum()))]


def _draw_diameter(spec: LesionSpec, tissue: Tissue, rng: np.random.Generator) -> float:
    low, high = spec.diameter_mm
    span = _LARGEST_SHARE_OF_SPAN * tissue.widest_mm
    if low > span:
        raise PlacementError(
            f"the {tissue.structure} is at most {span:.0f} mm wide, too small for a lesion of "
            f"{low:g} mm",
            fix="ask for a smaller --diameter, or check that the mask is complete",
        )
    return float(rng.uniform(low, min(high, span)))


def _checked_place(at_mm: tuple[float, float, float], tissue: Tissue) -> tuple[float, float, float]:
    if not tissue.holds(at_mm):
        where = ", ".join(f"{x:g}" for x in at_mm)
        fix = "give RAS+ mm inside the organ"
        raise PlacementError(f"({where}) mm lies outside the {tissue.structure}", fix=fix)
    return at_mm


def _draw_necrosis(kind: LesionKind, diameter: float, rng: np.random.Generator) -> Necrosis | None:
    happens, rim, core = rng.random(), rng.uniform(0.3, 0.6), rng.standard_normal()
    facts = kind.necrosis
    if facts is None or diameter < facts.min_diameter_mm or happens >= facts.probability:
        return None
    spread = facts.hu.sd_hu * float(np.clip(core, -1.5, 1.5))
    return Necrosis(rim_share=rim, core_hu=max(facts.hu.mean_hu + spread, 0.0))
