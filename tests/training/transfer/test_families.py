"""Each kind of checkpoint, in each mode: from the file to a detector that predicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("monai", reason="networks are MONAI's")
pytest.importorskip("lightning_fabric", reason="training runs on Lightning Fabric")

from scalemai.detector.files import Detector, read_detector, write_detector  # noqa: E402
from scalemai.detector.network import build_network  # noqa: E402
from scalemai.detector.spec import DetectorSpec, NetworkSpec  # noqa: E402
from scalemai.inference.settings import Runtime  # noqa: E402
from scalemai.inference.windows import predict_prepared  # noqa: E402
from scalemai.training.cache import Cache, prepare_cases  # noqa: E402
from scalemai.training.config import (  # noqa: E402
    ComputeConfig,
    OptimiserConfig,
    RunConfig,
    SamplingConfig,
    TrainingConfig,
    ValidationConfig,
)
from scalemai.training.material import Material  # noqa: E402
from scalemai.training.transfer.foreign import load_foreign  # noqa: E402
from scalemai.training.transfer.recognise import recognise  # noqa: E402
from scalemai.training.transfer.run import transfer  # noqa: E402
from scalemai.training.transfer.start import Mode, start_from  # noqa: E402

from ..hosts import SPEC, write_set  # noqa: E402
from .checkpoints import PlainConvUNet, monai, prefixed, saved  # noqa: E402

WIDTHS = [4, 4, 8, 8, 16, 4]


@dataclass(frozen=True)
class Family:
    """A kind of checkpoint, and tensors of its network by where they are.

    Parameters
    ----------
    write
        Makes the file.
    network
        Its name.
    encoder, decoder, head
        Names of one tensor each.
    """

    write: Callable[[Path], Path]
    network: str
    encoder: str
    decoder: str
    head: str


def ours(folder: Path) -> Path:
    spec = replace(SPEC, network=NetworkSpec("basic-unet", {"features": WIDTHS}))
    spec = replace(spec, classes=("pdac", "pnet", "cyst"))
    write_detector(Detector(spec, build_network(spec, seed=31).eval()), folder / "detector")
    return folder / "detector"


def suprem_like(folder: Path) -> Path:
    state = monai("SegResNet", outputs=25, init_filters=8).state_dict()
    content = {"net": prefixed(state, "module.backbone."), "optimizer": {}, "epoch": 800}
    return saved(folder / "segresnet.pth", content)


def monai_like(folder: Path) -> Path:
    state = monai("BasicUNet", outputs=14, features=tuple(WIDTHS)).state_dict()
    return saved(folder / "model.pt", {"model": state, "epoch": 10})


def nnunet_like(folder: Path) -> Path:
    state = PlainConvUNet(1, 3, (4, 8, 16, 16)).state_dict()
    content = {"network_weights": state, "trainer_name": "nnUNetTrainer", "current_epoch": 1000}
    return saved(folder / "checkpoint_final.pth", content)


BASIC = ("conv_0.conv_1.conv.weight", "upcat_1.convs.conv_0.conv.weight", "final_conv.weight")
FAMILIES = {
    "ours": Family(ours, "basic-unet", *BASIC),
    "suprem-like": Family(
        suprem_like,
        "segresnet",
        "down_layers.0.1.conv1.conv.weight",
        "up_layers.0.0.conv1.conv.weight",
        "conv_final.2.conv.weight",
    ),
    "monai-like": Family(monai_like, "basic-unet", *BASIC),
    "nnunet-like": Family(
        nnunet_like,
        "dynunet",
        "downsamples.0.conv1.conv.weight",
        "upsamples.0.conv_block.conv1.conv.weight",
        "output_block.conv.conv.weight",
    ),
}
CHANGES: dict[Mode, tuple[bool, bool, bool]] = {
    "frozen": (False, False, True),
    "partial": (False, True, True),
    "full": (True, True, True),
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    root = tmp_path_factory.mktemp("data")
    return prepare_cases(write_set(root / "set", normal=0, real=1), SPEC, root / "cache")


@pytest.mark.parametrize("mode", CHANGES)
@pytest.mark.parametrize("family", FAMILIES)
def test_what_may_change_does_and_the_detector_predicts(
    family: str, mode: Mode, cache: Cache, tmp_path: Path
) -> None:
    own = FAMILIES[family]
    checkpoint = load_foreign(own.write(tmp_path))
    network = recognise(checkpoint)
    assert network is not None
    assert network.name == own.network
    config = _config(replace(SPEC, network=network))
    start = start_from(checkpoint, config.detector, mode=mode)
    assert start.report.share > 0.98
    transfer(config, Material(cache, None, cache.ids, None), tmp_path / "out", start)
    detector = read_detector(tmp_path / "out" / "detector")
    new = detector.network.state_dict()
    moved = tuple(
        not torch.equal(new[name], start.weights[name])
        for name in (own.encoder, own.decoder, own.head)
    )
    assert moved == CHANGES[mode]
    still = [name for name in new if torch.equal(new[name], start.weights[name])]
    if mode == "frozen":
        assert {name.rpartition(".")[0] for name in set(new) - set(still)} <= {
            own.head.rpartition(".")[0],
            *_copies(own),
        }
    found = predict_prepared(
        detector, cache[cache.ids[0]].prepared, runtime=Runtime(device="cpu", threads=1)
    )
    assert found.shape[0] == 2
    assert np.allclose(found.sum(axis=0), 1.0, atol=1e-5)
    assert detector.origin["start"]["sha256"] == checkpoint.sha256


def _copies(own: Family) -> set[str]:
    """Other names under which MONAI's DynUNet lists its head."""
    return {"skip_layers.output_block.conv.conv"} if own.network == "dynunet" else set()


def _config(spec: DetectorSpec) -> TrainingConfig:
    return TrainingConfig(
        detector=spec,
        steps=2,
        batch=1,
        sampling=SamplingConfig(share_synthetic=0.0, augment=False, organ_corruption=False),
        optimiser=OptimiserConfig(learning_rate=1e-2, warm_up=0),
        validation=ValidationConfig(every=0),
        compute=ComputeConfig(accelerator="cpu", threads=1),
        run=RunConfig(workers=0, tensorboard=False),
    )
