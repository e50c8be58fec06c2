"""What arms found, compared: same test lesions, same seeds, intervals over patients and seeds.

Seeds stand for readers, arms for modalities: the same patients are "read" by detectors of several
seeds with and without a mechanism. The interval for *other seeds and other patients* is that of
Obuchowski and Rockette with Hillis' degrees of freedom (:mod:`scalemai.statistics.multireader`),
on the difference of each seed; few seeds make it wide, as they must. Patients are resampled whole
(jackknife), with all their lesions and false candidates, in both arms at once.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from runs import Arm, Bench, read_results

from scalemai.evaluation.lesions.bins import SizeBins
from scalemai.evaluation.lesions.detections import Detections, detections
from scalemai.evaluation.lesions.froc import LUNA16_RATES
from scalemai.io.atomic import atomic_path
from scalemai.statistics.estimate import Estimate, not_computed
from scalemai.statistics.multireader import fixed_readers, jackknife_covariance, random_readers

__all__ = ["BINS", "Contrast", "compared", "found_at", "levels", "markdown", "of_set", "write_csv"]

BINS = SizeBins((10.0, 20.0))
ALL = "all"
_SLACK = 1e-9  # 0.29 x 100 scans are 29 false candidates, whatever the rounding
_LESION = {
    "case": pl.String, "lesion": pl.Int64, "diameter_mm": pl.Float64, "detected": pl.Boolean,
    "score": pl.Float64,
}  # fmt: skip
_CANDIDATE = {"case": pl.String, "verdict": pl.String, "score": pl.Float64}

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Contrast:
    """A mechanism: the arm with it, the arm without, and the set that both are tested on."""

    says: str
    having: str
    lacking: str
    test: str = "test"


def of_set(result: Mapping[str, Any], name: str) -> Detections:
    """Lesions and candidates of one run in one set."""
    there = result["sets"][name]
    lesions = pl.DataFrame(
        [{key: row[key] for key in _LESION} for row in there["lesions"]], schema=_LESION
    ).with_columns(structure=pl.lit("lesion"))
    candidates = pl.DataFrame(there["candidates"], schema=_CANDIDATE).with_columns(
        structure=pl.lit("lesion")
    )
    return detections(lesions, candidates, scans=there["scans"])


def found_at(
    found: Detections, rate: float, weight: Floats | None = None
) -> tuple[NDArray[np.bool_], float]:
    """Which lesions are found at no more than ``rate`` false candidates per scan, and the score.

    Parameters
    ----------
    found
        Lesions and candidates.
    rate
        False candidates per scan.
    weight
        Array (scans,): how often each scan counts; once by default.
    """
    scans = np.ones(len(found.scans)) if weight is None else weight
    scores = np.unique(np.concatenate([found.lesion_score, found.false_score]))
    scores = scores[np.isfinite(scores)]
    order = np.argsort(found.false_score)
    total = np.append(np.cumsum(scans[found.false_scan][order][::-1])[::-1], 0.0)
    false = total[np.searchsorted(found.false_score[order], scores, side="left")]
    within = scores[false <= (rate + _SLACK) * scans.sum()]
    threshold = float(within.min()) if within.size else np.inf
    return found.lesion_score >= threshold, threshold


def figures(found: Detections, weight: Floats | None = None) -> Floats:
    """Sensitivity at one false candidate per scan, of all lesions and of each bin; then the mean
    sensitivity over the seven rates of LUNA16. NaN where no lesion counts."""
    scans = np.ones(len(found.scans)) if weight is None else weight
    counts = scans[found.lesion_scan]
    at_one = found_at(found, 1.0, scans)[0]
    place = np.array([BINS.index_of(mm) for mm in found.lesion_mm], np.intp)
    groups = [np.ones(place.size, np.bool_), *(place == n for n in range(len(BINS.labels)))]
    with np.errstate(invalid="ignore"):
        values = [(counts * at_one * group).sum() / (counts * group).sum() for group in groups]
        rates = [
            (counts * found_at(found, rate, scans)[0]).sum() / counts.sum() for rate in LUNA16_RATES
        ]
    return np.array([*values, np.mean(rates)])


def measures() -> tuple[str, ...]:
    """Names of what :func:`figures` gives."""
    return (
        "sensitivity at 1 FP/scan",
        *(f"sensitivity at 1 FP/scan, {label}" for label in BINS.labels),
        "mean sensitivity over 1/8 to 8 FP/scan",
    )


def levels(runs: Sequence[Detections]) -> list[tuple[Estimate, Estimate]]:
    """For each of :func:`measures`, the mean of the seeds: for any seeds, and for these ones."""
    return _estimates(*_with_left_out(runs), share=True)


def differences(
    having: Sequence[Detections], lacking: Sequence[Detections]
) -> list[tuple[Estimate, Estimate]]:
    """As :func:`levels` for the difference of paired runs; positive if the mechanism pays."""
    (one, one_left), (two, two_left) = _with_left_out(having), _with_left_out(lacking)
    return _estimates(one - two, one_left - two_left, share=False)


def compared(
    bench: Bench, contrasts: Iterable[Contrast], arms: Mapping[str, Arm]
) -> list[dict[str, Any]]:
    """A row for each contrast and measure: both arms, and the difference with its intervals."""
    rows = []
    for contrast in contrasts:
        both = [read_results(bench, arms[name]) for name in (contrast.having, contrast.lacking)]
        seeds = sorted(set(both[0]) & set(both[1]))
        row = {
            "mechanism": contrast.says,
            "with": contrast.having,
            "without": contrast.lacking,
            "set": contrast.test,
            "seeds": len(seeds),
        }
        if not seeds:
            rows.append({**row, "measure": measures()[0], "verdict": "not run"})
            continue
        having, lacking = ([of_set(one[seed], contrast.test) for seed in seeds] for one in both)
        sides = zip(levels(having), levels(lacking), differences(having, lacking), strict=True)
        for name, (one, two, apart) in zip(measures(), sides, strict=True):
            rows.append(
                {
                    **row,
                    "measure": name,
                    "lesions": _number(having[0], name),
                    "patients": int(np.unique(having[0].patients).size),
                    "value_with": one[0].value,
                    "value_without": two[0].value,
                    "difference": apart[0].value,
                    "low": apart[0].low,
                    "high": apart[0].high,
                    "low_these_seeds": apart[1].low,
                    "high_these_seeds": apart[1].high,
                    "method": apart[0].method or apart[0].reason,
                    "verdict": _verdict(apart[0]),
                }
            )
    return rows


def markdown(rows: Sequence[Mapping[str, Any]], chosen: Sequence[str] | None = None) -> str:
    """The rows of some measures as a table in points (hundredths)."""
    wanted = (measures()[0], measures()[-1]) if chosen is None else chosen
    lines = [
        "| mechanism | seeds | measure | with | without | difference | these seeds alone | |",
        "|---|---:|---|---:|---:|---|---|---|",
    ]
    before = ""
    for row in rows:
        if row["measure"] not in wanted:
            continue
        said = row["mechanism"] if row["mechanism"] != before else ""
        before = row["mechanism"]
        cells = [said, str(row["seeds"]), row["measure"]]
        if row["seeds"]:
            cells += [
                _points(row["value_with"]),
                _points(row["value_without"]),
                _interval(row["difference"], row["low"], row["high"]),
                _interval(None, row["low_these_seeds"], row["high_these_seeds"]),
            ]
        else:
            cells += [""] * 4
        lines.append(f"| {' | '.join([*cells, row['verdict']])} |")
    return "\n".join(lines) + "\n"


def write_csv(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """All rows, whole or not at all."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with atomic_path(path) as partial_path, partial_path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def _with_left_out(runs: Sequence[Detections]) -> tuple[Floats, Floats]:
    """Figures (seeds, measures), and without each patient (patients, seeds, measures)."""
    names = {one.scans for one in runs}
    if len(names) != 1:
        raise ValueError("runs were tested on different scans")
    patients = runs[0].patients
    values = np.stack([figures(one) for one in runs])
    left_out = np.stack(
        [
            np.stack([figures(one, (patients != who).astype(np.float64)) for one in runs])
            for who in np.unique(patients)
        ]
    )
    return values, left_out


