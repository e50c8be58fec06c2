"""A page that needs nothing else: one HTML file with its styles, charts and pictures within.

::

    page = Page(
        "Evaluation",
        "12 cases",
        [Section("Segmentation", [Paragraph("..."), TableBlock(["structure", "DSC"], rows)])],
    )
    write_page(page, out / "report.html")

The file loads nothing from the network and is complete without scripts; one small script, which
the page's own policy names by its hash, sorts tables. The same page gives the same bytes.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from scalemai._version import __version__
from scalemai.evaluation.report.blocks import (
    Block,
    Cell,
    Chart,
    Column,
    Fold,
    Glossary,
    KeyNumbers,
    Listing,
    Note,
    Paragraph,
    Picture,
    Provenance,
    Section,
    TableBlock,
)
from scalemai.evaluation.report.numbers import Kind, ends_in_words, number_in_words
from scalemai.io.atomic import atomic_path
from scalemai.statistics.estimate import Estimate

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = [
    "Block",
    "Cell",
    "Chart",
    "Column",
    "Fold",
    "Glossary",
    "KeyNumbers",
    "Listing",
    "Note",
    "Page",
    "Paragraph",
    "Picture",
    "Provenance",
    "Section",
    "TableBlock",
    "render_page",
    "write_page",
]

_NUMERIC = (int, float, Estimate)
_COUNTED = re.compile(r"^\d+ (patient|cluster|scan|lesion|case|unit)s?( is| are)?\b")


@dataclass(frozen=True, slots=True)
class Page:
    """A report.

    Parameters
    ----------
    title
        Name of the page.
    subtitle
        One line: what was evaluated, how many cases.
    sections
        What it says.
    """

    title: str
    subtitle: str
    sections: Sequence[Section]


def write_page(page: Page, path: Path) -> Path:
    """Write a page as HTML, whole or not at all.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    text = render_page(page)
    with atomic_path(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def render_page(page: Page) -> str:
    """A page as the text of one HTML file; whatever came from files or users is escaped."""
    return (
        _environment()
        .get_template("page.html.j2")
        .render(page=page, version=__version__, numbered=_numbered(page.sections))
    )


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("scalemai.evaluation.report", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = _asset("page.css"), _asset("sorting.js")
    environment.globals.update(
        style=Markup(style),
        script=Markup(script),
        script_hash=Markup(b64encode(sha256(script.encode()).digest()).decode("ascii")),
    )
    environment.filters.update(
        kind=lambda block: type(block).__name__,
        png=lambda data: "data:image/png;base64," + b64encode(data).decode("ascii"),
        svg=lambda text: "data:image/svg+xml;base64," + b64encode(text.encode()).decode("ascii"),
        column=_column,
        plain=_plain,
        number=number_in_words,
        ends=ends_in_words,
        sort_key=_sort_key,
        as_json=_as_json,
        case_digest=_case_digest,
        footnotes=_footnotes,
        why_not=_why_not,
        shapes=_shapes,
        level=_level,
    )
    environment.tests.update(
        estimate=lambda cell: isinstance(cell, Estimate),
        numeric_cell=_is_number,
    )
    return environment


def _asset(name: str) -> str:
    return (files("scalemai.evaluation.report") / "pages" / name).read_text(encoding="utf-8")


def _numbered(sections: Sequence[Section]) -> list[tuple[str, Section]]:
    return [(f"section-{number}", section) for number, section in enumerate(sections, start=1)]


def _column(column: str | Column) -> Column:
    return Column(column) if isinstance(column, str) else column


def _plain(cell: Cell, digits: int, kind: Kind = "number") -> str:
    """A cell that is no estimate, as words."""
    if cell is None:
        return "–"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int | float):
        return number_in_words(cell, digits, kind)
    return str(cell)  # of an estimate too, where it names a row


def _sort_key(cell: Cell) -> str:
    """What a column is sorted by: the number in full; empty where there is none."""
    if isinstance(cell, Estimate):
        cell = cell.value
    if cell is None or isinstance(cell, str):
        return ""
    return repr(float(cell))


def _shapes(table: TableBlock) -> list[Literal["estimates", "numbers", "words"]]:
    """How each column is set: estimates with their interval, numbers and words."""

    def shape(index: int) -> Literal["estimates", "numbers", "words"]:
        cells = [row[index] for row in table.rows if row[index] is not None]
        if index and any(isinstance(cell, Estimate) for cell in cells):
            return "estimates"
        return "numbers" if index and cells and all(map(_is_number, cells)) else "words"

    return [shape(index) for index in range(len(table.columns))]


def _level(table: TableBlock, index: int) -> str:
    """Confidence level of a column of estimates, if it is one and the same."""
    levels = {
        cell.level
        for cell in (row[index] for row in table.rows)
        if isinstance(cell, Estimate) and cell.low is not None
    }
    return f"{100 * levels.pop():g} % CI" if len(levels) == 1 else ""


def _why_not(value: Estimate) -> str:
    """Why an estimate lacks its value or interval, without how many: n stands beside it."""
    if not value.reason or (value.low is not None and value.high is not None):
        return ""
    reason = _COUNTED.sub(lambda found: f"{found[1]}s{' are' if found[2] else ''}", value.reason)
    return f"{'not computed' if value.value is None else 'no interval'} because {reason}"


def _footnotes(table: TableBlock) -> dict[str, str]:
    """The mark of each reason in a table, so that it is said once and not in every row."""
    cells = (cell for row in table.rows for cell in row[1:] if isinstance(cell, Estimate))
    reasons = dict.fromkeys(reason for cell in cells if (reason := _why_not(cell)))
    return {reason: _letters(number) for number, reason in enumerate(reasons)}


def _letters(number: int) -> str:
    head, last = divmod(number, 26)
    return (_letters(head - 1) if head else "") + chr(ord("a") + last)


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, _NUMERIC) and not isinstance(cell, bool)


def _as_json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _case_digest(provenance: Provenance) -> str:
    """One hash over all cases, by which two reports are seen to rest on the same data."""
    lines = "".join(f"{case} {digest}\n" for case, digest in sorted(provenance.cases.items()))
    return sha256(lines.encode()).hexdigest()
