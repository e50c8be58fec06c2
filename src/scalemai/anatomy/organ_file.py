"""Read and check organ files.

The keys of a file are the attributes of :class:`~scalemai.anatomy.facts.Organ` and
:class:`~scalemai.anatomy.facts.LesionKind`. Every table that holds a number must have a
``source``; a key that is not known is refused rather than ignored.
"""

from __future__ import annotations

from importlib.resources.abc import Traversable
from pathlib import Path
from typing import cast, get_args

from scalemai.anatomy.facts import Family, Organ, Range
from scalemai.anatomy.frozen import FrozenMapping
from scalemai.anatomy.kind_file import read_by_phase, read_choice, read_hu, read_kind, read_range
from scalemai.anatomy.naming import require_canonical, structure
from scalemai.anatomy.spelling import squash
from scalemai.anatomy.table import Table, parse_table, read_table

__all__ = ["parse_organ", "read_organ"]


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


def _read(table: Table) -> Organ:
    kinds = table.table("kinds")
    family = cast(Family, read_choice(table, "family", get_args(Family)))
    facts = Organ(
        name=_structure(table, "name"),
        title=table.text("title"),
        family=family,
        structures=_structures(table, "structures"),
        lesion=_structure(table, "lesion"),
        sites=_read_sites(table),
        vessels=_structures(table, "vessels"),
        barriers=_structures(table, "barriers"),
        volume_ml=read_range(table.table("volume_ml"), low=0.0),
        parenchyma_hu=read_by_phase(table, "parenchyma_hu", read_hu),
        kinds=tuple(read_kind(name, kinds.table(name), family) for name in kinds),
        wall_mm=_read_wall(table, family),
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
    if not any(kind.weight for kind in facts.kinds):
        raise table.error("kinds", "have no weight above 0", "give one kind a weight of 1")
    _check_obstructions(facts, table)
    owners: dict[str, str] = {}
    for kind in facts.kinds:
        for spelling in (kind.name, *kind.aliases):
            owner = owners.setdefault(squash(spelling), kind.name)
            if owner != kind.name:
                raise table.error("kinds", f"has {spelling!r} twice", f"keep it at {owner!r}")


def _check_obstructions(facts: Organ, table: Table) -> None:
    for kind in facts.kinds:
        for duct in kind.obstructs:
            key = f"kinds.{kind.name}.obstructs.{duct.structure}"
            if duct.structure not in facts.vessels:
                known = ", ".join(facts.vessels) or "none, so leave it out"
                raise table.error(key, "is none of the vessels", f"use one of {known}")
            if unknown := [site for site in duct.sites if site not in facts.sites]:
                known = ", ".join(facts.sites) or "none, so leave it out"
                what = f"has the unknown site {unknown[0]!r}"
                raise table.error(key, what, f"use one of {known}")


def _read_sites(table: Table) -> FrozenMapping[str, tuple[str, ...]]:
    if "sites" not in table:
        return FrozenMapping({})
    sites = table.table("sites")
    return FrozenMapping({name: _site(sites, name) for name in sites})


def _site(sites: Table, name: str) -> tuple[str, ...]:
    """The structures of a site: a list of them, or one as a plain text."""
    found = require_canonical(sites.texts_or_text(name), f"{sites.where}: {name}")
    if not found:
        raise sites.error(name, "is empty", "name its structures, or leave the site out")
    return found


def _read_wall(table: Table, family: Family) -> Range | None:
    if family != "hollow":
        if "wall_mm" in table:
            what = f"is of no use in the family {family!r}"
            raise table.error("wall_mm", what, "leave it out")
        return None
    return read_range(table.table("wall_mm"), low=0.1)


def _structure(table: Table, key: str) -> str:
    return require_canonical([table.text(key)], f"{table.where}: {key}")[0]


def _structures(table: Table, key: str) -> tuple[str, ...]:
    return require_canonical(table.texts(key), f"{table.where}: {key}")
