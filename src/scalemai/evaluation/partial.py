"""The rows of one case on disk: small JSON files that survive a kill, merged at the end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from scalemai.case import Case
from scalemai.errors import UnreadableFileError
from scalemai.evaluation.case import CaseResult, evaluate_case, sources_of
from scalemai.evaluation.facts import fact_files, phase_of
from scalemai.evaluation.pairing import PairedCase
from scalemai.evaluation.request import Request
from scalemai.io.atomic import atomic_path
from scalemai.masks import MaskSource

__all__ = ["PARTIAL_FOLDER", "evaluate_and_keep", "is_current", "partial_path", "read_partial"]

PARTIAL_FOLDER = "cases"
"""Folder of the output that holds one file per case."""


def partial_path(out: Path, case_id: str) -> Path:
    """Where the rows of a case are kept."""
    return out / PARTIAL_FOLDER / f"{case_id}.json"


def evaluate_and_keep(pair: PairedCase, out: Path, request: Request) -> Path:
    """Evaluate a case and keep its rows, with what they were made from: files, class maps, facts.

    Raises
    ------
    CaseError
        As of :func:`scalemai.evaluation.case.evaluate_case`, and if the rows cannot be written.
    """
    kept = partial_path(out, pair.id)
    kept.unlink(missing_ok=True)  # of earlier files: if these fail, the case has no rows
    before = _state(pair, request)
    result = evaluate_case(pair, request)
    with atomic_path(kept) as path:
        path.write_text(json.dumps({"made_from": before, **asdict(result)}), encoding="utf-8")
    return kept


def read_partial(path: Path) -> CaseResult:
    """Read the rows of one case.

    Raises
    ------
    UnreadableFileError
        If the file is missing or damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return CaseResult(**{field.name: content[field.name] for field in fields(CaseResult)})
    except (OSError, ValueError, KeyError, TypeError) as error:
        fix = "delete it and run the same command again"
        raise UnreadableFileError("is no result of a case", where=path, fix=fix) from error


def is_current(pair: PairedCase, out: Path, request: Request) -> bool:
    """Whether the rows of a case are there, and all they were made from is as it was."""
    try:
        content = json.loads(partial_path(out, pair.id).read_text(encoding="utf-8"))
        # A prediction that could not be used is tried again, as a case that failed is.
        return not content["unusable"] and bool(content["made_from"] == _state(pair, request))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _state(pair: PairedCase, request: Request) -> dict[str, Any]:
    """All that the rows of a case depend on beside the request, in JSON types.

    A file that is gone has no size; reading it says so.
    """
    sources = sources_of(pair, request)
    paths = {source.path for role in sources.values() for source in role.values()}
    paths |= {pair.reference.ct, *([] if pair.image is None else [pair.image.ct])}
    if request.facts:
        paths |= set(fact_files(pair))
    masks = {role: _places(of) for role, of in sources.items()}
    phase = phase_of(pair)
    state = {
        "masks": masks,
        "reference": _reads(pair.reference, all_masks=request.facts),
        "prediction": None if pair.prediction is None else _reads(pair.prediction),
        "image": None if pair.image is None else _reads(pair.image, all_masks=request.facts),
        "reference_has_ct": pair.reference_has_ct,
        "patient": pair.patient,
        "phase": phase,
        "files": [[str(path), *_size_and_time(path)] for path in sorted(paths)],
    }
    # As it comes back from the file, so that it can be compared.
    found: dict[str, Any] = json.loads(json.dumps(state, default=str))
    return found


def _reads(case: Case, *, all_masks: bool = False) -> dict[str, Any]:
    """How a case reads its files: other class maps make other masks of the same bytes."""
    known = {value for source in case.sources.values() for value in source.values}
    return {
        "ct": str(case.ct),
        "series": case.series,
        "hu_offset": case.hu_offset,
        "class_map": case.class_map,
        "values": sorted(known) if case.class_map else [],
        "stated": dict(sorted(case.stated.items())),
        "masks": _places(case.sources) if all_masks else {},
    }


def _places(sources: Mapping[str, MaskSource]) -> dict[str, list[Any]]:
    return {name: [str(one.path), *one.values] for name, one in sorted(sources.items())}


def _size_and_time(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns
