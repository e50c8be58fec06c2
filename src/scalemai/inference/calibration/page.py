"""The page of a calibration."""

from __future__ import annotations

from scalemai.evaluation.report import (
    Block,
    Cell,
    Column,
    Note,
    Page,
    Paragraph,
    Provenance,
    Section,
    TableBlock,
)
from scalemai.evaluation.report.charts import reliability_chart
from scalemai.inference.calibration.calibrate import Calibrated
from scalemai.inference.calibration.choosing import Choice

__all__ = ["calibration_page"]

_TITLES = {
    "none": "as predicted",
    "temperature": "temperature",
    "platt": "Platt",
    "isotonic": "isotonic",
}


def calibration_page(calibrated: Calibrated) -> Page:
    """Compose the page: operating points, and one section for each kind of score."""
    sections = [Section("Operating points", _points(calibrated))]
    for (unit, structure), choice in calibrated.choices.items():
        sections.append(Section(f"Probabilities of {unit}: {structure}", _choice(choice, unit)))
    cases = {case: sha for table in calibrated.tables.values() for case, sha in table.cases.items()}
    settings = dict(calibrated.tables["patients"].settings)
    sections.append(Section("Provenance", [Provenance(cases, settings)]))
    return Page("Calibration of a detector", f"{len(cases):,} validation cases", sections)


def _points(calibrated: Calibrated) -> list[Block]:
    rows: list[list[Cell]] = []
    for point in calibrated.points:
        counts = point.validation
        positives = counts.get("positives")
        share = counts["true_positives"] / positives if positives else None
        others = counts.get("negatives", counts.get("scans"))
        wrong = counts["false_positives"] / others if others else None
        rows.append([f"{point.structure}: {point.rule}", point.kind, point.threshold, share, wrong])
    blocks: list[Block] = []
    if rows:
        blocks.append(
            TableBlock(
                ["rule", "of", "threshold", "sensitivity here",
                 "false positives per scan or negative"],
                rows,
                "Locked: scalemai evaluate --operating-point applies them, and refuses to on "
                "these cases. What they reach here is optimistic, for they were chosen here.",
            )
        )  # fmt: skip
    blocks += [
        Note(f"{structure}: {rule}: not computed because {reason}.", "warning")
        for (structure, rule), reason in calibrated.missed.items()
    ]
    return blocks


def _choice(choice: Choice, unit: str) -> list[Block]:
    if choice.chosen is None:
        return [Note(f"Not computed because {choice.reason}.", "warning")]
    chosen = choice.chosen.method
    rows: list[list[Cell]] = [
        [
            _TITLES[method] + (", chosen" if method == chosen else ""),
            choice.log_loss[method],
            choice.error[method],
        ]
        for method in choice.log_loss
    ]
    shown = dict.fromkeys(("none", chosen))
    share = choice.positives / (choice.positives + choice.negatives)
    return [
        TableBlock(
            ["map", Column("log loss"), Column("expected calibration error")],
            rows,
            "On patients that were left out when the map was fitted, five times in turn; the map "
            "with the lowest log loss is taken, of equal ones the simplest.",
        ),
        reliability_chart(
            {_TITLES[method]: choice.bins[method] for method in choice.bins if method in shown}
        ),
        Paragraph(
            f"{choice.positives:,} positive and {choice.negatives:,} negative {unit}: "
            f"probabilities hold where {share:.0%} are positive, as here. The calibration error "
            f"of few {unit} is above 0 by chance alone.",
            quiet=True,
        ),
    ]
