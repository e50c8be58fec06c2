"""Planning and training by nnU-Net, in this process.

nnU-Net finds a trainer by looking through its own modules, then through folders of the user, and
imports each module that it passes: one of them needs torchvision, which builds of PyTorch for CPU
often cannot import. Here the class is put where nnU-Net looks first.
"""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from scalemai.errors import (
    ConfigError,
    MissingExtraError,
    ScaleMAIError,
    UnknownNameError,
    UnreadableFileError,
)
from scalemai.io.atomic import atomic_path
from scalemai.training.nnunet.folders import Folders
from scalemai.training.nnunet.plans import (
    CPU,
    PLANS,
    add_cpu_configuration,
    read_plans,
    usual_window,
    with_fixed_window,
    write_plans,
)
from scalemai.training.nnunet.settings import read_settings, scheme_of, write_settings

__all__ = [
    "TRAINER",
    "fold_folder",
    "nnunet_errors",
    "plan_dataset",
    "register_trainer",
    "require_safe_checkpoint",
    "torch_device",
    "train_fold",
]

TRAINER = "nnUNetTrainerScaleMAI"

_FAILURES = (
    ArithmeticError,
    AssertionError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def plan_dataset(
    folders: Folders,
    configurations: Sequence[str] = (CPU,),
    *,
    window_hu: tuple[float, float] | None = None,
    spacing_mm: Sequence[float] | None = None,
    planner: str = "ExperimentPlanner",
    workers: int = 1,
) -> Path:
    """Check, plan and preprocess an exported data set, with a fixed window of HU.

    Parameters
    ----------
    folders
        Those of the data set.
    configurations
        Which ones are preprocessed: ``3d_cpu``, ``3d_fullres``, ``3d_lowres``.
    window_hu
        What is kept of the attenuation; by default the usual one of the organs.
    spacing_mm
        Voxel size of ``3d_cpu`` along x, y and z in mm; that of ``3d_fullres`` if None.
    planner
        nnU-Net's planner, for example ``"nnUNetPlannerResEncM"``.
    workers
        Number of processes.

    Returns
    -------
    Path
        The plans.

    Raises
    ------
    MissingExtraError
        If nnU-Net is not installed.
    ConfigError
        If the data set was not exported by this package, or a configuration is not known.
    ScaleMAIError
        If nnU-Net cannot do it.
    """
    _require_nnunet()
    scheme = scheme_of(read_plans(folders.dataset / "dataset.json"))
    window = window_hu or usual_window(tuple(scheme.organs))
    plans_file = folders.preprocessed / f"{PLANS}.json"
    with folders.known(loaders=workers), nnunet_errors("planning", folders.dataset):
        from nnunetv2.experiment_planning import plan_and_preprocess_api as nnunet

        number = [folders.number]
        nnunet.extract_fingerprints(
            number, num_processes=workers, check_dataset_integrity=True, show_progress_bar=False
        )
        _take_over_splits(folders)
        nnunet.plan_experiments(number, planner, overwrite_plans_name=PLANS)
        plans = with_fixed_window(read_plans(plans_file), window)
        plans = add_cpu_configuration(plans, spacing_mm=spacing_mm)
        write_plans(plans_file, plans)
        for name in configurations:
            if name not in plans["configurations"]:
                raise UnknownNameError("configuration", name, plans["configurations"])
        nnunet.preprocess(number, PLANS, list(configurations), [workers], show_progress_bar=False)
    write_settings(folders.preprocessed, read_settings(folders.preprocessed))
    return plans_file


def train_fold(
    folders: Folders,
    configuration: str = CPU,
    fold: str = "0",
    *,
    device: str = "cpu",
    threads: int = 1,
    loaders: int = 0,
) -> Path:
    """Train one fold, or go on with it; then validate, where that can mean something.

    Parameters
    ----------
    folders
        Those of a planned data set.
    configuration
        One of the plans.
    fold
        Number of the fold, or ``"all"``.
    device
        ``"cpu"``, ``"cuda"`` or ``"mps"``.
    threads
        Threads of PyTorch. Sums depend on it, and so do weights, bit for bit.
    loaders
        Processes that make batches. With 0 this process does, and a run repeats itself.

    Returns
    -------
    Path
        Folder of the fold.

    Raises
    ------
    MissingExtraError
        If nnU-Net is not installed.
    ConfigError
        If the data set is not planned, or configuration, fold or device are not there.
    UnreadableFileError
        If the checkpoint to go on from holds more than weights and numbers.
    ScaleMAIError
        If nnU-Net cannot do it.
    """
    _require_nnunet()
    plans = read_plans(folders.preprocessed / f"{PLANS}.json")
    if configuration not in plans["configurations"]:
        raise UnknownNameError("configuration", configuration, plans["configurations"])
    if fold != "all" and not fold.isdecimal():
        fix = "give a number from 0, or all"
        raise ConfigError(f"{fold!r} is no fold", where="fold", fix=fix)
    _require_fold(folders, fold)
    target = fold_folder(folders, configuration, fold)
    before = [target / f"checkpoint_{name}.pth" for name in ("final", "latest", "best")]
    there = [path for path in before if path.is_file()]
    if there:
        require_safe_checkpoint(there[0])
    done = before[0].is_file()
    if done and (target / "validation" / "summary.json").is_file():
        return target
    with folders.known(loaders=loaders), nnunet_errors("training", target):
        import torch
        from nnunetv2.run.run_training import run_training

        register_trainer()
        chosen = torch_device(device)
        usual = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            run_training(
                folders.dataset.name,
                configuration,
                fold,
                TRAINER,
                PLANS,
                continue_training=bool(there) and not done,
                only_run_validation=done,
                device=chosen,
            )
        finally:
            torch.set_num_threads(usual)
    return target


def fold_folder(folders: Folders, configuration: str, fold: str) -> Path:
    """Where nnU-Net puts the model of a fold."""
    return folders.results / f"{TRAINER}__{PLANS}__{configuration}" / f"fold_{fold}"


def register_trainer() -> None:
    """Put the trainer where nnU-Net looks first, for training and for models to predict with."""
    _require_nnunet()
    place = import_module("nnunetv2.training.nnUNetTrainer.nnUNetTrainer")
    trainer = import_module("scalemai.training.nnunet.trainer")
    setattr(place, TRAINER, getattr(trainer, TRAINER))


def torch_device(name: str) -> object:
    """The device of a name.

    Raises
    ------
    ConfigError
        If this machine, or this build of PyTorch, has none.
    """
    import torch

    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name not in there:
        raise UnknownNameError("device", name, there)
    if not there[name]:
        what = f"this machine, or PyTorch {torch.__version__}, has no {name}"
        raise ConfigError(what, where="device", fix="give cpu")
    return torch.device(name)


def require_safe_checkpoint(path: Path) -> None:
    """Refuse a checkpoint that holds more than weights and numbers: nnU-Net would run it.

    Raises
    ------
    UnreadableFileError
        If it is damaged, or holds objects of other types.
    """
    import numpy as np
    import torch

    numbers = [np.float16, np.float32, np.float64, np.int64, np.int32, np.bool_]
    scalar = np.float64(0.0).__reduce__()[0]  # numpy's own maker of scalars, wherever it lives
    safe = [scalar, np.dtype, *numbers, *(type(np.dtype(one)) for one in numbers)]
    try:
        with torch.serialization.safe_globals(safe):
            torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError) as error:
        what = f"is damaged or holds more than weights ({str(error).splitlines()[0]})"
        fix = "load only checkpoints that you trained"
        raise UnreadableFileError(what, where=path, fix=fix) from error


