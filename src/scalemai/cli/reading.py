"""The command for reader studies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalemai.cli.arguments import Out, Seed
from scalemai.errors import ConfigError

__all__ = ["reader_study"]


def reader_study(
    out: Out,
    table: Annotated[
        Path | None,
        typer.Argument(
            help="CSV or Parquet: reader, case, truth, answer; confidence, seconds, repeat."
        ),
    ] = None,
    margin: Annotated[
        float, typer.Option(help="Distance of balanced accuracy from 0.5 that does not matter.")
    ] = 0.1,
    level: Annotated[float, typer.Option(help="Confidence level.")] = 0.95,
    plan: Annotated[
        str | None,
        typer.Option(metavar="READERSxCASES", help="Power instead, e.g. 3x100,200,240."),
    ] = None,
    d_prime: Annotated[float, typer.Option(help="Presumed d' of readers, for --plan.")] = 0.0,
    criterion: Annotated[float, typer.Option(help="Presumed criterion, for --plan.")] = 0.0,
    reader_sd: Annotated[
        float, typer.Option(help="Spread of d' and criterion between readers, for --plan.")
    ] = 0.0,
    case_sd: Annotated[
        float, typer.Option(help="Spread of cases that readers share, for --plan.")
    ] = 0.0,
    seed: Seed = 0,
) -> None:
    """Analyse or plan a visual Turing test: can readers tell real from synthetic?"""
    from scalemai.cli.report import remark
    from scalemai.evaluation.reading.files import write_plan, write_study
    from scalemai.evaluation.reading.planning import Plan, plan_study
    from scalemai.evaluation.reading.reads import read_reads
    from scalemai.evaluation.reading.study import analyse

    if (table is None) == (plan is None):
        what = "is there neither" if table is None else "are there both"
        fix = "give one: TABLE to analyse, --plan to plan"
        raise ConfigError(f"{what}", where="TABLE and --plan", fix=fix)
    if plan is not None:
        readers, cases = _numbers(plan)
        presumed = Plan(
            d_prime,
            criterion,
            reader_sd,
            reader_sd,
            case_sd,
            margin,
            round(1 - level, 12),
            seed=seed,
        )
        designs = plan_study(readers, cases, presumed)
        for design in designs:
            pooled = "" if design.random is None else f", readers like these {design.random:.2f}"
            typer.echo(
                f"{design.readers} reader{'s' * (design.readers > 1)} x {design.cases} cases: "
                f"power of one reader "
                f"{design.one_reader:.2f}, of all {design.all_readers:.2f}, of their mean "
                f"{design.fixed:.2f}{pooled}"
            )
        typer.echo(write_plan(designs, presumed, out))
        return
    assert table is not None
    study = analyse(read_reads(table), margin=margin, level=level)
    remark(study.reads.notes)
    page = write_study(study, out)
    for one in study.readers:
        typer.echo(
            f"{one.reader}: balanced accuracy {one.figures['balanced_accuracy']}, "
            f"d' {one.figures['d_prime']}; {one.conclusion}"
        )
    typer.echo(page)


def _numbers(text: str) -> tuple[list[int], list[int]]:
    readers, _, cases = text.partition("x")
    try:
        return [int(one) for one in readers.split(",")], [int(one) for one in cases.split(",")]
    except ValueError:
        fix = "give READERSxCASES, for example 3x100,200,240"
        raise ConfigError(f"{text!r} is no plan", where="--plan", fix=fix) from None
