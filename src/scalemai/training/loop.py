"""One process of a training: step after step, with checkpoints and looks at what is held out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

from scalemai.detector.network import build_network
from scalemai.errors import ScaleMAIError
from scalemai.training.checkpoint import (
    Best,
    Checkpoint,
    Record,
    last_step,
    read_checkpoint,
    require_same,
    write_checkpoint,
)
from scalemai.training.compute import computing, device_name, threads_of
from scalemai.training.config import OptimiserConfig, TrainingConfig
from scalemai.training.log import open_log
from scalemai.training.losses import SegmentationLoss
from scalemai.training.stopping import Stop, listening
from scalemai.training.stream import Batch, PatchSource, batches
from scalemai.training.transfer.groups import parameter_groups
from scalemai.training.validation import Score, held_out_batches, validate

__all__ = ["CHECKPOINTS", "Job", "Progress", "learning_rate", "run"]

CHECKPOINTS = "checkpoints"

_log = logging.getLogger("scalemai.training")


@dataclass(frozen=True)
class Progress:
    """Where a training is.

    Parameters
    ----------
    step, steps
        Steps done, and of how many.
    loss, learning_rate
        Of this step.
    step_s
        Seconds of this step, the wait for its patches included.
    loader_share
        Share of the time of all steps that was spent waiting for patches.
    score
        Of a validation, at the steps that have one.
    """

    step: int
    steps: int
    loss: float
    learning_rate: float
    step_s: float
    loader_share: float
    score: Score | None = None


@dataclass(frozen=True)
class Job:
    """All that a process needs; it is handed to spawned ones."""

    config: TrainingConfig
    patches: PatchSource
    held_out: PatchSource | None
    out: Path
    data_sha256: str
    resume: bool
    start: Mapping[str, torch.Tensor] | None
    factors: Mapping[str, float]
    on_progress: Callable[[Progress], None] | None = field(default=None, compare=False)


def run(fabric: Fabric, job: Job) -> None:
    """Do the steps that are left.

    Raises
    ------
    ConfigError, UnreadableFileError, ScaleMAIError
        As :func:`scalemai.training.fit.fit`.
    """
    config = job.config
    found = None
    if (step := last_step(job.out / CHECKPOINTS)) is not None:
        found = read_checkpoint(job.out / CHECKPOINTS, step)
        require_same(found.record, config.deciding(), job.data_sha256, job.out)
    threads = threads_of(config.compute)
    if found is not None and not config.compute.threads:
        threads = found.record.threads  # for the same bits, wherever it goes on
    record = Record(
        step=0,
        config=config.deciding(),
        data_sha256=job.data_sha256,
        torch=torch.__version__,
        device=device_name(config.compute),
        threads=threads,
    )
    if found is not None:
        for name in ("torch", "device"):
            now, then = getattr(record, name), getattr(found.record, name)
            if now != then:
                text = "%s: goes on with %s %s after %s: the last bits of the weights will differ"
                _log.warning(text, job.out, name, now, then)
    with computing(threads, repeatable=record.device == "cpu"), listening() as stop:
        _Trainer(fabric, job, record, found, stop).go()


def learning_rate(config: OptimiserConfig, step: int, steps: int) -> float:
    """The learning rate of a step, from 0: a linear warm-up, then polynomial decay."""
    rising = min((step + 1) / (config.warm_up + 1), 1.0)
    falling = (1.0 - step / steps) ** config.power
    return float(config.learning_rate * rising * falling)


class _Trainer:
    """State of one process of a training."""

    def __init__(
        self, fabric: Fabric, job: Job, record: Record, found: Checkpoint | None, stop: Stop
    ) -> None:
        self.fabric, self.job, self.config, self.stop = fabric, job, job.config, stop
        spec = self.config.detector
        self.layout = (
            torch.channels_last_3d if self.config.compute.channels_last else torch.contiguous_format
        )
        bare = build_network(spec, seed=self.config.seed)
        if job.start is not None:
            bare.load_state_dict(job.start)
        if found is not None:
            bare.load_state_dict(found.weights)
            record = replace(
                record,
                step=found.record.step,
                seconds=found.record.seconds,
                waited_s=found.record.waited_s,
                best=found.record.best,
            )
        self.record = record
        # DDP's buckets want gradients laid out plainly.
        weights = self.layout if fabric.world_size == 1 else torch.contiguous_format
        bare = bare.to(fabric.device, memory_format=weights)
        own = self.config.optimiser
        groups = parameter_groups(bare, self.job.factors)
        adam = torch.optim.AdamW(groups, lr=own.learning_rate, weight_decay=own.weight_decay)
        if found is not None:
            adam.load_state_dict(found.optimiser)
        self.bare = bare
        self.network, self.optimiser = fabric.setup(bare, adam)
        self.criterion = SegmentationLoss(len(spec.classes), self.config.loss).to(fabric.device)
        self.fixed: tuple[Batch, ...] = ()

    def go(self) -> None:
        """Do the steps that are left."""
        config, first = self.config, self.record.step
        if first == config.steps:
            return
        if self.job.held_out is not None and config.validation.looks and self._leads:
            self.fixed = held_out_batches(
                self.job.held_out, config.validation.patches, config.batch
            )
        stream = batches(
            self.job.patches,
            batch=config.batch,
            steps=range(first, config.steps),
            workers=config.run.workers,
            rank=self.fabric.global_rank,
            world=self.fabric.world_size,
        )
        with ExitStack() as stack:
            log = (
                stack.enter_context(open_log(self.job.out, config, start=first))
                if self._leads
                else None
            )
            for step, batch, waited_s, began in _timed(stream, first):
                rate = learning_rate(config.optimiser, step, config.steps)
                loss = self._step(batch, step, rate)
                self.record = replace(self.record, step=step + 1)
                score = self._looked(step + 1)
                spent = time.perf_counter() - began
                starting = waited_s if step == first else 0.0
                self.record = replace(
                    self.record,
                    seconds=self.record.seconds + spent - starting,
                    waited_s=self.record.waited_s + waited_s - starting,
                )
                if log is not None:
                    self._tell(log, loss, rate, spent, waited_s, score)
                stopping = self._stopping()
                if stopping or self._due(step + 1):
                    self._save()
                if stopping:
                    return

    @property
    def _leads(self) -> bool:
        return bool(self.fabric.is_global_zero)

    def _step(self, batch: Batch, step: int, rate: float) -> float:
        """One step of the optimiser; the loss before it."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["factor"]
        # Dropout, where a network has it, follows from the step alone.
        own = np.random.SeedSequence([self.config.seed, step, self.fabric.global_rank])
        torch.manual_seed(int(own.generate_state(1, np.uint32)[0]))
        self.network.train()
        image = batch.image.to(self.fabric.device, memory_format=self.layout)
        self.optimiser.zero_grad()
        loss = self.criterion(self.network(image), batch.label.to(self.fabric.device))
        value = float(loss.detach())
        if not np.isfinite(value):
            raise self._not_finite("the loss", value, step, batch)
        self.fabric.backward(loss)
        norm = self.fabric.clip_gradients(
            self.network,
            self.optimiser,
            max_norm=self.config.optimiser.clip_norm or float("inf"),
            error_if_nonfinite=False,
        )
        # In float16 the scaler leaves out steps that overflow, and goes on.
        if self.config.compute.precision != "16-mixed" and not bool(torch.isfinite(norm)):
            raise self._not_finite("the gradient", float(norm), step, batch)
        self.optimiser.step()
        return value

    def _not_finite(self, what: str, value: float, step: int, batch: Batch) -> ScaleMAIError:
        damaged = [
            key
            for key, image in zip(batch.keys, batch.image, strict=True)
            if not bool(torch.isfinite(image).all())
        ]
        keys = ", ".join(damaged or batch.keys)
        kept = last_step(self.job.out / CHECKPOINTS)
        fix = f"look at {'it' if damaged else 'them, or lower optimiser.learning_rate'}"
        fix += f"; the checkpoint of step {kept} is kept" if kept else ""
        return ScaleMAIError(
            f"{what} is {value:g} at step {step + 1}, in the patches {keys}",
            where=self.job.out,
            fix=fix,
        )

    def _looked(self, step: int) -> Score | None:
        """Validate, if it is time; the others wait."""
        every = self.config.validation.every
        if self.job.held_out is None or not self.config.validation.looks:
            return None
        if step % every and step != self.config.steps:
            return None
        score = None
        if self._leads:
            score = validate(
                self.bare, self.fixed, self.criterion, self.fabric.device, memory_format=self.layout
            )
            best = self.record.best
            if best is None or score.dice > best.score:
                self.record = replace(self.record, best=Best(step, score.dice))
        self.fabric.barrier()
        return score

    def _due(self, step: int) -> bool:
        """Whether a checkpoint is to be written: the best one is needed too."""
        best = self.record.best
        regular = step % self.config.run.checkpoint_every == 0 or step == self.config.steps
        return regular or (best is not None and best.step == step)

    def _save(self) -> None:
        if self._leads:
            write_checkpoint(
                self.job.out / CHECKPOINTS,
                Checkpoint(self.record, self.bare.state_dict(), self.optimiser.state_dict()),
            )

    def _stopping(self) -> bool:
        if self.fabric.world_size == 1:
            return self.stop.asked
        asked = torch.tensor(float(self.stop.asked), device=self.fabric.device)
        return bool(self.fabric.all_reduce(asked, reduce_op="sum") > 0)  # all stop, or none

    def _tell(
        self, log: Any, loss: float, rate: float, spent: float, waited: float, score: Score | None
    ) -> None:
        seen = self.config.batch * self.fabric.world_size
        values = {
            "loss": loss,
            "learning_rate": rate,
            "samples_per_s": seen / max(spent, 1e-9),
            "loader_share": min(waited / max(spent, 1e-9), 1.0),
        }
        log.write(self.record.step, values | (score.as_values() if score else {}))
        if self.job.on_progress is not None:
            share = self.record.waited_s / max(self.record.seconds, 1e-9)
            self.job.on_progress(
                Progress(self.record.step, self.config.steps, loss, rate, spent, share, score)
            )


def _timed(stream: Iterator[Batch], first: int) -> Iterator[tuple[int, Batch, float, float]]:
    """Step, batch, seconds waited for it, and when the wait began."""
    step = first
    began = time.perf_counter()
    for batch in stream:
        yield step, batch, time.perf_counter() - began, began
        step += 1
        began = time.perf_counter()
