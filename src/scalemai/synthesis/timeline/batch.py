"""Many series: a resumable run of :func:`grow_case` on the local engine."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from scalemai.case import Case
from scalemai.engine import Ledger, Run
from scalemai.synthesis.runs import open_run, write_cases
from scalemai.synthesis.timeline.files import GrowRequest, grow_case
from scalemai.synthesis.timeline.record import TIMELINE_NAME

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
    asked = {
        "seed": str(request.seed),
        "schedule": json.dumps(request.schedule.to_json()),
        "law": request.law,
        "doubling_days": json.dumps(request.doubling_days),
        "log_axis": json.dumps(request.log_axis),
        **spec,
    }
    return open_run(out, "grow", asked, shard=shard, reading=reading)


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
    return write_cases(
        partial(grow_case, out=out, request=request),
        cases,
        out,
        marker=TIMELINE_NAME,
        ledger=ledger,
        workers=workers,
        timeout_s=timeout_s,
        memory_bytes=memory_bytes,
    )
