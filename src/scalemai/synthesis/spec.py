"""What is wanted, what was drawn, and the random streams that lead from one to the other."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from scalemai.anatomy import organ
from scalemai.errors import ConfigError

__all__ = ["LesionSpec", "Necrosis", "Recipe", "parse_range", "random_stream"]

SMALLEST_DIAMETER_MM = 2.0
"""The smallest lesion that is offered: below two millimetres CT resolves no lesion."""

LARGEST_DIAMETER_MM = 150.0

FARTHEST_MM = 1e5
"""Scanners number their table in metres; nothing lies a hundred of them away."""

# What a recipe that was drawn can hold, with room to spare: outside of it the file is garbled.
_RECIPE_LIMITS = {
    "number": (1, 255),
    "diameter_mm": (1, LARGEST_DIAMETER_MM),
    "centre_mm": (-1e5, 1e5),
    "rotation": (-1, 1),
    "axes": (0.05, 20),
    "irregularity": (0, 3),
    "wavelength": (0.01, 10),
    "noise_seed": (0, 2**63),
    "contrast_hu": (-5e3, 5e3),
    "margin_mm": (0, LARGEST_DIAMETER_MM),
    "texture_sd_hu": (0, 5e3),
    "texture_scale_mm": (0.1, 1e3),
    "vessel_speed": (0, 2),
    "rim_share": (0.01, 1),
    "core_hu": (-5e3, 5e3),
}
_RECIPE_LENGTHS = {"centre_mm": 3, "rotation": 4, "axes": 3}
_RECIPE_WHOLE = ("number", "noise_seed")


@dataclass(frozen=True, kw_only=True)
class LesionSpec:
    """The lesion that is asked for; what is left open is drawn.

    Parameters
    ----------
    organ
        Name or alias of an organ with facts, for example ``"pancreas"``.
    diameter_mm
        Range of the longest axial diameter in mm, ends included; drawn uniformly.
    kind
        Lesion kind of that organ, for example ``"pdac"``; drawn by weight if None.
    site
        Named part of the organ, for example ``"tail"`` or ``"left"``; anywhere if None.
    at_mm
        Where the lesion starts, RAS+ mm; drawn if None.
    contrast_hu
        Mean HU of the viable lesion minus that of this patient's parenchyma; from the organ
        facts and the phase of the scan if None.
    uniform
        Leave out texture and necrosis, so that the lesion differs from parenchyma by a constant.

    Raises
    ------
    ConfigError
        If a size is impossible, or the organ has no such kind or site.
    """

    organ: str
    diameter_mm: tuple[float, float] = (3.0, 40.0)
    kind: str | None = None
    site: str | None = None
    at_mm: tuple[float, float, float] | None = None
    contrast_hu: float | None = None
    uniform: bool = False

    def __post_init__(self) -> None:
        facts = organ(self.organ)
        object.__setattr__(self, "organ", facts.name)
        low, high = self.diameter_mm
        if not SMALLEST_DIAMETER_MM <= low <= high <= LARGEST_DIAMETER_MM:
            raise ConfigError(
                f"{low:g}-{high:g} mm is not a range of diameters",
                where="diameter_mm",
                fix=f"give {SMALLEST_DIAMETER_MM:g} to {LARGEST_DIAMETER_MM:g} mm as low-high",
            )
        if self.kind is not None:
            object.__setattr__(self, "kind", facts.kind(self.kind).name)
        if self.site is not None and self.site not in facts.sites:
            known = ", ".join(facts.sites) or "none, leave it out"
            raise ConfigError(
                f"{facts.name} has no site {self.site!r}", where="site", fix=f"known sites: {known}"
            )
        if self.at_mm is not None and not all(abs(x) <= FARTHEST_MM for x in self.at_mm):
            fix = "give RAS+ mm inside the organ"
            raise ConfigError(f"{self.at_mm} is no place", where="at_mm", fix=fix)
        if self.contrast_hu is not None and not 1 <= abs(self.contrast_hu) <= 1000:
            fix = "give a difference to parenchyma of 1 to 1000 HU, negative for darker lesions"
            raise ConfigError(f"{self.contrast_hu:g} HU", where="contrast_hu", fix=fix)


@dataclass(frozen=True, kw_only=True)
class Necrosis:
    """A dead core: share of the growth time that its rim is younger than, and HU of the core."""

    rim_share: float
    core_hu: float


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that was drawn for one lesion: painting it again gives the same voxels.

    Parameters
    ----------
    number
        Number of the lesion in its case, from 1; its value in the instance label map.
    organ, structure, lesion, kind
        Organ, the structure (mask) that it grows in, the name of its mask, lesion kind.
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
    vessel_speed
        Speed of the front in vessels and ducts, relative to parenchyma.
    noise_seed
        Seed of the noise behind shape and texture.
    contrast_hu
        Mean HU of the viable lesion minus the parenchyma around it.
    margin_mm
        Width over which density rises from none to full at the border.
    texture_sd_hu, texture_scale_mm
        Variation inside the lesion.
    necrosis
        Dead core, or None.
    """

    number: int
    organ: str
    structure: str
    lesion: str
    kind: str
    diameter_mm: float
    centre_mm: tuple[float, float, float]
    rotation: tuple[float, float, float, float]
    axes: tuple[float, float, float]
    irregularity: float
    wavelength: float
    vessel_speed: float
    noise_seed: int
    contrast_hu: float
    margin_mm: float
    texture_sd_hu: float
    texture_scale_mm: float
    necrosis: Necrosis | None

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
        values = _read_fields(cls, data)
        if values["necrosis"] is not None:
            values["necrosis"] = Necrosis(**_read_fields(Necrosis, values["necrosis"]))
        return cls(**values)


