"""``scalemai rewind``: a CT with a real tumor as it could have looked before."""

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

__all__ = ["rewind"]

_MEMORY_PER_WORKER_BYTES = 2 << 30


def rewind(
    cases: Annotated[
        Path, typer.Argument(help="Data set, case folder, CT file, DICOM folder or index.")
    ],
    out: Out,
    months: Annotated[
        float | None, typer.Option(help="How many months before the scan that is there.")
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            help="Several scans, the last is the one that is there: '0, 90, 180 d', "
            "'0-24 months every 3' or FILE.json."
        ),
    ] = None,
    lesion: Annotated[
        str | None,
        typer.Option(help="Lesion masks, comma-separated, e.g. liver_lesion; all by default."),
    ] = None,
    number: Annotated[
        str | None,
        typer.Option(help="Numbers of lesions, 1 is the largest, e.g. 1,3; all by default."),
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Lesion kind, for its doubling time.")] = None,
    law: Annotated[str, typer.Option(help="exponential or gompertz.")] = "exponential",
    doubling_days: Annotated[
        float | None,
        typer.Option(help="Days in which the volume doubles; by default typical for the kind."),
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
    """Render CTs with a tumor as they could have looked before: the tumor smaller, or not there."""
    from dataclasses import asdict
    from functools import partial

    from scalemai.cli.options import open_dataset, parse_shard, reading_of
    from scalemai.cli.remove import lesion_names, lesion_numbers
    from scalemai.cli.report import follow, remark
    from scalemai.engine import default_workers
    from scalemai.engine import shard as share
    from scalemai.synthesis.removal.rewind_files import (
        REWIND_NAME,
        RewindRequest,
        read_rewind_notes,
        rewind_case,
    )
    from scalemai.synthesis.runs import open_run, write_cases

    request = RewindRequest(
        days_before=_days_before(months, schedule),
        lesions=lesion_names(lesion),
        numbers=lesion_numbers(number),
        kind=kind,
        law=law,
        doubling_days=doubling_days,
        seed=seed,
    )
    part, parts = parse_shard(shard)
    dataset = open_dataset(
        cases, layout=layout, labels=labels, class_map=class_map, series=series, hu_offset=hu_offset
    )
    remark(dataset.notes)
    chosen = share(list(dataset), part, parts, key=lambda case: case.id)
    if dry_run:
        scans = ", ".join(f"{days:g}" for days in request.days_before)
        typer.echo(f"{len(chosen)} of {len(dataset)} cases, {scans} days before, to {out}")
        return
    reading = reading_of(labels, class_map, series, hu_offset)
    asked = asdict(request)
    with open_run(out, "rewind", asked, shard=(part, parts), reading=reading) as ledger:
        run = write_cases(
            partial(rewind_case, out=out, request=request),
            chosen,
            out,
            marker=REWIND_NAME,
            ledger=ledger,
            workers=workers or default_workers(_MEMORY_PER_WORKER_BYTES),
        )
        raise typer.Exit(follow(run, "rewound", notes=read_rewind_notes))


def _days_before(months: float | None, schedule: str | None) -> tuple[float, ...]:
    """Days before the scan that is there, most first.

    Raises
    ------
    ConfigError
        If neither or both are given, or the schedule is one of sizes.
    """
    from scalemai.synthesis.removal.rewind_files import DAYS_PER_MONTH
    from scalemai.synthesis.timeline.schedule import read_schedule

    if (months is None) == (schedule is None):
        what = "exclude each other" if months is not None else "are both missing"
        fix = "give one of them, for example --months 6"
        raise ConfigError(what, where="--months and --schedule", fix=fix)
    if months is not None:
        if months < 0:
            fix = "count months before the scan, from 0"
            raise ConfigError(f"{months:g} months", where="--months", fix=fix)
        return (months * DAYS_PER_MONTH,)
    plan = read_schedule(str(schedule))
    if not plan.at_days:
        fix = "give times: the sizes of real lesions follow from their volume"
        raise ConfigError("sizes in mm", where="--schedule", fix=fix)
    return tuple(plan.at_days[-1] - day for day in plan.at_days)
