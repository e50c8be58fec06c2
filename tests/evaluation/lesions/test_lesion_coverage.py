"""Intervals of lesion numbers hold the truth as often as they say, on simulated studies."""

from __future__ import annotations

import numpy as np
import pytest

from scalemai.evaluation.lesions.detections import Detections
from scalemai.evaluation.lesions.froc import LUNA16_RATES, froc_of
from scalemai.evaluation.lesions.performance import lesion_performance
from scalemai.evaluation.lesions.resampling import share_of
from scalemai.evaluation.lesions.rows import candidate_frame, lesion_frame
from scalemai.statistics.estimate import Estimate

from .tables_of_lesions import candidates, lesions


def study(rng: np.random.Generator, patients: int) -> Detections:
    """Two scans a patient, whose lesions share their luck and whose scans share their clutter."""
    of_scan = np.repeat(np.arange(patients), 2)
    scans = of_scan.size
    lesion_scan = np.repeat(np.arange(scans), rng.poisson(0.6, scans))
    luck = rng.normal(0.0, 0.6, patients)[of_scan]
    lesion = rng.normal(0.8, 1.0, lesion_scan.size) + luck[lesion_scan]
    found = lesion > -0.6
    clutter = rng.gamma(1.5, 0.8, patients)[of_scan]
    false_scan = np.repeat(np.arange(scans), rng.poisson(clutter))
    false = rng.normal(-0.3, 1.0, false_scan.size)
    return Detections(
        tuple(f"s{scan:06}" for scan in range(scans)),
        np.array([f"p{patient:06}" for patient in of_scan]),
        lesion_scan,
        found,
        np.where(found, lesion, -np.inf),
        np.full(lesion.size, 15.0),
        lesion_scan[found],
        lesion[found],
        false_scan,
        false,
        scored=True,
    )


def true_values(everything: Detections) -> list[float]:
    """What :func:`estimates` estimates, from a very large study, by plain counting."""
    lesions_n, scans = everything.lesion_scan.size, len(everything.scans)
    hits = np.sort(everything.hit_score)[::-1]
    false = np.sort(everything.false_score)[::-1]
    rates = []
    for rate in LUNA16_RATES:
        allowed = int(rate * scans)
        cut = false[allowed] if allowed < false.size else -np.inf
        rates.append(float((hits > cut).sum()) / lesions_n)
    above = np.searchsorted(-false, -hits)
    area = float((np.arange(1, hits.size + 1) / (np.arange(1, hits.size + 1) + above)).sum())
    recall, precision = hits.size / lesions_n, hits.size / (hits.size + false.size)
    f1 = 2 * recall * precision / (recall + precision)
    return [*rates, sum(rates) / 7, area / lesions_n, precision, recall, f1, false.size / scans]


def estimates(found: Detections, rng: np.random.Generator, draws: int) -> list[Estimate]:
    """From the tables, as a user has them."""
    case = np.array(found.scans)
    hit = found.lesion_found
    rows = [
        (name, float(score) if there else None)
        for name, score, there in zip(case[found.lesion_scan], found.lesion_score, hit, strict=True)
    ]
    tried = [
        *((name, score, "true_positive") for name, score in rows if score is not None),
        *zip(case[found.false_scan], found.false_score.tolist(), strict=True),
    ]
    result = lesion_performance(
        (lesions(*rows) if rows else lesion_frame([])).drop("patient"),
        (candidates(*tried) if tried else candidate_frame([])).drop("patient"),
        scans=dict(zip(found.scans, found.patients.tolist(), strict=True)),
        rng=rng,
        bins=(),
        draws=draws,
    )
    at = result.at_threshold
    return [
        *result.froc.rates.values(),
        result.froc.cpm,
        result.average_precision,
        at.precision.primary,
        at.recall.primary,
        at.f1,
        at.fp_per_scan,
    ]


def holds(estimate: Estimate, truth: float) -> bool:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low <= truth <= estimate.high


@pytest.mark.slow
def test_intervals_of_froc_precision_and_recall_cover_as_nominal() -> None:
    truth = true_values(study(np.random.default_rng(1), 150_000))
    rng, trials = np.random.default_rng(8), 2000
    held = np.zeros(len(truth))
    for _ in range(trials):
        for place, estimate in enumerate(estimates(study(rng, 80), rng, draws=600)):
            held[place] += holds(estimate, truth[place])
    # Two standard errors of 2000 trials are 1 point.
    assert (held / trials >= 0.93).all(), held / trials
    assert (held / trials <= 0.97).all(), held / trials


def test_intervals_of_a_froc_curve_cover_in_a_quick_check() -> None:
    truth = true_values(study(np.random.default_rng(1), 50_000))
    rng, trials = np.random.default_rng(3), 200
    held = np.zeros(8)
    for _ in range(trials):
        curve = froc_of(study(rng, 80), rng=rng, draws=400)
        for place, estimate in enumerate([*curve.rates.values(), curve.cpm]):
            held[place] += holds(estimate, truth[place])
    assert (held / trials >= 0.90).all(), held / trials


def test_wilson_is_too_short_for_lesions_that_share_patients_and_the_primary_is_not() -> None:
    rng, trials, p = np.random.default_rng(4), 600, 0.7
    held = np.zeros(2)
    for _ in range(trials):
        size = 1 + rng.poisson(3, 40)
        patients = np.repeat(np.array([f"p{i:02}" for i in range(40)]), size)
        luck = np.repeat(rng.beta(p, 1 - p, 40), size)  # rho = 0.5
        share = share_of(rng.random(luck.size) < luck, patients, nothing="")
        held += [holds(share.primary, p), holds(share.wilson, p)]
    assert 0.93 <= held[0] / trials <= 0.97
    assert held[1] / trials < 0.85


def test_wilson_covers_where_each_patient_has_one_lesion() -> None:
    rng, trials, p = np.random.default_rng(5), 2000, 0.8
    patients = np.array([f"p{i:02}" for i in range(35)])
    held = 0
    for _ in range(trials):
        share = share_of(rng.random(35) < p, patients, nothing="")
        assert share.primary is share.wilson
        held += holds(share.primary, p)
    assert 0.93 <= held / trials <= 0.97
