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

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

__all__ = ["GenesisUNet", "genesis_unet"]

_LEVELS = ("tr64", "tr128", "tr256", "tr512")


class GenesisUNet(nn.Module):
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
            self.add_module(f"down_{name}", _Level(before, narrow, 2 * narrow))
            before = 2 * narrow
        for level in (2, 1, 0):
            skipped = width << (level + 1)
            self.add_module(f"up_{_LEVELS[level]}", _Up(before, skipped))
            before = skipped
        self.out_tr = _Out(before, out_channels)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of an image whose sides are multiples of 8 voxels."""
        skipped = []
        seen = image
        for level, name in enumerate(_LEVELS):
            seen = self.get_submodule(f"down_{name}")(seen)
            if level < len(_LEVELS) - 1:
                skipped.append(seen)
                seen = functional.max_pool3d(seen, 2)
        for name in ("tr256", "tr128", "tr64"):
            seen = self.get_submodule(f"up_{name}")(seen, skipped.pop())
        logits: torch.Tensor = self.out_tr(seen)
        return logits


def genesis_unet(inputs: int, outputs: int, parameters: Mapping[str, Any]) -> GenesisUNet:
    """The network as :data:`scalemai.detector.network.NETWORKS` builds it."""
    return GenesisUNet(inputs, outputs, **parameters)


class _Norm(nn.BatchNorm3d):
    """Batch normalisation that keeps the statistics it was trained with while it is frozen."""

    def train(self, mode: bool = True) -> _Norm:
        super().train(mode and self.weight.requires_grad)
        return self


class _Convolution(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(inputs, outputs, 3, padding=1)
        self.bn1 = _Norm(outputs)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.bn1(self.conv1(seen)))


class _Level(nn.Module):
    def __init__(self, inputs: int, first: int, second: int) -> None:
        super().__init__()
        self.ops = nn.Sequential(_Convolution(inputs, first), _Convolution(first, second))

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.ops(seen)
        return made


class _Up(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.up_conv = nn.ConvTranspose3d(inputs, inputs, 2, stride=2)
        both = inputs + outputs
        self.ops = nn.Sequential(_Convolution(both, outputs), _Convolution(outputs, outputs))

    def forward(self, seen: torch.Tensor, skipped: torch.Tensor) -> torch.Tensor:
        both = torch.cat((self.up_conv(seen), skipped), dim=1)
        made: torch.Tensor = self.ops(both)
        return made


class _Out(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.final_conv = nn.Conv3d(inputs, outputs, 1)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.final_conv(seen)
        return made
