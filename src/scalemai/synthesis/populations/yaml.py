"""Populations as YAML: every key is known, typed and in range, or named with its path.

The top level holds ``count`` and one table per organ. A table either lists ``groups``, or gives
weights of ``kinds`` and ``sites`` that are drawn independently of each other.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import yaml

from scalemai.anatomy import organ
from scalemai.errors import ConfigError
from scalemai.synthesis.populations.distributions import (
    Distribution,
    Histogram,
    LogNormal,
    Normal,
    Quantiles,
    Uniform,
)
from scalemai.synthesis.populations.group import LARGEST_HU, Group, Shares
from scalemai.synthesis.spec import LARGEST_DIAMETER_MM, SMALLEST_DIAMETER_MM

__all__ = ["MOST_PER_CASE", "read_groups", "write_groups"]

MOST_PER_CASE = 50

T = TypeVar("T")
_GROUP_KEYS = ("weight", "kind", "site", "form", "size_mm", "contrast_hu", "contrast", "margin")
_ORGAN_KEYS = (
    "weight", "groups", "kinds", "sites", "forms", "size_mm", "size_mm_by_site", "size_mm_by_kind",
    "contrast_hu", "contrast", "margin",
)  # fmt: skip
_DISTRIBUTIONS = ("uniform", "lognormal", "normal", "histogram", "quantiles")


@dataclass(frozen=True)
class _Node:
    """A value of the file with its path, for messages."""

    value: Any
    path: str
    where: str

    def error(self, what: str, fix: str = "") -> ConfigError:
        return ConfigError(what, where=f"{self.where}: {self.path}".rstrip(": "), fix=fix)

    def child(self, key: object) -> _Node:
        name = f"[{key}]" if isinstance(key, int) and isinstance(self.value, list) else f".{key}"
        return _Node(self.value[key], f"{self.path}{name}".lstrip("."), self.where)

    def table(self, known: Sequence[str] | None = None) -> Mapping[Any, Any]:
        if not isinstance(self.value, dict) or not self.value:
            raise self.error(f"{_short(self.value)} is no table", "write key: value")
        for key in self.value:
            if known is not None and key not in known:
                raise self.child(key).error("is unknown", f"known keys: {', '.join(known)}")
        return self.value

    def get(self, key: str) -> _Node | None:
        return self.child(key) if key in self.value else None

    def number(self) -> float:
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise self.error(f"{_short(self.value)} is no number")
        return float(self.value)

    def numbers(self) -> tuple[float, ...]:
        if not isinstance(self.value, list):
            raise self.error(f"{_short(self.value)} is no list of numbers", "write [1, 2, 3]")
        return tuple(self.child(index).number() for index in range(len(self.value)))

    def weights(self) -> Shares[Any]:
        """Weights by value; a single value stands for all the weight."""
        if isinstance(self.value, str):
            return ((self.value, 1.0),)
        shares = tuple((key, self.child(key).number()) for key in self.table())
        for key, weight in shares:
            if not 0.0 <= weight < float("inf"):
                raise self.child(key).error(f"{weight:g} is no weight", "give 0 or more")
        if not sum(weight for _, weight in shares) > 0.0:
            raise self.error("no weight is above 0", "give one")
        return shares


def read_groups(text: str, where: str) -> tuple[tuple[Group, ...], Shares[int]]:
    """Read groups, and the weights of the numbers of lesions per case (empty if not stated).

    Raises
    ------
    ConfigError
        In one line with the path of what is wrong.
    """
    top = _Node(_load(text, where), "", where)
    if top.value is None:
        raise top.error("is empty", "name an organ and its size_mm")
    groups: list[Group] = []
    count: Shares[int] = ()
    seen: dict[str, str] = {}
    for key in top.table():
        node = top.child(key)
        if key == "count":
            count = _read_count(node)
            continue
        name = _named(node, partial(organ, str(key))).name
        if name in seen:
            raise node.error(f"is {seen[name]!r} again", "keep one of them")
        seen[name] = str(key)
        groups += _read_organ(node, name)
    return tuple(groups), count


def write_groups(groups: Sequence[Group], count: Shares[int], about: Sequence[str] = ()) -> str:
    """Write YAML with one line per group, and its note as a comment."""
    lines = [_comment(line) for line in about]
    lines.append(f"count: {_flow(dict(count))}")
    for name, members in itertools.groupby(_by_organ(groups), key=lambda group: group.organ):
        lines += [f"{name}:", "  groups:"]
        for group in members:
            note = _comment(group.note) if group.note else ""
            lines.append(f"    - {_flow(_plain(group))}  {note}".rstrip())
    return "\n".join(lines) + "\n"


def _comment(text: str) -> str:
    """One line; what YAML takes for the end of a line, or refuses, becomes a space."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(("#", *printable.split()))


