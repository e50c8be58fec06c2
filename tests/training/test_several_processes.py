"""Several processes train one network, started here or by torchrun on several machines."""

from __future__ import annotations

import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("monai", reason="networks are MONAI's")
pytest.importorskip("lightning_fabric", reason="training runs on Lightning Fabric")

from cli.hosts import scalemai  # noqa: E402
from scalemai.detector.files import read_detector, weights_digest  # noqa: E402
from scalemai.training.fit import CHECKPOINTS, fit  # noqa: E402
from scalemai.training.log import LOG_NAME, read_log  # noqa: E402

from .hosts import pancreas, write_patient  # noqa: E402
from .spheres import CONFIG, Spheres, config  # noqa: E402

pytestmark = pytest.mark.slow

BOTH = replace(CONFIG.compute, devices=2)
QUICK = (
    "steps=4", "batch=1", "detector.patch=[32,32,32]", "validation.every=2", "validation.patches=2",
    "detector.preprocessing.spacing_mm=[3,3,3]", "run.workers=0", "run.tensorboard=false",
    "detector.network.parameters.features=[4,4,4,4,4,4]", "compute.threads=1",
)  # fmt: skip


def losses(out: Path) -> list[float]:
    return [line["loss"] for line in read_log(out / LOG_NAME)]


def test_two_processes_train_one_network(tmp_path: Path) -> None:
    fit(config(compute=BOTH, batch=1), Spheres(), tmp_path, held_out=Spheres(7))
    assert np.mean(losses(tmp_path)[-5:]) < 0.6 * np.mean(losses(tmp_path)[:5])
    assert read_log(tmp_path / LOG_NAME)[-1]["validation_dice"] > 0.5


def test_two_processes_repeat_themselves_and_learn_from_the_patches_of_both(tmp_path: Path) -> None:
    file = Path(CHECKPOINTS) / "step-00000004" / "weights.safetensors"
    for name, compute in (("one", CONFIG.compute), ("two", BOTH), ("again", BOTH)):
        fit(config(compute=compute, batch=1, steps=4), Spheres(), tmp_path / name)
    one, two, again = ((tmp_path / name / file).read_bytes() for name in ("one", "two", "again"))
    assert two == again
    assert two != one


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    for number in range(3):
        write_patient(root / f"case_{number}", pancreas(), seed=number)
    return root


def words(data: Path, out: Path, devices: int) -> list[str]:
    settings = [f"compute.devices={devices}", *QUICK]
    chosen = [word for text in settings for word in ("--set", text)]
    plain = ["train", data, "--out", out, "--organ", "pancreas", "--workers", 1, *chosen]
    return [str(word) for word in plain]


def on_two_machines(arguments: list[str]) -> list[tuple[int, str, str]]:
    """Run a command by torchrun on two machines, which are both this one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
    launcher += ["--master-addr=127.0.0.1", f"--master-port={port}"]
    machines = [
        subprocess.Popen(
            [*launcher, f"--node-rank={rank}", "-m", "scalemai", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [machine.communicate(timeout=600) for machine in machines]
    return [(one.returncode, *text) for one, text in zip(machines, said, strict=True)]


def test_two_machines_train_what_two_processes_of_one_do(data: Path, tmp_path: Path) -> None:
    here = scalemai(*words(data, tmp_path / "here", 2))
    assert here.code == 0, here.err
    (lead, out, err), (other, silent, more) = on_two_machines(words(data, tmp_path / "far", 2))
    assert (lead, other) == (0, 0), err + more
    assert out == f"{tmp_path / 'far' / 'detector'}\n"
    assert silent == ""
    far, near = (read_detector(tmp_path / name / "detector") for name in ("far", "here"))
    assert weights_digest(far) == weights_digest(near)
    assert losses(tmp_path / "far") == losses(tmp_path / "here")


def test_another_number_of_processes_than_devices_is_named(data: Path, tmp_path: Path) -> None:
    said = on_two_machines(words(data, tmp_path / "out", 1))
    assert all(code != 0 for code, _, _ in said)
    assert "compute.devices: 1, but 2 processes were started" in "".join(err for *_, err in said)
