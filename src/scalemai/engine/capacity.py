"""How many workers this machine, or this job's part of it, has room for."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from scalemai.errors import ConfigError

__all__ = ["available_cores", "available_memory_bytes", "default_workers"]

MEMORY_SHARE = 0.8
"""Part of the free memory that workers may fill; the rest is for the driver, the page cache and
the neighbours. The author's estimate, to be refined."""

_UNLIMITED = 1 << 60
"""cgroup v1 writes "no limit" as a number near 2**63."""


def default_workers(memory_per_worker_bytes: int) -> int:
    """Workers that fit: one core is left free, and memory is not overcommitted. At least 1.

    Parameters
    ----------
    memory_per_worker_bytes
        What one worker needs at its peak.

    Raises
    ------
    ConfigError
        If ``memory_per_worker_bytes`` is not above 0.
    """
    if memory_per_worker_bytes <= 0:
        raise ConfigError(
            f"must be above 0, not {memory_per_worker_bytes}", where="memory_per_worker_bytes"
        )
    workers = available_cores() - 1
    memory = available_memory_bytes()
    if memory is not None:
        workers = min(workers, int(memory * MEMORY_SHARE) // memory_per_worker_bytes)
    return max(1, workers)


def available_cores(root: Path = Path("/")) -> int:
    """Cores that this process may use: its affinity (set by SLURM), and its cgroup's quota.

    ``root`` is where ``/proc`` and ``/sys`` are.
    """
    if sys.platform == "linux":
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    for folder in _cgroups(root, "cpu"):
        quota, _, period = _text(folder / "cpu.max").partition(" ")  # v2: "200000 100000"
        if not quota:
            quota = _text(folder / "cpu.cfs_quota_us")
            period = _text(folder / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit() and int(period):
            cores = min(cores, int(quota) // int(period))
    return max(1, cores)


def available_memory_bytes(root: Path = Path("/")) -> int | None:
    """Memory that can be taken without swapping, within the limits of the job's cgroup.

    ``None`` where the system does not say. ``root`` is where ``/proc`` and ``/sys`` are.
    """
    free = [room for folder in _cgroups(root, "memory") if (room := _room(folder)) is not None]
    for line in _text(root / "proc/meminfo").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            free.append(int(value.split()[0]) * 1024)  # in kB
    return max(0, min(free)) if free else None


def _room(cgroup: Path) -> int | None:
    """Bytes left below the limit of one cgroup, v2 or v1."""
    for limit_file, usage_file, cache in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit, usage = _text(cgroup / limit_file), _text(cgroup / usage_file)
        if limit.isdigit() and usage.isdigit() and int(limit) < _UNLIMITED:
            # Usage counts cached files, which the kernel gives up when memory is asked for.
            statistics = dict(
                line.split() for line in _text(cgroup / "memory.stat").splitlines() if " " in line
            )
            return int(limit) - int(usage) + int(statistics.get(cache, 0))
    return None


def _cgroups(root: Path, controller: str) -> Iterator[Path]:
    """The process's cgroup for ``controller`` and those around it, each of which may limit it."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # v2
            mount = root / "sys/fs/cgroup"
        elif controller in controllers.split(","):
            mount = root / "sys/fs/cgroup" / controller
        else:
            continue
        folder = mount / path.lstrip("/")
        yield folder
        while folder != mount:
            folder = folder.parent
            yield folder


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
