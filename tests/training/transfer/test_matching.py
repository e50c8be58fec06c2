"""Weights are taken over by name and shape, and every tensor is accounted for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="networks are torch's")
pytest.importorskip("monai", reason="networks are MONAI's")

from scalemai.detector.genesis_unet import GenesisUNet  # noqa: E402
from scalemai.detector.network import NETWORKS, build_network  # noqa: E402
from scalemai.detector.spec import NetworkSpec  # noqa: E402
from scalemai.errors import ConfigError  # noqa: E402
from scalemai.training.transfer.foreign import ForeignCheckpoint, load_foreign  # noqa: E402
from scalemai.training.transfer.layers import Layers, layers_of  # noqa: E402
from scalemai.training.transfer.matching import fill_network, match_keys  # noqa: E402
from scalemai.training.transfer.recognise import recognise  # noqa: E402
from scalemai.training.transfer.report import write_report  # noqa: E402

from .checkpoints import (  # noqa: E402
    SEGRESNET,
    PlainConvUNet,
    fresh,
    logits,
    monai,
    prefixed,
    saved,
    spec_of,
)

SMALL = {
    "basic-unet": NetworkSpec("basic-unet", {"features": [4, 4, 8, 8, 16, 4]}),
    "dynunet": NetworkSpec("dynunet", {"filters": [4, 8, 16]}),
    "segresnet": SEGRESNET,
    "swin-unetr": NetworkSpec("swin-unetr", {"feature_size": 12}),
    "unet": NetworkSpec("unet", {"channels": [4, 8, 16], "strides": [2, 2]}),
}


def checkpoint_of(state: dict[str, torch.Tensor]) -> ForeignCheckpoint:
    return ForeignCheckpoint(Path("some.pt"), "0" * 64, "pytorch", state)


@pytest.mark.parametrize("name", sorted(NETWORKS.keys() & SMALL.keys()))
def test_first_and_last_layers_are_found_in_every_network(name: str) -> None:
    spec = spec_of(SMALL[name])
    layers = layers_of(spec)
    own = build_network(spec).state_dict()
    for found, axis, count in ((layers.inputs, 1, 1), (layers.head, None, 3)):
        assert found
        assert found < own.keys()
        for one in found:
            assert count in own[one].shape if axis is None else own[one].shape[axis] == count
    assert not layers.inputs & layers.head


def test_a_segresnet_of_25_classes_gives_all_but_its_head_to_one_of_3() -> None:
    theirs = monai("SegResNet", outputs=25, init_filters=8)
    spec = spec_of(SEGRESNET)
    ours = fresh(spec)
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    state = prefixed(theirs.state_dict(), "module.backbone.")
    report = match_keys(state, ours, layers=layers_of(spec))
    assert report.removed == "module.backbone."
    assert report.counts == {
        "loaded": 81, "adapted": 0, "head": 2, "shape mismatch": 0, "missing": 0, "unexpected": 0,
    }  # fmt: skip
    assert report.share == 1.0
    assert report.new == {"conv_final.2.conv.weight", "conv_final.2.conv.bias"}
    fill_network(ours, state, report)
    for name, value in ours.state_dict().items():
        expected = before[name] if name in report.new else theirs.state_dict()[name]
        assert torch.equal(value, expected), name


def test_an_organ_channel_is_added_without_changing_what_the_network_does() -> None:
    theirs = monai("SegResNet", inputs=1, outputs=3, init_filters=8)
    spec = spec_of(SEGRESNET, organ_channel=True)
    ours = fresh(spec)
    report = match_keys(theirs.state_dict(), ours, layers=layers_of(spec), head="load")
    assert [one.name for one in report.of("adapted")] == ["convInit.conv.weight"]
    assert report.counts["loaded"] == 82
    assert 0.999 < report.share < 1.0
    fill_network(ours, theirs.state_dict(), report)
    seen = torch.randn(1, 2, 32, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(ours(seen), theirs.eval()(seen[:, :1]))


def test_another_width_is_refused_and_the_widths_are_told() -> None:
    theirs = monai("SegResNet", init_filters=16)
    spec = spec_of(SEGRESNET)
    with pytest.raises(ConfigError, match="only 0% of the network's parameters") as caught:
        match_keys(theirs.state_dict(), fresh(spec), layers=layers_of(spec))
    message = str(caught.value)
    assert "convInit.conv.weight is 16x1x3x3x3 there, 8x1x3x3x3 here" in message
    assert "\n" not in message


def test_another_architecture_is_refused_and_its_names_are_told() -> None:
    spec = spec_of(SEGRESNET)
    theirs = monai("BasicUNet", features=(4, 4, 8, 8, 16, 4))
    with pytest.raises(ConfigError, match=r"names are like conv_0\.conv_0\.conv\.weight"):
        match_keys(theirs.state_dict(), fresh(spec), layers=layers_of(spec))


def test_swin_unetr_is_found_behind_the_prefixes_of_three_wrappers() -> None:
    theirs = monai("SwinUNETR", outputs=32, feature_size=12)
    spec = spec_of(SMALL["swin-unetr"])
    state = prefixed(theirs.state_dict(), "module.backbone.swin_unetr.")
    state |= {"module.organ_embedding": torch.ones(32, 256), "module.GAP.0.weight": torch.ones(4)}
    report = match_keys(state, fresh(spec), layers=layers_of(spec))
    assert report.removed == "module.backbone.swin_unetr."
    assert report.counts["loaded"] == 157
    assert report.counts["head"] == 2
    assert {one.source for one in report.of("unexpected")} == {
        "module.organ_embedding",
        "module.GAP.0.weight",
    }


def test_a_prefix_that_torch_loads_nothing_of_without_a_word_is_no_pitfall() -> None:
    theirs = monai("SegResNet", init_filters=8)
    state = prefixed(theirs.state_dict(), "module.")
    spec = spec_of(SEGRESNET)
    silent = fresh(spec)
    before = logits(silent)
    result = silent.load_state_dict(state, strict=False)  # the pitfall
    assert len(result.missing_keys) == 83
    assert torch.equal(logits(silent), before)
    ours = fresh(spec)
    fill_network(ours, state, match_keys(state, ours, head="load"))
    assert torch.equal(logits(ours), logits(theirs))


def test_compiled_and_wrapped_parts_are_seen_through_wherever_they_are() -> None:
    theirs = monai("SegResNet", init_filters=8)
    state = {
        f"_forward_module.{name.replace('down_layers.', 'down_layers._orig_mod.')}": value
        for name, value in theirs.state_dict().items()
    }
    report = match_keys(state, fresh(spec_of(SEGRESNET)), head="load")
    assert report.counts["loaded"] == 83


def test_an_encoder_alone_must_be_asked_for() -> None:
    theirs = monai("SwinUNETR", feature_size=12)
    encoder = {
        f"module.{name.removeprefix('swinViT.')}": value
        for name, value in theirs.state_dict().items()
        if name.startswith("swinViT.")
    }
    spec = spec_of(SMALL["swin-unetr"])
    with pytest.raises(ConfigError, match="ask for less than 50%"):
        match_keys(encoder, fresh(spec))
    report = match_keys(encoder, fresh(spec), least=0.05)
    assert (report.removed, report.added) == ("module.", "swinViT.")
    assert report.counts["loaded"] == len(encoder)
    assert all(str(one.name).startswith("swinViT.") for one in report.of("loaded"))


def test_teacher_and_student_are_not_guessed_between() -> None:
    theirs = monai("SegResNet", init_filters=8).state_dict()
    other = {name: value.clone() for name, value in theirs.items()}
    state = prefixed(theirs, "teacher.") | prefixed(other, "student.")
    ours = fresh(spec_of(SEGRESNET))
    with pytest.raises(ConfigError, match=r"'student\.' and 'teacher\.'; say which one"):
        match_keys(state, ours)
    report = match_keys(state, ours, prefix="teacher")
    assert all(str(one.source).startswith("teacher.") for one in report.of("loaded"))
    assert report.counts["unexpected"] == 83
    with pytest.raises(ConfigError, match=r"no name begins with 'pupil\.'"):
        match_keys(state, ours, prefix="pupil")


def test_order_in_the_file_does_not_matter() -> None:
    theirs = monai("SegResNet", init_filters=8)
    state = dict(reversed(theirs.state_dict().items()))
    ours = fresh(spec_of(SEGRESNET))
    fill_network(ours, state, match_keys(state, ours, head="load"))
    assert torch.equal(logits(ours), logits(theirs))


def test_one_tensor_of_another_shape_is_left_new_and_told() -> None:
    state = dict(monai("SegResNet", init_filters=8).state_dict())
    state["down_layers.1.1.conv1.conv.weight"] = torch.ones(16, 16, 1, 1, 1)
    del state["down_layers.1.2.norm1.bias"]
    report = match_keys(state, fresh(spec_of(SEGRESNET)), head="load")
    assert [one.name for one in report.of("shape mismatch")] == [
        "down_layers.1.1.conv1.conv.weight"
    ]
    assert [one.name for one in report.of("missing")] == ["down_layers.1.2.norm1.bias"]
    text = str(report)
    assert "of another shape, left new: 1" in text
    assert "16x16x3x3x3, in the checkpoint 16x16x1x1x1" in text


def test_weights_that_are_not_finite_are_refused() -> None:
    state = dict(monai("SegResNet", init_filters=8).state_dict())
    state["convInit.conv.weight"] = torch.full((8, 1, 3, 3, 3), float("nan"))
    with pytest.raises(ConfigError, match=r"convInit\.conv\.weight: holds numbers that are not"):
        match_keys(state, fresh(spec_of(SEGRESNET)), head="load")


def test_half_precision_becomes_that_of_the_network() -> None:
    theirs = monai("SegResNet", init_filters=8).half()
    ours = fresh(spec_of(SEGRESNET))
    fill_network(ours, theirs.state_dict(), match_keys(theirs.state_dict(), ours, head="load"))
    assert {value.dtype for value in ours.state_dict().values()} == {torch.float32}
    assert torch.equal(
        ours.state_dict()["convInit.conv.weight"], theirs.float().convInit.conv.weight
    )


def test_layers_that_are_not_known_are_no_reason_to_change_shapes() -> None:
    theirs = monai("SegResNet", inputs=1, outputs=25, init_filters=8)
    ours = fresh(spec_of(SEGRESNET, organ_channel=True))
    report = match_keys(theirs.state_dict(), ours, layers=Layers())
    assert report.counts["shape mismatch"] == 3
    assert report.counts["adapted"] == 0


def test_nnunet_computes_the_same_as_the_dynunet_that_takes_its_weights(tmp_path: Path) -> None:
    torch.manual_seed(2)
    theirs = PlainConvUNet(1, 3, (4, 8, 16, 16))
    path = saved(
        tmp_path / "checkpoint_final.pth",
        {"network_weights": theirs.state_dict(), "trainer_name": "nnUNetTrainer"},
    )
    checkpoint = load_foreign(path)
    network = recognise(checkpoint)
    assert network is not None
    assert network.name == "dynunet"
    spec = spec_of(network)
    ours = fresh(spec)
    report = match_keys(checkpoint.state, ours, layers=layers_of(spec), head="load")
    assert report.layout == "nnU-Net"
    assert report.share == 1.0
    assert not report.of("missing", "shape mismatch", "head")
    # Left aside: biases before normalisation, which it takes away, and heads of coarser levels.
    assert all(
        str(one.source).endswith(".conv.bias") or ".seg_layers." in str(one.source)
        for one in report.of("unexpected")
    )
    fill_network(ours, checkpoint.state, report)
    torch.testing.assert_close(logits(ours), logits(theirs), atol=1e-5, rtol=1e-4)


def test_a_self_supervised_swin_is_loaded_as_monai_itself_loads_it(tmp_path: Path) -> None:
    encoder = {
        name.replace("swinViT.", "module.").replace(".mlp.linear", ".mlp.fc"): value
        for name, value in monai("SwinUNETR", feature_size=12).state_dict().items()
        if name.startswith("swinViT.")
    }
    content = {"state_dict": encoder, "epoch": 100, "best_loss": float("inf")}
    checkpoint = load_foreign(saved(tmp_path / "model_swinvit.pt", content))
    network = recognise(checkpoint)
    assert network is not None
    spec = spec_of(network)
    ours, reference = fresh(spec), fresh(spec)
    reference.load_from(content)
    report = match_keys(checkpoint.state, ours, layers=layers_of(spec), least=0.05)
    assert report.layout == "self-supervised Swin"
    assert report.counts["loaded"] == len(encoder)
    fill_network(ours, checkpoint.state, report)
    for name, value in reference.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name


def test_the_genesis_unet_has_the_published_tensors_and_takes_such_weights() -> None:
    published = GenesisUNet(1, 32)
    state = published.state_dict()
    assert len(state) == 106
    assert round(sum(p.numel() for p in published.parameters()) / 1e6, 2) == 19.08
    for name in ("down_tr64.ops.0.conv1.weight", "out_tr.final_conv.weight"):
        assert name in state
    small = GenesisUNet(2, 3, width=4)
    theirs = GenesisUNet(1, 32, width=4)
    layers = Layers(
        inputs=frozenset({"down_tr64.ops.0.conv1.weight"}),
        head=frozenset({"out_tr.final_conv.weight", "out_tr.final_conv.bias"}),
    )
    state = prefixed(theirs.state_dict(), "module.backbone.")
    report = match_keys(state, small, layers=layers)
    assert report.counts == {
        "loaded": 103, "adapted": 1, "head": 2, "shape mismatch": 0, "missing": 0, "unexpected": 0,
    }  # fmt: skip
    fill_network(small, state, report)
    assert logits(small, channels=2, side=16).shape == (1, 3, 16, 16, 16)


@pytest.mark.parametrize("name", ["basic-unet", "dynunet", "segresnet", "swin-unetr"])
def test_a_network_is_recognised_by_its_tensors(name: str) -> None:
    theirs = fresh(spec_of(SMALL[name], classes=("pdac",)))
    network = recognise(checkpoint_of(prefixed(theirs.state_dict(), "module.backbone.")))
    assert network is not None
    assert network.name == name
    ours = fresh(spec_of(network, classes=("pdac",)))
    report = match_keys(theirs.state_dict(), ours, head="load")
    assert report.share == 1.0
    assert not report.new


def test_an_unknown_network_is_not_recognised() -> None:
    assert recognise(checkpoint_of({"layer.weight": torch.ones(3)})) is None


def test_the_report_is_json_that_holds_every_tensor(tmp_path: Path) -> None:
    theirs = monai("SegResNet", outputs=25, init_filters=8).state_dict()
    spec = spec_of(SEGRESNET)
    report = match_keys(theirs, fresh(spec), layers=layers_of(spec))
    plain = json.loads(write_report(tmp_path / "report.json", report.to_dict()).read_text())
    assert plain["share_of_parameters"] == 1.0
    assert len(plain["tensors"]) == 83
    head = [one for one in plain["tensors"] if one["status"] == "head"]
    assert {"name": "conv_final.2.conv.bias", "shape": [3], "there": [25]}.items() <= head[
        1
    ].items()
