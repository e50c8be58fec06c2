"""How often intervals of regression coefficients and of scaling studies hold the truth."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from interval_populations import Claim
from scipy.special import expit

from scalemai.statistics.estimate import Estimate
from scalemai.statistics.mixed_logistic import RandomEffect, fit_mixed_logistic
from scalemai.statistics.multireader import fixed_readers, jackknife_covariance, random_readers
from scalemai.statistics.regression import FEWEST_RARE, adjusted_differences

Study = Iterator[tuple[Estimate, float]]


def adjusted_means(n: int, few: int) -> Claim:
    """Groups that differ in age, patients with one to four scans, unequal spread."""

    def trial(rng: np.random.Generator) -> Study:
        group = np.arange(n) < few
        age = rng.normal(60 + 8 * group, 10)
        rows = np.repeat(np.arange(n), 1 + rng.integers(0, 4, n))
        own = 0.8 - 0.006 * (age - 60) + 0.03 * group + rng.normal(0, 0.08, n)
        y = own[rows] + rng.normal(0, 0.04 * (1 + group[rows]))
        names = np.where(group, "b", "a")[rows].tolist()
        (found,) = adjusted_differences(y, names, {"age": age[rows].tolist()}, rows, reference="a")
        yield found.adjusted, 0.03

    return Claim("adjusted difference of means", f"{few} in the smaller group", n, trial, 800)


def adjusted_shares(n: int, intercept: float, trials: int = 800) -> Claim:
    """Two groups of like size that differ in a covariate; the rarer outcome is a failure."""
    many = np.random.default_rng(0).normal(size=400_000)
    many = np.concatenate([many, many + 0.5])
    effect, slope = 0.5, 0.5
    truth = expit(intercept + effect + slope * many) - expit(intercept + slope * many)

    def trial(rng: np.random.Generator) -> Study:
        group = rng.random(n) < 0.5
        x = rng.normal(0.5 * group, 1)
        y = rng.random(n) < expit(intercept + effect * group + slope * x)
        names = np.where(group, "b", "a").tolist()
        (found,) = adjusted_differences(
            y, names, {"x": x.tolist()}, np.arange(n), kind="binary", reference="a"
        )
        yield found.adjusted, float(truth.mean())
        if found.odds_ratio is not None:
            yield found.odds_ratio, float(np.exp(effect))

    name = f"share {expit(intercept):.2f}"
    return Claim("adjusted difference of shares, odds ratio", name, n, trial, trials)


def readers(n: int, random: bool) -> Claim:
    """Balanced accuracies of readers of 60 real and 60 synthetic cases, who share their luck."""
    able = np.linspace(0.55, 0.7, n)

    def trial(rng: np.random.Generator) -> Study:
        own = np.clip(0.62 + 0.06 * rng.normal(size=n), 0.05, 0.95) if random else able
        shared = rng.random((2, 60))
        luck = np.where(rng.random((n, 2, 60)) < 0.4, shared, rng.random((n, 2, 60)))
        right = (luck < own[:, None, None]).reshape(n, 120)
        half = right.reshape(n, 2, 60)
        without = np.concatenate(
            [
                (half[:, :1].sum(2, keepdims=True) - half[:, :1]) / 59
                + half[:, 1:].mean(2, keepdims=True),
                (half[:, 1:].sum(2, keepdims=True) - half[:, 1:]) / 59
                + half[:, :1].mean(2, keepdims=True),
            ],
            axis=2,
        ).reshape(n, 120) / 2  # fmt: skip
        covariance = jackknife_covariance(without.T)
        of = random_readers if random else fixed_readers
        truth = 0.62 if random else float(able.mean())
        yield of(right.mean(axis=1), covariance, 120, share=True), truth

    name = "all such readers" if random else "these readers"
    return Claim(f"mean of readers, {name}", f"{n} readers, 120 cases", 120, trial)


def mixed(trials: int) -> Claim:
    reader, case = np.repeat(np.arange(3), 60), np.tile(np.arange(60), 3)
    side = (case % 2) - 0.5

    def trial(rng: np.random.Generator) -> Study:
        habit = rng.normal(0, 0.6, 3)[reader] + rng.normal(0, 0.8, 60)[case]
        y = rng.random(side.size) < expit(0.8 + side + habit)
        effects = [RandomEffect("habit", reader), RandomEffect("case", case)]
        design = np.column_stack([np.ones(side.size), side])
        yield fit_mixed_logistic(y, design, ("all", "truth"), effects).coefficients["truth"], 1.0

    return Claim("mixed logistic, effect of truth", "3 readers", 60, trial, trials)


CLAIMS = [
    *(adjusted_means(n, few) for n, few in ((60, 30), (120, 12))),
    *(adjusted_shares(n, at) for n, at in ((80, 0.3), (120, 1.0), (240, 1.8))),
    *(readers(n, random) for n, random in ((4, False), (4, True), (8, True))),
    mixed(200),
]


@pytest.mark.slow
@pytest.mark.parametrize("claim", CLAIMS, ids=str)
def test_intervals_hold_the_truth_as_often_as_they_say(claim: Claim) -> None:
    held, computed = claim.observed()
    assert computed > 0.9
    assert claim.level - 0.02 - claim.slack <= held <= claim.level + 0.02 + claim.slack


def test_near_the_ceiling_a_logistic_model_gives_no_interval_but_says_why() -> None:
    rng = np.random.default_rng(0)
    y = np.ones(120, bool)
    y[: FEWEST_RARE - 1] = False
    names = np.where(rng.random(120) < 0.5, "a", "b").tolist()
    age = {"age": rng.normal(size=120).tolist()}
    (found,) = adjusted_differences(y, names, age, np.arange(120), kind="binary")
    assert found.adjusted.value is None
    assert found.adjusted.reason == "14 patients have the rarer outcome, at least 15 must"
    y[FEWEST_RARE - 1] = False
    (found,) = adjusted_differences(y, names, age, np.arange(120), kind="binary")
    assert found.adjusted.low is not None
