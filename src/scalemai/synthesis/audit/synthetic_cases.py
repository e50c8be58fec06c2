"""One synthetic case: its files, its host, and a sham for each of its lesions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalemai.anatomy import is_lesion, organ
from scalemai.errors import (
    GeometryError,
    IntensityError,
    MissingStructureError,
    PlacementError,
    UnreadableFileError,
)
from scalemai.io.nifti import read_labels, read_mask, read_volume
from scalemai.measure import bounding_box
from scalemai.synthesis.audit.findings import CaseFindings, LesionFindings
from scalemai.synthesis.audit.lesions import findings_of, site_of
from scalemai.synthesis.audit.patches import cut_patch, zone_of
from scalemai.synthesis.lesion import Lesion
from scalemai.synthesis.patient import Patient
from scalemai.synthesis.recipe import Recipe
from scalemai.synthesis.sidecar import Sidecar, checksum, read_sidecar
from scalemai.synthesis.spec import LARGEST_DIAMETER_MM, SMALLEST_DIAMETER_MM, LesionSpec
from scalemai.synthesis.synthesize import grow_lesion
from scalemai.synthesis.target import SIDECAR_NAME
from scalemai.synthesis.tissue import StructureBox, crop_mask, join_boxes
from scalemai.volume import Volume

__all__ = ["examine_synthetic", "synthetic_folders"]

_SLAB = 16


def synthetic_folders(root: Path) -> list[Path]:
    """Folders of synthetic cases: ``root`` itself, or those in it that hold a CT or a sidecar."""
    names = (SIDECAR_NAME, "ct.nii.gz")
    if any((root / name).is_file() for name in names):
        return [root]
    if not root.is_dir():
        return []
    return [
        folder
        for folder in sorted(root.iterdir())
        if not folder.name.startswith(".") and any((folder / name).is_file() for name in names)
    ]


def examine_synthetic(
    folder: Path, *, organs: Sequence[str] = (), whole: bool = False, seed: int = 0
) -> CaseFindings:
    """Measure the lesions of one synthetic case against shams in its host.

    A sham is a lesion of the same organ, kind, form and size that the same rules grow elsewhere in
    the host, and that is not painted: what differs between the two is the edit alone.

    Parameters
    ----------
    folder
        A case that ``synthesize_case`` wrote; its host lies where the sidecar says.
    organs
        Leave out lesions of other organs; empty for all.
    whole
        Also compute the view that is compared with real lesions.
    seed
        Of the shams and controls.

    Raises
    ------
    UnreadableFileError
        If there is no sidecar, or the host or another file is gone or damaged.
    IntensityError, GeometryError
        If the host is no longer what it was, or files do not belong together.
    MissingStructureError
        If an organ's mask is gone.
    ConfigError
        If the sidecar is garbled.
    """
    sidecar = folder / SIDECAR_NAME
    if not sidecar.is_file():
        what = f"is no synthetic case: it holds no {SIDECAR_NAME}"
        raise UnreadableFileError(what, where=folder, fix="give what scalemai synthesize wrote")
    record = read_sidecar(sidecar)
    host, volume = _read_both(folder, record)
    labels, grid = read_labels(folder / "lesions.nii.gz")
    if not grid.same_as(volume.grid):
        what = f"has {grid.describe()}, the CT {volume.grid.describe()}"
        raise GeometryError(what, where=folder / "lesions.nii.gz", fix="synthesize it again")
    cropped = (crop_mask(mask) for mask in record.case.each_mask(record.masks, on=host.grid))
    boxes = {box.name: box for box in cropped if box is not None}
    facts = json.loads(sidecar.read_text(encoding="utf-8"))
    changed = _differing(host, volume)
    entries = facts["lesions"]
    found = {recipe.number: _label_box(labels, recipe) for recipe in record.recipes}
    zones = {
        recipe.number: zone_of(
            box, _as_box(changed), float(entry["measured"]["border_mm"]), volume.grid
        )
        for recipe, entry in zip(record.recipes, entries, strict=True)
        if (box := found[recipe.number]) is not None
    }
    notes = []
    result = checksum(volume)
    if result != record.result_crc32:
        notes.append("its voxels are not those that were written: it was changed afterwards")
    lesions = []
    for recipe, entry in zip(record.recipes, entries, strict=True):
        box = found[recipe.number]
        if box is None or (organs and recipe.organ not in organs):
            if box is None:
                notes.append(f"lesion {recipe.number} has no label")
            continue
        lesions.append(
            _examine_lesion(
                folder, host, volume, boxes, record, recipe, entry, box, zones,
                _asked_site(facts, recipe), whole=whole, seed=seed,
            )
        )  # fmt: skip
        if lesions[-1].sham is None:
            notes.append(f"lesion {recipe.number}: no place for a sham of its size in the host")
    far = changed.copy()
    for zone in zones.values():
        far[zone.region] &= ~zone.array
    total = int(np.count_nonzero(changed))
    return CaseFindings(
        case=folder.name,
        host=record.voxels_crc32,
        result=result,
        far_voxels=int(np.count_nonzero(far)),
        far_share=float(np.count_nonzero(far)) / max(total, 1),
        lesions=tuple(lesions),
        notes=tuple(notes),
    )


def _examine_lesion(
    folder: Path,
    host: Volume,
    volume: Volume,
    boxes: dict[str, StructureBox],
    record: Sidecar,
    recipe: Recipe,
    entry: dict[str, Any],
    box: StructureBox,
    zones: dict[int, StructureBox],
    site: str | None,
    *,
    whole: bool,
    seed: int,
) -> LesionFindings:
    organ_box = _organ_of(folder, recipe, boxes, volume)
    others = tuple(zone for number, zone in zones.items() if number != recipe.number)
    real = tuple(one for name, one in boxes.items() if is_lesion(name))
    moved = tuple(_changed_structures(folder, entry, recipe))
    place = {
        "case": folder.name,
        "group": record.voxels_crc32,
        "number": recipe.number,
        "organ_name": recipe.organ,
    }
    zone = zones[recipe.number]
    patch = cut_patch(volume, box, zone, organ_box, without=(*others, *real, *moved), **place)  # type: ignore[arg-type]
    before = cut_patch(host, box, zone, organ_box, **place)  # type: ignore[arg-type]
    sham = None
    taken = join_boxes([*zones.values(), *real])
    lesion = _grow_sham(host, boxes, recipe, entry, taken, site, record.case.id, seed)
    if lesion is not None:
        label = StructureBox(recipe.lesion, lesion.region, lesion.mask)
        edited = StructureBox(recipe.lesion, lesion.region, lesion.edited)
        sham = cut_patch(
            host,
            label,
            zone_of(label, edited, lesion.measures.border_mm, host.grid),
            boxes[lesion.recipe.structure],
            without=real,
            **place,  # type: ignore[arg-type]
        )
    return findings_of(
        patch,
        sham=sham,
        host=before,
        whole=whole,
        site=site_of(organ(recipe.organ), organ_box, recipe.centre_mm, boxes, volume),
        kind=recipe.kind,
        border_mm=float(entry["measured"]["border_mm"]),
        recipe=_form_of(recipe),
        seed=seed,
    )


def _read_both(folder: Path, record: Sidecar) -> tuple[Volume, Volume]:
    """Host and result, seen to be what the sidecar says and to lie on one grid."""
    fix = "put the host back, or synthesize the case again"
    if not record.case.ct.exists():
        what = f"its host is no longer at {record.case.ct}"
        raise UnreadableFileError(what, where=folder, fix=fix)
    host = record.case.volume()
    if checksum(host) != record.voxels_crc32:
        what = f"the voxels of its host {record.case.ct} have changed"
        raise IntensityError(what, where=folder, fix=fix)
    volume = read_volume(folder / "ct.nii.gz")
    if not volume.grid.same_as(host.grid):
        what = f"has {volume.grid.describe()}, its host {host.grid.describe()}"
        raise GeometryError(what, where=folder / "ct.nii.gz", fix="synthesize it again")
    return host, volume


def _differing(host: Volume, volume: Volume) -> NDArray[np.bool_]:
    """Where two scans differ in HU, a slab at a time."""
    changed = np.zeros(host.grid.shape, np.bool_, order="F")
    for start in range(0, host.grid.shape[2], _SLAB):
        stop = min(start + _SLAB, host.grid.shape[2])
        slab = slice(0, host.grid.shape[0]), slice(0, host.grid.shape[1]), slice(start, stop)
        # float32 rounds an intercept that is no whole number.
        changed[slab] = np.abs(host.hu(slab) - volume.hu(slab)) > 1e-3
    return changed


def _label_box(labels: NDArray[Any], recipe: Recipe) -> StructureBox | None:
    mask = np.asarray(labels == recipe.number, np.bool_)
    region = bounding_box(mask)
    return None if region is None else StructureBox(recipe.lesion, region, mask[region].copy())


def _as_box(changed: NDArray[np.bool_]) -> StructureBox:
    """Changed voxels of a whole volume as the box that they are."""
    i, j, k = (slice(0, n) for n in changed.shape)
    return StructureBox("changed", (i, j, k), changed)


def _organ_of(
    folder: Path, recipe: Recipe, boxes: dict[str, StructureBox], volume: Volume
) -> StructureBox:
    """The organ as it is in the synthetic case, which mass effect may have moved."""
    path = folder / "segmentations" / f"{recipe.structure}.nii.gz"
    box = None
    if path.is_file():
        mask = read_mask(path, recipe.structure)
        mask.require_grid(volume.grid)
        box = crop_mask(mask)
    box = box or boxes.get(recipe.structure)
    if box is None:
        what = f"has no mask of the {recipe.structure} that lesion {recipe.number} lies in"
        raise MissingStructureError(what, where=folder, fix="synthesize it again")
    return box


def _changed_structures(folder: Path, entry: dict[str, Any], recipe: Recipe) -> list[StructureBox]:
    """Ducts and vessels that the lesion widened or narrowed: anatomy, and no trace of editing."""
    found = []
    for name in entry.get("effects", {}).get("structures", ()):
        path = folder / "segmentations" / f"{name}.nii.gz"
        if name in (recipe.structure, recipe.organ) or is_lesion(name) or not path.is_file():
            continue
        box = crop_mask(read_mask(path, name))
        if box is not None:
            found.append(box)
    return found


def _grow_sham(
    host: Volume,
    boxes: dict[str, StructureBox],
    recipe: Recipe,
    entry: dict[str, Any],
    taken: StructureBox | None,
    site: str | None,
    case_id: str,
    seed: int,
) -> Lesion | None:
    """A lesion of the same kind and size elsewhere in the host, which is not painted."""
    diameter = float(entry["measured"]["longest_axial_diameter_mm"])
    diameter = min(max(diameter, SMALLEST_DIAMETER_MM), LARGEST_DIAMETER_MM)
    spec = LesionSpec(
        organ=recipe.organ,
        diameter_mm=(diameter, diameter),
        kind=recipe.kind,
        form=recipe.form,
        site=site,
    )
    there = dict(boxes)
    if taken is not None:  # the sham must not look at the place of the edit
        there[recipe.lesion] = taken
    try:
        return grow_lesion(
            Patient(host, there),
            spec,
            case_id=f"sham of {case_id}",
            number=recipe.number,
            seed=seed,
        )
    except PlacementError:
        return None


def _asked_site(facts: dict[str, Any], recipe: Recipe) -> str | None:
    """The site that was asked for, of a satellite that of its parent."""
    number = recipe.parent or recipe.number
    asked = facts.get("asked", ())
    site = asked[number - 1].get("site") if number <= len(asked) else None
    return None if site is None else str(site)


def _form_of(recipe: Recipe) -> str:
    """What was drawn, place and number aside, as text: equal for lesions drawn alike."""
    plain = recipe.to_json()
    for name in ("number", "parent", "centre_mm", "structure", "contrast_hu"):
        plain.pop(name)
    return json.dumps(plain, sort_keys=True)
