"""What a user asks for is what the voxels show."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from scalemai.errors import ConfigError, MissingStructureError, PlacementError
from scalemai.measure import longest_axial_diameter_mm
from scalemai.synthesis.growth.tissue import crop_mask
from scalemai.synthesis.painting.appearance import VISIBILITY_HU
from scalemai.synthesis.painting.lesion import size_tolerance_mm
from scalemai.synthesis.recipe import Recipe
from scalemai.synthesis.spec import LesionSpec, parse_range, random_stream
from scalemai.synthesis.synthesize import paint_recipes, synthesize_volume
from scalemai.volume import Mask

from .conftest import MakeHost


@pytest.mark.parametrize("diameter", [3.0, 6.0, 12.0, 25.0, 40.0])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 0.8, 5.0), (3.0, 3.0, 3.0)])
def test_the_diameter_is_the_one_asked_for(
    make_host: MakeHost, diameter: float, spacing: tuple[float, float, float]
) -> None:
    volume, masks = make_host(spacing_mm=spacing)
    spec = LesionSpec(organ="liver", diameter_mm=(diameter, diameter))
    for seed in range(3):
        made = synthesize_volume(volume, masks, [spec], case_id="a", seed=seed)
        width = longest_axial_diameter_mm(made.labels == 1, volume.grid)
        assert width == pytest.approx(diameter, abs=size_tolerance_mm(diameter, volume))
        assert made.lesions[0].measures.longest_axial_diameter_mm == width


def test_labels_and_changes_are_one(make_host: MakeHost) -> None:
    volume, masks = make_host()
    spec = LesionSpec(
        organ="liver", diameter_mm=(8, 30), mass_effect=False, exophytic=False, duct=False
    )
    made = synthesize_volume(volume, masks, [spec] * 4, case_id="a", seed=1)
    change = made.volume.stored.astype(int) - volume.stored
    labelled = made.labels > 0
    assert np.abs(change[labelled]).min() >= VISIBILITY_HU - 0.5
    assert not change[~masks["liver"].array].any()
    for lesion in made.lesions:  # the border fades out within the distance that is stated
        away = ndimage.distance_transform_edt(made.labels != lesion.recipe.number)
        farthest = away[lesion.region][lesion.edited].max()
        assert farthest <= lesion.measures.border_mm + 1.0
    edited = np.zeros(volume.grid.shape, bool)
    for lesion in made.lesions:
        assert not edited[lesion.region][lesion.edited].any()  # no two lesions share a voxel
        edited[lesion.region] |= lesion.edited
    assert np.array_equal(edited, change != 0)


def test_the_host_is_not_changed(make_host: MakeHost) -> None:
    volume, masks = make_host()
    before = volume.stored.copy()
    synthesize_volume(volume, masks, [LesionSpec(organ="liver")], case_id="a", seed=0)
    assert np.array_equal(volume.stored, before)


def test_noise_within_a_uniform_lesion_is_that_of_the_scan(make_host: MakeHost) -> None:
    ratios, spectra = [], []
    for seed in range(20):
        volume, masks = make_host(seed=seed)
        spec = LesionSpec(
            organ="liver", kind="metastasis", diameter_mm=(20, 20), uniform=True, contrast_hu=-40
        )
        made = synthesize_volume(volume, masks, [spec], case_id="a", seed=seed)
        lesion = made.lesions[0]
        # The core of the lesion, where density is full, against the same voxels of the host and
        # against other parenchyma.
        core = _core(made.labels == 1)
        inside = made.volume.stored[core].astype(float)
        ratios.append(inside.std() / 12.0)
        spectra.append((_steps(made.volume.stored, core), _steps(volume.stored, core)))
        assert lesion.measures.noise_hu == pytest.approx(12.0, rel=0.12)
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.1)
    after, before = np.mean(spectra, axis=0)
    assert after == pytest.approx(before, rel=0.1)


def _core(mask: np.ndarray) -> np.ndarray:
    return ndimage.distance_transform_edt(mask) >= 4.0


def _steps(stored: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Variances of differences at lags of 1, 2 and 3 voxels: the spectrum in another basis."""
    both = [where[:-lag] & where[lag:] for lag in (1, 2, 3)]
    difference = [stored[lag:].astype(float) - stored[:-lag] for lag in (1, 2, 3)]
    return np.array([d[b].var() for d, b in zip(difference, both, strict=True)])


def test_small_lesions_keep_their_volume_on_coarse_grids(make_host: MakeHost) -> None:
    hosts = [make_host(spacing_mm=(step, step, step), noise_hu=3.0) for step in (1.0, 3.0)]
    ratios = []
    for seed in range(16):
        spec = LesionSpec(
            organ="liver", kind="metastasis", diameter_mm=(9, 16), at_mm=(4.0, -6.0, 5.0)
        )
        one, three = (
            synthesize_volume(*host, [spec], case_id="a", seed=seed).lesions[0].measures
            for host in hosts
        )
        ratios.append(three.volume_mm3 / one.volume_mm3)
    assert np.median(ratios) == pytest.approx(1.0, abs=0.10)


