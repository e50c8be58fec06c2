"""The rows of one case, counted by hand: found, missed, invented, absent, not assessed, missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scalemai.errors import UnreadableFileError
from scalemai.evaluation.case import CaseResult, evaluate_case
from scalemai.evaluation.maskset import open_masks
from scalemai.evaluation.pairing import pair
from scalemai.evaluation.request import Request

from ..hosts import (
    LABELS,
    affine,
    ball,
    prediction,
    probability,
    reference,
    without_lesions,
    write,
    write_ct,
    write_label_map,
    write_maps,
    write_masks,
)


def evaluated(pred: Path, ref: Path, request: Request | None = None) -> CaseResult:
    pairing = pair(
        open_masks(pred, class_map=LABELS), open_masks(ref, class_map=LABELS), request or Request()
    )
    return evaluate_case(pairing.cases[0], pairing.request)


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path]:
    return (
        write_masks(tmp_path / "p" / "a", prediction()),
        write_masks(tmp_path / "r" / "a", reference()),
    )


def row_of(rows: list[dict[str, object]], name: str) -> dict[str, object]:
    (row,) = (row for row in rows if row["structure"] == name)
    return row


def test_overlap_lesions_and_patient_are_what_counting_gives(both: tuple[Path, Path]) -> None:
    found = evaluated(*both)
    p, r = prediction()["liver_lesion"], reference()["liver_lesion"]
    lesion = row_of(found.structures, "liver_lesion")
    assert lesion["state"] == "both"
    assert lesion["dsc"] == pytest.approx(2 * (p & r).sum() / (p.sum() + r.sum()), abs=1e-12)
    assert lesion["reference_ml"] == pytest.approx(r.sum() * 0.8 * 0.8 * 2.5 / 1000)
    assert [(one["detected"], one["candidates"]) for one in found.lesions] == [
        (True, 1),
        (False, 0),
    ]
    verdicts = sorted(str(one["verdict"]) for one in found.candidates)
    assert verdicts == ["false_positive", "true_positive"]
    assert {one["organ"] for one in found.candidates} == {"liver"}
    (patient,) = found.patients
    assert (patient["positive"], patient["state"]) == (True, "scored")
    largest = (ball((15.0, 18.0, 8.0), 4.6)).sum() * 1.6
    assert patient["score"] == pytest.approx(largest)


def test_a_mask_of_several_values_is_told(both: tuple[Path, Path]) -> None:
    pred, ref = both
    liver = prediction()["liver"].astype(np.uint8)
    liver[ball((20.0, 20.0, 8.0), 4.0) & (liver > 0)] = 7
    write(pred / "segmentations" / "liver.nii.gz", liver)
    write(ref / "segmentations" / "spleen.nii.gz", reference()["spleen"].astype(np.uint8) * 255)
    found = evaluated(pred, ref)
    assert found.notes == ["the prediction of liver holds values 1, 7: all count as liver"]
    write_masks(pred, prediction())
    write_masks(ref, reference())
    assert evaluated(pred, ref).structures == found.structures


def test_places_are_in_the_world(both: tuple[Path, Path]) -> None:
    first = evaluated(*both).lesions[0]
    world = affine() @ np.array([14.0, 18.0, 8.0, 1.0])
    assert [first["x_mm"], first["y_mm"], first["z_mm"]] == pytest.approx(world[:3], abs=1e-3)


def test_what_is_predicted_on_an_absent_structure_is_a_false_positive(tmp_path: Path) -> None:
    pred = write_masks(tmp_path / "p" / "a", prediction())
    ref = write_masks(tmp_path / "r" / "a", without_lesions(reference()))
    found = evaluated(pred, ref)
    assert row_of(found.structures, "liver_lesion")["state"] == "reference_empty"
    assert row_of(found.structures, "liver_lesion")["dsc"] == 0.0
    assert [one["verdict"] for one in found.candidates] == ["false_positive"] * 2
    assert found.patients[0]["positive"] is False


def test_what_was_not_assessed_is_neither_right_nor_wrong(tmp_path: Path) -> None:
    pred = write_masks(tmp_path / "p" / "a", prediction())
    write_masks(tmp_path / "p" / "b", prediction())
    organs = {name: mask for name, mask in reference().items() if name != "liver_lesion"}
    write_masks(tmp_path / "r" / "a", organs)
    write_masks(tmp_path / "r" / "b", reference())
    found = evaluated(pred.parent, tmp_path / "r")
    row = row_of(found.structures, "liver_lesion")
    assert (row["state"], row["dsc"], row["prediction_ml"]) == ("not_assessed", None, None)
    assert found.candidates == []
    assert (found.patients[0]["positive"], found.patients[0]["state"]) == (None, "not_assessed")


def test_a_lesion_that_is_stated_but_not_drawn_makes_the_patient_positive_only(
    tmp_path: Path,
) -> None:
    masks = {"pancreas": reference()["liver"], "pancreatic_lesion": np.zeros((48, 40, 16), bool)}
    write_masks(tmp_path / "r" / "PanTS_00000001", masks)
    write_ct(tmp_path / "r" / "PanTS_00000001" / "ct.nii.gz")
    (tmp_path / "r" / "metadata.csv").write_text("PanTS ID,tumor?\nPanTS_00000001,1\n")
    wrong = {**masks, "pancreatic_lesion": prediction()["liver_lesion"]}
    write_masks(tmp_path / "p" / "PanTS_00000001", wrong)
    pairing = pair(open_masks(tmp_path / "p"), open_masks(tmp_path / "r"), Request())
    found = evaluate_case(pairing.cases[0], pairing.request)
    assert row_of(found.structures, "pancreatic_lesion")["state"] == "not_assessed"
    assert found.candidates == []
    assert found.patients[0]["positive"] is True
    assert found.notes == [
        "pancreatic_lesion is stated to be present but not drawn: voxels not assessed"
    ]


@pytest.mark.parametrize("missing", ["fail", "omit"])
def test_a_missing_prediction_is_a_failure_or_counted_and_left_out(
    tmp_path: Path, missing: str
) -> None:
    write_masks(tmp_path / "p" / "b", prediction())
    write_masks(tmp_path / "r" / "a", reference())
    write_masks(tmp_path / "r" / "b", reference())
    request = Request(missing=missing)  # type: ignore[arg-type]  # one of both
    found = evaluated(tmp_path / "p", tmp_path / "r", request)
    assert {row["state"] for row in found.structures} == {"missing_prediction"}
    fails = missing == "fail"
    assert [row["dsc"] for row in found.structures] == [0.0 if fails else None] * 3
    assert [one["detected"] for one in found.lesions] == ([False, False] if fails else [])
    assert (found.patients[0]["score"], found.patients[0]["state"]) == (None, "missing_prediction")


def test_probabilities_give_masks_and_scores(tmp_path: Path) -> None:
    ref = write_masks(tmp_path / "r" / "a", reference())
    maps = write_maps(tmp_path / "maps" / "a", prediction())
    masks = write_masks(tmp_path / "masks" / "a", prediction())
    by_map, by_mask = evaluated(maps, ref), evaluated(masks, ref)
    assert by_map.structures == by_mask.structures
    best = max(one["score"] for one in by_map.candidates)
    assert by_map.patients[0]["score"] == best == pytest.approx(0.9, abs=0.06)
    assert by_map.lesions[0]["score"] is not None
    assert by_map.lesions[1]["score"] is None


def test_a_threshold_makes_masks_of_probabilities_even_beside_masks(tmp_path: Path) -> None:
    ref = write_masks(tmp_path / "r" / "a", reference())
    pred = write_masks(tmp_path / "p" / "a", without_lesions(prediction()))
    write_maps(pred, prediction())
    assert row_of(evaluated(pred, ref).structures, "liver_lesion")["state"] == "prediction_empty"
    cut = evaluated(pred, ref, Request(threshold=0.5))
    assert row_of(cut.structures, "liver_lesion")["state"] == "both"
    everything = evaluated(pred, ref, Request(threshold=0.01))
    assert row_of(everything.structures, "spleen")["prediction_ml"] == pytest.approx(
        48 * 40 * 16 * 1.6 / 1000
    )


def test_a_gate_cuts_lesions_to_the_organ(tmp_path: Path) -> None:
    whole = {name: mask.copy() for name, mask in reference().items()}
    whole["liver"] |= whole["liver_lesion"]
    ref = write_masks(tmp_path / "r" / "a", whole)
    outside = ball((41.0, 16.0, 9.0), 4.0)
    wrong = {**whole, "liver_lesion": whole["liver_lesion"] | outside}
    pred = write_masks(tmp_path / "p" / "a", wrong)
    free = evaluated(pred, ref)
    assert [one["verdict"] for one in free.candidates].count("false_positive") == 1
    for gate in ("prediction", "reference"):
        cut = evaluated(pred, ref, Request(gate=gate))  # type: ignore[arg-type]  # one of both
        assert row_of(cut.structures, "liver_lesion")["dsc"] == 1.0
        assert [one["verdict"] for one in cut.candidates] == ["true_positive"] * 2


def test_presets_score_patients_by_their_rule(tmp_path: Path) -> None:
    whole = reference()
    whole["liver"] |= whole["liver_lesion"]
    ref = write_masks(tmp_path / "r" / "a", whole)
    pred = write_masks(tmp_path / "p" / "a", whole)
    eroded = evaluated(pred, ref, Request(preset="radgpt")).patients[0]["score"]
    full = evaluated(pred, ref).patients[0]["score"]
    assert isinstance(eroded, float)
    assert isinstance(full, float)
    assert 0 < eroded < full
    write_maps(pred, whole)
    assert evaluated(pred, ref, Request(preset="r-super")).patients[0]["score"] > eroded


def test_filters_ignore_small_lesions_and_drop_small_candidates(both: tuple[Path, Path]) -> None:
    smaller = float(ball((26.0, 26.0, 5.0), 2.0).sum() * 1.6)
    found = evaluated(*both, Request(reference_minimum_mm3=smaller + 1, prediction_minimum_mm3=150))
    assert [one["ignored"] for one in found.lesions] == [False, True]
    assert [one["verdict"] for one in found.candidates] == ["true_positive"]


def unusable(found: CaseResult, *words: str) -> None:
    """The case is scored as if it had no prediction, and says why."""
    for word in words:
        assert word in found.unusable
    assert {row["state"] for row in found.structures} == {"unusable_prediction"}
    assert {row["dsc"] for row in found.structures} == {0.0}
    assert not any(one["detected"] for one in found.lesions)
    assert {(row["score"], row["state"]) for row in found.patients} <= {
        (None, "unusable_prediction")
    }


@pytest.mark.parametrize(
    ("shape", "matrix", "what"),
    [
        ((48, 40, 15), affine(), "48 x 40 x 15 voxels"),
        ((48, 40, 16), affine() * np.array([1, 1, 2, 1]), "of 0.8 x 0.8 x 5 mm"),
        ((48, 40, 16), affine() + np.eye(4, k=3) * 3, "lies up to 3 mm off"),
    ],
)
def test_another_grid_is_refused_by_the_names_of_both_files(
    both: tuple[Path, Path], shape: tuple[int, int, int], matrix: np.ndarray, what: str
) -> None:
    pred, ref = both
    path = write(pred / "segmentations" / "liver.nii.gz", np.ones(shape, bool), matrix=matrix)
    unusable(evaluated(pred, ref), what, str(path), str(ref / "segmentations"))


def test_probabilities_on_another_grid_are_refused(tmp_path: Path) -> None:
    ref = write_masks(tmp_path / "r" / "a", reference())
    pred = write_maps(tmp_path / "p" / "a", prediction())
    write(pred / "probabilities" / "liver.nii.gz", np.zeros((48, 40, 15), np.float32))
    unusable(evaluated(pred, ref), "48 x 40 x 15 voxels")


@pytest.mark.parametrize(
    ("value", "what"),
    [(np.nan, "are NaN"), (1.2, "run from 0.02 to 1.2"), (-0.1, "run from -0.1"), (np.inf, "inf")],
)
def test_what_is_no_probability_is_refused(tmp_path: Path, value: float, what: str) -> None:
    ref = write_masks(tmp_path / "r" / "a", reference())
    pred = write_maps(tmp_path / "p" / "a", prediction())
    bad = probability(reference()["spleen"])
    bad[3, 4, 5] = value
    write(pred / "probabilities" / "spleen.nii.gz", bad)
    unusable(evaluated(pred, ref), what, "spleen.nii.gz")


def test_a_label_that_the_class_map_does_not_know_is_refused(tmp_path: Path) -> None:
    write_label_map(tmp_path / "r" / "a.nii.gz", reference())
    labels = np.zeros((48, 40, 16), np.int16)
    labels[5:9] = 9
    write(tmp_path / "p" / "a.nii.gz", labels)
    unusable(evaluated(tmp_path / "p", tmp_path / "r"), "holds label value 9, which class map")


def test_a_truncated_prediction_is_named(both: tuple[Path, Path]) -> None:
    pred, ref = both
    path = pred / "segmentations" / "liver.nii.gz"
    path.write_bytes(path.read_bytes()[:100])
    unusable(evaluated(pred, ref), "liver.nii.gz")


def test_a_fault_of_the_reference_fails_the_case(both: tuple[Path, Path]) -> None:
    pred, ref = both
    path = ref / "segmentations" / "spleen.nii.gz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UnreadableFileError, match=r"r/a/segmentations/spleen\.nii\.gz"):
        evaluated(pred, ref)
