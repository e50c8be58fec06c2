"""The lesions that a detector needs more of, as a population that can be synthesized.

Lesions are wanted as often as they are missed: how frequent they are, times how often they are
missed. Both are estimated from few lesions per organ, kind and site, so rates are drawn toward
that of the organ, and sizes of misses toward those of the organ's misses. A part of the weight
stays with what there is, or a detector would forget the lesions that it finds.

Only what a population can say is used: organ, kind, site, size and contrast. Scanner, phase and
neighbours are no property of a lesion to be grown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalemai.anatomy import organ, structure
from scalemai.errors import ConfigError, UnknownNameError
from scalemai.synthesis.populations.distributions import Histogram, Quantiles
from scalemai.synthesis.populations.group import LARGEST_HU, Group, Shares
from scalemai.synthesis.populations.population import ONE_PER_CASE, TumorPopulation
from scalemai.synthesis.populations.table import lesion_table
from scalemai.synthesis.populations.yaml import MOST_PER_CASE
from scalemai.synthesis.spec import LARGEST_DIAMETER_MM, SMALLEST_DIAMETER_MM

__all__ = ["FLOOR", "SMOOTHING", "Wanted", "wanted_population"]

FLOOR = 0.2
"""Share of all synthetic lesions that follows the frequency of lesions, missed or not (author's
estimate, to be refined)."""

SMOOTHING = 5.0
"""Lesions at the organ's rate that every kind and site is counted with (author's estimate)."""

_LEAST = 20  # misses of which a contrast is taken, as in populations fitted to tables
_MOST_QUANTILES = 21
_EDGES_MM = (
    SMALLEST_DIAMETER_MM, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 50.0, 75.0, LARGEST_DIAMETER_MM
)  # fmt: skip
_NAMES = ("organ", "kind", "site")
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Wanted:
    """What to synthesize for a detector.

    Parameters
    ----------
    population
        The distribution, one group for each organ, kind and site.
    rows
        What it rests on: columns ``organ, kind, site, n, missed, rate`` (as counted), ``smoothed``
        (rate drawn toward that of the organ), ``prevalence`` (share of lesions) and ``weight``
        (share of the synthetic ones).
    notes
        What could not be used, in words.
    """

    population: TumorPopulation
    rows: pl.DataFrame
    notes: tuple[str, ...]


def wanted_population(
    lesions: pl.DataFrame, *, floor: float = FLOOR, smoothing: float = SMOOTHING
) -> Wanted:
    """Ask for lesions like those that were missed.

    Parameters
    ----------
    lesions
        Columns ``case``, ``missed``, ``diameter_mm`` (mm), ``organ`` or ``structure``, and where
        known ``kind``, ``site`` and ``contrast_hu`` (HU).
    floor
        Share of the weight that follows the frequency of lesions.
    smoothing
        Lesions at the organ's rate that each kind and site is counted with.

    Raises
    ------
    ConfigError
        If no lesion lies in an organ with facts, none was missed, or a number is impossible.
    """
    if not 0 <= floor <= 1:
        raise ConfigError(f"{floor:g} is no share", where="floor", fix="give 0 to 1")
    if not 0 < smoothing < float("inf"):
        fix = "give a number above 0"
        raise ConfigError(f"{smoothing:g} lesions are none", where="smoothing", fix=fix)
    known, notes = _known(lesions)
    if not known["missed"].any():
        fix = "there is nothing to ask for; synthesize what there is with scalemai population fit"
        raise ConfigError("no lesion was missed", where="lesions", fix=fix)
    counted = _counted(known, floor, smoothing)
    groups = tuple(_groups(known, counted, floor, smoothing))
    return Wanted(TumorPopulation(groups, _per_case(known)), counted, tuple(notes))


def _known(lesions: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Lesions with names of the organ facts and sizes that can be grown; what is lost, in words."""
    text = {
        name: pl.col(name).cast(pl.String) if name in lesions.columns else pl.lit(None, pl.String)
        for name in (*_NAMES, "structure")
    }
    hu = pl.col("contrast_hu") if "contrast_hu" in lesions.columns else pl.lit(None)
    told = lesions.select(
        **text,
        case=pl.col("case").cast(pl.String),
        missed=pl.col("missed"),
        diameter_mm=pl.col("diameter_mm").cast(pl.Float64).fill_nan(None),
        contrast_hu=hu.cast(pl.Float64).fill_nan(None),
    )
    notes = [
        f"{name} of no lesion is known; the population leaves it to the facts of the organ"
        for name in ("kind", "site", "contrast_hu")
        if told[name].null_count() == told.height
    ]
    keys = [*_NAMES, "structure"]
    combinations = told.select(keys).unique(maintain_order=True)
    named = [_names_of(row) for row in combinations.iter_rows(named=True)]
    joined = told.join(
        combinations.with_columns(
            *(
                pl.Series(f"known_{name}", [names[i] for names, _ in named], pl.String)
                for i, name in enumerate(_NAMES)
            ),
            pl.Series("problem", [problem for _, problem in named], pl.String),
        ),
        on=keys,
        nulls_equal=True,
        maintain_order="left",
    )
    wrong = joined.drop_nulls("problem").group_by("problem").len().sort("problem")
    notes += [f"{problem} ({n} lesions)" for problem, n in wrong.iter_rows()]
    sized = pl.col("diameter_mm").is_between(SMALLEST_DIAMETER_MM, LARGEST_DIAMETER_MM)
    placed = joined.filter(pl.col("known_organ").is_not_null())
    out = placed.filter(sized.fill_null(value=False))
    if out.height < placed.height:
        notes.append(
            f"{placed.height - out.height} lesions have no diameter from {SMALLEST_DIAMETER_MM:g} "
            f"to {LARGEST_DIAMETER_MM:g} mm and are left out"
        )
    if not out.height:
        fix = "name the organ in a column; known organs are listed by scalemai describe"
        raise ConfigError("no lesion lies in an organ with facts", where="lesions", fix=fix)
    return out.with_columns(pl.col(f"known_{name}").alias(name) for name in _NAMES), notes


