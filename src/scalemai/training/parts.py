"""The parts of an organ as numbers: where lesions are drawn, so that every part gets its share.

::

    0   not the organ
    1   the organ, where no part is known
    2.. the parts that the organ's facts name: head, body, tail; left, right; lobes; vertebrae

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

__all__ = ["LESION_HERE", "LESION_NEW", "class_map_of", "number_parts", "part_names", "site_of"]

WHOLE = 1
_FIRST = 2
LESION_HERE, LESION_NEW = 254, 255
"""Values of lesions in the label maps that synthesis works on: those of the case, and new ones."""

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


def class_map_of(facts: Organ, present: Mapping[int, str]) -> ClassMap:
    """What the numbers of one case's parts mean to synthesis.

    Parameters
    ----------
    facts
        The organ.
    present
        The numbers that occur, and their structures.
    """
    wider: dict[str, tuple[int, ...]] = {}
    for name in dict.fromkeys(chain(*(_lineage(name) for name in present.values()))):
        wider[name] = tuple(v for v, part in present.items() if name in _lineage(part))
    whole = set(facts.structures) & set(wider) - {facts.name}
    if whole:  # an organ of two sides is known by its sides
        wider.pop(facts.name, None)
    lesions = dict.fromkeys((LESION_HERE, LESION_NEW), facts.lesion)
    unions = {name: values for name, values in wider.items() if len(values) > 1}
    unions |= {n: v for n, v in wider.items() if len(v) == 1 and present[v[0]] != n}
    if facts.name in unions:
        unions[facts.name] += tuple(lesions)
    return ClassMap("parts", "", {**present, **lesions}, unions)


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
