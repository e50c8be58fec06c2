"""Cases whose own lesions are changed: read what is needed, write a whole case."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from scalemai._version import __version__
from scalemai.anatomy import canonical
from scalemai.case import Case
from scalemai.errors import ConfigError, MissingStructureError, ScaleMAIError
from scalemai.io.nifti import write_mask, write_volume
from scalemai.plausibility import check_mask_on_ct
from scalemai.synthesis.growth.tissue import StructureBox, crop_mask
from scalemai.synthesis.patient import structures_at_hand
from scalemai.synthesis.removal.lesion_place import (
    FoundLesion,
    LesionPlace,
    find_lesions,
    organ_of_lesion,
)
from scalemai.synthesis.sidecar import checksum
from scalemai.volume import Mask, Volume

__all__ = [
    "ChangedLesion",
    "Subject",
    "apply_changes",
    "naming",
    "read_subject",
    "record_of",
    "write_images",
]


class ChangedLesion(Protocol):
    """What was done to one lesion."""

    @property
    def place(self) -> LesionPlace:
        """The lesion, and the box around it."""

    @property
    def stored(self) -> NDArray[Any]:
        """New stored numbers of the box."""

    @property
    def edited(self) -> NDArray[np.bool_]:
        """Which of them are new."""

    @property
    def left(self) -> NDArray[np.bool_]:
        """What is left of the lesion, an array of the box."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A case that was read.

    Parameters
    ----------
    case
        Where it is.
    volume
        Its CT.
    lesions
        Its lesion masks that are not empty, cropped.
    empty
        Names of its lesion masks that are.
    chosen
        The lesions to change.
    organs
        Masks of the organs that they lie in, cropped, by canonical name.
    notes
        Remarks in words.
    """

    case: Case
    volume: Volume
    lesions: dict[str, StructureBox]
    empty: tuple[str, ...]
    chosen: tuple[FoundLesion, ...]
    organs: dict[str, StructureBox]
    notes: tuple[str, ...]

    def organs_of(self, lesion: FoundLesion) -> dict[str, StructureBox]:
        """The masks that the lesion may lie in: all sides of its organ."""
        facts = organ_of_lesion(lesion.name)
        names = (facts.name, *facts.structures)
        return {name: box for name, box in self.organs.items() if name in names}


def read_subject(case: Case, names: Sequence[str] = (), numbers: Sequence[int] = ()) -> Subject:
    """Read the CT of a case, its lesions, and the organs that they lie in.

    Parameters
    ----------
    case
        The case.
    names
        Lesion structures to change; all that can be if none is named.
    numbers
        Numbers of lesions, from 1, the largest first; all if none is given.

    Raises
    ------
    MissingStructureError
        If there is no lesion mask, or it is empty, or has no lesion of that number.
    ConfigError
        If lesions of a structure that was named cannot be changed.
    CaseError
        A subclass that names the file: unreadable, no HU, other grid, other patient.
    """
    wanted = tuple(dict.fromkeys(canonical(name) for name in names))
    for name in wanted:
        organ_of_lesion(name)
        if not case.has(name):
            case.mask(name)  # raises with the nearest names
    if not case.lesions and not wanted:
        fix = "give one with the CT, named after its structure, for example liver_lesion.nii.gz"
        raise MissingStructureError("has no lesion mask", fix=fix)
    volume = case.volume()
    lesions: dict[str, StructureBox] = {}
    empty: list[str] = []
    for mask in case.each_mask(dict.fromkeys((*wanted, *case.lesions)), on=volume.grid):
        box = crop_mask(mask)
        if box is None:
            empty.append(mask.name)
        else:
            if not wanted or mask.name in wanted:
                check_mask_on_ct(mask, volume, mask.name)
            lesions[mask.name] = box
        del mask  # or it would live on while the next one is read
    notes: list[str] = []
    usable = _usable(lesions, wanted, notes)
    if not usable:
        what = f"the {' and the '.join(wanted or tuple(empty))} mask is empty"
        raise MissingStructureError(what, fix="there is no lesion to change; leave the case out")
    found = find_lesions({name: lesions[name] for name in usable})
    chosen = tuple(one for one in found if not numbers or one.number in numbers)
    for number in numbers:
        if number > len(found):
            what = f"has no lesion {number}, its largest is 1 and its smallest {len(found)}"
            raise MissingStructureError(what, fix="give a number that it has")
    organs = _organs(case, volume, chosen, notes)
    return Subject(case, volume, lesions, tuple(empty), chosen, organs, tuple(notes))


def apply_changes(volume: Volume, changes: Iterable[ChangedLesion]) -> Volume:
    """The volume with lesions changed; all other voxels are the same numbers."""
    stored = volume.stored.copy(order="K")
    for change in changes:
        part = stored[change.place.region]
        part[change.edited] = change.stored[change.edited]
    return volume.with_stored(stored)


def write_images(
    folder: Path, subject: Subject, volume: Volume, changes: Sequence[ChangedLesion]
) -> None:
    """Write ``ct.nii.gz`` and ``segmentations/``: every lesion mask, and the organs concerned.

    A lesion mask is written even if nothing is left in it: it then says that none is there. The
    organ's mask holds what became organ.
    """
    write_volume(folder / "ct.nii.gz", volume)
    masks = folder / "segmentations"
    masks.mkdir()
    for mask in _changed_masks(subject, changes):
        write_mask(masks / f"{mask.name}.nii.gz", mask, volume)


def record_of(
    subject: Subject, result: Volume, folder: Path, *, format: str, seed: int
) -> dict[str, Any]:
    """What every sidecar of a changed case holds, in plain types.

    Parameters
    ----------
    subject, result
        The case, and the volume that is written.
    folder
        Where the sidecar will lie: paths are relative to it.
    format, seed
        Name and version of the sidecar's format; seed of the random streams.
    """
    case = subject.case
    return {
        "format": format,
        "version": __version__,
        "case": case.id,
        "seed": seed,
        "origin": "counterfactual",
        "host": {
            "ct": _relative(case.ct, folder),
            "series": None if case.series is None else str(case.series),
            "hu_offset": case.hu_offset,
            "masks": {
                part: _relative(case.sources[part].path, folder)
                for name in (*subject.lesions, *subject.empty, *subject.organs)
                for part in case.parts(name)
            },
            "voxels_crc32": checksum(subject.volume),
            "grid": subject.volume.grid.describe(),
        },
        "result": {"voxels_crc32": checksum(result)},
        "notes": list(subject.notes),
    }


@contextmanager
def naming(case: Case) -> Iterator[None]:
    """Add the case id to an error that names no place, so that a batch can list it."""
    try:
        yield
    except ScaleMAIError as error:
        if error.where is None:
            error.where = case.id
        raise


def _usable(
    lesions: Mapping[str, StructureBox], wanted: Sequence[str], notes: list[str]
) -> list[str]:
    """Which of the masks that hold lesions are to be changed, and can be."""
    if wanted:
        return [name for name in wanted if name in lesions]
    usable: list[str] = []
    reason: ConfigError | None = None
    for name in lesions:
        try:
            organ_of_lesion(name)
        except ConfigError as error:
            reason = error
            notes.append(f"the {name} is left as it is: {error.what}")
        else:
            usable.append(name)
    if reason is not None and not usable:
        raise reason
    return usable


def _organs(
    case: Case, volume: Volume, chosen: Sequence[FoundLesion], notes: list[str]
) -> dict[str, StructureBox]:
    needed: list[str] = []
    for lesion in dict.fromkeys(one.name for one in chosen):
        facts = organ_of_lesion(lesion)
        at_hand = structures_at_hand(facts, case.has)
        needed += at_hand
        if not at_hand and facts.family == "lung":
            notes.append("no lung mask: the lung around the lesion was found by its attenuation")
    boxes: dict[str, StructureBox] = {}
    for mask in case.each_mask(dict.fromkeys(needed), on=volume.grid):
        box = crop_mask(mask)
        if box is not None:
            check_mask_on_ct(mask, volume, mask.name)
            boxes[mask.name] = box
        del mask
    return boxes


def _changed_masks(subject: Subject, changes: Sequence[ChangedLesion]) -> Iterator[Mask]:
    grid = subject.volume.grid
    for name in sorted({*subject.lesions, *subject.empty, *subject.organs}):
        array = np.zeros(grid.shape, np.bool_, order="F")
        box = subject.lesions.get(name) or subject.organs.get(name)
        if box is not None:
            array[box.region] = box.array
        for change in changes:
            place = change.place
            part = array[place.region]
            if name in subject.organs:
                if name == place.structure:  # the hole is closed, the bulge gone
                    gone = place.bulge & place.hole & ~change.left
                    part[gone & (place.inside | ~change.left.any())] = False
                    part[place.inside & place.expected & ~change.left] = True
            else:
                part[place.inside & ~change.left] = False
        yield Mask(array, grid, name)


def _relative(path: Path, folder: Path) -> str:
    # Links to folders are followed, or ".." would lead elsewhere than it seems.
    target = path.parent.resolve() / path.name
    try:
        return Path(os.path.relpath(target, folder.resolve())).as_posix()
    except ValueError:  # another drive of Windows
        return target.as_posix()
