from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from scalemai.errors import ConfigError
from scalemai.evaluation.errors.results import prepare_results
from scalemai.evaluation.errors.wanted import Wanted, wanted_population
from scalemai.synthesis.populations.population import TumorPopulation

from .planted import planted_lesions, table


def wanted(lesions: pl.DataFrame, **how: float) -> Wanted:
    return wanted_population(prepare_results(table("lesions", lesions)).lesions, **how)


def share_of_small_tail(population: TumorPopulation, draws: int = 1500) -> float:
    specs = [population.sample("case", number, 0) for number in range(draws)]
    return float(np.mean([s.site == "tail" and s.diameter_mm[1] <= 20 for s in specs]))


def test_the_population_asks_for_what_is_missed() -> None:
    lesions = planted_lesions(1000)
    small_tail = (pl.col("site") == "tail") & (pl.col("diameter_mm") <= 20)
    there = lesions.select(small_tail.mean()).item()
    of_misses = lesions.filter(~pl.col("detected")).select(small_tail.mean()).item()
    asked = share_of_small_tail(wanted(lesions).population)
    assert there < 0.1
    assert asked > 3 * there
    # A fifth follows the lesions there are, and little is lost to smoothing.
    assert asked == pytest.approx(0.8 * of_misses + 0.2 * there, abs=0.08)


def test_with_a_floor_of_one_it_is_the_population_there_is() -> None:
    lesions = planted_lesions(1000)
    all_of_them = wanted(lesions, floor=1.0)
    assert all_of_them.rows["weight"].to_list() == pytest.approx(
        all_of_them.rows["prevalence"].to_list()
    )


def test_no_kind_and_site_falls_below_its_floor() -> None:
    lesions = planted_lesions(1000).with_columns(
        detected=pl.when(pl.col("site") == "head").then(True).otherwise(pl.col("detected"))
    )
    rows = wanted(lesions, floor=0.2).rows
    assert (rows["weight"] >= 0.2 * rows["prevalence"] - 1e-12).all()
    assert rows["weight"].sum() == pytest.approx(1.0)
    assert (rows.filter(site="head")["smoothed"] > 0).all()


def test_few_lesions_are_drawn_toward_their_organ() -> None:
    few = planted_lesions(300).filter(
        (pl.col("site") != "body") | (pl.col("lesion").cum_count().over("site") <= 2)
    )
    few = few.with_columns(
        detected=pl.when(pl.col("site") == "body").then(False).otherwise(pl.col("detected"))
    )
    rows = wanted(few).rows.filter(site="body")
    assert (rows["rate"] == 1.0).all()
    assert (rows["smoothed"] < 0.5).all()


def test_it_survives_yaml() -> None:
    rng = np.random.default_rng(0)
    lesions = planted_lesions(600).with_columns(contrast_hu=pl.Series(rng.normal(-30, 12, 600)))
    found = wanted(lesions)
    assert any(group.contrast_hu is not None for group in found.population.groups)
    text = found.population.to_yaml(about=found.notes)
    again = TumorPopulation.from_yaml(text)
    assert again == found.population
    assert again.to_yaml(about=found.notes).splitlines()[-1].split("#")[0].strip()


def test_sizes_stay_within_those_of_the_organ() -> None:
    lesions = planted_lesions(300)
    low, high = lesions["diameter_mm"].min(), lesions["diameter_mm"].max()
    for group in wanted(lesions).population.groups:
        assert group.size_mm.low == pytest.approx(low, abs=1e-3)  # type: ignore[arg-type]  # numbers
        assert group.size_mm.high == pytest.approx(high, abs=1e-3)  # type: ignore[arg-type]  # numbers


@pytest.mark.parametrize("size", [2.0, 12.0, 150.0])
def test_lesions_of_a_single_size_are_asked_for_at_that_size(size: float) -> None:
    lesions = planted_lesions(50).with_columns(diameter_mm=pl.lit(size))
    spec = wanted(lesions).population.sample("case", 0, 0)
    assert spec.diameter_mm == pytest.approx((size, size), abs=0.01)


def test_names_that_the_anatomy_lacks_are_reported_and_left_open() -> None:
    lesions = planted_lesions(300).with_columns(
        site=pl.col("site").replace("body", "somewhere"), kind=pl.col("kind").replace("cyst", "??")
    )
    found = wanted(lesions)
    assert {group.site for group in found.population.groups} == {"head", "tail", None}
    assert {group.kind for group in found.population.groups} == {"pdac", None}
    assert any("has no site 'somewhere'" in note for note in found.notes)
    assert any("has no kind '??'" in note for note in found.notes)


def test_columns_that_are_not_there_are_left_to_the_organ_and_said() -> None:
    found = wanted(planted_lesions(300).drop("kind", "site"))
    (group,) = found.population.groups
    assert (group.kind, group.site, group.contrast_hu) == (None, None, None)
    assert sum("of no lesion is known" in note for note in found.notes) == 3


def test_the_organ_comes_from_the_structure_where_it_must() -> None:
    found = wanted(planted_lesions(100).drop("organ"))
    assert found.population.organs == ("pancreas",)


def test_lesions_of_an_organ_without_facts_are_left_out_and_counted() -> None:
    lesions = planted_lesions(100)
    odd = lesions.head(7).with_columns(organ=pl.lit("appendix"), structure=pl.lit("appendix"))
    found = wanted(pl.concat([lesions, odd]))
    assert found.rows["n"].sum() == 100
    assert any("'appendix' has no facts" in note and "(7 lesions)" in note for note in found.notes)
    with pytest.raises(ConfigError, match="no lesion lies in an organ with facts"):
        wanted(odd.with_columns(detected=False))


def test_sizes_that_cannot_be_grown_are_left_out_and_counted() -> None:
    lesions = planted_lesions(100).with_columns(
        diameter_mm=pl.Series([1.0, 400.0, None, *planted_lesions(97)["diameter_mm"]])
    )
    found = wanted(lesions)
    assert found.rows["n"].sum() == 97
    assert any(note.startswith("3 lesions have no diameter") for note in found.notes)


def test_lesions_per_case_are_those_of_the_cases() -> None:
    found = wanted(planted_lesions(200, per_patient=2))
    assert found.population.count == ((2, 100.0),)


def test_nothing_missed_asks_for_nothing() -> None:
    with pytest.raises(ConfigError, match="no lesion was missed"):
        wanted(planted_lesions(50).with_columns(detected=True))


@pytest.mark.parametrize("how", [{"floor": 1.5}, {"floor": -0.1}, {"smoothing": 0.0}], ids=str)
def test_impossible_numbers_are_refused(how: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        wanted(planted_lesions(50), **how)
