"""A threshold chosen on validation cases and locked for the test.

The file says by which rule and on which cases the threshold was chosen. Cases and patients are
named by the SHA-256 of their ids, so that the file can be published; ids that are easy to guess
can be guessed from it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalemai._version import __version__
from scalemai.errors import ConfigError, UnreadableFileError
from scalemai.evaluation.patients.rows import require_one_algorithm, scored
from scalemai.evaluation.patients.rules import Rule, choose_threshold, parse_rule
from scalemai.evaluation.patients.threshold import TUNED, Threshold
from scalemai.evaluation.tables import Table
from scalemai.io.atomic import atomic_path
from scalemai.statistics.roc import RocCurve, roc_curve

__all__ = [
    "OperatingPoint",
    "ValidationCase",
    "apply_operating_point",
    "choose_operating_point",
    "read_operating_point",
    "write_operating_point",
]

_FORMAT = "scalemai operating point/1"


@dataclass(frozen=True, slots=True)
class ValidationCase:
    """A case that an operating point was chosen on, without its name.

    Parameters
    ----------
    case, patient
        SHA-256 of the ids.
    files
        SHA-256 of its prediction and reference files; empty if unknown.
    lesions
        SHA-256 of the voxels of the structure, which does not change with what else is evaluated
        or with how masks are stored; empty if unknown, or if no voxel is set. In points chosen
        by earlier versions, of its files.
    """

    case: str
    patient: str
    files: str = ""
    lesions: str = ""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold, how and on what it was chosen.

    Parameters
    ----------
    kind
        Whether it cuts scores of patients (cases) or of candidates.
    structure
        Which structure.
    rule
        The rule that chose it, as text.
    threshold
        A score of at least this is called.
    score
        Ids of the definitions of the score that it cuts.
    definitions
        Ids of all definitions of the table that it was chosen on.
    validation
        Counts that it achieved on the validation cases: optimistic, as it was chosen on them.
    cases
        The validation cases.
    version
        Version of ScaleMAI that chose it.
    """

    kind: Literal["patients", "candidates"]
    structure: str
    rule: str
    threshold: float
    score: tuple[str, ...]
    definitions: tuple[str, ...]
    validation: Mapping[str, int]
    cases: tuple[ValidationCase, ...]
    version: str = __version__


def choose_operating_point(
    table: Table, rule: Rule | str, *, structure: str, lesions: Table | None = None
) -> OperatingPoint:
    """Choose a threshold on validation cases.

    Parameters
    ----------
    table
        The table `patients` or `candidates` of the validation cases, of one algorithm.
    rule
        What to achieve, see :mod:`scalemai.evaluation.patients.rules`. False positives per scan
        are counted on candidates; specificity and Youden's index on patients.
    structure
        Which structure.
    lesions
        The table `lesions` of the same cases, needed for a target sensitivity of lesions.

    Returns
    -------
    OperatingPoint
        To be written with :func:`write_operating_point` and used by
        :func:`apply_operating_point`. A missing prediction counts as wrong at every threshold.

    Raises
    ------
    ConfigError
        If the table is of another kind, the rule does not fit it or cannot be reached, or rows
        are not as they should be.
    UnknownNameError
        If the structure is not in the table.
    """
    rule = parse_rule(rule) if isinstance(rule, str) else rule
    require_one_algorithm(table.frame)
    if table.kind == "patients":
        curve, scans = _patient_curve(table, structure, rule), len(table.frame)
    elif table.kind == "candidates":
        curve, scans = _candidate_curve(table, structure, rule, lesions), len(table.cases)
    else:
        what = f"an operating point is chosen on patients or candidates, not on {table.kind}"
        raise ConfigError(what)
    threshold, index = choose_threshold(curve, rule, scans)
    return OperatingPoint(
        "patients" if table.kind == "patients" else "candidates",
        structure,
        str(rule),
        threshold,
        _score_ids(table),
        tuple(definition.id for definition in table.definitions),
        _achieved(curve, index, table, lesions),
        _marks(table, structure),
    )


