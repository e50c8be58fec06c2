"""Names of a checkpoint in the words of a network: wrappers' prefixes taken off, or put on.

A prefix is not looked up in a list: of all beginnings that can be taken off the checkpoint's
names, or are missing from them, the pair is taken after which most names agree exactly.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import torch

from scalemai.errors import ConfigError
from scalemai.training.transfer.containers import State
from scalemai.training.transfer.layouts import translations

__all__ = ["Renaming", "rename"]

_WRAPPERS = frozenset(
    ("_orig_mod", "_forward_module", "_checkpoint_wrapped_module", "_fsdp_wrapped_module")
)
"""Parts of names that torch.compile, Fabric, activation checkpointing and FSDP put in, anywhere."""

_MOST_ADDED = 2  # parts of a name that a checkpoint of a part of the network may lack
_FEWEST_OF_A_PART = 10  # names; fewer agree by chance, such as weight and bias of two layers


@dataclass(frozen=True)
class Renaming:
    """How names of a checkpoint become names of a network.

    Parameters
    ----------
    removed, added
        What was taken off the start of each name, and put before it; with their dots.
    layout
        Whose names were translated, see :mod:`scalemai.training.transfer.layouts`; else empty.
    names
        Name in the checkpoint of each name that has been found in the network.
    """

    removed: str
    added: str
    layout: str
    names: Mapping[str, str]


def rename(
    state: State, shapes: Mapping[str, torch.Size], *, prefix: str | None = None
) -> Renaming:
    """Find the renaming after which most names of a checkpoint are names of a network.

    Parameters
    ----------
    state
        Weights of the checkpoint.
    shapes
        Shape of each tensor of the network.
    prefix
        What to take off the checkpoint's names, if that is to be decided by hand.

    Raises
    ------
    ConfigError
        If two prefixes fit equally well, as when a file holds a teacher and a student; or if no
        name begins with ``prefix``.
    """
    plain = {_unwrapped(name): name for name in state}
    layouts = {"": plain, **translations(plain)}
    found = [_best(names, state, shapes, prefix, layout) for layout, names in layouts.items()]
    return max(found, key=lambda one: len(one.names))


def _best(
    names: Mapping[str, str],
    state: State,
    shapes: Mapping[str, torch.Size],
    prefix: str | None,
    layout: str,
) -> Renaming:
    """The best pair of prefixes; ``names`` has the checkpoint's name of each plain name."""
    hits = _hits(names, shapes)
    if prefix is not None:
        removed = f"{prefix.rstrip('.')}." if prefix else ""
        if not any(name.startswith(removed) for name in names):
            fix = f"names begin, for example, with {next(iter(names))}"
            raise ConfigError(f"no name begins with {removed!r}", where="prefix", fix=fix)
        hits = {pair: count for pair, count in hits.items() if pair[0] == removed}
    if not hits:
        return Renaming("", "", layout, {})

    def rank(pair: tuple[str, str]) -> tuple[int, int]:
        fitting = sum(
            state[source].shape == shapes[name]
            for name, source in _renamed(names, *pair, shapes).items()
        )
        return hits[pair], fitting

    most = max(hits.values())
    best = sorted((p for p in hits if hits[p] == most), key=lambda p: (len(p[0] + p[1]), p))
    ranks = {pair: rank(pair) for pair in best}
    top = max(ranks.values())
    best = [pair for pair in best if ranks[pair] == top]
    # Below half, they are no two networks, but names that agree by chance; the share will tell.
    if len({pair[0] for pair in best}) > 1 and 2 * most >= len(shapes):
        several = " and ".join(repr(pair[0]) for pair in best[:3])
        what = f"holds several networks that fit equally well, under {several}"
        raise ConfigError(what, where="checkpoint", fix="say which one with prefix")
    removed, added = best[0]
    return Renaming(removed, added, layout, _renamed(names, removed, added, shapes))


def _hits(names: Iterable[str], shapes: Collection[str]) -> dict[tuple[str, str], int]:
    """How many names agree exactly after each pair of (removed, added) that helps any."""
    lacking: dict[str, list[str]] = defaultdict(list)
    for name in shapes:
        for added, rest in _ends(name, _MOST_ADDED):
            lacking[rest].append(added)
    votes: Counter[tuple[str, str]] = Counter()
    for name in names:
        for removed, rest in _ends(name):
            votes.update((removed, added) for added in lacking.get(rest, ()))
    under = Counter(added for name in shapes for added, _ in _ends(name, _MOST_ADDED))
    return {
        (removed, added): count
        for (removed, added), count in votes.items()
        if not added or (count >= _FEWEST_OF_A_PART and 2 * count >= under[added])
    }


def _ends(name: str, most: int | None = None) -> list[tuple[str, str]]:
    """Each way to split a dotted name in two, the first part with its dot; both ends included."""
    parts = name.split(".")
    last = len(parts) - 1 if most is None else min(most, len(parts) - 1)
    return [
        ("".join(f"{part}." for part in parts[:cut]), ".".join(parts[cut:]))
        for cut in range(last + 1)
    ]


def _renamed(
    names: Mapping[str, str], removed: str, added: str, shapes: Collection[str]
) -> dict[str, str]:
    """Name in the checkpoint of each name of the network that a pair of prefixes finds."""
    found = {}
    for name, source in names.items():
        if name.startswith(removed) and (ours := added + name[len(removed) :]) in shapes:
            found[ours] = source
    return found


def _unwrapped(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)
