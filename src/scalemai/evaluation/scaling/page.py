"""The page of a scaling study."""

from __future__ import annotations

import numpy as np

from scalemai.evaluation.report import (
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
    Provenance,
    Section,
    TableBlock,
)
from scalemai.evaluation.report.charts.scaling import FittedCurve, ScalingSeries, scaling_chart
from scalemai.evaluation.scaling.analysis import GroupScaling, Scaling
from scalemai.evaluation.scaling.definitions import DEFINITIONS
from scalemai.evaluation.scaling.planning import Plan
from scalemai.evaluation.scaling.selection import LawFit

__all__ = ["scaling_page"]

_POINTS = 80
_BEYOND = 4.0
_MOST_TOGETHER = 6


def scaling_page(scaling: Scaling) -> Page:
    """Compose the page: all groups together, then each with its answers, then definitions.

    Parameters
    ----------
    scaling
        What was found.
    """
    sections: list[Section] = []
    if len(scaling.groups) > 1:
        sections.append(Section("All groups", [_together(scaling)]))
    sections += [Section(group.name, _group(scaling, group)) for group in scaling.groups]
    definitions = [one for kind in DEFINITIONS.values() for one in kind]
    provenance = Provenance(scaling.cases, scaling.settings())
    sections.append(Section("Definitions and provenance", [Glossary(definitions), provenance]))
    return Page("Scaling with training scans", scaling.metric, sections)


def _together(scaling: Scaling) -> Chart:
    return scaling_chart(
        [
            _series(group, f"{group.name}, real scans", [group.chosen] if group.chosen else [])
            for group in scaling.groups[:_MOST_TOGETHER]
        ],
        label=scaling.metric,
    )


def _group(scaling: Scaling, group: GroupScaling) -> list[Block]:
    laws = [fit for fit in group.laws if fit.plausible]
    laws.sort(key=lambda fit: fit.delta or 0.0)
    series = [_series(group, "real scans", laws), *_mixed(group)]
    blocks: list[Block] = [
        _key_numbers(group),
        *(Note(note, "warning") for note in group.notes if note not in group.study.notes),
        scaling_chart(
            series,
            label=scaling.metric,
            margin=group.plateau.margin,
            plateau_n=group.plateau.begins,
        ),
        Section("Do more scans still matter?", _plateau(group)),
        Section("Which law?", _laws(group)),
    ]
    if group.predictions:
        blocks.append(Section("Beyond what was measured", _beyond(group)))
    if group.study.measured.mixed_arms:
        blocks.append(Section("What is a synthetic scan worth?", _worth(group)))
    blocks.append(Fold("What the intervals hold, and what was left out", [Listing(group.notes)]))
    return blocks


def _key_numbers(group: GroupScaling) -> KeyNumbers:
    measured = group.study.measured
    items: list[tuple[str, Cell]] = [
        ("runs", len(measured.arm_of)),
        ("sizes of real scans", len(measured.real_arms)),
        ("test patients", measured.n_patients or None),
        ("law", group.verdict),
        ("plateau from", None if group.plateau.begins is None else int(group.plateau.begins)),
    ]
    return KeyNumbers(items)


def _series(group: GroupScaling, name: str, laws: list[LawFit]) -> ScalingSeries:
    points = [(arm.n_real, estimate) for arm, estimate in group.points if not arm.n_synthetic]
    return ScalingSeries(
        name, [n for n, _ in points], [estimate for _, estimate in points],
        [_curve(group, fit) for fit in laws],
    )  # fmt: skip


def _curve(group: GroupScaling, fit: LawFit) -> FittedCurve:
    if fit.fitted is None or fit.resampled is None:
        raise ValueError(f"{fit.law.name} was not fitted")
    study = group.study
    n = np.geomspace(study.sizes[0], study.sizes[-1] * _BEYOND, _POINTS)
    tail = (1 - study.level) / 2
    low, high = np.quantile(study.sign * fit.resampled.at(n), [tail, 1 - tail], axis=0)
    return FittedCurve(fit.law.name, n, study.sign * fit.fitted.at(n)[0], low, high)


def _mixed(group: GroupScaling) -> list[ScalingSeries]:
    """Arms with synthetic scans, over all their scans."""
    mixed = [(arm, estimate) for arm, estimate in group.points if arm.n_synthetic]
    if not mixed:
        return []
    mixed.sort(key=lambda one: one[0].n_real + one[0].n_synthetic)
    n = [arm.n_real + arm.n_synthetic for arm, _ in mixed]
    return [ScalingSeries("real and synthetic scans together", n, [e for _, e in mixed])]


