"""Removed lesions: against the same patient without them, and on real CT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage, stats

from scalemai.cases.phantom import generate_phantom, sample_spec
from scalemai.cases.phantom.lesion_recipes import PhantomLesion
from scalemai.errors import ConfigError, MissingStructureError, PlacementError
from scalemai.geometry import Grid
from scalemai.io.nifti import read_mask, read_volume
from scalemai.synthesis.growth.tissue import StructureBox, crop_mask
from scalemai.synthesis.painting.noise_model import measure_noise
from scalemai.synthesis.removal.lesion_place import find_lesions, organ_of_lesion
from scalemai.synthesis.removal.removal import RemovedLesion, remove_lesion
from scalemai.synthesis.spec import LesionSpec
from scalemai.synthesis.synthesize import synthesize_volume
from scalemai.volume import Mask, Volume

from ..conftest import MakeHost, read_real_host

CENTRES = {
    "liver": (55.0, 10.0, 40.0),
    "pancreas": (0.0, 20.0, 10.0),
    "kidney_left": (-55.0, -20.0, 0.0),
}


def cut(array: NDArray[np.bool_], grid: Grid, name: str) -> StructureBox:
    box = crop_mask(Mask(array, grid, name))
    assert box is not None
    return box


def remove(
    volume: Volume, lesion: StructureBox, organ: StructureBox | None, number: int = 1, seed: int = 0
) -> RemovedLesion:
    found = find_lesions({lesion.name: lesion})
    organs = {} if organ is None else {organ.name: organ}
    return remove_lesion(volume, found[number - 1], organs, [lesion], case_id="case", seed=seed)


def box_hu(volume: Volume, removed: RemovedLesion) -> NDArray[np.float32]:
    hu = removed.stored.astype(np.float32) * volume.slope + volume.intercept
    return np.asarray(hu, np.float32)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("organ", "diameter", "phase", "tolerance"),
    [
        ("liver", 24.0, "portal_venous", 0.1),
        ("liver", 14.0, "non_contrast", 0.1),
        ("pancreas", 20.0, "portal_venous", 0.13),  # its lobules are not known any more
        ("kidney_left", 24.0, "delayed", 0.1),
    ],
)
def test_what_is_put_in_is_what_was_there_in_the_same_patient(
    organ: str, diameter: float, phase: str, tolerance: float
) -> None:
    spec = sample_spec(
        4,
        spacing_mm=(0.8, 0.8, 2.5),
        shape=(220, 200, 36),
        centre_mm=CENTRES[organ],
        orientation="LPS",
        phase=phase,
    )
    lesion = PhantomLesion(organ, "hypo", diameter, -40.0)
    truth, host = generate_phantom(spec), generate_phantom(spec, [lesion])
    (name,) = (n for n in host.structures if n.endswith("_lesion"))
    boxes = [crop_mask(host.structures[n]) for n in (name, organ)]
    assert boxes[0] is not None
    removed = remove(host.volume, boxes[0], boxes[1])
    place, grid = removed.place, removed.place.grid
    there = truth.volume.hu(place.region)
    new = box_hu(host.volume, removed)
    assert stats.ks_2samp(new[place.hole], there[place.hole]).statistic < tolerance
    assert removed.measures.histogram_ks is not None
    assert removed.measures.histogram_ks < 0.1
    inner = ndimage.binary_erosion(place.hole & place.expected, np.ones((3, 3, 1)))
    made, real = (measure_noise(hu, inner, grid) for hu in (new, there))
    assert made.sd_hu / real.sd_hu == pytest.approx(1.0, abs=0.12)
    assert removed.measures.noise_ratio == pytest.approx(1.0, abs=0.1)
    assert removed.measures.seam_ratio == pytest.approx(1.0, abs=0.2)
    m, n = (s // 2 for s in real.autocorrelation.shape)
    assert made.autocorrelation[m + 1, n] == pytest.approx(real.autocorrelation[m + 1, n], abs=0.15)
    organ_there = truth.structures[organ].array[place.region]
    wrong = np.count_nonzero((place.expected != organ_there) & place.inside)
    assert wrong < 0.15 * np.count_nonzero(place.inside)


def test_only_the_lesion_and_its_border_change_and_the_same_seed_changes_them_alike(
    make_host: MakeHost,
) -> None:
    volume, masks = make_host()
    spec = LesionSpec(organ="liver", kind="metastasis", diameter_mm=(20, 20))
    made = synthesize_volume(volume, masks, [spec], case_id="x", seed=1)
    lesion = cut(made.labels > 0, volume.grid, "liver_lesion")
    organ = cut(masks["liver"].array, volume.grid, "liver")
    one, again, other = (remove(made.volume, lesion, organ, seed=seed) for seed in (0, 0, 1))
    before = made.volume.stored[one.place.region]
    assert (one.stored[~one.edited] == before[~one.edited]).all()
    assert one.stored.tobytes() == again.stored.tobytes()
    assert (one.stored != other.stored).any()
    distance = ndimage.distance_transform_edt(~one.place.inside, sampling=volume.grid.spacing_mm)
    assert distance[one.edited].max() < 7.0


def test_lesions_are_numbered_from_the_largest_and_counted_once_over_masks(
    make_host: MakeHost,
) -> None:
    volume, _ = make_host()
    world = volume.grid.to_world(np.moveaxis(np.indices(volume.grid.shape), 0, -1))
    large = np.linalg.norm(world - (20, 0, 0), axis=-1) < 8
    small = np.linalg.norm(world - (-20, 0, 0), axis=-1) < 4
    every = cut(large | small, volume.grid, "liver_lesion")
    kind = cut(small, volume.grid, "liver_cyst")
    found = find_lesions({"liver_lesion": every, "liver_cyst": kind})
    assert [one.number for one in found] == [1, 2]
    assert [one.voxels for one in found] == [large.sum(), small.sum()]


def test_lesions_that_cannot_be_removed_are_refused_in_one_line(make_host: MakeHost) -> None:
    volume, masks = make_host()
    grid = volume.grid
    organ = cut(masks["liver"].array, grid, "liver")
    world = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))

    def sphere(radius: float, *at: float) -> StructureBox:
        return cut(np.linalg.norm(world - at, axis=-1) < radius, grid, "liver_lesion")

    with pytest.raises(PlacementError, match="touches the border of the scan"):
        remove(volume, sphere(15, -66, 0, 0), organ)
    with pytest.raises(PlacementError, match="% of the liver"):
        remove(volume, sphere(46, 0, 0, 0), organ)
    with pytest.raises(PlacementError, match="outside the liver"):
        remove(volume, sphere(4, 50, 50, 50), organ)
    with pytest.raises(MissingStructureError, match="has no mask of the liver"):
        remove(volume, sphere(8, 0, 0, 0), None)
    for name, lost in (("colon_lesion", "wall"), ("bone_lesion", "cortex")):
        with pytest.raises(ConfigError, match=f"the {lost} that it grew in"):
            organ_of_lesion(name)


@pytest.mark.slow
def test_an_arterial_kidney_gets_cortex_and_pyramids_in_its_own_shares_without_a_seam() -> None:
    spec = sample_spec(
        57,
        spacing_mm=(0.8, 0.8, 2.5),
        shape=(130, 130, 44),
        centre_mm=CENTRES["kidney_left"],
        orientation="LPS",
        phase="arterial",
    )
    host = generate_phantom(spec, [PhantomLesion("kidney_left", "hypo", 25.42, -40.0)])
    boxes = [crop_mask(host.structures[n]) for n in ("kidney_lesion", "kidney_left")]
    assert boxes[0] is not None
    measures = remove(host.volume, boxes[0], boxes[1]).measures
    assert measures.histogram_ks is not None
    assert measures.histogram_ks < 0.1
    assert measures.noise_ratio == pytest.approx(1.0, abs=0.1)
    assert measures.seam_ratio == pytest.approx(1.0, abs=0.25)


@pytest.mark.real
def test_lesions_grown_in_a_real_liver_are_removed_to_what_was_there(shared_data: Path) -> None:
    volume, masks = read_real_host(shared_data, "crlm1004", ("liver",))
    organ = cut(masks["liver"].array, volume.grid, "liver")
    distances, ratios, seams, biases = [], [], [], []
    for seed in range(4):
        spec = LesionSpec(organ="liver", kind="metastasis", diameter_mm=(15, 35))
        made = synthesize_volume(volume, masks, [spec], case_id="real", seed=seed)
        removed = remove(made.volume, cut(made.labels > 0, volume.grid, "liver_lesion"), organ)
        place = removed.place
        inner = place.hole & ndimage.binary_erosion(place.expected, np.ones((3, 3, 1)))
        new, there = box_hu(volume, removed)[inner], volume.hu(place.region)[inner]
        distances.append(stats.ks_2samp(new, there).statistic)
        biases.append(new.mean() - there.mean())
        ratios.append(removed.measures.noise_ratio)
        seams.append(removed.measures.seam_ratio)
    assert np.median(distances) < 0.1
    assert max(map(abs, biases)) < 8.0
    assert np.mean([r for r in ratios if r is not None]) == pytest.approx(1.0, abs=0.12)
    assert np.mean([s for s in seams if s is not None]) == pytest.approx(1.0, abs=0.15)


@pytest.mark.real
def test_a_real_nodule_becomes_lung_with_its_noise_and_vessels(shared_data: Path) -> None:
    folder = shared_data / "lung_tumor" / "lidc0001"
    volume = read_volume(folder / "ct_roi.nii.gz")
    mask = read_mask(folder / "nodule.nii.gz").array
    removed = remove(volume, cut(mask, volume.grid, "lung_lesion"), None)
    assert removed.place.structure == ""  # found by its attenuation
    before = volume.hu(removed.place.region)[removed.place.inside]
    after = box_hu(volume, removed)[removed.place.inside]
    assert np.median(before) > -100.0
    assert -950.0 < np.median(after) < -780.0
    assert (after > -600.0).mean() < 0.25
    assert removed.measures.histogram_ks is not None
    assert removed.measures.histogram_ks < 0.1
    assert removed.measures.noise_ratio == pytest.approx(1.0, abs=0.15)
