"""What training, transfer and prediction refuse: a line each, no code run, nothing half-written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("monai", reason="networks are MONAI's")
pytest.importorskip("lightning_fabric", reason="training runs on Lightning Fabric")

from scalemai.detector.files import Detector, write_detector  # noqa: E402
from scalemai.detector.network import build_network  # noqa: E402
from scalemai.detector.spec import DetectorSpec, NetworkSpec, Preprocessing  # noqa: E402
from training.hosts import write_set  # noqa: E402

from .hosts import Said, partials, scalemai  # noqa: E402

NETWORK = NetworkSpec("basic-unet", {"features": [4, 4, 4, 4, 4, 4]})
SPEC = DetectorSpec(
    "pancreas", ("pancreatic_lesion",), Preprocessing(spacing_mm=(3.0, 3.0, 3.0)), NETWORK,
    patch=(32, 32, 32),
)  # fmt: skip
QUICK = (
    "steps=3", "batch=2", "validation.every=0", "compute.threads=1", "run.workers=0",
    "run.tensorboard=false", "run.checkpoint_every=1",
)  # fmt: skip


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return os.mkdir, (str(self.marker),)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_set(root, normal=2)
    return root


@pytest.fixture
def detector(tmp_path: Path) -> Path:
    write_detector(Detector(SPEC, build_network(SPEC).eval()), tmp_path / "detector")
    return tmp_path / "detector"


def settings(*more: str) -> list[str]:
    return [word for text in (*QUICK, *more) for word in ("--set", text)]


def transfer(checkpoint: Path, data: Path, out: Path, *words: object) -> Said:
    organ = ("--organ", "pancreas", "--workers", 1)
    return scalemai("transfer", checkpoint, data, "--out", out, *organ, *settings(), *words)


def refused(said: Said, code: int, *texts: str) -> None:
    """One line for the error, which is the last one."""
    assert said.code == code, said.err
    assert sum(line.startswith("scalemai: ") for line in said.lines) == 1, said.err
    assert "Traceback" not in said.err
    for text in texts:
        assert text in said.lines[-1]


@pytest.mark.parametrize(
    ("harm", "text"),
    [
        ("truncated", "the weights are not those that detector.json was written with"),
        ("pickle", "the weights are not those that detector.json was written with"),
        ("record", "cannot be read as a detector"),
    ],
)
def test_a_damaged_detector_is_refused_before_any_case_is_read(
    harm: str, text: str, detector: Path, data: Path, tmp_path: Path
) -> None:
    file = detector / "weights.safetensors"
    if harm == "truncated":
        file.write_bytes(file.read_bytes()[:200])
    elif harm == "pickle":
        torch.save({"weights": Evil(tmp_path / "ran")}, file)
    else:
        (detector / "detector.json").write_text("{")
    said = scalemai("predict", detector, data, "--out", tmp_path / "out", "--device", "cpu")
    refused(said, 1, text)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_that_asks_for_code_is_not_read(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "evil.pt"
    torch.save({"state_dict": {"w": torch.zeros(3)}, "more": Evil(tmp_path / "ran")}, file)
    refused(transfer(file, data, tmp_path / "out"), 2, "evil.pt: asks for code to be run", ".safe")
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "out").exists()


def test_files_that_are_no_checkpoints_are_refused(data: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.pt"
    torch.save({"state_dict": {"w": torch.zeros(1000)}}, whole)
    for name, content in (
        ("text.pt", b"hello"),
        ("empty.pt", b""),
        ("cut.pt", whole.read_bytes()[:900]),
        ("zeros.safetensors", b"\0" * 64),
    ):
        (tmp_path / name).write_bytes(content)
        refused(transfer(tmp_path / name, data, tmp_path / "out"), 1, name, "copy it again")
    refused(transfer(tmp_path / "no.pt", data, tmp_path / "out"), 1, "does not exist")
    assert not (tmp_path / "out").exists()


def test_weights_of_another_network_are_refused(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "foreign.pt"
    torch.save({"state_dict": {"conv.weight": torch.zeros(3, 3)}}, file)
    refused(transfer(file, data, tmp_path / "out"), 2, "its network is not known", "name it with")
    named = ("--set", "detector.network.name=basic-unet")
    refused(transfer(file, data, tmp_path / "out", *named), 2, "only 0% of the network's")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--prefix", "zzz."), "--prefix: no name begins with 'zzz.'"),
        (("--least", 1.5), "--least: 1.5 is no share; give 0 to 1"),
        (("--decay", -1), "--decay: -1 is no decay"),
        (("--curve", "1", "--test-share", 2), "--test-share: 2 is impossible"),
        (("--set", "compute.accelerator=mps"), "compute.accelerator: there is no MPS device"),
    ],
)
def test_a_wrong_option_is_named_as_it_was_given(
    words: tuple[object, ...], text: str, detector: Path, data: Path, tmp_path: Path
) -> None:
    if "mps" in str(words) and torch.backends.mps.is_available():
        pytest.skip("there is an MPS device")
    refused(transfer(detector, data, tmp_path / "out", *words), 2, text)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("verb", ["predict", "transfer"])
def test_cuda_on_a_build_without_it_is_refused(
    verb: str, detector: Path, data: Path, tmp_path: Path
) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    out = tmp_path / "out"
    if verb == "predict":
        said = scalemai("predict", detector, data, "--out", out, "--device", "cuda")
    else:
        said = transfer(detector, data, out, "--set", "compute.accelerator=cuda")
    refused(said, 2, "CUDA")
    assert not out.exists()


def test_weights_that_overflow_stop_the_training_and_nothing_is_written_from_them(
    data: Path, tmp_path: Path
) -> None:
    network = build_network(SPEC)
    huge = {
        name: torch.full_like(value, 1e19) if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    network.load_state_dict(huge)
    write_detector(Detector(SPEC, network.eval()), tmp_path / "huge")
    said = transfer(tmp_path / "huge", data, tmp_path / "out", "--head", "load")
    refused(said, 1, "at step 1, in the patches", "look at")
    assert not (tmp_path / "out" / "detector").exists()
    assert not list((tmp_path / "out" / "checkpoints").iterdir())
    assert not partials(tmp_path / "out")


def test_a_damaged_checkpoint_is_not_resumed_from_and_stays(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["train", data, "--out", out, "--organ", "pancreas", "--workers", 1]
    words += settings(
        "detector.patch=[32,32,32]", "detector.preprocessing.spacing_mm=[3,3,3]",
        "detector.network.parameters.features=[4,4,4,4,4,4]",
    )  # fmt: skip
    assert scalemai(*words).code == 0
    (last,) = (out / "checkpoints").iterdir()
    shutil.rmtree(out / "detector")
    file = last / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    refused(scalemai(*words), 1, "is not what was written; remove step-00000003")
    (last / "checkpoint.json").write_text('{"format": "another"}')
    refused(scalemai(*words), 2, "is not of the format 'scalemai-checkpoint/1'")
    assert not (out / "detector").exists()
    assert last.is_dir()
