"""Move every mask with the tissue, so that each keeps its volume and they keep apart.

Masks are not moved one by one: rounding to voxels would make neighbours overlap or leave gaps, and
a structure a few voxels wide would gain or lose a tenth of its volume. The masks together divide
the box into parts, each with its own set of masks. A voxel goes to the part that has the largest
share in it (linear interpolation at the place that it came from) after each part's share has been
raised or lowered by an amount of its own; the amounts are set so that every part gets as many
voxels as it has volume (an auction, as in Jacobs, Merkurjev and Esedoglu, J Comput Phys
2018;354:288-310). What was disjoint stays disjoint, and what was nested stays nested.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scalemai.compiled import compiled
from scalemai.geometry import Region
from scalemai.measure import bounding_box
from scalemai.synthesis.effects.displacement import Displacement
from scalemai.synthesis.growth.tissue import StructureBox

__all__ = ["warp_masks"]

_LEAST_VOXELS = 0.02  # smaller shifts move no voxel
_LEAST_SHARE = 0.2  # of a voxel that a part must have to win it, however much it bids
_LARGEST_BID = 1.0
_ROUNDS = 8


def warp_masks(
    boxes: Sequence[StructureBox], displacement: Displacement
) -> tuple[StructureBox | None, ...]:
    """The masks after the tissue has moved, in the same order.

    Parameters
    ----------
    boxes
        All masks that shall keep apart as they are, or keep within each other.
    displacement
        Of :func:`scalemai.synthesis.effects.displacement.push_aside`.

    Returns
    -------
    tuple of StructureBox or None
        The same object where nothing has changed; None where no voxel is left.
    """
    parts = np.zeros(displacement.grid.shape, np.int32)
    members = np.zeros((1, len(boxes)), np.bool_)
    for number, box in enumerate(boxes):
        window = _shared(displacement.region, box.region)
        if window is not None:
            members = _divide(parts, box, window, displacement.region, number, members)
    if len(members) == 1:
        return tuple(boxes)
    moved = _move_parts(parts, displacement.offset, displacement.within, len(members))
    reach = np.ceil(np.abs(displacement.offset).max(axis=(1, 2, 3))).astype(int) + 1
    return tuple(
        _gather(box, number, parts, moved, members, displacement.region, reach)
        for number, box in enumerate(boxes)
    )


def _divide(
    parts: NDArray[np.int32],
    box: StructureBox,
    window: Region,
    region: Region,
    number: int,
    members: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Split every part by a mask; returns the masks that each part belongs to."""
    here, inside = _within(window, region), box.array[_within(window, box.region)]
    parents = _split(parts[here], inside, len(members))
    if not parents.size:
        return members
    added = members[parents]
    added[:, number] = True
    return np.concatenate([members, added])


