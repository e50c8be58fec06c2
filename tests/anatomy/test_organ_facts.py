"""Organ facts are physically sane, complete, and each number says where it comes from."""

from __future__ import annotations

import pickle
import tomllib
from collections.abc import Iterator
from importlib.resources import files

import pytest

import scalemai.anatomy
from scalemai.anatomy import PHASES, Organ, canonical, organ, organ_names, structure, structures
from scalemai.errors import UnknownNameError

ORGANS = [organ(name) for name in organ_names()]
FILES = {
    entry.name: tomllib.loads(entry.read_text(encoding="utf-8"))
    for entry in (files(scalemai.anatomy) / "organs").iterdir()
}
every_organ = pytest.mark.parametrize("facts", ORGANS, ids=lambda o: o.name)


def parenchyma(name: str, phase: str) -> float:
    return organ(name).parenchyma_hu[phase].mean_hu


def tables(data: object, path: str) -> Iterator[tuple[str, dict[str, object]]]:
    if isinstance(data, dict):
        yield path, data
        for key, value in data.items():
            yield from tables(value, f"{path}.{key}")


def test_the_organs_and_their_kinds_are_there() -> None:
    assert {o.name: o.kind_names for o in ORGANS} == {
        "adrenal_gland": ("adenoma", "metastasis"),
        "bladder": ("urothelial", "squamous"),
        "bone": ("metastasis", "myeloma", "enostosis"),
        "breast": ("ductal_carcinoma", "fibroadenoma", "cyst"),
        "colon": ("adenocarcinoma", "adenoma", "lymphoma"),
        "duodenum": ("adenocarcinoma", "gist", "adenoma", "neuroendocrine"),
        "esophagus": ("squamous", "adenocarcinoma", "leiomyoma"),
        "gall_bladder": ("adenocarcinoma", "polyp"),
        "kidney": ("clear_cell", "papillary", "cyst", "chromophobe", "angiomyolipoma"),
        "liver": ("hcc", "metastasis", "hemangioma", "cyst"),
        "lung": ("adenocarcinoma", "squamous", "metastasis", "granuloma"),
        "pancreas": ("pdac", "pnet", "cyst"),
        "stomach": ("adenocarcinoma", "gist", "lymphoma"),
    }


def test_the_four_tissue_families_have_their_organs() -> None:
    hollow = {"esophagus", "stomach", "duodenum", "colon", "gall_bladder", "bladder"}
    assert {o.name for o in ORGANS if o.family == "hollow"} == hollow
    assert {o.name for o in ORGANS if o.family not in ("solid", "hollow")} == {"lung", "bone"}


@pytest.mark.parametrize("name", FILES)
def test_every_number_has_a_source_beside_it(name: str) -> None:
    seen = 0
    for path, table in tables(FILES[name], name):
        if any(isinstance(v, int | float) and not isinstance(v, bool) for v in table.values()):
            source = table.get("source")
            assert isinstance(source, str), path
            assert len(source) > 10, path
            seen += 1
    assert seen > 25


@pytest.mark.parametrize("name", FILES)
def test_no_number_hides_in_a_list(name: str) -> None:
    for path, table in tables(FILES[name], name):
        for key, value in table.items():
            if isinstance(value, list):
                assert all(isinstance(item, str) for item in value), (path, key)


def lineage(name: str) -> list[str]:
    parent = structure(name).parent
    return [name] if parent is None else [name, *lineage(parent)]


@every_organ
def test_an_organ_is_made_of_its_own_parts(facts: Organ) -> None:
    sites = [name for names in facts.sites.values() for name in names]
    assert all(facts.name in lineage(name) for name in (*facts.structures, *sites))
    assert len(set(facts.structures)) == len(facts.structures)
    assert structure(facts.lesion).parent == facts.name
    assert structure(facts.lesion).group == "lesion"
    assert all(structure(name).group in ("vessel", "duct") for name in facts.vessels)
    assert not set(facts.vessels) & set(facts.barriers)


def test_sites_are_those_that_a_report_names() -> None:
    assert dict(organ("pancreas").sites) == {
        "head": ("pancreas_head",),
        "body": ("pancreas_body",),
        "tail": ("pancreas_tail",),
    }
    assert dict(organ("kidney").sites) == {
        "left": ("kidney_left",),
        "right": ("kidney_right",),
    }
    assert dict(organ("liver").sites) == {}
    assert organ("lung").sites["right_middle_lobe"] == ("lung_middle_lobe_right",)
    assert organ("lung").sites["upper_lobe"] == ("lung_upper_lobe_left", "lung_upper_lobe_right")


