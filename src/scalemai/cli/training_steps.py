"""What the commands that train have in common: their guard, their cases, their progress."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from scalemai.errors import ConfigError, MissingExtraError, UnknownNameError

if TYPE_CHECKING:
    from scalemai.case import Case
    from scalemai.training.cache import Cache
    from scalemai.training.config import TrainingConfig
    from scalemai.training.fit import Progress
    from scalemai.training.material import Lesions
    from scalemai.training.tuned import Tuned

__all__ = [
    "MEMORY_PER_WORKER_BYTES",
    "Shown",
    "grown_lesions",
    "needing_torch",
    "prepared",
    "ready_cases",
    "say_tuned",
]

MEMORY_PER_WORKER_BYTES = 2 << 30


@contextmanager
def needing_torch(what: str) -> Iterator[None]:
    """Import what needs torch within this: its absence is one line that says what to install."""
    # Idle threads of OpenMP spin, and take the cores from the processes that make patches. It is
    # read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        yield
    except ModuleNotFoundError as error:
        fix = "pip install 'scalemai[train]'"
        raise MissingExtraError(f"{what} needs {error.name}", fix=fix) from error


def grown_lesions(
    config: TrainingConfig, synthetic: str, population: Path | None, known: tuple[str, ...]
) -> Lesions:
    """What is grown on the fly; ``known`` are the words that --synthetic may say."""
    from scalemai.training.material import any_lesion

    if synthetic not in known:
        raise UnknownNameError("--synthetic", synthetic, known)
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


def ready_cases(
    dataset: Path,
    config: TrainingConfig,
    cache: Path,
    workers: int | None,
    *,
    labels: Path | None = None,
    class_map: str | None = None,
    layout: str | None = None,
    series: str | None = None,
    hu_offset: float = 0.0,
) -> tuple[Cache, int]:
    """The cases of a data set, prepared, and the exit code that says whether some failed."""
    from scalemai.cli.options import open_dataset
    from scalemai.cli.report import remark
    from scalemai.engine import default_workers

    cases = open_dataset(
        dataset, labels=labels, class_map=class_map, layout=layout, series=series,
        hu_offset=hu_offset,
    )  # fmt: skip
    remark(cases.notes)
    processes = workers or default_workers(MEMORY_PER_WORKER_BYTES)
    return prepared(list(cases), config, cache, processes)


def say_tuned(tuned: Tuned, out: Path) -> None:
    """What was gained and lost, a line each; then the detector and the page."""
    from scalemai.cli.report import remark
    from scalemai.training.train import DETECTOR
    from scalemai.training.tuned import PAGE

    remark(tuned.notes)
    for row in tuned.rows:
        typer.echo(
            f"{row['group']}: {row['what']} (n = {row['n']}): {row['before']} -> {row['after']}; "
            f"change {row['change']}"
        )
    typer.echo(out / DETECTOR)
    typer.echo(out / PAGE)


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
