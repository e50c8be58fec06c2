"""What a reader study shows: of each reader, of all, and whether they agree."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalemai.errors import ConfigError
from scalemai.evaluation.reading.equivalence import MARGIN, tost_balanced_accuracy
from scalemai.evaluation.reading.figures import (
    FIGURES,
    figure_without_each_case,
    halved,
    rating,
    reader_counts,
)
from scalemai.evaluation.reading.reads import Reads
from scalemai.statistics.agreement import cohen_kappa, fleiss_kappa, gwet_ac1
from scalemai.statistics.detection_theory import signal_detection
from scalemai.statistics.equivalence import Equivalence
from scalemai.statistics.estimate import Estimate, not_computed
from scalemai.statistics.mixed_logistic import MixedLogistic, RandomEffect, fit_mixed_logistic
from scalemai.statistics.multireader import fixed_readers, jackknife_covariance, random_readers
from scalemai.statistics.proportions import clopper_pearson, difference_unpaired
from scalemai.statistics.roc import auc_delong

__all__ = ["NOT_INTERPRETABLE", "Passing", "ReaderResult", "Study", "analyse"]

NOT_INTERPRETABLE = "not interpretable: one answer throughout"
"""What is concluded of a reader whose balanced accuracy is 0.5 by his habit, whatever he sees."""

_SHARES = ("accuracy", "sensitivity", "specificity", "balanced_accuracy", "auc")


@dataclass(frozen=True, eq=False)
class ReaderResult:
    """One reader.

    Parameters
    ----------
    reader
        Name.
    real, synthetic, missing
        Cases of each kind that he read, and cases that he did not.
    figures
        :data:`~scalemai.evaluation.reading.figures.FIGURES`, with his cases as the sample.
    equivalence
        Test that his balanced accuracy is near 0.5.
    constant
        Whether he answered the same throughout.
    repeat_kappa
        Agreement with himself on the cases that he read again.
    seconds
        Geometric mean of the duration of a read.
    """

    reader: str
    real: int
    synthetic: int
    missing: int
    figures: Mapping[str, Estimate]
    equivalence: Equivalence
    constant: bool
    repeat_kappa: Estimate
    seconds: Estimate

    @property
    def conclusion(self) -> str:
        """Of the test in words; a habit of answering is no result."""
        return NOT_INTERPRETABLE if self.constant else self.equivalence.conclusion


@dataclass(frozen=True, slots=True)
class Passing:
    """Equivalence of the readers' mean balanced accuracy with 0.5.

    Parameters
    ----------
    interval
        With confidence one minus twice the level.
    margin, level
        As tested.
    constant
        Whether every reader gave one answer throughout, so that nothing is shown.
    """

    interval: Estimate
    margin: float
    level: float
    constant: bool = False

    @property
    def passed(self) -> bool:
        """Whether the interval lies within the margin, and says something."""
        low, high = self.interval.low, self.interval.high
        if low is None or high is None or self.constant:
            return False
        return low > 0.5 - self.margin and high < 0.5 + self.margin


@dataclass(frozen=True, eq=False)
class Study:
    """All results.

    Parameters
    ----------
    reads
        What was analysed.
    readers
        Each reader.
    fixed, random
        Figures of the mean reader, for these readers and for all such readers.
    passing
        Equivalence for these readers (``"fixed"``) and all such readers (``"random"``).
    fleiss, ac1
        Agreement between readers.
    mixed
        Mixed logistic model of the answer "real".
    settings
        What changes a number.
    """

    reads: Reads
    readers: tuple[ReaderResult, ...]
    fixed: Mapping[str, Estimate]
    random: Mapping[str, Estimate]
    passing: Mapping[str, Passing]
    fleiss: Estimate
    ac1: Estimate
    mixed: MixedLogistic
    settings: Mapping[str, Any]


def analyse(reads: Reads, *, margin: float = MARGIN, level: float = 0.95) -> Study:
    """Analyse a reader study.

    Parameters
    ----------
    reads
        The reads. Missing ones are left out of the reader concerned.
    margin
        Largest distance of balanced accuracy from 0.5 that counts as unable to tell.
    level
        Confidence level; tests of equivalence are at its complement.

    Raises
    ------
    ConfigError
        If margin or level are impossible.
    """
    if not 0 < margin < 0.5:
        fix = "give a number above 0 and below 0.5, for example 0.1"
        raise ConfigError(f"{margin} is no margin", where="margin", fix=fix)
    if not 0.5 < level < 1:
        raise ConfigError(f"{level} is no confidence level", where="level", fix="for example 0.95")
    readers = tuple(_reader(reads, k, margin, level) for k in range(len(reads.readers)))
    fixed: dict[str, Estimate] = {}
    random: dict[str, Estimate] = {}
    for name in FIGURES:
        fixed[name], random[name] = _pooled(reads, name, level)
    alpha = round(1 - level, 12)  # 0.05, not 0.050000000000000044
    narrow = 1 - 2 * alpha
    ends = _pooled(reads, "balanced_accuracy", narrow)
    constant = all(one.constant for one in readers)
    passing = {
        kind: Passing(end, margin, alpha, constant)
        for kind, end in zip(("fixed", "random"), ends, strict=True)
    }
    counts = np.stack([(reads.answer == k).sum(axis=0) for k in (0, 1)], axis=1)
    return Study(
        reads,
        readers,
        fixed,
        random,
        passing,
        fleiss_kappa(counts, level=level),
        gwet_ac1(counts, categories=2, level=level),
        _mixed(reads, level),
        {"margin": margin, "level": level},
    )


def _reader(reads: Reads, k: int, margin: float, level: float) -> ReaderResult:
    counts = reader_counts(reads, k)
    tp, real, tn, synthetic = (
        counts.real_correct, counts.real, counts.synthetic_correct, counts.synthetic,
    )  # fmt: skip
    detection = signal_detection(tp, real, synthetic - tn, synthetic, level=level)
    contrast = difference_unpaired(tp, real, synthetic - tn, synthetic, level)
    figures = {
        "accuracy": clopper_pearson(tp + tn, real + synthetic, level),
        "sensitivity": clopper_pearson(tp, real, level),
        "specificity": clopper_pearson(tn, synthetic, level),
        "balanced_accuracy": halved(contrast),
        "d_prime": detection.d_prime,
        "criterion": detection.criterion,
        "auc": _auc(reads, k, level),
    }
    name = reads.readers[k]
    again = [one for one in reads.repeats if one.reader == name]
    kappa = not_computed("no case was read again", level=level)
    if again:
        # A case read three times counts once: its first repeat.
        first = {one.case: one for one in reversed(again)}.values()
        kappa = cohen_kappa([one.first for one in first], [one.again for one in first], level=level)
    given = reads.answer[k][reads.answer[k] >= 0]
    return ReaderResult(
        name,
        real,
        synthetic,
        len(reads.cases) - real - synthetic,
        figures,
        tost_balanced_accuracy(tp, real, tn, synthetic, margin=margin, level=round(1 - level, 12)),
        bool(given.size and np.ptp(given) == 0),
        kappa,
        _geometric_mean(reads.seconds[k], level),
    )


def _auc(reads: Reads, k: int, level: float) -> Estimate:
    rated = rating(reads, k)
    known = np.isfinite(rated)
    if not known.any():
        return not_computed("no confidence was recorded", level=level)
    return auc_delong(reads.real[known], rated[known], level)


def _geometric_mean(seconds: np.typing.NDArray[np.float64], level: float) -> Estimate:
    from scipy.special import stdtrit

    logs = np.log(seconds[np.isfinite(seconds)])
    n = int(logs.size)
    if n == 0:
        return not_computed("no times were recorded", level=level)
    mean = float(logs.mean())
    if n < 2:
        reason = "one read is too few for an interval"
        return Estimate(math.exp(mean), level=level, n=n, reason=reason)
    reach = float(stdtrit(n - 1, 0.5 + level / 2)) * float(logs.std(ddof=1)) / math.sqrt(n)
    ends = (math.exp(mean - reach), math.exp(mean + reach))
    return Estimate(math.exp(mean), ends[0], ends[1], level, n, "geometric mean, t on logarithms")


def _pooled(reads: Reads, name: str, level: float) -> tuple[Estimate, Estimate]:
    """Mean over readers, for these readers and for all such readers."""
    values, without = figure_without_each_case(reads, name)
    known = np.isfinite(values)
    if not known.any():
        reason = "no confidence was recorded" if name == "auc" else "no reader has this figure"
        none = not_computed(reason, level=level)
        return none, none
    kind = {"sensitivity": reads.real, "specificity": ~reads.real}.get(name)
    rows = np.ones(len(reads.cases), bool) if kind is None else kind
    left_out = without[rows][:, known]
    if not np.isfinite(left_out).all():
        gone = not_computed("a reader has too few cases of one kind", level=level)
        return gone, gone
    covariance = jackknife_covariance(left_out)
    cases, share = int(rows.sum()), name in _SHARES
    return (
        fixed_readers(values[known], covariance, cases, level=level, share=share),
        random_readers(values[known], covariance, cases, level=level, share=share),
    )


def _mixed(reads: Reads, level: float) -> MixedLogistic:
    """Log odds of answering "real", by truth, with crossed effects of readers and cases."""
    names = ("answers real, over both kinds", "real against synthetic")
    if len(reads.readers) < 2:
        reason = "one reader has no spread of readers"
        return MixedLogistic(dict.fromkeys(names, not_computed(reason, level=level)), reason=reason)
    reader, case = np.nonzero(reads.answer >= 0)
    truth = np.where(reads.real[case], 0.5, -0.5)
    return fit_mixed_logistic(
        reads.answer[reader, case],
        np.stack([np.ones(truth.size), truth], axis=1),
        names,
        (
            RandomEffect("readers: habit", reader),
            RandomEffect("readers: ability", reader, truth),
            RandomEffect("cases", case),
        ),
        level=level,
    )
