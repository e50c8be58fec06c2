"""The experiments' own arithmetic: switches, draws, resuming, intervals, and what they write."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from scipy import ndimage

pytest.importorskip("torch")
pytest.importorskip("monai")

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks" / "experiments"))

import ablations
import runs
import scaling
import tables
from data import PhantomSet
from switches import FEATURES, without

from scalemai.cases.phantom import LesionDraw
from scalemai.errors import ConfigError, UnknownNameError, UnreadableFileError
from scalemai.evaluation.lesions.detections import Detections
from scalemai.evaluation.lesions.froc import LUNA16_RATES, froc_of
from scalemai.evaluation.scaling.measurements import read_measurements
from scalemai.evaluation.tables import Table
from scalemai.synthesis.spec import LesionSpec
from scalemai.transforms.patch import PatchEdit, PatchSynthesizer

NAMES = {1: "liver", 2: "liver_lesion"}
LESIONS = LesionDraw(("liver",))
TINY: Mapping[str, PhantomSet] = {
    "normal": PhantomSet(3, 1),
    "test": PhantomSet(2, 2, LESIONS),
    "annotated": PhantomSet(1, 500, LESIONS),
    "target": PhantomSet(3, 4, scanner=(("kernel", "sharp"),)),
    "target_test": PhantomSet(1, 5, LESIONS, (("kernel", "sharp"),)),
}


def bench(work: Path, arms: Mapping[str, runs.Arm] = ablations.ARMS) -> runs.Bench:
    return runs.Bench(work, 2, arms, TINY)


def result_of(arm: runs.Arm, seed: int, where: runs.Bench, *, strong: bool) -> dict[str, Any]:
    """A made-up result of 30 scans with two lesions and two false candidates each."""
    rng = np.random.default_rng([seed, 7])
    lesions, candidates, scans = [], [], []
    for number in range(30):
        case = f"case_{number:02d}"
        scans.append(case)
        for lesion, mm in ((1, 8.0), (2, 25.0)):
            score = float(rng.uniform(0.2, 0.9)) + (0.25 if strong else 0.0)
            found = rng.random() < 0.9
            lesions.append(
                {
                    "case": case,
                    "lesion": lesion,
                    "diameter_mm": mm,
                    "contrast_hu": -30.0,
                    "detected": bool(found),
                    "score": score if found else None,
                }
            )
            if found:
                candidates.append({"case": case, "verdict": "true_positive", "score": score})
        candidates += [
            {"case": case, "verdict": "false_positive", "score": float(rng.uniform(0.2, 0.9))}
            for _ in range(2)
        ]
    return {
        "arm": arm.name,
        "seed": seed,
        "fingerprint": where.fingerprint(arm),
        "sets": {"test": {"scans": scans, "lesions": lesions, "candidates": candidates}},
    }


def write_result(where: runs.Bench, arm: runs.Arm, seed: int, *, strong: bool = False) -> Path:
    path = runs.result_path(where, arm, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result_of(arm, seed, where, strong=strong)))
    return path


def made_up(*, strong: bool = False, seed: int = 0) -> Detections:
    where = bench(Path("nowhere"))
    return tables.of_set(result_of(ablations.ARMS["baseline"], seed, where, strong=strong), "test")


def liver() -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float64]]:
    """HU with noise of 10 HU, labels and affine of a liver of 80 mm in fat."""
    shape = (64, 64, 44)
    i, j, k = np.indices(shape)
    inside = ((i - 32) / 27.0) ** 2 + ((j - 32) / 27.0) ** 2 + ((k - 22) / 18.0) ** 2 <= 1.0
    hu = np.where(inside, 110.0, -100.0) + np.random.default_rng(0).normal(0.0, 10.0, shape)
    affine = np.diag([-1.5, -1.5, 2.0, 1.0])
    return hu.astype(np.float32), inside.astype(np.uint8), affine


def edited(features: Sequence[str], **spec: Any) -> PatchEdit:
    wanted = LesionSpec(organ="liver", diameter_mm=(32.0, 32.0), exophytic=False, **spec)
    with without(features):
        return PatchSynthesizer(specs=wanted, labels=NAMES).edit(*liver(), seed=3)


# --- switches --------------------------------------------------------------------------------


def test_switches_are_off_again_after_the_block_and_after_an_error() -> None:
    before = edited(())
    edited(tuple(FEATURES))
    with pytest.raises(RuntimeError, match="on purpose"), without(("noise", "margin", "phase")):
        raise RuntimeError("on purpose")
    again = edited(())
    assert before.image is not None
    assert again.image is not None
    np.testing.assert_array_equal(before.image, again.image)


def test_without_noise_the_lesion_is_smooth() -> None:
    def spread(features: Sequence[str]) -> float:
        (one,) = edited(features, kind="metastasis", contrast_hu=-40.0, uniform=True).lesions
        # The margin is mixed with parenchyma.
        deep = ndimage.binary_erosion(one.mask, iterations=3)
        assert np.count_nonzero(deep) > 100
        return float(one.stored[deep].std())

    assert spread(()) == pytest.approx(10.0, rel=0.25)
    assert spread(("noise",)) < 1.0


def test_without_a_margin_every_changed_voxel_of_the_organ_is_labelled() -> None:
    _, labels, _ = liver()
    for features, soft in (((), True), (("margin",), False)):
        (one,) = edited(features, kind="metastasis", contrast_hu=-60.0).lesions
        beside = one.edited & ~one.mask & (labels[one.region] == 1)
        assert bool(beside.any()) is soft


def test_every_switch_of_the_recipe_changes_the_voxels() -> None:
    usual = edited((), kind="metastasis", rim=True)
    assert usual.image is not None
    for name in ("noise", "texture", "interior", "shape", "margin"):
        plain = edited((name,), kind="metastasis", rim=True)
        assert plain.image is not None
        same = plain.image.shape == usual.image.shape
        assert not (same and np.array_equal(plain.image, usual.image)), name


def test_without_the_phase_a_lesion_has_the_contrast_of_the_portal_venous_phase() -> None:
    def contrast(features: Sequence[str], phase: str) -> float:
        wanted = LesionSpec(organ="liver", diameter_mm=(32.0, 32.0), kind="hcc")
        with without(features):
            one = PatchSynthesizer(specs=wanted, labels=NAMES, phase=phase).edit(*liver(), seed=3)
        return one.lesions[0].recipe.contrast_hu

    assert contrast((), "arterial") > 0.0 > contrast((), "portal_venous")
    assert contrast(("phase",), "arterial") == contrast((), "portal_venous")


def test_without_vessels_their_tissue_is_as_good_as_the_organ() -> None:
    (usual,), (plain,) = (edited(off, kind="hcc").lesions for off in ((), ("vessels",)))
    assert usual.recipe.vessel_speed < 1.0
    assert plain.recipe.vessel_speed == 1.0
    assert replace(plain.recipe, vessel_speed=usual.recipe.vessel_speed) == usual.recipe


def test_a_feature_that_is_not_known_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="texture"), without(("textur",)):
        pass


# --- draws, fingerprints, resuming -----------------------------------------------------------


def test_draws_are_nested_and_differ_between_seeds() -> None:
    names = [f"case_{n}" for n in range(20)]
    for seed in range(3):
        few = [runs._drawn(names, n, seed) for n in scaling.SIZES]
        for less, more in itertools.pairwise(few):
            assert set(less) < set(more)
    assert runs._drawn(names, 4, 0) != runs._drawn(names, 4, 1)
    with pytest.raises(ConfigError, match="of 20"):
        runs._drawn(names, 21, 0)


def test_results_that_are_there_are_not_run_again(tmp_path: Path) -> None:
    where, arm = bench(tmp_path), ablations.ARMS["baseline"]
    for seed in (0, 1):
        write_result(where, arm, seed)
    said: list[str] = []
    # Nothing to train with is in the folder, so that a run would leave traces.
    assert runs.run_all(where, [(arm, 0), (arm, 1)], say=said.append) == 0
    assert said == ["2 of 2 runs are done"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results"]


def test_a_result_of_other_settings_is_refused(tmp_path: Path) -> None:
    where, arm = bench(tmp_path), ablations.ARMS["baseline"]
    write_result(where, arm, 0)
    other = replace(where, steps=3)
    with pytest.raises(ConfigError, match="other settings"):
        runs.run_all(other, [(arm, 0)], say=lambda _: None)
    with pytest.raises(ConfigError, match="other settings"):
        tables.compared(other, ablations.CONTRASTS[:1], ablations.ARMS)


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    where, arm = bench(tmp_path), ablations.ARMS["baseline"]
    path = write_result(where, arm, 0)
    path.write_text(path.read_text()[:100])
    with pytest.raises(UnreadableFileError, match=r"baseline-0\.json"):
        runs.read_results(where, arm)


def test_arms_share_a_fingerprint_only_with_themselves() -> None:
    where = bench(Path("nowhere"), ablations.ARMS | scaling.ARMS)
    prints = [where.fingerprint(arm) for arm in where.arms.values()]
    assert len(set(prints)) == len(prints)
    assert scaling.ARMS["baseline"] is ablations.ARMS["baseline"]


def test_every_contrast_and_start_names_an_arm() -> None:
    for contrast in ablations.CONTRASTS:
        for name in (contrast.having, contrast.lacking):
            assert contrast.test in ablations.ARMS[name].tests
    for arm in ablations.ARMS.values():
        assert arm.start is None or arm.start in ablations.ARMS


# --- figures and intervals -------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_sensitivity_at_a_rate_is_that_of_the_froc_curve(seed: int) -> None:
    found = made_up(seed=seed)
    curve = froc_of(found, rng=np.random.default_rng(0), draws=20)
    for rate in LUNA16_RATES:
        called, threshold = tables.found_at(found, rate)
        assert called.mean() == pytest.approx(curve.rates[rate].value)
        assert (found.false_score >= threshold).sum() <= rate * len(found.scans) + 1e-6
    assert tables.figures(found)[-1] == pytest.approx(curve.cpm.value)


def test_scans_that_count_twice_are_as_good_as_two_scans() -> None:
    result = result_of(ablations.ARMS["baseline"], 0, bench(Path("nowhere")), strong=False)
    own = result["sets"]["test"]
    twice = {name: list(rows) for name, rows in own.items()}
    for name in ("lesions", "candidates"):
        first = [row for row in own[name] if row["case"] == "case_00"]
        twice[name] = twice[name] + [{**row, "case": "copy"} for row in first]
    twice["scans"].append("copy")
    weight = np.ones(30)
    weight[0] = 2.0
    np.testing.assert_allclose(
        tables.figures(tables.of_set(result, "test"), weight),
        tables.figures(tables.of_set({"sets": {"test": twice}}, "test")),
    )


def test_a_detector_without_candidates_finds_nothing() -> None:
    plain = {"case": "a", "lesion": 1, "diameter_mm": 12.0, "detected": False, "score": None}
    there = {"scans": ["a", "b"], "lesions": [plain], "candidates": []}
    values = tables.figures(tables.of_set({"sets": {"test": there}}, "test"))
    assert values[0] == 0.0
    assert np.isnan(values[1])  # no lesion up to 10 mm
    assert values[2] == 0.0


def test_a_mechanism_that_lifts_scores_pays_and_none_does_not(tmp_path: Path) -> None:
    where = bench(tmp_path)
    for seed in range(4):
        write_result(where, ablations.ARMS["baseline"], seed, strong=True)
        write_result(where, ablations.ARMS["offline"], seed)
        write_result(where, ablations.ARMS["plain"], seed, strong=True)
    rows = tables.compared(where, ablations.CONTRASTS[:2], ablations.ARMS)
    first = [row for row in rows if row["without"] == "offline"]
    assert [row["verdict"] for row in first if row["measure"] == tables.measures()[0]] == ["pays"]
    assert all(row["patients"] == 30 and row["seeds"] == 4 for row in first)
    assert first[0]["lesions"] == 60
    assert first[1]["lesions"] == 30
    same = [row for row in rows if row["without"] == "plain"]
    assert [row["difference"] for row in same if row["lesions"]] == [0.0] * 4
    assert {row["verdict"] for row in same if row["lesions"]} == {"no difference at all"}
    assert [row["verdict"] for row in same if not row["lesions"]] == ["not computed"]
    assert not any(row["verdict"] in ("pays", "costs") for row in same)


def test_one_seed_gives_a_value_and_no_interval_for_others(tmp_path: Path) -> None:
    where = bench(tmp_path)
    write_result(where, ablations.ARMS["baseline"], 0, strong=True)
    write_result(where, ablations.ARMS["offline"], 0)
    row = tables.compared(where, ablations.CONTRASTS[:1], ablations.ARMS)[0]
    assert row["low"] is None
    assert row["low_these_seeds"] is not None
    assert row["verdict"] == "no interval: one seed"


def test_contrasts_that_were_not_run_stay_in_the_table(tmp_path: Path) -> None:
    rows = tables.compared(bench(tmp_path), ablations.CONTRASTS, ablations.ARMS)
    text = tables.markdown(rows)
    assert text.count("not run") == len(ablations.CONTRASTS)
    tables.write_csv(rows, tmp_path / "table.csv")
    assert pl.read_csv(tmp_path / "table.csv").height == len(ablations.CONTRASTS)


def test_scaling_reads_the_rows_of_the_scaling_experiment(tmp_path: Path) -> None:
    where = bench(tmp_path, scaling.ARMS)
    for arm in scaling.ARMS.values():
        for draw in range(2):
            write_result(where, arm, draw, strong=arm.tumors == "fresh")
    count = scaling.write_rows(scaling.rows_of(where), tmp_path / "scaling.csv")
    assert count == 13 * 2 * 60 * 2  # arms, draws, lesions, and each stands in two groups
    table = Table("scaling", pl.read_csv(tmp_path / "scaling.csv"))
    metric, groups = read_measurements(table)
    assert metric == "found"
    by_name = {group.group: group for group in groups}
    assert by_name["all"].n_patients == 30
    assert by_name["all"].has_draws
    assert len(by_name["all"].real_arms) == 6
    assert len(by_name["all"].mixed_arms) == 7


def test_the_figure_is_drawn_from_what_is_there(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    where = bench(tmp_path, scaling.ARMS)
    for name in ("baseline", "real-02", "real-08-synthetic"):
        write_result(where, scaling.ARMS[name], 0)
    scaling.draw_figure(where, tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")


# --- the whole way ---------------------------------------------------------------------------


@pytest.mark.slow
def test_every_way_to_train_ends_in_a_result(tmp_path: Path) -> None:
    where = bench(tmp_path)
    names = ("baseline", "offline", "plain", ablations.AS_IS, "adapted", "transferred")
    few = {name: replace(arm, real=min(arm.real, 1)) for name, arm in ablations.ARMS.items()}
    where = replace(where, arms=few)
    said: list[str] = []
    assert runs.run_all(where, [(few[name], 0) for name in names], say=said.append) == 0, said
    for name in names:
        (result,) = runs.read_results(where, few[name]).values()
        for test in few[name].tests:
            found = tables.of_set(result, test)
            assert len(found.scans) == TINY[test].n
            assert found.lesion_found.size >= 1
    first = runs.result_path(where, few["baseline"], 0)
    plain = json.loads(first.read_text())
    first.unlink()
    assert runs.run_all(where, [(few["baseline"], 0)], say=said.append) == 0
    assert json.loads(first.read_text())["sets"] == plain["sets"]
