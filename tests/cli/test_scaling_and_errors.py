"""``scalemai scaling`` and ``scalemai errors`` as their users call them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from scalemai.evaluation.tables import Table, write_table

from .hosts import scalemai, synthesize, write_case


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Detectors trained on growing numbers of scans, three draws each, on 40 test cases."""
    rng = np.random.default_rng(0)
    cases = rng.normal(0, 0.1, 40)
    rows = ["n_real,n_synthetic,draw,case,domain,dsc"]
    arms = [(n, 0, n) for n in (50, 100, 200, 400, 800, 1500, 3000)] + [(500, 1500, 1500)]
    for domain in ("ID", "OOD"):
        for n, synthetic, worth in arms:
            for draw in range(3):
                run = 0.58 - 1.2 * worth**-0.5 + rng.normal(0, 0.003)
                rows += [
                    f"{n},{synthetic},{draw},case{i:02d},{domain},{run + case + noise:.5f}"
                    for i, (case, noise) in enumerate(
                        zip(cases, rng.normal(0, 0.02, 40), strict=True)
                    )
                ]
    path = tmp_path / "runs.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """An evaluation of lesions in the liver, of which small ones are missed."""
    rng = np.random.default_rng(0)
    mm = rng.uniform(8, 40, 200)
    missed = rng.random(200) < np.where(mm <= 20, 0.8, 0.1)
    frame = pl.DataFrame(
        {
            "case": [f"case_{i:03d}" for i in range(200)],
            "structure": "liver_lesion",
            "organ": "liver",
            "diameter_mm": mm,
            "detected": ~missed,
        }
    )
    write_table(Table("lesions", frame), tmp_path / "results")
    return tmp_path / "results"


def test_scaling_says_law_plateau_worth_and_plan(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = scalemai("scaling", runs, "--out", out, "--resamples", 300, "--gain", 0.01)
    assert said.code == 0
    assert "ID: power law with floor" in said.out
    assert "OOD: 500 real + 1,500 synthetic: " in said.out
    assert "more scans" in said.out
    assert said.out.splitlines()[-1] == str(out / "scaling.html")
    names = {file.name for file in out.iterdir()}
    assert {"scaling.json", "scaling_worth.csv", "scaling_laws.parquet"} <= names


def test_scaling_of_a_constant_measure_names_no_law_and_no_number(tmp_path: Path) -> None:
    arms = [(n, 0) for n in (50, 100, 200, 400, 800, 1500)] + [(100, 100)]
    rows = [f"{n},{more},{draw},c{k},0.24" for n, more in arms for draw in (0, 1) for k in range(9)]
    table = tmp_path / "runs.csv"
    table.write_text("\n".join(["n_real,n_synthetic,draw,case,dsc", *rows]) + "\n")
    said = scalemai("scaling", table, "--out", tmp_path / "out", "--resamples", 200)
    assert said.code == 0, said.err
    assert said.out.startswith("all: no trend with n; ")
    assert "100 real + 100 synthetic: not computed because there is no trend with n" in said.out
    assert "power law" not in said.out
    assert "-0." not in said.out


def test_scaling_of_a_wrong_table_is_one_line(tmp_path: Path) -> None:
    table = tmp_path / "runs.csv"
    table.write_text("n,dsc\n1,0.5\n")
    said = scalemai("scaling", table, "--out", tmp_path / "out")
    assert said.code == 2
    assert said.lines == [
        "scalemai: runs.csv: has no column n_real; name the column of training scans n_real; it "
        "has n, dsc"
    ]
    assert not (tmp_path / "out").exists()


def test_a_missing_table_is_one_line(tmp_path: Path) -> None:
    said = scalemai("scaling", tmp_path / "none.csv", "--out", tmp_path / "out")
    assert (said.code, len(said.lines)) == (1, 1)


def test_errors_become_a_population_that_is_synthesized(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "errors"
    said = scalemai("errors", results, "--out", out)
    assert said.code == 0
    assert said.out.startswith("size <= 20 mm: ")
    population = out / "population.yaml"
    assert str(population) in said.out.splitlines()
    host = write_case(tmp_path / "hosts" / "host")
    made = synthesize(host, "--out", tmp_path / "made", "--population", population)
    assert made.code == 0, made.err
    assert (tmp_path / "made" / "host" / "ct.nii.gz").is_file()


def test_errors_of_a_folder_without_lesions_are_one_line(tmp_path: Path) -> None:
    said = scalemai("errors", tmp_path, "--out", tmp_path / "out")
    assert said.code == 1
    assert len(said.lines) == 1
    assert "lesions" in said.err


def test_wrong_size_bins_are_one_line(results: Path, tmp_path: Path) -> None:
    said = scalemai("errors", results, "--out", tmp_path / "out", "--size-bins", "20,10")
    assert said.code == 2
    assert len(said.lines) == 1
