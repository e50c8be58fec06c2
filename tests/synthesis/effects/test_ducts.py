"""Obstructed ducts in a gland of known form, in the phantom's terms, and in a real CT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.geometry import Grid
from scalemai.measure import bounding_box
from scalemai.synthesis.effects.centreline import CentreLine
from scalemai.synthesis.effects.change import Change
from scalemai.synthesis.effects.duct_course import find_bile_duct, find_duct
from scalemai.synthesis.effects.ducts import dilate_duct
from scalemai.synthesis.effects.tubes import nearest_on_line
from scalemai.synthesis.growth.tissue import StructureBox, crop_mask
from scalemai.synthesis.recipe import Obstructed
from scalemai.volume import Volume

from ..conftest import read_real_host
from .gland import FAT_HU, GLAND_HU, NOISE_HU, Host, boxed, host, way, whole


@pytest.fixture(scope="module")
def thin() -> Host:
    return host()


def applied(volume: Volume, change: Change) -> NDArray[np.float32]:
    stored = volume.stored.copy()
    stored[change.region][change.edited] = volume.to_stored(change.hu[change.edited])
    return volume.with_stored(stored).hu()


def obstruct(
    one: Host, calibre_mm: float = 7.0, atrophy: float = 0.0, seed: int = 3
) -> tuple[Change, NDArray[np.float32]]:
    closed = Obstructed(structure="pancreatic_duct", calibre_mm=calibre_mm, atrophy=atrophy)
    rng = np.random.default_rng(seed)
    change = dilate_duct(one.volume, one.boxes, one.lesion, closed, rng)
    return change, applied(one.volume, change)


def test_the_duct_widens_upstream_to_its_calibre_and_nowhere_else(thin: Host) -> None:
    change, _ = obstruct(thin)
    duct = whole(change.masks["pancreatic_duct"], thin.volume.grid)
    at = thin.along[thin.tumor].max()
    assert thin.along[duct].min() > at - 6.0
    # Area over length: the mean over the part where neither taper nor tail plays a part.
    part = duct & (thin.along > at + 8.0) & (thin.along < at + 48.0)
    area = np.count_nonzero(part) * thin.volume.grid.voxel_volume_mm3 / 40.0
    assert 2.0 * (area / np.pi) ** 0.5 == pytest.approx(7.0 * 0.92, abs=0.9)
    # It tapers where the tumor cuts it off.
    first = duct & (thin.along > at) & (thin.along < at + 2.0)
    assert np.count_nonzero(first) * thin.volume.grid.voxel_volume_mm3 / 2.0 < 0.65 * area
    _, count = ndimage.label(duct, np.ones((3, 3, 3)))
    assert count == 1
    everywhere = np.zeros(thin.gland.shape, np.bool_)
    everywhere[change.region] = change.edited
    assert thin.along[everywhere].min() > at - 6.0


def test_the_duct_stays_in_the_gland_and_out_of_the_tumor(thin: Host) -> None:
    change, after = obstruct(thin)
    edited = np.zeros(thin.gland.shape, np.bool_)
    edited[change.region] = change.edited
    assert not (edited & ~thin.gland).any()
    assert not (edited & thin.tumor).any()
    assert (after[~edited] == thin.volume.hu()[~edited]).all()
    assert "pancreas" not in change.masks  # nothing of the gland was lost


def test_the_duct_is_water_with_the_noise_of_the_scan(thin: Host) -> None:
    change, after = obstruct(thin)
    duct = whole(change.masks["pancreatic_duct"], thin.volume.grid)
    core = ndimage.binary_erosion(duct, np.ones((3, 3, 1)), iterations=2)
    assert np.count_nonzero(core) > 150
    assert 3.0 < after[core].mean() < 22.0
    assert after[core].std() == pytest.approx(NOISE_HU, rel=0.12)
    pairs = core[1:] & core[:-1]
    before = thin.volume.hu()
    steps = [np.var((hu[1:] - hu[:-1])[pairs]) for hu in (before, after)]
    assert steps[1] == pytest.approx(steps[0], rel=0.15)


def test_the_gland_upstream_turns_into_the_fat_around_it(thin: Host) -> None:
    change, after = obstruct(thin, atrophy=0.4)
    grid = thin.volume.grid
    left = whole(change.masks["pancreas"], grid)
    lost = thin.gland & ~left
    at = thin.along[thin.tumor].max()
    far = thin.gland & (thin.along > at + 12.0) & (thin.along < at + 50.0)
    # 0.4 of the half thickness is lost, so 0.36 = 0.6^2 of the cross-section is left; the rim
    # around the widened duct stays.
    assert 0.25 < np.count_nonzero(left & far) / np.count_nonzero(far) < 0.55
    assert thin.along[lost].min() > at - 5.0
    deep = ndimage.binary_erosion(lost, np.ones((3, 3, 1)))
    assert after[deep].mean() == pytest.approx(FAT_HU, abs=8.0)
    assert after[deep].std() == pytest.approx(NOISE_HU, rel=0.2)
    shell = ndimage.binary_dilation(thin.gland, np.ones((3, 3, 1))) & ~thin.gland
    assert after[shell & (thin.along > at + 15.0)].mean() == pytest.approx(FAT_HU, abs=8.0)
    parts = [change.masks[name] for name in ("pancreas_body", "pancreas_tail")]
    for part in parts:
        assert not (whole(part, grid) & lost).any()
    assert not (whole(change.masks["pancreatic_duct"], grid) & ~left).any()


def test_the_gland_does_not_part_from_an_organ_that_it_lies_on(thin: Host) -> None:
    world = thin.volume.grid.to_world(np.argwhere(~thin.gland))
    gap, nearest = nearest_on_line(CentreLine(way(), np.ones(400)), world)
    above = (world[:, 2] > way()[nearest][:, 2]) & (gap < 18.0)
    spleen = np.zeros(thin.gland.shape, np.bool_)
    spleen[tuple(np.argwhere(~thin.gland)[above].T)] = True
    hu = np.where(spleen, thin.volume.hu() + 210.0, thin.volume.hu())
    volume = thin.volume.with_stored(hu.round().astype(np.int16))
    boxes = {**thin.boxes, "spleen": boxed(spleen, "spleen")}
    closed = Obstructed(structure="pancreatic_duct", calibre_mm=5.0, atrophy=0.4)
    change = dilate_duct(volume, boxes, thin.lesion, closed, np.random.default_rng(0))
    lost = thin.gland & ~whole(change.masks["pancreas"], thin.volume.grid)
    inside = thin.volume.grid.to_world(np.argwhere(thin.gland))
    _, nearest = nearest_on_line(CentreLine(way(), np.ones(400)), inside)
    upper = np.zeros_like(spleen)
    upper[tuple(np.argwhere(thin.gland)[inside[:, 2] > way()[nearest][:, 2] + 5.0].T)] = True
    lower = ndimage.binary_dilation(~thin.gland & ~spleen, np.ones((3, 3, 3))) & thin.gland
    upstream = thin.along > thin.along[thin.tumor].max() + 15.0
    assert lost[lower & upstream].mean() > 0.7
    assert lost[upper & upstream].mean() < 0.05
    edited = np.zeros(spleen.shape, np.bool_)
    edited[change.region] = change.edited
    assert not (edited & spleen).any()


@pytest.mark.parametrize("flip", [(-1, -1, 1), (1, -1, -1)])
def test_the_orientation_of_the_array_does_not_matter(
    thin: Host, flip: tuple[int, int, int]
) -> None:
    one, two = obstruct(thin)[0], obstruct(host(flip=flip))[0]
    volumes = [np.count_nonzero(c.masks["pancreatic_duct"].array) for c in (one, two)]
    assert volumes[1] == pytest.approx(volumes[0], rel=0.05)


def test_the_same_stream_gives_the_same_bytes(thin: Host) -> None:
    one, two = (obstruct(thin, atrophy=0.3)[0] for _ in range(2))
    assert one.hu.tobytes() == two.hu.tobytes()
    assert (one.masks["pancreas"].array == two.masks["pancreas"].array).all()
    assert one.hu.tobytes() != obstruct(thin, atrophy=0.3, seed=4)[0].hu.tobytes()


@pytest.mark.parametrize(
    ("one", "calibre_mm", "why"),
    [
        ({"aside_mm": 24.0}, 7.0, "mm away"),
        ({"at": 0.99}, 7.0, "upstream"),
        ({"gland_hu": 5.0}, 7.0, "would not stand out"),
        ({"spacing": (5.0, 5.0, 5.0)}, 4.0, "cannot be shown"),
    ],
    ids=["off the duct", "in the tail", "fatty gland", "coarse grid"],
)
def test_where_no_duct_widens_the_notes_say_why(
    one: dict[str, object], calibre_mm: float, why: str
) -> None:
    change, _ = obstruct(host(**one), calibre_mm)  # type: ignore[arg-type]  # a table of cases
    assert not change.edited.any()
    assert not change.masks
    assert why in change.notes[0]


def test_at_3_mm_the_duct_is_shown_as_the_grid_can() -> None:
    one = host((3.0, 3.0, 3.0))
    change, after = obstruct(one, 8.0)
    duct = whole(change.masks["pancreatic_duct"], one.volume.grid)
    _, count = ndimage.label(duct, np.ones((3, 3, 3)))
    assert count == 1
    assert after[duct].mean() < GLAND_HU - 40.0


def bile_host() -> tuple[Host, StructureBox, StructureBox, NDArray[np.bool_]]:
    """The gland with a bile duct from the hilum through the head, and a vein beside it."""
    one = host(at=0.12)
    world = one.volume.grid.to_world(np.moveaxis(np.indices(one.gland.shape), 0, -1))
    line = np.linspace((38.0, 0.0, 45.0), (42.0, 2.0, -26.0), 200)
    flat = world.reshape(-1, 3)
    gap, _ = nearest_on_line(CentreLine(line, np.ones(200)), flat)
    beside, _ = nearest_on_line(
        CentreLine(line[:120] - np.array([8.0, 0.0, 0.0]), np.ones(120)), flat
    )
    duct = (gap <= 2.5).reshape(one.gland.shape)
    vein = (beside <= 4.0).reshape(one.gland.shape) & ~one.gland
    hu = one.volume.hu()
    hu[duct & ~one.tumor] = 10.0
    hu[vein] = 170.0
    volume = one.volume.with_stored(hu.round().astype(np.int16))
    moved = Host(volume, one.boxes, one.lesion, one.along, one.gland, one.tumor)
    return moved, boxed(duct, "common_bile_duct"), boxed(vein, "portal_vein"), world[..., 2]


def test_the_bile_duct_widens_towards_the_liver_and_spares_the_vein() -> None:
    one, duct, vein, height = bile_host()
    boxes = {**one.boxes, "common_bile_duct": duct, "portal_vein": vein}
    closed = Obstructed(structure="common_bile_duct", calibre_mm=12.0, atrophy=0.0)
    change = dilate_duct(one.volume, boxes, one.lesion, closed, np.random.default_rng(2))
    grid = one.volume.grid
    wide, was = whole(change.masks["common_bile_duct"], grid), whole(duct, grid)
    assert (wide & was).sum() == was.sum()
    assert "pancreas" not in change.masks  # whose mask includes the ducts in it
    assert not (wide & whole(vein, grid)).any()
    edited = np.zeros(wide.shape, np.bool_)
    edited[change.region] = change.edited
    assert not (edited & (whole(vein, grid) | one.tumor)).any()
    low = float(height[one.tumor].min())
    assert height[edited].min() > low
    slab = (height > 20.0) & (height < 35.0)
    area = np.count_nonzero(wide & slab) * grid.voxel_volume_mm3 / 15.0
    # The vein beside it takes its part of the circle.
    assert 9.0 < 2.0 * (area / np.pi) ** 0.5 < 12.5


def test_masks_that_leave_ducts_out_of_the_gland_go_on_doing_so() -> None:
    one, duct, _, _ = bile_host()
    grid = one.volume.grid
    boxes = {
        name: boxed(whole(box, grid) & ~whole(duct, grid), name) for name, box in one.boxes.items()
    }
    boxes["common_bile_duct"] = duct
    closed = Obstructed(structure="common_bile_duct", calibre_mm=12.0, atrophy=0.0)
    change = dilate_duct(one.volume, boxes, one.lesion, closed, np.random.default_rng(2))
    for name in ("pancreas", "pancreas_head"):
        left = whole(change.masks[name], grid)
        assert not (left & whole(change.masks["common_bile_duct"], grid)).any()


def test_without_its_mask_the_bile_duct_stays_in_the_head_and_is_called_estimated() -> None:
    one = host(at=0.0, tall_head=True)
    closed = Obstructed(structure="common_bile_duct", calibre_mm=10.0, atrophy=0.0)
    change = dilate_duct(one.volume, one.boxes, one.lesion, closed, np.random.default_rng(2))
    assert any("estimated" in note for note in change.notes)
    edited = np.zeros(one.gland.shape, np.bool_)
    edited[change.region] = change.edited
    assert edited.any()
    assert not (edited & ~one.gland).any()
    world = one.volume.grid.to_world(np.argwhere(edited))
    assert world[:, 0].min() > 20.0
    assert np.ptp(world[:, 2]) > 12.0


def test_without_a_pancreas_there_is_no_course() -> None:
    one = host((3.0, 3.0, 3.0))
    assert find_duct(one.volume, {}) is None
    assert find_bile_duct(one.volume, {}) is None
    closed = Obstructed(structure="pancreatic_duct", calibre_mm=7.0, atrophy=0.0)
    change = dilate_duct(one.volume, {}, one.lesion, closed, np.random.default_rng(0))
    assert "no mask shows where it runs" in change.notes[0]


@pytest.mark.real
def test_a_torn_mask_of_a_real_pancreas_has_a_course_from_tail_to_head(shared_data: Path) -> None:
    volume, masks = read_real_host(shared_data, "ts_example_3mm", ("pancreas",))
    box = crop_mask(masks["pancreas"])
    assert box is not None
    course = find_duct(volume, {"pancreas": box})
    assert course is not None
    tail, head = course.line.points_mm[0], course.line.points_mm[-1]
    assert tail[0] < head[0] - 60.0  # from the patient's left to the right
    assert tail[2] > head[2]
    assert course.line.along_mm[-1] > 100.0
    # This old gland is as dark as fluid: nothing is painted that nobody could see.
    lesion = StructureBox("pancreatic_lesion", *ball_at(course.line.points_mm[-60], volume.grid))
    closed = Obstructed(structure="pancreatic_duct", calibre_mm=8.0, atrophy=0.3)
    change = dilate_duct(volume, {"pancreas": box}, lesion, closed, np.random.default_rng(0))
    assert not change.edited.any()
    assert "fatty" in change.notes[0]


def ball_at(
    centre_mm: NDArray[np.float64], grid: Grid
) -> tuple[tuple[slice, slice, slice], NDArray[np.bool_]]:
    world = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))
    ball = np.linalg.norm(world - centre_mm, axis=-1) <= 8.0
    region = bounding_box(ball)
    assert region is not None
    return region, ball[region]
