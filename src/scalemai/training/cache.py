"""All cases of a training, made ready once and kept: bounded memory, resumable, checked.

::

    CACHE/KEY/ledger.jsonl   what is done, what failed and why
              CASE/...       see ``cases``

KEY is the hash of what decides the arrays: organ, classes, spacing and margin. Another window or
network uses the same cache; a case whose files have changed is made again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from scalemai.anatomy import organ
from scalemai.case import Case
from scalemai.detector.preprocessing import region_of_interest
from scalemai.detector.spec import DetectorSpec
from scalemai.engine import Ledger, Outcome, Run
from scalemai.engine import map as map_cases
from scalemai.errors import CaseError, ConfigError, UnknownNameError, UnreadableFileError
from scalemai.io.atomic import remove_partials
from scalemai.synthesis.patient import structures_at_hand
from scalemai.synthesis.target import SIDECAR_NAME
from scalemai.training.cases import BYTES_PER_VOXEL, FORMAT, RECORD, TrainingCase, read_case
from scalemai.training.classes import KIND_FIELDS, LESION_NUMBERS
from scalemai.training.parts import neighbour_names, part_names
from scalemai.training.preparing import organ_mask, write_case

__all__ = [
    "Cache",
    "cache_folder",
    "estimate_bytes",
    "identity_of",
    "open_cache_ledger",
    "prepare_cases",
    "read_cache",
    "start_preparing",
]

_LOOKED_AT = 5  # cases whose organ is measured to estimate the size of all
_SPARE = 1.2  # times the estimate must be free on the disk; author's choice


@dataclass(frozen=True)
class Cache:
    """Cases that are ready for training, in the order of their data set.

    Parameters
    ----------
    folder
        Where they are.
    cases
        By id.
    failures
        Why others are not among them, by id.
    """

    folder: Path
    cases: Mapping[str, TrainingCase]
    failures: Mapping[str, str]

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, case_id: str) -> TrainingCase:
        """The case of this id.

        Raises
        ------
        UnknownNameError
            With the nearest ids.
        """
        try:
            return self.cases[case_id]
        except KeyError:
            raise UnknownNameError("prepared case", case_id, self.cases) from None

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of all cases."""
        return tuple(self.cases)

    def ids_of(self, origin: Literal["real", "normal"]) -> tuple[str, ...]:
        """Ids of the cases with lesions of known classes, or without."""
        return tuple(name for name, case in self.cases.items() if case.origin == origin)

    def subset(self, case_ids: Iterable[str]) -> Cache:
        """Some of the cases, in the order given.

        Raises
        ------
        UnknownNameError
            If an id is not there.
        """
        return Cache(self.folder, {one: self[one] for one in case_ids}, self.failures)


def prepare_cases(
    cases: Iterable[Case],
    spec: DetectorSpec,
    cache: Path,
    *,
    workers: int = 1,
    timeout_s: float | None = None,
    memory_bytes: int | None = None,
    on_outcome: Callable[[Outcome[Path]], None] | None = None,
) -> Cache:
    """Make cases ready for training, each once; a bad one is listed and costs itself alone.

    Parameters
    ----------
    cases
        A data set, or cases of several; ids must differ.
    spec
        The detector.
    cache
        Folder of caches; made if it is absent.
    workers
        Number of processes.
    timeout_s, memory_bytes
        Limits of one case, see :func:`scalemai.engine.map`.
    on_outcome
        Called with each outcome, for progress.

    Returns
    -------
    Cache
        Those that are ready, and why others are not.

    Raises
    ------
    ConfigError
        If no case could be made ready, two have one id, or the disk has no room.
    LockedError
        If another run is filling the cache.
    OutputError
        If the cache cannot be written.
    """
    known = list(cases)
    failures: dict[str, str] = {}
    with (
        open_cache_ledger(cache, spec) as ledger,
        start_preparing(
            known,
            spec,
            cache,
            ledger=ledger,
            workers=workers,
            timeout_s=timeout_s,
            memory_bytes=memory_bytes,
        ) as run,
    ):
        for outcome in run:
            if outcome.status != "done":
                failures[outcome.key] = outcome.error or outcome.status
            if on_outcome is not None:
                on_outcome(outcome)
    return read_cache(known, spec, cache, failures=failures)


def open_cache_ledger(cache: Path, spec: DetectorSpec) -> Ledger:
    """Lock the part of a cache that belongs to a detector.

    Raises
    ------
    LockedError
        If another run is filling it.
    OutputError
        If it cannot be made or written.
    """
    fields = {name: json.dumps(value) for name, value in _decisive(spec).items()}
    return Ledger(cache_folder(cache, spec) / "ledger.jsonl", fingerprint=fields)


def start_preparing(
    cases: Sequence[Case],
    spec: DetectorSpec,
    cache: Path,
    *,
    ledger: Ledger,
    workers: int = 1,
    timeout_s: float | None = None,
    memory_bytes: int | None = None,
) -> Run[Path]:
    """The run that :func:`prepare_cases` does, for those who draw its progress.

    Raises
    ------
    ConfigError
        If two cases have one id, or the disk has no room.
    """
    folder = cache_folder(cache, spec)
    sources = {case.id: identity_of(case, spec) for case in cases}

    def is_complete(case_id: str) -> bool:
        return _source_of(folder / case_id) == sources[case_id]

    done = ledger.finished()
    todo = [case for case in cases if not (case.id in done and is_complete(case.id))]
    _require_room(cache, estimate_bytes(todo, spec))
    remove_partials(folder, {case.id for case in cases})
    return map_cases(
        partial(_write, spec=spec, out=folder, sources=sources),
        cases,
        workers=workers,
        ledger=ledger,
        is_complete=is_complete,
        key=_case_id,
        timeout_s=timeout_s,
        memory_bytes=memory_bytes,
    )


