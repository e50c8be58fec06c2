"""``scalemai remove``: the same CT without its lesions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalemai.cli.arguments import (
    ClassMap,
    HuOffset,
    Labels,
    Layout,
    Out,
    Seed,
    Series,
    Shard,
    Workers,
)
from scalemai.errors import ConfigError

__all__ = ["lesion_names", "lesion_numbers", "remove"]

_MEMORY_PER_WORKER_BYTES = 2 << 30


def remove(
    cases: Annotated[
        Path, typer.Argument(help="Data set, case folder, CT file, DICOM folder or index.")
    ],
    out: Out,
    lesion: Annotated[
        str | None,
        typer.Option(help="Lesion masks, comma-separated, e.g. liver_lesion; all by default."),
    ] = None,
    number: Annotated[
        str | None,
        typer.Option(help="Numbers of lesions, 1 is the largest, e.g. 1,3; all by default."),
    ] = None,
    seed: Seed = 0,
    workers: Workers = None,
    shard: Shard = "0/1",
    labels: Labels = None,
    class_map: ClassMap = None,
    layout: Layout = None,
    series: Series = None,
    hu_offset: HuOffset = 0.0,
    dry_run: Annotated[bool, typer.Option(help="Say what would be done, and leave.")] = False,
) -> None:
    """Remove lesions from CTs: the same CTs with normal tissue in their place."""
    from dataclasses import asdict
    from functools import partial

    from scalemai.cli.options import open_dataset, parse_shard, reading_of
    from scalemai.cli.report import follow, remark
    from scalemai.engine import default_workers
    from scalemai.engine import shard as share
    from scalemai.synthesis.removal.removal_files import (
        REMOVAL_NAME,
        RemovalRequest,
        read_removal_notes,
        remove_case,
    )
    from scalemai.synthesis.runs import open_run, write_cases

    names = lesion_names(lesion)
    request = RemovalRequest(lesions=names, numbers=lesion_numbers(number), seed=seed)
    part, parts = parse_shard(shard)
    dataset = open_dataset(
        cases, layout=layout, labels=labels, class_map=class_map, series=series, hu_offset=hu_offset
    )
    remark(dataset.notes)
    chosen = share(list(dataset), part, parts, key=lambda case: case.id)
    if dry_run:
        what = " and ".join(names) or "every lesion mask"
        typer.echo(f"{what} of {len(chosen)} of {len(dataset)} cases to {out}")
        return
    reading = reading_of(labels, class_map, series, hu_offset)
    asked = asdict(request)
    with open_run(out, "remove", asked, shard=(part, parts), reading=reading) as ledger:
        run = write_cases(
            partial(remove_case, out=out, request=request),
            chosen,
            out,
            marker=REMOVAL_NAME,
            ledger=ledger,
            workers=workers or default_workers(_MEMORY_PER_WORKER_BYTES),
        )
        raise typer.Exit(follow(run, "changed", notes=read_removal_notes))


def lesion_names(text: str | None) -> tuple[str, ...]:
    """Read ``"liver_lesion, pancreatic_lesion"``; empty if nothing is given."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def lesion_numbers(text: str | None) -> tuple[int, ...]:
    """Read ``"1,3"``; empty if nothing is given.

    Raises
    ------
    ConfigError
        If it is something else.
    """
    parts = [part.strip() for part in (text or "").split(",") if part.strip()]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        fix = "give numbers from 1, the largest lesion, for example 1,3"
        raise ConfigError(f"{text!r} are no numbers of lesions", where="--number", fix=fix)
    return tuple(int(part) for part in parts)
