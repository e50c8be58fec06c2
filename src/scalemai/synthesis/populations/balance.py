"""What to synthesize so that real and synthetic lesions together come near a target.

A data set mostly has what is common: pancreatic tumors in the head, large ones. Given what there
is and what is wanted, the synthetic lesions fill what is missing, cell by cell of organ, kind,
site and size.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, inf
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from scalemai.errors import ConfigError
from scalemai.synthesis.populations.distributions import Uniform
from scalemai.synthesis.populations.fit import Axis, even, fit_population
from scalemai.synthesis.populations.group import Group
from scalemai.synthesis.populations.population import TumorPopulation, read_population
from scalemai.synthesis.populations.table import LesionTable
from scalemai.synthesis.spec import LesionSpec
from scalemai.synthesis.words.language import parse_description

__all__ = ["Balance", "Cell", "compensate", "read_target"]

_BANDS = 4  # of size within a group of the target, alike in frequency
_POINTS = 400  # values that stand for the sizes of one group of a real population
_EVEN = re.compile(
    r"\s*(?:uniform|even)\s+over\s+([a-z]+(?:(?:\s*,\s*|\s+and\s+)[a-z]+)*)\s*", re.I
)


@dataclass(frozen=True)
class Cell:
    """Lesions of one organ, kind and site in a range of sizes.

    Parameters
    ----------
    group
        The group of the target.
    low_mm, high_mm
        Ends of the range; the lower one belongs to it in the first range of the group only.
    target
        Share that is wanted, of all lesions.
    n_real
        Number of real lesions.
    n_synthetic
        Number of synthetic lesions that is expected.
    reached
        Share of real and synthetic lesions together.
    """

    group: Group
    low_mm: float
    high_mm: float
    target: float
    n_real: float
    n_synthetic: float
    reached: float


@dataclass(frozen=True)
class Balance:
    """The population to synthesize, and how near it brings the whole to the target.

    Parameters
    ----------
    population
        What to synthesize.
    cells
        What is wanted, there, added and reached.
    n_real, n_synthetic
        Numbers of lesions.
    outside
        Real lesions that the target has no place for.
    distance
        Share of lesions that would have to be others for the target to be met exactly (total
        variation); no other population of as many synthetic lesions has a smaller one.
    needed
        Number of synthetic lesions from which on the target is met exactly; None if never.
    notes
        What cannot be reached, in words.
    """

    population: TumorPopulation
    cells: tuple[Cell, ...]
    n_real: float
    n_synthetic: int
    outside: float
    distance: float
    needed: int | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Real:
    """Real lesions as arrays; ``n`` is how many each entry stands for."""

    names: NDArray[np.object_]  # organ, kind, site
    mm: NDArray[np.float64]
    n: NDArray[np.float64]


def compensate(
    real: LesionTable | TumorPopulation,
    target: TumorPopulation,
    *,
    n_synthetic: int,
    n_real: int | None = None,
) -> Balance:
    """Choose what to synthesize, so that real and synthetic lesions together come near a target.

    Each cell gets what it lacks of its share of the whole, ``max(target * (n_real + n_synthetic)
    - n_real_cell, 0)``, scaled to ``n_synthetic`` together.

    Parameters
    ----------
    real
        The lesions of a data set, or the population that they are of.
    target
        What is wanted of real and synthetic lesions together.
    n_synthetic
        Number of lesions to synthesize.
    n_real
        Number of real lesions, if ``real`` is a population.

    Raises
    ------
    ConfigError
        If a number is missing or impossible.
    """
    if n_synthetic < 1:
        fix = "give 1 or more"
        raise ConfigError(f"{n_synthetic} lesions are none", where="n_synthetic", fix=fix)
    lesions = _rows_of(real) if isinstance(real, LesionTable) else _points_of(real, n_real)
    bands = [band for group, w in zip(target.groups, target.shares, strict=True) if w > 0.0
             for band in _bands(group, w)]  # fmt: skip
    shares = np.array([share for *_, share in bands])
    counts, outside = _count(lesions, bands)
    total = float(lesions.n.sum())
    whole = total + n_synthetic
    lacking = np.maximum(shares * whole - counts, 0.0)
    added = lacking * (n_synthetic / lacking.sum())
    reached = (counts + added) / whole
    distance = 0.5 * (float(np.abs(reached - shares).sum()) + outside / whole)
    cells = tuple(
        Cell(group, low, high, share, float(n), float(new), float(share_reached))
        for (group, low, high, share), n, new, share_reached in zip(
            bands, counts, added, reached, strict=True
        )
    )
    most = max(float((counts / shares).max()), total) if outside < 0.5 else inf
    needed = None if most == inf else max(0, ceil(most - total - 1e-9))
    population = TumorPopulation(tuple(_groups_to_add(cells)), target.count)
    notes = _notes(cells, outside, whole, needed, n_synthetic)
    return Balance(population, cells, total, n_synthetic, outside, distance, needed, notes)


def read_target(text: str, real: LesionTable) -> TumorPopulation:
    """Read what is wanted.

    Parameters
    ----------
    text
        ``"uniform over sites"`` (or ``organs``, ``kinds``, ``sizes``, several with "and"), which
        keeps everything else as the table has it; the path of a YAML file of a population; or a
        description of lesions, ``"lesions up to 20 mm in the pancreatic body and lesions up to
        20 mm in the pancreatic tail"``, which are wanted alike.
    real
        The real lesions.

    Raises
    ------
    ConfigError
        If it is none of these.
    """
    found = _EVEN.fullmatch(text)
    if found is not None:
        axes = re.split(r"\s*,\s*|\s+and\s+", found[1].lower())
        return even(fit_population(real), cast("list[Axis]", axes))
    if text.lower().endswith((".yaml", ".yml")):
        return read_population(Path(text))
    groups = tuple(map(_group_of, parse_description(text).specs))
    return replace(fit_population(real), groups=groups)


def _group_of(spec: LesionSpec) -> Group:
    fields = ("organ", "kind", "site", "form", "diameter_mm", "contrast", "contrast_hu", "margin")
    if spec != LesionSpec(**{name: getattr(spec, name) for name in fields}):
        fix = f"describe {', '.join(fields[:-1])} and {fields[-1]} only"
        raise ConfigError("says more than a table of lesions does", where="target", fix=fix)
    hu = spec.contrast_hu
    return Group(
        organ=spec.organ,
        weight=1.0,
        kind=spec.kind,
        site=spec.site,
        form=spec.form,
        size_mm=Uniform(spec.diameter_mm),
        contrast_hu=None if hu is None else Uniform((hu, hu)),
        contrast=((spec.contrast, 1.0),) if spec.contrast and hu is None else (),
        margin=((spec.margin, 1.0),) if spec.margin else (),
    )


_Band = tuple[Group, float, float, float]  # group, sizes from and to in mm, share


def _bands(group: Group, weight: float) -> list[_Band]:
    """Cut a group by size into parts of about the same share; a single size is one part."""
    cuts = [group.size_mm.quantile(part / _BANDS) for part in range(_BANDS + 1)]
    edges = list(dict.fromkeys(cuts))
    if len(edges) == 1:
        return [(group, edges[0], edges[0], weight)]
    parts = []
    below = 0.0
    for low, high in pairwise(edges):
        up_to = group.size_mm.below(high)
        parts.append((group, low, high, weight * (up_to - below)))
        below = up_to
    return [part for part in parts if part[3] > 0.0]


def _count(real: _Real, bands: list[_Band]) -> tuple[NDArray[np.float64], float]:
    """Real lesions in each cell, shared out where cells overlap, and those in none."""
    combinations, where = np.unique(real.names.astype(str), axis=0, return_inverse=True)
    where = where.reshape(-1)

    def inside(band: _Band) -> NDArray[np.bool_]:
        group, low, high, _ = band
        wanted = (group.organ, group.kind, group.site)
        fits = np.array(
            [all(w is None or w == name for w, name in zip(wanted, row, strict=True))
             for row in combinations]
        )  # fmt: skip
        first = low <= group.size_mm.low
        from_low = real.mm >= low if first else real.mm > low
        return np.asarray(fits[where] & from_low & (real.mm <= high))

    shares = np.zeros(real.mm.size)
    for band in bands:
        shares[inside(band)] += band[3]
    apart = np.divide(real.n, shares, out=np.zeros_like(real.n), where=shares > 0.0)
    counts = np.array([band[3] * apart[inside(band)].sum() for band in bands])
    return counts, float(real.n[shares == 0.0].sum())


def _rows_of(table: LesionTable) -> _Real:
    rows = table.rows
    names = np.column_stack([rows[name].to_numpy().astype(object) for name in _NAMES])
    return _Real(names, rows["diameter_mm"].to_numpy(), np.ones(rows.height))


def _points_of(population: TumorPopulation, n_real: int | None) -> _Real:
    if n_real is None or n_real < 0:
        fix = "give 0 or more, with a population of real lesions"
        raise ConfigError(f"{n_real} is no number of lesions", where="n_real", fix=fix)
    shares = (np.arange(_POINTS) + 0.5) / _POINTS
    names = [[getattr(group, name) for name in _NAMES] for group in population.groups]
    mm = [[group.size_mm.quantile(float(s)) for s in shares] for group in population.groups]
    n = np.repeat(np.array(population.shares) * n_real / _POINTS, _POINTS)
    return _Real(np.repeat(np.array(names, object), _POINTS, axis=0), np.array(mm).ravel(), n)


_NAMES = ("organ", "kind", "site")


def _groups_to_add(cells: tuple[Cell, ...]) -> list[Group]:
    found = []
    for cell in cells:
        if cell.n_synthetic <= 0.0:
            continue
        sizes = cell.group.size_mm
        low, high = sizes.below(cell.low_mm), sizes.below(cell.high_mm)
        first = cell.low_mm <= sizes.low
        part = sizes.between(0.0 if first else low, high)
        note = (
            f"{cell.low_mm:.3g}-{cell.high_mm:.3g} mm: {cell.n_real:.0f} real, "
            f"{cell.n_synthetic:.0f} more, {cell.reached:.1%} of {cell.target:.1%} wanted"
        )
        found.append(replace(cell.group, weight=cell.n_synthetic, size_mm=part, note=note))
    return found


def _notes(
    cells: tuple[Cell, ...], outside: float, whole: float, needed: int | None, n_synthetic: int
) -> tuple[str, ...]:
    notes = []
    if outside >= 0.5:
        notes.append(
            f"{outside:.0f} real lesions ({outside / whole:.1%} of all) lie where the target has "
            "none; synthesis takes no lesion away"
        )
    crowded = [cell for cell in cells if cell.n_real > cell.target * whole * (1.0 + 1e-9) + 1e-9]
    for cell in sorted(crowded, key=lambda cell: cell.target * whole - cell.n_real)[:3]:
        name = " ".join(filter(None, (cell.group.organ, cell.group.site, cell.group.kind)))
        notes.append(
            f"{name}, {cell.low_mm:.3g}-{cell.high_mm:.3g} mm: real lesions alone are "
            f"{cell.reached:.1%} of all, more than the {cell.target:.1%} wanted"
        )
    if needed is not None and needed > n_synthetic:
        notes.append(f"{needed:,} synthetic lesions would meet the target exactly")
    return tuple(notes)
