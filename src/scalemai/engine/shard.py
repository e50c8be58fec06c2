"""The share of one machine among several, without any of them talking to another."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar
from zlib import crc32

from scalemai.errors import ConfigError

__all__ = ["shard"]

Item = TypeVar("Item")


def shard(
    items: Iterable[Item], index: int, count: int, key: Callable[[Item], str] = str
) -> list[Item]:
    """Items of share ``index`` out of ``count``, in their order.

    An item's share depends on its key and ``count`` alone (CRC-32 of the key's UTF-8), so adding
    cases moves no other case, and every machine can work out its share by itself. Shares are
    about equal in size, not exactly.

    Parameters
    ----------
    items
        All items, the same on every machine.
    index
        From 0 to ``count - 1``, for example ``SLURM_ARRAY_TASK_ID`` of ``--array=0-63``.
    count
        How many shares there are.
    key
        Names an item, as in :func:`scalemai.engine.map`.

    Raises
    ------
    ConfigError
        If ``index`` is not one of the ``count`` shares.
    """
    if not 0 <= index < count:
        raise ConfigError(
            f"there is no share {index} of {count}",
            where="shard",
            fix=f"count from 0 to {count - 1}" if count > 0 else "give at least one share",
        )
    # surrogateescape: file names that are not UTF-8 are keys like any other.
    return [
        item
        for item in items
        if crc32(key(item).encode("utf-8", "surrogateescape")) % count == index
    ]
