"""What a scaling study is traced to, and what it does not say where there is nothing to see."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from scalemai.evaluation.scaling.analysis import analyse_scaling
from scalemai.evaluation.scaling.files import write_scaling
from scalemai.evaluation.scaling.question import Question
from scalemai.evaluation.tables import Table, read_table

from .simulated import SIZES, real, simulated, table_of, truth

QUICK = Question(resamples=300)


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_a_measure_that_does_not_change_with_n_has_no_trend_and_no_worth(
    noise: float, tmp_path: Path
) -> None:
    arms = [*real(), (500, 500, 800)]
    quiet = {"patient_run_sd": noise, "run_sd": noise}
    rng = np.random.default_rng(0)
    measured = simulated(rng, arms, patients=60, curve=lambda n: 0.24, **quiet)
    found = analyse_scaling(table_of(measured), QUICK)
    (group,) = found.groups
    assert (group.chosen, group.verdict) == (None, "no trend with n")
    assert group.notes[0].startswith("no trend with n: ")
    assert not group.marginals
    (worth,) = group.worths
    assert (worth.per_scan.value, worth.equivalent.value) == (None, None)
    assert not worth.identifiable
    assert "no trend with n of real scans" in str(worth.per_scan)
    page = write_scaling(found, tmp_path).read_text(encoding="utf-8")
    assert "no trend with n" in page
    told = json.loads((tmp_path / "scaling.json").read_text(encoding="utf-8"))["groups"][0]
    assert (told["law"], told["verdict"]) == (None, "no trend with n")


def test_a_foreign_table_is_traced_by_case_or_by_its_file(tmp_path: Path) -> None:
    table = table_of(simulated(np.random.default_rng(0), real(), patients=20))
    turned = Table("runs", table.frame.sample(fraction=1.0, shuffle=True, seed=1))
    changed = table.frame.with_columns(
        dsc=pl.when(pl.col("case") == "case_003").then(0.5).otherwise("dsc")
    )
    one, same, other = (
        analyse_scaling(t, QUICK).cases for t in (table, turned, Table("runs", changed))
    )
    assert list(one) == [f"case_{k:03d}" for k in range(20)]
    assert one == same
    assert [case for case in one if one[case] != other[case]] == ["case_003"]
    sizes = pl.DataFrame({"n_real": SIZES, "dsc": [truth(n) for n in SIZES]})
    found = analyse_scaling(Table("runs", sizes), QUICK, where="runs.csv")
    page = write_scaling(found, tmp_path).read_text(encoding="utf-8")
    assert list(read_table(tmp_path / "scaling_points.parquet").cases) == ["runs.csv"]
    assert "e3b0c442" not in page
    assert found.cases["runs.csv"] in page
