"""A population from a table of real lesions, and a table made even.

Frequencies are smoothed, so that a site without a lesion among few is rare and not impossible.
Sizes and contrasts are the table's own quantiles, of the narrowest set of lesions that is large
enough.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
import polars as pl

from scalemai.anatomy import Organ, organ, structure
from scalemai.errors import ConfigError
from scalemai.synthesis.populations.distributions import Quantiles, Uniform
from scalemai.synthesis.populations.group import LARGEST_HU, Group
from scalemai.synthesis.populations.population import ONE_PER_CASE, TumorPopulation
from scalemai.synthesis.populations.table import LesionTable

__all__ = ["ALPHA", "LEAST_LESIONS", "Axis", "even", "fit_population"]

ALPHA = 0.5
"""Added to the number of lesions of each kind and site: the Jeffreys prior."""

LEAST_LESIONS = 20
"""From so many lesions on a set has quantiles of its own; author's choice."""

_MOST_QUANTILES = 41
Axis = Literal["organs", "kinds", "sites", "sizes"]


def fit_population(
    table: LesionTable, *, alpha: float = ALPHA, least: int = LEAST_LESIONS
) -> TumorPopulation:
    """Fit a population to real lesions.

    Parameters
    ----------
    table
        The lesions.
    alpha
        Added to the number of lesions in each kind and site of an organ. Sites that the table
        never has take part if they lie apart from those that it has.
    least
        Lesions of one kind and site have their own distribution of sizes if there are so many;
        otherwise that of the site, the kind or the organ.

    Returns
    -------
    TumorPopulation
        One group for each organ, kind and site; notes say on how many lesions each rests.

    Raises
    ------
    ConfigError
        If ``alpha`` is negative or ``least`` below 1.
    """
    if not 0.0 <= alpha < float("inf"):
        raise ConfigError(f"{alpha:g} is no count", where="alpha", fix="give 0 or more")
    if least < 1:
        raise ConfigError(f"{least} lesions are none", where="least", fix="give 1 or more")
    groups: list[Group] = []
    for name in table.rows["organ"].unique().sort():
        groups += _fit_organ(table.rows.filter(pl.col("organ") == name), organ(name), alpha, least)
    return TumorPopulation(tuple(groups), table.count or ONE_PER_CASE)


def even(population: TumorPopulation, axes: Sequence[Axis]) -> TumorPopulation:
    """Make a population even: every organ, kind, site or size of an organ as frequent as another.

    What is not named keeps its proportions. Even sizes go from the smallest to the largest of
    the organ.

    Raises
    ------
    ConfigError
        If an axis is unknown or none is named.
    """
    if not axes or any(axis not in get_args(Axis) for axis in axes):
        what = f"nothing is uniform over {' and '.join(axes) or 'nothing'}"
        raise ConfigError(what, where="target", fix=f"use some of {', '.join(get_args(Axis))}")
    out: list[Group] = []
    for name in population.organs:
        members = [group for group in population.groups if group.organ == name]
        share = 1.0 if "organs" in axes else sum(group.weight for group in members)
        cells: dict[tuple[str | None, str | None], float] = defaultdict(float)
        for group in members:
            cells[_key(group, axes)] += group.weight
        filled = sum(weight > 0.0 for weight in cells.values())
        low = min(group.size_mm.low for group in members)
        high = max(group.size_mm.high for group in members)
        for group in members:
            inside = group.weight / (cells[_key(group, axes)] or 1.0)
            size = Uniform((low, high)) if "sizes" in axes else group.size_mm
            out.append(replace(group, weight=share * inside / filled, size_mm=size))
    return TumorPopulation(tuple(out), population.count)


def _key(group: Group, axes: Sequence[Axis]) -> tuple[str | None, str | None]:
    return group.kind if "kinds" in axes else "", group.site if "sites" in axes else ""


def _fit_organ(rows: pl.DataFrame, facts: Organ, alpha: float, least: int) -> Iterator[Group]:
    kinds = rows["kind"].unique().sort().to_list()
    sites = rows["site"].drop_nulls().unique().sort().to_list()
    sites = [*sites, *_apart_from(sites, facts)] if sites else [None]
    for kind in kinds:
        for site in sites:
            n = rows.filter(_is("kind", kind) & _is("site", site)).height
            if n + alpha <= 0.0:
                continue
            sizes, of = _narrowest(rows, kind, site, "diameter_mm", least)
            note = f"n={n}; sizes of {sizes.height} in {of}"
            hu, hu_of = _narrowest(
                rows.drop_nulls("contrast_hu").filter(pl.col("contrast_hu").abs() <= LARGEST_HU),
                kind, site, "contrast_hu", least,
            )  # fmt: skip
            contrast = None
            if hu.height >= least:
                contrast = _quantiles(hu["contrast_hu"])
                note += f"; contrast of {hu.height} in {hu_of}"
            yield Group(
                organ=facts.name,
                weight=n + alpha,
                kind=kind,
                site=site,
                size_mm=_quantiles(sizes["diameter_mm"]),
                contrast_hu=contrast,
                note=note,
            )


def _narrowest(
    rows: pl.DataFrame, kind: str | None, site: str | None, column: str, least: int
) -> tuple[pl.DataFrame, str]:
    """The narrowest set of lesions with enough of them, and its name; else the whole organ."""
    of_kind, of_site = _is("kind", kind), _is("site", site)
    for name, chosen in (
        ("kind and site", of_kind & of_site),
        ("the site", of_site),
        ("the kind", of_kind),
    ):
        found = rows.filter(chosen & pl.col(column).is_not_null())
        if found.height >= least:
            return found, name
    return rows, "the organ"


def _is(column: str, value: str | None) -> pl.Expr:
    return pl.col(column).eq_missing(pl.lit(value, pl.String))


def _quantiles(values: pl.Series) -> Quantiles:
    array = np.sort(values.to_numpy())
    shares = np.linspace(0.0, 1.0, min(_MOST_QUANTILES, max(2, array.size)))
    found = np.quantile(array, shares)
    return Quantiles(tuple(np.maximum.accumulate(found).round(3).tolist()))


def _apart_from(known: Sequence[str], facts: Organ) -> list[str]:
    """Sites that overlap none of those that are known, nor each other."""
    taken = [facts.sites[site] for site in known]
    found = []
    for site, members in facts.sites.items():
        if not any(_overlap(members, other) for other in taken):
            found.append(site)
            taken.append(members)
    return found


def _overlap(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether a structure of one is, or is a part of, one of the other."""
    return bool(_with_wholes(first) & set(second) or _with_wholes(second) & set(first))


def _with_wholes(names: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for name in names:
        part: str | None = name
        while part is not None:
            found.add(part)
            part = structure(part).parent
    return found
