"""Data sets in nnU-Net's raw format, resumable, with folds and provenance.

::

    DatasetNNN_NAME/
      imagesTr/CASE_0000.nii.gz   copied, linked or written
      labelsTr/CASE.nii.gz
      dataset.json                channel, labels, cases
      splits_final.json           folds that keep patients together; the planner takes them over
      scalemai/cases/CASE.json    hashes, what was lost, where it comes from
      scalemai/ledger.jsonl
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from scalemai._version import __version__
from scalemai.case import Case, check_case_id
from scalemai.engine import Ledger, Run
from scalemai.engine import map as map_cases
from scalemai.errors import CaseError, ConfigError
from scalemai.io.atomic import atomic_path, remove_partials
from scalemai.training.nnunet.label_map import Policy
from scalemai.training.nnunet.labels import LabelScheme
from scalemai.training.nnunet.raw_case import (
    ENDING,
    RECORDS,
    Files,
    RawCase,
    identity_of,
    image_name,
    label_name,
    read_record,
    write_raw_case,
)
from scalemai.training.nnunet.splits import patients_of, split_by_patient

__all__ = [
    "READER",
    "ExportRequest",
    "Exported",
    "dataset_name",
    "export_cases",
    "finish_export",
    "gather_cases",
    "open_export_ledger",
]

READER = "NibabelIOWithReorient"
"""nnU-Net's reader that turns every image to RAS, so that the axes of its arrays are known."""

_NAME = re.compile(r"Dataset(\d{3})_\w[\w-]*")


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """What is asked of every case, and of the data set.

    Parameters
    ----------
    scheme
        What the values of label maps mean.
    policy
        What is done where a case does not say all.
    files
        Whether images are copied or linked to.
    folds, seed
        Folds of cross-validation, and the seed of their order.
    """

    scheme: LabelScheme
    policy: Policy = field(default_factory=Policy)
    files: Files = "copy"
    folds: int = 5
    seed: int = 0


@dataclass(frozen=True)
class Exported:
    """What an export has come to.

    Parameters
    ----------
    folder
        Folder of the data set.
    cases
        Names of the cases in it.
    origins
        Number of cases by origin: real, synthetic, normal.
    dropped_voxels, ignored_voxels
        Voxels that overlapped, and that losses leave out, of all cases together.
    folds
        Number of folds; 0 if there are too few patients.
    """

    folder: Path
    cases: tuple[str, ...]
    origins: Mapping[str, int]
    dropped_voxels: int
    ignored_voxels: int
    folds: int


def dataset_name(out: Path) -> tuple[int, str]:
    """Number and name of a data set in nnU-Net, from the name of its folder.

    Raises
    ------
    ConfigError
        If the folder is not called ``DatasetNNN_NAME``.
    """
    name = Path(out).absolute().name
    found = _NAME.fullmatch(name)
    if found is None:
        fix = "call it DatasetNNN_NAME with three digits, for example Dataset501_Pancreas"
        raise ConfigError(f"nnU-Net knows no data set {name!r}", where=out, fix=fix)
    return int(found[1]), name


def gather_cases(sources: Iterable[tuple[str, Iterable[Case]]]) -> tuple[RawCase, ...]:
    """Bring the cases of several data sets together under names that differ.

    Parameters
    ----------
    sources
        Prefix and cases of each data set; a prefix may be empty.

    Raises
    ------
    ConfigError
        If there is no case, or two would have one name.
    """
    named: dict[str, Case] = {}
    for prefix, cases in sources:
        for case in cases:
            name = check_case_id(f"{prefix}_{case.id}" if prefix else case.id)
            if name in named:
                what = f"two cases would be called {name!r}: {named[name].ct} and {case.ct}"
                raise ConfigError(what, where="cases", fix="name the data sets: NAME=PATH")
            named[name] = case
    if not named:
        raise ConfigError("there are none", where="cases", fix="give a data set")
    patients = patients_of(named)
    return tuple(RawCase(name, case, patients[name]) for name, case in named.items())


