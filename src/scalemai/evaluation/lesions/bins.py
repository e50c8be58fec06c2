"""Size bins whose borders are declared."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from scalemai.errors import ConfigError

__all__ = ["DEFAULT_BINS", "SMALL_AND_LARGE", "SizeBins", "parse_bins"]

_SAME_MM = 1e-3


@dataclass(frozen=True, slots=True)
class SizeBins:
    """Bins of the longest axial diameter: above the lower border, up to and with the upper one.

    A lesion of exactly 20 mm is in "> 10 to 20 mm" and in "<= 20 mm". A diameter within 0.001 mm
    of a border counts as being on it (author's choice: 25 voxels of 0.8 mm are 20 mm, whatever
    the rounding of the header).

    Parameters
    ----------
    edges_mm
        Borders in mm, ascending.

    Raises
    ------
    ConfigError
        If there are no borders, or they are not positive and ascending.
    """

    edges_mm: tuple[float, ...]

    def __post_init__(self) -> None:
        edges = self.edges_mm
        rising = all(b - a > 2 * _SAME_MM for a, b in itertools.pairwise((0.0, *edges)))
        if not edges or not rising or not math.isfinite(edges[-1]):
            what = f"size bins need positive borders in ascending order, got {list(edges)}"
            raise ConfigError(what, where="size bins", fix="for example 10,20,50")

    def __str__(self) -> str:
        return ",".join(f"{edge:g}" for edge in self.edges_mm)

    def __iter__(self) -> Iterator[tuple[str, float, float]]:
        """Label, lower and upper border in mm of each bin; the last one is open."""
        return zip(self.labels, (0.0, *self.edges_mm), (*self.edges_mm, math.inf), strict=True)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the bins, for example ``"<= 20 mm"`` and ``"> 20 mm"``."""
        edges = [f"{edge:g}" for edge in self.edges_mm]
        between = (f"> {a} to {b} mm" for a, b in itertools.pairwise(edges))
        return f"<= {edges[0]} mm", *between, f"> {edges[-1]} mm"

    def index_of(self, diameter_mm: float) -> int:
        """Number of the bin, from 0, of a diameter in mm."""
        return sum(diameter_mm > edge + _SAME_MM for edge in self.edges_mm)

    def label_of(self, diameter_mm: float) -> str:
        """Name of the bin of a diameter in mm."""
        return self.labels[self.index_of(diameter_mm)]


DEFAULT_BINS = SizeBins((10.0, 20.0, 50.0))
"""Borders that published sensitivities by size use (20 and 50 mm), and 10 mm below.

10 mm is the smallest lesion that RECIST 1.1 calls measurable (Eisenhauer et al., Eur J Cancer
2009;45:228-247)."""

SMALL_AND_LARGE = SizeBins((20.0,))
"""Up to 20 mm, and above."""


def parse_bins(text: str) -> SizeBins:
    """Read borders in mm separated by commas, for example ``"10,20,50"``.

    Raises
    ------
    ConfigError
        If a border is no number, or as of :class:`SizeBins`.
    """
    try:
        return SizeBins(tuple(float(part) for part in text.split(",")))
    except ValueError as error:
        if isinstance(error, ConfigError):
            raise
        what = f"{text!r} is no list of borders in mm"
        raise ConfigError(what, where="size bins", fix="for example 10,20,50") from error
