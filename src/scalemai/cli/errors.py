"""The command that finds where a detector errs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalemai.cli.arguments import Out

__all__ = ["errors"]


def errors(
    results: Annotated[
        Path, typer.Argument(help="Folder that an evaluation wrote, with the table of lesions.")
    ],
    out: Out,
    metadata: Annotated[
        Path | None, typer.Option(help="Table with case or patient: phase, manufacturer, ...")
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Further factors, comma-separated columns.")
    ] = None,
    algorithm: Annotated[
        str | None, typer.Option(help="Which one, if the tables hold several.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Score from which on a candidate counts.")
    ] = None,
    size_bins: Annotated[
        str | None, typer.Option(help="Borders in mm; by default 10,20,50.")
    ] = None,
    together: Annotated[int, typer.Option(min=1, help="Most factors together.")] = 3,
    minimum: Annotated[int, typer.Option(min=1, help="Fewest lesions of a cell.")] = 10,
    floor: Annotated[
        float, typer.Option(help="Share of synthetic lesions that follows those there are.")
    ] = 0.2,
    smoothing: Annotated[
        float, typer.Option(help="Lesions at the organ's rate added to each kind and site.")
    ] = 5.0,
    level: Annotated[float, typer.Option(help="Confidence level.")] = 0.95,
) -> None:
    """Find where a detector errs, and write the population of lesions that it needs more of."""
    from scalemai.cli.report import remark
    from scalemai.evaluation.errors.analysis import Options, analyse_errors
    from scalemai.evaluation.errors.files import POPULATION, write_errors
    from scalemai.evaluation.errors.results import read_results
    from scalemai.evaluation.lesions.bins import DEFAULT_BINS, parse_bins

    options = Options(
        bins=DEFAULT_BINS if size_bins is None else parse_bins(size_bins),
        further=tuple(name.strip() for name in by.split(",") if name.strip()) if by else (),
        together=together,
        fewest=minimum,
        floor=floor,
        smoothing=smoothing,
        level=level,
    )
    read = read_results(results, metadata=metadata, threshold=threshold, algorithm=algorithm)
    found = analyse_errors(read, options)
    remark(found.notes)
    page = write_errors(found, out)
    for of, weaknesses in (
        ("lesions missed", found.weaknesses),
        ("candidates false", found.false_weaknesses),
    ):
        for one in weaknesses:
            typer.echo(f"{one.cell}: {one.errors} of {one.n} {of}, {one.excess:.1f} in excess")
    if found.wanted is not None:
        typer.echo(out / POPULATION)
    typer.echo(page)
