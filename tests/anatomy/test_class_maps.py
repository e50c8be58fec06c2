"""Class maps: the right number of labels, the right structure for each number."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from scalemai.anatomy import (
    ClassMap,
    canonical,
    class_map,
    class_map_ids,
    read_class_map,
    structure,
)
from scalemai.errors import ConfigError, UnknownNameError
from scalemai.io.nifti import read_labels, read_mask

COUNTS = {
    "abdomenatlas-1.0": 9,
    "abdomenatlas-1.1": 25,
    "abdomenatlas-2.0": 32,
    "abdomenatlas-2.0-oncokit": 15,
    "amos22": 15,
    "btcv": 13,
    "kits19": 2,
    "kits21": 3,
    "kits23": 3,
    "lits": 2,
    "msd-task03-liver": 2,
    "msd-task06-lung": 1,
    "msd-task07-pancreas": 2,
    "msd-task08-hepatic-vessel": 2,
    "msd-task10-colon": 1,
    "pants": 28,
    "totalsegmentator-v2": 117,
}


def test_every_shipped_map_is_counted_here() -> None:
    assert set(class_map_ids()) == set(COUNTS)


@pytest.mark.parametrize("id", COUNTS)
def test_a_map_numbers_its_labels_from_one_without_a_gap(id: str) -> None:
    assert sorted(class_map(id).labels) == list(range(1, COUNTS[id] + 1))


@pytest.mark.parametrize("id", COUNTS)
def test_every_name_in_a_map_is_canonical_and_stands_once(id: str) -> None:
    found = class_map(id)
    names = list(found.labels.values())
    assert len(set(names)) == len(names)
    for name in found.structures:
        assert canonical(name) == name


@pytest.mark.parametrize("id", COUNTS)
def test_a_map_says_where_its_numbers_come_from(id: str) -> None:
    found = class_map(id)
    assert found.title
    assert found.version
    assert found.source


@pytest.mark.parametrize(
    ("id", "value", "name"),
    [
        ("pants", 1, "adrenal_gland_left"),
        ("pants", 5, "celiac_artery"),
        ("pants", 17, "pancreas"),
        ("pants", 19, "pancreas_head"),
        ("pants", 22, "postcava"),
        ("pants", 28, "pancreatic_lesion"),
        ("abdomenatlas-1.0", 7, "postcava"),
        ("abdomenatlas-1.1", 13, "celiac_artery"),
        ("abdomenatlas-1.1", 25, "rectum"),
        ("abdomenatlas-2.0", 27, "liver_lesion"),
        ("abdomenatlas-2.0", 32, "esophagus_tumor"),
        ("abdomenatlas-2.0-oncokit", 2, "liver_lesion"),
        ("abdomenatlas-2.0-oncokit", 9, "kidney_cyst"),
        ("totalsegmentator-v2", 2, "kidney_right"),
        ("totalsegmentator-v2", 63, "postcava"),
        ("totalsegmentator-v2", 117, "costal_cartilages"),
        ("msd-task08-hepatic-vessel", 1, "hepatic_vessel"),
        ("btcv", 2, "kidney_right"),
        ("btcv", 11, "pancreas"),
        ("amos22", 10, "pancreas"),
        ("amos22", 15, "prostate_or_uterus"),
        ("kits21", 3, "kidney_cyst"),
    ],
)
def test_a_number_has_its_published_meaning(id: str, value: int, name: str) -> None:
    assert class_map(id).name_of(value) == name
    assert value in class_map(id).values_of(name)


@pytest.mark.parametrize(
    ("id", "name", "values"),
    [
        ("msd-task03-liver", "liver", (1, 2)),
        ("msd-task03-liver", "liver_lesion", (2,)),
        ("msd-task03-liver", "Liver tumour", (2,)),
        ("msd-task07-pancreas", "pancreas", (1, 2)),
        ("lits", "liver", (1, 2)),
        ("kits19", "kidney", (1, 2)),
        ("kits19", "kidney_lesion", (2,)),
        ("kits23", "kidney", (1, 2, 3)),
        ("kits23", "kidney_lesion", (2, 3)),
        ("kits23", "kidney_tumor", (2,)),
        ("msd-task08-hepatic-vessel", "liver_lesion", (2,)),
        ("pants", "pancreas", (17, 18, 19, 20, 21, 28)),
        ("pants", "pancreatic_lesion", (28,)),
        ("abdomenatlas-2.0-oncokit", "kidney_lesion", (7, 8, 9)),
        ("abdomenatlas-2.0-oncokit", "kidney", (5, 6, 7, 8, 9)),
        ("abdomenatlas-2.0", "pancreas", (6, 28)),
        ("totalsegmentator-v2", "lung_right", (12, 13, 14)),
        ("totalsegmentator-v2", "kidney_left", (3,)),
    ],
)
def test_a_structure_is_the_union_of_its_values(
    id: str, name: str, values: tuple[int, ...]
) -> None:
    assert class_map(id).values_of(name) == values


@pytest.mark.parametrize("id", COUNTS)
def test_an_organ_holds_its_labelled_lesions_and_parts(id: str) -> None:
    found = class_map(id)
    # Published as labels side by side: the sacrum of TotalSegmentator begins below S1.
    apart = {
        ("totalsegmentator-v2", "vertebrae_S1"),
        ("totalsegmentator-v2", "atrial_appendage_left"),
    }
    for name in found.structures:
        parent = structure(name).parent
        if parent in found.structures and (id, name) not in apart:
            assert set(found.values_of(name)) <= set(found.values_of(parent)), (name, parent)


def test_the_union_rebuilds_a_mask_that_the_lesion_was_written_over() -> None:
    rng = np.random.default_rng(3)
    liver = rng.random((9, 8, 7)) < 0.6
    lesion = liver & (rng.random(liver.shape) < 0.2)
    label_map = np.where(lesion, 2, np.where(liver, 1, 0))
    lits = class_map("lits")
    np.testing.assert_array_equal(np.isin(label_map, lits.values_of("liver")), liver)
    np.testing.assert_array_equal(np.isin(label_map, lits.values_of("liver_lesion")), lesion)


def test_the_same_number_means_something_else_in_another_version() -> None:
    readme, oncokit = class_map("abdomenatlas-2.0"), class_map("abdomenatlas-2.0-oncokit")
    assert all(readme.name_of(value) != oncokit.name_of(value) for value in oncokit.labels)


@pytest.mark.parametrize(
    ("spelling", "id"),
    [
        ("PanTS", "pants"),
        ("AbdomenAtlas 1.1", "abdomenatlas-1.1"),
        ("abdomenatlas1.0mini", "abdomenatlas-1.0"),
        ("Task07_Pancreas", "msd-task07-pancreas"),
        ("TotalSegmentator", "totalsegmentator-v2"),
        ("totalsegmentator_v2", "totalsegmentator-v2"),
        ("OncoKit", "abdomenatlas-2.0-oncokit"),
        ("AMOS", "amos22"),
        ("KiTS23", "kits23"),
    ],
)
def test_a_map_is_found_in_any_spelling(spelling: str, id: str) -> None:
    assert class_map(spelling).id == id


def test_abdomenatlas_without_a_version_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'abdomenatlas-"):
        class_map("abdomenatlas")


@pytest.mark.parametrize("value", [0, 29, -1, 255])
def test_a_value_that_the_map_does_not_have_is_refused(value: int) -> None:
    with pytest.raises(UnknownNameError, match=f"'{value}'; its values are 1 to 28"):
        class_map("pants").name_of(value)


def test_a_structure_that_the_map_does_not_have_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="structure of kits19 'kidney_cyst'"):
        class_map("kits19").values_of("kidney_cyst")


def test_numpy_integers_are_looked_up_like_integers() -> None:
    values = np.unique(np.array([[1, 28]], dtype=np.uint8))
    assert [class_map("pants").name_of(v) for v in values] == [
        "adrenal_gland_left",
        "pancreatic_lesion",
    ]


@pytest.mark.parametrize("id", COUNTS)
def test_a_map_survives_the_way_to_a_worker_process_and_serves_as_a_key(id: str) -> None:
    found = class_map(id)
    copy = pickle.loads(pickle.dumps(found))
    assert copy == found
    assert {copy: id}[found] == id


def test_a_map_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        class_map("lits").labels[3] = "spleen"  # type: ignore[index] # that it fails is the point


def test_a_map_of_your_own_resolves_aliases() -> None:
    mine = ClassMap("mine", "1", {1: "small_bowel", 4: "Left Kidney"})
    assert dict(mine.labels) == {1: "intestine", 4: "kidney_left"}
    assert mine.values_of("small_bowel") == (1,)


@pytest.mark.parametrize(
    ("labels", "unions", "message"),
    [
        ({0: "liver"}, {}, "0 is background"),
        ({True: "liver"}, {}, "not a positive integer"),
        ({1: "liver", 2: "liver_lesion"}, {"liver": (2,)}, r"with \[1\] among them"),
        ({1: "liver"}, {"liver": (1, 9)}, "use values that have a label"),
        ({1: "livr"}, {}, "did you mean 'liver'"),
    ],
)
def test_an_impossible_map_is_refused(labels, unions, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ClassMap("mine", "1", labels, unions)


GOOD = 'id = "mine"\ntitle = "Mine"\nversion = "1"\nsource = "me"\n[labels]\n1 = "liver"\n'


def test_a_map_is_read_from_a_file_of_your_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    assert read_class_map(path).name_of(1) == "liver"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("liver", "livr"), "mine.toml: labels: unknown structure 'livr'"),
        (GOOD.replace('"liver"', '"liver_tumor"'), "write 'liver_lesion'"),
        (GOOD.replace("1 =", "one ="), "'one' is not a label value"),
        (GOOD.replace("source", "sauce"), "'source' is missing"),
        (GOOD + "[unions]\nliver = []\n", "write a list of whole numbers"),
        (GOOD + "[extra]\n", "'extra' does not belong here"),
        (GOOD + "[labels]\n", "not valid TOML"),
    ],
)
def test_a_broken_file_is_named_with_the_way_out(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_class_map(path)
    assert str(caught.value).startswith("mine.toml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.real
def test_the_names_inside_a_totalsegmentator_file_are_those_of_the_map(shared_data: Path) -> None:
    image = nib.load(shared_data / "abdomen" / "ts_example_3mm_labelmap" / "labels.nii.gz")
    table = image.header.extensions[0].get_content().decode()
    named = {int(key): name for key, name in re.findall(r'Key="(\d+)".*?CDATA\[(\w+)\]', table)}
    assert {key: canonical(name) for key, name in named.items()} == dict(
        class_map("totalsegmentator-v2").labels
    )


@pytest.mark.real
def test_the_totalsegmentator_map_finds_each_organ_where_its_own_mask_is(
    shared_data: Path,
) -> None:
    abdomen = shared_data / "abdomen"
    label_map, _ = read_labels(abdomen / "ts_example_3mm_labelmap" / "labels.nii.gz")
    found = class_map("totalsegmentator-v2")
    compared = 0
    for path in sorted((abdomen / "ts_example_3mm" / "segmentations").glob("*.nii.gz")):
        name = canonical(path.name.removesuffix(".nii.gz"))
        # The label map holds the upper 30 slices of the same scan (its affine kept the origin
        # of the whole); another network drew it, so the two agree well but not exactly.
        mask = read_mask(path).array[..., 82:112]
        if not mask.any():
            continue
        same = np.isin(label_map, found.values_of(name))
        dice = 2 * (mask & same).sum() / (mask.sum() + same.sum())
        assert dice > 0.75, (name, dice)
        compared += 1
    assert compared == 40


@pytest.mark.real
def test_the_liver_is_on_the_right_and_the_spleen_on_the_left(shared_data: Path) -> None:
    path = shared_data / "abdomen" / "ts_example_3mm_labelmap" / "labels.nii.gz"
    label_map, grid = read_labels(path)
    found = class_map("totalsegmentator-v2")

    def x_mm(name: str) -> float:
        voxels = np.argwhere(np.isin(label_map, found.values_of(name)))
        return float((grid.affine @ [*voxels.mean(axis=0), 1.0])[0])

    # In RAS+, x grows toward the patient's right.
    assert x_mm("liver") > x_mm("spleen")
    for base in ("kidney", "adrenal_gland", "autochthon"):
        assert x_mm(f"{base}_right") > x_mm(f"{base}_left")
