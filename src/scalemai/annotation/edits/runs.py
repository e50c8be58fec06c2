"""A mask as runs of voxels: small, exact, the same bytes for the same mask."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalemai.errors import ConfigError

__all__ = ["Box", "Runs"]

Box = tuple[tuple[int, int, int], tuple[int, int, int]]
"""Lower corner, and upper corner that is not part of it, in voxels."""

_Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Voxels of a stored grid, as runs along its first axis.

    Voxel (x, y, z) of a grid of shape (nx, ny, nz) has number ``x + nx * (y + ny * z)``. Runs are
    sorted, not empty, and neither overlap nor touch, so that a mask has one form only. A run may go
    on from one row to the next.

    Parameters
    ----------
    starts, lengths
        Arrays (n,), int64.

    Raises
    ------
    ConfigError
        If the runs are not as said.
    """

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def __post_init__(self) -> None:
        starts, lengths = self.starts, self.lengths
        if starts.ndim != 1 or starts.shape != lengths.shape:
            raise ConfigError("starts and lengths differ in number", where="runs")
        if starts.size and (
            starts[0] < 0 or (lengths < 1).any() or (starts[1:] <= starts[:-1] + lengths[:-1]).any()
        ):
            raise ConfigError("are not sorted, or overlap, or touch, or are empty", where="runs")

    @classmethod
    def none(cls) -> Runs:
        """No voxel."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64))

    @classmethod
    def of_pairs(cls, pairs: Sequence[int], shape: Sequence[int]) -> Runs:
        """Runs from ``[start, length, start, length, ...]`` as pages send them, in any order.

        Raises
        ------
        ConfigError
            If a number is no whole number, or a run leaves the grid.
        """
        if not all(type(number) is int for number in pairs) or len(pairs) % 2:
            raise ConfigError("are not pairs of whole numbers", where="runs")
        total = int(np.prod(np.asarray(shape, dtype=np.int64)))
        if any(not 0 <= number <= total for number in pairs):
            raise ConfigError(f"leave the grid of {total} voxels", where="runs")
        array = np.asarray(pairs, np.int64).reshape(-1, 2)
        array = array[array[:, 1] > 0]
        if array.size and int((array[:, 0] + array[:, 1]).max()) > total:
            raise ConfigError(f"leave the grid of {total} voxels", where="runs")
        return _merged(array[:, 0], array[:, 0] + array[:, 1])

    @classmethod
    def of_mask(
        cls, mask: NDArray[np.generic], shape: Sequence[int], low: Sequence[int] = (0, 0, 0)
    ) -> Runs:
        """Runs of an array that lies at ``low`` in a grid of ``shape``; what is not 0 is meant."""
        nx, ny, _ = (int(n) for n in shape)
        filled = np.nonzero(np.asarray(mask).transpose(2, 1, 0))  # sorted by z, then y, then x
        z, y, x = (filled[i].astype(np.int64) + int(low[2 - i]) for i in range(3))
        numbers = x + nx * (y + ny * z)
        if not numbers.size:
            return cls.none()
        breaks = np.nonzero(np.diff(numbers) > 1)[0] + 1
        starts = numbers[np.concatenate(([0], breaks))]
        ends = numbers[np.concatenate((breaks - 1, [-1]))] + 1
        return cls(starts, ends - starts)

    @classmethod
    def unpack(cls, content: bytes) -> Runs:
        """The runs of :meth:`pack`.

        Raises
        ------
        ConfigError
            If the bytes are no runs.
        """
        if len(content) % 16:
            raise ConfigError(f"{len(content)} bytes are no runs", where="runs")
        array = np.frombuffer(content, "<i8").astype(np.int64).reshape(-1, 2)
        return cls(array[:, 0].copy(), array[:, 1].copy())

    def pack(self) -> bytes:
        """Start and length of each run as little-endian int64; equal masks give equal bytes."""
        return np.stack((self.starts, self.lengths), axis=1).astype("<i8").tobytes()

    @property
    def sha256(self) -> str:
        """SHA-256 of :meth:`pack`, hexadecimal."""
        return hashlib.sha256(self.pack()).hexdigest()

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return int(self.lengths.sum())

    def pairs(self) -> list[int]:
        """``[start, length, start, length, ...]`` as pages take them."""
        return [int(n) for n in np.stack((self.starts, self.lengths), axis=1).ravel()]

    def numbers(self) -> NDArray[np.int64]:
        """Numbers of all voxels, ascending."""
        ends = np.cumsum(self.lengths)
        steps = np.arange(self.voxels, dtype=np.int64)
        numbers: NDArray[np.int64] = steps + np.repeat(
            self.starts - ends + self.lengths, self.lengths
        )
        return numbers

    def mask(self, shape: Sequence[int], box: Box | None = None) -> _Bools:
        """The mask as an array of a grid of ``shape``, or of a box in it; Fortran order.

        Parameters
        ----------
        shape
            Of the stored grid.
        box
            Which part of it; all of it by default.
        """
        low, high = box if box is not None else ((0, 0, 0), tuple(int(n) for n in shape))
        size = tuple(int(b) - int(a) for a, b in zip(low, high, strict=True))
        array = np.zeros(size, np.bool_, order="F")
        x, y, z = self.indices(shape)
        x, y, z = x - low[0], y - low[1], z - low[2]
        inside = (x >= 0) & (y >= 0) & (z >= 0) & (x < size[0]) & (y < size[1]) & (z < size[2])
        array[x[inside], y[inside], z[inside]] = True
        return array

    def indices(self, shape: Sequence[int]) -> tuple[NDArray[np.int64], ...]:
        """Indices x, y and z of all voxels in a grid of ``shape``."""
        nx, ny = int(shape[0]), int(shape[1])
        numbers = self.numbers()
        rows = numbers // nx
        return numbers - rows * nx, rows % ny, rows // ny

    def box(self, shape: Sequence[int]) -> Box | None:
        """Smallest box with all voxels; None if there is no voxel."""
        if not self.starts.size:
            return None
        x, y, z = self.indices(shape)
        low = (int(x.min()), int(y.min()), int(z.min()))
        return low, (int(x.max()) + 1, int(y.max()) + 1, int(z.max()) + 1)

    def __or__(self, other: Runs) -> Runs:
        return _combined(self, other, np.logical_or)

    def __and__(self, other: Runs) -> Runs:
        return _combined(self, other, np.logical_and)

    def __sub__(self, other: Runs) -> Runs:
        return _combined(self, other, lambda a, b: a & ~b)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Runs):
            return NotImplemented
        return np.array_equal(self.starts, other.starts) and np.array_equal(
            self.lengths, other.lengths
        )

    def __hash__(self) -> int:
        return hash(self.pack())

    def dice(self, other: Runs) -> float:
        """Dice coefficient; 1 if both are empty."""
        total = self.voxels + other.voxels
        return 1.0 if not total else 2.0 * (self & other).voxels / total


def _merged(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Runs:
    """Runs of intervals in any order that may overlap or touch."""
    if not starts.size:
        return Runs.none()
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], np.maximum.accumulate(ends[order])
    fresh = np.concatenate(([True], starts[1:] > ends[:-1]))
    last = np.concatenate((np.nonzero(fresh)[0][1:] - 1, [starts.size - 1]))
    return Runs(starts[fresh], ends[last] - starts[fresh])


def _combined(one: Runs, two: Runs, keep: Callable[[_Bools, _Bools], _Bools]) -> Runs:
    """Voxels for which ``keep(in one, in two)``: a sweep over all borders of runs."""
    borders = np.unique(
        np.concatenate((one.starts, one.starts + one.lengths, two.starts, two.starts + two.lengths))
    )
    if borders.size < 2:
        return Runs.none()
    left = borders[:-1]
    kept = keep(_covers(one, left), _covers(two, left))
    return _merged(left[kept], borders[1:][kept])


def _covers(runs: Runs, numbers: NDArray[np.int64]) -> _Bools:
    """Whether voxels are in the runs."""
    if not runs.starts.size:
        return np.zeros(numbers.shape, np.bool_)
    place = np.searchsorted(runs.starts, numbers, side="right") - 1
    known = np.maximum(place, 0)
    return (place >= 0) & (numbers < runs.starts[known] + runs.lengths[known])
