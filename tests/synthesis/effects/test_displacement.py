"""Mass effect against the flow around a sphere, and that nothing folds, anywhere."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from scalemai.geometry import Grid
from scalemai.synthesis.effects.displacement import Displacement, push_aside, warp_point
from scalemai.synthesis.growth.tissue import StructureBox, crop_mask
from scalemai.volume import Mask, Volume


@dataclass(frozen=True)
class Ball:
    """A spherical lesion in a spherical organ within fat."""

    volume: Volume
    lesion: StructureBox
    from_centre_mm: NDArray[np.float64]

    @property
    def distance_mm(self) -> NDArray[np.float64]:
        return np.linalg.norm(self.from_centre_mm, axis=-1)

    @property
    def radius_mm(self) -> float:
        """Of the sphere that has as much volume as the voxels."""
        volume = np.count_nonzero(self.lesion.array) * self.volume.grid.voxel_volume_mm3
        return float((3 * volume / (4 * np.pi)) ** (1 / 3))


def ball(
    radius_mm: float,
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
    *,
    organ_radii: float = 2.2,
    half_mm: float | None = None,
    centre_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Ball:
    half = 3.2 * radius_mm + 8.0 if half_mm is None else half_mm
    shape = tuple(int(n) for n in np.ceil(2 * half / np.asarray(spacing_mm)))
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = -(np.asarray(shape) - 1) / 2 * spacing_mm
    grid = Grid((shape[0], shape[1], shape[2]), affine)
    offset = grid.to_world(np.moveaxis(np.indices(shape), 0, -1)) - centre_mm
    distance = np.linalg.norm(offset, axis=-1)
    stored = np.where(distance < organ_radii * radius_mm, 110, -100).astype(np.int16)
    lesion = crop_mask(Mask(distance <= radius_mm, grid, "liver_tumor"))
    assert lesion is not None
    return Ball(Volume(stored, grid), lesion, offset)


def in_mm(found: Displacement) -> NDArray[np.float64]:
    """Displacement vectors (i, j, k, 3) along the array axes."""
    vectors = np.moveaxis(found.offset, 0, -1) * np.asarray(found.grid.spacing_mm)
    return np.asarray(vectors, np.float64)


def jacobian(offset: NDArray[np.float32]) -> NDArray[np.float64]:
    """Determinants of x - offset by central differences."""
    rows = [np.stack(np.gradient(component.astype(float))) for component in offset]
    matrix = np.eye(3) - np.moveaxis(np.stack(rows), (0, 1), (-2, -1))
    return np.linalg.det(matrix)


def box_of(inside: NDArray[np.bool_], grid: Grid, name: str) -> StructureBox:
    box = crop_mask(Mask(inside, grid, name))
    assert box is not None
    return box


@pytest.mark.parametrize(
    ("radius_mm", "share", "spacing_mm"),
    [
        (12.0, 0.6, (1.0, 1.0, 1.0)),
        (20.0, 0.3, (1.0, 1.0, 1.0)),
        (20.0, 0.8, (1.0, 1.0, 1.0)),
        (20.0, 0.6, (0.8, 0.8, 2.5)),
        (24.0, 0.6, (3.0, 3.0, 3.0)),
    ],
)
def test_tissue_around_a_sphere_moves_as_the_exact_solution_says(
    radius_mm: float, share: float, spacing_mm: tuple[float, float, float]
) -> None:
    made = ball(radius_mm, spacing_mm)
    found = push_aside(made.volume, made.lesion, share)
    assert found is not None
    assert found.share == pytest.approx(share)
    distance = made.distance_mm[found.region]
    before = np.cbrt(np.maximum(distance**3 - share * made.radius_mm**3, 0.0))
    exact = ((distance - before) / np.maximum(distance, 1e-9))[..., None]
    exact = exact * made.from_centre_mm[found.region]
    error = np.linalg.norm(in_mm(found) - exact, axis=-1)
    largest = made.radius_mm * (1 - (1 - share) ** (1 / 3))
    shell = distance > made.radius_mm + max(spacing_mm)
    shell &= distance < 1.5 * made.radius_mm  # further out the fat is near, which gives way
    assert error[shell].max() < 0.05 * largest
    assert found.greatest_mm == pytest.approx(largest, rel=0.15)  # at the lesion's surface


def test_tissue_outside_the_lesion_keeps_its_volume() -> None:
    made = ball(20.0)
    found = push_aside(made.volume, made.lesion, 0.6)
    assert found is not None
    distance = made.distance_mm[found.region]
    ratio = jacobian(found.offset)
    organ = (distance > made.radius_mm) & (distance < 2.0 * made.radius_mm)
    assert abs(ratio[organ].mean() - 1.0) < 0.008
    assert np.quantile(np.abs(ratio[organ] - 1.0), 0.95) < 0.03
    inside = distance < made.radius_mm
    assert 1.0 - ratio[inside].mean() == pytest.approx(0.6, abs=0.05)


@settings(max_examples=25, deadline=None)
@given(
    radius_mm=st.floats(4.0, 18.0),
    share=st.floats(0.05, 1.0),
    spacing_mm=st.tuples(st.floats(0.8, 3.0), st.floats(0.8, 3.0), st.floats(0.8, 5.0)),
    towards=st.tuples(st.floats(-1.0, 1.0), st.floats(-1.0, 1.0), st.floats(-1.0, 1.0)),
    bone_at=st.floats(0.6, 2.5),
)
def test_nothing_folds_and_nothing_moves_at_the_border(
    radius_mm: float,
    share: float,
    spacing_mm: tuple[float, float, float],
    towards: tuple[float, float, float],
    bone_at: float,
) -> None:
    half = 2.5 * radius_mm + 6.0
    centre = tuple(float(t * half) for t in towards)
    try:
        made = ball(
            radius_mm, spacing_mm, half_mm=half, centre_mm=(centre[0], centre[1], centre[2])
        )
    except AssertionError:
        return  # the sphere holds no voxel
    wall = made.from_centre_mm[..., 0] > bone_at * radius_mm
    rigid = [box_of(wall, made.volume.grid, "rib_left_5")] if wall.any() else []
    found = push_aside(made.volume, made.lesion, share, rigid=rigid)
    if found is None:
        return
    assert 0.0 < found.share <= share
    assert found.least_jacobian > 0.0
    assert jacobian(found.offset).min() > 0.0
    for axis in (1, 2, 3):
        assert not np.moveaxis(found.offset, axis, 0)[[0, -1]].any()
    for span, size in zip(found.region, made.volume.grid.shape, strict=True):
        assert 0 <= span.start < span.stop <= size


@pytest.mark.parametrize("masked", [True, False])
def test_bone_stays_in_its_place(masked: bool) -> None:
    made = ball(15.0)
    x = made.from_centre_mm[..., 0]
    bone = (x > 20.0) & (x < 32.0)
    stored = np.where(bone, 700, made.volume.stored).astype(np.int16)
    volume = made.volume.with_stored(stored)
    rigid = [box_of(bone, volume.grid, "vertebrae_L1")] if masked else []
    found = push_aside(volume, made.lesion, 0.7, rigid=rigid)
    free = push_aside(made.volume, made.lesion, 0.7)
    assert found is not None
    assert free is not None
    here = bone[found.region]
    assert np.abs(found.offset[:, here]).max() < 0.1
    assert np.abs(free.offset[:, bone[free.region]]).max() > 1.0
    assert found.share == pytest.approx(0.7)  # the tissue finds another way


def test_a_mask_says_that_something_dense_is_not_bone() -> None:
    made = ball(15.0)
    vessel = (made.from_centre_mm[..., 0] > 18.0) & (made.from_centre_mm[..., 0] < 24.0)
    volume = made.volume.with_stored(np.where(vessel, 350, made.volume.stored).astype(np.int16))
    aorta = box_of(vessel, volume.grid, "aorta")
    found = push_aside(volume, made.lesion, 0.7, kept=[aorta])
    assert found is not None
    assert np.abs(found.offset[:, vessel[found.region]]).max() > 1.0


def test_a_lesion_within_bone_has_no_room_and_pushes_less() -> None:
    made = ball(12.0)
    bone = made.distance_mm > 16.0
    walls = box_of(bone, made.volume.grid, "skull")
    found = push_aside(made.volume, made.lesion, 0.6, rigid=[walls])
    assert found is None or found.share < 0.1


def test_without_fat_the_surroundings_give_way_by_less_than_one_per_cent() -> None:
    made = ball(8.0, half_mm=50.0, organ_radii=99.0)
    found = push_aside(made.volume, made.lesion, 0.8)
    assert found is not None
    assert found.share > 0.5
    outside = made.distance_mm[found.region] > made.radius_mm + 3.0
    ratio = jacobian(found.offset)[outside]
    assert np.quantile(ratio, 0.999) < 1.01


def test_what_nobody_would_see_is_left_out() -> None:
    made = ball(3.0, (1.0, 1.0, 1.0))
    assert push_aside(made.volume, made.lesion, 0.1) is None
    assert push_aside(made.volume, made.lesion, 0.0) is None


def test_a_lesion_at_the_very_border_of_the_ct_moves_nothing() -> None:
    made = ball(8.0)
    corner = np.zeros(made.volume.grid.shape, np.bool_)
    corner[:1, :60, :60] = True
    box = box_of(corner, made.volume.grid, "liver_tumor")
    assert push_aside(made.volume, box, 0.8) is None


def test_the_orientation_of_the_grid_does_not_matter() -> None:
    made = ball(10.0, (1.0, 1.0, 2.0))
    turned = made.volume.grid.affine.copy()
    turned[:3, :3] = (
        Rotation.from_euler("xyz", (20, -35, 50), degrees=True).as_matrix() @ (turned[:3, :3])
    )
    oblique = replace(made.volume, grid=Grid(made.volume.grid.shape, turned))
    straight = push_aside(made.volume, made.lesion, 0.6)
    tilted = push_aside(oblique, made.lesion, 0.6)
    assert straight is not None
    assert tilted is not None
    np.testing.assert_allclose(straight.offset, tilted.offset, atol=1e-4)
    assert straight.greatest_mm == pytest.approx(tilted.greatest_mm, rel=1e-4)


def test_the_same_lesion_gives_the_same_bytes() -> None:
    first, second = ball(12.0, (0.8, 0.8, 2.5)), ball(12.0, (0.8, 0.8, 2.5))
    fortran = first.volume.with_stored(np.asfortranarray(first.volume.stored))
    one = push_aside(fortran, first.lesion, 0.5)
    two = push_aside(second.volume, second.lesion, 0.5)
    assert one is not None
    assert two is not None
    assert one.region == two.region
    assert one.offset.tobytes() == two.offset.tobytes()


def test_a_point_goes_where_its_tissue_goes() -> None:
    made = ball(20.0)
    found = push_aside(made.volume, made.lesion, 0.6)
    assert found is not None
    direction = np.array([0.48, -0.6, 0.64])
    for start in (18.0, 22.0, 28.0):
        place = np.array(warp_point(tuple(start * direction), found))
        exact = np.cbrt(start**3 + 0.6 * made.radius_mm**3)
        assert np.linalg.norm(place - exact * direction) < 0.35
        index = np.rint(found.grid.to_voxel(place)).astype(int)
        back = found.grid.to_world(index - found.offset[(slice(None), *index)])
        assert np.linalg.norm(back - start * direction) < 1.2  # place is rounded to a voxel
    far = (10.0, 10.0, 500.0)
    assert warp_point(far, found) == far
