"""A network whose answer is known, and cases in which it is right: dark balls in a bright organ.

The network looks at one voxel at a time: within the organ's mask, the probability of a lesion
passes one half at 70 HU. It is a convolution with hand-made weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from torch import nn

from scalemai.detector.files import Detector
from scalemai.detector.spec import DetectorSpec, NetworkSpec, Preprocessing
from scalemai.geometry import Grid

CUT_HU = 70.0
LIVER_HU, AROUND_HU, LESION_HU = 110.0, 400.0, 20.0
_STEEP = 100.0  # of the logit, over the 212.5 HU that are 1 in a channel
_OUTSIDE = -1000.0


def threshold_network(inputs: int = 2, classes: int = 1) -> nn.Module:
    """Dark voxels in the organ are lesions, to equal parts of all classes but for the last."""
    network = nn.Conv3d(inputs, 1 + classes, 1)
    with torch.no_grad():
        network.weight.zero_()
        network.bias.zero_()
        for number in range(1, 1 + classes):
            network.weight[number, 0] = -_STEEP
            network.bias[number] = _STEEP * (CUT_HU - 37.5) / 212.5 - number
            if inputs == 2:
                network.weight[number, 1] = -_OUTSIDE
                network.bias[number] += _OUTSIDE
        if classes == 1:
            network.bias[1] += 1.0
    return network.eval()


def make_threshold(inputs: int, outputs: int, parameters: Mapping[str, Any]) -> nn.Module:
    """The network as an entry of ``scalemai.detector.network.NETWORKS``."""
    return threshold_network(inputs, outputs - 1)


def detector(
    organ: str = "liver",
    classes: Sequence[str] = ("liver_lesion",),
    *,
    network: nn.Module | None = None,
    patch: tuple[int, int, int] = (32, 32, 32),
    name: str = "threshold",
    **preprocessing: Any,
) -> Detector:
    """A detector with the hand-made network."""
    spec = DetectorSpec(
        organ=organ,
        classes=tuple(classes),
        preprocessing=Preprocessing(**{"spacing_mm": (1.5, 1.5, 1.5), **preprocessing}),
        network=NetworkSpec(name),
        patch=patch,
    )
    if network is None:
        network = threshold_network(spec.preprocessing.channels, len(spec.classes))
    return Detector(spec, network)


@dataclass(frozen=True)
class Ball:
    """A dark ball: centre in RAS+ mm, radius in mm, attenuation in HU."""

    centre_mm: tuple[float, float, float]
    radius_mm: float
    hu: float = LESION_HU


def turned(
    order: Sequence[int] = (0, 1, 2),
    signs: Sequence[int] = (-1, -1, 1),
    spacing_mm: Sequence[float] = (1.0, 1.2, 3.0),
    length_mm: float = 96.0,
) -> Grid:
    """A cube round the world's origin whose axes run along the world's in any order and sense."""
    affine = np.eye(4)
    affine[:3, :3] = 0.0
    shape = [round(length_mm / step) for step in spacing_mm]
    for axis, (world, sign, step) in enumerate(zip(order, signs, spacing_mm, strict=True)):
        affine[world, axis] = sign * step
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid((shape[0], shape[1], shape[2]), affine)


def within(grid: Grid, centre_mm: Sequence[float], semi_axes_mm: Sequence[float]) -> np.ndarray:
    """Voxels of an ellipsoid."""
    world = grid.to_world(np.stack(np.indices(grid.shape), axis=-1))
    return np.asarray((((world - centre_mm) / semi_axes_mm) ** 2).sum(axis=-1) <= 1.0)


def write_host(
    folder: Path,
    grid: Grid,
    balls: Sequence[Ball],
    *,
    organs: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
    holes: bool = False,
    noise_hu: float = 0.0,
    masks: bool = True,
) -> Path:
    """A case folder: bright organs (centre and semi-axes in mm) in what is brighter, with
    dark balls."""
    placed = organs or {"liver": ((0.0, 0.0, 0.0), (36.0, 30.0, 33.0))}
    hu = np.full(grid.shape, AROUND_HU)
    hu[0, 0, 0] = -1000.0  # one corner of air: without any, these would be no Hounsfield units
    drawn = {name: within(grid, *where) for name, where in placed.items()}
    for mask in drawn.values():
        hu[mask] = LIVER_HU
    for ball in balls:
        inside = within(grid, ball.centre_mm, (ball.radius_mm,) * 3)
        hu[inside] = ball.hu
        if holes:
            drawn = {name: mask & ~inside for name, mask in drawn.items()}
    hu += np.random.default_rng(5).normal(0.0, noise_hu, grid.shape) if noise_hu else 0.0
    save(folder / "ct.nii.gz", hu.round().astype(np.int16), grid, descrip=b"scanner 7")
    if masks:
        for name, mask in drawn.items():
            save(folder / "segmentations" / f"{name}.nii.gz", mask.astype(np.uint8), grid)
    return folder


def save(path: Path, array: np.ndarray, grid: Grid, descrip: bytes = b"") -> Path:
    """Write a NIfTI file with nibabel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(array, grid.affine)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = descrip
    nib.save(image, path)
    return path
