"""Analytic hosts: an organ of known form and noise, on any grid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from scalemai.geometry import Grid
from scalemai.io.nifti import read_mask, read_volume
from scalemai.volume import Mask, Volume

Host = tuple[Volume, dict[str, Mask]]
MakeHost = Callable[..., Host]


def ellipsoid_host(
    *,
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
    semi_axes_mm: tuple[float, float, float] = (55.0, 50.0, 50.0),
    organ: str = "liver",
    parenchyma_hu: float = 110.0,
    noise_hu: float = 12.0,
    seed: int = 0,
    phase: str | None = "portal_venous",
) -> Host:
    """An ellipsoidal organ in fat, centred on the world's origin, with correlated noise."""
    semi = np.asarray(semi_axes_mm)
    shape = tuple(int(n) for n in np.ceil(2 * (semi + 12) / spacing_mm))
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = -(np.asarray(shape) - 1) / 2 * spacing_mm
    grid = Grid((shape[0], shape[1], shape[2]), affine)
    world = grid.to_world(np.moveaxis(np.indices(shape), 0, -1))
    inside = ((world / semi) ** 2).sum(axis=-1) <= 1.0
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), (0.8, 0.8, 0.4))
    noise *= noise_hu / noise.std()
    hu = np.where(inside, parenchyma_hu, -100.0) + noise
    metadata = {} if phase is None else {"phase": phase}
    volume = Volume(np.asfortranarray(hu.round().astype(np.int16)), grid, metadata=metadata)
    return volume, {organ: Mask(np.asfortranarray(inside), grid, organ)}


@pytest.fixture
def make_host() -> MakeHost:
    """Build an ellipsoidal host; see :func:`ellipsoid_host`."""
    return ellipsoid_host


def read_real_host(shared_data: Path, case: str, names: tuple[str, ...]) -> Host:
    """A real CT of the shared data with some of its masks."""
    folder = shared_data / "abdomen" / case
    volume = read_volume(folder / "ct.nii.gz")
    masks = {name: read_mask(folder / "segmentations" / f"{name}.nii.gz", name) for name in names}
    return volume, masks
