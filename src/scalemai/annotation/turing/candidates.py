"""Lesions that may be shown: where they are, and what a partner must be like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from scalemai.annotation.store.layout import StoredCase
from scalemai.case import Case
from scalemai.cases.layouts.tables import read_case_metadata
from scalemai.components import label_components
from scalemai.errors import CaseError, ConfigError, UnreadableFileError
from scalemai.evaluation.synthetic import RECORD_NAME, record_of
from scalemai.geometry import Grid
from scalemai.io.nifti import read_labels
from scalemai.measure import bounding_box, longest_axial_diameter_mm
from scalemai.synthesis.sidecar import Sidecar, read_sidecar

__all__ = ["Candidate", "Kind", "lesions_of"]

Kind = Literal["real", "synthetic"]

_LABELS_NAME = "lesions.nii.gz"
_Triple = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A lesion that may be shown.

    Parameters
    ----------
    kind
        Whether it is real or synthetic.
    case_id
        Its case.
    host
        The scan that it lies in: of a synthetic lesion, the one that it was put into.
    structure
        Canonical lesion structure, which names the organ.
    centre
        Voxel in the middle of its bounding box, in the stored order of axes
        (:class:`scalemai.annotation.store.layout.StoredCase`).
    room
        Voxels between that and the nearer end of the scan along each axis.
    diameter_mm
        Longest axial diameter.
    spacing_mm
        Voxel size in the stored order.
    phase, scanner
        Contrast phase, and manufacturer with kernel; None if not known.
    """

    kind: Kind
    case_id: str
    host: str
    structure: str
    centre: _Triple
    room: _Triple
    diameter_mm: float
    spacing_mm: tuple[float, float, float]
    phase: str | None = None
    scanner: str | None = None


def lesions_of(item: tuple[Case, Kind]) -> tuple[Candidate, ...]:
    """All lesions of a case, as candidates of one kind.

    Of a case that ScaleMAI made, only the lesions that were put in are synthetic ones: its record
    says which. Of another, all are taken for what the data set is said to be.

    Parameters
    ----------
    item
        The case, and what its lesions are.

    Raises
    ------
    ConfigError
        If a case with a record of synthesis is said to be real.
    CaseError
        If a mask cannot be read.
    """
    case, kind = item
    record = record_of(case)
    if record is not None and kind == "real":
        fix = "give the data set that it was made from"
        raise ConfigError("is synthetic, but was given as real", where=case.id, fix=fix)
    grid = case.grid()
    sidecar = None if record is None else read_sidecar(record)
    told = dict(case.metadata)
    host = case.ct
    if sidecar is not None:
        beside = sidecar.case.ct.parent / "metadata.json"
        of_host = read_case_metadata(beside) if beside.is_file() else {}
        told = {**of_host, **sidecar.case.metadata, **told}
        host = sidecar.case.ct
    masks = _masks(case, grid) if sidecar is None else _grown(case, sidecar, grid)
    stored = StoredCase.of_grid(grid)
    return tuple(
        Candidate(
            kind=kind,
            case_id=case.id,
            host=str(host.resolve()),
            structure=structure,
            phase=_text(told, "phase"),
            scanner=_text(told, "manufacturer", "model", "kernel"),
            **_place(mask, region, grid, stored),
        )
        for structure, mask, region in masks
    )


def _masks(
    case: Case, grid: Grid
) -> Iterator[tuple[str, NDArray[np.bool_], tuple[slice, slice, slice]]]:
    """The connected pieces of the lesion masks, each with its box in the native array."""
    for mask in case.each_mask(sorted(case.lesions), on=grid):
        box = bounding_box(mask.array)
        if box is None:
            continue
        labels = label_components(mask.array[box])
        for number, spot in enumerate(find_objects(labels.astype(np.int32)), start=1):
            x, y, z = (
                slice(outer.start + inner.start, outer.start + inner.stop)
                for outer, inner in zip(box, spot, strict=True)
            )
            yield mask.name, labels[spot] == number, (x, y, z)


def _grown(
    case: Case, sidecar: Sidecar, grid: Grid
) -> Iterator[tuple[str, NDArray[np.bool_], tuple[slice, slice, slice]]]:
    """The lesions that were put in, by the numbers that they were written with."""
    path = case.ct.parent / _LABELS_NAME
    if not path.is_file():
        fix = f"keep {_LABELS_NAME} beside the CT, or synthesize the case again"
        raise UnreadableFileError(f"is absent, but {RECORD_NAME} is there", where=path, fix=fix)
    labels, own = read_labels(path)
    if not own.same_as(grid):
        raise UnreadableFileError("lies on another grid than the CT", where=path)
    spots = find_objects(labels.astype(np.int32))
    for recipe in sidecar.recipes:
        spot = spots[recipe.number - 1] if recipe.number <= len(spots) else None
        if spot is None:
            what = f"lesion {recipe.number} of {RECORD_NAME} is not in it"
            raise UnreadableFileError(what, where=path, fix="synthesize the case again")
        yield recipe.lesion, labels[spot] == recipe.number, spot


def _place(
    mask: NDArray[np.bool_], region: tuple[slice, slice, slice], grid: Grid, stored: StoredCase
) -> dict[str, Any]:
    middle = [(part.start + part.stop - 1) // 2 for part in region]
    centre = [
        grid.shape[axis] - 1 - middle[axis] if flip else middle[axis]
        for axis, flip in zip(stored.order, stored.flips, strict=True)
    ]
    diameter_mm = longest_axial_diameter_mm(mask, grid.crop(region))
    if not diameter_mm > 0:
        raise CaseError("a lesion has no size")
    return {
        "centre": tuple(centre),
        "room": tuple(min(c, n - 1 - c) for c, n in zip(centre, stored.shape, strict=True)),
        "diameter_mm": diameter_mm,
        "spacing_mm": stored.grid.spacing_mm,
    }


def _text(told: Mapping[str, Any], *names: str) -> str | None:
    """What is known under these names, in one text; None if nothing is."""
    words = [str(told[name]).strip().lower() for name in names if told.get(name) not in (None, "")]
    return " / ".join(words) or None