def test_every_bone_is_in_the_skeleton_and_in_a_site() -> None:
    bones = {s.name for s in structures() if s.group == "bone"} - {"bone", "costal_cartilages"}
    bone = organ("bone")
    assert set(bone.structures) == bones
    assert {name for names in bone.sites.values() for name in names} == bones
    assert len(bone.sites["rib"]) == 24
    assert len(bone.sites["vertebra"]) == 24
    assert set(bone.sites["rib"]) == {*bone.sites["left_rib"], *bone.sites["right_rib"]}


@every_organ
def test_a_wall_is_a_few_millimetres_thick_and_of_hollow_organs_only(facts: Organ) -> None:
    assert (facts.wall_mm is not None) == (facts.family == "hollow")
    if facts.wall_mm is not None:
        assert 1 <= facts.wall_mm.low < facts.wall_mm.high <= 6
        assert facts.wall_mm.source


@pytest.mark.parametrize("spelling", ["kidney", "Kidneys", "KIDNEY", "both kidneys"])
def test_an_organ_is_found_in_any_spelling(spelling: str) -> None:
    assert organ(spelling).name == "kidney"


@pytest.mark.parametrize(
    ("part", "whole"), [("kidney_left", "kidney"), ("pancreas head", "pancreas")]
)
def test_a_part_is_not_answered_with_the_whole_organ(part: str, whole: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown organ '{part}'; did you mean '{whole}'"):
        organ(part)


@pytest.mark.parametrize("name", ["spleen", "no such thing", ""])
def test_an_organ_without_facts_is_refused_with_those_that_have_some(name: str) -> None:
    with pytest.raises(UnknownNameError, match="unknown organ"):
        organ(name)


def test_a_kind_is_found_by_its_other_names() -> None:
    assert organ("liver").kind("Hepatocellular carcinoma").name == "hcc"
    assert organ("liver").kind("haemangioma").name == "hemangioma"
    assert organ("kidney").kind("ccRCC").name == "clear_cell"
    with pytest.raises(UnknownNameError, match="did you mean 'hemangioma'"):
        organ("liver").kind("hemangiom")


@every_organ
def test_facts_survive_the_way_to_a_worker_process_and_serve_as_a_key(facts: Organ) -> None:
    copy = pickle.loads(pickle.dumps(facts))
    assert copy == facts
    assert {copy: 1}[facts] == 1
    assert copy.parenchyma_hu["arterial"].source == facts.parenchyma_hu["arterial"].source


@every_organ
def test_default_weights_are_shares(facts: Organ) -> None:
    assert sum(kind.weight for kind in facts.kinds) == pytest.approx(1)
    assert all("choice" in kind.weight_source for kind in facts.kinds)


@every_organ
def test_parenchyma_has_the_attenuation_of_its_tissue(facts: Organ) -> None:
    plain = facts.parenchyma_hu["non_contrast"].mean_hu
    tissue = "breast" if facts.name == "breast" else facts.family
    usual = {"solid": (15, 70), "hollow": (25, 50), "bone": (120, 250)}
    usual |= {"lung": (-900, -750), "breast": (-100, 0)}  # air and fat make up most of them
    assert usual[tissue][0] < plain < usual[tissue][1]
    # What is taken up is a few HU in air, fat and bone, and on its way out in the delayed phase.
    most = 250 if tissue in ("solid", "hollow") else plain + 25
    assert all(plain < facts.parenchyma_hu[p].mean_hu < most for p in PHASES[1:])
    assert parenchyma(facts.name, "delayed") < parenchyma(facts.name, "portal_venous")


def test_the_liver_peaks_in_the_portal_venous_and_the_pancreas_in_the_arterial_phase() -> None:
    assert max(PHASES, key=lambda p: parenchyma("liver", p)) == "portal_venous"
    assert max(PHASES, key=lambda p: parenchyma("pancreas", p)) == "arterial"


@pytest.mark.parametrize(
    ("name", "volume_ml"),
    [
        ("liver", 1510),
        ("pancreas", 72.4),
        ("kidney", 138),
        ("kidney", 174),
        ("adrenal_gland", 4.23),
    ],
)
def test_published_mean_volumes_lie_well_inside_the_range(name: str, volume_ml: float) -> None:
    usual = organ(name).volume_ml
    assert 1.5 * usual.low < volume_ml < usual.high / 1.5


@every_organ
def test_names_in_the_facts_are_canonical(facts: Organ) -> None:
    names = (facts.name, facts.lesion, *facts.structures, *facts.vessels, *facts.barriers)
    assert [canonical(name) for name in names] == list(names)
