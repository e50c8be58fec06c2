"""Synthetic lesions in the working copy of a CT, recorded with the recipes that repeat them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalemai._version import __version__
from scalemai.anatomy import organ, structure
from scalemai.annotation.edits.runs import Runs
from scalemai.annotation.evidence.sites import site_of
from scalemai.annotation.store.importing import RECORD_FILE, Proposal
from scalemai.annotation.store.layout import CT_FILE, STRUCTURES_FILE, StoredCase
from scalemai.annotation.store.regions import open_ct
from scalemai.errors import MissingStructureError, PlacementError
from scalemai.io.atomic import atomic_folder
from scalemai.measure import sizes_of
from scalemai.synthesis.growth.tissue import StructureBox, crop_mask
from scalemai.synthesis.patient import Patient
from scalemai.synthesis.spec import LesionSpec
from scalemai.synthesis.synthesize import grow_lesion
from scalemai.volume import Mask, Volume

__all__ = ["read_planted", "write_planted"]

_SPREAD = 0.2
"""A lesion is up to this share larger or smaller than the finding that it takes after."""

_LARGEST_MM = 60.0
"""A larger one would be seen without being marked; author's choice, as is the spread."""

_SMALLEST_MM = 3.0

_KNOWN = "lesion"
"""Name under which synthesis is told of all lesions: it stays out of them, whatever their organ."""


def read_planted(folder: Path) -> list[Proposal] | None:
    """What was grown into a stored case before; None if nobody has tried yet."""
    plain = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
    if "planted" not in plain:
        return None
    shape = plain["stored"]["shape"]
    return [
        Proposal(one["structure"], Runs.of_pairs(one["runs"], shape), one["score"], one["measures"])
        for one in plain["planted"]["lesions"]
    ]


def write_planted(
    folder: Path,
    case_id: str,
    donors: Sequence[Proposal],
    lesions: Sequence[Runs],
    *,
    seed: int,
) -> list[Proposal]:
    """Grow a lesion for each donor into the stored copy of a CT; the folder is replaced whole.

    Only voxels that a lesion changes differ from what was stored. Nothing is pushed aside, and no
    duct or vessel changes, so that the masks of organs stay right.

    Parameters
    ----------
    folder
        Of the case in the store.
    case_id, seed
        Keys of the random streams.
    donors
        Findings whose organ, size and score the lesions get.
    lesions
        Known lesions, which are kept away from as the findings of the case are.

    Returns
    -------
    list of Proposal
        The lesions for which there was room.
    """
    record = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
    stored = StoredCase.from_json(json.dumps(record["stored"]))
    before = open_ct(folder, stored)
    volume = Volume(np.array(before, order="F"), stored.grid, metadata=record["facts"])
    known = [Runs.of_pairs(one["runs"], stored.shape) for one in record["proposals"]]
    boxes = _boxes(folder, stored, [*known, *lesions])
    patient = Patient(volume, boxes)
    planted: list[Proposal] = []
    recipes: list[dict[str, Any]] = []
    for number, donor in enumerate(donors, start=1):
        try:
            lesion = grow_lesion(
                patient, _spec(donor), case_id=f"{case_id} decoy", number=number, seed=seed
            )
            lesion = patient.put(lesion)
        except (PlacementError, MissingStructureError):
            continue  # told by the number that was planted
        region, mask = lesion.region, lesion.mask
        sizes = asdict(sizes_of(mask, stored.grid.crop(region)))
        centre = stored.grid.crop(region).to_world(np.argwhere(mask).mean(axis=0))
        runs = Runs.of_mask(mask, stored.shape, [part.start for part in region])
        measures: dict[str, Any] = {
            **sizes,
            "mean_hu": float(volume.stored[region][mask].mean(dtype=np.float64)),
            "centre_mm": [float(c) for c in centre],
        }
        if donor.measures.get("site") is not None:
            measures["site"] = site_of(folder, stored, donor.structure, runs)
        planted.append(Proposal(donor.structure, runs, donor.score, measures))
        recipes.append(lesion.recipe.to_json())
    _write(folder, record, stored, volume.stored, planted, recipes)
    return planted


def _write(
    folder: Path,
    record: dict[str, Any],
    stored: StoredCase,
    after: NDArray[np.int16],
    planted: Sequence[Proposal],
    recipes: Sequence[dict[str, Any]],
) -> None:
    content = after.tobytes(order="F")
    record["planted"] = {
        "version": __version__,
        "ct_before_sha256": stored.hashes[CT_FILE],
        "lesions": [
            {**one.to_plain(), "recipe": recipe}
            for one, recipe in zip(planted, recipes, strict=True)
        ],
    }
    record["stored"]["hashes"][CT_FILE] = hashlib.sha256(content).hexdigest()
    record["stored"]["hu_range"] = [int(after.min()), int(after.max())]
    with atomic_folder(folder) as temporary:
        (temporary / CT_FILE).write_bytes(content)
        shutil.copyfile(folder / STRUCTURES_FILE, temporary / STRUCTURES_FILE)
        text = json.dumps(record, allow_nan=False, default=str)
        (temporary / RECORD_FILE).write_text(text + "\n", encoding="utf-8")


def _boxes(folder: Path, stored: StoredCase, lesions: Sequence[Runs]) -> dict[str, StructureBox]:
    """Organs, and all known lesions, as synthesis takes them."""
    labels = np.memmap(folder / STRUCTURES_FILE, "u1", "r", shape=stored.shape, order="F")
    boxes = {}
    for number, name in enumerate(stored.structures, start=1):
        box = crop_mask(Mask(np.asarray(labels == number), stored.grid, name))
        if box is not None:
            boxes[name] = box
    together = Runs.none()
    for one in lesions:
        together = together | one
    low_high = together.box(stored.shape)
    if low_high is not None:
        low, high = low_high
        region = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        array = np.ascontiguousarray(together.mask(stored.shape, low_high))
        boxes[_KNOWN] = StructureBox(_KNOWN, (region[0], region[1], region[2]), array)
    return boxes


def _spec(donor: Proposal) -> LesionSpec:
    parent = structure(donor.structure).parent
    diameter = min(max(float(donor.measures["diameter_mm"]), _SMALLEST_MM), _LARGEST_MM)
    span = (max(diameter * (1 - _SPREAD), _SMALLEST_MM), diameter * (1 + _SPREAD))
    facts = organ(str(parent))
    obstructs = any(kind.obstructs for kind in facts.kinds)
    return LesionSpec(
        organ=facts.name,
        diameter_mm=span,
        mass_effect=False,
        satellites=False,
        duct=False if obstructs else None,
        atrophy=False if obstructs else None,
    )
