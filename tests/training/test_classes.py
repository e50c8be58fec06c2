"""Lesions are taught as what they are known to be, and nothing is taught where nobody knows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scalemai.anatomy import organ
from scalemai.case import Presence
from scalemai.detector.spec import DetectorSpec
from scalemai.errors import MissingStructureError
from scalemai.synthesis.files import Request, synthesize_case
from scalemai.synthesis.sidecar import read_sidecar
from scalemai.synthesis.spec import LesionSpec
from scalemai.training.classes import IGNORE, class_value, kind_of_mask, read_lesions

from .hosts import SPEC, ball, grid, one_case, pancreas, write_patient

KINDS = DetectorSpec("pancreas", ("pdac", "pnet"))
PDAC, CYST, OTHER = ball((30, 4, -8), 16), ball((0, 6, 0), 12), ball((-40, 2, 10), 10)


@pytest.mark.parametrize(
    ("classes", "kind", "value"),
    [
        (("pancreatic_lesion",), "pdac", 1),
        (("pancreatic_lesion",), None, 1),
        (("pdac", "pnet"), "pnet", 2),
        (("pdac", "pnet"), "cyst", 0),
        (("pdac", "pnet"), None, IGNORE),
        (("pancreatic_lesion", "pdac"), "pdac", 2),
        (("pancreatic_lesion", "pdac"), "cyst", 1),
    ],
)
def test_a_kind_counts_before_the_structure(classes, kind, value) -> None:
    assert class_value(DetectorSpec("pancreas", classes), kind) == value


@pytest.mark.parametrize(
    ("mask", "name", "kind"),
    [
        ("pancreatic_pdac", "pancreas", "pdac"),
        ("pancreatic_cyst", "pancreas", "cyst"),
        ("pancreatic_lesion", "pancreas", None),
        ("kidney_cyst_left", "kidney", "cyst"),
        ("kidney_tumor", "kidney", None),
        ("liver_cyst", "liver", "cyst"),
    ],
)
def test_some_masks_name_the_kind(mask, name, kind) -> None:
    assert kind_of_mask(mask, organ(name)) == kind


def test_each_mask_becomes_its_class_and_the_rest_is_ignored(tmp_path: Path) -> None:
    lesions = {
        "pancreatic_pdac": PDAC,
        "pancreatic_cyst": CYST,
        "pancreatic_lesion": PDAC | CYST | OTHER,
    }
    case = one_case(write_patient(tmp_path / "a", pancreas(), lesions))
    found = read_lesions(case, KINDS, grid())
    assert found is not None
    assert set(found) == {1, IGNORE}
    assert np.array_equal(found[1], PDAC)
    assert np.array_equal(found[IGNORE], OTHER)  # the cyst is known, and known to be neither
    whole = read_lesions(case, SPEC, grid())
    assert whole is not None
    assert np.array_equal(whole[1], PDAC | CYST | OTHER)


def test_the_data_set_may_name_the_kind_of_a_case(tmp_path: Path) -> None:
    case = one_case(write_patient(tmp_path / "a", pancreas(), {"pancreatic_lesion": PDAC}))
    named = replace(case, metadata={**case.metadata, "diagnosis": "PNET"})
    found = read_lesions(named, KINDS, grid())
    assert found is not None
    assert set(found) == {2}


def test_grown_lesions_have_the_kind_of_their_recipe(tmp_path: Path) -> None:
    host = one_case(write_patient(tmp_path / "host", pancreas()))
    specs = tuple(
        LesionSpec(organ="pancreas", kind=kind, site=site, diameter_mm=(9.0, 12.0))
        for kind, site in (("pnet", "head"), ("pdac", "tail"))
    )
    request = Request(specs=specs, counts=((1, 1), (1, 1)), seed=4)
    folder = synthesize_case(host, tmp_path / "grown", request)
    found = read_lesions(one_case(folder), KINDS, grid())
    assert found is not None
    assert set(found) == {1, 2}
    for recipe in read_sidecar(folder / "synthesis.json").recipes:
        near = ball(recipe.centre_mm, 5.0)
        assert (found[1 + KINDS.classes.index(recipe.kind)] & near).sum() > 0.6 * near.sum()


def test_lesions_that_are_stated_but_not_drawn_are_refused(tmp_path: Path) -> None:
    case = one_case(write_patient(tmp_path / "a", pancreas()))
    assert read_lesions(case, SPEC, grid()) is None
    healthy = replace(case, stated={"pancreatic_lesion": Presence.ABSENT})
    assert read_lesions(healthy, SPEC, grid()) == {}
    ill = replace(case, stated={"pancreatic_lesion": Presence.PRESENT})
    with pytest.raises(
        MissingStructureError, match="states a pancreatic_lesion, but none is drawn"
    ):
        read_lesions(ill, SPEC, grid())


def test_a_tumor_of_no_known_organ_is_not_taught_as_healthy(tmp_path: Path) -> None:
    case = one_case(write_patient(tmp_path / "a", pancreas(), {"tumor_2": PDAC}))
    found = read_lesions(case, SPEC, grid())
    assert found is not None
    assert np.array_equal(found[IGNORE], PDAC)
