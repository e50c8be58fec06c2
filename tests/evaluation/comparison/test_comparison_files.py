"""Results are found, read and paired by name; what cannot be trusted is refused by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from scalemai.errors import ConfigError, UnknownNameError, UnreadableFileError
from scalemai.evaluation.comparison.alignment import OVER_CLASSES, align, scopes
from scalemai.evaluation.comparison.comparing import read_results
from scalemai.evaluation.comparison.locating import locate
from scalemai.evaluation.comparison.own_tables import read_own
from scalemai.evaluation.comparison.published import read_published
from scalemai.evaluation.comparison.results import Results
from scalemai.evaluation.comparison.scale import direction, on_one_scale
from scalemai.evaluation.definitions import Definition
from scalemai.evaluation.tables import Table, write_table


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def results(
    algorithm: str, rows: Mapping[str, Sequence[float]], classes: Sequence[str] = ("liver",)
) -> Results:
    values = np.array(list(rows.values()), dtype=float).reshape(len(rows), len(classes))
    cases = tuple(rows)
    nothing = np.zeros(values.shape, dtype=bool)
    return Results(
        algorithm, Path(f"{algorithm}.csv"), cases, cases, tuple(classes), values, nothing
    )


# --- finding -------------------------------------------------------------------------------


def test_a_parent_folder_single_folders_and_files_give_the_same_algorithms(tmp_path: Path) -> None:
    for name in ("A", "B"):
        write(tmp_path / name / "dsc.csv", "name,liver\nx,0.5\n")
    expected = ["A", "B"]
    for given in ([tmp_path], [tmp_path / "A", tmp_path / "B"], [*tmp_path.glob("*/dsc.csv")]):
        found, _ = locate(given, "dsc")
        assert sorted(one.algorithm for one in found) == expected


def test_names_that_collide_stay_distinct(tmp_path: Path) -> None:
    for name in ("first/STU-Net", "second/STU-Net", "second/nnU-Net"):
        write(tmp_path / name / "dsc.csv", "name,liver\nx,0.5\n")
    found, _ = locate([tmp_path / "first", tmp_path / "second"], "dsc")
    assert [one.algorithm for one in found] == ["first/STU-Net", "second/STU-Net", "nnU-Net"]
    # Names that only begin alike are other names.
    for size in "BLH":
        write(tmp_path / "sizes" / f"STU-Net-{size}" / "dsc.csv", "name,liver\nx,0.5\n")
    found, _ = locate([tmp_path / "sizes"], "dsc")
    assert [one.algorithm for one in found] == ["STU-Net-B", "STU-Net-H", "STU-Net-L"]


def test_a_given_name_wins_and_may_not_be_given_twice(tmp_path: Path) -> None:
    for name in ("run1", "run2"):
        write(tmp_path / name / "dsc.csv", "name,liver\nx,0.5\n")
    found, _ = locate([f"ours={tmp_path / 'run1'}", tmp_path / "run2"], "dsc")
    assert [one.algorithm for one in found] == ["ours", "run2"]
    with pytest.raises(ConfigError, match="names two algorithms"):
        locate([f"ours={tmp_path / 'run1'}", f"ours={tmp_path / 'run2'}"], "dsc")
    with pytest.raises(ConfigError, match="given twice"):
        locate([tmp_path / "run1", tmp_path / "run1" / "dsc.csv"], "dsc")


def test_folders_without_the_metric_are_told_and_none_at_all_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "A" / "dsc.csv", "name,liver\nx,0.5\n")
    write(tmp_path / "B" / "nsd.csv", "name,liver\nx,0.5\n")
    _, notes = locate([tmp_path], "dsc")
    assert "no dsc in 1 of 2 folders (B)" in notes[0]
    with pytest.raises(ConfigError, match=r"no iou\.csv .* has dsc, nsd"):
        locate([tmp_path], "iou")
    with pytest.raises(UnreadableFileError, match="does not exist"):
        locate([tmp_path / "C"], "dsc")


# --- published CSV -------------------------------------------------------------------------


def test_a_published_csv_is_read_as_it_stands(tmp_path: Path) -> None:
    text = (
        "\ufeff,name,liver,pancreas,average\n0, 007 ,0.9,,0.9\n1,8,NaN,1e-1,0.1\n2,mean,0.9,0.1,\n"
    )
    found = read_published(write(tmp_path / "dsc.csv", text), "A")
    assert found.cases == ("007", "8")
    assert found.classes == ("liver", "pancreas")
    np.testing.assert_array_equal(found.values, [[0.9, np.nan], [np.nan, 0.1]])
    assert "left out (average, mean)" in found.notes[0]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_whatever_separates_columns_and_ends_lines_the_values_are_the_same(
    tmp_path: Path, separator: str, ending: str, mark: str
) -> None:
    lines = ["name,liver", "a,0.5"]
    text = mark + ending.join(line.replace(",", separator) for line in lines) + ending
    found = read_published(write(tmp_path / "dsc.csv", text), "A")
    assert (found.cases, found.classes, found.values.tolist()) == (("a",), ("liver",), [[0.5]])
    lines = ["case,structure,dsc", "NA,liver,0.5", "b,liver,NA"]
    text = mark + ending.join(line.replace(",", separator) for line in lines) + ending
    (one,), _ = read_results([write(tmp_path / "structures.csv", text)], "dsc")
    assert one.cases == ("NA", "b")
    np.testing.assert_array_equal(one.values, [[0.5], [np.nan]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,liver\na,0.5\na,0.6\n", "the case 'a' stands there twice"),
        ("name,liver,liver\na,0.5,0.6\n", "the class 'liver' stands there twice"),
        ("file,liver\na,0.5\n", "has no column 'name'"),
        ("name\na\n", "heading 'name' has no comma, semicolon, tab"),
        ("name,mean\na,1\n", "has no column of values"),
        ("name,liver\na,good\n", "'good' of case 'a' and class 'liver' is no finite number"),
        ("name,liver\na,inf\n", "'inf' of case 'a'"),
        ("name,liver\n,0.5\n", "row 2 has no name"),
        ("", "is empty"),
        ("name,liver\na,0.5,7,8\n", "is no proper CSV"),
    ],
)
def test_a_csv_that_cannot_be_trusted_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "dsc.csv", text)
    with pytest.raises((ConfigError, UnreadableFileError), match=message) as refused:
        read_published(path, "A")
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "dsc.csv").write_bytes(b"name,liver\n\xff\xfe,0.5\n")
    with pytest.raises(UnreadableFileError, match="UTF-8"):
        read_published(tmp_path / "dsc.csv", "A")


# --- our own tables ------------------------------------------------------------------------

DSC = Definition("dsc/1", "dsc", "Dice", "", "higher", "Overlap.", "Dice 1945")


def write_own(folder: Path, frame: pl.DataFrame, *definitions: Definition) -> Path:
    write_table(Table("structures", frame, definitions, {}, {"rule": "overlap"}), folder)
    return folder


def structures(**columns: object) -> pl.DataFrame:
    base = {
        "case": ["a", "a", "b", "b"],
        "patient": ["p", "p", "p", "p"],
        "structure": ["liver", "tumor", "liver", "tumor"],
        "state": ["both", "both", "missing_prediction", "both_empty"],
        "dsc": [0.9, 0.5, None, None],
        "hd95_mm": [3.0, 8.0, None, None],
    }
    return pl.DataFrame(base | columns)


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_our_tables_are_read_with_patients_definitions_and_states(
    tmp_path: Path, ending: str
) -> None:
    folder = write_own(tmp_path / "A", structures(), DSC)
    (one,), _ = read_results([folder / f"structures{ending}"], "dsc")
    assert (one.algorithm, one.cases, one.patients) == ("A", ("a", "b"), ("p", "p"))
    np.testing.assert_array_equal(one.values, [[0.9, 0.5], [np.nan, np.nan]])
    # A missing prediction is missing; an empty reference has no value to be missed.
    np.testing.assert_array_equal(one.undefined, [[False, False], [False, True]])
    assert one.definition == DSC


def test_a_table_of_several_algorithms_gives_all_of_them(tmp_path: Path) -> None:
    both = pl.concat(
        [structures().select(pl.lit(name).alias("algorithm"), pl.all()) for name in ("A", "B")]
    )
    found, _ = read_results([write_own(tmp_path, both, DSC)], "dsc")
    assert [one.algorithm for one in found] == ["A", "B"]


def test_a_metric_that_a_table_lacks_is_answered_with_those_that_it_has(tmp_path: Path) -> None:
    folder = write_own(tmp_path, structures(), DSC)
    with pytest.raises(UnknownNameError, match="hd95_mm"):
        read_results([folder], "hd95")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case,structure,dsc\na,liver,1\n,liver,1\n", "row 2 of 2 names no case"),
        ("case,structure,dsc\na,,1\n", "row 1 of 1 names no structure"),
        ('case,structure,dsc\na," ",1\n', "row 1 of 1 names no structure"),
        ("case|structure|dsc\na|liver|1\n", "has no comma, semicolon, tab"),
    ],
)
def test_a_row_of_a_table_without_a_name_is_refused_by_its_number(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises((ConfigError, UnreadableFileError), match=message):
        read_own(write(tmp_path / "structures.csv", text), "A", "dsc")


def test_a_case_that_stands_twice_in_a_table_is_refused(tmp_path: Path) -> None:
    folder = write_own(tmp_path, structures(case=["a", "a", "a", "a"]), DSC)
    with pytest.raises(ConfigError, match=r"'a / liver' .*stands there twice"):
        read_results([folder], "dsc")


# --- scale and direction -------------------------------------------------------------------


def test_percent_throughout_is_brought_to_fractions_and_said() -> None:
    scaled, notes = on_one_scale([results("A", {"a": [90.0]}), results("B", {"a": [0.0]})], "dsc")
    assert scaled[0].values[0, 0] == pytest.approx(0.9)
    assert notes == ("dsc is in percent; it was divided by 100",)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (90.0, 0.9, "A is in percent and B in fractions"),
        (0.9, 90.0, "B is in percent and A in fractions"),
        (120.0, 0.9, "neither a fraction nor percent"),
        (-0.1, 0.9, "neither a fraction nor percent"),
    ],
)
def test_percent_beside_fractions_is_refused(a: float, b: float, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        on_one_scale([results("A", {"a": [a]}), results("B", {"a": [b]})], "dsc")


def test_a_class_in_fractions_beside_classes_in_percent_is_refused() -> None:
    rows = {f"c{n}": [80.0 + n, 0.8 + n / 100] for n in range(6)}
    mixed = results("A", rows, ("liver", "pancreas"))
    with pytest.raises(ConfigError, match="'liver' is in percent and of 'pancreas' in fractions"):
        on_one_scale([mixed, mixed], "dsc")


def test_rounding_above_one_is_no_percent_and_distances_have_no_bound() -> None:
    one = [results("A", {"a": [1.0 + 1e-9]})]
    assert on_one_scale(one, "dsc") == (tuple(one), ())
    far = [results("A", {"a": [250.0]})]
    assert on_one_scale(far, "hd95_mm") == (tuple(far), ())


def test_the_direction_comes_from_definitions_names_or_the_user() -> None:
    one = [results("A", {"a": [0.5]})]
    assert direction(one, "nsd_surfel_2mm", None) == "higher"
    assert direction(one, "hd95_mm", None) == "lower"
    assert direction(one, "wiggle", "lower") == "lower"
    with pytest.raises(ConfigError, match="--better"):
        direction(one, "wiggle", None)
    with pytest.raises(ConfigError, match="--better"):
        direction(one, "hdxyz", None)


# --- pairing -------------------------------------------------------------------------------


def test_cases_are_paired_by_name_whatever_their_order() -> None:
    a = results("A", {"x": [0.1], "y": [0.2], "z": [0.3]})
    b = results("B", {"z": [0.3], "x": [0.1], "w": [0.9], "y": [0.2]})
    aligned = align([a, b], "higher")
    assert aligned.cases == ("w", "x", "y", "z")
    assert aligned.common.tolist() == [False, True, True, True]
    np.testing.assert_array_equal(aligned.values[1:, 0], aligned.values[1:, 1])


def test_algorithms_without_a_common_case_are_refused() -> None:
    a, b = results("A", {"x.nii.gz": [0.1]}), results("B", {"x": [0.1]})
    with pytest.raises(ConfigError, match=r"no case is common.*A: 'x\.nii\.gz', B: 'x'"):
        align([a, b], "higher")


def test_one_algorithm_two_of_one_name_and_a_lost_class_are_refused() -> None:
    a, b = results("A", {"x": [0.1]}), results("B", {"x": [0.1]})
    with pytest.raises(ConfigError, match="nothing to compare"):
        align([a], "higher")
    with pytest.raises(ConfigError, match="'A' stands there twice"):
        align([a, a], "higher")
    with pytest.raises(UnknownNameError, match="pancreas"):
        align([a, b], "higher", ["pancreas"])
    with pytest.raises(ConfigError, match="no class is common"):
        align([a, results("C", {"x": [0.1]}, ("kidney",))], "higher")


def test_a_class_that_only_some_have_is_left_out_and_said() -> None:
    a = results("A", {"x": [0.1, 0.2]}, ("liver", "spleen"))
    b = results("B", {"x": [0.1]})
    aligned = align([a, b], "higher")
    assert aligned.classes == ("liver",)
    assert aligned.notes == ("not in every algorithm and left out: spleen",)


def test_a_missing_value_is_the_worst_one_unless_omitted() -> None:
    a = results("A", {"x": [0.5], "y": [np.nan], "z": [np.nan]})
    b = results("B", {"x": [0.6], "y": [0.7], "z": [np.nan]})
    aligned = align([a, b], "higher")
    (worst,), (omit,) = scopes(aligned, "worst"), scopes(aligned, "omit")
    # Nobody has z: there is nothing to be missed.
    assert worst.cases == ("x", "y")
    np.testing.assert_array_equal(worst.values, [[0.5, 0.6], [0.0, 0.7]])
    np.testing.assert_array_equal(omit.values, [[0.5, 0.6], [np.nan, 0.7]])
    assert worst.filled.tolist() == [1, 0]


def test_a_missing_distance_is_the_worst_of_its_class() -> None:
    a = results("A", {"x": [5.0], "y": [np.nan]})
    b = results("B", {"x": [6.0], "y": [70.0]})
    (worst,) = scopes(align([a, b], "lower"), "worst")
    np.testing.assert_array_equal(worst.values, [[5, 6], [70, 70]])


def test_means_over_classes_are_means_of_each_case_over_the_same_classes() -> None:
    both = ("liver", "tumor")
    a = results("A", {"x": [0.8, np.nan], "y": [0.6, 0.2]}, both)
    b = results("B", {"x": [0.9, 0.5], "y": [0.7, 0.3]}, both)
    aligned = align([a, b], "higher")
    worst, omit = scopes(aligned, "worst")[-1], scopes(aligned, "omit")[-1]
    assert worst.name == OVER_CLASSES
    np.testing.assert_allclose(worst.values, [[0.4, 0.7], [0.4, 0.5]])
    np.testing.assert_allclose(omit.values, [[0.8, 0.9], [0.4, 0.5]])


def test_a_patient_that_differs_between_files_is_refused() -> None:
    from dataclasses import replace

    a, b = results("A", {"x": [0.1]}), results("B", {"x": [0.1]})
    named = replace(a, patients=("p",))
    assert align([named, b], "higher").patients == ("p",)
    with pytest.raises(ConfigError, match="patient 'p' in one file and 'q'"):
        align([named, replace(b, patients=("q",))], "higher")
