"""The mixed model gives the values that lme4 documents, and says when there is no fit."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import expit

from scalemai.statistics.mixed_logistic import RandomEffect, fit_mixed_logistic

# Contagious bovine pleuropneumonia, by herd and period (data set cbpp of lme4).
HERD = np.repeat(np.arange(15), [4, 3, 4, 4, 4, 4, 4, 1, 4, 4, 4, 4, 4, 4, 4])
PERIOD = np.array([1, 2, 3, 4, 1, 2, 3, *[1, 2, 3, 4] * 5, 1, *[1, 2, 3, 4] * 7])
SICK = np.array(
    [2, 3, 4, 0, 3, 1, 1, 8, 2, 0, 2, 2, 0, 2, 0, 5, 0, 0, 1, 3, 0, 0, 1, 8, 1, 3, 0, 12, 2, 0, 0,
     0, 1, 1, 0, 2, 0, 5, 3, 1, 2, 1, 0, 0, 1, 2, 0, 0, 11, 0, 0, 0, 1, 1, 1, 0]
)  # fmt: skip
SIZE = np.array(
    [14, 12, 9, 5, 22, 18, 21, 22, 16, 16, 20, 10, 10, 9, 6, 18, 25, 24, 4, 17, 17, 18, 20, 16, 10,
     9, 5, 34, 9, 6, 8, 6, 22, 22, 18, 22, 25, 27, 22, 22, 10, 8, 6, 5, 21, 24, 19, 23, 19, 2, 3,
     2, 19, 15, 15, 15]
)  # fmt: skip


def test_the_fit_is_the_one_that_lme4_documents() -> None:
    y = np.concatenate([np.repeat([1, 0], [k, n - k]) for k, n in zip(SICK, SIZE, strict=True)])
    herd, period = np.repeat(HERD, SIZE), np.repeat(PERIOD, SIZE)
    design = np.column_stack([np.ones(y.size), *(period == k for k in (2, 3, 4))])
    names = ("first", "second", "third", "fourth")
    found = fit_mixed_logistic(y, design, names, [RandomEffect("herd", herd)])
    values = [found.coefficients[name].value for name in names]
    np.testing.assert_allclose(values, [-1.3983, -0.9919, -1.1282, -1.5797], atol=1e-3)
    assert found.deviations["herd"] == pytest.approx(0.6421, abs=1e-3)


def test_laplace_is_close_to_the_integral_where_units_are_informative() -> None:
    rng = np.random.default_rng(0)
    units = np.repeat(np.arange(12), 40)
    y = rng.random(480) < expit(0.4 + rng.normal(0, 0.8, 12)[units])
    found = fit_mixed_logistic(y, np.ones((480, 1)), ("all",), [RandomEffect("unit", units)])
    mean, sd = found.coefficients["all"].value, found.deviations["unit"]

    def unit(k: int) -> float:
        wins = int(y[units == k].sum())
        return np.log(
            quad(
                lambda u: expit(mean + sd * u) ** wins
                * expit(-mean - sd * u) ** (40 - wins)
                * np.exp(-u * u / 2) / np.sqrt(2 * np.pi),
                -8, 8, points=[-1, 0, 1],
            )[0]
        )  # fmt: skip

    exact = -2 * sum(unit(k) for k in range(12))
    assert found.deviance == pytest.approx(exact, abs=0.3)  # of 569: 0.02 a unit


def study(
    rng: np.random.Generator, readers: int, cases: int, ability: float
) -> tuple[NDArray[np.bool_], NDArray[np.float64], list[RandomEffect]]:
    reader, case = np.repeat(np.arange(readers), cases), np.tile(np.arange(cases), readers)
    truth = (case % 2) - 0.5
    habit = rng.normal(0, 0.6, readers)[reader] + rng.normal(0, 0.8, cases)[case]
    y = rng.random(truth.size) < expit(0.8 + ability * truth + habit)
    effects = [
        RandomEffect("habit", reader), RandomEffect("ability", reader, truth),
        RandomEffect("case", case),
    ]  # fmt: skip
    return y, np.column_stack([np.ones(truth.size), truth]), effects


@pytest.mark.slow
def test_the_effect_of_truth_is_covered_as_nominal() -> None:
    rng = np.random.default_rng(5)
    trials, held, fitted = 200, 0, 0
    for _ in range(trials):
        y, design, effects = study(rng, 3, 60, 1.0)
        found = fit_mixed_logistic(y, design, ("all", "truth"), effects)
        if found.reason:
            continue
        fitted += 1
        held += found.coefficients["truth"].low <= 1.0 <= found.coefficients["truth"].high
    assert fitted >= 0.98 * trials
    assert 0.92 <= held / fitted <= 0.98  # 200 trials: 95 % +- 3 %


def test_the_order_of_effects_does_not_change_the_fit() -> None:
    y, design, effects = study(np.random.default_rng(6), 3, 40, 1.0)
    one = fit_mixed_logistic(y, design, ("all", "truth"), effects)
    two = fit_mixed_logistic(y, design, ("all", "truth"), effects[::-1])
    assert one.deviance == pytest.approx(two.deviance, abs=1e-5)
    assert one.deviations["case"] == pytest.approx(two.deviations["case"], abs=1e-3)


@pytest.mark.parametrize(
    ("y", "reason"), [([1] * 20, "alike"), ([0, 1] * 10, "separation")], ids=["alike", "separated"]
)
def test_without_a_maximum_there_is_no_fit(y: list[int], reason: str) -> None:
    truth = np.tile([-0.5, 0.5], 10)
    found = fit_mixed_logistic(
        y, np.column_stack([np.ones(20), truth]), ("all", "truth"),
        [RandomEffect("reader", np.arange(20) // 10)],
    )  # fmt: skip
    assert reason in found.reason
    assert reason in found.coefficients["truth"].reason
