"""Each rule of growth, on a lattice in a uniform or simply structured medium."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scalemai.synthesis.drawing.draw import draw_recipe
from scalemai.synthesis.growth.automaton import march
from scalemai.synthesis.growth.field import GrowthField, grow, label, render
from scalemai.synthesis.growth.neighbourhood import Neighbourhood
from scalemai.synthesis.growth.noise import value_noise
from scalemai.synthesis.growth.permeability import (
    BARRIER_LUMEN,
    BARRIER_OUTSIDE,
    BARRIER_SLOW,
    BARRIER_STOP,
    BARRIER_WALL,
)
from scalemai.synthesis.growth.tissue import crop_mask, prepare_tissue
from scalemai.synthesis.painting.interior import aim_hu
from scalemai.synthesis.recipe import Necrosis, Recipe
from scalemai.synthesis.spec import LesionSpec

from ..conftest import ellipsoid_host

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


@pytest.mark.parametrize(
    ("code", "speeds", "slower"),
    [
        (BARRIER_OUTSIDE, {"outside": 0.4}, True),
        (BARRIER_OUTSIDE, {"outside": 0.0}, True),
        (BARRIER_LUMEN, {"lumen": 0.3}, True),
        (BARRIER_LUMEN, {"lumen": 1.8}, False),
    ],
)
def test_what_lies_beyond_the_organ_has_a_speed_of_its_own(
    code: int, speeds: dict[str, float], slower: bool
) -> None:
    barrier = np.zeros((SIDE,) * 3, np.uint8)
    barrier[SIDE // 2 + 5 :] = code
    time, *_ = run(barrier=barrier, diameter_mm=40.0, tail=40.0, **speeds)
    free, *_ = run(diameter_mm=40.0, tail=40.0)
    there, usual = (
        time[SIDE // 2 + 12, SIDE // 2, SIDE // 2],
        free[SIDE // 2 + 12, SIDE // 2, SIDE // 2],
    )
    speed = next(iter(speeds.values()))
    assert (there > usual) == slower
    if speed > 0:
        assert there == pytest.approx(5 + 7 / speed, rel=0.1)
    else:
        assert there == np.inf


def test_a_front_runs_freely_in_a_wall_whatever_its_attenuation() -> None:
    hu = np.full((SIDE,) * 3, 100.0, np.float32)
    hu[SIDE // 2 + 5 :] = 220.0  # would be a vessel
    slow, *_ = run(hu=hu)
    barrier = np.where(hu > 200.0, BARRIER_WALL, 0).astype(np.uint8)
    time, *_ = run(hu=hu, barrier=barrier)
    free, *_ = run()
    place = (SIDE // 2 + 10, SIDE // 2, SIDE // 2)
    assert slow[place] > 2 * free[place]
    assert time[place] == pytest.approx(free[place], rel=0.06)


def test_spicules_run_ahead_of_the_front() -> None:
    along = np.array([[1.0, 0.0, 0.0, 18.0]])
    time, *_ = run(diameter_mm=20.0, tail=20.0, spicules=along)
    right, left = (
        time[SIDE // 2 + 15, SIDE // 2, SIDE // 2],
        time[SIDE // 2 - 15, SIDE // 2, SIDE // 2],
    )
    assert right < 0.6 * left


def grown_field(
    spacing_mm: tuple[float, float, float], **changes: Any
) -> tuple[GrowthField, Neighbourhood, Recipe]:
    """A lesion of 30 mm in a uniform organ on a grid of the CT, through the whole front end."""
    volume, masks = ellipsoid_host(
        spacing_mm=spacing_mm, semi_axes_mm=(45.0, 45.0, 45.0), noise_hu=0.0
    )
    box = crop_mask(masks["liver"])
    assert box is not None
    tissue = prepare_tissue(box, volume.grid)
    spec = LesionSpec(organ="liver", kind="hcc", diameter_mm=(30, 30), at_mm=(0.4, -0.3, 0.2))
    recipe, around = draw_recipe(spec, volume, tissue, case_id="a", number=1, seed=0)
    plain = {"irregularity": 0.0, "axes": (1.0, 1.0, 1.0), "spicules": 0, "necrosis": None}
    recipe = replace(recipe, **(plain | changes))
    return grow(recipe, around), around, recipe


def test_growth_is_isotropic_within_five_percent_on_anisotropic_grids() -> None:
    field, around, recipe = grown_field((0.7, 0.7, 2.5))
    centre = around.grid.to_voxel(recipe.centre_mm)
    speeds = []
    for direction in np.random.default_rng(0).standard_normal((300, 3)):
        unit = direction / np.linalg.norm(direction)
        step = around.grid.inverse[:3, :3] @ (12.0 * unit)
        cell = field.from_voxel[:, :3] @ (centre + step) + field.from_voxel[:, 3]
        low = np.floor(cell).astype(int)
        share = cell - low
        arrival = 0.0
        for corner in np.ndindex(2, 2, 2):
            weight = np.prod(np.where(corner, share, 1 - share))
            arrival += weight * field.time[tuple(low + corner)]
        speeds.append(12.0 / arrival)
    assert max(speeds) / min(speeds) < 1.05


def test_density_builds_up_behind_the_front_over_the_width_of_the_margin() -> None:
    """Without the rule of growth every cell is full at once and all borders are equally sharp."""
    widths = {}
    for margin in (0.5, 6.0):
        field, around, recipe = grown_field((1.0, 1.0, 1.0), margin_mm=margin)
        rendering = render(field, recipe, around)
        assert rendering is not None
        fading = (rendering.density > 0.1) & (rendering.density < 0.9)
        widths[margin] = fading.sum() / (rendering.density >= 0.5).sum()
    assert widths[6.0] > 3 * widths[0.5]


def test_what_is_occupied_stays_occupied() -> None:
    field, around, recipe = grown_field((1.0, 1.0, 2.0), irregularity=0.4)
    filled = None
    for edge in np.linspace(0.2, 1.0, 9) * field.edge:
        rendering = render(field, recipe, around, float(edge))
        assert rendering is not None
        now = np.zeros(around.grid.shape)
        now[rendering.box] = rendering.filled
        assert filled is None or (now >= filled).all()
        filled = now


def test_the_core_dies_only_once_it_lies_deeper_than_the_viable_rim() -> None:
    """Death changes how cells look, never whether they are tumor."""
    necrosis = Necrosis(rim_share=0.5, core_hu=20.0)
    field, around, recipe = grown_field((1.0, 1.0, 1.0), necrosis=necrosis, texture_sd_hu=0.0)
    alive = replace(recipe, necrosis=None)
    for edge, dies in ((0.35 * field.edge, False), (field.edge, True)):
        rendering = render(field, recipe, around, edge)
        assert rendering is not None
        usual = around.parenchyma.mean_hu
        with_death, without = (aim_hu(field, rendering, r, usual) for r in (recipe, alive))
        assert (np.abs(with_death - without) > 5.0).any() == dies
        mask = label(rendering, around)
        assert np.array_equal(mask, label(rendering, around))
        if dies:
            core = rendering.age > 0.75 * field.edge
            assert np.abs(with_death[core] - 20.0).max() < 2.0
            assert mask[core].all()
