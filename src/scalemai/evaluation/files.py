"""What an evaluation writes, and the tables about cases that it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from scalemai.cases.layouts.tables import read_metadata
from scalemai.errors import ConfigError
from scalemai.evaluation.page import evaluation_page
from scalemai.evaluation.pairing import Key
from scalemai.evaluation.patients.operating_point import (
    OperatingPoint,
    choose_operating_point,
    write_operating_point,
)
from scalemai.evaluation.patients.rules import parse_rule
from scalemai.evaluation.report import Picture, write_page
from scalemai.evaluation.run import Evaluation
from scalemai.evaluation.summary import Summary
from scalemai.evaluation.tables import read_table, write_table

__all__ = ["PAGE", "CaseTable", "choose_points", "read_case_facts", "write_evaluation"]

PAGE = "evaluation.html"
"""Name of the page."""

_ID_COLUMNS = ("case", "case_id", "id", "name", "PanTS ID", "BDMAP ID", "image_id")
_PATIENT_COLUMNS = ("patient", "patient_id", "Patient ID", "PatientID")


def write_evaluation(
    summary: Summary, folder: Path, *, title: str = "Evaluation", pictures: Sequence[Picture] = ()
) -> Path:
    """Write all tables as Parquet and CSV, and the page.

    Parameters
    ----------
    summary
        The numbers and the tables behind them.
    folder
        Where to; made if absent.
    title, pictures
        Of the page.

    Returns
    -------
    Path
        The page, which is written last.

    Raises
    ------
    OutputError
        If something cannot be written.
    """
    for table in (*summary.evaluation.tables, *summary.tables):
        write_table(table, folder)
    return write_page(evaluation_page(summary, title=title, pictures=pictures), folder / PAGE)


def choose_points(evaluation: Evaluation, rule: str, folder: Path) -> list[Path]:
    """Choose an operating point for each lesion structure on these cases, and lock it in a file.

    Parameters
    ----------
    evaluation
        Validation cases; the points are refused on any of them later.
    rule
        What to achieve, see :mod:`scalemai.evaluation.patients.rules`. False positives per scan
        are those of candidates, all else is of patients.
    folder
        Where ``operating_point_STRUCTURE.json`` is written.

    Raises
    ------
    ConfigError
        If there is no lesion structure, or a rule cannot be achieved.
    """
    parsed = parse_rule(rule)
    lesions = evaluation.pairing.request.lesions or ()
    if not lesions:
        raise ConfigError("there are no lesions to choose an operating point for", where="rule")
    chosen: list[tuple[str, OperatingPoint]] = []
    for name in lesions:
        of_candidates = parsed.aim == "fp-per-scan"
        table = evaluation.candidates if of_candidates else evaluation.patients
        lesion_table = evaluation.lesions if of_candidates else None
        chosen.append(
            (name, choose_operating_point(table, parsed, structure=name, lesions=lesion_table))
        )
    return [
        write_operating_point(point, folder / f"operating_point_{name}.json")
        for name, point in chosen
    ]


@dataclass(frozen=True)
class CaseTable:
    """What a table says of cases or of patients.

    Parameters
    ----------
    key
        Whether its rows are cases or patients.
    rows
        Case or patient to its row; empty cells are left out.
    """

    key: Key
    rows: Mapping[str, Mapping[str, Any]]


def read_case_facts(path: Path) -> CaseTable:
    """Read a table of cases, or of patients if it names no cases: CSV, XLSX, or one of ours.

    Raises
    ------
    UnreadableFileError
        If it cannot be read.
    ConfigError
        If it has neither a column of case ids nor one of patients, or one of them twice.
    """
    if path.suffix.lower() != ".parquet":
        return _of_publisher(path)
    frame = read_table(path).frame
    key = next((one for one in get_args(Key) if one in frame.columns), None)
    if key is None:
        fix = "name the cases in it"
        raise ConfigError("has no column 'case' or 'patient'", where=path, fix=fix)
    facts: dict[str, dict[str, Any]] = {}
    for row in frame.iter_rows(named=True):
        name = str(row.pop(key))
        if name in facts:
            raise ConfigError(f"{key} {name!r} is listed twice", where=path, fix="list it once")
        facts[name] = {column: value for column, value in row.items() if value is not None}
    return CaseTable(key, facts)


def _of_publisher(path: Path) -> CaseTable:
    try:
        return CaseTable("case", read_metadata(path, _ID_COLUMNS))
    except ConfigError as error:
        try:
            rows = read_metadata(path, _PATIENT_COLUMNS)
        except ConfigError:
            raise error from None
        names = {name.lower().replace(" ", "_") for name in _ID_COLUMNS}
        if any(not names.isdisjoint(row) for row in rows.values()):
            raise  # it names cases, and one of them twice
        return CaseTable("patient", rows)
