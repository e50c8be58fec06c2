"""Many series: a resumable run of :func:`grow_case` on the local engine."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from scalemai._version import __version__
from scalemai.case import Case
from scalemai.engine import Ledger, Run
from scalemai.engine import map as map_cases
from scalemai.io.atomic import remove_partials
from scalemai.synthesis.batch import LEDGER_NAME
from scalemai.synthesis.target import check_target
from scalemai.synthesis.timeline_files import GrowRequest, grow_case
from scalemai.synthesis.timeline_record import TIMELINE_NAME

__all__ = ["grow_cases", "open_growth_ledger"]


def open_growth_ledger(
    out: Path, request: GrowRequest, *, shard: tuple[int, int] = (0, 1), reading: str = ""
) -> Ledger:
    """Lock the output folder, or this shard's part of it, for one request.

    Parameters
    ----------
    out
        Folder of the series; made if it is absent.
    request
        What is asked: another request into the same folder is refused.
    shard
        Part and number of parts, if several machines share the work.
    reading
        How the hosts were read, in words that differ if it does.

    Raises
    ------
    LockedError
        If another run is writing to the folder.
    ConfigError
        If the folder holds the series of another request.
    OutputError
        If the folder cannot be made or written.
    """
    spec = {name: json.dumps(value) for name, value in asdict(request.spec).items()}
    fields = {
        "verb": "grow",
        "version": __version__,
        "seed": str(request.seed),
        "reading": reading,
        "schedule": json.dumps(request.schedule.to_json()),
        "law": request.law,
        "doubling_days": json.dumps(request.doubling_days),
        "log_axis": json.dumps(request.log_axis),
        **spec,
    }
    part, parts = shard
    name = LEDGER_NAME if parts == 1 else f"ledger-{part:04d}-of-{parts:04d}.jsonl"
    return Ledger(out / name, fingerprint=fields)


def grow_cases(
    cases: Iterable[Case],
    out: Path,
    request: GrowRequest,
    *,
    ledger: Ledger,
    workers: int = 1,
    timeout_s: float | None = None,
    memory_bytes: int | None = None,
) -> Run[Path]:
    """Grow a lesion over time in many cases; one bad case costs itself alone.

    Parameters
    ----------
    cases
        The hosts. Those that the ledger has as done, and whose files are there, are skipped.
    out
        Folder of the series, not that of the hosts.
    request
        What is asked of every case.
    ledger
        From :func:`open_growth_ledger`.
    workers
        Number of processes; the voxels do not depend on it.
    timeout_s, memory_bytes
        Limits of one case, see :func:`scalemai.engine.map`.

    Raises
    ------
    ConfigError
        If a case would replace its own host, or anything but a series.
    """
    hosts = list(cases)
    for case in hosts:
        check_target(case, out / case.id, marker=TIMELINE_NAME)
    remove_partials(out, {case.id for case in hosts})
    return map_cases(
        partial(grow_case, out=out, request=request),
        hosts,
        workers=workers,
        ledger=ledger,
        is_complete=lambda key: (out / key / TIMELINE_NAME).is_file(),
        key=_case_id,
        timeout_s=timeout_s,
        memory_bytes=memory_bytes,
    )


def _case_id(case: Case) -> str:
    return case.id
