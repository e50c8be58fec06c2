"""The patches of a training in their order: the same ones after a restart, whoever makes them.

Every patch of a run has a number, from the step, the device and its place in the batch, and the
number decides the patch.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, Dataset

from scalemai.errors import ScaleMAIError

__all__ = ["Batch", "PatchSource", "batches", "collate"]

_AHEAD = 4  # batches that each worker makes in advance, so that a slow patch stops nobody


class PatchSource(Protocol):
    """A map-style data set whose patches follow from its seed and their number alone.

    Numbers have no end: each is a new patch.
    """

    def __getitem__(self, index: int) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Batch:
    """Patches side by side.

    Parameters
    ----------
    image
        Tensor (batch, channels, x, y, z), float32.
    label
        Tensor (batch, x, y, z), uint8.
    keys
        What each patch was made from.
    """

    image: torch.Tensor
    label: torch.Tensor
    keys: tuple[str, ...]


def batches(
    patches: PatchSource,
    *,
    batch: int,
    steps: range,
    workers: int = 0,
    rank: int = 0,
    world: int = 1,
) -> Iterator[Batch]:
    """Batches of some steps, in order.

    Parameters
    ----------
    patches
        Where they come from.
    batch
        Patches of a batch.
    steps
        Steps, from 0.
    workers
        Processes that make them; 0 makes them here.
    rank, world
        Which device of how many they are for.

    Raises
    ------
    ScaleMAIError
        What went wrong with a patch, or that a worker was killed.
    """
    loader = DataLoader(
        _Numbered(patches),
        batch_sampler=_Order(batch, steps, rank, world),
        num_workers=workers,
        collate_fn=_collate_or_error,
        worker_init_fn=_leave_interrupts_to_the_trainer,
        # Forks of a process that computes with several threads can hang.
        multiprocessing_context="spawn" if workers else None,
        prefetch_factor=_AHEAD if workers else None,
        generator=torch.Generator(),  # or it would draw from the global one
    )
    try:
        for one in loader:
            if isinstance(one, ScaleMAIError):
                raise one
            yield one
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        what = f"a process that makes patches ended ({str(error).splitlines()[0]})"
        fix = "often memory is short: give run.workers=0, fewer or smaller patches"
        raise ScaleMAIError(what, where="run.workers", fix=fix) from error


def collate(patches: Sequence[Mapping[str, Any]]) -> Batch:
    """Patches as one batch."""
    return Batch(
        torch.stack([torch.as_tensor(one["image"]) for one in patches]),
        torch.stack([torch.as_tensor(one["label"]) for one in patches]),
        tuple(str(one["key"]) for one in patches),
    )


class _Numbered(Dataset[Any]):  # type: ignore[misc]  # mypy does not follow torch
    """Patches by number; an error is handed on whole, not as a text with a traceback."""

    def __init__(self, patches: PatchSource) -> None:
        self._patches = patches

    def __getitem__(self, number: int) -> Mapping[str, Any] | ScaleMAIError:
        try:
            return self._patches[number]
        except ScaleMAIError as error:
            return error


class _Order:
    """Numbers of the patches of each step."""

    def __init__(self, batch: int, steps: range, rank: int, world: int) -> None:
        self._batch, self._steps, self._rank, self._world = batch, steps, rank, world

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[list[int]]:
        for step in self._steps:
            first = (step * self._world + self._rank) * self._batch
            yield list(range(first, first + self._batch))


def _collate_or_error(
    patches: Sequence[Mapping[str, Any] | ScaleMAIError],
) -> Batch | ScaleMAIError:
    good: list[Mapping[str, Any]] = []
    for one in patches:
        if isinstance(one, ScaleMAIError):
            return one
        good.append(one)
    return collate(good)


def _leave_interrupts_to_the_trainer(worker: int) -> None:
    # They reach every process of a terminal or job; the trainer needs its workers until it stops.
    for name in ("SIGINT", "SIGTERM", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
