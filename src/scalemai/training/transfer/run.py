"""A training with a start: the same loop, and a detector that says where its weights come from."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from scalemai.detector.files import Detector, write_detector
from scalemai.errors import ConfigError, UnreadableFileError
from scalemai.training.config import TrainingConfig
from scalemai.training.fit import Progress
from scalemai.training.material import Material
from scalemai.training.train import DETECTOR, train
from scalemai.training.transfer.report import write_report
from scalemai.training.transfer.start import Start

__all__ = ["START", "transfer"]

START = "start.json"
_DECIDING = ("sha256", "container", "mode", "decay", "head", "seed")


def transfer(
    config: TrainingConfig,
    material: Material,
    out: Path,
    start: Start,
    *,
    resume: bool = True,
    on_progress: Callable[[Progress], None] | None = None,
) -> Detector:
    """Train a detector from weights that somebody has trained, and write it to ``out/detector``.

    Parameters
    ----------
    config, material, out, resume, on_progress
        As of :func:`scalemai.training.train.train`.
    start
        From :func:`~scalemai.training.transfer.start.start_from`, for the detector of ``config``.
        ``out/start.json`` holds what was taken over, tensor by tensor.

    Raises
    ------
    ConfigError
        If ``out`` holds a training from another start, and for the reasons of ``train``.
    LockedError, ScaleMAIError, KeyboardInterrupt, OutputError
        As of ``train``.
    """
    path = Path(out) / START
    if resume:
        _require_same(path, start)
    write_report(path, start.to_dict())
    detector = train(
        config,
        material,
        out,
        resume=resume,
        start=start.weights,
        factors=start.factors,
        on_progress=on_progress,
    )
    origin = {**detector.origin, "start": dict(start.origin)}
    told = replace(detector, origin=origin, card=detector.card + _card(start))
    write_detector(told, Path(out) / DETECTOR)
    return told


def _require_same(path: Path, start: Start) -> None:
    """Refuse to go on with a run that started from something else."""
    if not path.is_file():
        return
    try:
        there: Any = json.loads(path.read_text(encoding="utf-8"))
        differing = [name for name in _DECIDING if there[name] != start.origin[name]]
    except (OSError, ValueError, LookupError, TypeError) as error:
        fix = "give another --out, or train anew with --restart"
        raise UnreadableFileError(f"cannot be read ({error})", where=path, fix=fix) from error
    if differing:
        told = ", ".join(f"{name} {there[name]}, not {start.origin[name]}" for name in differing)
        fix = "ask for the same, give another --out, or train anew with --restart"
        raise ConfigError(f"was started with {told}", where=path, fix=fix)


def _card(start: Start) -> str:
    origin = start.origin
    stated = json.dumps(origin["stated"], sort_keys=True) if origin["stated"] else "nothing"
    notes = "".join(f"- {note[0].upper()}{note[1:]}.\n" for note in start.notes)
    return f"""
## Start

Trained from weights of others, not from random ones; their data and licence count too.

| | |
|---|---|
| file | {origin["file"]} |
| SHA-256 of the file | `{origin["sha256"]}` |
| the file states | {stated} |
| parameters taken over, head left out | {origin["share_of_parameters"]:.1%} |
| head | {origin["head"]} |
| mode | {origin["mode"]}, learning rate x {origin["decay"]:.3g} from head to decoder to encoder |

{notes}"""
