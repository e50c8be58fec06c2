"""Detectors by their FROC curves: the rates of one evaluation, paired, tested, shown equivalent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from scalemai.errors import ConfigError
from scalemai.evaluation.comparison.detection import compare_detectors
from scalemai.evaluation.comparison.files import write_detection
from scalemai.evaluation.comparison.froc_pairs import CPM
from scalemai.evaluation.comparison.question import Question
from scalemai.evaluation.lesions.froc import LUNA16_RATES, froc
from scalemai.evaluation.tables import Table, read_table, write_table

LESION = "liver_lesion"


def asked(**more: Any) -> Question:
    return Question(("froc",), draws=300, **more)


def evaluated(
    folder: Path, skill: float, *, cases: int = 120, seed: int = 0, gone: tuple[int, ...] = ()
) -> Path:
    """Tables of a detector: two lesions in every other scan, some false positives in all."""
    rng = np.random.default_rng(seed)
    lesions, candidates, structures = [], [], []
    for n in range(cases):
        place = {"case": f"c{n:03d}", "patient": f"p{n:03d}", "structure": LESION}
        state = "missing_prediction" if n in gone else "both"
        structures.append({**place, "state": state})
        number = 0
        for lesion in (1, 2) if n % 2 else ():
            found = n not in gone and rng.random() < skill
            score = float(rng.uniform(0.3, 1)) if found else None
            lesions.append({**place, "lesion": lesion, "detected": found, "score": score})
            if found:
                number += 1
                hit = {"candidate": number, "score": score, "verdict": "true_positive"}
                candidates.append({**place, **hit})
        for _ in range(0 if n in gone else rng.poisson(1)):
            number += 1
            wrong = {"candidate": number, "score": rng.random(), "verdict": "false_positive"}
            candidates.append({**place, **wrong})
    for kind, rows in (
        ("lesions", lesions), ("candidates", candidates), ("structures", structures)
    ):  # fmt: skip
        write_table(Table(kind, pl.DataFrame(rows, infer_schema_length=None)), folder)
    return folder


def test_the_values_are_those_of_each_evaluation(tmp_path: Path) -> None:
    folders = [evaluated(tmp_path / "A", 0.9), evaluated(tmp_path / "B", 0.5, seed=1)]
    found = compare_detectors(folders, asked()).pairs
    assert found["at"].to_list() == [*(f"{rate:g} per scan" for rate in LUNA16_RATES), CPM]
    for folder, column in zip(folders, ("value_first", "value_second"), strict=True):
        alone = froc(
            read_table(folder, "lesions").frame,
            read_table(folder, "candidates").frame,
            scans={f"c{n:03d}": f"p{n:03d}" for n in range(120)},
            rng=np.random.default_rng(0),
            draws=100,
        )
        expected = [*(one.value for one in alone.rates.values()), alone.cpm.value]
        np.testing.assert_allclose(found[column].to_list(), expected)
    mean = found.row(-1, named=True)
    assert mean["verdict"] == "A is better"
    assert mean["difference_low"] > 0
    assert (mean["positives"], mean["n_cases"], mean["n"]) == (120, 120, 120)


def test_scores_may_lie_on_other_scales(tmp_path: Path) -> None:
    one = evaluated(tmp_path / "A", 0.7)
    two = tmp_path / "B"
    for kind in ("lesions", "candidates", "structures"):
        frame = read_table(one, kind).frame
        if "score" in frame.columns:
            frame = frame.with_columns(pl.col("score") * 1000)
        write_table(Table(kind, frame), two)
    found = compare_detectors([one, two], asked()).pairs
    assert found["difference"].to_list() == [0.0] * 8
    assert all("every resample gives the same value" in one for one in found["verdict"])


def test_like_detectors_are_equivalent_with_many_patients_and_inconclusive_with_few(
    tmp_path: Path,
) -> None:
    few = [evaluated(tmp_path / f"few{k}", 0.8, cases=90, seed=k) for k in (0, 1)]
    assert set(compare_detectors(few, asked()).pairs["verdict"]) == {"inconclusive"}
    many = [evaluated(tmp_path / f"many{k}", 0.8, cases=3000, seed=k) for k in (0, 1)]
    found = compare_detectors(many, asked(margins={"froc": 0.1})).pairs.row(-1, named=True)
    assert found["verdict"] == "equivalent within the margin"
    assert -0.1 < found["equivalence_low"] < found["equivalence_high"] < 0.1


def test_missing_predictions_find_nothing_unless_they_are_left_out(tmp_path: Path) -> None:
    folders = [
        evaluated(tmp_path / "A", 1.0),
        evaluated(tmp_path / "B", 1.0, seed=1, gone=tuple(range(1, 41, 2))),
    ]
    worst = compare_detectors(folders, asked())
    end = worst.pairs.row(6, named=True)
    assert (end["value_first"], end["missing_second"]) == (1.0, 20)
    assert end["value_second"] == pytest.approx(80 / 120)
    assert any("predictions are missing (B 20); they find no lesion" in n for n in worst.notes)
    omitted = compare_detectors(folders, asked(missing="omit")).pairs.row(6, named=True)
    assert (omitted["value_second"], omitted["n_cases"]) == (1.0, 100)


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    one = evaluated(tmp_path / "A", 0.8)
    other = evaluated(tmp_path / "B", 0.8)
    frame = read_table(other, "lesions").frame
    write_table(Table("lesions", frame[1:]), other)
    with pytest.raises(ConfigError, match="lesions of liver_lesion differ between A and B"):
        compare_detectors([one, other], asked())
    for ending in ("parquet", "csv", "json"):
        (other / f"lesions.{ending}").unlink()
    with pytest.raises(ConfigError, match="has no tables candidates and lesions"):
        compare_detectors([one, other], asked())


def test_few_patients_with_lesions_have_no_interval(tmp_path: Path) -> None:
    folders = [evaluated(tmp_path / f"{k}", 0.8, cases=8, seed=k) for k in (0, 1)]
    found = compare_detectors(folders, asked())
    assert found.pairs["p"].null_count() == 8
    assert "4 patients with lesions are too few" in found.pairs["verdict"][0]
    assert "too few" in write_detection(found, tmp_path / "out").read_text()
