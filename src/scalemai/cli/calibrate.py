"""The command that chooses operating points and calibrates probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scalemai.cli.arguments import ClassMap, Layout, Out, Seed, Workers
from scalemai.cli.training_steps import needing_torch

if TYPE_CHECKING:
    from scalemai.evaluation.tables import Table

__all__ = ["calibrate"]

_MEMORY_PER_WORKER_BYTES = 2 << 30


def calibrate(
    detector: Annotated[Path, typer.Argument(help="Folder of a detector.")],
    predictions: Annotated[
        Path,
        typer.Argument(help="Its predictions of validation cases, or the evaluation of these."),
    ],
    out: Out,
    reference: Annotated[
        Path | None, typer.Argument(help="References; leave out if an evaluation is given.")
    ] = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(help="fp-per-scan<=1, youden, specificity>=0.9, ...; repeatable."),
    ] = None,
    level: Annotated[float, typer.Option(min=0.5, max=0.999, help="Confidence level.")] = 0.95,
    seed: Seed = 0,
    workers: Workers = None,
    class_map: ClassMap = None,
    layout: Layout = None,
) -> None:
    """Choose and lock operating points, and calibrate probabilities, on validation cases."""
    from scalemai.cli.report import remark

    with needing_torch("a detector"):
        from scalemai.detector.files import read_detector, weights_digest
        from scalemai.evaluation.patients.rules import parse_rule
        from scalemai.inference.calibration.calibrate import RULES
        from scalemai.inference.calibration.calibrate import calibrate as choose
        from scalemai.inference.calibration.files import require_predictions_of, write_calibrated
    rules = [parse_rule(text) for text in rule or RULES]  # before anything takes long
    digest = weights_digest(read_detector(detector))
    code = 0
    if reference is None:
        folder = predictions
    else:
        require_predictions_of(predictions, digest)
        folder = out / "evaluation"
        code = _evaluated(predictions, reference, folder, seed, workers, class_map, layout)
    patients, candidates, lesions = _tables(folder)
    found = choose(patients, candidates, lesions, rules=rules, seed=seed, level=level)
    for (structure, text), why in found.missed.items():
        remark([f"{structure}: {text}: not computed because {why}"])
    page = write_calibrated(found, out, detector=detector, weights_sha256=digest)
    for point in found.points:
        typer.echo(f"{point.structure}: {point.rule}: {point.kind} from {point.threshold:.4g}")
    for (unit, structure), choice in found.choices.items():
        if choice.chosen is None:
            typer.echo(f"{structure}: {unit}: not computed because {choice.reason}")
            continue
        method = choice.chosen.method
        typer.echo(
            f"{structure}: {unit}: {method}, log loss {choice.log_loss['none']} -> "
            f"{choice.log_loss[method]}, calibration error {choice.error['none']} -> "
            f"{choice.error[method]}"
        )
    typer.echo(page)
    raise typer.Exit(code)


def _tables(folder: Path) -> tuple[Table, Table, Table]:
    from scalemai.evaluation.tables import read_table

    patients, candidates, lesions = (
        read_table(folder, kind) for kind in ("patients", "candidates", "lesions")
    )
    return patients, candidates, lesions


def _evaluated(
    predictions: Path,
    reference: Path,
    folder: Path,
    seed: int,
    workers: int | None,
    class_map: str | None,
    layout: str | None,
) -> int:
    """Evaluate the predictions as ``scalemai evaluate`` does; its exit code."""
    from scalemai.cli.evaluate import list_unusable
    from scalemai.cli.report import follow, remark
    from scalemai.engine import default_workers
    from scalemai.evaluation.files import write_evaluation
    from scalemai.evaluation.maskset import open_masks
    from scalemai.evaluation.pairing import pair
    from scalemai.evaluation.request import Request
    from scalemai.evaluation.run import collect, evaluate_cases, open_ledger
    from scalemai.evaluation.summary import summarize

    pairing = pair(
        open_masks(predictions, class_map=class_map),
        open_masks(reference, class_map=class_map, layout=layout),
        Request(),
    )
    remark(pairing.notes)
    processes = workers or default_workers(_MEMORY_PER_WORKER_BYTES)
    with open_ledger(folder, pairing) as ledger:
        code = follow(
            evaluate_cases(pairing, folder, ledger=ledger, workers=processes), "evaluated"
        )
        evaluation = collect(pairing, folder, seed=seed)
        code = max(code, list_unusable(evaluation))
        if len(evaluation.failed) == len(pairing.cases):
            raise typer.Exit(1)
        title = f"Evaluation of {predictions.name}"
        write_evaluation(summarize(evaluation, seed=seed), folder, title=title)
    return code
