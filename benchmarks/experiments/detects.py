"""Does a detector that was trained on synthetic tumors find others? See benchmarks/README.md.

    python benchmarks/experiments/detects.py WORK --organs liver --seeds 0 1 2 --json FILE

For each organ and training seed: ``scalemai train`` on phantoms without lesions, then ``predict``
and ``evaluate`` on phantoms of other patients with lesions of the phantom's own model, which
shares no code with the synthesis that is trained on. Whatever is done is not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from scalemai.anatomy import organ as facts_of
from scalemai.cases.phantom import LesionDraw
from scalemai.cases.phantom.batch import open_phantom_ledger, write_phantom_cases
from scalemai.evaluation.lesions.bins import SizeBins
from scalemai.evaluation.lesions.froc import froc
from scalemai.evaluation.lesions.sensitivity import sensitivity_by_size

BINS = SizeBins((10.0, 20.0))
HOSTS, HOSTS_SEED, TESTS_SEED = 48, 100, 9000
SIZES_MM, NUMBERS = (4.0, 36.0), (2, 4)
RATE = 1.0
CANDIDATES = ["--threshold", "0.1", "--prediction-min-mm3", "50"]
"""Candidates are pieces of the probability map at this value; their score is its maximum."""

PLAIN_HU = 10.0
"""Contrast to the organ from which a lesion is counted as plain; author's choice."""

STRUCTURES = {
    "liver": ("liver",),
    "pancreas": ("pancreas",),
    "kidney": ("kidney_left", "kidney_right"),
}


@dataclass(frozen=True)
class Scanner:
    """How test phantoms are scanned."""

    title: str
    overrides: Mapping[str, Any]


SCANNERS = {
    "as trained": Scanner("2.5 mm, dose and kernel drawn as in the training", {"preset": "small"}),
    "another": Scanner(
        "1.5 x 1.5 x 5 mm, half the dose, medium kernel",
        {
            "preset": "small",
            "spacing_mm": (1.5, 1.5, 5.0),
            "shape": (272, 208, 50),
            "orientation": "LPS",
            "dose": 0.5,
            "kernel": "medium",
        },
    ),
}


