"""One synthetic case: its files, its host, and a sham for each of its lesions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalemai.anatomy import is_lesion, organ
from scalemai.errors import (
    GeometryError,
    IntensityError,
    MissingStructureError,
    UnreadableFileError,
)
from scalemai.io.nifti import read_labels, read_mask, read_volume
from scalemai.measure import bounding_box
from scalemai.synthesis.audit.findings import CaseFindings, LesionFindings
from scalemai.synthesis.audit.lesions import findings_of, site_of
from scalemai.synthesis.audit.patches import cut_patch, zone_of
from scalemai.synthesis.audit.shams import grow_sham
from scalemai.synthesis.growth.tissue import StructureBox, crop_mask, join_boxes
from scalemai.synthesis.recipe import Recipe
from scalemai.synthesis.sidecar import Sidecar, checksum, read_sidecar
from scalemai.synthesis.target import SIDECAR_NAME
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


@dataclass(frozen=True, kw_only=True)
class _Scene:
    """A synthetic case that was read."""

    folder: Path
    record: Sidecar
    facts: Mapping[str, Any]
    host: Volume
    volume: Volume
    boxes: dict[str, StructureBox]
    zones: Mapping[int, StructureBox]

    @property
    def real(self) -> tuple[StructureBox, ...]:
        """Lesions that the host has."""
        return tuple(box for name, box in self.boxes.items() if is_lesion(name))

    def entry(self, number: int) -> Mapping[str, Any]:
        """What the sidecar says of a lesion."""
        found: Mapping[str, Any] = next(
            one for one in self.facts["lesions"] if one["recipe"]["number"] == number
        )
        return found

    def asked_site(self, recipe: Recipe) -> str | None:
        """The site that was asked for, of a satellite that of its parent."""
        number = recipe.parent or recipe.number
        asked = self.facts.get("asked", ())
        site = asked[number - 1].get("site") if number <= len(asked) else None
        return None if site is None else str(site)


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
    facts = json.loads(sidecar.read_text(encoding="utf-8"))
    host, volume = _read_both(folder, record)
    changed = _differing(host, volume)
    labels = _labels(folder, volume)
    found = {recipe.number: _label_box(labels, recipe) for recipe in record.recipes}
    zones: dict[int, StructureBox] = {}
    for one in facts["lesions"]:
        number, label = one["recipe"]["number"], found[one["recipe"]["number"]]
        if label is not None:
            border = float(one["measured"]["border_mm"])
            zones[number] = zone_of(label, _as_box(changed), border, volume.grid)
    cropped = (crop_mask(mask) for mask in record.case.each_mask(record.masks, on=host.grid))
    scene = _Scene(
        folder=folder,
        record=record,
        facts=facts,
        host=host,
        volume=volume,
        boxes={box.name: box for box in cropped if box is not None},
        zones=zones,
    )
    notes, lesions = [], []
    result = checksum(volume)
    if result != record.result_crc32:
        notes.append("its voxels are not those that were written: it was changed afterwards")
    for recipe in record.recipes:
        if organs and recipe.organ not in organs:
            continue
        box = found[recipe.number]
        if box is None:
            notes.append(f"lesion {recipe.number} has no label")
            continue
        lesions.append(_examine_lesion(scene, recipe, box, whole=whole, seed=seed))
        if lesions[-1].sham is None:
            notes.append(f"lesion {recipe.number}: the host has no place for a sham of its size")
    total = int(np.count_nonzero(changed))
    for zone in zones.values():
        changed[zone.region] &= ~zone.array
    far = int(np.count_nonzero(changed))
    return CaseFindings(
        case=folder.name,
        host=record.voxels_crc32,
        result=result,
        far_voxels=far,
        far_share=far / max(total, 1),
        lesions=tuple(lesions),
        notes=tuple(notes),
    )


def _examine_lesion(
    scene: _Scene, recipe: Recipe, box: StructureBox, *, whole: bool, seed: int
) -> LesionFindings:
    measured = scene.entry(recipe.number)["measured"]
    border = float(measured["border_mm"])
    site = scene.asked_site(recipe)
    organ_box = _organ_of(scene, recipe)
    others = tuple(zone for number, zone in scene.zones.items() if number != recipe.number)
    place = partial(
        cut_patch,
        case=scene.folder.name,
        group=scene.record.voxels_crc32,
        number=recipe.number,
        organ_name=recipe.organ,
        host=scene.host,
    )
    patch = place(
        scene.volume,
        box,
        scene.zones[recipe.number],
        organ_box,
        border_mm=border,
        without=(*others, *scene.real, *_changed_structures(scene, recipe)),
    )
    lesion = grow_sham(
        scene.host,
        scene.boxes,
        recipe,
        diameter_mm=float(measured["longest_axial_diameter_mm"]),
        site=site,
        taken=join_boxes([*scene.zones.values(), *scene.real]),
        case_id=scene.record.case.id,
        seed=seed,
    )
    sham = None
    if lesion is not None:
        label = StructureBox(recipe.lesion, lesion.region, lesion.mask)
        edited = StructureBox(recipe.lesion, lesion.region, lesion.edited)
        width = lesion.measures.border_mm
        sham = place(
            scene.host,
            label,
            zone_of(label, edited, width, scene.host.grid),
            scene.boxes[lesion.recipe.structure],
            border_mm=width,
            without=scene.real,
        )
    facts = organ(recipe.organ)
    return findings_of(
        patch,
        sham=sham,
        whole=whole,
        site=site_of(facts, organ_box, recipe.centre_mm, scene.boxes, scene.volume),
        kind=recipe.kind,
        border_mm=border,
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


def _labels(folder: Path, volume: Volume) -> NDArray[Any]:
    """The numbers of the lesions, seen to lie on the grid of the CT."""
    path = folder / "lesions.nii.gz"
    labels, grid = read_labels(path)
    if not grid.same_as(volume.grid):
        what = f"has {grid.describe()}, the CT {volume.grid.describe()}"
        raise GeometryError(what, where=path, fix="synthesize the case again")
    return labels


def _label_box(labels: NDArray[Any], recipe: Recipe) -> StructureBox | None:
    mask = np.asarray(labels == recipe.number, np.bool_)
    region = bounding_box(mask)
    return None if region is None else StructureBox(recipe.lesion, region, mask[region].copy())


def _as_box(changed: NDArray[np.bool_]) -> StructureBox:
    """Changed voxels of a whole volume as the box that they are."""
    i, j, k = (slice(0, n) for n in changed.shape)
    return StructureBox("changed", (i, j, k), changed)


def _organ_of(scene: _Scene, recipe: Recipe) -> StructureBox:
    """The organ as it is in the synthetic case, which mass effect may have moved."""
    path = scene.folder / "segmentations" / f"{recipe.structure}.nii.gz"
    box = None
    if path.is_file():
        mask = read_mask(path, recipe.structure)
        mask.require_grid(scene.volume.grid)
        box = crop_mask(mask)
    box = box or scene.boxes.get(recipe.structure)
    if box is None:
        what = f"has no mask of the {recipe.structure} that lesion {recipe.number} lies in"
        raise MissingStructureError(what, where=scene.folder, fix="synthesize it again")
    return box


def _changed_structures(scene: _Scene, recipe: Recipe) -> list[StructureBox]:
    """Ducts and vessels that the lesion widened or narrowed: anatomy, and no trace of editing."""
    found = []
    for name in scene.entry(recipe.number).get("effects", {}).get("structures", ()):
        path = scene.folder / "segmentations" / f"{name}.nii.gz"
        if name in (recipe.structure, recipe.organ) or is_lesion(name) or not path.is_file():
            continue
        box = crop_mask(read_mask(path, name))
        if box is not None:
            found.append(box)
    return found


def _form_of(recipe: Recipe) -> str:
    """What was drawn, place and number aside, as text: equal for lesions drawn alike."""
    plain = recipe.to_json()
    for name in ("number", "parent", "centre_mm", "structure", "contrast_hu"):
        plain.pop(name)
    return json.dumps(plain, sort_keys=True)
