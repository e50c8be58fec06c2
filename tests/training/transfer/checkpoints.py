"""Fabricated checkpoints: random weights under the names that real ones have."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from scalemai.detector.network import build_network
from scalemai.detector.spec import DetectorSpec, NetworkSpec, Preprocessing

SEGRESNET = NetworkSpec("segresnet", {"init_filters": 8})


def spec_of(
    network: NetworkSpec,
    *,
    organ_channel: bool = False,
    classes: tuple[str, ...] = ("pdac", "pnet"),
) -> DetectorSpec:
    return DetectorSpec(
        organ="pancreas",
        classes=classes,
        preprocessing=Preprocessing(organ_channel=organ_channel),
        network=network,
        patch=(32, 32, 32),
    )


def monai(name: str, inputs: int = 1, outputs: int = 3, **parameters: Any) -> nn.Module:
    """A network of MONAI's with random weights, whatever its classes mean."""
    from monai.networks import nets

    torch.manual_seed(5)
    if name == "SwinUNETR":
        return nets.SwinUNETR(in_channels=inputs, out_channels=outputs, **parameters)
    made: nn.Module = getattr(nets, name)(
        spatial_dims=3, in_channels=inputs, out_channels=outputs, **parameters
    )
    return made


def prefixed(state: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": value for name, value in state.items()}


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def fresh(spec: DetectorSpec) -> nn.Module:
    return build_network(spec, seed=9).eval()


def logits(network: nn.Module, channels: int = 1, side: int = 32) -> torch.Tensor:
    seen = torch.randn(1, channels, side, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        out: torch.Tensor = network.eval()(seen)
    return out


class PlainConvUNet(nn.Module):
    """nnU-Net's plain U-Net, from its published description, with the names of its tensors.

    Isensee et al., Nat Methods 2021: two convolutions, each with instance normalisation and leaky
    ReLU, at each level; strided first convolutions down, transposed convolutions up.
    """

    def __init__(self, inputs: int, outputs: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.encoder = nn.Module()
        self.encoder.stages = nn.ModuleList(
            nn.Sequential(_Stack(before, after, 1 if n == 0 else 2))
            for n, (before, after) in enumerate(zip((inputs, *widths), widths, strict=False))
        )
        self.decoder = nn.Module()
        self.decoder.encoder = self.encoder
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.decoder.stages = nn.ModuleList(_Stack(2 * fine, fine, 1) for _, fine in pairs)
        self.decoder.transpconvs = nn.ModuleList(
            nn.ConvTranspose3d(coarse, fine, 2, stride=2) for coarse, fine in pairs
        )
        self.decoder.seg_layers = nn.ModuleList(nn.Conv3d(fine, outputs, 1) for _, fine in pairs)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        skips = [image]
        for stage in self.encoder.stages:
            skips.append(stage(skips[-1]))
        seen = skips.pop()
        for up, stage in zip(self.decoder.transpconvs, self.decoder.stages, strict=True):
            seen = stage(torch.cat((up(seen), skips.pop()), dim=1))
        out: torch.Tensor = self.decoder.seg_layers[-1](seen)
        return out


class _Stack(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(_Block(inputs, outputs, stride), _Block(outputs, outputs, 1))

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.convs(seen)
        return out


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(inputs, outputs, 3, stride=stride, padding=1)
        self.norm = nn.InstanceNorm3d(outputs, affine=True)
        self.nonlin = nn.LeakyReLU(0.01)
        self.all_modules = nn.Sequential(self.conv, self.norm, self.nonlin)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.all_modules(seen)
        return out
