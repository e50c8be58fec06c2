"""What a comparison writes: tables, the cases that were not paired, and a page."""

from __future__ import annotations

from pathlib import Path

from scalemai.evaluation.comparison.comparing import Comparison
from scalemai.evaluation.comparison.definitions import DEFINITIONS
from scalemai.evaluation.comparison.detection import DetectionComparison
from scalemai.evaluation.comparison.detection_page import detection_page
from scalemai.evaluation.comparison.page import comparison_page
from scalemai.evaluation.report import write_page
from scalemai.evaluation.tables import Table, write_table

__all__ = ["PAGE", "write_comparison", "write_detection"]

PAGE = "comparison.html"
"""Name of the page."""


def write_comparison(comparison: Comparison, folder: Path) -> Path:
    """Write all tables as Parquet and CSV, and the page.

    Parameters
    ----------
    comparison
        What was found.
    folder
        Where to write to; made if absent. Files of an earlier comparison are replaced.

    Returns
    -------
    Path
        The page, which is written last.

    Raises
    ------
    OutputError
        If something cannot be written.
    """
    for kind, frame in {**comparison.tables, "unpaired": comparison.unpaired}.items():
        definitions = (*comparison.definitions, *DEFINITIONS.get(kind, ()))
        table = Table(kind, frame, definitions, comparison.cases, comparison.settings)
        write_table(table, folder)
    return write_page(comparison_page(comparison), folder / PAGE)


def write_detection(found: DetectionComparison, folder: Path) -> Path:
    """Write the tables ``detection_pairs`` and ``unpaired``, and the page.

    Parameters, results and errors as of :func:`write_comparison`.
    """
    for kind, frame in {"detection_pairs": found.pairs, "unpaired": found.unpaired}.items():
        definitions = (*found.definitions, *DEFINITIONS.get(kind, ()))
        write_table(Table(kind, frame, definitions, found.cases, found.settings), folder)
    return write_page(detection_page(found), folder / PAGE)
