"""One name for each structure, and every other name that is known for it.

>>> canonical("Left Kidney")
'kidney_left'
>>> structure("inferior vena cava").title
'Inferior vena cava'
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple, cast, get_args

from scalemai.anatomy.spelling import squash
from scalemai.anatomy.table import Table, read_table
from scalemai.errors import ConfigError, UnknownNameError

__all__ = [
    "Group",
    "SnomedCode",
    "Structure",
    "canonical",
    "is_lesion",
    "structure",
    "structures",
]

Group = Literal["organ", "hollow_organ", "duct", "vessel", "bone", "muscle", "lesion"]
Side = Literal["left", "right"]


class SnomedCode(NamedTuple):
    """A SNOMED CT concept, as DICOM wants it (coding scheme ``SCT``).

    For a lesion it is the morphology; the anatomic region is the code of its parent. The
    side is not part of it, see :attr:`Structure.laterality`.
    """

    value: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Structure:
    """Something that can have a mask.

    Attributes
    ----------
    name
        Canonical name: that of PanTS/AbdomenAtlas, else that of TotalSegmentator v2.
    title
        For people, for example ``"Left kidney"``.
    group
        ``organ``, ``hollow_organ``, ``duct``, ``vessel``, ``bone``, ``muscle``, ``lesion``.
    laterality
        ``left`` or ``right`` of the patient; ``None`` if unpaired or both sides together.
    parent
        Canonical name of what it is a part of, or of the organ that a lesion lies in.
    aliases
        Other names. Case, separators and British spelling never matter and are not listed.
    snomed
        SNOMED CT code; ``None`` where the DICOM dictionary lists none.
    """

    name: str
    title: str
    group: Group
    laterality: Side | None
    parent: str | None
    aliases: tuple[str, ...]
    snomed: SnomedCode | None


def structures() -> tuple[Structure, ...]:
    """Return every known structure, grouped, in the order of ``structures.toml``."""
    return tuple(_by_name().values())


def structure(name: str) -> Structure:
    """Return what is known of a structure.

    Parameters
    ----------
    name
        Canonical name or alias, in any spelling.

    Raises
    ------
    UnknownNameError
        With the nearest names, if it is neither.
    """
    return _by_name()[canonical(name)]


def canonical(name: str) -> str:
    """Return the one name under which a structure is known here.

    Parameters
    ----------
    name
        Canonical name or alias; case, spaces, hyphens, underscores, British spelling and
        whether the side stands first or last do not matter.

    Raises
    ------
    UnknownNameError
        With the nearest canonical names and aliases.

    Examples
    --------
    >>> canonical("urinary_bladder"), canonical("Liver tumour")
    ('bladder', 'liver_lesion')
    """
    try:
        return _by_key()[squash(name)]
    except KeyError:
        known = [spelling for entry in structures() for spelling in (entry.name, *entry.aliases)]
        raise UnknownNameError("structure", name, known) from None


def require_canonical(names: Iterable[str], where: str) -> tuple[str, ...]:
    """Return ``names`` if each is a canonical name; data files may not use aliases.

    Raises
    ------
    ConfigError
        If a name is unknown or an alias, with the name to write instead.
    """
    checked = tuple(names)
    for name in checked:
        try:
            expected = canonical(name)
        except UnknownNameError as error:
            raise ConfigError(error.what, where=where, fix=error.fix) from None
        if name != expected:
            raise ConfigError(f"{name!r} is an alias", where=where, fix=f"write {expected!r}")
    return checked


def read_structures(table: Table) -> dict[str, Structure]:
    """Check a table of structures and return them by name.

    Raises
    ------
    ConfigError
        If an entry is malformed, a parent is unknown or its own descendant, or a spelling
        would name two structures.
    """
    found: dict[str, Structure] = {}
    for group in table:
        if group not in get_args(Group):
            raise table.error(group, "is not a group", f"use one of {', '.join(get_args(Group))}")
        for name in (entries := table.table(group)):
            if name in found:
                raise entries.error(name, "stands in two groups", "keep one of them")
            found[name] = _read_one(name, cast(Group, group), entries.table(name))
    _check_parents(found, table.where)
    keys_of(found.values(), table.where)
    return found


def keys_of(entries: Iterable[Structure], where: str) -> dict[str, str]:
    """Map each squashed spelling to the canonical name it stands for.

    Raises
    ------
    ConfigError
        If a spelling stands for two structures.
    """
    keys: dict[str, str] = {}
    for entry in entries:
        for spelling in (entry.name, *entry.aliases):
            owner = keys.setdefault(squash(spelling), entry.name)
            if owner != entry.name:
                raise ConfigError(
                    f"{spelling!r} would mean both {owner} and {entry.name}",
                    where=where,
                    fix="keep the alias at one of them",
                )
    return keys


def _read_one(name: str, group: Group, table: Table) -> Structure:
    words = name.split("_")
    side: Side | None = "left" if "left" in words else "right" if "right" in words else None
    spellings = (name, *table.texts("aliases"))
    aliases = [*spellings[1:]]
    if side is not None:
        aliases += [
            moved for spelling in spellings for moved in _side_first_and_last(spelling, side)
        ]
    snomed = None
    if "snomed" in table:
        code = table.texts("snomed")
        if len(code) != 2:
            raise table.error("snomed", f"is {list(code)}", "write [code, meaning]")
        snomed = SnomedCode(*code)
    entry = Structure(
        name=name,
        title=table.text("title"),
        group=group,
        laterality=side,
        parent=table.text("parent") if "parent" in table else None,
        aliases=tuple(dict.fromkeys(alias for alias in aliases if alias != name)),
        snomed=snomed,
    )
    table.done()
    return entry


def _side_first_and_last(spelling: str, side: Side) -> tuple[str, ...]:
    words = spelling.split("_")
    if side not in words:
        return ()
    rest = [word for word in words if word != side]
    return "_".join([side, *rest]), "_".join([*rest, side])


def _check_parents(found: dict[str, Structure], where: str) -> None:
    for entry in found.values():
        line = [entry.name]
        while (parent := found[line[-1]].parent) is not None:
            if parent not in found:
                error = UnknownNameError("parent", parent, found)
                raise ConfigError(error.what, where=f"{where}: {line[-1]}", fix=error.fix)
            if parent in line:
                raise ConfigError(
                    f"{' -> '.join([*line, parent])} goes round in a circle", where=where
                )
            line.append(parent)


@cache
def _by_name() -> dict[str, Structure]:
    return read_structures(read_table(files("scalemai.anatomy") / "structures.toml"))


@cache
def _by_key() -> dict[str, str]:
    return keys_of(structures(), "structures.toml")


def is_lesion(name: str) -> bool:
    """Whether a mask of this name shows lesions: by its structure, else by the words in it."""
    try:
        return structure(name).group == "lesion"
    except UnknownNameError:
        return any(word in name.lower() for word in ("lesion", "tumor", "tumour", "nodule"))
