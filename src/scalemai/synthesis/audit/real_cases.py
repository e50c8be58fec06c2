"""One real case: the lesions that readers have drawn in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scalemai.anatomy import organ
from scalemai.case import Case
from scalemai.errors import UnknownNameError
from scalemai.synthesis.audit.findings import CaseFindings
from scalemai.synthesis.audit.lesions import REAL_BORDER_MM, findings_of, organ_name_of, site_of
from scalemai.synthesis.audit.patches import cut_patch, zone_of
from scalemai.synthesis.growth.tissue import StructureBox, crop_mask, join_boxes
from scalemai.synthesis.patient import structures_at_hand
from scalemai.synthesis.removal.lesion_place import find_lesions
from scalemai.synthesis.sidecar import checksum

__all__ = ["examine_real", "lesions_of_organs"]

_FEWEST_VOXELS = 8
"""Fewer are crumbs of a mask, or cannot be described."""


def lesions_of_organs(case: Case, organs: Sequence[str]) -> dict[str, str]:
    """Lesion masks of a case with the organ that each lies in, of these organs only."""
    found = {}
    for name in case.lesions:
        try:
            of = organ_name_of(name)
        except UnknownNameError:
            continue  # a data set's own name says nothing of the organ
        if of is not None and of in organs:
            found[name] = of
    return found


def examine_real(case: Case, *, organs: Sequence[str]) -> CaseFindings:
    """Measure the real lesions of one case.

    Parameters
    ----------
    case
        A case with masks of lesions and of the organs that they lie in.
    organs
        Which organs' lesions.

    Raises
    ------
    CaseError
        If its files cannot be read or do not belong together.
    """
    names = lesions_of_organs(case, organs)
    volume = case.volume()
    cropped = (crop_mask(mask) for mask in case.each_mask(names, on=volume.grid))
    boxes = {box.name: box for box in cropped if box is not None}
    notes: list[str] = []
    findings = []
    number = 0
    for name in sorted(set(names.values())):
        facts = organ(name)
        lesions = {lesion: box for lesion, box in boxes.items() if names[lesion] == name}
        if not lesions:
            continue
        structures = structures_at_hand(facts, case.has)
        parts = [crop_mask(m) for m in case.each_mask(structures, on=volume.grid)]
        sides = [box for box in parts if box is not None]
        joined = join_boxes(sides)
        if joined is None:
            notes.append(f"has no mask of the {name}; its lesions were left out")
            continue
        helpful = [part for group in facts.sites.values() for part in group if case.has(part)]
        found = (crop_mask(m) for m in case.each_mask(helpful, on=volume.grid))
        sites = {box.name: box for box in found if box is not None}
        for lesion in find_lesions(lesions):
            if lesion.voxels < _FEWEST_VOXELS:
                continue
            number += 1
            label = StructureBox(lesion.name, lesion.region, lesion.array)
            patch = cut_patch(
                volume,
                label,
                zone_of(label, None, REAL_BORDER_MM, volume.grid),
                joined,
                case=case.id,
                group=case.id,
                number=number,
                organ_name=name,
                border_mm=REAL_BORDER_MM,
                without=tuple(boxes.values()),
            )
            index = np.argwhere(lesion.array).mean(axis=0) + [s.start for s in lesion.region]
            x, y, z = (float(v) for v in volume.grid.to_world(index))
            site = site_of(facts, joined, (x, y, z), sites, volume)
            findings.append(findings_of(patch, whole=True, site=site))
    return CaseFindings(
        case=case.id, result=checksum(volume), lesions=tuple(findings), notes=tuple(notes)
    )
