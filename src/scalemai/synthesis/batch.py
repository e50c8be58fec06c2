"""Many cases: a resumable run of :func:`synthesize_case` on the local engine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path

from scalemai._version import __version__
from scalemai.case import Case
from scalemai.engine import Ledger, Run, read_ledger
from scalemai.engine import map as map_cases
from scalemai.errors import ConfigError
from scalemai.io.atomic import remove_partials
from scalemai.synthesis.files import Request, synthesize_case
from scalemai.synthesis.spec import LesionSpec
from scalemai.synthesis.target import SIDECAR_NAME, check_target

__all__ = ["LEDGER_NAME", "open_ledger", "synthesize_cases"]

LEDGER_NAME = "ledger.jsonl"


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
    request_fields = {
        "verb": "synthesize",
        "version": __version__,
        "seed": str(request.seed),
        "reading": reading,
        "count": "-".join(str(n) for n in request.count),
        "counts": ", ".join(f"{low}-{high}" for low, high in request.counts),
        "population": "" if request.population is None else request.population.to_yaml(),
        **_asked(request.specs),
    }
    part, parts = shard
    name = LEDGER_NAME if parts == 1 else f"ledger-{part:04d}-of-{parts:04d}.jsonl"
    _refuse_another_request(out, request_fields, own=out / name)
    return Ledger(out / name, fingerprint=request_fields)


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
    hosts = list(cases)
    for case in hosts:
        check_target(case, out / case.id)
    remove_partials(out, {case.id for case in hosts})
    return map_cases(
        partial(synthesize_case, out=out, request=request),
        hosts,
        workers=workers,
        ledger=ledger,
        is_complete=lambda key: (out / key / SIDECAR_NAME).is_file(),
        key=_case_id,
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
