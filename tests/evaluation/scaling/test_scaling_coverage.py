"""How often nominal 95 % intervals hold the truth, in simulated studies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from scalemai.evaluation.scaling.equivalence import worth_of_synthetic
from scalemai.evaluation.scaling.laws import POWER_WITH_FLOOR
from scalemai.evaluation.scaling.measurements import Measurements
from scalemai.evaluation.scaling.planning import plan, predict
from scalemai.evaluation.scaling.plateau import find_plateau
from scalemai.evaluation.scaling.selection import fit_laws
from scalemai.evaluation.scaling.study import Study, open_study
from scalemai.statistics.estimate import Estimate

from .simulated import SIZES, real, simulated, truth

GAIN = 0.005
TRUE = {
    "floor": 0.58,
    "prediction at 6000": truth(6000),
    "gain of the next doubling": truth(6000) - truth(3000),
    "measured gain from 1500": truth(3000) - truth(1500),
    "real scans that are as good": 1500.0,
    "more scans for a gain": ((0.58 - truth(3000) - GAIN) / 1.2) ** -2 - 3000,
}


def study_of(measured: Measurements, seed: int, resamples: int = 400) -> Study:
    rng = np.random.default_rng([1, seed])
    return open_study(
        measured, higher_is_better=True, perfect=1.0, level=0.95, resamples=resamples, rng=rng
    )


def answers(study: Study) -> dict[str, Estimate]:
    (fit,) = fit_laws(study, [POWER_WITH_FLOOR])
    plateau = find_plateau(study, 0.01, fit)
    found = {
        "floor": fit.parameters["floor"],
        "prediction at 6000": predict(study, [fit], [6000.0])[0].value,
        "gain of the next doubling": plateau.next_doubling,
        "measured gain from 1500": plateau.gains[-1].gain,
        "more scans for a gain": plan(study, [fit], [GAIN])[0].more,
    }
    worths = worth_of_synthetic(study, fit)
    return found | ({"real scans that are as good": worths[0].equivalent} if worths else {})


def coverage(
    make: Callable[[np.random.Generator], Measurements], times: int, true: dict[str, float]
) -> dict[str, float]:
    hits = dict.fromkeys(true, 0)
    for seed in range(times):
        found = answers(study_of(make(np.random.default_rng([0, seed])), seed))
        for name, value in true.items():
            low, high = found[name].low, found[name].high
            assert low is not None
            assert high is not None
            hits[name] += low <= value <= high
    return {name: count / times for name, count in hits.items()}


@pytest.mark.slow
@pytest.mark.parametrize("run_sd", [0.003, 0.01, 0.03])
def test_intervals_hold_the_truth_as_often_as_they_say(run_sd: float) -> None:
    arms = [*real(), (500, 1500, 1500)]
    found = coverage(lambda rng: simulated(rng, arms, run_sd=run_sd), 600, TRUE)
    assert all(0.93 <= share <= 0.97 for share in found.values()), found


@pytest.mark.slow
def test_intervals_hold_the_truth_for_lesions_that_are_found_or_not() -> None:
    """Most of the variation of runs is that of single patients, which must not count twice."""

    def make(rng: np.random.Generator) -> Measurements:
        measured = simulated(rng, real(), patient_sd=0.15, patient_run_sd=0.0, run_sd=0.008)
        found = rng.random(measured.totals.shape) < measured.totals.clip(0, 1)
        return Measurements(
            "", measured.arms, measured.arm_of, measured.draw_of, found.astype(np.float64),
            measured.counts, True, True,
        )  # fmt: skip

    true = {name: TRUE[name] for name in ("prediction at 6000", "measured gain from 1500")}
    found = coverage(make, 600, true)
    assert all(0.93 <= share <= 0.97 for share in found.values()), found


@pytest.mark.slow
def test_intervals_hold_the_truth_where_each_arm_was_trained_once() -> None:
    sizes = (25, 50, 100, 200, 400, 800, 1500, 3000)
    true = {name: TRUE[name] for name in ("floor", "prediction at 6000")}
    found = coverage(lambda rng: simulated(rng, real(sizes), seeds=1), 600, true)
    # 600 studies: two standard errors are 1.8 points.
    assert all(0.915 <= share <= 0.97 for share in found.values()), found


@pytest.mark.slow
def test_gains_of_arms_trained_once_hold_those_of_these_trainings() -> None:
    """Nothing tells two trainings of an arm apart: the gain is that of these on all patients."""
    sizes = (25, 50, 100, 200, 400, 800, 1500, 3000)
    held, trials = 0, 600
    for seed in range(trials):
        rng = np.random.default_rng([4, seed])
        luck = rng.normal(0, 0.01, len(sizes)).tolist()
        study = study_of(simulated(rng, real(sizes), seeds=1, luck=luck), seed)
        gain = find_plateau(study, 0.01, None).gains[-1].gain
        assert gain.low is not None
        assert gain.high is not None
        assert gain.method.endswith("of patients, these trainings given")
        held += gain.low <= truth(3000) + luck[-1] - truth(1500) - luck[-2] <= gain.high
    assert 0.93 <= held / trials <= 0.97


def test_intervals_hold_the_truth_in_a_few_studies() -> None:
    arms = [*real(), (500, 1500, 1500)]
    found = coverage(lambda rng: simulated(rng, arms), 100, TRUE)
    assert all(share >= 0.88 for share in found.values()), found


def test_sharing_the_patients_makes_gains_sharper_than_levels() -> None:
    study = study_of(simulated(np.random.default_rng(0), real()), 0)
    gain = find_plateau(study, 0.01, None).gains[-1].gain
    level = study.estimate(float(-study.loss[-1]), -study.drawn[:, -1])
    assert None not in (gain.low, gain.high, level.low, level.high)
    assert gain.high - gain.low < level.high - level.low  # type: ignore[operator]  # checked above


def test_the_largest_size_of_the_reference_study_is_not_a_plateau_that_it_can_show() -> None:
    """Gain 1500 to 3000 is 0.9 points, and intervals are wider than the margin of one point."""
    shown = 0
    for seed in range(40):
        study = study_of(simulated(np.random.default_rng([2, seed]), real()), seed)
        shown += find_plateau(study, 0.01, None).begins is not None
    assert shown <= 2
    assert SIZES[-1] == 3000
