"""Vessels found by their attenuation and vessels narrowed, in tubes of known width and real CT."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.geometry import Grid
from scalemai.measure import bounding_box
from scalemai.synthesis.effects.centreline import CentreLine
from scalemai.synthesis.effects.contact import VesselContact, vessel_contacts
from scalemai.synthesis.effects.tubes import nearest_on_line, tube_coverage
from scalemai.synthesis.effects.vessels import find_vessels, narrow_vessel
from scalemai.synthesis.growth.neighbourhood import Parenchyma, neighbourhood
from scalemai.synthesis.growth.tissue import StructureBox, crop_mask, prepare_tissue
from scalemai.volume import Volume

from ..conftest import read_real_host

BLOOD_HU, TUMOR_HU, PARENCHYMA_HU, NOISE_HU = 180.0, 60.0, 100.0, 10.0
HALF_MM = 28.0


def grid_of(spacing: tuple[float, float, float]) -> Grid:
    shape = [int(2 * HALF_MM / s) for s in spacing]
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -HALF_MM
    return Grid((shape[0], shape[1], shape[2]), affine)


def noise(grid: Grid) -> NDArray[np.float64]:
    field = ndimage.gaussian_filter(
        np.random.default_rng(3).standard_normal(grid.shape), (0.8, 0.8, 0.0)
    )
    return np.asarray(field * (NOISE_HU / field.std()))


def boxed(array: NDArray[np.bool_], name: str) -> StructureBox:
    region = bounding_box(array)
    assert region is not None
    return StructureBox(name, region, array[region].copy())


def whole(box: StructureBox, grid: Grid) -> NDArray[np.bool_]:
    return box.within((slice(0, grid.shape[0]), slice(0, grid.shape[1]), slice(0, grid.shape[2])))


def encased(
    spacing: tuple[float, float, float] = (0.8, 0.8, 1.0),
    radius_mm: float = 5.0,
    angle_deg: float = 360.0,
    blood_hu: float = BLOOD_HU,
) -> tuple[Volume, dict[str, StructureBox], StructureBox, NDArray[np.float64]]:
    """A vessel along an oblique axis in a tumor of 24 mm length; and the place along it in mm."""
    grid = grid_of(spacing)
    axis = np.array([0.3, 0.2, 1.0])
    axis /= np.linalg.norm(axis)
    world = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))
    along = world @ axis
    out = np.linalg.norm(world - along[..., None] * axis, axis=-1)
    side = np.abs(np.degrees(np.arctan2(world[..., 1], world[..., 0])))
    line = CentreLine(np.linspace(-60, 60, 600)[:, None] * axis, np.full(600, radius_mm))
    filled = tube_coverage(line, grid)
    tube = out <= radius_mm
    tumor = ~tube & (out <= radius_mm + 9.0) & (np.abs(along) <= 12.0) & (side <= angle_deg / 2)
    hu = np.where(tumor, TUMOR_HU, PARENCHYMA_HU)
    hu = hu * (1.0 - filled) + blood_hu * filled + noise(grid)
    volume = Volume(hu.round().astype(np.int16), grid)
    boxes = {"veins": boxed(tube, "veins"), "portal_vein": boxed(tube, "portal_vein")}
    return volume, boxes, boxed(tumor, "pancreatic_lesion"), along


def contact_of(lesion: StructureBox, boxes: dict[str, StructureBox], grid: Grid) -> VesselContact:
    (contact,) = vessel_contacts(lesion, {"veins": boxes["veins"]}, grid)
    return contact


def test_the_lumen_shrinks_by_the_share_where_it_is_encased_and_nowhere_else() -> None:
    volume, boxes, lesion, along = encased()
    change = narrow_vessel(volume, boxes, lesion, contact_of(lesion, boxes, volume.grid), 0.5)
    before, after = whole(boxes["veins"], volume.grid), whole(change.masks["veins"], volume.grid)

    def width_mm(mask: NDArray[np.bool_], low: float, high: float) -> float:
        slab = mask & (along >= low) & (along < high)
        area = np.count_nonzero(slab) * volume.grid.voxel_volume_mm3 / (high - low)
        return float(2.0 * (area / np.pi) ** 0.5)

    assert width_mm(before, -2, 2) == pytest.approx(10.0, abs=0.3)
    assert width_mm(after, -2, 2) == pytest.approx(5.0, abs=0.7)
    # Smoothly in and out.
    widths = [width_mm(after, low, low + 2) for low in range(0, 16, 2)]
    assert np.diff(widths).min() > -0.3
    assert np.diff(widths).max() < 2.2
    edited = np.zeros(volume.grid.shape, np.bool_)
    edited[change.region] = change.edited
    assert np.abs(along[edited]).max() < 18.0
    assert not (after & ~before).any()


def test_the_ring_that_the_lumen_leaves_is_tumor_in_image_and_masks() -> None:
    volume, boxes, lesion, _ = encased()
    change = narrow_vessel(volume, boxes, lesion, contact_of(lesion, boxes, volume.grid), 0.5)
    stored = volume.stored.copy()
    stored[change.region][change.edited] = volume.to_stored(change.hu[change.edited])
    hu = stored.astype(np.float64)
    before, after = whole(boxes["veins"], volume.grid), whole(change.masks["veins"], volume.grid)
    ring = before & ~after
    tumor = whole(change.masks["pancreatic_lesion"], volume.grid)
    assert (tumor == (whole(lesion, volume.grid) | ring)).all()
    # A second mask of the same vessel follows.
    assert (whole(change.masks["portal_vein"], volume.grid) == after).all()
    deep = ring & ~ndimage.binary_dilation(after, np.ones((3, 3, 3)))
    deep &= ~ndimage.binary_dilation(~before, np.ones((3, 3, 3)))
    assert np.count_nonzero(deep) > 50
    assert hu[deep].mean() == pytest.approx(TUMOR_HU, abs=12.0)
    lumen = ndimage.binary_erosion(after, np.ones((3, 3, 3)))
    assert hu[lumen].mean() == pytest.approx(BLOOD_HU, abs=8.0)


def test_the_noise_in_the_ring_is_that_of_the_scan() -> None:
    volume, boxes, lesion, _ = encased(radius_mm=7.0)
    change = narrow_vessel(volume, boxes, lesion, contact_of(lesion, boxes, volume.grid), 0.6)
    left = whole(boxes["veins"], volume.grid) & ~whole(change.masks["veins"], volume.grid)
    left = ndimage.binary_erosion(left, np.ones((3, 3, 1)), iterations=2)
    hu = volume.hu()
    hu[change.region][change.edited] = change.hu[change.edited]
    assert np.count_nonzero(left) > 60
    assert hu[left].std() == pytest.approx(NOISE_HU, rel=0.25)


@pytest.mark.parametrize(
    ("scene", "why"),
    [
        ({"angle_deg": 120.0}, "does not encase"),
        ({"radius_mm": 1.1}, "less than 3 voxels wide"),
        ({"spacing": (0.8, 5.0, 0.8)}, "less than 3 voxels wide"),
        ({"blood_hu": 64.0}, "does not tell its blood"),
    ],
    ids=["abutment", "thin", "thick slices", "no contrast"],
)
def test_where_nothing_is_narrowed_the_notes_say_why(scene: dict[str, object], why: str) -> None:
    volume, boxes, lesion, _ = encased(**scene)  # type: ignore[arg-type]  # a table of cases
    change = narrow_vessel(volume, boxes, lesion, contact_of(lesion, boxes, volume.grid), 0.5)
    assert not change.edited.any()
    assert not change.masks
    assert why in change.notes[0]


def organ_with_vessel(
    blood_hu: float, spacing: tuple[float, float, float]
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], Grid, Parenchyma]:
    grid = grid_of(spacing)
    world = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))
    organ = np.linalg.norm(world, axis=-1) <= 22.0
    bow = 6 * np.sin(np.linspace(0, 3, 300))
    way = np.stack([np.linspace(-24, 18, 300), bow, np.linspace(-6, 8, 300)], axis=1)
    line = CentreLine(way, np.linspace(4.0, 2.0, 300))
    filled = tube_coverage(line, grid)
    hu = np.where(organ, PARENCHYMA_HU, -100.0) * (1.0 - filled) + blood_hu * filled + noise(grid)
    gap, at = nearest_on_line(line, world.reshape(-1, 3))
    tube = (gap <= line.radius_mm[at]).reshape(grid.shape)
    look = Parenchyma(PARENCHYMA_HU, NOISE_HU, PARENCHYMA_HU - 13.0, PARENCHYMA_HU + 13.0)
    return hu.astype(np.float32), organ, tube, grid, look


@pytest.mark.parametrize("spacing", [(0.8, 0.8, 1.0), (0.8, 0.8, 2.5), (1.0, 1.0, 1.0)])
def test_a_bright_tube_is_found_as_wide_as_it_is(spacing: tuple[float, float, float]) -> None:
    hu, organ, tube, grid, look = organ_with_vessel(BLOOD_HU, spacing)
    found = find_vessels(hu, organ, grid, look)
    assert np.count_nonzero(found & tube) / np.count_nonzero(tube) > 0.7
    assert np.count_nonzero(found & tube) / np.count_nonzero(found) > 0.8


@pytest.mark.parametrize("blood_hu", [PARENCHYMA_HU - 60.0, PARENCHYMA_HU, PARENCHYMA_HU + 10.0])
def test_a_scan_that_shows_no_vessel_has_none(blood_hu: float) -> None:
    hu, organ, _, grid, look = organ_with_vessel(blood_hu, (0.8, 0.8, 1.0))
    assert not find_vessels(hu, organ, grid, look).any()


def test_bone_beside_an_organ_is_no_vessel() -> None:
    hu, organ, _, grid, look = organ_with_vessel(PARENCHYMA_HU, (1.0, 1.0, 1.0))
    world = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))
    rib = np.hypot(world[..., 0] - 25.0, world[..., 2]) <= 3.0
    blurred = ndimage.gaussian_filter(np.where(rib, 900.0, 0.0), 0.7)
    assert not find_vessels((hu + blurred).astype(np.float32), organ, grid, look).any()


def look_of(volume: Volume, box: StructureBox) -> Parenchyma:
    tissue = prepare_tissue(box, volume.grid)
    centre = tissue.grid.to_world(np.argwhere(tissue.organ)[tissue.organ.sum() // 2])
    x, y, z = (float(c) for c in centre)
    return neighbourhood(volume, tissue, (x, y, z), 40.0).parenchyma


@pytest.mark.real
def test_an_unenhanced_real_liver_shows_no_vessels(shared_data: Path) -> None:
    volume, masks = read_real_host(shared_data, "ts_example_3mm", ("liver",))
    box = crop_mask(masks["liver"])
    assert box is not None
    found = find_vessels(
        volume.hu(box.region), box.array, volume.grid.crop(box.region), look_of(volume, box)
    )
    assert np.count_nonzero(found & box.array) < 0.002 * np.count_nonzero(box.array)


@pytest.mark.real
def test_an_enhanced_real_liver_shows_vessels_brighter_than_itself(shared_data: Path) -> None:
    volume, masks = read_real_host(shared_data, "crlm1004", ("liver",))
    box = crop_mask(masks["liver"])
    assert box is not None
    hu, look = volume.hu(box.region), look_of(volume, box)
    found = find_vessels(hu, box.array, volume.grid.crop(box.region), look) & box.array
    assert 0.003 < np.count_nonzero(found) / np.count_nonzero(box.array) < 0.12
    assert np.median(hu[found]) > look.mean_hu + 25.0


def test_a_contact_with_a_vessel_that_has_no_mask_changes_nothing() -> None:
    volume, boxes, lesion, _ = encased()
    contact = replace(contact_of(lesion, boxes, volume.grid), structure="splenic_vein")
    change = narrow_vessel(volume, boxes, lesion, contact, 0.5)
    assert not change.edited.any()
    assert "has no mask" in change.notes[0]