def main() -> None:
    """Do what is left, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path, help="folder for phantoms, detectors and predictions")
    parser.add_argument("--organs", nargs="+", default=["liver"], choices=sorted(STRUCTURES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--tests", type=int, default=26, help="test phantoms a seed and scanner")
    parser.add_argument("--preset", default="cpu-small")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", dest="settings")
    parser.add_argument("--flips", action="store_true", help="average over mirror images")
    parser.add_argument("--json", type=Path, help="file for the results")
    asked = parser.parse_args()
    hosts = phantoms(asked.work / "hosts", HOSTS, HOSTS_SEED, {"preset": "small"}, None)
    rows = [
        row for name in asked.organs for row in organ_rows(asked, name, hosts, asked.work / name)
    ]
    if asked.json is not None:
        asked.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print("\n".join(table(rows)))


def organ_rows(
    asked: argparse.Namespace, name: str, hosts: Path, work: Path
) -> Iterator[dict[str, Any]]:
    """Results of one organ: each seed and scanner, and all seeds of a scanner together."""
    pooled: dict[str, list[pl.DataFrame]] = {scanner: [] for scanner in SCANNERS}
    for seed in asked.seeds:
        run = work / f"seed-{seed}"
        cost = trained(asked, name, seed, hosts, run, work / "cache")
        for number, (scanner, how) in enumerate(SCANNERS.items()):
            place = f"{seed}-{scanner.replace(' ', '-')}"
            draw = LesionDraw(STRUCTURES[name], SIZES_MM, NUMBERS)
            dataset = phantoms(
                work / "tests" / place,
                asked.tests,
                TESTS_SEED + 10 * seed + number,
                how.overrides,
                draw,
            )
            predicted = run / f"predictions-{place}"
            flips = ["--flips"] if asked.flips else []
            scalemai("predict", run / "detector", dataset, "--out", predicted, *flips)
            result = run / f"evaluation-{place}"
            lesion = facts_of(name).lesion
            scalemai(
                "evaluate", predicted, dataset, "--out", result, "--lesions", lesion,
                "--structures", lesion, "--images", dataset, "--pictures", "0", *CANDIDATES,
            )  # fmt: skip
            called, point = at_rate(result, f"{place}/")
            pooled[scanner].append(called)
            yield from size_rows(called, organ=name, seed=seed, scanner=scanner, **point, **cost)
    for scanner, parts in pooled.items() if len(asked.seeds) > 1 else ():
        yield from size_rows(pl.concat(parts), organ=name, seed="all", scanner=scanner)


def phantoms(
    out: Path, n: int, seed: int, overrides: Mapping[str, Any], lesions: LesionDraw | None
) -> Path:
    """A data set of phantoms, whose patients follow from the seed."""
    with open_phantom_ledger(out, seed, overrides, lesions) as ledger:
        run = write_phantom_cases(
            out, n, seed=seed, ledger=ledger, overrides=overrides, lesions=lesions
        )
        for outcome in run:
            if outcome.error is not None:
                sys.exit(f"{out}: {outcome.error}")
    return out


def trained(
    asked: argparse.Namespace, name: str, seed: int, hosts: Path, run: Path, cache: Path
) -> dict[str, float]:
    """Train a detector; processor minutes, loader workers and preparation included."""
    record = run / "cost.json"
    if record.is_file():
        return dict(json.loads(record.read_text(encoding="utf-8")))
    settings = [part for text in asked.settings for part in ("--set", text)]
    began = time.monotonic()
    used = scalemai(
        "train", hosts, "--out", run, "--organ", name, "--seed", str(seed), "--preset",
        asked.preset, "--cache", cache, "--workers", "1", *settings,
    )  # fmt: skip
    cost = {"cpu_min": used / 60.0, "wall_min": (time.monotonic() - began) / 60.0}
    record.write_text(json.dumps(cost) + "\n", encoding="utf-8")
    return cost


def scalemai(*words: Any) -> float:
    """Run a command; processor seconds of it and of all processes that it started."""
    command = [sys.executable, "-m", "scalemai", *map(str, words)]
    process = subprocess.Popen(command, env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"})
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)}: exit {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def at_rate(result: Path, prefix: str) -> tuple[pl.DataFrame, dict[str, Any]]:
    """The lesions of an evaluation, found or not at the rate of false positives, and the point."""
    lesions = pl.read_parquet(result / "lesions.parquet")
    candidates = pl.read_parquet(result / "candidates.parquet")
    scans = pl.read_parquet(result / "cases.parquet")["case"].to_list()
    curve = froc(lesions, candidates, scans=scans, rng=np.random.default_rng(0), rates=(RATE,))
    place = int(np.flatnonzero(curve.fp_per_scan <= RATE)[-1])
    threshold = float(curve.threshold[place])
    called = lesions.with_columns(
        (pl.col("detected") & (pl.col("score").fill_null(-1.0) >= threshold)).alias("detected"),
        (prefix + pl.col("case")).alias("case"),
        (prefix + pl.col("patient")).alias("patient"),
    )
    whole = curve.rates[RATE]
    return called, {
        "scans": len(scans),
        "threshold": threshold,
        "fp_per_scan": float(curve.fp_per_scan[place]),
        "froc": whole.value,
    }


def size_rows(called: pl.DataFrame, **about: Any) -> Iterator[dict[str, Any]]:
    """Sensitivity by size, with intervals that take the lesions of a patient together."""
    plain = called.filter(pl.col("contrast_hu").abs() >= PLAIN_HU)
    for which, some in (("all", called), (f"contrast of {PLAIN_HU:g} HU or more", plain)):
        for one in sensitivity_by_size(some, bins=(BINS,)):
            estimate = one.sensitivity.primary
            counts = {"found": one.sensitivity.k, "of": one.sensitivity.n}
            yield {**about, "lesions": which, "size": one.size_bin, **counts, **estimate.as_dict()}


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Markdown: a line per organ, seed and scanner, a column per size."""
    sizes = list(dict.fromkeys(row["size"] for row in rows))
    yield "| organ | scanner | lesions | seed | " + " | ".join(sizes) + " | CPU min |"
    yield "|---|---|---|---|" + "---:|" * (len(sizes) + 1)
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        key = row["organ"], row["scanner"], row["lesions"], row["seed"]
        groups.setdefault(key, []).append(row)
    for (name, scanner, which, seed), own in groups.items():
        cells = []
        for row in own:
            found = f"{row['value']:.2f}" if row["value"] is not None else "-"
            ends = "" if row["low"] is None else f" ({row['low']:.2f}-{row['high']:.2f})"
            cells.append(f"{found}{ends}, {row['found']} of {row['of']}")
        cost = f"{own[0]['cpu_min']:.1f}" if "cpu_min" in own[0] else ""
        yield f"| {name} | {scanner} | {which} | {seed} | " + " | ".join(cells) + f" | {cost} |"


if __name__ == "__main__":
    main()
