from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from scalemai.errors import ConfigError, UnknownNameError
from scalemai.evaluation.scaling.analysis import GroupScaling, Scaling, analyse_scaling
from scalemai.evaluation.scaling.files import write_scaling
from scalemai.evaluation.scaling.measurements import read_measurements
from scalemai.evaluation.scaling.question import Question
from scalemai.evaluation.tables import Table, read_table

from .simulated import SIZES, real, simulated, table_of, truth

QUICK = Question(resamples=300)
MIXED = [(500, 500, 800), (500, 1500, 1500)]


def study(
    arms: list[tuple[float, float, float]] | None = None,
    question: Question = QUICK,
    seed: int = 0,
    **how: float,
) -> GroupScaling:
    measured = simulated(np.random.default_rng(seed), arms or real(), **how)  # type: ignore[arg-type]  # numbers of all sorts
    (group,) = analyse_scaling(table_of(measured), question).groups
    return group


def aggregated() -> pl.DataFrame:
    return pl.DataFrame({"n_real": SIZES, "dsc": [truth(n) for n in SIZES]})


def test_aicc_and_the_held_out_size_prefer_the_law_that_is_true() -> None:
    group = study(run_sd=0.004)
    assert group.chosen is not None
    assert group.chosen.law.name == "power law with floor"
    by_name = {fit.law.name: fit for fit in group.laws}
    assert by_name["exponential"].delta > 7  # type: ignore[operator]  # it was fitted
    assert by_name["logarithmic"].delta > 7  # type: ignore[operator]  # it was fitted
    errors = {
        name: abs(fit.held_out.value)
        for name, fit in by_name.items()
        if fit.held_out.value is not None
    }
    assert min(errors, key=errors.__getitem__) == "power law with floor"


def test_an_exponential_truth_is_told_from_a_power_law() -> None:
    def exponential(n: float) -> float:
        return float(0.58 - 0.2 * np.exp(-n / 300))

    measured = simulated(np.random.default_rng(0), real(), run_sd=0.002, curve=exponential)
    (group,) = analyse_scaling(table_of(measured), QUICK).groups
    assert group.chosen is not None
    assert group.chosen.law.name == "exponential"
    assert group.plateau.next_doubling.high is not None
    assert group.plateau.next_doubling.high < group.plateau.margin


def test_a_flat_curve_is_a_plateau_and_a_rising_one_is_not() -> None:
    def flat(n: float) -> float:
        return float(0.58 - 0.2 * np.exp(-n / 150))

    quiet = {"run_sd": 0.002, "patient_run_sd": 0.03}
    measured = simulated(np.random.default_rng(0), real(), curve=flat, **quiet)  # type: ignore[arg-type]  # numbers
    (group,) = analyse_scaling(table_of(measured), QUICK).groups
    assert group.plateau.begins == 800
    # The true gain is 0.9 points from 1500 on, and 2.1 from 800 on.
    begins = [
        study(question=Question(resamples=300, margin=margin), **quiet).plateau.begins
        for margin in (0.02, 0.005)
    ]
    assert begins == [1500, None]


def test_noise_is_no_plateau() -> None:
    group = study(run_sd=0.03)
    assert group.plateau.begins is None
    assert "is not ruled out" in str(group.plateau)


def test_the_worth_of_synthetic_scans_is_found() -> None:
    group = study([*real(), *MIXED], run_sd=0.001, patient_run_sd=0.02)
    second = group.worths[1]
    assert second.law == "power law with floor"
    assert second.identifiable
    assert second.equivalent.value == pytest.approx(1500, rel=0.15)
    assert second.ratio.value == pytest.approx(3.0, rel=0.15)
    assert second.per_scan.value == pytest.approx(1000 / 1500, rel=0.25)
    (rate,) = group.marginals
    assert rate.rate.value == pytest.approx(700 / 1000, rel=0.35)


def test_an_arm_beyond_the_floor_is_not_identifiable() -> None:
    group = study([*real(), (500, 5000, 1e9)])
    worth = group.worths[0]
    assert not worth.identifiable
    assert worth.per_scan.high == np.inf
    assert worth.per_scan.value is None
    assert worth.unbounded > 0.2
    assert worth.per_scan.reason.startswith("not identifiable")