def _by_organ(groups: Sequence[Group]) -> list[Group]:
    order = {name: index for index, name in enumerate(dict.fromkeys(g.organ for g in groups))}
    return sorted(groups, key=lambda group: order[group.organ])


def _plain(group: Group) -> dict[str, Any]:
    plain: dict[str, Any] = {"weight": float(group.weight)}
    plain |= {name: value for name in ("kind", "site", "form") if (value := getattr(group, name))}
    plain["size_mm"] = {group.size_mm.name: group.size_mm.plain()}
    if group.contrast_hu is not None:
        plain["contrast_hu"] = {group.contrast_hu.name: group.contrast_hu.plain()}
    plain |= {
        name: dict(value) for name in ("contrast", "margin") if (value := getattr(group, name))
    }
    return plain


def _flow(value: object) -> str:
    text: str = yaml.safe_dump(
        value, default_flow_style=True, width=float("inf"), sort_keys=False, allow_unicode=True
    )
    return text.strip()


def _read_count(node: _Node) -> Shares[int]:
    if type(node.value) is int:
        return ((_lesions(node, node.value), 1.0),)
    return tuple((_lesions(node.child(key), key), weight) for key, weight in node.weights())


def _lesions(node: _Node, value: object) -> int:
    if type(value) is not int or not 1 <= value <= MOST_PER_CASE:
        raise node.error(f"{_short(value)} is no number of lesions", f"use 1 to {MOST_PER_CASE}")
    return value


def _read_organ(node: _Node, name: str) -> Iterator[Group]:
    node.table(_ORGAN_KEYS)
    shared = _Shared.read(node)
    whole = node.get("weight")
    if (listed := node.get("groups")) is not None:
        for key in ("kinds", "sites", "forms", "size_mm_by_site", "size_mm_by_kind"):
            if key in node.value:
                raise node.child(key).error("excludes groups", "leave one of them out")
        if not isinstance(listed.value, list) or not listed.value:
            raise listed.error(f"{_short(listed.value)} is no list", "write '- {site: ...}' lines")
        parts = [listed.child(index) for index in range(len(listed.value))]
        groups = [_read_group(part, name, shared) for part in parts]
        if whole is None:
            yield from groups
            return
        total = sum(group.weight for group in groups)
        if not total > 0.0:
            raise listed.error("no weight is above 0", "give one")
        for part, group in zip(parts, groups, strict=True):
            weight = whole.number() * group.weight / total
            yield _group(part, **{**vars(group), "weight": weight})
        return
    yield from _independent(node, name, shared, 1.0 if whole is None else whole.number())


@dataclass(frozen=True)
class _Shared:
    """What a table says of all its lesions."""

    size_mm: Distribution | None
    contrast_hu: Distribution | None
    contrast: Shares[str]
    margin: Shares[str]

    @classmethod
    def read(cls, node: _Node, above: _Shared | None = None) -> _Shared:
        found: dict[str, Any] = {} if above is None else dict(vars(above))
        for key in ("size_mm", "contrast_hu", "contrast", "margin"):
            child = node.get(key)
            if child is not None:
                found[key] = (
                    child.weights() if key in ("contrast", "margin") else _distribution(child)
                )
                # A contrast of its own takes the place of one that the table above has.
                if above is not None and key in _OTHER:
                    found[_OTHER[key]] = () if key == "contrast_hu" else None
        defaults: dict[str, Any] = {
            "size_mm": None,
            "contrast_hu": None,
            "contrast": (),
            "margin": (),
        }
        return cls(**{**defaults, **found})


_OTHER = {"contrast_hu": "contrast", "contrast": "contrast_hu"}


def _read_group(node: _Node, name: str, above: _Shared) -> Group:
    node.table(_GROUP_KEYS)
    shared = _Shared.read(node, above)
    names = {}
    for key in ("kind", "site", "form"):
        child = node.get(key)
        if child is not None and not isinstance(child.value, str):
            raise child.error(f"{_short(child.value)} is no name")
        names[key] = None if child is None else child.value
    weight = node.get("weight")
    return _group(
        node, organ=name, weight=1.0 if weight is None else weight.number(), **names, **vars(shared)
    )


