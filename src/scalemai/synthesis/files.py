"""From case to case on disk: read what is needed, synthesize, write a whole folder or nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from scalemai.anatomy import Organ, is_lesion, organ
from scalemai.case import Case
from scalemai.errors import IntensityError, MissingStructureError, ScaleMAIError
from scalemai.io.atomic import atomic_folder
from scalemai.io.nifti import read_grid, write_labels, write_mask, write_volume
from scalemai.plausibility import check_mask_on_ct
from scalemai.synthesis.effects.warp_masks import warp_masks
from scalemai.synthesis.growth.tissue import StructureBox, crop_mask
from scalemai.synthesis.patient import structures_at_hand
from scalemai.synthesis.populations.population import TumorPopulation
from scalemai.synthesis.sidecar import (
    checksum,
    moved_sidecar,
    read_sidecar,
    sidecar_of,
    write_sidecar,
)
from scalemai.synthesis.spec import LesionSpec, random_stream
from scalemai.synthesis.synthesize import Synthesis, paint_recipes, synthesize_into
from scalemai.synthesis.target import SIDECAR_NAME, check_target
from scalemai.volume import Mask, Volume

_FEW_STRUCTURES = 4  # of bones, many are usually out of the scan: that is no news

__all__ = [
    "Request",
    "read_host",
    "replay",
    "synthesize_case",
    "write_images",
]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of every case.

    Parameters
    ----------
    specs
        The lesions that may be drawn, for example one spec per organ.
    count
        Least and greatest number of lesions per case, drawn uniformly; each is of one of the
        specs, drawn too.
    counts
        Least and greatest number of lesions of each spec: every case gets all of them. Empty if
        ``count`` says how many.
    population
        A distribution that lesions are drawn from, in place of specs.
    seed
        Seed of all random streams.
    """

    specs: tuple[LesionSpec, ...] = ()
    count: tuple[int, int] = (1, 1)
    counts: tuple[tuple[int, int], ...] = ()
    population: TumorPopulation | None = None
    seed: int = 0

    @property
    def examples(self) -> tuple[LesionSpec, ...]:
        """Specs that need all the masks that lesions of the request may need."""
        if self.population is None:
            return self.specs
        return tuple(LesionSpec(organ=name) for name in self.population.organs)


@dataclass(frozen=True)
class Host:
    """A case that was read.

    Parameters
    ----------
    volume
        Its CT.
    boxes
        The masks that synthesis uses, cropped, by canonical name.
    organs
        Which of them are organs asked for.
    notes
        Remarks in words.
    """

    volume: Volume
    boxes: dict[str, StructureBox]
    organs: tuple[str, ...]
    notes: tuple[str, ...] = ()


def read_host(case: Case, specs: Sequence[LesionSpec]) -> Host:
    """Read the CT of a case and the masks that its lesions need, and check that they fit.

    Masks are read one at a time and cropped, so that memory holds the CT and little else.

    Raises
    ------
    CaseError
        A subclass that names the file: unreadable, no HU, other grid, other patient, organ
        missing or empty.
    """
    organs = [organ(name) for name in dict.fromkeys(spec.organ for spec in specs)]
    required: list[str] = []
    notes: list[str] = []
    for facts in organs:
        found = _asked_for(facts, specs, structures_at_hand(facts, case.has))
        required += found
        if not found:
            notes.append(f"the case has no mask of the {facts.name}; none was grown there")
    volume = case.volume()
    if not required:
        case.mask(organs[0].structures[0], on=volume.grid)  # raises with the nearest names
    helpful = [
        name
        for facts in organs
        for name in (
            *facts.vessels,
            *chain(*facts.sites.values()),
            *case.lesions,
            *(facts.barriers if _needs_neighbours(facts, specs) else ()),
        )
        if name in case.sources and name not in required
    ]
    boxes: dict[str, StructureBox] = {}
    for mask in case.each_mask([*required, *helpful], on=volume.grid):
        box = crop_mask(mask)
        if box is not None:
            if mask.name in required:
                check_mask_on_ct(mask, volume, mask.name)
            boxes[mask.name] = box
        del mask  # or it would live on while the next one is read
    present = tuple(name for name in required if name in boxes)
    if not present:
        case.mask(required[0], on=volume.grid)  # raises: the mask is empty
    notes += [
        f"the {name} mask is empty; none was grown there"
        for facts in organs
        for name in structures_at_hand(facts, case.has)
        if name in required and name not in boxes and len(facts.structures) <= _FEW_STRUCTURES
    ]
    return Host(volume, boxes, present, tuple(notes))


