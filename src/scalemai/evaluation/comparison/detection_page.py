"""The page of a comparison of detectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from scalemai.evaluation.comparison.definitions import DEFINITIONS
from scalemai.evaluation.comparison.detection import DetectionComparison
from scalemai.evaluation.report import (
    Block,
    Cell,
    Column,
    Fold,
    Glossary,
    KeyNumbers,
    Note,
    Page,
    Paragraph,
    Provenance,
    Section,
    TableBlock,
)
from scalemai.statistics.estimate import Estimate

__all__ = ["detection_page"]

_MOST_UNPAIRED = 50
"""Units that are listed on the page; all are in the table."""


def detection_page(found: DetectionComparison) -> Page:
    """Compose the page: what was compared, all pairs of each metric, definitions.

    Parameters
    ----------
    found
        The comparison.
    """
    level = found.question.level
    basis: list[Block] = [
        KeyNumbers(
            [
                ("detectors", len(found.algorithms)),
                ("cases", len(found.cases)),
                ("not in all lists", found.unpaired["case"].n_unique()),
            ]
        ),
        *(Note(note, "warning") for note in found.notes),
        Paragraph(
            "Detectors are paired by the names of cases, and lesions by case and number. Tests are "
            f"at level {level:g} for all pairs of a class together (Holm). Inconclusive does not "
            "mean equal: that is shown by a test of its own, that both differ by less than a "
            "margin (TOST)."
        ),
    ]
    if found.unpaired.height:
        listed = found.unpaired.head(_MOST_UNPAIRED)
        more = found.unpaired.height - listed.height
        caption = f"{more:,} more are in unpaired.csv." if more else ""
        titles = [name.replace("_", " ") for name in listed.columns]
        table = TableBlock(titles, [list(row) for row in listed.iter_rows()], caption)
        basis.append(Fold("What not all detectors have", [table]))
    sections = [Section("What was compared", basis)]
    for metric in found.question.metrics:
        rows = found.pairs.filter(pl.col("metric") == metric)
        names = rows["class"].unique(maintain_order=True)
        blocks = [
            Section(name, [_pairs(rows.filter(pl.col("class") == name), metric, level)])
            for name in names
        ]
        sections.append(Section(metric.replace("_", " "), blocks))
    glossary = Glossary([*found.definitions, *DEFINITIONS["detection_pairs"]])
    provenance = Provenance(found.cases, found.settings)
    sections.append(Section("Definitions and provenance", [glossary, provenance]))
    title = f"Comparison of {len(found.algorithms)} detectors"
    return Page(title, ", ".join(found.question.metrics), sections)


def _pairs(frame: pl.DataFrame, metric: str, level: float) -> TableBlock:
    curves, rates = metric == "froc", metric not in ("auroc", "froc")
    rows: list[list[Cell]] = [
        [
            f"{row['first']} - {row['second']}",
            *((row["at"],) if curves else ()),
            row["verdict"],
            row["positives"],
            row["n_cases"] if curves else row["negatives"],
            row["value_first"],
            row["value_second"],
            _difference(row, level),
            row["p_holm"],
            *((row["p_mid_holm"],) if rates else ()),
            row["p_equivalent_holm"],
        ]
        for row in frame.iter_rows(named=True)
    ]
    columns: list[str | Column] = [
        "first - second",
        *(("false positives",) if curves else ()),
        "verdict",
        "lesions" if metric in ("froc", "lesion_sensitivity") else "positive",
        "scans" if curves else "negative",
        "first",
        "second",
        "difference",
        Column("p", kind="p"),
        *((Column("mid-p", kind="p"),) if rates else ()),
        Column("p equivalent", kind="p"),
    ]
    margin = frame["margin"][0] if frame.height else None
    caption = (
        f"Difference: first minus second with its {1 - level:.0%} interval and the number of "
        f"patients. p: two-sided{', and its mid-p' if rates else ''}; p equivalent: that the two "
        f"differ by less than {margin:g} (TOST). All after Holm."
    )
    return TableBlock(columns, rows, caption)


def _difference(row: Mapping[str, Any], level: float) -> Estimate:
    if row["difference"] is None:
        return Estimate(None, n=row["n"], level=1 - level, reason=row["reason"])
    low, high = row["difference_low"], row["difference_high"]
    return Estimate(row["difference"], low, high, 1 - level, row["n"])
