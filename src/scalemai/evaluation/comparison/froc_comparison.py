"""Comparison of detectors by their FROC curves, from the results to rows of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from scalemai.errors import ConfigError
from scalemai.evaluation.comparison.froc_pairs import (
    FrocDetector,
    FrocPaired,
    froc_detector,
    froc_paired,
    froc_rows,
)
from scalemai.evaluation.comparison.locating import locate
from scalemai.evaluation.comparison.patients import unknown
from scalemai.evaluation.comparison.question import Question
from scalemai.evaluation.comparison.results import refuse_twice
from scalemai.evaluation.definitions import Definition
from scalemai.evaluation.row_digests import row_digests

__all__ = ["CurveComparison", "classes_of", "compare_curves"]


@dataclass(frozen=True, eq=False)
class CurveComparison:
    """What was found of the curves of detectors.

    Parameters
    ----------
    algorithms
        Names.
    rows
        One family of rows per class.
    unpaired
        Metric, scan and the detectors that lack it.
    definitions, notes
        Of the tables; remarks.
    files
        Which table of which detector, with the SHA-256 of the file.
    digests
        Scan to the hash of what the tables say of it.
    """

    algorithms: tuple[str, ...]
    rows: tuple[tuple[dict[str, Any], ...], ...]
    unpaired: tuple[tuple[str, str, str], ...]
    definitions: tuple[Definition, ...]
    notes: tuple[str, ...]
    files: Mapping[str, str]
    digests: Mapping[str, str]


def compare_curves(
    results: Sequence[str | Path],
    question: Question,
    number: int,
    patients: Mapping[str, str] | None = None,
    metadata: Path | None = None,
) -> CurveComparison:
    """Compare the FROC curves of detectors.

    Parameters
    ----------
    results, question, metadata
        As of :func:`scalemai.evaluation.comparison.detection.compare_detectors`.
    number
        Place of the metric in the question, which gives its draws their own stream.
    patients
        What ``metadata`` says.

    Raises
    ------
    ConfigError, UnknownNameError, UnreadableFileError
        As of :func:`~scalemai.evaluation.comparison.froc_pairs.froc_detector` and
        :func:`~scalemai.evaluation.comparison.froc_pairs.froc_paired`; or if detectors were
        matched by different rules.
    """
    located, notes = locate(results, "froc")
    if len(located) < 2:
        fix = "give the results of at least two"
        raise ConfigError(f"{len(located)} detector is nothing to compare", fix=fix)
    refuse_twice([one.algorithm for one in located], "algorithm", located[-1].path)
    curves = [froc_detector(one.path, one.algorithm) for one in located]
    said = list(notes)
    if patients is not None and metadata is not None:
        every = [case for one in curves for scans in one.scans.values() for case in scans]
        said += unknown(every, patients, metadata)
        curves = [one.knowing_patients(patients, metadata) for one in curves]
    _require_one_rule(curves)
    names = tuple(one.algorithm for one in curves)
    rows, lacking = [], []
    digests: dict[str, list[str]] = {}
    for index, name in enumerate(classes_of([set(one.scans) for one in curves], question)):
        both = froc_paired(curves, name, question)
        said += _remarks(both, names, question)
        lacking += [("froc", scan, algorithms) for scan, algorithms in both.unpaired.items()]
        rows.append(tuple(froc_rows(both, names, question, (number, index))))
        for scan in both.scans:
            digests.setdefault(scan, []).append(name)
    for one in curves:
        for frame in (one.lesions, one.candidates):
            of_scans = row_digests(frame, one.algorithm)
            for scan, parts in digests.items():
                parts.append(of_scans.get(scan, ""))
    return CurveComparison(
        names,
        tuple(rows),
        tuple(lacking),
        tuple({one.id: one for each in curves for one in each.definitions}.values()),
        tuple(said),
        {f"{one.algorithm} · {kind}": digest for one in curves for kind, digest in one.files},
        {scan: sha256("\n".join(parts).encode()).hexdigest() for scan, parts in digests.items()},
    )


def classes_of(every: Sequence[set[str]], question: Question) -> tuple[str, ...]:
    """The classes that are asked for; by default those that all detectors have.

    Raises
    ------
    ConfigError
        If one is asked for twice, or none is common to all.
    """
    if question.classes:
        refuse_twice(list(question.classes), "class", Path("--class"))
        return question.classes
    shared = sorted(set.intersection(*every))
    if not shared:
        raise ConfigError("no class is common to all detectors", fix="name classes alike")
    return tuple(shared)


def _require_one_rule(curves: Sequence[FrocDetector]) -> None:
    for column in ("verdict", "detected"):
        ids = [{d.id for d in one.definitions if d.column == column} for one in curves]
        for one, known in zip(curves, ids, strict=True):
            if known and ids[0] and known != ids[0]:
                a, b = (", ".join(sorted(some)) for some in (ids[0], known))
                what = f"{curves[0].algorithm} has {a} and {one.algorithm} has {b}"
                fix = "evaluate all detectors with one rule"
                raise ConfigError(f"{what}: they mean other things", where="froc", fix=fix)


def _remarks(both: FrocPaired, algorithms: Sequence[str], question: Question) -> list[str]:
    said = both.ends(algorithms)
    where = f"froc of {both.name}"
    if both.unpaired:
        said.append(
            f"{where}: lists differ; compared on what is common ({len(both.scans):,}), "
            f"{len(both.unpaired):,} others are listed in unpaired.csv"
        )
    gone = [
        f"{name} {count:,}" for name, count in zip(algorithms, both.missing, strict=True) if count
    ]
    if gone:
        said.append(f"{where}: predictions are missing ({', '.join(gone)}); they find no lesion")
    unscored = [name for name, one in zip(algorithms, both.found, strict=True) if not one.scored]
    if unscored:
        names = ", ".join(unscored)
        said.append(f"{where}: candidates of {names} have no scores: their curves are one point")
    return said
