"""The parts of an organ as numbers, and what lies in and beside it, for sampling and synthesis.

::

    parts   0   not the organ
            1   the organ, where no part is known
            2.. the parts that the organ's facts name: head, body, tail; left, right; lobes
    tissue  one number for each pair of part and vessel that occurs: lesions grow round vessels

Parts come from the case's masks. Of a pancreas without them they are estimated from its shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.anatomy import ClassMap, Organ, structure
from scalemai.case import Case
from scalemai.detector.preprocessing import Prepared
from scalemai.measure import bounding_box
from scalemai.synthesis.drawing.site import parts_of_pancreas
from scalemai.synthesis.growth.tissue import StructureBox, prepare_tissue

__all__ = [
    "LESION_HERE",
    "LESION_NEW",
    "WHOLE",
    "Tissues",
    "class_map_of",
    "neighbour_names",
    "number_parts",
    "number_tissue",
    "part_names",
    "site_of",
]

Tissues = tuple[tuple[int, str | None], ...]
"""What each number of a tissue array means: part of the organ, and the vessel or neighbour."""

WHOLE = 1
_FIRST = 2
LESION_HERE, LESION_NEW = 254, 255
"""Values of lesions in the label maps that synthesis works on: those of the case, and new ones."""

_MOST_TISSUES = 250
_LEAST_SHARE = 0.5  # of the organ that the masks of its parts must cover to be of use


def part_names(facts: Organ) -> tuple[str, ...]:
    """The structures that parts of an organ are called by; the first has number 2."""
    named = chain(facts.structures, *facts.sites.values())
    return tuple(name for name in dict.fromkeys(named) if name != facts.name)


def number_parts(case: Case, facts: Organ, prepared: Prepared) -> NDArray[np.uint8]:
    """The part of the organ that each voxel of a prepared case belongs to.

    Voxels of the organ that no part claims belong to the nearest part. Where masks overlap, as a
    lung and its lobe do, the smaller structure counts.

    Returns
    -------
    ndarray
        uint8 array on the prepared lattice.
    """
    numbers = prepared.organ.astype(np.uint8)
    names = part_names(facts)
    ordered = sorted((name for name in names if case.has(name)), key=_depth)
    for mask in case.each_mask(ordered, on=prepared.source):
        # Parts that are made of parts come last whatever was asked, so they fill gaps only.
        made = len(case.parts(mask.name)) > 1
        here = prepared.organ & _nearest(mask.array, prepared)
        here &= (numbers == WHOLE) if made else _is_wider(numbers, mask.name, names)
        numbers[here] = _FIRST + names.index(mask.name)
    whole = np.count_nonzero(numbers)
    if np.count_nonzero(numbers > WHOLE) < _LEAST_SHARE * whole:
        numbers = prepared.organ.astype(np.uint8)
        if facts.name == "pancreas":
            _estimate_pancreas(numbers, prepared, names, facts)
    if (numbers > WHOLE).any() and (numbers == WHOLE).any():
        _fill(numbers)
    return numbers


def neighbour_names(facts: Organ) -> tuple[str, ...]:
    """Structures that growth heeds: vessels; round a wall, what lies beyond it."""
    return (*facts.vessels, *(facts.barriers if facts.family == "hollow" else ()))


def number_tissue(
    case: Case, facts: Organ, prepared: Prepared, parts: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], Tissues]:
    """Number every pair of part and vessel that occurs; 0 is neither.

    Returns
    -------
    tuple
        uint8 array on the prepared lattice, and what its numbers mean.
    """
    names = tuple(name for name in neighbour_names(facts) if case.has(name))
    beside = np.zeros(parts.shape, np.uint16)
    for mask in case.each_mask(names, on=prepared.source):
        beside[_nearest(mask.array, prepared) & (beside == 0)] = 1 + names.index(mask.name)
    codes = beside * np.uint16(256) + parts
    found = np.union1d(np.unique(codes), [0])
    if len(found) > _MOST_TISSUES:  # vessels in every one of many bones
        codes = parts.astype(np.uint16)
        found = np.union1d(np.unique(codes), [0])
    numbers = np.searchsorted(found, codes).astype(np.uint8)
    pairs = (divmod(int(code), 256) for code in found)
    return numbers, tuple((part, names[n - 1] if n else None) for n, part in pairs)


def class_map_of(facts: Organ, parts: Mapping[int, str], tissues: Tissues) -> ClassMap:
    """What the numbers of one case's tissue mean to synthesis.

    Parameters
    ----------
    facts
        The organ.
    parts
        Structures by number of the part.
    tissues
        Part and vessel by number of the tissue.
    """
    labels: dict[int, str] = {}
    members: dict[str, list[int]] = {}
    for value, (part, beside) in enumerate(tissues):
        lineage = _lineage(parts[part]) if part else ()
        if value:
            labels[value] = beside or lineage[0]
        for name in (*lineage, *((beside,) if beside else ())):
            members.setdefault(name, []).append(value)
    if set(facts.structures) & set(members) - {facts.name}:
        members.pop(facts.name, None)  # an organ of two sides is known by its sides
    lesions = dict.fromkeys((LESION_HERE, LESION_NEW), facts.lesion)
    if facts.name in members:
        members[facts.name] += lesions
    unions = {name: tuple(v) for name, v in members.items() if [labels.get(v[0]), *v[1:]] != [name]}
    return ClassMap("tissue", "", {**labels, **lesions}, unions)


def site_of(facts: Organ, part: str) -> str | None:
    """The narrowest site of an organ's facts that a part lies in; None if it has none."""
    holding = [name for name, structures in facts.sites.items() if part in structures]
    return min(holding, key=lambda name: len(facts.sites[name]), default=None)


