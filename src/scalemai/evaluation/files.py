"""What an evaluation writes, and the tables about cases that it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scalemai.cases.layouts.tables import read_metadata
from scalemai.errors import ConfigError
from scalemai.evaluation.page import evaluation_page
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

__all__ = ["PAGE", "choose_points", "read_case_facts", "write_evaluation"]

PAGE = "evaluation.html"
"""Name of the page."""

_ID_COLUMNS = ("case", "case_id", "id", "name", "PanTS ID", "BDMAP ID", "image_id")


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


def read_case_facts(path: Path) -> Mapping[str, Mapping[str, Any]]:
    """Read a table of cases: CSV, XLSX, or a table of ours.

    Returns
    -------
    dict
        Case id to what the table says of it; empty cells are left out.

    Raises
    ------
    UnreadableFileError
        If it cannot be read.
    ConfigError
        If it has no column of case ids, or a case twice.
    """
    if path.suffix.lower() != ".parquet":
        return read_metadata(path, _ID_COLUMNS)
    facts: dict[str, dict[str, Any]] = {}
    frame = read_table(path).frame
    if "case" not in frame.columns:
        raise ConfigError("has no column 'case'", where=path, fix="name the cases in it")
    for row in frame.iter_rows(named=True):
        case = str(row.pop("case"))
        if case in facts:
            raise ConfigError(f"case {case!r} is listed twice", where=path, fix="list it once")
        facts[case] = {name: value for name, value in row.items() if value is not None}
    return facts
