"""Which prediction belongs to which reference; what is missing, extra, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from scalemai.errors import ConfigError, UnknownNameError
from scalemai.evaluation.files import read_case_facts
from scalemai.evaluation.maskset import open_masks
from scalemai.evaluation.pairing import Pairing, pair
from scalemai.evaluation.request import Request

from ..hosts import (
    LABELS,
    prediction,
    reference,
    write_ct,
    write_data,
    write_dicom_seg,
    write_label_map,
    write_maps,
    write_masks,
)


def paired(pred: Path, ref: Path, request: Request | None = None, **how: object) -> Pairing:
    return pair(open_masks(pred), open_masks(ref), request or Request(), **how)  # type: ignore[arg-type]  # passed on


def test_all_that_both_have_is_evaluated_and_lesions_are_known_by_name(tmp_path: Path) -> None:
    found = paired(write_data(tmp_path / "p", of="prediction"), write_data(tmp_path / "r"))
    assert [case.id for case in found.cases] == ["case_00", "case_01", "case_02", "case_03"]
    assert found.request.structures == ("liver", "liver_lesion", "spleen")
    assert found.request.lesions == ("liver_lesion",)
    assert found.request.score == "largest-component"
    assert (found.extra, found.without_prediction, found.notes) == ((), (), ())


def test_missing_and_extra_predictions_are_reported(tmp_path: Path) -> None:
    pred = write_data(tmp_path / "p", of="prediction")
    (pred / "case_01").rename(pred / "another")
    found = paired(pred, write_data(tmp_path / "r"))
    assert found.without_prediction == ("case_01",)
    assert found.extra == ("another",)
    assert "1 of 4 cases have no prediction (case_01): counted as failures" in found.notes
    assert "1 prediction has no reference (another): not evaluated" in found.notes
    omitted = paired(pred, tmp_path / "r", Request(missing="omit"))
    assert "1 of 4 cases have no prediction (case_01): left out" in omitted.notes


def test_a_structure_that_one_prediction_lacks_is_missing_there(tmp_path: Path) -> None:
    pred = write_data(tmp_path / "p", of="prediction")
    (pred / "case_02" / "segmentations" / "spleen.nii.gz").unlink()
    found = paired(pred, write_data(tmp_path / "r"))
    assert found.missing == {"liver": (), "liver_lesion": (), "spleen": ("case_02",)}
    assert "1 prediction has no spleen (case_02): counted as failures" in found.notes


def test_a_structure_that_no_prediction_has_is_left_out_unless_asked_for(tmp_path: Path) -> None:
    pred = write_data(tmp_path / "p", of="prediction")
    for path in pred.rglob("spleen.nii.gz"):
        path.unlink()
    found = paired(pred, write_data(tmp_path / "r"))
    assert found.request.structures == ("liver", "liver_lesion")
    assert any("spleen" in note and "not evaluated" in note for note in found.notes)
    asked = paired(pred, tmp_path / "r", Request(structures=("spleen",)))
    assert asked.missing == {"spleen": ("case_00", "case_01", "case_02", "case_03")}


def test_an_alias_and_an_organ_of_two_sides_are_understood(tmp_path: Path) -> None:
    sides = {"kidney_left": reference()["spleen"], "kidney_right": reference()["liver"]}
    write_masks(tmp_path / "r" / "a", sides)
    write_masks(tmp_path / "p" / "a", {"kidney": sides["kidney_left"] | sides["kidney_right"]})
    found = paired(tmp_path / "p", tmp_path / "r", Request(structures=("Kidney",)))
    assert found.request.structures == ("kidney",)
    assert found.missing == {"kidney": ()}


def test_one_prediction_and_one_reference_belong_together(tmp_path: Path) -> None:
    pred = write_label_map(tmp_path / "p" / "out.nii.gz", prediction())
    ref = write_label_map(tmp_path / "r" / "truth.nii.gz", reference())
    found = pair(open_masks(pred, class_map=LABELS), open_masks(ref, class_map=LABELS), Request())
    assert [(one.id, one.prediction is not None) for one in found.cases] == [("truth", True)]


def test_unknown_structures_are_refused_with_the_nearest(tmp_path: Path) -> None:
    pred, ref = write_data(tmp_path / "p", of="prediction"), write_data(tmp_path / "r")
    with pytest.raises(UnknownNameError, match="did you mean 'spleen'"):
        paired(pred, ref, Request(structures=("splen",)))


def test_names_without_anything_in_common_are_refused(tmp_path: Path) -> None:
    pred = write_data(tmp_path / "p", 2, of="prediction")
    for number in range(2):
        (pred / f"case_{number:02d}").rename(pred / f"other_{number}")
    with pytest.raises(ConfigError, match="no prediction is named like a reference: other_0"):
        paired(pred, write_data(tmp_path / "r", 2))


def test_two_files_of_one_case_are_refused(tmp_path: Path) -> None:
    write_label_map(tmp_path / "p" / "case_00.nii.gz", prediction())
    write_label_map(tmp_path / "p" / "case_00.nii", prediction())
    with pytest.raises(ConfigError, match="two cases are called 'case_00'"):
        open_masks(tmp_path / "p", class_map=LABELS)


def test_a_label_map_without_class_map_is_refused(tmp_path: Path) -> None:
    write_label_map(tmp_path / "p" / "case_00.nii.gz", prediction())
    with pytest.raises(ConfigError, match=r"case_00.*label values mean nothing"):
        open_masks(tmp_path / "p")


def test_the_manifest_that_nnunet_leaves_beside_its_predictions_is_read(tmp_path: Path) -> None:
    write_label_map(tmp_path / "p" / "case_00.nii.gz", prediction())
    labels = '{"background": 0, "liver": 1, "liver tumor": 2, "spleen": 3}'
    manifest = f'{{"channel_names": {{"0": "CT"}}, "labels": {labels}, "file_ending": ".nii.gz"}}'
    (tmp_path / "p" / "dataset.json").write_text(manifest)
    found = open_masks(tmp_path / "p")
    assert found["case_00"].structures == ("liver", "liver_lesion", "spleen")
    assert found.without_ct == {"case_00"}


def test_every_layout_without_ct_is_opened(tmp_path: Path) -> None:
    root = tmp_path / "p"
    masks = prediction()
    write_masks(root / "a", masks)
    write_maps(root / "b", masks)
    write_dicom_seg(root / "c.dcm", masks, tmp_path / "ct")
    write_dicom_seg(root / "d" / "seg.dcm", masks, tmp_path / "ct")
    write_masks(root / "e", masks)
    write_ct(root / "e" / "ct.nii.gz")
    found = open_masks(root)
    assert found.ids == tuple("eabcd") or sorted(found.ids) == list("abcde")
    assert found.without_ct == set("abcd")
    for case_id in "acde":
        assert set(found[case_id].structures) == {"liver", "liver_lesion", "spleen"}, case_id
    assert set(found.maps_of("b")) == {"liver", "liver_lesion", "spleen"}
    assert open_masks(root / "a").ids == ("a",)
    assert open_masks(root / "a" / "segmentations").ids == ("a",)
    assert open_masks(root / "c.dcm").ids == ("c",)
    assert open_masks(root / "a" / "segmentations" / "liver.nii.gz")["a"].structures == ("liver",)


def test_a_folder_without_masks_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(ConfigError, match=r"no masks were found: looked for CASE\.nii\.gz"):
        open_masks(tmp_path)


def test_probability_maps_of_some_cases_only_are_refused(tmp_path: Path) -> None:
    pred = write_data(tmp_path / "p", of="prediction")
    write_maps(pred / "case_00", prediction())
    with pytest.raises(ConfigError, match="3 of 4 predictions have no probability map of liver_l"):
        paired(pred, write_data(tmp_path / "r"))


def test_scores_are_probabilities_where_all_predictions_have_them(tmp_path: Path) -> None:
    pred = tmp_path / "p"
    for number in range(4):
        write_maps(pred / f"case_{number:02d}", prediction())
    ref = write_data(tmp_path / "r")
    assert paired(pred, ref).request.score == "max-probability"
    assert paired(pred, ref, Request(preset="r-super")).request.score == "r-super"


def test_a_preset_or_a_gate_without_what_it_needs_is_refused(tmp_path: Path) -> None:
    pred, ref = write_data(tmp_path / "p", of="prediction"), write_data(tmp_path / "r")
    with pytest.raises(ConfigError, match="r-super needs probability maps"):
        paired(pred, ref, Request(preset="r-super"))
    for path in pred.rglob("liver.nii.gz"):
        path.unlink()
    for request in (Request(preset="radgpt"), Request(gate="prediction")):
        with pytest.raises(ConfigError, match="has no mask of liver, which"):
            paired(pred, ref, request)
    assert paired(pred, ref, Request(gate="reference")).request.gate == "reference"


def test_metadata_tell_whose_a_case_is(tmp_path: Path) -> None:
    pred, ref = write_data(tmp_path / "p", 2, of="prediction"), write_data(tmp_path / "r", 2)
    facts = {"case_00": {"patient": "P7", "sex": "F"}, "case_01": {"patient": "P7"}}
    found = paired(pred, ref, metadata=facts)
    assert [case.patient for case in found.cases] == ["P7", "P7"]
    assert found.cases[0].metadata == {"sex": "F"}


def test_metadata_may_be_by_patient_and_gaps_are_told(tmp_path: Path) -> None:
    pred, ref = write_data(tmp_path / "p", 3, of="prediction"), write_data(tmp_path / "r", 3)
    for number in range(3):
        write_ct(ref / f"case_{number:02d}" / "ct.nii.gz")
    for number, patient in enumerate(("P7", "P7", "P8")):
        about = ref / f"case_{number:02d}" / "metadata.json"
        about.write_text(json.dumps({"patient": patient}))
    (tmp_path / "patients.csv").write_text("patient,sex\nP7,F\nP9,M\n")
    table = read_case_facts(tmp_path / "patients.csv")
    found = paired(pred, ref, metadata=table.rows, metadata_key=table.key)
    assert [case.patient for case in found.cases] == ["P7", "P7", "P8"]
    assert [case.metadata.get("sex") for case in found.cases] == ["F", "F", None]
    assert any("know nothing of 1 of 3 cases (case_02)" in note for note in found.notes)


@pytest.mark.parametrize("name", ["cases.csv", "cases.parquet"])
def test_a_table_that_names_cases_is_by_case_and_never_twice(tmp_path: Path, name: str) -> None:
    def write(rows: list[dict[str, str]]) -> Path:
        frame = pl.DataFrame(rows)
        path = tmp_path / name
        frame.write_csv(path) if name.endswith("csv") else frame.write_parquet(path)
        return path

    rows = [{"case": "a", "patient": "P", "sex": "F"}, {"case": "b", "patient": "Q", "sex": "F"}]
    assert read_case_facts(write(rows)).key == "case"
    with pytest.raises(ConfigError, match=r"twice|two rows"):
        read_case_facts(write([rows[0], {**rows[1], "case": "a"}]))
    with pytest.raises(ConfigError, match="has no column"):
        read_case_facts(write([{"sex": "F"}]))


@pytest.mark.parametrize(
    "wrong",
    [
        {"tolerances_mm": (-1.0,)},
        {"threshold": 1.5},
        {"gate": "both"},
        {"preset": "other"},
        {"missing": "ignore"},
        {"reference_minimum_mm3": -1.0},
        {"prediction_minimum_mm3": float("nan")},
    ],
)
def test_an_impossible_request_is_refused_before_any_file_is_opened(
    wrong: dict[str, object],
) -> None:
    with pytest.raises(ConfigError):
        Request(**wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_hosts_are_what_they_claim_to_be() -> None:
    assert not (reference()["liver"] & reference()["liver_lesion"]).any()
    assert np.count_nonzero(reference()["liver_lesion"]) > 100
