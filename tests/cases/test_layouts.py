"""Layouts of case folders are recognized by content and give the same kind of case."""

from __future__ import annotations

import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pytest

from scalemai.case import Presence
from scalemai.cases import open_cases
from scalemai.errors import ConfigError, UnreadableFileError


def test_pants_in_two_trees(plant) -> None:
    plant.ct("ImageTr/PanTS_00000001/ct.nii.gz")
    plant.masks("LabelTr/PanTS_00000001/segmentations", "pancreas", "pancreatic_lesion")
    plant.ct("ImageTe/PanTS_00009001/ct.nii.gz")
    plant.masks("LabelTe/PanTS_00009001/segmentations", "pancreas")
    (plant.root / "metadata.csv").write_text(
        "PanTS ID,shape,ct phase,sex,age,tumor?\n"
        'PanTS_00000001,"(10, 9, 8)",Venous,M ,61,1\n'
        "PanTS_00009001,,Non-contrast,F,,0\n"
        "PanTS_00009901,,Delay,F,,0\n"
    )
    data = open_cases(plant.root)
    assert data.layout == "pants"
    assert data.ids == ("PanTS_00000001", "PanTS_00009001")
    first, last = data
    assert first.metadata == {
        "layout": "pants",
        "split": "train",
        "stated_shape": "(10, 9, 8)",
        "phase": "portal_venous",
        "sex": "M",
        "age": 61.0,
        "tumor": "1",
    }
    assert first.presence("pancreatic_lesion") is Presence.PRESENT
    assert last.presence("pancreatic_lesion") is Presence.ABSENT
    assert last.metadata["split"] == "test"
    assert last.metadata["phase"] == "non_contrast"
    assert first.mask("pancreas").array.any()
    assert first.lesions == ("pancreatic_lesion",)


def test_pants_metadata_in_xlsx(plant) -> None:
    plant.case("PanTS_00000007", "pancreas")
    write_xlsx(plant.root / "metadata.xlsx", [["PanTS ID", "age"], ["PanTS_00000007", "57"]])
    assert open_cases(plant.root)["PanTS_00000007"].metadata["age"] == 57.0


@pytest.mark.parametrize("images", ["", "image_only/", "ct/"])
def test_abdomenatlas_in_one_tree_or_two(plant, images: str) -> None:
    masks = {"": "", "image_only/": "mask_only/", "ct/": "label/"}[images]
    plant.ct(f"{images}BDMAP_00000001/ct.nii.gz")
    plant.masks(f"{masks}BDMAP_00000001/segmentations", "liver", "celiac_truck")
    data = open_cases(plant.root)
    assert data.layout == "abdomenatlas"
    assert data["BDMAP_00000001"].structures == ("celiac_artery", "liver")
    assert data["BDMAP_00000001"].mask("liver").array.any()


def test_abdomenatlas_with_its_label_map_only(plant) -> None:
    plant.ct("BDMAP_00000001/ct.nii.gz")
    plant.labels("BDMAP_00000001/combined_labels.nii.gz", 5, 2)
    with pytest.raises(ConfigError, match=r"class_map=, one of abdomenatlas-1\.0"):
        open_cases(plant.root)
    case = open_cases(plant.root, class_map="AbdomenAtlas 1.0")["BDMAP_00000001"]
    assert np.flatnonzero(case.mask("liver").array.any(axis=(1, 2))).tolist() == [2]
    assert np.flatnonzero(case.mask("gallbladder").array.any(axis=(1, 2))).tolist() == [3]


def test_separate_masks_are_read_unless_a_class_map_asks_for_the_label_map(plant) -> None:
    plant.case("BDMAP_A0000001", "liver", "spleen")
    plant.labels("BDMAP_A0000001/combined_labels.nii.gz", 6)
    plant.case("BDMAP_A0000002", "liver")
    assert open_cases(plant.root)["BDMAP_A0000001"].structures == ("liver", "spleen")
    both = open_cases(plant.root, class_map="abdomenatlas-1.0")
    assert both["BDMAP_A0000001"].mask("pancreas").array.any()
    assert both["BDMAP_A0000002"].structures == ("liver",)


def test_links_that_the_user_made_among_case_folders_are_followed(plant, tmp_path: Path) -> None:
    plant.case("../store/a", "liver")
    (plant.root / "a").symlink_to(tmp_path / "store/a")
    assert open_cases(plant.root)["a"].mask("liver").array.any()


def test_totalsegmentator_with_its_table(plant) -> None:
    plant.case("s0011", "urinary_bladder", "small_bowel")
    plant.case("s0864", "liver")
    (plant.root / "meta.csv").write_text(
        "image_id;age;gender;institute;split\ns0011;90+;m;A;train\ns0864;44;f;B;val\n"
    )
    data = open_cases(plant.root)
    assert data.layout == "totalsegmentator"
    assert data["s0011"].structures == ("intestine", "bladder")
    assert data["s0011"].metadata["age_text"] == "90+"
    assert data["s0864"].metadata["age"] == 44.0
    assert data["s0864"].metadata["sex"] == "F"
    assert data["s0864"].metadata["split"] == "val"


