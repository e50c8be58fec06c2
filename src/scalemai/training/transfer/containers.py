"""Where in what was read the network is: some call it ``net``, others ``network_weights``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from scalemai.errors import ConfigError, UnknownNameError

__all__ = ["CONTAINERS", "State", "find_state"]

State = Mapping[str, torch.Tensor]

CONTAINERS = (
    "network_weights",
    "state_dict",
    "model_state_dict",
    "net",
    "model",
    "network",
    "weights",
    "params",
    "teacher",
    "student",
    "ema",
)
"""Names of what holds the weights, in the order of trust: nnU-Net v2; Lightning, nnU-Net v1 and
MONAI's self-supervised Swin; common habit; SuPreM (``net``); MONAI's ``CheckpointSaver``."""

_NOT_WEIGHTS = ("optimizer", "optimiser", "scheduler", "scaler", "loss", "logging", "rng")
_DEEPEST = 3


def find_state(
    loaded: Any, where: Path, container: str | None = None
) -> tuple[State, str, tuple[str, ...]]:
    """The weights in what was read from a file.

    Parameters
    ----------
    loaded
        Plain containers and tensors.
    where
        The file, for messages.
    container
        Which container to take, dotted if it is nested; by default the first of
        :data:`CONTAINERS`, or the only one.

    Returns
    -------
    tuple
        Weights by name; the name of their container, empty if the file is nothing else; and the
        names of other containers that were left aside.

    Raises
    ------
    ConfigError
        If there are no weights, or several networks of which none is the usual one.
    UnknownNameError
        If the container that was asked for is not there.
    """
    found = dict(_states(loaded))
    if container is not None:
        if container not in found:
            raise UnknownNameError("container of weights", container, found)
        return found[container], container, _others(found, container)
    if not found:
        what = f"holds no weights ({_described(loaded)})"
        fix = "give a file with the state_dict of a network"
        raise ConfigError(what, where=where, fix=fix)
    chosen = min(found, key=_rank)
    if sum(_rank(name) == _rank(chosen) for name in found) > 1:
        what = f"holds {len(found)} networks: {', '.join(sorted(found))}"
        raise ConfigError(what, where=where, fix="say which one with container")
    return found[chosen], chosen, _others(found, chosen)


def _others(found: Mapping[str, State], chosen: str) -> tuple[str, ...]:
    return tuple(name or "top level" for name in found if name != chosen)


def _rank(name: str) -> int:
    """Place in :data:`CONTAINERS`; what stands in no container comes after those that it names."""
    last = name.rpartition(".")[2]
    if last in CONTAINERS:
        return CONTAINERS.index(last)
    return len(CONTAINERS) + bool(name)


def _states(loaded: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, State]]:
    """Every mapping from texts to tensors, but for those of optimisers, by dotted name."""
    if not isinstance(loaded, Mapping) or depth > _DEEPEST:
        return
    tensors = {
        key: value
        for key, value in loaded.items()
        if isinstance(key, str) and _is_plain_tensor(value)
    }
    # Numbers may stand beside weights, but a name of a tensor of weights has parts.
    if any("." in key for key in tensors):
        yield name, tensors
    for key, value in loaded.items():
        if isinstance(key, str) and not any(part in key.lower() for part in _NOT_WEIGHTS):
            yield from _states(value, f"{name}.{key}" if name else key, depth + 1)


def _is_plain_tensor(value: Any) -> bool:
    return (
        isinstance(value, torch.Tensor)
        and value.layout == torch.strided
        and not value.is_quantized
        and value.device.type == "cpu"
    )


def _described(loaded: Any) -> str:
    if isinstance(loaded, Mapping):
        names = [str(key) for key in loaded][:6]
        return f"a dictionary of {', '.join(names)}" if names else "an empty dictionary"
    return f"a {type(loaded).__name__}"
