"""Putting one tissue in the place of another, with the noise of the scan.

Where what was there is uniform, its noise is kept voxel by voxel. Where it is not (fat clefts, the
wall of a duct, the surface of an organ) its texture would shine through, and noise of the same
standard deviation and spectrum takes its place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.geometry import Grid
from scalemai.synthesis.painting.noise_model import measure_noise, noise_field, smoothed_within

__all__ = ["Background", "background"]

_TREND_MM = 6.0
_LEAST_THRESHOLD_HU = 12.0


@dataclass(frozen=True, eq=False)
class Background:
    """One tissue of a box: its level, and the noise of the scan.

    Parameters
    ----------
    level_hu
        Array (i, j, k): smooth HU of the tissue, everywhere.
    own_hu
        Array (i, j, k): the scan's noise where the tissue is; 0 elsewhere.
    trust
        Array (i, j, k), 0 to 1: how far ``own_hu`` is noise and nothing else.
    other_hu
        Array (i, j, k): noise drawn from the scan's noise model.
    sd_hu
        Standard deviation of the noise in HU.
    """

    level_hu: NDArray[np.float32]
    own_hu: NDArray[np.float32]
    trust: NDArray[np.float32]
    other_hu: NDArray[np.float32]
    sd_hu: float

    def fill(
        self,
        hu: NDArray[np.float32],
        share: NDArray[np.float32],
        target_hu: NDArray[np.float32] | float,
    ) -> NDArray[np.float32]:
        """HU of the box when a share of each voxel, 0 to 1, becomes tissue of ``target_hu``."""
        rest = 1.0 - share
        noise = self.trust * self.own_hu + np.sqrt(1.0 - self.trust**2) * self.other_hu
        # Averages of independent noise are quieter than either; the voxels of a scan are not.
        norm = np.sqrt(rest**2 + share**2 + 2.0 * rest * share * self.trust)
        mixed = (rest * self.own_hu + share * noise) / norm
        new = rest * (hu - self.own_hu) + share * target_hu + mixed
        filled: NDArray[np.float32] = np.where(share > 0.0, new, hu).astype(np.float32)
        return filled


def background(
    hu: NDArray[np.float32],
    tissue: NDArray[np.bool_],
    grid: Grid,
    rng: np.random.Generator,
) -> Background:
    """Learn level and noise of a tissue in a box of the scan.

    Parameters
    ----------
    hu, tissue, grid
        Hounsfield units (i, j, k), a boolean array of one tissue that is not empty, and their
        grid.
    rng
        Stream of the noise.

    Raises
    ------
    IntensityError
        If neither the tissue nor the rest of the box holds 30 voxels of uniform tissue.
    """
    model = measure_noise(hu, tissue, grid)
    usual = float(np.median(hu[tissue]))
    sigma = tuple(_TREND_MM / s for s in grid.spacing_mm)
    level = smoothed_within(hu, tissue, sigma)
    level = np.where(level == 0.0, np.float32(usual), level)
    reach = [1.0 if s < 2.0 else 0.0 for s in grid.spacing_mm]
    for axis in grid.in_plane_axes:
        reach[axis] = 1.0
    excess = smoothed_within(hu, tissue, tuple(reach)) - level
    threshold = max(_LEAST_THRESHOLD_HU, 1.5 * model.sd_hu)  # few means of noise come to as much
    out = np.clip(np.abs(excess) / threshold - 1.0, 0.0, 1.0)
    out *= out * (3.0 - 2.0 * out)
    # A voxel at the surface is partly something else.
    square = [1 + 2 * int(r) for r in reach]
    inner = ndimage.binary_erosion(tissue, np.ones(square, np.bool_))
    own = np.where(tissue, hu - level - out * excess, 0.0)
    trust = np.where(inner, 1.0 - out, 0.0)
    other = noise_field(model, grid.shape, rng)
    return Background(
        level.astype(np.float32),
        np.where(trust > 0.0, own, 0.0).astype(np.float32),
        trust.astype(np.float32),
        other,
        model.sd_hu,
    )