def _estimates(values: Floats, left_out: Floats, *, share: bool) -> list[tuple[Estimate, Estimate]]:
    found = []
    for column in range(values.shape[1]):
        own, apart = values[:, column], left_out[:, :, column]
        kept = apart[np.isfinite(apart).all(axis=1)]
        if not np.isfinite(own).all() or len(kept) < 2:
            none = not_computed("there are no lesions that count")
            found.append((none, none))
            continue
        covariance = jackknife_covariance(kept)
        found.append(
            (
                random_readers(own, covariance, len(kept), share=share),
                fixed_readers(own, covariance, len(kept), share=share),
            )
        )
    return found


def _number(found: Detections, measure: str) -> int:
    for label in BINS.labels:
        if measure.endswith(f", {label}"):
            return sum(BINS.label_of(mm) == label for mm in found.lesion_mm)
    return int(found.lesion_mm.size)


def _verdict(apart: Estimate) -> str:
    if apart.low is None or apart.high is None:
        if not apart.computed:
            return "not computed"
        return "no interval: one seed" if apart.n == 1 else "no difference at all"
    if apart.low > 0.0:
        return "pays"
    return "costs" if apart.high < 0.0 else "not shown"


def _points(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f}"


def _interval(value: float | None, low: float | None, high: float | None) -> str:
    middle = "" if value is None else f"{100 * value:+.0f}"
    if low is None or high is None:
        return middle
    # Few seeds give intervals beyond what a difference of shares can be.
    ends = f"{100 * max(low, -1.0):+.0f} to {100 * min(high, 1.0):+.0f}"
    return f"{middle} ({ends})" if middle else ends
