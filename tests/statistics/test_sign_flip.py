"""The sign-flip test is exact, and McNemar's where each patient has one unit."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from scalemai.statistics.mcnemar import mcnemar
from scalemai.statistics.proportions import PairedCounts
from scalemai.statistics.sign_flip import sign_flip


@pytest.mark.parametrize("values", [[3, -1, 2, 2, 0, 1], [1, 1, 1, -2], [5], [4, 1, -2]])
def test_it_is_what_trying_all_signs_gives(values: list[int]) -> None:
    sums = np.array([np.dot(signs, values) for signs in product((-1, 1), repeat=len(values))])
    far = np.abs(sums) >= abs(sum(values))
    equal = np.abs(sums) == abs(sum(values))
    found = sign_flip(values)
    assert found.p_exact == pytest.approx(far.mean())
    # Of what is as far as observed, half of one tail in each; all of it where both tails meet.
    assert found.p_mid == pytest.approx(far.mean() - equal.mean() / 2)


@pytest.mark.parametrize("counts", [(5, 9, 2, 4), (0, 3, 3, 0), (1, 0, 7, 0)])
def test_with_one_unit_a_patient_it_is_mcnemars_test(counts: tuple[int, int, int, int]) -> None:
    both, first, second, neither = counts
    found = sign_flip([0] * (both + neither) + [1] * first + [-1] * second)
    expected = mcnemar(PairedCounts(*counts))
    assert found.p_exact == pytest.approx(expected.p_exact)
    assert found.p_mid == pytest.approx(expected.p_mid)


def test_patients_that_do_not_differ_give_no_p_and_shares_are_refused() -> None:
    assert sign_flip([0, 0]).p_exact is None
    assert sign_flip([]).reason
    with pytest.raises(ValueError, match="whole numbers"):
        sign_flip([0.5])
