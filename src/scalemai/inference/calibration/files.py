"""What a calibration writes, and what is kept beside the detector.

::

    OUT/calibration.json                 maps of scores to probabilities, for one detector's weights
        operating_point_STRUCTURE_RULE.json
        calibration.html

The first two are copied into the detector's folder, whose other files stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from scalemai._version import __version__
from scalemai.errors import ConfigError, UnreadableFileError
from scalemai.evaluation.patients.operating_point import OperatingPoint, write_operating_point
from scalemai.evaluation.report import write_page
from scalemai.inference.calibration.calibrate import Calibrated, Calibration
from scalemai.inference.calibration.maps import CalibrationMap
from scalemai.inference.calibration.page import calibration_page
from scalemai.io.atomic import atomic_path

__all__ = [
    "CALIBRATION",
    "PAGE",
    "read_calibration",
    "require_predictions_of",
    "write_calibrated",
    "write_calibration",
]

CALIBRATION = "calibration.json"
PAGE = "calibration.html"

_FORMAT = "scalemai-calibration/1"


def write_calibrated(
    calibrated: Calibrated, folder: Path, *, detector: Path, weights_sha256: str
) -> Path:
    """Write maps, operating points and the page; maps and points into the detector's folder too.

    Parameters
    ----------
    calibrated
        What was chosen.
    folder
        Where to; made if absent.
    detector, weights_sha256
        Folder of the detector, and hash of its weights.

    Returns
    -------
    Path
        The page, which is written last.

    Raises
    ------
    OutputError
        If something cannot be written.
    """
    for place in (folder, detector):
        for point in calibrated.points:
            write_operating_point(point, place / _point_name(point))
        write_calibration(calibrated.calibrations, place / CALIBRATION, weights_sha256)
    return write_page(calibration_page(calibrated), folder / PAGE)


def write_calibration(calibrations: Sequence[Calibration], path: Path, weights_sha256: str) -> Path:
    """Write maps as JSON.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    plain = {
        "format": _FORMAT,
        "version": __version__,
        "weights_sha256": weights_sha256,
        "calibrations": [
            {
                "unit": one.unit,
                "structure": one.structure,
                "score": list(one.score),
                "map": one.chosen.to_dict(),
                "positives": one.positives,
                "negatives": one.negatives,
            }
            for one in calibrations
        ],
    }
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(plain, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return path


def read_calibration(path: Path, *, weights_sha256: str) -> tuple[Calibration, ...]:
    """Read the maps of a detector.

    Parameters
    ----------
    path
        The file, or the folder of the detector.
    weights_sha256
        Hash of its weights: maps of another detector are refused.

    Raises
    ------
    UnreadableFileError
        If the file is missing or damaged.
    ConfigError
        If it belongs to another detector.
    """
    file = path / CALIBRATION if path.is_dir() else path
    fix = "write it with scalemai calibrate"
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
        if plain["format"] != _FORMAT:
            raise ValueError(f"is of the format {plain['format']!r}")
        of = plain["weights_sha256"]
        found = tuple(
            Calibration(
                one["unit"],
                one["structure"],
                tuple(one["score"]),
                CalibrationMap.from_dict(one["map"]),
                one["positives"],
                one["negatives"],
            )
            for one in plain["calibrations"]
        )
    except (OSError, ValueError, LookupError, TypeError) as error:
        what = f"cannot be read as a calibration ({error})"
        raise UnreadableFileError(what, where=file, fix=fix) from error
    if of != weights_sha256:
        raise ConfigError("is of a detector with other weights", where=file, fix=fix)
    return found


def require_predictions_of(folder: Path, weights_sha256: str) -> None:
    """Refuse predictions that say that another detector, or several, made them.

    Raises
    ------
    ConfigError
        Naming the first such case.
    """
    for path in sorted(folder.glob("*/findings.json")):
        try:
            told = json.loads(path.read_text(encoding="utf-8"))["provenance"]["detectors"]
            made_by = [one["weights_sha256"] for one in told]
        except (OSError, ValueError, LookupError, TypeError) as error:
            what = f"cannot be read as a prediction ({error})"
            raise UnreadableFileError(what, where=path, fix="predict this case again") from error
        if made_by != [weights_sha256]:
            fix = "give the predictions of this detector alone"
            raise ConfigError("was predicted by another detector", where=path.parent.name, fix=fix)


def _point_name(point: OperatingPoint) -> str:
    rule = point.rule.replace(">=", "-").replace("<=", "-")
    return f"operating_point_{point.structure}_{rule}.json"
