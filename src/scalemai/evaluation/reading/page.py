"""The page of a reader study."""

from __future__ import annotations

import numpy as np

from scalemai.evaluation.reading.definitions import DEFINITIONS
from scalemai.evaluation.reading.figures import FIGURES, rating
from scalemai.evaluation.reading.study import NOT_INTERPRETABLE, Study
from scalemai.evaluation.report import (
    Block,
    Cell,
    Column,
    Fold,
    Glossary,
    KeyNumbers,
    Note,
    Page,
    Paragraph,
    Provenance,
    Section,
    TableBlock,
)
from scalemai.evaluation.report.charts import (
    ForestRow,
    ReaderPoint,
    RocLine,
    forest_chart,
    readers_chart,
)
from scalemai.statistics.roc import roc_curve

__all__ = ["study_page"]

_NAMES = {one.column: one.name for one in DEFINITIONS}


def study_page(study: Study) -> Page:
    """Compose the page: verdict, readers, agreement, model, definitions.

    Parameters
    ----------
    study
        What was found.
    """
    reads = study.reads
    real = int(reads.real.sum())
    sections = [
        Section("Can readers tell?", _verdict(study)),
        Section("Each reader", _readers(study)),
        Section("All readers", _pooled(study)),
        Section("Agreement", _agreement(study)),
        Section("Mixed logistic model", _model(study)),
        Section(
            "Definitions and provenance",
            [Glossary(DEFINITIONS), Provenance(dict(study.reads.hashes), dict(study.settings))],
        ),
    ]
    subtitle = (
        f"{len(reads.readers)} readers, {real} real and {len(reads.cases) - real} synthetic cases, "
        f"{int((reads.answer >= 0).sum())} first reads"
    )
    return Page("Reader study: real or synthetic?", subtitle, sections)


def _verdict(study: Study) -> list[Block]:
    blocks: list[Block] = [Note(note, "warning") for note in study.reads.notes]
    for kind, whom in (("fixed", "these readers"), ("random", "all readers like these")):
        passing = study.passing[kind]
        margin = f"0.5 +- {passing.margin:g}"
        if passing.constant:
            text = f"Equivalence for {whom}: {NOT_INTERPRETABLE}, of every reader."
            blocks.append(Note(text, "warning"))
        elif passing.interval.low is None:
            text = f"Equivalence for {whom}: not computed because {passing.interval.reason}."
            blocks.append(Note(text, "info"))
        elif passing.passed:
            text = f"The mean balanced accuracy of {whom} is shown to be within {margin}"
            blocks.append(Note(f"{text} ({passing.interval}).", "good"))
        else:
            text = (
                f"It is not shown that the mean balanced accuracy of {whom} is within {margin} "
                f"({passing.interval}, {passing.interval.level:.0%} interval)."
            )
            blocks.append(Note(text, "warning"))
    figures = ("balanced_accuracy", "d_prime", "criterion")
    blocks.append(KeyNumbers([(_NAMES[name], study.random[name]) for name in figures]))
    blocks.append(
        Paragraph(
            "A specificity near 0.5 is not chance: read d', balanced accuracy and the criterion "
            "together. Not significantly different from 0.5 does not mean indistinguishable; "
            "equivalence is what is tested here."
        )
    )
    return blocks


def _readers(study: Study) -> list[Block]:
    points = [
        ReaderPoint(one.reader, one.figures["sensitivity"], one.figures["specificity"])
        for one in study.readers
    ]
    rows: list[list[Cell]] = [
        [one.reader, *(one.figures[name] for name in FIGURES)] for one in study.readers
    ]
    tests: list[list[Cell]] = [
        [
            one.reader, one.real, one.synthetic, one.missing, one.equivalence.p,
            one.equivalence.p_difference, one.conclusion, one.constant,
            one.repeat_kappa, one.seconds,
        ]
        for one in study.readers
    ]  # fmt: skip
    columns: list[str | Column] = [
        "reader", "real", "synthetic", "not read", Column("p, equivalent", kind="p"),
        Column("p, different", kind="p"), "conclusion", "one answer throughout",
        Column("kappa with himself", digits=2), Column("time per read", unit="s", digits=1),
    ]  # fmt: skip
    forest = [ForestRow(one.reader, one.figures["balanced_accuracy"]) for one in study.readers]
    return [
        readers_chart(points, _curve(study)),
        forest_chart(
            forest, label="balanced accuracy", reference=0.5, reference_label="chance, 0.5"
        ),
        TableBlock(["reader", *(Column(_NAMES[name]) for name in FIGURES)], rows, "Each reader."),
        TableBlock(
            columns,
            tests,
            "Equivalence of balanced accuracy with 0.5 (two one-sided tests). Times are geometric "
            "means. P-values of readers are not adjusted for their number.",
        ),
    ]


def _curve(study: Study) -> RocLine | None:
    reads = study.reads
    rated = np.stack([rating(reads, k) for k in range(len(reads.readers))])
    known = np.isfinite(rated)
    if not known.any():
        return None
    curve = roc_curve(np.broadcast_to(reads.real, rated.shape)[known], rated[known])
    return RocLine(
        "all readers' confidence", curve.false_positive_rate, curve.sensitivity, study.fixed["auc"]
    )


def _pooled(study: Study) -> list[Block]:
    rows: list[list[Cell]] = [
        [_NAMES[name], study.fixed[name], study.random[name]] for name in FIGURES
    ]
    caption = (
        "Means over readers. These readers: only cases are a sample. All such readers: readers "
        "and cases are (Obuchowski-Rockette, degrees of freedom after Hillis)."
    )
    return [TableBlock(["figure", "these readers", "all such readers"], rows, caption)]


def _agreement(study: Study) -> list[Block]:
    rows: list[list[Cell]] = [["Fleiss kappa", study.fleiss], ["Gwet AC1", study.ac1]]
    text = (
        "Agreement of readers with one another, beyond chance. Kappa falls where one answer is "
        "rare, AC1 hardly does."
    )
    return [Paragraph(text), TableBlock(["coefficient", "value"], rows)]


def _model(study: Study) -> list[Block]:
    if study.mixed.reason:
        return [Note(f"Not computed because {study.mixed.reason}.", "info")]
    rows: list[list[Cell]] = [[name, one] for name, one in study.mixed.coefficients.items()]
    spread: list[list[Cell]] = [[name, sd] for name, sd in study.mixed.deviations.items()]
    text = (
        "Log odds of the answer real, with crossed random effects of readers (habit and ability) "
        "and cases; maximum likelihood by Laplace's approximation. With few readers its normal "
        "intervals are too short for other readers; the figures of all such readers are not."
    )
    return [
        Paragraph(text),
        TableBlock(["coefficient", "log odds"], rows),
        Fold("Standard deviations of the effects", [TableBlock(["effect", "SD"], spread)]),
    ]
