"""The phantom's anatomy: sides, sizes, HU by phase, and independence from the grid."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import cc3d
import numpy as np
import pytest
from numpy.typing import NDArray

from scalemai.anatomy import canonical, organ
from scalemai.cases.phantom import (
    Anatomy,
    PhantomSpec,
    build_anatomy,
    generate_phantom,
    sample_spec,
    write_phantom_case,
)
from scalemai.cases.phantom.labels import GROUPS
from scalemai.errors import ConfigError, UnknownNameError
from scalemai.io.nifti import read_mask, read_volume

SEEDS = (0, 1, 2)

# Millilitres of adults; wide enough for small women and large men (author's estimate).
ADULT_ML = {
    "liver": (800, 2600),
    "spleen": (70, 450),
    "pancreas": (35, 160),
    "kidney_left": (80, 280),
    "kidney_right": (80, 280),
    "gall_bladder": (5, 80),
    "stomach": (100, 900),
    "duodenum": (25, 160),
    "colon": (300, 1900),
    "adrenal_gland_left": (1.5, 9),
    "adrenal_gland_right": (1.5, 9),
}

# HU windows in which the median of a structure must lie (author's estimate, see hounsfield.py).
HU_RANGE = {
    "non_contrast": {"liver": (25, 70), "spleen": (40, 58), "aorta": (34, 52), "kidney": (26, 42)},
    "arterial": {"liver": (40, 90), "spleen": (85, 150), "aorta": (220, 400), "kidney": (110, 230)},
    "portal_venous": {
        "liver": (75, 130),
        "spleen": (95, 145),
        "aorta": (120, 190),
        "kidney": (135, 225),
    },
    "delayed": {"liver": (60, 108), "spleen": (75, 112), "aorta": (92, 140), "kidney": (105, 170)},
}


def whole(seed: int, **overrides: object) -> PhantomSpec:
    """Chest base to pelvis at 3 mm."""
    grid: dict[str, object] = {
        "preset": "small",
        "spacing_mm": (3.0, 3.0, 3.0),
        "shape": (150, 110, 140),
        "centre_mm": (0.0, 4.0, -85.0),
        "orientation": "RAS",
    }
    return sample_spec(seed, **(grid | overrides))  # type: ignore[arg-type]  # a mixed bag


@lru_cache(maxsize=8)
def anatomy(seed: int, **overrides: object) -> Anatomy:
    return build_anatomy(whole(seed, **overrides))


def centroid_mm(a: Anatomy, name: str) -> NDArray[np.float64]:
    return a.grid.to_world(np.argwhere(a.structures[name]).mean(0))


def ml(a: Anatomy, name: str) -> float:
    return float(a.structures[name].sum()) * a.grid.voxel_volume_mm3 / 1000


@pytest.mark.parametrize("seed", SEEDS)
def test_organs_lie_on_their_side_of_the_body(seed: int) -> None:
    a = anatomy(seed)
    for right in ("liver", "gall_bladder", "kidney_right", "adrenal_gland_right", "postcava"):
        assert centroid_mm(a, right)[0] > 0, right
    for left in ("spleen", "stomach", "kidney_left", "adrenal_gland_left", "aorta"):
        assert centroid_mm(a, left)[0] < 0, left
    assert centroid_mm(a, "lung_right")[0] > 0 > centroid_mm(a, "lung_left")[0]
    assert centroid_mm(a, "pancreas_head")[0] > centroid_mm(a, "pancreas_body")[0]
    assert centroid_mm(a, "pancreas_body")[0] > centroid_mm(a, "pancreas_tail")[0]


@pytest.mark.parametrize("seed", SEEDS)
def test_organs_are_stacked_as_in_a_standing_adult(seed: int) -> None:
    a = anatomy(seed)
    height = {n: centroid_mm(a, n)[2] for n in ("heart", "liver", "kidney_right", "bladder")}
    assert height["heart"] > height["liver"] > height["kidney_right"] > height["bladder"]
    assert centroid_mm(a, "vertebrae_L1")[1] < centroid_mm(a, "aorta")[1]
    assert centroid_mm(a, "kidney_left")[1] < centroid_mm(a, "stomach")[1]
    assert centroid_mm(a, "vertebrae_T12")[2] > centroid_mm(a, "vertebrae_L1")[2]


@pytest.mark.parametrize("seed", SEEDS)
def test_organ_volumes_are_those_of_adults(seed: int) -> None:
    a = anatomy(seed)
    for name, (low, high) in ADULT_ML.items():
        assert low < ml(a, name) < high, f"{name}: {ml(a, name):.1f} mL"


def test_organs_do_not_overlap() -> None:
    a = anatomy(0)
    parts = {"pancreas_head", "pancreas_body", "pancreas_tail", "pancreatic_duct"}
    unions = {"veins", "hepatic_vessel", "common_bile_duct"}
    count = np.zeros(a.grid.shape, np.int16)
    for name in a.structures:
        if name not in parts | unions:
            count += a.structures[name]
    assert count.max() == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_head_body_and_tail_make_up_the_pancreas(seed: int) -> None:
    s = anatomy(seed).structures
    parts = [s[f"pancreas_{p}"] for p in ("head", "body", "tail")]
    assert np.sum(parts, axis=0).max() == 1
    union = np.any(parts, axis=0)
    assert not (union & ~s["pancreas"]).any()
    assert union.sum() >= 0.95 * s["pancreas"].sum()
    for part in parts:
        assert part.sum() > 0.1 * s["pancreas"].sum()


def test_vessels_of_the_liver_are_inside_it() -> None:
    s = anatomy(1).structures
    assert s["hepatic_vessel"].any()
    assert not (s["hepatic_vessel"] & ~s["liver"]).any()


@pytest.mark.parametrize(
    "name", ["liver", "spleen", "pancreas", "kidney_left", "aorta", "postcava"]
)
@pytest.mark.parametrize("seed", SEEDS)
def test_an_organ_is_one_piece(seed: int, name: str) -> None:
    mask = anatomy(seed).structures[name]
    pieces = np.bincount(cc3d.connected_components(mask, connectivity=26).ravel())[1:]
    assert pieces.max() >= 0.97 * pieces.sum()


def test_portal_and_splenic_veins_reach_from_spleen_to_liver() -> None:
    a = build_anatomy(
        whole(1, spacing_mm=(1.5, 1.5, 1.5), shape=(150, 110, 80), centre_mm=(-15.0, 0.0, 15.0))
    )
    s = a.structures
    vein = cc3d.connected_components(s["portal_vein_and_splenic_vein"] | s["hepatic_vessel"])
    sizes = np.bincount(vein.ravel())[1:]
    trunk = vein == 1 + int(np.argmax(sizes))
    assert trunk[s["hepatic_vessel"]].any()
    across = a.grid.to_world(np.argwhere(trunk & s["portal_vein_and_splenic_vein"]))[:, 0]
    assert across.max() > 25
    assert across.min() < -60


@pytest.mark.parametrize("phase", sorted(HU_RANGE))
def test_hu_of_organs_follow_the_phase(phase: str) -> None:
    for seed in SEEDS[:2]:
        a = anatomy(seed, phase=phase)
        for name, (low, high) in HU_RANGE[phase].items():
            key = "kidney_right" if name == "kidney" else name
            median = float(np.median(a.ideal_hu[a.structures[key]]))
            assert low < median < high, f"{key} in {phase}: {median:.0f} HU"
        assert np.median(a.ideal_hu[a.structures["lung_left"]]) < -750
        assert -20 < np.median(a.ideal_hu[a.structures["gall_bladder"]]) < 35


def test_the_phase_changes_the_blood_and_not_the_anatomy() -> None:
    early, late = anatomy(0, phase="arterial"), anatomy(0, phase="delayed")
    for name in ("liver", "spleen", "colon", "aorta"):
        np.testing.assert_array_equal(early.structures[name], late.structures[name])
    aorta = early.structures["aorta"]
    assert early.ideal_hu[aorta].mean() > late.ideal_hu[aorta].mean() + 80


def test_the_same_seed_gives_the_same_bytes() -> None:
    spec = whole(3)
    one, two = build_anatomy(spec), build_anatomy(spec)
    assert one.ideal_hu.tobytes() == two.ideal_hu.tobytes()
    assert list(one.structures) == list(two.structures)
    assert (one.structures["pancreas"] == two.structures["pancreas"]).all()


def test_another_seed_gives_another_patient() -> None:
    one, two = anatomy(0).structures["liver"], anatomy(1).structures["liver"]
    assert (one & two).sum() / (one | two).sum() < 0.9


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "PIR", "SLA"])
def test_stored_orientation_is_honoured_and_moves_nothing(orientation: str) -> None:
    reference = anatomy(1)
    order = [("RL".find(c) < 0) + ("RLAP".find(c) < 0) for c in orientation]
    shape = tuple(reference.grid.shape[axis] for axis in order)
    turned = build_anatomy(whole(1, orientation=orientation, shape=shape))
    assert turned.grid.orientation == orientation
    for name in ("liver", "spleen"):
        np.testing.assert_allclose(
            centroid_mm(turned, name), centroid_mm(reference, name), atol=1e-3
        )
        assert ml(turned, name) == pytest.approx(ml(reference, name))


def test_the_anatomy_does_not_depend_on_the_spacing() -> None:
    coarse = anatomy(2)
    fine = build_anatomy(whole(2, spacing_mm=(2.0, 2.0, 2.0), shape=(225, 165, 210)))
    for name in ("liver", "spleen", "kidney_left", "lung_right"):
        assert ml(fine, name) == pytest.approx(ml(coarse, name), rel=0.03), name
        assert np.abs(centroid_mm(fine, name) - centroid_mm(coarse, name)).max() < 1.0, name


def test_the_anatomy_does_not_depend_on_the_field_of_view() -> None:
    full = anatomy(0)
    part = build_anatomy(whole(0, shape=(150, 110, 60), centre_mm=(0.0, 4.0, -85.0)))
    inside = full.ideal_hu[:, :, 43:97]
    same = np.isclose(inside, part.ideal_hu[:, :, 3:57], atol=0.5)
    assert same.mean() > 0.995


def test_edges_are_blended_as_a_scanner_blends_them() -> None:
    """The mean HU of a block is the same however finely it is divided."""
    fine = build_anatomy(
        whole(1, spacing_mm=(1.0, 1.0, 1.0), shape=(180, 120, 60), centre_mm=(0.0, 0.0, 20.0))
    )
    coarse = build_anatomy(whole(1, shape=(60, 40, 20), centre_mm=(0.0, 0.0, 20.0)))
    blocks = fine.ideal_hu.reshape(60, 3, 40, 3, 20, 3).mean((1, 3, 5))
    error = coarse.ideal_hu - blocks
    soft = np.abs(blocks) < 200
    assert abs(float(error[soft].mean())) < 3
    assert float(np.median(np.abs(error[soft]))) < 6


@pytest.mark.parametrize("seed", SEEDS)
def test_every_voxel_is_a_possible_hounsfield_unit(seed: int) -> None:
    hu = anatomy(seed).ideal_hu
    assert hu.dtype == np.float32
    assert np.isfinite(hu).all()
    assert hu.min() >= -1024
    assert hu.max() < 2500


def test_every_structure_has_its_canonical_name() -> None:
    for name in GROUPS:
        assert canonical(name) == name


def test_women_and_men_differ_where_they_should() -> None:
    woman, man = anatomy(0, sex="female").structures, anatomy(0, sex="male").structures
    assert "uterus" in woman
    assert "prostate" not in woman
    assert "prostate" in man
    assert "uterus" not in man


def test_a_woman_has_a_breast_on_each_side_of_usual_size_and_a_man_has_none() -> None:
    for seed in SEEDS:
        woman = anatomy(seed, sex="female", centre_mm=(0.0, 4.0, 60.0))
        low, high = organ("breast").volume_ml.low, organ("breast").volume_ml.high
        assert (
            centroid_mm(woman, "breast_left")[0] < -40 < 40 < centroid_mm(woman, "breast_right")[0]
        )
        for side in ("breast_left", "breast_right"):
            assert low < ml(woman, side) < high
            # Glandular tissue in fat.
            inside = woman.ideal_hu[woman.structures[side]]
            assert (inside < -60).any()
            assert (inside > 0).any()
    man = anatomy(0, sex="male", centre_mm=(0.0, 4.0, 60.0)).structures
    assert not {"breast_left", "breast_right"} & set(man)


def test_fixing_one_field_of_a_spec_leaves_the_others() -> None:
    free = sample_spec(5)
    fixed = sample_spec(5, phase="delayed", dose=2.0)
    assert replace(free, phase="delayed", dose=2.0) == fixed


def test_a_wrong_spec_is_refused_with_the_way_out() -> None:
    with pytest.raises(UnknownNameError, match="portal_venous"):
        sample_spec(0, phase="portal_venus")
    with pytest.raises(UnknownNameError, match="spacing_mm"):
        sample_spec(0, spacing=(1, 1, 1))
    with pytest.raises(UnknownNameError, match="orientation"):
        sample_spec(0, orientation="RRS")
    with pytest.raises(ConfigError, match="give 0 to 1"):
        sample_spec(0, visceral_fat=3.0)


def test_a_case_folder_reads_back_as_the_phantom(tmp_path: Path) -> None:
    grid = {"preset": "small", "spacing_mm": (4.0, 4.0, 5.0), "shape": (110, 80, 40)}
    folder = write_phantom_case(tmp_path, 2, 9, **grid)
    assert folder == tmp_path / "phantom_00002"
    facts = json.loads((folder / "metadata.json").read_text())
    spec = sample_spec(facts["seed"], **grid)  # type: ignore[arg-type]  # a mixed bag
    phantom = generate_phantom(spec)
    volume = read_volume(folder / "ct.nii.gz")
    np.testing.assert_array_equal(volume.stored, phantom.volume.stored)
    assert volume.stored.dtype == np.int16
    assert volume.grid.same_as(phantom.volume.grid)
    written = {p.name.removesuffix(".nii.gz") for p in (folder / "segmentations").iterdir()}
    assert written == set(phantom.structures)
    liver = read_mask(folder / "segmentations" / "liver.nii.gz")
    np.testing.assert_array_equal(liver.array, phantom.structures["liver"].array)


def test_a_case_is_the_same_whoever_writes_it_and_when(tmp_path: Path) -> None:
    grid = {"preset": "small", "spacing_mm": (5.0, 5.0, 6.0), "shape": (90, 64, 30)}
    one = write_phantom_case(tmp_path / "a", 0, 4, **grid)
    write_phantom_case(tmp_path / "b", 1, 4, **grid)
    two = write_phantom_case(tmp_path / "b", 0, 4, **grid)
    for file in sorted(p.relative_to(one) for p in one.rglob("*") if p.is_file()):
        assert (one / file).read_bytes() == (two / file).read_bytes(), file
