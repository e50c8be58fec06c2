"""``scalemai describe`` and ``scalemai population`` as their users call them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import polars as pl
import pytest

from scalemai.synthesis.populations.population import read_population

from .hosts import scalemai

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "describe-in-words.md"


def shown(number: int) -> tuple[str, str]:
    """A command of the page and what it answers."""
    block = re.findall(r"^```console\n\$ (.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    command, _, answer = block[number].partition("\n")
    found = re.fullmatch(r'scalemai describe "(.*)"', command)
    assert found is not None
    return found[1], answer


@pytest.fixture
def table(tmp_path: Path) -> Path:
    sites = ["head"] * 65 + ["body"] * 15 + ["tail"] * 20
    columns = {"Location": sites, "size_mm": [5 + n % 40 for n in range(100)]}
    path = tmp_path / "lesions.csv"
    pl.DataFrame(columns).with_columns(
        size_mm=pl.when(pl.int_range(pl.len()) == 7).then(None).otherwise(pl.col("size_mm"))
    ).write_csv(path)
    return path


def test_a_description_is_shown_word_by_word_as_the_page_says() -> None:
    text, answer = shown(1)
    said = scalemai("describe", text)
    assert (said.code, said.out, said.err) == (0, answer, "")


def test_unknown_words_are_refused_as_the_page_says() -> None:
    text, answer = shown(2)
    said = scalemai("describe", text)
    assert (said.code, said.out, said.err) == (2, "", answer)


def test_unknown_words_can_be_ignored_and_are_reported() -> None:
    said = scalemai("describe", "a possibly necrotic liver mass", "--ignore-unknown")
    assert said.code == 0
    assert said.out.startswith("one 3-40 mm lesion in the liver, with necrosis\n")
    assert said.lines == ["note: 'possibly' (character 3) is ignored"]


def test_a_description_can_be_had_as_json() -> None:
    text = "2-3 masses of the portal vein side, in contact with the SMA by 90 degrees"
    said = scalemai("describe", "2-3 masses abutting the SMA", "--json", "--organ", "pancreas")
    told = json.loads(said.out)
    assert told["lesions"][0]["count"] == [2, 3]
    assert told["lesions"][0]["spec"]["vessel"] == ["superior_mesenteric_artery", [30.0, 180.0]]
    assert [span["text"] for span in told["reading"]] == ["2-3", "masses", "abutting", "SMA"]
    assert told["unknown"] == []
    assert scalemai("describe", text, "--json").code == 2


@pytest.mark.parametrize(
    "text", ["", "good morning", "the head of the liver", "a solid liver cyst"]
)
def test_what_cannot_be_read_is_one_line_and_exit_code_2(text: str) -> None:
    said = scalemai("describe", text)
    assert said.code == 2
    assert len(said.lines) == 1
    assert said.lines[0].startswith("scalemai: description: ")


def test_a_population_is_fitted_to_a_table(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "pop.yaml"
    said = scalemai("population", "fit", table, "--organ", "pancreas", "--out", out)
    assert (said.code, said.out) == (0, f"{out}\n")
    assert said.lines == ["note: 1 of 100 rows have no diameter and are left out"]
    assert {group.site for group in read_population(out).groups} == {"head", "body", "tail"}
    assert out.read_text().startswith("# Fitted to 99 lesions of lesions.csv, alpha 0.5.\n")


def test_a_bias_is_compensated(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "more.yaml"
    said = scalemai(
        "population", "balance", table, "--organ", "pancreas", "--target", "uniform over sites",
        "--synthetic", 200, "--out", out,
    )  # fmt: skip
    assert said.code == 0
    rows = {words[1]: words for line in said.out.splitlines() if len(words := line.split()) == 6}
    assert set(rows) == {"head", "body", "tail"}
    assert all(words[-2:] == ["33.3%", "33.3%"] for words in rows.values())
    weights = {
        site: sum(g.weight for g in read_population(out).groups if g.site == site) for site in rows
    }
    assert weights["body"] > weights["tail"] > weights["head"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fit", "{table}"], "has no column for the organ"),
        (["fit", "{table}.none", "--organ", "pancreas"], "cannot be read"),
        (["fit", "{table}", "--organ", "liver"], "liver has no site 'head'"),
        (["balance", "{table}", "--organ", "pancreas", "--target", "more"], "unknown word: 'more'"),
    ],
)
def test_a_wrong_request_writes_nothing(
    words: list[str], message: str, table: Path, tmp_path: Path
) -> None:
    out = tmp_path / "pop.yaml"
    said = scalemai("population", *(w.replace("{table}", str(table)) for w in words), "--out", out)
    assert said.code in (1, 2)
    assert len(said.lines) == 1
    assert message in said.err
    assert not out.exists()
