"""Repeated scans of a patient are one observation, also for files that do not say so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scalemai.errors import ConfigError
from scalemai.evaluation.comparison.comparing import compare
from scalemai.evaluation.comparison.question import Question

QUICK = Question(draws=100)


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Two algorithms on 30 scans; the second is a little better on most."""
    rng = np.random.default_rng(5)
    one = rng.uniform(0.5, 0.9, 30)
    for name, values in (("A", one), ("B", one + rng.normal(0.02, 0.03, 30))):
        folder = tmp_path / "results" / name
        folder.mkdir(parents=True)
        rows = [f"scan{n},{value:.4f}" for n, value in enumerate(values)]
        (folder / "dsc.csv").write_text("name,liver\n" + "\n".join(rows) + "\n")
    return tmp_path / "results"


def table(path: Path, rows: list[str], heading: str = "case,patient,sex") -> Path:
    path.write_text("\n".join([heading, *rows]) + "\n")
    return path


def test_scans_of_one_patient_are_averaged_by_the_table(published: Path, tmp_path: Path) -> None:
    metadata = table(tmp_path / "m.csv", [f"scan{n},p{n // 3},F" for n in range(30)])
    apart = compare([published], QUICK).tables["pairs"].row(0, named=True)
    found = compare([published], QUICK, metadata=metadata)
    pair = found.tables["pairs"].row(0, named=True)
    assert (apart["n_cases"], apart["n"]) == (30, 30)
    assert (pair["n_cases"], pair["n"]) == (30, 10)
    assert found.tables["overall"]["n"].to_list() == [10]
    assert pair["difference"] == pytest.approx(apart["difference"])
    assert len(found.settings["patients"]) == 64


def test_cases_that_the_table_does_not_know_stay_their_own_and_are_said(
    published: Path, tmp_path: Path
) -> None:
    rows = [f"scan{n},p{n // 2},F" for n in range(28)] + ["scan28,NA,F"]
    found = compare([published], QUICK, metadata=table(tmp_path / "m.csv", rows))
    assert found.tables["pairs"]["n"].to_list() == [16]
    assert any("2 of 30 cases have no patient" in note for note in found.notes)


@pytest.mark.parametrize(
    ("heading", "rows", "message"),
    [
        ("case,person", ["scan0,p"], "has no column patient"),
        ("case,patient", ["other,p"], "names the patient of none of the 30 cases"),
        ("case,patient", ["scan0,p", "scan0,q"], "case 'scan0' is of patient 'p' and of 'q'"),
        ("case,patient", ["scan0,p", ",q"], "row 2 of 2 names no case"),
    ],
)
def test_a_table_that_does_not_say_the_patient_is_refused_in_one_line(
    published: Path, tmp_path: Path, heading: str, rows: list[str], message: str
) -> None:
    metadata = table(tmp_path / "m.csv", rows, heading)
    with pytest.raises(ConfigError, match=message) as refused:
        compare([published], QUICK, metadata=metadata)
    assert str(metadata) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_results_that_say_another_patient_are_refused(tmp_path: Path) -> None:
    for name in "AB":
        rows = [f"s{n},p{n},liver,0.{n + 1}" for n in range(6)]
        (tmp_path / name).mkdir()
        table(tmp_path / name / "structures.csv", rows, "case,patient,structure,dsc")
    metadata = table(tmp_path / "m.csv", ["s0,p1,F"])
    with pytest.raises(ConfigError, match="case 's0' is of patient 'p1', but of 'p0'"):
        compare([tmp_path / "A", tmp_path / "B"], QUICK, metadata=metadata)
