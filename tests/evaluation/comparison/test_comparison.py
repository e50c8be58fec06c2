"""The whole comparison: right answers on data whose answer is known, nothing hidden."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import wilcoxon
from statsmodels.stats.multitest import multipletests

from scalemai.errors import ConfigError
from scalemai.evaluation.comparison.alignment import OVER_CLASSES
from scalemai.evaluation.comparison.comparing import Comparison, compare
from scalemai.evaluation.comparison.files import PAGE, write_comparison
from scalemai.evaluation.comparison.pairs import IDENTICAL
from scalemai.evaluation.comparison.question import Question, parse_question
from scalemai.evaluation.tables import Table, read_table, write_table

QUICK = Question(draws=200)


def publish(
    folder: Path, values: np.ndarray, names: list[str] | None = None, metric: str = "dsc"
) -> Path:
    """Write values (cases, classes) as a benchmark would, in a random order of rows."""
    cases = names or [f"case{n:04d}" for n in range(len(values))]
    columns = {f"organ{c}": column for c, column in enumerate(values.T)}
    frame = pl.DataFrame({"name": cases, **columns})
    order = np.random.default_rng(len(folder.name)).permutation(len(cases))
    folder.mkdir(parents=True, exist_ok=True)
    frame[order].write_csv(folder / f"{metric}.csv")
    return folder


def benchmark(
    root: Path, effects: list[float], n: int = 80, classes: int = 1, seed: int = 0
) -> Path:
    """Algorithms that differ by known effects on cases that share their difficulty."""
    rng = np.random.default_rng(seed)
    hard = rng.beta(6, 3, (n, classes))
    for number, effect in enumerate(effects):
        values = np.clip(hard + effect + rng.normal(0, 0.03, (n, classes)), 0, 1).round(4)
        publish(root / f"algo{number}", values)
    return root


def row(comparison: Comparison, first: str, second: str, name: str = "organ0") -> dict[str, object]:
    pairs = comparison.tables["pairs"].filter(
        (pl.col("first") == first) & (pl.col("second") == second) & (pl.col("class") == name)
    )
    return pairs.row(0, named=True)


# --- answers -------------------------------------------------------------------------------


def test_the_pair_table_says_what_scipy_says_on_cases_paired_by_name(tmp_path: Path) -> None:
    found = compare([benchmark(tmp_path, [0.0, 0.01, 0.05])], QUICK)
    read = {
        name: pl.read_csv(tmp_path / name / "dsc.csv").sort("name")["organ0"].to_numpy()
        for name in ("algo0", "algo1", "algo2")
    }
    raw = []
    for first, second in (("algo0", "algo1"), ("algo0", "algo2"), ("algo1", "algo2")):
        gap = np.round(read[first] - read[second], 12)
        for side, name in (("greater", "p_first_better"), ("less", "p_second_better")):
            p = wilcoxon(gap, zero_method="pratt", alternative=side).pvalue
            assert row(found, first, second)[name] == pytest.approx(p)
            raw.append(p)
        assert row(found, first, second)["difference"] == pytest.approx(gap.mean())
    adjusted = multipletests(raw, method="holm")[1]
    ours = found.tables["pairs"].select("p_first_better_holm", "p_second_better_holm").to_numpy()
    np.testing.assert_allclose(ours.ravel(), adjusted)


def test_the_touchstone_map_follows_their_rule(tmp_path: Path) -> None:
    """Names intersected and empty cells dropped per pair, scipy's defaults, Holm over all."""
    rng = np.random.default_rng(1)
    hard = rng.random((70, 1))
    for number in range(4):
        values = np.clip(hard + 0.01 * number + rng.normal(0, 0.05, (70, 1)), 0, 1).round(3)
        values[rng.random(70) < 0.1] = np.nan
        keep = slice(number, None)  # a list of its own for each algorithm
        publish(tmp_path / f"algo{number}", values[keep], [f"c{n}" for n in range(70)][keep])
    found = compare([tmp_path], QUICK).tables["significance"]
    frames = {
        f"algo{n}": pl.read_csv(tmp_path / f"algo{n}" / "dsc.csv").drop_nans() for n in range(4)
    }
    expected = {}
    for a in frames:
        for b in frames:
            if a != b:
                both = frames[a].join(frames[b], on="name").sort("name").to_numpy()[:, 1:]
                x, y = both.astype(float).T
                expected[a, b] = wilcoxon(x, y, alternative="greater").pvalue
    adjusted = multipletests(list(expected.values()), method="holm")[1]
    assert found.height == 12
    for (a, b), p in zip(expected, adjusted, strict=True):
        one = found.filter((pl.col("better") == a) & (pl.col("worse") == b)).row(0, named=True)
        assert one["touchstone_p"] == pytest.approx(expected[a, b], rel=1e-9)
        assert one["touchstone_p_holm"] == pytest.approx(p, rel=1e-9)
        assert one["touchstone_significant"] == (p < 0.05)


