"""Whatever a user has opens as a data set, or the message tells what to give instead."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from scalemai.cases import LAYOUTS, open_cases
from scalemai.errors import (
    ConfigError,
    MissingStructureError,
    UnknownNameError,
    UnreadableFileError,
)


def test_one_case_folder_and_its_ct_file_are_the_same_case(plant) -> None:
    plant.case("case_1", "liver")
    for source in ("case_1", "case_1/ct.nii.gz"):
        data = open_cases(plant.root / source)
        assert data.ids == ("case_1",)
        assert data["case_1"].mask("liver").array.any()


def test_one_ct_with_masks_or_a_label_map_from_elsewhere(plant) -> None:
    ct = plant.ct("scan_7.nii.gz")
    plant.masks("drawn", "liver", "spleen")
    labels = plant.labels("elsewhere/seg.nii.gz", 1, 2)
    with_masks = open_cases(ct, masks=plant.root / "drawn")["scan_7"]
    assert with_masks.structures == ("liver", "spleen")
    one = open_cases(ct, masks=plant.root / "drawn/liver.nii.gz")["scan_7"]
    assert one.structures == ("liver",)
    mapped = open_cases(ct, labels=labels, class_map={1: "liver", 2: "liver tumour"})["scan_7"]
    assert mapped.structures == ("liver", "liver_lesion")
    assert mapped.mask("liver_lesion").array.any()
    with pytest.raises(ConfigError, match="give class_map="):
        open_cases(ct, labels=labels)


def test_a_ct_called_ct_is_named_after_its_folder_and_relative_paths_work(
    plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.ct("john/ct.nii.gz")
    monkeypatch.chdir(plant.root / "john")
    assert open_cases("ct.nii.gz").ids == ("john",)
    assert open_cases(".").ids == ("john",)
    assert open_cases("../john").ids == ("john",)


def test_masks_given_win_over_an_unexplained_label_map_beside_the_ct(plant) -> None:
    plant.ct("a/ct.nii.gz")
    plant.labels("a/labels.nii.gz", 3)
    plant.masks("own", "liver")
    assert open_cases(plant.root / "a", masks=plant.root / "own")["a"].structures == ("liver",)


def test_one_unexplained_label_map_does_not_spoil_the_others(plant) -> None:
    plant.case("a", "liver")
    plant.ct("b/ct.nii.gz")
    plant.labels("b/labels.nii.gz", 3)
    data = open_cases(plant.root)
    assert data.ids == ("a", "b")
    assert "1 label maps are not used because class_map= is not given" in data.notes[0]
    with pytest.raises(MissingStructureError, match="no masks"):
        data["b"].mask("liver")


def test_a_class_map_file_is_accepted(plant, tmp_path: Path) -> None:
    plant.ct("a/ct.nii.gz")
    plant.labels("a/labels.nii.gz", 4)
    own = tmp_path / "own.toml"
    own.write_text(
        'id = "own"\nversion = "1"\ntitle = "t"\nsource = "s"\n[labels]\n4 = "pancreas"\n'
    )
    assert open_cases(plant.root, class_map=own)["a"].mask("pancreas").array.any()


def test_an_unknown_folder_tells_what_was_looked_for_and_found(plant) -> None:
    (plant.root / "pictures").mkdir()
    (plant.root / "notes.txt").write_text("x")
    with pytest.raises(ConfigError) as caught:
        open_cases(plant.root)
    for layout in LAYOUTS.values():
        assert layout.looks_for in str(caught.value)
    assert "found notes.txt, pictures" in str(caught.value)


def test_a_layout_may_be_insisted_on(plant) -> None:
    plant.case("s0001", "liver")
    assert open_cases(plant.root, layout="folders").layout == "folders"
    with pytest.raises(ConfigError, match=r"not laid out as msd: .*; it looks like total"):
        open_cases(plant.root, layout="msd")
    with pytest.raises(UnknownNameError, match="did you mean 'pants'"):
        open_cases(plant.root, layout="pant")


@pytest.mark.parametrize("argument", ["labels", "masks", "series"])
def test_what_belongs_to_one_ct_is_refused_for_a_data_set(plant, argument: str) -> None:
    plant.case("s0001", "liver")
    with pytest.raises(ConfigError, match=f"{argument}= cannot be used here"):
        open_cases(plant.root, **{argument: "x"})


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="no such file or folder; check the path"):
        open_cases(tmp_path / "nowhere")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_named(plant) -> None:
    plant.case("a", "liver")
    plant.root.chmod(0)
    try:
        with pytest.raises(UnreadableFileError, match="may not be read"):
            open_cases(plant.root)
    finally:
        plant.root.chmod(0o700)


@pytest.mark.real
def test_a_real_dicom_series_opens_with_a_label_map(shared_data: Path, tmp_path: Path) -> None:
    from scalemai.io.nifti import write_labels

    folder = shared_data / "dicom/dcmqi_ct3/ct"
    data = open_cases(folder)
    assert data.layout == "dicom"
    assert data.ids == ("dcmqi_ct3",)
    volume = data["dcmqi_ct3"].volume()
    write_labels(tmp_path / "seg.nii.gz", (volume.hu() > 60).astype(np.uint8), volume.grid)
    case = open_cases(folder, labels=tmp_path / "seg.nii.gz", class_map={1: "liver"})["dcmqi_ct3"]
    assert case.mask("liver", on=volume.grid).array.sum() == (volume.hu() > 60).sum()


@pytest.mark.real
def test_dicom_without_suffix_is_recognized(shared_data: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(shared_data / "odd/dicom_16x16_nosuffix_monai.zip") as packed:
        packed.extractall(tmp_path / "head")
    assert open_cases(tmp_path / "head").layout == "dicom"


def test_a_class_map_without_a_label_map_is_refused(plant) -> None:
    plant.case("a", "liver")
    with pytest.raises(ConfigError, match="there is no label map; give the label map with labels="):
        open_cases(plant.root, class_map="lits")


@pytest.mark.parametrize("name", [b"caf\xe9", b"two\nlines"])
def test_a_name_that_is_no_text_is_refused(plant, name: bytes) -> None:
    plant.case("a", "liver")
    os.mkdir(os.path.join(os.fsencode(plant.root), name))  # noqa: PTH102, PTH118  # pathlib has no bytes
    with pytest.raises(UnreadableFileError, match="whose name is not plain text"):
        open_cases(plant.root)
