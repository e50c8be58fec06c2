"""What was taken over from a checkpoint, tensor by tensor, as JSON and as text."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from scalemai.io.atomic import atomic_path

__all__ = ["MatchReport", "Status", "TensorMatch", "write_report"]

Status = Literal["loaded", "adapted", "head", "shape mismatch", "missing", "unexpected"]

_MOST_SHOWN = 8


@dataclass(frozen=True)
class TensorMatch:
    """What became of one tensor.

    Parameters
    ----------
    status
        See :mod:`scalemai.training.transfer.matching`.
    name, source
        Name in the network, and in the checkpoint; None where it is not.
    shape, there
        Shape in the network, and in the checkpoint.
    """

    status: Status
    name: str | None
    source: str | None
    shape: tuple[int, ...] | None
    there: tuple[int, ...] | None

    def __str__(self) -> str:
        if self.status == "unexpected":
            return f"{self.source} {_shape(self.there)}"
        text = f"{self.name} {_shape(self.shape)}"
        if self.there is not None and self.there != self.shape:
            text += f", in the checkpoint {_shape(self.there)}"
        return text


@dataclass(frozen=True)
class MatchReport:
    """What a network can start with.

    Parameters
    ----------
    tensors
        Every tensor of the network once, then those of the checkpoint that were left aside.
    removed, added
        What was taken off the start of the checkpoint's names, and put before them.
    layout
        Whose names were translated, see :mod:`scalemai.training.transfer.layouts`; else empty.
    parameters, taken
        Numbers of parameters of the network without its head, and how many of them come from the
        checkpoint.
    """

    tensors: tuple[TensorMatch, ...]
    removed: str
    added: str
    layout: str
    parameters: int
    taken: int

    @property
    def share(self) -> float:
        """Share of the parameters, head left out, that come from the checkpoint."""
        return self.taken / self.parameters if self.parameters else 0.0

    @property
    def counts(self) -> dict[str, int]:
        """Number of tensors by status."""
        return {status: len(self.of(status)) for status in get_args(Status)}

    @property
    def new(self) -> frozenset[str]:
        """Names of tensors of the network that keep their random weights."""
        left = self.of("head", "shape mismatch", "missing")
        return frozenset(one.name for one in left if one.name is not None)

    def of(self, *statuses: Status) -> tuple[TensorMatch, ...]:
        """Tensors of some kinds."""
        return tuple(one for one in self.tensors if one.status in statuses)

    def to_dict(self) -> dict[str, Any]:
        """All of it in plain types, for JSON."""
        return {
            "share_of_parameters": self.share,
            "parameters": self.parameters,
            "taken": self.taken,
            "counts": self.counts,
            "prefix_removed": self.removed,
            "prefix_added": self.added,
            "layout": self.layout,
            "tensors": [asdict(one) for one in self.tensors],
        }

    def __str__(self) -> str:
        """Several lines: the share, then each kind but the loaded ones with its first tensors."""
        counts = self.counts
        lines = [
            f"{self.share:.1%} of {self.parameters:,} parameters (head left out) taken over: "
            f"{counts['loaded']} tensors loaded, {counts['adapted']} adapted"
        ]
        if self.layout:
            lines.append(f"names translated from those of {self.layout}")
        if self.removed or self.added:
            lines.append(f"names: {self.removed or 'nothing'!r} removed, {self.added!r} added")
        for status, told in (
            ("adapted", "adapted, new channels of the image are 0"),
            ("head", "classes, left new"),
            ("shape mismatch", "of another shape, left new"),
            ("missing", "not in the checkpoint, left new"),
            ("unexpected", "in the checkpoint only, left aside"),
        ):
            found = [one for one in self.tensors if one.status == status]
            if not found:
                continue
            lines.append(f"{told}: {len(found)}")
            lines += [f"  {one}" for one in found[:_MOST_SHOWN]]
            if len(found) > _MOST_SHOWN:
                lines.append(f"  and {len(found) - _MOST_SHOWN} more")
        return "\n".join(lines)


def write_report(path: Path, plain: dict[str, Any]) -> Path:
    """Write a report as JSON, whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with atomic_path(path) as partial:
        text = json.dumps(plain, indent=1, allow_nan=False)
        partial.write_text(text + "\n", encoding="utf-8")
    return path


def _shape(shape: tuple[int, ...] | None) -> str:
    return "x".join(str(n) for n in shape or ()) or "one number"
