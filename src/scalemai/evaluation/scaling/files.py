"""What a scaling study writes: tables, JSON and a page."""

from __future__ import annotations

from pathlib import Path

from scalemai.evaluation.report import write_page
from scalemai.evaluation.scaling.analysis import Scaling
from scalemai.evaluation.scaling.definitions import DEFINITIONS
from scalemai.evaluation.scaling.page import scaling_page
from scalemai.evaluation.scaling.rows import scaling_json, scaling_tables
from scalemai.evaluation.tables import Table, write_table
from scalemai.io.atomic import atomic_path

__all__ = ["JSON", "PAGE", "write_scaling"]

PAGE = "scaling.html"
JSON = "scaling.json"


def write_scaling(scaling: Scaling, folder: Path) -> Path:
    """Write all tables as Parquet and CSV, everything as JSON, and the page.

    Parameters
    ----------
    scaling
        What was found.
    folder
        Where to write to; made if absent. Files of an earlier study are replaced.

    Returns
    -------
    Path
        The page, which is written last.

    Raises
    ------
    OutputError
        If something cannot be written.
    """
    for kind, frame in scaling_tables(scaling).items():
        table = Table(kind, frame, DEFINITIONS[kind], scaling.cases, scaling.settings())
        write_table(table, folder)
    with atomic_path(folder / JSON) as path:
        path.write_text(scaling_json(scaling), encoding="utf-8", newline="\n")
    return write_page(scaling_page(scaling), folder / PAGE)
