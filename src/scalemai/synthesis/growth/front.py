"""The living front: a heap of cells, the earliest on top, in which times may fall.

Times lie beside the cells in the heap, so that comparing entries does not jump about the lattice.
Ties go to the lower cell: the order of cells is the same however they were put in.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalemai.compiled import compiled

__all__ = ["rise", "take_first"]


@compiled
def rise(
    heap: NDArray[np.int32],
    when: NDArray[np.float32],
    place: NDArray[np.int32],
    at: int,
    cell: int,
    time: np.float32,
) -> None:
    """Put a cell into the free entry ``at`` or, if it is earlier, above that.

    ``heap`` and ``when`` are cells and times of the entries, ``place`` is the entry of each cell.
    """
    while at > 0:
        parent = (at - 1) >> 1
        other = heap[parent]
        if when[parent] < time or (when[parent] == time and other < cell):
            break
        heap[at] = other
        when[at] = when[parent]
        place[other] = at
        at = parent
    heap[at] = cell
    when[at] = time
    place[cell] = at


@compiled
def take_first(
    heap: NDArray[np.int32], when: NDArray[np.float32], place: NDArray[np.int32], size: int
) -> None:
    """Take the earliest of ``size`` cells off the heap."""
    last = size - 1
    cell, time = heap[last], when[last]
    at = 0
    # The last entry is a late one: the gap moves down to a leaf, from where that entry rises.
    while True:
        child = 2 * at + 1
        if child >= last:
            break
        other = child + 1
        if other < last and (
            when[other] < when[child] or (when[other] == when[child] and heap[other] < heap[child])
        ):
            child = other
        heap[at] = heap[child]
        when[at] = when[child]
        place[heap[at]] = at
        at = child
    rise(heap, when, place, at, cell, time)
