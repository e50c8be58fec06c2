"""The page of an evaluation: what was evaluated, how well, and what each number means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from scalemai.evaluation.definitions import Definition
from scalemai.evaluation.lesions.performance import LesionPerformance
from scalemai.evaluation.patients.performance import PatientPerformance
from scalemai.evaluation.patients.rows import scored
from scalemai.evaluation.report import (
    Block,
    Cell,
    Column,
    Fold,
    Glossary,
    KeyNumbers,
    Listing,
    Note,
    Page,
    Paragraph,
    Picture,
    Provenance,
    Section,
    TableBlock,
)
from scalemai.evaluation.report.charts.froc import FrocCurve, froc_chart
from scalemai.evaluation.report.charts.roc import RocLine, roc_chart
from scalemai.evaluation.report.charts.sizes import size_chart
from scalemai.evaluation.segmentation import STATES
from scalemai.evaluation.summary import OVER_STRUCTURES, Summary
from scalemai.statistics.estimate import Estimate
from scalemai.statistics.roc import roc_curve

__all__ = ["evaluation_page"]

_MOST_NOTES = 20
_SHOWN = ("dsc", "nsd_surfel", "hd95_mm", "assd_mm", "volume_error_share")
_HEADINGS = {
    "dsc": "DSC",
    "iou": "IoU",
    "hd_mm": "HD",
    "hd95_mm": "HD95",
    "assd_mm": "ASSD",
    "volume_error_ml": "volume error",
    "volume_error_share": "relative volume error",
}
_STATE_WORDS = {
    "both": "both hold voxels",
    "both_empty": "both empty",
    "reference_empty": "reference empty (false positive)",
    "prediction_empty": "prediction empty (missed)",
    "missing_prediction": "prediction missing",
    "unusable_prediction": "prediction unusable",
    "not_assessed": "not assessed",
}


def evaluation_page(
    summary: Summary, *, title: str = "Evaluation", pictures: Sequence[Picture] = ()
) -> Page:
    """Compose the page.

    Parameters
    ----------
    summary
        The numbers.
    title
        Heading.
    pictures
        Worst cases, from :func:`scalemai.evaluation.pictures.worst_pictures`.
    """
    evaluation = summary.evaluation
    sections = [
        Section("What was evaluated", _basis(summary)),
        Section("Segmentation", _segmentation(summary)),
    ]
    if summary.of_lesions:
        blocks: list[Block] = [_lesions(one, summary) for one in summary.of_lesions]
        blocks.append(Glossary(summary.lesions.definitions))
        sections.append(Section("Lesions", blocks))
    if summary.of_patients:
        sections.append(Section("Patients", _patients(summary)))
    if pictures:
        sections.append(Section("Worst cases", [_WORST, *pictures]))
    shown = {one.id for table in summary.tables for one in table.definitions}
    rest = {one.id: one for table in evaluation.tables for one in table.definitions}
    columns = [one for key, one in rest.items() if key not in shown]
    provenance = Provenance(evaluation.structures.cases, evaluation.structures.settings)
    meaning: list[Block] = [Glossary(columns), provenance]
    sections.append(Section("Columns of the tables, and provenance", meaning))
    request = evaluation.pairing.request
    return Page(title, _few(request.structures), sections)


_WORST = Paragraph(
    "The lowest Dice coefficients, those of lesions where there are any; each picture goes through "
    "the place of the largest disagreement."
)


def _basis(summary: Summary) -> list[Block]:
    evaluation = summary.evaluation
    pairing, request = evaluation.pairing, evaluation.pairing.request
    gone = pairing.without_prediction
    numbers: list[tuple[str, Cell]] = [
        ("cases", len(pairing.cases)),
        ("patients", evaluation.cases.frame["patient"].n_unique()),
        ("without prediction", len(gone)),
        ("with an unusable prediction", len(evaluation.unusable)),
        ("could not be evaluated", len(evaluation.failed)),
    ]
    blocks: list[Block] = [KeyNumbers(numbers)]
    if evaluation.unusable:
        how = "counted as failures" if request.missing == "fail" else "left out"
        blocks.append(
            Note(
                f"The predictions of {len(evaluation.unusable)} of {len(pairing.cases)} cases "
                f"({_few(list(evaluation.unusable))}) cannot be used, and are {how} as missing "
                f"ones are. The first: {next(iter(evaluation.unusable.values()))}",
                "warning",
            )
        )
    if evaluation.failed:
        blocks.append(
            Note(
                f"Not evaluated, and in no number: {len(evaluation.failed)} of "
                f"{len(pairing.cases)} cases ({_few(evaluation.failed)}). Mend their files and "
                "run the same command again.",
                "bad",
            )
        )
    counted = {
        "fail": "A missing prediction counts as a failure: overlaps 0, lesions missed, patients "
        "called wrongly.",
        "omit": "Missing predictions are left out of all numbers, and counted here.",
    }[request.missing]
    blocks += [Note(note, "warning") for note in pairing.notes[:_MOST_NOTES]]
    rules = [
        counted,
        "A structure without a reference mask is not assessed: nothing predicted there is right or "
        "wrong. An empty reference mask says that the structure is absent.",
    ]
    if request.lesions:
        gate = {
            "none": "Predicted lesions count wherever they lie.",
            "prediction": "Predicted lesions count within the predicted organ only.",
            "reference": "Predicted lesions count within the organ of the reference only.",
        }[request.gate]
        rules += [
            f"Matching rule: {request.rule}. Lesions below {request.reference_minimum_mm3:g} mm3 "
            f"are ignored, candidates below {request.prediction_minimum_mm3:g} mm3 left out.",
            gate,
        ]
    blocks.append(Listing(rules))
    if evaluation.notes:
        shown = list(evaluation.notes[:_MOST_NOTES])
        if more := len(evaluation.notes) - len(shown):
            shown.append(f"and {more} more like these")
        blocks.append(Fold("Remarks on single cases", [Listing(shown)]))
    return blocks


def _segmentation(summary: Summary) -> list[Block]:
    frame = summary.structures.frame
    definitions = {one.column: one for one in summary.structures.definitions}
    shown = [name for name in definitions if name.startswith(_SHOWN)]
    names = list(dict.fromkeys(frame["structure"].to_list()))
    blocks: list[Block] = [_statistics(frame, definitions, names, shown, "mean")]
    rest = [name for name in names if name != OVER_STRUCTURES]
    medians = _statistics(frame, definitions, rest, shown, "median")
    of_means = frame.filter((pl.col("statistic") == "mean") & pl.col("metric").is_in(shown))
    # Where a mean has no interval, the median is what can be relied on.
    hidden = of_means["low"].null_count() == 0
    blocks.append(Fold("Medians", [medians]) if hidden else medians)
    columns = [name for name in definitions if name not in shown]
    others = [name for name in columns if name in set(frame["metric"].to_list())]
    if others:
        table = _statistics(frame, definitions, names, others, "mean")
        blocks.append(Fold("Further metrics", [table]))
    states = summary.states.frame
    rows: list[list[Cell]] = []
    for name in rest:
        counts = dict(
            states.filter(pl.col("structure") == name).select("state", "cases").iter_rows()
        )
        rows.append([name, *(counts.get(state, 0) for state in STATES)])
    heads = ["structure", *(_STATE_WORDS[state] for state in STATES)]
    caption = "Cases by state; how each is scored is part of the definitions."
    return [*blocks, TableBlock(heads, rows, caption), Glossary(summary.structures.definitions)]


def _statistics(
    frame: pl.DataFrame,
    definitions: dict[str, Definition],
    names: Sequence[str],
    metrics: Sequence[str],
    statistic: str,
) -> TableBlock:
    found = {
        (row["structure"], row["metric"]): row
        for row in frame.filter(pl.col("statistic") == statistic).iter_rows(named=True)
    }
    rows: list[list[Cell]] = [
        [name, *(_estimate(found.get((name, metric))) for metric in metrics)] for name in names
    ]
    columns: list[str | Column] = ["structure"]
    for metric in metrics:
        one = definitions[metric]
        columns.append(Column(_short(one), one.unit, 1 if one.unit == "mm" else 3))
    caption = {
        "mean": "Means over cases, with intervals of resampled patients.",
        "median": "Medians over patients, with intervals of order statistics.",
    }[statistic]
    return TableBlock(columns, rows, caption)


def _lesions(found: LesionPerformance, summary: Summary) -> Section:
    name = str(found.structure)
    there = found.at_threshold
    numbers: list[tuple[str, Cell]] = [
        ("lesions", found.lesions),
        ("scans", found.scans),
        ("sensitivity", there.recall.primary),
        ("precision", there.precision.primary),
        ("false positives per scan", there.fp_per_scan),
    ]
    called = "all candidates" if found.threshold is None else str(found.threshold)
    blocks: list[Block] = [
        KeyNumbers(numbers),
        Paragraph(
            f"Called: {called}. {found.ignored} lesions are below the reference filter; "
            f"{found.duplicates} candidates repeat others, {found.ignored_candidates} lie on "
            f"ignored lesions; {found.many_to_one or 0} lesions are touched by several candidates, "
            f"{found.one_to_many or 0} candidates touch several lesions."
        ),
    ]
    if found.lesions:
        curve = found.froc
        blocks.append(
            froc_chart(
                [FrocCurve(name, curve.fp_per_scan, curve.sensitivity, curve.rates, curve.cpm)]
            )
        )
        own = summary.evaluation.pairing.request.bins
        for bins in dict.fromkeys(one.bins for one in found.by_size):
            parts = [one for one in found.by_size if one.bins == bins]
            labels = [part.size_bin for part in parts]
            shares = [part.sensitivity for part in parts]
            if bins == own:
                blocks.append(size_chart(labels, {name: [share.primary for share in shares]}))
            rows: list[list[Cell]] = [
                [label, share.k, share.n, share.primary, share.wilson, share.exact]
                for label, share in zip(labels, shares, strict=True)
            ]
            heads: list[str | Column] = [
                "longest axial diameter",
                "found",
                "of",
                Column("sensitivity"),
                Column("Wilson, lesions independent"),
                Column("exact, lesions independent"),
            ]
            blocks.append(
                Fold(f"Sensitivity by size, borders {bins} mm", [TableBlock(heads, rows)])
            )
    rows = [
        ["F1", there.f1],
        ["average precision", found.average_precision],
        ["CPM (mean sensitivity at the rates of LUNA16)", found.froc.cpm],
    ]
    blocks.append(TableBlock(["", "value"], rows))
    return Section(name, blocks)


def _patients(summary: Summary) -> list[Block]:
    evaluation = summary.evaluation
    score = next(iter(evaluation.pairing.request.definitions()["patients"][1:]), None)
    blocks: list[Block] = []
    if score is not None:
        blocks.append(Paragraph(f"Score of a case: {score.name}. {score.text}"))
    lines = []
    rows: list[list[Cell]] = []
    for one in summary.of_patients:
        kept = scored(evaluation.patients.frame, one.structure, evaluation.pairing.request.missing)
        if one.positives and one.negatives:
            curve = roc_curve(kept.positive, kept.score)
            lines.append(
                RocLine(
                    one.structure,
                    np.asarray(curve.false_positive_rate),
                    np.asarray(curve.sensitivity),
                    one.auroc,
                    one.sensitivity,
                    one.specificity,
                )
            )
        rows.append(_patient_row(one))
    if lines:
        blocks.append(roc_chart(lines))
    columns: list[str | Column] = [
        "structure",
        "positive",
        "negative",
        "missing",
        "not assessed",
        "threshold",
        *(Column(name) for name in _PATIENT_COLUMNS),
    ]
    caption = "One row per lesion structure; cases are counted."
    glossary = Glossary(summary.patients.definitions)
    return [*blocks, TableBlock(columns, rows, caption), glossary]


_PATIENT_COLUMNS = ("sensitivity", "specificity", "PPV", "NPV", "balanced accuracy", "AUROC")


def _patient_row(one: PatientPerformance) -> list[Cell]:
    return [
        one.structure,
        one.positives,
        one.negatives,
        one.missing,
        one.not_assessed,
        str(one.threshold) if one.threshold else None,
        one.sensitivity,
        one.specificity,
        one.ppv,
        one.npv,
        one.balanced_accuracy,
        one.auroc,
    ]


def _short(definition: Definition) -> str:
    """A heading that leaves room for numbers; the name in full is in the glossary."""
    column = definition.column
    if column.startswith("nsd_"):
        kind, _, tolerance = column.removeprefix("nsd_").rpartition("_")
        return f"NSD ({kind}), {tolerance.removesuffix('mm')} mm"
    return _HEADINGS.get(column, definition.name)


def _estimate(row: dict[str, Any] | None) -> Estimate | None:
    if row is None:
        return None
    names = ("value", "low", "high", "level", "n", "method", "reason")
    return Estimate(**{name: row[name] for name in names})


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(names[:6]) + more
