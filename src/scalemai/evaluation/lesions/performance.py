"""Precision, recall, F1 and average precision of lesions, and everything of one structure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalemai.evaluation.lesions.bins import DEFAULT_BINS, SMALL_AND_LARGE, SizeBins
from scalemai.evaluation.lesions.definitions import PERFORMANCE
from scalemai.evaluation.lesions.detections import Detections, Duplicates, Scans, detections
from scalemai.evaluation.lesions.froc import LUNA16_RATES, Froc, froc_of, ranking
from scalemai.evaluation.lesions.resampling import (
    Share,
    resampled,
    share_of,
    supported,
    with_exact_end,
)
from scalemai.evaluation.lesions.sensitivity import SizeSensitivity, sensitivity_of_sizes
from scalemai.evaluation.patients.threshold import Threshold
from scalemai.statistics.bootstrap import cluster_sums_bootstrap
from scalemai.statistics.clustered_rates import clustered_rate
from scalemai.statistics.estimate import Estimate, not_computed
from scalemai.statistics.proportions import clopper_pearson

__all__ = [
    "LesionPerformance",
    "PrecisionRecall",
    "average_precision",
    "lesion_performance",
    "precision_recall",
]

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """What one threshold gives.

    Parameters
    ----------
    precision
        Candidates that are right of all that are right or wrong; duplicates and ignored ones are
        neither unless they were asked to be wrong.
    recall
        Lesions found of all that count. A candidate that hits two lesions is one in the precision
        and two here.
    f1
        Harmonic mean of both; 0 if there are lesions and none is found.
    fp_per_scan
        False positives per scan, over all scans.
    """

    precision: Share
    recall: Share
    f1: Estimate
    fp_per_scan: Estimate


@dataclass(frozen=True, eq=False)
class LesionPerformance:
    """All numbers of the lesions of one structure.

    Parameters
    ----------
    structure
        Which one; None for all together.
    threshold
        From which score a candidate was called for ``at_threshold`` and ``by_size``; None if all
        of them were.
    scans, patients, lesions, ignored
        How many scans, patients, lesions that count, and lesions below the reference filter.
    duplicates, ignored_candidates
        Candidates that repeat others, and that lie on ignored lesions, at any score.
    many_to_one, one_to_many
        Lesions touched by several candidates, and candidates that touch several lesions, at any
        score; None if the tables do not tell.
    at_threshold, average_precision, froc, by_size
        The results.
    """

    structure: str | None
    threshold: Threshold | None
    scans: int
    patients: int
    lesions: int
    ignored: int
    duplicates: int
    ignored_candidates: int
    many_to_one: int | None
    one_to_many: int | None
    at_threshold: PrecisionRecall
    average_precision: Estimate
    froc: Froc
    by_size: tuple[SizeSensitivity, ...]

    def rows(self) -> list[dict[str, Any]]:
        """One row a number: ``structure, metric, at, definition``, the estimate, the threshold.

        ``at`` is the rate of false positives per scan or the size bin. Shares have three rows:
        the interval to quote, and those that take lesions for independent
        (``..._wilson, ..._exact``).
        """
        there = self.at_threshold
        found = [
            *_share_rows("precision", "", there.precision),
            *_share_rows("recall", "", there.recall),
            ("f1", "", there.f1),
            ("fp_per_scan", "", there.fp_per_scan),
            ("average_precision", "", self.average_precision),
            *(("froc_sensitivity", f"{at:g}", rate) for at, rate in self.froc.rates.items()),
            ("cpm", "", self.froc.cpm),
        ]
        for one in self.by_size:
            found += _share_rows("size_sensitivity", one.size_bin, one.sensitivity)
        ids = {definition.column: definition.id for definition in PERFORMANCE}
        said = "" if self.threshold is None else str(self.threshold)
        swept = ("average_precision", "froc_sensitivity", "cpm")
        return [
            {
                "structure": self.structure,
                "metric": metric,
                "at": at,
                "definition": ids[metric],
                **estimate.as_dict(),
                "threshold": "" if metric in swept else said,
            }
            for metric, at, estimate in found
        ]


def lesion_performance(
    lesions: pl.DataFrame,
    candidates: pl.DataFrame,
    *,
    scans: Scans,
    rng: np.random.Generator,
    structure: str | None = None,
    threshold: Threshold | None = None,
    bins: Sequence[SizeBins] = (DEFAULT_BINS, SMALL_AND_LARGE),
    rates: Sequence[float] = LUNA16_RATES,
    duplicates: Duplicates = "ignore",
    draws: int = 2000,
    level: float = 0.95,
) -> LesionPerformance:
    """Evaluate the lesions of one structure of the tables `lesions` and `candidates`.

    Parameters and errors are those of :func:`~scalemai.evaluation.lesions.froc.froc`,
    :func:`precision_recall` and
    :func:`~scalemai.evaluation.lesions.sensitivity.sensitivity_by_size`.
    """
    found = detections(lesions, candidates, scans=scans, structure=structure, duplicates=duplicates)
    resample = _Resampling(rng=rng, draws=draws, level=level)
    if structure is not None:
        lesions = lesions.filter(pl.col("structure") == structure)
        candidates = candidates.filter(pl.col("structure") == structure)
    verdicts = candidates["verdict"].to_list()
    ignored = lesions["ignored"].fill_null(value=False).sum() if "ignored" in lesions.columns else 0
    return LesionPerformance(
        structure,
        threshold,
        len(found.scans),
        int(np.unique(found.patients).size),
        found.lesion_scan.size,
        int(ignored),
        verdicts.count("duplicate"),
        verdicts.count("ignored"),
        _above_one(lesions, "candidates"),
        _above_one(candidates, "lesions"),
        _at_threshold(found, threshold, resample),
        _average_precision(found, resample),
        froc_of(found, rates=rates, **resample),
        sensitivity_of_sizes(found, bins=bins, threshold=threshold, level=level),
    )


def precision_recall(
    lesions: pl.DataFrame,
    candidates: pl.DataFrame,
    *,
    scans: Scans,
    rng: np.random.Generator,
    structure: str | None = None,
    threshold: Threshold | None = None,
    duplicates: Duplicates = "ignore",
    draws: int = 2000,
    level: float = 0.95,
) -> PrecisionRecall:
    """Precision, recall, F1 and false positives per scan at one threshold.

    Parameters
    ----------
    lesions, candidates, scans, rng, structure, duplicates, draws, level
        As of :func:`~scalemai.evaluation.lesions.froc.froc`.
    threshold
        From which score a candidate is called; None to call all of them. It is never chosen here.

    Raises
    ------
    ConfigError
        If there is a threshold but there are no scores, or as of
        :func:`~scalemai.evaluation.lesions.detections.detections`.
    """
    found = detections(lesions, candidates, scans=scans, structure=structure, duplicates=duplicates)
    return _at_threshold(found, threshold, _Resampling(rng=rng, draws=draws, level=level))


def average_precision(
    lesions: pl.DataFrame,
    candidates: pl.DataFrame,
    *,
    scans: Scans,
    rng: np.random.Generator,
    structure: str | None = None,
    duplicates: Duplicates = "ignore",
    draws: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """Area under the precision-recall curve of lesions, with missed lesions never retrieved.

    Parameters and errors as of :func:`~scalemai.evaluation.lesions.froc.froc`.

    Returns
    -------
    Estimate
        Sum over descending thresholds of the gain in recall times precision, not interpolated.
        Here, precision is lesions found over lesions found and false positives. Not computed
        without lesions.
    """
    found = detections(lesions, candidates, scans=scans, structure=structure, duplicates=duplicates)
    return _average_precision(found, _Resampling(rng=rng, draws=draws, level=level))


class _Resampling(TypedDict):
    rng: np.random.Generator
    draws: int
    level: float


def _at_threshold(
    found: Detections, threshold: Threshold | None, resample: _Resampling
) -> PrecisionRecall:
    lesion = found.called_lesions(threshold)
    hit = found.hit_scan[found.called_hits(threshold)]
    false = found.false_scan[found.called_false(threshold)]
    right = np.arange(hit.size + false.size) < hit.size
    return PrecisionRecall(
        share_of(
            right,
            found.patients[np.concatenate([hit, false])],
            nothing="no candidate is called",
            level=resample["level"],
        ),
        share_of(
            lesion,
            found.patients[found.lesion_scan],
            nothing="there are no lesions that count",
            level=resample["level"],
        ),
        _f1(found, lesion, hit, false, resample),
        clustered_rate(
            np.bincount(false, minlength=len(found.scans)), found.patients, resample["level"]
        ),
    )


def _f1(
    found: Detections,
    lesion: NDArray[np.bool_],
    hit: NDArray[np.intp],
    false: NDArray[np.intp],
    resample: _Resampling,
) -> Estimate:
    n = len(found.scans)
    if not lesion.size:
        return not_computed("there are no lesions that count", level=resample["level"])
    table = np.stack(
        [
            np.bincount(found.lesion_scan, lesion.astype(np.float64), minlength=n),
            np.bincount(found.lesion_scan, minlength=n),
            np.bincount(hit, minlength=n),
            np.bincount(false, minlength=n),
        ],
        axis=1,
    )

    def f1(sums: _Floats) -> _Floats:
        lesions_found, lesions, hits, wrong = sums.T
        recall = lesions_found / lesions
        # Nothing found is an F1 of 0, even where nothing was called and precision is undefined.
        precision = hits / np.maximum(hits + wrong, 1.0)
        both: _Floats = 2 * precision * recall / np.where(recall > 0, precision + recall, 1.0)
        return both

    estimate = cluster_sums_bootstrap(f1, table, found.patients, **resample)
    if estimate.value not in (0.0, 1.0) or estimate.low is not None:
        return supported(estimate, np.unique(found.patients[found.lesion_scan]).size)
    # F1 rises with the share of right decisions among all right and wrong ones.
    units = np.unique(found.patients[table.any(axis=1)]).size
    exact = clopper_pearson(units if estimate.value else 0, units, resample["level"])
    assert exact.low is not None
    assert exact.high is not None
    low, high = (2 * end / (1 + end) for end in (exact.low, exact.high))
    method = "clopper-pearson of TP / (TP + FP + FN), one trial a patient"
    return replace(estimate, low=low, high=high, method=method, reason="")


def _average_precision(found: Detections, resample: _Resampling) -> Estimate:
    lesions = found.lesion_scan.size
    if not lesions:
        return not_computed("there are no lesions that count", level=resample["level"])
    _, called = ranking(found)

    def area(weight: _Floats) -> _Floats:
        hits, false = called(weight)
        all_called = hits + false
        precision = np.divide(hits, all_called, out=np.zeros_like(hits), where=all_called > 0)
        gained = (np.diff(hits, axis=1, prepend=0.0) * precision).sum(axis=1)
        value: _Floats = gained / weight[:, :lesions].sum(axis=1)
        return value[:, None]

    (estimate,) = resampled(area, found, **resample)
    return with_exact_end(estimate, np.unique(found.patients[found.lesion_scan]).size)


def _share_rows(metric: str, at: str, share: Share) -> list[tuple[str, str, Estimate]]:
    return [
        (metric, at, share.primary),
        (f"{metric}_wilson", at, share.wilson),
        (f"{metric}_exact", at, share.exact),
    ]


def _above_one(frame: pl.DataFrame, column: str) -> int | None:
    if column not in frame.columns:
        return None
    several = pl.col(column).cast(pl.Int64) > 1
    if "ignored" in frame.columns:
        several &= ~pl.col("ignored").fill_null(value=False)
    return frame.filter(several).height
