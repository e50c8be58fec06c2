"""The command that adapts detectors to new hospitals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scalemai.cli.arguments import ClassMap, HuOffset, Labels, Layout, Out, Series, Workers

if TYPE_CHECKING:
    from scalemai.training.cache import Cache
    from scalemai.training.config import TrainingConfig
    from scalemai.training.tuned import Tuned

__all__ = ["adapt", "ready_cases", "say_tuned"]

_MEMORY_PER_WORKER_BYTES = 2 << 30


def adapt(
    detector: Annotated[Path, typer.Argument(help="Folder of a detector.")],
    normal_cts: Annotated[
        Path, typer.Argument(help="Normal scans of the new hospital, with masks of the organ.")
    ],
    out: Out,
    source: Annotated[
        Path | None,
        typer.Option(help="Cases like those of its training: replayed, and watched for loss."),
    ] = None,
    population: Annotated[
        Path | None, typer.Option(help="Distribution of new tumors (YAML); 3-40 mm by default.")
    ] = None,
    margin: Annotated[
        float, typer.Option(help="Loss of Dice on the source at which it stops.")
    ] = 0.05,
    pull: Annotated[
        float | None,
        typer.Option(
            help="Share of the way back to the old weights after each round; 0.2 without source."
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Parts of the training.")] = 5,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="A field, e.g. steps=200.")
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
) -> None:
    """Adapt a detector to a new hospital's scans, without a single annotation."""
    import os

    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in training
    from scalemai.errors import MissingExtraError

    try:
        from scalemai.cli.train import Shown
        from scalemai.detector.files import read_detector
        from scalemai.synthesis.populations.population import read_population
        from scalemai.training.adapt import PULL
        from scalemai.training.adapt import adapt as adapt_to
        from scalemai.training.rounds import Guard
        from scalemai.training.tuned import fine_tuning_config
    except ModuleNotFoundError as error:
        fix = "pip install 'scalemai[train]'"
        raise MissingExtraError(f"training needs {error.name}", fix=fix) from error
    config = fine_tuning_config(read_detector(detector), settings or ())
    guard = Guard(rounds, margin, (PULL if source is None else 0.0) if pull is None else pull)
    lesions = None if population is None else read_population(population)
    folder = cache or out / "cache"
    target, code = ready_cases(
        normal_cts, config, folder / "target", workers, labels=labels, class_map=class_map,
        layout=layout, series=series, hu_offset=hu_offset,
    )  # fmt: skip
    known = None
    if source is not None:
        known, failed = ready_cases(source, config, folder / "source", workers)
        code = max(code, failed)
    shown = Shown()
    tuned = adapt_to(
        detector, target, out, source=known, lesions=lesions, config=config, guard=guard,
        resume=not restart, on_progress=shown,
    )  # fmt: skip
    shown.end()
    say_tuned(tuned, out)
    raise typer.Exit(code)


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
    from scalemai.cli.train import prepared
    from scalemai.engine import default_workers

    cases = open_dataset(
        dataset, labels=labels, class_map=class_map, layout=layout, series=series,
        hu_offset=hu_offset,
    )  # fmt: skip
    remark(cases.notes)
    processes = workers or default_workers(_MEMORY_PER_WORKER_BYTES)
    return prepared(list(cases), config, cache, processes)


def say_tuned(tuned: Tuned, out: Path) -> None:
    """What was gained and lost, a line each; then the detector and the page."""
    from scalemai.cli.report import remark
    from scalemai.training.train import DETECTOR
    from scalemai.training.tuned import PAGE

    remark(tuned.notes)
    for row in tuned.rows:
        typer.echo(
            f"{row['group']}: {row['what']} (n = {row['n']}): {row['before']} -> {row['after']}"
        )
    typer.echo(out / DETECTOR)
    typer.echo(out / PAGE)
