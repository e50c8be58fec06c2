"""From prepared cases to a detector on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch

from scalemai.detector.files import Detector, read_detector, write_detector
from scalemai.detector.network import build_network
from scalemai.training.card import model_card, origin_of
from scalemai.training.config import TrainingConfig
from scalemai.training.fit import Fitted, Progress, fit
from scalemai.training.launch import leading, leave
from scalemai.training.log import LOG_NAME, read_log
from scalemai.training.material import Material
from scalemai.training.scans import ScanScore, look_at_scans, scans_with_lesions

__all__ = ["DETECTOR", "train"]

DETECTOR = "detector"


def train(
    config: TrainingConfig,
    material: Material,
    out: Path,
    *,
    resume: bool = True,
    start: Mapping[str, torch.Tensor] | None = None,
    factors: Mapping[str, float] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Detector:
    """Train a detector and write it to ``out/detector``, with checkpoints and logs beside it.

    Parameters
    ----------
    config
        What is trained, and how.
    material
        From :func:`~scalemai.training.material.choose_cases`.
    out
        Folder of the run; one that was stopped or killed goes on where it was.
    resume, start, factors, on_progress
        As of :func:`~scalemai.training.fit.fit`.

    Raises
    ------
    ConfigError, LockedError, ScaleMAIError, KeyboardInterrupt
        As :func:`~scalemai.training.fit.fit`.
    OutputError
        If the detector cannot be written.
    """
    fitted = fit(
        config,
        material.patches(config),
        out,
        held_out=material.held_out_patches(config),
        data_sha256=material.digest,
        resume=resume,
        start=start,
        factors=factors,
        on_progress=on_progress,
    )
    with leading() as leads:
        detector = _finished(config, material, Path(out), fitted) if leads else None
    leave()
    return detector or read_detector(Path(out) / DETECTOR)


def _finished(config: TrainingConfig, material: Material, out: Path, fitted: Fitted) -> Detector:
    """The detector of a run that is done, looked at and written."""
    network = build_network(config.detector)
    network.load_state_dict(fitted.checkpoint.weights)
    bare = Detector(config.detector, network.eval())
    step = fitted.checkpoint.record.step
    scans = _looked(bare, material, config, fitted.last.threads)
    origin = origin_of(config, material, fitted.last, step, _scores(out, step), scans)
    detector = replace(bare, origin=origin, card=model_card(config, origin))
    write_detector(detector, out / DETECTOR)
    return detector


def _looked(
    detector: Detector, material: Material, config: TrainingConfig, threads: int
) -> ScanScore | None:
    """Whole held-out hosts, looked at once."""
    patches = material.held_out_patches(config)
    if patches is None or material.held_out is None or not config.validation.scans:
        return None
    cases = list(material.held_out.cases.values())[: config.validation.scans]
    return look_at_scans(detector, scans_with_lesions(patches, cases), threads=threads)


def _scores(out: Path, step: int) -> dict[str, float]:
    """The validation of a step, or the last one before it."""
    lines = [line for line in read_log(Path(out) / LOG_NAME) if line["step"] <= step]
    for line in reversed(lines):
        found = {name: value for name, value in line.items() if name.startswith("validation_")}
        if found:
            return {"step": line["step"], **found}
    return {}
