"""A detector is a folder that says all of itself and runs no code when it is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="detectors need torch")
pytest.importorskip("monai", reason="networks are MONAI's")

from scalemai.detector.files import (  # noqa: E402
    Detector,
    read_detector,
    weights_digest,
    write_detector,
)
from scalemai.detector.network import NETWORKS, build_network  # noqa: E402
from scalemai.detector.spec import DetectorSpec, NetworkSpec, Preprocessing  # noqa: E402
from scalemai.errors import ConfigError, UnknownNameError, UnreadableFileError  # noqa: E402

SPEC = DetectorSpec(
    organ="pancreas",
    classes=("pdac", "pnet"),
    preprocessing=Preprocessing(organ_channel=False),
    network=NetworkSpec("unet", {"channels": [4, 8], "strides": [2]}),
    patch=(32, 32, 16),
)


def written(folder: Path) -> Path:
    write_detector(Detector(SPEC, build_network(SPEC, seed=3), {"seed": 3}, "# Card\n"), folder)
    return folder


def test_a_detector_comes_back_as_it_was_written(tmp_path: Path) -> None:
    network = build_network(SPEC, seed=3)
    digest = write_detector(Detector(SPEC, network, {"seed": 3}, "# Card\n"), tmp_path / "one")
    again = read_detector(tmp_path / "one")
    assert again.spec == SPEC
    assert weights_digest(again) == digest
    assert again.origin == {"seed": 3}
    assert again.card == "# Card\n"
    seen = torch.randn(1, 1, 32, 32, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(again.network(seen), network.eval()(seen))
    assert write_detector(again, tmp_path / "two") == digest
    for name in ("detector.json", "weights.safetensors"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_weights_follow_from_the_seed_and_leave_global_state_alone() -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    one, same, other = (build_network(SPEC, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_network_gives_a_logit_per_class_and_voxel(name: str) -> None:
    small = {
        "dynunet": {"filters": [4, 8, 16]},
        "genesis-unet": {},
        "segresnet": {"init_filters": 8},
        "swin-unetr": {"feature_size": 12},
        "unet": {"channels": [4, 8], "strides": [2]},
    }
    spec = DetectorSpec("liver", ("liver_lesion",), network=NetworkSpec(name, small.get(name, {})))
    with torch.no_grad():
        out = build_network(spec).eval()(torch.zeros(1, 2, 64, 64, 64))
    assert out.shape == (1, 2, 64, 64, 64)


def test_changed_weights_are_noticed(tmp_path: Path) -> None:
    folder = written(tmp_path / "d")
    weights = folder / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(UnreadableFileError, match="not those that"):
        read_detector(folder)


def test_another_format_and_another_network_are_refused(tmp_path: Path) -> None:
    folder = written(tmp_path / "d")
    path = folder / "detector.json"
    plain = json.loads(path.read_text())
    path.write_text(json.dumps({**plain, "format": "other/9"}))
    with pytest.raises(ConfigError, match="is of the format 'other/9'"):
        read_detector(folder)
    plain["spec"]["network"]["parameters"]["channels"] = [4, 4]
    path.write_text(json.dumps(plain))
    with pytest.raises(ConfigError, match="do not fit the network"):
        read_detector(folder)
    path.write_text("[")
    with pytest.raises(UnreadableFileError, match="cannot be read as a detector"):
        read_detector(folder)
    with pytest.raises(UnreadableFileError):
        read_detector(tmp_path / "none")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ("hcc",)}, "no lesion of the pancreas"),
        ({"classes": ()}, "no classes"),
        ({"patch": (30, 32, 32)}, "multiples of 16"),
    ],
)
def test_impossible_specs_name_the_field(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DetectorSpec(**{"organ": "pancreas", "classes": ("pdac",), **change})


def test_a_window_round_the_organ_is_written_and_older_detectors_have_none(tmp_path: Path) -> None:
    preprocessing = Preprocessing(organ_window_hu=(-100.0, 100.0))
    spec = DetectorSpec("liver", ("hcc",), preprocessing)
    plain = json.loads(json.dumps(spec.to_dict()))
    assert DetectorSpec.from_dict(plain) == spec
    del plain["preprocessing"]["organ_window_hu"]
    assert DetectorSpec.from_dict(plain).preprocessing == Preprocessing()
    with pytest.raises(ConfigError, match="organ_window_hu: the organ is not known"):
        Preprocessing(organ_channel=False, organ_window_hu=(-100.0, 100.0))
    with pytest.raises(ConfigError, match=r"organ_window_hu: .* is no window"):
        Preprocessing(organ_window_hu=(100.0, -100.0))


def test_unknown_networks_and_parameters_are_named() -> None:
    with pytest.raises(UnknownNameError, match="unknown network 'u-net'"):
        build_network(DetectorSpec("liver", ("hcc",), network=NetworkSpec("u-net")))
    with pytest.raises(ConfigError, match="does not take these parameters"):
        build_network(DetectorSpec("liver", ("hcc",), network=NetworkSpec("unet", {"depth": 3})))
