"""Everything that was drawn for one lesion: plain data, from which it is painted again."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from scalemai.errors import ConfigError
from scalemai.synthesis.spec import LARGEST_DIAMETER_MM, USUAL_CELLS

__all__ = [
    "Blend",
    "Core",
    "Inclusion",
    "Necrosis",
    "Obstructed",
    "Pattern",
    "Recipe",
    "Rim",
]

T = TypeVar("T")

Blend = Literal["add", "replace", "brighten"]
"""How a lesion meets what is there: it shifts parenchyma and keeps its noise; it takes the place
of tissue of another kind; or it only brightens, so that vessels and cortex shine through."""

Pattern = Literal["central", "rim", "scattered", "patchy"]

# What a recipe that was drawn can hold, with room to spare: outside of it the file is garbled.
_LIMITS: Mapping[str, tuple[float, float]] = {
    "number": (1, 255),
    "parent": (0, 255),
    "diameter_mm": (1, LARGEST_DIAMETER_MM),
    "centre_mm": (-1e5, 1e5),
    "rotation": (-1, 1),
    "axes": (0.05, 20),
    "irregularity": (0, 3),
    "wavelength": (0.01, 10),
    "cells": (12, 48),
    "spicules": (0, 40),
    "spicule_length": (0, 3),
    "vessel_speed": (0, 2),
    "outside_speed": (0, 2),
    "lumen_speed": (0, 2),
    "displaced": (0, 1),
    "noise_seed": (0, 2**63),
    "contrast_hu": (-5e3, 5e3),
    "margin_mm": (0, LARGEST_DIAMETER_MM),
    "texture_sd_hu": (0, 5e3),
    "texture_scale_mm": (0.1, 1e3),
    "rim_share": (0.01, 1),
    "core_hu": (-5e3, 5e3),
    "width_mm": (0, LARGEST_DIAMETER_MM),
    "share": (0, 1),
    "hu": (-5e3, 5e3),
    "scale_mm": (0.1, 1e3),
    "calibre_mm": (0.1, 100),
    "atrophy": (0, 1),
    "narrowing": (0, 1),
}
_LENGTHS = {"centre_mm": 3, "rotation": 4, "axes": 3}


@dataclass(frozen=True, kw_only=True)
class Necrosis:
    """A dead core: share of the growth time that its rim is younger than, and HU of the core."""

    rim_share: float
    core_hu: float


@dataclass(frozen=True, kw_only=True)
class Rim:
    """An enhancing rim or capsule: its width in mm, and HU minus those of the parenchyma."""

    width_mm: float
    contrast_hu: float


@dataclass(frozen=True, kw_only=True)
class Core:
    """A denser middle (part-solid nodule): share of the growth time, HU minus parenchyma."""

    share: float
    contrast_hu: float


@dataclass(frozen=True, kw_only=True)
class Inclusion:
    """Another material inside: calcification, or dense and lytic patches of bone.

    Parameters
    ----------
    pattern
        Where it lies: ``"central"``, ``"rim"``, ``"scattered"`` grains, ``"patchy"`` fields.
    share
        Of the lesion's volume.
    hu
        Its attenuation.
    scale_mm
        Size of grains and patches.
    """

    pattern: Pattern
    share: float
    hu: float
    scale_mm: float


@dataclass(frozen=True, kw_only=True)
class Obstructed:
    """A duct that the lesion closes: structure, calibre in mm upstream, share of gland lost."""

    structure: str
    calibre_mm: float
    atrophy: float


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that was drawn for one lesion: painting it again gives the same voxels.

    Parameters
    ----------
    number
        Number of the lesion in its case, from 1; its value in the instance label map.
    parent
        Number of the lesion that this one is a satellite of; 0 if of none.
    organ, structure, lesion, kind, form
        Organ, the structure (mask) that it grows in, the name of its mask, lesion kind, and the
        form that the organ's family offers.
    diameter_mm
        Longest axial diameter that growth stops at.
    centre_mm
        RAS+ mm of the seed.
    rotation
        Unit quaternion (w, x, y, z) of the lesion's own axes.
    axes
        Relative semi-axes, product 1.
    irregularity, wavelength
        Standard deviation of log growth speed; its wavelength as a share of the diameter.
    cells
        Cells of the growth lattice per diameter.
    spicules, spicule_length
        Number of spicules, and their length as a share of the radius.
    vessel_speed, outside_speed, lumen_speed
        Speed of the front relative to the organ: in vessels, ducts and cortex; in the fat or soft
        tissue beyond the organ (0: it never leaves); in fluid inside a hollow organ.
    displaced
        Share of the volume that pushed tissue aside instead of replacing it.
    noise_seed
        Seed of the noise behind shape and texture.
    blend
        How the lesion meets what is there.
    contrast_hu
        Mean HU of the viable lesion minus the parenchyma around it.
    margin_mm
        Width over which density rises from none to full at the border.
    texture_sd_hu, texture_scale_mm
        Variation inside the lesion.
    necrosis, rim, core
        Dead core, enhancing rim, denser middle; or None.
    inclusions
        Calcification and patches.
    obstructed
        Ducts that it closes.
    narrowing
        Share of their diameter that encased vessels lose at most.
    """

    number: int
    parent: int = 0
    organ: str
    structure: str
    lesion: str
    kind: str
    form: str = "nodular"
    diameter_mm: float
    centre_mm: tuple[float, float, float]
    rotation: tuple[float, float, float, float]
    axes: tuple[float, float, float]
    irregularity: float
    wavelength: float
    cells: int = USUAL_CELLS
    spicules: int = 0
    spicule_length: float = 0.0
    vessel_speed: float
    outside_speed: float = 0.0
    lumen_speed: float = 0.0
    displaced: float = 0.0
    noise_seed: int
    blend: Blend = "add"
    contrast_hu: float
    margin_mm: float
    texture_sd_hu: float
    texture_scale_mm: float
    necrosis: Necrosis | None = None
    rim: Rim | None = None
    core: Core | None = None
    inclusions: tuple[Inclusion, ...] = ()
    obstructed: tuple[Obstructed, ...] = ()
    narrowing: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain types; :meth:`from_json` gives the same recipe back, to the last bit."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Recipe:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        ConfigError
            If a field is missing, unknown, of the wrong type or impossible.
        """
        return _read(cls, data)


def _read(kind: type[T], data: object) -> T:
    """A dataclass of recipes from plain types, checked field by field."""
    hints = get_type_hints(kind)
    names = {f.name for f in fields(kind)}  # type: ignore[arg-type]  # only dataclasses come here
    if not isinstance(data, Mapping) or set(data) != names:
        odd = ", ".join(sorted(set(data) ^ names)) if isinstance(data, Mapping) else repr(data)
        fix = "use the sidecar as it was written, with the version that wrote it"
        raise ConfigError(f"missing or unknown fields: {odd}", where="recipe", fix=fix)
    return kind(**{name: _value(name, hints[name], value) for name, value in data.items()})


def _value(name: str, hint: Any, value: object) -> Any:
    """One field, as its annotation says: a number within limits, words, or a part."""
    if get_origin(hint) in (Union, types.UnionType):
        part = next(one for one in get_args(hint) if one is not type(None))
        return None if value is None else _value(name, part, value)
    if get_origin(hint) is Literal:
        if value in get_args(hint):
            return value
    elif get_origin(hint) is tuple and get_args(hint)[-1] is Ellipsis:
        if isinstance(value, list | tuple):
            return tuple(_value(name, get_args(hint)[0], one) for one in value)
    elif hint is str:
        if isinstance(value, str):
            return value
    elif isinstance(hint, type) and hasattr(hint, "__dataclass_fields__"):
        return _read(hint, value)
    elif _is_possible(name, hint, value):
        return tuple(value) if isinstance(value, list) else value
    fix = "use the sidecar as it was written"
    raise ConfigError(f"{name} is {value!r}", where="recipe", fix=fix)


def _is_possible(name: str, hint: Any, value: object) -> bool:
    low, high = _LIMITS[name]
    kinds = (int,) if hint is int else (int, float)
    numbers = tuple(value) if isinstance(value, list | tuple) else (value,)
    if len(numbers) != _LENGTHS.get(name, 1) or isinstance(value, list | tuple) != (
        name in _LENGTHS
    ):
        return False
    # NaN lies within no limits; True is an int to Python, but not to the user.
    return all(type(number) in kinds and low <= number <= high for number in numbers)
