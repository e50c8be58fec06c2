"""From the patch of one lesion to what is kept of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scalemai.anatomy import Organ, organ, organ_names, structure
from scalemai.measure import longest_axial_diameter_mm
from scalemai.synthesis.audit.controls import CONTROLS
from scalemai.synthesis.audit.duplicates import outline_of
from scalemai.synthesis.audit.features import View, features_of, rise_of
from scalemai.synthesis.audit.findings import LesionFindings
from scalemai.synthesis.audit.patches import Patch, zone_of
from scalemai.synthesis.audit.pictures import thumbnail
from scalemai.synthesis.audit.radiomics import radiomics
from scalemai.synthesis.drawing.site import parts_of_pancreas
from scalemai.synthesis.growth.tissue import StructureBox, prepare_tissue
from scalemai.volume import Volume

__all__ = ["CONTROL_VIEWS", "REAL_BORDER_MM", "findings_of", "organ_name_of", "site_of"]

CONTROL_VIEWS: dict[str, View] = {
    "blurred": "inside",
    "truncated": "surround",
    "white noise": "inside",
}
"""In which view each control of :mod:`scalemai.synthesis.audit.controls` must be noticed."""

REAL_BORDER_MM = 2.0
"""How far the border of a real lesion is taken to reach beyond its label; author's choice."""


def findings_of(
    patch: Patch,
    *,
    sham: Patch | None = None,
    whole: bool = False,
    site: str = "",
    kind: str = "",
    border_mm: float | None = None,
    recipe: str = "",
    seed: int = 0,
) -> LesionFindings:
    """Measure one lesion.

    Parameters
    ----------
    patch
        The lesion.
    sham
        Place without a lesion to compare it with.
    whole
        Also compute the view that is compared with real lesions.
    site, kind, border_mm, recipe
        As in :class:`LesionFindings`.
    seed
        Of the controls.
    """
    diameter = longest_axial_diameter_mm(patch.lesion, patch.grid)
    around = patch.tissue & ~patch.zone
    views = {}
    if sham is not None:
        views = {view: features_of(patch, view) for view in ("surround", "inside")}
    if whole:
        views["whole"] = features_of(_as_real(patch), "whole")
    rng = np.random.default_rng([seed, patch.number, *patch.case.encode()])
    reference = float(np.median(patch.hu[around])) if around.any() else float("nan")
    return LesionFindings(
        case=patch.case,
        group=patch.group,
        number=patch.number,
        organ=patch.organ,
        site=site,
        kind=kind,
        diameter_mm=diameter,
        volume_mm3=float(np.count_nonzero(patch.lesion)) * patch.grid.voxel_volume_mm3,
        contrast_hu=float(patch.hu[patch.lesion].mean()) - reference,
        border_mm=border_mm,
        rise_mm=rise_of(patch),
        radiomics=radiomics(patch.hu, patch.lesion, around, patch.grid),
        views=views,
        sham=None
        if sham is None
        else {view: features_of(sham, view) for view in ("surround", "inside")},
        controls={}
        if sham is None
        else {
            name: features_of(edit(patch, rng), CONTROL_VIEWS[name])
            for name, edit in CONTROLS.items()
        },
        outline=outline_of(
            patch.lesion,
            None if patch.host is None else patch.hu - patch.host,
            patch.grid,
            diameter,
        ),
        recipe=recipe,
        pictures=(thumbnail(patch),) if sham is None else (thumbnail(patch), thumbnail(sham)),
    )


def _as_real(patch: Patch) -> Patch:
    """The patch with a border that does not need to be known, as that of a real lesion is not."""
    i, j, k = (slice(0, n) for n in patch.grid.shape)
    box = StructureBox("", (i, j, k), patch.lesion)
    zone = zone_of(box, None, REAL_BORDER_MM, patch.grid).within(box.region)
    return replace(patch, zone=zone, border_mm=REAL_BORDER_MM, host=None)


def organ_name_of(lesion: str) -> str | None:
    """The organ with facts that a lesion structure lies in; None if there is none."""
    entry = structure(lesion)
    while entry.name not in organ_names():
        if entry.parent is None:
            return None
        entry = structure(entry.parent)
    return entry.name


def site_of(
    facts: Organ,
    organ_box: StructureBox,
    centre_mm: tuple[float, float, float],
    boxes: dict[str, StructureBox],
    volume: Volume,
) -> str:
    """The site that a point lies in, from masks of the sites; of the pancreas also by shape.

    Empty if it cannot be told.
    """
    at = np.rint(volume.grid.to_voxel(centre_mm)).astype(int)
    for site, names in facts.sites.items():
        if organ_box.name in names or any(
            _holds(boxes[name], at) for name in names if name in boxes
        ):
            return site
    if facts.name != organ("pancreas").name:
        return ""
    tissue = prepare_tissue(organ_box, volume.grid)
    inside = np.argwhere(tissue.organ)
    # A lesion that left the gland belongs to the part that it is nearest to.
    local = at - [s.start for s in tissue.region]
    near = inside[np.argmin((((inside - local) * volume.grid.spacing_mm) ** 2).sum(axis=1))]
    parts = parts_of_pancreas(tissue)
    return next((part for part, array in parts.items() if array[tuple(near)]), "")


def _holds(box: StructureBox, at: NDArray[np.int64]) -> bool:
    local = at - np.array([s.start for s in box.region])
    inside = bool((local >= 0).all() and (local < box.array.shape).all())
    return inside and bool(box.array[tuple(local)])
