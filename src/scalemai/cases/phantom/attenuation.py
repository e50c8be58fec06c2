"""How many photons get through: noise by place and by direction of view, slice by slice."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

__all__ = ["SECTORS", "WATER_ATTENUATION_PER_MM", "BeamPaths", "linear_resampling"]

WATER_ATTENUATION_PER_MM = 0.0193
"""Linear attenuation coefficient of water at 70 keV, near the effective energy of a 120 kVp
spectrum (between the 60 and 80 keV entries of the NIST XCOM tables)."""

REFERENCE_WATER_MM = 290.0
"""Water-equivalent diameter in mm of an average adult abdomen: author's estimate."""

SECTORS = 6
"""View directions are told apart in this many sectors of 30 degrees."""

_VIEWS_PER_SECTOR = 2
_CELL_MM = 6.0
_BOWTIE_RADIUS_MM = 160.0  # the 32 cm body phantom of CTDI
_BOWTIE_SHARE = 0.5  # author's estimate: thin paths at the flank are only partly made up for
_MODULATION = 0.5  # exposure control half-way between constant current and constant noise
_MODULATION_LIMITS = (0.25, 4.0)
_LARGEST_LOG = 6.0  # above the reference; stands for the electronic noise floor of the detector


class BeamPaths:
    """The noise that the rays of a parallel-beam scan bring to every place of a slice.

    The variance of one ray's logarithm is the inverse of the photons that arrive, so it grows with
    ``exp`` of the attenuation along the ray. Back-projection carries it to all pixels on that ray,
    and only into waves that run across the ray. A pixel thus has one variance per view direction:
    seen along the long axis of the body it is noisier than seen across, which gives the
    horizontal streaks of shoulders and hips.

    Rays are traced on cells of about 6 mm, which attenuation is smooth enough for.

    Parameters
    ----------
    shape
        Pixels of a slice along its two array axes.
    spacing_mm
        Size of a pixel in mm along them.
    """

    def __init__(self, shape: tuple[int, int], spacing_mm: tuple[float, float]) -> None:
        extent = [n * s for n, s in zip(shape, spacing_mm, strict=True)]
        cells = [max(1, round(e / _CELL_MM)) for e in extent]
        self._shape = cells[0], cells[1]
        size = np.array([e / n for e, n in zip(extent, cells, strict=True)])
        self._reduce = [_area_averaging(n, c) for n, c in zip(shape, cells, strict=True)]
        axes = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(cells, size, strict=True)]
        step = float(size.min())
        reach = math.ceil(math.hypot(*extent) / 2 / step) + 1
        offsets = np.linspace(-reach * step, reach * step, 2 * reach + 1)
        angles = _view_angles()
        self._trace = _ray_sums(angles, offsets, size, self._shape, step)
        self._spread = _back_projection(angles, offsets, axes)
        half = np.sqrt(np.clip(_BOWTIE_RADIUS_MM**2 - offsets**2, 0.0, None))
        bowtie_mm = _BOWTIE_SHARE * 2.0 * (_BOWTIE_RADIUS_MM - half)
        self._bowtie = (WATER_ATTENUATION_PER_MM * bowtie_mm).astype(np.float32)

    def variance(self, slice_hu: NDArray[np.float32]) -> NDArray[np.float32]:
        """Noise variance by view sector and place, relative to the middle of an average patient.

        Exposure control is part of it: as on scanners set to "average" strength, a thicker slice
        gets more current, though not enough to keep the noise constant (the square root of its
        attenuation: author's estimate).

        Parameters
        ----------
        slice_hu
            HU of the slice, without noise, shape (a, b).

        Returns
        -------
        ndarray
            Shape (SECTORS, cells, cells). Sector ``m`` is about waves whose normal makes an angle
            of ``m * 180 / SECTORS`` degrees with the first axis. The mean over the sectors is the
            relative variance of a pixel.
        """
        a, b = self._reduce
        coarse = (b @ (a @ slice_hu).T).T
        attenuation = WATER_ATTENUATION_PER_MM * np.clip(1.0 + coarse / 1000.0, 0.0, None)
        logs = (self._trace @ attenuation.ravel()).reshape(len(_view_angles()), -1)
        reference = WATER_ATTENUATION_PER_MM * REFERENCE_WATER_MM
        thickness = float(logs.max(axis=1).mean()) - reference
        current = np.clip(np.exp(_MODULATION * thickness), *_MODULATION_LIMITS)
        rays = np.exp(np.minimum(logs + self._bowtie - reference, _LARGEST_LOG)) / current
        spread = self._spread @ rays.ravel().astype(np.float32)
        return np.asarray(spread, dtype=np.float32).reshape(SECTORS, *self._shape)

    @property
    def shape(self) -> tuple[int, int]:
        """Cells along the two axes."""
        return self._shape


