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
from scalemai.detector.files import (  # noqa: E402
    read_detector,
    weights_digest,
    write_detector,
)
from scalemai.detector.network import NETWORKS, build_network  # noqa: E402
from scalemai.detector.spec import DetectorSpec, NetworkSpec  # noqa: E402
from scalemai.errors import ConfigError  # noqa: E402
from scalemai.synthesis.populations.distributions import Histogram  # noqa: E402
from scalemai.synthesis.populations.group import Group  # noqa: E402
from scalemai.synthesis.populations.population import TumorPopulation  # noqa: E402
from scalemai.synthesis.spec import LesionSpec  # noqa: E402
from scalemai.training.adapt import SOURCE, TARGET, adapt  # noqa: E402
from scalemai.training.cache import Cache, prepare_cases  # noqa: E402
from scalemai.training.checkpoint import last_step, read_checkpoint  # noqa: E402
from scalemai.training.config import OptimiserConfig, TrainingConfig  # noqa: E402
from scalemai.training.dividing import divide  # noqa: E402
from scalemai.training.fit import CHECKPOINTS  # noqa: E402
from scalemai.training.improve import MISSED, USUAL, improve  # noqa: E402
from scalemai.training.rounds import (  # noqa: E402
    Guard,
    Mixed,
    detector_of,
    fine_tune,
    pulled_back,
)
from scalemai.training.transfer.groups import Anchored, parameter_groups  # noqa: E402
from scalemai.training.transfer.layers import DECODERS  # noqa: E402
from scalemai.training.tuned import PAGE, TABLE, Tuned, fine_tuning_config  # noqa: E402

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
    for number in range(3):
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
    assert [set(looks) for looks in tuned.rounds.looks] == [{TARGET, SOURCE}] * 3
    assert set(tuned.comparison.groups) == {TARGET, SOURCE}
    rows = json.loads((out / TABLE).read_text())["before_and_after"]
    assert {row["group"] for row in rows} == {TARGET, SOURCE}
    assert all(row["change"]["value"] is not None for row in rows)
    page = (out / PAGE).read_text(encoding="utf-8")
    assert "target: sensitivity at 1 false candidates per scan, all" in page
    again = read_detector(out / "detector")
    assert (
        again.origin["adapted_from"]
        == json.loads((model / "detector.json").read_text())["weights_sha256"]
    )
    assert "Calibrations and operating points of it do not hold" in again.card


def test_where_nothing_is_gained_it_is_said_and_the_old_weights_are_kept(
    adapted: tuple[Path, Tuned], model: Path
) -> None:
    out, tuned = adapted
    assert tuned.rounds.kept == 0
    assert tuned.notes[0].startswith("nothing gained: no round of 2 found clearly more of 'target'")
    assert "Nothing gained" in (out / PAGE).read_text(encoding="utf-8")
    assert weights_digest(tuned.detector) == weights_digest(read_detector(model))
    assert all(row["change"].value == 0.0 for row in tuned.rows)


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
    assert once_more.rounds.looks == tuned.rounds.looks


@pytest.fixture
def line(config: TrainingConfig, monkeypatch: pytest.MonkeyPatch) -> TrainingConfig:
    """A training of the smallest network there is: it looks at one voxel at a time."""
    monkeypatch.setitem(NETWORKS, "line", lambda inputs, outputs, _: _line(inputs, outputs))  # type: ignore[arg-type]  # a dict
    monkeypatch.setitem(DECODERS, "line", r"1\.")  # type: ignore[arg-type]  # a dict
    return replace(config, detector=replace(SPEC, network=NetworkSpec("line")))


@pytest.fixture(scope="module")
def dark() -> tuple[LesionSpec, ...]:
    return (LesionSpec(organ="pancreas", diameter_mm=(12.0, 25.0), contrast_hu=-60.0),)


def test_rounds_end_when_the_source_has_lost_more_than_the_margin(
    line: TrainingConfig, hosts: Cache, dark: tuple[LesionSpec, ...], tmp_path: Path
) -> None:
    data = divide(hosts, line, dark, where="hosts")
    choice, _ = data.scans(line, 2)
    good = dict(_line(2, 2).state_dict())
    wild = replace(line, optimiser=replace(line.optimiser, learning_rate=10.0, warm_up=0))
    found = fine_tune(
        wild, data.choice.patches, tmp_path / "wild", good, scans={"all": choice}, wanted="all",
        guarded="all", guard=Guard(4, margin=0.1),
    )  # fmt: skip
    assert found.looks[0]["all"].sensitivity >= 0.5
    assert found.stopped
    assert len(found.looks) < 5
    assert found.kept == 0
    assert found.weights is good
    tame = replace(line, optimiser=replace(line.optimiser, learning_rate=1e-6))
    kept = fine_tune(
        tame, data.choice.patches, tmp_path / "tame", good, scans={"all": choice}, wanted="all",
        guarded="all", guard=Guard(2, margin=0.1),
    )  # fmt: skip
    assert not kept.stopped
    assert len(kept.looks) == 3


