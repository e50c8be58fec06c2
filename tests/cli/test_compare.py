"""The command that compares: what it prints, writes and refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .hosts import scalemai


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Three algorithms on twelve cases, one of which only two of them have."""
    for number, name in enumerate(("STU-Net-B", "STU-Net-L", "MedFormer")):
        rows = [
            f"case{n},{0.5 + 0.03 * n + 0.02 * number:.3f},{0.9 - 0.01 * n:.3f}"
            for n in range(12 - (number == 2))
        ]
        folder = tmp_path / "results" / name
        folder.mkdir(parents=True)
        (folder / "dsc.csv").write_text("name,pancreas,liver\n" + "\n".join(rows) + "\n")
    return tmp_path / "results"


def test_a_comparison_says_who_is_first_and_writes_tables_and_a_page(
    results: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    said = scalemai(
        "compare", results, "--metric", "dsc", "--class", "pancreas", "--out", out, "--draws", 200
    )
    assert said.code == 0
    assert "dsc · pancreas: MedFormer has the best mean" in said.out
    assert said.out.splitlines()[-1] == str(out / "comparison.html")
    assert "note: dsc: case lists differ (MedFormer 11, STU-Net-B 12, STU-Net-L 12)" in said.err
    for name in ("pairs.csv", "pairs.parquet", "ranking.csv", "significance.csv", "unpaired.csv"):
        assert (out / name).is_file()


def test_several_folders_can_be_given_and_named(results: Path, tmp_path: Path) -> None:
    said = scalemai(
        "compare", f"small={results / 'STU-Net-B'}", results / "STU-Net-L",
        "--out", tmp_path / "out", "--draws", 200, "--seed", 3,
    )  # fmt: skip
    assert said.code == 0
    assert "mean of classes: STU-Net-L has the best mean" in said.out
    assert "small" in (tmp_path / "out" / "pairs.csv").read_text()


@pytest.mark.parametrize("cases", [1, 4])
def test_a_ranking_of_few_patients_claims_no_stability(tmp_path: Path, cases: int) -> None:
    for number, name in enumerate(("A", "B")):
        rows = [f"case{n},{0.5 + 0.1 * number}" for n in range(cases)]
        (tmp_path / name).mkdir()
        (tmp_path / name / "dsc.csv").write_text("name,liver\n" + "\n".join(rows) + "\n")
    said = scalemai("compare", tmp_path / "A", tmp_path / "B", "--out", tmp_path / "out")
    assert said.code == 0
    assert "resamples" not in said.out
    assert "stability not computed because" in said.out
    assert "too few for the interval of a mean (at least 40)" in said.out
    assert "too few to resample" in (tmp_path / "out" / "overall.csv").read_text()
    page = (tmp_path / "out" / "comparison.html").read_text(encoding="utf-8")
    assert re.search(r"Stability of the ranking: not computed because \d patients? (is|are)", page)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--metric", "iou"], 2, "no iou.csv"),
        (["--class", "spleen"], 2, "unknown class 'spleen'"),
        (["--margin", "wide"], 2, "--margin: 'wide' is no margin"),
        (["--missing", "ignore"], 2, "--missing: 'ignore' is not known"),
        (["--level", "3"], 2, "--level: 3.0 is no level"),
    ],
)
def test_a_wrong_request_is_one_line_and_writes_nothing(
    results: Path, tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    said = scalemai("compare", results, *words, "--out", tmp_path / "out")
    assert said.code == code
    assert message in said.lines[-1]
    assert len(said.lines) == 1
    assert not (tmp_path / "out").exists()


def test_a_damaged_file_is_named(results: Path, tmp_path: Path) -> None:
    (results / "MedFormer" / "dsc.csv").write_text("name,pancreas\ncase1,none of it\n")
    said = scalemai("compare", results, "--out", tmp_path / "out")
    assert said.code == 1
    assert "MedFormer/dsc.csv: 'none of it' of case 'case1'" in said.lines[-1]
    assert not (tmp_path / "out").exists()


def test_a_table_of_patients_joins_repeated_scans(results: Path, tmp_path: Path) -> None:
    rows = [f"case{n},p{n // 2}" for n in range(12)]
    (tmp_path / "m.csv").write_text("case,patient\n" + "\n".join(rows) + "\n")
    out = tmp_path / "out"
    said = scalemai("compare", results, "--metadata", tmp_path / "m.csv", "--out", out)
    assert said.code == 0
    assert "11 cases of 6 patients" in (out / "comparison.html").read_text(encoding="utf-8")
    said = scalemai("compare", results, "--metadata", out / "pairs.csv", "--out", tmp_path / "no")
    assert said.code == 2
    assert "has no column case, patient" in said.lines[-1]
    assert not (tmp_path / "no").exists()


def test_detectors_are_compared_by_their_tables_of_patients(tmp_path: Path) -> None:
    for number, name in enumerate(("A", "B")):
        rows = [
            f"c{n},pancreatic_lesion,{str(n % 2 == 0).lower()},"
            f"{0.9 if n % 2 == 0 and (n > 8 * number) else 0.1 + n / 1000}"
            for n in range(40)
        ]
        (tmp_path / name).mkdir()
        text = "case,structure,positive,score\n" + "\n".join(rows) + "\n"
        (tmp_path / name / "patients.csv").write_text(text)
    out = tmp_path / "out"
    words = ["--metric", "auroc,sensitivity", "--class", "pancreatic_lesion", "--out", out]
    said = scalemai("compare", tmp_path / "A", tmp_path / "B", *words, "--draws", 200)
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[1].startswith("sensitivity · pancreatic_lesion: A against B: 0.950 and 0.750")
    assert lines[-1] == str(out / "comparison.html")
    for name in ("detection_pairs.csv", "detection_pairs.parquet", "unpaired.csv"):
        assert (out / name).is_file()
    assert "Comparison of 2 detectors" in (out / "comparison.html").read_text(encoding="utf-8")
    said = scalemai("compare", tmp_path / "A", "--metric", "auroc", "--out", tmp_path / "no")
    assert said.code == 2
    assert len(said.lines) == 1
    assert "1 detector is nothing to compare" in said.lines[0]
