"""Distributions over lesions: what is drawn, and what a YAML file may say."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from scalemai.anatomy import organ, organ_names
from scalemai.errors import ConfigError, UnreadableFileError
from scalemai.synthesis.populations.distributions import (
    Distribution,
    Histogram,
    LogNormal,
    Normal,
    Quantiles,
    Uniform,
)
from scalemai.synthesis.populations.population import (
    Group,
    TumorPopulation,
    read_population,
    write_population,
)
from scalemai.synthesis.spec import LesionSpec

PANCREAS = """
count: {1: 0.7, 2: 0.2, 5: 0.1}
pancreas:
  weight: 0.75
  kinds: {pdac: 0.8, cyst: 0.2}
  sites: {head: 0.65, body: 0.15, tail: 0.2}
  size_mm: {lognormal: {median: 25, sigma: 0.5}}
  size_mm_by_site: {tail: {histogram: {edges: [4, 8, 20], weights: [1, 3]}}}
  contrast_hu: {normal: {mean: -30, sd: 12, high: -5}}
Kidneys:
  weight: 0.25
  size_mm: {uniform: [5, 20]}
  contrast: {hypo: 3, hyper: 1}
  margin: well-defined
"""
N = 4000


def draws(population: TumorPopulation, n: int = N) -> list[LesionSpec]:
    return [population.sample(f"case {i}", i % 3, seed=11) for i in range(n)]


def fits(counts: Counter[str | None], shares: dict[str | None, float]) -> bool:
    total = sum(counts.values())
    observed = [counts[name] for name in shares]
    expected = [share * total for share in shares.values()]
    return total == sum(observed) and stats.chisquare(observed, expected).pvalue > 1e-3


def test_lesions_are_drawn_as_often_as_the_weights_say() -> None:
    drawn = draws(TumorPopulation.from_yaml(PANCREAS))
    assert fits(Counter(spec.organ for spec in drawn), {"pancreas": 0.75, "kidney": 0.25})
    inside = [spec for spec in drawn if spec.organ == "pancreas"]
    assert fits(Counter(s.kind for s in inside), {"pdac": 0.8, "cyst": 0.2})
    assert fits(Counter(s.site for s in inside), {"head": 0.65, "body": 0.15, "tail": 0.2})
    renal = [spec for spec in drawn if spec.organ == "kidney"]
    assert fits(Counter(s.contrast for s in renal), {"hypo": 0.75, "hyper": 0.25})
    assert {(s.kind, s.site, s.margin) for s in renal} == {(None, None, "well-defined")}


def test_sizes_and_contrasts_are_drawn_from_their_distributions() -> None:
    drawn = draws(TumorPopulation.from_yaml(PANCREAS))
    sizes = {
        site: [s.diameter_mm[0] for s in drawn if s.site == site] for site in ("head", "tail", None)
    }
    z = (np.log([2.0, 150.0]) - np.log(25)) / 0.5
    head = stats.truncnorm(*z, loc=np.log(25), scale=0.5)
    assert stats.kstest(np.log(sizes["head"]), head.cdf).pvalue > 1e-3
    assert stats.kstest(sizes[None], stats.uniform(5, 15).cdf).pvalue > 1e-3
    assert np.mean(np.array(sizes["tail"]) <= 8) == pytest.approx(0.25, abs=0.05)
    hu = [s.contrast_hu for s in drawn if s.contrast_hu is not None]
    cut = stats.truncnorm(-np.inf, 25 / 12, loc=-30, scale=12)
    assert stats.kstest(hu, cut.cdf).pvalue > 1e-3
    assert all(spec.diameter_mm[0] == spec.diameter_mm[1] for spec in drawn)


def test_a_draw_depends_on_case_number_and_seed_alone() -> None:
    population = TumorPopulation.from_yaml(PANCREAS)
    first = [population.sample("a", n, seed=1) for n in range(8)]
    assert [population.sample("a", n, seed=1) for n in reversed(range(8))] == first[::-1]
    assert len(set(first)) == 8
    assert population.sample("b", 0, seed=1) != first[0]
    assert population.sample("a", 0, seed=2) != first[0]
    assert population.lesions("a", 1) == tuple(first[: population.count_of("a", 1)])


def test_the_number_of_lesions_per_case_is_drawn() -> None:
    population = TumorPopulation.from_yaml(PANCREAS)
    numbers = Counter(len(population.lesions(f"case {i}", 5)) for i in range(2000))
    observed = [numbers[n] for n in (1, 2, 5)]
    assert sum(observed) == 2000
    assert stats.chisquare(observed, [1400, 400, 200]).pvalue > 1e-3


def test_only_the_organs_that_a_case_has_can_be_asked_for() -> None:
    population = TumorPopulation.from_yaml(PANCREAS)
    assert population.organs == ("pancreas", "kidney")
    assert {spec.organ for spec in draws(population.only(["kidney"]), 50)} == {"kidney"}
    with pytest.raises(ConfigError, match="holds no lesion"):
        population.only(["liver"])


def test_a_contrast_that_no_lesion_can_have_is_moved_away_from_zero() -> None:
    group = Group(
        organ="liver", weight=1, size_mm=Uniform((5, 9)), contrast_hu=Uniform((-3.0, 3.0))
    )
    drawn = [spec.contrast_hu for spec in draws(TumorPopulation((group,)), 300)]
    assert min(abs(hu) for hu in drawn if hu is not None) == 1.0
    assert min(drawn) < -2.0  # type: ignore[type-var]  # none is None
    assert max(drawn) > 2.0  # type: ignore[type-var]  # none is None


# --- distributions -------------------------------------------------------------------------

POSITIVE = st.floats(0.1, 100.0)
RISING = st.lists(st.floats(2.0, 150.0), min_size=2, max_size=12).map(sorted).map(tuple)
STRICTLY = st.lists(
    st.integers(2, 150), min_size=2, max_size=9, unique=True
).map(sorted).map(lambda edges: tuple(map(float, edges)))  # fmt: skip
SIZES = st.one_of(
    RISING.map(Quantiles),
    RISING.map(lambda values: Uniform((values[0], values[-1]))),
    st.builds(LogNormal, st.floats(5, 80), st.floats(0.05, 2), st.just(2.0), st.just(150.0)),
    STRICTLY.flatmap(
        lambda edges: st.lists(
            st.floats(0.0, 9.0), min_size=len(edges) - 1, max_size=len(edges) - 1
        ).filter(any).map(lambda weights: Histogram(edges, tuple(weights)))
    ),
)  # fmt: skip
CONTRASTS = st.none() | st.builds(
    Normal, st.floats(-200, 200), st.floats(1, 50), st.just(-1000.0), st.just(1000.0)
)


@settings(max_examples=300, deadline=None)
@given(SIZES, st.floats(0, 1), st.floats(0, 1))
def test_quantiles_rise_and_invert_the_cumulative_share(
    sizes: Distribution, first: float, second: float
) -> None:
    low, high = sorted((first, second))
    assert sizes.low <= sizes.quantile(low) <= sizes.quantile(high) + 1e-9
    assert sizes.quantile(high) <= sizes.high + 1e-9
    # The share below a quantile is that of the quantile, or more where values repeat.
    assert sizes.below(sizes.quantile(low) + 1e-9) >= low - 1e-6
    assert sizes.below(sizes.high) == pytest.approx(1.0)
    assert sizes.below(sizes.low - 1e-6) == pytest.approx(0.0, abs=1e-9)


def test_a_histogram_fills_its_bins_as_weighted() -> None:
    sizes = Histogram((2.0, 10.0, 20.0, 50.0), (1.0, 0.0, 3.0))
    drawn = np.array([sizes.quantile(u) for u in (np.arange(1000) + 0.5) / 1000])
    assert np.histogram(drawn, [2, 10, 20, 50])[0].tolist() == [250, 0, 750]
    assert sizes.below(15.0) == pytest.approx(0.25)


def test_part_of_a_distribution_has_the_shape_of_the_whole() -> None:
    part = LogNormal(25.0, 0.5, 2.0, 150.0).between(0.5, 0.75, points=65)
    assert part.low == pytest.approx(25.0, rel=1e-3)
    assert part.quantile(0.5) == pytest.approx(25.0 * np.exp(0.5 * stats.norm.ppf(0.625)), rel=1e-3)


# --- YAML ----------------------------------------------------------------------------------


@st.composite
def groups(draw: st.DrawFn) -> Group:
    facts = organ(draw(st.sampled_from(organ_names())))
    kind = draw(st.none() | st.sampled_from(facts.kinds))
    contrast_hu = draw(CONTRASTS)
    look = draw(st.booleans()) and contrast_hu is None
    return Group(
        organ=facts.name,
        weight=draw(st.floats(0.01, 1e6)),
        size_mm=draw(SIZES),
        kind=kind and kind.name,
        site=draw(st.none() | st.sampled_from(sorted(facts.sites))) if facts.sites else None,
        form=kind and draw(st.sampled_from(kind.forms)).name,
        contrast_hu=contrast_hu,
        contrast=(("hypo", 2.0), ("iso", draw(POSITIVE))) if look else (),
        margin=draw(st.sampled_from([(), (("lobulated", 1.0), ("ill-defined", 0.5))])),
        note=draw(st.text(max_size=20)),
    )


@settings(max_examples=150, deadline=None)
@given(
    st.lists(groups(), min_size=1, max_size=6),
    st.dictionaries(st.integers(1, 50), POSITIVE, min_size=1, max_size=4),
    st.lists(st.text(max_size=30), max_size=2),
)
def test_a_population_survives_being_written_as_yaml(
    parts: list[Group], count: dict[int, float], about: list[str]
) -> None:
    population = TumorPopulation(tuple(parts), tuple(count.items()))
    text = population.to_yaml(about=about)
    assert TumorPopulation.from_yaml(text) == population


def test_a_file_is_written_whole_and_read_back(tmp_path: Path) -> None:
    population = TumorPopulation.from_yaml(PANCREAS)
    write_population(population, tmp_path / "deep" / "pop.yaml", about=["made by a test"])
    assert read_population(tmp_path / "deep" / "pop.yaml") == population
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["pop.yaml"]


def test_groups_take_from_their_organ_what_they_leave_out() -> None:
    population = TumorPopulation.from_yaml(
        """
        liver:
          weight: 3
          size_mm: {uniform: [5, 9]}
          contrast: hypo
          groups:
            - {weight: 1, kind: cyst}
            - {weight: 3, kind: hcc, size_mm: {uniform: [10, 20]}, contrast_hu: {uniform: [5, 9]}}
        """
    )
    cyst, hcc = population.groups
    assert (cyst.weight, hcc.weight) == (0.75, 2.25)
    assert (cyst.size_mm, cyst.contrast) == (Uniform((5.0, 9.0)), (("hypo", 1.0),))
    assert (hcc.size_mm, hcc.contrast) == (Uniform((10.0, 20.0)), ())


SIZE = "size_mm: {uniform: [3, 5]}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "pop.yaml: is empty"),
        ("3", "pop.yaml: 3 is no table"),
        ("a: [", "pop.yaml: is no YAML (line 1"),
        (f"kidny: {{{SIZE}}}", "pop.yaml: kidny: unknown organ 'kidny'; did you mean 'kidney'?"),
        (f"kidney: {{{SIZE}}}\nkidneys: {{{SIZE}}}", "pop.yaml: kidneys: is 'kidney' again"),
        (f"kidney: {{{SIZE}, {SIZE}}}", "stands twice"),
        (f"kidney: {{sites: {{top: 1}}, {SIZE}}}", "kidney.site: kidney has no site 'top'"),
        (f"kidney: {{kinds: pdac, {SIZE}}}", "kidney: unknown lesion kind of kidney 'pdac'"),
        (f"kidney: {{sizes: 3, {SIZE}}}", "pop.yaml: kidney.sizes: is unknown; known keys: weight"),
        ("kidney: {weight: 1}", "pop.yaml: kidney: has no size_mm; add one"),
        ("kidney: {size_mm: 5}", "kidney.size_mm: 5 is no table"),
        ("kidney: {size_mm: {lognorm: 5}}", "kidney.size_mm.lognorm: is unknown; known keys"),
        ("kidney: {size_mm: {uniform: [9, 5]}}", "kidney.size_mm.uniform: 9, 5 are no range"),
        ("kidney: {size_mm: {uniform: [9, x]}}", "kidney.size_mm.uniform[1]: 'x' is no number"),
        ("kidney: {size_mm: {uniform: [1, 5]}}", "kidney.size_mm: 1 to 5 mm is too wide"),
        ("kidney: {size_mm: {uniform: [3, 5], quantiles: [3, 5]}}", "has 2 distributions"),
        ("kidney: {size_mm: {lognormal: {median: 9}}}", "kidney.size_mm.lognormal: has no sigma"),
        (
            "kidney: {size_mm: {lognormal: {median: 9, sigma: 0}}}",
            "kidney.size_mm.lognormal: median, sigma and low are not above 0",
        ),
        (
            "kidney: {size_mm: {histogram: {edges: [3, 9], weights: [1, 1]}}}",
            "kidney.size_mm.histogram: 2 weights for 1 bins",
        ),
        (f"kidney: {{{SIZE}, weight: -1}}", "kidney.weight: -1 is no weight"),
        (f"kidney: {{{SIZE}, weight: 0}}", "pop.yaml: holds no lesion"),
        (f"kidney: {{{SIZE}, sites: {{left: 0}}}}", "kidney.sites: no weight is above 0"),
        (f"kidney: {{{SIZE}, margin: fuzzy}}", "kidney.margin: 'fuzzy' is unknown"),
        (
            f"kidney: {{{SIZE}, contrast: hypo, contrast_hu: {{uniform: [5, 9]}}}}",
            "kidney.contrast: excludes contrast_hu",
        ),
        (
            f"kidney: {{{SIZE}, contrast_hu: {{lognormal: {{median: 9, sigma: 1}}}}}}",
            "kidney.contrast_hu.lognormal: a contrast has two signs",
        ),
        (
            f"kidney: {{sites: left, {SIZE}, size_mm_by_site: {{right: {{uniform: [3, 5]}}}}}}",
            "kidney.size_mm_by_site.right: has no weight",
        ),
        ("kidney: {groups: []}", "kidney.groups: [] is no list"),
        (f"kidney: {{groups: [{{{SIZE}}}], sites: left}}", "kidney.sites: excludes groups"),
        (f"kidney: {{groups: [{{{SIZE}, sit: 3}}]}}", "kidney.groups[0].sit: is unknown"),
        (f"kidney: {{groups: [{{{SIZE}, site: 3}}]}}", "kidney.groups[0].site: 3 is no name"),
        (f"kidney: {{groups: [{{{SIZE}, weight: .nan}}]}}", "kidney.groups[0].weight: nan"),
        (f"count: 0\nkidney: {{{SIZE}}}", "pop.yaml: count: 0 is no number of lesions"),
        (f"count: {{1.5: 1}}\nkidney: {{{SIZE}}}", "count.1.5: 1.5 is no number of lesions"),
        ("count: 3", "holds no lesion"),
        ("!!python/object/apply:os.getcwd []", "pop.yaml: is no YAML"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_its_path(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TumorPopulation.from_yaml(text, where="pop.yaml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match=r"none\.yaml: cannot be read"):
        read_population(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_bytes(b"kidney: \xff")
    with pytest.raises(UnreadableFileError, match=r"bad\.yaml: is no UTF-8"):
        read_population(tmp_path / "bad.yaml")
