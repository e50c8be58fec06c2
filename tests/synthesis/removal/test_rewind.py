"""Backward in time: nested, connected, of the volume that the law gives, and the real one at 0."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cc3d
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.errors import GeometryError
from scalemai.geometry import Grid
from scalemai.io.nifti import read_mask, read_volume
from scalemai.synthesis.growth.tissue import crop_mask
from scalemai.synthesis.removal.lesion_place import find_lesions
from scalemai.synthesis.removal.past import trace_past
from scalemai.synthesis.removal.rewind import Rewinder, rewinder
from scalemai.synthesis.spec import LesionSpec
from scalemai.synthesis.synthesize import synthesize_volume
from scalemai.synthesis.timeline.growth_law import growth_law
from scalemai.volume import Mask

from ..conftest import MakeHost

GRID = Grid((60, 60, 24), np.diag([0.8, 0.8, 2.5, 1.0]))
POINTS = np.moveaxis(np.indices(GRID.shape), 0, -1) * GRID.spacing_mm - (24.0, 24.0, 29.0)


def ellipsoid(
    semi_mm: tuple[float, float, float], at: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> NDArray[np.bool_]:
    return np.asarray((((POINTS - at) / semi_mm) ** 2).sum(axis=-1) <= 1.0)


def test_a_ball_shrinks_to_concentric_balls() -> None:
    past = trace_past(ellipsoid((20.0, 20.0, 20.0)), GRID)
    for share in (0.7, 0.4, 0.15, 0.05):
        small = past.mask(int(share * past.voxels))
        radius = (3 * small.sum() * GRID.voxel_volume_mm3 / (4 * np.pi)) ** (1 / 3)
        wanted = ellipsoid((radius, radius, radius))
        overlap = 2 * np.count_nonzero(small & wanted) / (small.sum() + wanted.sum())
        assert overlap > 0.9, share


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_earlier_masks_are_connected_and_lie_within_later_ones(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros(GRID.shape, np.bool_)
    for _ in range(4):  # lobes with necks between them
        semi, at = rng.uniform(4, 11, 3), rng.uniform(-9, 9, 3)
        mask |= ellipsoid((semi[0], semi[1], semi[2]), (at[0], at[1], at[2]))
    parts = cc3d.connected_components(mask, connectivity=26)
    mask = np.asarray(parts == np.bincount(parts[mask]).argmax(), np.bool_)
    past = trace_past(mask, GRID)
    assert (past.mask(past.voxels) == mask).all()
    assert past.voxels == mask.sum()
    sizes = sorted({1, 7, *(int(past.voxels * share) for share in (0.1, 0.3, 0.5, 0.8, 0.99))})
    stages = [past.mask(size) for size in sizes if size > 0]
    for size, stage in zip([s for s in sizes if s > 0], stages, strict=True):
        assert stage.sum() == size
        assert cc3d.connected_components(stage, connectivity=26).max() == 1
    for early, late in pairwise(stages):
        assert not (early & ~late).any()


def test_the_tip_of_a_lesion_is_reached_last() -> None:
    body, tip = ellipsoid((10.0, 10.0, 10.0)), ellipsoid((5.0, 4.0, 4.0), (14.0, 0.0, 0.0))
    past = trace_past(body | tip, GRID)
    ranks = past.rank / past.voxels
    assert np.median(ranks[tip & ~body]) > 0.9
    assert past.mask(past.voxels // 2)[tip & ~body].sum() == 0


def test_voxels_that_hang_on_by_a_corner_come_last() -> None:
    mask = ellipsoid((6.0, 6.0, 8.0))
    corner = np.argwhere(mask)[-1]
    at = tuple(int(n) for n in corner + 1)
    mask[at] = True
    past = trace_past(mask, GRID)
    assert past.rank[at] == past.voxels - 1
    with pytest.raises(GeometryError, match="no past"):
        trace_past(np.zeros(GRID.shape, np.bool_), GRID)


@pytest.fixture(scope="module")
def liver(request: pytest.FixtureRequest) -> Rewinder:
    """A metastasis of 30 mm in an analytic liver."""
    from ..conftest import ellipsoid_host

    volume, masks = ellipsoid_host(spacing_mm=(0.9, 0.9, 2.0))
    spec = LesionSpec(organ="liver", kind="metastasis", diameter_mm=(30, 30), contrast_hu=-50)
    made = synthesize_volume(volume, masks, [spec], case_id="x", seed=3)
    lesion = crop_mask(Mask(made.labels > 0, volume.grid, "liver_lesion"))
    organ = crop_mask(masks["liver"])
    assert lesion is not None
    assert organ is not None
    found = find_lesions({"liver_lesion": lesion})[0]
    return rewinder(made.volume, found, {"liver": organ}, [lesion], case_id="x", seed=0)


def test_the_volume_halves_one_doubling_time_before(liver: Rewinder) -> None:
    law = growth_law("exponential", doubling_days=90.0, reference_mm3=liver.final_mm3)
    for doublings in range(4):
        earlier = liver.at(law.volume_mm3(-90.0 * doublings))
        expected = liver.final_mm3 / 2**doublings
        if earlier.measures.voxels > 500:
            assert earlier.measures.volume_mm3 == pytest.approx(expected, rel=0.03)
        assert earlier.measures.volume_mm3 == pytest.approx(
            expected, abs=0.51 * liver.place.grid.voxel_volume_mm3
        )


def test_the_scan_that_is_there_comes_back_bit_for_bit(liver: Rewinder) -> None:
    now = liver.at(liver.final_mm3)
    assert not now.edited.any()
    assert (now.left == liver.place.inside).all()
    assert now.stored.tobytes() == np.array(liver.volume.stored[liver.place.region]).tobytes()


def test_a_moment_ago_the_scan_was_almost_the_same(liver: Rewinder) -> None:
    changes = []
    for share in (0.99, 0.9, 0.6):
        earlier = liver.at(share * liver.final_mm3)
        new = earlier.stored.astype(float)
        changes.append(np.abs(new - liver.place.hu)[liver.place.hole].mean())
    assert changes[0] < 4.0  # noise is 12 HU
    assert changes == sorted(changes)


def test_an_earlier_lesion_keeps_the_voxels_of_the_real_one_and_has_its_contrast_and_border(
    liver: Rewinder,
) -> None:
    earlier = liver.at(0.35 * liver.final_mm3)
    place = liver.place
    new = earlier.stored.astype(np.float64)
    depth = ndimage.distance_transform_edt(earlier.left, sampling=place.grid.spacing_mm)
    core = depth > 5.0
    assert core.any()
    assert (np.abs(new - place.hu)[core] <= 3.0).mean() > 0.95
    away = place.hole & (
        ndimage.distance_transform_edt(~earlier.left, sampling=place.grid.spacing_mm) > 5.0
    )
    assert np.median(new[away]) == pytest.approx(110.0, abs=5.0)
    assert new[away].std() == pytest.approx(12.0, rel=0.15)
    inside, outside = new[earlier.left].mean(), new[away].mean()
    assert inside - outside < -25.0


def test_a_lesion_that_was_too_small_is_not_there(liver: Rewinder) -> None:
    gone = liver.at(0.2 * liver.place.grid.voxel_volume_mm3)
    assert not gone.left.any()
    assert gone.measures.longest_axial_diameter_mm == 0.0
    normal = liver.volume.to_stored(liver.normal.hu)
    assert (gone.stored == normal)[liver.place.hole].mean() > 0.99


def test_the_same_seed_gives_the_same_past(make_host: MakeHost) -> None:
    volume, masks = make_host(semi_axes_mm=(30.0, 30.0, 30.0))
    world = volume.grid.to_world(np.moveaxis(np.indices(volume.grid.shape), 0, -1))
    mask = crop_mask(Mask(np.linalg.norm(world, axis=-1) < 10.0, volume.grid, "liver_lesion"))
    organ = crop_mask(masks["liver"])
    assert mask is not None
    assert organ is not None
    found = find_lesions({"liver_lesion": mask})[0]
    one, again = (
        rewinder(volume, found, {"liver": organ}, [mask], case_id="x", seed=5).at(900.0)
        for _ in range(2)
    )
    assert one.stored.tobytes() == again.stored.tobytes()


@pytest.mark.real
def test_a_real_nodule_was_smaller_in_the_same_place(shared_data: Path) -> None:
    folder = shared_data / "lung_tumor" / "lidc0001"
    volume = read_volume(folder / "ct_roi.nii.gz")
    mask = read_mask(folder / "nodule.nii.gz")
    box = crop_mask(Mask(mask.array, volume.grid, "lung_lesion"))
    assert box is not None
    found = find_lesions({"lung_lesion": box})[0]
    past = rewinder(volume, found, {}, [box], case_id="x", seed=0)
    law = growth_law("gompertz", doubling_days=200.0, reference_mm3=past.final_mm3)
    before = past.place.inside
    diameters = []
    for months in (0, 6, 12, 24):
        earlier = past.at(past.final_mm3 if months == 0 else law.volume_mm3(-months * 365.25 / 12))
        assert not (earlier.left & ~before).any()
        if earlier.measures.voxels > 500:
            wanted = earlier.measures.law_mm3
            assert earlier.measures.volume_mm3 == pytest.approx(wanted, rel=0.03)
        before = earlier.left
        diameters.append(earlier.measures.equivalent_diameter_mm)
        new = earlier.stored.astype(float)
        if earlier.left.any():
            core = ndimage.binary_erosion(earlier.left)
            if core.any():
                assert np.median(new[core]) > -100.0  # still solid
        far = past.place.hole & (
            ndimage.distance_transform_edt(~earlier.left, sampling=volume.grid.spacing_mm) > 7.0
        )
        if far.any():
            assert np.median(new[far]) < -780.0  # lung again
    assert diameters == sorted(diameters, reverse=True)
