"""The command that compares groups of patients."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scalemai.cli.arguments import Out, Seed
from scalemai.errors import ConfigError

if TYPE_CHECKING:
    from scalemai.evaluation.comparison.scale import Better

__all__ = ["subgroups"]


def subgroups(
    results: Annotated[Path, typer.Argument(help="Table, or folder of an evaluation.")],
    metadata: Annotated[
        Path, typer.Argument(help="CSV or Parquet with a row per case or patient.")
    ],
    out: Out,
    by: Annotated[str, typer.Option(help="Columns, comma-separated; sex+age is an intersection.")],
    metric: Annotated[
        str,
        typer.Option(
            help="A column of the results; or auroc, sensitivity, specificity, fpr, "
            "lesion_sensitivity, fp_per_scan."
        ),
    ] = "dsc",
    structure: Annotated[str | None, typer.Option(help="Structure, if there are several.")] = None,
    bins: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=EDGES", help="Bins of numbers, e.g. age=40,60."),
    ] = None,
    adjust: Annotated[
        str | None, typer.Option(help="Columns to adjust groups for, comma-separated.")
    ] = None,
    in_distribution: Annotated[
        str | None,
        typer.Option(metavar="COLUMN=A,B", help="Where training cases came from: hospital=A,B."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Score from which a patient, or a candidate, is called positive."),
    ] = None,
    minimum: Annotated[int, typer.Option(help="Fewest patients of a group.")] = 10,
    missing: Annotated[
        str, typer.Option(help="A missing prediction counts as the worst, or is omitted.")
    ] = "worst",
    better: Annotated[
        str | None, typer.Option(help="higher or lower, for metrics that are not known.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="Join by case or by patient.")] = None,
    level: Annotated[float, typer.Option(help="Confidence level.")] = 0.95,
    draws: Annotated[int, typer.Option(help="Resamples of patients.")] = 2000,
    seed: Seed = 0,
) -> None:
    """Compare groups of patients: gaps with intervals, tests, adjustment, hospitals."""
    from scalemai.cli.report import remark
    from scalemai.evaluation.subgroups.comparing import compare_groups
    from scalemai.evaluation.subgroups.files import write_subgroups
    from scalemai.evaluation.subgroups.grouping import parse_edges, parse_factors
    from scalemai.evaluation.subgroups.outcomes import read_outcome
    from scalemai.evaluation.subgroups.question import Question
    from scalemai.evaluation.tables import read_table

    question = Question(
        parse_factors(by),
        parse_edges(bins or ()),
        _listed(adjust),
        minimum,
        None if in_distribution is None else _home(in_distribution),
        level,
        draws,
        seed,
    )
    outcome = read_outcome(
        results, metric, structure, threshold=threshold, missing=missing, better=_better(better)
    )
    table = read_table(metadata).frame
    digest = sha256(metadata.read_bytes()).hexdigest()
    found = compare_groups(outcome, table, question, key=key, where=str(metadata), digest=digest)
    remark(
        [*found.notes, *(f"{one.factor}: {note}" for one in found.factors for note in one.notes)]
    )
    page = write_subgroups(found, out)
    for one in found.factors:
        worst = next((group for group in one.groups if group.worst), None)
        tail = "" if worst is None else f"; worst: {worst.name}, {worst.estimate}"
        typer.echo(f"{one.factor}: largest gap {one.largest_gap}{tail}")
    typer.echo(page)


def _listed(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def _home(text: str) -> tuple[str, tuple[str, ...]]:
    column, _, names = text.partition("=")
    if not column.strip() or not _listed(names):
        fix = "give COLUMN=A,B, for example hospital=A,B"
        raise ConfigError(f"{text!r} names no hospitals", where="--in-distribution", fix=fix)
    return column.strip(), _listed(names)


def _better(text: str | None) -> Better | None:
    if text not in (None, "higher", "lower"):
        fix = "give higher or lower"
        raise ConfigError(f"{text!r} is no direction", where="--better", fix=fix)
    return "higher" if text == "higher" else "lower" if text == "lower" else None
