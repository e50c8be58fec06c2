"""What a scaling study found, as flat tables and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from scalemai.evaluation.scaling.analysis import GroupScaling, Scaling
from scalemai.evaluation.scaling.measurements import Arm
from scalemai.statistics.estimate import Estimate

__all__ = ["scaling_json", "scaling_tables"]

_TEXT = ("group", "law", "parameter", "reason", "method")
_YES_OR_NO = ("chosen", "plausible", "below_margin", "extrapolated", "identifiable", "at_bound")
_COUNTS = ("n",)
_COLUMNS: Mapping[str, Sequence[str]] = {
    "scaling_points": ("group", "n_real", "n_synthetic", "value"),
    "scaling_laws": (
        "group", "law", "chosen", "plausible", "aicc", "delta_aicc", "at_bound", "held_out",
    ),
    "scaling_parameters": ("group", "law", "parameter", "value"),
    "scaling_gains": ("group", "n_real", "largest", "margin", "below_margin", "gain"),
    "scaling_predictions": ("group", "law", "plausible", "n_real", "extrapolated", "value"),
    "scaling_plans": ("group", "law", "gain", "target", "out_of_reach", "more"),
    "scaling_worth": (
        "group", "law", "n_real", "n_synthetic", "identifiable", "extrapolated", "unbounded",
        "undefined", "equivalent", "ratio", "per_scan",
    ),
    "scaling_marginal": ("group", "n_real", "from_synthetic", "to_synthetic", "rate"),
}  # fmt: skip
_ESTIMATES = {
    "scaling_points": ("value",),
    "scaling_laws": ("held_out",),
    "scaling_parameters": ("value",),
    "scaling_gains": ("gain",),
    "scaling_predictions": ("value",),
    "scaling_plans": ("more",),
    "scaling_worth": ("equivalent", "ratio", "per_scan"),
    "scaling_marginal": ("rate",),
}


def scaling_tables(scaling: Scaling) -> dict[str, pl.DataFrame]:
    """One table for each kind of result; an estimate is a column with its ``_low`` and ``_high``.

    Parameters
    ----------
    scaling
        What was found.

    Returns
    -------
    dict
        By kind. What was not computed is null, with the reason; infinite means unbounded.
    """
    rows: dict[str, list[dict[str, Any]]] = {kind: [] for kind in _COLUMNS}
    for group in scaling.groups:
        for kind, row in _rows(group):
            rows[kind].append({"group": group.name, **row})
    return {kind: _frame(kind, found) for kind, found in rows.items()}


def scaling_json(scaling: Scaling) -> str:
    """Everything that was found, as JSON; an infinite end is the text ``"infinite"``."""
    tables = scaling_tables(scaling)
    told = {
        "settings": scaling.settings(),
        "groups": [_told(group, tables) for group in scaling.groups],
    }
    return json.dumps(_plain(told), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _told(group: GroupScaling, tables: Mapping[str, pl.DataFrame]) -> dict[str, Any]:
    plateau = group.plateau
    return {
        "group": group.name,
        "patients": group.study.measured.n_patients,
        "runs": len(group.study.measured.arm_of),
        "law": None if group.chosen is None else group.chosen.law.name,
        "verdict": group.verdict,
        "plateau": {
            "margin": plateau.margin,
            "begins": plateau.begins,
            "last_doubling": plateau.last_doubling.as_dict(),
            "next_doubling": plateau.next_doubling.as_dict(),
            "in_words": str(plateau),
        },
        "notes": list(group.notes),
        **{
            kind.removeprefix("scaling_"): table.filter(pl.col("group") == group.name)
            .drop("group")
            .to_dicts()
            for kind, table in tables.items()
        },
    }


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, float) and math.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    return value


def _rows(group: GroupScaling) -> Iterator[tuple[str, dict[str, Any]]]:
    for arm, estimate in group.points:
        yield "scaling_points", {**_arm(arm), "value": estimate}
    for fit in group.laws:
        yield (
            "scaling_laws",
            {
                "law": fit.law.name,
                "chosen": fit is group.chosen,
                "plausible": fit.plausible,
                "aicc": fit.aicc,
                "delta_aicc": fit.delta,
                "at_bound": None if fit.fitted is None else bool(fit.fitted.at_bound[0]),
                "held_out": fit.held_out,
            },
        )
        for name, estimate in fit.parameters.items():
            yield (
                "scaling_parameters",
                {"law": fit.law.name, "parameter": name, "value": estimate},
            )
    plateau = group.plateau
    for gain in plateau.gains:
        yield (
            "scaling_gains",
            {
                "n_real": gain.n_real,
                "largest": plateau.largest,
                "margin": plateau.margin,
                "below_margin": gain.below_margin,
                "gain": gain.gain,
            },
        )
    for kind, found in (
        ("scaling_predictions", group.predictions),
        ("scaling_plans", group.plans),
        ("scaling_marginal", group.marginals),
    ):
        for one in found:
            yield (
                kind,
                {name: getattr(one, name) for name in _COLUMNS[kind] if name != "group"},
            )
    for worth in group.worths:
        names = ("law", "identifiable", "extrapolated", "unbounded", "undefined")
        estimates = ("equivalent", "ratio", "per_scan")
        yield (
            "scaling_worth",
            {**_arm(worth.arm), **{n: getattr(worth, n) for n in (*names, *estimates)}},
        )


def _arm(arm: Arm) -> dict[str, float]:
    return {"n_real": arm.n_real, "n_synthetic": arm.n_synthetic}


def _frame(kind: str, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    schema: dict[str, Any] = {}
    for name in _COLUMNS[kind]:
        if name in _ESTIMATES[kind]:
            schema |= {name: pl.Float64, f"{name}_low": pl.Float64, f"{name}_high": pl.Float64}
        else:
            schema[name] = _type(name)
    schema |= {"n": pl.Int64, "method": pl.String, "reason": pl.String}
    return pl.DataFrame([_flat(row) for row in rows], schema=schema, orient="row")


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    reason = ""
    for name, value in row.items():
        if isinstance(value, Estimate):
            flat |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
            flat |= {"n": value.n, "method": value.method or None}
            reason = reason or value.reason
        else:
            flat[name] = value
    return {**flat, "reason": reason or None}


def _type(name: str) -> Any:
    if name in _TEXT:
        return pl.String
    if name in _YES_OR_NO:
        return pl.Boolean
    return pl.Int64 if name in _COUNTS else pl.Float64
