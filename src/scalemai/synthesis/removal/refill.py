"""Normal tissue where a lesion was: what the organ would look like there.

Three parts are added. The *course* is the mean attenuation: the organ's profile by depth below its
surface (cortex and medulla differ) plus what the surroundings differ from it, continued
harmonically. The *texture* is the organ's own unevenness at some millimetres. The *noise* is that
of the scan, drawn on condition of the noise beside the hole. Voxels that the organ is not expected
to reach take their course from the tissue outside. An organ that is much more uneven than its
noise, such as a kidney with cortex and pyramids, gets a course that is as uneven
(:mod:`scalemai.synthesis.removal.structure`). Lung, whose texture is vessels, is transplanted
(:mod:`scalemai.synthesis.removal.transplant`).
"""

from __future__ import annotations

from dataclasses import dataclass

import edt
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.errors import PlacementError
from scalemai.geometry import Grid
from scalemai.synthesis.painting.noise_model import (
    NoiseModel,
    measure_noise,
    noise_field,
    smoothed_within,
)
from scalemai.synthesis.removal.continuation import continued_noise
from scalemai.synthesis.removal.relaxation import harmonic
from scalemai.synthesis.removal.structure import Structure, even_tissue, measure_structure
from scalemai.synthesis.removal.texture import balanced, drawn_texture
from scalemai.synthesis.removal.transplant import transplant

__all__ = ["Refill", "refill"]

# Author's estimates, to be refined.
_LOCAL_MM = 3.0  # over which the surroundings are averaged
_OUTSIDE_MM = 1.5
_DEPTH_BIN_MM = 1.5
_FEWEST_IN_BIN = 40
_FEWEST_VOXELS = 100
_CLIP_SD = 2.5
_BLUR_VOXELS = 0.6  # of an organ's surface in the axial image
_BAND_VOXELS = 3
_FAT_HU = (-150.0, -50.0)
_LEAST_FAT = 0.15


@dataclass(frozen=True, eq=False)
class Refill:
    """Normal tissue for a hole; arrays of the box.

    Parameters
    ----------
    mean
        HU without noise, float32; the scan's own voxels outside the hole.
    grain
        Noise and fine texture in HU, float32; 0 outside the hole.
    """

    mean: NDArray[np.float32]
    grain: NDArray[np.float32]

    @property
    def hu(self) -> NDArray[np.float32]:
        """What takes the place of the hole."""
        return np.asarray(self.mean + self.grain, np.float32)


def refill(
    hu: NDArray[np.float32],
    hole: NDArray[np.bool_],
    organ: NDArray[np.bool_],
    bulge: NDArray[np.bool_],
    lesions: NDArray[np.bool_],
    grid: Grid,
    rng: np.random.Generator,
    *,
    lung: bool = False,
) -> Refill:
    """Fill a hole with normal tissue.

    Parameters
    ----------
    hu
        Hounsfield units, float32, array (i, j, k) of a box that reaches some centimetres beyond
        the hole.
    hole
        What is replaced: a lesion with its border.
    organ
        The organ as it is expected to be without the lesion: a voxel of the hole in it becomes
        organ.
    bulge
        What of the hole becomes what is outside. The rest of the hole lies beside a bulge, and
        loses the share that the bulge's blurred edge has in it.
    lesions
        All lesions with their borders: nothing is learned from them.
    grid
        Grid of the box.
    rng
        Source of texture and noise.
    lung
        Whether the organ is a lung.

    Raises
    ------
    PlacementError
        If too little of the organ is left to learn from.
    """
    known = organ & ~hole & ~lesions
    if np.count_nonzero(known) < _FEWEST_VOXELS:
        what = f"{np.count_nonzero(known)} voxels of the organ are left around the lesion"
        raise PlacementError(what, fix="leave the case out: too little tissue to learn from")
    beyond = ~organ & ~hole & ~lesions
    outside, beside = _course_outside(hu, hole, bulge, beyond, grid)
    share = _blurred(organ, grid)
    depth = _depth_mm(organ, grid)
    if lung:
        course, grain = transplant(hu, hole & organ, known, depth, grid, rng)
        if bulge.any():  # outside of it the chest wall goes on
            noise = noise_field(measure_noise(hu, beyond, grid), grid.shape, rng)
            grain = np.where(bulge, noise, grain)
    else:
        pure = known & (share > 0.9)
        if np.count_nonzero(pure) < _FEWEST_VOXELS:
            pure = known
        model = measure_noise(hu, even_tissue(hu, pure, grid), grid)
        structure = measure_structure(hu, pure, organ, model.sd_hu, grid)
        if structure.uneven(model.sd_hu):
            course, grain = _structured(
                hu, hole, pure, beyond, structure, model, outside, share, grid, rng
            )
        else:
            course, grain = _parenchyma(
                hu, hole, pure, beyond, depth, model, outside, share, grid, rng
            )
    mixed = share * course + (1.0 - share) * outside
    made = hole & (organ | bulge)
    return Refill(
        mean=np.where(made, mixed, np.where(hole, beside, hu)).astype(np.float32),
        grain=np.where(made, grain, 0.0).astype(np.float32),
    )