def test_a_detector_that_was_blind_to_a_hospital_is_adapted_and_the_gain_is_counted(
    line: TrainingConfig, hosts: Cache, dark: tuple[LesionSpec, ...], tmp_path: Path
) -> None:
    write_detector(detector_of(line, _line(2, 2, below_hu=0.0).state_dict()), tmp_path / "blind")
    quick = replace(
        line, steps=60, batch=4,
        optimiser=replace(line.optimiser, learning_rate=1.0, warm_up=0, clip_norm=0.0),
    )  # fmt: skip
    tuned = adapt(
        tmp_path / "blind", hosts, tmp_path / "out", lesions=dark, config=quick,
        guard=Guard(3, clear=1.0), repeats=3,
    )  # fmt: skip
    assert tuned.rounds.looks[0][TARGET].found == 0
    assert tuned.rounds.kept > 0
    first = tuned.rows[0]
    assert first["gained"] > 0.5 * first["n"]
    assert first["change"].value == pytest.approx((first["gained"] - first["lost"]) / first["n"])
    assert tuned.notes[0].startswith("the weights are those of round")
    assert "a gain is neither shown nor excluded, 1 patient is too few" in tuned.notes[1]
    divided = divide(hosts, quick, dark, where="hosts")
    assert divided.choice.held_out is not None
    chosen_with = {*divided.choice.cases.ids, *divided.choice.held_out.ids}
    assert not set(tuned.comparison.lesions["host"]) & chosen_with


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
    assert "what the detector has forgotten there is not computed" in tuned.notes[-1]
    assert set(tuned.comparison.groups) == {TARGET}
    assert read_detector(tmp_path / "detector").origin["guard"]["pull"] == 0.2


def test_improving_shows_the_missed_group_and_the_usual_one(
    model: Path, hosts: Cache, config: TrainingConfig, tmp_path: Path
) -> None:
    guard = Guard(1, rate=2.0)
    tuned = improve(model, TAIL, hosts, tmp_path, config=config, guard=guard, replay=True)
    lesions = tuned.comparison.lesions
    assert set(tuned.comparison.groups) == {MISSED, USUAL}
    assert tuned.comparison.scans == 4  # one host to test with, two sets of lesions, two groups
    assert lesions.filter(group=MISSED)["diameter_mm"].max() < 16.0
    whats = {(row["group"], row["what"]) for row in tuned.rows}
    assert (MISSED, "sensitivity at 2 false candidates per scan, all") in whats
    assert (USUAL, "false candidates per scan at a probability of 0.5") in whats
    assert "site: tail" in read_detector(tmp_path / "detector").origin["population"]


def test_the_anchor_adds_the_gradient_of_the_distance_to_the_old_weights() -> None:
    layer = torch.nn.Linear(3, 2)
    old = {name: value.detach() + 0.5 for name, value in layer.named_parameters()}
    seen = torch.tensor([[1.0, -2.0, 0.5]])
    layer(seen).square().sum().backward()
    plain = {name: value.grad.clone() for name, value in layer.named_parameters()}
    layer.zero_grad()
    parameter_groups(layer, Anchored({"weight": 1.0, "bias": 0.5}, old, 0.3))
    layer(seen).square().sum().backward()
    for name, value in layer.named_parameters():
        torch.testing.assert_close(value.grad, plain[name] - 0.3 * 0.5)


def test_a_stronger_anchor_ends_nearer_to_the_old_weights(
    line: TrainingConfig, hosts: Cache, dark: tuple[LesionSpec, ...], tmp_path: Path
) -> None:
    data = divide(hosts, line, dark, where="hosts")
    choice, _ = data.scans(line, 1)
    old = dict(_line(2, 2).state_dict())
    fast = replace(line, steps=8, optimiser=replace(line.optimiser, learning_rate=0.5, warm_up=0))
    far = {}
    for anchor in (0.0, 100.0):
        out = tmp_path / f"{anchor:g}"
        fine_tune(
            fast, data.choice.patches, out, old, scans={"all": choice}, wanted="all",
            guarded=None, guard=Guard(1, anchor=anchor),
        )  # fmt: skip
        step = last_step(out / "round-01" / CHECKPOINTS)
        assert step is not None
        new = read_checkpoint(out / "round-01" / CHECKPOINTS, step).weights
        far[anchor] = sum(float((new[name] - old[name]).square().sum()) for name in old)
    assert far[100.0] < 0.5 * far[0.0]
    mixed = replace(fast, compute=replace(fast.compute, precision="16-mixed"))
    with pytest.raises(ConfigError, match="anchor: does not go with 16-mixed"):
        fine_tune(
            mixed, data.choice.patches, tmp_path / "16", old, scans={}, wanted="all",
            guarded=None, guard=Guard(1, anchor=1.0),
        )  # fmt: skip


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


def test_two_scans_are_too_few_to_learn_choose_and_test(
    model: Path, elsewhere: Cache, config: TrainingConfig, tmp_path: Path
) -> None:
    few = elsewhere.subset(elsewhere.ids[:2])
    with pytest.raises(ConfigError, match=r"target: 2 cases are too few .* give 3 or more"):
        adapt(model, few, tmp_path, config=config)


def test_a_case_in_both_hospitals_is_refused(
    model: Path, hosts: Cache, config: TrainingConfig, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="is in both sets"):
        adapt(model, hosts, tmp_path, source=hosts, config=config)


def _bare(spec: DetectorSpec) -> TrainingConfig:
    return TrainingConfig(detector=spec)


def _line(inputs: int, outputs: int, below_hu: float = 90.0) -> torch.nn.Module:
    """Calls a lesion what is darker than some HU within the organ's mask."""
    network = torch.nn.Sequential(torch.nn.Conv3d(inputs, 2, 1), torch.nn.Conv3d(2, outputs, 1))
    with torch.no_grad():
        for value in network.parameters():
            value.zero_()
        network[0].weight[0, :, 0, 0, 0] = torch.tensor([-20.0, 30.0])[:inputs]
        network[0].bias[0] = 20.0 * (2.0 * (below_hu + 175.0) / 425.0 - 1.0) - 30.0
        network[1].weight[1, 0] = 1.0
    return network


def _random(spec: DetectorSpec) -> dict[str, torch.Tensor]:
    return dict(build_network(spec, seed=1).state_dict())
