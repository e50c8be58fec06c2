"""What is an annotated scan worth, and what a synthetic one? Nested draws, fixed number of steps.

Run: python benchmarks/experiments/scaling.py --work FOLDER --steps 200 --draws 2
     python benchmarks/experiments/scaling.py --work FOLDER --steps 200 --table docs/results

"Annotated" scans are phantoms with lesions of the phantom's own model, not patients. Both arms of
a size see the same scans, annotated ones and 24 normal ones; in one arm tumors are grown in all of
them, too. The scans of a smaller number are among those of a larger one of the same draw. A draw
has its own seed of the first weights, so draws and seeds vary together.

``--table`` writes ``scaling.csv`` (a row per test lesion, run and size bin), which ``scalemai
scaling`` reads, and ``scaling.png``.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ablations import ARMS as ABLATIONS
from ablations import parser, say
from runs import Arm, Bench, read_results, run_all
from tables import ALL, BINS, found_at, levels, of_set

from scalemai.io.atomic import atomic_path

__all__ = ["ARMS", "SIZES", "main", "rows_of"]

SIZES = (1, 2, 4, 8, 12, 16)
"""Annotated scans. Six sizes, as many as ``scalemai scaling`` needs to fit a law."""

RATE = 1.0
"""False candidates per scan at which a lesion counts as found."""

_COLUMNS = (
    "n_real", "n_synthetic", "draw", "seed", "group", "case", "patient", "lesion", "found",
)  # fmt: skip

BASELINE = ABLATIONS["baseline"]

_LISTED = (
    BASELINE,  # no annotated scan: synthetic tumors in normal ones alone
    *(
        arm
        for n in SIZES
        for arm in (
            Arm(f"real-{n:02d}", f"{n} annotated scans", real=n, tumors="none"),
            Arm(f"real-{n:02d}-synthetic", f"{n} annotated scans and synthetic tumors", real=n),
        )
    ),
)
ARMS = {arm.name: arm for arm in _LISTED}


def rows_of(bench: Bench) -> Iterator[dict[str, Any]]:
    """A row per run, group and test lesion: whether it was found at the rate of its run."""
    hosts = bench.sets["normal"].n
    for arm in bench.arms.values():
        for draw, result in read_results(bench, arm).items():
            found = of_set(result, "test")
            at_rate = found_at(found, RATE)[0]
            told = {
                "n_real": arm.real,
                "n_synthetic": 0 if arm.tumors == "none" else hosts + arm.real,
                "draw": draw,
                "seed": draw,
            }
            for index, one in enumerate(result["sets"]["test"]["lesions"]):
                own = {"case": one["case"], "patient": one["case"], "lesion": one["lesion"]}
                for group in (ALL, BINS.label_of(one["diameter_mm"])):
                    yield {**told, "group": group, **own, "found": int(at_rate[index])}


def draw_figure(bench: Bench, path: Path) -> None:
    """Sensitivity over the number of annotated scans, with and without synthetic tumors."""
    try:
        import matplotlib as mpl
    except ModuleNotFoundError:
        raise SystemExit("the figure needs matplotlib: pip install matplotlib") from None
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for tumors, colour, shift, name in (
        ("none", "#7a7a7a", 1.0, "annotated scans alone"),
        ("fresh", "#0b6e99", 1.05, "and synthetic tumors in the same scans"),
    ):
        points = list(_points(bench, tumors))
        if not points:
            continue
        # No annotated scan stands at a half, left of the others on a logarithmic axis.
        at = np.array([max(n, 0.5) for n, _, _ in points]) * shift
        for x, (_, estimate, singles) in zip(at, points, strict=True):
            axes.plot([x] * len(singles), singles, ".", color=colour, alpha=0.45, ms=5)
            if estimate.low is not None:
                axes.plot([x, x], [estimate.low, estimate.high], color=colour, lw=1)
        means = [estimate.value for _, estimate, _ in points]
        axes.plot(at, means, "o-", color=colour, label=name, ms=5, lw=1.4)
    axes.set_xscale("log", base=2)
    ticks = (0.5, *SIZES)
    axes.set_xticks(ticks, ["0", *(str(n) for n in SIZES)])
    axes.minorticks_off()
    axes.set_ylim(0.0, 1.0)
    axes.set_xlabel("annotated scans (phantoms with lesions of an independent model)")
    axes.set_ylabel("sensitivity at 1 false candidate per scan")
    axes.grid(color="#e6e6e6")
    axes.set_axisbelow(True)
    axes.legend(frameon=False, loc="lower right")
    with atomic_path(path) as partial_path:
        figure.savefig(partial_path, dpi=130, format="png", metadata={"Software": None})
    plt.close(figure)


def _points(bench: Bench, tumors: str) -> Iterator[tuple[int, Any, list[float]]]:
    """Annotated scans, the mean over draws with its interval, and each draw."""
    for arm in bench.arms.values():
        results = read_results(bench, arm)
        if arm.tumors != tumors or not results:
            continue
        runs = [of_set(result, "test") for result in results.values()]
        singles = [float(found_at(one, RATE)[0].mean()) for one in runs]
        estimate = levels(runs)[0][0]
        yield arm.real, estimate, singles


def write_rows(rows: Iterator[Mapping[str, Any]], path: Path) -> int:
    """Write the table that ``scalemai scaling`` reads; the number of rows."""
    count = 0
    with atomic_path(path) as partial_path, partial_path.open("w", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS)
        writer.writeheader()
        for row in rows:
            writer.writerow(row)
            count += 1
    return count


def main(given: Sequence[str] | None = None) -> int:
    """Run the draws, or write table and figure of what is there."""
    options = parser(__doc__)
    options.add_argument("--draws", type=int, default=2, help="draws 0 to N - 1 of annotated scans")
    asked = options.parse_args(given)
    bench = Bench(asked.work, asked.steps, ARMS)
    names = asked.arms.split(",") if asked.arms else list(ARMS)
    unknown = [name for name in names if name not in ARMS]
    if unknown:
        raise SystemExit(f"no arm {', '.join(unknown)}; there are {', '.join(ARMS)}")
    if asked.table is None:
        # Draw by draw, so that a whole curve is there early.
        runs = [(ARMS[name], draw) for draw in range(asked.draws) for name in names]
        return 1 if run_all(bench, runs, workers=asked.workers, say=say) else 0
    count = write_rows(rows_of(bench), asked.table / "scaling.csv")
    draw_figure(bench, asked.table / "scaling.png")
    print(f"{count} rows; now: scalemai scaling {asked.table / 'scaling.csv'} --out FOLDER")
    return 0


if __name__ == "__main__":
    sys.exit(main())
