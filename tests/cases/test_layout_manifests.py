"""MSD and nnU-Net open by their manifests, which may not lead out of the data set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from scalemai.cases import open_cases
from scalemai.errors import (
    ConfigError,
    UnreadableFileError,
)


def manifest(root: Path, **content: object) -> None:
    (root / "dataset.json").write_text(json.dumps(content))


def test_msd_with_a_known_task_knows_that_tumor_is_organ(plant) -> None:
    root = plant.root / "Task03_Liver"
    for name in ("liver_001", "liver_002"):
        plant.ct(f"Task03_Liver/imagesTr/{name}.nii.gz")
    plant.labels("Task03_Liver/labelsTr/liver_001.nii.gz", 1, 2)
    plant.ct("Task03_Liver/imagesTs/liver_132.nii.gz")
    (root / "imagesTr/._liver_001.nii.gz").write_bytes(b"resource fork")
    manifest(
        root,
        name="LIVER",
        modality={"0": "CT"},
        labels={"0": "background", "1": "liver", "2": "cancer"},
        training=[{"image": "./imagesTr/liver_001.nii.gz", "label": "./labelsTr/liver_001.nii.gz"}],
        test=["./imagesTs/liver_132.nii.gz"],
    )
    data = open_cases(root)
    assert data.layout == "msd"
    assert data.ids == ("liver_001", "liver_132")
    case = data["liver_001"]
    assert np.flatnonzero(case.mask("liver").array.any(axis=(1, 2))).tolist() == [2, 3]
    assert np.flatnonzero(case.mask("liver_lesion").array.any(axis=(1, 2))).tolist() == [3]
    assert data["liver_132"].structures == ()
    assert open_cases(root / "dataset.json").ids == data.ids


def test_msd_with_an_unknown_task_keeps_the_names_of_its_manifest(plant) -> None:
    plant.ct("imagesTr/a.nii.gz")
    plant.labels("labelsTr/a.nii.gz", 1, 2)
    manifest(
        plant.root,
        labels={"0": "background", "1": "liver", "2": "odd thing"},
        training=[{"image": "imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz"}],
    )
    case = open_cases(plant.root)["a"]
    assert case.structures == ("liver", "odd thing")
    assert case.unrecognized == ("odd thing",)
    assert case.mask("odd thing").array.any()


def test_msd_of_mr_is_refused(plant) -> None:
    manifest(plant.root, modality={"0": "MRI"}, labels={}, training=[])
    with pytest.raises(ConfigError, match="no channel is CT: mri"):
        open_cases(plant.root)


def test_nnunet_by_its_folders(plant) -> None:
    plant.ct("imagesTr/case_1_0000.nii.gz")
    plant.ct("imagesTr/case_2_0000.nii.gz")
    plant.labels("labelsTr/case_1.nii.gz", 1, 2, 3)
    plant.labels("labelsTr/case_9.nii.gz", 1)
    plant.ct("imagesTs/case_7_0000.nii.gz")
    manifest(
        plant.root,
        channel_names={"0": "CT"},
        labels={"background": 0, "pancreas": [1, 2], "tumor": 2, "ignore": 3},
        numTraining=2,
        file_ending=".nii.gz",
    )
    data = open_cases(plant.root)
    assert data.layout == "nnunet"
    assert data.ids == ("case_1", "case_2", "case_7")
    assert [case.metadata["split"] for case in data] == ["train", "train", "test"]
    pancreas = data["case_1"].mask("pancreas").array
    assert np.flatnonzero(pancreas.any(axis=(1, 2))).tolist() == [2, 3]
    assert len(data.notes) == 1
    assert "case_9.nii.gz: is a label map without image" in data.notes[0]


def test_nnunet_takes_the_channel_that_is_ct(plant) -> None:
    plant.ct("imagesTr/x_0000.nii.gz", hu=0)
    plant.ct("imagesTr/x_0001.nii.gz", hu=77)
    manifest(plant.root, channel_names={"0": "PET", "1": "CT"}, labels={"background": 0})
    assert open_cases(plant.root)["x"].volume().stored.max() == 77


def test_nnunet_with_the_files_in_its_manifest(plant) -> None:
    plant.ct("deep/a.nii.gz")
    plant.labels("deep/b.nii.gz", 1)
    item = {"images": ["deep/a.nii.gz"], "label": "deep/b.nii.gz"}
    labels = {"background": 0, "liver": 1}
    manifest(plant.root, channel_names={"0": "CT"}, labels=labels, dataset={"one": item})
    assert open_cases(plant.root)["one"].mask("liver").array.any()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"channel_names": {"0": "T1"}, "labels": {}}, "no channel is CT: t1"),
        ({"channel_names": {"0": "CT"}, "labels": {}, "file_ending": ".nrrd"}, "are .nrrd files"),
        ({"channel_names": ["CT"], "labels": {}}, "no table of number and name"),
        ({"channel_names": {"0": "CT"}, "labels": {"liver": -1}}, "label values of 'liver' are -1"),
        ({"channel_names": {"0": "CT"}, "labels": []}, "'labels' is no table"),
        ({"labels": {"1": "liver"}, "training": "all"}, "'training' is no list"),
        ({"labels": {"1": "liver"}, "training": [{"label": "x"}]}, "None is not a path"),
    ],
)
def test_a_malformed_manifest_is_refused_by_name(plant, content: dict, message: str) -> None:
    manifest(plant.root, **content)
    with pytest.raises(ConfigError, match=message) as caught:
        open_cases(plant.root)
    assert "dataset.json" in str(caught.value)


def test_a_broken_manifest_is_refused_by_name(plant) -> None:
    (plant.root / "dataset.json").write_text('{"labels": ')
    with pytest.raises(UnreadableFileError, match=r"dataset\.json: cannot be read as JSON"):
        open_cases(plant.root)


@pytest.mark.parametrize(
    "path",
    [
        "../secret.nii.gz",
        "/etc/passwd",
        "imagesTr/../../secret.nii.gz",
        "C:\\x.nii.gz",
        "..\\secret.nii.gz",
        "\\\\host\\share.nii.gz",
        "a\0.nii.gz",
    ],
)
@pytest.mark.parametrize("key", ["image", "label"])
def test_a_manifest_may_not_lead_out_of_its_folder(plant, path: str, key: str) -> None:
    plant.ct("imagesTr/a.nii.gz")
    item = {"image": "imagesTr/a.nii.gz", key: path}
    manifest(plant.root, labels={"1": "liver"}, training=[item])
    with pytest.raises(ConfigError, match=r"absolute|climbs|not a path"):
        open_cases(plant.root)


def test_a_link_in_a_manifest_may_not_lead_out_either(plant, tmp_path: Path) -> None:
    plant.ct("../elsewhere.nii.gz")
    (plant.root / "imagesTr").mkdir()
    (plant.root / "imagesTr/a.nii.gz").symlink_to(tmp_path / "elsewhere.nii.gz")
    manifest(plant.root, labels={"1": "liver"}, training=[{"image": "imagesTr/a.nii.gz"}])
    with pytest.raises(ConfigError, match="link that leads out of the data set"):
        open_cases(plant.root)
