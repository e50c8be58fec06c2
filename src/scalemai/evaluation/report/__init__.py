"""Pages that need nothing else: blocks of words, tables, charts and pictures as one HTML file.

::

    blocks       what a page is made of
    page         from blocks to one HTML file
    charts       plain arrays and estimates in, charts out
    worst_cases  the places of the largest disagreement, as pictures
"""

from scalemai.evaluation.report.page import (
    Block,
    Cell,
    Chart,
    Column,
    Fold,
    Glossary,
    KeyNumbers,
    Listing,
    Note,
    Page,
    Paragraph,
    Picture,
    Provenance,
    Section,
    TableBlock,
    render_page,
    write_page,
)

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
