"""A prediction on disk: maps, masks and findings on the grid of the CT.

::

    CASE/probabilities/NAME.nii.gz   uint16 with a slope of 2**-15: 0 to 1, exact in float32
         segmentations/NAME.nii.gz   the voxels of the findings
         findings.csv                a row per finding
         findings.json               the same, and where it comes from
         segmentation.dcm            DICOM SEG, if it is asked for

NAME is the lesion structure of the organ, and each class if the detector tells kinds apart.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from scalemai.case import Case
from scalemai.errors import ConfigError
from scalemai.evaluation.spreadsheet import write_csv
from scalemai.inference.findings import COLUMNS
from scalemai.inference.predict import Prediction
from scalemai.inference.windows import FULL
from scalemai.io.atomic import atomic_folder
from scalemai.io.nifti import is_nifti_name, write_mask, write_volume
from scalemai.volume import Volume

__all__ = ["FORMAT", "MARKER", "check_target", "require_dicom", "write_prediction"]

FORMAT = "scalemai-prediction/1"
"""Version of ``findings.json``."""

MARKER = "findings.json"
"""The file that makes a folder a prediction."""

_TEXT = ("kind", "site", "part")
_SEGMENTATION = "segmentation.dcm"


def write_prediction(
    prediction: Prediction, folder: Path, *, dicom_source: Case | None = None
) -> Path:
    """Write a prediction, whole or not at all; an earlier one is replaced.

    Parameters
    ----------
    prediction
        What to write.
    folder
        ``OUT/CASE``.
    dicom_source
        The case, if a DICOM SEG is wanted too; its CT must be a DICOM series.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ConfigError
        If a DICOM SEG is wanted of a CT that is not DICOM.
    OutputError
        If it cannot be written.
    """
    if dicom_source is not None:
        require_dicom(dicom_source)
    with atomic_folder(folder) as temporary:
        for name in prediction.names:
            write_volume(temporary / "probabilities" / f"{name}.nii.gz", _map(prediction, name))
            mask = prediction.mask(name)
            path = temporary / "segmentations" / f"{name}.nii.gz"
            write_mask(path, mask, like=prediction.volume)
        if dicom_source is not None:
            _write_dicom(prediction, dicom_source, temporary / _SEGMENTATION)
        write_csv(_frame(prediction), temporary / "findings.csv")
        plain = {
            "format": FORMAT,
            "case": prediction.case_id,
            "organ": prediction.organ.name,
            "structures": list(prediction.names),
            "findings": [one.row() for one in prediction.findings],
            "provenance": dict(prediction.provenance),
        }
        text = json.dumps(plain, indent=1, allow_nan=False)
        (temporary / MARKER).write_text(text + "\n", encoding="utf-8")
    return folder


def require_dicom(case: Case) -> None:
    """Refuse a DICOM SEG of a CT that is no DICOM series.

    Raises
    ------
    ConfigError
        If the CT is NIfTI.
    """
    if is_nifti_name(case.ct):
        what = "a DICOM SEG refers to a DICOM series, and this CT is NIfTI"
        raise ConfigError(what, where=case.id, fix="give the DICOM folder, or leave out the SEG")


def check_target(case: Case, folder: Path) -> None:
    """See that a prediction may be written to ``folder``: in place of nothing but a prediction.

    Raises
    ------
    ConfigError
        If the folder holds the CT or a mask of the case, or anything that is no prediction.
    """
    if not folder.exists():
        return
    fix = "choose another --out"
    here = folder.resolve()
    for path in {case.ct, *(source.path for source in case.sources.values())}:
        if here in (path.resolve(), *path.resolve().parents):
            raise ConfigError(f"the prediction would replace {path}", where=folder, fix=fix)
    if not folder.is_dir() or (not (folder / MARKER).is_file() and any(folder.iterdir())):
        what = f"is there already and is no prediction (it holds no {MARKER})"
        raise ConfigError(what, where=folder, fix=fix)


def _map(prediction: Prediction, name: str) -> Volume:
    """The probability map of a structure on the whole grid, with the CT's own header."""
    source = prediction.volume
    stored = np.zeros(source.grid.shape, np.uint16, order="F")
    stored[prediction.region] = prediction.levels_of(name)
    header = source.header
    if header is not None:
        header = header.copy()
        header["cal_min"], header["cal_max"] = 0.0, 1.0  # the CT's are a window in HU
    return Volume(stored, source.grid, 1.0 / FULL, 0.0, header=header)


def _frame(prediction: Prediction) -> pl.DataFrame:
    kinds: dict[str, Any] = dict.fromkeys(COLUMNS, pl.Float64)
    kinds |= dict.fromkeys(_TEXT, pl.String)
    kinds |= {"finding": pl.Int64, "at_border": pl.Boolean}
    named = {"case": prediction.case_id, "structure": prediction.organ.lesion}
    named["organ"] = prediction.organ.name
    rows = [{**named, **one.row()} for one in prediction.findings]
    return pl.DataFrame(rows, {**dict.fromkeys(named, pl.String), **kinds})


def _write_dicom(prediction: Prediction, case: Case, path: Path) -> None:
    # highdicom takes long to import, and most cases are NIfTI.
    from scalemai.io.dicom_seg import write_segmentation

    detectors = prediction.provenance["detectors"]
    write_segmentation(
        path,
        [prediction.mask(prediction.organ.lesion)],
        source=case.ct,
        series=case.series,
        algorithm_name=f"scalemai {prediction.organ.name} detector",
        algorithm_version=detectors[0]["weights_sha256"][:16],
        series_description=f"{prediction.organ.title} lesions, predicted",
    )
