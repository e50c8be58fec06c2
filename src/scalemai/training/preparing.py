"""Make one case ready for training: read it, bring it to the detector's lattice, write it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.anatomy import organ
from scalemai.case import Case
from scalemai.detector.preprocessing import Prepared, prepare
from scalemai.detector.spec import DetectorSpec
from scalemai.errors import MissingStructureError
from scalemai.evaluation.lesions.components import find_components
from scalemai.geometry import Grid
from scalemai.io.atomic import atomic_folder
from scalemai.synthesis.patient import structures_at_hand
from scalemai.training.cases import (
    FORMAT,
    RECORD,
    Arrays,
    Part,
    RealLesion,
    grid_to_json,
    span_of,
)
from scalemai.training.classes import IGNORE, read_lesions
from scalemai.training.parts import WHOLE, number_parts, number_tissue, part_names
from scalemai.volume import Mask

__all__ = ["organ_mask", "write_case"]


def organ_mask(case: Case, spec: DetectorSpec, grid: Grid) -> Mask:
    """The organ of a case, of all sides that it has.

    Raises
    ------
    MissingStructureError
        If it has no mask of the organ, or an empty one.
    GeometryError, IntensityError, UnreadableFileError
        As :meth:`Case.mask`.
    """
    facts = organ(spec.organ)
    names = structures_at_hand(facts, case.has) or (facts.name,)
    found = list(case.masks(names, on=grid, if_missing="omit").values())
    if not found:
        return case.mask(names[0], on=grid)  # raises, and says which mask is missing or empty
    array = found[0].array
    for other in found[1:]:
        array = array | other.array
    return Mask(array, grid, facts.name, found[0].path)


def write_case(case: Case, spec: DetectorSpec, out: Path, source_sha256: str) -> Path:
    """Make one case ready for training, and write it to ``out / case.id``, whole or not at all.

    Parameters
    ----------
    case
        The case.
    spec
        The detector.
    out
        Folder of the prepared cases.
    source_sha256
        What says that it was made from these files.

    Raises
    ------
    CaseError
        If it cannot be read, is not CT, or has no organ; the error says which file.
    """
    facts = organ(spec.organ)
    volume = case.volume()
    mask = organ_mask(case, spec, volume.grid)
    lesions = read_lesions(case, spec, volume.grid)
    prepared = _with_lesions(prepare(volume, mask, spec.preprocessing, lesions))
    if not prepared.organ.any():
        step = " x ".join(f"{s:g}" for s in spec.preprocessing.spacing_mm)
        what = f"the {mask.name} vanishes at a spacing of {step} mm"
        fix = "check the mask, or take a finer spacing"
        raise MissingStructureError(what, where=mask.path or mask.name, fix=fix)
    parts = number_parts(case, facts, prepared)
    hu = np.clip(np.rint(prepared.hu), -32768, 32767).astype(np.int16)
    labels = np.zeros(hu.shape, np.uint8) if prepared.labels is None else prepared.labels
    tissue, tissues = number_tissue(case, facts, prepared, parts)
    arrays = Arrays(hu, labels, tissue)
    phase = volume.metadata.get("phase")
    record = {
        "format": FORMAT,
        "case": case.id,
        "organ": facts.name,
        "annotated": lesions is not None,
        "grid": grid_to_json(prepared.grid),
        "source": grid_to_json(prepared.source),
        "region": span_of(prepared.region),
        "parts": {str(v): asdict(p) for v, p in _parts(parts, spec).items()},
        "tissues": tissues,
        "lesions": [asdict(one) for one in _lesions(labels, parts, prepared.grid)],
        "phase": None if phase is None else str(phase),
        "source_sha256": source_sha256,
        "sha256": _digest(arrays),
    }
    folder = out / case.id
    with atomic_folder(folder) as temporary:
        for name, array in arrays._asdict().items():
            np.save(temporary / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)
        text = json.dumps(record, indent=1, allow_nan=False)
        (temporary / RECORD).write_text(text + "\n", encoding="utf-8")
    return folder


def _with_lesions(prepared: Prepared) -> Prepared:
    """The organ with the lesions that touch it, as its masks do not always include them."""
    if prepared.labels is None or not prepared.labels.any():
        return prepared
    structure = ndimage.generate_binary_structure(3, 3)
    together, _ = ndimage.label(prepared.organ | (prepared.labels > 0), structure)
    touching = np.zeros(int(together.max()) + 1, np.bool_)
    touching[together[prepared.organ]] = True
    touching[0] = False
    return replace(prepared, organ=touching[together])


def _parts(parts: NDArray[np.uint8], spec: DetectorSpec) -> dict[int, Part]:
    facts = organ(spec.organ)
    names = (facts.name, *part_names(facts))
    found = {}
    for value, box in enumerate(ndimage.find_objects(parts), start=WHOLE):
        if box is not None:
            count = int(np.count_nonzero(parts[box] == value))
            found[value] = Part(names[value - WHOLE], count, span_of(box))
    return found


def _lesions(
    labels: NDArray[np.uint8], parts: NDArray[np.uint8], grid: Grid
) -> tuple[RealLesion, ...]:
    """Components of each class; those of unknown class are no examples of anything."""
    found = []
    for value in sorted({*np.unique(labels).tolist()} - {0, IGNORE}):
        for one in find_components(labels == value, grid):
            voxels = np.argwhere(one.mask) + [s.start for s in one.region]
            off = voxels - voxels.mean(axis=0)
            i, j, k = voxels[int(np.argmin((off**2).sum(axis=1)))].tolist()
            inside = parts[one.region][one.mask]
            part = int(np.bincount(inside[inside > 0]).argmax()) if inside.any() else 0
            diameter = round(one.sizes.diameter_mm, 3)
            found.append(RealLesion(int(value), diameter, span_of(one.region), (i, j, k), part))
    return tuple(found)


def _digest(arrays: Arrays) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
