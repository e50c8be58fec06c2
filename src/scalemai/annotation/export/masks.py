"""The masks that a review ends in, on the grids that the scans came on."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlalchemy import Connection, select
from sqlalchemy.engine import Engine

from scalemai._version import __version__
from scalemai.annotation.database.schema import cases, findings
from scalemai.annotation.edits.runs import Runs
from scalemai.annotation.facts import read_protocol
from scalemai.annotation.rules import overlap
from scalemai.annotation.store.layout import StoredCase
from scalemai.annotation.words import Arm, Origin
from scalemai.io.atomic import atomic_folder
from scalemai.io.nifti import write_mask
from scalemai.volume import Mask

__all__ = ["FinalMask", "final_masks", "write_masks"]

_KEPT = frozenset({"accepted", "pending", "unsure"})
_PLANTED = frozenset({Origin.DECOY_LESION, Origin.DECOY_FALSE})


@dataclass(frozen=True, slots=True)
class FinalMask:
    """The mask of one structure in one case after a review.

    Parameters
    ----------
    structure
        Canonical lesion structure.
    runs
        Its voxels in the stored grid; none if all its findings were rejected.
    findings
        Number of findings by state: accepted, rejected, pending, unsure.
    """

    structure: str
    runs: Runs
    findings: dict[str, int]


def final_masks(connection: Connection, case_key: str) -> list[FinalMask]:
    """The masks of a case, by structure.

    Accepted findings count with the mask that was decided on; those that nobody has settled yet
    count as they were proposed. Rejected ones are left out, and what was planted or repeated to
    measure the readers never counts. In the manual arm only what readers drew counts.

    A synthetic lesion is in the working copy of the CT alone. What a reader added on one (the
    review's rule for one and the same lesion) is left out, and its voxels are taken from all else.
    """
    rows = connection.execute(
        select(findings, cases.c.arm)
        .join(cases, cases.c.case_key == findings.c.case_key)
        .where(findings.c.case_key == case_key, findings.c.repeats.is_(None))
        .order_by(findings.c.structure, findings.c.finding_id)
    ).all()
    planted = [Runs.unpack(row.runs) for row in rows if row.origin == Origin.DECOY_LESION]
    match_iou = read_protocol(connection).match_iou if planted else 0.0
    masks: dict[str, Runs] = {}
    states: dict[str, Counter[str]] = {}
    for row in rows:
        if row.origin in _PLANTED or (row.arm == Arm.MANUAL and row.origin != Origin.READER):
            continue
        content = row.final if row.final is not None else row.runs
        drawn = Runs.unpack(content)
        if row.origin == Origin.READER and any(overlap(drawn, one) > match_iou for one in planted):
            continue
        mask = masks.setdefault(row.structure, Runs.none())
        counted = states.setdefault(row.structure, Counter())
        if row.state != "void":
            counted[row.state] += 1
        if row.state in _KEPT:
            for one in planted:
                drawn = drawn - one
            masks[row.structure] = mask | drawn
    return [FinalMask(name, masks[name], dict(states[name])) for name in sorted(masks)]


def write_masks(engine: Engine, case_key: str, out: Path) -> Path:
    """Write the masks of a case as ``OUT/CASE_ID/segmentations/NAME.nii.gz``.

    Parameters
    ----------
    engine
        The review's database.
    case_key
        Which case.
    out
        Folder of the export.

    Returns
    -------
    Path
        ``OUT/CASE_ID``. Its ``review.json`` says what became of how many findings. Masks have 0
        and 1 as uint8, in the axes and on the grid of the CT.

    Raises
    ------
    OutputError
        If it cannot be written; what was there before is left as it was.
    """
    with engine.connect() as connection:
        row = connection.execute(select(cases).where(cases.c.case_key == case_key)).one()
        masks = final_masks(connection, case_key)
    stored = StoredCase.from_json(row.stored)
    folder: Path = out / row.case_id
    with atomic_folder(folder) as temporary:
        for one in masks:
            array = np.zeros(stored.native_shape, np.bool_, order="F")
            array[stored.native_indices(one.runs)] = True
            path = temporary / "segmentations" / f"{one.structure}.nii.gz"
            path.parent.mkdir(exist_ok=True)
            write_mask(path, Mask(array, stored.native_grid, one.structure))
        plain = {
            "format": "scalemai-reviewed/1",
            "case": row.case_id,
            "arm": row.arm,
            "version": __version__,
            "structures": {one.structure: one.findings for one in masks},
        }
        text = json.dumps(plain, indent=1, sort_keys=True)
        (temporary / "review.json").write_text(text + "\n", encoding="utf-8")
    return folder
