"""Processes of a training that torchrun started, on one machine or on several.

Without a launcher a training starts its own processes, on one machine. With one, each machine runs
the same command; they must see the same folders.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

import torch
from lightning_fabric.plugins.environments import TorchElasticEnvironment

from scalemai.errors import ConfigError

__all__ = ["Launch", "launched", "leading", "leave"]

_PATIENCE = timedelta(hours=24)
"""How long processes wait for the one that prepares the cases. Author's choice."""


@dataclass(frozen=True)
class Launch:
    """What a launcher started.

    Parameters
    ----------
    leads
        Whether this is the process that writes.
    processes
        Of all machines.
    here
        Of each machine.
    """

    leads: bool
    processes: int
    here: int


@cache
def launched() -> Launch | None:
    """What a launcher started, this process among others; None if there was no launcher.

    All processes must ask: the first time they wait for each other.

    Raises
    ------
    ConfigError
        If machines have different numbers of processes.
    """
    if not (torch.distributed.is_available() and TorchElasticEnvironment.detect()):
        return None
    place = TorchElasticEnvironment()
    world, rank = place.world_size(), place.global_rank()
    if not torch.distributed.is_initialized():
        kind = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        torch.distributed.init_process_group(kind, rank=rank, world_size=world, timeout=_PATIENCE)
    numbers = [0] * world
    torch.distributed.all_gather_object(numbers, place.local_rank())
    here = max(numbers) + 1
    if any(numbers.count(number) != numbers.count(0) for number in range(here)):
        fix = "give every machine the same --nproc-per-node"
        raise ConfigError("machines have different numbers of processes", where="torchrun", fix=fix)
    return Launch(rank == 0, world, here)


@contextmanager
def leading() -> Iterator[bool]:
    """Whether this process does what is done once; the others wait until it is done."""
    found = launched()
    if found is None or found.leads:
        yield True
        if found is not None:
            torch.distributed.barrier()
    else:
        torch.distributed.barrier()
        yield False


def leave() -> None:
    """Part from the processes of a launcher: gloo's threads abort one that ends before."""
    if launched() is not None and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
