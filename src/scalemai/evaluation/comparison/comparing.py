"""The whole comparison: each metric, each class, and the mean over classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from scalemai.evaluation.comparison.agreement import agreement
from scalemai.evaluation.comparison.alignment import (
    Aligned,
    Scope,
    align,
    scopes,
)
from scalemai.evaluation.comparison.coverage import coverage, unpaired
from scalemai.evaluation.comparison.coverage import remarks as said_of
from scalemai.evaluation.comparison.locating import locate
from scalemai.evaluation.comparison.own_tables import read_own
from scalemai.evaluation.comparison.pairs import pair_table, significance_table
from scalemai.evaluation.comparison.patients import read_patients, with_patients
from scalemai.evaluation.comparison.published import read_published
from scalemai.evaluation.comparison.question import Question
from scalemai.evaluation.comparison.ranking import rank
from scalemai.evaluation.comparison.results import Results
from scalemai.evaluation.comparison.scale import bounded, direction, on_one_scale
from scalemai.evaluation.definitions import Definition

__all__ = ["Comparison", "compare", "compare_results", "read_results"]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Answers, as tables with a first column ``metric``.

    Parameters
    ----------
    question
        What was asked.
    algorithms
        Names, in the order given.
    tables
        By kind: ``pairs``, ``significance``, ``ranking``, ``places``, ``overall``,
        ``agreement`` (of metrics) and ``coverage`` (cases per algorithm and class).
    unpaired
        A row per case that not every algorithm has, with the names of those that lack it.
    definitions
        Of the metrics, where the results state them.
    cases
        Case to sha256 of the values that were compared.
    settings
        Whatever changes a number.
    notes
        Remarks to be shown.
    """

    question: Question
    algorithms: tuple[str, ...]
    tables: Mapping[str, pl.DataFrame]
    unpaired: pl.DataFrame
    definitions: tuple[Definition, ...]
    cases: Mapping[str, str]
    settings: Mapping[str, Any]
    notes: tuple[str, ...]


def compare(
    results: Sequence[str | Path], question: Question, *, metadata: Path | None = None
) -> Comparison:
    """Compare algorithms on the cases that all of them have.

    Parameters
    ----------
    results
        As of :func:`scalemai.evaluation.comparison.locating.locate`.
    question
        What is asked.
    metadata
        Table with columns ``case`` and ``patient``, for results that do not say which scans are
        of one patient.

    Raises
    ------
    ConfigError
        If nothing can be paired, scales or definitions differ, names stand twice, or patients
        disagree.
    UnreadableFileError
        If a file cannot be read.
    """
    patients = None if metadata is None else read_patients(metadata)
    read: dict[str, tuple[Results, ...]] = {}
    notes: list[str] = []
    for metric in question.metrics:
        read[metric], said = read_results(results, metric)
        notes += said
        if patients is not None and metadata is not None:
            read[metric], said = with_patients(read[metric], patients, metadata)
            notes += said
    found = compare_results(read, question, notes=tuple(dict.fromkeys(notes)))
    if metadata is None:
        return found
    digest = sha256(metadata.read_bytes()).hexdigest()
    return replace(found, settings={**found.settings, "patients": digest})


def read_results(
    results: Sequence[str | Path], metric: str
) -> tuple[tuple[Results, ...], tuple[str, ...]]:
    """Read one metric of every algorithm; errors as of :func:`compare`."""
    located, notes = locate(results, metric)
    read: list[Results] = []
    for one in located:
        if not one.own:
            read.append(read_published(one.path, one.algorithm))
            continue
        read += read_own(one.path, one.algorithm, metric)
    return tuple(read), notes


