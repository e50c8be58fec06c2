"""What an error analysis writes: tables, the population to synthesize, and a page."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl

from scalemai.evaluation.errors.analysis import Errors
from scalemai.evaluation.errors.cells import cell_frame
from scalemai.evaluation.errors.definitions import DEFINITIONS
from scalemai.evaluation.errors.page import errors_page
from scalemai.evaluation.errors.weaknesses import Weakness
from scalemai.evaluation.report import write_page
from scalemai.evaluation.row_digests import row_digests
from scalemai.evaluation.tables import Table, write_table
from scalemai.synthesis.populations.population import write_population

__all__ = ["PAGE", "POPULATION", "error_tables", "write_errors"]

PAGE = "errors.html"
POPULATION = "population.yaml"


def error_tables(errors: Errors) -> dict[str, pl.DataFrame]:
    """Flat tables by kind: ``misses``, ``false_positives``, ``weaknesses`` and ``wanted``."""
    tables = {"misses": cell_frame(errors.misses.cells, errors.misses.overall, "missed")}
    wrong = errors.false_positives
    if wrong is not None:
        tables["false_positives"] = cell_frame(wrong.cells, wrong.overall, "false_positives")
    tables["weaknesses"] = pl.DataFrame(
        [
            *_weaknesses("missed lesions", errors.weaknesses),
            *_weaknesses("false positives", errors.false_weaknesses),
        ],
        schema={
            "of": pl.String, "rank": pl.Int64, "cell": pl.String, "n": pl.Int64,
            "errors": pl.Int64, "excess": pl.Float64, "p_holm": pl.Float64,
        },
    )  # fmt: skip
    if errors.wanted is not None:
        tables["wanted"] = errors.wanted.rows
    return tables


def _weaknesses(of: str, found: tuple[Weakness, ...]) -> Iterator[dict[str, Any]]:
    for rank, weakness in enumerate(found, start=1):
        yield {
            "of": of,
            "rank": rank,
            "cell": str(weakness.cell),
            "n": weakness.n,
            "errors": weakness.errors,
            "excess": weakness.excess,
            "p_holm": weakness.p_holm,
        }


def write_errors(errors: Errors, folder: Path) -> Path:
    """Write all tables, ``population.yaml`` for ``scalemai synthesize``, and the page.

    Parameters
    ----------
    errors
        What was found.
    folder
        Where to write to; made if absent. Files of an earlier analysis are replaced; a population
        of one is removed if there is none now.

    Returns
    -------
    Path
        The page, which is written last.

    Raises
    ------
    OutputError
        If something cannot be written.
    """
    cases = _cases(errors)
    settings = errors.options.settings()
    for kind, frame in error_tables(errors).items():
        write_table(Table(kind, frame, DEFINITIONS[kind], cases, settings), folder)
    if errors.wanted is None:
        (folder / POPULATION).unlink(missing_ok=True)
    else:
        lesions = errors.results.lesions
        about = [
            f"Lesions like the {int(lesions['missed'].sum()):,} of {lesions.height:,} that were "
            f"missed; floor {errors.options.floor:g}, smoothing {errors.options.smoothing:g}.",
            *errors.wanted.notes,
        ]
        write_population(errors.wanted.population, folder / POPULATION, about=about)
    return write_page(errors_page(errors, cases), folder / PAGE)


def _cases(errors: Errors) -> dict[str, str]:
    """Case to the hash of what was evaluated; of foreign tables, to that of their rows."""
    tables = errors.results.tables
    known = {case: value for table in tables for case, value in table.cases.items()}
    if known:
        return known
    found: dict[str, list[str]] = {}
    for table in tables:
        for case, digest in row_digests(table.frame, table.kind).items():
            found.setdefault(case, []).append(digest)
    return {case: sha256("\n".join(many).encode()).hexdigest() for case, many in found.items()}
