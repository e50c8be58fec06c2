"""Files of others are read as numbers: what would run code is refused, and says what to do."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="checkpoints are torch's")
pytest.importorskip("monai", reason="networks are MONAI's")

from safetensors.torch import save_file  # noqa: E402

from scalemai.detector.files import Detector, write_detector  # noqa: E402
from scalemai.errors import ConfigError, UnknownNameError, UnreadableFileError  # noqa: E402
from scalemai.training.transfer.foreign import load_foreign  # noqa: E402

from .checkpoints import SEGRESNET, fresh, prefixed, saved, spec_of  # noqa: E402

STATE = {"conv.weight": torch.arange(6.0).reshape(2, 3), "conv.bias": torch.zeros(2)}


class Bomb:
    """Unpickling it makes a folder, as other code would do worse."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("place", ["alone", "beside the weights", "as a weight"])
def test_a_malicious_pickle_is_refused_without_being_run(tmp_path: Path, place: str) -> None:
    bomb = Bomb(tmp_path / "made by the pickle")
    content = {
        "alone": bomb,
        "beside the weights": {"state_dict": STATE, "callbacks": bomb},
        "as a weight": {**STATE, "extra.weight": bomb},
    }[place]
    path = saved(tmp_path / "evil.pt", content)
    with pytest.raises(ConfigError, match=r"asks for code to be run \(posix\.mkdir\)") as caught:
        load_foreign(path)
    assert not bomb.folder.exists()
    message = str(caught.value)
    assert str(path) in message
    assert "state_dict() as .safetensors" in message
    assert "\n" not in message


def test_a_bare_pickle_that_is_no_checkpoint_is_refused_without_being_run(tmp_path: Path) -> None:
    bomb = Bomb(tmp_path / "made by the pickle")
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(bomb, protocol=2))
    with pytest.raises((ConfigError, UnreadableFileError)):
        load_foreign(tmp_path / "evil.pkl")
    assert not bomb.folder.exists()


def test_the_stand_ins_for_numpy_and_paths_do_not_open_a_way_to_other_code(tmp_path: Path) -> None:
    # numpy's own reconstruction would take any class as its first argument.
    text = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncos\nmkdir\nU\x04evil\x85R."
    with zipfile.ZipFile(tmp_path / "evil.pt", "w") as archive:
        archive.writestr("archive/data.pkl", text)
        archive.writestr("archive/version", b"3\n")
    with pytest.raises((ConfigError, UnreadableFileError), match=r"os|read"):
        load_foreign(tmp_path / "evil.pt")


def test_a_whole_pickled_model_is_named_as_such(tmp_path: Path) -> None:
    path = saved(tmp_path / "model.pt", torch.nn.Conv3d(1, 2, 3))
    with pytest.raises(ConfigError, match=r"whole pickled model \(torch\.nn\.modules\.conv"):
        load_foreign(path)


def test_a_torchscript_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.ts"
    with zipfile.ZipFile(path, "w") as archive:  # as torch.jit.save lays it out
        archive.writestr("model/constants.pkl", b"")
        archive.writestr("model/code/__torch__.py", b"")
    with pytest.raises(ConfigError, match="TorchScript program"):
        load_foreign(path)


@pytest.mark.parametrize(
    ("content", "container"),
    [
        (STATE, ""),
        (
            {"net": STATE, "optimizer": {"state": {0: {"exp.avg": torch.ones(2)}}}, "epoch": 7},
            "net",
        ),
        ({"network_weights": STATE, "trainer_name": "nnUNetTrainer"}, "network_weights"),
        ({"state_dict": STATE, "pytorch-lightning_version": "2.0"}, "state_dict"),
        ({"model": {"state_dict": STATE}, "scheduler": {"a.b": torch.ones(1)}}, "model.state_dict"),
        ({"my_own_name": STATE, "epoch": 3}, "my_own_name"),
    ],
)
def test_the_container_of_the_weights_is_found(
    tmp_path: Path, content: Any, container: str
) -> None:
    path = saved(tmp_path / "some.pth", content)
    found = load_foreign(path)
    assert found.container == container
    assert found.state.keys() == STATE.keys()
    assert all(torch.equal(found.state[name], STATE[name]) for name in STATE)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_of_two_networks_the_usual_one_is_taken_and_the_other_is_told(tmp_path: Path) -> None:
    other = {name: value + 1 for name, value in STATE.items()}
    path = saved(tmp_path / "two.pt", {"ema": other, "state_dict": STATE})
    found = load_foreign(path)
    assert (found.container, found.others) == ("state_dict", ("ema",))
    assert torch.equal(load_foreign(path, container="ema").state["conv.bias"], torch.ones(2))
    with pytest.raises(UnknownNameError, match="unknown container of weights 'emma'"):
        load_foreign(path, container="emma")


