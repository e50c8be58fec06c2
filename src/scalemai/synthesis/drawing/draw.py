"""From what is wanted to what is painted: draw a recipe for one lesion in one patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scalemai.anatomy import Form, LesionKind, Organ, organ
from scalemai.errors import PlacementError
from scalemai.synthesis.drawing.contrast import phase_of
from scalemai.synthesis.drawing.look import draw_border, draw_look
from scalemai.synthesis.drawing.obstruction import draw_obstructed
from scalemai.synthesis.drawing.shape import Growth, draw_growth, draw_shape
from scalemai.synthesis.drawing.site import choose_site, parts_of_pancreas
from scalemai.synthesis.families import blend_of, surroundings
from scalemai.synthesis.families.wall import choose_wall_site
from scalemai.synthesis.growth.neighbourhood import Neighbourhood
from scalemai.synthesis.growth.tissue import StructureBox, Tissue
from scalemai.synthesis.recipe import Recipe
from scalemai.synthesis.spec import LesionSpec, random_stream
from scalemai.volume import Volume

__all__ = ["draw_recipe"]

_LARGEST_SHARE_OF_SPAN = 0.95
_AT_PLEURA = 0.3  # of lung nodules: share that touches the pleura; author's choice


@dataclass(frozen=True)
class _Chosen:
    """What a spec left open, drawn before the place."""

    facts: Organ
    kind: LesionKind
    form: Form
    diameter_mm: float
    growth: Growth
    at_surface: bool


def draw_recipe(
    spec: LesionSpec,
    volume: Volume,
    tissue: Tissue,
    *,
    case_id: str,
    number: int,
    seed: int,
    attempt: int = 0,
    sites: Mapping[str, StructureBox] | None = None,
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
    sites
        Masks of the organ's sites, by site, as far as the case has them.

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
    chosen = _choose(spec, volume, tissue, case_id, number, seed)
    facts, kind, form, diameter = chosen.facts, chosen.kind, chosen.form, chosen.diameter_mm
    sites = sites or {}
    if spec.at_mm is not None:
        centre = _checked_place(spec.at_mm, tissue)
    else:
        place = random_stream(seed, case_id, number, f"place {attempt}")
        centre = _draw_place(spec, chosen, volume, tissue, place, sites)
    shape = random_stream(seed, case_id, number, "shape")
    drawn = draw_shape(spec, facts, kind, form, tissue, centre, diameter, shape)
    around = surroundings(
        volume,
        tissue,
        facts,
        centre,
        diameter,
        outside=chosen.growth.outside_speed > 0.0,
        noise_seed=drawn.noise_seed,
    )
    stated = volume.metadata.get("phase")
    phase = phase_of(facts, around.parenchyma.mean_hu, None if stated is None else str(stated))
    look = random_stream(seed, case_id, number, "look")
    margin, irregularity = draw_border(spec, kind, diameter, drawn.irregularity, look)
    seen = draw_look(spec, facts, kind, form, around.parenchyma, phase, diameter, look)
    recipe = Recipe(
        number=number,
        organ=facts.name,
        structure=tissue.structure,
        lesion=facts.lesion,
        kind=kind.name,
        form=form.name,
        diameter_mm=diameter,
        centre_mm=centre,
        rotation=drawn.rotation,
        axes=drawn.axes,
        irregularity=irregularity,
        wavelength=drawn.wavelength,
        cells=spec.cells,
        spicules=drawn.spicules,
        spicule_length=drawn.spicule_length,
        vessel_speed=chosen.growth.vessel_speed,
        outside_speed=chosen.growth.outside_speed,
        lumen_speed=chosen.growth.lumen_speed,
        displaced=chosen.growth.displaced,
        noise_seed=drawn.noise_seed,
        blend=blend_of(facts, form.name),
        contrast_hu=seen.contrast_hu,
        margin_mm=margin,
        texture_sd_hu=seen.texture_sd_hu,
        texture_scale_mm=kind.texture.scale_mm,
        necrosis=seen.necrosis,
        rim=seen.rim,
        core=seen.core,
        inclusions=seen.inclusions,
        narrowing=chosen.growth.narrowing,
    )
    effects = random_stream(seed, case_id, number, "effects")
    obstructed = draw_obstructed(spec, kind, recipe, tissue, sites, effects)
    return replace(recipe, obstructed=obstructed), around


def _choose(
    spec: LesionSpec, volume: Volume, tissue: Tissue, case_id: str, number: int, seed: int
) -> _Chosen:
    facts = organ(spec.organ)
    rng = random_stream(seed, case_id, number, "kind")
    kinds = spec.possible_kinds
    weights = np.array([kind.weight for kind in kinds])
    kind = kinds[0]
    if len(kinds) > 1:
        kind = kinds[int(rng.choice(len(weights), p=weights / weights.sum()))]
    forms = [form for form in kind.forms if spec.form in (None, form.name)]
    shares = np.array([form.weight for form in forms])
    form = forms[0]
    if len(forms) > 1:
        form = forms[int(rng.choice(len(shares), p=shares / shares.sum()))]
    diameter = _draw_diameter(spec, tissue, random_stream(seed, case_id, number, "size"))
    growth = draw_growth(
        spec, facts, kind, form, diameter, random_stream(seed, case_id, number, "growth")
    )
    pleural = random_stream(seed, case_id, number, "pleura").random() < _AT_PLEURA
    at_surface = (facts.family == "lung" and pleural) or (
        facts.family == "solid" and growth.outside_speed > 0.0
    )
    return _Chosen(facts, kind, form, diameter, growth, at_surface)


def _draw_place(
    spec: LesionSpec,
    chosen: _Chosen,
    volume: Volume,
    tissue: Tissue,
    rng: np.random.Generator,
    sites: Mapping[str, StructureBox],
) -> tuple[float, float, float]:
    part: NDArray[np.bool_] | None = None
    if spec.site is not None and spec.site in sites:
        part = tissue.paste(sites[spec.site])
    elif spec.site is not None and chosen.facts.name == "pancreas":
        part = parts_of_pancreas(tissue)[spec.site]
    if chosen.facts.family == "hollow":
        return choose_wall_site(
            volume, tissue, chosen.facts, chosen.diameter_mm, chosen.form.name, rng, part
        )
    return choose_site(volume, tissue, chosen.diameter_mm, rng, part, at_surface=chosen.at_surface)


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
