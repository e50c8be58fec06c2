"""Groups of patients: gaps are covered, small groups stay silent, joins lose nothing quietly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from scalemai.errors import ConfigError, UnknownNameError
from scalemai.evaluation.subgroups import (
    compare_groups,
    outcome_of,
    parse_edges,
    parse_factors,
)
from scalemai.evaluation.subgroups.files import write_subgroups
from scalemai.evaluation.subgroups.grouping import NOT_RECORDED, labels_of
from scalemai.evaluation.tables import Table, read_table
from scalemai.statistics.proportions import difference_unpaired, wilson

from .simulated import cases, question


def test_the_worst_group_and_its_gap_are_found() -> None:
    table, metadata = cases()
    found = compare_groups(outcome_of(table, "dsc"), metadata, question("sex,hospital"))
    women, men = found.factors[0].groups
    assert (women.name, women.worst, men.worst) == ("F", True, False)
    assert women.gap.value == pytest.approx(-men.gap.value)
    assert women.gap.high < 0
    assert found.factors[0].largest_gap.low > 0.05
    assert found.factors[0].test.p < 1e-6
    assert found.factors[1].largest_gap.low == 0.0
    assert women.estimate.value == pytest.approx(
        table.frame.filter(pl.int_range(pl.len()) % 2 == 1)["dsc"].mean()
    )


@pytest.mark.parametrize("scans", [1, 2])
def test_gaps_of_a_small_group_are_covered_as_nominal(scans: int) -> None:
    held, trials = 0, 250
    asked = question("small", draws=300)
    for seed in range(trials):
        table, metadata = cases(130, gap=0.0, seed=seed, scans=scans)
        metadata = metadata.with_columns(
            small=pl.when(pl.int_range(pl.len()) < 42).then(pl.lit("yes")).otherwise(pl.lit("no"))
        )
        found = compare_groups(outcome_of(table, "dsc"), metadata, asked)
        gap = found.factors[0].groups[1].gap
        held += gap.low <= 0 <= gap.high
    assert 0.92 <= held / trials <= 0.98  # 250 trials: 95 % +- 2.8 %


def test_a_group_below_the_minimum_has_no_numbers_and_says_why() -> None:
    table, metadata = cases()
    metadata = metadata.with_columns(
        site=pl.when(pl.int_range(pl.len()) < 6).then(pl.lit("rare")).otherwise(pl.lit("usual"))
    )
    found = compare_groups(outcome_of(table, "dsc"), metadata, question("site")).factors[0]
    rare = next(group for group in found.groups if group.name == "rare")
    assert str(rare.estimate) == ("not computed because 6 patients are below the minimum of 10")
    assert not rare.gap.computed
    assert "fewer than two groups" in found.largest_gap.reason
    assert not any(group.worst for group in found.groups)


def test_n_counts_patients_not_scans() -> None:
    table, metadata = cases(18, scans=4)
    found = compare_groups(outcome_of(table, "dsc"), metadata, question("sex"))
    group = found.factors[0].groups[0]
    assert (group.patients, group.rows) == (9, 36)
    assert "9 patients are below" in group.estimate.reason


def test_missing_metadata_are_a_group_of_their_own_that_cannot_be_worst() -> None:
    table, metadata = cases(gap=0.0)
    frame = table.frame.with_columns(
        dsc=pl.when(pl.int_range(pl.len()) < 20).then(0.1).otherwise("dsc")
    )
    metadata = metadata[15:].with_columns(
        sex=pl.when(pl.int_range(pl.len()) < 5).then(pl.lit(" ")).otherwise("sex")
    )
    outcome = outcome_of(Table("structures", frame), "dsc")
    found = compare_groups(outcome, metadata, question("sex"))
    last = found.factors[0].groups[-1]
    assert (last.name, last.patients, last.worst) == (NOT_RECORDED, 20, False)
    assert last.estimate.value == pytest.approx(0.1)
    assert found.factors[0].compared == ("F", "M")
    assert any("15 patients have results but no metadata" in note for note in found.notes)


def test_duplicates_in_the_metadata_are_refused() -> None:
    table, metadata = cases()
    twice = pl.concat([metadata, metadata[:1]])
    with pytest.raises(ConfigError, match="patient 'p000' stands in 2 rows; keep one row"):
        compare_groups(outcome_of(table, "dsc"), twice, question("sex"))


def test_metadata_of_other_patients_are_refused() -> None:
    table, metadata = cases()
    other = metadata.with_columns(patient=pl.lit("x") + pl.col("patient"))
    with pytest.raises(ConfigError, match="no patient of the results is in the metadata"):
        compare_groups(outcome_of(table, "dsc"), other, question("sex"))


def test_an_unknown_column_is_named_with_those_that_are_there() -> None:
    table, metadata = cases()
    with pytest.raises(UnknownNameError, match="did you mean 'hospital'"):
        compare_groups(outcome_of(table, "dsc"), metadata, question("hospitl"))


def labels(values: list[Any], by: str = "age", **edges: tuple[float, ...]) -> list[str]:
    names = by.split("+")
    frame = pl.DataFrame({f"by:{name}": values for name in names}, strict=False)
    return labels_of(frame, parse_factors(by)[0], edges)[0]


def test_ages_go_by_decade_or_by_the_edges_given() -> None:
    assert labels([39, 40.0, 49.9, None]) == ["30-39", "40-49", "40-49", NOT_RECORDED]
    assert labels(["39", "60", ""], age=(40, 60)) == ["< 40", ">= 60", NOT_RECORDED]
    assert labels([40, 59], age=(40, 60)) == ["40 to < 60"] * 2


def test_many_numbers_without_edges_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"size has 20 different numbers; give edges"):
        labels(list(range(20)), "size")
    assert labels([1, 2, 1], "stage") == ["1", "2", "1"]


def test_words_have_no_bins() -> None:
    with pytest.raises(ConfigError, match="holds words"):
        labels(["young", "old"], age=(50,))


def test_intersections_are_groups() -> None:
    table, metadata = cases()
    found = compare_groups(outcome_of(table, "dsc"), metadata, question("sex+hospital"))
    assert [group.name for group in found.factors[0].groups][:2] == ["F · A", "F · B"]
    assert sum(group.patients for group in found.factors[0].groups) == 120


@pytest.mark.parametrize("text", ["", "sex,,age+", "sex,sex"])
def test_factors_that_name_nothing_or_twice_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_factors(text)


@pytest.mark.parametrize("text", ["age", "age=", "age=60,40", "age=a", "=3", "age=nan"])
def test_bins_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="are no bins"):
        parse_edges([text])


def test_missing_predictions_count_as_failures_unless_omitted() -> None:
    table, _ = cases()
    lost = pl.int_range(pl.len()) < 10
    frame = table.frame.with_columns(
        dsc=pl.when(lost).then(None).otherwise("dsc"),
        state=pl.when(lost).then(pl.lit("missing_prediction")).otherwise("state"),
    )
    worst = outcome_of(Table("structures", frame), "dsc")
    omitted = outcome_of(Table("structures", frame), "dsc", missing="omit")
    assert (worst.missing, worst.frame.height) == (10, 120)
    assert (omitted.missing, omitted.frame.height) == (10, 110)
    assert worst.frame["value"].to_list()[:10] == [0.0] * 10
    distance = frame.rename({"dsc": "hd95_mm"})
    found = outcome_of(Table("structures", distance), "hd95_mm")
    assert (found.better, found.frame.height) == ("lower", 110)
    assert "no worst value" in found.notes[0]


def patients() -> Table:
    positive = np.arange(80) < 40
    score = np.where(positive, np.arange(80) / 40, 0.0)
    score[70:] = 0.9
    return Table(
        "patients",
        pl.DataFrame(
            {
                "case": [f"p{k:03d}" for k in range(80)],
                "structure": "pancreas",
                "positive": positive,
                "score": score,
            }
        ),
    )


def test_rates_of_detection_have_wilsons_and_newcombes_intervals() -> None:
    metadata = pl.DataFrame(
        {"case": [f"p{k:03d}" for k in range(80)], "half": ["a"] * 30 + ["b"] * 50}
    )
    for metric, rate, better in (
        ("sensitivity", 0.5, "higher"), ("specificity", 0.75, "higher"), ("fpr", 0.25, "lower"),
    ):  # fmt: skip
        outcome = outcome_of(patients(), metric, threshold=0.5)
        found = compare_groups(outcome, metadata, question("half"))
        assert found.overall.value == rate
        assert outcome.better == better
    outcome = outcome_of(patients(), "sensitivity", threshold=0.5)
    first, second = compare_groups(outcome, metadata, question("half")).factors[0].groups
    assert first.estimate == wilson(10, 30)
    assert second.estimate == wilson(10, 10)
    expected = difference_unpaired(10, 30, 10, 10)
    assert (first.gap.low, first.gap.high) == pytest.approx((expected.low, expected.high))


def test_rates_without_a_threshold_are_refused() -> None:
    with pytest.raises(ConfigError, match="sensitivity needs a threshold"):
        outcome_of(patients(), "sensitivity")


def test_lesions_below_the_filter_are_left_out() -> None:
    frame = pl.DataFrame(
        {
            "case": ["a", "a", "b"], "patient": ["a", "a", "b"], "structure": "liver",
            "lesion": [1, 2, 1], "detected": [True, False, None], "ignored": [False, True, False],
        }
    )  # fmt: skip
    found = outcome_of(Table("lesions", frame), "lesion_sensitivity")
    assert found.frame["value"].to_list() == [1.0, 0.0]
    assert (found.missing, found.undefined) == (1, 1)


def test_adjustment_takes_a_confounder_away_and_shows_both() -> None:
    rng = np.random.default_rng(3)
    table, metadata = cases(200, gap=0.0)
    size = rng.normal(20, 5, 200) - 8 * (metadata["sex"] == "F").to_numpy()
    frame = table.frame.with_columns(dsc=pl.Series(0.4 + 0.015 * size + rng.normal(0, 0.03, 200)))
    metadata = metadata.with_columns(diameter_mm=pl.Series(size))
    found = compare_groups(
        outcome_of(Table("structures", frame), "dsc"), metadata,
        question("sex", adjust=("diameter_mm",)),
    )  # fmt: skip
    (contrast,) = found.factors[0].adjusted
    assert abs(contrast.unadjusted.value) > 0.08
    assert contrast.adjusted.low <= 0 <= contrast.adjusted.high


def test_a_group_that_is_its_confounder_is_not_adjusted() -> None:
    table, metadata = cases()
    metadata = metadata.with_columns(scanner=pl.col("hospital"))
    found = compare_groups(
        outcome_of(table, "dsc"), metadata, question("hospital", adjust=("scanner",))
    )
    for contrast in found.factors[0].adjusted:
        assert "collinear" in contrast.adjusted.reason
        assert contrast.unadjusted.computed


def test_hospitals_are_compared_with_those_of_the_training() -> None:
    table, metadata = cases(gap=0.0)
    frame = table.frame.with_columns(
        dsc=pl.when(pl.int_range(pl.len()) % 3 == 2).then(pl.col("dsc") - 0.2).otherwise("dsc")
    )
    asked = question("sex", home=("hospital", ("A",)))
    found = compare_groups(outcome_of(Table("structures", frame), "dsc"), metadata, asked)
    together, b, c = found.distributions
    assert (together.name, b.name, c.name) == ("", "B", "C")
    assert c.difference.high < -0.1
    assert b.difference.low < 0 < b.difference.high
    assert found.home is not None
    assert found.home.n == 40
    with pytest.raises(UnknownNameError, match="unknown hospital 'Z'"):
        compare_groups(
            outcome_of(table, "dsc"), metadata, question("sex", home=("hospital", ("Z",)))
        )


def test_a_group_has_the_same_interval_whichever_others_are_asked_for() -> None:
    table, metadata = cases()
    outcome = outcome_of(table, "dsc")
    alone = compare_groups(outcome, metadata, question("hospital")).factors[0]
    beside = compare_groups(
        outcome, metadata.sample(fraction=1, shuffle=True, seed=1), question("sex,hospital")
    ).factors[1]
    assert alone.groups == beside.groups
    assert alone.largest_gap == beside.largest_gap


def test_tables_and_page_are_written_and_the_same_each_time(tmp_path: Path) -> None:
    table, metadata = cases()
    asked = question("sex,age", adjust=("hospital",), home=("hospital", ("A",)))
    found = compare_groups(outcome_of(table, "dsc"), metadata, asked)
    pages = [write_subgroups(found, tmp_path / name).read_bytes() for name in ("one", "two")]
    assert pages[0] == pages[1]
    assert b"Holm" in pages[0]
    written = {path.stem for path in (tmp_path / "one").glob("*.parquet")}
    assert written == {
        "subgroups", "subgroup_tests", "subgroup_pairs", "adjusted", "distributions",
    }  # fmt: skip
    back = read_table(tmp_path / "one" / "subgroups.csv")
    assert back.frame["group"].to_list()[:3] == ["all", "F", "M"]
    assert back.settings["minimum"] == 10


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pl.DataFrame({"dsc": [0.5]}), "has no column case"),
        (pl.DataFrame({"case": ["a", "a"], "dsc": [0.5, 0.6]}), "case 'a' stands in two rows"),
        (pl.DataFrame({"case": ["a"], "dsc": [np.inf]}), "infinite"),
        (pl.DataFrame({"case": ["a"], "nsd": [0.5]}), "unknown metric 'dsc'"),
        (
            pl.DataFrame({"case": ["a", "b"], "structure": ["x", "y"], "dsc": [0.5, 0.5]}),
            "holds 2 structures",
        ),
        (
            pl.DataFrame({"case": ["a", "b"], "algorithm": ["x", "y"], "dsc": [0.5, 0.5]}),
            "2 algorithms",
        ),
    ],
)
def test_tables_that_cannot_be_used_are_refused_in_one_line(
    frame: pl.DataFrame, message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        outcome_of(Table("structures", frame), "dsc")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("more", [{"minimum": 2}, {"level": 0.2}, {"edges": {"age": (3.0,)}}])
def test_questions_that_make_no_sense_are_refused(more: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        question("sex", **more)
