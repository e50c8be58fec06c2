"""Masks of models that nnU-Net trained, on the grids of the scans; resumable."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from scalemai._version import __version__
from scalemai.case import Case
from scalemai.engine import Ledger, Run
from scalemai.engine import map as map_cases
from scalemai.errors import ConfigError, UnreadableFileError
from scalemai.io.atomic import atomic_path, remove_partials
from scalemai.io.nifti import write_volume
from scalemai.training.nnunet.launch import (
    nnunet_errors,
    register_trainer,
    require_safe_checkpoint,
    torch_device,
)
from scalemai.training.nnunet.raw_case import ENDING

__all__ = ["Model", "open_model", "open_prediction_ledger", "predict_cases"]


@dataclass(frozen=True, eq=False)
class Model:
    """A trained model, ready to predict.

    Parameters
    ----------
    folder
        nnU-Net's folder of it, ``TRAINER__PLANS__CONFIGURATION``.
    predictor
        nnU-Net's own.
    sha256
        Hash of each checkpoint, by fold.
    mirroring
        Whether it also looks at mirror images, which takes eight times as long.
    """

    folder: Path
    predictor: Any
    sha256: dict[str, str]
    mirroring: bool


def open_model(
    folder: Path,
    *,
    folds: Sequence[str] = (),
    checkpoint: str = "final",
    device: str = "cpu",
    threads: int = 1,
    mirroring: bool = False,
) -> Model:
    """Load a model.

    Parameters
    ----------
    folder
        nnU-Net's folder of it, which holds ``plans.json`` and a folder for each fold.
    folds
        Folds whose mean is taken; all that are trained, if none is named.
    checkpoint
        ``"final"`` or ``"best"``.
    device, threads
        Where it runs, and on how many threads of PyTorch.
    mirroring
        Whether it also looks at mirror images.

    Raises
    ------
    MissingExtraError
        If nnU-Net is not installed.
    ConfigError
        If there is no such model, fold or device.
    UnreadableFileError
        If a checkpoint is damaged, or holds more than weights and numbers.
    """
    name = f"checkpoint_{checkpoint}.pth"
    found = sorted(path.parent.name.removeprefix("fold_") for path in folder.glob(f"fold_*/{name}"))
    wanted = list(folds) or [fold for fold in found if fold != "all"] or found
    if missing := [fold for fold in wanted if fold not in found] or (not wanted and ["0"]):
        what = f"has no {name} of fold {', '.join(missing)}"
        fix = "give the folder TRAINER__PLANS__CONFIGURATION of a trained model"
        raise ConfigError(what, where=folder, fix=fix)
    register_trainer()
    hashes: dict[str, str] = {}
    for fold in wanted:
        path = folder / f"fold_{fold}" / name
        require_safe_checkpoint(path)
        with path.open("rb") as stream:
            hashes[fold] = hashlib.file_digest(stream, "sha256").hexdigest()
    with nnunet_errors("loading a model", folder):
        import torch
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

        torch.set_num_threads(threads)
        predictor = nnUNetPredictor(
            use_mirroring=mirroring,
            device=torch_device(device),
            perform_everything_on_device=device == "cuda",
            allow_tqdm=False,
        )
        numbers = tuple(fold if fold == "all" else int(fold) for fold in wanted)
        predictor.initialize_from_trained_model_folder(str(folder), numbers, name)
    return Model(folder, predictor, hashes, mirroring)


def open_prediction_ledger(out: Path, model: Model) -> Ledger:
    """Lock a folder of predictions for one model.

    Raises
    ------
    LockedError
        If another run is writing to it.
    ConfigError
        If it holds predictions of another model.
    """
    fields = {
        "verb": "nnunet predict",
        "version": __version__,
        "checkpoints": json.dumps(model.sha256, sort_keys=True),
        "mirroring": str(model.mirroring),
    }
    return Ledger(out / "ledger.jsonl", fingerprint=fields)


def predict_cases(cases: Sequence[Case], out: Path, model: Model, *, ledger: Ledger) -> Run[Path]:
    """Predict label maps of many cases, one after the other; one bad case costs itself alone.

    Written are ``CASE.nii.gz`` on the grid of the CT, and the ``dataset.json`` that says what its
    values mean, which ``scalemai evaluate`` reads.

    Parameters
    ----------
    cases
        Those that the ledger has as done, and whose files are there, are skipped.
    out
        Folder of the predictions.
    model
        From :func:`open_model`.
    ledger
        From :func:`open_prediction_ledger`.
    """
    manifest = dict(model.predictor.dataset_json)
    manifest.pop("dataset", None)  # the cases that it was trained on are none of these
    with atomic_path(out / "dataset.json") as temporary:
        temporary.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    remove_partials(out, {f"{case.id}{ENDING}" for case in cases})
    return map_cases(
        partial(_predict, out=out, model=model),
        cases,
        ledger=ledger,
        is_complete=lambda name: (out / f"{name}{ENDING}").is_file(),
        key=_case_id,
    )


def _predict(case: Case, *, out: Path, model: Model) -> Path:
    target = out / f"{case.id}{ENDING}"
    volume = case.volume()  # refuses what is damaged, or no HU
    with tempfile.TemporaryDirectory(prefix="scalemai-") as place:
        image, made = Path(place) / f"{case.id}_0000{ENDING}", Path(place) / "out"
        made.mkdir()  # nnU-Net writes there before it makes it
        write_volume(image, volume)
        with nnunet_errors("predicting", case.ct):
            model.predictor.predict_from_files_sequential([[str(image)]], [str(made / case.id)])
        written = made / target.name
        if not written.is_file():
            raise UnreadableFileError("nnU-Net wrote no label map", where=case.ct)
        with atomic_path(target) as temporary:
            shutil.copyfile(written, temporary)
    return target


def _case_id(case: Case) -> str:
    return case.id