def _move_parts(
    parts: NDArray[np.int32],
    offset: NDArray[np.float32],
    pushing: NDArray[np.bool_],
    count: int,
) -> NDArray[np.int32]:
    moved = parts.copy()
    target = np.zeros(count)
    won = np.zeros(count)
    kept = np.zeros(count)
    contested = _settle(parts, offset, pushing, moved, target, won, kept)
    places = np.empty(contested, np.int64)
    names = np.full((contested, 8), -1, np.int32)
    shares = np.zeros((contested, 8), np.float32)
    _collect(parts, offset, places, names, shares)
    counted = ~pushing.ravel()[places]
    _count_shares(names, shares, counted, target)
    # What does not touch the lesion keeps its voxels to the last one; of the rest, what lies
    # outside the lesion is as much as has come from elsewhere.
    touching = np.zeros(count, np.bool_)
    touching[parts[pushing]] = touching[moved[pushing]] = True
    touching[names[~counted][names[~counted] >= 0]] = True
    target[~touching] = kept[~touching]
    bids = np.zeros(count, np.float32)
    named = names[counted]
    held = shares[counted]
    entries = named.ravel()
    order = np.argsort(entries, kind="stable")
    starts = np.searchsorted(entries[order], np.arange(count + 1))
    _auction(named, held, order // 8, order % 8, starts, target - won, bids)
    moved.ravel()[places] = _winners(names, shares, bids)
    return moved


def _gather(
    box: StructureBox,
    number: int,
    before: NDArray[np.int32],
    after: NDArray[np.int32],
    members: NDArray[np.bool_],
    region: Region,
    reach: NDArray[np.intp],
) -> StructureBox | None:
    grown = [
        slice(s.start - int(r), s.stop + int(r)) for s, r in zip(box.region, reach, strict=True)
    ]
    window = _shared(region, (grown[0], grown[1], grown[2]))
    if window is None:
        return box
    here, belongs = _within(window, region), members[:, number]
    new = belongs[after[here]]
    if np.array_equal(new, belongs[before[here]]):
        return box
    hull = [
        slice(min(a.start, b.start), max(a.stop, b.stop))
        for a, b in zip(window, box.region, strict=True)
    ]
    union: Region = (hull[0], hull[1], hull[2])
    array = np.zeros([s.stop - s.start for s in union], np.bool_)
    array[_within(box.region, union)] = box.array
    array[_within(window, union)] = new
    tight = bounding_box(array)
    if tight is None:
        return None
    place = [slice(u.start + t.start, u.start + t.stop) for u, t in zip(union, tight, strict=True)]
    return StructureBox(
        box.name, (place[0], place[1], place[2]), np.ascontiguousarray(array[tight])
    )


def _shared(first: Region, second: Region) -> Region | None:
    spans = [
        slice(max(a.start, b.start), min(a.stop, b.stop))
        for a, b in zip(first, second, strict=True)
    ]
    if any(s.stop <= s.start for s in spans):
        return None
    return spans[0], spans[1], spans[2]


def _within(window: Region, outer: Region) -> Region:
    a, b, c = (
        slice(w.start - o.start, w.stop - o.start) for w, o in zip(window, outer, strict=True)
    )
    return a, b, c


@compiled
def _split(parts: NDArray[np.int32], inside: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
    """Give the voxels inside a mask new parts; returns the part that each new one comes from."""
    child = np.full(count, -1, np.int64)
    parents = np.empty(count, np.int64)
    made = 0
    for i in range(parts.shape[0]):
        for j in range(parts.shape[1]):
            for k in range(parts.shape[2]):
                if inside[i, j, k]:
                    old = parts[i, j, k]
                    if child[old] < 0:
                        child[old] = count + made
                        parents[made] = old
                        made += 1
                    parts[i, j, k] = child[old]
    return parents[:made]


@compiled
def _source(
    offset: NDArray[np.float32], i: int, j: int, k: int
) -> tuple[bool, int, int, int, float, float, float]:
    """Whether a voxel moves; the lowest of the eight voxels it came from, and how far beyond."""
    u, v, w = offset[0, i, j, k], offset[1, i, j, k], offset[2, i, j, k]
    if max(abs(u), abs(v), abs(w)) < _LEAST_VOXELS:
        return False, i, j, k, 0.0, 0.0, 0.0
    _, ni, nj, nk = offset.shape
    x = min(max(float(i - u), 0.0), ni - 1.0)
    y = min(max(float(j - v), 0.0), nj - 1.0)
    z = min(max(float(k - w), 0.0), nk - 1.0)
    a, b, c = min(int(x), ni - 2), min(int(y), nj - 2), min(int(z), nk - 2)
    return True, a, b, c, x - a, y - b, z - c


@compiled
def _settle(
    parts: NDArray[np.int32],
    offset: NDArray[np.float32],
    pushing: NDArray[np.bool_],
    moved: NDArray[np.int32],
    target: NDArray[np.float64],
    won: NDArray[np.float64],
    kept: NDArray[np.float64],
) -> int:
    """Assign the voxels that come from within one part; returns the number of the others.

    Counts, for each part, how many moving voxels it has by its shares in them (the contested
    ones are still to come), how many it has won, and how many it had.
    """
    contested = 0
    ni, nj, nk = parts.shape
    for i in range(ni):
        for j in range(nj):
            for k in range(nk):
                moves, a, b, c, _, _, _ = _source(offset, i, j, k)
                if not moves:
                    continue
                kept[parts[i, j, k]] += 1.0
                first = parts[a, b, c]
                alone = (
                    parts[a, b, c + 1] == first
                    and parts[a, b + 1, c] == first
                    and parts[a, b + 1, c + 1] == first
                    and parts[a + 1, b, c] == first
                    and parts[a + 1, b, c + 1] == first
                    and parts[a + 1, b + 1, c] == first
                    and parts[a + 1, b + 1, c + 1] == first
                )
                if not alone:
                    contested += 1
                    continue
                moved[i, j, k] = first
                if not pushing[i, j, k]:
                    target[first] += 1.0
                    won[first] += 1.0
    return contested


@compiled
def _collect(
    parts: NDArray[np.int32],
    offset: NDArray[np.float32],
    places: NDArray[np.int64],
    names: NDArray[np.int32],
    shares: NDArray[np.float32],
) -> None:
    """The parts that have a share in each contested voxel, and how much."""
    ni, nj, nk = parts.shape
    n = 0
    for i in range(ni):
        for j in range(nj):
            for k in range(nk):
                moves, a, b, c, x, y, z = _source(offset, i, j, k)
                if not moves:
                    continue
                first = parts[a, b, c]
                alone = True
                for p in range(2):
                    for q in range(2):
                        for r in range(2):
                            alone = alone and parts[a + p, b + q, c + r] == first
                if alone:
                    continue
                places[n] = (i * nj + j) * nk + k
                for p in range(2):
                    for q in range(2):
                        for r in range(2):
                            weight = (x if p else 1 - x) * (y if q else 1 - y) * (z if r else 1 - z)
                            name = parts[a + p, b + q, c + r]
                            for s in range(8):
                                if names[n, s] < 0:
                                    names[n, s] = name
                                if names[n, s] == name:
                                    shares[n, s] += weight
                                    break
                n += 1


@compiled
def _count_shares(
    names: NDArray[np.int32],
    shares: NDArray[np.float32],
    counted: NDArray[np.bool_],
    target: NDArray[np.float64],
) -> None:
    for n in range(names.shape[0]):
        if counted[n]:
            for s in range(8):
                if names[n, s] >= 0:
                    target[names[n, s]] += shares[n, s]


@compiled
def _worth(share: np.float32, bid: np.float32) -> np.float32:
    return share + bid if share >= _LEAST_SHARE else share - np.float32(2.0)


@compiled
def _auction(
    names: NDArray[np.int32],
    shares: NDArray[np.float32],
    voxel: NDArray[np.int64],
    slot: NDArray[np.int64],
    starts: NDArray[np.int64],
    wanted: NDArray[np.float64],
    bids: NDArray[np.float32],
) -> None:
    """Set the bid of every part but the first, the background, so that it wins what it wants."""
    for _ in range(_ROUNDS):
        settled = True
        for part in range(1, bids.size):
            low, high = starts[part], starts[part + 1]
            if high == low:
                continue
            margins = np.empty(high - low, np.float32)
            for e in range(low, high):
                n, own = voxel[e], slot[e]
                other = np.float32(-9.0)
                for s in range(8):
                    if s != own and names[n, s] >= 0:
                        other = max(other, _worth(shares[n, s], bids[names[n, s]]))
                margins[e - low] = _worth(shares[n, own], np.float32(0.0)) - other
            margins = -np.sort(-margins)
            k = min(max(int(np.rint(wanted[part])), 0), margins.size)
            # The part wins where its margin and its bid are above zero together. Of the bids that
            # win k voxels the nearest to zero is taken, so that others are least disturbed.
            low_bid = -margins[k - 1] if k > 0 else np.float32(-_LARGEST_BID)
            high_bid = -margins[k] if k < margins.size else np.float32(_LARGEST_BID)
            room = min(np.float32(1e-3), np.float32(0.5) * (high_bid - low_bid))
            bid = min(max(np.float32(0.0), low_bid + room), high_bid - room)
            bid = min(max(bid, np.float32(-_LARGEST_BID)), np.float32(_LARGEST_BID))
            settled = settled and abs(bid - bids[part]) < np.float32(1e-6)
            bids[part] = bid
        if settled:
            break


@compiled
def _winners(
    names: NDArray[np.int32], shares: NDArray[np.float32], bids: NDArray[np.float32]
) -> NDArray[np.int32]:
    winners = np.empty(names.shape[0], np.int32)
    for n in range(names.shape[0]):
        best, winner = np.float32(-9.0), np.int32(0)
        for s in range(8):
            if names[n, s] >= 0:
                worth = _worth(shares[n, s], bids[names[n, s]])
                if worth > best or (worth == best and names[n, s] < winner):
                    best, winner = worth, names[n, s]
        winners[n] = winner
    return winners
