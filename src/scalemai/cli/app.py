"""The commands. Each reads its options, calls one function of the library and shows the result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from scalemai.cli.adapt import adapt
from scalemai.cli.annotate import annotate_app
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
from scalemai.cli.audit import audit_app
from scalemai.cli.calibrate import calibrate
from scalemai.cli.compare import compare
from scalemai.cli.describe import describe
from scalemai.cli.errors import errors
from scalemai.cli.evaluate import evaluate
from scalemai.cli.gallery import gallery
from scalemai.cli.grow import grow
from scalemai.cli.improve import improve
from scalemai.cli.nnunet import nnunet_app
from scalemai.cli.population import population
from scalemai.cli.predict import predict
from scalemai.cli.reading import reader_study
from scalemai.cli.remove import remove
from scalemai.cli.rewind import rewind
from scalemai.cli.scaling import scaling
from scalemai.cli.subgroups import subgroups
from scalemai.cli.train import train
from scalemai.cli.transfer import transfer
from scalemai.cli.turing import turing_app
from scalemai.errors import CaseError, ConfigError, ScaleMAIError

__all__ = ["app", "main"]


class _Commands(TyperGroup):
    """Runs a command. An error is one line, and the exit code says whose fault it was.

    0 done, 1 some case or file failed, 2 the request is wrong, 130 interrupted.
    """

    def invoke(self, ctx: Any) -> Any:
        from scalemai.cli.wording import in_options

        try:
            return super().invoke(ctx)
        except ScaleMAIError as error:
            typer.echo(f"scalemai: {in_options(str(error))}", err=True)
            raise typer.Exit(2 if isinstance(error, ConfigError) else 1) from error
        except KeyboardInterrupt as error:
            typer.echo("scalemai: interrupted; the same command goes on where it stopped", err=True)
            raise typer.Exit(130) from error


app = typer.Typer(
    name="scalemai",
    cls=_Commands,
    help="Grow realistic tumors in CT, with exact masks and a recipe that reproduces them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_MEMORY_PER_WORKER_BYTES = 2 << 30


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Show the version and leave.")] = False,
) -> None:
    if version:
        from scalemai._version import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.command()
def synthesize(
    cases: Annotated[
        Path,
        typer.Argument(help="Data set, case folder, CT file, DICOM folder, index; or phantom:N."),
    ],
    out: Out,
    organ: Annotated[
        str | None, typer.Option(help="Organs, comma-separated; by default the liver.")
    ] = None,
    diameter: Annotated[
        str | None, typer.Option(help="Longest axial diameter; by default 3-40mm.")
    ] = None,
    count: Annotated[str | None, typer.Option(help="Lesions per case; by default 1.")] = None,
    kind: Annotated[str | None, typer.Option(help="Lesion kind, e.g. pdac.")] = None,
    form: Annotated[str | None, typer.Option(help="How it grows, e.g. polypoid, lytic.")] = None,
    site: Annotated[str | None, typer.Option(help="Part of the organ, e.g. tail.")] = None,
    at: Annotated[str | None, typer.Option(help="Place in RAS+ mm: x,y,z.")] = None,
    contrast_hu: Annotated[float | None, typer.Option(help="Lesion minus parenchyma.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="More of a lesion, e.g. necrosis=true."),
    ] = None,
    words: Annotated[
        str | None, typer.Option("--describe", help="The lesions in words, in place of the above.")
    ] = None,
    population: Annotated[
        Path | None, typer.Option(help="Draw them from a distribution (YAML) instead.")
    ] = None,
    seed: Seed = 0,
    workers: Workers = None,
    shard: Shard = "0/1",
    labels: Labels = None,
    class_map: ClassMap = None,
    layout: Layout = None,
    series: Series = None,
    hu_offset: HuOffset = 0.0,
    montage: Annotated[bool, typer.Option(help="Also write montage.png of the cases.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Say what would be done, and leave.")] = False,
) -> None:
    """Grow tumors in CTs: the same CTs with lesions, exact masks and sidecars."""
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
    from scalemai.synthesis.batch import open_ledger, synthesize_cases
    from scalemai.synthesis.sidecar import read_notes
    from scalemai.synthesis.target import SIDECAR_NAME

    request = make_request(
        organ,
        diameter,
        count,
        kind=kind,
        form=form,
        site=site,
        at=at,
        contrast_hu=contrast_hu,
        settings=settings or (),
        words=words,
        population=population,
        seed=seed,
    )
    part, parts = parse_shard(shard)
    processes = workers or default_workers(_MEMORY_PER_WORKER_BYTES)
    phantoms = number_of_phantoms(cases)
    if phantoms is not None:
        if parts > 1:  # each part would make all the hosts, in one folder
            fix = "run scalemai phantom --out HOSTS first, then synthesize HOSTS in parts"
            raise ConfigError("phantoms are not made in parts", where="--shard", fix=fix)
        if dry_run:
            typer.echo(f"{phantoms} phantoms, and a synthetic case of each, to {out}")
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
        typer.echo(f"{len(chosen)} of {len(dataset)} cases to {out}")
        for spec in request.examples:
            typer.echo(str(spec))
        return
    reading = reading_of(labels, class_map, series, hu_offset)
    with open_ledger(out, request, shard=(part, parts), reading=reading) as ledger:
        run = synthesize_cases(chosen, out, request, ledger=ledger, workers=processes)
        code = follow(run, "synthesized", notes=read_notes)
    if montage and any(out.glob(f"*/{SIDECAR_NAME}")):
        from scalemai.cli.pictures import montage_of

        typer.echo(montage_of(out))
    raise typer.Exit(code)


app.command()(grow)
app.add_typer(annotate_app, name="annotate")
app.add_typer(turing_app, name="turing")
app.add_typer(audit_app, name="audit")
app.command()(describe)
app.add_typer(population, name="population")
app.add_typer(nnunet_app, name="nnunet")
app.command()(remove)
app.command()(rewind)
app.command()(gallery)
app.command()(compare)
app.command()(reader_study)
app.command()(subgroups)
app.command()(evaluate)
app.command()(predict)
app.command()(train)
app.command()(transfer)
app.command()(calibrate)
app.command()(adapt)
app.command()(improve)
app.command()(scaling)
app.command()(errors)


@app.command()
def phantom(
    out: Out,
    n: Annotated[int, typer.Option(min=1, help="Number of phantoms.")] = 8,
    seed: Seed = 0,
    workers: Workers = None,
    small: Annotated[bool, typer.Option(help="Coarse and quick, for trying things out.")] = False,
    phase: Annotated[str | None, typer.Option(help="Contrast phase; drawn by default.")] = None,
    spacing: Annotated[str | None, typer.Option(help="Voxel size in mm: x,y,z.")] = None,
    lesions: Annotated[
        str | None, typer.Option(help="Structures with lesions of the phantom's own model.")
    ] = None,
    lesion_diameter: Annotated[
        str | None, typer.Option(help="Longest axial diameter of those; by default 5-40mm.")
    ] = None,
    lesion_count: Annotated[
        str | None, typer.Option(help="How many per phantom; by default 1-3.")
    ] = None,
) -> None:
    """Generate CTs of phantoms with the masks of their organs."""
    from scalemai.cli.options import write_phantom_cases
    from scalemai.engine import default_workers

    processes = workers or default_workers(2 * _MEMORY_PER_WORKER_BYTES)
    raise typer.Exit(
        write_phantom_cases(
            out,
            n,
            seed=seed,
            workers=processes,
            small=small,
            phase=phase,
            spacing=spacing,
            lesions=lesions,
            diameter=lesion_diameter,
            count=lesion_count,
        )
    )


@app.command()
def replay(
    sidecar: Annotated[Path, typer.Argument(help="synthesis.json of a synthetic case.")],
    out: Out,
) -> None:
    """Paint a synthetic case again from its sidecar and its host."""
    from scalemai.synthesis.files import replay as paint_again

    typer.echo(paint_again(sidecar, out))


@app.command()
def preview(
    case: Annotated[Path, typer.Argument(help="Case folder, or CT with --labels.")],
    out: Annotated[Path | None, typer.Option(help="PNG to write; CASE.png by default.")] = None,
    structure: Annotated[
        str | None, typer.Option(help="Structures to outline; the lesions by default.")
    ] = None,
    window: Annotated[str | None, typer.Option(help="soft-tissue, liver, lung or bone.")] = None,
    labels: Labels = None,
    class_map: ClassMap = None,
    series: Series = None,
) -> None:
    """Write a picture of a case: three planes through each lesion with its outline."""
    from scalemai.cli.options import open_dataset
    from scalemai.cli.pictures import preview_of
    from scalemai.cli.report import failure

    dataset = open_dataset(case, labels=labels, class_map=class_map, series=series)
    failed = False
    for one in dataset:
        target = out or Path(f"{one.id}.png")
        if len(dataset) > 1:
            target = (out or Path()) / f"{one.id}.png"
        try:
            typer.echo(preview_of(one, target, structure, window))
        except CaseError as error:
            if len(dataset) == 1:
                raise
            typer.echo(failure(one.id, str(error)), err=True)
            failed = True
    raise typer.Exit(int(failed))


@app.command()
def info(
    file: Annotated[Path, typer.Argument(help="NIfTI file, DICOM folder or case folder.")],
    class_map: ClassMap = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Say what a file holds: grid, numbers, labels, and what is odd about it."""
    from scalemai.inspection import inspect_file

    report = inspect_file(file, class_map=class_map)
    if json:
        from json import dumps

        typer.echo(dumps(report.as_dict(), indent=1))
    else:
        typer.echo(report.as_text())


@app.command()
def index(
    root: Annotated[Path, typer.Argument(help="Data set to scan.")],
    class_map: ClassMap = None,
    layout: Layout = None,
) -> None:
    """Scan a data set once into a Parquet index, which opens in a second."""
    from scalemai.cases import build_index

    typer.echo(build_index(root, class_map=class_map, layout=layout))


def main() -> None:
    """Run the command line."""
    app()