def read_cache(
    cases: Iterable[Case],
    spec: DetectorSpec,
    cache: Path,
    *,
    failures: Mapping[str, str] | None = None,
) -> Cache:
    """Those of the cases that are ready in a cache, unchanged since.

    Raises
    ------
    ConfigError
        If none is.
    """
    folder = cache_folder(cache, spec)
    ready: dict[str, TrainingCase] = {}
    missing = dict(failures or {})
    for case in cases:
        if case.id in missing:
            continue
        if _source_of(folder / case.id) == identity_of(case, spec):
            ready[case.id] = read_case(folder / case.id)
        else:
            missing[case.id] = "is not in the cache, or has changed since"
    if not ready:
        first = next(iter(missing.items()), None)
        what = "no case can be trained on"
        what += "" if first is None else f"; the first: {first[0]}: {first[1]}"
        fix = f"give CT with a mask of the {spec.organ}"
        raise ConfigError(what, where=folder, fix=fix)
    return Cache(folder, ready, missing)


def cache_folder(cache: Path, spec: DetectorSpec) -> Path:
    """The folder of a cache that belongs to a detector."""
    text = json.dumps(_decisive(spec), sort_keys=True)
    return Path(cache) / hashlib.sha256(text.encode()).hexdigest()[:16]


def identity_of(case: Case, spec: DetectorSpec) -> str:
    """Hash of what a prepared case is made from: names, sizes and times of files, and settings.

    Folders above the files do not count, so that a data set may be moved. Voxels are not read:
    the hash of what came out is recorded beside it.
    """
    facts = organ(spec.organ)
    wanted = dict.fromkeys(structures_at_hand(facts, case.has))
    helpful = (*part_names(facts), *neighbour_names(facts))
    wanted |= dict.fromkeys(part for name in helpful for part in case.parts(name))
    wanted |= dict.fromkeys(case.lesions)
    names = [part for name in wanted for part in case.parts(name)]
    beside = [case.ct.parent / SIDECAR_NAME, case.ct.parent / LESION_NUMBERS]
    seen = {
        "ct": _files(case.ct),
        "series": None if case.series is None else str(case.series),
        "hu_offset": case.hu_offset,
        "masks": {
            name: [_files(case.sources[name].path), list(case.sources[name].values)]
            for name in sorted(set(names))
        },
        "class_map": case.class_map,
        "stated": {name: str(value) for name, value in sorted(case.stated.items())},
        "metadata": {name: str(case.metadata.get(name)) for name in ("phase", *KIND_FIELDS)},
        "beside": [_files(path) for path in beside if path.is_file()],
    }
    return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()


def estimate_bytes(cases: Sequence[Case], spec: DetectorSpec) -> int:
    """Estimate the size of cases in the cache from the organs of up to five of them.

    Cases that cannot be read count as none: they will be listed when their turn comes.
    """
    step = max(len(cases) // _LOOKED_AT, 1)
    sizes = []
    for case in cases[::step][:_LOOKED_AT]:
        try:
            grid = case.grid()
            region = region_of_interest(organ_mask(case, spec, grid), spec.preprocessing.margin_mm)
        except CaseError:
            continue
        volume_mm3 = grid.voxel_volume_mm3 * np.prod([s.stop - s.start for s in region])
        sizes.append(volume_mm3 / np.prod(spec.preprocessing.spacing_mm) * BYTES_PER_VOXEL)
    return int(np.mean(sizes) * len(cases)) if sizes else 0


def _require_room(cache: Path, needed: int) -> None:
    there = next(path for path in (Path(cache), *Path(cache).absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if needed * _SPARE > free:
        what = f"needs about {needed / 2**30:.1f} GiB, but {free / 2**30:.1f} GiB are free"
        raise ConfigError(what, where=cache, fix="free space, or choose another folder")


def _decisive(spec: DetectorSpec) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "organ": spec.organ,
        "classes": list(spec.classes),
        "spacing_mm": list(spec.preprocessing.spacing_mm),
        "margin_mm": spec.preprocessing.margin_mm,
    }


def _files(path: Path) -> list[Any]:
    """Name, bytes and time of a file, or of all files of a folder."""
    inside = sorted(path.rglob("*")) if path.is_dir() else [path]
    found: list[Any] = [path.name]
    for one in inside:
        try:
            about = one.stat()
        except OSError:
            found.append([one.name, "missing"])  # whoever reads it says so
            continue
        found.append([one.relative_to(path).as_posix(), about.st_size, about.st_mtime_ns])
    return found


def _source_of(folder: Path) -> str | None:
    if not (folder / RECORD).is_file():
        return None
    try:
        return read_case(folder).source_sha256
    except UnreadableFileError:
        return None


def _write(case: Case, *, spec: DetectorSpec, out: Path, sources: Mapping[str, str]) -> Path:
    return write_case(case, spec, out, sources[case.id])


def _case_id(case: Case) -> str:
    return case.id
