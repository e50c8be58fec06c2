"""The command that compares predictions with references."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from scalemai.cli.arguments import ClassMap, Layout, Out, Seed, Workers
from scalemai.errors import ConfigError

__all__ = ["evaluate", "list_unusable"]

_MEMORY_PER_WORKER_BYTES = 2 << 30


def evaluate(
    prediction: Annotated[
        Path, typer.Argument(help="Predictions: label maps, masks, DICOM SEG, probability maps.")
    ],
    reference: Annotated[
        Path, typer.Argument(help="References: a data set, a folder of masks, or a file.")
    ],
    out: Out,
    structures: Annotated[
        str | None, typer.Option(help="Structures, comma-separated; by default all in common.")
    ] = None,
    lesions: Annotated[
        str | None, typer.Option(help="Lesion structures, or none; by default those by name.")
    ] = None,
    tolerance: Annotated[str, typer.Option(help="NSD tolerances in mm, comma-separated.")] = "2",
    rule: Annotated[
        str,
        typer.Option(help="A hit: overlap, centre, iou>=0.1; one-to-one before it for pairs."),
    ] = "overlap",
    size_bins: Annotated[
        str, typer.Option(help="Borders of the longest axial diameter in mm.")
    ] = "10,20,50",
    reference_min_mm3: Annotated[
        float, typer.Option(min=0, help="Lesions of a smaller volume are ignored.")
    ] = 0.0,
    prediction_min_mm3: Annotated[
        float, typer.Option(min=0, help="Candidates of a smaller volume are left out.")
    ] = 0.0,
    threshold: Annotated[
        float | None, typer.Option(help="Make masks from probabilities at this value.")
    ] = None,
    gate: Annotated[
        str, typer.Option(help="Cut predicted lesions to the organ: none, prediction, reference.")
    ] = "none",
    preset: Annotated[
        str | None, typer.Option(help="Published rule for patients: radgpt or r-super.")
    ] = None,
    operating_point: Annotated[
        list[Path] | None, typer.Option(help="Locked threshold that --choose wrote; repeatable.")
    ] = None,
    accept_tuning: Annotated[
        bool, typer.Option(help="Use it on the cases it was chosen on; results say so.")
    ] = False,
    choose: Annotated[
        str | None,
        typer.Option(help="Choose and lock thresholds here, e.g. 'specificity>=0.9', youden."),
    ] = None,
    missing: Annotated[
        str, typer.Option(help="A missing prediction is a failure (fail), or left out (omit).")
    ] = "fail",
    images: Annotated[
        Path | None, typer.Option(help="CTs of the cases, for contrast and for pictures.")
    ] = None,
    metadata: Annotated[
        Path | None, typer.Option(help="Table by case or patient: sex, age, ... (CSV, XLSX).")
    ] = None,
    facts: Annotated[
        bool, typer.Option(help="Look up site, kind, contrast and neighbour of each lesion.")
    ] = True,
    pictures: Annotated[int, typer.Option(min=0, help="Most pictures of worst cases.")] = 6,
    seed: Seed = 0,
    workers: Workers = None,
    class_map: ClassMap = None,
    prediction_class_map: Annotated[
        str | None, typer.Option(help="Class map of the predictions, if it is another one.")
    ] = None,
    layout: Layout = None,
) -> None:
    """Measure predictions against references: segmentation, lesions, patients."""
    from scalemai.cli.report import follow, remark
    from scalemai.engine import default_workers
    from scalemai.evaluation.files import choose_points, read_case_facts, write_evaluation
    from scalemai.evaluation.maskset import open_masks
    from scalemai.evaluation.pairing import pair
    from scalemai.evaluation.patients.operating_point import read_operating_point
    from scalemai.evaluation.pictures import worst_pictures
    from scalemai.evaluation.run import collect, evaluate_cases, open_ledger
    from scalemai.evaluation.summary import summarize

    request = _request(
        structures=structures,
        lesions=lesions,
        tolerance=tolerance,
        rule=rule,
        size_bins=size_bins,
        reference_minimum_mm3=reference_min_mm3,
        prediction_minimum_mm3=prediction_min_mm3,
        threshold=threshold,
        gate=gate,
        preset=preset,
        missing=missing,
        facts=facts,
    )
    points = [read_operating_point(path) for path in operating_point or ()]
    known = None if metadata is None else read_case_facts(metadata)
    cts = None
    if images is not None:
        from scalemai.cli.options import open_dataset

        cts = open_dataset(images)
    predictions = open_masks(prediction, class_map=prediction_class_map or class_map)
    references = open_masks(reference, class_map=class_map, layout=layout)
    pairing = pair(
        predictions,
        references,
        request,
        images=cts,
        metadata=None if known is None else known.rows,
        metadata_key="case" if known is None else known.key,
    )
    remark(pairing.notes)
    processes = workers or default_workers(_MEMORY_PER_WORKER_BYTES)
    with open_ledger(out, pairing) as ledger:
        run = evaluate_cases(pairing, out, ledger=ledger, workers=processes)
        code = follow(run, "evaluated")
        evaluation = collect(pairing, out, seed=seed)
        code = max(code, list_unusable(evaluation))
        if len(evaluation.failed) == len(pairing.cases):
            raise typer.Exit(1)
        summary = summarize(evaluation, points=points, accept_tuning=accept_tuning, seed=seed)
        drawn, failures = worst_pictures(evaluation, k=pictures) if pictures else ([], [])
        remark(failures)
        page = write_evaluation(
            summary, out, title=f"Evaluation of {prediction.name}", pictures=drawn
        )
        if choose is not None:
            for path in choose_points(evaluation, choose, out):
                typer.echo(path)
    for line in _in_short(summary):
        typer.echo(line)
    typer.echo(page)
    raise typer.Exit(code)


def _request(
    *,
    structures: str | None,
    lesions: str | None,
    tolerance: str,
    rule: str,
    size_bins: str,
    **rest: Any,
) -> Any:
    from scalemai.evaluation.lesions.bins import parse_bins
    from scalemai.evaluation.lesions.rules import parse_rule
    from scalemai.evaluation.request import Request

    none = lesions is not None and lesions.strip().lower() == "none"
    return Request(
        structures=_names(structures, "--structures") or (),
        lesions=() if none else _names(lesions, "--lesions"),
        tolerances_mm=_numbers(tolerance, "--tolerance"),
        rule=parse_rule(rule),
        bins=parse_bins(size_bins),
        **rest,
    )


def _names(text: str | None, option: str) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise ConfigError("no structure is named", where=option, fix="for example liver,spleen")
    return names


def _numbers(text: str, option: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        fix = "give numbers in mm, for example 1,2"
        raise ConfigError(f"{text!r} is no list of numbers", where=option, fix=fix) from error


def list_unusable(evaluation: Any) -> int:
    """List the predictions that cannot be used; the exit code that they give."""
    from scalemai.cli.report import failure

    for case_id, why in evaluation.unusable.items():
        typer.echo(failure(case_id, why, "unusable prediction"), err=True)
    return 1 if evaluation.unusable else 0


def _in_short(summary: Any) -> list[str]:
    """The numbers that a user waits for, a line each."""
    from scalemai.evaluation.summary import OVER_STRUCTURES

    lines = []
    for row in summary.structures.frame.iter_rows(named=True):
        if row["metric"] == "dsc" and row["statistic"] == "mean" and row["value"] is not None:
            # A case has a value for each structure.
            unit = "value" if row["structure"] == OVER_STRUCTURES else "case"
            counted = _counted(row["values"], unit)
            lines.append(f"{row['structure']}: DSC {row['value']:.3f} ({counted})")
    for one in summary.of_lesions:
        found = one.at_threshold.recall
        of = f"{_counted(found.n, 'lesion')}, {_counted(found.patients, 'patient')}"
        lines.append(f"{one.structure}: lesion sensitivity {_with(found.primary, of)}")
    for one in summary.of_patients:
        of = f"{one.positives} positive and {_counted(one.negatives, 'negative case')}"
        lines.append(f"{one.structure}: AUROC of patients {_with(one.auroc, of)}")
    return lines


def _with(estimate: Any, of: str) -> str:
    """An estimate, how sure it is or why that is not known, and what it is of."""
    if estimate.value is None:
        return str(estimate)
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f} (no interval because {estimate.reason}; {of})"
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f}; {of})"


def _counted(n: int, unit: str) -> str:
    return f"{n:,} {unit}" if n == 1 else f"{n:,} {unit}s"
