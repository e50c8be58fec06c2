"""Which value a lesion has in the labels that a detector is taught with.

A detector has classes: the lesion structure of its organ (``pancreatic_lesion``), which takes
every lesion, or kinds (``pdac``, ``pnet``, ``cyst``). The kind of a lesion is known from the name
of its mask, the record of its synthesis, or what the data set says of the case::

    kind is a class                        value of that class
    else the structure is a class          value of the structure
    else the kind is known                 0: it is none of what is looked for
    else                                   IGNORE: nobody knows, so nothing is taught there
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from scalemai.anatomy import Organ, is_lesion, organ, structure
from scalemai.case import Case, Presence
from scalemai.detector.spec import DetectorSpec
from scalemai.errors import GeometryError, MissingStructureError, UnknownNameError
from scalemai.geometry import Grid
from scalemai.io.nifti import read_labels
from scalemai.synthesis.sidecar import read_sidecar
from scalemai.synthesis.target import SIDECAR_NAME

__all__ = [
    "IGNORE",
    "KIND_FIELDS",
    "LESION_NUMBERS",
    "class_value",
    "is_annotated",
    "kind_of_mask",
    "lesion_masks",
    "read_lesions",
]

IGNORE = 255
"""Value of voxels whose class nobody knows; losses leave them out."""

KIND_FIELDS = ("kind", "lesion_kind", "diagnosis", "pathology", "histology")
"""Fields of a case's metadata that may name the kind of its lesions, in the order of trust."""

LESION_NUMBERS = "lesions.nii.gz"
"""File beside a synthetic CT that holds the number of each lesion in its record."""


def class_value(spec: DetectorSpec, kind: str | None) -> int:
    """The label value of a lesion.

    Parameters
    ----------
    spec
        The detector.
    kind
        Kind of the lesion, as the organ's facts name it; None if it is not known.

    Returns
    -------
    int
        0, the number of a class from 1, or :data:`IGNORE`.
    """
    if kind in spec.classes:
        return 1 + spec.classes.index(kind)
    whole = organ(spec.organ).lesion
    if whole in spec.classes:
        return 1 + spec.classes.index(whole)
    return IGNORE if kind is None else 0


def lesion_masks(case: Case, facts: Organ) -> tuple[str, ...]:
    """Names of the masks of a case that show lesions of an organ, empty or not."""
    return tuple(name for name in case.lesions if facts.lesion in _lineage(name))


def is_annotated(case: Case, facts: Organ) -> bool:
    """Whether somebody looked for lesions of the organ: a mask, or a statement, says so."""
    known = case.stated.get(facts.lesion, Presence.NOT_ASSESSED)
    return bool(lesion_masks(case, facts)) or known in (Presence.PRESENT, Presence.ABSENT)


def kind_of_mask(name: str, facts: Organ) -> str | None:
    """The kind of lesion that a mask shows, by its name; None if it may be any.

    ``pancreatic_pdac`` and ``kidney_cyst_left`` name one, ``pancreatic_lesion`` does not.
    """
    for one in _lineage(name):
        spellings = (one, *structure(one).aliases)
        for spelling in (*spellings, *(text.partition("_")[2] for text in spellings)):
            if (kind := _kind(spelling, facts)) is not None:
                return kind
    return None


def read_lesions(case: Case, spec: DetectorSpec, grid: Grid) -> dict[int, NDArray[np.bool_]] | None:
    """Masks of a case's lesions by label value, :data:`IGNORE` among them.

    Parameters
    ----------
    case
        The case.
    spec
        The detector.
    grid
        Grid of its CT.

    Returns
    -------
    dict or None
        Boolean arrays on the grid, empty ones left out, which do not overlap with that of
        :data:`IGNORE`; None if nobody looked for lesions. Masks that are named as lesions of no
        known organ are ignored places, too.

    Raises
    ------
    MissingStructureError
        If the data set states that there are lesions, but none is drawn: taught as healthy, it
        would do harm.
    GeometryError, IntensityError, UnreadableFileError
        As :meth:`Case.mask`.
    """
    facts = organ(spec.organ)
    names = lesion_masks(case, facts)
    strange = tuple(name for name in case.lesions if not _lineage(name))
    if not is_annotated(case, facts) and not strange:
        return None
    found: dict[int, NDArray[np.bool_]] = {}
    known, drawn = (np.zeros(grid.shape, np.bool_, order="F") for _ in range(2))
    for mask in case.each_mask(names, on=grid):
        drawn |= mask.array
        kind = kind_of_mask(mask.name, facts)
        if kind is not None:
            _add(found, class_value(spec, kind), mask.array, known)
    if not drawn.any() and case.stated.get(facts.lesion) is Presence.PRESENT:
        what = f"the data set states a {facts.lesion}, but none is drawn"
        raise MissingStructureError(what, where=case.id, fix="leave the case out, or draw it")
    rest = drawn & ~known
    if class_value(spec, None) == IGNORE and rest.any():  # else it does not matter which kind
        for grown, array in _recorded(case, facts, grid):
            _add(found, class_value(spec, grown), array & rest, known)
        rest &= ~known
        _add(found, class_value(spec, _stated_kind(case, facts)), rest, known)
    else:
        _add(found, class_value(spec, None), rest, known)
    for mask in case.each_mask(strange, on=grid):
        _add(found, IGNORE, mask.array & ~known, known)
    return found


def _add(
    found: dict[int, NDArray[np.bool_]],
    value: int,
    mask: NDArray[np.bool_],
    known: NDArray[np.bool_],
) -> None:
    known |= mask
    if value == 0 or not mask.any():
        return
    found[value] = mask | found[value] if value in found else mask


def _lineage(name: str) -> tuple[str, ...]:
    """A lesion structure and the wider groups of lesions that it belongs to."""
    line: list[str] = []
    here: str | None = name
    while here is not None and is_lesion(here):
        try:
            facts = structure(here)
        except UnknownNameError:
            break
        line.append(facts.name)
        here = facts.parent
    return tuple(line)


def _kind(name: str, facts: Organ) -> str | None:
    try:
        return facts.kind(name).name if name else None
    except UnknownNameError:
        return None


def _stated_kind(case: Case, facts: Organ) -> str | None:
    """The kind that the data set names for the whole case."""
    for field in KIND_FIELDS:
        if (kind := _kind(str(case.metadata.get(field, "")), facts)) is not None:
            return kind
    return None


def _recorded(case: Case, facts: Organ, grid: Grid) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Kind and mask of each grown lesion, if the case is a synthetic one."""
    sidecar, path = (case.ct.parent / name for name in (SIDECAR_NAME, LESION_NUMBERS))
    if not (sidecar.is_file() and path.is_file()):
        return
    numbers, there = read_labels(path)
    if not there.same_as(grid):
        what = f"has {there.describe()}, but its CT has {grid.describe()}"
        raise GeometryError(what, where=path, fix="write the synthetic case again")
    for recipe in read_sidecar(sidecar).recipes:
        if recipe.organ == facts.name:
            yield recipe.kind, numbers == recipe.number
