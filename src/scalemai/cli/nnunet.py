"""Commands that have nnU-Net train and predict."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from scalemai.cli.arguments import ClassMap, HuOffset, Labels, Layout, Out, Seed, Series, Workers

__all__ = ["nnunet_app"]

nnunet_app = typer.Typer(
    help="Train nnU-Net v2 on real and synthetic tumors.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_MEMORY_PER_WORKER_BYTES = 2 << 30

Dataset = Annotated[Path, typer.Argument(help="nnUNet_raw/DatasetNNN_NAME.")]
Preprocessed = Annotated[
    Path | None,
    typer.Option(
        envvar="nnUNet_preprocessed",
        help="Folder of preprocessed data sets; by default beside that of raw ones.",
    ),
]
Results = Annotated[
    Path | None,
    typer.Option(envvar="nnUNet_results", help="Folder of models; by default beside raw ones."),
]
Device = Annotated[str, typer.Option(help="cpu, cuda or mps.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads of PyTorch; results depend on it.")]


@nnunet_app.command()
def export(
    cases: Annotated[
        list[str],
        typer.Argument(help="Data sets of any layout, real or synthetic; NAME=PATH names one."),
    ],
    out: Out,
    organ: Annotated[str, typer.Option(help="Organs, comma-separated.")] = "pancreas",
    classes: Annotated[
        str | None, typer.Option("--class", help="Kinds of lesions, e.g. pdac,pnet,cyst.")
    ] = None,
    structures: Annotated[
        str | None, typer.Option(help="Further structures, comma-separated.")
    ] = None,
    regions: Annotated[
        bool, typer.Option(help="Teach organ with lesions, and lesions, as regions.")
    ] = False,
    missing: Annotated[
        str, typer.Option(help="A case without a mask: refuse it, or ignore its background.")
    ] = "refuse",
    unannotated: Annotated[
        str, typer.Option(help="A case that nobody looked at: normal, or refuse it.")
    ] = "normal",
    unverified: Annotated[
        str | None, typer.Option(help="Masks whose voxels are ignored, comma-separated.")
    ] = None,
    link: Annotated[bool, typer.Option(help="Link to images in place of copies.")] = False,
    folds: Annotated[int, typer.Option(min=2, help="Folds of cross-validation.")] = 5,
    seed: Seed = 0,
    workers: Workers = None,
    labels: Labels = None,
    class_map: ClassMap = None,
    layout: Layout = None,
    series: Series = None,
    hu_offset: HuOffset = 0.0,
) -> None:
    """Write cases in nnU-Net's raw format: images, label maps, folds by patient, hashes."""
    from scalemai.anatomy import organ as organ_of
    from scalemai.cli.options import open_dataset
    from scalemai.cli.report import follow, remark
    from scalemai.engine import default_workers
    from scalemai.errors import ConfigError
    from scalemai.training.nnunet.export import (
        ExportRequest,
        export_cases,
        finish_export,
        gather_cases,
        open_export_ledger,
    )
    from scalemai.training.nnunet.label_map import Policy
    from scalemai.training.nnunet.labels import LabelScheme
    from scalemai.training.nnunet.raw_case import read_notes

    organs = _listed(organ)
    kinds = _listed(classes)
    if kinds and len(organs) != 1:
        fix = "export one organ at a time, or leave --class out"
        raise ConfigError("names kinds of one organ", where="--class", fix=fix)
    request = ExportRequest(
        scheme=LabelScheme(
            organs={name: kinds or (organ_of(name).lesion,) for name in organs},
            structures=_listed(structures),
            regions=regions,
        ),
        policy=Policy(
            missing=missing,  # type: ignore[arg-type] # checked there
            unannotated=unannotated,  # type: ignore[arg-type] # checked there
            unverified=_listed(unverified),
        ),
        files="link" if link else "copy",
        folds=folds,
        seed=seed,
    )
    sources = []
    for text in cases:
        name, sign, path = text.partition("=")
        if not sign or Path(text).exists():
            name, path = "", text
        dataset = open_dataset(
            Path(path),
            layout=layout,
            labels=labels,
            class_map=class_map,
            series=series,
            hu_offset=hu_offset,
        )
        remark(dataset.notes)
        sources.append((name, dataset))
    chosen = gather_cases(sources)
    processes = workers or default_workers(_MEMORY_PER_WORKER_BYTES)
    with open_export_ledger(out, request) as ledger:
        run = export_cases(chosen, out, request, ledger=ledger, workers=processes)
        code = follow(run, "exported", notes=read_notes)
        done = finish_export(chosen, out, request)
    counts = ", ".join(f"{number} {origin}" for origin, number in done.origins.items())
    typer.echo(f"{done.folder}: {counts}; {done.folds or 'no'} folds")
    raise typer.Exit(code)


