"""The command that trains detectors."""

from __future__ import annotations

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
    from scalemai.case import Case
    from scalemai.training.config import TrainingConfig

__all__ = ["train"]

_SYNTHETIC = ("on", "offline", "off")


def train(
    dataset: Annotated[
        Path, typer.Argument(help="Data set, normal cases, annotated ones or both; or phantom:N.")
    ],
    out: Out,
    organ: Organ = None,
    classes: Classes = None,
    real: Real = None,
    synthetic: Annotated[
        str, typer.Option(help="on: new tumors in every patch; offline: from disk; off.")
    ] = "on",
    synthesized: Annotated[
        Path | None, typer.Option(help="For offline: folder that scalemai synthesize wrote.")
    ] = None,
    population: Population = None,
    preset: Preset = "cpu-small",
    settings: Settings = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of first weights and patches; 0 by default.")
    ] = None,
    cache: CacheFolder = None,
    restart: Restart = False,
    workers: Workers = None,
    labels: Labels = None,
    class_map: ClassMap = None,
    layout: Layout = None,
    series: Series = None,
    hu_offset: HuOffset = 0.0,
    dry_run: Annotated[bool, typer.Option(help="Say what would be done, and leave.")] = False,
) -> None:
    """Train a detector of tumors, on synthetic ones, annotated ones, or both."""
    from scalemai.cli.options import (
        number_of_phantoms,
        open_dataset,
        phantom_folder,
        phantom_hosts,
    )
    from scalemai.cli.report import remark
    from scalemai.engine import default_workers

    with needing_torch("training"):
        from scalemai.training.cache import read_cache
        from scalemai.training.compute import device_name
        from scalemai.training.launch import leading
        from scalemai.training.material import choose_cases
        from scalemai.training.train import DETECTOR
        from scalemai.training.train import train as train_detector
    config = _config(preset, settings or (), organ, classes, seed)
    lesions = grown_lesions(config, synthetic, population, _SYNTHETIC)
    _agree(synthetic, synthesized)
    device_name(config.compute)  # refused before any case is read
    processes = workers or default_workers(MEMORY_PER_WORKER_BYTES)
    phantoms = number_of_phantoms(dataset)
    if phantoms is not None:
        if dry_run:
            typer.echo(f"{phantoms} phantoms are made first")
            _say_costs(config)
            return
        with leading() as leads:
            if leads:
                phantom_hosts(phantoms, out, config.seed, processes)
        dataset = phantom_folder(out)
    hosts = open_dataset(
        dataset, labels=labels, class_map=class_map, layout=layout, series=series,
        hu_offset=hu_offset,
    )  # fmt: skip
    remark(hosts.notes)
    cases = {case.id: case for case in hosts}
    frozen = {}
    if synthesized is not None:
        frozen = {case.id: case for case in open_dataset(synthesized)}
        cases |= frozen  # each takes the place of its host
    if dry_run:
        _say_plan(list(cases.values()), config, synthetic, len(frozen), out)
        return
    known, folder, code = list(cases.values()), cache or out / "cache", 0
    with leading() as leads:  # of processes on several machines one prepares
        if leads:
            ready, code = prepared(known, config, folder, processes)
    if not leads:
        ready = read_cache(known, config.detector, folder)
    material = choose_cases(ready, config, lesions, real=real, frozen=frozen)
    shown = Shown()
    train_detector(config, material, out, resume=not restart, on_progress=shown)
    shown.end()
    if leads:
        typer.echo(out / DETECTOR)
    raise typer.Exit(code)


def _config(
    preset: str,
    settings: list[str] | tuple[str, ...],
    organ: str | None,
    classes: str | None,
    seed: int | None,
) -> TrainingConfig:
    from scalemai.training.config_file import presets, read_config

    named = organ is not None or any(text.startswith("detector.organ") for text in settings)
    if preset in presets() and not named:
        fix = "for example --organ pancreas"
        raise ConfigError("no organ is named", where="--organ", fix=fix)
    given: dict[str, Any] = {}
    if organ is not None:
        given["detector.organ"] = organ
    if classes is not None:
        given["detector.classes"] = [name.strip() for name in classes.split(",") if name.strip()]
    if seed is not None:
        given["seed"] = seed
    return read_config(preset, settings, given=given)


def _agree(synthetic: str, synthesized: Path | None) -> None:
    if (synthetic == "offline") != (synthesized is not None):
        fix = "give --synthetic offline --synthesized FOLDER"
        raise ConfigError("one goes with the other", where="--synthetic offline", fix=fix)


def _say_plan(
    cases: list[Case], config: TrainingConfig, synthetic: str, frozen: int, out: Path
) -> None:
    from scalemai.training.cache import estimate_bytes

    spec = config.detector
    size = estimate_bytes(cases, spec) / 2**20
    typer.echo(f"{len(cases)} cases, {frozen} of them synthetic, to {out}; cache {size:,.0f} MiB")
    typer.echo(f"{spec.organ}: {', '.join(spec.classes)}; synthesis {synthetic}")
    _say_costs(config)


def _say_costs(config: TrainingConfig) -> None:
    from scalemai.training.compute import device_name, threads_of
    from scalemai.training.estimate import estimate

    spec = config.detector
    costs = estimate(config)
    spacing = " x ".join(f"{step:g}" for step in spec.preprocessing.spacing_mm)
    patch = " x ".join(str(n) for n in spec.patch)
    typer.echo(
        f"{spec.network.name}, {costs.parameters:,} parameters; patches of {patch} voxels of "
        f"{spacing} mm, {config.batch} per step; {device_name(config.compute)}, "
        f"{config.compute.devices} device(s), {threads_of(config.compute)} thread(s), "
        f"{config.run.workers} worker(s), {config.compute.precision}"
    )
    minutes = 60.0 * costs.hours(config.steps)
    typer.echo(
        f"{config.steps:,} steps of about {costs.step_s:.2g} s: {minutes:.3g} min, if patches are "
        f"made in time; {costs.memory_bytes / 2**30:.1f} GiB of memory"
    )
