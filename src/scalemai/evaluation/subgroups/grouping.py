"""Which group a row belongs to: words as they are, numbers in bins, intersections."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import polars as pl

from scalemai.errors import ConfigError

__all__ = ["NOT_RECORDED", "Factor", "labels_of", "parse_edges", "parse_factors"]

NOT_RECORDED = "not recorded"
"""The group of rows without metadata; it is shown, but is no group of patients."""

_MOST_NUMBERS = 12
"""Most distinct numbers that are groups of their own (stages, numbers of lesions)."""


@dataclass(frozen=True, slots=True)
class Factor:
    """A column, or the intersection of several.

    Parameters
    ----------
    columns
        Names in the metadata.
    """

    columns: tuple[str, ...]

    def __str__(self) -> str:
        return "+".join(self.columns)


def parse_factors(text: str) -> tuple[Factor, ...]:
    """Read ``"sex,age,sex+age"``: columns, and intersections joined by a plus.

    Raises
    ------
    ConfigError
        If nothing is named, or a factor is named twice.
    """
    factors = tuple(
        Factor(tuple(part.strip() for part in one.split("+"))) for one in text.split(",") if one
    )
    if not factors or any(not name for one in factors for name in one.columns):
        raise ConfigError(f"{text!r} names no columns", where="by", fix="for example sex,age")
    if len(set(factors)) < len(factors):
        raise ConfigError(f"{text!r} names a factor twice", where="by", fix="name each once")
    return factors


def parse_edges(texts: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """Read ``"age=40,60"`` as the bins below 40, 40 to below 60, and from 60 on.

    Raises
    ------
    ConfigError
        If an edge is no number, or edges do not rise.
    """
    edges: dict[str, tuple[float, ...]] = {}
    for text in texts:
        name, sign, numbers = text.partition("=")
        try:
            found = tuple(float(one) for one in numbers.split(","))
        except ValueError:
            found = ()
        rising = all(a < b for a, b in pairwise(found))
        if not (sign and name.strip() and found and rising and all(map(math.isfinite, found))):
            fix = "give COLUMN=EDGE,EDGE in rising order, for example age=40,60"
            raise ConfigError(f"{text!r} are no bins", where="bins", fix=fix)
        edges[name.strip()] = found
    return edges


def labels_of(
    frame: pl.DataFrame, factor: Factor, edges: Mapping[str, Sequence[float]]
) -> tuple[list[str], list[str]]:
    """The group of each row, and all groups in order.

    Parameters
    ----------
    frame
        Columns ``by:NAME`` of the metadata.
    factor
        Which columns.
    edges
        Column to the edges of its bins: a bin holds its lower edge. Without them, ages go by
        decade; other numbers are groups of their own if they are few.

    Returns
    -------
    tuple
        Labels (rows,); and the distinct ones, numbers in their order, ``not recorded`` last. A row
        with any column of an intersection not recorded is not recorded.

    Raises
    ------
    ConfigError
        If a column of numbers needs edges, or has edges and is no column of numbers.
    """
    columns, orders = [], []
    for name in factor.columns:
        labels, order = _column(frame[f"by:{name}"], name, edges.get(name))
        columns.append(labels)
        orders.append({label: k for k, label in enumerate(order)})
    rows = list(zip(*columns, strict=True))
    found = sorted(
        {row for row in rows if NOT_RECORDED not in row},
        key=lambda row: [order[label] for order, label in zip(orders, row, strict=True)],
    )
    joined = [NOT_RECORDED if NOT_RECORDED in row else " · ".join(row) for row in rows]
    groups = [" · ".join(row) for row in found]
    return joined, groups + [NOT_RECORDED] * (NOT_RECORDED in joined)


def _column(
    series: pl.Series, name: str, edges: Sequence[float] | None
) -> tuple[list[str], list[str]]:
    numbers = _numbers(series)
    if edges is not None and numbers is None:
        raise ConfigError(f"{name} holds words, which have no bins", where="bins")
    if numbers is None:
        words = [str(one).strip() if one is not None else "" for one in series.to_list()]
        labels = [word or NOT_RECORDED for word in words]
        return labels, sorted(set(labels))
    known = {one for one in numbers if one is not None}
    if edges is None and name.lower() == "age" and known:
        first, last = math.floor(min(known) / 10), math.floor(max(known) / 10)
        edges = [10.0 * k for k in range(first, last + 2)]
        names = [f"{10 * k}-{10 * k + 9}" for k in range(first, last + 1)]
        labels = [
            NOT_RECORDED if one is None else names[math.floor(one / 10) - first] for one in numbers
        ]
        return labels, names
    if edges is None:
        if len(known) > _MOST_NUMBERS:
            fix = f"give edges, for example --bins {name}={_middle(known):g}"
            raise ConfigError(f"{name} has {len(known)} different numbers", where="bins", fix=fix)
        labels = [NOT_RECORDED if one is None else f"{one:g}" for one in numbers]
        return labels, [f"{one:g}" for one in sorted(known)]
    inner = [f"{a:g} to < {b:g}" for a, b in pairwise(edges)]
    names = [f"< {edges[0]:g}", *inner, f">= {edges[-1]:g}"]
    labels = [
        NOT_RECORDED if one is None else names[sum(one >= edge for edge in edges)]
        for one in numbers
    ]
    return labels, names


def _numbers(series: pl.Series) -> list[float | None] | None:
    """Values as numbers if every known one is a number; None if any is a word."""
    if series.dtype == pl.Boolean:
        return None
    if series.dtype.is_numeric():
        found = series.cast(pl.Float64).fill_nan(None).to_list()
    elif series.dtype == pl.String:
        text = series.str.strip_chars()
        text = text.set(text == "", None)
        cast = text.cast(pl.Float64, strict=False)
        if cast.null_count() > text.null_count() or cast.null_count() == len(cast):
            return None
        found = cast.fill_nan(None).to_list()
    else:
        return None
    return [one if one is not None and math.isfinite(one) else None for one in found]


def _middle(known: set[float]) -> float:
    return sorted(known)[len(known) // 2]
