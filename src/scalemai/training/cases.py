"""One case made ready for training, on disk: arrays that are mapped, not loaded, and their record.

::

    CASE/hu.npy      int16   attenuation in HU on the detector's lattice, region of the organ
         labels.npy  uint8   0, the detector's classes from 1, 255 where nobody knows
         tissue.npy  uint8   part of the organ and vessel, as the record explains (see ``parts``)
         case.json           grid, lesions, parts, what it was made from
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scalemai.anatomy import ClassMap, organ
from scalemai.detector.preprocessing import Prepared
from scalemai.errors import UnreadableFileError
from scalemai.geometry import Grid, Region
from scalemai.training.parts import LESION_HERE, LESION_NEW, WHOLE, Tissues, class_map_of

__all__ = [
    "BYTES_PER_VOXEL",
    "FORMAT",
    "RECORD",
    "Arrays",
    "Part",
    "RealLesion",
    "TrainingCase",
    "grid_to_json",
    "read_case",
    "span_of",
]

FORMAT = "scalemai-training-case/2"
RECORD = "case.json"
BYTES_PER_VOXEL = 4
"""Of the three arrays together."""

_QUANTILES = 101

Span = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""First and last + 1 index along each axis."""


class Arrays(NamedTuple):
    """A box of a case, copied: HU, labels, and tissue, which synthesis works on."""

    hu: NDArray[np.int16]
    labels: NDArray[np.uint8]
    tissue: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the organ: structure, number of voxels, and the box that holds them."""

    name: str
    voxels: int
    span: Span


@dataclass(frozen=True, slots=True)
class RealLesion:
    """A lesion that the data set shows.

    Parameters
    ----------
    value
        Its label value.
    diameter_mm
        Longest axial diameter on the detector's lattice.
    span
        The box that holds it.
    centre
        The voxel of it that is nearest to its centroid.
    part
        Number of the part of the organ that it lies in.
    """

    value: int
    diameter_mm: float
    span: Span
    centre: tuple[int, int, int]
    part: int


@dataclass(frozen=True, kw_only=True)
class TrainingCase:
    """A case that was made ready for training. Small: its voxels stay on disk.

    Parameters
    ----------
    id
        Name of the case.
    folder
        Where its arrays are.
    organ
        The organ.
    origin
        ``"real"`` if it has a lesion of a known class, else ``"normal"``.
    annotated
        Whether somebody looked for lesions. If not, it is taken for free of them.
    grid, source, region
        Lattice of the arrays; grid of the CT, and the box of it that was taken.
    parts
        Parts of the organ by number.
    tissues
        What the numbers of the tissue array mean.
    lesions
        Lesions of known classes.
    phase
        Contrast phase, if the data set says so.
    source_sha256, sha256
        What it was made from (see :func:`scalemai.training.cache.identity_of`), and hash of the
        arrays.
    """

    id: str
    folder: Path
    organ: str
    annotated: bool
    grid: Grid
    source: Grid
    region: Region
    parts: Mapping[int, Part]
    tissues: Tissues
    lesions: tuple[RealLesion, ...]
    phase: str | None
    source_sha256: str
    sha256: str

    @property
    def origin(self) -> Literal["real", "normal"]:
        """Whether it shows a lesion of a known class."""
        return "real" if self.lesions else "normal"

    @cached_property
    def class_map(self) -> ClassMap:
        """What the numbers of its tissue mean to synthesis."""
        names = {value: part.name for value, part in self.parts.items()}
        return class_map_of(organ(self.organ), names, self.tissues)

    @cached_property
    def part_of(self) -> NDArray[np.uint8]:
        """Part of the organ by number of the tissue, array (256,); new lesions are organ."""
        parts = np.zeros(256, np.uint8)
        parts[: len(self.tissues)] = [part for part, _ in self.tissues]
        parts[[LESION_HERE, LESION_NEW]] = WHOLE
        return parts

    def read(self, region: Region) -> Arrays:
        """Copy a box of the arrays. Files are opened and closed, so many cases need no handles.

        Raises
        ------
        UnreadableFileError
            If an array is missing or damaged.
        """
        return Arrays(*(self._array(name)[region].copy() for name in _FILES))

    def parts_at(self, voxels: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Parts of single voxels, array (n, 3)."""
        found: NDArray[np.uint8] = self.part_of[self._array("tissue")[tuple(voxels.T)]]
        return found

    @cached_property
    def organ_hu(self) -> tuple[int, NDArray[np.float32]]:
        """Number of the organ's voxels, and quantiles of their HU at equal steps from 0 to 1."""
        hu, tissue = self._array("hu"), self._array("tissue")
        values = hu[self.part_of[tissue] > 0]
        shares = np.linspace(0.0, 1.0, _QUANTILES)
        return values.size, np.quantile(values, shares).astype(np.float32)

    @property
    def prepared(self) -> Prepared:
        """The case as inference prepares it, read into memory."""
        i, j, k = (slice(0, n) for n in self.grid.shape)
        hu, labels, tissue = self.read((i, j, k))
        inside = self.part_of[tissue] > 0
        known = labels if self.annotated else None
        return Prepared(hu.astype(np.float32), inside, known, self.grid, self.source, self.region)

    def _array(self, name: str) -> Any:
        path = self.folder / f"{name}.npy"
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            what = f"cannot be read ({error})"
            raise UnreadableFileError(what, where=path, fix="prepare the cases again") from error
        if array.shape != self.grid.shape or array.dtype != _FILES[name]:
            what = f"holds {array.dtype} of shape {array.shape}, not as its record says"
            raise UnreadableFileError(what, where=path, fix="prepare the cases again")
        return array


