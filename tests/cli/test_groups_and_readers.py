"""``scalemai subgroups`` and ``scalemai reader-study``: what they print, write and refuse."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from .hosts import scalemai


@pytest.fixture
def results(tmp_path: Path) -> tuple[Path, Path]:
    cases = [f"{k:03d}" for k in range(60)]
    table, metadata = tmp_path / "structures.csv", tmp_path / "patients.csv"
    values = [0.9 - 0.2 * (k % 2) - 0.001 * k for k in range(60)]
    pl.DataFrame({"case": cases, "structure": "pancreas", "dsc": values}).write_csv(table)
    pl.DataFrame(
        {"case": cases, "sex": ["M", "F"] * 30, "hospital": ["A"] * 30 + ["B"] * 30}
    ).write_csv(metadata)
    return table, metadata


@pytest.fixture
def reads(tmp_path: Path) -> Path:
    rows = [
        {
            "reader": reader,
            "case": f"{k:02d}",
            "truth": "real" if k % 2 else "synthetic",
            "answer": "real" if (k * (2 + n)) % 5 < 3 else "synthetic",
        }
        for n, reader in enumerate("AB")
        for k in range(40)
    ]
    pl.DataFrame(rows).write_csv(tmp_path / "reads.csv")
    return tmp_path / "reads.csv"


def test_subgroups_says_the_gap_and_writes_tables_and_page(
    results: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    said = scalemai(
        "subgroups", *results, "--by", "sex,hospital", "--in-distribution", "hospital=A",
        "--draws", 200, "--out", out,
    )  # fmt: skip
    assert said.code == 0, said.err
    assert "sex: largest gap 0.2" in said.out
    assert "worst: F" in said.out
    assert (out / "subgroups.html").is_file()
    assert (out / "distributions.parquet").is_file()


def test_subgroups_says_that_patients_stand_in_several_groups(tmp_path: Path) -> None:
    table, metadata = tmp_path / "structures.csv", tmp_path / "scans.csv"
    names = [f"{k:03d}" for k in range(40)]
    patients = [f"p{k // 2}" for k in range(40)]
    pl.DataFrame(
        {"case": names, "patient": patients, "dsc": [50 + 7.0 * (k % 6) for k in range(40)]}
    ).write_csv(table)
    pl.DataFrame({"case": names, "phase": ["venous", "late"] * 20}).write_csv(metadata)
    said = scalemai("subgroups", table, metadata, "--by", "phase", "--out", tmp_path / "out")
    assert said.code == 0, said.err
    assert "note: dsc is in percent; it was divided by 100" in said.err
    assert (
        "note: phase: 20 patients stand in more than one group; tests take groups as independent"
        in said.err
    )
    assert "phase: largest gap 0.0" in said.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--by", "race"], "unknown column 'race'"),
        (["--by", "sex", "--minimum", "1"], "minimum"),
        (["--by", "sex", "--metric", "dcs"], "did you mean 'dsc'"),
        (["--by", "sex", "--in-distribution", "A"], "--in-distribution"),
        (["--by", "sex", "--better", "up"], "--better"),
    ],
)
def test_subgroups_refuses_in_one_line(
    results: tuple[Path, Path], tmp_path: Path, words: list[str], message: str
) -> None:
    said = scalemai("subgroups", *results, *words, "--out", tmp_path / "out")
    assert said.code == 2
    assert len(said.lines) == 1
    assert message in said.err
    assert not (tmp_path / "out").exists()


def test_reader_study_says_each_reader_and_writes_tables_and_page(
    reads: Path, tmp_path: Path
) -> None:
    said = scalemai("reader-study", reads, "--out", tmp_path / "out")
    assert said.code == 0, said.err
    assert "A: balanced accuracy" in said.out
    assert (tmp_path / "out" / "reader-study.html").is_file()
    assert (tmp_path / "out" / "equivalence.csv").is_file()


def test_reader_study_calls_a_habit_not_interpretable(reads: Path, tmp_path: Path) -> None:
    pl.read_csv(reads, infer_schema=False).with_columns(
        answer=pl.when(pl.col("reader") == "A").then(pl.lit("real")).otherwise("answer")
    ).write_csv(reads)
    said = scalemai("reader-study", reads, "--out", tmp_path / "out")
    assert said.code == 0, said.err
    assert said.out.splitlines()[0].endswith("; not interpretable: one answer throughout")


def test_reader_study_plans(tmp_path: Path) -> None:
    said = scalemai("reader-study", "--plan", "1,2x50", "--out", tmp_path / "out")
    assert said.code == 0, said.err
    assert "1 reader x 50 cases: power of one reader 0.00" in said.out
    assert pl.read_parquet(tmp_path / "out" / "reader_plan.parquet").height == 2


@pytest.mark.parametrize("words", [[], ["--plan", "three"], ["--plan", "3x7"]])
def test_reader_study_refuses_in_one_line(tmp_path: Path, words: list[str]) -> None:
    said = scalemai("reader-study", *words, "--out", tmp_path / "out")
    assert said.code == 2
    assert len(said.lines) == 1
    assert not (tmp_path / "out").exists()