def test_a_gain_below_the_floor_is_out_of_reach() -> None:
    question = Question(resamples=300, gains=(0.1, 0.005))
    group = study(question=question, run_sd=0.001, patient_run_sd=0.02)
    far, near = [plan for plan in group.plans if plan.law == "power law with floor"]
    assert far.more.value is None
    assert far.out_of_reach > 0.9
    assert "not reachable" in str(far)
    assert near.more.value == pytest.approx(2036, rel=0.4)
    assert near.more.low is not None
    assert near.more.low > 0


def test_fewer_than_six_sizes_get_no_law_but_keep_what_was_measured() -> None:
    group = study(real(SIZES[2:]))
    assert group.chosen is None
    assert all("5 sizes are fewer than the" in fit.reason for fit in group.laws)
    assert group.notes[0].startswith("no law is fitted because 5 sizes")
    assert group.plateau.gains[0].gain.low is not None
    assert not group.plateau.next_doubling.computed
    assert not group.predictions


def test_a_measure_where_lower_is_better_is_the_mirror_image() -> None:
    measured = simulated(np.random.default_rng(3), [*real(), *MIXED])
    table = table_of(measured)
    mirrored = Table("runs", table.frame.select(pl.exclude("dsc"), error=1 - pl.col("dsc")))
    question = Question(resamples=300, margin=0.01, gains=(0.02,))
    (high,), (low,) = (analyse_scaling(one, question).groups for one in (table, mirrored))
    for one, other in zip(high.laws, low.laws, strict=True):
        assert one.aicc == other.aicc or one.aicc == pytest.approx(other.aicc, abs=1e-6)
    gains = [(g.gain.value, g.gain.low) for g in high.plateau.gains]
    assert gains == [pytest.approx((g.gain.value, g.gain.low)) for g in low.plateau.gains]
    for worth, mirror in zip(high.worths, low.worths, strict=True):
        assert worth.equivalent.low == pytest.approx(mirror.equivalent.low, rel=1e-3)
    assert low.points[0][1].value == pytest.approx(1 - (high.points[0][1].value or 0))


def test_percentages_have_points_of_one() -> None:
    table = table_of(simulated(np.random.default_rng(0), real()))
    percent = Table("runs", table.frame.with_columns(pl.col("dsc") * 100))
    found = analyse_scaling(percent, QUICK)
    assert (found.direction.perfect, found.direction.margin) == (100.0, 1.0)
    one, other = found.groups[0], analyse_scaling(table, QUICK).groups[0]
    assert one.plateau.gains[0].gain.value == pytest.approx(
        100 * (other.plateau.gains[0].gain.value or 0)
    )


def test_one_value_per_size_gets_intervals_from_the_law_and_says_so() -> None:
    noisy = aggregated().with_columns(
        pl.col("dsc") + np.random.default_rng(0).normal(0, 0.003, len(SIZES))
    )
    (group,) = analyse_scaling(Table("runs", noisy), QUICK).groups
    assert group.points[0][1].low is not None
    assert any("deviations from the fitted law" in note for note in group.notes)
    assert any("no test cases" in note for note in group.notes)


def test_groups_are_analysed_apart() -> None:
    near, far = (
        table_of(simulated(np.random.default_rng(i), real(), run_sd=0.002), domain=name).frame
        for i, name in enumerate(("ID", "OOD"))
    )
    both = analyse_scaling(Table("runs", pl.concat([near, far])), QUICK)
    assert [group.name for group in both.groups] == ["ID", "OOD"]
    alone = analyse_scaling(Table("runs", near), QUICK).groups[0]
    assert both.groups[0].points[0][1].value == alone.points[0][1].value


def test_test_cases_that_a_run_lacks_are_left_out_of_all_and_counted() -> None:
    frame = table_of(simulated(np.random.default_rng(0), real(), patients=60)).frame
    gap = (pl.col("n_real") == 50) & (pl.col("draw") == 1) & (pl.col("case") == "case_004")
    cut = frame.with_columns(dsc=pl.when(gap).then(None).otherwise(pl.col("dsc")))
    metric, (measured,) = read_measurements(Table("runs", cut))
    assert metric == "dsc"
    assert measured.n_patients == 59
    assert any("1 of 60 test cases" in note for note in measured.notes)


