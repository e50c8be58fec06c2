"""The cellular automaton: when does each cell around a seed become tumor?

Cells lie on an isotropic lattice in millimetres that is tied to the lesion, not to the scan, so
neither spacing nor orientation of the CT can bend the growth. Three rules act:

*Growth*: a cell that has turned multiplies until it fills its place; its density rises linearly
over the proliferation time (see :mod:`scalemai.synthesis.growth.field`), so slow growth behind a
fast front gives an ill-defined margin.

*Invasion*: a healthy cell turns when its turned neighbours have pushed through it. The time that
takes follows from the local speed, which is the product of the tissue's permeability (parenchyma
1; vessels, ducts and fat slower; the organ's boundary, gas and other lesions impassable) and of a
smooth random heterogeneity that gives lobulated outlines.

*Death*: cells that lie deeper than the viable rim starve. They stay tumor; only their look changes
(see :mod:`scalemai.synthesis.painting.appearance`).

The automaton is asynchronous: the next cell to turn is always the earliest on the living front,
kept in a heap, so nothing but the front is ever visited and the cost follows the lesion's volume.
The rule of a cell is the upwind solution of ``|grad T| * speed = 1`` from its earliest neighbours
(Sethian, PNAS 1996;93:1591-1595), which makes free growth a sphere where a 26-neighbour shortest
path would give a polyhedron.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalemai.compiled import compiled
from scalemai.synthesis.growth.front import rise, take_first
from scalemai.synthesis.growth.permeability import speed_at

__all__ = ["march"]

_DIRECTIONS = 24  # widths over 24 directions miss a longest chord by at most 1 - cos(3.75 deg)
_SEED_CELLS = 3
_HEALTHY, _FRONT, _TURNED, _BARRED = 0, 1, 2, 3


@compiled
def _turning_time(
    time: NDArray[np.float32],
    state: NDArray[np.uint8],
    cell: int,
    n: int,
    wait: float,
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> float:
    """Upwind arrival time of a cell from its turned neighbours.

    ``wait`` is mm per cell over speed; ``value`` and ``weight`` are scratch arrays of three
    numbers. Second order where two cells in a row have turned: first order lags by a tenth along
    diagonals.
    """
    count = 0
    for axis in range(3):
        step = n * n if axis == 0 else n if axis == 1 else 1
        best = np.inf
        side = 0
        for sign in (-1, 1):
            neighbour = cell + sign * step
            if state[neighbour] == _TURNED and time[neighbour] < best:
                best = time[neighbour]
                side = sign
        if side == 0:
            continue
        alpha = 1.0
        behind = cell + 2 * side * step
        if state[behind] == _TURNED and time[behind] <= best:
            best = (4.0 * best - time[behind]) / 3.0
            alpha = 2.25
        at = count
        while at > 0 and value[at - 1] > best:
            value[at] = value[at - 1]
            weight[at] = weight[at - 1]
            at -= 1
        value[at] = best
        weight[at] = alpha
        count += 1
    # Solve sum weight * (t - value)^2 = wait^2 over the neighbours that are earlier than t.
    a = weight[0]
    b = weight[0] * value[0]
    c = weight[0] * value[0] * value[0]
    t = value[0] + wait / np.sqrt(a)
    for m in range(1, count):
        if t <= value[m]:
            break
        a += weight[m]
        b += weight[m] * value[m]
        c += weight[m] * value[m] * value[m]
        t = (b + np.sqrt(max(b * b - a * (c - wait * wait), 0.0))) / a
    return float(t)


@compiled
def march(
    n: int,
    step_mm: float,
    hu: NDArray[np.float32],
    domain: NDArray[np.bool_],
    barrier: NDArray[np.uint8],
    to_voxel: NDArray[np.float64],
    to_image_mm: NDArray[np.float64],
    slab_mm: float,
    reach: NDArray[np.int64],
    tissue: NDArray[np.float64],
    table: NDArray[np.float32],
    wavelength_cells: float,
    irregularity: float,
    spicules: NDArray[np.float64],
    diameter_mm: float,
    tail: float,
) -> tuple[NDArray[np.float32], float, float, bool]:
    """Let one lesion grow from the centre of a lattice of n x n x n cells.

    Parameters
    ----------
    n, step_mm
        Cells per side (odd) and distance between cells in mm.
    hu, domain, barrier
        The scan around the seed, arrays (i, j, k): Hounsfield units, where growth may go, barrier
        codes.
    to_voxel
        Matrix (3, 4) from cell indices to voxel indices of those arrays.
    to_image_mm
        Matrix (3, 3) from cell offsets to mm along (in-plane, in-plane, slice normal).
    slab_mm
        Thickness of the axial slabs within which the diameter is measured.
    reach
        Voxels to each side over which HU are averaged before tissue is judged.
    tissue
        Mean HU, bright and dark tolerance in HU, HU of gas, permeability of vessel, of fat
        inside the organ, of what lies outside it, and of fluid in its lumen.
    table, wavelength_cells, irregularity
        Noise, its wavelength in cells and the standard deviation of log speed.
    spicules
        Array (m, 4): unit vectors along which the front hastens, and how far, in cells.
    diameter_mm, tail
        Longest axial diameter at which the clock stops, and how much longer (in time units, mm at
        unit speed) the front is followed beyond it.

    Returns
    -------
    time
        Array (n, n, n) of arrival times in mm at unit speed; inf where growth did not come.
    stop
        Arrival time at which the diameter was reached (or of the last cell).
    reached_mm
        Longest axial diameter at that time.
    complete
        False if there was no room: the front died before the diameter was reached.
    """
    total = n * n * n
    centre = n // 2
    time = np.full(total, np.inf, np.float32)
    state = np.zeros(total, np.uint8)
    speed = np.empty(total, np.float32)
    heap = np.empty(total, np.int32)
    when = np.empty(total, np.float32)
    place = np.empty(total, np.int32)
    size = 0
    value = np.empty(3)
    weight = np.empty(3)

    cosine = np.empty(_DIRECTIONS)
    sine = np.empty(_DIRECTIONS)
    for d in range(_DIRECTIONS):
        cosine[d] = np.cos(np.pi * d / _DIRECTIONS)
        sine[d] = np.sin(np.pi * d / _DIRECTIONS)
    reach_mm = 0.0
    for axis in range(3):
        reach_mm += abs(to_image_mm[2, axis]) * (centre + 1)
    slabs = 2 * int(np.ceil(reach_mm / slab_mm)) + 3
    lowest = np.full((slabs, _DIRECTIONS), np.inf)
    highest = np.full((slabs, _DIRECTIONS), -np.inf)
    # The front stands at the cell that turned last and, at the other end, up to a step beyond the
    # outermost cell that has turned: half a step on average.
    widest = 0.0

    # The seed is a small ball with its exact times: the upwind rule is coarse near a point source.
    for di in range(-_SEED_CELLS, _SEED_CELLS + 1):
        for dj in range(-_SEED_CELLS, _SEED_CELLS + 1):
            for dk in range(-_SEED_CELLS, _SEED_CELLS + 1):
                square = di * di + dj * dj + dk * dk
                if square > _SEED_CELLS * _SEED_CELLS:
                    continue
                cell = ((centre + di) * n + centre + dj) * n + centre + dk
                flow = speed_at(
                    cell, n, centre, hu, domain, barrier, to_voxel, reach, tissue, table,
                    wavelength_cells, irregularity, spicules,
                )  # fmt: skip
                if square == 0 and flow <= 0.0:
                    flow = 1.0
                speed[cell] = flow
                if flow <= 0.0:
                    state[cell] = _BARRED
                    continue
                time[cell] = np.sqrt(square) * step_mm / flow
                state[cell] = _FRONT
                rise(heap, when, place, size, cell, time[cell])
                size += 1

    stop = np.inf
    last = 0.0
    while size > 0:
        cell = heap[0]
        now = time[cell]
        if now > stop + tail:
            break
        take_first(heap, when, place, size)
        size -= 1
        state[cell] = _TURNED
        i = cell // (n * n)
        j = (cell // n) % n
        k = cell % n
        if stop == np.inf:
            last = now
            u, v, w = i - centre, j - centre, k - centre
            x = to_image_mm[0, 0] * u + to_image_mm[0, 1] * v + to_image_mm[0, 2] * w
            y = to_image_mm[1, 0] * u + to_image_mm[1, 1] * v + to_image_mm[1, 2] * w
            z = to_image_mm[2, 0] * u + to_image_mm[2, 1] * v + to_image_mm[2, 2] * w
            s = int(np.floor(z / slab_mm + 0.5)) + slabs // 2
            for d in range(_DIRECTIONS):
                along = x * cosine[d] + y * sine[d]
                if along < lowest[s, d]:
                    lowest[s, d] = along
                if along > highest[s, d]:
                    highest[s, d] = along
                width = highest[s, d] - lowest[s, d] + 0.5 * step_mm
                if width > widest:
                    widest = width
            if widest >= diameter_mm:
                stop = now
        if i < 3 or j < 3 or k < 3 or i >= n - 3 or j >= n - 3 or k >= n - 3:
            continue  # the lattice ends here
        for direction in range(6):
            step = n * n if direction < 2 else n if direction < 4 else 1
            neighbour = cell + step if direction % 2 else cell - step
            if state[neighbour] == _TURNED or state[neighbour] == _BARRED:
                continue
            if state[neighbour] == _HEALTHY:
                flow = speed_at(
                    neighbour, n, centre, hu, domain, barrier, to_voxel, reach, tissue, table,
                    wavelength_cells, irregularity, spicules,
                )  # fmt: skip
                speed[neighbour] = flow
                if flow <= 0.0:
                    state[neighbour] = _BARRED
                    continue
            arrival = _turning_time(
                time, state, neighbour, n, step_mm / speed[neighbour], value, weight
            )
            if arrival < time[neighbour]:
                time[neighbour] = arrival
                at = place[neighbour]
                if state[neighbour] == _HEALTHY:
                    state[neighbour] = _FRONT
                    at = size
                    size += 1
                rise(heap, when, place, at, neighbour, time[neighbour])
    complete = stop < np.inf
    if not complete:
        stop = last
    return time.reshape((n, n, n)), stop, widest, complete
