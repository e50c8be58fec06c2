"""A data set: many cases, held as a table until one of them is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from scalemai.case import Case
from scalemai.cases.index import read_index
from scalemai.cases.table import FILES, HEADER, case_of, sources_of
from scalemai.errors import ConfigError, UnknownNameError

__all__ = ["Dataset"]


class Dataset:
    """An immutable collection of cases, in a fixed order.

    Opening tens of thousands of cases costs one table; a :class:`Case` is made when it is asked
    for. Work on many cases goes by id, so that one bad case costs itself alone::

        data = open_cases("PanTS")
        tumors = data.filter(pl.col("age") >= 18, has="pancreas", split="train")
        for case_id in tumors.ids:
            volume = tumors[case_id].volume()

    Made by :func:`scalemai.cases.open_cases`.

    Parameters
    ----------
    root
        Folder of the data set.
    rows
        One row per case (see :mod:`scalemai.cases.table`).
    layout
        Name of the layout.
    hu_offset
        Added to every CT on reading.
    notes
        What was remarked on the way: cases left out, and why.
    indexed
        Whether the rows come from an index: then its cases check their files on reading.
    """

    def __init__(
        self,
        root: Path,
        rows: pl.DataFrame,
        *,
        layout: str,
        hu_offset: float = 0.0,
        notes: Iterable[str] = (),
        indexed: bool = False,
    ) -> None:
        self.root = root
        self.layout = layout
        self.hu_offset = hu_offset
        self.notes = tuple(notes)
        self._rows = rows
        self._indexed = indexed

    @classmethod
    def open(
        cls,
        index: Path | str,
        *,
        root: Path | str | None = None,
        hu_offset: float = 0.0,
        allow_stale: bool = False,
    ) -> Dataset:
        """Open a data set from its index (see :func:`scalemai.cases.build_index`).

        Parameters
        ----------
        index
            The Parquet file.
        root
            Folder of the data set, if it is no longer where the index says.
        hu_offset
            Added to every CT on reading.
        allow_stale
            Open it even if cases came or went since the index was built.

        Raises
        ------
        UnreadableFileError
            If the file is missing, damaged or no index, or the data set is not there.
        ConfigError
            If it was built by another version, names files outside of the data set, or the
            data set has changed since.
        """
        base, rows, about = read_index(
            Path(index), None if root is None else Path(root), allow_stale=allow_stale
        )
        return cls(
            base,
            rows,
            layout=about["layout"],
            hu_offset=hu_offset,
            notes=about["notes"],
            indexed=True,
        )

    def __len__(self) -> int:
        return self._rows.height

    def __iter__(self) -> Iterator[Case]:
        return (self._case(row) for row in self._rows.iter_rows(named=True))

    def __contains__(self, case_id: object) -> bool:
        return case_id in self._positions

    def __getitem__(self, case_id: str) -> Case:
        """The case of this id.

        Raises
        ------
        UnknownNameError
            With the nearest ids.
        """
        return self._case(self._rows.row(self._position(case_id), named=True))

    def __repr__(self) -> str:
        return f"<Dataset {self.root} ({self.layout}): {len(self):,} cases>"

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of all cases, in order."""
        return tuple(self._positions)

    @property
    def table(self) -> pl.DataFrame:
        """One row per case: id and all that is known before its voxels are read.

        From an index also ``shape``, ``spacing_mm`` and ``orientation``.
        """
        hidden = {*FILES, *HEADER} - {"id", "shape", "spacing_mm", "orientation"}
        return self._rows.select(pl.exclude(*hidden))

    @property
    def problems(self) -> dict[str, str]:
        """By case id: why the header of its CT could not be read when the index was built."""
        if "problem" not in self._rows.columns:
            return {}
        found = self._rows.select("id", "problem").drop_nulls("problem")
        return dict(found.iter_rows())

    @cached_property
    def structures(self) -> dict[str, int]:
        """How many cases have a mask file or label of each structure, empty or not."""
        counts: dict[str, int] = {}
        for row in self._mask_sets().iter_rows(named=True):
            for name in sources_of(row, self.root):
                counts[name] = counts.get(name, 0) + row["len"]
        return dict(sorted(counts.items()))

    def filter(
        self, *conditions: pl.Expr, has: str | Iterable[str] = (), **equal: object
    ) -> Dataset:
        """The cases that meet every condition, in the same order.

        Parameters
        ----------
        *conditions
            Polars expressions over the columns of :attr:`table`, for example
            ``pl.col("age") >= 18``; a missing value meets none.
        has
            Structures of which a case must have a mask, empty or not, or all parts.
        **equal
            Column and value, for example ``phase="portal_venous"``.

        Raises
        ------
        UnknownNameError
            If there is no such column.
        ConfigError
            If a condition cannot be evaluated.
        """
        for column in equal:
            self._require_column(column)
        wanted = [*conditions, *(pl.col(column) == pl.lit(v) for column, v in equal.items())]
        try:
            rows = self._rows.filter(*wanted) if wanted else self._rows
        except pl.exceptions.ColumnNotFoundError as error:
            name = str(error).splitlines()[0].split('"')[1::2]
            raise self._unknown_column(name[0] if name else str(error)) from error
        except pl.exceptions.PolarsError as error:
            what = f"the condition cannot be evaluated ({str(error).splitlines()[0]})"
            raise ConfigError(
                what, fix="compare text with text and numbers with numbers"
            ) from error
        names = (has,) if isinstance(has, str) else tuple(has)
        if names:
            rows = rows.join(
                self._mask_sets_with(names),
                on=["mask_files", "labels"],
                how="semi",
                nulls_equal=True,
                maintain_order="left",
            )
        return self._with_rows(rows)

    def subset(self, case_ids: Iterable[str]) -> Dataset:
        """The cases of these ids, in the order given.

        Raises
        ------
        UnknownNameError
            If an id is not in the data set.
        ConfigError
            If an id is given twice.
        """
        ids = list(case_ids)
        if len(set(ids)) != len(ids):
            twice = next(case_id for case_id in ids if ids.count(case_id) > 1)
            raise ConfigError(f"case {twice!r} is asked for twice", fix="give each id once")
        return self._with_rows(self._rows[[self._position(case_id) for case_id in ids]])

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {case_id: n for n, case_id in enumerate(self._rows["id"].to_list())}

    def _position(self, case_id: str) -> int:
        try:
            return self._positions[case_id]
        except KeyError:
            raise UnknownNameError("case", str(case_id), self._positions) from None

    def _case(self, row: Mapping[str, Any]) -> Case:
        return case_of(
            row,
            self.root,
            layout=self.layout,
            hu_offset=self.hu_offset,
            indexed=self._indexed,
        )

    def _mask_sets(self) -> pl.DataFrame:
        """Each set of masks that occurs, with the number of cases that have it."""
        return self._rows.group_by("mask_files", "labels", maintain_order=True).agg(
            pl.len(), pl.col("mask_folder").first(), pl.col("label_map").first()
        )

    def _mask_sets_with(self, names: Iterable[str]) -> pl.DataFrame:
        sets = self._mask_sets()
        kept = []
        for row in sets.iter_rows(named=True):
            example = Case("any", self.root, sources_of(row, self.root))
            kept.append(all(example.has(name) for name in names))
        return sets.filter(pl.Series(kept, dtype=pl.Boolean))

    def _with_rows(self, rows: pl.DataFrame) -> Dataset:
        return Dataset(
            self.root,
            rows,
            layout=self.layout,
            hu_offset=self.hu_offset,
            notes=self.notes,
            indexed=self._indexed,
        )

    def _require_column(self, column: str) -> None:
        if column not in self._rows.columns:
            raise self._unknown_column(column)

    def _unknown_column(self, column: str) -> UnknownNameError:
        return UnknownNameError("column", column, self.table.columns)
