"""What a reader study writes: tables and a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from scalemai.evaluation.reading.definitions import DEFINITIONS
from scalemai.evaluation.reading.figures import FIGURES
from scalemai.evaluation.reading.page import study_page
from scalemai.evaluation.reading.planning import Plan, PlannedDesign
from scalemai.evaluation.reading.study import Study
from scalemai.evaluation.report import write_page
from scalemai.evaluation.tables import Table, write_table

__all__ = ["PAGE", "write_plan", "write_study"]

PAGE = "reader-study.html"
"""Name of the page."""

_IDS = {one.column: one.id for one in DEFINITIONS}


def write_study(study: Study, folder: Path) -> Path:
    """Write the tables ``readers``, ``pooled`` and ``equivalence`` and, last, the page.

    Parameters
    ----------
    study
        What was found.
    folder
        Where to write to; made if absent.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    OutputError
        If something cannot be written.
    """
    readers: list[dict[str, Any]] = []
    equivalence: list[dict[str, Any]] = []
    for one in study.readers:
        figures = dict(one.figures) | {"repeat_kappa": one.repeat_kappa, "seconds": one.seconds}
        readers += [
            {"reader": one.reader, "figure": name, "definition": _IDS.get(name), **e.as_dict()}
            for name, e in figures.items()
        ]
        test = one.equivalence
        equivalence.append(
            {
                "reader": one.reader, "margin": test.margin, "p_equivalent": test.p,
                "p_not_lower": test.p_not_lower, "p_not_higher": test.p_not_higher,
                "p_difference": test.p_difference, "low": test.difference.low,
                "high": test.difference.high,
                "equivalent": None if one.constant else test.equivalent,
                "conclusion": one.conclusion, "one_answer_throughout": one.constant,
                "missing_reads": one.missing,
            }
        )  # fmt: skip
    pooled = [
        {"scope": scope, "figure": name, "definition": _IDS[name], **found[name].as_dict()}
        for scope, found in (("these readers", study.fixed), ("all such readers", study.random))
        for name in FIGURES
    ]
    others = {"fleiss_kappa": study.fleiss, "gwet_ac1": study.ac1, **study.mixed.coefficients}
    pooled += [
        {"scope": "these readers", "figure": name, "definition": None, **found.as_dict()}
        for name, found in others.items()
    ]
    for kind, rows in (("readers", readers), ("pooled", pooled), ("equivalence", equivalence)):
        known = {"equivalent": pl.Boolean} if kind == "equivalence" else None
        frame = pl.DataFrame(rows, schema_overrides=known, infer_schema_length=None)
        write_table(
            Table(kind, frame, DEFINITIONS, study.reads.hashes, dict(study.settings)), folder
        )
    return write_page(study_page(study), folder / PAGE)


def write_plan(designs: Sequence[PlannedDesign], plan: Plan, folder: Path) -> Path:
    """Write the table ``reader_plan``.

    Parameters
    ----------
    designs, plan
        Powers, and what was presumed.
    folder
        Where to write to.

    Returns
    -------
    Path
        The table.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    frame = pl.DataFrame([asdict(one) for one in designs], infer_schema_length=None)
    return write_table(Table("reader_plan", frame, (), {}, asdict(plan)), folder)
