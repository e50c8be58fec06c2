"""The command that trains detectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalemai.cli.arguments import ClassMap, HuOffset, Labels, Layout, Out, Series, Workers
from scalemai.errors import ConfigError

if TYPE_CHECKING:
    from scalemai.case import Case
    from scalemai.training.cache import Cache
    from scalemai.training.config import TrainingConfig
    from scalemai.training.fit import Progress
    from scalemai.training.material import Lesions

__all__ = ["Shown", "prepared", "train"]

_SYNTHETIC = ("on", "offline", "off")
_MEMORY_PER_WORKER_BYTES = 2 << 30


def train(
    dataset: Annotated[
        Path, typer.Argument(help="Data set, normal cases, annotated ones or both; or phantom:N.")
    ],
    out: Out,
    organ: Annotated[
        str | None, typer.Option(help="Organ whose lesions are looked for, e.g. pancreas.")
    ] = None,
    classes: Annotated[
        str | None, typer.Option(help="Kinds to tell apart, e.g. pdac,pnet,cyst; one class else.")
    ] = None,
    real: Annotated[
        int | None, typer.Option(min=0, help="Annotated cases to learn from; by default all.")
    ] = None,
    synthetic: Annotated[
        str, typer.Option(help="on: new tumors in every patch; offline: from disk; off.")
    ] = "on",
    synthesized: Annotated[
        Path | None, typer.Option(help="For offline: folder that scalemai synthesize wrote.")
    ] = None,
    population: Annotated[
        Path | None, typer.Option(help="Distribution of new tumors (YAML); 3-40 mm by default.")
    ] = None,
    preset: Annotated[
        str, typer.Option(help="cpu-small, gpu-full, or a TOML file of one's own.")
    ] = "cpu-small",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=C", help="A field, e.g. optimiser.learning_rate=1e-3."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of first weights and patches; 0 by default.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where prepared cases are kept; OUT/cache by default.")
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Forget the checkpoints in OUT and start anew.")
    ] = False,
    workers: Workers = None,
    labels: Labels = None,
    class_map: ClassMap = None,
    layout: Layout = None,
    series: Series = None,
    hu_offset: HuOffset = 0.0,
    dry_run: Annotated[bool, typer.Option(help="Say what would be done, and leave.")] = False,
) -> None:
    """Train a detector of tumors, on synthetic ones, annotated ones, or both."""
    import os

    # Idle threads of OpenMP spin, and take the cores from the processes that make patches. It is
    # read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from scalemai.cli.options import number_of_phantoms, open_dataset, phantom_hosts
    from scalemai.cli.report import remark
    from scalemai.engine import default_workers
    from scalemai.errors import MissingExtraError

    try:
        from scalemai.training.compute import device_name
        from scalemai.training.material import choose_cases
        from scalemai.training.train import DETECTOR
        from scalemai.training.train import train as train_detector
    except ModuleNotFoundError as error:
        fix = "pip install 'scalemai[train]'"
        raise MissingExtraError(f"training needs {error.name}", fix=fix) from error
    config = _config(preset, settings or (), organ, classes, seed)
    lesions = _lesions(config, synthetic, synthesized, population)
    device_name(config.compute)  # refused before any case is read
    processes = workers or default_workers(_MEMORY_PER_WORKER_BYTES)
    phantoms = number_of_phantoms(dataset)
    if phantoms is not None:
        if dry_run:
            typer.echo(f"{phantoms} phantoms are made first")
            _say_costs(config)
            return
        dataset = phantom_hosts(phantoms, out, config.seed, processes)
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
    ready, code = prepared(list(cases.values()), config, cache or out / "cache", processes)
    material = choose_cases(ready, config, lesions, real=real, frozen=frozen)
    shown = Shown()
    train_detector(config, material, out, resume=not restart, on_progress=shown)
    shown.end()
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


def _lesions(
    config: TrainingConfig, synthetic: str, synthesized: Path | None, population: Path | None
) -> Lesions:
    """What is grown on the fly."""
    from scalemai.errors import UnknownNameError
    from scalemai.training.material import any_lesion

    if synthetic not in _SYNTHETIC:
        raise UnknownNameError("--synthetic", synthetic, _SYNTHETIC)
    if (synthetic == "offline") != (synthesized is not None):
        fix = "give --synthetic offline --synthesized FOLDER"
        raise ConfigError("one goes with the other", where="--synthetic offline", fix=fix)
    if synthetic != "on":
        if population is not None:
            fix = "give --synthetic on, or leave it out"
            raise ConfigError("nothing is grown on the fly", where="--population", fix=fix)
        return None
    if population is None:
        return any_lesion(config.detector.organ)
    from scalemai.synthesis.populations.population import read_population

    return read_population(population)


def prepared(
    cases: list[Case], config: TrainingConfig, folder: Path, processes: int
) -> tuple[Cache, int]:
    """Prepared cases, and the exit code that says whether some could not be prepared."""
    from scalemai.cli.report import follow
    from scalemai.training.cache import open_cache_ledger, read_cache, start_preparing

    spec = config.detector
    with open_cache_ledger(folder, spec) as ledger:
        run = start_preparing(cases, spec, folder, ledger=ledger, workers=processes)
        code = follow(run, "prepared")
    return read_cache(cases, spec, folder), code


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


class Shown:
    """Draws the progress of a training to standard error."""

    def __init__(self) -> None:
        import sys
        import time

        self._now = time.monotonic
        self._lively = sys.stderr.isatty()
        self._start = self._shown = time.monotonic()
        self._first: int | None = None

    def __call__(self, progress: Progress) -> None:
        if self._first is None:
            self._first = progress.step - 1
        now = self._now()
        done = progress.step - self._first
        left = (now - self._start) / done * (progress.steps - progress.step)
        line = (
            f"trained {progress.step:,} / {progress.steps:,} steps · loss {progress.loss:.3f} · "
            f"{progress.loader_share:.0%} waiting for patches · {left / 60:.1f} min left"
        )
        if self._lively:
            typer.echo(f"\r\x1b[2K{line}", err=True, nl=False)
        elif now - self._shown >= 30.0:
            typer.echo(line, err=True)
            self._shown = now
        if progress.score is not None:
            score = progress.score
            lead = "\r\x1b[2K" if self._lively else ""
            typer.echo(
                f"{lead}step {progress.step:,}: held out: Dice {score.dice:.3f}, {score.found} of "
                f"{score.lesions} lesions touched, {score.false:.2f} false candidates per patch",
                err=True,
            )

    def end(self) -> None:
        """Leave a clean line."""
        if self._lively:
            typer.echo("\r\x1b[2K", err=True, nl=False)
