"""The 3D U-Net of Çiçek et al. (MICCAI 2016, LNCS 9901:424-432) with the published names.

Models Genesis and the U-Net of SuPreM share this network, and their weights come under these
names: 106 tensors, 19.08 million parameters. Written from the paper and the list of names.

::

    in -> 32 -> 64 ------------------------------------------------> 64 + 128 -> 64 -> 64 -> classes
               pool -> 64 -> 128 ------------------> 128 + 256 -> 128 -> 128 -> up
                            pool -> 128 -> 256 -> 256 + 512 -> 256 -> 256 -> up
                                          pool -> 256 -> 512 -> up
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

__all__ = ["GenesisUNet", "genesis_unet"]

_LEVELS = ("tr64", "tr128", "tr256", "tr512")


class GenesisUNet(nn.Module):  # type: ignore[misc]  # mypy does not follow torch
    """3D U-Net with batch normalisation; from (batch, in, x, y, z) to logits of the same lattice.

    Parameters
    ----------
    in_channels, out_channels
        Channels of the image, and of the logits.
    width
        Channels of the first convolution; 32 in all published weights.
    """

    def __init__(self, in_channels: int, out_channels: int, width: int = 32) -> None:
        super().__init__()
        before = in_channels
        for level, name in enumerate(_LEVELS):
            narrow = width << level
            ops = _twice(before, narrow, 2 * narrow)
            self.add_module(f"down_{name}", nn.ModuleDict({"ops": ops}))
            before = 2 * narrow
        for name in _LEVELS[-2::-1]:
            after = before // 2
            up = nn.ConvTranspose3d(before, before, 2, stride=2)
            ops = _twice(before + after, after, after)
            self.add_module(f"up_{name}", nn.ModuleDict({"up_conv": up, "ops": ops}))
            before = after
        self.out_tr = nn.ModuleDict({"final_conv": nn.Conv3d(before, out_channels, 1)})

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of an image whose sides are multiples of 8 voxels."""
        seen = self.down_tr64["ops"](image)
        finer = []
        for name in _LEVELS[1:]:
            finer.append(seen)
            seen = self.get_submodule(f"down_{name}.ops")(functional.max_pool3d(seen, 2))
        for name in _LEVELS[-2::-1]:
            raised = self.get_submodule(f"up_{name}.up_conv")(seen)
            seen = self.get_submodule(f"up_{name}.ops")(torch.cat((raised, finer.pop()), dim=1))
        logits: torch.Tensor = self.out_tr["final_conv"](seen)
        return logits


def genesis_unet(inputs: int, outputs: int, parameters: Mapping[str, Any]) -> GenesisUNet:
    """The network as :data:`scalemai.detector.network.NETWORKS` builds it."""
    return GenesisUNet(inputs, outputs, **parameters)


class _Norm(nn.BatchNorm3d):  # type: ignore[misc]  # mypy does not follow torch
    """Batch normalisation that keeps the statistics it was trained with while it is frozen."""

    def train(self, mode: bool = True) -> _Norm:
        super().train(mode and self.weight.requires_grad)
        return self


def _twice(inputs: int, first: int, second: int) -> nn.Sequential:
    return nn.Sequential(_convolution(inputs, first), _convolution(first, second))


def _convolution(inputs: int, outputs: int) -> nn.Sequential:
    layers = {
        "conv1": nn.Conv3d(inputs, outputs, 3, padding=1),
        "bn1": _Norm(outputs),
        "relu": nn.ReLU(),
    }
    return nn.Sequential(OrderedDict(layers))