def test_volumes_do_not_depend_on_spacing(make_host: MakeHost) -> None:
    fine = make_host(spacing_mm=(1.0, 1.0, 1.0), noise_hu=4.0)
    coarse = make_host(spacing_mm=(3.0, 3.0, 3.0), noise_hu=4.0)
    ratios = []
    for seed in range(12):
        spec = LesionSpec(
            organ="liver", kind="metastasis", diameter_mm=(18, 40), at_mm=(4.0, -6.0, 5.0)
        )
        sizes = [
            synthesize_volume(*host, [spec], case_id="a", seed=seed).lesions[0].measures.volume_mm3
            for host in (fine, coarse)
        ]
        ratios.append(sizes[1] / sizes[0])
    assert np.abs(np.array(ratios) - 1).max() < 0.10


def test_an_unenhanced_liver_is_not_driven_to_fat(make_host: MakeHost) -> None:
    volume, masks = make_host(parenchyma_hu=45.0, noise_hu=16.0, phase=None)
    for kind in ("hcc", "metastasis", "hemangioma", "cyst"):
        for seed in range(4):
            spec = LesionSpec(organ="liver", kind=kind, diameter_mm=(15, 35))
            made = synthesize_volume(volume, masks, [spec], case_id="a", seed=seed)
            inside = made.volume.stored[_core(made.labels == 1)]
            assert -5.0 < inside.mean() < 80.0
            assert abs(made.lesions[0].recipe.contrast_hu) >= 8.0


def test_a_necrotic_core_stays_tumor(make_host: MakeHost) -> None:
    volume, masks = make_host()
    spec = LesionSpec(organ="liver", kind="metastasis", diameter_mm=(40, 40))
    seen = 0
    for seed in range(12):
        made = synthesize_volume(volume, masks, [spec], case_id="a", seed=seed)
        recipe = made.lesions[0].recipe
        if recipe.necrosis is None:
            continue
        seen += 1
        centre = tuple(np.rint(volume.grid.to_voxel(recipe.centre_mm)).astype(int))
        ball = tuple(slice(c - 2, c + 3) for c in centre)
        assert (made.labels[ball] == 1).all()
        assert made.volume.stored[ball].mean() == pytest.approx(recipe.necrosis.core_hu, abs=15)
    assert seen >= 3


def test_recipes_survive_json_and_paint_the_same_voxels(make_host: MakeHost) -> None:
    import json

    volume, masks = make_host()
    specs = [LesionSpec(organ="liver", diameter_mm=(5, 30))] * 3
    made = synthesize_volume(volume, masks, specs, case_id="a", seed=4)
    text = json.dumps([lesion.recipe.to_json() for lesion in made.lesions])
    recipes = [Recipe.from_json(data) for data in json.loads(text)]
    boxes = {name: box for name, mask in masks.items() if (box := crop_mask(mask)) is not None}
    again = paint_recipes(volume, boxes, recipes, case_id="a").lesions
    assert np.array_equal(volume.stored, made.volume.stored)
    assert all(np.array_equal(a.mask, b.mask) for a, b in zip(again, made.lesions, strict=True))


def test_lesions_of_one_case_do_not_touch(make_host: MakeHost) -> None:
    volume, masks = make_host()
    specs = [LesionSpec(organ="liver", diameter_mm=(10, 25))] * 6
    made = synthesize_volume(volume, masks, specs, case_id="a", seed=2)
    for number in range(1, 7):
        grown = ndimage.binary_dilation(made.labels == number)
        assert set(np.unique(made.labels[grown])) <= {0, number}


def test_existing_lesions_are_left_alone(make_host: MakeHost) -> None:
    volume, masks = make_host()
    known = np.zeros(volume.grid.shape, bool, order="F")
    known[20:70, 20:90, 20:90] = masks["liver"].array[20:70, 20:90, 20:90]
    masks["liver_lesion"] = Mask(known, volume.grid, "liver_lesion")
    specs = [LesionSpec(organ="liver", diameter_mm=(10, 30), mass_effect=False)] * 4
    made = synthesize_volume(volume, masks, specs, case_id="a", seed=2)
    assert not made.labels[known].any()
    assert np.array_equal(made.volume.stored[known], volume.stored[known])


def test_a_real_tumor_bars_growth_whatever_its_mask_is_called(make_host: MakeHost) -> None:
    volume, masks = make_host()
    known = np.zeros(volume.grid.shape, bool, order="F")
    known[:70] = masks["liver"].array[:70]
    masks["liver_tumour_gt"] = Mask(known, volume.grid, "liver_tumour_gt")
    spec = LesionSpec(organ="liver", diameter_mm=(10, 20))
    made = synthesize_volume(volume, masks, [spec] * 3, case_id="a", seed=2)
    assert not made.labels[known].any()


