"""Comparison of detectors: areas under ROC curves, rates, lesions found, FROC curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from scalemai.errors import ConfigError
from scalemai.evaluation.comparison.detection_pairs import compared
from scalemai.evaluation.comparison.detectors import (
    COLUMNS,
    Detector,
    Paired,
    detectors_of,
    knowing_patients,
    paired,
)
from scalemai.evaluation.comparison.froc_comparison import classes_of, compare_curves
from scalemai.evaluation.comparison.locating import DETECTION, Located, locate
from scalemai.evaluation.comparison.pairs import IDENTICAL, adjust
from scalemai.evaluation.comparison.patients import read_patients
from scalemai.evaluation.comparison.question import Question
from scalemai.evaluation.comparison.results import refuse_twice
from scalemai.evaluation.definitions import Definition
from scalemai.evaluation.tables import read_table

__all__ = ["DetectionComparison", "compare_detectors", "is_of_detectors"]

_PAIRS: Mapping[str, type[pl.DataType]] = {
    "metric": pl.String, "class": pl.String, "at": pl.String,
    "first": pl.String, "second": pl.String,
    "n_cases": pl.Int64, "n": pl.Int64, "positives": pl.Int64, "negatives": pl.Int64,
    "value_first": pl.Float64, "value_second": pl.Float64,
    "difference": pl.Float64, "difference_low": pl.Float64, "difference_high": pl.Float64,
    "method": pl.String, "resampled_low": pl.Float64, "resampled_high": pl.Float64,
    "both": pl.Int64, "only_first": pl.Int64, "only_second": pl.Int64, "neither": pl.Int64,
    "p": pl.Float64, "p_holm": pl.Float64, "p_mid": pl.Float64, "p_mid_holm": pl.Float64,
    "margin": pl.Float64, "p_equivalent": pl.Float64, "p_equivalent_holm": pl.Float64,
    "equivalence_low": pl.Float64, "equivalence_high": pl.Float64, "equivalent": pl.Boolean,
    "threshold_first": pl.String, "threshold_second": pl.String,
    "missing_first": pl.Int64, "missing_second": pl.Int64,
    "verdict": pl.String, "reason": pl.String,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class DetectionComparison:
    """What was found of every pair of detectors.

    Parameters
    ----------
    question
        What was asked.
    algorithms
        Names, in the order given.
    pairs
        A row per metric, class and pair.
    unpaired
        A row per case (or lesion) that not every detector has, with those that lack it.
    definitions, cases, settings, notes
        As of :class:`scalemai.evaluation.comparison.comparing.Comparison`.
    """

    question: Question
    algorithms: tuple[str, ...]
    pairs: pl.DataFrame
    unpaired: pl.DataFrame
    definitions: tuple[Definition, ...]
    cases: Mapping[str, str]
    settings: Mapping[str, Any]
    notes: tuple[str, ...]


def is_of_detectors(results: Sequence[str | Path], metrics: Sequence[str]) -> bool:
    """Whether a comparison is of detectors: its metrics come from `patients` or `lesions`.

    A published ``sensitivity.csv``, or a column of that name in a table of structures, is a
    metric like any other.

    Raises
    ------
    ConfigError
        If some metrics or files are of detectors and others are not.
    UnreadableFileError
        If a file cannot be read.
    """
    found = [_found(results, metric) for metric in metrics]
    if any(found) and not all(found):
        other = metrics[found.index(False)]
        what = f"{other} cannot be compared together with {metrics[found.index(True)]}"
        raise ConfigError(what, where="metric", fix="compare each by a command of its own")
    return all(found)


def compare_detectors(
    results: Sequence[str | Path], question: Question, *, metadata: Path | None = None
) -> DetectionComparison:
    """Compare detectors on the cases, or lesions, that all of them have.

    Parameters
    ----------
    results, metadata
        As of :func:`scalemai.evaluation.comparison.comparing.compare`; results are folders of
        evaluations, or tables of kind ``patients`` or ``lesions``.
    question
        Metrics ``auroc``, ``sensitivity``, ``specificity``, ``lesion_sensitivity`` and ``froc``
        (sensitivity for lesions at each rate of false positives per scan). Thresholds
        are those that the tables state: a column ``threshold``, else how the cases were scored;
        else a score of at least 0.5.

    Raises
    ------
    ConfigError
        If nothing can be paired, references or definitions differ, or names stand twice.
    UnknownNameError
        If a detector lacks a class.
    UnreadableFileError
        If a file cannot be read.
    """
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    lacking: list[tuple[str, str, str]] = []
    definitions: dict[str, Definition] = {}
    files: dict[str, str] = {}
    digests: dict[str, Any] = {}
    algorithms: tuple[str, ...] = ()
    patients = None if metadata is None else read_patients(metadata)
    for number, metric in enumerate(question.metrics):
        if metric == "froc":
            curves = compare_curves(results, question, number, patients, metadata)
            algorithms = curves.algorithms
            notes += curves.notes
            lacking += curves.unpaired
            definitions |= {one.id: one for one in curves.definitions}
            files |= curves.files
            for family in curves.rows:
                rows += _judged(list(family), question)
            for case, text in curves.digests.items():
                digests.setdefault(case, sha256()).update(text.encode())
            continue
        detectors, said = _read(results, metric)
        notes += said
        if patients is not None and metadata is not None:
            detectors, said = knowing_patients(detectors, patients, metadata)
            notes += said
        algorithms = tuple(one.algorithm for one in detectors)
        notes += _same_meaning(detectors, metric)
        definitions |= {one.id: one for each in detectors for one in each.definitions}
        for one in detectors:
            files[f"{one.algorithm} · {metric}"] = sha256(one.origin.read_bytes()).hexdigest()
        for index, name in enumerate(
            classes_of([set(one.rows["structure"]) for one in detectors], question)
        ):
            both = paired(detectors, name, question.missing)
            notes += _remarks(both, metric, algorithms, question)
            lacking += [(metric, unit, names) for unit, names in both.unpaired.items()]
            rows += _pairs(both, metric, algorithms, question, (number, index))
            for case, scores in zip(both.cases, both.scores, strict=True):
                digest = digests.setdefault(case, sha256())
                digest.update(np.ascontiguousarray(scores, dtype="<f8").tobytes())
    settings: dict[str, Any] = {
        "metrics": list(question.metrics), "missing": question.missing, "level": question.level,
        "draws": question.draws, "seed": question.seed, "files": files,
        "margins": {metric: question.detection_margin(metric) for metric in question.metrics},
    }  # fmt: skip
    if metadata is not None:
        settings["patients"] = sha256(metadata.read_bytes()).hexdigest()
    schema = {"metric": pl.String, "case": pl.String, "missing_in": pl.String}
    return DetectionComparison(
        question,
        algorithms,
        pl.DataFrame(rows, schema=_PAIRS),
        pl.DataFrame(sorted(set(lacking)), schema=schema, orient="row"),
        tuple(definitions.values()),
        {case: digest.hexdigest() for case, digest in sorted(digests.items())},
        settings,
        tuple(dict.fromkeys(notes)),
    )


def _found(results: Sequence[str | Path], metric: str) -> bool:
    if metric not in DETECTION:
        return False
    located, _ = locate(results, metric)
    found = [_is_detector(one, DETECTION[metric]) for one in located]
    if any(found) and not all(found):
        yes, no = located[found.index(True)], located[found.index(False)]
        what = f"is no table of {DETECTION[metric]}, but {yes.path} is"
        raise ConfigError(what, where=no.path, fix="compare like with like")
    return bool(found) and all(found)


def _is_detector(one: Located, kind: str) -> bool:
    return one.own and set(COLUMNS[kind]) <= set(read_table(one.path).frame.columns)


def _read(
    results: Sequence[str | Path], metric: str
) -> tuple[tuple[Detector, ...], tuple[str, ...]]:
    kind = DETECTION[metric]
    located, notes = locate(results, metric)
    read = tuple(
        detector
        for one in located
        for detector in detectors_of(read_table(one.path), kind, one.path, one.algorithm)
    )
    if len(read) < 2:
        fix = "give the results of at least two"
        raise ConfigError(f"{len(read)} detector is nothing to compare", fix=fix)
    refuse_twice([one.algorithm for one in read], "algorithm", read[-1].origin)
    return read, notes


def _same_meaning(detectors: Sequence[Detector], metric: str) -> list[str]:
    """Refuse lesions that were matched by different rules; say where scores are of other kinds."""
    column = "detected" if metric == "lesion_sensitivity" else "score"
    ids = [tuple(each.id for each in one.definitions if each.column == column) for one in detectors]
    first = next((index for index, known in enumerate(ids) if known), None)
    if first is None:
        return []
    for one, known in zip(detectors, ids, strict=True):
        if not known or known == ids[first]:
            continue
        a, b = ", ".join(ids[first]), ", ".join(known)
        what = f"{detectors[first].algorithm} has {a} and {one.algorithm} has {b}"
        if column == "detected":
            fix = "evaluate all detectors with one rule"
            raise ConfigError(f"{what}: they mean other things", where=metric, fix=fix)
        return [f"{metric}: scores are of different kinds: {what}"]
    return []


def _remarks(both: Paired, metric: str, algorithms: Sequence[str], question: Question) -> list[str]:
    said = []
    where = f"{metric} of {both.name}"
    if both.unpaired:
        said.append(
            f"{where}: lists differ; compared on what is common ({len(both.units):,}), "
            f"{len(both.unpaired):,} others are listed in unpaired.csv"
        )
    if both.not_assessed:
        said.append(f"{where}: {both.not_assessed:,} without reference are left out")
    gone = [
        f"{name} {count:,}" for name, count in zip(algorithms, both.missing, strict=True) if count
    ]
    if gone:
        done = "count as wrong" if question.missing == "worst" else "are left out"
        said.append(f"{where}: predictions are missing ({', '.join(gone)}); they {done}")
    if metric in ("sensitivity", "specificity"):
        said += [
            f"{where}: {name} is called positive at a {threshold}"
            for name, threshold in zip(algorithms, both.thresholds, strict=True)
        ]
    return said


def _pairs(
    both: Paired,
    metric: str,
    algorithms: Sequence[str],
    question: Question,
    number: tuple[int, int],
) -> list[dict[str, Any]]:
    rows = []
    has_threshold = metric in ("sensitivity", "specificity")
    for index, (i, j) in enumerate(combinations(range(len(algorithms)), 2)):
        rng = np.random.default_rng([question.seed, *number, index])
        row = {
            "metric": metric,
            "class": both.name,
            "first": algorithms[i],
            "second": algorithms[j],
            "threshold_first": str(both.thresholds[i]) if has_threshold else None,
            "threshold_second": str(both.thresholds[j]) if has_threshold else None,
            "missing_first": int(both.missing[i]),
            "missing_second": int(both.missing[j]),
        }
        made = compared(
            both, i, j, metric,
            rng=rng, draws=question.draws, level=question.level,
            margin=question.detection_margin(metric),
        )  # fmt: skip
        rows.append(row | made)
    return _judged(rows, question)


def _judged(rows: list[dict[str, Any]], question: Question) -> list[dict[str, Any]]:
    """Rows of one class, which are one family of tests, with what they show."""
    adjust(rows, ["p"])
    adjust(rows, ["p_mid"])
    adjust(rows, ["p_equivalent"])
    for row in rows:
        p = row["p_equivalent_holm"]
        row["equivalent"] = None if p is None else p < question.level
        row["verdict"] = _verdict(row, question.level)
    return rows


def _verdict(row: Mapping[str, Any], level: float) -> str:
    if row.get("difference") is None:
        return f"not computed because {row['reason']}"
    within = row["equivalent"] is True
    if row["p_holm"] is None:
        same = row.get("only_first") == 0 and row.get("only_second") == 0
        return IDENTICAL if same else f"not tested because {row['reason']}"
    if row["p_holm"] == 1 and row["reason"]:
        return str(row["reason"])
    if row["p_holm"] >= level:
        return "equivalent within the margin" if within else "inconclusive"
    better = f"{row['first' if row['difference'] > 0 else 'second']} is better"
    return f"{better}, but within the margin" if within else better
