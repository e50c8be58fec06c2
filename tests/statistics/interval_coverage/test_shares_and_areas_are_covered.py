"""How often intervals of shares, areas, agreement and readers' figures hold the truth.

Shares of n patients are multiples of 1/n, so that coverage swings with the true share; it is
claimed on average over shares, as Newcombe (Stat Med 1998;17:857) takes it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from interval_populations import Claim, Floats, lesions
from scipy.special import ndtr, ndtri

from scalemai.statistics.agreement import cohen_kappa, gwet_ac1, rating_counts
from scalemai.statistics.bca import FEWEST_CLUSTERS
from scalemai.statistics.bootstrap import cluster_sums_bootstrap
from scalemai.statistics.detection_theory import d_prime_2afc, signal_detection
from scalemai.statistics.equivalence import tango_interval
from scalemai.statistics.estimate import Estimate
from scalemai.statistics.proportions import (
    FEWEST_FOR_SHARES,
    PairedCounts,
    clopper_pearson,
    cluster_proportion,
    difference_paired,
    difference_unpaired,
    wilson,
)
from scalemai.statistics.roc import (
    auc_bootstrap,
    auc_delong,
    average_precision_bootstrap,
    compare_auc_delong,
)

DRAWS = 400
Study = Iterator[tuple[Estimate, float]]


def wilson_of(n: int) -> Claim:
    def trial(rng: np.random.Generator) -> Study:
        share = rng.uniform(0.02, 0.98)
        yield wilson(int(rng.binomial(n, share)), n), share

    return Claim("share, wilson", "any share", n, trial, 3000)


def clustered_share(n: int, rho: float) -> Claim:
    def trial(rng: np.random.Generator) -> Study:
        share = rng.uniform(0.05, 0.95)
        found, tried = lesions(rng, n, share, rho)
        yield cluster_proportion(found, tried, np.arange(n)), share

    return Claim("share of clustered trials", f"any share, rho {rho:g}", n, trial, 4000)


def unpaired(n: int) -> Claim:
    def trial(rng: np.random.Generator) -> Study:
        p, q = rng.uniform(0.05, 0.95, 2)
        yield difference_unpaired(int(rng.binomial(n, p)), n, int(rng.binomial(n, q)), n), p - q

    return Claim("difference of shares, newcombe", "any shares", 2 * n, trial)


def paired(n: int, tango: bool) -> Claim:
    def trial(rng: np.random.Generator) -> Study:
        p, q = rng.uniform(0.1, 0.95, 2)
        u, v = rng.random((2, n))
        v = np.where(rng.random(n) < 0.5, u, v)  # patients that are hard for both
        a, b = u < p, v < q
        counts = PairedCounts(*(int(x.sum()) for x in (a & b, a & ~b, ~a & b, ~a & ~b)))
        yield tango_interval(counts) if tango else difference_paired(counts), p - q

    name = "tango" if tango else "newcombe"
    return Claim(f"paired difference of shares, {name}", "any shares", n, trial)


def clustered_rates(n: int) -> Claim:
    """F1 and balanced accuracy of patients with two scans, resampled."""

    def trial(rng: np.random.Generator) -> Study:
        positive = np.repeat(rng.random(n) < 0.5, 2)
        # Half of the patients have both scans right or both wrong.
        luck = np.where(
            np.repeat(rng.random(n) < 0.5, 2), np.repeat(rng.random(n), 2), rng.random(2 * n)
        )
        right = luck < 0.8
        table = np.stack(
            [positive & right, positive & ~right, ~positive & right, ~positive & ~right], axis=1
        )

        def both(sums: Floats) -> Floats:
            tp, fn, tn, fp = sums.T
            return (tp / (tp + fn) + tn / (tn + fp)) / 2

        def f1(sums: Floats) -> Floats:
            tp, fn, _, fp = sums.T
            return 2 * tp / (2 * tp + fn + fp)

        for statistic in (both, f1):
            found = cluster_sums_bootstrap(
                statistic, table, np.repeat(np.arange(n), 2), rng=rng, draws=DRAWS
            )
            yield found, 0.8

    return Claim("F1, balanced accuracy, resampled", "two scans a patient", n, trial, 1000)


def delong(area: float, m: int, n: int) -> Claim:
    positive = np.arange(m + n) < m

    def trial(rng: np.random.Generator) -> Study:
        yield auc_delong(positive, rng.normal(size=m + n) + _apart(area) * positive), area

    return Claim("AUC, delong on the logit", f"AUC {area:g}, {m} positives", m + n, trial)


def two_areas(n: int) -> Claim:
    positive = np.arange(n) < n // 2
    truth = float(ndtr(1.2 / np.sqrt(2)) - ndtr(0.6 / np.sqrt(2)))

    def trial(rng: np.random.Generator) -> Study:
        shared = rng.normal(size=n)
        one, two = (0.6 * shared + 0.8 * rng.normal(size=n) for _ in range(2))
        found = compare_auc_delong(positive, one + 1.2 * positive, two + 0.6 * positive)
        yield found.difference, truth

    return Claim("difference of AUC, delong", "AUC 0.80 and 0.66", n, trial)


def resampled_areas(n: int) -> Claim:
    patients = np.repeat(np.arange(n), 2)
    positive = np.repeat(np.arange(n) < n // 2, 2)

    def scores(rng: np.random.Generator, of: np.ndarray, called: np.ndarray) -> Floats:
        own = rng.normal(size=int(of.max()) + 1)[of] * np.sqrt(0.7)
        return own + np.sqrt(0.3) * rng.normal(size=of.size) + _apart(0.8) * called

    large = np.repeat(np.arange(200_000), 2)
    half = np.repeat(np.arange(200_000) < 100_000, 2)
    precision: list[float] = []

    def trial(rng: np.random.Generator) -> Study:
        if not precision:
            from scalemai.statistics.roc import average_precision

            many = np.random.default_rng(0)
            precision.append(average_precision(half, scores(many, large, half)))
        score = scores(rng, patients, positive)
        yield auc_bootstrap(positive, score, patients, rng=rng, draws=DRAWS), 0.8
        found = average_precision_bootstrap(positive, score, patients, rng=rng, draws=DRAWS)
        yield found, precision[0]

    return Claim("AUC, AP, resampled", "AUC 0.8, two scans a patient", n, trial, 800)


def kappa(n: int) -> Claim:
    def trial(rng: np.random.Generator) -> Study:
        truth = rng.random(n) < 0.4
        a, b = ((truth ^ (rng.random(n) < 0.15)).astype(int) for _ in range(2))
        yes, agree = 0.43, 0.85**2 + 0.15**2
        chance = yes**2 + (1 - yes) ** 2
        yield cohen_kappa(a, b), (agree - chance) / (1 - chance)
        pi = 2 * yes * (1 - yes)
        yield gwet_ac1(rating_counts(np.stack([a, b], axis=1))), (agree - pi) / (1 - pi)

    return Claim("Cohen's kappa, Gwet's AC1", "both answers common", n, trial)


def detection(n: int) -> Claim:
    def trial(rng: np.random.Generator) -> Study:
        d, c = rng.uniform(0, 2), rng.uniform(-0.8, 0.8)
        hits, alarms = (int(rng.binomial(n, ndtr(side * d / 2 - c))) for side in (1, -1))
        found = signal_detection(hits, n, alarms, n)
        yield found.d_prime, d
        yield found.criterion, c
        share = float(ndtr(d / np.sqrt(2)))
        yield d_prime_2afc(int(rng.binomial(n, share)), n), d

    return Claim("d', criterion", "d' 0 to 2", 2 * n, trial, 3000)


def _apart(area: float) -> float:
    return float(np.sqrt(2) * ndtri(area))


CLAIMS = [
    *(wilson_of(n) for n in (10, 20, 50, 100)),
    *(
        clustered_share(n, rho)
        for n in (FEWEST_FOR_SHARES, 20, FEWEST_CLUSTERS)
        for rho in (0.0, 0.3, 1.0)
    ),
    *(unpaired(n) for n in (10, 20, 50)),
    *(paired(n, tango) for n in (20, 60) for tango in (False, True)),
    clustered_rates(FEWEST_CLUSTERS),
    *(delong(area, m, n) for area in (0.7, 0.9, 0.97) for m, n in ((20, 30), (40, 120))),
    *(two_areas(n) for n in (40, 100)),
    resampled_areas(FEWEST_CLUSTERS),
    *(kappa(n) for n in (60, 120)),
    *(detection(n) for n in (40, 100)),
]


@pytest.mark.slow
@pytest.mark.parametrize("claim", CLAIMS, ids=str)
def test_intervals_hold_the_truth_as_often_as_they_say(claim: Claim) -> None:
    held, computed = claim.observed()
    assert computed > 0.98
    assert claim.level - 0.02 - claim.slack <= held <= claim.level + 0.02 + claim.slack


@pytest.mark.slow
@pytest.mark.parametrize("n", [10, 50])
def test_exact_intervals_hold_the_truth_at_least_as_often(n: int) -> None:
    def trial(rng: np.random.Generator) -> Study:
        share = rng.uniform(0.02, 0.98)
        yield clopper_pearson(int(rng.binomial(n, share)), n), share

    held, _ = Claim("share, clopper-pearson", "any share", n, trial).observed()
    assert held >= 0.95


def test_shares_of_fewer_than_fifteen_patients_have_no_interval_but_say_why() -> None:
    found = cluster_proportion([1, 2, 0], [2, 2, 1], ["a", "b", "c"])
    assert found.value == pytest.approx(0.6)
    assert found.low is None
    assert found.reason == "3 patients are too few for the interval of a share (at least 15)"


def test_one_trial_a_patient_makes_the_clustered_interval_nearly_wilsons() -> None:
    found = cluster_proportion(np.arange(400) < 300, np.ones(400), np.arange(400))
    plain = wilson(300, 400)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), abs=1e-3)