def test_the_better_algorithm_wins_and_the_ranking_says_how_firmly(tmp_path: Path) -> None:
    found = compare([benchmark(tmp_path, [0.0, 0.0, 0.08], n=120)], QUICK)
    first = found.tables["ranking"].row(0, named=True)
    assert (first["algorithm"], first["place"], first["better_than"]) == ("algo2", 1, 2)
    assert (first["tested_place_low"], first["tested_place_high"]) == (1, 1)
    assert first["probability_first"] == 1
    assert row(found, "algo0", "algo2")["verdict"] == "algo2 is better"
    assert row(found, "algo0", "algo1")["verdict"] == "equivalent within the margin"
    overall = found.tables["overall"].row(0, named=True)
    assert overall["friedman_p"] < 1e-6
    shares = found.tables["places"].group_by("algorithm").agg(pl.col("probability").sum())
    np.testing.assert_allclose(shares["probability"], 1)


def test_a_difference_within_the_margin_is_both_better_and_equivalent(tmp_path: Path) -> None:
    found = compare([benchmark(tmp_path, [0.0, 0.01], n=400)], QUICK)
    assert row(found, "algo0", "algo1")["verdict"] == "algo1 is better, but within the margin"
    strict = Question(draws=200, margins={"dsc": 0.001})
    verdict = row(compare([tmp_path], strict), "algo0", "algo1")["verdict"]
    assert verdict == "algo1 is better"


def test_few_cases_are_inconclusive_not_equal(tmp_path: Path) -> None:
    values = np.full((8, 1), 0.6)
    publish(tmp_path / "A", values)
    publish(tmp_path / "B", values + np.array([[-0.05, 0.08] * 4]).T)
    one = row(compare([tmp_path], QUICK), "A", "B")
    assert one["verdict"] == "inconclusive"
    assert one["equivalent"] is None
    assert one["difference_low"] is None
    assert one["difference_reason"].startswith("8 pairs are too few for a difference of means")
    assert one["shift_low"] < 0 < one["shift_high"]


def test_identical_algorithms_are_called_identical_in_place_of_a_p_value(tmp_path: Path) -> None:
    values = np.random.default_rng(2).random((20, 1)).round(3)
    publish(tmp_path / "A", values)
    publish(tmp_path / "copy", values)
    publish(tmp_path / "other", np.clip(values + 0.05, 0, 1))
    found = compare([tmp_path], QUICK)
    same = row(found, "A", "copy")
    assert same["verdict"] == IDENTICAL == same["reason"]
    for name in ("p_two_sided", "p_first_better_holm", "rank_biserial", "shift_low"):
        assert same[name] is None
    # The pair stays in the family: six ordered pairs, not four.
    other = row(found, "A", "other")
    assert other["p_second_better_holm"] == pytest.approx(6 * other["p_second_better"])
    listed = found.tables["significance"].filter(pl.col("reason") == IDENTICAL)
    assert listed.height == 2
    assert listed["touchstone_p"].is_null().all()