def _independent(node: _Node, name: str, shared: _Shared, whole: float) -> Iterator[Group]:
    axes: dict[str, Shares[Any]] = {}
    for key in ("kinds", "sites", "forms"):
        child = node.get(key)
        axes[key] = ((None, 1.0),) if child is None else child.weights()
    by_site, by_kind = (_table_of(node, key) for key in ("size_mm_by_site", "size_mm_by_kind"))
    for key, table, allowed in (
        ("size_mm_by_site", by_site, axes["sites"]), ("size_mm_by_kind", by_kind, axes["kinds"])
    ):  # fmt: skip
        for value in table:
            if value not in dict(allowed):
                raise node.child(key).child(value).error("has no weight", "add it to the weights")
    totals = [sum(weight for _, weight in shares) for shares in axes.values()]
    for kind, site, form in itertools.product(*axes.values()):
        weight = whole
        for (_, part), total in zip((kind, site, form), totals, strict=True):
            weight *= part / total
        size = by_site.get(site[0], by_kind.get(kind[0], shared.size_mm))
        yield _group(
            node,
            organ=name,
            weight=weight,
            kind=kind[0],
            site=site[0],
            form=form[0],
            **{**vars(shared), "size_mm": size},
        )


def _table_of(node: _Node, key: str) -> dict[str, Distribution]:
    child = node.get(key)
    return (
        {} if child is None else {name: _distribution(child.child(name)) for name in child.table()}
    )


def _group(node: _Node, **values: Any) -> Group:
    if values["size_mm"] is None:
        raise node.error("has no size_mm", "add one, for example size_mm: {uniform: [5, 40]}")
    return _named(node, lambda: Group(**values))


def _named(node: _Node, make: Callable[[], T]) -> T:
    """Make something of a part of the file; an error gets the path."""
    try:
        return make()
    except ConfigError as error:
        inner = "" if error.where is None else f".{error.where}"
        raise _Node(None, f"{node.path}{inner}", node.where).error(error.what, error.fix) from error


def _distribution(node: _Node) -> Distribution:
    table = node.table(_DISTRIBUTIONS)
    if len(table) != 1:
        raise node.error(f"has {len(table)} distributions", "keep one")
    name = next(iter(table))
    child = node.child(name)
    sizes = "size_mm" in node.path
    ends = (SMALLEST_DIAMETER_MM, LARGEST_DIAMETER_MM) if sizes else (-LARGEST_HU, LARGEST_HU)
    if name == "uniform":
        return _named(child, lambda: Uniform(child.numbers()))
    if name == "quantiles":
        return _named(child, lambda: Quantiles(child.numbers()))
    if name == "histogram":
        child.table(("edges", "weights"))
        edges, weights = (_needed(child, key).numbers() for key in ("edges", "weights"))
        return _named(child, lambda: Histogram(edges, weights))
    if name == "lognormal":
        if not sizes:
            raise child.error("a contrast has two signs", "use normal, uniform or quantiles")
        child.table(("median", "sigma", "low", "high"))
        return _named(child, lambda: LogNormal(*_with_ends(child, ("median", "sigma"), ends)))
    child.table(("mean", "sd", "low", "high"))
    return _named(child, lambda: Normal(*_with_ends(child, ("mean", "sd"), ends)))


def _with_ends(
    node: _Node, names: tuple[str, str], ends: tuple[float, float]
) -> tuple[float, float, float, float]:
    first, second = (_needed(node, name).number() for name in names)
    low, high = (
        end if (given := node.get(name)) is None else given.number()
        for name, end in zip(("low", "high"), ends, strict=True)
    )
    return first, second, low, high


def _needed(node: _Node, key: str) -> _Node:
    child = node.get(key)
    if child is None:
        raise node.error(f"has no {key}", "add it")
    return child


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


class _UniqueKeyLoader(yaml.SafeLoader):
    """Refuses a key that stands twice, which YAML forbids and PyYAML lets pass."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value!r} stands twice", key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep=deep)


def _load(text: str, where: str) -> object:
    try:
        return yaml.load(text, Loader=_UniqueKeyLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}: " if mark is not None else ""
        problem = (
            getattr(error, "problem", None) or getattr(error, "reason", "") or "cannot be read"
        )
        raise ConfigError(f"is no YAML ({place}{problem})", where=where) from error
    except (ValueError, RecursionError) as error:  # dates and numbers that YAML has and Python not
        raise ConfigError(f"is no YAML ({error})", where=where) from error
