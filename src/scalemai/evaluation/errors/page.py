"""The page of an error analysis."""

from __future__ import annotations

from collections.abc import Mapping

from scalemai.evaluation.errors.analysis import Errors
from scalemai.evaluation.errors.cells import Cell, Cells
from scalemai.evaluation.errors.definitions import DEFINITIONS
from scalemai.evaluation.errors.wanted import Wanted
from scalemai.evaluation.errors.weaknesses import Weakness
from scalemai.evaluation.report import (
    Block,
    Column,
    Fold,
    Glossary,
    KeyNumbers,
    Listing,
    Note,
    Page,
    Paragraph,
    Provenance,
    Section,
    TableBlock,
)
from scalemai.evaluation.report import Cell as Entry
from scalemai.evaluation.report.charts.forest import ForestRow, forest_chart

__all__ = ["errors_page"]

_MOST_ROWS = 25


def errors_page(errors: Errors, cases: Mapping[str, str]) -> Page:
    """Compose the page: misses, false positives, and what to synthesize.

    Parameters
    ----------
    errors
        What was found.
    cases
        Case id to the hash of what was read of it.
    """
    misses = _section(
        "Missed lesions", errors.misses, errors.weaknesses, "missed", "lesions", "miss rate"
    )
    sections = [Section("What was analysed", _basis(errors)), misses]
    if errors.false_positives is not None:
        sections.append(
            _section(
                "False positives", errors.false_positives, errors.false_weaknesses,
                "false positives", "candidates", "share of false positives",
            )
        )  # fmt: skip
    if errors.wanted is not None:
        sections.append(Section("What to synthesize", _wanted(errors.wanted, errors)))
    definitions = [
        one
        for kind, these in DEFINITIONS.items()
        if kind != "false_positives" or errors.false_positives is not None
        for one in these
    ]
    provenance = Provenance(cases, errors.options.settings())
    sections.append(Section("Definitions and provenance", [Glossary(definitions), provenance]))
    return Page("Errors of a detector", f"{errors.results.lesions.height:,} lesions", sections)


def _basis(errors: Errors) -> list[Block]:
    lesions = errors.results.lesions
    wrong, scans = errors.false_positives, errors.results.scans
    return [
        KeyNumbers(
            [
                ("lesions", lesions.height),
                ("missed", int(lesions["missed"].sum())),
                ("patients", lesions["patient"].n_unique()),
                ("candidates", None if wrong is None else int(wrong.errors.size)),
                ("false positives", None if wrong is None else int(wrong.errors.sum())),
                ("scans", scans),
                (
                    "false positives per scan",
                    None if wrong is None or not scans else float(wrong.errors.sum()) / scans,
                ),
            ]
        ),
        Fold("What is not known, and what was left out", [Listing(errors.notes)]),
    ]


def _section(
    heading: str,
    cells: Cells,
    weaknesses: tuple[Weakness, ...],
    error: str,
    of: str,
    label: str,
) -> Section:
    ranked = cells.tested[:_MOST_ROWS]
    blocks: list[Block] = [
        *_distinct(cells, weaknesses, error, of),
        forest_chart(
            [
                ForestRow(cell.where[0][1], cell.rate, cell.where[0][0])
                for cell in _by_factor(cells)
            ],
            label=label,
            reference=cells.overall.value,
            reference_label=f"all {of}",
        ),
        TableBlock(
            ["cell", of, error, label, Column("in excess", digits=1),
             Column("adjusted p", kind="p")],
            [_row(cell) for cell in ranked],
            f"The {len(ranked)} of {len(cells.tested):,} cells with the most in excess; cells "
            "overlap. All are in the table.",
        ),
    ]  # fmt: skip
    return Section(heading, blocks)


def _by_factor(cells: Cells) -> list[Cell]:
    single = [cell for cell in cells.cells if len(cell.where) == 1]
    return sorted(single, key=lambda cell: cell.where)


def _row(cell: Cell) -> list[Entry]:
    return [
        str(cell), cell.n, cell.errors, cell.rate, cell.excess, cell.p_holm,
    ]  # fmt: skip


def _distinct(cells: Cells, weaknesses: tuple[Weakness, ...], error: str, of: str) -> list[Block]:
    if not weaknesses:
        why = f"all {len(cells.tested):,} cells of {cells.fewest} {of} or more together"
        return [Note(f"No cell has more {error} than chance explains, over {why}.")]
    rows: list[list[Entry]] = [
        [place, str(one.cell), one.n, one.errors, one.excess, one.p_holm]
        for place, one in enumerate(weaknesses, start=1)
    ]
    first = weaknesses[0]
    return [
        Note(f"First: {first.cell}, {first.errors} of {first.n} {of} {error}.", "warning"),
        TableBlock(
            ["rank", "cell", of, error, Column("in excess", digits=1),
             Column("adjusted p", kind="p")],
            rows,
            "Distinct weaknesses: each is counted without those above it.",
        ),
        Paragraph(
            "Cells were looked for and counted in the same data, so that their rates are somewhat "
            "too high; confirm them in other patients.",
            quiet=True,
        ),
    ]  # fmt: skip


def _wanted(wanted: Wanted, errors: Errors) -> list[Block]:
    rows: list[list[Entry]] = [
        [
            " ".join(filter(None, (row["organ"], row["site"], row["kind"]))),
            row["n"], row["missed"], row["rate"], row["smoothed"], row["prevalence"], row["weight"],
        ]
        for row in wanted.rows.sort("weight", descending=True).iter_rows(named=True)
    ]  # fmt: skip
    return [
        Paragraph(
            "population.yaml asks for lesions as often as they are missed, and for the sizes of "
            f"the misses; {errors.options.floor:.0%} of the weight follows the lesions there are. "
            "Use it with scalemai synthesize --population."
        ),
        TableBlock(
            [
                "lesions", "n", "missed", Column("miss rate", kind="percent", digits=0),
                Column("smoothed", kind="percent", digits=0),
                Column("of all lesions", kind="percent", digits=1),
                Column("of the synthetic ones", kind="percent", digits=1),
            ],
            rows,
        ),
    ]  # fmt: skip
