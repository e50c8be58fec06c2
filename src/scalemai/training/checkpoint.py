"""Checkpoints: all that a training needs to go on as if nothing had happened.

::

    CHECKPOINTS/step-00000200/weights.safetensors   the network
                              optimiser.pt          moments of AdamW, read as numbers only
                              checkpoint.json       step, config, data, versions, best so far

A checkpoint appears whole, under a new name, before older ones go; so a process may be killed at
any time. The last one and the best one are kept.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from scalemai.errors import ConfigError, UnreadableFileError
from scalemai.io.atomic import atomic_folder, remove_partials
from scalemai.training.config import differences

__all__ = [
    "Best",
    "Checkpoint",
    "Record",
    "last_step",
    "read_checkpoint",
    "require_same",
    "write_checkpoint",
]

FORMAT = "scalemai-checkpoint/1"

_WEIGHTS, _OPTIMISER, _RECORD = "weights.safetensors", "optimiser.pt", "checkpoint.json"
_PREFIX = "step-"


@dataclass(frozen=True)
class Best:
    """The step with the highest score so far."""

    step: int
    score: float


@dataclass(frozen=True)
class Record:
    """What a checkpoint says of itself.

    Parameters
    ----------
    step
        Steps that were done.
    config
        What decides the weights, :meth:`TrainingConfig.deciding`.
    data_sha256
        Hash of the cases and of what is grown in them.
    torch, device, threads
        Version, device and threads that it was computed with.
    seconds, waited_s
        Time of all steps so far, and how much of it was spent waiting for patches; the wait for
        the first ones, while processes start, is left out.
    best
        The best step so far, if any was validated.
    """

    step: int
    config: Mapping[str, Any]
    data_sha256: str
    torch: str
    device: str
    threads: int
    seconds: float = 0.0
    waited_s: float = 0.0
    best: Best | None = None


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint in memory: record, weights by name, and the optimiser's state."""

    record: Record
    weights: Mapping[str, torch.Tensor]
    optimiser: Mapping[str, Any] = field(default_factory=dict)


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint among others, then remove those that are neither last nor best.

    Raises
    ------
    OutputError
        If it cannot be written; the older ones stay.
    """
    record = checkpoint.record
    # Some networks have one tensor under several names, which the format wants to be copies.
    plainly = {n: w.detach().cpu().contiguous().clone() for n, w in checkpoint.weights.items()}
    weights: bytes = save(plainly)
    buffer = io.BytesIO()
    torch.save(dict(checkpoint.optimiser), buffer)
    plain = {
        "format": FORMAT,
        **record.__dict__,
        "best": None if record.best is None else record.best.__dict__,
        "sha256": {_WEIGHTS: _hash(weights), _OPTIMISER: _hash(buffer.getvalue())},
    }
    final = folder / _name(record.step)
    with atomic_folder(final) as partial:
        (partial / _WEIGHTS).write_bytes(weights)
        (partial / _OPTIMISER).write_bytes(buffer.getvalue())
        text = json.dumps(plain, indent=1, allow_nan=False)
        (partial / _RECORD).write_text(text + "\n", encoding="utf-8")
    _keep(folder, {record.step} | ({record.best.step} if record.best else set()))
    return final


def last_step(folder: Path) -> int | None:
    """The step of the last checkpoint; None if there is none. What killed runs left is removed."""
    if not folder.is_dir():
        return None
    partials = {path.name[1:].rsplit(".", 2)[0] for path in folder.glob(f".{_PREFIX}*.partial")}
    remove_partials(folder, partials)
    return max(_steps(folder), default=None)


def read_checkpoint(folder: Path, step: int) -> Checkpoint:
    """Read the checkpoint of a step. No code in it is run.

    Raises
    ------
    UnreadableFileError
        If a file is missing, damaged, or not the one that was written.
    ConfigError
        If it is of another format.
    """
    path = folder / _name(step)
    fix = f"remove {path.name}, so that an older one or a new start is taken"
    try:
        plain = json.loads((path / _RECORD).read_text(encoding="utf-8"))
        weights, optimiser = ((path / name).read_bytes() for name in (_WEIGHTS, _OPTIMISER))
        if not isinstance(plain, dict) or plain.pop("format", None) != FORMAT:
            raise ConfigError(f"is not of the format {FORMAT!r}", where=path, fix=fix)
        hashes = plain.pop("sha256")
        for name, content in ((_WEIGHTS, weights), (_OPTIMISER, optimiser)):
            if _hash(content) != hashes[name]:
                raise UnreadableFileError("is not what was written", where=path / name, fix=fix)
        best = plain.pop("best")
        record = Record(**plain, best=None if best is None else Best(**best))
        state = torch.load(io.BytesIO(optimiser), map_location="cpu", weights_only=True)
        return Checkpoint(record, load(weights), state)
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        RuntimeError,
        SafetensorError,
        pickle.UnpicklingError,
    ) as error:
        if isinstance(error, ConfigError | UnreadableFileError):
            raise
        what = f"cannot be read as a checkpoint ({' '.join(str(error).split())[:200]})"
        raise UnreadableFileError(what, where=path, fix=fix) from error


def require_same(record: Record, config: Mapping[str, Any], data_sha256: str, where: Path) -> None:
    """Refuse to go on with another config or other data.

    Raises
    ------
    ConfigError
        Saying what differs.
    """
    differing = differences(config, record.config)
    if record.data_sha256 != data_sha256:
        differing.append("other cases, or other lesions to grow in them")
    if differing:
        what = f"was trained with {'; '.join(differing)}"
        fix = "ask for the same, or give another --out"
        raise ConfigError(what, where=where, fix=fix)


def _keep(folder: Path, steps: Collection[int]) -> None:
    for step in _steps(folder):
        if step not in steps:
            shutil.rmtree(folder / _name(step), ignore_errors=True)


def _steps(folder: Path) -> list[int]:
    names = (path.name.removeprefix(_PREFIX) for path in folder.glob(f"{_PREFIX}*"))
    return [int(name) for name in names if name.isdecimal()]


def _name(step: int) -> str:
    return f"{_PREFIX}{step:08d}"


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
