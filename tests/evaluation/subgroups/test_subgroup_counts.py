"""Foreign tables of results: what they are traced to, in which scale, and who counts once."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from scalemai.errors import ConfigError
from scalemai.evaluation.subgroups import compare_groups, outcome_of
from scalemai.evaluation.subgroups.files import write_subgroups
from scalemai.evaluation.tables import Table, read_table

from .simulated import cases, question


def test_a_foreign_table_is_traced_by_the_rows_of_each_case(tmp_path: Path) -> None:
    table, metadata = cases(30)
    turned = Table("structures", table.frame.reverse().select(sorted(table.frame.columns)))
    one, same = outcome_of(table, "dsc"), outcome_of(turned, "dsc")
    assert (len(one.cases), one.cases) == (30, same.cases)
    page = write_subgroups(compare_groups(one, metadata, question("sex")), tmp_path)
    assert read_table(tmp_path / "subgroups.parquet").cases == one.cases
    assert one.cases["c0007"] in page.read_text(encoding="utf-8")
    stated = Table("structures", table.frame, cases={"c0000": "0" * 64})
    assert outcome_of(stated, "dsc").cases == {"c0000": "0" * 64}


def test_patients_in_several_groups_count_once(tmp_path: Path) -> None:
    table, metadata = cases(40, scans=3)
    scans = table.frame.select("case").with_columns(
        phase=pl.Series(["arterial", "venous", "late"] * 40)
    )
    found = compare_groups(outcome_of(table, "dsc"), scans, question("phase"), key="case")
    (one,) = found.factors
    assert {group.gap.n for group in one.groups} == {40}
    assert (one.largest_gap.n, one.patients, one.test.n) == (40, 40, 120)
    assert one.notes == (
        "40 patients stand in more than one group; tests take groups as independent",
    )
    page = write_subgroups(found, tmp_path).read_text(encoding="utf-8")
    assert "120 means of 40 patients" in page
    tests = read_table(tmp_path / "subgroup_tests.parquet").frame
    assert tests.select("patients", "patient_means").row(0) == (40, 120)
    home = question("phase", home=("phase", ("arterial",)))
    outside = compare_groups(outcome_of(table, "dsc"), scans, home, key="case").distributions
    assert {row.difference.n for row in outside} == {40}
    apart = compare_groups(outcome_of(table, "dsc"), metadata, question("sex")).factors[0]
    assert (apart.test.n, apart.largest_gap.n, apart.notes) == (40, 40, ())


def test_percent_is_told_from_fractions_as_in_comparisons() -> None:
    table, metadata = cases()
    percent = Table("structures", table.frame.with_columns(pl.col("dsc") * 100))
    one, other = (
        compare_groups(outcome_of(t, "dsc"), metadata, question("sex")) for t in (table, percent)
    )
    gaps = [found.factors[0].largest_gap.value for found in (one, other)]
    assert gaps[0] == pytest.approx(gaps[1])
    assert (one.notes, other.notes) == ((), ("dsc is in percent; it was divided by 100",))
    # A structure that is hardly ever found has values that look like fractions.
    rare = percent.frame.with_columns(structure=pl.lit("lesion"), dsc=pl.lit(0.0))
    rare = rare.with_columns(dsc=pl.when(pl.int_range(pl.len()) < 2).then(0.9).otherwise("dsc"))
    both = Table("structures", pl.concat([percent.frame, rare]))
    assert outcome_of(both, "dsc", "lesion").frame["value"].max() == pytest.approx(0.009)
    mixed = pl.concat([percent.frame, table.frame.with_columns(structure=pl.lit("liver"))])
    with pytest.raises(ConfigError, match="is in percent and of 'liver' in fractions"):
        outcome_of(Table("structures", mixed), "dsc", "pancreas")
    with pytest.raises(ConfigError, match="neither a fraction nor percent"):
        outcome_of(Table("structures", table.frame.with_columns(dsc=-0.5)), "dsc")
