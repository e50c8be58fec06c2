"""The rows of one case on disk: small JSON files that survive a kill, merged at the end."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path

from scalemai.errors import UnreadableFileError
from scalemai.evaluation.case import CaseResult, evaluate_case, sources_of
from scalemai.evaluation.facts import fact_files
from scalemai.evaluation.pairing import PairedCase
from scalemai.evaluation.request import Request
from scalemai.io.atomic import atomic_path

__all__ = ["PARTIAL_FOLDER", "evaluate_and_keep", "is_current", "partial_path", "read_partial"]

PARTIAL_FOLDER = "cases"
"""Folder of the output that holds one file per case."""


def partial_path(out: Path, case_id: str) -> Path:
    """Where the rows of a case are kept."""
    return out / PARTIAL_FOLDER / f"{case_id}.json"


def evaluate_and_keep(pair: PairedCase, out: Path, request: Request) -> Path:
    """Evaluate a case and keep its rows, with the state of the files that they were made from.

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
        path.write_text(json.dumps({"files": before, **asdict(result)}), encoding="utf-8")
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
    """Whether the rows of a case are there and its files have not changed since."""
    try:
        content = json.loads(partial_path(out, pair.id).read_text(encoding="utf-8"))
        return bool(content["files"] == _state(pair, request))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _state(pair: PairedCase, request: Request) -> list[list[str | int]]:
    """Name, size and time of change of every file of a case; those of facts may be gone."""
    sources = sources_of(pair, request).values()
    paths = {source.path for role in sources for source in role.values()}
    found: list[list[str | int]] = []
    for path in sorted(paths):
        try:
            status = path.stat()
        except OSError as error:
            what = error.strerror or "cannot be read"
            raise UnreadableFileError(what, where=path, fix="check the file") from error
        found.append([str(path), status.st_size, status.st_mtime_ns])
    for path in fact_files(pair) if request.facts else ():
        if path not in paths:
            try:
                status = path.stat()
                found.append([str(path), status.st_size, status.st_mtime_ns])
            except OSError:
                found.append([str(path), -1, -1])
    return found
