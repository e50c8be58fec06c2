"""Spreadsheets of other languages are read as they were meant, or refused, never misread."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from scalemai.errors import UnreadableFileError
from scalemai.evaluation.comparison.published import read_published
from scalemai.evaluation.tables import read_table


def table(tmp_path: Path, text: str) -> pl.DataFrame:
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8-sig")
    return read_table(path).frame


@pytest.mark.parametrize("separator", [";", "\t"])
def test_decimal_commas_between_semicolons_or_tabs_are_numbers(
    tmp_path: Path, separator: str
) -> None:
    text = "case;dsc;age;sex;size\n007;0,853;61;F;12,5\n008;1;70;M;\n009;-0,5;;F;1,2e1\n"
    frame = table(tmp_path, text.replace(";", separator))
    assert frame["case"].to_list() == ["007", "008", "009"]
    assert frame["dsc"].to_list() == [0.853, 1.0, -0.5]
    assert frame["size"].to_list() == [12.5, None, 12.0]
    assert frame.schema["age"] == pl.Int64
    assert frame["sex"].to_list() == ["F", "M", "F"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('case,dsc\na,"0,85"\nb,"0,91"\n', "a decimal comma, or one between thousands"),
        ("case;dsc\na;0,85\nb;0.91\n", "has decimal commas .* and '0.91'"),
        ("case;dsc;hd\na;0,85;1.5\nb;0,9;2.5\n", "'dsc' has decimal commas and column 'hd'"),
        ("case;ml;hd\na;0,85;1.234\nb;0,9;2.500\n", "'ml' has decimal commas and column 'hd'"),
        ("case;ml\na;1.234,5\nb;0,9\n", "has decimal commas .* and '1.234,5'"),
        ("case;ml\na;1 234,5\nb;0,9\n", "has decimal commas .* and '1 234,5'"),
        ("case;dsc\na;85,1 %\nb;90 %\n", None),
        ("case,dsc\na,0,85\nb,0,91\n", "is no CSV"),
    ],
)
def test_what_could_be_two_numbers_is_refused_in_one_line(
    tmp_path: Path, text: str, said: str | None
) -> None:
    if said is None:  # words, not numbers: whoever needs numbers says so
        assert table(tmp_path, text).schema["dsc"] == pl.String
        return
    with pytest.raises(UnreadableFileError, match=said) as caught:
        table(tmp_path, text)
    assert "\n" not in str(caught.value)
    assert "table.csv" in str(caught.value)


def test_words_with_commas_stay_words(tmp_path: Path) -> None:
    frame = table(tmp_path, "case;stage;drug\na;T1,N0;5,fluorouracil\nb;T2,N1;none\n")
    assert frame["stage"].to_list() == ["T1,N0", "T2,N1"]


def test_published_tables_may_have_decimal_commas(tmp_path: Path) -> None:
    german, english = tmp_path / "de" / "dsc.csv", tmp_path / "en" / "dsc.csv"
    for path, text in (
        (german, "name;liver;pancreas\na;0,95;0,812\nb;NaN;0,5\n"),
        (english, "name,liver,pancreas\na,0.95,0.812\nb,NaN,0.5\n"),
    ):
        path.parent.mkdir()
        path.write_text(text)
    values = [read_published(path, "x").values.tolist() for path in (german, english)]
    assert str(values[0]) == str(values[1])
    german.write_text("name;liver;pancreas\na;0,95;0.812\nb;0,9;0.5\n")
    with pytest.raises(UnreadableFileError, match="'liver' has decimal commas and column"):
        read_published(german, "x")