def _names_of(told: dict[str, str | None]) -> tuple[tuple[str | None, ...], str | None]:
    """Organ, kind and site of the facts; what they do not have is None, and said."""
    place = told["organ"] or told["structure"]
    name = next((one for one in (place, _parent(place)) if one and _is_organ(one)), None)
    if name is None:
        return (None, None, None), f"organ {place!r} has no facts: its lesions are left out"
    found: list[str | None] = [organ(name).name]
    problems = []
    for part in ("kind", "site"):
        value = told[part]
        mapped = None
        if value is not None:
            try:
                row = {"organ": name, part: value, "diameter_mm": SMALLEST_DIAMETER_MM}
                mapped = lesion_table(pl.DataFrame([row])).rows[part][0]
            except ConfigError:
                problems.append(f"{found[0]} has no {part} {value!r}: it is left open")
        found.append(mapped)
    return tuple(found), "; ".join(problems) or None


def _is_organ(name: str) -> bool:
    try:
        organ(name)
    except UnknownNameError:
        return False
    return True


def _parent(name: str | None) -> str | None:
    if name is None:
        return None
    try:
        return structure(name).parent
    except UnknownNameError:
        return None


def _counted(known: pl.DataFrame, floor: float, smoothing: float) -> pl.DataFrame:
    total = known.height
    rows = (
        known.group_by(_NAMES)
        .agg(n=pl.len().cast(pl.Int64), missed=pl.col("missed").sum().cast(pl.Int64))
        .sort(_NAMES)
    )
    # An organ without a miss still may have one: half a miss, as in the Jeffreys prior.
    of_organ = (pl.col("missed").sum().over("organ") + 0.5) / (pl.col("n").sum().over("organ") + 1)
    rows = rows.with_columns(
        rate=pl.col("missed") / pl.col("n"),
        smoothed=(pl.col("missed") + smoothing * of_organ) / (pl.col("n") + smoothing),
        prevalence=pl.col("n") / total,
    )
    by_miss = pl.col("prevalence") * pl.col("smoothed")
    return rows.with_columns(
        weight=(1 - floor) * by_miss / by_miss.sum() + floor * pl.col("prevalence")
    )


