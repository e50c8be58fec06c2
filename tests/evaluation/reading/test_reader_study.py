"""Reader studies: what is refused, what is said, and what the numbers are."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom

from scalemai.errors import ConfigError
from scalemai.evaluation.reading import Plan, analyse, parse_reads, plan_study
from scalemai.evaluation.reading.equivalence import tost_balanced_accuracy
from scalemai.evaluation.reading.files import write_study
from scalemai.evaluation.tables import read_table


def reads(
    said: dict[str, tuple[int, int]], real: int = 60, synthetic: int = 60, **more: Any
) -> pl.DataFrame:
    """Each reader's number of real cases called real and of synthetic cases called real."""
    rows = []
    for reader, (hits, alarms) in said.items():
        for k in range(real + synthetic):
            is_real = k < real
            yes = k < hits if is_real else k - real < alarms
            rows.append(
                {
                    "reader": reader, "case": f"{k:03d}",
                    "truth": "real" if is_real else "synthetic",
                    "answer": "real" if yes else "synthetic", **more,
                }
            )  # fmt: skip
    return pl.DataFrame(rows)


def test_figures_are_those_of_the_counts() -> None:
    study = analyse(parse_reads(reads({"A": (57, 33)})))
    figures = study.readers[0].figures
    assert figures["sensitivity"].value == pytest.approx(0.95)
    assert figures["specificity"].value == pytest.approx(0.45)
    assert figures["balanced_accuracy"].value == pytest.approx(0.70)
    assert figures["d_prime"].value == pytest.approx(1.5, abs=0.1)
    assert figures["criterion"].value < -0.8
    assert study.readers[0].equivalence.conclusion == "different"
    # 47 of 120 is 39.2 %, with the exact interval.
    share = analyse(parse_reads(reads({"A": (90, 73)}, 120, 120))).readers[0].figures["specificity"]
    assert (share.value, share.method) == (pytest.approx(47 / 120), "clopper-pearson")


def test_auc_orders_cases_by_answer_and_confidence() -> None:
    frame = reads({"A": (2, 2)}, 3, 3).with_columns(confidence=pl.Series([5, 1, 1, 4, 2, 3]))
    # Real cases: 5, 1, -1; synthetic ones: 4, 2, -3.
    study = analyse(parse_reads(frame))
    assert study.readers[0].figures["auc"].value == pytest.approx((3 + 1 + 1) / 9)
    assert study.fixed["auc"].value == pytest.approx(5 / 9)
    none = analyse(parse_reads(reads({"A": (2, 2)}, 3, 3)))
    assert "no confidence" in none.readers[0].figures["auc"].reason


def test_a_reader_who_always_answers_the_same_is_named_and_does_not_crash() -> None:
    found = parse_reads(reads({"A": (60, 60), "B": (40, 30)}))
    study = analyse(found)
    assert study.readers[0].constant
    assert any("A answered 'real' throughout" in note for note in found.notes)
    assert study.readers[0].figures["d_prime"].low == -math.inf
    assert study.readers[0].figures["balanced_accuracy"].value == 0.5


def test_one_answer_throughout_is_no_equivalence(tmp_path: Path) -> None:
    study = analyse(parse_reads(reads({"A": (60, 60), "B": (31, 30)})))
    assert [one.conclusion for one in study.readers] == [
        "not interpretable: one answer throughout", "equivalent",
    ]  # fmt: skip
    assert study.passing["fixed"].passed
    page = write_study(study, tmp_path).read_text(encoding="utf-8")
    frame = read_table(tmp_path / "equivalence.parquet").frame
    assert frame["equivalent"].to_list() == [None, True]
    assert frame["conclusion"][0] == "not interpretable: one answer throughout"
    assert "not interpretable: one answer throughout" in page
    habits = analyse(parse_reads(reads({"A": (60, 60), "B": (0, 0)})))
    assert not any(one.passed for one in habits.passing.values())
    page = write_study(habits, tmp_path).read_text(encoding="utf-8")
    assert "one answer throughout, of every reader" in page
    assert "is shown to be within" not in page


def test_unbalanced_truth_is_said_and_tested_on_balanced_accuracy() -> None:
    found = parse_reads(reads({"A": (130, 26)}, 150, 60))
    assert any("150 of 210 cases are real" in note for note in found.notes)
    test = analyse(found).readers[0].equivalence
    assert test.difference.value == pytest.approx((130 / 150 - 26 / 60) / 2)
    assert test.difference.method == "miettinen-nurminen"


def test_missing_reads_are_left_out_and_counted() -> None:
    frame = reads({"A": (30, 30), "B": (40, 30)})
    gone = (pl.col("reader") == "B") & (pl.col("case") < "010")
    frame = frame.with_columns(answer=pl.when(gone).then(None).otherwise("answer"))
    frame = frame.filter(~((pl.col("reader") == "A") & (pl.col("case") == "000")))
    found = parse_reads(frame)
    assert found.missing == {"A": 1, "B": 10}
    study = analyse(found)
    assert study.readers[1].figures["sensitivity"].value == pytest.approx(30 / 50)
    assert study.readers[1].missing == 10
    assert study.fleiss.n == 110  # cases that both read