def test_an_algorithm_that_fails_everywhere_and_a_perfect_one_are_compared(tmp_path: Path) -> None:
    publish(tmp_path / "fails", np.zeros((12, 1)))
    publish(tmp_path / "perfect", np.ones((12, 1)))
    one = row(compare([tmp_path], QUICK), "fails", "perfect")
    assert (one["difference"], one["rank_biserial"]) == (-1, -1)
    assert one["verdict"] == "perfect is better"


def test_lower_is_better_for_distances(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    far = rng.uniform(5, 30, (40, 1)).round(2)
    publish(tmp_path / "far", far, metric="hd95_mm")
    publish(tmp_path / "near", far - 2, metric="hd95_mm")
    question = Question(("hd95_mm",), margins={"hd95_mm": 1.0}, draws=200)
    found = compare([tmp_path], question)
    one = row(found, "far", "near")
    assert one["difference"] == pytest.approx(2)
    assert one["rank_biserial"] == -1
    assert one["verdict"] == "near is better"
    ranking = found.tables["ranking"].row(0, named=True)
    assert ranking["algorithm"] == "near"
    assert ranking["mean"] == pytest.approx(float(far.mean()) - 2)
    assert ranking["mean_low"] is None
    assert "a mean of a measure without bound (at least 200)" in ranking["reason"]
    assert ranking["median_low"] < ranking["median"] < ranking["median_high"]
    with pytest.raises(ConfigError, match="--margin hd95_mm=1"):
        compare([tmp_path], Question(("hd95_mm",)))


# --- what is missing -----------------------------------------------------------------------


def test_case_lists_that_differ_are_reported_and_the_common_cases_used(tmp_path: Path) -> None:
    values = np.random.default_rng(4).random((30, 1)).round(3)
    names = [f"c{n:02d}" for n in range(30)]
    publish(tmp_path / "A", values, names)
    publish(tmp_path / "B", np.clip(values[5:] + 0.1, 0, 1), names[5:])
    found = compare([tmp_path], QUICK)
    assert row(found, "A", "B")["n"] == 25
    assert "A 30, B 25" in found.notes[0]
    assert "25 common cases, 5 others" in found.notes[0]
    assert found.unpaired["case"].to_list() == names[:5]
    assert set(found.unpaired["missing_in"]) == {"B"}


def test_a_shuffled_file_changes_nothing(tmp_path: Path) -> None:
    benchmark(tmp_path / "one", [0.0, 0.02], n=30)
    for name in ("algo0", "algo1"):
        frame = pl.read_csv(tmp_path / "one" / name / "dsc.csv").sample(fraction=1, shuffle=True)
        (tmp_path / "two" / name).mkdir(parents=True)
        frame.write_csv(tmp_path / "two" / name / "dsc.csv")
    one, two = compare([tmp_path / "one"], QUICK), compare([tmp_path / "two"], QUICK)
    for kind, frame in one.tables.items():
        assert frame.equals(two.tables[kind]), kind


def test_leaving_cells_empty_does_not_pay_unless_asked_for(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    values = rng.uniform(0.3, 0.9, (60, 1)).round(3)
    coward = np.where(values < 0.45, np.nan, values - 0.01)
    publish(tmp_path / "brave", values)
    publish(tmp_path / "coward", coward)
    worst = compare([tmp_path], QUICK)
    assert worst.tables["ranking"]["algorithm"][0] == "brave"
    lost = int(np.isnan(coward).sum())
    assert f"values are missing (coward {lost}); counts as 0" in " ".join(worst.notes)
    assert worst.tables["coverage"]["missing"].to_list() == [0, lost]
    omitted = compare([tmp_path], Question(missing="omit", draws=200))
    assert row(omitted, "brave", "coward")["n"] == 60 - lost
    assert "pairs with a missing value are left out" in " ".join(omitted.notes)


def test_cases_that_nobody_can_have_are_left_out_and_counted(tmp_path: Path) -> None:
    values = np.random.default_rng(6).random((20, 1)).round(3)
    values[:4] = np.nan
    publish(tmp_path / "A", values)
    publish(tmp_path / "B", np.clip(values + 0.1, 0, 1))
    found = compare([tmp_path], QUICK)
    assert row(found, "A", "B")["n"] == 16
    assert found.tables["coverage"]["undefined"].to_list() == [4, 4]


def test_pairs_without_a_common_value_say_why_there_is_no_test(tmp_path: Path) -> None:
    nothing = np.nan
    publish(tmp_path / "A", np.array([[0.5], [nothing]]))
    publish(tmp_path / "B", np.array([[nothing], [0.5]]))
    found = compare([tmp_path], Question(missing="omit", draws=200))
    one = row(found, "A", "B")
    assert one["verdict"] == "not computed because no case has a value for both"
    assert found.tables["ranking"]["place"].is_null().all()
    assert found.tables["overall"]["reason"][0] == "no case has a value for every algorithm"


# --- classes, patients, metrics ------------------------------------------------------------


def test_over_classes_each_case_counts_once(tmp_path: Path) -> None:
    """Cases times organs are not independent: pooling them would invent evidence."""
    rng = np.random.default_rng(7)
    shared = rng.normal(0.01, 0.06, (25, 1))  # an algorithm errs alike on all organs of a case
    base = rng.uniform(0.5, 0.8, (25, 1))
    publish(tmp_path / "A", np.repeat(base, 9, axis=1).round(4))
    publish(tmp_path / "B", np.repeat(base + shared, 9, axis=1).round(4))
    found = compare([tmp_path], QUICK)
    whole = row(found, "A", "B", OVER_CLASSES)
    assert whole["n"] == 25
    assert whole["p_two_sided"] == pytest.approx(row(found, "A", "B")["p_two_sided"])
    assert found.tables["overall"].height == 10


def own(folder: Path, name: str, dsc: np.ndarray, scans: int) -> Path:
    """A table of ours with several scans per patient."""
    cases = [f"p{n // scans}-{n % scans}" for n in range(len(dsc))]
    frame = pl.DataFrame(
        {
            "case": cases,
            "patient": [case.split("-")[0] for case in cases],
            "structure": "liver",
            "state": "both",
            "dsc": dsc,
        }
    )
    return write_table(Table("structures", frame), folder / name)


def test_scans_of_one_patient_are_one_observation(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    base, change = rng.uniform(0.5, 0.8, 15), rng.normal(0.02, 0.05, 15)
    for scans in (1, 10):
        own(tmp_path / str(scans), "A", np.repeat(base, scans), scans)
        own(tmp_path / str(scans), "B", np.repeat(base + change, scans), scans)
    once, often = (row(compare([tmp_path / s], QUICK), "A", "B", "liver") for s in ("1", "10"))
    assert (once["n"], often["n"], often["n_cases"]) == (15, 15, 150)
    assert often["p_two_sided"] == pytest.approx(once["p_two_sided"])


def test_two_metrics_are_asked_whether_they_rank_alike(tmp_path: Path) -> None:
    benchmark(tmp_path, [0.0, 0.03, 0.06], n=60)
    for n in range(3):
        frame = pl.read_csv(tmp_path / f"algo{n}" / "dsc.csv")
        frame.with_columns(organ0=1 - pl.col("organ0")).write_csv(tmp_path / f"algo{n}" / "nsd.csv")
    found = compare([tmp_path], Question(("dsc", "nsd"), draws=200))
    tau = found.tables["agreement"].row(0, named=True)
    assert (tau["metric"], tau["other"], tau["tau"]) == ("dsc", "nsd", -1)
    assert found.tables["pairs"]["metric"].unique(maintain_order=True).to_list() == ["dsc", "nsd"]


def test_definitions_that_differ_are_not_compared(tmp_path: Path) -> None:
    from scalemai.evaluation.definitions import Definition

    frame = pl.DataFrame({"case": ["a"], "structure": ["liver"], "state": ["both"], "dsc": [0.5]})
    for name in ("dsc/1", "dsc/2"):
        one = Definition(name, "dsc", "Dice", "", "higher", "Overlap.", "Dice 1945")
        write_table(Table("structures", frame, (one,)), tmp_path / name.replace("/", "-"))
    with pytest.raises(ConfigError, match="dsc-1 has dsc/1 and dsc-2 has dsc/2"):
        compare([tmp_path], QUICK)


def test_settings_of_our_evaluations_that_differ_are_said(tmp_path: Path) -> None:
    frame = pl.DataFrame({"case": ["a"], "structure": ["liver"], "state": ["both"], "dsc": [0.5]})
    for name, missing in (("A", "fail"), ("B", "omit")):
        table = Table("structures", frame, settings={"missing": missing, "seed": 0})
        write_table(table, tmp_path / name)
    notes = compare([tmp_path], QUICK).notes
    assert "the algorithms were evaluated with different settings: missing" in notes


# --- files ---------------------------------------------------------------------------------


def test_tables_carry_definitions_settings_and_the_cases_they_rest_on(tmp_path: Path) -> None:
    found = compare([benchmark(tmp_path / "in", [0.0, 0.02, 0.05], n=25, classes=2)], QUICK)
    page = write_comparison(found, tmp_path / "out")
    assert page == tmp_path / "out" / PAGE
    for kind in ("pairs", "significance", "ranking", "places", "overall", "coverage", "unpaired"):
        table = read_table(tmp_path / "out" / f"{kind}.parquet")
        assert table.kind == kind
        assert len(table.cases) == 25
        assert table.settings["seed"] == 0
        assert table.settings["margins"] == {"dsc": 0.02}
        columns = set(table.frame.columns)
        assert {one.column for one in table.definitions} <= columns
    html = page.read_text(encoding="utf-8")
    for words in ("algo2", "Touchstone", "Holm", "simultaneous range", OVER_CLASSES):
        assert words in html


def test_the_same_question_gives_the_same_bytes(tmp_path: Path) -> None:
    benchmark(tmp_path / "in", [0.0, 0.02, 0.03], n=25, classes=2)
    for name in ("one", "two"):
        write_comparison(compare([tmp_path / "in"], QUICK), tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(files) > 20
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_names_of_algorithms_cannot_inject_anything_into_the_page(tmp_path: Path) -> None:
    values = np.random.default_rng(9).random((12, 1)).round(3)
    publish(tmp_path / "in" / "<script>alert(1)<", values)
    publish(tmp_path / "in" / "$x_1$ & more", 1 - values)
    page = write_comparison(compare([tmp_path / "in"], QUICK), tmp_path / "out")
    assert "<script>alert" not in page.read_text(encoding="utf-8")


def test_a_question_that_makes_no_sense_is_refused() -> None:
    for words, message in (
        ({"metrics": " , "}, "names no metrics"),
        ({"metrics": "dsc,dsc"}, "names no metrics"),
        ({"classes": ","}, "no class is named"),
        ({"margin": "much"}, "is no margin"),
        ({"margin": "-1"}, "is no margin"),
        ({"margin": "iou=0.1"}, "which is not compared"),
        ({"missing": "ignore"}, "is not known"),
        ({"better": "bigger"}, "is not known"),
        ({"level": 0.7}, "is no level"),
        ({"draws": 10}, "too few"),
    ):
        with pytest.raises(ConfigError, match=message):
            parse_question(**{"metrics": "dsc"} | words)  # type: ignore[arg-type]
    assert parse_question("dsc,hd95_mm", margin="dsc=0.01,hd95_mm=1").margins == {
        "dsc": 0.01,
        "hd95_mm": 1.0,
    }


def test_nineteen_algorithms_on_five_thousand_cases_take_seconds(tmp_path: Path) -> None:
    benchmark(tmp_path / "in", [0.002 * n for n in range(19)], n=5000)
    start = time.process_time()
    found = compare([tmp_path / "in"], Question())
    write_comparison(found, tmp_path / "out")
    assert time.process_time() - start < 60
    assert found.tables["significance"].height == 342
