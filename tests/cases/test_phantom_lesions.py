"""The phantom's lesions: size, place, masks and HU, on an ellipsoid patient."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import cc3d
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scalemai.anatomy import PHASES
from scalemai.cases.phantom import LesionDraw, write_phantom_case
from scalemai.cases.phantom.lesion_shapes import SHAPES
from scalemai.cases.phantom.lesion_textures import PATTERNS
from scalemai.cases.phantom.lesions import (
    PhantomLesion,
    PlacedLesion,
    add_lesions,
    sample_lesion,
)
from scalemai.cases.phantom.scanner import acquire
from scalemai.errors import (
    ConfigError,
    MissingStructureError,
    PlacementError,
    UnknownNameError,
)
from scalemai.geometry import Grid
from scalemai.measure import longest_axial_diameter_mm

LIVER_HU, KIDNEY_HU, FAT_HU = 110.0, 180.0, -105.0
CENTRE = (30.0, 0.0, 0.0)


@dataclass(frozen=True, eq=False)
class Patient:
    """Liver, kidney, a thin pancreas and a portal vein in fat."""

    ideal_hu: NDArray[np.float32]
    structures: dict[str, NDArray[np.bool_]]
    grid: Grid


def patient(
    spacing_mm: tuple[float, float, float] = (1.5, 1.5, 2.5), codes: str = "LPS"
) -> Patient:
    axis_of = {"L": (0, -1), "R": (0, 1), "P": (1, -1), "A": (1, 1), "I": (2, -1), "S": (2, 1)}
    extent = (240.0, 180.0, 150.0)
    affine = np.zeros((4, 4))
    affine[3, 3] = 1.0
    shape = [0, 0, 0]
    for array_axis, code in enumerate(codes):
        world, sign = axis_of[code]
        affine[world, array_axis] = sign * spacing_mm[array_axis]
        shape[array_axis] = round(extent[world] / spacing_mm[array_axis])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    grid = Grid((shape[0], shape[1], shape[2]), affine)
    x, y, z = np.moveaxis(grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1)), -1, 0)
    masks = {
        "liver": ((x - 40) / 62) ** 2 + (y / 58) ** 2 + (z / 58) ** 2 < 1,
        "kidney_left": ((x + 75) / 26) ** 2 + ((y + 30) / 24) ** 2 + (z / 50) ** 2 < 1,
        "pancreas": ((x + 60) / 40) ** 2 + ((y - 40) / 6) ** 2 + (z / 12) ** 2 < 1,
    }
    masks["veins"] = (np.hypot(x - 75, y) < 7) & masks["liver"]
    masks["hepatic_vessel"] = (np.hypot(y - 15, z) < 1.6) & masks["liver"]
    hu = np.full(grid.shape, FAT_HU, np.float32)
    for name, value in (("liver", LIVER_HU), ("kidney_left", KIDNEY_HU), ("pancreas", 98.0)):
        hu[masks[name]] = value
    hu[masks["veins"] | masks["hepatic_vessel"]] = 165.0
    return Patient(hu, masks, grid)


@pytest.fixture(scope="module")
def abdomen() -> Patient:
    return patient()


def one(
    where: Patient, lesion: PhantomLesion, seed: int = 0
) -> tuple[Patient, PlacedLesion, NDArray[np.bool_]]:
    after, (placed,) = add_lesions(where, [lesion], np.random.default_rng(seed))
    return after, placed, after.structures[placed.structure]


def solid(diameter_mm: float = 20.0, **changes: object) -> PhantomLesion:
    lesion = PhantomLesion("liver", "hypo", diameter_mm, -40.0)
    return replace(lesion, **changes)


@pytest.mark.parametrize("shape", sorted(SHAPES))
@pytest.mark.parametrize("diameter_mm", [4.0, 11.0, 27.0, 50.0])
def test_a_lesion_has_the_diameter_that_was_asked_for(
    abdomen: Patient, shape: str, diameter_mm: float
) -> None:
    _, placed, mask = one(abdomen, solid(diameter_mm, shape=shape))
    assert abs(placed.longest_axial_diameter_mm - diameter_mm) <= max(0.05 * diameter_mm, 1.5)
    assert longest_axial_diameter_mm(mask, abdomen.grid) == placed.longest_axial_diameter_mm
    volume = np.count_nonzero(mask) * abdomen.grid.voxel_volume_mm3
    assert placed.volume_mm3 == pytest.approx(volume)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    organ=st.sampled_from(["liver", "kidney_left", "pancreas"]),
    diameter_mm=st.floats(3.0, 22.0),
    phase=st.sampled_from(PHASES),
)
def test_any_sampled_lesion_lies_in_its_organ_and_off_large_vessels(
    abdomen: Patient, seed: int, organ: str, diameter_mm: float, phase: str
) -> None:
    rng = np.random.default_rng(seed)
    lesion = sample_lesion(organ, diameter_mm, phase, rng)
    after, (placed,) = add_lesions(abdomen, [lesion], rng)
    mask = after.structures[placed.structure]
    assert mask.any()
    assert not (mask & ~after.structures[organ]).any()
    assert not (mask & abdomen.structures["veins"]).any()
    others = {"liver", "kidney_left", "pancreas"} - {organ}
    assert not any((mask & abdomen.structures[name]).any() for name in others)
    inside = np.count_nonzero(mask & abdomen.structures[organ])
    # At most 60 % of the shape may bulge out; of a few voxels one more or less is the grid's.
    assert inside >= max(1.0, 0.35 * np.count_nonzero(mask) - 1.0)
    assert cc3d.connected_components(mask, connectivity=26).max() == 1
    error = abs(placed.longest_axial_diameter_mm - diameter_mm)
    assert error <= max(0.05 * diameter_mm, 1.5) + 1e-6


def test_image_and_mask_agree(abdomen: Patient) -> None:
    after, placed, mask = one(abdomen, solid(30.0, shape="lobulated"))
    change = after.ideal_hu - abdomen.ideal_hu
    vessel = abdomen.structures["hepatic_vessel"]
    assert np.median(change[mask & ~vessel]) == pytest.approx(-40.0, abs=4)
    # Half-covered voxels divide the two: all that changed by more than half is lesion.
    assert not ((change < -24) & ~mask & ~vessel).any()
    assert not ((change > -14) & mask & ~vessel).any()
    assert placed.parenchyma_hu == LIVER_HU
    assert placed.mean_hu == pytest.approx(float(after.ideal_hu[mask].mean()), abs=0.01)


def test_voxels_away_from_the_lesion_are_untouched(abdomen: Patient) -> None:
    before = abdomen.ideal_hu.tobytes()
    after, placed, mask = one(abdomen, solid(30.0))
    outside = np.ones(mask.shape, bool)
    outside[placed.region] = False
    np.testing.assert_array_equal(after.ideal_hu[outside], abdomen.ideal_hu[outside])
    assert not mask[outside].any()
    assert abdomen.ideal_hu.tobytes() == before
    assert "liver_lesion" not in abdomen.structures


def test_the_recorded_centre_is_that_of_the_mask(abdomen: Patient) -> None:
    _, placed, mask = one(abdomen, solid(16.0, centre_mm=CENTRE))
    expected = abdomen.grid.to_world(np.argwhere(mask)).mean(axis=0)
    np.testing.assert_allclose(placed.centre_mm, expected, atol=1e-6)
    np.testing.assert_allclose(placed.centre_mm, CENTRE, atol=3.0)
    _, free, _ = one(abdomen, solid(16.0))
    assert free.lesion.centre_mm is not None
    again, placed_again, _ = one(abdomen, replace(solid(16.0), centre_mm=free.lesion.centre_mm))
    assert placed_again.volume_mm3 == free.volume_mm3
    assert again.structures["liver_lesion"].any()


def test_the_same_seed_gives_the_same_bytes(abdomen: Patient) -> None:
    lesions = [
        sample_lesion("liver", d, "portal_venous", np.random.default_rng(4)) for d in (9, 20, 33)
    ]
    first, placed = add_lesions(abdomen, lesions, np.random.default_rng(11))
    second, placed_again = add_lesions(abdomen, lesions, np.random.default_rng(11))
    other, _ = add_lesions(abdomen, lesions, np.random.default_rng(12))
    assert first.ideal_hu.tobytes() == second.ideal_hu.tobytes()
    assert placed == placed_again
    assert first.ideal_hu.tobytes() != other.ideal_hu.tobytes()


def test_lesions_keep_apart_and_come_back_in_the_order_asked(abdomen: Patient) -> None:
    lesions = [solid(d) for d in (8.0, 24.0, 12.0, 30.0, 10.0)]
    after, placed = add_lesions(abdomen, lesions, np.random.default_rng(2))
    assert [p.lesion.diameter_mm for p in placed] == [8.0, 24.0, 12.0, 30.0, 10.0]
    pieces = cc3d.connected_components(after.structures["liver_lesion"], connectivity=26)
    assert pieces.max() == 5
    total = np.count_nonzero(pieces) * abdomen.grid.voxel_volume_mm3
    assert sum(p.volume_mm3 for p in placed) == pytest.approx(total)


def test_lesions_that_are_there_already_are_kept_off(abdomen: Patient) -> None:
    first, _, old = one(abdomen, solid(40.0, centre_mm=CENTRE))
    for seed in range(3):
        second, _, both = one(first, solid(20.0), seed=seed)
        np.testing.assert_array_equal(both & old, old)
        assert cc3d.connected_components(both, connectivity=26).max() == 2
        np.testing.assert_array_equal(second.ideal_hu[old], first.ideal_hu[old])


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_every_pattern_stays_within_its_tissues(abdomen: Patient, pattern: str) -> None:
    lesion = solid(40.0, pattern=pattern, rim_hu=40.0, filling_hu=10.0, centre_mm=CENTRE)
    after, _, mask = one(abdomen, lesion)
    core = after.ideal_hu[mask & (np.abs(after.ideal_hu - abdomen.ideal_hu) > 0)]
    assert core.min() > 10 - 26
    assert core.max() < LIVER_HU + 40 + 26
    assert core.max() > 20
    if pattern not in ("homogeneous", "fluid"):
        assert core.std() > 4


def test_patterns_differ_from_draw_to_draw(abdomen: Patient) -> None:
    lesion = solid(40.0, pattern="septated", rim_hu=0.0, filling_hu=10.0, centre_mm=CENTRE)
    first, _, _ = one(abdomen, lesion, seed=1)
    second, _, _ = one(abdomen, lesion, seed=2)
    x, y, z = (round(float(v)) for v in abdomen.grid.to_voxel(CENTRE))
    middle = np.s_[x - 6 : x + 6, y - 6 : y + 6, z - 3 : z + 3]
    assert np.corrcoef(first.ideal_hu[middle].ravel(), second.ideal_hu[middle].ravel())[0, 1] < 0.9


def test_calcium_shows(abdomen: Patient) -> None:
    after, _, mask = one(abdomen, solid(30.0, calcified=True))
    assert after.ideal_hu[mask].max() > 150


@pytest.mark.parametrize(
    ("spacing_mm", "codes"),
    [((1.0, 1.0, 1.0), "RAS"), ((3.0, 3.0, 3.0), "LPS"), ((5.0, 0.9, 0.9), "SPL")],
)
def test_the_grid_does_not_change_the_lesion(
    spacing_mm: tuple[float, float, float], codes: str
) -> None:
    lesion = solid(30.0, shape="lobulated", pattern="necrotic", filling_hu=20.0, centre_mm=CENTRE)
    reference_after, reference, reference_mask = one(patient((1.5, 1.5, 1.5)), lesion)
    after, placed, mask = one(patient(spacing_mm, codes), lesion)
    assert placed.volume_mm3 == pytest.approx(reference.volume_mm3, rel=0.08)
    np.testing.assert_allclose(placed.centre_mm, reference.centre_mm, atol=0.7)
    for level in (10, 50, 90):
        assert np.percentile(after.ideal_hu[mask], level) == pytest.approx(
            np.percentile(reference_after.ideal_hu[reference_mask], level), abs=8
        )


def test_thick_slices_show_partial_volume() -> None:
    where = patient((1.0, 1.0, 6.0))
    after, _, _ = one(where, solid(14.0, shape="ovoid", contrast_hu=-80.0, centre_mm=CENTRE))
    x, y, z = (round(float(v)) for v in where.grid.to_voxel(CENTRE))
    column = after.ideal_hu[x, y, z - 3 : z + 4]
    assert ((column > LIVER_HU - 70) & (column < LIVER_HU - 10)).any()


def test_a_bulging_lesion_belongs_to_its_organ(abdomen: Patient) -> None:
    lesion = PhantomLesion("kidney_left", "hypo", 26.0, -100.0, exophytic=True)
    after, placed, mask = one(abdomen, lesion)
    assert placed.structure == "kidney_lesion"
    grown = after.structures["kidney_left"] & ~abdomen.structures["kidney_left"]
    assert grown.any()
    assert not (grown & ~mask).any()
    assert (abdomen.ideal_hu[grown] == FAT_HU).all()


def test_a_small_vessel_that_a_lesion_covers_is_gone_from_its_mask(abdomen: Patient) -> None:
    after, _, mask = one(abdomen, solid(30.0, centre_mm=(10.0, 15.0, 0.0)))
    before = abdomen.structures["hepatic_vessel"]
    assert (before & mask).any()
    np.testing.assert_array_equal(after.structures["hepatic_vessel"], before & ~mask)
    np.testing.assert_array_equal(after.structures["veins"], abdomen.structures["veins"])


def test_parts_and_wholes_of_an_organ_grow_with_a_bulge(abdomen: Patient) -> None:
    x = abdomen.grid.to_world(np.moveaxis(np.indices(abdomen.grid.shape), 0, -1))[..., 0]
    pancreas = abdomen.structures["pancreas"]
    parts = {"pancreas_head": pancreas & (x > -60), "pancreas_tail": pancreas & (x <= -60)}
    split = replace(abdomen, structures={**abdomen.structures, **parts})
    for organ in ("pancreas", "pancreas_tail"):
        lesion = PhantomLesion(organ, "hypo", 14.0, -40.0, exophytic=True)
        after, placed, _ = one(split, lesion)
        assert placed.structure == "pancreatic_lesion"
        grown = after.structures["pancreas"]
        assert (grown & ~pancreas).any()
        both = after.structures["pancreas_head"] | after.structures["pancreas_tail"]
        np.testing.assert_array_equal(both, grown)


def test_a_lesion_in_the_wall_of_the_colon_replaces_gas(abdomen: Patient) -> None:
    world = abdomen.grid.to_world(np.moveaxis(np.indices(abdomen.grid.shape), 0, -1))
    x, z = world[..., 0], world[..., 2]
    tube, lumen = (np.hypot(x + 60, z - 20) < r for r in (18, 14))
    hu = abdomen.ideal_hu.copy()
    hu[tube] = 45.0
    hu[lumen] = -950.0
    where = replace(abdomen, ideal_hu=hu, structures={"colon": tube})
    lesion = sample_lesion("colon", 16.0, "portal_venous", np.random.default_rng(0))
    after, placed, mask = one(where, lesion)
    assert placed.structure == "colon_lesion"
    assert not (mask & ~tube).any()
    assert placed.parenchyma_hu == pytest.approx(45.0)
    assert 20 < np.median(after.ideal_hu[mask]) < 120


def test_a_nodule_in_the_lung_is_soft_tissue(abdomen: Patient) -> None:
    hu = abdomen.ideal_hu.copy()
    hu[abdomen.structures["liver"]] = -860.0
    where = replace(abdomen, ideal_hu=hu, structures={"lung_right": abdomen.structures["liver"]})
    lesion = sample_lesion("lung_right", 15.0, "non_contrast", np.random.default_rng(0))
    after, placed, mask = one(where, lesion)
    assert placed.structure == "lung_lesion"
    assert -20 < np.median(after.ideal_hu[mask]) < 90


def test_a_lesion_larger_than_its_organ_is_refused(abdomen: Patient) -> None:
    for lesion in (
        PhantomLesion("pancreas", "hypo", 60.0, -40.0),
        solid(20.0, centre_mm=(-200.0, 0.0, 0.0)),
        solid(20.0, centre_mm=(75.0, 0.0, 0.0)),  # in the portal vein
    ):
        with pytest.raises(PlacementError, match=f"{lesion.organ}: no room"):
            one(abdomen, lesion)


def test_an_organ_that_is_full_takes_no_more(abdomen: Patient) -> None:
    pancreas = PhantomLesion("pancreas", "hypo", 15.0, -40.0)
    with pytest.raises(PlacementError, match="fewer lesions"):
        add_lesions(abdomen, [pancreas] * 20, np.random.default_rng(0))


@pytest.mark.parametrize("thickness", [1, 2, 3])
def test_organs_a_voxel_thin_give_a_lesion_or_a_clear_refusal(
    abdomen: Patient, thickness: int
) -> None:
    sheet = np.zeros(abdomen.grid.shape, bool)
    sheet[40:80, 60 : 60 + thickness, 20:40] = True
    where = replace(abdomen, structures={"adrenal_gland_left": sheet})
    for diameter_mm in (3.0, 8.0):
        lesion = PhantomLesion("adrenal_gland_left", "hypo", diameter_mm, -30.0)
        with contextlib.suppress(PlacementError):
            after, placed, mask = one(where, lesion)
            assert placed.structure == "adrenal_lesion"
            assert mask.any()
            assert not (mask & ~after.structures["adrenal_gland_left"]).any()
    with pytest.raises(PlacementError, match="adrenal_gland_left: no room"):
        one(where, PhantomLesion("adrenal_gland_left", "hypo", 100.0, -30.0))


def test_an_organ_that_is_not_there_is_named(abdomen: Patient) -> None:
    with pytest.raises(MissingStructureError, match="the phantom has no spleen"):
        one(abdomen, PhantomLesion("spleen", "hypo", 10.0, -40.0))
    empty = {"liver": np.zeros(abdomen.grid.shape, bool)}
    with pytest.raises(MissingStructureError, match="the phantom has no liver"):
        one(replace(abdomen, structures=empty), solid())


def test_no_lesions_leave_the_patient_as_it_is(abdomen: Patient) -> None:
    after, placed = add_lesions(abdomen, [], np.random.default_rng(0))
    assert after is abdomen
    assert placed == ()


def test_wrong_requests_are_named() -> None:
    with pytest.raises(ConfigError, match=r"diameter_mm is 0\.5; give 2 to 150"):
        solid(0.5)
    with pytest.raises(ConfigError, match="contrast_hu is nan"):
        solid(contrast_hu=float("nan"))
    with pytest.raises(UnknownNameError, match="did you mean 'lobulated'"):
        solid(shape="lobular")
    with pytest.raises(UnknownNameError, match="unknown structure"):
        sample_lesion("lver", 10.0, "arterial", np.random.default_rng(0))
    with pytest.raises(UnknownNameError, match="phase"):
        sample_lesion("liver", 10.0, "nocturnal", np.random.default_rng(0))


def test_a_scanned_lesion_keeps_its_contrast_and_gets_the_noise_of_its_organ() -> None:
    where = patient((1.0, 1.0, 2.5))
    lesion = solid(50.0, shape="ovoid", centre_mm=CENTRE)
    after, _, mask = one(where, lesion)

    @dataclass(frozen=True)
    class Settings:
        dose: float = 0.1
        kernel: str = "soft"

    ct = acquire(after.ideal_hu, after.grid, Settings(), np.random.default_rng(0))
    x, y, z = (round(float(v)) for v in where.grid.to_voxel(CENTRE))
    core = ct[x - 12 : x + 12, y - 12 : y + 12, z - 5 : z + 5]
    liver = ct[where.structures["liver"] & ~mask]
    assert np.median(core) - np.median(liver) == pytest.approx(-40.0, abs=2.5)
    ideal = after.ideal_hu[x - 12 : x + 12, y - 12 : y + 12, z - 5 : z + 5]
    assert (core - ideal).std() > 5


def test_drawn_lesions_differ_between_phantoms_and_give_way_where_there_is_no_room(
    tmp_path: Path,
) -> None:
    draw = LesionDraw(("pancreas", "kidney_left"), (6.0, 30.0), (1, 2))
    folders = [
        write_phantom_case(tmp_path, index, 5, lesions=draw, preset="small") for index in (0, 1)
    ]
    facts = [json.loads((folder / "metadata.json").read_text())["lesions"] for folder in folders]
    assert all(1 <= len(some) <= 2 for some in facts)
    assert facts[0] != facts[1]
    sizes = [one["lesion"]["diameter_mm"] for some in facts for one in some]
    assert all(6.0 <= size <= 30.0 for size in sizes)
    again = write_phantom_case(tmp_path / "again", 0, 5, lesions=draw, preset="small")
    assert (again / "ct.nii.gz").read_bytes() == (folders[0] / "ct.nii.gz").read_bytes()
    # A lesion of 150 mm fits no pancreas; one that can be drawn smaller is.
    never = LesionDraw(("pancreas",), (150.0, 150.0), (1, 1))
    with pytest.raises(PlacementError):
        write_phantom_case(tmp_path / "never", 0, 5, lesions=never, preset="small")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"organs": ()}, "no organ is named"),
        ({"diameter_mm": (20.0, 10.0)}, "no range of diameters"),
        ({"count": (2, 1)}, "no range of numbers"),
    ],
)
def test_impossible_draws_name_the_field(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LesionDraw(**{"organs": ("liver",), **change})
