"""Tables come back as they went, say what they mean, and run nothing in a spreadsheet."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scalemai._version import __version__
from scalemai.errors import ConfigError, UnreadableFileError
from scalemai.evaluation.definitions import Definition
from scalemai.evaluation.provenance import case_digest
from scalemai.evaluation.tables import Table, read_table, write_table
from scalemai.masks import MaskSource

DSC = Definition("dsc/1", "dsc", "Dice", "", "higher", "2 I / (P + R)", "Dice 1945")


def table(kind: str = "structures") -> Table:
    frame = pl.DataFrame(
        {
            "case": ["007", "=SUM(A1)", "'quoted", None, "", 'line\nand "quote", comma'],
            "dsc": [0.1, None, float("nan"), -2.5, float("inf"), 1 / 3],
            "detected": [True, None, False, None, True, True],
            "lesion": [1, 2, None, 4, 5, -6],
        },
        schema_overrides={"lesion": pl.Int32},
    )
    return Table(kind, frame, (DSC,), {"b": "22", "a": "11"}, {"rule": "overlap", "bins": [10, 20]})


@pytest.mark.parametrize("name", ["structures.parquet", "structures.csv", "."])
def test_a_table_comes_back_as_it_went(tmp_path: Path, name: str) -> None:
    written = table()
    assert write_table(written, tmp_path) == tmp_path / "structures.parquet"
    found = read_table(tmp_path / name)
    assert found.frame["case"].to_list()[:5] == ["007", "=SUM(A1)", "'quoted", None, None]
    assert found.frame.equals(written.frame)
    assert found.frame.schema == written.frame.schema
    assert found.metadata() == written.metadata()
    assert found.version == __version__
    assert found.definition("dsc") == DSC
    assert found.definition("case") is None


def test_a_table_without_rows_keeps_its_columns_and_types(tmp_path: Path) -> None:
    empty = Table("lesions", table().frame.clear())
    write_table(empty, tmp_path)
    for name in ("lesions.csv", "lesions.parquet"):
        assert read_table(tmp_path / name).frame.schema == empty.frame.schema


def test_the_same_table_is_the_same_bytes(tmp_path: Path) -> None:
    write_table(table(), tmp_path / "a")
    shuffled = Table("structures", table().frame, (DSC,), {"a": "11", "b": "22"}, table().settings)
    write_table(shuffled, tmp_path / "b")
    for name in ("structures.parquet", "structures.csv", "structures.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_nothing_but_whole_files_is_left(tmp_path: Path) -> None:
    write_table(table(), tmp_path)
    write_table(table(), tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["structures.csv", "structures.json", "structures.parquet"]


def test_no_cell_of_a_csv_begins_like_a_formula(tmp_path: Path) -> None:
    bad = ["=1+1", "+1", "-1", "@SUM", "\t=1", "\r=1"]
    write_table(Table("rows", pl.DataFrame({text: [text] for text in bad})), tmp_path)
    text = (tmp_path / "rows.csv").read_text()
    cells = pl.read_csv(tmp_path / "rows.csv", has_header=False, infer_schema=False).rows()
    assert len(cells) == 2, text
    assert all(cell.startswith("'") for row in cells for cell in row)
    assert read_table(tmp_path / "rows.csv").frame.rows() == [tuple(bad)]


def test_empty_text_is_an_empty_field_and_null_in_either_file(tmp_path: Path) -> None:
    frame = pl.DataFrame({"case": ["a", "b"], "reason": ["", "too few"], "note": ["", ""]})
    write_table(Table("rows", frame), tmp_path)
    assert (tmp_path / "rows.csv").read_text() == "case,reason,note\na,,\nb,too few,\n"
    for name in ("rows.csv", "rows.parquet"):
        found = read_table(tmp_path / name).frame
        assert found.rows() == [("a", None, None), ("b", "too few", None)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs", "Cc"]))),
            st.one_of(st.none(), st.floats(allow_nan=False)),
            st.one_of(st.none(), st.integers(-(2**62), 2**62)),
        ),
        max_size=8,
    )
)
def test_any_text_and_number_survives_csv(tmp_path: Path, rows: list[tuple[object, ...]]) -> None:
    schema = {"case": pl.String, "x": pl.Float64, "n": pl.Int64}
    written = Table("rows", pl.DataFrame(rows, schema=schema, orient="row"))
    write_table(written, tmp_path)
    assert read_table(tmp_path / "rows.csv").frame.equals(written.frame)


def test_foreign_csv_is_read_with_names_as_text_and_gaps_as_null(tmp_path: Path) -> None:
    (tmp_path / "dsc.csv").write_text("name,liver,aorta\n007,0.5,nan\n008,,1\n'=x,1,1\n")
    found = read_table(tmp_path / "dsc.csv")
    assert found.kind == "dsc"
    assert found.frame["name"].to_list() == ["007", "008", "'=x"]
    assert found.frame["liver"].to_list() == [0.5, None, 1.0]
    assert (found.definitions, found.cases, found.settings, found.version) == ((), {}, {}, "")


def test_na_names_a_case_but_no_number_and_no_patient(tmp_path: Path) -> None:
    text = "\ufeffcase;patient;structure;dsc\r\nNA;NA;nan;NA\r\n;p;liver;0.5\r\n"
    (tmp_path / "x.csv").write_bytes(text.encode())
    rows = read_table(tmp_path / "x.csv").frame.rows()
    assert rows == [("NA", None, "nan", None), (None, "p", "liver", 0.5)]


def test_json_of_others_beside_a_csv_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "dsc.csv").write_text("name,liver\na,1\n")
    (tmp_path / "dsc.json").write_text('{"mine": true}')
    assert read_table(tmp_path / "dsc.csv").frame.height == 1


def test_a_folder_of_several_tables_asks_which(tmp_path: Path) -> None:
    write_table(table("structures"), tmp_path)
    write_table(table("lesions"), tmp_path)
    assert read_table(tmp_path, "lesions").kind == "lesions"
    with pytest.raises(ConfigError, match=r"holds several tables \(lesions, structures\)"):
        read_table(tmp_path)
    with pytest.raises(UnreadableFileError, match="it has lesions, structures"):
        read_table(tmp_path, "patients")
    with pytest.raises(ConfigError, match="is a table of lesions, not of patients"):
        read_table(tmp_path / "lesions.csv", "patients")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.parquet", b"PAR1 and no more", "is no readable Parquet file"),
        ("x.csv", b"", "is empty|is no CSV"),
        ("x.csv", b"a,b\n1,2,3,4\n", "is no CSV"),
        ("x.csv", b"case\n\xff\xfe\n", "is not UTF-8"),
        ("x.txt", b"case\n", "neither a .parquet nor a .csv"),
    ],
)
def test_a_damaged_table_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableFileError, match=message) as caught:
        read_table(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_metadata_of_a_later_format_is_refused(tmp_path: Path) -> None:
    write_table(table(), tmp_path)
    about = json.loads((tmp_path / "structures.json").read_text())
    (tmp_path / "structures.json").write_text(json.dumps(about | {"format": "scalemai-table/9"}))
    with pytest.raises(UnreadableFileError, match="does not describe a table of format"):
        read_table(tmp_path / "structures.csv")


def test_a_table_is_flat_and_has_a_name() -> None:
    with pytest.raises(ValueError, match="a table is flat"):
        Table("rows", pl.DataFrame({"x": [[1, 2]]}))
    with pytest.raises(ValueError, match="is a name"):
        Table("../rows", pl.DataFrame())


def test_a_digest_follows_bytes_and_labels_and_not_places(tmp_path: Path) -> None:
    def digest(folder: str, content: bytes, values: tuple[int, ...] = (1,)) -> str:
        path = tmp_path / folder / "labels.nii.gz"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return case_digest({"reference": {"liver": MaskSource(path, values)}})

    assert digest("a", b"1") == digest("b", b"1")
    assert digest("a", b"1") != digest("a", b"2")
    assert digest("a", b"1") != digest("a", b"1", (2,))
    with pytest.raises(UnreadableFileError, match="No such file"):
        case_digest({"reference": {"liver": MaskSource(tmp_path / "none.nii.gz")}})
