"""Draw how a lesion looks in this patient and phase: contrast, texture, rim, necrosis, calcium."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalemai.anatomy import Form, LesionKind, Organ, Phase
from scalemai.synthesis.drawing.contrast import draw_contrast_hu, require_possible_hu
from scalemai.synthesis.families import is_absolute
from scalemai.synthesis.growth.neighbourhood import Parenchyma
from scalemai.synthesis.recipe import Core, Inclusion, Necrosis, Pattern, Rim
from scalemai.synthesis.spec import LesionSpec

__all__ = ["Look", "draw_border", "draw_look"]

_LARGEST_TEXTURE = 0.25  # of the contrast: more would hide parts of the lesion
_MARGIN_SHARE = 0.3  # of the diameter: a wider border would leave no middle
_FAINT_HU = 6.0  # contrast of a lesion that is called isoattenuating; author's choice
_NECROSIS_IF_ASKED = (0.35, 25.0)  # share of the growth time, HU; author's choice
_RIM_IF_ASKED = ((1.0, 3.0), 25.0)  # width in mm, HU above the lesion; author's choice
_CALCIUM_IF_ASKED: tuple[Pattern, tuple[float, float], float] = (
    "scattered",
    (0.03, 0.12),
    300.0,
)  # author's choice
_CALCIUM_SCALE_MM = 1.5
_PATCH_SCALE_MM = 4.0

# Width of the border in mm and the least irregularity that a word asks for, where the kind's own
# border is another; author's choice.
_BORDERS = {
    "well-defined": ((0.3, 1.2), 0.0, 0.15),
    "ill-defined": ((2.5, 6.0), 0.1, 0.6),
    "lobulated": ((0.3, 1.5), 0.3, 0.6),
    "spiculated": ((0.5, 2.0), 0.05, 0.25),
}


@dataclass(frozen=True)
class Look:
    """Attenuation and materials, as in the recipe."""

    contrast_hu: float
    texture_sd_hu: float
    necrosis: Necrosis | None = None
    rim: Rim | None = None
    core: Core | None = None
    inclusions: tuple[Inclusion, ...] = ()


def draw_border(
    spec: LesionSpec,
    kind: LesionKind,
    diameter_mm: float,
    irregularity: float,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Draw the width of the border in mm, and adjust the irregularity to the word asked for."""
    low, high = kind.margin_width_mm.low, kind.margin_width_mm.high
    if spec.margin is not None and spec.margin != kind.margin:
        (low, high), smoothest, roughest = _BORDERS[spec.margin]
        irregularity = float(np.clip(irregularity, smoothest, roughest))
    return float(min(rng.uniform(low, high), _MARGIN_SHARE * diameter_mm)), irregularity


def draw_look(
    spec: LesionSpec,
    facts: Organ,
    kind: LesionKind,
    form: Form,
    around: Parenchyma,
    phase: Phase,
    diameter_mm: float,
    rng: np.random.Generator,
) -> Look:
    """Draw attenuation and materials of one lesion."""
    z = float(rng.standard_normal())
    necrosis = _draw_necrosis(spec, kind, diameter_mm, rng)
    rim_draws, calcium_draws, core_draw = rng.random(2), rng.random(3), float(rng.random())
    own = kind.hu[phase] if kind.cystic or is_absolute(facts) else None
    # In bone of both kinds the lytic part is the ground, the blastic one its patches.
    if form.hu is not None and form.name != "mixed":
        own = form.hu
    contrast = draw_contrast_hu(facts, kind, around, phase, diameter_mm, z, own=own)
    contrast = _as_asked(spec, contrast)
    if spec.contrast_hu is not None:
        contrast = require_possible_hu(spec.contrast_hu, around.mean_hu)
    core = None
    if form.core_share is not None:
        inner = kind.hu[phase].mean_hu + 0.5 * kind.hu[phase].sd_hu * z - around.mean_hu
        low, high = form.core_share.low, form.core_share.high
        core = Core(share=low + core_draw * (high - low), contrast_hu=float(inner))
    if spec.uniform:
        return Look(float(contrast), 0.0, core=core)
    inclusions = _draw_calcium(spec, kind, calcium_draws)
    if form.name == "mixed" and form.hu is not None:
        patches = Inclusion(
            pattern="patchy", share=0.5, hu=form.hu.mean_hu, scale_mm=_PATCH_SCALE_MM
        )
        inclusions = (patches, *inclusions)
    return Look(
        contrast_hu=float(contrast),
        texture_sd_hu=min(kind.texture.sd_hu, _LARGEST_TEXTURE * abs(contrast)),
        necrosis=necrosis,
        rim=_draw_rim(spec, kind, phase, contrast, rim_draws),
        core=core,
        inclusions=inclusions,
    )


def _as_asked(spec: LesionSpec, contrast: float) -> float:
    """The contrast with the sign that was asked for."""
    if spec.contrast == "iso":
        return float(np.clip(contrast, -_FAINT_HU, _FAINT_HU))
    if spec.contrast is not None:
        return abs(contrast) if spec.contrast == "hyper" else -abs(contrast)
    return contrast


def _draw_necrosis(
    spec: LesionSpec, kind: LesionKind, diameter_mm: float, rng: np.random.Generator
) -> Necrosis | None:
    happens, rim, core = rng.random(), rng.uniform(0.3, 0.6), rng.standard_normal()
    facts = kind.necrosis
    if spec.uniform or spec.necrosis is False:
        return None
    if facts is None:
        share, hu = _NECROSIS_IF_ASKED
        return Necrosis(rim_share=share, core_hu=hu) if spec.necrosis else None
    rare = diameter_mm < facts.min_diameter_mm or happens >= facts.probability
    if rare and not spec.necrosis:
        return None
    spread = facts.hu.sd_hu * float(np.clip(core, -1.5, 1.5))
    return Necrosis(rim_share=float(rim), core_hu=max(facts.hu.mean_hu + spread, 0.0))


def _draw_rim(
    spec: LesionSpec,
    kind: LesionKind,
    phase: Phase,
    contrast: float,
    draws: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> Rim | None:
    facts = kind.rim
    if spec.rim is False or (facts is None and not spec.rim):
        return None
    if facts is None:
        (low, high), above = _RIM_IF_ASKED
    elif spec.rim or draws[0] < facts.probability:
        low, high = facts.width_mm.low, facts.width_mm.high
        above = facts.hu[phase].mean_hu - kind.hu[phase].mean_hu
    else:
        return None
    width = low + float(draws[1]) * (high - low)
    return Rim(width_mm=width, contrast_hu=contrast + above)


def _draw_calcium(
    spec: LesionSpec, kind: LesionKind, draws: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> tuple[Inclusion, ...]:
    facts = kind.calcification
    if spec.calcification is False or (facts is None and not spec.calcification):
        return ()
    if facts is None:
        pattern, (low, high), hu = _CALCIUM_IF_ASKED
        spread = 0.0
    elif spec.calcification or draws[0] < facts.probability:
        pattern, low, high = facts.pattern, facts.share.low, facts.share.high
        hu, spread = facts.hu.mean_hu, facts.hu.sd_hu
    else:
        return ()
    share = low + float(draws[1]) * (high - low)
    dense = hu + spread * (2.0 * float(draws[2]) - 1.0)
    return (Inclusion(pattern=pattern, share=share, hu=dense, scale_mm=_CALCIUM_SCALE_MM),)
