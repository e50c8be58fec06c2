"""What a page is made of: plain data, no HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from scalemai._version import __version__
from scalemai.evaluation.definitions import Definition
from scalemai.statistics.estimate import Estimate

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
    "Paragraph",
    "Picture",
    "Provenance",
    "Section",
    "TableBlock",
]

Cell = str | int | float | bool | Estimate | None
"""What a table holds; None is shown as a dash, infinity as a sign, booleans as yes and no."""

_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph of plain text.

    Parameters
    ----------
    text
        Words; markup characters are shown as they are.
    quiet
        Smaller and in grey, for remarks.
    """

    text: str
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """A bulleted list, one line of plain text each."""

    items: Sequence[str]


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence that must not be missed, in a coloured frame that starts with a word.

    Parameters
    ----------
    text
        The sentence.
    kind
        ``"info"``, ``"good"``, ``"warning"`` or ``"bad"``; the kind is also said in words, for
        those who see no colours.
    """

    text: str
    kind: Literal["info", "good", "warning", "bad"] = "info"


@dataclass(frozen=True, slots=True)
class Column:
    """How a column of a table is headed and its numbers are written.

    Parameters
    ----------
    title
        Heading.
    unit
        Shown after the heading, for example ``"mm"``.
    digits
        Decimals of floating point numbers and of estimates.
    kind
        ``"number"``; ``"percent"`` shows 0.5 as 50 with a percent sign in the heading; ``"p"``
        shows values below the last decimal as ``< 0.001``.
    """

    title: str
    unit: str = ""
    digits: int = 3
    kind: Literal["number", "percent", "p"] = "number"


@dataclass(frozen=True, slots=True)
class TableBlock:
    """A table; its first column names the rows, numbers are aligned to the right.

    Parameters
    ----------
    columns
        Headings, as words or as :class:`Column`.
    rows
        Cells, as many in each row as there are columns. An estimate shows its interval and n, or
        why it was not computed.
    caption
        What the table shows.

    Raises
    ------
    ValueError
        If a row has more or fewer cells than there are columns.
    """

    columns: Sequence[str | Column]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows, start=1):
            if len(row) != len(self.columns):
                raise ValueError(
                    f"row {number} has {len(row)} cells for {len(self.columns)} columns"
                )


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing as SVG, with its words and, folded, the numbers that it shows.

    Parameters
    ----------
    svg
        The drawing: a whole SVG document.
    caption
        What is shown and how to read it.
    alt
        The same for those who cannot see it.
    numbers
        What is drawn, as a table.

    Raises
    ------
    ValueError
        If there is no alternative text.
    """

    svg: str
    caption: str
    alt: str
    numbers: TableBlock | None = None

    def __post_init__(self) -> None:
        if not self.alt.strip():
            raise ValueError("a chart needs an alternative text")


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as PNG.

    Parameters
    ----------
    png
        Bytes of the file.
    caption
        What is shown.
    alt
        The same for those who cannot see it; the caption if not given.

    Raises
    ------
    ValueError
        If the bytes are not those of a PNG file, or there are no words at all.
    """

    png: bytes
    caption: str
    alt: str = ""

    def __post_init__(self) -> None:
        if not self.png.startswith(_PNG):
            raise ValueError("a picture is given as the bytes of a PNG file")
        if not (self.alt.strip() or self.caption.strip()):
            raise ValueError("a picture needs a caption or an alternative text")


@dataclass(frozen=True, slots=True)
class KeyNumbers:
    """The few numbers that a reader came for, large, side by side.

    Parameters
    ----------
    items
        Words and a number or estimate each.
    digits
        Decimals.
    """

    items: Sequence[tuple[str, Cell]]
    digits: int = 3


@dataclass(frozen=True, slots=True)
class Glossary:
    """What the numbers of a page mean; folded."""

    definitions: Sequence[Definition]


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the numbers come from: version, settings and, folded, the cases with their hashes.

    Parameters
    ----------
    cases
        Case id to sha256 of what was read of it.
    settings
        Whatever changes a number, in plain types.
    version
        Of the program.
    """

    cases: Mapping[str, str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    version: str = __version__


@dataclass(frozen=True, slots=True)
class Fold:
    """Blocks that are seen when asked for: long tables, say. They are printed.

    Parameters
    ----------
    summary
        What is within.
    blocks
        The blocks.
    """

    summary: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below it; sections within sections are headed smaller.

    Parameters
    ----------
    heading
        Appears in the list of contents.
    blocks
        In the order in which they are read.
    """

    heading: str
    blocks: Sequence[Block]


Block = (
    Paragraph
    | Listing
    | Note
    | TableBlock
    | Chart
    | Picture
    | KeyNumbers
    | Glossary
    | Provenance
    | Fold
    | Section
)
"""Anything that may stand in a section."""
