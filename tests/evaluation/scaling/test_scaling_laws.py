from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import curve_fit

from scalemai.evaluation.scaling.fitting import fit_law
from scalemai.evaluation.scaling.laws import (
    BROKEN_POWER,
    EXPONENTIAL,
    LAWS,
    LOGARITHMIC,
    POWER_WITH_FLOOR,
    PURE_POWER,
    Law,
)

from .simulated import SIZES, exact

EIGHT = (25, *SIZES)
N = np.array(SIZES, float)


def broken(n: float) -> float:
    return float(0.6 * (n / 300) ** (-0.1 if n < 300 else -0.5))


@pytest.mark.parametrize(
    ("law", "curve"),
    [
        (POWER_WITH_FLOOR, lambda n: 0.42 + 1.2 * n**-0.5),
        (POWER_WITH_FLOOR, lambda n: 0.1 + 0.8 * n**-0.15),
        (EXPONENTIAL, lambda n: 0.3 + 0.4 * np.exp(-n / 700)),
        (LOGARITHMIC, lambda n: 0.9 - 0.05 * np.log(n)),
        (PURE_POWER, lambda n: 1.3 * n**-0.21),
        (BROKEN_POWER, broken),
    ],
    ids=["root", "slow power", "exponential", "logarithmic", "pure power", "broken power"],
)
def test_a_law_is_recovered_from_its_own_curve(law: Law, curve: Callable[[float], float]) -> None:
    fits = fit_law(law, EIGHT, exact(curve, EIGHT), np.ones(8), perfect=0.0)
    beyond = [12_000.0, 75.0, 3000.0]
    np.testing.assert_allclose(fits.at(beyond)[0], [curve(n) for n in beyond], rtol=2e-5)
    assert not fits.at_bound[0]
    for n in (60.0, 900.0, 5000.0):
        assert fits.scans_for(curve(n))[0] == pytest.approx(n, rel=2e-3)


def test_the_parameters_are_those_of_the_formula() -> None:
    fits = fit_law(
        POWER_WITH_FLOOR, SIZES, exact(lambda n: 0.42 + 1.2 * n**-0.5), np.ones(7), perfect=0.0
    )
    assert fits.floor[0] == pytest.approx(0.42, abs=1e-6)
    assert np.exp(fits.shape[0, 0]) == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_a_weighted_fit_is_that_of_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    loss = exact(lambda n: 0.42 + 1.2 * n**-0.5) + rng.normal(0, 0.003, 7)
    weights = rng.uniform(0.5, 4, 7)
    fits = fit_law(POWER_WITH_FLOOR, SIZES, loss, weights, perfect=0.0)
    (a, b, c), _ = curve_fit(
        lambda n, a, b, c: a + b * n**-c, N, loss, p0=(0.4, 1, 0.5), sigma=weights**-0.5,
        bounds=([0, 0, 0.02], [1, 100, 4]), xtol=1e-14, ftol=1e-14,
    )  # fmt: skip
    theirs = float((weights * (loss - a - b * N**-c) ** 2).sum())
    assert fits.squares[0] <= theirs * (1 + 1e-6)
    np.testing.assert_allclose(fits.at(N)[0], a + b * N**-c, atol=1e-5)


def test_many_fits_at_once_are_the_single_ones() -> None:
    rng = np.random.default_rng(0)
    losses = exact(lambda n: 0.42 + 1.2 * n**-0.5) + rng.normal(0, 0.01, (6, 7))
    for law in (POWER_WITH_FLOOR, EXPONENTIAL, LOGARITHMIC, PURE_POWER):
        many = fit_law(law, SIZES, losses, np.ones(7), perfect=0.0)
        singly = [fit_law(law, SIZES, loss, np.ones(7), perfect=0.0).squares[0] for loss in losses]
        np.testing.assert_allclose(many.squares, singly, rtol=1e-12)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_more_scans_never_make_a_law_worse(law: Law) -> None:
    rising = np.linspace(0.3, 0.5, 8)
    fits = fit_law(law, EIGHT, rising, np.ones(8), perfect=0.0)
    along = fits.at(np.geomspace(10, 1e5, 50))[0]
    assert (np.diff(along) <= 1e-12).all()


def test_no_floor_lies_below_a_perfect_result() -> None:
    steep = exact(lambda n: 0.5 - 0.06 * np.log(n))
    fits = fit_law(POWER_WITH_FLOOR, SIZES, steep, np.ones(7), perfect=0.0)
    assert fits.floor[0] >= 0.0
    assert (fits.at([1e9])[0] >= 0.0).all()
    free = fit_law(POWER_WITH_FLOOR, SIZES, steep, np.ones(7), perfect=None)
    assert free.floor[0] < 0.0
    assert free.squares[0] < fits.squares[0]


def test_below_its_floor_a_law_never_arrives() -> None:
    fits = fit_law(
        POWER_WITH_FLOOR, SIZES, exact(lambda n: 0.42 + 1.2 * n**-0.5), np.ones(7), perfect=0.0
    )
    assert np.isinf(fits.scans_for(0.41)[0])
    # What takes a million times the largest n is no answer either.
    assert np.isinf(fits.scans_for(0.42 + 1.2 * (3e9) ** -0.5)[0])


def test_a_pure_power_needs_a_perfect_value() -> None:
    with pytest.raises(ValueError, match="perfect"):
        fit_law(PURE_POWER, SIZES, np.linspace(0.5, 0.3, 7), np.ones(7), perfect=None)