@nnunet_app.command()
def configure(
    dataset: Dataset,
    population: Annotated[
        Path | None, typer.Option(help="Distribution (YAML) that lesions are drawn from.")
    ] = None,
    probability: Annotated[float, typer.Option(help="Share of patches that get lesions.")] = 0.5,
    effects: Annotated[bool, typer.Option(help="Let lesions push tissue, dilate ducts.")] = False,
    epochs: Annotated[int | None, typer.Option(min=1, help="1000 by default.")] = None,
    iterations: Annotated[int | None, typer.Option(min=1, help="Per epoch; 250.")] = None,
    validation_iterations: Annotated[int | None, typer.Option(min=1, help="50.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="0.01 by default.")] = None,
    save_every: Annotated[int, typer.Option(min=1, help="Epochs between checkpoints.")] = 10,
    final_validation: Annotated[
        bool, typer.Option(help="Predict whole scans after training.")
    ] = True,
    seed: Seed = 0,
    preprocessed: Preprocessed = None,
) -> None:
    """Say which tumors the trainer puts in, and how long it trains."""
    from scalemai.synthesis.populations.population import read_population
    from scalemai.training.nnunet.folders import folders_of
    from scalemai.training.nnunet.settings import Settings, write_settings

    settings = Settings(
        population="" if population is None else read_population(population).to_yaml(),
        probability=probability,
        effects=effects,
        seed=seed,
        epochs=epochs,
        iterations=iterations,
        validation_iterations=validation_iterations,
        learning_rate=learning_rate,
        save_every=save_every,
        final_validation=final_validation,
    )
    typer.echo(
        write_settings(folders_of(dataset, preprocessed=preprocessed).preprocessed, settings)
    )


@nnunet_app.command()
def plan(
    dataset: Dataset,
    configuration: Annotated[
        str, typer.Option(help="What to preprocess, e.g. 3d_cpu,3d_fullres.")
    ] = "3d_cpu",
    window: Annotated[
        str | None, typer.Option(help="HU that are kept: low,high; by default the organ's.")
    ] = None,
    spacing: Annotated[str | None, typer.Option(help="Voxel size of 3d_cpu in mm: x,y,z.")] = None,
    planner: Annotated[str, typer.Option(help="nnU-Net's planner.")] = "ExperimentPlanner",
    workers: Workers = None,
    preprocessed: Preprocessed = None,
) -> None:
    """Plan and preprocess an exported data set, with a fixed window of HU."""
    from scalemai.engine import default_workers
    from scalemai.training.nnunet.folders import folders_of
    from scalemai.training.nnunet.launch import plan_dataset

    ends = None if window is None else _numbers(window, 2, "--window", "-175,250")
    with _talk_to_stderr():
        path = plan_dataset(
            folders_of(dataset, preprocessed=preprocessed),
            _listed(configuration),
            window_hu=None if ends is None else (ends[0], ends[1]),
            spacing_mm=None if spacing is None else _numbers(spacing, 3, "--spacing", "2,2,2"),
            planner=planner,
            workers=workers or default_workers(_MEMORY_PER_WORKER_BYTES),
        )
    typer.echo(path)


@nnunet_app.command()
def train(
    dataset: Dataset,
    configuration: Annotated[str, typer.Option(help="3d_cpu, 3d_fullres, ...")] = "3d_cpu",
    fold: Annotated[str, typer.Option(help="Number of the fold, or all.")] = "0",
    device: Device = "cpu",
    threads: Threads = 1,
    loaders: Annotated[
        int, typer.Option(min=0, help="Processes that make batches; 0 repeats itself exactly.")
    ] = 0,
    preprocessed: Preprocessed = None,
    results: Results = None,
) -> None:
    """Train a fold with tumors on the fly; the same command goes on where it stopped."""
    from scalemai.training.nnunet.folders import folders_of
    from scalemai.training.nnunet.launch import train_fold

    with _talk_to_stderr():
        folder = train_fold(
            folders_of(dataset, preprocessed=preprocessed, results=results),
            configuration,
            fold,
            device=device,
            threads=threads,
            loaders=loaders,
        )
    typer.echo(folder)


@nnunet_app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="Folder TRAINER__PLANS__CONFIGURATION.")],
    cases: Annotated[Path, typer.Argument(help="Data set, case folder, CT, DICOM folder.")],
    out: Out,
    fold: Annotated[str | None, typer.Option(help="Folds; all by default.")] = None,
    checkpoint: Annotated[str, typer.Option(help="final or best.")] = "final",
    mirroring: Annotated[bool, typer.Option(help="Mirror images too: 8 times slower.")] = False,
    device: Device = "cpu",
    threads: Threads = 1,
    layout: Layout = None,
    series: Series = None,
    hu_offset: HuOffset = 0.0,
) -> None:
    """Predict label maps on the grids of the CTs, as scalemai evaluate reads them."""
    from scalemai.cli.options import open_dataset
    from scalemai.cli.report import follow, remark
    from scalemai.training.nnunet.predict import open_model, open_prediction_ledger, predict_cases

    dataset = open_dataset(cases, layout=layout, series=series, hu_offset=hu_offset)
    remark(dataset.notes)
    with _talk_to_stderr():
        opened = open_model(
            model,
            folds=_listed(fold),
            checkpoint=checkpoint,
            device=device,
            threads=threads,
            mirroring=mirroring,
        )
        with open_prediction_ledger(out, opened) as ledger:
            code = follow(predict_cases(list(dataset), out, opened, ledger=ledger), "predicted")
    typer.echo(out)
    raise typer.Exit(code)


@nnunet_app.command()
def trainers() -> None:
    """Print the folder that nnUNet_extTrainer has to name for nnUNetv2_train -tr."""
    from scalemai.training.nnunet.folders import EXTERNAL_TRAINERS

    typer.echo(EXTERNAL_TRAINERS)


def _listed(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def _numbers(text: str, count: int, where: str, example: str) -> tuple[float, ...]:
    from scalemai.errors import ConfigError

    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if len(found) != count:
        fix = f"give {count} numbers, for example {example}"
        raise ConfigError(f"{text!r} is none", where=where, fix=fix)
    return found


def _talk_to_stderr() -> AbstractContextManager[object]:
    """nnU-Net prints what it does; standard output is for results."""
    return redirect_stdout(sys.stderr)
