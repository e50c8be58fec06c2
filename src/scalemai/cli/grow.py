"""``scalemai grow``: one lesion as a series of scans."""

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

__all__ = ["grow"]

_MEMORY_PER_WORKER_BYTES = 2 << 30
_DIAMETER = "10-40mm"


def grow(
    cases: Annotated[
        Path,
        typer.Argument(help="Data set, case folder, CT file, DICOM folder, index; or phantom:N."),
    ],
    out: Out,
    schedule: Annotated[
        str,
        typer.Option(
            help="Scans: '0, 90, 180 d', '0-24 months every 3', 'every 3 months for 2 years', "
            "'5, 10, 20 mm', or FILE.json."
        ),
    ] = "0-12 months every 3",
    organ: Annotated[str | None, typer.Option(help="Organ; by default the liver.")] = None,
    diameter: Annotated[
        str | None,
        typer.Option(help=f"Longest axial diameter in the last scan; {_DIAMETER} by default."),
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Lesion kind, e.g. pdac.")] = None,
    form: Annotated[str | None, typer.Option(help="How it grows, e.g. polypoid, lytic.")] = None,
    site: Annotated[str | None, typer.Option(help="Part of the organ, e.g. tail.")] = None,
    at: Annotated[str | None, typer.Option(help="Place in RAS+ mm: x,y,z.")] = None,
    contrast_hu: Annotated[float | None, typer.Option(help="Lesion minus parenchyma.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="More of the lesion, e.g. necrosis=true."),
    ] = None,
    words: Annotated[
        str | None, typer.Option("--describe", help="The lesion in words, in place of the above.")
    ] = None,
    law: Annotated[str, typer.Option(help="exponential or gompertz.")] = "exponential",
    doubling_days: Annotated[
        float | None,
        typer.Option(help="Days in which the volume doubles; by default drawn for the kind."),
    ] = None,
    log_axis: Annotated[
        bool, typer.Option("--log-axis/--linear-axis", help="Volume axis of the growth curve.")
    ] = True,
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
    """Grow one tumor over time in each CT: nested scans, a growth curve, a moving picture."""
    from scalemai.cli.options import (
        make_request,
        number_of_phantoms,
        open_dataset,
        parse_shard,
        phantom_hosts,
        reading_of,
    )
    from scalemai.cli.report import follow, remark
    from scalemai.engine import default_workers
    from scalemai.engine import shard as share
    from scalemai.synthesis.timeline.batch import grow_cases, open_growth_ledger
    from scalemai.synthesis.timeline.files import GrowRequest
    from scalemai.synthesis.timeline.record import read_timeline_notes
    from scalemai.synthesis.timeline.schedule import read_schedule

    plan = read_schedule(schedule)
    if diameter is None and words is None:
        diameter = f"{plan.at_mm[-1]:g}mm" if plan.at_mm else _DIAMETER
    asked = make_request(
        organ, diameter, None, kind=kind, form=form, site=site, at=at, contrast_hu=contrast_hu,
        settings=settings or (), words=words, seed=seed,
    )  # fmt: skip
    if len(asked.specs) != 1 or asked.counts not in ((), ((1, 1),)):
        option = "--organ" if words is None else "--describe"
        raise ConfigError("names several lesions", where=option, fix="grow one at a time")
    request = GrowRequest(
        spec=asked.specs[0],
        schedule=plan,
        law=law,
        doubling_days=doubling_days,
        seed=seed,
        log_axis=log_axis,
    )
    part, parts = parse_shard(shard)
    processes = workers or default_workers(_MEMORY_PER_WORKER_BYTES)
    phantoms = number_of_phantoms(cases)
    if phantoms is not None:
        if parts > 1:  # each part would make all the hosts, in one folder
            fix = "run scalemai phantom --out HOSTS first, then grow HOSTS in parts"
            raise ConfigError("phantoms are not made in parts", where="--shard", fix=fix)
        if dry_run:
            typer.echo(f"{phantoms} phantoms, and {len(plan)} scans of each, to {out}")
            return
        cases = phantom_hosts(phantoms, out, seed, processes)
    dataset = open_dataset(
        cases, layout=layout, labels=labels, class_map=class_map, series=series, hu_offset=hu_offset
    )
    if phantoms is not None:  # an earlier run may have made more
        dataset = dataset.subset(dataset.ids[:phantoms])
    remark(dataset.notes)
    chosen = share(list(dataset), part, parts, key=lambda case: case.id)
    if dry_run:
        typer.echo(f"{len(plan)} scans of each of {len(chosen)} of {len(dataset)} cases to {out}")
        typer.echo(str(plan))
        typer.echo(str(request.spec))
        return
    reading = reading_of(labels, class_map, series, hu_offset)
    with open_growth_ledger(out, request, shard=(part, parts), reading=reading) as ledger:
        run = grow_cases(chosen, out, request, ledger=ledger, workers=processes)
        raise typer.Exit(follow(run, "grown", notes=read_timeline_notes))
