"""The tables that an evaluation of ours wrote: one row per case and structure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from scalemai.errors import ConfigError, UnknownNameError
from scalemai.evaluation.comparison.results import Results, refuse_twice
from scalemai.evaluation.definitions import Definition
from scalemai.evaluation.tables import Table, read_table

__all__ = ["read_own"]

_UNDEFINED = ("both_empty", "not_assessed")
_NOT_METRICS = frozenset(("algorithm", "case", "patient", "structure", "state"))


def read_own(path: Path, algorithm: str, metric: str) -> tuple[Results, ...]:
    """Read one metric of the algorithms in a table of kind ``structures``.

    Parameters
    ----------
    path
        The table; Parquet or CSV.
    algorithm
        Its name, unless a column ``algorithm`` tells several apart.
    metric
        A column of the table.

    Raises
    ------
    ConfigError
        If the table is of another kind, has no such column, or a row names no case or structure,
        or one that stands there twice.
    UnreadableFileError
        If it cannot be read.
    """
    table = read_table(path)
    frame = table.frame
    missing = {"case", "structure"} - set(frame.columns)
    if missing:
        what = f"has no column {', '.join(sorted(missing))}: it is no table of structures"
        raise ConfigError(what, where=path, fix="give what scalemai evaluate wrote")
    known = [
        name
        for name, kind in frame.schema.items()
        if name not in _NOT_METRICS and kind.is_numeric()
    ]
    if metric not in known:
        raise UnknownNameError("metric", metric, known)
    definition = next((one for one in table.definitions if one.column == metric), None)
    _refuse_unnamed(frame, path)
    if "algorithm" not in frame.columns:
        return (_one(frame, path, algorithm, metric, definition, table),)
    names = frame["algorithm"].unique(maintain_order=True).to_list()
    return tuple(
        _one(
            frame.filter(pl.col("algorithm").eq_missing(name)),
            path,
            str(name) if len(names) > 1 and name is not None else algorithm,
            metric,
            definition,
            table,
        )
        for name in names
    )


def _refuse_unnamed(frame: pl.DataFrame, path: Path) -> None:
    for name in ("case", "structure"):
        text = frame[name].cast(pl.String).str.strip_chars()
        empty = (text.is_null() | (text == "")).arg_true()
        if len(empty):
            what = f"row {int(empty[0]) + 1} of {len(frame)} names no {name}"
            raise ConfigError(what, where=path, fix=f"fill the column {name}")


def _one(
    frame: pl.DataFrame,
    path: Path,
    algorithm: str,
    metric: str,
    definition: Definition | None,
    table: Table,
) -> Results:
    keys = [f"{case} / {structure}" for case, structure in frame.select("case", "structure").rows()]
    refuse_twice(keys, "case and structure", path)
    states = (
        frame["state"] if "state" in frame.columns else pl.repeat("both", len(frame), eager=True)
    )
    frame = frame.with_columns(
        value=pl.col(metric).cast(pl.Float64).fill_nan(None), undefined=states.is_in(_UNDEFINED)
    )
    cases = frame["case"].cast(pl.String).unique(maintain_order=True).to_list()
    classes = frame["structure"].cast(pl.String).unique(maintain_order=True).to_list()
    row = {name: index for index, name in enumerate(cases)}
    column = {name: index for index, name in enumerate(classes)}
    i = np.array([row[str(name)] for name in frame["case"]], dtype=np.intp)
    j = np.array([column[str(name)] for name in frame["structure"]], dtype=np.intp)
    values = np.full((len(cases), len(classes)), np.nan)
    values[i, j] = frame["value"].fill_null(np.nan).to_numpy()
    undefined = np.zeros(values.shape, dtype=np.bool_)
    # A stated value counts even where a mask is empty: the evaluation's own policy gave it.
    undefined[i, j] = (frame["undefined"] & frame["value"].is_null()).to_numpy()
    patients = dict(zip(cases, cases, strict=True))
    if "patient" in frame.columns:
        rows = frame.select("case", "patient").drop_nulls().rows()
        patients |= {str(case): str(patient) for case, patient in rows}
    return Results(
        algorithm,
        path,
        tuple(cases),
        tuple(patients[case] for case in cases),
        tuple(classes),
        values,
        undefined,
        definition,
        settings=table.settings,
    )
