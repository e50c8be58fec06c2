"""Lesions in patches that are held in memory, without any framework."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from scalemai.errors import ConfigError, GeometryError, IntensityError, UnknownNameError
from scalemai.geometry import Grid
from scalemai.synthesis.populations.population import TumorPopulation
from scalemai.synthesis.spec import LesionSpec
from scalemai.transforms.border import cut_share
from scalemai.transforms.normalization import Normalization
from scalemai.transforms.patch import PatchSynthesizer

from .patches import NAMES, SPEC, liver_patch

PATCH = liver_patch()
WINDOW = Normalization.window(-175, 250)
ZSCORE = Normalization.zscore(90.0, 40.0, -60.0, 180.0)


def synthesizer(**changes: Any) -> PatchSynthesizer:
    return PatchSynthesizer(**({"specs": SPEC, "labels": NAMES} | changes))


def test_a_lesion_lies_in_the_organ_and_nothing_else_changes() -> None:
    kept = PATCH.hu.copy(), PATCH.labels.copy()
    image, labels = synthesizer()(PATCH.hu, PATCH.labels, PATCH.affine, seed=1)
    new = labels == 2
    assert 100 < np.count_nonzero(new) < 2500
    assert (PATCH.labels[new] == 1).all()
    assert (np.abs(image - PATCH.hu)[new] >= 2.0).all()
    np.testing.assert_array_equal(labels[~new], PATCH.labels[~new])
    far = PATCH.labels != 1
    changed = (image != PATCH.hu) & far
    # Voxels beside the mask are partly organ, as masks are drawn a little small.
    assert np.count_nonzero(changed) < 0.05 * np.count_nonzero(new)
    np.testing.assert_array_equal(PATCH.hu, kept[0])
    np.testing.assert_array_equal(PATCH.labels, kept[1])
    assert image.dtype == np.float32
    assert labels.dtype == np.uint8


def test_what_lies_away_from_the_organ_does_not_change_a_lesion_inside_of_it() -> None:
    nearby = PATCH.labels == 1
    for _ in range(5):
        grown = nearby.copy()
        for axis in range(3):
            grown |= np.roll(nearby, 1, axis) | np.roll(nearby, -1, axis)
        nearby = grown
    other = np.where(nearby, PATCH.hu, PATCH.hu - 300.0).astype(np.float32)
    first = synthesizer().edit(PATCH.hu, PATCH.labels, PATCH.affine, seed=1)
    second = synthesizer().edit(other, PATCH.labels, PATCH.affine, seed=1)
    assert first.region == second.region
    assert first.labels is not None
    np.testing.assert_array_equal(first.labels, second.labels)
    assert first.region is not None
    assert first.image is not None
    assert second.image is not None
    edited = first.image != PATCH.hu[first.region]
    assert edited.any()
    np.testing.assert_array_equal(first.image[edited], second.image[edited])


def test_seed_and_key_decide_alone() -> None:
    one = synthesizer()
    first = one.edit(PATCH.hu, PATCH.labels, PATCH.affine, seed=5, key="a")
    again = pickle.loads(pickle.dumps(one)).edit(
        PATCH.hu, PATCH.labels, PATCH.affine, seed=5, key="a"
    )
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.labels, again.labels)
    places = {
        one.edit(PATCH.hu, PATCH.labels, PATCH.affine, seed=seed, key=key)
        .lesions[0]
        .recipe.centre_mm
        for seed, key in ((5, "a"), (6, "a"), (5, "b"))
    }
    assert len(places) == 3


def test_the_box_in_world_space_is_the_one_of_the_patch() -> None:
    edit = synthesizer().edit(PATCH.hu, PATCH.labels, PATCH.affine, seed=2)
    (lesion,) = edit.lesions
    assert lesion.region == edit.region
    voxels = np.argwhere(lesion.mask) + [s.start for s in lesion.region]
    middle = PATCH.grid.to_world(voxels.mean(axis=0))
    assert np.linalg.norm(middle - lesion.recipe.centre_mm) < 6.0


@pytest.mark.parametrize("kind", [np.int16, np.float64, np.float16])
def test_the_types_of_the_patch_are_kept(kind: type) -> None:
    hu = PATCH.hu.astype(kind)
    image, labels = synthesizer()(hu, PATCH.labels.astype(np.float32), PATCH.affine, seed=1)
    assert image.dtype == kind
    assert labels.dtype == np.float32
    assert (image[labels == 2] != hu[labels == 2]).all()


def test_painting_after_a_window_equals_painting_before_it() -> None:
    # A window that clips nothing near the organ.
    wide = Normalization.window(-300, 400)
    before, labels = synthesizer()(PATCH.hu, PATCH.labels, PATCH.affine, seed=4)
    normalised = wide.from_hu(PATCH.hu)
    after, same = synthesizer(normalization=wide)(normalised, PATCH.labels, PATCH.affine, seed=4)
    np.testing.assert_array_equal(labels, same)
    np.testing.assert_allclose(after, wide.from_hu(before), atol=1e-5)
    untouched = before == PATCH.hu
    np.testing.assert_array_equal(after[untouched], normalised[untouched])


@pytest.mark.parametrize("normalization", [WINDOW, ZSCORE])
def test_clipped_voxels_that_are_not_painted_stay(normalization: Normalization) -> None:
    normalised = normalization.from_hu(PATCH.hu)
    low, high = normalised.min(), normalised.max()
    dark = replace(SPEC, contrast_hu=-40.0, rim=False)
    one = synthesizer(specs=dark, normalization=normalization)
    image, labels = one(normalised, PATCH.labels, PATCH.affine, seed=4)
    assert image.min() == low
    assert image.max() == high
    rib = np.s_[:, -4:, :]
    np.testing.assert_array_equal(image[rib], normalised[rib])
    inside = labels == 2
    assert np.median(image[inside]) < np.median(normalised[inside]) - 0.05


def test_existing_lesions_are_barriers() -> None:
    labels = PATCH.labels.copy()
    labels[8:24, 16:32, 12:28] = 2
    for seed in range(4):
        image, after = synthesizer()(PATCH.hu, labels, PATCH.affine, seed=seed)
        np.testing.assert_array_equal(image[labels == 2], PATCH.hu[labels == 2])
        assert np.count_nonzero(after == 2) > np.count_nonzero(labels == 2)


def test_lesions_put_in_before_are_barriers_though_no_class_map_knows_them() -> None:
    one = synthesizer(labels={1: "liver"}, lesion_value=9)
    image, labels = one(PATCH.hu, PATCH.labels, PATCH.affine, seed=1)
    again, more = one(image, labels, PATCH.affine, seed=2)
    first = labels == 9
    np.testing.assert_array_equal(again[first], image[first])
    assert (more[first] == 9).all()
    assert np.count_nonzero(more == 9) > np.count_nonzero(first)


def test_a_number_of_lesions_can_be_asked_for() -> None:
    small = LesionSpec(organ="liver", diameter_mm=(5.0, 8.0), kind="cyst")
    edits = [
        synthesizer(specs=small, count=(2, 3)).edit(PATCH.hu, PATCH.labels, PATCH.affine, seed=s)
        for s in range(6)
    ]
    assert {len(edit.lesions) for edit in edits} == {2, 3}
    for edit in edits:
        assert sorted(one.recipe.number for one in edit.lesions) == [
            n + 1 for n in range(len(edit.lesions))
        ]


def test_the_probability_is_the_share_of_patches() -> None:
    one = synthesizer(probability=0.3)
    empty = np.zeros_like(PATCH.labels)
    outcomes = Counter(one.edit(PATCH.hu, empty, PATCH.affine, seed=n).outcome for n in range(400))
    assert set(outcomes) == {"left out", "no organ"}
    assert 85 < outcomes["no organ"] < 160  # four standard deviations of 120


def test_a_patch_without_enough_organ_stays_the_same_object() -> None:
    labels = np.where(PATCH.labels == 3, PATCH.labels, 0)
    labels[:4, :4, :4] = 1  # 0.1 ml
    image, after = synthesizer()(PATCH.hu, labels, PATCH.affine, seed=0)
    assert image is PATCH.hu
    assert after is labels


def test_a_patch_without_room_is_told_apart() -> None:
    wide = LesionSpec(organ="liver", diameter_mm=(120.0, 140.0))
    edit = synthesizer(specs=wide).edit(PATCH.hu, PATCH.labels, PATCH.affine, seed=0)
    assert edit.outcome == "no room"
    assert not edit.lesions


def test_only_organs_in_the_patch_are_chosen() -> None:
    kidney = LesionSpec(organ="kidney", diameter_mm=(8.0, 12.0))
    names = NAMES | {4: "kidney_left", 5: "kidney_lesion"}
    for seed in range(5):
        edit = synthesizer(specs=[kidney, SPEC], labels=names).edit(
            PATCH.hu, PATCH.labels, PATCH.affine, seed=seed
        )
        assert [one.recipe.organ for one in edit.lesions] == ["liver"]


POPULATION = """
count: 2
liver: {kinds: {cyst: 1}, size_mm: {uniform: [6, 12]}}
kidney: {kinds: {cyst: 1}, size_mm: {uniform: [6, 12]}}
"""


def test_a_population_may_say_which_lesions_and_how_many() -> None:
    population = TumorPopulation.from_yaml(POPULATION)
    names = NAMES | {4: "kidney_left", 5: "kidney_lesion"}
    one = synthesizer(specs=population, labels=names)
    drawn = [
        [lesion.recipe for lesion in one.edit(PATCH.hu, PATCH.labels, PATCH.affine, seed=n).lesions]
        for n in range(5)
    ]
    recipes = [recipe for lesions in drawn for recipe in lesions]
    assert max(len(lesions) for lesions in drawn) == 2
    assert {(recipe.organ, recipe.kind) for recipe in recipes} == {("liver", "cyst")}
    assert len({recipe.diameter_mm for recipe in recipes}) == len(recipes)
    assert all(6.0 <= recipe.diameter_mm <= 12.0 for recipe in recipes)
    with pytest.raises(ConfigError, match="the class map has no kidney"):
        synthesizer(specs=population)


def ball(radius: float, centre: tuple[float, float, float]) -> NDArray[np.bool_]:
    at = np.moveaxis(np.indices((60, 60, 30)), 0, -1) * (1.0, 1.0, 2.0)
    found: NDArray[np.bool_] = np.linalg.norm(at - centre, axis=-1) <= radius
    return found


@pytest.mark.parametrize("beyond", [-14.0, -7.0, 0.0])
@pytest.mark.parametrize("axis", [0, 2])
def test_the_share_that_the_border_cuts_off_is_that_of_a_ball(beyond: float, axis: int) -> None:
    radius, middle = 14.0, [30.0, 30.0, 30.0]
    middle[axis] = -beyond  # the centre's distance from the lower border
    grid = Grid((60, 60, 30), np.diag([1.0, 1.0, 2.0, 1.0]))
    mask = ball(radius, (middle[0], middle[1], middle[2]))
    whole = tuple(slice(0, n) for n in grid.shape)
    found = cut_share(mask, whole, grid, np.ones((3, 2), bool))
    h = radius + beyond
    assert found == pytest.approx(h**2 * (3 * radius - h) / (4 * radius**3), abs=0.08)
    assert cut_share(mask, whole, grid, np.zeros((3, 2), bool)) == 0.0


def test_the_border_cuts_off_no_more_than_allowed() -> None:
    # The liver is cut in its middle: half of the seeds would lie at the border.
    shares = []
    for seed in range(10):
        strict = synthesizer(largest_cut=0.0).edit(PATCH.hu, PATCH.labels, PATCH.affine, seed=seed)
        for one in strict.lesions:
            assert one.region[0].start > 0 or not one.mask[0].any()
        loose = synthesizer(largest_cut=1.0).edit(PATCH.hu, PATCH.labels, PATCH.affine, seed=seed)
        ends = np.ones((3, 2), bool)
        shares += [cut_share(one.mask, one.region, PATCH.grid, ends) for one in loose.lesions]
    assert len(shares) == 10
    assert max(shares) > 0.0


def test_labels_move_with_tissue_that_is_pushed_aside() -> None:
    spec = LesionSpec(
        organ="liver", kind="cyst", diameter_mm=(16.0, 20.0), mass_effect=True, exophytic=False
    )
    before, after = PATCH.labels, None
    for seed in range(6):
        edit = synthesizer(specs=spec).edit(PATCH.hu, before, PATCH.affine, seed=seed)
        after = edit.applied_to(PATCH.hu, before)[1]
        if (after[before != 1] != before[before != 1]).any():
            break
    assert after is not None
    lesion = np.count_nonzero(after == 2)
    liver = np.count_nonzero(after == 1)
    # What the cyst pushed aside is still liver: less than the cyst's volume is lost.
    assert np.count_nonzero(before == 1) - lesion < liver < np.count_nonzero(before == 1)
    spleen = np.count_nonzero(before == 3)
    assert np.count_nonzero(after == 3) == pytest.approx(spleen, rel=0.02)


def test_an_organ_of_another_family_works_too() -> None:
    shape, affine = (48, 48, 40), np.diag([-1.0, -1.0, 1.5, 1.0])
    rng = np.random.default_rng(0)
    hu = np.where(np.indices(shape)[0] < 36, -850.0, 50.0) + rng.normal(0, 12, shape)
    labels = np.where(np.indices(shape)[0] < 34, 4, 0).astype(np.int16)
    spec = LesionSpec(organ="lung", kind="metastasis", diameter_mm=(8.0, 12.0), form="solid")
    one = PatchSynthesizer(specs=spec, labels={4: "lung"}, lesion_value=5)
    image, after = one(hu.astype(np.float32), labels, affine, seed=1)
    assert np.count_nonzero(after == 5) > 100
    assert image[after == 5].mean() > -400.0


def test_padding_counts_as_background() -> None:
    labels = PATCH.labels.astype(np.int16)
    labels[-3:] = -1
    _, after = synthesizer()(PATCH.hu, labels, PATCH.affine, seed=1)
    assert (after[-3:] == -1).all()
    assert (after == 2).any()


def test_a_class_map_knows_the_value_of_lesions() -> None:
    spec = LesionSpec(organ="liver", kind="cyst", diameter_mm=(6.0, 10.0))
    one = PatchSynthesizer(specs=spec, labels="lits")
    labels = np.where(PATCH.labels == 1, 1, 0)
    _, after = one(PATCH.hu, labels, PATCH.affine, seed=0)
    assert set(np.unique(after)) == {0, 1, 2}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": {1: "liver"}}, "lesion_value: the class map has no value for liver_lesion"),
        ({"labels": {3: "spleen"}}, "labels: the class map has no liver"),
        ({"lesion_value": 3}, "lesion_value: 3 is spleen"),
        ({"lesion_value": 0}, "lesion_value: 0 is no label value"),
        ({"probability": 1.5}, "probability: 1.5 is no share"),
        ({"largest_cut": -0.1}, "largest_cut"),
        ({"count": (0, 2)}, "count"),
        ({"least_organ_ml": -1.0}, "least_organ_ml"),
        ({"specs": []}, "specs: there are none"),
    ],
)
def test_impossible_requests_name_the_field(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        synthesizer(**changes)


def test_an_unknown_class_map_is_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean"):
        synthesizer(labels="litts")


def test_an_image_that_is_normalised_must_be_declared() -> None:
    with pytest.raises(IntensityError, match="these are no HU; say what was done to it"):
        synthesizer()(WINDOW.from_hu(PATCH.hu), PATCH.labels, PATCH.affine, seed=0)


def test_broken_patches_are_refused() -> None:
    hu = PATCH.hu.copy()
    hu[5, 24, 20] = np.nan
    with pytest.raises(IntensityError, match="NaN"):
        synthesizer()(hu, PATCH.labels, PATCH.affine, seed=0)
    with pytest.raises(IntensityError, match="fractions"):
        synthesizer()(PATCH.hu, PATCH.labels * 0.5, PATCH.affine, seed=0)
    with pytest.raises(IntensityError, match="not an image"):
        synthesizer()(PATCH.hu, PATCH.labels * 1e5, PATCH.affine, seed=0)
    with pytest.raises(GeometryError, match="on the same grid"):
        synthesizer()(PATCH.hu, PATCH.labels[1:], PATCH.affine, seed=0)
    with pytest.raises(GeometryError, match="spacing is 0 mm"):
        synthesizer()(PATCH.hu, PATCH.labels, np.diag([1.0, 0.0, 1.0, 1.0]), seed=0)


def test_a_lesion_value_must_fit_the_type_of_the_labels() -> None:
    one = synthesizer(lesion_value=300)
    with pytest.raises(ConfigError, match="300 does not fit uint8"):
        one(PATCH.hu, PATCH.labels, PATCH.affine, seed=1)
