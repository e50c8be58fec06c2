"""Many cases changed and written: a resumable run on the local engine, one request per folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from scalemai._version import __version__
from scalemai.case import Case
from scalemai.engine import Ledger, Run, read_ledger
from scalemai.engine import map as map_cases
from scalemai.errors import ConfigError
from scalemai.io.atomic import remove_partials
from scalemai.synthesis.target import check_target

__all__ = ["LEDGER_NAME", "open_run", "write_cases"]

LEDGER_NAME = "ledger.jsonl"


def open_run(
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
        Folder of the new cases; made if it is absent.
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
    _refuse_another_request(out, fields, own=out / name)
    return Ledger(out / name, fingerprint=fields)


def write_cases(
    write: Callable[[Case], Path],
    cases: Iterable[Case],
    out: Path,
    *,
    marker: str,
    ledger: Ledger,
    workers: int = 1,
    timeout_s: float | None = None,
    memory_bytes: int | None = None,
) -> Run[Path]:
    """Write many cases anew; one bad case costs itself alone.

    Parameters
    ----------
    write
        Writes the new case to ``out / case.id``; must be importable by name.
    cases
        Those that the ledger has as done, and whose files are there, are skipped.
    out
        Folder of the new cases, not that of the originals.
    marker
        Name of the sidecar that makes a folder such a case.
    ledger
        From :func:`open_run`.
    workers
        Number of processes; the voxels do not depend on it.
    timeout_s, memory_bytes
        Limits of one case, see :func:`scalemai.engine.map`.

    Raises
    ------
    ConfigError
        If a case would replace itself, or anything but such a case.
    """
    hosts = list(cases)
    for case in hosts:
        check_target(case, out / case.id, marker=marker)
    remove_partials(out, {case.id for case in hosts})
    return map_cases(
        write,
        hosts,
        workers=workers,
        ledger=ledger,
        is_complete=lambda key: (out / key / marker).is_file(),
        key=_case_id,
        timeout_s=timeout_s,
        memory_bytes=memory_bytes,
    )


def _refuse_another_request(out: Path, here: Mapping[str, str], *, own: Path) -> None:
    """Every share of the work has its own ledger, so those of other shares count too."""
    for path in sorted(out.glob("ledger*.jsonl")):
        try:
            with path.open(encoding="utf-8") as lines:
                there = json.loads(lines.readline())["fingerprint"]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # cut short by a kill, or no ledger: for the ledger itself to say
        changes = [
            f"{name} was {there.get(name)} and is {here[name]}"
            for name in here
            if there.get(name) != here[name]
        ]
        # Of the own ledger, which is about to be locked, only finished cases bind.
        if changes and (path != own or any(one.status == "done" for one in read_ledger(path))):
            what = f"holds cases of another request: {', '.join(changes)}"
            fix = "choose another --out, or repeat the earlier request to go on with it"
            raise ConfigError(what, where=out, fix=fix)


def _case_id(case: Case) -> str:
    return case.id
