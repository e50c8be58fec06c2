"""Which value each structure has, and what nnU-Net is told of it."""

from __future__ import annotations

import pytest

from scalemai.anatomy import canonical
from scalemai.errors import ConfigError
from scalemai.training.nnunet.labels import LabelScheme

KINDS = ("pdac", "pnet", "cyst")


def scheme(**changes: object) -> LabelScheme:
    asked = {"organs": {"pancreas": KINDS, "liver": ("liver_lesion",)}, "structures": ("aorta",)}
    return LabelScheme(**{**asked, **changes})  # type: ignore[arg-type]  # any field


def test_values_are_consecutive_and_the_ignored_one_is_the_highest() -> None:
    labels = scheme().dataset_labels(ignore=True)["labels"]
    assert list(labels) == [
        "background", "pancreas", "liver", "aorta",
        "pancreatic_pdac", "pancreatic_pnet", "pancreatic_cyst", "liver_lesion", "ignore",
    ]  # fmt: skip
    assert list(labels.values()) == list(range(9))


def test_the_ignored_value_is_named_only_where_it_occurs() -> None:
    assert "ignore" not in scheme().dataset_labels(ignore=False)["labels"]


def test_a_region_of_an_organ_holds_its_lesions_and_lesions_are_written_over_it() -> None:
    said = scheme(regions=True).dataset_labels(ignore=True)
    assert said["labels"]["pancreas"] == [1, 4, 5, 6]
    assert said["labels"]["liver"] == [2, 7]
    assert said["labels"]["aorta"] == 3
    order = said["regions_class_order"]
    assert order == [1, 2, 3, 4, 5, 6, 7]
    assert order.index(1) < order.index(4)
    assert order.index(2) < order.index(7)


def test_a_lesion_is_its_kind_else_organ_and_an_unknown_kind_is_ignored() -> None:
    one = scheme(organs={"pancreas": ("pdac", "cyst")}, structures=())
    assert one.of_lesion("pancreas", "cyst") == 3
    assert one.of_lesion("pancreas", "pnet") == 1  # known, and none of what is looked for
    assert one.of_lesion("pancreas", None) == one.ignore == 4


def test_any_kind_is_a_lesion_where_kinds_are_not_told_apart() -> None:
    assert {scheme().of_lesion("liver", kind) for kind in ("hcc", "cyst", None)} == {7}


def test_names_are_those_that_other_commands_read() -> None:
    assert {canonical(name) for name in scheme().names.values()} == {
        "pancreas", "liver", "aorta", "pancreatic_lesion", "liver_lesion",
    }  # fmt: skip


def test_a_scheme_comes_back_from_json() -> None:
    assert LabelScheme.from_json(scheme(regions=True).to_json()) == scheme(regions=True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"organs": {}}, "there are none"),
        ({"organs": {"pancreas": ("hcc",)}}, "no lesion of the pancreas"),
        ({"structures": ("pancreas_head",)}, "a part of an organ"),
        ({"structures": ("liver_lesion",)}, "is a lesion"),
        ({"structures": ("aorta", "aorta")}, "named twice"),
    ],
)
def test_what_cannot_be_told_apart_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        scheme(**changes)
