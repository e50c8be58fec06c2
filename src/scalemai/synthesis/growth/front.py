"""The living front: a heap of cells, the earliest on top, in which times may fall."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalemai.compiled import compiled

__all__ = ["sift"]


@compiled
def sift(
    heap: NDArray[np.int32], place: NDArray[np.int32], time: NDArray[np.float32], at: int, size: int
) -> None:
    """Restore the heap order of (time, cell) around one entry; ties go to the lower cell."""
    cell = heap[at]
    while at > 0:
        parent = (at - 1) >> 1
        other = heap[parent]
        if time[other] < time[cell] or (time[other] == time[cell] and other < cell):
            break
        heap[at] = other
        place[other] = at
        at = parent
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size:
            a, b = heap[child], heap[child + 1]
            if time[b] < time[a] or (time[b] == time[a] and b < a):
                child += 1
        other = heap[child]
        if time[cell] < time[other] or (time[cell] == time[other] and cell < other):
            break
        heap[at] = other
        place[other] = at
        at = child
    heap[at] = cell
    place[cell] = at