def apply_operating_point(
    table: Table, point: OperatingPoint, *, accept_tuning: bool = False
) -> Threshold:
    """The threshold of an operating point, if these cases were not used to choose it.

    Parameters
    ----------
    table
        The table `patients` or `candidates` that the threshold shall be applied to.
    point
        The operating point.
    accept_tuning
        Apply it even to cases that it was chosen on; then the origin of the threshold, which
        every result carries, is ``"tuned on the test set"``.

    Raises
    ------
    ConfigError
        If a case was among the validation cases, by its files, the voxels of its structure, its
        id or its patient; or if the point is of another kind of table, structure or score.
    """
    if point.kind != table.kind:
        raise ConfigError(f"the operating point cuts scores of {point.kind}, not of {table.kind}")
    structures = table.frame["structure"].unique().to_list()
    if structures and point.structure not in structures:
        what = f"the operating point is of {point.structure}, the table of {', '.join(structures)}"
        raise ConfigError(what)
    if _score_ids(table) != point.score:
        chosen, found = (
            ", ".join(ids) or "no definition" for ids in (point.score, _score_ids(table))
        )
        what = f"the operating point cuts scores of {chosen}, the table has {found}"
        raise ConfigError(what, fix="score both sets of cases by the same definition")
    shared = _shared(table, point)
    if not shared:
        origin = f"locked, {point.rule} on {len(point.cases)} validation cases"
        return Threshold(point.threshold, ">=", origin)
    if accept_tuning:
        return Threshold(point.threshold, ">=", TUNED)
    more = f" and {len(shared) - 1} more" if len(shared) > 1 else ""
    what = f"the operating point was chosen on this case{more}"
    fix = f"evaluate other cases, or accept results labelled {TUNED!r}"
    raise ConfigError(what, where=shared[0], fix=fix)


