"""Many cases: a resumable run of :func:`synthesize_case` on the local engine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path

from scalemai.case import Case
from scalemai.engine import Ledger, Run
from scalemai.synthesis.files import Request, synthesize_case
from scalemai.synthesis.runs import open_run, write_cases
from scalemai.synthesis.spec import LesionSpec
from scalemai.synthesis.target import SIDECAR_NAME

__all__ = ["open_ledger", "synthesize_cases"]


def open_ledger(
    out: Path, request: Request, *, shard: tuple[int, int] = (0, 1), reading: str = ""
) -> Ledger:
    """Lock the output folder, or this shard's part of it, for one request.

    Parameters
    ----------
    out
        Folder of the synthetic cases; made if it is absent.
    request
        What is asked: another request into the same folder is refused.
    shard
        Part and number of parts, if several machines share the work.
    reading
        How the hosts were read (label map, class map, offset), in words that differ if it does.

    Raises
    ------
    LockedError
        If another run is writing to the folder.
    ConfigError
        If the folder holds the cases of another request.
    OutputError
        If the folder cannot be made or written.
    """
    asked = {
        "seed": str(request.seed),
        "count": "-".join(str(n) for n in request.count),
        "counts": ", ".join(f"{low}-{high}" for low, high in request.counts),
        "population": "" if request.population is None else request.population.to_yaml(),
        **_asked(request.specs),
    }
    return open_run(out, "synthesize", asked, shard=shard, reading=reading)


def synthesize_cases(
    cases: Iterable[Case],
    out: Path,
    request: Request,
    *,
    ledger: Ledger,
    workers: int = 1,
    timeout_s: float | None = None,
    memory_bytes: int | None = None,
) -> Run[Path]:
    """Grow lesions in many cases; one bad case costs itself alone.

    Parameters
    ----------
    cases
        The hosts. Those that the ledger has as done, and whose files are there, are skipped.
    out
        Folder of the synthetic cases, not that of the hosts.
    request
        What is asked of every case.
    ledger
        From :func:`open_ledger`.
    workers
        Number of processes; the voxels do not depend on it.
    timeout_s, memory_bytes
        Limits of one case, see :func:`scalemai.engine.map`.

    Raises
    ------
    ConfigError
        If a case would replace its own host, or anything but a synthetic case.
    """
    return write_cases(
        partial(synthesize_case, out=out, request=request),
        cases,
        out,
        marker=SIDECAR_NAME,
        ledger=ledger,
        workers=workers,
        timeout_s=timeout_s,
        memory_bytes=memory_bytes,
    )


def _asked(specs: Sequence[LesionSpec]) -> dict[str, str]:
    """One text per field, so that a refusal names what differs: ``"3-40"`` or ``"liver, lung"``."""
    texts: dict[str, str] = {}
    for field in fields(LesionSpec):
        values = [json.dumps(getattr(spec, field.name)).strip('[]"') for spec in specs]
        texts[field.name] = values[0] if len(set(values)) == 1 else " | ".join(values)
    return texts
