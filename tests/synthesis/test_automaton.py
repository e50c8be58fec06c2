"""Each rule of growth, on a lattice in a uniform or simply structured medium."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scalemai.synthesis.automaton import BARRIER_SLOW, BARRIER_STOP, march
from scalemai.synthesis.noise import value_noise

SIDE = 61


def run(
    *,
    organ: np.ndarray | None = None,
    barrier: np.ndarray | None = None,
    hu: np.ndarray | None = None,
    irregularity: float = 0.0,
    diameter_mm: float = 30.0,
    tail: float = 0.0,
    slow_vessel: float = 0.1,
    outside: float = 0.0,
    lumen: float = 0.0,
    spicules: np.ndarray | None = None,
) -> tuple[Any, float, float, bool]:
    """Grow from the centre of a lattice of 1 mm cells that coincide with the voxels."""
    shape = (SIDE,) * 3
    identity = np.hstack([np.eye(3), np.zeros((3, 1))])
    table = np.random.default_rng(5).standard_normal((16, 16, 16)).astype(np.float32)
    return march(
        SIDE, 1.0,
        np.full(shape, 100.0, np.float32) if hu is None else hu,
        np.ones(shape, bool) if organ is None else organ,
        np.zeros(shape, np.uint8) if barrier is None else barrier,
        identity, np.eye(3), 1.0, np.array([1, 1, 1]),
        np.array([100.0, 30.0, 40.0, -250.0, slow_vessel, 0.35, outside, lumen]),
        table, 12.0, irregularity, np.zeros((0, 4)) if spicules is None else spicules,
        diameter_mm, tail,
    )  # fmt: skip


def distances() -> np.ndarray:
    return np.linalg.norm(np.indices((SIDE,) * 3) - SIDE // 2, axis=0)


def test_free_growth_is_a_sphere_within_three_percent() -> None:
    time, *_ = run(diameter_mm=50.0)
    r = distances()
    shell = (r > 6) & (r < 24)
    speed = time[shell] / r[shell]
    assert speed.max() / speed.min() < 1.05
    assert np.abs(speed - 1).max() < 0.03


def test_growth_stops_at_the_diameter_asked_for() -> None:
    for diameter in (5.0, 12.0, 30.0, 45.0):
        time, stop, reached, complete = run(diameter_mm=diameter)
        assert complete
        grown = np.argwhere(time <= stop)
        width = np.ptp(grown[:, 0]) + 1
        assert reached == pytest.approx(diameter, abs=1.0)
        assert width == pytest.approx(diameter, abs=max(1.5, 0.05 * diameter))


def test_earlier_lesions_lie_within_later_ones() -> None:
    time, stop, *_ = run(irregularity=0.4)
    assert np.isfinite(time).sum() > (time <= stop).sum() > (time <= 0.5 * stop).sum() > 30


def test_a_wall_of_the_organ_is_never_crossed() -> None:
    organ = np.ones((SIDE,) * 3, bool)
    organ[SIDE // 2 + 6 :] = False
    time, stop, *_ = run(organ=organ)
    assert not (time[SIDE // 2 + 7 :] <= stop).any()
    assert (time[SIDE // 2 + 4] <= stop).any()


def test_another_lesion_is_never_entered() -> None:
    barrier = np.zeros((SIDE,) * 3, np.uint8)
    barrier[:, SIDE // 2 + 5] = BARRIER_STOP
    time, stop, *_ = run(barrier=barrier)
    assert not (time[:, SIDE // 2 + 6 :] <= stop).any()


@pytest.mark.parametrize("by", ["mask", "attenuation"])
def test_a_vessel_of_six_millimetres_is_wrapped_before_it_is_invaded(by: str) -> None:
    i, j, _ = np.indices((SIDE,) * 3)
    vessel = np.hypot(i - SIDE // 2 - 8, j - SIDE // 2) <= 3.0
    barrier = np.where(vessel, BARRIER_SLOW, 0).astype(np.uint8)
    hu = np.where(vessel, 190.0, 100.0).astype(np.float32)
    medium = {"barrier": barrier} if by == "mask" else {"hu": hu}
    time, stop, *_ = run(diameter_mm=38.0, **medium)
    behind = time[SIDE // 2 + 13, SIDE // 2, SIDE // 2]
    core = np.hypot(i - SIDE // 2 - 8, j - SIDE // 2) <= 1.0
    middle = core[:, :, SIDE // 2]
    assert behind <= stop
    assert not (time[:, :, SIDE // 2][middle] <= stop).any()
    free, free_stop, *_ = run(diameter_mm=38.0)
    assert (free[:, :, SIDE // 2][middle] <= free_stop).all()  # without the rule it is erased


def test_fat_slows_and_gas_stops() -> None:
    hu = np.full((SIDE,) * 3, 100.0, np.float32)
    hu[SIDE // 2 + 5 :] = -90.0
    hu[: SIDE // 2 - 5] = -900.0
    time, stop, *_ = run(hu=hu)
    right = (time[SIDE // 2 :, SIDE // 2, SIDE // 2] <= stop).sum()
    left = (time[: SIDE // 2, SIDE // 2, SIDE // 2] <= stop).sum()
    up = (time[SIDE // 2, SIDE // 2 :, SIDE // 2] <= stop).sum()
    assert left <= 5 < right < up


def test_a_lone_noisy_voxel_is_no_vessel() -> None:
    hu = np.full((SIDE,) * 3, 100.0, np.float32)
    hu[SIDE // 2 + 6, SIDE // 2, SIDE // 2] = 200.0
    time, *_ = run(hu=hu)
    free, *_ = run()
    assert np.array_equal(time, free)


def test_lack_of_room_is_said() -> None:
    organ = distances() <= 8
    _, _, reached, complete = run(organ=organ, diameter_mm=40.0)
    assert not complete
    assert reached == pytest.approx(17, abs=1.5)


def test_the_front_alone_is_visited() -> None:
    time, stop, *_ = run(diameter_mm=10.0)
    assert np.isfinite(time).sum() < 3.0 * (time <= stop).sum()


def test_noise_has_unit_variance_and_no_seams() -> None:
    table = np.random.default_rng(1).standard_normal((16, 16, 16)).astype(np.float32)
    points = np.random.default_rng(2).uniform(-40, 40, (4000, 3))
    values = np.array([value_noise(table, *p) for p in points])
    assert values.std() == pytest.approx(1.0, abs=0.08)
    near = np.array([value_noise(table, *(p + 1e-4)) for p in points])
    assert np.abs(near - values).max() < 5e-3
