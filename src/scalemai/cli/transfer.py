"""The command that trains detectors from weights that somebody has trained."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalemai.cli.arguments import (
    CacheFolder,
    Classes,
    ClassMap,
    HuOffset,
    Labels,
    Layout,
    Organ,
    Out,
    Population,
    Preset,
    Real,
    Restart,
    Series,
    Settings,
    Workers,
)
from scalemai.cli.training_steps import (
    MEMORY_PER_WORKER_BYTES,
    Shown,
    grown_lesions,
    needing_torch,
    prepared,
)
from scalemai.errors import ConfigError

if TYPE_CHECKING:
    from scalemai.training.cache import Cache
    from scalemai.training.config import TrainingConfig
    from scalemai.training.material import Lesions
    from scalemai.training.transfer.few_shot_plan import FewShot
    from scalemai.training.transfer.foreign import ForeignCheckpoint
    from scalemai.training.transfer.start import Start

__all__ = ["transfer"]


def transfer(
    checkpoint: Annotated[
        Path,
        typer.Argument(help="Detector, .safetensors, .pt or .pth, folder of nnU-Net or MONAI."),
    ],
    dataset: Annotated[
        Path, typer.Argument(help="Data set, normal cases, annotated ones or both; or phantom:N.")
    ],
    out: Out,
    organ: Organ = None,
    classes: Classes = None,
    mode: Annotated[
        str, typer.Option(help="What may change. frozen: the head; partial: the decoder too; full.")
    ] = "full",
    head: Annotated[
        str, typer.Option(help="new, load, or auto: load from a detector of the same classes.")
    ] = "auto",
    decay: Annotated[
        float, typer.Option(help="Learning rate of the decoder over the head's, and so on.")
    ] = 1 / 2.6,
    container: Annotated[
        str | None,
        typer.Option(help="Which part of the file holds the weights, if it has several."),
    ] = None,
    prefix: Annotated[
        str | None, typer.Option(help="Start of the names in it, if that is not clear.")
    ] = None,
    least: Annotated[
        float, typer.Option(help="Share of the parameters that must be in the checkpoint.")
    ] = 0.5,
    curve: Annotated[
        str | None,
        typer.Option(help="Few-shot curve for these numbers of cases, e.g. 0,1,2,5; and scratch."),
    ] = None,
    draws: Annotated[int, typer.Option(min=1, help="For a curve: draws of cases.")] = 3,
    test_share: Annotated[
        float, typer.Option(help="For a curve: share of annotated cases to test on.")
    ] = 0.3,
    real: Real = None,
    synthetic: Annotated[str, typer.Option(help="on: new tumors in patches; off.")] = "on",
    population: Population = None,
    preset: Preset = "cpu-small",
    settings: Settings = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Seed of new weights, draws and patches; 0 by default."),
    ] = None,
    cache: CacheFolder = None,
    restart: Restart = False,
    workers: Workers = None,
    labels: Labels = None,
    class_map: ClassMap = None,
    layout: Layout = None,
    series: Series = None,
    hu_offset: HuOffset = 0.0,
    dry_run: Annotated[bool, typer.Option(help="Say what would be taken over, and leave.")] = False,
) -> None:
    """Train a detector from the weights of another network, and report what is taken over."""
    from scalemai.cli.options import number_of_phantoms, open_dataset, phantom_hosts
    from scalemai.cli.report import remark
    from scalemai.engine import default_workers

    with needing_torch("training"):
        from scalemai.training.compute import device_name
        from scalemai.training.material import choose_cases
        from scalemai.training.train import DETECTOR
        from scalemai.training.transfer.foreign import load_foreign
        from scalemai.training.transfer.run import transfer as train_from
        from scalemai.training.transfer.start import start_from
    plan = None if curve is None else _plan(curve, draws, test_share, real, restart)
    weights = load_foreign(checkpoint, container=container)
    config = _config(weights, preset, settings or (), organ, classes, seed)
    lesions = grown_lesions(config, synthetic, population, ("on", "off"))
    device_name(config.compute)  # refused before any case is read
    starting = partial(
        _start, start_from, weights, config, mode=mode, head=head, decay=decay, prefix=prefix,
        least=least,
    )  # fmt: skip
    start = starting(config.seed)
    remark(start.notes)
    typer.echo(str(start.report), err=not dry_run)
    if dry_run:
        return
    processes = workers or default_workers(MEMORY_PER_WORKER_BYTES)
    phantoms = number_of_phantoms(dataset)
    if phantoms is not None:
        dataset = phantom_hosts(phantoms, out, config.seed, processes)
    hosts = open_dataset(
        dataset, labels=labels, class_map=class_map, layout=layout, series=series,
        hu_offset=hu_offset,
    )  # fmt: skip
    remark(hosts.notes)
    ready, code = prepared(list(hosts), config, cache or out / "cache", processes)
    if plan is not None:
        raise typer.Exit(max(code, _curve(config, ready, out, starting, plan, lesions)))
    material = choose_cases(ready, config, lesions, real=real)
    shown = Shown()
    train_from(config, material, out, start, resume=not restart, on_progress=shown)
    shown.end()
    typer.echo(out / DETECTOR)
    raise typer.Exit(code)


def _config(
    weights: ForeignCheckpoint,
    preset: str,
    settings: Sequence[str],
    organ: str | None,
    classes: str | None,
    seed: int | None,
) -> TrainingConfig:
    """The training: a detector's own spec and, of others, their network, unless told otherwise."""
    from dataclasses import asdict

    from scalemai.training.config_file import presets, read_config
    from scalemai.training.transfer.recognise import recognise

    given: dict[str, Any] = {}
    if weights.spec is not None:
        given["detector.organ"] = weights.spec.organ
        if organ in (None, weights.spec.organ):
            given["detector.classes"] = list(weights.spec.classes)
        given["detector.patch"] = list(weights.spec.patch)
        given["detector.preprocessing"] = asdict(weights.spec.preprocessing)
    if any(text.strip().startswith("detector.network.name") for text in settings):
        given["detector.network.parameters"] = {}  # those of the preset are of its own network
    else:
        network = recognise(weights)
        if network is None:
            first = next(iter(weights.state))
            what = f"its network is not known (names like {first})"
            fix = "name it with --set detector.network.name=..., and its parameters"
            raise ConfigError(what, where=weights.path, fix=fix)
        given["detector.network.name"] = network.name
        given["detector.network.parameters"] = dict(network.parameters)
    if organ is not None:
        given["detector.organ"] = organ
    named = "detector.organ" in given or any(s.startswith("detector.organ") for s in settings)
    if preset in presets() and not named:
        fix = "for example --organ pancreas"
        raise ConfigError("no organ is named", where="--organ", fix=fix)
    if classes is not None:
        given["detector.classes"] = [name.strip() for name in classes.split(",") if name.strip()]
    if seed is not None:
        given["seed"] = seed
    return read_config(preset, settings, given=given)


