"""Free-response ROC: sensitivity for lesions over false positives per scan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalemai.errors import ConfigError
from scalemai.evaluation.lesions.detections import Detections, Duplicates, Scans, detections
from scalemai.evaluation.lesions.resampling import resampled, with_exact_end
from scalemai.statistics.estimate import Estimate, not_computed

__all__ = ["LUNA16_RATES", "Froc", "froc", "froc_of", "ranking", "reading"]

LUNA16_RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False positives per scan at which sensitivity is read.

The seven rates of LUNA16 (Setio et al., Med Image Anal 2017;42:1)."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Froc:
    """A curve and what is read from it.

    Parameters
    ----------
    threshold, fp_per_scan, sensitivity
        Arrays (points,), from the strictest threshold (infinity: nothing is called) to the
        laxest, one point per distinct score. A candidate is called if its score is at least the
        threshold.
    rates
        False positives per scan to the highest sensitivity at no more of them.
    cpm
        Mean of the sensitivities at the rates (competition performance metric).
    unreached
        Rates beyond the end of the curve: no threshold gives so many false positives. There, the
        sensitivity at the end is given, and the estimate's method says so.
    lesions, scans, patients
        How many lesions, scans (with and without lesions) and patients it rests on.
    """

    threshold: _Floats
    fp_per_scan: _Floats
    sensitivity: _Floats
    rates: Mapping[float, Estimate]
    cpm: Estimate
    unreached: tuple[float, ...]
    lesions: int
    scans: int
    patients: int

    @property
    def end(self) -> float:
        """False positives per scan with every candidate called."""
        return float(self.fp_per_scan[-1])


def froc(
    lesions: pl.DataFrame,
    candidates: pl.DataFrame,
    *,
    scans: Scans,
    rng: np.random.Generator,
    structure: str | None = None,
    rates: Sequence[float] = LUNA16_RATES,
    duplicates: Duplicates = "ignore",
    draws: int = 2000,
    level: float = 0.95,
) -> Froc:
    """FROC curve with intervals from resampled patients.

    Parameters
    ----------
    lesions, candidates
        The tables, of one algorithm. Candidates without scores give one point, at which all of
        them are called.
    scans
        Every scan that was evaluated, those without lesions and candidates too: false positives
        are counted per scan. Given as scan to patient, or as scans whose patients the tables
        name; other scans are patients of their own.
    rng
        For resampling patients with all their scans, lesions and candidates.
    structure
        Which structure; None for all of them together.
    rates
        At which to read.
    duplicates
        What further candidates on a found lesion count as.
    draws, level
        Number of resamples, and confidence level.

    Raises
    ------
    ConfigError
        If the rates are not positive and ascending, or as of
        :func:`~scalemai.evaluation.lesions.detections.detections`.
    """
    found = detections(lesions, candidates, scans=scans, structure=structure, duplicates=duplicates)
    return froc_of(found, rng=rng, rates=rates, draws=draws, level=level)


def froc_of(
    found: Detections,
    *,
    rng: np.random.Generator,
    rates: Sequence[float] = LUNA16_RATES,
    draws: int = 2000,
    level: float = 0.95,
) -> Froc:
    """As :func:`froc`, of tables that were taken apart already."""
    at = np.asarray(rates, dtype=np.float64)
    if not at.size or not np.isfinite(at).all() or (np.diff(at, prepend=0.0) <= 0).any():
        raise ConfigError(f"rates are positive and ascending, got {list(rates)}", where="rates")
    everything = np.ones((1, found.lesion_scan.size + found.false_scan.size + len(found.scans)))
    threshold, called = ranking(found)
    hits, false = called(everything)
    lesions, scans = found.lesion_scan.size, len(found.scans)
    per_scan = np.append(0.0, false[0] / scans)
    patients = int(np.unique(found.patients).size)
    if lesions:
        estimates = resampled(reading(found, at), found, rng=rng, draws=draws, level=level)
    else:
        none = not_computed("there are no lesions that count", n=patients, level=level)
        estimates = [none] * (at.size + 1)
    units = np.unique(found.patients[found.lesion_scan]).size
    *read, cpm = (with_exact_end(estimate, units) for estimate in estimates)
    beyond = tuple(float(rate) for rate in at if rate > per_scan[-1] + _SLACK)
    ends = f"the curve ends at {per_scan[-1]:.3g} false positives per scan"
    return Froc(
        np.append(np.inf, threshold),
        per_scan,
        np.append(0.0, hits[0] / lesions) if lesions else np.full(per_scan.size, np.nan),
        {
            float(rate): _noted(estimate, ends) if rate in beyond else estimate
            for rate, estimate in zip(at, read, strict=True)
        },
        _noted(cpm, ends) if beyond else cpm,
        beyond,
        lesions,
        scans,
        patients,
    )


_SLACK = 1e-9  # 0.29 x 100 scans are 29 false positives, whatever the rounding


def ranking(
    found: Detections,
) -> tuple[_Floats, Callable[[_Floats], tuple[_Floats, _Floats]]]:
    """Distinct scores, descending, and a function that counts what is called at each of them.

    The function takes weights (draws, lesions + false positives, ...) and returns the lesions
    found and the false positives (draws, scores).
    """
    row = np.concatenate(
        [
            np.flatnonzero(found.lesion_found),
            found.lesion_scan.size + np.arange(found.false_scan.size),
        ]
    ).astype(np.intp)
    score = np.concatenate([found.lesion_score[found.lesion_found], found.false_score])
    order = np.argsort(-score, kind="stable")
    row, score = row[order], score[order]
    last = np.flatnonzero(np.append(score[1:] != score[:-1], [True] * (score.size > 0)))
    hit = (row < found.lesion_scan.size).astype(np.float64)

    def called(weight: _Floats) -> tuple[_Floats, _Floats]:
        drawn = weight[:, row]
        return (
            np.cumsum(drawn * hit, axis=1)[:, last],
            np.cumsum(drawn * (1 - hit), axis=1)[:, last],
        )

    return score[last], called


def reading(found: Detections, rates: _Floats) -> Callable[[_Floats], _Floats]:
    """Sensitivity at each rate, and their mean, for weights as of :func:`resampled`."""
    lesions, events = found.lesion_scan.size, found.lesion_scan.size + found.false_scan.size
    _, called = ranking(found)

    def read(weight: _Floats) -> _Floats:
        hits, false = called(weight)
        scans = weight[:, events:].sum(axis=1)
        start = np.zeros((len(weight), 1))
        hits = np.concatenate([start, hits], axis=1)
        columns = []
        for rate in rates:
            # False positives never decrease, so this many thresholds stay within the rate.
            within = (false <= (rate + _SLACK) * scans[:, None]).sum(axis=1)
            columns.append(np.take_along_axis(hits, within[:, None], axis=1)[:, 0])
        sensitivity = np.stack(columns, axis=1) / weight[:, :lesions].sum(axis=1)[:, None]
        return np.concatenate([sensitivity, sensitivity.mean(axis=1, keepdims=True)], axis=1)

    return read


def _noted(estimate: Estimate, note: str) -> Estimate:
    return replace(estimate, method=f"{estimate.method}; {note}" if estimate.method else note)
