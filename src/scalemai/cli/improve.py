"""The command that trains detectors on with the lesions that they miss."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalemai.cli.arguments import ClassMap, HuOffset, Labels, Layout, Out, Series, Workers

__all__ = ["improve"]


def improve(
    detector: Annotated[Path, typer.Argument(help="Folder of a detector.")],
    evaluation: Annotated[
        Path,
        typer.Argument(help="What scalemai evaluate or errors wrote, or a population (YAML)."),
    ],
    out: Out,
    hosts: Annotated[
        Path,
        typer.Option(help="Cases to grow lesions in, best those of its training."),
    ],
    margin: Annotated[
        float, typer.Option(help="Loss of Dice on usual lesions at which it stops.")
    ] = 0.05,
    pull: Annotated[
        float, typer.Option(help="Share of the way back to the old weights after each round.")
    ] = 0.0,
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
    """Train a detector on with the lesions that it misses, and report gain and cost."""
    import os

    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in training
    from scalemai.errors import MissingExtraError

    try:
        from scalemai.cli.adapt import ready_cases, say_tuned
        from scalemai.cli.train import Shown
        from scalemai.detector.files import read_detector
        from scalemai.training.improve import improve as train_on
        from scalemai.training.improve import missed_population
        from scalemai.training.rounds import Guard
        from scalemai.training.tuned import fine_tuning_config
    except ModuleNotFoundError as error:
        fix = "pip install 'scalemai[train]'"
        raise MissingExtraError(f"training needs {error.name}", fix=fix) from error
    config = fine_tuning_config(read_detector(detector), settings or ())
    guard = Guard(rounds, margin, pull)
    population = missed_population(evaluation, out / "errors")
    ready, code = ready_cases(
        hosts, config, cache or out / "cache", workers, labels=labels, class_map=class_map,
        layout=layout, series=series, hu_offset=hu_offset,
    )  # fmt: skip
    shown = Shown()
    tuned = train_on(
        detector, population, ready, out, config=config, guard=guard, resume=not restart,
        on_progress=shown,
    )  # fmt: skip
    shown.end()
    say_tuned(tuned, out)
    raise typer.Exit(code)
