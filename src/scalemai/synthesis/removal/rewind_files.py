"""From case to earlier scans of it, on disk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from scalemai.anatomy import LesionKind, Organ
from scalemai.case import Case
from scalemai.errors import ConfigError
from scalemai.io.atomic import atomic_folder
from scalemai.synthesis.removal.counterfactual import (
    Subject,
    apply_changes,
    naming,
    read_subject,
    record_of,
    write_images,
)
from scalemai.synthesis.removal.lesion_place import organ_of_lesion
from scalemai.synthesis.removal.rewind import EarlierLesion, Rewinder, rewinder
from scalemai.synthesis.sidecar import write_sidecar
from scalemai.synthesis.target import check_target
from scalemai.synthesis.timeline.growth_law import GrowthLaw, growth_law

__all__ = [
    "DAYS_PER_MONTH",
    "REWIND_NAME",
    "RewindRequest",
    "read_rewind_notes",
    "rewind_case",
    "scan_names",
]

REWIND_NAME = "rewind.json"
"""The file that makes a folder earlier scans of a case."""

DAYS_PER_MONTH = 365.25 / 12

_FORMAT = "scalemai-rewind/1"
_LONGEST_DAYS = 36525.0  # a century


@dataclass(frozen=True, kw_only=True)
class RewindRequest:
    """What is asked of every case.

    Parameters
    ----------
    days_before
        How many days before the scan that is there the earlier ones are, most first.
    lesions, numbers
        Which lesions were smaller; see
        :class:`~scalemai.synthesis.removal.removal_files.RemovalRequest`.
    kind
        Kind of lesion, whose typical doubling time is taken; the most frequent one of the organ if
        None.
    law
        ``"exponential"`` or ``"gompertz"``.
    doubling_days
        Days in which the volume doubles, for Gompertz growth at the real volume; that of the kind
        if None.
    seed
        Seed of all random streams.

    Raises
    ------
    ConfigError
        Naming the field that is wrong.
    """

    days_before: tuple[float, ...]
    lesions: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    kind: str | None = None
    law: str = "exponential"
    doubling_days: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.days_before:
            raise ConfigError("no scan is named", where="days_before", fix="give days")
        for days in self.days_before:
            if not 0.0 <= days <= _LONGEST_DAYS:
                what = f"{days:g} days before the scan"
                raise ConfigError(what, where="days_before", fix="give 0 to 36525")
        if sorted(set(self.days_before), reverse=True) != list(self.days_before):
            fix = "the earliest scan, with the most days, comes first"
            raise ConfigError("scans are out of order", where="days_before", fix=fix)
        for name in self.lesions:
            facts = organ_of_lesion(name)
            if self.kind is not None:
                facts.kind(self.kind)
        if any(number < 1 for number in self.numbers):
            raise ConfigError("lesions count from 1", where="numbers", fix="1 is the largest")
        days = 1.0 if self.doubling_days is None else self.doubling_days
        growth_law(self.law, doubling_days=days, reference_mm3=1.0)


def rewind_case(case: Case, out: Path, request: RewindRequest) -> Path:
    """Render earlier scans of one case and write them to ``out / case.id``.

    One earlier scan is the folder's own ``ct.nii.gz`` and ``segmentations/``; of several each has a
    folder named after its days before the scan that is there, ``before_0183_days``. The sidecar
    ``rewind.json`` says what was assumed, and the size of each lesion in each scan.

    Parameters
    ----------
    case
        A case with a lesion mask.
    out
        Folder of the results.
    request
        What is asked.

    Returns
    -------
    Path
        The folder of the earlier scans.

    Raises
    ------
    CaseError, ConfigError
        As :func:`scalemai.synthesis.removal.removal_files.remove_case`; and if the organ has no
        such kind of lesion.
    """
    folder = out / case.id
    check_target(case, folder, marker=REWIND_NAME)
    with naming(case):
        subject = read_subject(case, request.lesions, request.numbers)
        masks = list(subject.lesions.values())
        rewinders = [
            rewinder(
                subject.volume,
                lesion,
                subject.organs_of(lesion),
                masks,
                case_id=case.id,
                seed=request.seed,
            )
            for lesion in subject.chosen
        ]
        laws, notes = _laws(rewinders, request)
        subject = replace(subject, notes=(*subject.notes, *notes))
    with atomic_folder(folder) as temporary:
        names = scan_names(request.days_before)
        for name, days in zip(names, request.days_before, strict=True):
            alone = len(names) == 1
            _write_scan(
                temporary if alone else temporary / name,
                folder if alone else folder / name,
                subject,
                days,
                rewinders,
                laws,
                request,
            )
        if len(names) > 1:
            content = record_of(subject, subject.volume, folder, format=_FORMAT, seed=request.seed)
            content["scans"] = dict(zip(names, request.days_before, strict=True))
            write_sidecar(temporary / REWIND_NAME, content)
    return folder


def scan_names(days_before: Sequence[float]) -> list[str]:
    """Folder names of scans: whole days, or as many decimals as tell them apart."""
    for decimals in range(7):
        width = 4 + (decimals + 1 if decimals else 0)
        names = [f"before_{days:0{width}.{decimals}f}_days" for days in days_before]
        if len(set(names)) == len(names):
            return names
    raise ConfigError("two scans fall on the same day", where="days_before", fix="give one of them")


def read_rewind_notes(folder: Path) -> tuple[str, ...]:
    """What was remarked when earlier scans of a case were rendered.

    Parameters
    ----------
    folder
        What :func:`rewind_case` returned.
    """
    content = json.loads((folder / REWIND_NAME).read_text(encoding="utf-8"))
    return tuple(str(note) for note in content["notes"])


def _write_scan(
    temporary: Path,
    folder: Path,
    subject: Subject,
    days_before: float,
    rewinders: Sequence[Rewinder],
    laws: Sequence[GrowthLaw],
    request: RewindRequest,
) -> None:
    earlier = [
        one.at(one.final_mm3 if days_before == 0 else law.volume_mm3(-days_before))
        for one, law in zip(rewinders, laws, strict=True)
    ]
    result = apply_changes(subject.volume, earlier)
    content = record_of(subject, result, folder, format=_FORMAT, seed=request.seed)
    content["days_before"] = days_before
    content["lesions"] = [
        _lesion_record(lesion, law, one)
        for lesion, law, one in zip(earlier, laws, rewinders, strict=True)
    ]
    temporary.mkdir(exist_ok=True)
    write_images(temporary, subject, result, earlier)
    write_sidecar(temporary / REWIND_NAME, content)


def _lesion_record(lesion: EarlierLesion, law: GrowthLaw, now: Rewinder) -> dict[str, Any]:
    return {
        "number": lesion.place.lesion.number,
        "lesion": lesion.place.lesion.name,
        "structure": lesion.place.structure or None,
        "law": law.name,
        "doubling_days": law.doubling_days,
        "real_mm3": now.final_mm3,
        "border_mm": lesion.place.border.width_mm,
        "measured": asdict(lesion.measures),
    }


def _laws(
    rewinders: Sequence[Rewinder], request: RewindRequest
) -> tuple[list[GrowthLaw], tuple[str, ...]]:
    """How each lesion grew, and in words what was assumed for it."""
    laws: list[GrowthLaw] = []
    notes: dict[str, None] = {}
    for one in rewinders:
        days = request.doubling_days
        if days is None:
            kind = _kind(one.place.organ, request.kind)
            days = kind.doubling_time.typical_days
            if request.kind is None:
                notes[
                    f"the {one.place.lesion.name} is taken for a {kind.title.lower()}, "
                    f"whose volume doubles in {days:g} days"
                ] = None
        laws.append(growth_law(request.law, doubling_days=days, reference_mm3=one.final_mm3))
    return laws, tuple(notes)


def _kind(facts: Organ, name: str | None) -> LesionKind:
    """A kind by name, or the solid one that is most frequent in the organ."""
    if name is not None:
        return facts.kind(name)
    solid = [one for one in facts.kinds if not one.cystic] or list(facts.kinds)
    return max(solid, key=lambda one: one.weight)