def synthesize_case(case: Case, out: Path, request: Request) -> Path:
    """Grow lesions in one case and write it to ``out / case.id``.

    The folder holds ``ct.nii.gz``, ``segmentations/NAME.nii.gz`` for each organ asked for and each
    kind of lesion, synthetic and real ones together, ``lesions.nii.gz`` with the number of each
    synthetic lesion, and the sidecar.

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
    ConfigError
        If something else would be replaced (:func:`scalemai.synthesis.target.check_target`).
    """
    folder = out / case.id
    check_target(case, folder)
    with _naming(case):
        host = read_host(case, request.examples)
        specs = _draw_specs(case, host, request)
        before = checksum(host.volume)
        result = synthesize_into(host.volume, host.boxes, specs, case_id=case.id, seed=request.seed)
    with atomic_folder(folder) as temporary:
        moved = write_images(temporary, case, host, result)
        content = sidecar_of(
            case,
            result,
            specs,
            tuple(host.boxes),
            host.organs,
            host_crc32=before,
            seed=request.seed,
            folder=folder,
            moved=moved,
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
    folder = out / case.id
    check_target(case, folder)
    with _naming(case):
        volume = case.volume()
        if checksum(volume) != record.voxels_crc32:
            fix = "give the CT that the sidecar was made from"
            raise IntensityError("the voxels of the host have changed", where=case.ct, fix=fix)
        cropped = (crop_mask(mask) for mask in case.each_mask(record.masks, on=volume.grid))
        boxes = {box.name: box for box in cropped if box is not None}
        result = paint_recipes(volume, boxes, record.recipes, case_id=case.id)
        if checksum(volume) != record.result_crc32:
            fix = f"use version {record.version} of scalemai and the masks that it used"
            raise IntensityError("the result differs from the recorded one", where=sidecar, fix=fix)
    with atomic_folder(folder) as temporary:
        host = Host(volume, boxes, record.organs)
        write_images(temporary, case, host, result)
        write_sidecar(temporary / SIDECAR_NAME, moved_sidecar(sidecar, folder))
    return folder


def _draw_specs(case: Case, host: Host, request: Request) -> list[LesionSpec]:
    """The lesions of one case: how many, and in which of the organs that it has."""

    def is_there(name: str) -> bool:
        return any(one in host.boxes for one in (name, *organ(name).structures))

    if request.population is not None:
        there = [name for name in request.population.organs if is_there(name)]
        if not there:
            fix = f"give masks of {' or '.join(request.population.organs)}"
            raise MissingStructureError("has no organ of the population", where=case.id, fix=fix)
        return list(request.population.only(there).lesions(case.id, request.seed))
    rng = random_stream(request.seed, case.id, 0, "count")
    if request.counts:
        numbers = [int(rng.integers(low, high + 1)) for low, high in request.counts]
        return [
            spec
            for spec, number in zip(request.specs, numbers, strict=True)
            for _ in range(number if is_there(spec.organ) else 0)
        ]
    count = int(rng.integers(request.count[0], request.count[1] + 1))
    possible = [spec for spec in request.specs if is_there(spec.organ)]
    return [possible[int(rng.integers(len(possible)))] for _ in range(count)]


def write_images(folder: Path, case: Case, host: Host, result: Synthesis) -> tuple[str, ...]:
    """Write CT, lesion numbers and masks of a synthetic case; see :func:`synthesize_case`.

    Returns
    -------
    tuple
        Names of further masks of the case that lie where tissue was pushed aside.
    """
    volume = result.volume
    write_volume(folder / "ct.nii.gz", volume)
    write_labels(folder / "lesions.nii.gz", result.labels, volume.grid, volume)
    masks = folder / "segmentations"
    masks.mkdir()
    real = {name for name in case.lesions if name in host.boxes}
    for name in sorted(real.union(one.recipe.lesion for one in result.lesions)):
        # Real lesions stay labelled.
        write_mask(masks / f"{name}.nii.gz", result.mask(name), volume)
    changed = {name for name in result.changed if not is_lesion(name)}
    for name in sorted(changed.union(host.organs)):
        target = masks / f"{name}.nii.gz"
        source = case.sources.get(name)
        alone = source is not None and not source.values and source.path.name.endswith(".nii.gz")
        if (
            name not in changed
            and source is not None
            and alone
            and read_grid(source.path).same_as(volume.grid)
        ):
            shutil.copyfile(source.path, target)  # the same bytes, and no time spent on them
            continue
        write_mask(target, result.mask(name), volume)
    names, after, before = _pushed_along(case, host, result)
    for name, box, was in zip(names, after, before, strict=True):
        if box is not was:
            array = np.zeros(volume.grid.shape, np.bool_, order="F")
            if box is not None:
                array[box.region] = box.array
            write_mask(masks / f"{name}.nii.gz", Mask(array, volume.grid, name), volume)
    return names


def _pushed_along(
    case: Case, host: Host, result: Synthesis
) -> tuple[tuple[str, ...], list[StructureBox | None], list[StructureBox]]:
    """Masks that synthesis did not need, but that lie where tissue was pushed aside.

    All of them move together, so that they keep apart; so all are recorded, changed or not.

    Returns
    -------
    tuple
        Their names, the masks as they are now (None if nothing is left), and as they were.
    """
    moves = [one.displacement for one in result.effects if one.displacement is not None]
    if not moves:
        return (), [], []
    others = [name for name in case.sources if name not in host.boxes]
    cropped = (crop_mask(mask) for mask in case.each_mask(others, on=result.volume.grid))
    before = [
        box
        for box in cropped
        if box is not None and any(box.within(move.region).any() for move in moves)
    ]
    after: list[StructureBox | None] = list(before)
    for move in moves:
        left = iter(warp_masks([box for box in after if box is not None], move))
        after = [None if box is None else next(left) for box in after]
    return tuple(box.name for box in before), after, before


def _asked_for(
    facts: Organ, specs: Sequence[LesionSpec], structures: Sequence[str]
) -> tuple[str, ...]:
    """Which structures of an organ may be grown in: of many bones, those of the site."""
    sites = {spec.site for spec in specs if spec.organ == facts.name}
    if None in sites or len(facts.structures) <= _FEW_STRUCTURES:
        return tuple(structures)
    wanted = {name for site in sites if site is not None for name in facts.sites[site]}
    return tuple(name for name in structures if name in wanted) or tuple(structures)


def _needs_neighbours(facts: Organ, specs: Sequence[LesionSpec]) -> bool:
    """Whether lesions may leave the organ by more than fat tells: neighbours must be known."""
    return facts.family == "hollow" or any(
        spec.organ == facts.name and (spec.exophytic or spec.vessel is not None) for spec in specs
    )


@contextmanager
def _naming(case: Case) -> Iterator[None]:
    """Add the case id to an error that names no place, so that a batch can list it."""
    try:
        yield
    except ScaleMAIError as error:
        if error.where is None:
            error.where = case.id
        raise
