"""What is wanted, and the random streams that lead from there to what is drawn."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from scalemai.anatomy import LesionKind, Organ, canonical, organ
from scalemai.errors import ConfigError, UnknownNameError

__all__ = [
    "LARGEST_DIAMETER_MM",
    "SETTABLE",
    "USUAL_CELLS",
    "LesionSpec",
    "parse_range",
    "random_stream",
]

SMALLEST_DIAMETER_MM = 2.0
"""The smallest lesion that is offered: below two millimetres CT resolves no lesion."""

LARGEST_DIAMETER_MM = 150.0

USUAL_CELLS = 24
"""Cells of the growth lattice per diameter: volumes at 1 and 3 mm spacing agree (decision 7)."""

_CELLS = (12, 48)

FARTHEST_MM = 1e5
"""Scanners number their table in metres; nothing lies a hundred of them away."""

Contrast = Literal["hypo", "iso", "hyper"]
Margin = Literal["well-defined", "ill-defined", "lobulated", "spiculated"]

SETTABLE = (
    "contrast",
    "margin",
    "necrosis",
    "calcification",
    "rim",
    "exophytic",
    "duct",
    "atrophy",
    "satellites",
    "vessel",
    "mass_effect",
    "uniform",
)
"""Fields of :class:`LesionSpec` that say how a lesion looks and what it does."""

_MORE = ("necrosis", "calcification", "rim", "exophytic", "duct", "atrophy", "satellites")


@dataclass(frozen=True, kw_only=True)
class LesionSpec:
    """The lesion that is asked for; what is left open (None) is drawn from the organ's facts.

    Parameters
    ----------
    organ
        Name or alias of an organ with facts, for example ``"pancreas"``.
    diameter_mm
        Range of the longest axial diameter in mm, ends included; drawn uniformly.
    kind
        Lesion kind of that organ, for example ``"pdac"``; drawn by weight if None.
    form
        How it grows, one that the kind has: ``"polypoid"``, ``"part_solid"``, ``"lytic"``, ...
    site
        Named part of the organ, for example ``"tail"`` or ``"left"``; anywhere if None.
    at_mm
        Where the lesion starts, RAS+ mm; drawn if None.
    contrast_hu
        Mean HU of the viable lesion minus that of this patient's parenchyma; from the organ
        facts and the phase of the scan if None.
    contrast
        Only its sign: darker than the organ, as dense, or brighter.
    margin
        Kind of border.
    necrosis, calcification, rim, exophytic, duct, atrophy
        Whether it has a dead core, calcium, an enhancing rim or capsule; leaves the organ;
        dilates the duct upstream; lets the gland shrink there.
    satellites
        Whether it has small ones beside it, which come on top of the lesions that are counted;
        None is no.
    vessel
        A vessel that it touches, and the range of the contact angle in degrees.
    mass_effect
        Whether it pushes tissue aside.
    uniform
        Leave out texture, necrosis, rim and calcification, so that the lesion differs from
        parenchyma by a constant.
    cells
        Cells of the growth lattice per diameter, 12 to 48. Fewer are quicker, and volumes depend
        more on the spacing of the scan.

    Raises
    ------
    ConfigError
        Naming the field, if a size is impossible, the organ has no such kind, form or site, or
        two fields exclude each other.
    """

    organ: str
    diameter_mm: tuple[float, float] = (3.0, 40.0)
    kind: str | None = None
    form: str | None = None
    site: str | None = None
    at_mm: tuple[float, float, float] | None = None
    contrast_hu: float | None = None
    contrast: Contrast | None = None
    margin: Margin | None = None
    necrosis: bool | None = None
    calcification: bool | None = None
    rim: bool | None = None
    exophytic: bool | None = None
    duct: bool | None = None
    atrophy: bool | None = None
    vessel: tuple[str, tuple[float, float]] | None = None
    satellites: bool | None = None
    mass_effect: bool | None = None
    uniform: bool = False
    cells: int = USUAL_CELLS

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
        _check_form(self, facts)
        if self.site is not None and self.site not in facts.sites:
            known = ", ".join(facts.sites) or "none, leave it out"
            raise ConfigError(
                f"{facts.name} has no site {self.site!r}", where="site", fix=f"known sites: {known}"
            )
        if self.at_mm is not None and not all(abs(x) <= FARTHEST_MM for x in self.at_mm):
            fix = "give RAS+ mm inside the organ"
            raise ConfigError(f"{self.at_mm} is no place", where="at_mm", fix=fix)
        if type(self.cells) is not int or not _CELLS[0] <= self.cells <= _CELLS[1]:
            fix = f"give {_CELLS[0]} to {_CELLS[1]}"
            raise ConfigError(f"{self.cells!r} cells per diameter", where="cells", fix=fix)
        _check_look(self)
        _check_surroundings(self, facts)

    @property
    def possible_kinds(self) -> tuple[LesionKind, ...]:
        """The kinds of the organ that the spec leaves open."""
        facts = organ(self.organ)
        if self.kind is not None:
            return (facts.kind(self.kind),)
        possible = tuple(
            kind
            for kind in facts.kinds
            if (self.form is None or any(form.name == self.form for form in kind.forms))
            and (not self.duct or kind.obstructs)
            and (not self.atrophy or kind.obstructs)
        )
        # Of kinds that could be meant, those that look as the words say.
        for suits in (self._has_contrast, self._has_margin, self._has_core):
            possible = tuple(kind for kind in possible if suits(kind)) or possible
        return possible

    def _has_contrast(self, kind: LesionKind) -> bool:
        if self.contrast in (None, "iso"):
            return True
        usual = organ(self.organ).parenchyma_hu["portal_venous"].mean_hu
        return (kind.hu["portal_venous"].mean_hu > usual) == (self.contrast == "hyper")

    def _has_margin(self, kind: LesionKind) -> bool:
        spicules = self.margin == "spiculated" and kind.spicules is not None
        return self.margin is None or kind.margin == self.margin or spicules

    def _has_core(self, kind: LesionKind) -> bool:
        return not self.necrosis or kind.necrosis is not None


def _check_form(spec: LesionSpec, facts: Organ) -> None:
    if spec.form is None:
        return
    kinds = facts.kinds if spec.kind is None else (facts.kind(spec.kind),)
    known = dict.fromkeys(form.name for kind in kinds for form in kind.forms)
    if spec.form not in known:
        what = f"{spec.kind or facts.name} has no form {spec.form!r}"
        raise ConfigError(what, where="form", fix=f"known forms: {', '.join(known)}")


def _check_look(spec: LesionSpec) -> None:
    for name, allowed in (("contrast", Contrast), ("margin", Margin)):
        value = getattr(spec, name)
        if value is not None and value not in get_args(allowed):
            fix = f"use one of {', '.join(get_args(allowed))}"
            raise ConfigError(f"{value!r} is unknown", where=name, fix=fix)
    for name in (*_MORE, "mass_effect"):
        if getattr(spec, name) not in (None, True, False):
            raise ConfigError(
                f"{getattr(spec, name)!r} is neither yes nor no", where=name, fix="true or false"
            )
    if spec.contrast_hu is not None:
        if not 1 <= abs(spec.contrast_hu) <= 1000:
            fix = "give a difference to parenchyma of 1 to 1000 HU, negative for darker lesions"
            raise ConfigError(f"{spec.contrast_hu:g} HU", where="contrast_hu", fix=fix)
        sign = "hyper" if spec.contrast_hu > 0 else "hypo"
        if spec.contrast not in (None, sign):
            what = f"{spec.contrast} contradicts contrast_hu {spec.contrast_hu:g}"
            raise ConfigError(what, where="contrast", fix="give one of the two")
    if spec.uniform and (spec.necrosis or spec.calcification or spec.rim):
        what = "excludes necrosis, calcification and rim"
        raise ConfigError(what, where="uniform", fix="leave it out, or them")
    if spec.kind is not None:
        kind = organ(spec.organ).kind(spec.kind)
        if kind.cystic and (spec.necrosis or spec.contrast == "hyper"):
            field = "necrosis" if spec.necrosis else "contrast"
            what = f"{kind.title} is fluid"
            raise ConfigError(what, where=field, fix="leave it out, or choose a solid kind")


def _check_surroundings(spec: LesionSpec, facts: Organ) -> None:
    kinds = facts.kinds if spec.kind is None else (facts.kind(spec.kind),)
    for name in ("duct", "atrophy"):
        if getattr(spec, name) and not any(kind.obstructs for kind in kinds):
            what = f"{spec.kind or facts.name} closes no duct"
            raise ConfigError(what, where=name, fix="leave it out, or ask for pancreatic pdac")
    if spec.atrophy and spec.duct is False:
        what = "the gland shrinks behind a closed duct only"
        raise ConfigError(what, where="atrophy", fix="leave duct out, or atrophy")
    if spec.vessel is None:
        return
    try:
        name = canonical(spec.vessel[0])
        low, high = spec.vessel[1]
    except UnknownNameError as error:
        fix = f"use one of {', '.join(facts.vessels)}"
        raise ConfigError(error.what, where="vessel", fix=fix) from error
    except (TypeError, ValueError, IndexError) as error:
        fix = "for example superior_mesenteric_artery, 180-270"
        raise ConfigError(f"{spec.vessel!r} is no vessel and range", where="vessel", fix=fix) from (
            error
        )
    if name not in facts.vessels:
        what = f"{facts.name} has no vessel {name}"
        raise ConfigError(what, where="vessel", fix=f"use one of {', '.join(facts.vessels)}")
    if not 0 < low <= high <= 360:
        what = f"{low:g}-{high:g} degrees is no range of contact angles"
        raise ConfigError(what, where="vessel", fix="give 1 to 360 degrees as low-high")
    if spec.at_mm is not None:
        raise ConfigError("the vessel decides the place", where="at_mm", fix="leave one of the two")
    object.__setattr__(spec, "vessel", (name, (float(low), float(high))))


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
