"""The scan's noise near a lesion, for voxels that get another tissue."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalemai.errors import IntensityError
from scalemai.synthesis.painting.noise_model import NoiseModel, measure_noise, noise_field
from scalemai.volume import Volume

__all__ = ["noise_around", "noise_of"]

_SOFT_HU = (-10.0, 140.0)  # muscle, organs and blood, in any phase
_RADII_MM = (25.0, 50.0, 100.0)
_ENOUGH = 3000


def noise_around(volume: Volume, centre_mm: tuple[float, float, float]) -> NoiseModel:
    """Measure the noise in the soft tissue nearest to a point.

    Boxes of growing size are looked at until one holds enough of it; noise differs between the
    middle of the body and its edge, so near counts.

    Raises
    ------
    IntensityError
        If the scan has no soft tissue.
    """
    centre = volume.grid.to_voxel(centre_mm)
    reach = np.linalg.norm(volume.grid.inverse[:3, :3], axis=1)
    for radius in _RADII_MM:
        # Slices are many and alike: a few are enough.
        half = radius * reach
        half[volume.grid.axial_axis] = min(half[volume.grid.axial_axis], 12.0)
        region = volume.grid.clip(centre - half, centre + half)
        if region is None:
            continue
        hu = volume.hu(region)
        soft = (hu > _SOFT_HU[0]) & (hu < _SOFT_HU[1])
        if radius < _RADII_MM[-1] and np.count_nonzero(soft) < _ENOUGH:
            continue
        try:
            return measure_noise(hu, soft, volume.grid.crop(region))
        except IntensityError:
            continue
    whole = volume.hu()
    soft = (whole > _SOFT_HU[0]) & (whole < _SOFT_HU[1])
    return measure_noise(whole, soft, volume.grid)


def noise_of(
    model: NoiseModel, shape: tuple[int, int, int], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Noise on a box, float32 in HU."""
    return noise_field(model, shape, rng)
