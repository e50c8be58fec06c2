"""A training starts from weights with the layers frozen, or slowed down, that were asked for."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="networks are torch's")
pytest.importorskip("monai", reason="networks are MONAI's")

from scalemai.detector.files import Detector, write_detector  # noqa: E402
from scalemai.detector.genesis_unet import GenesisUNet  # noqa: E402
from scalemai.errors import ConfigError, UnknownNameError  # noqa: E402
from scalemai.training.transfer.foreign import ForeignCheckpoint, load_foreign  # noqa: E402
from scalemai.training.transfer.groups import parameter_groups  # noqa: E402
from scalemai.training.transfer.layers import DECODERS  # noqa: E402
from scalemai.training.transfer.start import (  # noqa: E402
    DECAY,
    Mode,
    learning_rate_factors,
    start_from,
)

from .checkpoints import SEGRESNET, fresh, monai, prefixed, saved, spec_of  # noqa: E402

SPEC = spec_of(SEGRESNET)
HEAD = {"conv_final.2.conv.weight", "conv_final.2.conv.bias"}


@pytest.fixture
def checkpoint(tmp_path: Path) -> ForeignCheckpoint:
    state = prefixed(monai("SegResNet", outputs=25, init_filters=8).state_dict(), "module.")
    return load_foreign(saved(tmp_path / "published.pt", {"net": state, "epoch": 12}))


def trained(mode: Mode, checkpoint: ForeignCheckpoint) -> set[str]:
    """Names of parameters that a few steps of AdamW change."""
    start = start_from(checkpoint, SPEC, mode=mode)
    network = fresh(SPEC)
    network.load_state_dict(start.weights)
    optimiser = torch.optim.AdamW(parameter_groups(network, start.factors), lr=1e-2)
    network.train()
    seen = torch.randn(1, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    for _ in range(2):
        optimiser.zero_grad()
        network(seen).square().mean().backward()
        optimiser.step()
    after = network.state_dict()
    return {name for name, value in start.weights.items() if not torch.equal(value, after[name])}


def test_frozen_trains_the_head_alone(checkpoint: ForeignCheckpoint) -> None:
    assert trained("frozen", checkpoint) == HEAD


def test_partial_trains_the_decoder_too(checkpoint: ForeignCheckpoint) -> None:
    changed = trained("partial", checkpoint)
    assert changed > HEAD
    parts = {name.partition(".")[0] for name in changed}
    assert parts == {"up_samples", "up_layers", "conv_final"}


def test_full_trains_everything(checkpoint: ForeignCheckpoint) -> None:
    start = start_from(checkpoint, SPEC)
    assert trained("full", checkpoint) == start.weights.keys()


def test_learning_rates_fall_from_head_to_decoder_to_encoder(checkpoint: ForeignCheckpoint) -> None:
    start = start_from(checkpoint, SPEC)
    assert {start.factors[name] for name in HEAD} == {1.0}
    assert start.factors["up_layers.0.0.conv1.conv.weight"] == pytest.approx(1 / 2.6)
    assert start.factors["convInit.conv.weight"] == pytest.approx(1 / 2.6**2)
    network = fresh(SPEC)
    groups = parameter_groups(network, start.factors)
    assert [group["factor"] for group in groups] == sorted({1.0, DECAY, DECAY**2}, reverse=True)
    counted = sum(p.numel() for group in groups for p in group["params"])
    assert counted == sum(p.numel() for p in network.parameters())
    alike = start_from(checkpoint, SPEC, decay=1.0)
    assert set(alike.factors.values()) == {1.0}


def test_what_the_checkpoint_lacks_is_trained_even_if_frozen(checkpoint: ForeignCheckpoint) -> None:
    state = {name: v for name, v in checkpoint.state.items() if "down_layers.3.3" not in name}
    start = start_from(replace(checkpoint, state=state), SPEC, mode="frozen")
    moving = {name for name, factor in start.factors.items() if factor}
    lacking = {name for name in start.weights if name.startswith("down_layers.3.3.")}
    assert lacking
    assert moving == HEAD | lacking
    assert any("are trained too" in note for note in start.notes)


def test_the_decoders_begin_after_the_coarsest_level() -> None:
    # Independent of the table: run the network, and see which layers come after the coarsest.
    for name, parameters in (
        ("basic-unet", {"features": [4, 4, 8, 8, 16, 4]}),
        ("dynunet", {"filters": [4, 8, 16]}),
        ("unet", {"channels": [4, 8, 16], "strides": [2, 2]}),
        ("swin-unetr", {"feature_size": 12}),
    ):
        spec = replace(SPEC, network=type(SEGRESNET)(name, parameters))
        network = fresh(spec)
        order: list[tuple[str, int]] = []
        for layer, module in network.named_modules():
            if isinstance(module, torch.nn.Conv3d | torch.nn.ConvTranspose3d):
                module.register_forward_hook(
                    lambda _m, _i, out, layer=layer, order=order: order.append(
                        (layer, out.shape[-1])
                    )
                )
        with torch.no_grad():
            network(torch.zeros(1, 1, 64, 64, 64))
        coarsest = min(side for _, side in order)
        last = max(n for n, (_, side) in enumerate(order) if side == coarsest)
        begins = re.compile(DECODERS[name])
        for n, (layer, _) in enumerate(order):
            aliased = layer.startswith("skip_layers.")
            assert aliased or bool(begins.match(f"{layer}.")) == (n > last), (name, layer)


def test_a_frozen_batch_norm_keeps_its_statistics() -> None:
    network = GenesisUNet(1, 2, width=2)
    names = [name for name, _ in network.named_parameters()]
    head = {name for name in names if name.startswith("out_tr.")}
    parameter_groups(network, {name: float(name in head) for name in names})
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.train()
    network(torch.randn(2, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0)) * 9 + 4)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    parameter_groups(network, {})
    network.train()
    network(torch.ones(2, 1, 16, 16, 16))
    assert not torch.equal(
        network.state_dict()["down_tr64.ops.0.bn1.running_mean"],
        before["down_tr64.ops.0.bn1.running_mean"],
    )


def test_the_head_of_our_own_detector_is_taken_over_only_for_the_same_classes(
    tmp_path: Path,
) -> None:
    write_detector(Detector(SPEC, fresh(SPEC)), tmp_path / "detector")
    own = load_foreign(tmp_path / "detector")
    assert not start_from(own, SPEC).report.new
    assert start_from(own, SPEC, head="new").report.new == HEAD
    other = replace(SPEC, classes=("pdac", "cyst"))
    assert start_from(own, other).report.new == HEAD
    assert not start_from(own, other, head="load").report.new


def test_a_start_follows_from_file_and_seed(checkpoint: ForeignCheckpoint) -> None:
    one, same, other = (start_from(checkpoint, SPEC, seed=seed).weights for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert {name for name in one if not torch.equal(one[name], other[name])} == HEAD


def test_what_the_user_should_know_is_said(checkpoint: ForeignCheckpoint) -> None:
    spec = spec_of(SEGRESNET, organ_channel=True)
    stated = replace(checkpoint, stated={"spacing_mm": [3.0, 0.8, 0.8]})
    notes = " | ".join(start_from(stated, spec, mode="frozen").notes)
    assert "organ's mask is new to it and stays without effect" in notes
    assert "trained at 3 x 0.8 x 0.8 mm, this detector sees 1.5 x 1.5 x 1.5 mm" in notes
    assert "does not say which HU it saw" in notes
    assert "licence" in notes


def test_origin_and_report_are_plain_data(checkpoint: ForeignCheckpoint) -> None:
    plain = json.loads(json.dumps(start_from(checkpoint, SPEC).to_dict(), allow_nan=False))
    assert plain["file"] == "published.pt"
    assert plain["sha256"] == checkpoint.sha256
    assert plain["stated"] == {"epoch": 12}
    assert plain["report"]["counts"]["loaded"] == 81


def test_impossible_requests_name_the_field(checkpoint: ForeignCheckpoint) -> None:
    with pytest.raises(UnknownNameError, match="unknown mode 'freeze'; did you mean 'frozen'"):
        start_from(checkpoint, SPEC, mode="freeze")  # type: ignore[arg-type]  # what is tested
    with pytest.raises(ConfigError, match="decay: 0 is no decay"):
        start_from(checkpoint, SPEC, decay=0.0)
    with pytest.raises(ConfigError, match="least: 2 is no share"):
        start_from(checkpoint, SPEC, least=2.0)
    with pytest.raises(ConfigError, match="nothing would be trained"):
        parameter_groups(fresh(SPEC), dict.fromkeys(dict(fresh(SPEC).named_parameters()), 0.0))
    with pytest.raises(UnknownNameError, match="network with a known decoder"):
        learning_rate_factors(
            ["a"], replace(SPEC, network=replace(SEGRESNET, name="other")), mode="full", head=()
        )
