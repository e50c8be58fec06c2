"""A pancreas of known form in fat, with a tumor on its way and the noise of a scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.geometry import Grid
from scalemai.measure import bounding_box
from scalemai.synthesis.effects.centreline import CentreLine
from scalemai.synthesis.effects.tubes import nearest_on_line
from scalemai.synthesis.growth.tissue import StructureBox
from scalemai.volume import Volume

GLAND_HU, FAT_HU, NOISE_HU = 100.0, -100.0, 12.0


def way() -> NDArray[np.float64]:
    """The middle of a gland: from the head, right and low, over a bow to the tail."""
    t = np.linspace(0.0, 1.0, 400)[:, None]
    head, bow, tail = np.array([[45.0, 0, -30], [10.0, 40, 5], [-60.0, -15, 25]])
    curve: NDArray[np.float64] = (1 - t) ** 2 * head + 2 * t * (1 - t) * bow + t**2 * tail
    return curve


@dataclass(frozen=True, eq=False)
class Host:
    """A gland in fat with a tumor on its way, and where everything is."""

    volume: Volume
    boxes: dict[str, StructureBox]
    lesion: StructureBox
    along: NDArray[np.float64]
    gland: NDArray[np.bool_]
    tumor: NDArray[np.bool_]


def boxed(array: NDArray[np.bool_], name: str) -> StructureBox:
    region = bounding_box(array)
    assert region is not None
    return StructureBox(name, region, array[region].copy())


def host(
    spacing: tuple[float, float, float] = (0.9, 0.9, 1.5),
    *,
    gland_hu: float = GLAND_HU,
    radius_mm: float = 9.0,
    at: float = 0.3,
    aside_mm: float = 0.0,
    flip: tuple[int, int, int] = (1, 1, 1),
    duct: NDArray[np.float64] | None = None,
    tall_head: bool = False,
) -> Host:
    half = np.array([80.0, 45.0, 55.0])
    shape = [int(2 * h / s) for h, s in zip(half, spacing, strict=True)]
    affine = np.diag([*(s * f for s, f in zip(spacing, flip, strict=True)), 1.0])
    affine[:3, 3] = -np.array(flip) * half
    grid = Grid((shape[0], shape[1], shape[2]), affine)
    world = grid.to_world(np.moveaxis(np.indices(shape), 0, -1)).reshape(-1, 3)
    middle = CentreLine(way(), np.ones(400))
    distance, nearest = nearest_on_line(middle, world)
    gland = (distance <= radius_mm).reshape(shape)
    along = middle.along_mm[nearest].reshape(shape)
    if tall_head:
        upright = np.linspace((45.0, 0.0, -30.0), (42.0, -6.0, 4.0), 100)
        beside, _ = nearest_on_line(CentreLine(upright, np.ones(100)), world)
        gland |= (beside <= 12.0).reshape(shape)
    centre = way()[int(at * 399)] + [0.0, 0.0, -aside_mm]
    tumor = (np.linalg.norm(world - centre, axis=-1) <= 9.0).reshape(shape)
    tumor &= gland if aside_mm == 0.0 else True
    noise = ndimage.gaussian_filter(np.random.default_rng(1).standard_normal(shape), (0.8, 0.8, 0))
    hu = np.where(gland, gland_hu, FAT_HU) + noise * (NOISE_HU / noise.std())
    hu -= 40.0 * tumor
    if duct is not None:
        gap, _ = nearest_on_line(CentreLine(duct, np.ones(len(duct))), world)
        hu[(gap <= 1.5).reshape(shape)] -= 70.0
    boxes = {"pancreas": boxed(gland, "pancreas")}
    for name, low, high in (("head", 0.0, 50.0), ("body", 50.0, 90.0), ("tail", 90.0, 1e3)):
        part = gland & (along >= low) & (along < high)
        boxes[f"pancreas_{name}"] = boxed(part, f"pancreas_{name}")
    volume = Volume(hu.round().astype(np.int16), grid)
    return Host(volume, boxes, boxed(tumor, "pancreatic_lesion"), along, gland, tumor)


def whole(box: StructureBox, grid: Grid) -> NDArray[np.bool_]:
    return box.within((slice(0, grid.shape[0]), slice(0, grid.shape[1]), slice(0, grid.shape[2])))
