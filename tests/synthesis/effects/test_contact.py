"""Contact angles against cylinders in shells of known angle, on any grid and in any direction."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from scalemai.geometry import Grid
from scalemai.measure import bounding_box
from scalemai.synthesis.effects.contact import contact_places, vessel_contacts
from scalemai.synthesis.growth.tissue import StructureBox, crop_mask
from scalemai.volume import Mask

Shape = tuple[int, int, int]


def boxed(array: NDArray[np.bool_], name: str) -> StructureBox:
    region = bounding_box(array)
    assert region is not None
    return StructureBox(name, region, array[region].copy())


def grid_of(spacing: tuple[float, float, float], half_mm: float, shift_mm: float = 0.0) -> Grid:
    shape = [int(2 * half_mm / s) for s in spacing]
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -(np.array(shape) - 1) / 2 * spacing + shift_mm
    return Grid((shape[0], shape[1], shape[2]), affine)


def shell(
    grid: Grid,
    radius_mm: float,
    angle_deg: float,
    turn: Rotation,
    *,
    gap_mm: float = 0.0,
    half_length_mm: float = 14.0,
) -> tuple[StructureBox, StructureBox]:
    """A cylinder through the origin, and a 5 mm thick shell round an arc of it."""
    world = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1)) @ turn.as_matrix()
    out = np.hypot(world[..., 0], world[..., 1])
    off = np.abs(np.degrees(np.arctan2(world[..., 1], world[..., 0])))
    tumor = (out > radius_mm + gap_mm) & (out <= radius_mm + 5.0) & (off <= angle_deg / 2)
    tumor &= np.abs(world[..., 2]) < half_length_mm
    return boxed(out <= radius_mm, "aorta"), boxed(tumor, "liver_lesion")


@pytest.mark.parametrize("angle", [40, 90, 150, 180, 240, 300, 360])
@pytest.mark.parametrize("radius", [3.0, 6.0])
def test_the_angle_of_a_shell_is_measured_within_15_degrees_at_1_mm(
    angle: float, radius: float
) -> None:
    grid = grid_of((1.0, 1.0, 1.0), 30.0, shift_mm=0.3)
    for seed in range(3):
        vessel, lesion = shell(grid, radius, angle, Rotation.random(random_state=seed))
        (contact,) = vessel_contacts(lesion, {"aorta": vessel}, grid)
        assert contact.angle_deg == pytest.approx(angle, abs=15.0)


def test_thick_slices_and_oblique_vessels_are_measured_alike() -> None:
    errors = []
    for spacing in ((0.7, 0.7, 2.5), (0.7, 2.5, 0.7)):
        grid = grid_of(spacing, 28.0)
        for angle in (90, 180, 270):
            for seed in range(3):
                vessel, lesion = shell(grid, 5.0, angle, Rotation.random(random_state=seed))
                (contact,) = vessel_contacts(lesion, {"aorta": vessel}, grid)
                errors.append(contact.angle_deg - angle)
    assert np.abs(errors).max() < 25.0
    assert abs(np.mean(errors)) < 8.0


def test_vessels_of_three_voxels_still_tell_a_half_from_a_whole_circle() -> None:
    grid = grid_of((1.0, 1.0, 1.0), 26.0, shift_mm=0.2)
    for seed in range(4):
        turn = Rotation.random(random_state=seed)
        for angle in (60, 90, 180, 360):
            vessel, lesion = shell(grid, 1.5, angle, turn)
            (contact,) = vessel_contacts(lesion, {"aorta": vessel}, grid)
            assert contact.angle_deg == pytest.approx(angle, abs=30.0)


def test_the_axes_of_the_array_do_not_matter() -> None:
    grid = grid_of((1.0, 1.0, 2.0), 26.0)
    turn = Rotation.from_euler("xyz", [35, 50, 10], degrees=True)
    vessel, lesion = shell(grid, 4.0, 200.0, turn)
    whole = {}
    for box in (vessel, lesion):
        array = np.zeros(grid.shape, np.bool_)
        array[box.region] = box.array
        whole[box.name] = array
    affine = grid.affine[:, [2, 0, 1, 3]].copy()
    affine[:3, 0] *= -1.0
    affine[:3, 3] += grid.affine[:3, 2] * (grid.shape[2] - 1)
    turned = {name: np.transpose(a, (2, 0, 1))[::-1] for name, a in whole.items()}
    other = Grid(turned["aorta"].shape, affine)
    (one,) = vessel_contacts(lesion, {"aorta": vessel}, grid)
    (two,) = vessel_contacts(
        boxed(turned["liver_lesion"], "liver_lesion"),
        {"aorta": boxed(turned["aorta"], "aorta")},
        other,
    )
    assert two.angle_deg == pytest.approx(one.angle_deg, abs=6.0)
    for contact in (one, two):
        local = turn.as_matrix().T @ np.array(contact.at_mm)
        assert np.hypot(local[0], local[1]) < 1.0


def test_half_the_circumference_divides_abutment_from_encasement() -> None:
    grid = grid_of((0.8, 0.8, 1.0), 26.0)
    relations = {}
    for angle in (120, 240):
        vessel, lesion = shell(grid, 5.0, angle, Rotation.identity())
        (contact,) = vessel_contacts(lesion, {"aorta": vessel}, grid)
        relations[angle] = contact.relation
    assert relations == {120: "abutment", 240: "encasement"}


def test_the_length_and_the_place_of_contact_are_those_of_the_shell() -> None:
    grid = grid_of((1.0, 1.0, 1.5), 32.0)
    turn = Rotation.from_euler("x", 40, degrees=True)
    vessel, lesion = shell(grid, 4.0, 150.0, turn, half_length_mm=10.0)
    (contact,) = vessel_contacts(lesion, {"aorta": vessel}, grid)
    assert contact.length_mm == pytest.approx(20.0, abs=2.0)
    local = turn.as_matrix().T @ np.array(contact.at_mm)
    assert np.hypot(local[0], local[1]) < 0.8
    assert abs(local[2]) < 10.0


def test_a_plane_of_fat_between_them_is_no_contact() -> None:
    grid = grid_of((1.0, 1.0, 1.0), 26.0)
    vessel, lesion = shell(grid, 5.0, 180.0, Rotation.identity(), gap_mm=2.0)
    assert vessel_contacts(lesion, {"aorta": vessel}, grid) == ()


def test_of_two_vessels_the_one_touched_more_comes_first() -> None:
    grid = grid_of((1.0, 1.0, 1.0), 28.0)
    world = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))
    tubes = {
        name: np.hypot(world[..., 0] - x, world[..., 1]) <= 4.0
        for name, x in (("aorta", -9.0), ("postcava", 11.0))
    }
    ball = (np.linalg.norm(world, axis=-1) <= 9.0) & ~tubes["aorta"] & ~tubes["postcava"]
    vessels = {name: boxed(tube, name) for name, tube in tubes.items()}
    contacts = vessel_contacts(boxed(ball, "liver_lesion"), vessels, grid)
    assert [contact.structure for contact in contacts] == ["aorta", "postcava"]


def test_a_crumb_of_vessel_and_a_lesion_of_one_voxel_do_no_harm() -> None:
    grid = grid_of((1.0, 1.0, 1.0), 12.0)
    crumb, dot = np.zeros((2, *grid.shape), np.bool_)
    crumb[10:12, 10, 10] = True
    dot[12, 10, 10] = True
    assert vessel_contacts(boxed(dot, "x"), {"aorta": boxed(crumb, "aorta")}, grid) == ()
    crumb[8:12, 10:12, 10:12] = True
    (contact,) = vessel_contacts(boxed(dot, "x"), {"aorta": boxed(crumb, "aorta")}, grid)
    assert contact.relation == "abutment"


def tube_in_an_organ() -> tuple[Grid, StructureBox, StructureBox]:
    grid = grid_of((1.0, 1.0, 1.5), 40.0)
    world = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))
    tube = crop_mask(Mask(np.hypot(world[..., 0], world[..., 1]) <= 5.0, grid, "aorta"))
    organ = crop_mask(Mask(np.linalg.norm(world, axis=-1) <= 36.0, grid, "liver"))
    assert tube is not None
    assert organ is not None
    return grid, tube, organ


@pytest.mark.parametrize("angles", [(40.0, 80.0), (100.0, 140.0)])
def test_a_ball_seeded_for_an_angle_touches_about_that_angle(angles: tuple[float, float]) -> None:
    grid, tube, organ = tube_in_an_organ()
    world = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))
    array = np.zeros(grid.shape, np.bool_)
    array[tube.region] = tube.array
    places = contact_places(tube, organ, grid, 20.0, angles, np.random.default_rng(4))
    assert len(places) == 12
    hits = 0
    for place in places[:4]:
        ball = (np.linalg.norm(world - place, axis=-1) <= 10.0) & ~array
        (contact,) = vessel_contacts(boxed(ball, "x"), {"aorta": tube}, grid)
        hits += angles[0] - 25.0 <= contact.angle_deg <= angles[1] + 25.0
    assert hits >= 3


def test_more_contact_takes_a_nearer_seed_and_none_lies_in_the_vessel() -> None:
    grid, tube, organ = tube_in_an_organ()
    distance = []
    for angles in ((40.0, 60.0), (150.0, 180.0), (300.0, 360.0)):
        places = contact_places(tube, organ, grid, 20.0, angles, np.random.default_rng(1))
        away = np.array([np.hypot(x, y) for x, y, _ in places])
        assert (away > 5.0).all()
        distance.append(away[:4].mean())
    assert distance[0] > distance[1] > distance[2]


def test_wall_beyond_the_organ_counts_only_for_lesions_that_leave_it() -> None:
    grid, tube, _ = tube_in_an_organ()
    world = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))
    half = boxed((world[..., 0] > 5.5) & (np.linalg.norm(world, axis=-1) <= 36.0), "liver")
    away = boxed((world[..., 0] > 14.0) & (np.linalg.norm(world, axis=-1) <= 36.0), "liver")
    rng = np.random.default_rng(0)
    assert contact_places(tube, half, grid, 16.0, (60.0, 120.0), rng)
    assert contact_places(tube, away, grid, 30.0, (60.0, 120.0), rng) == []
    assert contact_places(tube, away, grid, 30.0, (60.0, 120.0), rng, beyond=True)


def test_the_same_stream_gives_the_same_places() -> None:
    grid, tube, organ = tube_in_an_organ()
    one, two = (
        contact_places(tube, organ, grid, 15.0, (90.0, 180.0), np.random.default_rng(9))
        for _ in range(2)
    )
    assert one == two