def test_plain_case_folders(plant) -> None:
    plant.case("patient 7", "liver", "my_region", "gallbladder", "gall_bladder")
    plant.ct("patient 8/ct.nii")
    (plant.root / "patient 8/segmentations").mkdir()
    (plant.root / "logs").mkdir()
    (plant.root / ".git").mkdir()
    data = open_cases(plant.root)
    assert data.layout == "folders"
    assert data.ids == ("patient 7", "patient 8")
    assert data["patient 7"].unrecognized == ("gallbladder", "my_region")
    assert data["patient 7"].mask("my_region").array.any()
    assert data["patient 8"].structures == ()
    assert data.notes == ()


def test_folders_that_look_like_cases_but_are_none_are_remarked(plant) -> None:
    plant.case("good", "liver")
    plant.masks("no_ct/segmentations", "liver")
    plant.ct("other_name/scan.nii.gz")
    notes = open_cases(plant.root).notes
    assert len(notes) == 2
    assert "no_ct has masks, but" in notes[0]
    assert "other_name has NIfTI files, but none is called ct.nii.gz" in notes[1]


def test_labels_without_a_ct_are_remarked(plant) -> None:
    plant.ct("ImageTr/PanTS_00000001/ct.nii.gz")
    plant.masks("LabelTr/PanTS_00000002/segmentations", "pancreas")
    data = open_cases(plant.root)
    assert data.ids == ("PanTS_00000001",)
    assert "PanTS_00000002 has masks" in data.notes[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image_id;age\ns0001;4\ns0001;5\n", "case 's0001' stands in two rows"),
        ("name;age\ns0001;4\n", "has no column 'image_id'; its columns are name, age"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(plant, text: str, message: str) -> None:
    plant.case("s0001", "liver")
    (plant.root / "meta.csv").write_text(text)
    with pytest.raises(ConfigError, match=message):
        open_cases(plant.root)


def test_a_table_that_is_no_text_is_refused(plant) -> None:
    plant.case("s0001", "liver")
    (plant.root / "meta.csv").write_bytes(b"\xff\xfe\x00\x01" * 50)
    with pytest.raises(UnreadableFileError, match="cannot be read as a CSV table"):
        open_cases(plant.root)


@pytest.mark.real
def test_a_real_case_with_104_masks_opens(shared_data: Path) -> None:
    data = open_cases(shared_data / "abdomen/ts_example_3mm")
    case = data["ts_example_3mm"]
    names = list((shared_data / "abdomen/ts_example_3mm/segmentations").iterdir())
    assert len(case.structures) == len(names)
    assert case.unrecognized == ()
    masks = case.masks(case.structures, on=case.grid(), if_missing="omit")
    assert len(masks) == len(names)


@pytest.mark.real
def test_real_case_folders_open_together(shared_data: Path) -> None:
    data = open_cases(shared_data / "abdomen", class_map="TotalSegmentator")
    assert data.ids == ("crlm1004", "ts_example_3mm", "ts_example_3mm_labelmap")
    for case in data:
        assert case.mask("liver", on=case.volume().grid).volume_ml > 200
    assert len(data.notes) == 1
    assert "hcc006 has NIfTI files" in data.notes[0]


def test_a_damaged_xlsx_is_one_line(plant) -> None:
    plant.case("PanTS_00000007", "pancreas")
    (plant.root / "metadata.xlsx").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(UnreadableFileError, match="cannot be read as an XLSX table") as caught:
        open_cases(plant.root)
    assert "save it as metadata.csv" in str(caught.value)


def write_xlsx(path: Path, rows: list[list[str]]) -> None:
    """The least that is a workbook: one sheet of inline texts."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    rel = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    cells = "".join(
        "<row>"
        + "".join(f'<c t="inlineStr"><is><t>{escape(c)}</t></is></c>' for c in row)
        + "</row>"
        for row in rows
    )
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        f'<Override PartName="/xl/sheet1.xml" ContentType="{kind}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{rel}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{rel}/worksheet" Target="sheet1.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{rel}"><sheets>'
        '<sheet name="PanTS_metadata" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>',
    }
    with zipfile.ZipFile(path, "w") as packed:
        for name, text in parts.items():
            packed.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>{text}')


def test_metadata_beside_the_ct_is_read(plant) -> None:
    plant.case("a", "liver")
    plant.case("b", "liver")
    text = '{"phase": "Venous", "sex": "male", "age": 61, "spec": {"x": 1}, "empty": null}'
    (plant.root / "a" / "metadata.json").write_text(text)
    (plant.root / "b" / "metadata.json").write_text(text[:20])
    a, b = open_cases(plant.root)
    assert a.metadata == {"layout": "folders", "phase": "portal_venous", "sex": "M", "age": 61.0}
    assert "metadata.json cannot be read" in b.metadata["metadata_problem"]
