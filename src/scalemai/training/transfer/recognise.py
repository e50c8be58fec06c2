"""Which network a checkpoint is of, with its parameters, from names and shapes of its tensors."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from scalemai.detector.spec import NetworkSpec
from scalemai.training.transfer.containers import State
from scalemai.training.transfer.foreign import ForeignCheckpoint
from scalemai.training.transfer.layouts import translations

__all__ = ["recognise"]


def recognise(checkpoint: ForeignCheckpoint) -> NetworkSpec | None:
    """The network of a checkpoint, if it is one that detectors can have.

    Its channels and classes do not matter. For one of our own detectors it is simply read.

    Returns
    -------
    NetworkSpec or None
        None if it is not known.
    """
    if checkpoint.spec is not None:
        return checkpoint.spec.network
    state = dict(checkpoint.state)
    for translated in translations({name: name for name in checkpoint.state}).values():
        state |= {name: checkpoint.state[source] for name, source in translated.items()}
    for anchor, read in _NETWORKS:
        name = next((one for one in state if f".{one}".endswith(f".{anchor}")), None)
        if name is None:
            continue
        before = name[: len(name) - len(anchor)]
        own = {one[len(before) :]: v for one, v in state.items() if one.startswith(before)}
        if (network := read(own)) is not None:
            return network
    return None


def _segresnet(state: State) -> NetworkSpec:
    down = _blocks(state, r"down_layers\.(\d+)\.(\d+)\.norm1\.weight")
    up = _blocks(state, r"up_layers\.(\d+)\.(\d+)\.norm1\.weight")
    width = int(state["convInit.conv.weight"].shape[0])
    return NetworkSpec("segresnet", {"init_filters": width, "blocks_down": down, "blocks_up": up})


def _swin_unetr(state: State) -> NetworkSpec:
    return _swin({name.removeprefix("swinViT."): value for name, value in state.items()})


def _swin(state: State) -> NetworkSpec:
    parameters: dict[str, Any] = {"feature_size": int(state["patch_embed.proj.weight"].shape[0])}
    if any(name.startswith("layers1c.") for name in state):
        parameters["use_v2"] = True
    return NetworkSpec("swin-unetr", parameters)


def _swin_encoder(state: State) -> NetworkSpec | None:
    known = "layers1.0.blocks.0.attn.relative_position_bias_table" in state
    return _swin(state) if known else None


def _genesis(state: State) -> NetworkSpec:
    width = int(state["down_tr64.ops.0.conv1.weight"].shape[0])
    return NetworkSpec("genesis-unet", {} if width == 32 else {"width": width})


def _basic_unet(state: State) -> NetworkSpec | None:
    names = ["conv_0", *(f"down_{level}.convs" for level in range(1, 5)), "upcat_1.convs"]
    found = [state.get(f"{name}.conv_1.conv.weight") for name in names]
    if any(weight is None for weight in found):
        return None
    widths = [int(weight.shape[0]) for weight in found if weight is not None]
    return NetworkSpec("basic-unet", {"features": widths})


def _dynunet(state: State) -> NetworkSpec | None:
    stages = _indices(state, r"downsamples\.(\d+)\.conv1\.conv\.weight")
    blocks = ["input_block", *(f"downsamples.{n}" for n in range(stages)), "bottleneck"]
    first = [state.get(f"{name}.conv1.conv.weight") for name in blocks]
    ups = [state.get(f"upsamples.{n}.transp_conv.conv.weight") for n in range(stages + 1)]
    if any(weight is None for weight in (*first, *ups)):
        return None
    kernels = [list(weight.shape[2:]) for weight in first if weight is not None]
    steps = [list(weight.shape[2:]) for weight in ups if weight is not None]
    parameters: dict[str, Any] = {
        "filters": [int(weight.shape[0]) for weight in first if weight is not None],
        "kernel_size": kernels,
        # A transposed convolution that undoes a stride has it for its kernel.
        "strides": [[1, 1, 1], *reversed(steps)],
        "upsample_kernel_size": list(steps[::-1]),
        "res_block": "input_block.conv3.conv.weight" in state,
    }
    if "upsamples.0.transp_conv.conv.bias" in state:
        parameters["trans_bias"] = True
    return NetworkSpec("dynunet", parameters)


_NETWORKS: tuple[tuple[str, Callable[[State], NetworkSpec | None]], ...] = (
    ("convInit.conv.weight", _segresnet),
    ("swinViT.patch_embed.proj.weight", _swin_unetr),
    ("patch_embed.proj.weight", _swin_encoder),
    ("down_tr64.ops.0.conv1.weight", _genesis),
    ("conv_0.conv_0.conv.weight", _basic_unet),
    ("input_block.conv1.conv.weight", _dynunet),
)


def _blocks(state: State, pattern: str) -> list[int]:
    """Number of blocks at each level."""
    found = [re.fullmatch(pattern, name) for name in state]
    pairs = {(int(hit[1]), int(hit[2])) for hit in found if hit}
    return [sum(one == level for one, _ in pairs) for level in sorted({one for one, _ in pairs})]


def _indices(state: State, pattern: str) -> int:
    return sum(re.fullmatch(pattern, name) is not None for name in state)
