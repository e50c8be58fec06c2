"""By what errors are told apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalemai.errors import ConfigError, UnknownNameError
from scalemai.evaluation.lesions.bins import DEFAULT_BINS, SizeBins

__all__ = ["FACTORS", "Factors", "Flags", "with_factors"]

FACTORS = (
    "size", "organ", "site", "kind", "contrast", "phase", "scanner", "neighbour"
)  # fmt: skip
"""Factors that are looked for without being asked for."""

_COLUMNS = {
    "organ": ("organ", "structure"),
    "site": ("site",),
    "kind": ("kind",),
    "phase": ("phase", "contrast_phase"),
    "scanner": ("scanner", "manufacturer_model", "manufacturer"),
    "neighbour": ("neighbour",),
}
_CONTRAST = (
    (-40.0, "darker by over 40 HU"),
    (-15.0, "darker by 15 to 40 HU"),
    (15.0, "within 15 HU of the organ"),
    (40.0, "brighter by 15 to 40 HU"),
)
"""Upper ends in HU of classes of contrast to parenchyma; author's choice: noise of a portal venous
CT is 10 to 15 HU, so a lesion within it is nearly invisible."""
_BRIGHTEST = "brighter by over 40 HU"
_MOST_VALUES = 40
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Factors:
    """Rows with the classes that each factor puts them in.

    Parameters
    ----------
    frame
        The rows.
    classes
        By factor and value, which rows (rows,) are in it; a row of which the factor is not known
        is in none. Sizes also have the classes up to and above each border, since a weakness need
        not respect the bins. Factors with a single value are left out.
    notes
        Factors that were not assessed, or of which only some rows have a value.
    """

    frame: pl.DataFrame
    classes: Mapping[str, Mapping[str, Flags]]
    notes: tuple[str, ...]


def with_factors(
    frame: pl.DataFrame,
    *,
    bins: SizeBins = DEFAULT_BINS,
    further: Sequence[str] = (),
    what: str = "lesions",
) -> Factors:
    """Add the factors of lesions or candidates.

    Parameters
    ----------
    frame
        Rows of the table ``lesions`` or ``candidates``, with whatever was joined to them.
    bins
        Size bins of the longest axial diameter.
    further
        Columns that are factors too: hospital, sex, ...
    what
        What the rows are, for notes.

    Raises
    ------
    UnknownNameError
        If a further column does not exist.
    ConfigError
        If it has so many values that it tells single rows apart.
    """
    made: dict[str, pl.Expr] = {}
    if "diameter_mm" in frame.columns:
        made["size"] = pl.col("diameter_mm").map_elements(
            bins.label_of, return_dtype=pl.String, skip_nulls=True
        )
    if "contrast_hu" in frame.columns:
        made["contrast"] = _contrast()
    for name, columns in _COLUMNS.items():
        there = [pl.col(column).cast(pl.String) for column in columns if column in frame.columns]
        if there:
            made[name] = _text(pl.coalesce(there))
    for name in further:
        if name not in frame.columns:
            raise UnknownNameError("column", name, frame.columns)
        if frame[name].dtype.is_float() or frame[name].n_unique() > _MOST_VALUES:
            fix = "give classes, for example age groups"
            raise ConfigError("has too many values to tell groups apart", where=name, fix=fix)
        made.setdefault(name, _text(pl.col(name).cast(pl.String)))
    out = frame.with_columns(
        expression.alias(f"factor:{name}") for name, expression in made.items()
    )
    notes = []
    classes: dict[str, Mapping[str, Flags]] = {}
    for name in (*FACTORS, *(name for name in further if name not in FACTORS)):
        column = f"factor:{name}"
        unknown = out.height if column not in out.columns else out[column].null_count()
        if unknown == out.height:
            notes.append(f"{name} of {what} is not assessed: no table says it")
            continue
        if unknown:
            notes.append(f"{name} of {unknown} of {out.height} {what} is not assessed")
        if out[column].drop_nulls().n_unique() > 1:
            merged = _merged(bins) if name == "size" else {}
            classes[name] = dict(_classes(out[column], merged))
    return Factors(out, classes, tuple(notes))


def _classes(column: pl.Series, merged: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, Flags]]:
    """Which rows have each value, and which have one of those that are merged."""
    single = {value: (value,) for value in column.drop_nulls().unique().sort().to_list()}
    seen = {column.is_not_null().to_numpy().tobytes()}  # all rows are no class
    for name, values in {**single, **merged}.items():
        inside = column.is_in(values).fill_null(value=False).to_numpy()
        if inside.any() and inside.tobytes() not in seen:
            seen.add(inside.tobytes())
            yield name, inside


def _merged(bins: SizeBins) -> dict[str, tuple[str, ...]]:
    """The bins up to each border, and those above it."""
    labels, borders = bins.labels, bins.edges_mm
    up_to = {f"<= {mm:g} mm": labels[: place + 1] for place, mm in enumerate(borders)}
    above = {f"> {mm:g} mm": labels[place + 1 :] for place, mm in enumerate(borders)}
    return {**up_to, **above}


def _text(value: pl.Expr) -> pl.Expr:
    told = value.str.strip_chars()
    return pl.when(told.str.to_lowercase().is_in(["", "nan", "unknown"])).then(
        None
    ).otherwise(told)  # fmt: skip


def _contrast() -> pl.Expr:
    value = pl.col("contrast_hu").cast(pl.Float64)
    label = pl.lit(_BRIGHTEST)
    for end, darker in reversed(_CONTRAST):
        label = pl.when(value <= end).then(pl.lit(darker)).otherwise(label)
    return pl.when(value.is_not_null() & value.is_not_nan()).then(label)
