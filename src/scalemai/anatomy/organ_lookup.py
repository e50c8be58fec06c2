"""Find the facts of an organ: in this package, or in one that adds organs to it.

A package of yours adds organs by an entry point of the group ``scalemai.organs``, whose
value is the package that holds the files. An organ is found by the name of its file, and
the file is read when the organ is first asked for, so that a mistake in one does not keep
the others from being used.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from scalemai.anatomy.facts import Organ
from scalemai.anatomy.naming import canonical, require_canonical
from scalemai.anatomy.organ_file import read_organ
from scalemai.errors import ConfigError, UnknownNameError

__all__ = ["ORGANS_GROUP", "organ", "organ_names"]

ORGANS_GROUP = "scalemai.organs"
"""The group of entry points that name packages with organ files."""


def organ_names() -> tuple[str, ...]:
    """Return the organs that have facts, sorted: those of this package and those added.

    Raises
    ------
    ConfigError
        If a package that adds organs cannot be imported, a file is not named for a
        structure, or two files have one organ.
    """
    return tuple(_files())


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
    ConfigError
        If the file of the organ has a mistake.
    """
    try:
        key = canonical(name)
    except UnknownNameError:
        key = ""
    if key not in _files():
        raise UnknownNameError("organ", name, _files())
    return _facts(key)


@cache
def _facts(name: str) -> Organ:
    facts = read_organ(_files()[name])
    if facts.name != name:
        raise ConfigError(
            f"the name is {facts.name!r}", where=f"{name}.toml", fix=f"rename it {facts.name}.toml"
        )
    return facts


@cache
def _files() -> dict[str, Traversable]:
    found: dict[str, Traversable] = {}
    owners: dict[str, str] = {}
    for owner, folder in _folders():
        for entry in folder.iterdir():
            if entry.name.endswith(".toml"):
                stem = entry.name.removesuffix(".toml")
                (name,) = require_canonical([stem], f"{owner}: {entry.name}")
                if name in found:
                    what = f"the organ {name!r} has a file in {owners[name]} already"
                    raise ConfigError(what, where=owner, fix="remove one of the two")
                found[name], owners[name] = entry, owner
    return dict(sorted(found.items()))


def _folders() -> Iterator[tuple[str, Traversable]]:
    from importlib.metadata import entry_points  # slow, and not needed to import the words

    yield "scalemai", files("scalemai.anatomy") / "organs"
    for added in sorted(entry_points(group=ORGANS_GROUP), key=lambda point: point.value):
        try:
            yield added.value, files(added.value)
        except ImportError as error:
            raise ConfigError(
                f"the package with organs cannot be imported ({error})",
                where=f"entry point {ORGANS_GROUP}: {added.name} = {added.value}",
                fix="name a package that holds organ files, and install it again",
            ) from error
