"""Which cases a foreign table is of, and what it says of each: a table has no files to hash."""

from __future__ import annotations

from hashlib import sha256

import polars as pl

__all__ = ["row_digests"]


def row_digests(frame: pl.DataFrame, name: str) -> dict[str, str]:
    """SHA-256 over the rows of each case.

    Parameters
    ----------
    frame
        The table as it was read.
    name
        Of its file.

    Returns
    -------
    dict
        By case, or by patient in a table without cases; the whole table under its name if it
        has neither. Neither the order of rows nor that of columns matters.
    """
    key = next((one for one in ("case", "patient") if one in frame.columns), None)
    columns = sorted(frame.columns)
    of = [name] * frame.height if key is None else frame[key].cast(pl.String).to_list()
    lines: dict[str, list[str]] = {}
    for case, row in zip(of, frame.select(columns).iter_rows(), strict=True):
        lines.setdefault(name if case is None else case, []).append(repr(row))
    heading = repr(columns)
    return {
        case: sha256("\n".join([heading, *sorted(rows)]).encode()).hexdigest()
        for case, rows in sorted(lines.items())
    }
