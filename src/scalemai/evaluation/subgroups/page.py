"""The page of a comparison of groups."""

from __future__ import annotations

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
from scalemai.evaluation.report.charts import ForestRow, forest_chart
from scalemai.evaluation.subgroups.comparing import FactorResult, Subgroups
from scalemai.evaluation.subgroups.definitions import DEFINITIONS, MULTIPLICITY

__all__ = ["subgroups_page"]


def subgroups_page(found: Subgroups) -> Page:
    """Compose the page: groups, gaps, tests, adjustment, distributions, definitions.

    Parameters
    ----------
    found
        The results.
    """
    outcome = found.outcome
    what = f"{outcome.metric} of {outcome.structure}" if outcome.structure else outcome.metric
    sections = [Section("All groups", _overview(found, what))]
    sections += [Section(f"By {one.factor}", _factor(one)) for one in found.factors]
    if found.home is not None:
        sections.append(Section("In and out of distribution", _distributions(found, what)))
    own = () if outcome.definition is None else (outcome.definition,)
    sections.append(
        Section(
            "Definitions and provenance",
            [
                Paragraph(MULTIPLICITY),
                Glossary([*own, *DEFINITIONS]),
                Provenance(outcome.cases, found.settings()),
            ],
        )
    )
    by = ", ".join(str(one.factor) for one in found.factors)
    return Page(f"Groups of patients: {what}", f"by {by}; {found.overall.n} patients", sections)


def _overview(found: Subgroups, what: str) -> list[Block]:
    outcome = found.outcome
    rows = [
        ForestRow(group.name, group.estimate, str(one.factor))
        for one in found.factors
        for group in one.groups
    ]
    blocks: list[Block] = [
        KeyNumbers(
            [
                ("all patients", found.overall),
                *(
                    (f"largest gap by {one.factor}", one.largest_gap)
                    for one in found.factors
                    if one.largest_gap.computed
                ),
            ]
        ),
        *(Note(note, "warning") for note in found.notes),
        Paragraph(
            f"{outcome.frame.height} rows of {found.overall.n} patients; {outcome.missing} missing "
            f"predictions, {outcome.undefined} rows in which the metric has no meaning were left "
            f"out. {outcome.better.capitalize()} values are better. Groups of fewer than "
            f"{found.question.minimum} patients get no numbers."
        ),
        forest_chart(
            rows,
            label=what,
            reference=found.overall.value,
            reference_label="all patients",
        ),
        Paragraph(MULTIPLICITY, quiet=True),
    ]
    return blocks


def _factor(one: FactorResult) -> list[Block]:
    of_rates = not any(group.median.computed for group in one.groups)
    rows: list[list[Cell]] = [
        [
            group.name, group.patients, group.rows, group.estimate,
            *(() if of_rates else (group.median,)), group.gap, "worst" if group.worst else None,
        ]
        for group in one.groups
    ]  # fmt: skip
    columns: list[str | Column] = ["group", "patients", "rows", Column("value")]
    columns += [] if of_rates else [Column("median")]
    blocks: list[Block] = [Note(note, "info") for note in one.notes]
    blocks.append(
        TableBlock(
            [*columns, Column("gap to the rest"), ""],
            rows,
            "Values and gaps to all other patients with a record.",
        )
    )
    blocks.append(KeyNumbers([("largest gap between two groups", one.largest_gap)]))
    test = one.test
    if test.p is None or test.h is None or test.epsilon_squared is None:
        blocks.append(Paragraph(f"Kruskal-Wallis test: not computed because {test.reason}."))
    else:
        p = "p < 0.001" if test.p < 0.001 else f"p = {test.p:.3f}"
        blocks.append(
            Paragraph(
                f"Kruskal-Wallis test on {test.n} means of {one.patients} patients: "
                f"H = {test.h:.2f}, {test.degrees} degrees of freedom, {p}; epsilon squared "
                f"{test.epsilon_squared:.3f} ({test.degrees / max(test.n - 1, 1):.3f} is expected "
                "without any difference)."
            )
        )
    if one.mann_whitney:
        blocks.append(Fold("All pairs", [_pairs(one)]))
    if one.adjusted:
        blocks.append(_adjusted(one))
    return blocks


def _pairs(one: FactorResult) -> TableBlock:
    rows: list[list[Cell]] = [
        [
            f"{one.compared[mann.first]} - {one.compared[mann.second]}", mann.shift,
            mann.superiority, mann.p_holm, mann.p_bh, dunn.p_holm, dunn.p_bh,
        ]
        for mann, dunn in zip(one.mann_whitney, one.dunn, strict=True)
    ]  # fmt: skip
    columns: list[str | Column] = [
        "pair",
        Column("Hodges-Lehmann shift"),
        Column("first is higher", digits=2),
        Column("Mann-Whitney, Holm", kind="p"),
        Column("BH", kind="p"),
        Column("Dunn, Holm", kind="p"),
        Column("BH", kind="p"),
    ]
    caption = (
        "On means of patients. First is higher: probability that a patient of the first group "
        "has the larger value. Shifts presume groups that differ by a shift alone."
    )
    return TableBlock(columns, rows, caption)


def _adjusted(one: FactorResult) -> TableBlock:
    binary = any(contrast.odds_ratio is not None for contrast in one.adjusted)
    columns: list[str | Column] = [
        "group against reference", Column("unadjusted"), Column("p", kind="p"),
        Column("adjusted"), Column("p", kind="p"),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [
            f"{c.group} - {c.reference}", c.unadjusted, c.p_unadjusted, c.adjusted, c.p_adjusted,
            *((c.odds_ratio,) if binary else ()),
        ]
        for c in one.adjusted
    ]  # fmt: skip
    if binary:
        columns.append(Column("adjusted odds ratio", digits=2))
    return TableBlock(
        columns, rows, "Differences without and with the covariates, on the same rows."
    )


def _distributions(found: Subgroups, what: str) -> list[Block]:
    home = found.question.home
    names = "" if home is None else ", ".join(home[1])
    title = "all out of distribution"
    forest = [ForestRow(one.name or title, one.difference) for one in found.distributions]
    rows: list[list[Cell]] = [[f"in distribution ({names})", found.home, None]]
    rows += [[one.name or title, one.estimate, one.difference] for one in found.distributions]
    return [
        forest_chart(
            forest,
            label=f"difference of {what}, out minus in distribution",
            reference=0.0,
            reference_label="no difference",
        ),
        TableBlock(
            ["", Column("value"), Column("out minus in")], rows, f"In distribution: {names}."
        ),
    ]