def compare_results(
    results: Mapping[str, Sequence[Results]], question: Question, *, notes: Sequence[str] = ()
) -> Comparison:
    """Compare what was read; parameters and errors as of :func:`compare`.

    ``results`` holds, by metric, one entry per algorithm.
    """
    remarks = list(notes)
    aligned: dict[str, Aligned] = {}
    margins: dict[str, float] = {}
    for metric in question.metrics:
        scaled, said = on_one_scale(results[metric], metric)
        remarks += (*said, *_settings_that_differ(scaled))
        better = direction(scaled, metric, question.better)
        margins[metric] = question.margin(metric)
        aligned[metric] = align(scaled, better, question.classes)
        remarks += said_of(aligned[metric], metric, question.missing)
    parts: dict[str, list[pl.DataFrame]] = {}
    made: dict[str, tuple[Scope, ...]] = {}
    for number, metric in enumerate(question.metrics):
        one = aligned[metric]
        made[metric] = scopes(one, question.missing)
        for index, scope in enumerate(made[metric]):
            rng = np.random.default_rng([question.seed, number, index])
            found = _answers(scope, metric, one, margins[metric], question, rng)
            for kind, frame in found.items():
                parts.setdefault(kind, []).append(_of(metric, frame))
        parts.setdefault("coverage", []).append(_of(metric, coverage(one)))
    parts["agreement"] = [agreement(made, aligned, question)]
    first = aligned[question.metrics[0]]
    return Comparison(
        question,
        first.algorithms,
        {kind: pl.concat(frames) for kind, frames in parts.items()},
        pl.concat([_of(metric, unpaired(one)) for metric, one in aligned.items()]),
        _definitions(results),
        _hashes(aligned),
        _settings(results, question, margins),
        tuple(dict.fromkeys(remarks)),
    )


def _answers(
    scope: Scope, metric: str, aligned: Aligned, margin: float, question: Question,
    rng: np.random.Generator,
) -> dict[str, pl.DataFrame]:  # fmt: skip
    names, better, level = aligned.algorithms, aligned.better, question.level
    pairs = pair_table(scope, names, better, margin=margin, level=level)
    significance = significance_table(scope, names, pairs, better, level=level)
    places = rank(
        scope, names, significance, better, rng=rng, draws=question.draws, level=level,
        unbounded=not bounded(metric),
    )  # fmt: skip
    return {
        "pairs": pairs,
        "significance": significance,
        "ranking": places.algorithms,
        "places": places.places,
        "overall": places.overall,
    }


def _of(metric: str, frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(pl.lit(metric).alias("metric"), pl.all())


def _settings_that_differ(results: Sequence[Results]) -> list[str]:
    """Say which settings of our own evaluations are not the same for all algorithms."""
    known = [one for one in results if one.settings]
    names = dict.fromkeys(name for one in known for name in one.settings)
    differ = [
        name
        for name in names
        if any(one.settings.get(name) != known[0].settings.get(name) for one in known)
    ]
    if not differ:
        return []
    return [f"the algorithms were evaluated with different settings: {', '.join(sorted(differ))}"]


def _definitions(results: Mapping[str, Sequence[Results]]) -> tuple[Definition, ...]:
    found = [one.definition for many in results.values() for one in many if one.definition]
    return tuple({definition.id: definition for definition in found}.values())


def _hashes(aligned: Mapping[str, Aligned]) -> dict[str, str]:
    """sha256 over the values of a case as they were read: metrics, algorithms and classes."""
    digests: dict[str, Any] = {}
    for one in aligned.values():
        for row, case in enumerate(one.cases):
            digest = digests.setdefault(case, sha256())
            digest.update(np.ascontiguousarray(one.values[row], dtype="<f8").tobytes())
    return {case: digest.hexdigest() for case, digest in sorted(digests.items())}


def _settings(
    results: Mapping[str, Sequence[Results]], question: Question, margins: Mapping[str, float]
) -> dict[str, Any]:
    return {
        "metrics": list(question.metrics),
        "classes": list(question.classes) or "all that every algorithm has",
        "margins": dict(margins),
        "missing": question.missing,
        "level": question.level,
        "draws": question.draws,
        "seed": question.seed,
        "unit_of_tests": "patient; cases where patients are not known",
        "zeros": "pratt",
        "files": {
            f"{one.algorithm} · {metric}": sha256(one.origin.read_bytes()).hexdigest()
            for metric, many in results.items()
            for one in many
        },
    }
