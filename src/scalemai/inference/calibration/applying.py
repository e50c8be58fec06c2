"""Findings with calibrated probabilities."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from scalemai.anatomy import organ
from scalemai.detector.files import Detector, weights_digest
from scalemai.errors import ConfigError
from scalemai.inference.calibration.files import read_calibration
from scalemai.inference.calibration.maps import CalibrationMap
from scalemai.inference.predict import Prediction

__all__ = ["map_beside", "with_probabilities"]


def map_beside(folder: Path, detector: Detector) -> CalibrationMap:
    """The map for findings that lies in a detector's folder.

    Parameters
    ----------
    folder
        The folder.
    detector
        What was read from it.

    Raises
    ------
    UnreadableFileError
        If there is no calibration, or it is damaged.
    ConfigError
        If it is of other weights, or has no map for candidates.
    """
    name = organ(detector.spec.organ).lesion
    for one in read_calibration(folder, weights_sha256=weights_digest(detector)):
        if (one.unit, one.structure) == ("candidates", name):
            return one.chosen
    what = f"candidates of {name} were not calibrated"
    raise ConfigError(what, where=folder, fix="calibrate on more validation cases")


def with_probabilities(prediction: Prediction, chosen: CalibrationMap) -> Prediction:
    """A prediction whose findings have calibrated probabilities; scores and maps stay."""
    findings = (
        replace(finding, probability=float(chosen(finding.score)))
        for finding in prediction.findings
    )
    return replace(prediction, findings=tuple(findings))