def linear_resampling(fine: int, coarse: int) -> sparse.csr_matrix:
    """Matrix (fine, coarse) that interpolates linearly between cell centres, constant outside.

    Sparse not only for speed: a dense product would sum in an order that depends on the number of
    threads of the linear algebra library, and the scan would not be the same bytes everywhere.
    """
    place = np.clip((np.arange(fine) + 0.5) * coarse / fine - 0.5, 0.0, coarse - 1.0)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, coarse - 1)
    rows = np.arange(fine)
    return _sparse([rows, rows], [low, high], [1.0 - (place - low), place - low], (fine, coarse))


def _area_averaging(fine: int, coarse: int) -> sparse.csr_matrix:
    """Matrix (coarse, fine) of means over the share of each pixel that lies in a cell."""
    edges = np.arange(coarse + 1) * fine / coarse
    pixel = np.arange(fine)
    low = np.maximum(pixel[None, :], edges[:-1, None])
    high = np.minimum(pixel[None, :] + 1, edges[1:, None])
    share = np.clip(high - low, 0.0, None) * coarse / fine
    return sparse.csr_matrix(share.astype(np.float32))


def _view_angles() -> NDArray[np.float64]:
    """Angles of the detector axis against the first array axis, sector by sector."""
    count = SECTORS * _VIEWS_PER_SECTOR
    return (np.arange(count) - (_VIEWS_PER_SECTOR - 1) / 2) * np.pi / count


def _ray_sums(
    angles: NDArray[np.float64],
    offsets: NDArray[np.float64],
    cell_mm: NDArray[np.float64],
    shape: tuple[int, int],
    step_mm: float,
) -> sparse.csr_matrix:
    """Matrix (views * rays, cells): path length in mm of each ray through each cell."""
    depth = offsets  # the field of view is as deep as wide
    rows, columns, weights = [], [], []
    for view, angle in enumerate(angles):
        along = np.array([-np.sin(angle), np.cos(angle)])
        across = np.array([np.cos(angle), np.sin(angle)])
        points = offsets[:, None, None] * across + depth[None, :, None] * along
        index = points / cell_mm + (np.asarray(shape) - 1) / 2
        low = np.floor(index).astype(int)
        share = index - low
        ray = np.broadcast_to(np.arange(len(offsets))[:, None], low.shape[:2])
        for da in (0, 1):
            for db in (0, 1):
                a, b = low[..., 0] + da, low[..., 1] + db
                inside = (a >= 0) & (a < shape[0]) & (b >= 0) & (b < shape[1])
                weight = np.abs(1 - da - share[..., 0]) * np.abs(1 - db - share[..., 1]) * step_mm
                rows.append(view * len(offsets) + ray[inside])
                columns.append((a * shape[1] + b)[inside])
                weights.append(weight[inside])
    size = (len(angles) * len(offsets), shape[0] * shape[1])
    return _sparse(rows, columns, weights, size)


def _back_projection(
    angles: NDArray[np.float64],
    offsets: NDArray[np.float64],
    axes: Sequence[NDArray[np.float64]],
) -> sparse.csr_matrix:
    """Matrix (sectors * cells, views * rays): mean over a sector's views of the ray at a cell."""
    a, b = np.meshgrid(*axes, indexing="ij")
    step, cells = offsets[1] - offsets[0], a.size
    rows, columns, weights = [], [], []
    for view, angle in enumerate(angles):
        place = ((a * np.cos(angle) + b * np.sin(angle)) - offsets[0]).ravel() / step
        low = np.clip(np.floor(place).astype(int), 0, len(offsets) - 2)
        for ray, weight in ((low, 1.0 - (place - low)), (low + 1, place - low)):
            rows.append(view // _VIEWS_PER_SECTOR * cells + np.arange(cells))
            columns.append(view * len(offsets) + ray)
            weights.append(weight / _VIEWS_PER_SECTOR)
    return _sparse(rows, columns, weights, (SECTORS * cells, len(angles) * len(offsets)))


def _sparse(
    rows: list[NDArray[np.int64]],
    columns: list[NDArray[np.int64]],
    weights: list[NDArray[np.float64]],
    shape: tuple[int, int],
) -> sparse.csr_matrix:
    entries = np.concatenate(weights).astype(np.float32)
    where = (np.concatenate(rows), np.concatenate(columns))
    return sparse.csr_matrix((entries, where), shape=shape)
