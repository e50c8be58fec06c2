"""Structure names: one canonical name, any spelling accepted, nothing ambiguous."""

from __future__ import annotations

import itertools
import pickle
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.sr.codedict import codes

from scalemai.anatomy import canonical, structure, structures
from scalemai.anatomy.naming import read_structures
from scalemai.anatomy.spelling import squash
from scalemai.anatomy.table import parse_table
from scalemai.errors import ConfigError, UnknownNameError

ALL = structures()
BY_NAME = {entry.name: entry for entry in ALL}
SPELLINGS = [(s, entry.name) for entry in ALL for s in (entry.name, *entry.aliases)]


def test_names_and_titles_are_unique() -> None:
    assert max(Counter(entry.name for entry in ALL).values()) == 1
    assert max(Counter(entry.title for entry in ALL).values()) == 1


def test_no_spelling_means_two_structures() -> None:
    meanings: dict[str, set[str]] = {}
    for spelling, name in SPELLINGS:
        meanings.setdefault(squash(spelling), set()).add(name)
    assert {key: names for key, names in meanings.items() if len(names) > 1} == {}


@given(
    st.sampled_from(SPELLINGS),
    st.sampled_from([" ", "-", "_", "", "  ", "/", "."]),
    st.sampled_from([str.upper, str.lower, str.title, str]),
)
def test_case_and_separators_do_not_matter(spelling, separator, recase) -> None:
    text, name = spelling
    assert canonical(recase(text.replace("_", separator))) == name


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("urinary_bladder", "bladder"),
        ("Inferior Vena Cava", "postcava"),
        ("gallbladder", "gall_bladder"),
        ("gall bladder", "gall_bladder"),
        ("small_bowel", "intestine"),
        ("celiac_trunk", "celiac_artery"),
        ("celiac_truck", "celiac_artery"),
        ("celiac_aa", "celiac_artery"),
        ("coeliac trunk", "celiac_artery"),
        ("oesophagus", "esophagus"),
        ("Liver tumour", "liver_lesion"),
        ("pancreas_tumor", "pancreatic_lesion"),
        ("pancreatic_tumour", "pancreatic_lesion"),
        ("hepaticVein", "hepatic_vein"),
        ("arota", "aorta"),
        ("prostate/uterus", "prostate_or_uterus"),
        ("right kidney", "kidney_right"),
        ("kidney (left)", "kidney_left"),
        ("Left adrenal gland", "adrenal_gland_left"),
        ("left rib 7", "rib_left_7"),
        ("left lung upper lobe", "lung_upper_lobe_left"),
        ("right common iliac artery", "iliac_artery_right"),
        ("left clavicle", "clavicula_left"),
        ("kidneys", "kidney"),
        ("adrenals", "adrenal_gland"),
    ],
)
def test_known_aliases_lead_to_the_canonical_name(spelling: str, name: str) -> None:
    assert canonical(spelling) == name


def test_a_kidney_tumor_is_not_any_kidney_lesion() -> None:
    assert canonical("renal tumour") == "kidney_tumor"
    assert canonical("renal lesion") == "kidney_lesion"
    assert structure("kidney_tumor").parent == "kidney_lesion"


@pytest.mark.parametrize(
    ("typo", "near"),
    [
        ("pancreaz", "pancreas"),
        ("urinary_bladdr", "urinary_bladder"),
        ("kidny_left", "kidney_left"),
        ("small_bowl", "small_bowel"),
    ],
)
def test_an_unknown_name_gets_the_nearest_name_or_alias(typo: str, near: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        canonical(typo)
    assert near in caught.value.near
    assert repr(typo) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("nothing", ["", " ", "---", "left"])
def test_a_name_without_a_structure_is_refused(nothing: str) -> None:
    with pytest.raises(UnknownNameError):
        structure(nothing)


def test_laterality_is_that_of_the_name() -> None:
    for entry in ALL:
        sides = {"left", "right"} & set(entry.name.split("_"))
        assert ({entry.laterality} if entry.laterality else set()) == sides
        assert all(side in entry.title.lower() for side in sides)


def test_a_paired_structure_has_both_sides_alike() -> None:
    # The names of TotalSegmentator have no right atrial appendage and no left middle lobe.
    single = {"atrial_appendage_left", "lung_middle_lobe_right"}
    for entry in ALL:
        if entry.laterality is None or entry.name in single:
            continue
        other = {"left": "right", "right": "left"}[entry.laterality]
        twin = BY_NAME[entry.name.replace(entry.laterality, other)]
        assert (twin.group, twin.laterality) == (entry.group, other)
        assert (twin.snomed is None) == (entry.snomed is None)


def test_parts_lead_up_to_their_organ() -> None:
    assert structure("pancreas_head").parent == "pancreas"
    assert structure("lung_upper_lobe_left").parent == "lung_left"
    assert structure("lung_left").parent == "lung"
    assert structure("kidney_cyst_left").parent == "kidney_cyst"


def test_a_left_part_never_has_a_right_parent() -> None:
    for entry in ALL:
        if entry.parent is not None and (side := BY_NAME[entry.parent].laterality) is not None:
            assert entry.laterality == side


def test_a_parent_is_a_lesion_only_for_lesions() -> None:
    for entry in ALL:
        if entry.parent is not None and BY_NAME[entry.parent].group == "lesion":
            assert entry.group == "lesion"


def test_each_snomed_code_is_in_the_dicom_dictionary_with_that_meaning() -> None:
    meanings: dict[str, set[str]] = {}
    for concept in codes.SCT.concepts.values():
        meanings.setdefault(concept.value, set()).add(concept.meaning)
    coded = [entry for entry in ALL if entry.snomed is not None]
    assert len(coded) > 100
    for entry in coded:
        assert entry.snomed is not None
        assert entry.snomed.meaning in meanings[entry.snomed.value], entry.name


def test_anatomy_shares_a_code_only_with_its_other_side_or_its_whole() -> None:
    owners: dict[str, list[str]] = {}
    for entry in ALL:
        if entry.snomed is not None and entry.group != "lesion":
            owners.setdefault(entry.snomed.value, []).append(entry.name)
    for names in owners.values():
        for one, two in itertools.combinations(names, 2):
            bases = {"_".join(set_aside_side(name)) for name in (one, two)}
            assert len(bases) == 1, (one, two)


def set_aside_side(name: str) -> list[str]:
    return [word for word in name.split("_") if word not in ("left", "right")]


def test_a_structure_survives_the_way_to_a_worker_process() -> None:
    assert pickle.loads(pickle.dumps(ALL)) == ALL


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[organ]\na = { title = "A", aliases = ["x"] }\nb = { title = "B", aliases = ["X "] }',
            "both a and b",
        ),
        ('[organ]\na = { title = "A", parent = "b" }', "unknown parent 'b'"),
        ('[organ]\na = { title = "A", parent = "b" }\nb = { title = "B", parent = "a" }', "circle"),
        ('[organ]\na = { title = "A" }\n[bone]\na = { title = "A" }', "two groups"),
        ('[gizmo]\na = { title = "A" }', "is not a group"),
        ('[organ]\na = { aliases = ["x"] }', "'title' is missing"),
        ('[organ]\na = { title = "A", colour = "red" }', "'colour' does not belong here"),
        ('[organ]\na = { title = "A", snomed = ["1"] }', "write [code, meaning]"),
    ],
)
def test_a_broken_table_is_named_with_the_way_out(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_structures(parse_table(text, "mine.toml"))
    assert str(caught.value).startswith("mine.toml")
    assert message in str(caught.value)
