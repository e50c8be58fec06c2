"""The time machine: nested scans whose volumes follow the law and that end with the synthesis."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from scalemai.anatomy import organ
from scalemai.cases.phantom import generate_phantom, sample_spec
from scalemai.errors import ConfigError, GeometryError, PlacementError
from scalemai.geometry import Grid
from scalemai.measure import longest_axial_diameter_mm
from scalemai.synthesis.growth.tissue import crop_mask
from scalemai.synthesis.painting.lesion import size_tolerance_mm
from scalemai.synthesis.spec import LesionSpec
from scalemai.synthesis.synthesize import synthesize_volume
from scalemai.synthesis.timeline.schedule import Schedule, parse_schedule
from scalemai.synthesis.timeline.series import Frame, Timeline, grow_series, plan_series
from scalemai.volume import Mask, Volume

from ..conftest import Host, MakeHost, ellipsoid_host, read_real_host
from ..families.test_families import lung_host

DOUBLING_DAYS = 100.0
EVERY_HALF = Schedule(at_days=tuple(DOUBLING_DAYS / 2 * n for n in range(9)))
EACH = Schedule(at_days=tuple(DOUBLING_DAYS * n for n in range(4)))
MANY_VOXELS = 500
GRIDS = [(1.0, 1.0, 1.0), (0.7, 0.7, 2.5), (0.8, 0.8, 5.0), (2.5, 2.5, 2.5)]
LARGE = LesionSpec(organ="liver", diameter_mm=(40, 40))


@pytest.fixture(scope="module")
def make_host() -> MakeHost:
    """A liver that is just large enough for the lesions here."""

    def make(**how) -> Host:
        return ellipsoid_host(**{"semi_axes_mm": (40.0, 36.0, 36.0), **how})

    return make


def series(
    host: Host, spec: LesionSpec = LARGE, schedule: Schedule = EVERY_HALF, *, seed: int = 0, **how
) -> Timeline:
    how = {"doubling_days": DOUBLING_DAYS, **how}
    return grow_series(*host, spec, schedule, case_id="case", seed=seed, **how)


def mask(frame: Frame, name: str = "liver_lesion") -> np.ndarray:
    return frame.synthesis.mask(name).array


def assert_nested(timeline: Timeline, name: str = "liver_lesion") -> None:
    masks = [mask(frame, name) for frame in timeline.frames]
    for earlier, later in pairwise(masks):
        assert not (earlier & ~later).any()
    assert masks[-1].any()


def assert_volumes_double(timeline: Timeline, steps: int = 2) -> int:
    """Volumes ``steps`` scans apart, one doubling time, in the field and where they can the mask.

    Returns how many pairs of masks were compared.
    """
    compared = 0
    for before, after in zip(timeline.frames, timeline.frames[steps:], strict=False):
        for one, two in zip(before.stages, after.stages, strict=True):
            assert two.field_mm3 / one.field_mm3 == pytest.approx(2.0, rel=0.03)
            if one.lesion is None or one.lesion.measures.voxels <= MANY_VOXELS:
                continue
            assert two.lesion is not None
            grown = two.lesion.measures.volume_mm3 / one.lesion.measures.volume_mm3
            assert grown == pytest.approx(2.0, rel=0.03)
            compared += 1
    return compared


def assert_ends_with_the_synthesis(
    timeline: Timeline, host: Host, spec: LesionSpec, seed: int
) -> None:
    direct = synthesize_volume(*host, [spec], case_id="case", seed=seed)
    last = timeline.frames[-1].synthesis
    assert last.volume.stored.tobytes() == direct.volume.stored.tobytes()
    assert (last.labels == direct.labels).all()
    for name in {*host[1], *(one.recipe.lesion for one in direct.lesions)}:
        assert (last.mask(name).array == direct.mask(name).array).all()
    assert timeline.recipe == direct.lesions[0].recipe


# --- the three bars ------------------------------------------------------------------------


@pytest.mark.parametrize("spacing_mm", GRIDS)
@pytest.mark.parametrize("kind", ["cyst", "hcc"])
def test_each_earlier_mask_lies_within_each_later_one(
    make_host: MakeHost, spacing_mm: tuple[float, float, float], kind: str
) -> None:
    host = make_host(spacing_mm=spacing_mm)
    spec = LesionSpec(organ="liver", kind=kind, diameter_mm=(30, 30))
    assert_nested(series(host, spec, parse_schedule("0-20 months every 2"), seed=4))


@pytest.mark.parametrize("spacing_mm", GRIDS)
def test_volume_doubles_after_one_doubling_time(
    make_host: MakeHost, spacing_mm: tuple[float, float, float]
) -> None:
    host = make_host(spacing_mm=spacing_mm)
    compared = sum(assert_volumes_double(series(host, seed=seed)) for seed in range(2))
    assert compared >= 1


def test_volume_doubles_where_the_organ_ends_too(make_host: MakeHost) -> None:
    host = make_host(spacing_mm=(0.8, 0.8, 2.0))
    at_the_surface = LesionSpec(organ="liver", diameter_mm=(40, 40), at_mm=(0.0, 30.0, 0.0))
    timeline = series(host, at_the_surface)
    outside = ~host[1]["liver"].array
    assert timeline.frames[-1].lesion is not None
    beside = mask(timeline.frames[-1]) & np.roll(outside, -2, axis=1)
    assert beside.any()  # it touches the surface
    assert assert_volumes_double(timeline) >= 4


@pytest.mark.parametrize("spacing_mm", GRIDS)
@pytest.mark.parametrize("law", ["exponential", "gompertz"])
def test_the_last_scan_is_the_direct_synthesis_bit_for_bit(
    make_host: MakeHost, spacing_mm: tuple[float, float, float], law: str
) -> None:
    host = make_host(spacing_mm=spacing_mm)
    spec = LesionSpec(organ="liver", diameter_mm=(8, 40))
    for seed in range(2):
        timeline = series(host, spec, parse_schedule("0, 30, 60 d"), seed=seed, law=law)
        assert_ends_with_the_synthesis(timeline, host, spec, seed)


# --- volumes, sizes and days ---------------------------------------------------------------


@pytest.mark.parametrize("law", ["exponential", "gompertz"])
def test_volumes_are_those_that_the_law_says(make_host: MakeHost, law: str) -> None:
    timeline = series(make_host(), law=law)
    last = timeline.frames[-1]
    assert timeline.law.name == law
    assert timeline.law.volume_mm3(last.day) == pytest.approx(last.stages[0].field_mm3)
    for frame in timeline.frames:
        (stage,) = frame.stages
        assert stage.law_mm3 == pytest.approx(timeline.law.volume_mm3(frame.day))
        assert stage.field_mm3 == pytest.approx(stage.law_mm3, rel=0.01)
        if stage.lesion is not None and stage.lesion.measures.voxels > MANY_VOXELS:
            assert stage.lesion.measures.volume_mm3 == pytest.approx(stage.law_mm3, rel=0.03)


def test_lesions_that_slow_down_start_smaller(
    make_host: MakeHost,
) -> None:
    # With one doubling time at the end, the lesion that slows down grew faster before.
    host = make_host()
    plain, slowing = (series(host, law=law) for law in ("exponential", "gompertz"))
    for one, other in zip(plain.frames[:-1], slowing.frames[:-1], strict=True):
        assert other.stages[0].field_mm3 < one.stages[0].field_mm3


@pytest.mark.parametrize("spacing_mm", GRIDS)
def test_sizes_are_those_asked_for_and_their_days_follow_from_their_volumes(
    make_host: MakeHost, spacing_mm: tuple[float, float, float]
) -> None:
    host = make_host(spacing_mm=spacing_mm)
    schedule = parse_schedule("10, 15, 20, 30 mm")
    timeline = series(host, LesionSpec(organ="liver", diameter_mm=(30, 30)), schedule, seed=2)
    days = [frame.day for frame in timeline.frames]
    assert days == sorted(days)
    assert days[0] == 0.0
    for frame, size in zip(timeline.frames, schedule.at_mm, strict=True):
        measured = longest_axial_diameter_mm(mask(frame), host[0].grid)
        # One voxel more where thick slices make the mask leap.
        voxel = max(host[0].grid.spacing_mm[:2])
        assert abs(measured - size) <= size_tolerance_mm(size, host[0]) + 0.5 * voxel
        assert timeline.law.volume_mm3(frame.day) == pytest.approx(frame.stages[0].field_mm3)
    assert_nested(timeline)


def test_sizes_that_look_alike_on_the_scan_are_refused(make_host: MakeHost) -> None:
    host = make_host(spacing_mm=(4.0, 4.0, 4.0))
    spec = LesionSpec(organ="liver", diameter_mm=(24, 24))
    with pytest.raises(PlacementError, match=r"case: 11 and 11\.1 mm look alike on this scan"):
        series(host, spec, parse_schedule("11, 11.1, 24 mm"))


def test_a_size_that_there_was_no_room_for_is_refused(make_host: MakeHost) -> None:
    host = make_host(semi_axes_mm=(11.0, 40.0, 11.0))
    spec = LesionSpec(organ="liver", diameter_mm=(70, 70), at_mm=(0.0, 30.0, 0.0), kind="cyst")
    blocked = Mask(np.zeros(host[0].grid.shape, bool), host[0].grid, "liver_lesion")
    blocked.array[:, : blocked.array.shape[1] // 2] = True
    with pytest.raises(PlacementError, match="there is room for"):
        series(
            (host[0], {**host[1], "liver_lesion": blocked}), spec, parse_schedule("10, 60, 70 mm")
        )


def test_sizes_have_to_end_with_the_diameter_of_the_lesion(make_host: MakeHost) -> None:
    with pytest.raises(ConfigError, match="at_mm: 50 mm is above the final diameter of 40 mm"):
        series(make_host(), LARGE, Schedule(at_mm=(10.0, 50.0)))


# --- what a scan holds ---------------------------------------------------------------------


def test_a_stage_below_what_the_scan_shows_is_the_host_and_an_empty_mask(
    make_host: MakeHost,
) -> None:
    host = make_host(spacing_mm=(2.5, 2.5, 2.5))
    spec = LesionSpec(organ="liver", diameter_mm=(12, 12))
    timeline = series(host, spec, parse_schedule("0-48 months every 6"))
    first = timeline.frames[0]
    assert first.lesion is None
    assert first.lesions == ()
    assert first.volume.stored.tobytes() == host[0].stored.tobytes()
    assert not mask(first).any()
    assert first.stages[0].law_mm3 > 0.0
    seen = [frame.lesion is not None for frame in timeline.frames]
    assert seen == sorted(seen)  # once seen it stays
    assert seen[-1]


def test_there_is_no_label_without_a_change_and_no_change_far_from_the_lesion(
    make_host: MakeHost,
) -> None:
    host = make_host()
    timeline = series(host, LesionSpec(organ="liver", diameter_mm=(15, 15)), EACH)
    centre = host[0].grid.to_voxel([timeline.recipe.centre_mm])[0]
    for frame in timeline.frames:
        assert frame.lesion is not None
        assert frame.lesion.measures.least_change_hu >= 2.0
        changed = frame.volume.stored != host[0].stored
        apart = np.linalg.norm(np.argwhere(changed) - centre, axis=1)
        assert apart.max() < 45.0  # voxels of 1 mm: tissue is pushed aside, but not far


def test_the_host_is_not_changed(make_host: MakeHost) -> None:
    volume, masks = make_host()
    before = volume.stored.tobytes()
    kept = masks["liver"].array.copy()
    timeline = series((volume, masks))
    _ = [frame.volume for frame in timeline.frames]
    assert volume.stored.tobytes() == before
    assert (masks["liver"].array == kept).all()


def test_a_series_of_any_length_needs_one_more_volume_in_memory(make_host: MakeHost) -> None:
    volume, masks = make_host()
    wide = [(100, 100), (100, 100), (100, 100)]  # a small organ in a large scan
    affine = volume.grid.affine.copy()
    affine[:3, 3] -= 100.0
    stored = np.asfortranarray(np.pad(volume.stored, wide))
    grid = Grid(stored.shape, affine)
    host = Volume(stored, grid, metadata=volume.metadata)
    box = crop_mask(Mask(np.pad(masks["liver"].array, wide), grid, "liver"))
    assert box is not None
    spec = LesionSpec(organ="liver", diameter_mm=(15, 15))
    plan = plan_series(
        host, {"liver": box}, spec, EACH, case_id="case", seed=0, doubling_days=DOUBLING_DAYS
    )
    tracemalloc.start()
    try:
        for frame in plan.backwards():
            assert frame.volume.stored.nbytes == stored.nbytes
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.9 * stored.nbytes  # beside the host: one copy, and work on the lesion's box


def test_the_same_request_gives_the_same_series_and_another_seed_another(
    make_host: MakeHost,
) -> None:
    host = make_host()
    first, again, other = (series(host, seed=seed, doubling_days=None) for seed in (5, 5, 6))
    for one, two in zip(first.frames, again.frames, strict=True):
        assert one.volume.stored.tobytes() == two.volume.stored.tobytes()
        assert one.stages[0].edge == two.stages[0].edge
    assert first.law == again.law
    assert first.law.doubling_days != other.law.doubling_days


def test_another_schedule_or_law_does_not_change_the_lesion(make_host: MakeHost) -> None:
    host = make_host()
    first = series(host, schedule=parse_schedule("0, 100, 200 d"), doubling_days=None)
    other = series(host, schedule=parse_schedule("0-600 d every 200"), doubling_days=None)
    assert first.recipe == other.recipe
    assert first.law.doubling_days == other.law.doubling_days
    # 100 days before the end it was the same in both.
    fine = series(host, schedule=parse_schedule("0-600 d every 100"), doubling_days=None)
    assert fine.frames[-2].volume.stored.tobytes() == first.frames[-2].volume.stored.tobytes()


def test_a_doubling_time_that_is_not_given_is_one_of_the_kind(make_host: MakeHost) -> None:
    host = make_host()
    for kind in organ("liver").kind_names:
        spec = LesionSpec(organ="liver", kind=kind, diameter_mm=(20, 20))
        drawn = series(host, spec, parse_schedule("0, 30 d"), doubling_days=None).law
        times = organ("liver").kind(kind).doubling_time
        assert times.low_days <= drawn.doubling_days <= times.high_days


def test_ground_glass_grows_as_slowly_as_its_facts_say_not_as_a_solid_nodule() -> None:
    volume, masks = lung_host()
    kind = organ("lung").kind("adenocarcinoma")
    days = {}
    for form in ("solid", "ground_glass"):
        spec = LesionSpec(organ="lung", kind=kind.name, form=form, diameter_mm=(18, 18))
        made = grow_series(volume, masks, spec, parse_schedule("0, 200 d"), case_id="slow", seed=0)
        usual = kind.doubling_time_of(form)
        days[form] = made.law.doubling_days
        assert usual.low_days <= days[form] <= usual.high_days
    assert days["ground_glass"] > 1.5 * days["solid"]


@pytest.mark.parametrize(
    ("schedule", "names"),
    [
        ("0, 90, 1000 d", ["day_0000", "day_0090", "day_1000"]),
        ("0, 1 month, 1 year", ["day_0000", "day_0030", "day_0365"]),
        ("0, 0.5, 1 d", ["day_0000.0", "day_0000.5", "day_0001.0"]),
    ],
)
def test_days_name_scans_in_order(make_host: MakeHost, schedule: str, names: list[str]) -> None:
    timeline = series(make_host(), schedule=parse_schedule(schedule))
    assert [frame.name for frame in timeline.frames] == names == sorted(names)


def test_one_scan_is_a_series_too(make_host: MakeHost) -> None:
    host = make_host()
    timeline = series(host, schedule=parse_schedule("0 d"))
    assert len(timeline.frames) == 1
    assert_ends_with_the_synthesis(timeline, host, LARGE, 0)


def test_a_mask_of_another_grid_is_refused(make_host: MakeHost) -> None:
    volume, _ = make_host()
    _, others = make_host(spacing_mm=(2.0, 2.0, 2.0))
    with pytest.raises(GeometryError):
        series((volume, others))


@pytest.mark.parametrize(
    ("how", "field"), [({"law": "linear"}, "law"), ({"doubling_days": -5.0}, "doubling_days")]
)
def test_an_impossible_law_is_refused(
    make_host: MakeHost, how: dict[str, object], field: str
) -> None:
    with pytest.raises(ConfigError, match=rf"^{field}: "):
        series(make_host(), **how)


# --- other hosts ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def phantom() -> Host:
    made = generate_phantom(sample_spec(11, preset="small", phase="portal_venous"))
    return made.volume, dict(made.structures)


@pytest.mark.parametrize(
    "spec",
    [
        LesionSpec(organ="liver", kind="hcc", diameter_mm=(40, 40)),
        LesionSpec(organ="liver", kind="metastasis", diameter_mm=(30, 30), satellites=True),
        LesionSpec(organ="kidney", diameter_mm=(35, 35), exophytic=True),
        LesionSpec(organ="pancreas", kind="pdac", site="head", diameter_mm=(22, 22), duct=True),
        LesionSpec(organ="stomach", diameter_mm=(35, 35)),
        LesionSpec(organ="lung", diameter_mm=(25, 25)),
        LesionSpec(organ="bone", diameter_mm=(25, 25)),
    ],
    ids=lambda spec: spec.organ,
)
def test_the_bars_hold_in_every_family_with_all_effects(phantom: Host, spec: LesionSpec) -> None:
    timeline = series(phantom, spec, EACH, seed=1)
    assert_nested(timeline, organ(spec.organ).lesion)
    assert_volumes_double(timeline, steps=1)
    assert_ends_with_the_synthesis(timeline, phantom, spec, 1)


def test_satellites_appear_after_the_lesion_and_stay(phantom: Host) -> None:
    spec = LesionSpec(organ="liver", kind="metastasis", diameter_mm=(30, 30), satellites=True)
    timeline = series(phantom, spec, seed=1)
    counts = [len(frame.lesions) for frame in timeline.frames]
    assert counts == sorted(counts)
    assert counts[0] == 1 < counts[-1]
    assert all(frame.lesion is not None for frame in timeline.frames)
    for frame in timeline.frames:
        assert set(np.unique(frame.synthesis.labels)) == set(range(counts[-1] + 1)) - {
            number for number, stage in enumerate(frame.stages, start=1) if stage.lesion is None
        }


@pytest.mark.real
@pytest.mark.parametrize(
    ("case", "names", "site", "diameter"),
    [
        ("crlm1004", ("liver",), "liver", 45),  # 0.8 x 0.8 x 5 mm
        ("crlm1004", ("kidney_left", "kidney_right"), "kidney", 35),
        ("ts_example_3mm", ("liver",), "liver", 60),
        ("ts_example_3mm", ("pancreas",), "pancreas", 20),
    ],
)
def test_the_bars_hold_in_real_ct(
    shared_data: Path, case: str, names: tuple[str, ...], site: str, diameter: float
) -> None:
    host = read_real_host(shared_data, case, names)
    spec = LesionSpec(organ=site, diameter_mm=(diameter, diameter))
    timeline = series(host, spec, EACH)
    assert_nested(timeline, organ(site).lesion)
    assert_volumes_double(timeline, steps=1)
    assert_ends_with_the_synthesis(timeline, host, spec, 0)


def test_rescaled_numbers_make_no_difference_to_the_growth(make_host: MakeHost) -> None:
    volume, masks = make_host()
    stored = np.asfortranarray((volume.stored + 1024) * 2).astype(np.int16)
    halves = Volume(stored, volume.grid, slope=0.5, intercept=-1024.0, metadata=volume.metadata)
    timeline = series((halves, masks))
    assert_nested(timeline)
    assert_volumes_double(timeline)
    assert_ends_with_the_synthesis(timeline, (halves, masks), LARGE, 0)
