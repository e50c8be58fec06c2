"""A page with every block and every chart; as a program it prints the page."""

from __future__ import annotations

import io
import math
import sys

import numpy as np
from PIL import Image

from scalemai.evaluation.definitions import Definition
from scalemai.evaluation.report import (
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
)
from scalemai.evaluation.report.charts import (
    FittedCurve,
    ForestRow,
    FrocCurve,
    ReaderPoint,
    ReliabilityBin,
    RocLine,
    ScalingSeries,
    distribution_chart,
    forest_chart,
    froc_chart,
    rank_chart,
    readers_chart,
    reliability_chart,
    roc_chart,
    scaling_chart,
    significance_map,
    size_chart,
)
from scalemai.statistics.estimate import Estimate, not_computed

MARKUP = "<script>alert(\"1\")</script> & $x_1$ {{ 7 * 7 }} 'q'"
LONG = "a name of sixty characters with <b>markup</b> & $\\frac{1}{2}$ ab"[:60]


def estimate(value: float, half: float = 0.08, n: int = 60) -> Estimate:
    return Estimate(value, value - half, value + half, n=n, method="wilson")


UNBOUNDED = Estimate(0.7, -math.inf, math.inf, n=3)
ABSENT = not_computed(f"only 2 lesions {MARKUP}", n=2)
NO_ENDS = Estimate(0.4567, n=4, reason="4 clusters are too few")


def names(count: int) -> list[str]:
    return [f"{LONG[:57]}{n:03d}" if n % 2 else f"model {n}" for n in range(count)]


def charts(count: int) -> list[Chart]:
    """Every chart of ``count`` algorithms, with estimates of every kind among them."""
    called = names(count)
    level = np.linspace(0.9, 0.5, count)
    fp = np.geomspace(0.02, 12, 40)
    rates = {rate: estimate(0.4 * rate**0.2) for rate in (0.125, 0.25, 0.5, 1, 2, 4)}
    rates[8] = UNBOUNDED
    rate = np.linspace(0, 1, 20)
    effect = np.subtract.outer(level, level)
    p = np.exp(-30 * np.abs(effect))
    p[np.arange(count), np.arange(count)] = np.nan
    n = np.array([100.0, 200, 400, 800, 1600, 3200])
    law = FittedCurve("power law", n * 2, 0.8 - n**-0.5, 0.7 - n**-0.5, np.full(6, math.inf))
    kinds = (estimate(0.6), UNBOUNDED, ABSENT, NO_ENDS)
    shares = np.full((count, count), 1 / max(count, 1))
    return [
        froc_chart([FrocCurve(c, fp, q * fp / (fp + 1), rates, estimate(0.5)) for c, q in
                    zip(called, level, strict=True)]),
        roc_chart([RocLine(c, rate, rate ** (1 - q), estimate(q), estimate(q), estimate(0.9))
                   for c, q in zip(called, level, strict=True)]),
        size_chart(["< 10 mm", "10-20 mm", "20-50 mm", MARKUP], dict.fromkeys(called, kinds)),
        significance_map(called, p, effect, order_by=list(-level)),
        rank_chart(called, shares, ranks=list(range(1, count + 1)), low=[1] * count,
                   high=[count] * count),
        forest_chart([ForestRow(c, kinds[k % 4], f"heading {k // 4}") for k, c in
                      enumerate(called)], label="sensitivity", reference=0.75),
        scaling_chart([ScalingSeries(c, n.tolist(), [*kinds, estimate(0.7), estimate(0.72)], [law])
                       for c in called], label="DSC", margin=0.01, plateau_n=1600),
        reliability_chart({c: [ReliabilityBin(0.1, kinds[0]), ReliabilityBin(0.6, UNBOUNDED),
                               ReliabilityBin(0.9, ABSENT)] for c in called}),
        distribution_chart({c: np.linspace(0, q, 3 + 200 * k) for k, (c, q) in
                            enumerate(zip(called, level, strict=True))}, label="DSC"),
        readers_chart([ReaderPoint(c, estimate(q), kinds[k % 4]) for k, (c, q) in
                       enumerate(zip(called, level, strict=True))]),
    ]  # fmt: skip


def png(width: int = 30) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((20, width, 3), 90, np.uint8)).save(out, format="PNG")
    return out.getvalue()


TABLE = TableBlock(
    [
        "structure",
        Column("DSC"),
        Column("HD95", "mm", 1),
        "cases",
        Column("share", kind="percent"),
        Column("p", kind="p"),
        "ok",
    ],
    [
        ["pancreas", estimate(0.8234), UNBOUNDED, 170, 0.125, 0.0004, True],
        [MARKUP, ABSENT, NO_ENDS, 24, 0.5, 0.0431, False],
        [LONG, estimate(0.31), None, 5172, None, None, None],
    ],
    f"By structure {MARKUP}",
)
DEFINITION = Definition(
    "dsc/1", "dsc", f"Dice {MARKUP}", "", "higher", "Twice the overlap.", "Dice, Ecology 1945"
)


def sample_page() -> Page:
    return Page(
        f"Evaluation {MARKUP}",
        f"12 cases {MARKUP}",
        [
            Section(
                "Summary",
                [
                    KeyNumbers([("sensitivity", estimate(0.777)), (MARKUP, ABSENT), ("cases", 12)]),
                    *(Note(MARKUP, kind) for kind in ("info", "good", "warning", "bad")),
                ],
            ),
            Section(
                f"Tables {MARKUP}",
                [
                    Paragraph(f"{'Words ' * 60}{MARKUP}"),
                    Listing([MARKUP, "x" * 300]),
                    TABLE,
                    Section("Within", [Fold(f"all {MARKUP}", [TABLE]), TableBlock(["a"], [])]),
                ],
            ),
            Section("Charts", charts(3)),
            Section("Pictures", [Picture(png(), f"caption {MARKUP}"), Picture(png(1400), "", "b")]),
            Section("Definitions", [Glossary([DEFINITION])]),
            Section(
                "Provenance",
                [Provenance({MARKUP: "ab" * 32, "c2": "cd" * 32}, {"seed": 7, "bins": [10, 20]})],
            ),
        ],
    )


if __name__ == "__main__":
    sys.stdout.write(render_page(sample_page()))
