"""Find and check organ files.

The keys of a file are the attributes of :class:`~scalemai.anatomy.facts.Organ` and
:class:`~scalemai.anatomy.facts.LesionKind`. Every table that holds a number must have a
``source``; a key that is not known is refused rather than ignored.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TypeVar, cast, get_args

from scalemai.anatomy.facts import (
    HU,
    DoublingTime,
    Family,
    LesionKind,
    Margin,
    Necrosis,
    Organ,
    Range,
    Texture,
)
from scalemai.anatomy.frozen import FrozenMapping
from scalemai.anatomy.naming import canonical, require_canonical, structure
from scalemai.anatomy.phases import PHASES, Phase
from scalemai.anatomy.spelling import squash
from scalemai.anatomy.table import Table, parse_table, read_table
from scalemai.errors import ConfigError, UnknownNameError

__all__ = ["organ", "organ_names", "parse_organ", "read_organ"]

T = TypeVar("T")

# Air to dense bone: the range of a 12-bit CT.
LOWEST_HU, HIGHEST_HU = -1024.0, 3071.0


def organ_names() -> tuple[str, ...]:
    """Return the organs whose facts ship with the package, sorted."""
    return tuple(_by_name())


def organ(name: str) -> Organ:
    """Return the facts of an organ.

    Parameters
    ----------
    name
        An organ, in any spelling: ``"kidney"``, ``"Kidneys"``, ``"adrenals"``. A *part* is
        refused (``"kidney_left"``, ``"pancreas_head"``): whoever asks for a part means a
        site, and must not be answered with the whole.

    Raises
    ------
    UnknownNameError
        With the nearest organs, for everything else.
    """
    found = _by_name()
    try:
        return found[canonical(name)]
    except (UnknownNameError, KeyError):
        raise UnknownNameError("organ", name, found) from None


def read_organ(path: Path | Traversable) -> Organ:
    """Read an organ file of your own, of the same form as those of the package.

    Raises
    ------
    ConfigError
        With file, table, key and what to write, if anything is missing, unknown, out of
        range, or without a source.
    """
    return _read(read_table(path))


def parse_organ(text: str, where: str = "organ") -> Organ:
    """Parse the text of an organ file; ``where`` names it in messages.

    Raises
    ------
    ConfigError
        As :func:`read_organ`.
    """
    return _read(parse_table(text, where))


@cache
def _by_name() -> dict[str, Organ]:
    found = {}
    for entry in sorted((files("scalemai.anatomy") / "organs").iterdir(), key=lambda e: e.name):
        facts = read_organ(entry)
        if entry.name != f"{facts.name}.toml":
            raise ConfigError(
                f"the name is {facts.name!r}", where=entry.name, fix="rename the file"
            )
        found[facts.name] = facts
    return found


def _read(table: Table) -> Organ:
    kinds = table.table("kinds")
    facts = Organ(
        name=_structure(table, "name"),
        title=table.text("title"),
        family=cast(Family, _choice(table, "family", get_args(Family))),
        structures=_structures(table, "structures"),
        lesion=_structure(table, "lesion"),
        sites=_read_sites(table),
        vessels=_structures(table, "vessels"),
        barriers=_structures(table, "barriers"),
        volume_ml=_read_range(table.table("volume_ml"), low=0.0),
        parenchyma_hu=_by_phase(table, "parenchyma_hu", _read_hu),
        kinds=tuple(_read_kind(name, kinds.table(name)) for name in kinds),
    )
    table.done()
    _check(facts, table)
    return facts


def _check(facts: Organ, table: Table) -> None:
    if not facts.structures:
        raise table.error("structures", "is empty", "name the structures that make the organ")
    if not facts.kinds:
        raise table.error("kinds", "is empty", "add at least one lesion kind")
    if structure(facts.lesion).group != "lesion":
        raise table.error("lesion", f"is {facts.lesion!r}, not a lesion", "name a lesion structure")
    for key in ("vessels", "barriers"):
        if own := set(getattr(facts, key)) & {facts.name, *facts.structures}:
            raise table.error(key, f"has the organ itself: {min(own)}", "leave it out")
    owners: dict[str, str] = {}
    for kind in facts.kinds:
        for spelling in (kind.name, *kind.aliases):
            owner = owners.setdefault(squash(spelling), kind.name)
            if owner != kind.name:
                raise table.error("kinds", f"has {spelling!r} twice", f"keep it at {owner!r}")


def _read_sites(table: Table) -> FrozenMapping[str, str]:
    if "sites" not in table:
        return FrozenMapping({})
    sites = table.table("sites")
    return FrozenMapping({name: _structure(sites, name) for name in sites})


def _read_kind(name: str, table: Table) -> LesionKind:
    weight = table.table("weight")
    kind = LesionKind(
        name=name,
        title=table.text("title"),
        aliases=table.texts("aliases"),
        cystic=table.flag("cystic"),
        weight=weight.number("value", low=0.0),
        weight_source=weight.text("source"),
        hu=_by_phase(table, "hu", _read_hu),
        margin=cast(Margin, _choice(table, "margin", get_args(Margin))),
        margin_width_mm=_read_range(table.table("margin_width_mm"), low=0.0),
        irregularity=_read_range(table.table("irregularity"), low=0.0, high=1.0),
        elongation=_read_range(table.table("elongation"), low=1.0),
        texture=_read_texture(table.table("texture")),
        necrosis=_read_necrosis(table.table("necrosis")) if "necrosis" in table else None,
        doubling_time=_read_doubling_time(table.table("doubling_time_days")),
        visibility=_by_phase(table, "visibility", lambda remarks, phase: remarks.text(phase)),
    )
    weight.done()
    table.done()
    return kind


def _by_phase(table: Table, key: str, read: Callable[[Table, Phase], T]) -> FrozenMapping[Phase, T]:
    phases = table.table(key)
    for phase in PHASES:
        if phase not in phases:
            raise table.error(key, f"has no phase {phase!r}", f"give all of {', '.join(PHASES)}")
    found = FrozenMapping({phase: read(phases, phase) for phase in PHASES})
    phases.done()
    return found


def _read_hu(phases: Table, phase: Phase) -> HU:
    table = phases.table(phase)
    found = HU(
        table.number("mean_hu", LOWEST_HU, HIGHEST_HU),
        table.number("sd_hu", low=0.0),
        table.text("source"),
    )
    table.done()
    return found


def _read_range(table: Table, low: float, high: float = math.inf) -> Range:
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
        HU(table.number("mean_hu", LOWEST_HU, HIGHEST_HU), table.number("sd_hu", low=0.0), source),
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


def _structure(table: Table, key: str) -> str:
    return require_canonical([table.text(key)], f"{table.where}: {key}")[0]


def _structures(table: Table, key: str) -> tuple[str, ...]:
    return require_canonical(table.texts(key), f"{table.where}: {key}")


def _choice(table: Table, key: str, allowed: tuple[str, ...]) -> str:
    if (value := table.text(key)) not in allowed:
        raise table.error(key, f"is {value!r}", f"use one of {', '.join(allowed)}")
    return value
