"""Patches: which voxels of a mask were set and which were cleared."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scalemai.annotation.edits.runs import Runs
from scalemai.errors import ConfigError

__all__ = ["Patch"]

_MAGIC = b"SMP1"


@dataclass(frozen=True, slots=True)
class Patch:
    """The way from one mask to another; no voxel is both set and cleared.

    Parameters
    ----------
    set, clear
        Voxels that become part of the mask, and that do not belong to it any more.

    Raises
    ------
    ConfigError
        If a voxel is in both.
    """

    set: Runs
    clear: Runs

    def __post_init__(self) -> None:
        if (self.set & self.clear).voxels:
            raise ConfigError("sets and clears the same voxel", where="patch")

    @classmethod
    def between(cls, before: Runs, after: Runs) -> Patch:
        """The smallest patch from one mask to another."""
        return cls(after - before, before - after)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any], shape: Sequence[int]) -> Patch:
        """A patch from ``{"set": [start, length, ...], "clear": [...]}`` as pages send it.

        Raises
        ------
        ConfigError
            If it is none, or leaves the grid.
        """
        if strange := sorted(plain.keys() - {"set", "clear"}):
            raise ConfigError(f"{strange[0]!r} is not known", where="patch")
        values = [plain.get(name, []) for name in ("set", "clear")]
        if not all(isinstance(value, list) for value in values):
            raise ConfigError("set and clear are not lists", where="patch")
        return cls(*(Runs.of_pairs(value, shape) for value in values))

    @classmethod
    def unpack(cls, content: bytes) -> Patch:
        """The patch of :meth:`pack`.

        Raises
        ------
        ConfigError
            If the bytes are no patch.
        """
        size = int.from_bytes(content[4:12], "little")
        if content[:4] != _MAGIC or len(content) < 12 + size:
            raise ConfigError("these bytes are no patch", where="patch")
        return cls(Runs.unpack(content[12 : 12 + size]), Runs.unpack(content[12 + size :]))

    def pack(self) -> bytes:
        """Bytes; equal patches have equal bytes."""
        first = self.set.pack()
        return _MAGIC + len(first).to_bytes(8, "little") + first + self.clear.pack()

    @property
    def sha256(self) -> str:
        """SHA-256 of :meth:`pack`, hexadecimal."""
        return hashlib.sha256(self.pack()).hexdigest()

    @property
    def is_empty(self) -> bool:
        """Whether it changes nothing, whatever the mask."""
        return not self.set.voxels and not self.clear.voxels

    @property
    def inverse(self) -> Patch:
        """What takes it back, if it was the smallest between two masks."""
        return Patch(self.clear, self.set)

    def apply(self, mask: Runs) -> Runs:
        """The mask after the patch; voxels that are set or clear already stay so."""
        return (mask | self.set) - self.clear

    def to_plain(self) -> dict[str, list[int]]:
        """As pages take it."""
        return {"set": self.set.pairs(), "clear": self.clear.pairs()}
