"""The command that adapts detectors to new hospitals."""

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
    Population,
    Restart,
    Rounds,
    Series,
    Settings,
    Workers,
)
from scalemai.cli.training_steps import Shown, needing_torch, ready_cases, say_tuned

__all__ = ["adapt"]


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
    population: Population = None,
    rate: Annotated[
        float, typer.Option(help="False candidates per scan at which sensitivity is read.")
    ] = 1.0,
    margin: Annotated[
        float, typer.Option(help="Loss of sensitivity on the source at which it stops.")
    ] = 0.05,
    anchor: Annotated[
        float, typer.Option(help="Weight of the distance to the old weights in the loss (L2-SP).")
    ] = 0.0,
    pull: Annotated[
        float | None,
        typer.Option(help="Share of the way back after each round; 0.2 without source and anchor."),
    ] = None,
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
    """Adapt a detector to a new hospital's scans, without annotations; or keep it as it is."""
    with needing_torch("training"):
        from scalemai.detector.files import read_detector
        from scalemai.synthesis.populations.population import read_population
        from scalemai.training.adapt import PULL
        from scalemai.training.adapt import adapt as adapt_to
        from scalemai.training.rounds import Guard
        from scalemai.training.tuned import fine_tuning_config
    config = fine_tuning_config(read_detector(detector), settings or ())
    held = (PULL if source is None and not anchor else 0.0) if pull is None else pull
    guard = Guard(rounds, margin, held, anchor, rate)
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
