"""From case to case without its lesions, on disk."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from scalemai.case import Case
from scalemai.errors import ConfigError
from scalemai.io.atomic import atomic_folder
from scalemai.synthesis.removal.counterfactual import (
    apply_changes,
    naming,
    read_subject,
    record_of,
    write_images,
)
from scalemai.synthesis.removal.lesion_place import organ_of_lesion
from scalemai.synthesis.removal.removal import remove_lesion
from scalemai.synthesis.sidecar import write_sidecar
from scalemai.synthesis.target import check_target

__all__ = ["REMOVAL_NAME", "RemovalRequest", "read_removal_notes", "remove_case"]

REMOVAL_NAME = "removal.json"
"""The file that makes a folder a case whose lesions were removed."""

_FORMAT = "scalemai-removal/1"


@dataclass(frozen=True, kw_only=True)
class RemovalRequest:
    """What is to be removed from every case.

    Parameters
    ----------
    lesions
        Lesion structures; every lesion mask of a case if none is named.
    numbers
        Numbers of lesions, from 1, the largest first; all if none is given.
    seed
        Seed of all random streams.

    Raises
    ------
    ConfigError
        If there is no such lesion structure, its lesions cannot be removed, or a number is below 1.
    """

    lesions: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        for name in self.lesions:
            organ_of_lesion(name)
        if any(number < 1 for number in self.numbers):
            raise ConfigError("lesions count from 1", where="numbers", fix="1 is the largest")


def remove_case(case: Case, out: Path, request: RemovalRequest) -> Path:
    """Remove lesions from one case and write it to ``out / case.id``.

    The folder holds ``ct.nii.gz``; ``segmentations/NAME.nii.gz`` for every lesion mask of the case,
    without what was removed, and for the organs that the lesions lay in, closed; and the sidecar
    ``removal.json``.

    Parameters
    ----------
    case
        The case.
    out
        Folder of the results.
    request
        What is to be removed.

    Returns
    -------
    Path
        The folder of the new case.

    Raises
    ------
    CaseError
        If the case cannot be read, has no such lesion, or one that cannot be removed (it touches
        the border of the scan, is most of its organ, lies outside of it).
    ConfigError
        If something else would be replaced.
    """
    folder = out / case.id
    check_target(case, folder, marker=REMOVAL_NAME)
    with naming(case):
        subject = read_subject(case, request.lesions, request.numbers)
        masks = list(subject.lesions.values())
        removed = [
            remove_lesion(
                subject.volume,
                lesion,
                subject.organs_of(lesion),
                masks,
                case_id=case.id,
                seed=request.seed,
            )
            for lesion in subject.chosen
        ]
        result = apply_changes(subject.volume, removed)
    content = record_of(subject, result, folder, format=_FORMAT, seed=request.seed)
    content["removed"] = [
        {
            "number": one.place.lesion.number,
            "lesion": one.place.lesion.name,
            "structure": one.place.structure or None,
            "measured": one.measures.to_json(),
        }
        for one in removed
    ]
    with atomic_folder(folder) as temporary:
        write_images(temporary, subject, result, removed)
        write_sidecar(temporary / REMOVAL_NAME, content)
    return folder


def read_removal_notes(folder: Path) -> tuple[str, ...]:
    """What was remarked when lesions were removed from a case.

    Parameters
    ----------
    folder
        What :func:`remove_case` returned.
    """
    content = json.loads((folder / REMOVAL_NAME).read_text(encoding="utf-8"))
    return tuple(str(note) for note in content["notes"])