_FILES: Mapping[str, type[np.generic]] = {"hu": np.int16, "labels": np.uint8, "tissue": np.uint8}


def read_case(folder: Path) -> TrainingCase:
    """Read the record of a case that :func:`write_case` wrote.

    Raises
    ------
    UnreadableFileError
        If it is missing or damaged.
    """
    path = folder / RECORD
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        if plain["format"] != FORMAT:
            raise ValueError(f"is of the format {plain['format']!r}, not {FORMAT!r}")
        region = tuple(slice(a, b) for a, b in plain["region"])
        return TrainingCase(
            id=plain["case"],
            folder=folder,
            organ=plain["organ"],
            annotated=plain["annotated"],
            grid=_grid_of_json(plain["grid"]),
            source=_grid_of_json(plain["source"]),
            region=(region[0], region[1], region[2]),
            parts={
                int(value): Part(part["name"], part["voxels"], _as_span(part["span"]))
                for value, part in plain["parts"].items()
            },
            tissues=tuple((int(part), beside) for part, beside in plain["tissues"]),
            lesions=tuple(
                RealLesion(
                    one["value"],
                    one["diameter_mm"],
                    _as_span(one["span"]),
                    (one["centre"][0], one["centre"][1], one["centre"][2]),
                    one["part"],
                )
                for one in plain["lesions"]
            ),
            phase=plain["phase"],
            source_sha256=plain["source_sha256"],
            sha256=plain["sha256"],
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        what = f"cannot be read as a prepared case ({error})"
        raise UnreadableFileError(what, where=path, fix="prepare the cases again") from error


def span_of(region: Any) -> Span:
    """A box as plain numbers."""
    (a, b), (c, d), (e, f) = ((int(s.start), int(s.stop)) for s in region)
    return (a, b), (c, d), (e, f)


def _as_span(plain: Any) -> Span:
    (a, b), (c, d), (e, f) = plain
    return (int(a), int(b)), (int(c), int(d)), (int(e), int(f))


def grid_to_json(grid: Grid) -> dict[str, Any]:
    """A grid in plain types."""
    return {"shape": list(grid.shape), "affine": grid.affine.tolist()}


def _grid_of_json(plain: Mapping[str, Any]) -> Grid:
    a, b, c = plain["shape"]
    return Grid((a, b, c), np.asarray(plain["affine"], np.float64))
