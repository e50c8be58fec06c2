"""From case to case on disk: read what is needed, synthesize, write a whole folder or nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scalemai.anatomy import organ
from scalemai.case import Case
from scalemai.errors import IntensityError, ScaleMAIError
from scalemai.io.atomic import atomic_folder
from scalemai.io.nifti import write_labels, write_mask, write_volume
from scalemai.plausibility import check_mask_on_ct
from scalemai.synthesis.sidecar import checksum, read_sidecar, sidecar_of, write_sidecar
from scalemai.synthesis.spec import LesionSpec, random_stream
from scalemai.synthesis.synthesize import Synthesis, paint_recipes, synthesize_volume
from scalemai.volume import Mask, Volume

__all__ = ["SIDECAR_NAME", "Request", "read_host", "replay", "synthesize_case"]

SIDECAR_NAME = "synthesis.json"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of every case.

    Parameters
    ----------
    specs
        One per organ: the lesions that may be drawn.
    count
        Least and greatest number of lesions per case; drawn uniformly.
    seed
        Seed of all random streams.
    """

    specs: tuple[LesionSpec, ...]
    count: tuple[int, int] = (1, 1)
    seed: int = 0


@dataclass(frozen=True)
class Host:
    """A case that was read: its CT, the masks that synthesis uses, which are organs, remarks."""

    volume: Volume
    masks: dict[str, Mask]
    organs: tuple[str, ...]
    notes: tuple[str, ...] = ()


def read_host(case: Case, specs: Sequence[LesionSpec]) -> Host:
    """Read the CT of a case and the masks that its lesions need, and check that they fit.

    Raises
    ------
    CaseError
        A subclass that names the file: unreadable, no HU, other grid, other patient, organ
        missing or empty.
    """
    volume = case.volume()
    organs = [organ(name) for name in dict.fromkeys(spec.organ for spec in specs)]
    required: list[str] = []
    notes: list[str] = []
    for facts in organs:
        parts = [facts.name] if facts.name in case.sources else list(facts.structures)
        found = [name for name in parts if case.has(name)]
        required += found
        if not found:
            notes.append(f"the case has no mask of the {facts.name}; none was grown there")
    if not required:
        case.mask(organs[0].structures[0], on=volume.grid)  # raises with the nearest names
    helpful = [
        name
        for facts in organs
        for name in (*facts.vessels, *facts.sites.values(), *case.lesions)
        if name in case.sources and name not in required
    ]
    names = list(dict.fromkeys([*required, *helpful]))
    masks = case.masks(names, on=volume.grid, if_missing="omit")
    present = [name for name in required if name in masks]
    if not present:
        case.masks(required, on=volume.grid)  # raises: the masks are empty
    for name in present:
        check_mask_on_ct(masks[name], volume, name)
    notes += [
        f"the {name} mask is empty; none was grown there" for name in required if name not in masks
    ]
    return Host(volume, masks, tuple(present), tuple(notes))


def synthesize_case(case: Case, out: Path, request: Request) -> Path:
    """Grow lesions in one case and write it to ``out / case.id``.

    The folder holds ``ct.nii.gz``, ``segmentations/NAME.nii.gz`` for each kind of lesion mask and
    each organ used, ``lesions.nii.gz`` with the number of each synthetic lesion, and the sidecar.

    Parameters
    ----------
    case
        The host.
    out
        Folder of the synthetic cases.
    request
        What is asked.

    Returns
    -------
    Path
        The folder of the new case.

    Raises
    ------
    CaseError
        If the host cannot be read or used, has no room, or the result cannot be written.
    """
    with _naming(case):
        host = read_host(case, request.specs)
        specs = _draw_specs(case, host, request)
        result = synthesize_volume(
            host.volume, host.masks, specs, case_id=case.id, seed=request.seed
        )
    folder = out / case.id
    with atomic_folder(folder) as temporary:
        _write_images(temporary, host, result)
        content = sidecar_of(
            case,
            host.volume,
            result,
            specs,
            tuple(host.masks),
            host.organs,
            seed=request.seed,
            folder=folder,
            notes=host.notes,
        )
        write_sidecar(temporary / SIDECAR_NAME, content)
    return folder


def replay(sidecar: Path, out: Path) -> Path:
    """Paint a synthetic case again from its sidecar and its host: the same files.

    Parameters
    ----------
    sidecar
        The ``synthesis.json`` of a synthetic case; the host lies where it says.
    out
        Folder under which the case is written.

    Raises
    ------
    IntensityError
        If the host's voxels have changed, or the result differs from the recorded one.
    CaseError, ConfigError
        As for :func:`synthesize_case` and :func:`scalemai.synthesis.sidecar.read_sidecar`.
    """
    record = read_sidecar(sidecar)
    case = record.case
    with _naming(case):
        volume = case.volume()
        if checksum(volume) != record.voxels_crc32:
            fix = "give the CT that the sidecar was made from"
            raise IntensityError("the voxels of the host have changed", where=case.ct, fix=fix)
        masks = case.masks(case.structures, on=volume.grid)
        result = paint_recipes(volume, masks, record.recipes, case_id=case.id)
        if checksum(result.volume) != record.result_crc32:
            fix = f"use version {record.version} of scalemai and the masks that it used"
            raise IntensityError("the result differs from the recorded one", where=sidecar, fix=fix)
    folder = out / case.id
    with atomic_folder(folder) as temporary:
        _write_images(temporary, Host(volume, masks, record.organs), result)
        shutil.copyfile(sidecar, temporary / SIDECAR_NAME)
    return folder


def _draw_specs(case: Case, host: Host, request: Request) -> list[LesionSpec]:
    """The lesions of one case: how many, and in which of the organs that it has."""
    rng = random_stream(request.seed, case.id, 0, "count")
    count = int(rng.integers(request.count[0], request.count[1] + 1))
    possible = [
        spec
        for spec in request.specs
        if any(name in host.masks for name in (spec.organ, *organ(spec.organ).structures))
    ]
    return [possible[int(rng.integers(len(possible)))] for _ in range(count)]


def _write_images(folder: Path, host: Host, result: Synthesis) -> None:
    write_volume(folder / "ct.nii.gz", result.volume)
    write_labels(folder / "lesions.nii.gz", result.labels, result.volume.grid, result.volume)
    masks = folder / "segmentations"
    masks.mkdir()
    lesions = {one.recipe.lesion for one in result.lesions}
    for name in sorted(lesions):
        mask = result.mask(name)
        if name in host.masks:  # real lesions stay labelled
            mask = Mask(mask.array | host.masks[name].array, mask.grid, name)
        write_mask(masks / f"{name}.nii.gz", mask, result.volume)
    for name in host.organs:
        write_mask(masks / f"{name}.nii.gz", host.masks[name], result.volume)


@contextmanager
def _naming(case: Case) -> Iterator[None]:
    """Add the case id to an error that names no place, so that a batch can list it."""
    try:
        yield
    except ScaleMAIError as error:
        if error.where is None:
            error.where = case.id
        raise