def _plateau(group: GroupScaling) -> list[Block]:
    plateau = group.plateau
    words = str(plateau)
    rows = [
        [int(gain.n_real) if gain.n_real % 1 == 0 else gain.n_real, gain.gain, gain.below_margin]
        for gain in plateau.gains
    ]
    slopes: list[list[Cell]] = [
        [f"from {plateau.largest / 2:,.6g} to {plateau.largest:,.6g}", plateau.last_doubling],
        [f"from {plateau.largest:,.6g} to {2 * plateau.largest:,.6g}", plateau.next_doubling],
    ]
    return [
        Note(f"{words[:1].upper()}{words[1:]}.", "good" if plateau.begins is not None else "info"),
        TableBlock(
            ["real scans", f"gain up to {plateau.largest:,.6g}", f"below {plateau.margin:g}"],
            rows,
            "Measured, on the same test patients.",
        ),
        TableBlock(
            ["doubling", Column("gain", digits=4)],
            slopes,
            "By the chosen law; the second is extrapolated.",
        ),
    ]


def _laws(group: GroupScaling) -> list[Block]:
    rows: list[list[Cell]] = [
        [
            fit.law.name, fit.aicc, fit.delta, fit.held_out,
            None if fit.reason else "chosen" if fit is group.chosen else fit.plausible,
        ]
        for fit in group.laws
    ]  # fmt: skip
    parameters: list[list[Cell]] = [
        [fit.law.name, name, estimate]
        for fit in group.laws
        for name, estimate in fit.parameters.items()
    ]
    columns: list[str | Column] = [
        "law", Column("AICc", digits=1), Column("above the lowest", digits=1),
        Column("error at the held-out largest size", digits=4), "plausible",
    ]  # fmt: skip
    blocks: list[Block] = [TableBlock(columns, rows)]
    if parameters:
        blocks.append(Fold("Parameters", [TableBlock(["law", "parameter", "value"], parameters)]))
    return blocks


def _beyond(group: GroupScaling) -> list[Block]:
    predictions: list[list[Cell]] = [
        [one.law, round(one.n_real), one.value, one.extrapolated]
        for one in group.predictions
        if one.plausible
    ]
    plans: list[list[Cell]] = [
        [plan.law, plan.gain, plan.target, *_more(plan), plan.out_of_reach] for plan in group.plans
    ]
    return [
        Paragraph(
            "Intervals take the law for granted; how far plausible laws differ is as uncertain."
        ),
        TableBlock(["law", "real scans", "value", "extrapolated"], predictions),
        TableBlock(
            [
                "law", "gain", "target", Column("more scans", digits=0), "in words",
                Column("out of reach", kind="percent", digits=0),
            ],
            plans,
            "How many more real scans a gain would take.",
        ),
    ]  # fmt: skip


def _more(plan: Plan) -> tuple[Cell, Cell]:
    return plan.more, str(plan)


def _worth(group: GroupScaling) -> list[Block]:
    if group.chosen is None:
        return [Note(f"Not computed: {group.verdict} of real scans.", "warning")]
    several = len({worth.law for worth in group.worths}) > 1
    rows: list[list[Cell]] = [
        [
            f"{worth.arm}, by {worth.law}" if several else str(worth.arm), worth.equivalent,
            worth.per_scan, worth.identifiable, worth.unbounded,
        ]
        for worth in group.worths
    ]  # fmt: skip
    columns: list[str | Column] = [
        "trained on", Column("as good as real scans", digits=0),
        Column("real per synthetic", digits=2), "identifiable",
        Column("unbounded", kind="percent", digits=0),
    ]  # fmt: skip
    blocks: list[Block] = [TableBlock(columns, rows)]
    if group.marginals:
        marginals: list[list[Cell]] = [
            [
                f"{one.n_real:,.6g}", f"{one.from_synthetic:,.6g} to {one.to_synthetic:,.6g}",
                one.rate,
            ]
            for one in group.marginals
        ]  # fmt: skip
        titles = ["real scans", "synthetic scans", "real scans per further synthetic scan"]
        blocks.append(TableBlock(titles, marginals))
    return blocks
