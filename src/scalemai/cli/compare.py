"""The command that compares algorithms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scalemai.cli.arguments import Out, Seed

if TYPE_CHECKING:
    from scalemai.evaluation.comparison.question import Question

__all__ = ["compare"]


def compare(
    results: Annotated[
        list[str],
        typer.Argument(
            help="Folders or files, one per algorithm, or a folder of them; NAME=PATH names one."
        ),
    ],
    out: Out,
    metric: Annotated[
        str,
        typer.Option(
            help="Metrics, comma-separated; of detectors: auroc, sensitivity, specificity, "
            "lesion_sensitivity, froc."
        ),
    ] = "dsc",
    classes: Annotated[
        str | None, typer.Option("--class", help="Classes, comma-separated; all by default.")
    ] = None,
    margin: Annotated[
        str | None,
        typer.Option(help="Difference that does not matter: 0.02, or METRIC=0.02,METRIC=1."),
    ] = None,
    missing: Annotated[
        str, typer.Option(help="A missing value counts as the worst one, or is omitted.")
    ] = "worst",
    better: Annotated[
        str | None, typer.Option(help="higher or lower, for metrics that are not known.")
    ] = None,
    metadata: Annotated[
        Path | None, typer.Option(help="Table of case and patient, to join repeated scans.")
    ] = None,
    level: Annotated[float, typer.Option(help="Level of all tests of a class together.")] = 0.05,
    draws: Annotated[int, typer.Option(help="Resamples of patients.")] = 2000,
    seed: Seed = 0,
) -> None:
    """Compare algorithms case by case: differences, significance, equivalence, ranking."""
    from scalemai.cli.report import remark
    from scalemai.evaluation.comparison.comparing import compare as compare_all
    from scalemai.evaluation.comparison.detection import is_of_detectors
    from scalemai.evaluation.comparison.files import write_comparison
    from scalemai.evaluation.comparison.question import parse_question

    question = parse_question(
        metric, classes, margin, missing=missing, better=better, level=level, draws=draws, seed=seed
    )
    if is_of_detectors(results, question.metrics):
        _detectors(results, question, out, metadata)
        return
    comparison = compare_all(results, question, metadata=metadata)
    remark(comparison.notes)
    page = write_comparison(comparison, out)
    for row in comparison.tables["ranking"].filter(place=1).iter_rows(named=True):
        stable = (
            f"stability not computed because {row['reason']}"
            if row["probability_first"] is None
            else f"first in {row['probability_first']:.0%} of resamples"
        )
        typer.echo(
            f"{row['metric']} · {row['class']}: {row['algorithm']} has the best mean, "
            f"{row['mean']:.4g}; {stable}, significantly better than {row['better_than']} of "
            f"{len(comparison.algorithms) - 1}"
        )
    typer.echo(page)


def _detectors(results: list[str], question: Question, out: Path, metadata: Path | None) -> None:
    from scalemai.cli.report import remark
    from scalemai.evaluation.comparison.detection import compare_detectors
    from scalemai.evaluation.comparison.files import write_detection

    found = compare_detectors(results, question, metadata=metadata)
    remark(found.notes)
    page = write_detection(found, out)
    for row in found.pairs.iter_rows(named=True):
        at = f" at {row['at']}" if row["at"] else ""
        line = f"{row['metric']}{at} · {row['class']}: {row['first']} against {row['second']}: "
        if row["difference"] is not None:
            line += f"{row['value_first']:.3f} and {row['value_second']:.3f}, "
            line += f"difference {row['difference']:.3f}"
            if row["difference_low"] is not None:
                line += f" ({row['difference_low']:.3f} to {row['difference_high']:.3f})"
            if row["p_holm"] is not None:
                line += f", p {row['p_holm']:.3g}"
            if row["p_equivalent_holm"] is not None:
                line += f", equivalent within {row['margin']:g} p {row['p_equivalent_holm']:.3g}"
            line += "; "
        typer.echo(line + row["verdict"])
    typer.echo(page)
