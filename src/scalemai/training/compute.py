"""Where a training computes: device, precision and threads, and sums that come out alike again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning_fabric import Fabric

from scalemai.engine import available_cores
from scalemai.errors import ConfigError
from scalemai.training.config import ComputeConfig
from scalemai.training.launch import launched

__all__ = ["computing", "device_name", "make_fabric", "threads_of"]


def make_fabric(config: ComputeConfig) -> Fabric:
    """Fabric for the devices of a config.

    Raises
    ------
    ConfigError
        If there is no such device, or this build of torch has none of its kind; or if a launcher
        started another number of processes.
    """
    kind = device_name(config)
    launch = launched()
    if launch is not None and launch.processes != config.devices:
        what = f"{config.devices}, but {launch.processes} processes were started"
        fix = f"give --set compute.devices={launch.processes}, that of all machines"
        raise ConfigError(what, where="compute.devices", fix=fix)
    here = config.devices if launch is None else launch.here
    if kind == "cuda" and here > torch.cuda.device_count():
        what = f"{here} GPUs, but there are {torch.cuda.device_count()}"
        raise ConfigError(what, where="compute.devices", fix="ask for fewer")
    if kind == "mps" and config.devices > 1:
        raise ConfigError("MPS has one device", where="compute.devices", fix="ask for one")
    if config.precision == "16-mixed" and kind == "cpu":
        fix = "give 32-true, or bf16-mixed where the CPU has AMX or AVX512_BF16"
        raise ConfigError("CPUs do not train in float16", where="compute.precision", fix=fix)
    # Spawned processes run a function; others would run the whole program once more.
    alone = "ddp_spawn" if config.devices > 1 else "auto"
    return Fabric(
        accelerator=kind,
        devices=here,
        num_nodes=config.devices // here,
        strategy=alone if launch is None else "ddp",
        precision=config.precision,
    )


def device_name(config: ComputeConfig) -> str:
    """``"cpu"``, ``"cuda"`` or ``"mps"``.

    Raises
    ------
    ConfigError
        If the device asked for is not there.
    """
    wanted = config.accelerator
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        built = torch.version.cuda is not None
        what = "no CUDA device is found" if built else "this build of torch has no CUDA"
        fix = "check the driver" if built else "install a CUDA build of torch"
        raise ConfigError(what, where="compute.accelerator", fix=f"{fix}, or give cpu")
    if wanted == "mps" and not torch.backends.mps.is_available():
        what = "there is no MPS device here"
        raise ConfigError(what, where="compute.accelerator", fix="give cpu")
    return wanted


def threads_of(config: ComputeConfig) -> int:
    """Threads of each process on a CPU."""
    launch = launched()
    here = config.devices if launch is None else launch.here
    return config.threads or max(available_cores() // here, 1)


@contextmanager
def computing(threads: int, *, repeatable: bool) -> Iterator[None]:
    """Compute with some threads, and with algorithms that give the same bits again.

    Threads, algorithms and random state of the caller come back at the end.

    Parameters
    ----------
    threads
        Of this process.
    repeatable
        On CPUs, where it costs nothing that was measured; some CUDA kernels have no such version.
    """
    before = torch.get_num_threads()
    strict = torch.are_deterministic_algorithms_enabled()
    # Dropout on a GPU draws from that GPU's generator, which torch.manual_seed seeds, too.
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(repeatable or strict)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(strict)
            torch.set_num_threads(before)
