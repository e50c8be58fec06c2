"""Class maps: which structure a number in a label map stands for.

A label map has one number per voxel, so of two structures that overlap only one is
written. Maps say so by a union: in MSD Task03 a tumor voxel is 2 and not 1, yet it is
liver, so the liver is ``(1, 2)``. The integers mean nothing without data set and version.

>>> class_map("Task03_Liver").values_of("liver")
(1, 2)
>>> class_map("PanTS").name_of(28)
'pancreatic_lesion'
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from scalemai.anatomy.frozen import FrozenMapping
from scalemai.anatomy.naming import canonical, require_canonical
from scalemai.anatomy.spelling import squash
from scalemai.anatomy.table import Table, read_table
from scalemai.errors import ConfigError, UnknownNameError

__all__ = ["ClassMap", "class_map", "class_map_ids", "read_class_map"]


@dataclass(frozen=True, slots=True)
class ClassMap:
    """The numbers of one data set, in one version.

    Parameters
    ----------
    id
        Short name, for example ``"abdomenatlas-1.1"``.
    version
        Version or year of the numbering, as its publisher calls it.
    labels
        From label value (1 or more; 0 is background) to structure name; aliases are
        resolved. It names the *label*: "liver" may mean liver outside the tumor.
    unions
        From structure to every label value whose voxels belong to it, for structures that
        are more than one label. All other structures are exactly their label.
    title, source, note
        For people: full name, where the numbers are published, and traps.
    aliases
        Other names of the map.

    Raises
    ------
    ConfigError
        If a value is not a positive integer, a union uses a value that has no label, or the
        union of a structure leaves out that structure's own label.
    UnknownNameError
        If a name is not a structure.
    """

    id: str
    version: str
    labels: Mapping[int, str]
    unions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    title: str = ""
    source: str = ""
    note: str = ""
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for value in self.labels:
            if type(value) is not int or value < 1:
                raise ConfigError(
                    f"label value {value!r} is not a positive integer",
                    where=self.id,
                    fix="0 is background and is not listed",
                )
        labels = {value: canonical(name) for value, name in self.labels.items()}
        unions = {canonical(name): tuple(sorted(v)) for name, v in self.unions.items()}
        for name, values in unions.items():
            own = {value for value, label in labels.items() if label == name}
            if not own <= set(values) <= set(labels):
                raise ConfigError(
                    f"the union of {name!r} is {list(values)}",
                    where=self.id,
                    fix=f"use values that have a label, with {sorted(own)} among them",
                )
        object.__setattr__(self, "labels", FrozenMapping(labels))
        object.__setattr__(self, "unions", FrozenMapping(unions))

    @property
    def structures(self) -> tuple[str, ...]:
        """Every structure whose mask can be made: those with a label, then further unions."""
        return tuple(dict.fromkeys([*self.labels.values(), *self.unions]))

    def values_of(self, structure: str) -> tuple[int, ...]:
        """Return the label values that together are the mask of a structure.

        Parameters
        ----------
        structure
            Canonical name or alias.

        Returns
        -------
        tuple of int
            Ascending, never empty: the mask is ``numpy.isin(label_map, values)``.

        Raises
        ------
        UnknownNameError
            If the name is unknown, or this map does not have the structure.
        """
        name = canonical(structure)
        if name in self.unions:
            return self.unions[name]
        values = tuple(sorted(value for value, label in self.labels.items() if label == name))
        if not values:
            raise UnknownNameError(f"structure of {self.id}", structure, self.structures)
        return values

    def name_of(self, value: int) -> str:
        """Return the canonical name of a label value.

        Raises
        ------
        UnknownNameError
            If the map has no such value; 0, the background, is no structure.
        """
        try:
            return self.labels[value]
        except KeyError:
            error = UnknownNameError(f"label value of {self.id}", str(value), ())
            error.fix = f"its values are {min(self.labels)} to {max(self.labels)}; 0 is background"
            raise error from None


def class_map_ids() -> tuple[str, ...]:
    """Return the ids of all class maps that ship with the package, sorted."""
    return tuple(_by_id())


def class_map(id: str) -> ClassMap:
    """Return a class map that ships with the package.

    Parameters
    ----------
    id
        One of :func:`class_map_ids` or an alias, in any spelling: ``"pants"``,
        ``"AbdomenAtlas 1.1"``, ``"Task07_Pancreas"``.

    Raises
    ------
    UnknownNameError
        With the nearest ids.
    """
    keys = _by_key()
    if (key := squash(id)) not in keys:
        known = [spelling for entry in _by_id().values() for spelling in (entry.id, *entry.aliases)]
        raise UnknownNameError("class map", id, known)
    return _by_id()[keys[key]]


def read_class_map(path: Path | Traversable) -> ClassMap:
    """Read a class map from a TOML file of the same form as those of the package.

    Raises
    ------
    ConfigError
        With file, key and what to write, if anything is missing, unknown or misspelled.
    """
    table = read_table(path)
    found = ClassMap(
        id=table.text("id"),
        version=table.text("version"),
        labels=_read_labels(table.table("labels")),
        unions=_read_unions(table),
        title=table.text("title"),
        source=table.text("source"),
        note=table.text("note") if "note" in table else "",
        aliases=table.texts("aliases"),
    )
    table.done()
    return found


def _read_labels(table: Table) -> dict[int, str]:
    labels: dict[int, str] = {}
    for key in table:
        if not key.isdecimal():
            raise table.error(key, "is not a label value", "write whole numbers as keys")
        labels[int(key)] = table.text(key)
    require_canonical(labels.values(), table.where)
    return labels


def _read_unions(table: Table) -> dict[str, tuple[int, ...]]:
    if "unions" not in table:
        return {}
    unions = table.table("unions")
    return {name: unions.integers(name) for name in require_canonical(unions, unions.where)}


@cache
def _by_id() -> dict[str, ClassMap]:
    found = {}
    for entry in sorted((files("scalemai.anatomy") / "classmaps").iterdir(), key=lambda e: e.name):
        found_map = read_class_map(entry)
        if entry.name != f"{found_map.id}.toml":
            raise ConfigError(
                f"the id is {found_map.id!r}", where=entry.name, fix="rename the file"
            )
        found[found_map.id] = found_map
    return found


@cache
def _by_key() -> dict[str, str]:
    keys: dict[str, str] = {}
    for entry in _by_id().values():
        for spelling in (entry.id, *entry.aliases):
            owner = keys.setdefault(squash(spelling), entry.id)
            if owner != entry.id:
                raise ConfigError(f"{spelling!r} would mean both {owner} and {entry.id}")
    return keys
