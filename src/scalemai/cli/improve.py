"""The command that trains detectors on with the lesions that they miss."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalemai.cli.arguments import (
    CacheFolder,
    ClassMap,
    HuOffset,
    Labels,
    Layout,
    Out,
    Restart,
    Rounds,
    Series,
    Settings,
    Workers,
)
from scalemai.cli.training_steps import Shown, needing_torch, ready_cases, say_tuned

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
    rate: Annotated[
        float, typer.Option(help="False candidates per scan at which sensitivity is read.")
    ] = 1.0,
    margin: Annotated[
        float, typer.Option(help="Loss of sensitivity for usual lesions at which it stops.")
    ] = 0.05,
    replay: Annotated[
        bool, typer.Option("--replay", help="Show usual lesions in half of the patches.")
    ] = False,
    anchor: Annotated[
        float, typer.Option(help="Weight of the distance to the old weights in the loss (L2-SP).")
    ] = 0.0,
    pull: Annotated[
        float, typer.Option(help="Share of the way back to the old weights after each round.")
    ] = 0.0,
    rounds: Rounds = 5,
    settings: Settings = None,
    cache: CacheFolder = None,
    restart: Restart = False,
    workers: Workers = None,
    labels: Labels = None,
    class_map: ClassMap = None,
    layout: Layout = None,
    series: Series = None,
    hu_offset: HuOffset = 0.0,
) -> None:
    """Train a detector on with the lesions that it misses, and report gain and cost."""
    with needing_torch("training"):
        from scalemai.detector.files import read_detector
        from scalemai.training.improve import improve as train_on
        from scalemai.training.improve import missed_population
        from scalemai.training.rounds import Guard
        from scalemai.training.tuned import fine_tuning_config
    config = fine_tuning_config(read_detector(detector), settings or ())
    guard = Guard(rounds, margin, pull, anchor, rate)
    population = missed_population(evaluation, out / "errors")
    ready, code = ready_cases(
        hosts, config, cache or out / "cache", workers, labels=labels, class_map=class_map,
        layout=layout, series=series, hu_offset=hu_offset,
    )  # fmt: skip
    shown = Shown()
    tuned = train_on(
        detector, population, ready, out, config=config, guard=guard, replay=replay,
        resume=not restart, on_progress=shown,
    )  # fmt: skip
    shown.end()
    say_tuned(tuned, out)
    raise typer.Exit(code)
