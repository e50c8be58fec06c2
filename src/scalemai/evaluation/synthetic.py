"""What the record of a synthetic reference tells: which lesions were grown, and in which host."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scalemai.case import Case, MaskSource
from scalemai.errors import UnreadableFileError

__all__ = ["RECORD_FORMAT", "RECORD_NAME", "Grown", "SyntheticRecord", "read_record", "record_of"]

RECORD_NAME = "synthesis.json"
"""The file that lies beside the CT of a synthetic case."""

RECORD_FORMAT = "scalemai-synthesis/1"


@dataclass(frozen=True, slots=True)
class Grown:
    """One lesion that was grown.

    Parameters
    ----------
    structure
        Name of its mask.
    kind
        Its kind.
    seed_mm
        Where it was grown from, RAS+ mm.
    diameter_mm
        Its longest axial diameter.
    """

    structure: str
    kind: str
    seed_mm: tuple[float, float, float]
    diameter_mm: float


@dataclass(frozen=True)
class SyntheticRecord:
    """The lesions of a synthetic case; masks and phase of the CT that it was made from.

    ``named`` are all structures that the CT had masks of, ``masks`` those whose files are there.
    """

    lesions: Sequence[Grown] = ()
    masks: Mapping[str, MaskSource] = field(default_factory=dict)
    phase: str | None = None
    named: tuple[str, ...] = ()


def record_of(case: Case) -> Path | None:
    """Where the record of a case is; None if it is not synthetic.

    It lies beside the CT, or above the folder of the masks.
    """
    beside = (case.ct.parent / RECORD_NAME, case.ct.parent.parent / RECORD_NAME)
    # Above a CT lies the data set, where a record would be of another case.
    places = beside if case.ct.parent.name == "segmentations" else beside[:1]
    return next((path for path in places if path.is_file()), None)


def read_record(path: Path) -> SyntheticRecord:
    """Read the fields that facts need.

    Returns
    -------
    SyntheticRecord
        Masks whose files are gone are left out: the host need not have been kept.

    Raises
    ------
    UnreadableFileError
        If it is damaged, or of another format.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != RECORD_FORMAT:
            raise ValueError(f"it is not of the format {RECORD_FORMAT}")
        lesions = [_grown(one["recipe"]) for one in content["lesions"]]
        phase = content["host"]["phase"]
        folder = path.parent.resolve()
        masks = {
            str(name): MaskSource(
                Path(os.path.normpath(folder / one["path"])),
                tuple(int(value) for value in one["values"]),
            )
            for name, one in content["host"]["masks"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        what = f"is no record of a synthetic case ({error})"
        raise UnreadableFileError(what, where=path, fix="synthesize the case again") from error
    kept = {name: source for name, source in masks.items() if source.path.is_file()}
    told = None if phase is None else str(phase)
    return SyntheticRecord(lesions, kept, told, tuple(sorted(masks)))


def _grown(recipe: Mapping[str, object]) -> Grown:
    centre = recipe["centre_mm"]
    if not isinstance(centre, list):
        raise TypeError("a lesion has no centre")
    x, y, z = map(float, centre)
    return Grown(
        str(recipe["lesion"]), str(recipe["kind"]), (x, y, z), float(str(recipe["diameter_mm"]))
    )
