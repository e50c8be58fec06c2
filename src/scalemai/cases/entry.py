"""What a layout tells of one case, before any file of it is opened."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from scalemai.anatomy import ClassMap, canonical, class_map, class_map_ids, read_class_map
from scalemai.case import Presence
from scalemai.errors import ConfigError, UnknownNameError

__all__ = [
    "CaseEntry",
    "LabelValues",
    "Scan",
    "label_values",
    "named_values",
    "no_class_map",
    "refuse_unexplained",
    "structure_names",
]


@dataclass(frozen=True, slots=True)
class LabelValues:
    """Which label values make each structure of a label map.

    Parameters
    ----------
    name
        Name of the class map, for messages.
    values
        Pairs of structure name and label values.
    """

    name: str
    values: tuple[tuple[str, tuple[int, ...]], ...]

    def to_json(self) -> str:
        """One line of JSON, the same for the same values."""
        return json.dumps({"name": self.name, "values": dict(self.values)}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> LabelValues:
        """Read what :meth:`to_json` wrote."""
        data = json.loads(text)
        return cls(data["name"], tuple((n, tuple(v)) for n, v in data["values"].items()))


@dataclass(frozen=True, slots=True)
class CaseEntry:
    """Where the files of one case are, relative to the root of its data set.

    Paths are POSIX text; only a file that the user named himself may be absolute. Either
    ``mask_folder`` with ``mask_files`` or ``label_map`` is given, or neither. A label map without
    ``labels`` cannot be used, because nobody says what its values mean.
    """

    id: str
    ct: str
    series: str | None = None
    mask_folder: str | None = None
    mask_files: tuple[str, ...] = ()
    label_map: str | None = None
    labels: LabelValues | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    stated: Mapping[str, Presence] = field(default_factory=dict)


@dataclass(slots=True)
class Scan:
    """All cases that a layout finds, and what it has to remark.

    ``listed`` names the folders (relative to the root) whose entries are the cases, and ``files``
    the manifests and tables that were read: when these change, so does the data set.
    """

    entries: list[CaseEntry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    listed: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)


def label_values(source: ClassMap | Mapping[int, str] | str | Path) -> LabelValues:
    """Label values from whatever the user has: a class map, its id, a TOML file or a mapping.

    Raises
    ------
    UnknownNameError, ConfigError
        If there is no such class map, or a label value is not a positive whole number.
    """
    if isinstance(source, str) and not source.lower().endswith(".toml"):
        source = class_map(source)
    elif isinstance(source, str | Path):
        source = read_class_map(Path(source))
    if isinstance(source, ClassMap):
        pairs = tuple((name, source.values_of(name)) for name in source.structures)
        return LabelValues(source.id, pairs)
    return named_values("the class map given", ((n, (v,)) for v, n in source.items()))


def named_values(where: str, pairs: Iterable[tuple[str, Iterable[int]]]) -> LabelValues:
    """Label values from names in any spelling; values of one structure are joined.

    Raises
    ------
    ConfigError
        If a label value is not a positive whole number.
    """
    joined: dict[str, tuple[int, ...]] = {}
    for name, values in pairs:
        for value in values:
            if type(value) is not int or value < 1:
                what = f"label value {value!r} of {name!r} is not a positive whole number"
                raise ConfigError(what, where=where, fix="0 is background and is not listed")
        key = canonical_or_own(name)
        joined[key] = tuple(sorted({*joined.get(key, ()), *values}))
    return LabelValues(where, tuple(joined.items()))


def no_class_map(where: Path | str) -> ConfigError:
    """The error for a label map whose numbers nobody explains."""
    known = ", ".join(class_map_ids())
    what = "label values mean nothing without data set and version"
    return ConfigError(what, where=where, fix=f"give class_map=, one of {known}, or a TOML file")


def refuse_unexplained(scan: Scan, root: Path) -> None:
    """Refuse label maps without a class map if there is nothing else; else remark them.

    Raises
    ------
    ConfigError
        If every case has only a label map, and nobody says what its values mean.
    """
    unexplained = [e for e in scan.entries if e.label_map is not None and e.labels is None]
    if not unexplained:
        return
    first = root / str(unexplained[0].label_map)
    if len(unexplained) == len(scan.entries):
        raise no_class_map(first)
    scan.notes.append(
        f"{len(unexplained)} label maps are not used because class_map= is not given; "
        f"the first is {first}"
    )


def canonical_or_own(name: str) -> str:
    """The canonical name of a structure, or the name as it is if it is not known."""
    try:
        return canonical(name)
    except UnknownNameError:
        return name.strip()


@lru_cache(maxsize=4096)
def structure_names(stems: tuple[str, ...]) -> tuple[str, ...]:
    """The structure of each mask file, by its name without suffix, in the same order.

    If two files are named for one structure (``gallbladder`` beside ``gall_bladder``), the
    one with the canonical name stands for it and the other is kept under its own name.
    """
    names = [canonical_or_own(stem) for stem in stems]
    owner: dict[str, int] = {}
    for index, (stem, name) in enumerate(zip(stems, names, strict=True)):
        if name not in owner or stem == name:
            owner[name] = index
    return tuple(n if owner[n] == i else stems[i] for i, n in enumerate(names))
