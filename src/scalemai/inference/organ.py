"""The mask of the organ that a detector looks at: from the case, or from a folder of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from scalemai.anatomy import organ
from scalemai.case import Case
from scalemai.cases.entry import structure_names
from scalemai.cases.layouts.folders import CT_NAMES, MASK_FOLDER, names_in
from scalemai.cases.paths import nifti_stem
from scalemai.detector.organ_mask import closed_organ
from scalemai.detector.spec import DetectorSpec
from scalemai.errors import MissingStructureError, UnreadableFileError
from scalemai.geometry import Grid
from scalemai.masks import MaskSource
from scalemai.volume import Mask

__all__ = ["read_organ_mask", "with_masks_of"]

_INSIDE = (1, 255)  # what masks of one structure hold


def with_masks_of(case: Case, folder: Path, structure: str) -> Case:
    """The case with the masks that a segmenter wrote to a folder of its own.

    Found are ``FOLDER/CASE/segmentations/NAME.nii.gz``, ``FOLDER/CASE/NAME.nii.gz``, which name
    the structures, and ``FOLDER/CASE.nii.gz``, which is the mask of one (1 or 255 inside).

    Parameters
    ----------
    case
        The case.
    folder
        The folder of masks.
    structure
        What ``FOLDER/CASE.nii.gz`` shows.

    Raises
    ------
    UnreadableFileError
        If there is no such folder.
    MissingStructureError
        If it has nothing of this case.
    """
    if not folder.is_dir():
        raise UnreadableFileError("no such folder", where=folder, fix="check --organs")
    for place in (folder / case.id / MASK_FOLDER, folder / case.id):
        files = sorted(n for n in names_in(place) if nifti_stem(n) and n not in CT_NAMES)
        if files:
            names = structure_names(tuple(str(nifti_stem(file)) for file in files))
            sources = {
                name: MaskSource(place / file) for name, file in zip(names, files, strict=True)
            }
            return _with(case, sources)
    for suffix in (".nii.gz", ".nii"):
        path = folder / f"{case.id}{suffix}"
        if path.is_file():
            # A label map of many structures must not pass for the mask of one.
            sources = {structure: MaskSource(path, _INSIDE)}
            return replace(_with(case, sources), class_map=f"of a {structure} alone (1 or 255)")
    fix = f"looked for {case.id}/{MASK_FOLDER}, {case.id}/*.nii.gz and {case.id}.nii.gz"
    raise MissingStructureError("has no masks of this case", where=folder / case.id, fix=fix)


def read_organ_mask(
    case: Case, spec: DetectorSpec, grid: Grid, closing_mm: float
) -> tuple[Mask | None, float]:
    """The mask of the detector's organ with its holes and bites closed.

    Masks of lesions are not consulted: they are what is to be found.

    Parameters
    ----------
    case
        The case, with the masks to use.
    spec
        What the detector looks for.
    grid
        The grid of the CT.
    closing_mm
        See :func:`scalemai.detector.organ_mask.closed_organ`.

    Returns
    -------
    tuple
        The mask, or None if the case has none and the detector needs none; and what closing
        added to it, in ml.

    Raises
    ------
    MissingStructureError
        If it is empty; or there is none, and the detector was trained to see one.
    GeometryError, UnreadableFileError
        As :meth:`scalemai.case.Case.mask`.
    """
    name = organ(spec.organ).name
    if not case.has(name):
        if not spec.preprocessing.organ_channel:
            return None, 0.0
        what = f"has no mask of the {name}, which the detector was trained to see"
        fix = (
            f"give one that a segmenter made: labels= with a label map or folder, or --organs "
            f"FOLDER with {case.id}/{name}.nii.gz"
        )
        raise MissingStructureError(what, where=case.id, fix=fix)
    mask = case.mask(name, on=grid)
    closed = closed_organ(mask.array, grid.spacing_mm, closing_mm=closing_mm)
    whole = replace(mask, array=closed)
    return whole, whole.volume_ml - mask.volume_ml


def _with(case: Case, sources: dict[str, MaskSource]) -> Case:
    # An index checks its own files; those of another folder are not in it.
    return replace(case, sources=sources, class_map="", stated={}, root=None, ct_bytes=None)
