"""Refilled regions against the same patient without the lesion: histogram, noise, placebo."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from scalemai.cases.phantom.lesion_diagnoses import Kind

from .phantom_pairs import PAIRS, RefilledCase, ks, refilled_cases

pytestmark = pytest.mark.slow

ORGANS = ("liver", "pancreas", "kidney_left", "lung_left")
KS_LIMIT = 0.1
EDGES = np.linspace(-6.0, 6.0, 481)  # in standard deviations of the organ; finer than any KS needs
DRAWS = 1000
FEWEST_PLACES = 19  # fewer cannot tell what lies outside of 95 %


def counts(case: RefilledCase, hu: NDArray[np.float32]) -> NDArray[np.float64]:
    inside = np.clip(case.standardised(hu), EDGES[0], EDGES[-1])
    return np.histogram(inside, EDGES)[0].astype(np.float64)


def pooled_ks(cases: tuple[RefilledCase, ...], other: str) -> tuple[float, float, float]:
    """KS of all refilled voxels to others, and its 95 % percentile interval over patients.

    Of the organ around, each case counts as much as of what was refilled. With a dozen patients
    the interval is a rough one, but a resampled KS is rather too high than too low.
    """
    new = np.stack([counts(case, case.new) for case in cases])
    known = np.stack([counts(case, getattr(case, other)) for case in cases])
    known *= (new.sum(axis=1) / known.sum(axis=1))[:, None]

    def distance(rows: NDArray[np.intp]) -> float:
        one, two = (np.cumsum(part[rows].sum(axis=0)) for part in (new, known))
        return float(np.abs(one / one[-1] - two / two[-1]).max())

    n = len(cases)
    drawn = [distance(rows) for rows in np.random.default_rng(0).integers(n, size=(DRAWS, n))]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return distance(np.arange(n)), float(low), float(high)


@pytest.mark.parametrize("organ", ORGANS)
def test_the_pooled_histogram_is_that_of_what_was_there_and_that_of_the_organ(organ: str) -> None:
    cases = refilled_cases(organ)
    assert len(cases) >= 12
    for other in ("true", "around"):
        found, low, high = pooled_ks(cases, other)
        assert found < KS_LIMIT, (other, low, high)


@pytest.mark.parametrize("organ", ORGANS)
def test_the_median_case_has_the_histogram_and_noise_of_its_organ(organ: str) -> None:
    cases = refilled_cases(organ)
    assert np.median([case.distance for case in cases]) < KS_LIMIT
    ratios = [case.noise_ratio for case in cases if case.noise_ratio is not None]
    assert np.median(ratios) == pytest.approx(1.0, abs=0.1)


def test_a_case_differs_from_its_organ_no_more_than_untouched_regions_of_its_form_do() -> None:
    everything = []
    for organ in ORGANS:
        judged = [case for case in refilled_cases(organ) if case.placebo.size >= FEWEST_PLACES]
        assert len(judged) >= 9, organ
        outside = sum(case.p <= 0.05 for case in judged)
        assert stats.binomtest(outside, len(judged), 0.05, "greater").pvalue > 0.05, organ
        everything += judged
    outside = sum(case.p <= 0.05 for case in everything)
    assert outside <= 0.05 * len(everything) + 1


def test_a_refill_that_is_off_by_an_organs_standard_deviation_would_be_seen() -> None:
    for organ in ORGANS:
        judged = [case for case in refilled_cases(organ) if case.placebo.size >= FEWEST_PLACES]
        shifted = [ks(case.new + case.around.std(), case.around) for case in judged]
        seen = sum(c.p_of(far) <= 0.05 for c, far in zip(judged, shifted, strict=True))
        assert seen >= 0.8 * len(judged), organ


def test_the_cases_hold_every_kind_of_lesion_and_every_phase() -> None:
    cases = [case for organ in ORGANS for case in refilled_cases(organ)]
    assert len(cases) == PAIRS * len(ORGANS)
    assert {case.lesion.kind for case in cases} == set(get_args(Kind))
    assert len({case.phase for case in cases}) == 4