def _read_fields(kind: type[Recipe | Necrosis], data: object) -> dict[str, Any]:
    """The fields of a recipe or its necrosis from plain types, checked one by one."""
    names = {f.name for f in fields(kind)}
    if not isinstance(data, Mapping) or set(data) != names:
        odd = ", ".join(sorted(set(data) ^ names)) if isinstance(data, Mapping) else repr(data)
        fix = "use the sidecar as it was written, with the version that wrote it"
        raise ConfigError(f"missing or unknown fields: {odd}", where="recipe", fix=fix)
    values: dict[str, Any] = {}
    for name, value in data.items():
        values[name] = tuple(value) if isinstance(value, list) else value
        if name != "necrosis" and not _is_possible(name, value):
            fix = "use the sidecar as it was written"
            raise ConfigError(f"{name} is {value!r}", where="recipe", fix=fix)
    return values


def _is_possible(name: str, value: object) -> bool:
    if name not in _RECIPE_LIMITS:
        return isinstance(value, str)
    low, high = _RECIPE_LIMITS[name]
    kinds = (int,) if name in _RECIPE_WHOLE else (int, float)
    numbers = tuple(value) if isinstance(value, list | tuple) else value
    if name not in _RECIPE_LENGTHS:
        numbers = (value,)
    elif not isinstance(numbers, tuple) or len(numbers) != _RECIPE_LENGTHS[name]:
        return False
    # NaN lies within no limits; True is an int to Python, but not to the user.
    return all(type(number) in kinds and low <= number <= high for number in numbers)


def random_stream(seed: int, case_id: str, lesion: int, purpose: str) -> np.random.Generator:
    """The generator of one decision: keyed, so order, workers and resume do not matter.

    Parameters
    ----------
    seed
        The user's seed, a non-negative integer.
    case_id, lesion, purpose
        What the numbers are for. Another key gives an independent stream.
    """
    digest = hashlib.sha256(f"{case_id}\0{lesion}\0{purpose}".encode()).digest()
    words = np.frombuffer(digest, dtype="<u4").tolist()
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, *words])))


_RANGE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:(?:-|–|to|\.\.)\s*(\d+(?:\.\d+)?))?\s*(mm|cm)?\s*$")


def parse_range(text: str, *, where: str) -> tuple[float, float]:
    """Read ``"12"``, ``"3-40mm"`` or ``"0.5-2 cm"`` as a range (in mm where a unit is given).

    Raises
    ------
    ConfigError
        If the text is not a number or a rising range.
    """
    found = _RANGE.match(text)
    if found is None:
        fix = "give one number or low-high, for example 3-40mm"
        raise ConfigError(f"{text!r} is not a range", where=where, fix=fix)
    low = float(found[1])
    high = low if found[2] is None else float(found[2])
    if high < low:
        fix = f"did you mean {high:g}-{low:g}?"
        raise ConfigError(f"{text!r} ends below its start", where=where, fix=fix)
    scale = 10.0 if found[3] == "cm" else 1.0
    return low * scale, high * scale
