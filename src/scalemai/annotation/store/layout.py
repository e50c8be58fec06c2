"""How a case lies in the working store, and the way back to the grid that it came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from scalemai.annotation.edits.runs import Runs
from scalemai.errors import ConfigError
from scalemai.geometry import Grid

__all__ = ["CT_FILE", "STRUCTURES_FILE", "StoredCase", "stored_axes"]

CT_FILE = "ct.i16"
"""HU as little-endian int16, x fastest."""

STRUCTURES_FILE = "structures.u8"
"""Label map of the organs, x fastest: 0, or a place in ``StoredCase.structures`` plus 1."""

_Scalar = TypeVar("_Scalar", bound=np.generic)
_Triple = tuple[int, int, int]
_Rows = tuple[tuple[float, float, float, float], ...]


def stored_axes(grid: Grid) -> tuple[_Triple, tuple[bool, bool, bool]]:
    """Which native axis each stored axis is, and which of them run backwards.

    Stored arrays run nearest to Left, Posterior and Superior, as DICOM's do: index 0 of an axial
    image is the patient's right, which is shown on the left. Nothing is resampled.
    """
    codes = grid.orientation  # of native axes, e.g. "RAS"
    order, flips = [], []
    for pair, towards in (("LR", "L"), ("PA", "P"), ("IS", "S")):
        axis = next(a for a in range(3) if codes[a] in pair)
        order.append(axis)
        flips.append(codes[axis] != towards)
    return (order[0], order[1], order[2]), (flips[0], flips[1], flips[2])


@dataclass(frozen=True, kw_only=True)
class StoredCase:
    """A case in the working store.

    Parameters
    ----------
    shape
        Of the stored arrays.
    affine
        Rows of the matrix (4, 4) from stored index to RAS+ mm.
    native_shape, native_affine
        Of the CT's own array.
    order, flips
        Which native axis each stored axis is, and whether it runs backwards.
    structures
        Names in the label map, in the order of their numbers from 1.
    hu_range
        Smallest and largest HU.
    hashes
        SHA-256 of the stored files by name, and of the voxels of the source.
    """

    shape: _Triple
    affine: _Rows
    native_shape: _Triple
    native_affine: _Rows
    order: _Triple
    flips: tuple[bool, bool, bool]
    structures: tuple[str, ...] = ()
    hu_range: tuple[int, int] = (-1024, 3071)
    hashes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_grid(cls, grid: Grid, **more: Any) -> StoredCase:
        """How a CT of this grid is stored."""
        order, flips = stored_axes(grid)
        shape = tuple(grid.shape[axis] for axis in order)
        to_native = np.zeros((4, 4))
        to_native[3, 3] = 1.0
        for axis, (native, flip) in enumerate(zip(order, flips, strict=True)):
            to_native[native, axis] = -1.0 if flip else 1.0
            to_native[native, 3] = grid.shape[native] - 1 if flip else 0.0
        return cls(
            shape=shape,  # type: ignore[arg-type]  # three axes in, three out
            affine=_rows(grid.affine @ to_native),
            native_shape=grid.shape,
            native_affine=_rows(grid.affine),
            order=order,
            flips=flips,
            **more,
        )

    @cached_property
    def grid(self) -> Grid:
        """Grid of the stored arrays."""
        return Grid(self.shape, np.asarray(self.affine))

    @cached_property
    def native_grid(self) -> Grid:
        """Grid of the CT's own array."""
        return Grid(self.native_shape, np.asarray(self.native_affine))

    def from_native(self, array: NDArray[_Scalar]) -> NDArray[_Scalar]:
        """A view of a native array in the stored order of axes."""
        turned = array.transpose(self.order)
        return turned[tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)]

    def to_native(self, array: NDArray[_Scalar]) -> NDArray[_Scalar]:
        """A view of a stored array in the native order of axes."""
        turned = array[tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)]
        return turned.transpose(tuple(int(axis) for axis in np.argsort(self.order)))

    def native_indices(self, runs: Runs) -> tuple[NDArray[np.int64], ...]:
        """Indices into the native array of all voxels of a mask."""
        stored = runs.indices(self.shape)
        native = list(stored)
        for axis, (where, flip) in enumerate(zip(self.order, self.flips, strict=True)):
            index = stored[axis]
            native[where] = self.shape[axis] - 1 - index if flip else index
        return tuple(native)

    def to_json(self) -> str:
        """JSON, for the database."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> StoredCase:
        """The case of :meth:`to_json`.

        Raises
        ------
        ConfigError
            If the text describes none.
        """
        try:
            plain = json.loads(text)
            values = {one.name: plain[one.name] for one in fields(cls)}
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ConfigError("describes no stored case", where="database") from error
        triples = ("shape", "native_shape", "order", "flips", "structures", "hu_range")
        values |= {name: tuple(values[name]) for name in triples}
        for name in ("affine", "native_affine"):
            values[name] = tuple(tuple(row) for row in values[name])
        return cls(**values)


def _rows(affine: NDArray[np.float64]) -> _Rows:
    rows = [tuple(float(value) for value in row) for row in affine]
    return tuple((a, b, c, d) for a, b, c, d in rows)
