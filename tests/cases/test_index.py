"""An index opens as its data set does, may be moved with it, and notices what changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from scalemai.cases import Dataset, build_index, open_cases
from scalemai.errors import ConfigError, OutputError, UnreadableFileError


@pytest.fixture
def root(plant) -> Path:
    """PanTS with a train and a test case, in two trees."""
    for split, number in (("Tr", 1), ("Tr", 2), ("Te", 9001)):
        plant.ct(f"Image{split}/PanTS_{number:08d}/ct.nii.gz")
        plant.masks(f"Label{split}/PanTS_{number:08d}/segmentations", "pancreas", "liver")
    (plant.root / "metadata.csv").write_text("PanTS ID,age,tumor?\nPanTS_00000001,61,1\n")
    return plant.root


def edit(index: Path, column: str, value: object, row: int = 0) -> None:
    """Overwrite one cell of an index."""
    table = pl.read_parquet(index)
    values = table[column].cast(pl.String).to_list()
    values[row] = value
    table.with_columns(pl.Series(column, values).cast(table.schema[column])).write_parquet(index)


def test_an_index_opens_as_its_folder_does(root: Path) -> None:
    scanned, indexed = open_cases(root), open_cases(build_index(root))
    assert indexed.ids == scanned.ids
    assert indexed.layout == "pants"
    for case_id in scanned.ids:
        one, other = indexed[case_id], scanned[case_id]
        assert (one.ct, dict(one.sources), one.stated) == (
            other.ct,
            dict(other.sources),
            other.stated,
        )
        assert one.mask("liver").volume_ml == other.mask("liver").volume_ml
    first = indexed["PanTS_00000001"].metadata
    assert first["shape"] == [10, 9, 8]
    assert first["spacing_mm"] == pytest.approx([0.8, 0.8, 2.5])
    assert first["orientation"] == "LPS"
    assert first["age"] == 61.0
    assert indexed.filter(pl.col("spacing_mm").list.get(2) > 2, has="liver", split="test").ids == (
        "PanTS_00009001",
    )


def test_a_label_map_keeps_its_class_map_in_the_index(plant) -> None:
    plant.ct("a/ct.nii.gz")
    plant.labels("a/labels.nii.gz", 7, 9)
    data = Dataset.open(build_index(plant.root, class_map={7: "pancreas", 9: "pancreas_tumor"}))
    assert data["a"].structures == ("pancreas", "pancreatic_lesion")
    assert data["a"].mask("pancreatic_lesion").array.any()


def test_a_data_set_may_be_moved_with_its_index(root: Path, tmp_path: Path) -> None:
    build_index(root)
    moved = tmp_path / "new home" / "PanTS"
    shutil.move(root, moved)
    data = Dataset.open(moved / "cases.parquet")
    assert data["PanTS_00000001"].ct.is_relative_to(moved)
    assert data["PanTS_00000001"].mask("liver").array.any()


def test_an_index_may_lie_outside_of_a_read_only_data_set(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "indexes" / "pants.parquet"
    assert build_index(root, out=out) == out
    assert not (root / "cases.parquet").exists()
    assert Dataset.open(out)["PanTS_00000001"].mask("liver").array.any()
    moved = root.rename(root.with_name("moved"))
    with pytest.raises(UnreadableFileError, match=r"the data set is not at .*; give root="):
        Dataset.open(out)
    assert Dataset.open(out, root=moved)["PanTS_00000001"].mask("liver").array.any()


@pytest.mark.parametrize("what", ["came", "went", "table"])
def test_a_changed_data_set_is_noticed(root: Path, plant, what: str) -> None:
    index = build_index(root)
    if what == "came":
        plant.ct("ImageTr/PanTS_00000003/ct.nii.gz")
        message = r"1 cases came \(PanTS_00000003\)"
    elif what == "went":
        shutil.rmtree(root / "ImageTe/PanTS_00009001")
        message = r"1 cases went \(PanTS_00009001\)"
    else:
        (root / "metadata.csv").write_text("PanTS ID,age,tumor?\nPanTS_00000001,62,1\n")
        message = "metadata.csv is another"
    with pytest.raises(ConfigError, match=rf"{message}; build the index again"):
        Dataset.open(index)
    assert len(Dataset.open(index, allow_stale=True)) == 3
    assert len(Dataset.open(build_index(root))) == {"came": 4, "went": 2, "table": 3}[what]


def test_other_files_in_the_folder_do_not_make_an_index_stale(root: Path) -> None:
    index = build_index(root)
    (root / "ImageTr/notes.txt").write_text("x")
    (root / "ImageTr/logs").mkdir()
    (root / "results").mkdir()
    assert len(Dataset.open(index)) == 3


def test_a_changed_manifest_is_noticed(plant) -> None:
    plant.ct("imagesTr/a.nii.gz")
    text = '{"labels": {"1": "liver"}, "training": [{"image": "imagesTr/a.nii.gz"}]}'
    (plant.root / "dataset.json").write_text(text)
    index = build_index(plant.root)
    assert Dataset.open(index).ids == ("a",)
    (plant.root / "dataset.json").write_text(text.replace("liver", "spleen"))
    with pytest.raises(ConfigError, match=r"dataset\.json is another"):
        Dataset.open(index)


def test_a_changed_or_lost_ct_costs_only_its_own_case(root: Path, plant) -> None:
    data = Dataset.open(build_index(root))
    plant.masks("ImageTr", "other")
    (root / "ImageTr/other.nii.gz").replace(root / "ImageTr/PanTS_00000001/ct.nii.gz")
    (root / "ImageTr/PanTS_00000002/ct.nii.gz").unlink()
    with pytest.raises(UnreadableFileError, match="when the index was built; build the index"):
        data["PanTS_00000001"].volume()
    with pytest.raises(UnreadableFileError, match="in the index of its data set but not on disk"):
        data["PanTS_00000002"].volume()
    assert data["PanTS_00009001"].volume().stored.max() == 40


def test_a_damaged_ct_stays_in_the_index_with_the_reason(root: Path) -> None:
    (root / "ImageTr/PanTS_00000002/ct.nii.gz").write_bytes(b"")
    data = Dataset.open(build_index(root))
    assert list(data.problems) == ["PanTS_00000002"]
    assert "is empty (0 bytes)" in data.problems["PanTS_00000002"]
    assert len(data) == 3
    assert data.table["shape"].null_count() == 1


def test_headers_of_unchanged_files_are_not_read_again(
    root: Path, plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    import scalemai.cases.index as index

    first = build_index(root)
    table = pl.read_parquet(first)
    opened: list[str] = []
    read = index.read_grid
    monkeypatch.setattr(index, "read_grid", lambda p: opened.append(p.parent.name) or read(p))
    assert build_index(root) == first
    assert opened == []
    assert pl.read_parquet(first).equals(table)
    plant.ct("ImageTr/PanTS_00000004/ct.nii.gz")
    build_index(root)
    assert opened == ["PanTS_00000004"]


def test_an_index_of_the_same_data_has_the_same_bytes(root: Path) -> None:
    first = build_index(root).read_bytes()
    (root / "cases.parquet").unlink()
    assert build_index(root).read_bytes() == first


@pytest.mark.parametrize("column", ["ct", "mask_folder", "mask_files"])
@pytest.mark.parametrize("path", ["../../x.nii.gz", "/etc/passwd", "C:\\x", "a/../../b", "..\\x"])
def test_an_index_may_not_lead_out_of_the_data_set(root: Path, column: str, path: str) -> None:
    index = build_index(root)
    edit(index, column, path, row=1)
    with pytest.raises(ConfigError, match=r"absolute|climbs|leads out"):
        Dataset.open(index)


def test_an_index_may_not_bring_unsafe_or_double_ids(root: Path) -> None:
    index = build_index(root)
    edit(index, "id", "../x")
    with pytest.raises(ConfigError, match="not a safe file name"):
        Dataset.open(index)
    edit(index, "id", "PanTS_00000002")
    with pytest.raises(ConfigError, match="two cases have the same id"):
        Dataset.open(index)


def test_a_link_that_leads_out_is_not_indexed_and_not_followed(root: Path, tmp_path: Path) -> None:
    index = build_index(root)
    ct = root / "ImageTr/PanTS_00000001/ct.nii.gz"
    ct.rename(tmp_path / "outside.nii.gz")
    ct.symlink_to(tmp_path / "outside.nii.gz")
    with pytest.raises(ConfigError, match="leads out of the data set to"):
        Dataset.open(index)["PanTS_00000001"].volume()
    with pytest.raises(ConfigError, match="link that leads out of the data set"):
        build_index(root)


@pytest.mark.parametrize("content", [b"", b"PAR1 but no more", b"PAR1" * 100])
def test_a_damaged_index_is_refused(root: Path, content: bytes) -> None:
    index = build_index(root)
    index.write_bytes(content)
    with pytest.raises(UnreadableFileError, match=r"no readable Parquet.*build the index again"):
        Dataset.open(index)
    assert len(Dataset.open(build_index(root))) == 3


def test_another_parquet_file_is_no_index(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pl.DataFrame({"id": ["a"]}).write_parquet(path)
    with pytest.raises(UnreadableFileError, match="is no index of cases"):
        open_cases(path)
    with pytest.raises(UnreadableFileError, match="no such file; build it first"):
        Dataset.open(tmp_path / "none.parquet")


def test_an_index_of_a_future_format_is_refused(root: Path) -> None:
    index = build_index(root)
    about = pl.read_parquet(index)["about"][0]
    edit(index, "about", about.replace('"format": 1', '"format": 99'))
    with pytest.raises(ConfigError, match="index of format 99"):
        Dataset.open(index)


def test_an_index_knows_its_layout_itself(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"layout= cannot be used here: cases\.parquet is"):
        open_cases(build_index(root), layout="pants")


def test_a_single_case_needs_no_index(plant) -> None:
    plant.case("a", "liver")
    with pytest.raises(ConfigError, match="is a single case; give the folder"):
        build_index(plant.root / "a")


def test_an_index_that_cannot_be_written_leaves_nothing(root: Path) -> None:
    (root / "taken").write_text("a file")
    with pytest.raises(OutputError, match="cannot make this folder"):
        build_index(root, out=root / "taken" / "cases.parquet")
    assert not [path for path in root.rglob("*") if "partial" in path.name]


@pytest.mark.real
def test_real_headers_are_in_the_index(shared_data: Path, tmp_path: Path) -> None:
    index = build_index(
        shared_data / "abdomen", out=tmp_path / "i.parquet", class_map="totalsegmentator-v2"
    )
    data = Dataset.open(index)
    assert data.table["shape"].to_list() == [[447, 337, 41], [122, 101, 112], [122, 101, 30]]
    assert data.problems == {}
    assert data["ts_example_3mm_labelmap"].mask("liver").volume_ml > 200