def _lineage(name: str) -> tuple[str, ...]:
    line = [name]
    while (parent := structure(line[-1]).parent) is not None:
        line.append(parent)
    return tuple(line)


def _depth(name: str) -> int:
    return len(_lineage(name))


def _is_wider(numbers: NDArray[np.uint8], name: str, names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Where the number is that of the organ, or of something that the structure is a part of."""
    wider = [_FIRST + names.index(one) for one in _lineage(name)[1:] if one in names]
    return np.isin(numbers, [WHOLE, *wider])


def _nearest(mask: NDArray[np.bool_], prepared: Prepared) -> NDArray[np.bool_]:
    """A mask of the scan on the prepared lattice, whose axes are those of the scan, turned."""
    relation = prepared.source.inverse @ prepared.grid.affine
    order = np.abs(relation[:3, :3]).argmax(axis=0)
    indices = []
    for axis in range(3):
        own = order[axis]
        along = relation[own, axis] * np.arange(prepared.grid.shape[axis]) + relation[own, 3]
        indices.append(np.clip(np.rint(along).astype(int), 0, mask.shape[own] - 1))
    turned = mask.transpose(tuple(int(axis) for axis in order))
    found: NDArray[np.bool_] = turned[np.ix_(*indices)]
    return found


def _estimate_pancreas(
    numbers: NDArray[np.uint8], prepared: Prepared, names: tuple[str, ...], facts: Organ
) -> None:
    box = bounding_box(prepared.organ)
    assert box is not None  # preparation refuses an organ that is not there
    mask = StructureBox(facts.name, box, np.ascontiguousarray(prepared.organ[box]))
    tissue = prepare_tissue(mask, prepared.grid)
    for site, array in parts_of_pancreas(tissue).items():
        (name,) = facts.sites[site]
        numbers[tissue.region][array] = _FIRST + names.index(name)


def _fill(numbers: NDArray[np.uint8]) -> None:
    box = bounding_box(numbers > 0)
    assert box is not None  # there is a part
    inner = numbers[box]
    nearest = ndimage.distance_transform_edt(
        inner <= WHOLE, return_distances=False, return_indices=True
    )
    gaps = inner == WHOLE
    inner[gaps] = inner[tuple(index[gaps] for index in nearest)]
