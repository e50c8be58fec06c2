"""Weights that somebody trained, from whatever file they come in. No code in it is ever run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from scalemai.detector.files import read_detector
from scalemai.detector.spec import DetectorSpec
from scalemai.errors import UnreadableFileError
from scalemai.training.transfer.containers import State, find_state
from scalemai.training.transfer.pickles import read_pickle

__all__ = ["ForeignCheckpoint", "load_foreign"]

_IN_FOLDERS = (
    "weights.safetensors",  # a checkpoint of a training of ours
    "model.safetensors",
    "checkpoint_final.pth",  # nnU-Net v2, folder of a fold
    "checkpoint_best.pth",
    "fold_all/checkpoint_final.pth",
    "fold_0/checkpoint_final.pth",
    "models/model.pt",  # MONAI bundle
)


@dataclass(frozen=True, eq=False)
class ForeignCheckpoint:
    """Weights of a network, with what their file says of them.

    Parameters
    ----------
    path
        The file.
    sha256
        Of the file, before it was read.
    form
        ``"detector"``, ``"safetensors"`` or ``"pytorch"``.
    state
        Weights by name, on the CPU. Tensors may be mapped from the file: do not change them.
    container
        Where in the file they were; empty if it holds nothing else.
    others
        Other networks in the file that were left aside.
    stated
        What the file says of itself, in plain types: epoch, trainer, spacing in mm, ...
    spec
        What a detector of ours looks for; None for others.
    """

    path: Path
    sha256: str
    form: str
    state: State
    container: str = ""
    others: tuple[str, ...] = ()
    stated: Mapping[str, Any] = field(default_factory=dict)
    spec: DetectorSpec | None = None


def load_foreign(path: Path, *, container: str | None = None) -> ForeignCheckpoint:
    """Read weights: safetensors, a detector, a PyTorch file, a folder of nnU-Net or a MONAI bundle.

    Parameters
    ----------
    path
        File or folder.
    container
        Which part of a PyTorch file holds the weights, if it has several.

    Raises
    ------
    UnreadableFileError
        If it is missing, damaged, or of no known form.
    ConfigError
        If reading it would run code, or it holds no weights, or several networks.
    """
    path = Path(path)
    if (path / "detector.json").is_file():
        return _of_detector(path)
    file = _file_of(path)
    digest = _sha256(file)
    if file.suffix == ".safetensors":
        state, stated = _safetensors(file)
        state, found, others = find_state(state, file, container)
        return ForeignCheckpoint(file, digest, "safetensors", state, found, others, stated)
    loaded = read_pickle(file)
    state, found, others = find_state(loaded, file, container)
    return ForeignCheckpoint(file, digest, "pytorch", state, found, others, _stated(loaded))


def _of_detector(folder: Path) -> ForeignCheckpoint:
    detector = read_detector(folder)
    file = folder / "weights.safetensors"
    stated = {
        "organ": detector.spec.organ,
        "classes": list(detector.spec.classes),
        "spacing_mm": list(detector.spec.preprocessing.spacing_mm),
        "window_hu": list(detector.spec.preprocessing.window_hu),
    }
    state = detector.network.state_dict()
    return ForeignCheckpoint(
        file, _sha256(file), "detector", state, stated=stated, spec=detector.spec
    )


def _file_of(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise UnreadableFileError("does not exist", where=path, fix="check the path")
    for name in _IN_FOLDERS:
        if (path / name).is_file():
            return path / name
    fix = "give a file, a detector, nnU-Net's folder of a fold, or a MONAI bundle"
    raise UnreadableFileError("holds no checkpoint of a known name", where=path, fix=fix)


def _safetensors(file: Path) -> tuple[State, dict[str, Any]]:
    try:
        with safe_open(file, framework="pt") as opened:
            state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 -- it is no mapping
            return state, dict(opened.metadata() or {})
    except (SafetensorError, OSError) as error:
        what = f"cannot be read as safetensors ({' '.join(str(error).split())[:200]})"
        fix = "download or copy it again"
        raise UnreadableFileError(what, where=file, fix=fix) from error


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        raise UnreadableFileError(
            what, where=file, fix="check the path and its permissions"
        ) from error


def _stated(loaded: Any) -> dict[str, Any]:
    """What a PyTorch file says beside its weights, as far as its form is known."""
    if not isinstance(loaded, Mapping):
        return {}
    said: dict[str, Any] = {
        name: value for name, value in loaded.items() if isinstance(name, str) and _is_plain(value)
    }
    arguments = loaded.get("init_args")
    if isinstance(arguments, Mapping):  # nnU-Net v2
        configuration = arguments.get("configuration")
        plans = arguments.get("plans")
        said |= {"configuration": configuration} if isinstance(configuration, str) else {}
        try:
            spacing = plans["configurations"][configuration]["spacing"]  # type: ignore[index]  # whatever is wrong is caught
            said["spacing_mm"] = [float(step) for step in spacing]
        except (TypeError, LookupError, ValueError):
            pass  # a configuration that inherits its spacing, or another version of plans
    return said


def _is_plain(value: Any) -> bool:
    """Whether JSON can hold it: the best loss of a training that never had one is infinite."""
    return isinstance(value, str | int) or (isinstance(value, float) and isfinite(value))