def test_two_networks_of_unusual_names_are_not_guessed_between(tmp_path: Path) -> None:
    path = saved(tmp_path / "two.pt", {"first": STATE, "second": STATE})
    with pytest.raises(ConfigError, match="holds 2 networks: first, second"):
        load_foreign(path)


def test_a_checkpoint_with_the_logs_and_settings_of_nnunet_is_read(tmp_path: Path) -> None:
    content = {
        "network_weights": STATE,
        "optimizer_state": {"state": {0: {"momentum_buffer": torch.ones(3)}}},
        "logging": {"mean_fg_dice": [np.float64(0.7)], "ema": np.arange(3.0)},
        "_best_ema": np.float32(0.5),
        "current_epoch": 1000,
        "trainer_name": "nnUNetTrainer",
        "init_args": {
            "configuration": "3d_fullres",
            "plans": {"configurations": {"3d_fullres": {"spacing": [2.5, 0.8, 0.8]}}},
            "device": torch.device("cpu"),
            "folder": Path("somewhere"),
        },
    }
    found = load_foreign(saved(tmp_path / "checkpoint_final.pth", content))
    assert torch.equal(found.state["conv.weight"], STATE["conv.weight"])
    assert found.stated["trainer_name"] == "nnUNetTrainer"
    assert found.stated["spacing_mm"] == [2.5, 0.8, 0.8]
    assert load_foreign(tmp_path).path.name == "checkpoint_final.pth"


def test_what_a_file_states_can_be_written_as_json(tmp_path: Path) -> None:
    content = {"state_dict": STATE, "epoch": 3, "best_loss": float("inf"), "note": "x"}
    stated = load_foreign(saved(tmp_path / "some.pt", content)).stated
    assert json.loads(json.dumps(stated, allow_nan=False)) == {"epoch": 3, "note": "x"}


def test_numbers_beside_the_weights_are_not_taken_for_them(tmp_path: Path) -> None:
    content = {"running.mean": torch.ones(1), "net": STATE, "metrics": {"dice.mean": 0.5}}
    found = load_foreign(saved(tmp_path / "some.pt", content))
    assert (found.container, found.others) == ("net", ("top level",))


def test_safetensors_come_with_what_they_state(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "some.safetensors", metadata={"licence": "Apache-2.0"})
    found = load_foreign(tmp_path / "some.safetensors")
    assert torch.equal(found.state["conv.weight"], STATE["conv.weight"])
    assert found.stated == {"licence": "Apache-2.0"}


def test_a_detector_of_ours_brings_its_spec(tmp_path: Path) -> None:
    spec = spec_of(SEGRESNET)
    write_detector(Detector(spec, fresh(spec)), tmp_path / "detector")
    found = load_foreign(tmp_path / "detector")
    assert found.spec == spec
    assert found.form == "detector"
    weights = (tmp_path / "detector" / "weights.safetensors").read_bytes()
    assert found.sha256 == hashlib.sha256(weights).hexdigest()


@pytest.mark.parametrize("name", ["cut.pt", "cut.safetensors", "text.pt", "empty.pt"])
def test_a_damaged_file_is_named_with_the_way_out(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "cut.safetensors":
        save_file(prefixed(STATE, "a."), path)
    else:
        saved(path, {"state_dict": {"a.b": torch.ones(2000)}})
    content = path.read_bytes()
    path.write_bytes(
        {"text.pt": b"<html>not found</html>", "empty.pt": b""}.get(
            name, content[: len(content) // 2]
        )
    )
    with pytest.raises(UnreadableFileError, match="cannot be read as") as caught:
        load_foreign(path)
    assert str(path) in str(caught.value)
    assert "copy it again" in str(caught.value)


def test_files_without_weights_and_missing_ones_say_what_they_are(tmp_path: Path) -> None:
    path = saved(tmp_path / "settings.pt", {"epoch": 3, "lr": 0.1})
    with pytest.raises(ConfigError, match=r"holds no weights \(a dictionary of epoch, lr\)"):
        load_foreign(path)
    with pytest.raises(UnreadableFileError, match="does not exist"):
        load_foreign(tmp_path / "nowhere.pt")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UnreadableFileError, match="holds no checkpoint of a known name"):
        load_foreign(tmp_path / "folder")