def test_repeats_measure_a_reader_against_himself_only() -> None:
    first = reads({"A": (30, 30)}).with_columns(repeat=pl.lit(0))
    again = first.filter(pl.col("case").cast(pl.Int64) % 2 == 0).with_columns(repeat=pl.lit(1))
    both = analyse(parse_reads(pl.concat([first, again])))
    once = analyse(parse_reads(first))
    assert both.readers[0].repeat_kappa.value == 1.0
    assert both.readers[0].repeat_kappa.n == 60
    assert both.readers[0].figures == once.readers[0].figures
    assert "no case was read again" in once.readers[0].repeat_kappa.reason


def test_times_are_geometric_means() -> None:
    frame = reads({"A": (1, 1)}, 2, 2).with_columns(seconds=pl.Series([10.0, 40.0, 20.0, 20.0]))
    found = analyse(parse_reads(frame)).readers[0].seconds
    assert found.value == pytest.approx(20.0)
    assert found.low < 20 < found.high


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": pl.lit("fake")}, "answer is 'fake'; write real or synthetic"),
        ({"truth": pl.lit("real")}, "all cases are real"),
        ({"case": pl.lit("007")}, "is real in one row and synthetic in another"),
        ({"confidence": pl.lit(6)}, "confidence is 6; give 1 to 5"),
        ({"confidence": pl.lit("high")}, "confidence is 'high'; give a number"),
        ({"seconds": pl.lit(-1.0)}, "a read of -1 s"),
        ({"repeat": pl.lit(0.5)}, "repeat is 0.5"),
        ({"reader": pl.lit("")}, "row 1: has no reader"),
    ],
)
def test_impossible_tables_are_refused_in_one_line(
    change: dict[str, pl.Expr], message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        parse_reads(reads({"A": (2, 2)}, 3, 3).with_columns(**change))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_read_that_stands_twice_is_refused() -> None:
    frame = reads({"A": (2, 2)}, 3, 3)
    with pytest.raises(ConfigError, match="reads case '000' twice"):
        parse_reads(pl.concat([frame, frame]))


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ConfigError, match="has no column 'truth'; it needs reader, case"):
        parse_reads(reads({"A": (2, 2)}).drop("truth"))


@pytest.mark.parametrize(("n", "power"), [(100, 0.24), (200, 0.77), (240, 0.82), (400, 0.98)])
def test_planned_power_of_one_reader_is_the_exact_one(n: int, power: float) -> None:
    (found,) = plan_study([1], [n], Plan(studies=4000, seed=3))
    assert found.one_reader == pytest.approx(power, abs=4 * found.error + 0.005)
    assert found.random is None


def test_fifty_cases_cannot_pass() -> None:
    assert plan_study([1], [50], Plan(studies=200))[0].one_reader == 0


def test_a_plan_is_the_same_each_time_whatever_else_is_asked() -> None:
    alone = plan_study([2], [60], Plan(studies=200, seed=1))
    assert plan_study([1, 2], [40, 60], Plan(studies=200, seed=1))[-1:] == alone


def test_able_readers_hardly_pass() -> None:
    (found,) = plan_study([3], [240], Plan(d_prime=1.5, criterion=-0.86, studies=300))
    assert max(found.one_reader, found.fixed, found.random or 0) < 0.01


@pytest.mark.parametrize(("real", "synthetic"), [(100, 100), (140, 70)])
def test_equivalence_at_the_margin_is_claimed_at_most_at_its_level(
    real: int, synthetic: int
) -> None:
    # Sensitivity 0.8 and specificity 0.4: balanced accuracy 0.6, on the margin.
    a, b = (
        binom.pmf(np.arange(real + 1), real, 0.8),
        binom.pmf(np.arange(synthetic + 1), synthetic, 0.4),
    )
    claimed = sum(
        a[i] * b[j]
        for i in np.flatnonzero(a > 1e-3)
        for j in np.flatnonzero(b > 1e-3)
        if tost_balanced_accuracy(int(i), real, int(j), synthetic).equivalent
    )
    assert claimed <= 0.055


def test_tables_and_page_are_written_and_the_same_each_time(tmp_path: Path) -> None:
    frame = reads({"A <b>": (40, 30), "B": (35, 30), "C": (60, 60)}, confidence=3, seconds=20.0)
    study = analyse(parse_reads(frame))
    pages = [write_study(study, tmp_path / name).read_bytes() for name in ("one", "two")]
    assert pages[0] == pages[1]
    assert b"A &lt;b&gt;" in pages[0]
    table = read_table(tmp_path / "one" / "readers.parquet")
    assert dict(table.cases) == dict(study.reads.hashes)
    assert set(table.cases) == set(study.reads.cases)
    assert {one.id for one in table.definitions} >= {"d-prime/1", "reader-sensitivity/1"}
    again = parse_reads(frame.sample(fraction=1, shuffle=True, seed=1))
    assert again.hashes == study.reads.hashes
