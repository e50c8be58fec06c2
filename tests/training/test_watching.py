"""What is read from whole scans: at a rate, the same lesions twice, and scans kept apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("monai", reason="networks are MONAI's")

from scalemai.detector.files import Detector  # noqa: E402
from scalemai.errors import ConfigError  # noqa: E402
from scalemai.evaluation.lesions.froc import froc  # noqa: E402
from scalemai.statistics.proportions import PairedCounts, difference_paired  # noqa: E402
from scalemai.synthesis.spec import LesionSpec  # noqa: E402
from scalemai.training.cache import Cache, prepare_cases  # noqa: E402
from scalemai.training.comparing import ALL, Comparison, Pair, paired_change  # noqa: E402
from scalemai.training.config import TrainingConfig, ValidationConfig  # noqa: E402
from scalemai.training.dividing import Divided, divide  # noqa: E402
from scalemai.training.material import choose_cases  # noqa: E402
from scalemai.training.rounds import Look  # noqa: E402
from scalemai.training.watching import Seen, see  # noqa: E402

from .hosts import SPEC, write_set  # noqa: E402

SCORES = st.sampled_from([0.2, 0.3, 0.5, 0.7, 0.9, 1.0])
SPECS = (LesionSpec(organ="pancreas", diameter_mm=(10.0, 16.0), contrast_hu=-60.0),)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    root = tmp_path_factory.mktemp("data")
    return prepare_cases(write_set(root / "set", normal=4, real=3), SPEC, root / "cache")


@st.composite
def seen(draw: st.DrawFn) -> Seen:
    scans = draw(st.integers(1, 4))
    place = st.integers(0, scans - 1)
    lesions = draw(st.lists(st.tuples(place, SCORES | st.just(-np.inf)), min_size=1, max_size=8))
    false = draw(st.lists(st.tuples(place, SCORES), max_size=8))
    return _seen(scans, lesions, false)


@given(seen(), st.sampled_from([0.125, 0.5, 1.0, 2.0, 4.0]))
def test_sensitivity_at_a_rate_is_that_of_the_froc_curve(own: Seen, rate: float) -> None:
    lesions = pl.DataFrame(
        [
            {"case": str(scan), "structure": "x", "lesion": n, "detected": np.isfinite(score),
             "score": float(score) if np.isfinite(score) else None}
            for n, (scan, score) in enumerate(zip(own.lesion_scan, own.score, strict=True))
        ]
    )  # fmt: skip
    hits = [(int(s), float(v)) for s, v in zip(own.lesion_scan, own.score, strict=True)]
    false = [(int(s), float(v)) for s, v in zip(own.false_scan, own.false_score, strict=True)]
    rows = [(s, v, "true_positive") for s, v in hits if np.isfinite(v)]
    rows += [(s, v, "false_positive") for s, v in false]
    candidates = pl.DataFrame(
        [
            {"case": str(s), "structure": "x", "candidate": n, "score": v, "verdict": verdict}
            for n, (s, v, verdict) in enumerate(rows)
        ],
        {"case": pl.String, "structure": pl.String, "candidate": pl.Int64, "score": pl.Float64,
         "verdict": pl.String},
    )  # fmt: skip
    curve = froc(
        lesions.cast({"score": pl.Float64}), candidates,
        scans=[str(n) for n in range(own.hosts.size)], rng=np.random.default_rng(0),
        rates=(rate,), draws=2,
    )  # fmt: skip
    assert own.sensitivity(rate) == pytest.approx(curve.rates[rate].value)


def test_gained_and_lost_lesions_and_the_interval_of_the_change_are_of_the_same_lesions() -> None:
    scans = 24
    before = _seen(scans, [(n, 0.9 if n < 8 else -np.inf) for n in range(scans)], [])
    after = _seen(scans, [(n, 0.9 if n > 1 else -np.inf) for n in range(scans)], [(0, 0.6)])
    comparison = Comparison({"here": Pair(before, after)}, rate=1.0)
    first, *_, last = comparison.rows(seed=1)
    assert (first["size"], first["n"], first["gained"], first["lost"]) == (ALL, 24, 16, 2)
    assert first["before"].value == pytest.approx(8 / 24)
    assert first["after"].value == pytest.approx(22 / 24)
    change = first["change"]
    assert change.value == pytest.approx(14 / 24)
    assert 0.0 < change.low < 14 / 24 < change.high <= 1.0
    assert last["after"].value == pytest.approx(1 / 24)
    assert comparison.lesions.filter(pl.col("after") & ~pl.col("before")).height == 16
    with pytest.raises(ValueError, match="of other scans or lesions"):
        Pair(before, _seen(scans, [(0, 0.9)], []))


@given(st.integers(0, 40), st.integers(0, 40), st.integers(100, 300))
def test_with_one_lesion_a_host_the_change_has_newcombes_interval(
    gained: int, lost: int, rest: int
) -> None:
    before = np.repeat([False, True, True], [gained, lost, rest])
    after = np.repeat([True, False, True], [gained, lost, rest])
    hosts = np.arange(before.size).astype(np.str_)
    found = paired_change(before, after, hosts)
    known = difference_paired(PairedCounts(rest, gained, lost, 0))
    assert found.value == pytest.approx(known.value)
    assert (found.low, found.high) == pytest.approx((known.low, known.high), abs=0.03)


def test_lesions_that_share_their_hosts_fate_widen_the_interval() -> None:
    before = np.zeros(120, np.bool_)
    after = np.repeat(np.arange(24) < 12, 5)
    together = paired_change(before, after, np.repeat(np.arange(24), 5).astype(np.str_))
    apart = paired_change(before, after, np.arange(120).astype(np.str_))
    assert together.value == apart.value == pytest.approx(0.5)
    assert together.high - together.low > 1.5 * (apart.high - apart.low)
    few = paired_change(before, after, np.repeat(np.arange(4), 30).astype(np.str_))
    assert few.low is None
    assert "too few" in few.reason


@pytest.mark.parametrize(
    ("gained", "lost", "clear"),
    [(0, 0, False), (1, 0, False), (2, 0, True), (3, 1, False), (4, 1, True), (1, 4, False)],
)
def test_a_gain_is_clear_beyond_one_standard_error_of_those_that_changed_sides(
    gained: int, lost: int, clear: bool
) -> None:
    assert Look(20, 10, gained, lost, 0.5, 1.0).is_clear_gain(1.0) == clear


def test_a_detector_that_calls_the_whole_organ_a_lesion_finds_none(cache: Cache) -> None:
    class Organ(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            score = 20.0 * (image[:, 1:2] > 0) - 10.0
            return torch.cat((-score, score), dim=1)

    config = TrainingConfig(detector=SPEC, validation=ValidationConfig(scans=1))
    normal = cache.subset(cache.ids_of("normal"))
    choice, _ = divide(normal, config, SPECS, where="hosts").scans(config, 1)
    found = see(Detector(SPEC, Organ()), choice)
    assert found.score.size > 0
    assert not found.found(8.0).any()
    assert found.false_per_scan(0.5) >= 1.0


def test_the_three_parts_share_no_case_and_do_not_depend_on_the_order(cache: Cache) -> None:
    config = TrainingConfig(detector=SPEC, validation=ValidationConfig(share=0.3))
    data = divide(cache, config, SPECS, where="hosts")
    backwards = divide(cache.subset(reversed(cache.ids)), config, SPECS, where="hosts")
    parts = _parts(data)
    assert [set(part) for part in parts] == [set(part) for part in _parts(backwards)]
    assert set().union(*parts) == set(cache.ids)
    assert sum(len(part) for part in parts) == len(cache)
    assert all(parts)


def test_cases_that_a_training_held_out_are_tested_with(cache: Cache) -> None:
    normal = cache.subset(cache.ids_of("normal"))
    for seed in range(5):
        config = TrainingConfig(detector=SPEC, seed=seed, validation=ValidationConfig(share=0.25))
        trained = choose_cases(normal, config, SPECS)
        assert trained.held_out is not None
        wider = replace(config, validation=replace(config.validation, share=0.5))
        _, _, test = _parts(divide(normal, wider, SPECS, where="hosts"))
        assert set(test) == set(trained.held_out.ids)


def test_two_cases_are_too_few(cache: Cache) -> None:
    config = TrainingConfig(detector=SPEC)
    with pytest.raises(ConfigError, match=r"^hosts: 2 cases are too few"):
        divide(cache.subset(cache.ids[:2]), config, SPECS, where="hosts")


def _parts(data: Divided) -> tuple[tuple[str, ...], ...]:
    assert data.choice.held_out is not None
    assert data.test.held_out is not None
    return data.choice.cases.ids, data.choice.held_out.ids, data.test.held_out.ids


def _seen(scans: int, lesions: list[tuple[int, float]], false: list[tuple[int, float]]) -> Seen:
    return Seen(
        np.array([f"host {n}" for n in range(scans)]),
        np.array([n for n, _ in lesions], np.intp),
        np.full(len(lesions), 15.0),
        np.array([score for _, score in lesions], np.float64),
        np.array([n for n, _ in false], np.intp),
        np.array([score for _, score in false], np.float64),
    )
