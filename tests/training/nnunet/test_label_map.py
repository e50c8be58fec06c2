"""The label map of one case: what is drawn over what, and what losses leave out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scalemai.case import Case, Presence
from scalemai.errors import ConfigError, MissingStructureError
from scalemai.training.nnunet.label_map import LabelMap, Policy, draw_labels
from scalemai.training.nnunet.labels import LabelScheme

from .drawn import box, boxed_case

LIVER = LabelScheme(organs={"liver": ("liver_lesion",)})
WITH_AORTA = LabelScheme(organs={"liver": ("liver_lesion",)}, structures=("aorta",))


def draw(case: Case, scheme: LabelScheme = LIVER, **policy: object) -> LabelMap:
    return draw_labels(case, scheme, Policy(**policy), case.grid())  # type: ignore[arg-type]  # any field


def test_lesions_are_drawn_over_their_organ_which_is_no_loss(tmp_path: Path) -> None:
    drawn = draw(boxed_case(tmp_path / "a", {"liver": box(4, 14), "liver_lesion": box(6, 9)}))
    assert (drawn.array[box(6, 9)] == 2).all()
    assert drawn.voxels == {"liver": 1000 - 27, "liver_lesion": 27, "ignored": 0}
    assert drawn.dropped == ()
    assert drawn.beside_organ == {}
    assert drawn.array.dtype == np.uint8


def test_what_a_lesion_has_beside_the_organ_stays_and_is_counted(tmp_path: Path) -> None:
    drawn = draw(boxed_case(tmp_path / "a", {"liver": box(4, 14), "liver_lesion": box(12, 16)}))
    assert drawn.voxels["liver_lesion"] == 64
    assert drawn.beside_organ == {"liver_lesion": 64 - 8}


def test_an_overlap_is_reported_with_what_won(tmp_path: Path) -> None:
    masks = {"liver": box(4, 14), "aorta": box(12, 16), "liver_lesion": box(13, 15)}
    drawn = draw(boxed_case(tmp_path / "a", masks), WITH_AORTA)
    assert drawn.dropped == (
        {"kept": "aorta", "lost": "liver", "voxels": 8},
        {"kept": "liver_lesion", "lost": "aorta", "voxels": 8},
    )


def test_two_sides_of_an_organ_are_one_label(tmp_path: Path) -> None:
    masks = {
        "kidney_left": box(2, 6),
        "kidney_right": box(10, 14),
        "kidney_lesion": box(3, 4),
    }
    drawn = draw(
        boxed_case(tmp_path / "a", masks), LabelScheme(organs={"kidney": ("kidney_lesion",)})
    )
    assert drawn.voxels == {"kidney": 127, "kidney_lesion": 1, "ignored": 0}


def test_voxels_that_nobody_verified_are_ignored_whatever_they_show(tmp_path: Path) -> None:
    masks = {"liver": box(4, 14), "liver_lesion": box(6, 9), "to_review": box(8, 12)}
    drawn = draw(boxed_case(tmp_path / "a", masks), unverified=("to_review", "not_there"))
    assert (drawn.array[box(8, 12)] == 3).all()
    assert drawn.voxels["ignored"] == 64
    assert drawn.voxels["liver_lesion"] == 27 - 1


def test_a_lesion_of_unknown_kind_is_ignored_where_kinds_are_told_apart(tmp_path: Path) -> None:
    masks = {"pancreas": box(4, 14), "pancreatic_pdac": box(5, 7), "pancreatic_lesion": box(5, 8)}
    kinds = LabelScheme(organs={"pancreas": ("pdac", "cyst")})
    drawn = draw(boxed_case(tmp_path / "a", masks), kinds)
    assert drawn.voxels["pancreatic_pdac"] == 8
    assert drawn.voxels["ignored"] == 27 - 8
    assert any("no known class" in note for note in drawn.notes)


def test_a_missing_mask_refuses_the_case_or_lets_its_background_be_ignored(tmp_path: Path) -> None:
    case = boxed_case(tmp_path / "a", {"liver": box(4, 14), "liver_lesion": box(6, 9)})
    with pytest.raises(MissingStructureError, match="no mask of aorta"):
        draw(case, WITH_AORTA)
    drawn = draw(case, WITH_AORTA, missing="ignore")
    assert set(np.unique(drawn.array)) == {1, 3, 4}
    assert drawn.array[0, 0, 0] == WITH_AORTA.ignore


def test_a_structure_that_is_stated_absent_is_not_missing(tmp_path: Path) -> None:
    masks = {"liver": box(4, 14), "liver_lesion": box(6, 9)}
    case = boxed_case(tmp_path / "a", masks, {"aorta": Presence.ABSENT})
    assert draw(case, WITH_AORTA).voxels["ignored"] == 0


def test_a_case_that_nobody_looked_at_counts_as_normal_or_is_refused(tmp_path: Path) -> None:
    case = boxed_case(tmp_path / "a", {"liver": box(4, 14)})
    drawn = draw(case)
    assert drawn.voxels == {"liver": 1000, "liver_lesion": 0, "ignored": 0}
    assert any("taken for normal" in note for note in drawn.notes)
    with pytest.raises(MissingStructureError, match="nobody says"):
        draw(case, unannotated="refuse")


def test_a_case_that_shows_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingStructureError, match="none of the structures"):
        draw(boxed_case(tmp_path / "a", {"liver": box(0, 0)}))


def test_a_stated_lesion_that_is_not_drawn_is_refused(tmp_path: Path) -> None:
    case = boxed_case(tmp_path / "a", {"liver": box(4, 9)}, {"liver_lesion": Presence.PRESENT})
    with pytest.raises(MissingStructureError, match="none is drawn"):
        draw(case)


def test_a_choice_that_is_not_known_is_refused() -> None:
    with pytest.raises(ConfigError, match="give refuse or ignore"):
        Policy(missing="skip")  # type: ignore[arg-type]  # that is the test