def _start(
    make: Any, weights: ForeignCheckpoint, config: TrainingConfig, seed: int, **how: Any
) -> Start:
    start: Start = make(weights, config.detector, seed=seed, **how)
    return start


def _plan(curve: str, draws: int, test_share: float, real: int | None, restart: bool) -> FewShot:
    from scalemai.training.transfer.few_shot_plan import FewShot

    for option, given in (("--real", real is not None), ("--restart", restart)):
        if given:
            fix = f"leave out {option}, or --curve"
            raise ConfigError("does not go with --curve", where=option, fix=fix)
    try:
        sizes = tuple(int(text) for text in curve.split(",") if text.strip())
    except ValueError as error:
        fix = "give whole numbers, for example 0,1,2,5,10"
        raise ConfigError(f"{curve!r} are no numbers of cases", where="--curve", fix=fix) from error
    return FewShot(sizes, draws, test_share)


def _curve(
    config: TrainingConfig,
    cache: Cache,
    out: Path,
    start: Any,
    plan: FewShot,
    lesions: Lesions,
) -> int:
    """Run a learning curve; the exit code says whether all of it is done."""
    import polars as pl

    from scalemai.cli.report import follow
    from scalemai.training.transfer.few_shot import (
        lesion_dice,
        open_few_shot,
        start_few_shot,
        write_table,
    )
    from scalemai.training.transfer.few_shot_summary import summarise, write_summary

    measure = partial(lesion_dice, threads=config.compute.threads or None)
    with open_few_shot(config, cache, out, start, plan=plan, lesions=lesions) as ledger:
        run = start_few_shot(
            config, cache, out, start, ledger=ledger, plan=plan, lesions=lesions, measure=measure
        )
        code = follow(run, "trained")
    table = write_table(out)
    rows = summarise(pl.read_csv(table))
    write_summary(table, rows)
    for row in rows:
        typer.echo(f"{row['n_real']} cases, {row['group']}: {row['estimate']}", err=True)
    typer.echo(table)
    typer.echo(f"next: scalemai scaling {table} --out {out / 'scaling'}", err=True)
    return code
