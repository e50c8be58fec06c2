from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import fisher_exact

from scalemai.errors import ConfigError, UnknownNameError, UnreadableFileError
from scalemai.evaluation.errors.analysis import Errors, Options, analyse_errors
from scalemai.evaluation.errors.cells import count_cells
from scalemai.evaluation.errors.factors import with_factors
from scalemai.evaluation.errors.files import write_errors
from scalemai.evaluation.errors.results import prepare_results, read_results
from scalemai.evaluation.tables import Table, read_table, write_table
from scalemai.statistics.proportions import wilson
from scalemai.synthesis.populations.population import read_population

from .planted import planted_candidates, planted_lesions, table


def analysed(lesions: pl.DataFrame, candidates: pl.DataFrame | None = None) -> Errors:
    wrong = None if candidates is None else table("candidates", candidates)
    return analyse_errors(prepare_results(table("lesions", lesions), wrong))


@pytest.mark.parametrize("seed", range(5))
def test_the_planted_weakness_is_found_first(seed: int) -> None:
    found = analysed(planted_lesions(seed=seed))
    first = found.misses.cells[0]
    assert first.where == (("size", "<= 20 mm"), ("site", "tail"))
    assert first.rate.value == pytest.approx(0.9, abs=0.12)
    assert first.p_holm is not None
    assert first.p_holm < 1e-6
    assert found.weaknesses[0].cell is first


def test_what_the_weakness_explains_is_not_another_one() -> None:
    """All of the tail, and all small tumors, are missed more often only because of it."""
    found = analysed(planted_lesions(3000))
    tail = next(c for c in found.misses.cells if c.where == (("site", "tail"),))
    assert tail.p_holm is not None
    assert tail.p_holm < 1e-6
    assert [str(one.cell) for one in found.weaknesses] == ["size <= 20 mm, site tail"]


def test_a_detector_without_a_weakness_is_said_to_have_none() -> None:
    alarms = 0
    for seed in range(25):
        lesions = planted_lesions(300, seed=seed)
        rng = np.random.default_rng([9, seed])
        alarms += bool(
            analysed(lesions.with_columns(detected=pl.Series(rng.random(300) > 0.2))).weaknesses
        )
    assert alarms <= 3


def test_rates_excess_and_tests_are_those_of_the_counts() -> None:
    lesions = planted_lesions(400)
    found = analysed(lesions)
    missed = ~lesions["detected"]
    for cell in found.misses.tested:
        if len(cell.where) > 1 or cell.where[0][0] != "scanner":
            continue
        inside = lesions["scanner"] == cell.where[0][1]
        k, n, total = int((missed & inside).sum()), int(inside.sum()), int(missed.sum())
        assert (cell.errors, cell.n) == (k, n)
        assert cell.rate == wilson(k, n)
        assert cell.excess == pytest.approx(k - n * total / 400)
        counts = [[k, n - k], [total - k, 400 - n - total + k]]
        assert cell.p == pytest.approx(fisher_exact(counts, alternative="greater").pvalue)


def test_lesions_of_one_patient_widen_the_interval() -> None:
    """Four lesions of a patient that share their fate say as much as one."""
    base = planted_lesions(100, seed=3)
    shared = pl.concat([base.with_columns(lesion=pl.lit(i)) for i in range(4)])
    cell = next(c for c in analysed(shared).misses.cells if str(c) == "site head")
    naive = wilson(cell.errors, cell.n)
    assert cell.rate.low is not None
    assert cell.rate.high is not None
    assert naive.low is not None
    assert naive.high is not None
    assert cell.rate.high - cell.rate.low > 1.5 * (naive.high - naive.low)
    assert cell.rate.n == cell.patients


def test_cells_below_the_minimum_have_no_rate() -> None:
    found = analysed(planted_lesions(60))
    few = [cell for cell in found.misses.cells if cell.n < 10]
    assert few
    assert all(len(cell.where) == 1 and not cell.rate.computed for cell in few)
    assert all("fewer than 10" in cell.rate.reason for cell in few)