def write_operating_point(point: OperatingPoint, path: Path) -> Path:
    """Write an operating point as JSON, sealed by the SHA-256 of its content.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    content = _content(point)
    with atomic_path(path) as partial:
        sealed = {**content, "sha256": _seal(content)}
        partial.write_text(json.dumps(sealed, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return path


def read_operating_point(path: Path) -> OperatingPoint:
    """Read an operating point, and refuse one that was changed after it was chosen.

    Raises
    ------
    UnreadableFileError
        If the file is missing, is not an operating point, or does not match its seal.
    """
    fix = "choose the operating point again on the validation cases"
    try:
        content: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        if content.pop("format") != _FORMAT:
            raise KeyError("format")
        seal = content.pop("sha256")
        cases = tuple(ValidationCase(**case) for case in content.pop("cases"))
        for name in ("score", "definitions"):
            content[name] = tuple(content[name])
        point = OperatingPoint(cases=cases, **content)
    except OSError as error:
        raise UnreadableFileError(f"cannot be read ({error.strerror})", where=path) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableFileError("is not an operating point", where=path, fix=fix) from error
    if seal != _seal(_content(point)):
        raise UnreadableFileError("was changed after it was chosen", where=path, fix=fix)
    return point


def _content(point: OperatingPoint) -> dict[str, Any]:
    content = {"format": _FORMAT, **asdict(point), "validation": dict(point.validation)}
    for case in content["cases"]:
        if not case["lesions"]:
            del case["lesions"]  # files of earlier versions, which are sealed, have none
    return content


def _seal(content: dict[str, Any]) -> str:
    return _sha256(json.dumps(content, sort_keys=True, separators=(",", ":")))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _score_ids(table: Table) -> tuple[str, ...]:
    return tuple(sorted(d.id for d in table.definitions if d.column == "score"))


def _patients(table: Table) -> dict[str, str]:
    """Patient of every case of a table; the case itself where none is given."""
    patients = {case: case for case in table.cases}
    case = pl.col("case").cast(pl.String)
    patient = case
    if "patient" in table.frame.columns:
        patient = pl.coalesce(pl.col("patient").cast(pl.String), case)
    pairs = table.frame.select(case, patient.alias("patient")).unique().sort("case", "patient")
    patients.update(pairs.iter_rows())
    return patients


def _marks(table: Table, structure: str) -> tuple[ValidationCase, ...]:
    of_structure = table.files.get(structure, {})
    marks = [
        ValidationCase(
            _sha256(case),
            _sha256(patient),
            table.cases.get(case, ""),
            of_structure.get(case, ""),
        )
        for case, patient in _patients(table).items()
    ]
    return tuple(sorted(marks, key=lambda mark: mark.case))


def _shared(table: Table, point: OperatingPoint) -> list[str]:
    """Cases of the table that are among the validation cases, in whatever way."""
    ids = {mark.case for mark in point.cases} | {mark.patient for mark in point.cases}
    files = {mark.files for mark in point.cases} - {""}
    lesions = {mark.lesions for mark in point.cases} - {""}
    of_structure = table.files.get(point.structure, {})
    return sorted(
        case
        for case, patient in _patients(table).items()
        if {_sha256(case), _sha256(patient)} & ids
        or table.cases.get(case) in files
        or of_structure.get(case) in lesions
    )


def _patient_curve(table: Table, structure: str, rule: Rule) -> RocCurve:
    if rule.aim == "fp-per-scan":
        what = "false positives per scan are counted on candidates, not on patients"
        raise ConfigError(what, where="rule", fix="give the table of candidates, or specificity>=")
    rows = scored(table.frame, structure)
    return roc_curve(rows.positive, rows.score)


def _candidate_curve(table: Table, structure: str, rule: Rule, lesions: Table | None) -> RocCurve:
    """Lesions (by their best candidate) as positives, false positives as negatives."""
    if rule.aim in ("youden", "specificity"):
        what = f"candidates have no true negatives, so {rule} cannot be judged"
        raise ConfigError(what, where="rule", fix="use fp-per-scan<= or sensitivity>=")
    if rule.aim == "sensitivity" and lesions is None:
        what = "a target sensitivity of lesions needs the table of lesions"
        raise ConfigError(what, fix="give it, or use fp-per-scan<=")
    if not table.cases:
        what = "the table does not list its cases, so false positives per scan are unknown"
        raise ConfigError(what, fix="use a table that was written by the evaluation")
    frame = table.frame.filter(pl.col("structure") == structure)
    false = _scores(frame.filter(pl.col("verdict") == "false_positive"))
    if lesions is None:
        hits = _scores(frame.filter(pl.col("verdict") == "true_positive"))
    else:
        wanted = pl.col("structure") == structure
        if "ignored" in lesions.frame.columns:
            wanted &= ~pl.col("ignored").fill_null(value=False)
        hits = _scores(lesions.frame.filter(wanted), missed=-np.inf)
    positive = np.arange(hits.size + false.size) < hits.size
    return roc_curve(positive, np.concatenate([hits, false]))


def _scores(frame: pl.DataFrame, missed: float | None = None) -> NDArray[np.float64]:
    score = frame["score"].cast(pl.Float64)
    score = score if missed is None else score.fill_null(missed)
    if score.is_null().any() or score.is_nan().any():
        raise ConfigError("a candidate has no score", fix="evaluate probability maps")
    return score.to_numpy().astype(np.float64)


def _achieved(curve: RocCurve, index: int, table: Table, lesions: Table | None) -> dict[str, int]:
    counts = {
        "true_positives": int(curve.true_positives[index]),
        "false_positives": int(curve.false_positives[index]),
    }
    if table.kind == "patients":
        return {**counts, "positives": curve.positives, "negatives": curve.negatives}
    found = {"positives": curve.positives} if lesions is not None else {}
    return {**counts, **found, "scans": len(table.cases)}
