"""Masks move together: volumes stay, neighbours keep apart, parts stay within the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.geometry import Grid
from scalemai.io.nifti import read_mask, read_volume
from scalemai.synthesis.effects.displacement import Displacement, push_aside
from scalemai.synthesis.effects.warp_masks import warp_masks
from scalemai.synthesis.growth.tissue import StructureBox, crop_mask
from scalemai.volume import Mask, Volume

Bool = NDArray[np.bool_]
BONES = ("rib_", "vertebrae_", "sacrum", "hip_", "femur_", "costal_")


def box_of(inside: Bool, grid: Grid, name: str) -> StructureBox:
    box = crop_mask(Mask(inside, grid, name))
    assert box is not None
    return box


def whole(box: StructureBox | None, grid: Grid) -> Bool:
    array = np.zeros(grid.shape, np.bool_)
    if box is not None:
        array[box.region] = box.array
    return array


def layout(spacing_mm: tuple[float, float, float]) -> tuple[Volume, StructureBox, dict[str, Bool]]:
    """A liver in lobes with vessels of 3 to 8 mm, neighbours that touch it, and fat around."""
    shape = tuple(int(n) for n in np.ceil(120.0 / np.asarray(spacing_mm)))
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = -(np.asarray(shape) - 1) / 2 * spacing_mm
    grid = Grid((shape[0], shape[1], shape[2]), affine)
    place = grid.to_world(np.moveaxis(np.indices(shape), 0, -1))
    x, y, z = np.moveaxis(place, -1, 0)
    liver = (x / 40) ** 2 + (y / 36) ** 2 + (z / 34) ** 2 < 1.0
    near = np.hypot(x - 21.0, y + 0.1 * z) < 4.0
    thin = np.hypot(y - 19.0 - 0.2 * x, z - 3.0) < 1.6
    masks = {
        "liver": liver,
        "liver_segment_2": liver & (x < 2.0),
        "liver_segment_5": liver & (x >= 2.0),
        "portal_vein": liver & near,
        "hepatic_artery": liver & thin & ~near,
        "kidney_right": ~liver & ((x + 6) ** 2 + (y + 48) ** 2 + (z - 4) ** 2 < 15.0**2),
        "gallbladder": ~liver & ((x - 34) ** 2 + (y - 27) ** 2 + z**2 < 9.0**2),
        "adrenal_gland_right": ~liver & (abs(x + 30) < 4) & (abs(y + 27) < 3) & (abs(z) < 9),
    }
    hu = np.where(np.logical_or.reduce(list(masks.values())), 110, -100).astype(np.int16)
    ball = np.linalg.norm(place - np.array([0.0, 0.0, 2.0]), axis=-1) < 15.0
    return Volume(hu, grid), box_of(ball, grid, "liver_tumor"), masks


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (0.8, 0.8, 2.5), (0.9, 0.9, 5.0)])
@pytest.mark.parametrize("share", [0.4, 0.8])
def test_labels_keep_their_volume_outside_the_lesion(
    spacing_mm: tuple[float, float, float], share: float
) -> None:
    volume, lesion, masks = layout(spacing_mm)
    boxes = [box_of(mask, volume.grid, name) for name, mask in masks.items()]
    found = push_aside(volume, lesion, share, kept=boxes)
    assert found is not None
    assert found.share == pytest.approx(share)
    tumor = whole(lesion, volume.grid)
    moved = dict(zip(masks, warp_masks(boxes, found), strict=True))
    changed = 0
    for name, before in masks.items():
        after = whole(moved[name], volume.grid)
        # Of the organ that bears the lesion, all but what the lesion has replaced is still there.
        replaced = (1.0 - share) * np.count_nonzero(before & tumor)
        left = np.count_nonzero(before) - replaced
        changed += bool((after != before).any())
        assert np.count_nonzero(after & ~tumor) == pytest.approx(left, rel=0.01), name
    assert changed >= 5
    names = list(masks)
    for first in range(len(names)):
        for second in range(first):
            a, b = masks[names[first]], masks[names[second]]
            c, d = (whole(moved[names[n]], volume.grid) for n in (first, second))
            assert (a & b).any() or not (c & d).any()  # disjoint stays disjoint
            assert (a & ~b).any() or not (c & ~d).any()  # nested stays nested
    lobes = whole(moved["liver_segment_2"], volume.grid) | whole(
        moved["liver_segment_5"], volume.grid
    )
    assert (lobes == whole(moved["liver"], volume.grid)).all()  # no gap between them


def test_masks_move_as_the_image_does() -> None:
    volume, lesion, masks = layout((1.0, 1.0, 1.0))
    vessel = box_of(masks["portal_vein"], volume.grid, "portal_vein")
    liver = box_of(masks["liver"], volume.grid, "liver")
    found = push_aside(volume, lesion, 0.8, kept=[vessel, liver])
    assert found is not None
    moved, _ = warp_masks([vessel, liver], found)
    index = np.indices(found.grid.shape) - found.offset
    exact = ndimage.map_coordinates(
        masks["portal_vein"][found.region].astype(np.float32), index, order=1
    )
    after = whole(moved, volume.grid)[found.region]
    assert not after[exact < 0.2].any()
    assert after[exact > 0.8].all()
    common = np.count_nonzero(after & (exact > 0.5))
    assert 2 * common / (np.count_nonzero(after) + np.count_nonzero(exact > 0.5)) > 0.97


def test_nothing_changes_outside_the_box_and_untouched_masks_are_returned_as_they_are() -> None:
    volume, lesion, masks = layout((1.0, 1.0, 1.0))
    far = np.zeros(volume.grid.shape, np.bool_)
    far[:3, :3, :3] = True
    long = np.zeros(volume.grid.shape, np.bool_)
    long[:, 78:82, 58:62] = True  # from one end of the volume to the other
    boxes = [
        box_of(masks["liver"], volume.grid, "liver"),
        box_of(far, volume.grid, "spleen"),
        box_of(long, volume.grid, "aorta"),
    ]
    found = push_aside(volume, lesion, 0.6, kept=boxes)
    assert found is not None
    liver, spleen, aorta = warp_masks(boxes, found)
    assert spleen is boxes[1]
    assert liver is not boxes[0]
    outside = np.ones(volume.grid.shape, np.bool_)
    outside[found.region] = False
    assert outside.any()
    assert (whole(aorta, volume.grid)[outside] == long[outside]).all()
    assert (whole(aorta, volume.grid) != long).any()


def test_moving_masks_twice_gives_the_same_bytes() -> None:
    volume, lesion, masks = layout((0.8, 0.8, 2.5))
    boxes = [box_of(mask, volume.grid, name) for name, mask in masks.items()]
    found = push_aside(volume, lesion, 0.7, kept=boxes)
    assert found is not None
    for one, two in zip(warp_masks(boxes, found), warp_masks(boxes, found), strict=True):
        assert one is not None
        assert two is not None
        assert one.region == two.region
        assert one.array.tobytes() == two.array.tobytes()


def test_a_mask_of_which_no_voxel_is_left_is_none() -> None:
    # The lesion lies between what came from the left and what came from the right.
    grid = Grid((12, 8, 8), np.eye(4))
    region = (slice(0, 12), slice(0, 8), slice(0, 8))
    offset = np.zeros((3, 12, 8, 8), np.float32)
    offset[0, 3:6], offset[0, 6:9] = 2.0, -2.0
    lesion = np.zeros((12, 8, 8), np.bool_)
    lesion[3:9] = True
    spot = np.zeros((12, 8, 8), np.bool_)
    spot[5, 4, 4] = True
    found = Displacement(region, grid, offset, box_of(lesion, grid, "tumor"), 0.5)
    assert warp_masks([box_of(spot, grid, "duct")], found) == (None,)


@pytest.mark.real
@pytest.mark.parametrize(("case", "diameter_mm"), [("crlm1004", 35.0), ("ts_example_3mm", 36.0)])
def test_labels_of_real_patients_keep_their_volume(
    shared_data: Path, case: str, diameter_mm: float
) -> None:
    folder = shared_data / "abdomen" / case
    volume = read_volume(folder / "ct.nii.gz")
    boxes = {}
    for path in sorted((folder / "segmentations").glob("*.nii.gz")):
        name = path.name.removesuffix(".nii.gz")
        box = crop_mask(read_mask(path, name))
        if box is not None:
            boxes[name] = box
    liver = whole(boxes["liver"], volume.grid)
    depth = ndimage.distance_transform_edt(liver, sampling=volume.grid.spacing_mm)
    for deep in (1.0, 0.6, 0.3):
        candidates = np.argwhere(depth >= deep * depth.max())
        centre = volume.grid.to_world(candidates[len(candidates) // 2])
        place = volume.grid.to_world(np.moveaxis(np.indices(volume.grid.shape), 0, -1))
        tumor = (np.linalg.norm(place - centre, axis=-1) <= diameter_mm / 2) & liver
        rigid = [box for name, box in boxes.items() if name.startswith(BONES)]
        found = push_aside(
            volume,
            box_of(tumor, volume.grid, "liver_tumor"),
            0.6,
            rigid=rigid,
            kept=boxes.values(),
        )
        assert found is not None
        assert found.share > 0.3
        assert found.least_jacobian > 0.0
        for box, moved in zip(boxes.values(), warp_masks(list(boxes.values()), found), strict=True):
            before = whole(box, volume.grid)
            left = np.count_nonzero(before) - (1 - found.share) * np.count_nonzero(before & tumor)
            after = np.count_nonzero(whole(moved, volume.grid) & ~tumor)
            assert after == pytest.approx(left, rel=0.01), box.name
            if box in rigid:
                assert moved is box
                inside = before[found.region]
                assert not inside.any() or np.abs(found.offset[:, inside]).max() < 0.1