@contextmanager
def nnunet_errors(doing: str, where: Path) -> Iterator[None]:
    """One line in place of the tracebacks of nnU-Net, which raises whatever comes.

    Parameters
    ----------
    doing
        What is being done.
    where
        To what.
    """
    try:
        yield
    except ScaleMAIError:
        raise
    except _FAILURES as error:
        what = f"nnU-Net failed at {doing} ({type(error).__name__}: {error})"
        raise ScaleMAIError(what, where=where, fix="see what it has said above") from error


def _require_nnunet() -> None:
    if find_spec("nnunetv2") is None:
        # Left alone, pip replaces PyTorch by the build that torchvision's newest release wants.
        fix = "install it with a constraint that keeps your torch (docs/howto/nnunet.md)"
        raise MissingExtraError("nnU-Net v2 is not installed", fix=fix)


def _require_fold(folders: Folders, fold: str) -> None:
    """nnU-Net draws a fold by case, not by patient, where the file of folds has none."""
    if fold == "all":
        return
    path = folders.preprocessed / "splits_final.json"
    count = len(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else 0
    if int(fold) >= count:
        what = f"there is no fold {fold}, but {count} of them"
        fix = f"give 0 to {count - 1}, or all" if count else "give all: one patient has no folds"
        raise ConfigError(what, where=path, fix=fix)


def _take_over_splits(folders: Folders) -> None:
    """nnU-Net's planner takes folds over once, and stops where they have changed since."""
    source, target = (one / "splits_final.json" for one in (folders.dataset, folders.preprocessed))
    if source.is_file():
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
