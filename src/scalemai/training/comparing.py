"""Two detectors on the same scans: lesion by lesion, what was gained and what was lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalemai.detector.files import Detector
from scalemai.detector.preprocessing import Prepared
from scalemai.evaluation.lesions.components import find_components
from scalemai.evaluation.lesions.matching import match
from scalemai.evaluation.lesions.rules import parse_rule
from scalemai.evaluation.report import Cell, TableBlock
from scalemai.inference.settings import Runtime, Settings
from scalemai.inference.windows import predict_prepared
from scalemai.statistics.bootstrap import cluster_mean, cluster_proportion
from scalemai.statistics.estimate import Estimate
from scalemai.training.cases import TrainingCase
from scalemai.training.classes import IGNORE
from scalemai.training.patches import Patches
from scalemai.training.sampling import BINS
from scalemai.training.scans import scans_with_lesions

__all__ = ["Comparison", "Scans", "before_and_after", "compare_detectors"]

_RULE = parse_rule("overlap")
_ALL = "all"
_FALSE = "false candidates per scan"
_LESIONS = {
    "group": pl.String, "case": pl.String, "diameter_mm": pl.Float64, "size": pl.String,
    "before": pl.Boolean, "after": pl.Boolean,
}  # fmt: skip
_SCANS = {"group": pl.String, "case": pl.String, "before": pl.Int64, "after": pl.Int64}


@dataclass(frozen=True, eq=False)
class Scans:
    """Hosts and what is grown in them.

    Parameters
    ----------
    cases
        The hosts.
    patches
        What is grown; each of them gives other lesions in the same hosts.
    """

    cases: Sequence[TrainingCase]
    patches: Sequence[Patches]


@dataclass(frozen=True, eq=False)
class Comparison:
    """What two detectors found in the same scans.

    Parameters
    ----------
    lesions
        A row per lesion: ``group, case, diameter_mm, size``, and whether it was found ``before``
        and ``after``.
    scans
        A row per scan: ``group, case``, and how many candidates were false ``before``, ``after``.
    threshold
        Probability of a lesion from which a voxel is part of a candidate.
    """

    lesions: pl.DataFrame
    scans: pl.DataFrame
    threshold: float

    def rows(self, *, seed: int = 0, draws: int = 1000) -> list[dict[str, Any]]:
        """For each group: sensitivity of all lesions and by size, and false candidates per scan.

        Columns ``group, what, n``, and estimates ``before, after, change``, whose intervals
        resample hosts; the change is that of the same lesions.
        """
        rng = np.random.default_rng(seed)
        rows = []
        for group in self.scans["group"].unique(maintain_order=True):
            found = self.lesions.filter(pl.col("group") == group)
            for size in (_ALL, *BINS.labels):
                some = found if size == _ALL else found.filter(pl.col("size") == size)
                if some.height:
                    rows.append({"group": group, "what": f"sensitivity, {size}", "n": some.height})
                    rows[-1] |= _estimates(some, _share, rng, draws)
            scans = self.scans.filter(pl.col("group") == group)
            rows.append({"group": group, "what": _FALSE, "n": scans.height})
            rows[-1] |= _estimates(scans, cluster_mean, rng, draws)
        return rows


def before_and_after(rows: Sequence[Mapping[str, Any]], threshold: float) -> TableBlock:
    """Rows of a comparison as a table of a page."""
    cells: list[list[Cell]] = [
        [f"{row['group']}: {row['what']}", row["n"], row["before"], row["after"], row["change"]]
        for row in rows
    ]
    caption = (
        "Synthetic lesions of fixed seeds in whole held-out hosts, the same before and after, at "
        f"a probability of {threshold:g}; n counts lesions or scans, intervals resample hosts. "
        "This is no claim about patients."
    )
    return TableBlock(["what", "n", "before", "after", "change"], cells, caption)


def compare_detectors(
    before: Detector,
    after: Detector,
    groups: Mapping[str, Scans],
    *,
    threshold: float = 0.5,
    threads: int = 1,
) -> Comparison:
    """Look for the same lesions with two detectors of the same preprocessing and classes.

    Parameters
    ----------
    before, after
        The detectors.
    groups
        Scans by name of their group.
    threshold
        Probability from which a voxel is part of a candidate.
    threads
        Threads of the CPU.
    """
    lesions: list[dict[str, Any]] = []
    counts: list[dict[str, Any]] = []
    for group, scans in groups.items():
        for patches in scans.patches:
            hosts = scans_with_lesions(patches, list(scans.cases))
            for case, scan in zip(scans.cases, hosts, strict=True):
                named = {"group": group, "case": case.id}
                found, false = _found(before, after, scan, threshold, threads)
                lesions += [{**named, **row} for row in found]
                counts.append({**named, **false})
    return Comparison(pl.DataFrame(lesions, _LESIONS), pl.DataFrame(counts, _SCANS), threshold)


def _share(
    found: NDArray[np.float64], cases: NDArray[np.str_], *, rng: np.random.Generator, draws: int
) -> Estimate:
    """Share of lesions found, of hosts with several."""
    return cluster_proportion(found, np.ones(found.size), cases, rng=rng, draws=draws)


def _found(
    before: Detector, after: Detector, scan: Prepared, threshold: float, threads: int
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    labels = np.zeros(scan.grid.shape, np.uint8) if scan.labels is None else scan.labels
    unknown = labels == IGNORE
    wanted = find_components((labels > 0) & ~unknown, scan.grid)
    rows: list[dict[str, Any]] = [
        {
            "diameter_mm": lesion.sizes.diameter_mm,
            "size": BINS.label_of(lesion.sizes.diameter_mm),
        }
        for lesion in wanted
    ]
    false = {}
    for name, detector in (("before", before), ("after", after)):
        settings = Settings(threshold=threshold)
        probability = predict_prepared(detector, scan, settings, Runtime(threads=threads))
        candidate = (1.0 - probability[0] >= threshold) & ~unknown
        matching = match(wanted, find_components(candidate, scan.grid), scan.grid, _RULE)
        for row, lesion in zip(rows, matching.lesions, strict=True):
            row[name] = bool(lesion.detected)
        false[name] = sum(one.verdict == "false_positive" for one in matching.candidates)
    return rows, false


def _estimates(
    frame: pl.DataFrame, of: Any, rng: np.random.Generator, draws: int
) -> dict[str, Estimate]:
    case = frame["case"].to_numpy().astype(np.str_)
    before, after = (frame[name].cast(pl.Float64).to_numpy() for name in ("before", "after"))
    return {
        "before": of(before, case, rng=rng, draws=draws),
        "after": of(after, case, rng=rng, draws=draws),
        "change": cluster_mean(after - before, case, rng=rng, draws=draws),
    }
