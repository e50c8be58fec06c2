"""What a comparison of groups writes: tables and a page."""

from __future__ import annotations

from pathlib import Path

from scalemai.evaluation.report import write_page
from scalemai.evaluation.subgroups.comparing import Subgroups
from scalemai.evaluation.subgroups.definitions import DEFINITIONS
from scalemai.evaluation.subgroups.page import subgroups_page
from scalemai.evaluation.subgroups.rows import frames
from scalemai.evaluation.tables import Table, write_table

__all__ = ["PAGE", "write_subgroups"]

PAGE = "subgroups.html"
"""Name of the page."""


def write_subgroups(found: Subgroups, folder: Path) -> Path:
    """Write all tables as Parquet and CSV and, last, the page.

    Parameters
    ----------
    found
        The results.
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
    own = () if found.outcome.definition is None else (found.outcome.definition,)
    for kind, frame in frames(found).items():
        definitions = (*own, *DEFINITIONS)
        table = Table(kind, frame, definitions, found.outcome.cases, found.settings())
        write_table(table, folder)
    return write_page(subgroups_page(found), folder / PAGE)