def open_export_ledger(out: Path, request: ExportRequest) -> Ledger:
    """Lock the folder of a data set for one request.

    Raises
    ------
    LockedError
        If another run is writing to it.
    ConfigError
        If it is not named as nnU-Net wants, or holds cases of another request.
    OutputError
        If it cannot be made or written.
    """
    dataset_name(out)
    policy = request.policy
    fields = {
        "verb": "nnunet export",
        "version": __version__,
        "labels": json.dumps(request.scheme.to_json()),
        "missing": policy.missing,
        "unannotated": policy.unannotated,
        "unverified": ", ".join(policy.unverified),
        "files": request.files,
    }
    return Ledger(out / RECORDS / "ledger.jsonl", fingerprint=fields)


def export_cases(
    cases: Sequence[RawCase],
    out: Path,
    request: ExportRequest,
    *,
    ledger: Ledger,
    workers: int = 1,
    timeout_s: float | None = None,
    memory_bytes: int | None = None,
) -> Run[Path]:
    """Export many cases; one bad case costs itself alone. :func:`finish_export` ends it.

    Parameters
    ----------
    cases
        From :func:`gather_cases`. Those that the ledger has as done are skipped, if their files
        are there and what they were made from has not changed.
    out
        Folder of the data set.
    request
        What is asked.
    ledger
        From :func:`open_export_ledger`.
    workers
        Number of processes.
    timeout_s, memory_bytes
        Limits of one case, see :func:`scalemai.engine.map`.
    """
    by_name = {raw.name: raw for raw in cases}

    def is_complete(name: str) -> bool:
        try:
            record = read_record(out, name)
        except CaseError:
            return False  # damaged: written again
        identity = identity_of(by_name[name].case, request.scheme, request.policy)
        return record is not None and record["identity"] == identity

    for ending in (f"_0000{ENDING}", ENDING, ".json"):
        for place in ("imagesTr", "labelsTr", f"{RECORDS}/cases"):
            remove_partials(out / place, {f"{name}{ending}" for name in by_name})
    return map_cases(
        partial(_write, out=out, request=request),
        cases,
        workers=workers,
        ledger=ledger,
        is_complete=is_complete,
        key=_name_of,
        timeout_s=timeout_s,
        memory_bytes=memory_bytes,
    )


def finish_export(cases: Sequence[RawCase], out: Path, request: ExportRequest) -> Exported:
    """Write ``dataset.json`` and ``splits_final.json`` of the cases that are there.

    Parameters
    ----------
    cases, out, request
        As for :func:`export_cases`. Cases that failed are left out; files of other cases in the
        folder stay, and nnU-Net does not see them, because the manifest names each case.

    Raises
    ------
    ConfigError
        If no case could be exported.
    OutputError
        If the files cannot be written.
    """
    _, full = dataset_name(out)
    records = {
        raw.name: record for raw in cases if (record := read_record(out, raw.name)) is not None
    }
    if not records:
        raise ConfigError("no case could be exported", where=out, fix="see why each of them failed")
    scheme = request.scheme
    ignored = sum(record["voxels"]["ignored"] for record in records.values())
    patients = {name: record["patient"] for name, record in records.items()}
    folds = split_by_patient(patients, request.folds, seed=request.seed)
    _write_json(
        out / "dataset.json",
        {
            "name": full,
            "channel_names": {"0": "CT"},
            **scheme.dataset_labels(ignore=ignored > 0),
            "numTraining": len(records),
            "file_ending": ENDING,
            "overwrite_image_reader_writer": READER,
            "dataset": {
                name: {"images": [image_name(name)], "label": label_name(name)} for name in records
            },
            "scalemai": {"version": __version__, **scheme.to_json()},
        },
    )
    splits = out / "splits_final.json"
    if folds:
        _write_json(splits, folds)
    else:
        splits.unlink(missing_ok=True)
    origins = [record["origin"] for record in records.values()]
    dropped = (one["voxels"] for record in records.values() for one in record["dropped"])
    return Exported(
        out,
        tuple(records),
        {origin: origins.count(origin) for origin in sorted(set(origins))},
        sum(dropped),
        ignored,
        len(folds),
    )


def _write_json(path: Path, content: Any) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _write(raw: RawCase, *, out: Path, request: ExportRequest) -> Path:
    return write_raw_case(raw, out, request.scheme, request.policy, request.files)


def _name_of(raw: RawCase) -> str:
    return raw.name
