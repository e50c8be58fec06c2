"""Data sets in nnU-Net's raw format: what is in them, and what becomes of trouble."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from scalemai.case import Case
from scalemai.cases import open_cases
from scalemai.engine import Outcome
from scalemai.errors import ConfigError
from scalemai.synthesis.batch import open_ledger, synthesize_cases
from scalemai.synthesis.files import Request
from scalemai.synthesis.spec import LesionSpec
from scalemai.training.nnunet.export import (
    Exported,
    ExportRequest,
    dataset_name,
    export_cases,
    finish_export,
    gather_cases,
    open_export_ledger,
)
from scalemai.training.nnunet.label_map import Policy
from scalemai.training.nnunet.labels import LabelScheme
from scalemai.training.nnunet.raw_case import RawCase, read_record

from .drawn import SHAPE, box, boxed_case

LIVER = ExportRequest(scheme=LabelScheme(organs={"liver": ("liver_lesion",)}), folds=2)
MASKS = {"liver": box(3, 20), "liver_lesion": box(6, 9)}
NAME = "Dataset501_Liver"


def livers(root: Path, count: int = 3) -> list[Case]:
    """Cases in a folder each, the last one without lesion mask."""
    cases = [boxed_case(root / f"case_{n}", MASKS) for n in range(count - 1)]
    return [*cases, boxed_case(root / f"case_{count - 1}", {"liver": box(3, 20)})]


def export(
    cases: list[RawCase] | tuple[RawCase, ...], out: Path, request: ExportRequest = LIVER
) -> tuple[Exported, list[Outcome[Path]]]:
    with open_export_ledger(out, request) as ledger:
        outcomes = list(export_cases(cases, out, request, ledger=ledger))
        return finish_export(cases, out, request), outcomes


def manifest(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "dataset.json").read_text()))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_was_exported_is_read_back_as_it_was(tmp_path: Path) -> None:
    cases = livers(tmp_path / "cases")
    out = tmp_path / NAME
    done, _ = export(gather_cases([("", cases)]), out)
    assert done.cases == ("case_0", "case_1", "case_2")
    assert done.origins == {"normal": 1, "real": 2}
    read = open_cases(out)
    assert read.layout == "nnunet"
    for case in cases[:2]:
        again = read[case.id]
        assert np.array_equal(again.volume().stored, case.volume().stored)
        assert again.volume().grid.same_as(case.volume().grid)
        lesion, liver = again.mask("liver_lesion").array, again.mask("liver").array
        assert np.array_equal(lesion, case.mask("liver_lesion").array)
        assert np.array_equal(liver | lesion, case.mask("liver").array)


def test_regions_are_read_back_as_the_organ_with_its_lesions(tmp_path: Path) -> None:
    cases = livers(tmp_path / "cases")
    scheme = LabelScheme(organs={"liver": ("liver_lesion",)}, regions=True)
    export(gather_cases([("", cases)]), tmp_path / NAME, ExportRequest(scheme=scheme))
    again = open_cases(tmp_path / NAME)["case_0"]
    assert np.array_equal(again.mask("liver").array, cases[0].mask("liver").array)
    assert np.array_equal(again.mask("liver_lesion").array, cases[0].mask("liver_lesion").array)


def test_the_manifest_is_what_nnunet_asks_for(tmp_path: Path) -> None:
    out = tmp_path / NAME
    export(gather_cases([("", livers(tmp_path / "cases"))]), out)
    said = manifest(out)
    assert said["channel_names"] == {"0": "CT"}
    assert said["labels"] == {"background": 0, "liver": 1, "liver_lesion": 2}
    assert said["numTraining"] == 3 == len(said["dataset"])
    assert said["overwrite_image_reader_writer"] == "NibabelIOWithReorient"
    for entry in said["dataset"].values():
        image, label = (nib.load(out / path) for path in (*entry["images"], entry["label"]))
        assert image.shape == label.shape == SHAPE
        assert np.array_equal(image.affine, label.affine)
        assert set(np.unique(label.get_fdata())) <= {0.0, 1.0, 2.0}
    folds = json.loads((out / "splits_final.json").read_text())
    assert sorted(name for fold in folds for name in fold["val"]) == sorted(said["dataset"])


def test_the_record_has_hashes_of_what_was_read_and_written(tmp_path: Path) -> None:
    cases = livers(tmp_path / "cases")
    out = tmp_path / NAME
    export(gather_cases([("", cases)]), out)
    record = read_record(out, "case_0")
    assert record is not None
    assert record["source"]["ct_sha256"] == sha256(cases[0].ct)
    for part in ("image", "labels"):
        assert record[part]["sha256"] == sha256(out / record[part]["path"])
    assert record["voxels"]["liver_lesion"] == 27


def test_links_lead_to_the_images_and_copies_have_their_bytes(tmp_path: Path) -> None:
    cases = livers(tmp_path / "cases")
    raw = gather_cases([("", cases)])
    linked = ExportRequest(scheme=LIVER.scheme, files="link")
    export(raw, tmp_path / "links" / NAME, linked)
    export(raw, tmp_path / "copies" / NAME)
    link, copy = (
        tmp_path / place / NAME / "imagesTr" / "case_0_0000.nii.gz" for place in ("links", "copies")
    )
    assert link.is_symlink()
    assert link.resolve() == cases[0].ct.resolve()
    assert not copy.is_symlink()
    assert copy.read_bytes() == cases[0].ct.read_bytes()


def test_an_image_that_needs_an_offset_is_written_in_hu(tmp_path: Path) -> None:
    case = boxed_case(tmp_path / "case_0", MASKS)
    lifted = Case(case.id, case.ct, case.sources, hu_offset=-20.0)
    request = ExportRequest(scheme=LIVER.scheme, files="link")
    export(gather_cases([("", [lifted])]), tmp_path / NAME, request)
    image = nib.load(tmp_path / NAME / "imagesTr" / "case_0_0000.nii.gz").get_fdata()
    assert np.array_equal(image, nib.load(case.ct).get_fdata() - 20.0)


def test_synthetic_cases_go_beside_their_hosts_and_stay_in_their_fold(tmp_path: Path) -> None:
    hosts = [boxed_case(tmp_path / "hosts" / f"case_{n}", {"liver": box(2, 22)}) for n in range(3)]
    asked = Request(specs=(LesionSpec(organ="liver", diameter_mm=(12.0, 16.0)),), seed=1)
    grown = tmp_path / "grown"
    with open_ledger(grown, asked) as ledger:
        assert all(
            one.status == "done" for one in synthesize_cases(hosts, grown, asked, ledger=ledger)
        )
    raw = gather_cases([("", hosts), ("syn", open_cases(grown))])
    out = tmp_path / NAME
    done, _ = export(raw, out)
    assert done.origins == {"normal": 3, "synthetic": 3}
    record = read_record(out, "syn_case_0")
    assert record is not None
    assert record["synthesis"]["seed"] == 1
    assert record["synthesis"]["sha256"] == sha256(grown / "case_0" / "synthesis.json")
    assert record["voxels"]["liver_lesion"] > 0
    for fold in json.loads((out / "splits_final.json").read_text()):
        for half in fold.values():
            assert {name for name in half if name.startswith("syn_")} == {
                f"syn_{name}" for name in half if not name.startswith("syn_")
            }


def test_names_that_would_meet_are_refused(tmp_path: Path) -> None:
    cases = livers(tmp_path / "cases")
    with pytest.raises(ConfigError, match="two cases would be called 'case_0'"):
        gather_cases([("", cases), ("", cases)])
    with pytest.raises(ConfigError, match="there are none"):
        gather_cases([("", [])])


def test_a_bad_case_costs_itself_alone_and_nnunet_does_not_see_it(tmp_path: Path) -> None:
    cases = livers(tmp_path / "cases")
    cases[1].ct.write_bytes(cases[1].ct.read_bytes()[:900])
    out = tmp_path / NAME
    done, outcomes = export(gather_cases([("", cases)]), out)
    assert done.cases == ("case_0", "case_2")
    assert {one.key: one.status for one in outcomes}["case_1"] == "failed"
    assert set(manifest(out)["dataset"]) == {"case_0", "case_2"}
    assert not list(out.rglob("*case_1*"))
    assert not list(out.rglob("*.partial"))


def test_a_second_run_does_only_what_is_missing_or_has_changed(tmp_path: Path) -> None:
    cases = livers(tmp_path / "cases", 4)
    out = tmp_path / NAME
    export(gather_cases([("", cases)]), out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.nii.gz")}
    (out / "labelsTr" / "case_0.nii.gz").unlink()
    for left in ("labelsTr/.case_0.nii.gz.7.partial", "scalemai/cases/.case_1.json.7.partial"):
        (out / left).write_bytes(b"killed")
    changed = boxed_case(tmp_path / "cases" / "case_1", {**MASKS, "liver_lesion": box(6, 8)})
    raw = gather_cases([("", [cases[0], changed, *cases[2:]])])
    _, outcomes = export(raw, out)
    assert sorted(one.key for one in outcomes) == ["case_0", "case_1"]
    record = read_record(out, "case_1")
    assert record is not None
    assert record["voxels"]["liver_lesion"] == 8
    for name in ("case_2", "case_3"):
        path = out / "labelsTr" / f"{name}.nii.gz"
        assert path.stat().st_mtime_ns == before[path]
    assert len(manifest(out)["dataset"]) == 4
    assert not list(out.rglob("*.partial"))


def test_a_damaged_record_is_made_anew(tmp_path: Path) -> None:
    raw = gather_cases([("", livers(tmp_path / "cases"))])
    out = tmp_path / NAME
    export(raw, out)
    (out / "scalemai" / "cases" / "case_0.json").write_text("{")
    _, outcomes = export(raw, out)
    assert [(one.key, one.status) for one in outcomes] == [("case_0", "done")]


def test_cases_that_are_no_longer_asked_for_are_not_counted(tmp_path: Path) -> None:
    cases = livers(tmp_path / "cases")
    out = tmp_path / NAME
    export(gather_cases([("", cases)]), out)
    export(gather_cases([("", cases[:2])]), out)
    assert manifest(out)["numTraining"] == 2
    assert open_cases(out).ids == ("case_0", "case_1")


def test_other_labels_in_the_same_folder_are_refused(tmp_path: Path) -> None:
    raw = gather_cases([("", livers(tmp_path / "cases"))])
    export(raw, tmp_path / NAME)
    other = ExportRequest(scheme=LabelScheme(organs={"liver": ("hcc", "cyst")}))
    with pytest.raises(ConfigError, match="labels"):
        export(raw, tmp_path / NAME, other)


def test_the_same_request_gives_the_same_bytes(tmp_path: Path) -> None:
    raw = gather_cases([("", livers(tmp_path / "cases"))])
    found = []
    for place in ("first", "second"):
        out = tmp_path / place / NAME
        export(raw, out)
        files = [path for path in sorted(out.rglob("*")) if path.suffix in (".gz", ".json")]
        found.append({path.relative_to(out): sha256(path) for path in files})
    assert found[0] == found[1]


def test_ignored_voxels_bring_the_ignored_label(tmp_path: Path) -> None:
    case = boxed_case(tmp_path / "case_0", {**MASKS, "to_review": box(10, 12)})
    request = ExportRequest(scheme=LIVER.scheme, policy=Policy(unverified=("to_review",)))
    done, _ = export(gather_cases([("", [case])]), tmp_path / NAME, request)
    assert done.ignored_voxels == 8
    assert manifest(tmp_path / NAME)["labels"]["ignore"] == 3


def test_one_patient_alone_has_no_folds(tmp_path: Path) -> None:
    done, _ = export(gather_cases([("", livers(tmp_path / "cases", 1))]), tmp_path / NAME)
    assert done.folds == 0
    assert not (tmp_path / NAME / "splits_final.json").exists()


def test_nothing_exported_is_an_error(tmp_path: Path) -> None:
    empty = boxed_case(tmp_path / "case_0", {"liver": box(0, 0)})
    with pytest.raises(ConfigError, match="no case could be exported"):
        export(gather_cases([("", [empty])]), tmp_path / NAME)
    assert not (tmp_path / NAME / "dataset.json").exists()


@pytest.mark.parametrize("name", ["Liver", "Dataset7_Liver", "Dataset501", "dataset501_liver"])
def test_a_folder_that_nnunet_would_not_find_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="call it DatasetNNN_NAME"):
        dataset_name(tmp_path / name)
    assert dataset_name(tmp_path / NAME) == (501, NAME)


@pytest.mark.real
def test_a_real_scan_with_masks_is_exported(shared_data: Path, tmp_path: Path) -> None:
    case = next(iter(open_cases(shared_data / "abdomen" / "crlm1004")))
    scheme = LabelScheme(organs={"liver": ("liver_lesion",)}, structures=("spleen",))
    export(gather_cases([("", [case])]), tmp_path / NAME, ExportRequest(scheme=scheme))
    again = open_cases(tmp_path / NAME)[case.id]
    assert again.volume().grid.same_as(case.volume().grid)
    for name in ("liver", "spleen"):
        assert np.array_equal(again.mask(name).array, case.mask(name).array)


@pytest.mark.real
def test_a_dicom_series_with_segmentation_is_written_as_nifti(
    shared_data: Path, tmp_path: Path
) -> None:
    folder = shared_data / "dicom" / "dcmqi_ct3"
    case = next(iter(open_cases(folder / "ct", labels=folder / "seg" / "liver.dcm")))
    request = ExportRequest(scheme=LIVER.scheme, files="link")
    export(gather_cases([("", [case])]), tmp_path / NAME, request)
    record = read_record(tmp_path / NAME, case.id)
    assert record is not None
    assert record["image"]["how"] == "written"
    again = open_cases(tmp_path / NAME)[case.id]
    assert np.array_equal(again.mask("liver").array, case.mask("liver").array)
    assert np.array_equal(again.volume().hu(), case.volume().hu())
