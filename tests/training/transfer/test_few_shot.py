"""Trainings with a start, killed and resumed, and learning curves that ``scaling`` can read."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("monai", reason="networks are MONAI's")
pytest.importorskip("lightning_fabric", reason="training runs on Lightning Fabric")

from scalemai.detector.files import (  # noqa: E402
    Detector,
    read_detector,
    weights_digest,
    write_detector,
)
from scalemai.detector.network import build_network  # noqa: E402
from scalemai.detector.spec import NetworkSpec  # noqa: E402
from scalemai.errors import ConfigError, UnreadableFileError  # noqa: E402
from scalemai.evaluation.scaling.analysis import read_scaling  # noqa: E402
from scalemai.evaluation.scaling.question import Question  # noqa: E402
from scalemai.training.cache import Cache, prepare_cases  # noqa: E402
from scalemai.training.config import (  # noqa: E402
    ComputeConfig,
    OptimiserConfig,
    RunConfig,
    SamplingConfig,
    TrainingConfig,
    ValidationConfig,
)
from scalemai.training.fit import Progress  # noqa: E402
from scalemai.training.material import Material  # noqa: E402
from scalemai.training.transfer.few_shot import (  # noqa: E402
    TABLE,
    few_shot_curve,
    lesion_dice,
    write_table,
)
from scalemai.training.transfer.few_shot_plan import FewShot, plan_few_shot  # noqa: E402
from scalemai.training.transfer.few_shot_summary import (  # noqa: E402
    over_draws,
    summarise,
    write_summary,
)
from scalemai.training.transfer.foreign import ForeignCheckpoint, load_foreign  # noqa: E402
from scalemai.training.transfer.run import transfer  # noqa: E402
from scalemai.training.transfer.start import Mode, Start, start_from  # noqa: E402

from ..hosts import SPEC, write_set  # noqa: E402

CONFIG = TrainingConfig(
    detector=replace(
        SPEC, network=NetworkSpec("basic-unet", {"features": [4, 4, 4, 4, 4, 4]}), patch=(32,) * 3
    ),
    steps=4,
    batch=1,
    sampling=SamplingConfig(share_synthetic=0.0, augment=False, organ_corruption=False),
    optimiser=OptimiserConfig(learning_rate=1e-2, warm_up=0),
    validation=ValidationConfig(every=0),
    compute=ComputeConfig(accelerator="cpu", threads=1),
    run=RunConfig(workers=0, checkpoint_every=1, tensorboard=False),
)
DICE = partial(lesion_dice, threads=1)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    root = tmp_path_factory.mktemp("data")
    return prepare_cases(write_set(root / "set", normal=0, real=4), CONFIG.detector, root / "cache")


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> ForeignCheckpoint:
    """A detector for another number of classes."""
    folder = tmp_path_factory.mktemp("parent") / "detector"
    spec = replace(CONFIG.detector, classes=("pdac", "pnet", "cyst"))
    write_detector(Detector(spec, build_network(spec, seed=31)), folder)
    return load_foreign(folder)


def material(cache: Cache) -> Material:
    return Material(cache, None, cache.ids_of("real"), None)


def started(seed: int, parent: ForeignCheckpoint, mode: Mode = "full") -> Start:
    return start_from(parent, CONFIG.detector, mode=mode, seed=seed)


@pytest.mark.parametrize("mode", ["frozen", "full"])
def test_a_transfer_changes_what_its_mode_allows(
    tmp_path: Path, cache: Cache, parent: ForeignCheckpoint, mode: Mode
) -> None:
    start = started(0, parent, mode)
    transfer(CONFIG, material(cache), tmp_path, start)
    detector = read_detector(tmp_path / "detector")
    own = detector.network.state_dict()
    changed = {name for name in own if not torch.equal(own[name], start.weights[name])}
    assert changed == (
        {"final_conv.weight", "final_conv.bias"} if mode == "frozen" else set(start.weights)
    )


def test_detector_and_folder_say_where_the_weights_come_from(
    tmp_path: Path, cache: Cache, parent: ForeignCheckpoint
) -> None:
    transfer(CONFIG, material(cache), tmp_path, started(0, parent))
    detector = read_detector(tmp_path / "detector")
    assert detector.origin["start"]["sha256"] == parent.sha256
    assert parent.sha256 in detector.card
    assert detector.origin["data"]["sha256"] in detector.card
    report = json.loads((tmp_path / "start.json").read_text())["report"]
    assert report["counts"]["head"] == 2
    assert report["share_of_parameters"] == 1.0


@pytest.mark.parametrize("mode", ["partial", "full"])
def test_a_transfer_that_was_stopped_ends_with_the_weights_of_an_undisturbed_one(
    tmp_path: Path, cache: Cache, parent: ForeignCheckpoint, mode: Mode
) -> None:
    def stop(progress: Progress) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt

    start = started(0, parent, mode)
    whole = transfer(CONFIG, material(cache), tmp_path / "whole", start)
    with pytest.raises(KeyboardInterrupt):
        transfer(CONFIG, material(cache), tmp_path / "stopped", start, on_progress=stop)
    resumed = transfer(CONFIG, material(cache), tmp_path / "stopped", start)
    assert weights_digest(resumed) == weights_digest(whole)


def test_another_start_into_the_same_folder_is_refused(
    tmp_path: Path, cache: Cache, parent: ForeignCheckpoint
) -> None:
    transfer(CONFIG, material(cache), tmp_path, started(0, parent))
    before = weights_digest(read_detector(tmp_path / "detector"))
    with pytest.raises(ConfigError, match="was started with mode full, not frozen") as caught:
        transfer(CONFIG, material(cache), tmp_path, started(0, parent, "frozen"))
    assert "--restart" in str(caught.value)
    assert weights_digest(read_detector(tmp_path / "detector")) == before
    again = transfer(CONFIG, material(cache), tmp_path, started(0, parent, "frozen"), resume=False)
    assert weights_digest(again) != before
    (tmp_path / "start.json").write_text("{")
    with pytest.raises(UnreadableFileError, match="cannot be read"):
        transfer(CONFIG, material(cache), tmp_path, started(0, parent))


def test_cases_of_a_draw_are_nested_and_never_tested_on(cache: Cache) -> None:
    plan = FewShot(sizes=(2, 1, 3), draws=5, test_share=0.25)
    runs, test = plan_few_shot(cache, plan, seed=4)
    assert len(test) == 1
    assert len(runs) == 4 * 5 * 2
    assert len({run.key for run in runs}) == len(runs)
    for draw in range(5):
        own = [run for run in runs if run.draw == draw]
        for group in ("transfer", "scratch"):
            chosen = [set(run.cases) for run in own if run.group == group]
            assert [len(cases) for cases in chosen] == [0, 1, 2, 3]
            assert chosen[1] < chosen[2] < chosen[3]
            assert not chosen[3] & set(test)
        assert len({run.seed for run in own}) == 1
    assert len({run.cases for run in runs if len(run.cases) == 1}) > 1
    backwards = cache.subset(reversed(cache.ids))
    assert plan_few_shot(backwards, plan, seed=4) == (runs, test)


def test_impossible_curves_say_what_to_do(cache: Cache) -> None:
    with pytest.raises(ConfigError, match="4 cases with lesions, 1 of them for testing, leave 3"):
        plan_few_shot(cache, FewShot(sizes=(1, 5)), seed=0)
    for name, wrong in (
        ("sizes", {"sizes": ()}),
        ("sizes", {"sizes": (-1, 1)}),
        ("draws", {"draws": 0}),
        ("test_share", {"test_share": 1.0}),
        ("groups", {"groups": ("luck",)}),
    ):
        with pytest.raises(ConfigError, match=f"^{name}: "):
            FewShot(**wrong)  # type: ignore[arg-type]  # what is tested


def test_a_curve_is_a_table_that_scaling_reads_and_goes_on_after_a_stop(
    tmp_path: Path, cache: Cache, parent: ForeignCheckpoint
) -> None:
    plan = FewShot(sizes=(1, 2), draws=2, test_share=0.5)
    seen: list[str] = []

    def stop_after_three(outcome: object) -> None:
        seen.append(str(outcome))
        if len(seen) == 3:
            raise KeyboardInterrupt

    config = replace(CONFIG, steps=2)
    start = partial(started, parent=parent)
    with pytest.raises(KeyboardInterrupt):
        few_shot_curve(
            config, cache, tmp_path, start, plan=plan, measure=DICE, on_outcome=stop_after_three
        )
    early = {p: p.stat().st_mtime_ns for p in tmp_path.glob("runs/*/values.json")}
    assert len(early) == 3
    path = few_shot_curve(
        config,
        cache,
        tmp_path,
        start,
        plan=plan,
        measure=DICE,
        on_outcome=lambda _: seen.append(""),
    )
    assert len(seen) == 12
    assert all(p.stat().st_mtime_ns == time for p, time in early.items())
    frame = pl.read_csv(path)
    assert frame.columns == ["n_real", "draw", "seed", "group", "case", "value"]
    assert frame.height == 2 * 3 * 2 * 2  # groups, sizes with 0, draws, test cases
    assert frame["value"].is_between(0.0, 1.0).all()
    found = read_scaling(path, Question())
    assert [group.name for group in found.groups] == ["scratch", "transfer"]
    # One more draw may be added; another training may not.
    more = replace(plan, draws=3, groups=("scratch",), sizes=(1,))
    few_shot_curve(config, cache, tmp_path, start, plan=more, measure=DICE)
    assert pl.read_csv(path).height == 24 + 2 * 2
    with pytest.raises(ConfigError):
        few_shot_curve(replace(config, steps=3), cache, tmp_path, start, plan=plan, measure=DICE)


def test_the_row_without_cases_is_the_start_as_it_is_beside_random_weights(
    tmp_path: Path, cache: Cache, parent: ForeignCheckpoint
) -> None:
    start = partial(started, parent=parent)
    plan = FewShot(sizes=(0,), draws=1, test_share=0.5)
    path = few_shot_curve(CONFIG, cache, tmp_path, start, plan=plan, measure=DICE)
    frame = pl.read_csv(path).sort("group")
    assert frame["n_real"].to_list() == [0] * 4
    own = read_detector(tmp_path / "runs" / "transfer-0-0" / "detector")
    random = read_detector(tmp_path / "runs" / "scratch-0-0" / "detector")
    weights = start(CONFIG.seed).weights
    assert all(
        torch.equal(value, weights[name]) for name, value in own.network.state_dict().items()
    )
    fresh = build_network(CONFIG.detector, seed=CONFIG.seed).state_dict()
    assert all(
        torch.equal(value, fresh[name]) for name, value in random.network.state_dict().items()
    )
    for group, detector in (("transfer", own), ("scratch", random)):
        for case, value in frame.filter(group=group).select("case", "value").rows():
            assert value == pytest.approx(DICE(detector, cache[case]))


def test_a_summary_has_both_groups_and_their_difference_with_intervals_over_draws(
    tmp_path: Path,
) -> None:
    draws = {"transfer": [0.5, 0.6, 0.7, 0.8], "scratch": [0.2, 0.4, 0.4, 0.6]}
    rows = [
        {"n_real": 2, "group": group, "draw": draw, "case": case, "value": value + shift}
        for group, values in draws.items()
        for draw, value in enumerate(values)
        for case, shift in (("a", -0.1), ("b", 0.1))
    ]
    rows += [
        {"n_real": 0, "group": "scratch", "draw": d, "case": "a", "value": 0.0} for d in (0, 1)
    ]
    summary = summarise(pl.DataFrame(rows))
    assert [(row["n_real"], row["group"]) for row in summary] == [
        (0, "scratch"), (2, "transfer"), (2, "scratch"), (2, "transfer - scratch"),
    ]  # fmt: skip
    for row, values in zip(
        summary[1:], [*draws.values(), np.subtract(*draws.values())], strict=True
    ):
        expected = stats.ttest_1samp(values, 0.0).confidence_interval()
        found = row["estimate"]
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
        assert found.value == pytest.approx(np.mean(values))
        assert found.n == 4
    assert "2 draws are too few" in summary[0]["estimate"].reason
    assert over_draws([0.3, 0.3, 0.3]).reason == "every draw gives the same value"
    path = write_summary(tmp_path / TABLE, summary)
    again = pl.read_csv(path)
    assert again["draws"].to_list() == [2, 4, 4, 4]
    assert again["low"].null_count() == 1


def test_dice_is_that_of_known_voxels(cache: Cache) -> None:
    class Says(torch.nn.Module):
        """A detector that finds lesions wherever the first channel is dark."""

        def forward(self, seen: torch.Tensor) -> torch.Tensor:
            # The gland has 110 HU and lesions 65 HU, of a window of -175 to 250 HU.
            dark = (seen[:, :1] < (87.5 + 175.0) / 212.5 - 1.0) & (seen[:, 1:] > 0)
            return torch.cat((-20.0 * dark, 20.0 * dark), dim=1) + torch.tensor([0.1, 0.0]).view(
                1, 2, 1, 1, 1
            )

    case = cache[cache.ids[0]]
    prepared = case.prepared
    assert prepared.labels is not None
    wanted = prepared.labels == 1
    inside = (prepared.hu < 87.5) & prepared.organ
    expected = 2.0 * (inside & wanted).sum() / (inside.sum() + wanted.sum())
    value = DICE(Detector(CONFIG.detector, Says()), case)
    assert value == pytest.approx(expected, abs=0.02)
    assert 0.7 < value < 1.0


def test_no_finished_run_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no run of the learning curve is done"):
        write_table(tmp_path)
