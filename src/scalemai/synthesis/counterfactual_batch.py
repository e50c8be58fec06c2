"""Many changed cases: a resumable run on the local engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from scalemai._version import __version__
from scalemai.case import Case
from scalemai.engine import Ledger, Run
from scalemai.engine import map as map_cases
from scalemai.io.atomic import remove_partials
from scalemai.synthesis.batch import LEDGER_NAME
from scalemai.synthesis.target import check_target

__all__ = ["change_cases", "open_change_ledger"]


def open_change_ledger(
    out: Path,
    verb: str,
    asked: Mapping[str, Any],
    *,
    shard: tuple[int, int] = (0, 1),
    reading: str = "",
) -> Ledger:
    """Lock the output folder, or this shard's part of it, for one request.

    Parameters
    ----------
    out
        Folder of the changed cases; made if it is absent.
    verb, asked
        What is done, and the fields of the request: another one into the same folder is refused.
    shard
        Part and number of parts, if several machines share the work.
    reading
        How the cases were read, in words that differ if it does.

    Raises
    ------
    LockedError
        If another run is writing to the folder.
    ConfigError
        If the folder holds the cases of another request.
    OutputError
        If the folder cannot be made or written.
    """
    fields = {"verb": verb, "version": __version__, "reading": reading}
    fields |= {name: str(value) for name, value in asked.items()}
    part, parts = shard
    name = LEDGER_NAME if parts == 1 else f"ledger-{part:04d}-of-{parts:04d}.jsonl"
    return Ledger(out / name, fingerprint=fields)


def change_cases(
    change: Callable[[Case], Path],
    cases: Iterable[Case],
    out: Path,
    *,
    marker: str,
    ledger: Ledger,
    workers: int = 1,
    timeout_s: float | None = None,
    memory_bytes: int | None = None,
) -> Run[Path]:
    """Change many cases; one bad case costs itself alone.

    Parameters
    ----------
    change
        Writes the changed case to ``out / case.id``; must be importable by name.
    cases
        Those that the ledger has as done, and whose files are there, are skipped.
    out
        Folder of the changed cases, not that of the originals.
    marker
        Name of the sidecar that makes a folder a changed case.
    ledger
        From :func:`open_change_ledger`.
    workers
        Number of processes; the voxels do not depend on it.
    timeout_s, memory_bytes
        Limits of one case, see :func:`scalemai.engine.map`.

    Raises
    ------
    ConfigError
        If a case would replace itself, or anything but a changed case.
    """
    hosts = list(cases)
    for case in hosts:
        check_target(case, out / case.id, marker=marker)
    remove_partials(out, {case.id for case in hosts})
    return map_cases(
        change,
        hosts,
        workers=workers,
        ledger=ledger,
        is_complete=lambda key: (out / key / marker).is_file(),
        key=_case_id,
        timeout_s=timeout_s,
        memory_bytes=memory_bytes,
    )


def _case_id(case: Case) -> str:
    return case.id
