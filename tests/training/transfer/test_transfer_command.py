"""``scalemai transfer``: from somebody's weights and a folder of cases to a detector."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("monai", reason="networks are MONAI's")
pytest.importorskip("lightning_fabric", reason="training runs on Lightning Fabric")

from cli.hosts import Said, scalemai  # noqa: E402
from scalemai.detector.files import read_detector  # noqa: E402
from scalemai.training.transfer.few_shot import TABLE  # noqa: E402

from ..hosts import write_set  # noqa: E402
from .checkpoints import monai, prefixed, saved  # noqa: E402

QUICK = (
    "steps=2",
    "batch=1",
    "detector.patch=[32,32,32]",
    "detector.preprocessing.spacing_mm=[3,3,3]",
    "validation.share=0",
    "compute.threads=1",
    "run.workers=0",
    "run.tensorboard=false",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "set"
    write_set(root, normal=1, real=3)
    return root


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights in the style of a published SegResNet of 25 classes, for one channel."""
    state = monai("SegResNet", outputs=25, init_filters=8).state_dict()
    content = {"net": prefixed(state, "module.backbone."), "epoch": 800}
    return saved(tmp_path_factory.mktemp("published") / "segresnet.pth", content)


@pytest.fixture(scope="module")
def made(data: Path, published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "out"
    said = transfer(published, data, out, "--mode", "frozen")
    assert said.code == 0, said.err
    assert said.out == f"{out / 'detector'}\n"
    assert "80 tensors loaded, 1 adapted" in said.err
    assert "note: the organ's mask is new to it and stays without effect" in said.err
    assert "note: its licence holds for this detector too" in said.err
    return out


def transfer(checkpoint: Path, data: Path, out: Path, *words: object) -> Said:
    chosen = [word for text in QUICK for word in ("--set", text)]
    return scalemai(
        "transfer", checkpoint, data, "--out", out, "--organ", "pancreas", *chosen,
        "--workers", 1, *words,
    )  # fmt: skip


def test_the_network_is_recognised_and_only_the_head_is_trained(
    made: Path, published: Path
) -> None:
    detector = read_detector(made / "detector")
    assert detector.spec.network.name == "segresnet"
    assert detector.spec.network.parameters["init_filters"] == 8
    theirs = torch.load(published, weights_only=True)["net"]
    own = detector.network.state_dict()
    for name, value in own.items():
        source = theirs[f"module.backbone.{name}"]
        if name == "convInit.conv.weight":
            assert torch.equal(value[:, :1], source)
            assert not value[:, 1:].any()
        else:
            assert torch.equal(value, source) != name.startswith("conv_final.2."), name
    assert json.loads((made / "start.json").read_text())["stated"] == {"epoch": 800}


def test_a_detector_is_the_parent_of_another_one(data: Path, made: Path, tmp_path: Path) -> None:
    cache = ("--cache", made / "cache")
    said = transfer(made / "detector", data, tmp_path / "out", *cache)
    assert said.code == 0, said.err
    assert "100.0% of" in said.err
    child = read_detector(tmp_path / "out" / "detector")
    assert child.spec == read_detector(made / "detector").spec
    assert child.origin["start"]["head"] == "loaded"


def test_a_curve_is_written_and_named(
    data: Path, made: Path, published: Path, tmp_path: Path
) -> None:
    words = ("--curve", "1,2", "--draws", 1, "--synthetic", "off", "--cache", made / "cache")
    said = transfer(published, data, tmp_path / "out", *words)
    assert said.code == 0, said.err
    assert said.out == f"{tmp_path / 'out' / TABLE}\n"
    assert "trained 6 / 6" in said.err
    assert "0 cases, transfer: " in said.err
    assert "2 cases, transfer - scratch: " in said.err
    table = pl.read_csv(tmp_path / "out" / TABLE)
    assert set(table["group"]) == {"transfer", "scratch"}
    again = transfer(published, data, tmp_path / "out", *words)
    assert "6 of 6 cases were done before" in again.err
    assert (tmp_path / "out" / "few_shot_summary.csv").is_file()
    assert scalemai("scaling", tmp_path / "out" / TABLE, "--out", tmp_path / "page").code == 0


def test_a_dry_run_says_what_would_be_taken_over_and_writes_nothing(
    data: Path, published: Path, tmp_path: Path
) -> None:
    said = transfer(published, data, tmp_path / "out", "--dry-run")
    assert said.code == 0
    assert "names: 'module.backbone.' removed" in said.out
    assert "classes, left new: 2" in said.out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--mode", "frozn"), "unknown mode 'frozn'; did you mean 'frozen'"),
        (("--decay", "0"), "decay: 0 is no decay"),
        (("--head", "old"), "unknown head 'old'"),
        (("--container", "nett"), "unknown container of weights 'nett'; did you mean 'net'"),
        (("--prefix", "backbone"), "no name begins with 'backbone.'"),
        (("--synthetic", "offline"), "unknown --synthetic 'offline'"),
        (("--curve", "few"), "--curve: 'few' are no numbers of cases"),
        (("--curve", "1", "--real", "2"), "--real: does not go with --curve"),
        (("--set", "detector.network.name=unet"), "only 0% of the network's parameters"),
    ],
)
def test_a_wrong_request_is_named_before_any_case_is_read(
    words: tuple[str, ...], message: str, data: Path, published: Path, tmp_path: Path
) -> None:
    said = transfer(published, data, tmp_path / "out", *words)
    assert said.code == 2
    assert message in said.err
    assert said.err.count("scalemai: ") == 1
    assert not (tmp_path / "out").exists()


def test_an_unknown_network_must_be_named(data: Path, tmp_path: Path) -> None:
    path = saved(tmp_path / "other.pt", {"layer.weight": torch.ones(3)})
    said = transfer(path, data, tmp_path / "out")
    assert said.code == 2
    assert "its network is not known (names like layer.weight)" in said.err
    assert "--set detector.network.name=" in said.err


def test_an_organ_must_be_named_for_weights_that_do_not_tell(
    data: Path, published: Path, tmp_path: Path
) -> None:
    said = scalemai("transfer", published, data, "--out", tmp_path / "out")
    assert said.code == 2
    assert "--organ: no organ is named; for example --organ pancreas" in said.err
