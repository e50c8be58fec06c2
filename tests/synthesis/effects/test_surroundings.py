"""What a lesion does to its surroundings, through the synthesis: voxels and masks together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from scalemai.anatomy import organ
from scalemai.geometry import Grid
from scalemai.synthesis.effects.contact import vessel_contacts
from scalemai.synthesis.growth.tissue import StructureBox
from scalemai.synthesis.spec import LesionSpec
from scalemai.synthesis.synthesize import synthesize_volume
from scalemai.volume import Mask, Volume

from ..conftest import Host, MakeHost, read_real_host


@pytest.mark.real
def test_mass_effect_keeps_every_label_within_one_percent(shared_data: Path) -> None:
    folder = shared_data / "abdomen" / "ts_example_3mm" / "segmentations"
    names = tuple(path.name.removesuffix(".nii.gz") for path in sorted(folder.glob("*.nii.gz")))
    volume, masks = read_real_host(shared_data, "ts_example_3mm", names)
    spec = LesionSpec(organ="liver", kind="hcc", diameter_mm=(45, 50), mass_effect=True)
    made = synthesize_volume(volume, masks, [spec], case_id="mass", seed=1)
    moved = made.effects[0].displacement
    assert moved is not None
    assert moved.least_jacobian > 0.0
    assert moved.greatest_mm > 1.5
    lesion = made.labels == 1
    for name, mask in masks.items():
        before = np.count_nonzero(mask.array)
        outside = np.count_nonzero(made.mask(name).array & ~lesion)
        if name == "liver":  # the rest of the lesion took the place of tissue
            replaced = (1.0 - moved.share) * np.count_nonzero(lesion)
            assert outside == pytest.approx(before - replaced, rel=0.01)
        elif before >= 100:
            assert outside == pytest.approx(before, rel=0.01, abs=2), name


def test_mass_effect_moves_image_and_label_as_one(make_host: MakeHost) -> None:
    """The surface of the organ, in the image, lies where the new mask says."""
    volume, masks = make_host(semi_axes_mm=(40.0, 36.0, 36.0), noise_hu=4.0)
    spec = LesionSpec(
        organ="liver", kind="metastasis", diameter_mm=(30, 30), at_mm=(22.0, 0, 0),
        mass_effect=True, exophytic=False,
    )  # fmt: skip
    made = synthesize_volume(volume, masks, [spec], case_id="bulge", seed=0)
    after = made.mask("liver").array
    bulged = after & ~masks["liver"].array
    assert bulged.sum() > 200
    assert "liver" in made.changed
    inner = ndimage.binary_erosion(after, iterations=2) & (made.labels == 0)
    outer = ~ndimage.binary_dilation(after, iterations=2)
    assert np.percentile(made.volume.hu()[inner], 1) > 20.0
    assert np.percentile(made.volume.hu()[outer], 99) < -40.0


def test_nothing_moves_where_no_mass_effect_is_wanted(make_host: MakeHost) -> None:
    volume, masks = make_host()
    spec = LesionSpec(organ="liver", diameter_mm=(30, 30), mass_effect=False, exophytic=False)
    made = synthesize_volume(volume, masks, [spec], case_id="still", seed=0)
    assert made.effects[0].displacement is None
    assert made.changed == ()


def test_an_exophytic_lesion_leaves_the_organ_and_the_organ_includes_it(
    make_host: MakeHost,
) -> None:
    volume, masks = make_host(organ="kidney_left", semi_axes_mm=(25.0, 25.0, 40.0))
    spec = LesionSpec(
        organ="kidney", kind="clear_cell", diameter_mm=(30, 30), exophytic=True, mass_effect=False
    )
    made = synthesize_volume(volume, masks, [spec], case_id="exo", seed=3)
    lesion, before = made.labels == 1, masks["kidney_left"].array
    beyond = lesion & ~before
    assert beyond.sum() > 0.1 * lesion.sum()
    assert (made.mask("kidney_left").array == (before | lesion)).all()
    # What was fat is tumor, with the noise of the scan.
    deep = beyond & ndimage.binary_erosion(lesion, iterations=2)
    assert (
        abs(np.median(made.volume.hu()[deep]) - np.median(made.volume.hu()[lesion & before])) < 25
    )
    assert made.volume.hu()[deep].std() < 30


def pancreas_host() -> Host:
    """A straight gland along x in fat, with its duct, and an artery of 8 mm beside it."""
    shape = (130, 70, 60)
    affine = np.eye(4)
    affine[:3, 3] = [-(n - 1) / 2 for n in shape]
    grid = Grid(shape, affine)
    x, y, z = np.moveaxis(grid.to_world(np.moveaxis(np.indices(shape), 0, -1)), -1, 0)
    gland = (np.hypot(y, z) <= 11.0) & (np.abs(x) <= 55.0)
    duct = (np.hypot(y, z) <= 1.0) & (np.abs(x) <= 50.0)
    artery = np.hypot(y + 15.0, x + 20.0) <= 4.0
    hu = np.full(shape, -100.0)
    hu[gland], hu[artery], hu[duct] = 100.0, 200.0, 30.0
    hu = ndimage.gaussian_filter(hu, 0.6)
    noise = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(shape), 0.7)
    hu += noise * (10.0 / noise.std())
    third = {
        "pancreas_head": gland & (x > 20.0),
        "pancreas_body": gland & (np.abs(x) <= 20.0),
        "pancreas_tail": gland & (x < -20.0),
    }
    arrays = {
        "pancreas": gland, "pancreatic_duct": duct, "superior_mesenteric_artery": artery, **third
    }  # fmt: skip
    masks = {n: Mask(np.asfortranarray(a), grid, n) for n, a in arrays.items()}
    stored = np.asfortranarray(hu.round().astype(np.int16))
    return Volume(stored, grid, metadata={"phase": "portal_venous"}), masks


def test_a_tumor_of_the_head_dilates_the_duct_and_thins_the_gland_upstream() -> None:
    volume, masks = pancreas_host()
    spec = LesionSpec(
        organ="pancreas", kind="pdac", site="head", diameter_mm=(18, 18), duct=True, atrophy=True,
        mass_effect=False,
    )  # fmt: skip
    made = synthesize_volume(volume, masks, [spec], case_id="duct", seed=0)
    before = masks["pancreatic_duct"].array
    after = made.mask("pancreatic_duct").array
    x = made.volume.grid.to_world(np.argwhere(after))[:, 0]
    upstream = slice(30, 55)  # voxels along x, tail side of the tumor
    assert after[upstream].sum() > 3 * before[upstream].sum()
    assert x.min() < -30.0
    inside = ndimage.binary_erosion(after)[upstream]
    assert 0.0 < np.median(made.volume.hu()[upstream][inside]) < 35.0
    gland = made.mask("pancreas").array | after
    assert gland[upstream].sum() < 0.95 * (masks["pancreas"].array | before)[upstream].sum()
    assert {"pancreas", "pancreatic_duct"} <= set(made.changed)


@pytest.mark.parametrize("angles", [(60.0, 120.0), (150.0, 220.0)])
def test_a_contact_angle_that_is_asked_for_is_measured_on_the_result(
    angles: tuple[float, float],
) -> None:
    volume, masks = pancreas_host()
    spec = LesionSpec(
        organ="pancreas", kind="pdac", diameter_mm=(22, 26), mass_effect=False, duct=False,
        vessel=("superior_mesenteric_artery", angles),
    )  # fmt: skip
    made = synthesize_volume(volume, masks, [spec], case_id="touch", seed=1)
    one = made.lesions[0]
    box = StructureBox("lesion", one.region, one.mask)
    artery = masks["superior_mesenteric_artery"].array
    vessels = {"superior_mesenteric_artery": StructureBox("a", _whole(artery), artery)}
    found = vessel_contacts(box, vessels, volume.grid)
    assert found
    assert angles[0] - 25.0 <= found[0].angle_deg <= angles[1] + 25.0


def test_a_vessel_of_six_millimetres_is_wrapped_not_erased(make_host: MakeHost) -> None:
    volume, masks = make_host(noise_hu=6.0)
    x, y, _ = np.moveaxis(
        volume.grid.to_world(np.moveaxis(np.indices(volume.grid.shape), 0, -1)), -1, 0
    )
    tube = np.hypot(x - 9.0, y) <= 3.0
    stored = volume.stored.copy(order="K")
    stored[tube] += 90
    host = volume.with_stored(stored)
    spec = LesionSpec(
        organ="liver", kind="hcc", diameter_mm=(34, 34), at_mm=(0.0, 0, 0),
        mass_effect=False, exophytic=False, necrosis=False,
    )  # fmt: skip
    masks = masks | {"hepatic_vessel": Mask(np.asfortranarray(tube), volume.grid, "hepatic_vessel")}
    made = synthesize_volume(host, masks, [spec], case_id="wrap", seed=0)
    lesion = made.labels == 1
    middle = np.hypot(x - 9.0, y) < 0.9
    k = volume.grid.shape[2] // 2
    assert np.array_equal(made.volume.stored[middle], host.stored[middle])
    around = ndimage.binary_dilation(tube[:, :, k], iterations=2) & ~tube[:, :, k]
    assert lesion[:, :, k][around].mean() > 0.8


def test_satellites_are_small_and_near_and_know_their_parent(make_host: MakeHost) -> None:
    volume, masks = make_host()
    spec = LesionSpec(organ="liver", kind="metastasis", diameter_mm=(24, 24), satellites=True)
    made = synthesize_volume(volume, masks, [spec], case_id="sat", seed=2)
    first, *others = made.lesions
    assert others
    for one in others:
        assert one.recipe.parent == 1
        assert one.recipe.kind == first.recipe.kind
        assert one.recipe.diameter_mm < 0.5 * first.recipe.diameter_mm
        away = np.linalg.norm(np.subtract(one.recipe.centre_mm, first.recipe.centre_mm))
        assert away < first.recipe.diameter_mm + 12.0


def test_earlier_lesions_are_pushed_along_and_stay_labelled(make_host: MakeHost) -> None:
    volume, masks = make_host()
    small = LesionSpec(organ="liver", kind="cyst", diameter_mm=(10, 10), at_mm=(-22.0, 0, 0))
    large = LesionSpec(
        organ="liver", kind="hcc", diameter_mm=(40, 40), at_mm=(8.0, 0, 0), mass_effect=True
    )
    alone = synthesize_volume(volume, masks, [small], case_id="two", seed=0)
    both = synthesize_volume(volume, masks, [small, large], case_id="two", seed=0)
    where = [np.argwhere(made.labels == 1).mean(axis=0) for made in (alone, both)]
    assert where[1][0] < where[0][0] - 0.5  # away from the large one
    count = [np.count_nonzero(made.labels == 1) for made in (alone, both)]
    assert count[1] == pytest.approx(count[0], rel=0.05)
    assert both.lesions[0].measures.voxels == count[1]
    dark = np.median(both.volume.hu()[both.labels == 1])
    assert dark < 40.0


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"organ": "liver", "kind": "pdac"}, "lesion kind of liver"),
        ({"organ": "liver", "form": "polypoid"}, "form"),
        ({"organ": "liver", "duct": True}, "duct"),
        ({"organ": "pancreas", "kind": "cyst", "duct": True}, "duct"),
        ({"organ": "pancreas", "atrophy": True, "duct": False}, "atrophy"),
        ({"organ": "liver", "kind": "cyst", "contrast": "hyper"}, "contrast"),
        ({"organ": "liver", "contrast": "hypo", "contrast_hu": 20.0}, "contrast"),
        ({"organ": "liver", "margin": "fuzzy"}, "margin"),
        ({"organ": "pancreas", "vessel": ("aorta", (90, 180))}, "vessel"),
        ({"organ": "pancreas", "vessel": ("celiac_artery", (90, 400))}, "vessel"),
        ({"organ": "liver", "uniform": True, "necrosis": True}, "uniform"),
        ({"organ": "liver", "satellites": "many"}, "satellites"),
    ],
)
def test_specs_that_contradict_themselves_name_the_field(
    fields: dict[str, object], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        LesionSpec(**fields)  # type: ignore[arg-type]


def test_every_organ_offers_what_its_facts_say() -> None:
    for name in ("liver", "colon", "lung", "bone"):
        for kind in organ(name).kinds:
            for form in kind.forms:
                assert LesionSpec(organ=name, kind=kind.name, form=form.name).form == form.name


def _whole(array: np.ndarray) -> tuple[slice, slice, slice]:
    a, b, c = (slice(0, n) for n in array.shape)
    return a, b, c
