"""Many cases: a resumable run of :func:`predict_case` on the local engine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path

from scalemai.case import Case
from scalemai.detector.files import Detector, read_detector, weights_digest
from scalemai.engine import Ledger, Run, available_cores
from scalemai.engine import map as map_cases
from scalemai.errors import ConfigError, UnreadableFileError
from scalemai.inference.calibration.applying import map_beside, with_probabilities
from scalemai.inference.calibration.maps import CalibrationMap
from scalemai.inference.device import started
from scalemai.inference.files import MARKER, check_target, require_dicom, write_prediction
from scalemai.inference.organ import with_masks_of
from scalemai.inference.predict import predict_case, require_alike
from scalemai.inference.settings import Runtime, Settings
from scalemai.io.atomic import remove_partials
from scalemai.synthesis.runs import open_run

__all__ = ["Request", "open_ledger", "predict_cases", "predict_to"]


@dataclass(frozen=True)
class Request:
    """What is asked of every case.

    Parameters
    ----------
    detectors
        Folders of one detector, or of several whose probabilities are averaged.
    settings, runtime
        What decides the prediction, and where it is computed.
    organs
        Folder of the organs' masks, if they are not those of the cases
        (:func:`scalemai.inference.organ.with_masks_of`).
    dicom_seg
        Write a DICOM SEG too.
    calibrated
        Give findings the probabilities of the detector's calibration.
    """

    detectors: tuple[Path, ...]
    settings: Settings = field(default_factory=Settings)
    runtime: Runtime = field(default_factory=Runtime)
    organs: Path | None = None
    dicom_seg: bool = False
    calibrated: bool = False


def open_ledger(
    out: Path, request: Request, *, shard: tuple[int, int] = (0, 1), reading: str = ""
) -> Ledger:
    """Read the detectors, find the device, and lock the output folder for one request.

    Parameters
    ----------
    out
        Folder of the predictions; made if it is absent.
    request
        What is asked: another request into the same folder is refused.
    shard
        Part and number of parts, if several machines share the work.
    reading
        How the cases were read, in words that differ if it does.

    Raises
    ------
    UnreadableFileError, ConfigError
        If a detector cannot be used, or they do not go together; if the device is not there; or
        the folder holds predictions of another request.
    LockedError
        If another run is writing to the folder.
    OutputError
        If the folder cannot be made or written.
    """
    detectors = _loaded(request.detectors)
    require_alike(detectors)
    if request.organs is not None and not request.organs.is_dir():
        raise UnreadableFileError("no such folder", where=request.organs, fix="check --organs")
    with started(request.runtime) as engine:
        precision = engine.precision
    asked = {
        "weights": ", ".join(weights_digest(one) for one in detectors),
        **asdict(request.settings),
        "precision": precision,
        "organs": "" if request.organs is None else request.organs,
        "dicom_seg": request.dicom_seg,
        "calibration": _digest(_map_of(request)) if request.calibrated else "",
    }
    return open_run(out, "predict", asked, shard=shard, reading=reading)


def predict_cases(
    cases: Iterable[Case], out: Path, request: Request, *, ledger: Ledger, workers: int = 1
) -> Run[Path]:
    """Predict many cases; one bad case costs itself alone.

    Parameters
    ----------
    cases
        The cases. Those that the ledger has as done, and whose files are there, are skipped.
    out
        Folder of the predictions, not that of the cases.
    request
        What is asked of every case.
    ledger
        From :func:`open_ledger`.
    workers
        Number of processes. One, with all threads, is fastest unless reading and writing take
        longer than the network.

    Raises
    ------
    ConfigError
        If a prediction would replace anything but a prediction.
    """
    chosen = list(cases)
    for case in chosen:
        check_target(case, out / case.id)
    remove_partials(out, {case.id for case in chosen})
    threads = request.runtime.threads or max(available_cores() // workers, 1)
    shared = replace(request, runtime=replace(request.runtime, threads=threads))
    return map_cases(
        partial(predict_to, out=out, request=shared),
        chosen,
        workers=workers,
        ledger=ledger,
        is_complete=lambda key: (out / key / MARKER).is_file(),
        key=_case_id,
        threads=threads,
    )


def predict_to(case: Case, *, out: Path, request: Request) -> Path:
    """Predict one case and write it to ``out / case.id``."""
    if request.dicom_seg:
        require_dicom(case)
    detectors = _loaded(request.detectors)
    masks = None
    if request.organs is not None:
        masks = with_masks_of(case, request.organs, detectors[0].spec.organ)
    found = predict_case(detectors, case, request.settings, request.runtime, masks=masks)
    if request.calibrated:
        found = with_probabilities(found, _map_of(request))
    source = case if request.dicom_seg else None
    return write_prediction(found, out / case.id, dicom_source=source)


def _map_of(request: Request) -> CalibrationMap:
    if len(request.detectors) > 1:
        what = "the mean of several detectors has no calibration"
        raise ConfigError(what, where="calibrated", fix="predict with one")
    return map_beside(request.detectors[0], _loaded(request.detectors)[0])


def _digest(chosen: CalibrationMap) -> str:
    return hashlib.sha256(repr(chosen).encode()).hexdigest()


def _loaded(folders: tuple[Path, ...]) -> tuple[Detector, ...]:
    """Detectors, read once per process as long as their files do not change."""
    stamps = []
    for folder in folders:
        path = folder / "detector.json"
        stamps.append(path.stat().st_mtime_ns if path.is_file() else 0)
    return _read(folders, tuple(stamps))


@lru_cache(maxsize=1)
def _read(folders: tuple[Path, ...], stamps: tuple[int, ...]) -> tuple[Detector, ...]:
    return tuple(read_detector(folder) for folder in folders)


def _case_id(case: Case) -> str:
    return case.id
