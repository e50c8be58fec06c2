"""What one lesion sees of its organ: voxels within reach, and how the parenchyma there looks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalemai.compiled import compiled
from scalemai.errors import PlacementError
from scalemai.geometry import Grid, Region
from scalemai.synthesis.growth.tissue import Tissue
from scalemai.volume import Volume

__all__ = ["Limits", "Neighbourhood", "Parenchyma", "neighbourhood"]

_SAMPLE_VOXELS = 4000  # their median is known to 2 % of the noise
_FEWEST_VOXELS = 30
_THIN_MM = 2.0
# Beyond these the noise of usual kernels is not correlated (author's estimate, to be refined).
_LAG_MM = 2.5
_LEAST_LAG = 2
_GAS_HU = -250.0  # between fat, about -100 HU, and air, -1000, nearer to fat (author's choice)


@dataclass(frozen=True)
class Parenchyma:
    """How the organ around a place looks, in HU.

    Parameters
    ----------
    mean_hu
        Median of its voxels, those at the organ's surface left out where enough remain.
    noise_hu
        Standard deviation of the image noise, from differences between voxels that lie a few
        millimetres apart in an axial image: the organ's own structure hardly counts.
    low_hu, high_hu
        10th and 90th percentile: what still counts as usual for the organ.
    """

    mean_hu: float
    noise_hu: float
    low_hu: float
    high_hu: float


@dataclass(frozen=True)
class Limits:
    """What is no longer parenchyma, in HU: how much brighter (vessel, cortex), how much darker
    (fat), and from where on it is gas, which growth never enters."""

    bright_hu: float
    dark_hu: float
    gas_hu: float


@dataclass(frozen=True)
class Neighbourhood:
    """The part of a tissue within reach of one lesion; arrays are C-ordered copies of the box.

    Parameters
    ----------
    region
        The box within the volume.
    grid
        Grid of the box.
    hu, organ, barrier
        Arrays (i, j, k) of the box: Hounsfield units, the organ, barrier codes.
    domain
        Boolean array of the box: where growth may go. It is the organ's own, unless a tissue
        family (:mod:`scalemai.synthesis.families`) says otherwise.
    parenchyma
        How the organ looks there.
    limits
        What counts as something else.
    grain
        The scan's noise on the box, float32 in HU, for what takes the place of other tissue; None
        where nothing does.
    """

    region: Region
    grid: Grid
    hu: NDArray[np.float32]
    organ: NDArray[np.bool_]
    barrier: NDArray[np.uint8]
    domain: NDArray[np.bool_]
    parenchyma: Parenchyma
    limits: Limits
    grain: NDArray[np.float32] | None = None

    @property
    def averaging_reach(self) -> NDArray[np.int64]:
        """Voxels to each side over which HU are averaged before tissue is judged.

        One in the axial plane; across it one where slices are thin. A single noisy voxel is
        never taken for a vessel or for fat.
        """
        reach = np.array([1 if step < _THIN_MM else 0 for step in self.grid.spacing_mm], np.int64)
        reach[list(self.grid.in_plane_axes)] = 1
        return reach


def neighbourhood(
    volume: Volume, tissue: Tissue, centre_mm: tuple[float, float, float], radius_mm: float
) -> Neighbourhood:
    """Cut the cube of ``radius_mm`` round a point out of a tissue, with HU and statistics.

    Raises
    ------
    PlacementError
        If the cube does not meet the organ's box.
    """
    centre = tissue.grid.to_voxel(centre_mm)
    # In a sheared grid a world distance spans more index steps than spacing alone says.
    half = radius_mm * np.linalg.norm(tissue.grid.inverse[:3, :3], axis=1) + 1
    local = tissue.grid.clip(centre - half, centre + half)
    if local is None:
        where = ", ".join(f"{x:.1f}" for x in centre_mm)
        fix = "give RAS+ mm inside the organ"
        raise PlacementError(f"({where}) mm lies outside the {tissue.structure}", fix=fix)
    a, b, c = (
        slice(outer.start + inner.start, outer.start + inner.stop)
        for outer, inner in zip(tissue.region, local, strict=True)
    )
    hu = volume.hu((a, b, c))
    organ = np.ascontiguousarray(tissue.organ[local])
    barrier = np.ascontiguousarray(tissue.barrier[local])
    look = _look(hu, organ, barrier, tissue.grid)
    limits = Limits(
        bright_hu=max(25.0, 2.0 * look.noise_hu, look.high_hu - look.mean_hu),
        dark_hu=max(35.0, 2.5 * look.noise_hu, look.mean_hu - look.low_hu),
        gas_hu=_GAS_HU,
    )
    return Neighbourhood(
        (a, b, c), tissue.grid.crop(local), hu, organ, barrier, organ, look, limits
    )


def _look(
    hu: NDArray[np.float32], organ: NDArray[np.bool_], barrier: NDArray[np.uint8], grid: Grid
) -> Parenchyma:
    free = organ & (barrier == 0)
    first, second = grid.in_plane_axes
    deep = free.copy()
    for axis in (first, second):
        deep[_along(axis, 1, None)] &= free[_along(axis, None, -1)]
        deep[_along(axis, None, -1)] &= free[_along(axis, 1, None)]
    inside = next(
        (mask for mask in (deep, free) if np.count_nonzero(mask) >= _FEWEST_VOXELS), organ
    )
    values = _apart(hu, inside, np.zeros(3, np.int64), _SAMPLE_VOXELS)
    if not values.size:  # the cube meets the organ's box but not the organ
        values = hu.ravel()
    low, median, high = (float(x) for x in np.percentile(values, [10, 50, 90]))
    steps = []
    for axis in (first, second):
        step = np.zeros(3, np.int64)
        step[axis] = max(int(np.ceil(_LAG_MM / grid.spacing_mm[axis])), _LEAST_LAG)
        steps.append(np.abs(_apart(hu, inside, step, _SAMPLE_VOXELS)))
    differences = np.concatenate(steps)
    if differences.size >= _FEWEST_VOXELS:
        # The median of |a - b| is 0.6745 times the standard deviation of a difference, which is
        # sqrt(2) times that of one voxel; edges of vessels and cortex hardly move a median.
        noise = float(np.median(differences)) / (0.6745 * 2**0.5)
    else:
        noise = 1.4826 * float(np.median(np.abs(values - median)))
    return Parenchyma(median, max(noise, 1.0), low, high)


def _along(axis: int, start: int | None, stop: int | None) -> Region:
    a, b, c = (slice(start, stop) if a == axis else slice(None) for a in range(3))
    return a, b, c


@compiled
def _apart(
    hu: NDArray[np.float32], inside: NDArray[np.bool_], step: NDArray[np.int64], most: int
) -> NDArray[np.float32]:
    """Differences of voxels one step apart that are both inside; their HU, if the step is 0.

    Evenly thinned: there are fewer than twice ``most``.
    """
    ni, nj, nk = hu.shape
    di, dj, dk = step[0], step[1], step[2]
    still = di == 0 and dj == 0 and dk == 0
    count = 0
    for i in range(ni - di):
        for j in range(nj - dj):
            for k in range(nk - dk):
                count += inside[i, j, k] & inside[i + di, j + dj, k + dk]
    every = max(count // most, 1)
    found = np.empty((count + every - 1) // every, np.float32)
    at, wait = 0, 0
    for i in range(ni - di):
        for j in range(nj - dj):
            for k in range(nk - dk):
                if inside[i, j, k] & inside[i + di, j + dj, k + dk]:
                    if wait == 0:
                        other = np.float32(0.0) if still else hu[i, j, k]
                        found[at] = hu[i + di, j + dj, k + dk] - other
                        at += 1
                        wait = every
                    wait -= 1
    return found
