"""What a number means: each metric has an id, a unit, a convention and a source."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["Definition"]

_ID = re.compile(r"[a-z0-9]+(?:[-.][a-z0-9]+)*/[0-9]+")


@dataclass(frozen=True, slots=True)
class Definition:
    """The definition of one number in a table.

    Parameters
    ----------
    id
        Name and version, for example ``"nsd-surfel-2mm/1"``. A change that moves any value gets
        a new version, so two tables can be compared if their ids agree.
    column
        The column of the table that holds it.
    name
        In words, for example ``"normalized surface Dice (surfels), 2 mm"``.
    unit
        ``"mm"``, ``"mm3"``, ``"ml"``, ``"HU"`` or ``""`` for a ratio.
    better
        Whether higher or lower values are better; None where neither is.
    text
        The convention in one or two sentences: what is counted, borders, empty masks.
    source
        Publication, guideline or implementation that it follows.

    Raises
    ------
    ValueError
        If the id is not ``name/version``.
    """

    id: str
    column: str
    name: str
    unit: str
    better: Literal["higher", "lower"] | None
    text: str
    source: str

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError(f"definition id {self.id!r} is not like 'dsc/1'")
