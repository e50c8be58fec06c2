"""Intervals from resampled patients, of shares and of numbers that whole scans give together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scalemai.evaluation.lesions.detections import Detections
from scalemai.statistics.bca import FEWEST_CLUSTERS, resampled_interval
from scalemai.statistics.bootstrap import Clusters
from scalemai.statistics.estimate import Estimate, not_computed
from scalemai.statistics.proportions import clopper_pearson, cluster_proportion, wilson

__all__ = ["Share", "resampled", "share_of", "supported", "with_exact_end"]

_BLOCK = 4_000_000


@dataclass(frozen=True, slots=True)
class Share:
    """A share of lesions or candidates with every interval that reports ask for.

    Parameters
    ----------
    k, n
        How many of how many.
    patients
        How many patients these are of.
    by_patient
        Wilson's interval of as many lesions as would vary so much if all were independent
        (:func:`scalemai.statistics.proportions.cluster_proportion`).
    wilson, exact
        Wilson's and Clopper and Pearson's interval, as if all were independent.
    """

    k: int
    n: int
    patients: int
    by_patient: Estimate
    wilson: Estimate
    exact: Estimate

    @property
    def primary(self) -> Estimate:
        """The one to quote: by patients where a patient has several, else Wilson's.

        Lesions of one patient are seen in the same scan by the same detector, so that they are
        no independent trials; one of each patient are.
        """
        return self.by_patient if self.patients < self.n else self.wilson


def share_of(
    won: NDArray[np.bool_],
    patients: NDArray[np.str_],
    *,
    nothing: str,
    level: float = 0.95,
) -> Share:
    """The share of rows that won.

    Parameters
    ----------
    won, patients
        Arrays (rows,).
    nothing
        Why the share is not computed if there are no rows.
    level
        Confidence level.
    """
    k, n = int(won.sum()), int(won.size)
    if n == 0:
        none = not_computed(nothing, level=level)
        return Share(0, 0, 0, none, none, none)
    return Share(
        k,
        n,
        int(np.unique(patients).size),
        cluster_proportion(won, np.ones(n), patients, level=level),
        wilson(k, n, level),
        clopper_pearson(k, n, level),
    )


def resampled(
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    found: Detections,
    *,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
) -> list[Estimate]:
    """Several numbers from the same resamples of patients with all their scans.

    Parameters
    ----------
    statistic
        Takes weights (draws, lesions + false positives + scans), how often each was drawn, and
        returns numbers (draws, numbers); NaN where undefined. Division by zero does not warn.
    found
        Whose lesions, false positives and scans, in this order.
    rng, draws, level
        As of :func:`scalemai.statistics.bootstrap.cluster_bootstrap`.
    """
    scan = np.concatenate([found.lesion_scan, found.false_scan, np.arange(len(found.scans))])
    groups = Clusters(found.patients[scan])
    with np.errstate(divide="ignore", invalid="ignore"):
        values = statistic(np.ones((1, scan.size)))[0]
        drawn, left_out = np.empty((0, values.size)), np.empty((0, values.size))
        if groups.n >= FEWEST_CLUSTERS:
            drawn = np.concatenate(
                [
                    statistic(_times_drawn(block, groups.n)[:, groups.codes])
                    for block in groups.draw(rng, draws, scan.size)
                ]
            )
            step = max(_BLOCK // scan.size, 1)
            left_out = np.concatenate(
                [
                    statistic((groups.codes != some[:, None]).astype(np.float64))
                    for some in np.split(np.arange(groups.n), range(step, groups.n, step))
                ]
            )
    return [
        resampled_interval(
            float(value), drawn[:, column], left_out[:, column], groups.n, level=level
        )
        for column, value in enumerate(values)
    ]


def with_exact_end(estimate: Estimate, units: int) -> Estimate:
    """The interval of a number of lesions, as far as the patients with lesions allow one.

    A share of 0 or 1 gets an exact one where resampling shows no spread; see also
    :func:`supported`.

    Parameters
    ----------
    estimate
        From :func:`resampled`.
    units
        How many patients have lesions: the exact interval is that of as many trials, as if
        lesions of one patient always shared their fate.
    """
    if estimate.value not in (0.0, 1.0) or estimate.low is not None or units == 0:
        return supported(estimate, units)
    exact = clopper_pearson(units if estimate.value else 0, units, estimate.level)
    method = "clopper-pearson, one trial a patient"
    return replace(estimate, low=exact.low, high=exact.high, method=method, reason="")


def supported(estimate: Estimate, units: int) -> Estimate:
    """Take the interval from a number of lesions if too few patients have any.

    Scans without lesions add false positives but say nothing of how patients with lesions differ,
    so that however many of them there are, the resampled interval is too short.

    Parameters
    ----------
    estimate
        From resampled patients; exact intervals, which know how many units they are of, stay.
    units
        How many patients have lesions.
    """
    if estimate.low is None or estimate.method.startswith("clopper") or units >= FEWEST_CLUSTERS:
        return estimate
    who = "1 patient with lesions is" if units == 1 else f"{units} patients with lesions are"
    reason = f"{who} too few to resample (at least {FEWEST_CLUSTERS})"
    return replace(estimate, low=None, high=None, method="", reason=reason)


def _times_drawn(block: NDArray[np.intp], n: int) -> NDArray[np.float64]:
    """How often (draws, clusters) each cluster is in each draw of a block."""
    flat = block + n * np.arange(len(block))[:, None]
    counts = np.bincount(flat.ravel(), minlength=n * len(block))
    return counts.reshape(len(block), n).astype(np.float64)
