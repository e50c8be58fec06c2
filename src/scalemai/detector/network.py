"""The network of a detector: MONAI's, by name, with its parameters as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from scalemai.detector.genesis_unet import genesis_unet
from scalemai.detector.spec import DetectorSpec, NetworkSpec
from scalemai.errors import ConfigError, MissingExtraError, UnknownNameError

__all__ = ["NETWORKS", "build_network"]

_Maker = Callable[[int, int, Mapping[str, Any]], nn.Module]


def _basic_unet(inputs: int, outputs: int, parameters: Mapping[str, Any]) -> nn.Module:
    from monai.networks.nets import BasicUNet

    settings = {"features": (8, 8, 16, 32, 64, 8), **parameters}
    return BasicUNet(spatial_dims=3, in_channels=inputs, out_channels=outputs, **settings)


def _unet(inputs: int, outputs: int, parameters: Mapping[str, Any]) -> nn.Module:
    from monai.networks.nets import UNet

    settings = {
        "channels": (16, 32, 64, 128),
        "strides": (2, 2, 2),
        "num_res_units": 1,
        **parameters,
    }
    return UNet(spatial_dims=3, in_channels=inputs, out_channels=outputs, **settings)


def _segresnet(inputs: int, outputs: int, parameters: Mapping[str, Any]) -> nn.Module:
    from monai.networks.nets import SegResNet

    settings = {"init_filters": 16, **parameters}
    return SegResNet(spatial_dims=3, in_channels=inputs, out_channels=outputs, **settings)


def _dynunet(inputs: int, outputs: int, parameters: Mapping[str, Any]) -> nn.Module:
    from monai.networks.nets import DynUNet

    stages = len(parameters.get("filters", (32, 64, 128, 256, 320)))
    settings = {
        "filters": (32, 64, 128, 256, 320),
        "kernel_size": [3] * stages,
        "strides": [1] + [2] * (stages - 1),
        "upsample_kernel_size": [2] * (stages - 1),
        "res_block": True,
        **parameters,
    }
    return DynUNet(spatial_dims=3, in_channels=inputs, out_channels=outputs, **settings)


def _swin_unetr(inputs: int, outputs: int, parameters: Mapping[str, Any]) -> nn.Module:
    from monai.networks.nets import SwinUNETR

    settings = {"feature_size": 48, **parameters}
    return SwinUNETR(in_channels=inputs, out_channels=outputs, spatial_dims=3, **settings)


NETWORKS: Mapping[str, _Maker] = {
    "basic-unet": _basic_unet,
    "dynunet": _dynunet,
    "genesis-unet": genesis_unet,
    "segresnet": _segresnet,
    "swin-unetr": _swin_unetr,
    "unet": _unet,
}
"""Networks by name. Each is MONAI's class; parameters are its keyword arguments."""


def build_network(spec: DetectorSpec, *, seed: int = 0) -> nn.Module:
    """The network of a spec with weights drawn from a seed; global random state is left alone.

    Returns
    -------
    Module
        From (batch, channels, x, y, z) to (batch, 1 + classes, x, y, z), logits.

    Raises
    ------
    UnknownNameError
        If the network's name is not known.
    ConfigError
        If the network does not take its parameters.
    MissingExtraError
        If MONAI is not installed.
    """
    return _build(spec.network, spec.preprocessing.channels, 1 + len(spec.classes), seed)


def _build(network: NetworkSpec, inputs: int, outputs: int, seed: int) -> nn.Module:
    if network.name not in NETWORKS:
        raise UnknownNameError("network", network.name, NETWORKS)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # weights are drawn on the CPU
            return NETWORKS[network.name](inputs, outputs, network.parameters)
    except ModuleNotFoundError as error:
        fix = "pip install 'scalemai[train]'"
        raise MissingExtraError(f"networks need {error.name}", fix=fix) from error
    except (TypeError, ValueError, AssertionError) as error:
        what = f"does not take these parameters ({' '.join(str(error).split())})"
        fix = f"see the arguments of MONAI's class for {network.name}"
        raise ConfigError(what, where=f"network {network.name}", fix=fix) from error
