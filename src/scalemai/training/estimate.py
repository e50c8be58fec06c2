"""What a training will cost, from two steps on noise."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace

import torch

from scalemai.detector.network import build_network
from scalemai.training.compute import computing, device_name, threads_of
from scalemai.training.config import TrainingConfig
from scalemai.training.losses import SegmentationLoss

__all__ = ["Estimate", "estimate"]

_WORKER_BYTES = 700 << 20
"""Of a process that makes patches, libraries included: measured on Linux, torch 2.13."""

_STEPS = 2  # the first one pays for memory and kernels, the second one is timed


@dataclass(frozen=True)
class Estimate:
    """What a training will cost.

    Parameters
    ----------
    parameters
        Of the network.
    step_s
        Seconds of one step, if patches never keep it waiting.
    memory_bytes
        Of this process on a CPU, or of the GPU, and of the processes that make patches.
    """

    parameters: int
    step_s: float
    memory_bytes: int

    def hours(self, steps: int) -> float:
        """Time of some steps."""
        return steps * self.step_s / 3600.0


def estimate(config: TrainingConfig) -> Estimate:
    """Do two steps on noise on the device of a config, in single precision.

    Raises
    ------
    ConfigError
        If the device is not there, or the network is impossible.
    """
    spec = config.detector
    device = torch.device(device_name(config.compute))
    with computing(threads_of(config.compute), repeatable=device.type == "cpu"):
        layout = torch.channels_last_3d if config.compute.channels_last else torch.contiguous_format
        network = build_network(spec).to(device, memory_format=layout).train()
        criterion = SegmentationLoss(len(spec.classes), replace(config.loss)).to(device)
        adam = torch.optim.AdamW(network.parameters())
        shape = (config.batch, spec.preprocessing.channels, *spec.patch)
        noise = torch.rand(shape, generator=torch.Generator().manual_seed(0))
        image = noise.to(device, memory_format=layout)
        label = (noise[:, 0] > 0.9).to(device, torch.uint8)
        taken = 0.0
        for _ in range(_STEPS):
            began = time.perf_counter()
            adam.zero_grad()
            loss = criterion(network(image), label)
            loss.backward()
            adam.step()
            float(loss.detach())  # waits for the device
            taken = time.perf_counter() - began
    parameters = sum(one.numel() for one in network.parameters())
    workers = config.run.workers * config.compute.devices * _WORKER_BYTES
    return Estimate(parameters, taken, _peak_bytes(device) + workers)


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