def test_combinations_that_hold_the_same_lesions_stand_once() -> None:
    lesions = planted_lesions(200).with_columns(scanner=pl.col("site"))  # one scanner per site
    found = analysed(lesions)
    groups = [cell.inside.tobytes() for cell in found.misses.cells if len(cell.where) > 1]
    assert len(groups) == len(set(groups))


def test_false_positives_are_ranked_alike() -> None:
    found = analysed(planted_lesions(), planted_candidates())
    assert found.false_positives is not None
    assert str(found.false_positives.cells[0]) == "neighbour duodenum"
    assert [str(one.cell) for one in found.false_weaknesses] == ["neighbour duodenum"]


def test_duplicates_and_ignored_candidates_are_neither_right_nor_wrong() -> None:
    candidates = planted_candidates(50)
    more = candidates.with_columns(verdict=pl.lit("duplicate"))
    found = analysed(planted_lesions(50), pl.concat([candidates, more]))
    assert found.false_positives is not None
    assert found.false_positives.errors.size == 50


def test_unknown_factors_are_reported() -> None:
    found = analysed(planted_lesions().drop("phase"))
    assert "phase of lesions is not assessed: no table says it" in found.notes
    assert not any("phase" in cell.where[0] for cell in found.misses.cells)


def test_contrast_is_a_factor_in_classes() -> None:
    rng = np.random.default_rng(0)
    hu = rng.uniform(-80, 80, 600)
    lesions = planted_lesions().with_columns(
        contrast_hu=pl.Series(hu), detected=pl.Series((abs(hu) > 15) | (rng.random(600) < 0.1))
    )
    assert str(analysed(lesions).misses.cells[0]) == "contrast within 15 HU of the organ"


def test_metadata_of_patients_are_joined() -> None:
    lesions = planted_lesions(200, per_patient=2)
    sexes = pl.DataFrame({"patient": lesions["patient"].unique().sort()}).with_columns(
        sex=pl.lit("F"), scanner=pl.lit("Z")
    )
    sexes = sexes.with_columns(sex=pl.Series(["F", "M"] * 50)).head(99)
    results = prepare_results(table("lesions", lesions), metadata=sexes)
    assert results.lesions["sex"].null_count() == 2
    assert "metadata columns scanner are those of the tables already" in results.notes
    assert "metadata know nothing of the patient of 2 lesions" in results.notes
    found = analyse_errors(results, Options(further=("sex",)))
    assert any(cell.where == (("sex", "M"),) for cell in found.misses.cells)


def test_a_threshold_turns_weak_finds_into_misses() -> None:
    lesions, candidates = planted_lesions(200), planted_candidates(200)
    tables = table("lesions", lesions), table("candidates", candidates)
    results = prepare_results(*tables, threshold=0.5)
    expected = (lesions["score"].fill_null(0.0) < 0.5).sum()
    assert results.lesions["missed"].sum() == expected
    assert results.candidates is not None
    assert results.candidates.height == (candidates["score"] >= 0.5).sum()


def test_lesions_below_the_filter_do_not_count() -> None:
    lesions = planted_lesions(100).with_columns(ignored=pl.Series([True] * 10 + [False] * 90))
    results = prepare_results(table("lesions", lesions))
    assert results.lesions.height == 90
    assert any(note.startswith("10 lesions below the size filter") for note in results.notes)