def _groups(
    known: pl.DataFrame, counted: pl.DataFrame, floor: float, smoothing: float
) -> Iterator[Group]:
    for row in counted.iter_rows(named=True):
        of_organ = known.filter(pl.col("organ") == row["organ"])
        own = of_organ.filter(
            *(pl.col(name).eq_missing(pl.lit(row[name], pl.String)) for name in ("kind", "site"))
        )
        # A cyst must not get the contrast of a carcinoma, so the organ as a whole is no source.
        of_kind = of_organ.filter(pl.col("kind").eq_missing(pl.lit(row["kind"], pl.String)))
        hu, hu_note = _contrast(own, of_kind)
        yield Group(
            organ=row["organ"],
            weight=round(row["weight"], 6),
            kind=row["kind"],
            site=row["site"],
            size_mm=_sizes(own, of_organ, floor, smoothing),
            contrast_hu=hu,
            note=f"{row['missed']} of {row['n']} missed, {row['smoothed']:.0%} smoothed{hu_note}",
        )


def _sizes(own: pl.DataFrame, of_organ: pl.DataFrame, floor: float, smoothing: float) -> Histogram:
    """Sizes of the misses, drawn toward those of the organ; a part follows the sizes there are."""
    diameters = of_organ["diameter_mm"].to_numpy()
    low, high = float(diameters.min()), float(diameters.max())
    inner = [edge for edge in _EDGES_MM if low < edge < high]
    edges = np.array([low, *inner, max(high, low + 1e-3)]).round(3)
    edges = np.unique(np.clip(edges, SMALLEST_DIAMETER_MM, LARGEST_DIAMETER_MM))
    if edges.size < 2:  # all lesions have one size, at an end of what can be grown
        edges = np.unique(
            np.clip([edges[0] - 1e-3, edges[0] + 1e-3], SMALLEST_DIAMETER_MM, LARGEST_DIAMETER_MM)
        )

    def shares(rows: pl.DataFrame) -> tuple[Array, float]:
        sizes = rows["diameter_mm"].to_numpy().clip(edges[0], edges[-1])
        count = np.histogram(sizes, edges)[0].astype(np.float64)
        return count, float(count.sum())

    misses, n_misses = shares(own.filter("missed"))
    organ_misses, n_organ = shares(of_organ.filter("missed"))
    there, n_there = shares(own)
    usual = organ_misses / n_organ if n_organ else there / n_there
    by_miss = (misses + smoothing * usual) / (n_misses + smoothing)
    weights = (1 - floor) * by_miss + floor * there / n_there
    return Histogram(tuple(edges.tolist()), tuple(weights.round(6).tolist()))


def _contrast(own: pl.DataFrame, of_kind: pl.DataFrame) -> tuple[Quantiles | None, str]:
    """Contrast of the misses, if there are enough; otherwise the facts of the organ know it."""
    for rows, name in ((own, "its own"), (of_kind, "the kind's")):
        hu = rows.filter("missed")["contrast_hu"].drop_nulls()
        hu = hu.filter(hu.abs() <= LARGEST_HU)
        if len(hu) >= _LEAST:
            shares = np.linspace(0.0, 1.0, min(_MOST_QUANTILES, len(hu)))
            found = np.maximum.accumulate(np.quantile(hu.to_numpy(), shares)).round(3)
            return Quantiles(tuple(found.tolist())), f"; contrast of {len(hu)} of {name} misses"
    return None, ""


def _per_case(known: pl.DataFrame) -> Shares[int]:
    numbers = known.group_by("case").len()["len"].clip(1, MOST_PER_CASE)
    table = numbers.cast(pl.Int64).rename("n").value_counts(name="cases").sort("n")
    return tuple((int(n), float(cases)) for n, cases in table.iter_rows()) or ONE_PER_CASE
