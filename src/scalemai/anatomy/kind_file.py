"""Read and check the lesion kinds of an organ file.

Features that a kind need not have (``necrosis``, ``rim``, ``obstructs``, ...) may be left
out; what is written is checked in full.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar, cast, get_args

from scalemai.anatomy.facts import (
    FORMS,
    HU,
    NO_RANGE,
    NODULAR,
    ONE,
    Calcification,
    DoublingTime,
    Exophytic,
    Family,
    Form,
    LesionKind,
    Margin,
    Necrosis,
    Obstruction,
    Pattern,
    Range,
    Rim,
    Satellites,
    Spicules,
    Texture,
)
from scalemai.anatomy.frozen import FrozenMapping
from scalemai.anatomy.naming import require_canonical
from scalemai.anatomy.phases import PHASES, Phase
from scalemai.anatomy.table import Table

__all__ = ["read_by_phase", "read_choice", "read_hu", "read_kind", "read_range"]

T = TypeVar("T")

# Air to dense bone: the range of a 12-bit CT.
LOWEST_HU, HIGHEST_HU = -1024.0, 3071.0

# Forms that are not as dense as the kind, or only in part.
_WITH_OWN_HU = ("part_solid", "ground_glass", "blastic", "mixed")


def read_kind(name: str, table: Table, family: Family) -> LesionKind:
    """Read the table of one kind; ``family`` decides which forms it may have."""
    weight = table.table("weight")
    kind = LesionKind(
        name=name,
        title=table.text("title"),
        aliases=table.texts("aliases"),
        cystic=table.flag("cystic"),
        weight=weight.number("value", low=0.0),
        weight_source=weight.text("source"),
        hu=read_by_phase(table, "hu", read_hu),
        margin=cast(Margin, read_choice(table, "margin", get_args(Margin))),
        margin_width_mm=read_range(table.table("margin_width_mm"), low=0.0),
        irregularity=read_range(table.table("irregularity"), low=0.0, high=1.0),
        elongation=read_range(table.table("elongation"), low=1.0),
        texture=_read_texture(table.table("texture")),
        necrosis=_optional(table, "necrosis", _read_necrosis, None),
        doubling_time=_read_doubling_time(table.table("doubling_time_days")),
        visibility=read_by_phase(table, "visibility", lambda remarks, phase: remarks.text(phase)),
        forms=_read_forms(table, family),
        displaced=_optional(table, "displaced", _read_share, NO_RANGE),
        exophytic=_optional(table, "exophytic", _read_exophytic, None),
        calcification=_optional(table, "calcification", _read_calcification, None),
        rim=_optional(table, "rim", _read_rim, None),
        spicules=_optional(table, "spicules", _read_spicules, None),
        satellites=_optional(table, "satellites", _read_satellites, None),
        multiplicity=_optional(table, "multiplicity", _read_count, ONE),
        obstructs=_optional(table, "obstructs", _read_obstructions, ()),
    )
    weight.done()
    table.done()
    return kind


def _optional(table: Table, key: str, read: Callable[[Table], T], default: T) -> T:
    return read(table.table(key)) if key in table else default


def read_by_phase(
    table: Table, key: str, read: Callable[[Table, Phase], T]
) -> FrozenMapping[Phase, T]:
    """Read a table that has one entry for each of :data:`PHASES`."""
    phases = table.table(key)
    for phase in PHASES:
        if phase not in phases:
            raise table.error(key, f"has no phase {phase!r}", f"give all of {', '.join(PHASES)}")
    found = FrozenMapping({phase: read(phases, phase) for phase in PHASES})
    phases.done()
    return found


def read_hu(tables: Table, key: str) -> HU:
    """Read the table ``key`` with a mean, a standard deviation and a source."""
    table = tables.table(key)
    found = _read_flat_hu(table, table.text("source"))
    table.done()
    return found


def _read_flat_hu(table: Table, source: str) -> HU:
    mean = table.number("mean_hu", LOWEST_HU, HIGHEST_HU)
    return HU(mean, table.number("sd_hu", low=0.0), source)


def read_range(table: Table, low: float, high: float = math.inf) -> Range:
    """Read a range whose ends lie in ``[low, high]``."""
    found = Range(
        table.number("low", low, high), table.number("high", low, high), table.text("source")
    )
    if found.low > found.high:
        raise table.error("low", f"is above high ({found.low:g} > {found.high:g})", "swap them")
    table.done()
    return found


def _read_texture(table: Table) -> Texture:
    found = Texture(
        table.number("sd_hu", low=0.0), table.number("scale_mm", low=0.0), table.text("source")
    )
    table.done()
    return found


def _read_necrosis(table: Table) -> Necrosis:
    source = table.text("source")
    found = Necrosis(
        table.number("min_diameter_mm", low=0.0),
        table.number("probability", low=0.0, high=1.0),
        _read_flat_hu(table, source),
        source,
    )
    table.done()
    return found


def _read_doubling_time(table: Table) -> DoublingTime:
    low, typical, high = (table.number(key, low=1.0) for key in ("low", "typical", "high"))
    if not low <= typical <= high:
        raise table.error("typical", "is not between low and high", "order the three")
    found = DoublingTime(low, typical, high, table.text("source"))
    table.done()
    return found


def _read_share(table: Table) -> Range:
    return read_range(table, low=0.0, high=1.0)


def _read_count(table: Table) -> Range:
    return read_range(table, low=1.0)


def _probability(table: Table) -> float:
    return table.number("probability", low=0.0, high=1.0)


def _read_forms(table: Table, family: Family) -> tuple[Form, ...]:
    if "forms" not in table and family == "solid":
        return (NODULAR,)
    forms = table.table("forms")
    for name in forms:
        if name not in FORMS[family]:
            fix = f"use some of {', '.join(FORMS[family])}"
            raise forms.error(name, f"is no form of a {family} organ's lesion", fix)
    found = tuple(_read_form(name, forms.table(name)) for name in forms)
    if not any(form.weight for form in found):
        raise table.error("forms", "have no weight above 0", "give one form a weight of 1")
    return found


def _read_form(name: str, table: Table) -> Form:
    has_hu = name in _WITH_OWN_HU or "hu" in table
    if name != "part_solid" and "core_share" in table:
        raise table.error("core_share", "belongs to part_solid alone", "leave it out")
    form = Form(
        name,
        table.number("weight", low=0.0),
        read_hu(table, "hu") if has_hu else None,
        _read_share(table.table("core_share")) if name == "part_solid" else None,
        _optional(table, "doubling_time_days", _read_doubling_time, None),
        table.text("source"),
    )
    table.done()
    return form


def _read_exophytic(table: Table) -> Exophytic:
    speed = _read_share(table.table("speed"))
    found = Exophytic(_probability(table), speed, table.text("source"))
    table.done()
    return found


def _read_calcification(table: Table) -> Calcification:
    source = table.text("source")
    found = Calcification(
        _probability(table),
        cast(Pattern, read_choice(table, "pattern", get_args(Pattern))),
        _read_share(table.table("share")),
        _read_flat_hu(table, source),
        source,
    )
    table.done()
    return found


def _read_rim(table: Table) -> Rim:
    found = Rim(
        _probability(table),
        read_range(table.table("width_mm"), low=0.1),
        read_by_phase(table, "hu", read_hu),
        table.text("source"),
    )
    table.done()
    return found


def _read_spicules(table: Table) -> Spicules:
    found = Spicules(
        _probability(table),
        _read_count(table.table("count")),
        read_range(table.table("length"), low=0.0),
        table.text("source"),
    )
    table.done()
    return found


def _read_satellites(table: Table) -> Satellites:
    count = _read_count(table.table("count"))
    found = Satellites(_probability(table), count, table.text("source"))
    table.done()
    return found


def _read_obstructions(table: Table) -> tuple[Obstruction, ...]:
    names = require_canonical(table, table.where)
    return tuple(_read_obstruction(name, table.table(name)) for name in names)


def _read_obstruction(name: str, table: Table) -> Obstruction:
    sites = table.texts("sites")
    if not sites:
        raise table.error("sites", "is missing or empty", "name sites where it closes the duct")
    found = Obstruction(
        structure=name,
        sites=sites,
        probability=_probability(table),
        calibre_mm=read_range(table.table("calibre_mm"), low=0.1),
        atrophy=_read_share(table.table("atrophy")),
        from_diameter_mm=table.number("from_diameter_mm", low=0.0),
        source=table.text("source"),
    )
    table.done()
    return found


def read_choice(table: Table, key: str, allowed: tuple[str, ...]) -> str:
    """Read a text that is one of ``allowed``."""
    if (value := table.text(key)) not in allowed:
        raise table.error(key, f"is {value!r}", f"use one of {', '.join(allowed)}")
    return value
