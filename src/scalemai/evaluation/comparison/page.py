"""The page of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from scalemai.evaluation.comparison.alignment import OVER_CLASSES
from scalemai.evaluation.comparison.comparing import Comparison
from scalemai.evaluation.comparison.definitions import DEFINITIONS
from scalemai.evaluation.report import (
    Block,
    Cell,
    Chart,
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
from scalemai.evaluation.report.charts.ranks import rank_chart
from scalemai.evaluation.report.charts.significance import significance_map
from scalemai.evaluation.report.numbers import number_in_words
from scalemai.statistics.estimate import Estimate

__all__ = ["comparison_page"]

_MOST_UNPAIRED = 50
"""Cases that are listed on the page; all are in the table."""


def comparison_page(comparison: Comparison) -> Page:
    """Compose the page: what was compared, ranking and tests of each class, definitions.

    Parameters
    ----------
    comparison
        What was found.
    """
    metrics = comparison.question.metrics
    sections = [Section("What was compared", _basis(comparison))]
    for metric in metrics:
        blocks = [_scope(comparison, metric, name) for name in _scopes(comparison, metric)]
        sections.append(Section(metric, blocks))
    if len(metrics) > 1:
        sections.append(Section("Do the metrics agree?", _agreement(comparison)))
    definitions = [*comparison.definitions]
    for kind in comparison.tables:
        definitions += DEFINITIONS.get(kind, ())
    provenance = Provenance(comparison.cases, comparison.settings)
    sections.append(Section("Definitions and provenance", [Glossary(definitions), provenance]))
    count = len(comparison.algorithms)
    return Page(f"Comparison of {count} algorithms", ", ".join(metrics), sections)


def _basis(comparison: Comparison) -> list[Block]:
    question = comparison.question
    coverage = comparison.tables["coverage"]
    blocks: list[Block] = [
        KeyNumbers(
            [
                ("algorithms", len(comparison.algorithms)),
                ("common cases", int(coverage["common_cases"][0])),
                ("cases that not all have", comparison.unpaired["case"].n_unique()),
                ("values missing", int(coverage["missing"].sum())),
            ]
        ),
        *(Note(note, "warning") for note in comparison.notes),
        Paragraph(
            "Algorithms are paired by the names of cases, on the cases that all of them have. "
            f"Tests are made on patients, at level {question.level:g} for all pairs of a class "
            "together (Holm). Not significant does not mean equal: equivalence has its own test, "
            "with the margin "
            + ", ".join(f"{name}: {question.margin(name):g}" for name in question.metrics)
            + "."
        ),
        Fold("Cases by class and algorithm", [_table(coverage)]),
    ]
    if comparison.unpaired.height:
        listed = comparison.unpaired.head(_MOST_UNPAIRED)
        more = comparison.unpaired.height - listed.height
        caption = f"{more:,} more are in unpaired.csv." if more else ""
        blocks.append(Fold("Cases that not all algorithms have", [_table(listed, caption)]))
    return blocks


def _scopes(comparison: Comparison, metric: str) -> list[str]:
    """Names of classes, the mean over them first."""
    rows = comparison.tables["overall"].filter(pl.col("metric") == metric)
    names: list[str] = rows["class"].to_list()
    return sorted(names, key=lambda name: (name != OVER_CLASSES, names.index(name)))


def _scope(comparison: Comparison, metric: str, name: str) -> Section:
    found = {
        kind: frame.filter((pl.col("metric") == metric) & (pl.col("class") == name))
        for kind, frame in comparison.tables.items()
        if kind in ("pairs", "significance", "ranking", "places", "overall")
    }
    level = comparison.question.level
    overall = found["overall"].row(0, named=True)
    blocks: list[Block] = [Paragraph(_in_words(overall)), _ranking(found["ranking"], level)]
    if found["places"].height:
        blocks.append(_places(found, level))
    blocks.append(_map(found, level, touchstone=False))
    blocks.append(Fold("All pairs", [_pairs(found["pairs"], level)]))
    blocks.append(
        Fold(
            "The map by the rule of the Touchstone benchmark",
            [
                Paragraph(
                    "For each pair the cases that both have; empty cells dropped, not counted as "
                    "failures; zeros dropped; algorithms ordered by their median."
                ),
                _map(found, level, touchstone=True),
            ],
        )
    )
    return Section(name, blocks)


def _in_words(overall: Mapping[str, Any]) -> str:
    text = (
        f"{overall['algorithms']} algorithms on {overall['n_cases']:,} cases of "
        f"{overall['n']:,} patients."
    )
    if overall["friedman_p"] is None:
        text += f" Friedman's test: not computed because {overall['reason']}."
    else:
        p = overall["friedman_p"]
        text += (
            f" Friedman's test that all rank alike: chi-squared {overall['friedman_chi2']:.1f}, "
            + ("p < 0.001." if p < 0.001 else f"p = {p:.3f}.")
        )
    if overall["tau"] is None:
        reason = overall["tau_reason"] or overall["reason"]
        text += f" Stability of the ranking: not computed because {reason}."
    else:
        text += (
            f" Rankings of resampled patients agree with this one with Kendall's tau "
            f"{overall['tau']:.2f} (central range {overall['tau_low']:.2f} to "
            f"{overall['tau_high']:.2f})."
        )
    return text


def _ranking(frame: pl.DataFrame, level: float) -> TableBlock:
    rows: list[list[Cell]] = [
        [
            row["algorithm"],
            row["place"],
            _with_reason(row, "mean", 1 - level),
            _with_reason(row, "median", 1 - level),
            row["mean_rank"],
            _range(row["place_low"], row["place_high"]),
            _range(row["tested_place_low"], row["tested_place_high"]),
            row["probability_first"],
            row["better_than"],
            row["missing"],
        ]
        for row in frame.iter_rows(named=True)
    ]
    columns: list[str | Column] = [
        "algorithm",
        "place",
        "mean",
        "median",
        Column("rank", digits=2),
        "resampled",
        "tested",
        Column("first", kind="percent", digits=2),
        "beats",
        "missing",
    ]
    caption = (
        f"Ranked by the mean over cases, with its {1 - level:.0%} interval from resampled "
        "patients, and the median over patients. Rank: mean over patients. Resampled: central "
        "range of the place over resamples. Tested: a simultaneous range of the place from all "
        "pairwise tests. "
        "Beats: algorithms that it is significantly better than. Tests speak of the "
        "typical case, means of failures too: they may disagree."
    )
    return TableBlock(columns, rows, caption)


def _places(found: Mapping[str, pl.DataFrame], level: float) -> Chart:
    ranking = found["ranking"]
    names = ranking["algorithm"].to_list()
    shares = np.array(
        [found["places"].filter(pl.col("algorithm") == name)["probability"] for name in names]
    )
    return rank_chart(
        names,
        shares,
        ranks=ranking["place"].to_list(),
        low=ranking["place_low"].to_list(),
        high=ranking["place_high"].to_list(),
        level=1 - level,
    )


def _map(found: Mapping[str, pl.DataFrame], level: float, *, touchstone: bool) -> Chart:
    """All pairs; a cell has the p of the direction in which its effect points."""
    ranking = found["ranking"]
    names = ranking["algorithm"].to_list()
    index = {name: k for k, name in enumerate(names)}
    p = np.full((len(names), len(names)), np.nan)
    effect = np.full_like(p, np.nan)
    for row in found["significance"].iter_rows(named=True):
        value = row["touchstone_p_holm" if touchstone else "p_holm"]
        i, j = index[row["better"]], index[row["worse"]]
        if value is not None:
            p[i, j] = np.nanmin([p[i, j], value])
            p[j, i] = np.nanmin([p[j, i], value])
    for row in found["pairs"].iter_rows(named=True):
        if row["rank_biserial"] is not None:
            i, j = index[row["first"]], index[row["second"]]
            effect[i, j], effect[j, i] = row["rank_biserial"], -row["rank_biserial"]
    if touchstone:
        places = [float(place or len(names)) for place in ranking["touchstone_place"]]
        return significance_map(
            names, p, effect, order_by=places, alpha=level, order_label="median"
        )
    places = [float(k if place is None else place) for k, place in enumerate(ranking["place"])]
    return significance_map(names, p, effect, order_by=places, alpha=level, order_label="mean")


def _pairs(frame: pl.DataFrame, level: float) -> TableBlock:
    rows: list[list[Cell]] = [
        [
            row["first"],
            row["second"],
            row["verdict"],
            row["n"],
            row["difference"],
            _ends(row, "difference") or row["difference_reason"],
            row["shift"],
            _ends(row, "shift"),
            row["rank_biserial"],
            row["p_first_better_holm"],
            row["p_second_better_holm"],
            row["p_equivalent_holm"],
        ]
        for row in frame.iter_rows(named=True)
    ]
    columns: list[str | Column] = [
        "first",
        "second",
        "verdict",
        "n",
        "difference",
        f"{1 - 2 * level:.0%} CI",
        "shift",
        f"{1 - level:.0%} CI",
        Column("effect", digits=2),
        Column("p first", kind="p"),
        Column("p second", kind="p"),
        Column("p equal", kind="p"),
    ]
    caption = (
        "First minus second: difference of means, and Hodges-Lehmann shift. Effect: rank-biserial "
        "correlation, positive where the first is better. p first, p second: that it is better, "
        "one-sided; p equal: of equivalence within the margin; all after Holm."
    )
    return TableBlock(columns, rows, caption)


def _agreement(comparison: Comparison) -> list[Block]:
    rows: list[Sequence[Cell]] = [
        [
            row["class"],
            row["metric"],
            row["other"],
            _estimate(row, "tau", 1 - comparison.question.level),
        ]
        for row in comparison.tables["agreement"].iter_rows(named=True)
    ]
    caption = (
        "Kendall's tau-b between the rankings by mean, with its central range over resampled "
        "patients; 1 is the same order."
    )
    return [TableBlock(["class", "metric", "other metric", Column("tau", digits=2)], rows, caption)]


def _estimate(row: Mapping[str, Any], name: str, level: float) -> Estimate | None:
    if row[name] is None:
        return None
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return Estimate(row[name], low, high, level, int(row.get("n") or 0))


def _ends(row: Mapping[str, Any], name: str) -> str | None:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if low is None or high is None:
        return None
    return f"{number_in_words(low)} to {number_in_words(high)}"


def _with_reason(row: Mapping[str, Any], name: str, level: float) -> Estimate | None:
    """A mean or median of the ranking, with why it has no interval."""
    if row[name] is None:
        return None
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    reason = "" if low is not None else str(row["reason"] or "")
    return Estimate(row[name], low, high, level, int(row["n"]), reason=reason)


def _range(low: int | None, high: int | None) -> str | None:
    if low is None or high is None:
        return None
    return str(low) if low == high else f"{low}–{high}"


def _table(frame: pl.DataFrame, caption: str = "") -> TableBlock:
    titles = [name.replace("_", " ") for name in frame.columns]
    return TableBlock(titles, [list(row) for row in frame.iter_rows()], caption)
