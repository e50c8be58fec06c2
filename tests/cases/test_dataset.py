"""A data set is chosen from without being read, stays in order and cannot be changed."""

from __future__ import annotations

import pickle
from pathlib import Path

import polars as pl
import pytest

from scalemai.cases import Dataset, open_cases
from scalemai.errors import ConfigError, UnknownNameError


@pytest.fixture
def data(plant) -> Dataset:
    """Four cases: ages 40, 50, 60 and unknown; only the first three have kidneys."""
    plant.case("s0001", "kidney_left", "kidney_right", "liver")
    plant.case("s0002", "kidney_left", "kidney_right", "liver")
    plant.case("s0003", "kidney_left", "kidney_right")
    plant.case("s0004", "liver", "own_roi")
    (plant.root / "meta.csv").write_text(
        "image_id;age;split\ns0001;40;train\ns0002;50;train\ns0003;60;test\ns0004;;test\n"
    )
    return open_cases(plant.root)


def test_cases_come_in_order_and_by_id(data: Dataset) -> None:
    assert len(data) == 4
    assert [case.id for case in data] == list(data.ids) == ["s0001", "s0002", "s0003", "s0004"]
    assert "s0003" in data
    assert "s0009" not in data
    assert data["s0003"].structures == ("kidney_left", "kidney_right")
    with pytest.raises(UnknownNameError, match=r"unknown case 's003'; did you mean 's0003'"):
        data["s003"]


def test_filter_by_expression_value_and_structure(data: Dataset) -> None:
    assert data.filter(pl.col("age") >= 50).ids == ("s0002", "s0003")
    assert data.filter(split="test").ids == ("s0003", "s0004")
    assert data.filter(has="liver").ids == ("s0001", "s0002", "s0004")
    assert data.filter(has=["kidney", "liver"]).ids == ("s0001", "s0002")
    assert data.filter(has="own_roi").ids == ("s0004",)
    assert data.filter(pl.col("age") > 40, has="liver", split="train").ids == ("s0002",)
    assert data.filter(has="spleen").ids == ()
    assert data.filter().ids == data.ids


def test_a_filtered_data_set_leaves_the_first_one_alone(data: Dataset) -> None:
    fewer = data.filter(split="test")
    assert len(data) == 4
    assert fewer.root == data.root
    assert fewer["s0003"] == data["s0003"]


def test_a_filter_by_a_column_that_is_not_there_names_the_nearest(data: Dataset) -> None:
    with pytest.raises(UnknownNameError, match="unknown column 'splt'; did you mean 'split'"):
        data.filter(splt="test")
    with pytest.raises(UnknownNameError, match="unknown column 'agee'; did you mean 'age'"):
        data.filter(pl.col("agee") > 3)


def test_a_filter_that_compares_text_with_numbers_is_refused(data: Dataset) -> None:
    with pytest.raises(ConfigError, match="cannot be evaluated"):
        data.filter(pl.col("split") > 3)


def test_a_subset_keeps_the_order_asked_for(data: Dataset) -> None:
    assert data.subset(["s0004", "s0001"]).ids == ("s0004", "s0001")
    with pytest.raises(UnknownNameError, match="unknown case"):
        data.subset(["s0001", "s9999"])
    with pytest.raises(ConfigError, match="'s0001' is asked for twice"):
        data.subset(["s0001", "s0001"])


def test_structures_are_counted_over_all_cases(data: Dataset) -> None:
    assert data.structures == {"kidney_left": 3, "kidney_right": 3, "liver": 3, "own_roi": 1}
    assert data.subset(["s0004"]).structures == {"liver": 1, "own_roi": 1}


def test_the_table_shows_what_is_known_and_no_file_names(data: Dataset) -> None:
    assert data.table.columns == ["id", "age", "split"]
    assert data.table["age"].to_list() == [40.0, 50.0, 60.0, None]


def test_a_data_set_and_its_cases_cross_process_borders(data: Dataset) -> None:
    again = pickle.loads(pickle.dumps(data.filter(split="train")))
    assert again.ids == ("s0001", "s0002")
    case = pickle.loads(pickle.dumps(again["s0001"]))
    assert case == data["s0001"]
    assert case.mask("kidney").array.any()


def test_two_cases_of_one_name_are_refused_with_both_places(plant) -> None:
    plant.ct("ImageTr/PanTS_00000001/ct.nii.gz")
    plant.ct("ImageTe/PanTS_00000001/ct.nii.gz")
    with pytest.raises(ConfigError, match=r"'PanTS_00000001': ImageTr/.* and ImageTe/"):
        open_cases(plant.root)


def test_an_unsafe_case_id_is_refused_on_opening(plant) -> None:
    plant.ct("imagesTr/a:b_0000.nii.gz")
    (plant.root / "dataset.json").write_text('{"channel_names": {"0": "CT"}, "labels": {}}')
    with pytest.raises(ConfigError, match="case id 'a:b' is not a safe file name"):
        open_cases(plant.root)


def test_no_file_of_a_case_is_opened_until_it_is_asked_for(plant) -> None:
    folder = plant.root / "s0001"
    (folder / "segmentations").mkdir(parents=True)
    (folder / "ct.nii.gz").write_bytes(b"not a CT")
    (folder / "segmentations/liver.nii.gz").write_bytes(b"")
    data = open_cases(plant.root)
    assert data["s0001"].structures == ("liver",)
    assert data.filter(has="liver").ids == ("s0001",)


@pytest.mark.real
def test_real_cases_are_chosen_by_structure(shared_data: Path) -> None:
    data = open_cases(shared_data / "abdomen")
    assert data.filter(has="lung_left").ids == ("ts_example_3mm",)
    assert data.filter(has=["kidney", "liver", "spleen"]).ids == ("crlm1004", "ts_example_3mm")