def test_a_site_whose_mask_is_missing_is_named(make_host: MakeHost) -> None:
    volume, masks = make_host(organ="kidney_right")
    spec = LesionSpec(organ="kidney", site="left", diameter_mm=(8, 12))
    with pytest.raises(MissingStructureError, match="no mask of the kidney_left, which the site"):
        synthesize_volume(volume, masks, [spec], case_id="a", seed=0)


def test_an_impossible_attenuation_is_refused(make_host: MakeHost) -> None:
    volume, masks = make_host()
    spec = LesionSpec(organ="liver", diameter_mm=(8, 12), contrast_hu=-900)
    with pytest.raises(ConfigError, match="would make a lesion of -790 HU"):
        synthesize_volume(volume, masks, [spec], case_id="a", seed=0)


def test_crumbs_of_mask_do_not_move_the_parts_of_the_pancreas(make_host: MakeHost) -> None:
    volume, masks = make_host(organ="pancreas", semi_axes_mm=(60.0, 10.0, 10.0))
    array = masks["pancreas"].array.copy(order="F")
    array[-4:-1, :3, :3] = True  # far right of the gland
    for name in (array, masks["pancreas"].array):
        masks = {"pancreas": Mask(name, volume.grid, "pancreas")}
        for site, low, high in (("head", 5.0, 60.0), ("tail", -60.0, -5.0)):
            spec = LesionSpec(organ="pancreas", site=site, diameter_mm=(6, 9))
            places = [
                synthesize_volume(volume, masks, [spec], case_id="a", seed=seed)
                .lesions[0]
                .recipe.centre_mm[0]
                for seed in range(6)
            ]
            assert low < min(places) <= max(places) < high


def test_another_number_of_lesions_does_not_change_the_first(make_host: MakeHost) -> None:
    volume, masks = make_host()
    spec = LesionSpec(organ="liver", diameter_mm=(10, 20))
    one = synthesize_volume(volume, masks, [spec], case_id="a", seed=3)
    three = synthesize_volume(volume, masks, [spec] * 3, case_id="a", seed=3)
    assert three.lesions[0].recipe == one.lesions[0].recipe


def test_streams_are_independent_of_order_and_differ_by_key() -> None:
    first = random_stream(1, "a", 1, "shape").random(4)
    assert np.array_equal(first, random_stream(1, "a", 1, "shape").random(4))
    keys = [(2, "a", 1, "shape"), (1, "b", 1, "shape"), (1, "a", 2, "shape"), (1, "a", 1, "look")]
    for key in keys:
        assert not np.array_equal(first, random_stream(*key).random(4))


def test_a_missing_organ_is_named(make_host: MakeHost) -> None:
    volume, masks = make_host()
    with pytest.raises(MissingStructureError, match="case7: has no mask of the pancreas"):
        synthesize_volume(volume, masks, [LesionSpec(organ="pancreas")], case_id="case7", seed=0)


def test_an_organ_too_small_says_how_wide_it_is(make_host: MakeHost) -> None:
    volume, masks = make_host(semi_axes_mm=(10.0, 8.0, 8.0))
    with pytest.raises(PlacementError, match=r"at most \d+ mm wide, too small for a lesion of 60"):
        synthesize_volume(
            volume, masks, [LesionSpec(organ="liver", diameter_mm=(60, 80))], case_id="a", seed=0
        )


def test_lack_of_room_is_recorded(make_host: MakeHost) -> None:
    volume, masks = make_host(semi_axes_mm=(40.0, 6.0, 6.0))
    spec = LesionSpec(organ="liver", diameter_mm=(70, 75), at_mm=(30.0, 0.0, 0.0))
    made = synthesize_volume(volume, masks, [spec], case_id="a", seed=0)
    measures = made.lesions[0].measures
    assert measures.complete == (measures.limited_by == "")
    if not measures.complete:
        assert "no more room in the liver" in measures.limited_by


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"organ": "livr"}, "did you mean 'liver'"),
        ({"organ": "liver", "kind": "pdac"}, "unknown lesion kind"),
        ({"organ": "liver", "site": "tail"}, "site: liver has no site 'tail'"),
        ({"organ": "liver", "diameter_mm": (1, 5)}, "diameter_mm: 1-5 mm"),
        ({"organ": "liver", "diameter_mm": (9, 5)}, "diameter_mm: 9-5 mm"),
        ({"organ": "liver", "diameter_mm": (5, float("nan"))}, "diameter_mm"),
        ({"organ": "liver", "contrast_hu": 0.0}, "contrast_hu"),
    ],
)
def test_impossible_specs_name_the_field(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LesionSpec(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "range_mm"),
    [("12", (12, 12)), ("3-40mm", (3, 40)), ("0.5 - 2 cm", (5, 20)), ("3 to 8", (3, 8))],
)
def test_ranges_are_read(text: str, range_mm: tuple[float, float]) -> None:
    assert parse_range(text, where="--diameter") == range_mm


@pytest.mark.parametrize("text", ["", "mm", "-3", "40-3mm", "3-", "1e3", "3-4-5"])
def test_a_text_that_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--diameter"):
        parse_range(text, where="--diameter")
