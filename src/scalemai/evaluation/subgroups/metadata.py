"""Results and what is known of their patients, joined by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from scalemai.errors import ConfigError, UnknownNameError

__all__ = ["Joined", "join"]


@dataclass(frozen=True, eq=False)
class Joined:
    """Rows of results with the columns of the metadata.

    Parameters
    ----------
    frame
        Columns ``case``, ``patient``, ``value`` and those that were asked for; null where there
        is no metadata.
    key
        What was joined by.
    without_metadata, without_results
        Keys of results that the metadata lack, and of metadata that the results lack.
    """

    frame: pl.DataFrame
    key: str
    without_metadata: tuple[str, ...]
    without_results: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks about what did not match."""
        notes = []
        if self.without_metadata:
            some = ", ".join(self.without_metadata[:3])
            count = len(self.without_metadata)
            notes.append(
                f"{count} {self.key}s have results but no metadata ({some}{', ...' * (count > 3)}):"
                " they form the group 'not recorded'"
            )
        if self.without_results:
            count = len(self.without_results)
            notes.append(f"{count} {self.key}s of the metadata have no row in this metric")
        return tuple(notes)


def join(
    values: pl.DataFrame,
    metadata: pl.DataFrame,
    columns: Sequence[str],
    *,
    key: str | None = None,
    where: str = "metadata",
) -> Joined:
    """Join results with metadata.

    Parameters
    ----------
    values
        Columns ``case``, ``patient``, ``value``.
    metadata
        A row per case or per patient.
    columns
        Which of its columns are wanted.
    key
        ``"case"`` or ``"patient"``; by default the first of them that the metadata have.
    where
        Named in errors.

    Raises
    ------
    ConfigError
        If the key is missing, stands in two rows, or matches nothing.
    UnknownNameError
        If a column is missing.
    """
    metadata = metadata.rename({name: name.strip() for name in metadata.columns})
    if key is None:
        key = next((name for name in ("case", "patient") if name in metadata.columns), None)
    if key not in ("case", "patient") or key not in metadata.columns:
        fix = "name the column of case or patient ids so"
        raise ConfigError("has no column case or patient", where=where, fix=fix)
    for name in columns:
        if name not in metadata.columns or name == key:
            error = UnknownNameError("column", name, [c for c in metadata.columns if c != key])
            error.where = where
            raise error
    wanted = list(dict.fromkeys(columns))
    known = metadata.select(
        pl.col(key).cast(pl.String).str.strip_chars().alias("key"),
        *(pl.col(name).alias(f"by:{name}") for name in wanted),
    ).filter(pl.col("key").is_not_null() & (pl.col("key") != ""))
    twice = known["key"].is_duplicated()
    if twice.any():
        first = known["key"].filter(twice)[0]
        what = f"{key} {first!r} stands in {int((known['key'] == first).sum())} rows"
        raise ConfigError(what, where=where, fix=f"keep one row per {key}")
    have, there = set(values[key].to_list()), set(known["key"].to_list())
    if not have & there:
        what = f"no {key} of the results is in the metadata"
        fix = f"name them alike (results: {min(have)!r}, metadata: {min(there, default='')!r})"
        raise ConfigError(what, where=where, fix=fix)
    joined = values.join(known, left_on=key, right_on="key", how="left", maintain_order="left")
    joined = joined.sort("case", maintain_order=True)
    return Joined(joined, key, tuple(sorted(have - there)), tuple(sorted(there - have)))
