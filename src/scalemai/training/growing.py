"""New lesions in a box of a prepared case: the first anywhere, others in the same patch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scalemai.detector.spec import DetectorSpec
from scalemai.geometry import Grid, Region
from scalemai.synthesis.painting.lesion import Lesion
from scalemai.synthesis.spec import LesionSpec
from scalemai.training.cases import Arrays, TrainingCase
from scalemai.training.classes import IGNORE, class_value
from scalemai.training.parts import LESION_HERE, LESION_NEW
from scalemai.transforms.patch import PatchSynthesizer

__all__ = ["Grown", "grow", "round_lesion"]


@dataclass(frozen=True, eq=False)
class Grown:
    """A box of a case with new lesions.

    Parameters
    ----------
    hu, labels, tissue
        Its arrays, as of :class:`~scalemai.training.cases.Arrays`; tissue says where lesions are,
        too.
    lesions
        The new ones, with their regions in the box, in the order in which they were grown.
    """

    hu: NDArray[np.int16]
    labels: NDArray[np.uint8]
    tissue: NDArray[np.uint8]
    lesions: tuple[Lesion, ...] = ()

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Grown:
        """The box as it is."""
        tissue = arrays.tissue.copy()
        tissue[arrays.labels > 0] = LESION_HERE
        return cls(arrays.hu, arrays.labels, tissue)


def grow(
    before: Grown,
    case: TrainingCase,
    grid: Grid,
    spec: LesionSpec,
    detector: DetectorSpec,
    *,
    within: Region | None = None,
    effects: bool = False,
    least_detectability: float = 0.0,
    seed: int,
    key: str,
) -> Grown | None:
    """Grow one more lesion; None if it finds no room.

    Parameters
    ----------
    before
        The box as it is. It is left so.
    case, grid
        What the box is of, and where its voxels are.
    spec, detector
        The lesion that is wanted, and whose classes are labelled.
    within
        Part of the box that it is to lie in.
    effects
        Whether it pushes tissue and dilates ducts.
    least_detectability
        Of a lesion to be labelled as its class. What is less is not seen by anybody, and would
        teach to see lesions where there are none; it is labelled as unknown.
    seed, key
        Keys of its random streams.
    """
    part = within or tuple(slice(0, n) for n in before.hu.shape)
    hu, tissue = before.hu[part], before.tissue[part].copy()
    tissue[tissue == LESION_NEW] = LESION_HERE  # those that are there are let alone
    synthesizer = PatchSynthesizer(
        specs=spec,
        labels=case.class_map,
        lesion_value=LESION_NEW,
        least_organ_ml=0.0,
        effects=effects,
        phase=case.phase,
    )
    affine = grid.crop((part[0], part[1], part[2])).affine
    edit = synthesizer.edit(hu, tissue, affine, seed=seed, key=key)
    if edit.outcome != "painted":
        return None
    made, numbers = edit.applied_to(hu, tissue)
    labels = np.where(numbers == LESION_HERE, before.labels[part], np.uint8(0))
    if edit.lesions and effects:
        _follow(labels, numbers == LESION_HERE)
    new = []
    for one in edit.lesions:
        mask = one.mask & (numbers[one.region] == LESION_NEW)
        seen = _visible(one, least_detectability)
        labels[one.region][mask] = class_value(detector, one.recipe.kind) if seen else IGNORE
        new.append(replace(one, region=_moved(one.region, part)))
    whole = Grown(before.hu.copy(), before.labels.copy(), before.tissue.copy())
    whole.hu[part], whole.labels[part], whole.tissue[part] = made, labels, numbers
    return replace(whole, lesions=(*before.lesions, *new))


def round_lesion(lesion: Lesion, size: Sequence[int], shape: Sequence[int]) -> Region:
    """The part of a box of this size round a lesion that lies in an array."""
    i, j, k = (
        slice(max((s.start + s.stop - n) // 2, 0), min((s.start + s.stop + n) // 2, length))
        for s, n, length in zip(lesion.region, size, shape, strict=True)
    )
    return i, j, k


def _visible(lesion: Lesion, least_detectability: float) -> bool:
    recipe = lesion.recipe
    # Of a rim and what it encloses, the mean says little.
    mixed = recipe.rim is not None or recipe.necrosis is not None
    return mixed or lesion.measures.detectability >= least_detectability


def _follow(labels: NDArray[np.uint8], moved: NDArray[np.bool_]) -> None:
    """Give voxels that a pushed lesion has moved to the class that it has."""
    new = moved & (labels == 0)
    if new.any() and labels.any():
        values = labels[labels > 0]
        labels[new] = np.bincount(values).argmax()


def _moved(region: Region, part: Sequence[slice]) -> Region:
    i, j, k = (
        slice(s.start + outer.start, s.stop + outer.start)
        for s, outer in zip(region, part, strict=True)
    )
    return i, j, k
