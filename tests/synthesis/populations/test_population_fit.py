"""Populations fitted to tables of real lesions, and what compensates the bias of a table."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from scalemai.errors import ConfigError, UnreadableFileError
from scalemai.synthesis.populations.balance import Balance, compensate, read_target
from scalemai.synthesis.populations.distributions import Uniform
from scalemai.synthesis.populations.fit import even, fit_population
from scalemai.synthesis.populations.group import Group
from scalemai.synthesis.populations.population import TumorPopulation
from scalemai.synthesis.populations.table import LesionTable, lesion_table

from .lesion_tables import SITES, pancreatic


@pytest.fixture(scope="module")
def real() -> LesionTable:
    return lesion_table(pancreatic())


# --- fitting -------------------------------------------------------------------------------


def test_what_is_drawn_from_a_fit_is_distributed_as_the_table(real: LesionTable) -> None:
    fitted = fit_population(real, alpha=0.0)
    drawn = [fitted.sample(f"case {i}", 0, seed=4) for i in range(3000)]
    rows = real.rows
    for column in ("site", "kind"):
        shares = dict(rows[column].value_counts(normalize=True).iter_rows())
        counts = Counter(getattr(spec, column) for spec in drawn)
        observed = [counts[name] for name in shares]
        assert stats.chisquare(observed, [3000 * s for s in shares.values()]).pvalue > 1e-3
    for site in SITES:
        mm = [spec.diameter_mm[0] for spec in drawn if spec.site == site]
        there = rows.filter(pl.col("site") == site)["diameter_mm"].to_numpy()
        assert stats.kstest(mm, there).pvalue > 1e-3
    for kind in ("pdac", "cyst"):
        hu = [spec.contrast_hu for spec in drawn if spec.kind == kind]
        there = rows.filter(pl.col("kind") == kind)["contrast_hu"].to_numpy()
        assert stats.kstest(hu, there).pvalue > 1e-3
    numbers = Counter(fitted.count_of(f"case {i}", 4) for i in range(3000))
    total = sum(weight for _, weight in real.count)
    assert numbers[1] / 3000 == pytest.approx(dict(real.count)[1] / total, abs=0.03)


def test_a_fit_does_not_depend_on_the_order_of_rows(real: LesionTable) -> None:
    shuffled = lesion_table(pancreatic().sample(fraction=1.0, shuffle=True, seed=5))
    assert fit_population(shuffled) == fit_population(real)


def test_few_lesions_take_their_sizes_from_more() -> None:
    table = pancreatic(300)
    rare = pl.DataFrame(
        {
            **{name: table[name][:3] for name in table.columns},
            "kind": ["pnet"] * 3,
            "site": ["tail"] * 3,
        }
    )
    fitted = fit_population(lesion_table(pl.concat([table, rare])), least=20)
    group = next(g for g in fitted.groups if (g.kind, g.site) == ("pnet", "tail"))
    tail = table.filter(pl.col("site") == "tail")["diameter_mm"]
    assert group.weight == 3.5
    assert group.note.startswith(f"n=3; sizes of {tail.len() + 3} in the site")
    assert group.size_mm.high == pytest.approx(max(tail.max(), rare["diameter_mm"].max()), abs=1e-3)  # type: ignore[type-var, operator]  # floats


def test_smoothing_gives_sites_that_were_never_seen_a_small_weight() -> None:
    table = pancreatic(200).filter(pl.col("site") != "tail")
    fitted = fit_population(lesion_table(table), alpha=0.5)
    weights = {site: sum(g.weight for g in fitted.groups if g.site == site) for site in SITES}
    assert weights["tail"] == 1.0  # two kinds
    assert weights["head"] == table.filter(pl.col("site") == "head").height + 1.0
    bare = fit_population(lesion_table(table), alpha=0.0)
    assert {group.site for group in bare.groups} == {"head", "body"}


def test_smoothing_adds_no_site_that_overlaps_another() -> None:
    table = pl.DataFrame({"site": ["left_upper_lobe", "right_lower_lobe"], "size_mm": [9, 12]})
    fitted = fit_population(lesion_table(table, default_organ="lung"))
    sites = {group.site for group in fitted.groups}
    assert {"left_lower_lobe", "right_middle_lobe", "right_upper_lobe"} < sites
    assert not sites & {"left", "right", "upper_lobe", "lower_lobe"}


def test_a_fit_survives_yaml_and_says_on_how_many_lesions_it_rests(real: LesionTable) -> None:
    fitted = fit_population(real)
    text = fitted.to_yaml()
    assert TumorPopulation.from_yaml(text) == fitted
    n = real.rows.filter((pl.col("kind") == "pdac") & (pl.col("site") == "head")).height
    line = next(line for line in text.splitlines() if "kind: pdac, site: head" in line)
    assert f"# n={n}; sizes of {n} in kind and site" in line


@pytest.mark.parametrize(("alpha", "least"), [(-1.0, 20), (math.nan, 20), (0.5, 0)])
def test_impossible_settings_of_a_fit_are_refused(
    alpha: float, least: int, real: LesionTable
) -> None:
    with pytest.raises(ConfigError, match=r"alpha|least"):
        fit_population(real, alpha=alpha, least=least)


# --- compensating --------------------------------------------------------------------------


def of_site(found: Balance, what: str) -> dict[str | None, float]:
    sums: dict[str | None, float] = dict.fromkeys(SITES, 0.0)
    for cell in found.cells:
        sums[cell.group.site] += getattr(cell, what)
    return sums


def test_enough_synthetic_lesions_make_sites_even(real: LesionTable) -> None:
    target = even(fit_population(real), ["sites"])
    found = compensate(real, target, n_synthetic=1000)
    assert of_site(found, "reached") == pytest.approx(dict.fromkeys(SITES, 1 / 3), abs=1e-9)
    assert found.distance == pytest.approx(0.0, abs=1e-9)
    assert sum(cell.n_synthetic for cell in found.cells) == pytest.approx(1000)
    # What is drawn from it fills the table up to the target.
    drawn = Counter(found.population.sample(f"c{i}", 0, 1).site for i in range(1000))
    there = Counter(real.rows["site"].to_list())
    for site in SITES:
        assert (drawn[site] + there[site]) / 1600 == pytest.approx(1 / 3, abs=0.03)


def test_too_few_synthetic_lesions_come_as_near_as_can_be(real: LesionTable) -> None:
    target = even(fit_population(real), ["sites"])
    found = compensate(real, target, n_synthetic=100)
    head = real.rows.filter(pl.col("site") == "head").height
    assert of_site(found, "n_synthetic")["head"] == pytest.approx(0.0)
    assert found.distance >= head / 700 - 1 / 3 - 1e-9
    assert found.needed is not None
    assert found.needed > 100
    assert any("pancreas head" in note for note in found.notes)
    assert any("would meet the target exactly" in note for note in found.notes)
    enough = compensate(real, target, n_synthetic=found.needed)
    assert enough.distance == pytest.approx(0.0, abs=1e-6)
    assert compensate(real, target, n_synthetic=found.needed - 1).distance > 0.0


def test_small_tumors_of_body_and_tail_are_described_in_words(real: LesionTable) -> None:
    text = (
        "lesions up to 20 mm in the pancreatic body and lesions up to 20 mm in the pancreatic tail"
    )
    found = compensate(real, read_target(text, real), n_synthetic=400)
    added = [found.population.sample(f"c{i}", 0, 1) for i in range(400)]
    assert {spec.site for spec in added} == {"body", "tail"}
    assert max(spec.diameter_mm[0] for spec in added) <= 20.0
    small = real.rows.filter(pl.col("site").is_in(["body", "tail"]) & (pl.col("diameter_mm") <= 20))
    assert found.outside == pytest.approx(600 - small.height)
    assert found.needed is None
    assert any("lie where the target has none" in note for note in found.notes)
    assert found.population.count == real.count


def test_a_table_and_its_fit_ask_for_about_the_same(real: LesionTable) -> None:
    target = even(fit_population(real), ["sites", "kinds"])
    of_table = compensate(real, target, n_synthetic=900)
    of_fit = compensate(fit_population(real, alpha=0.0), target, n_synthetic=900, n_real=600)
    for site, n in of_site(of_table, "n_synthetic").items():
        assert of_site(of_fit, "n_synthetic")[site] == pytest.approx(n, abs=8.0)


def test_even_keeps_what_is_not_named(real: LesionTable) -> None:
    fitted = fit_population(real)
    flat = even(fitted, ["sites"])
    for site in SITES:
        before = [g.weight for g in fitted.groups if g.site == site]
        after = [g.weight for g in flat.groups if g.site == site]
        assert after[0] / after[1] == pytest.approx(before[0] / before[1])
    sizes = even(fitted, ["sizes"]).groups[0].size_mm
    assert sizes == Uniform((real.rows["diameter_mm"].min(), real.rows["diameter_mm"].max()))  # type: ignore[arg-type]  # floats
    assert sum(flat.shares) == pytest.approx(1.0)


@st.composite
def problems(draw: st.DrawFn) -> tuple[LesionTable, TumorPopulation, int]:
    n = [draw(st.integers(0, 60)) for _ in SITES]
    n[0] += 1
    rows = {"site": [], "size_mm": []}  # type: ignore[var-annotated]  # of texts and of numbers
    for site, number in zip(SITES, n, strict=True):
        rows["site"] += [site] * number
        rows["size_mm"] += np.linspace(5, 50, number).tolist() if number > 1 else [10.0] * number
    weights = [draw(st.integers(0, 9)) for _ in SITES]
    weights[1] += 1
    ends = sorted(draw(st.tuples(st.floats(4, 30), st.floats(31, 60))))
    parts = tuple(
        Group(organ="pancreas", site=site, weight=weight, size_mm=Uniform((ends[0], ends[1])))
        for site, weight in zip(SITES, weights, strict=True)
    )
    table = lesion_table(pl.DataFrame(rows), default_organ="pancreas")
    return table, TumorPopulation(parts), draw(st.integers(1, 300))


@settings(max_examples=60, deadline=None)
@given(problems(), st.integers(0, 2**32))
def test_no_other_allocation_comes_nearer_to_the_target(
    problem: tuple[LesionTable, TumorPopulation, int], seed: int
) -> None:
    table, target, n_synthetic = problem
    rng = np.random.default_rng(seed)
    found = compensate(table, target, n_synthetic=n_synthetic)
    wanted = np.array([cell.target for cell in found.cells])
    there = np.array([cell.n_real for cell in found.cells])
    whole = len(table) + n_synthetic
    assert there.sum() + found.outside == pytest.approx(len(table))
    assert wanted.sum() == pytest.approx(1.0)
    assert sum(cell.n_synthetic for cell in found.cells) == pytest.approx(n_synthetic)
    for _ in range(20):
        other = n_synthetic * rng.dirichlet(np.full(wanted.size, 0.5))
        missed = np.abs((there + other) / whole - wanted).sum()
        assert found.distance <= 0.5 * (missed + found.outside / whole) + 1e-9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("uniform over moods", "target: nothing is uniform over moods; use some of organs"),
        ("more small ones", "description: unknown word"),
        ("a necrotic mass in the pancreatic tail", "target: says more than a table"),
        ("missing.yaml", "missing.yaml: cannot be read"),
    ],
)
def test_a_target_that_is_none_is_refused(text: str, message: str, real: LesionTable) -> None:
    with pytest.raises((ConfigError, UnreadableFileError)) as caught:
        read_target(text, real)
    assert message in str(caught.value)


def test_a_target_can_be_a_file(real: LesionTable, tmp_path: Path) -> None:
    path = tmp_path / "wanted.yaml"
    path.write_text("pancreas: {sites: tail, size_mm: {uniform: [5, 20]}}")
    target = read_target(str(path), real)
    assert [group.site for group in target.groups] == ["tail"]


def test_impossible_numbers_are_refused(real: LesionTable) -> None:
    target = fit_population(real)
    with pytest.raises(ConfigError, match="n_synthetic: 0 lesions are none"):
        compensate(real, target, n_synthetic=0)
    with pytest.raises(ConfigError, match="n_real: None is no number"):
        compensate(target, target, n_synthetic=5)
