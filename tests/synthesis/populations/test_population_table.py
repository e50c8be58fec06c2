"""Tables of real lesions: columns and names of many kinds, and what is left out of them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from scalemai.errors import ConfigError, UnreadableFileError
from scalemai.synthesis.populations.table import lesion_table, read_lesions

from .lesion_tables import pancreatic, write_xlsx


def test_columns_are_known_by_the_names_that_others_give_them() -> None:
    told = lesion_table(
        pl.DataFrame(
            {
                "Patient-ID": ["a", "a", "b", "c"],
                "Location": ["Head", "pancreatic tail", "tail of the pancreas", "Body"],
                "Histology": ["PDAC", "IPMN", "ductal adenocarcinoma", "PNET"],
                "Longest diameter (cm)": ["2.5", "1,2", "3", "0.8"],
                "remarks": ["", "", "", ""],
            }
        ),
        default_organ="Pancreas",
    )
    rows = told.rows.sort("diameter_mm")
    assert rows["organ"].to_list() == ["pancreas"] * 4
    assert rows["site"].to_list() == ["body", "tail", "head", "tail"]
    assert rows["kind"].to_list() == ["pnet", "cyst", "pdac", "pdac"]
    assert rows["diameter_mm"].to_list() == pytest.approx([8.0, 12.0, 25.0, 30.0])
    assert told.count == ((1, 2.0), (2, 1.0))
    assert told.notes == ()


def test_sites_are_read_as_words() -> None:
    sites = ["Left upper lobe", "RML", "upper lobe of the right lung", "left"]
    table = pl.DataFrame({"site": sites, "size_mm": [5, 6, 7, 8]})
    told = lesion_table(table, default_organ="lung").rows.sort("diameter_mm")
    known = ["left_upper_lobe", "right_middle_lobe", "right_upper_lobe", "left"]
    assert told["site"].to_list() == known


def test_rows_with_missing_values_are_counted() -> None:
    told = lesion_table(
        pl.DataFrame(
            {
                "organ": ["liver"] * 5 + [None, "liver"],
                "kind": ["hcc", "cyst", "n/a", "hcc", "hcc", "hcc", "hcc"],
                "diameter": ["12", "", "9", "nan", "500", "8", "12 mm"],
            }
        )
    )
    assert told.rows["diameter_mm"].to_list() == [12.0]
    assert told.rows["site"].to_list() == [None]
    assert told.notes == (
        "column 'diameter' is read as mm",
        "1 of 7 rows have no organ and are left out",
        "3 of 7 rows have no diameter and are left out",
        "1 of 7 rows have a diameter outside 2 to 150 mm and are left out",
        "1 of 7 rows have no kind and are left out",
    )


def test_a_name_that_the_facts_lack_is_refused_or_left_out_and_counted() -> None:
    table = pl.DataFrame(
        {
            "organ": ["liver", "liver", "spleeen", "pancreas", "liver"],
            "kind": ["hcc", "glioma", None, None, "glioma"],
            "site": [None, None, None, "hilum", None],
            "size_mm": [10, 11, 12, 13, 14],
        }
    )
    with pytest.raises(ConfigError) as caught:
        lesion_table(table, where="t.csv")
    message = str(caught.value)
    assert message.startswith("t.csv: unknown lesion kind of liver 'glioma' (2 rows)")
    assert "pancreas has no site 'hilum', only head, body, tail (1 rows)" in message
    told = lesion_table(table, skip_unknown=True)
    assert len(told) == 1
    assert told.notes[0].startswith("4 of 5 rows are left out: ")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"size_mm": [5]}, "has no column for the organ"),
        ({"organ": ["liver"]}, "has no column for the diameter"),
        ({"organ": ["liver"], "size_mm": [5], "diameter": [5]}, "both mean diameter_mm"),
        ({"organ": ["liver"], "size_mm": [None]}, "no lesion is left (1 of 1 rows"),
    ],
)
def test_a_table_that_tells_too_little_is_refused(
    columns: dict[str, list[object]], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        lesion_table(pl.DataFrame(columns), where="t.csv")
    assert message in str(caught.value)


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "xlsx"])
def test_a_table_reads_alike_from_every_format(ending: str, tmp_path: Path) -> None:
    table = pancreatic(40)
    path = tmp_path / f"lesions.{ending}"
    if ending == "parquet":
        table.write_parquet(path)
    elif ending == "xlsx":
        write_xlsx(path, table)
    else:
        table.write_csv(path, separator=";" if ending == "csv" else "\t", include_bom=True)
    told = read_lesions(path)
    assert told.rows.equals(lesion_table(table).rows)
    assert told.count == lesion_table(table).count


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv", b""), ("a.csv", b"\xff\xfe\x00"), ("a.parquet", b"PAR1"), ("a.xlsx", b"PK\x03\x04")],
)
def test_a_table_that_is_damaged_is_named(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableFileError) as caught:
        read_lesions(tmp_path / name)
    assert "\n" not in str(caught.value)
    with pytest.raises(UnreadableFileError):
        read_lesions(tmp_path / f"no-{name}")


def test_a_column_of_counts_stands_in_for_cases() -> None:
    table = pl.DataFrame({"size_mm": [5, 6, 7, 8], "number of lesions": [1, 3, 3, 90]})
    told = lesion_table(table, default_organ="liver")
    assert told.count == ((1, 1.0), (3, 2.0), (50, 1.0))
    assert told.notes == ("1 cases have more than 50 lesions and count as that many",)
