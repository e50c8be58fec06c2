"""Adapting and improving: what is gained, what is lost, and that the old detector is safe."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("monai", reason="networks are MONAI's")
pytest.importorskip("lightning_fabric", reason="training runs on Lightning Fabric")

from cli.hosts import hashes  # noqa: E402
from scalemai.detector.files import read_detector, write_detector  # noqa: E402
from scalemai.detector.network import NETWORKS, build_network  # noqa: E402
from scalemai.detector.spec import DetectorSpec, NetworkSpec  # noqa: E402
from scalemai.errors import ConfigError  # noqa: E402
from scalemai.synthesis.populations.distributions import Histogram  # noqa: E402
from scalemai.synthesis.populations.group import Group  # noqa: E402
from scalemai.synthesis.populations.population import TumorPopulation  # noqa: E402
from scalemai.synthesis.spec import LesionSpec  # noqa: E402
from scalemai.training.adapt import SOURCE, TARGET, adapt  # noqa: E402
from scalemai.training.cache import Cache, prepare_cases  # noqa: E402
from scalemai.training.config import OptimiserConfig, TrainingConfig  # noqa: E402
from scalemai.training.improve import MISSED, USUAL, improve  # noqa: E402
from scalemai.training.material import choose_cases  # noqa: E402
from scalemai.training.rounds import Guard, Mixed, fine_tune, pulled_back  # noqa: E402
from scalemai.training.tuned import (  # noqa: E402
    PAGE,
    TABLE,
    Tuned,
    detector_of,
    fine_tuning_config,
)

from .hosts import SPEC, pancreas, write_patient, write_set  # noqa: E402

SMALL = replace(SPEC, network=NetworkSpec("basic-unet", {"features": [4, 4, 4, 4, 4, 4]}))
QUICK = (
    "steps=4",
    "batch=2",
    "validation.patches=4",
    "compute.threads=1",
    "run.workers=0",
    "run.tensorboard=false",
)
TAIL = TumorPopulation(
    (Group(organ="pancreas", weight=1.0, site="tail", size_mm=Histogram((6.0, 12.0), (1.0,))),)
)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    root = tmp_path_factory.mktemp("hosts")
    return prepare_cases(write_set(root / "data", normal=3), SMALL, root / "cache")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    from scalemai.cases import open_cases

    root = tmp_path_factory.mktemp("elsewhere")
    for number in range(2):
        write_patient(root / "data" / f"other_{number}", pancreas(), seed=50 + number)
    return prepare_cases(open_cases(root / "data"), SMALL, root / "cache")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "detector"
    write_detector(detector_of(_bare(SMALL), _random(SMALL)), folder)
    return folder


@pytest.fixture(scope="module")
def config(model: Path) -> TrainingConfig:
    return fine_tuning_config(read_detector(model), QUICK)


@pytest.fixture(scope="module")
def adapted(
    model: Path, hosts: Cache, elsewhere: Cache, config: TrainingConfig,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Tuned]:  # fmt: skip
    out = tmp_path_factory.mktemp("adapted")
    return out, adapt(
        model, elsewhere, out, source=hosts, config=config, guard=Guard(2, margin=1.0), repeats=1
    )


def test_both_hospitals_are_shown_side_by_side(adapted: tuple[Path, Tuned], model: Path) -> None:
    out, tuned = adapted
    assert [set(scores) for scores in tuned.rounds.scores] == [{TARGET, SOURCE}] * 3
    assert set(tuned.comparison.scans["group"]) == {TARGET, SOURCE}
    rows = json.loads((out / TABLE).read_text())["before_and_after"]
    assert {row["group"] for row in rows} == {TARGET, SOURCE}
    assert "target: sensitivity, all" in (out / PAGE).read_text(encoding="utf-8")
    again = read_detector(out / "detector")
    assert (
        again.origin["adapted_from"]
        == json.loads((model / "detector.json").read_text())["weights_sha256"]
    )
    assert "Calibrations and operating points of it do not hold" in again.card


def test_the_kept_round_has_the_best_dice_on_the_target(adapted: tuple[Path, Tuned]) -> None:
    rounds = adapted[1].rounds
    dice = [scores[TARGET].dice for scores in rounds.scores]
    assert dice[rounds.kept] == max(dice)


def test_the_old_detector_is_not_touched_and_a_second_call_gives_the_same_weights(
    adapted: tuple[Path, Tuned], model: Path, hosts: Cache, elsewhere: Cache,
    config: TrainingConfig, tmp_path: Path,
) -> None:  # fmt: skip
    out, tuned = adapted
    before = hashes(model)
    once_more = adapt(
        model, elsewhere, tmp_path, source=hosts, config=config, guard=Guard(2, margin=1.0),
        repeats=1,
    )  # fmt: skip
    assert hashes(model) == before
    assert hashes(tmp_path / "detector") == hashes(out / "detector")
    assert once_more.rounds.scores == tuned.rounds.scores


def test_rounds_end_when_the_source_has_lost_more_than_the_margin(
    hosts: Cache, config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NETWORKS, "line", lambda inputs, outputs, _: _line(inputs, outputs))  # type: ignore[arg-type]  # a dict
    own = replace(config, detector=replace(SPEC, network=NetworkSpec("line")))
    dark = (LesionSpec(organ="pancreas", diameter_mm=(12.0, 25.0), contrast_hu=-60.0),)
    material = choose_cases(hosts, own, dark)
    held_out = material.held_out_patches(own)
    assert held_out is not None
    good = dict(_line(2, 2).state_dict())
    wild = replace(own, optimiser=replace(own.optimiser, learning_rate=10.0, warm_up=0))
    found = fine_tune(
        wild, material.patches, tmp_path / "wild", good, looks={"all": held_out}, wanted="all",
        guarded="all", guard=Guard(4, margin=0.1),
    )  # fmt: skip
    assert found.scores[0]["all"].dice > 0.4
    assert found.stopped
    assert len(found.scores) < 5
    assert found.kept == 0
    assert found.weights is good
    tame = replace(own, optimiser=replace(own.optimiser, learning_rate=1e-6))
    kept = fine_tune(
        tame, material.patches, tmp_path / "tame", good, looks={"all": held_out}, wanted="all",
        guarded="all", guard=Guard(4, margin=0.1),
    )  # fmt: skip
    assert not kept.stopped
    assert len(kept.scores) == 5


def test_weights_go_back_by_the_share_asked_for_and_counts_stay() -> None:
    new = {"w": torch.tensor([4.0, -2.0]), "n": torch.tensor(7)}
    old = {"w": torch.tensor([0.0, 2.0]), "n": torch.tensor(3)}
    back = pulled_back(new, old, 0.75)
    assert back["w"].tolist() == [1.0, 1.0]
    assert int(back["n"]) == 7
    assert pulled_back(new, old, 0.0) is new


def test_without_a_source_what_is_forgotten_is_said_to_be_unknown(
    model: Path, elsewhere: Cache, config: TrainingConfig, tmp_path: Path
) -> None:
    tuned = adapt(model, elsewhere, tmp_path, config=config, guard=None, repeats=1)
    assert "what the detector has forgotten there is not computed" in tuned.notes[0]
    assert set(tuned.comparison.scans["group"]) == {TARGET}
    assert read_detector(tmp_path / "detector").origin["pull"] == 0.2


def test_improving_shows_the_missed_group_and_the_usual_one(
    model: Path, hosts: Cache, config: TrainingConfig, tmp_path: Path
) -> None:
    tuned = improve(model, TAIL, hosts, tmp_path, config=config, guard=Guard(1), repeats=2)
    lesions, scans = tuned.comparison.lesions, tuned.comparison.scans
    assert set(scans["group"]) == {MISSED, USUAL}
    assert scans.height == 4
    assert lesions.filter(group=MISSED)["diameter_mm"].max() < 16.0
    whats = {(row["group"], row["what"]) for row in tuned.rows}
    assert (MISSED, "sensitivity, all") in whats
    assert (USUAL, "false candidates per scan") in whats
    assert "site: tail" in read_detector(tmp_path / "detector").origin["population"]


def test_sources_take_turns_whatever_their_size() -> None:
    mixed = Mixed([{"key": "a0"}, {"key": "a1"}], [{"key": "b0"}, {"key": "b1"}])
    assert [mixed[index]["key"] for index in range(4)] == ["a0", "b0", "a1", "b1"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["detector.patch=[64,64,64]"], "would make another detector"),
        (["validation.share=0"], "nothing would be held out"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(
    model: Path, settings: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        fine_tuning_config(read_detector(model), settings)


def test_a_detector_is_trained_on_as_it_was_trained_but_slower_and_shorter(model: Path) -> None:
    told = TrainingConfig(
        detector=SMALL, steps=200, seed=7, optimiser=OptimiserConfig(learning_rate=2e-3)
    )
    known = replace(read_detector(model), origin={"config": told.to_dict()})
    config, again = fine_tuning_config(known), fine_tuning_config(known, ["steps=9"])
    assert (config.steps, config.seed, config.detector) == (50, 7, SMALL)
    assert config.optimiser.learning_rate == pytest.approx(2e-4)
    assert again == replace(config, steps=9)
    assert known.origin == {"config": told.to_dict()}


def test_a_case_in_both_hospitals_is_refused(
    model: Path, hosts: Cache, config: TrainingConfig, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="is in both sets"):
        adapt(model, hosts, tmp_path, source=hosts, config=config)


def _bare(spec: DetectorSpec) -> TrainingConfig:
    return TrainingConfig(detector=spec)


def _line(inputs: int, outputs: int) -> torch.nn.Module:
    """Calls a lesion what is darker than 90 HU within the organ's mask."""
    network = torch.nn.Conv3d(inputs, outputs, 1)
    with torch.no_grad():
        network.weight.zero_()
        network.bias.zero_()
        network.weight[1, :2, 0, 0, 0] = torch.tensor([-20.0, 30.0])
        network.bias[1] = 20.0 * (2.0 * (90.0 + 175.0) / 425.0 - 1.0) - 30.0
    return network


def _random(spec: DetectorSpec) -> dict[str, torch.Tensor]:
    return dict(build_network(spec, seed=1).state_dict())