def _parenchyma(
    hu: NDArray[np.float32],
    hole: NDArray[np.bool_],
    pure: NDArray[np.bool_],
    beyond: NDArray[np.bool_],
    depth: NDArray[np.float32],
    model: NoiseModel,
    outside: NDArray[np.float32],
    share: NDArray[np.float32],
    grid: Grid,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    profile = _profile(hu, pure, depth)
    rest = hu - profile
    middle = float(np.median(rest[pure]))
    spread = 1.4826 * float(np.median(np.abs(rest[pure] - middle)))
    # A vessel that meets the hole must not be smeared through it.
    usual = np.clip(rest, middle - _CLIP_SD * spread, middle + _CLIP_SD * spread)
    local = smoothed_within(usual, pure, _sigma(_LOCAL_MM, grid))
    near = pure & (ndimage.binary_dilation(hole, iterations=_BAND_VOXELS) | _thin(pure))
    inside = hole & (share > 0.0)
    course = profile + harmonic(local, near, inside, grid.spacing_mm)

    # The noise is that of even tissue; the rest of the organ's spread is texture.
    texture = drawn_texture(rest, inside, pure, model.sd_hu, grid, rng)

    noise = _continued(hu, hole, pure, beyond, profile + local, outside, model, grid, rng)
    grain = np.asarray(noise + share * texture, np.float32)
    return course, balanced(grain, inside, grid)


def _structured(
    hu: NDArray[np.float32],
    hole: NDArray[np.bool_],
    pure: NDArray[np.bool_],
    beyond: NDArray[np.bool_],
    structure: Structure,
    model: NoiseModel,
    outside: NDArray[np.float32],
    share: NDArray[np.float32],
    grid: Grid,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    course = structure.drawn(hole & (share > 0.0), pure, grid, rng)
    noise = _continued(hu, hole, pure, beyond, structure.fine, outside, model, grid, rng)
    return course, noise


def _continued(
    hu: NDArray[np.float32],
    hole: NDArray[np.bool_],
    pure: NDArray[np.bool_],
    beyond: NDArray[np.bool_],
    mean: NDArray[np.float32],
    outside: NDArray[np.float32],
    model: NoiseModel,
    grid: Grid,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Noise for the hole; beside it that of the scan, whose mean is given."""
    limit = 3.0 * model.sd_hu
    # Beside the organ the noise is what the smoothed scan leaves.
    own = np.clip(np.where(beyond, hu - outside, hu - mean), -limit, limit)
    band = ndimage.binary_dilation(hole, iterations=_BAND_VOXELS) & ~hole
    return continued_noise(model, own, band & (pure | _flat(beyond, grid)), rng)


def _profile(
    hu: NDArray[np.float32], pure: NDArray[np.bool_], depth: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Median HU of the organ at the depth of each voxel."""
    bins = (depth / _DEPTH_BIN_MM).astype(np.int64)
    inside, values = bins[pure], hu[pure]
    order = np.argsort(inside, kind="stable")
    inside, values = inside[order], values[order]
    starts = np.flatnonzero(np.r_[True, np.diff(inside) > 0])
    at, medians, counts = [], [], []
    for start, part in zip(starts, np.split(values, starts[1:]), strict=True):
        if part.size >= _FEWEST_IN_BIN:
            at.append((inside[start] + 0.5) * _DEPTH_BIN_MM)
            medians.append(float(np.median(part)))
            counts.append(part.size)
    if len(at) < 2:
        return np.full(hu.shape, np.median(values), np.float32)
    smooth = ndimage.gaussian_filter1d(np.array(medians), 0.7, mode="nearest")
    return np.asarray(np.interp(depth, at, smooth), np.float32)


def _course_outside(
    hu: NDArray[np.float32],
    hole: NDArray[np.bool_],
    bulge: NDArray[np.bool_],
    beyond: NDArray[np.bool_],
    grid: Grid,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean HU of what lies beside the organ, continued into the bulge; and the scan without it.

    The second is the scan itself where the edge of the bulge has no share in a voxel.
    """
    if not beyond.any():
        return hu, hu
    pure = _flat(beyond, grid)
    if not (pure & ndimage.binary_dilation(hole, iterations=5)).any():
        pure = beyond
    mean = smoothed_within(hu, pure, _sigma(_OUTSIDE_MM, grid))
    # Everywhere else the nearest such value, so that a voxel at a surface can be mixed.
    nearest = ndimage.distance_transform_edt(
        ~pure, sampling=grid.spacing_mm, return_distances=False, return_indices=True
    )
    around = np.asarray(mean[tuple(nearest)], np.float32)
    if not bulge.any():
        return around, hu
    near = pure & ndimage.binary_dilation(bulge, iterations=_BAND_VOXELS + 3)
    # A bulge grows into fat where there is any, whatever else it comes to touch.
    fat = near & (mean > _FAT_HU[0]) & (mean < _FAT_HU[1])
    if np.count_nonzero(fat) >= _LEAST_FAT * np.count_nonzero(near):
        near = fat
    skirt = hole & ndimage.binary_dilation(bulge, iterations=2)
    filling = around
    if near.any():
        filling = harmonic(mean, near, (bulge | skirt) & ~near, grid.spacing_mm)
    there, other = _blurred(bulge, grid), _blurred(beyond | (skirt & ~bulge), grid)
    weight = there / np.maximum(there + other, 1e-6)
    outside = np.where(there > 0.0, weight * filling + (1.0 - weight) * around, around)
    lesion = smoothed_within(hu, bulge, _sigma(_OUTSIDE_MM, grid))
    beside = np.where(skirt, hu + there * (filling - lesion), hu)
    return np.asarray(outside, np.float32), np.asarray(beside, np.float32)


def _blurred(mask: NDArray[np.bool_], grid: Grid) -> NDArray[np.float32]:
    """Share of a tissue in each voxel: its mask, blurred as the scan blurs its surface."""
    sigma = [_BLUR_VOXELS] * 3
    sigma[grid.axial_axis] = 0.0
    share: NDArray[np.float32] = ndimage.gaussian_filter(mask.astype(np.float32), sigma)
    return share


def _depth_mm(organ: NDArray[np.bool_], grid: Grid) -> NDArray[np.float32]:
    # Beyond the box the organ goes on: its cut is no surface.
    padded = edt.edt(np.pad(organ, 1, mode="edge"), anisotropy=grid.spacing_mm)
    depth: NDArray[np.float32] = padded[1:-1, 1:-1, 1:-1]
    return depth


def _flat(tissue: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """A mask without the voxels at its border in the axial image."""
    square = [3, 3, 3]
    square[grid.axial_axis] = 1
    inner = ndimage.binary_erosion(tissue, np.ones(square, np.bool_), border_value=1)
    return np.asarray(inner, np.bool_)


def _thin(pure: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Every fourth voxel of a mask: enough to hold a smooth field in place."""
    lattice = np.zeros_like(pure)
    lattice[::4, ::4, ::4] = True
    return pure & lattice


def _sigma(length_mm: float, grid: Grid) -> tuple[float, ...]:
    return tuple(length_mm / step for step in grid.spacing_mm)