def test_scans_of_a_patient_stay_together() -> None:
    frame = table_of(simulated(np.random.default_rng(0), real(), patients=60)).frame
    cases = frame["case"].unique().sort()
    pairs = pl.DataFrame({"case": cases, "patient": [f"p{i // 2}" for i in range(60)]})
    _, (measured,) = read_measurements(Table("runs", frame.join(pairs, on="case")))
    assert measured.n_patients == 30
    assert (measured.counts == 2).all()


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pl.DataFrame({"n": [1], "dsc": [0.5]}), "has no column n_real"),
        (pl.DataFrame({"n_real": [1], "dsc": [0.5], "nsd": [0.5]}), "2 columns that could be"),
        (pl.DataFrame({"n_real": [-1], "dsc": [0.5]}), "n_real is -1.0 in 1 rows"),
        (pl.DataFrame({"n_real": ["many"], "dsc": [0.5]}), "column n_real holds no numbers"),
        (pl.DataFrame({"n_real": [9, 9], "dsc": [0.5, 0.6]}), "n_real 9.0, n_synthetic 0.0 stands"),
        (pl.DataFrame({"n_real": [9], "dsc": [np.inf]}), "dsc is infinite"),
        (pl.DataFrame({"n_real": [9], "seed": [None], "dsc": [0.5]}), "draw or seed has gaps"),
        (pl.DataFrame({"n_real": [9], "dsc": [None]}, schema_overrides={"dsc": pl.Float64}),
         "no value is left"),
        (pl.DataFrame({"n_real": [9, 10], "case": ["a", "b"], "dsc": [0.5, 0.6]}),
         "no test case has a value in all 2 runs"),
        (pl.DataFrame({"n_real": [9], "hd95": [5.0]}), "one point of hd95 is not defined"),
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_table_is_refused_in_one_line(frame: pl.DataFrame, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        analyse_scaling(Table("runs", frame), QUICK)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_unknown_measure_is_named() -> None:
    with pytest.raises(UnknownNameError, match="dcs"):
        analyse_scaling(Table("runs", aggregated()), Question("dcs"))


def test_a_value_beyond_perfect_is_refused() -> None:
    with pytest.raises(ConfigError, match="beyond its perfect value"):
        analyse_scaling(Table("runs", aggregated()), Question(perfect=0.3))


@pytest.mark.parametrize(
    "wrong", [{"level": 1.0}, {"resamples": 10}, {"margin": -1.0}, {"gains": (0.0,)},
              {"better": "up"}, {"at": (0.0,)}], ids=str,
)  # fmt: skip
def test_an_impossible_question_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Question(**wrong)  # type: ignore[arg-type]  # wrong on purpose


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Scaling, Path]:
    measured = simulated(np.random.default_rng(0), [*real(), *MIXED, (500, 5000, 1e9)])
    scaling = analyse_scaling(table_of(measured), QUICK)
    folder = tmp_path_factory.mktemp("scaling")
    write_scaling(scaling, folder)
    return scaling, folder


def test_tables_json_and_page_are_written(written: tuple[Scaling, Path]) -> None:
    scaling, folder = written
    worth = read_table(folder / "scaling_worth.parquet")
    beyond = worth.frame.filter(n_synthetic=5000, law="power law with floor")
    assert beyond["identifiable"].to_list() == [False]
    assert worth.definition("per_scan") is not None
    assert worth.settings["resamples"] == 300
    told = json.loads((folder / "scaling.json").read_text(encoding="utf-8"))
    group = told["groups"][0]
    assert any(row["per_scan_high"] == "infinite" for row in group["worth"])
    assert len(group["points"]) == len(scaling.groups[0].points)
    page = (folder / "scaling.html").read_text(encoding="utf-8")
    assert "unbounded" in page
    assert "image/svg+xml" in page


def test_the_same_table_gives_the_same_bytes(written: tuple[Scaling, Path], tmp_path: Path) -> None:
    _, folder = written
    measured = simulated(np.random.default_rng(0), [*real(), *MIXED, (500, 5000, 1e9)])
    write_scaling(analyse_scaling(table_of(measured), QUICK), tmp_path)
    for file in sorted(folder.iterdir()):
        assert (tmp_path / file.name).read_bytes() == file.read_bytes(), file.name


def test_another_order_of_rows_gives_the_same_numbers() -> None:
    table = table_of(simulated(np.random.default_rng(0), real()))
    shuffled = Table("runs", table.frame.sample(fraction=1.0, shuffle=True, seed=1))
    one, other = (analyse_scaling(t, QUICK).groups[0] for t in (table, shuffled))
    for a, b in zip(one.points, other.points, strict=True):
        assert a[1].value == pytest.approx(b[1].value, abs=1e-12)
        assert a[1].low == pytest.approx(b[1].low, abs=1e-9)
