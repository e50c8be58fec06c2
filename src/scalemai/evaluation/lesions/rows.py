"""The tables `lesions` and `candidates`: a row per reference lesion, a row per candidate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from scalemai.errors import ConfigError, UnknownNameError
from scalemai.evaluation.lesions.bins import DEFAULT_BINS, SizeBins
from scalemai.evaluation.lesions.components import Component
from scalemai.evaluation.lesions.matching import Matching

__all__ = [
    "CANDIDATE_SCHEMA",
    "FACTS",
    "LESION_SCHEMA",
    "candidate_frame",
    "candidate_rows",
    "lesion_frame",
    "lesion_rows",
]

_PLACE = {
    "case": pl.String,
    "patient": pl.String,
    "structure": pl.String,
    "organ": pl.String,
}
_SIZES = {
    "diameter_mm": pl.Float64,
    "perpendicular_mm": pl.Float64,
    "feret_mm": pl.Float64,
    "equivalent_diameter_mm": pl.Float64,
    "volume_mm3": pl.Float64,
    "x_mm": pl.Float64,
    "y_mm": pl.Float64,
    "z_mm": pl.Float64,
    "at_border": pl.Boolean,
}

LESION_SCHEMA: dict[str, type[pl.DataType]] = {
    **_PLACE,
    "lesion": pl.Int64,
    **_SIZES,
    "size_bin": pl.String,
    "ignored": pl.Boolean,
    "detected": pl.Boolean,
    "score": pl.Float64,
    "iou": pl.Float64,
    "candidates": pl.Int64,
}
"""Columns of the table `lesions`, in their order."""

CANDIDATE_SCHEMA: dict[str, type[pl.DataType]] = {
    **_PLACE,
    "candidate": pl.Int64,
    "score": pl.Float64,
    **_SIZES,
    "verdict": pl.String,
    "lesion": pl.Int64,
    "lesions": pl.Int64,
}
"""Columns of the table `candidates`, in their order."""

FACTS: dict[str, type[pl.DataType]] = {
    "site": pl.String,
    "kind": pl.String,
    "contrast_hu": pl.Float64,
    "phase": pl.String,
    "neighbour": pl.String,
    "in_organ": pl.Boolean,
}
"""Further columns, which both tables have where they are known."""

Facts = Mapping[int, Mapping[str, Any]]


def lesion_rows(
    matching: Matching,
    reference: Sequence[Component],
    *,
    case: str,
    patient: str,
    structure: str,
    organ: str | None = None,
    bins: SizeBins = DEFAULT_BINS,
    facts: Facts | None = None,
) -> list[dict[str, Any]]:
    """Rows of the table `lesions` of one structure of one scan.

    Parameters
    ----------
    matching, reference
        The result of :func:`~scalemai.evaluation.lesions.matching.match` and what it was given.
    case, patient, structure, organ
        Names.
    bins
        Size bins of the column ``size_bin``.
    facts
        Columns of :data:`FACTS` by number of the lesion, where they are known.

    Raises
    ------
    ConfigError
        If the components are not those that were matched, or facts are of no lesion.
    UnknownNameError
        If a fact is not one of :data:`FACTS`.
    """
    _require_same(matching.lesions, reference)
    known = _checked(facts, reference)
    return [
        {
            "case": case,
            "patient": patient,
            "structure": structure,
            "organ": organ,
            "lesion": lesion.number,
            **_measured(component),
            "size_bin": bins.label_of(component.sizes.diameter_mm),
            "ignored": lesion.ignored,
            "detected": lesion.detected,
            "score": lesion.score,
            "iou": lesion.iou,
            "candidates": lesion.candidates,
            **known.get(lesion.number, {}),
        }
        for lesion, component in zip(matching.lesions, reference, strict=True)
    ]


def candidate_rows(
    matching: Matching,
    prediction: Sequence[Component],
    *,
    case: str,
    patient: str,
    structure: str,
    organ: str | None = None,
    facts: Facts | None = None,
) -> list[dict[str, Any]]:
    """Rows of the table `candidates` of one structure of one scan.

    Parameters and errors as of :func:`lesion_rows`, with the candidates in place of the lesions.
    """
    _require_same(matching.candidates, prediction)
    known = _checked(facts, prediction)
    return [
        {
            "case": case,
            "patient": patient,
            "structure": structure,
            "organ": organ,
            "candidate": candidate.number,
            "score": component.score,
            **_measured(component),
            "verdict": candidate.verdict,
            "lesion": candidate.lesion,
            "lesions": candidate.lesions,
            **known.get(candidate.number, {}),
        }
        for candidate, component in zip(matching.candidates, prediction, strict=True)
    ]


def lesion_frame(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """The table `lesions` of any number of rows, none too; facts that no row has are left out."""
    return _frame(rows, LESION_SCHEMA)


def candidate_frame(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """The table `candidates` of any number of rows, as :func:`lesion_frame`."""
    return _frame(rows, CANDIDATE_SCHEMA)


def _frame(
    rows: Iterable[Mapping[str, Any]], schema: Mapping[str, type[pl.DataType]]
) -> pl.DataFrame:
    listed = list(rows)
    further = {name: kind for name, kind in FACTS.items() if any(name in row for row in listed)}
    columns = {**schema, **further}
    return pl.DataFrame([{name: row.get(name) for name in columns} for row in listed], columns)


def _measured(component: Component) -> dict[str, Any]:
    sizes = component.sizes
    x, y, z = component.centre_mm
    return {
        "diameter_mm": sizes.diameter_mm,
        "perpendicular_mm": sizes.perpendicular_mm,
        "feret_mm": sizes.feret_mm,
        "equivalent_diameter_mm": sizes.equivalent_diameter_mm,
        "volume_mm3": sizes.volume_mm3,
        "x_mm": x,
        "y_mm": y,
        "z_mm": z,
        "at_border": component.at_border,
    }


def _checked(facts: Facts | None, components: Sequence[Component]) -> Facts:
    given = facts or {}
    stray = sorted(set(given) - {component.number for component in components})
    if stray:
        raise ConfigError(f"facts are given of number {stray[0]}, which does not exist")
    for fact in given.values():
        for name in fact:
            if name not in FACTS:
                raise UnknownNameError("fact", name, FACTS)
    return given


def _require_same(matched: Sequence[Any], components: Sequence[Component]) -> None:
    if [one.number for one in matched] != [one.number for one in components]:
        raise ConfigError(
            f"{len(components)} components for {len(matched)} that were matched",
            fix="give those that were matched, in the same order",
        )
