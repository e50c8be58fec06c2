"""A network trained from patches: killed and resumed, it ends with the same bits.

The work of one process is in ``loop``; here one is made of it, or several.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric

from scalemai.engine.lock import acquire
from scalemai.errors import ScaleMAIError
from scalemai.training.checkpoint import Checkpoint, Record, last_step, read_checkpoint
from scalemai.training.compute import make_fabric
from scalemai.training.config import TrainingConfig
from scalemai.training.launch import launched, leading
from scalemai.training.loop import CHECKPOINTS, Job, Progress, learning_rate, run
from scalemai.training.stopping import listening
from scalemai.training.stream import PatchSource

__all__ = ["CHECKPOINTS", "Fitted", "Progress", "fit", "learning_rate"]


@dataclass(frozen=True)
class Fitted:
    """What a training ended with.

    Parameters
    ----------
    checkpoint
        The one that was chosen.
    last
        Record of the last one.
    """

    checkpoint: Checkpoint
    last: Record


def fit(
    config: TrainingConfig,
    patches: PatchSource,
    out: Path,
    *,
    held_out: PatchSource | None = None,
    data_sha256: str = "",
    resume: bool = True,
    start: Mapping[str, torch.Tensor] | None = None,
    factors: Mapping[str, float] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Fitted:
    """Train a network.

    Parameters
    ----------
    config
        What is trained, and how.
    patches
        Patches to learn from. With workers or several devices it must be picklable.
    out
        Folder of checkpoints and logs.
    held_out
        Patches of held-out hosts; the first ones are made once and looked at again and again.
    data_sha256
        Hash of the data: a run is not resumed with others.
    resume
        Go on after the last checkpoint in ``out``. If not, it is started anew.
    start
        First weights by name, in place of random ones.
    factors
        Factor of the learning rate of parameters by name; 0 for those that stay as they are.
    on_progress
        Called after each step, on the first device.

    Returns
    -------
    Fitted
        The weights that ``config.validation.choose`` says.

    Raises
    ------
    ConfigError
        If the device is not there, or a run with another config or other data is to be resumed.
    LockedError
        If another run is writing to ``out``.
    ScaleMAIError
        If the loss or its gradient is not finite (naming step and cases), or patches cannot be
        made. The last checkpoint stays.
    KeyboardInterrupt
        If a signal asked to stop; a checkpoint was written.
    """
    fabric = make_fabric(config.compute)
    launch = launched()
    several = config.compute.devices > 1 and launch is None
    job = Job(
        config,
        patches,
        held_out,
        Path(out),
        data_sha256,
        resume,
        start,
        factors or {},
        None if several else on_progress,
    )
    folder = job.out / CHECKPOINTS
    folder.mkdir(parents=True, exist_ok=True)
    with nullcontext() if launch is not None and not launch.leads else acquire(job.out / ".lock"):
        with leading() as leads:
            if leads and not resume:
                _forget(folder)
        if several:
            _launched(fabric, job)
        else:
            fabric.launch()
            run(fabric, job)
            fabric.barrier()
        step = last_step(folder)
        assert step is not None  # a run that ends has written one
        last = read_checkpoint(folder, step)
    if last.record.step < config.steps:
        raise KeyboardInterrupt
    chosen = last
    if config.validation.choose == "best" and last.record.best is not None:
        chosen = read_checkpoint(folder, last.record.best.step)
    return Fitted(chosen, last.record)


def _launched(fabric: Fabric, job: Job) -> None:
    from torch.multiprocessing import ProcessExitedException, ProcessRaisedException

    try:
        with listening():  # a signal reaches the processes too, and they stop by themselves
            fabric.launch(partial(_run_one, job=job))  # Fabric would search arguments for modules
    except (ProcessExitedException, ProcessRaisedException) as error:
        reason = str(error).strip().splitlines()[-1]
        what = f"a training process failed ({reason})"
        raise ScaleMAIError(what, where=job.out, fix="the last checkpoint is kept") from error


def _run_one(fabric: Fabric, job: Job) -> None:
    """One process of several, which leaves the others in good order."""
    run(fabric, job)
    fabric.barrier()
    torch.distributed.destroy_process_group()  # gloo's threads abort a process that ends before


def _forget(folder: Path) -> None:
    for path in folder.glob("step-*"):
        shutil.rmtree(path)