@pytest.mark.parametrize(
    ("change", "how", "message"),
    [
        (lambda f: f.drop("detected"), {}, "no column detected"),
        (lambda f: f.with_columns(ignored=True), {}, "holds no lesion that counts"),
        (lambda f: f.with_columns(score=None), {"threshold": 0.5}, "without a score"),
        (lambda f: f.with_columns(algorithm=pl.Series(["a", "b"] * 50)), {}, "2 algorithms (a, b)"),
        (lambda f: f.with_columns(algorithm=pl.lit("a")), {"algorithm": "c"}, "no algorithm 'c'"),
        (lambda f: f, {"metadata": pl.DataFrame({"age": [1]})}, "no column case or patient"),
        (lambda f: f, {"metadata": pl.DataFrame({"case": ["x", "x"]})}, "case x stands twice"),
    ],
    ids=["column", "ignored", "score", "algorithms", "algorithm", "key", "twice"],
)
def test_wrong_tables_are_refused_in_one_line(change, how, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError) as raised:
        prepare_results(table("lesions", change(planted_lesions(100))), **how)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_column_that_tells_single_lesions_apart_is_no_factor() -> None:
    results = prepare_results(table("lesions", planted_lesions(100)))
    for name, error in (
        ("case", ConfigError),
        ("diameter_mm", ConfigError),
        ("x", UnknownNameError),
    ):
        with pytest.raises(error):
            with_factors(results.lesions, further=(name,))


@pytest.mark.parametrize("how", [{"together": 0}, {"fewest": 0}], ids=str)
def test_impossible_cells_are_refused(how: dict[str, int]) -> None:
    factors = with_factors(prepare_results(table("lesions", planted_lesions(50))).lesions)
    with pytest.raises(ConfigError):
        count_cells(factors, "missed", **how)


def test_files_are_the_same_each_time_and_read_back(tmp_path: Path) -> None:
    source = tmp_path / "results"
    write_table(table("lesions", planted_lesions(200, per_patient=2)), source)
    write_table(table("candidates", planted_candidates(200)), source)
    outs = [tmp_path / name for name in ("a", "b")]
    for out in outs:
        write_errors(analyse_errors(read_results(source)), out)
    names = sorted(file.name for file in outs[0].iterdir())
    assert {"errors.html", "population.yaml", "misses.csv", "wanted.parquet"} <= set(names)
    for name in names:
        assert (outs[0] / name).read_bytes() == (outs[1] / name).read_bytes(), name
    misses = read_table(outs[0] / "misses.parquet")
    assert misses.frame["rank"].to_list() == list(range(1, misses.frame.height + 1))
    assert misses.definition("excess") is not None
    assert len(misses.cases) == len(json.loads((outs[0] / "misses.json").read_text())["cases"])
    assert read_population(outs[0] / "population.yaml").organs == ("pancreas",)


def test_without_misses_no_population_is_left_from_before(tmp_path: Path) -> None:
    write_errors(analysed(planted_lesions(100)), tmp_path)
    assert (tmp_path / "population.yaml").is_file()
    perfect = analysed(planted_lesions(100).with_columns(detected=True))
    write_errors(perfect, tmp_path)
    assert not (tmp_path / "population.yaml").exists()
    assert any("no lesion was missed" in note for note in perfect.notes)


def test_a_folder_without_lesions_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="lesions"):
        read_results(tmp_path)


def test_foreign_tables_are_traced_by_the_rows_of_each_case(tmp_path: Path) -> None:
    lesions, candidates = planted_lesions(100), Table("candidates", planted_candidates(100))
    read = prepare_results(Table("lesions", lesions), candidates)
    page = write_errors(analyse_errors(read), tmp_path)
    cases = read_table(tmp_path / "misses.parquet").cases
    assert set(cases) == set(lesions["case"]) | set(candidates.frame["case"])
    assert "e3b0c442" not in page.read_text(encoding="utf-8")
    first = lesions["case"][0]
    other = lesions.with_columns(
        diameter_mm=pl.when(pl.col("case") == first).then(99.0).otherwise("diameter_mm")
    )
    write_errors(analyse_errors(prepare_results(Table("lesions", other), candidates)), tmp_path)
    again = read_table(tmp_path / "misses.parquet").cases
    assert [case for case in cases if cases[case] != again[case]] == [first]
