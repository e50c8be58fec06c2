"""Realism switched off, one feature at a time.

The generator has no public knob for most of these, and needs none: nobody wants them off but an
ablation. So the two steps of growing a lesion, drawing its recipe and painting it, are wrapped for
as long as an experiment runs, in this process alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from scalemai.errors import UnknownNameError
from scalemai.synthesis import synthesize
from scalemai.synthesis.drawing import draw
from scalemai.synthesis.growth.field import label
from scalemai.synthesis.painting import lesion
from scalemai.synthesis.recipe import Recipe

__all__ = ["FEATURES", "without"]


def _no_noise(recipe: Recipe) -> Recipe:
    # Additive change keeps the noise of the scan; replacement without a grain has none.
    return replace(recipe, blend="replace")


def _no_texture(recipe: Recipe) -> Recipe:
    return replace(recipe, texture_sd_hu=0.0)


def _no_interior(recipe: Recipe) -> Recipe:
    return replace(recipe, rim=None, necrosis=None, core=None, inclusions=())


def _no_shape(recipe: Recipe) -> Recipe:
    return replace(recipe, irregularity=0.0, axes=(1.0, 1.0, 1.0), spicules=0, spicule_length=0.0)


def _no_margin(recipe: Recipe) -> Recipe:
    return replace(recipe, margin_mm=0.0)


def _no_vessels(recipe: Recipe) -> Recipe:
    return replace(recipe, vessel_speed=1.0)  # a vessel is as good as parenchyma


_RECIPES: dict[str, Callable[[Recipe], Recipe]] = {
    "noise": _no_noise,
    "texture": _no_texture,
    "interior": _no_interior,
    "shape": _no_shape,
    "margin": _no_margin,
    "vessels": _no_vessels,
}

FEATURES: dict[str, str] = {
    "noise": "the scan's own noise inside the lesion",
    "texture": "texture",
    "interior": "capsule, rim, necrosis, core and calcification",
    "shape": "irregular, elongated shape (a ball instead)",
    "margin": "soft margin and partial volume",
    "vessels": "vessels that slow growth and shine through",
    "phase": "contrast of the scan's phase (that of the portal venous phase instead)",
}
"""What can be switched off here. Kinds are switched by the specs, mass effect by the config."""


@contextmanager
def without(features: Collection[str]) -> Iterator[None]:
    """Grow lesions without some features inside the block, in this process.

    Raises
    ------
    UnknownNameError
        If a feature is not one of :data:`FEATURES`.
    """
    for name in features:
        if name not in FEATURES:
            raise UnknownNameError("feature", name, FEATURES)
    changes: list[tuple[Any, str, Any]] = []
    chosen = [_RECIPES[name] for name in features if name in _RECIPES]
    if chosen:
        changes.append((synthesize, "draw_recipe", _plainer(chosen, grain="noise" not in features)))
    if "margin" in features:
        changes.append((lesion, "change_hu", _hard_edged))
    if "phase" in features:
        changes.append((draw, "phase_of", lambda *_: "portal_venous"))
    before = [(module, name, getattr(module, name)) for module, name, _ in changes]
    try:
        for module, name, value in changes:
            setattr(module, name, value)
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


_draw_recipe, _change_hu = synthesize.draw_recipe, lesion.change_hu


def _plainer(changes: Collection[Callable[[Recipe], Recipe]], *, grain: bool) -> Any:
    def drawn(*given: Any, **named: Any) -> Any:
        recipe, around = _draw_recipe(*given, **named)
        for change in changes:
            recipe = change(recipe)
        return recipe, around if grain else replace(around, grain=None)

    return drawn


def _hard_edged(field: Any, rendering: Any, recipe: Any, around: Any, *rest: Any) -> Any:
    """Every voxel is lesion or none of it."""
    mask = label(rendering, around)
    hard = replace(rendering, density=mask.astype(np.float32))
    return _change_hu(field, hard, recipe, around, *rest)
