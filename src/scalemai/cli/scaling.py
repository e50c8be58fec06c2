"""The command that fits scaling laws."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalemai.cli.arguments import Out, Seed

__all__ = ["scaling"]


def scaling(
    table: Annotated[
        Path,
        typer.Argument(
            help="CSV or Parquet: n_real, n_synthetic, draw, seed, case, patient, and a measure."
        ),
    ],
    out: Out,
    metric: Annotated[
        str | None, typer.Option(help="Column of the measure; 'value' or the only one by default.")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(help="Column of the groups; 'group' or 'domain' by default, if there is one."),
    ] = None,
    margin: Annotated[
        float | None, typer.Option(help="Gain that does not matter; by default one point.")
    ] = None,
    gain: Annotated[
        list[float] | None, typer.Option(help="Gain to plan for; by default two points.")
    ] = None,
    at: Annotated[
        list[float] | None, typer.Option(help="Number of real scans to foretell.")
    ] = None,
    better: Annotated[
        str | None, typer.Option(help="higher or lower, if the measure does not tell.")
    ] = None,
    perfect: Annotated[
        float | None, typer.Option(help="Best possible value, if the measure does not tell.")
    ] = None,
    level: Annotated[float, typer.Option(help="Confidence level.")] = 0.95,
    resamples: Annotated[int, typer.Option(help="Resamples of patients and runs.")] = 2000,
    seed: Seed = 0,
) -> None:
    """Say what more training scans give, and what a synthetic scan is worth."""
    from scalemai.cli.report import remark
    from scalemai.evaluation.scaling.analysis import read_scaling
    from scalemai.evaluation.scaling.files import write_scaling
    from scalemai.evaluation.scaling.question import Question

    question = Question(
        metric,
        by,
        better,  # type: ignore[arg-type]  # Question checks it
        perfect,
        margin,
        tuple(gain or ()),
        tuple(at or ()),
        level,
        resamples,
        seed,
    )
    found = read_scaling(table, question)
    for group in found.groups:
        remark([f"{group.name}: {note}" for note in group.notes])
    page = write_scaling(found, out)
    for group in found.groups:
        typer.echo(f"{group.name}: {group.verdict}; {group.plateau}")
        for worth in group.worths:
            if group.chosen is None or worth.law == group.chosen.law.name:
                unit = " real scans each" if worth.per_scan.computed else ""
                typer.echo(f"{group.name}: {worth.arm}: {worth.per_scan}{unit}")
        for one in group.plans:
            if group.chosen is not None and one.law == group.chosen.law.name:
                typer.echo(f"{group.name}: {one}")
    typer.echo(page)
