"""Tubes found by their attenuation, at the scales of vessels and ducts, in millimetres."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.geometry import Grid

__all__ = ["tube_response"]

_PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


def tube_response(
    hu: NDArray[np.float32],
    grid: Grid,
    radii_mm: Iterable[float],
    where: NDArray[np.bool_],
    *,
    bright: bool,
) -> NDArray[np.float32]:
    """How tubular the surroundings of each voxel are, in HU; 0 where they are not.

    The larger of the two leading curvatures of a tube counts as far as the other bears it out
    (geometric mean of the two curvatures of like sign; Sato et al., Med Image Anal 1998;2:143-168),
    at each scale in units of HU, and the largest over the scales is kept. Second derivatives are
    taken along the array axes and weighted by spacing, which ready-made filters for isotropic
    voxels do not do.

    Parameters
    ----------
    hu, grid
        Hounsfield units (i, j, k) and their grid.
    radii_mm
        Radii in mm of the tubes looked for; none finer than half a voxel is seen.
    where
        Boolean array (i, j, k): voxels that are asked about; elsewhere the response is 0.
    bright
        Whether tubes are brighter than their surroundings (vessels) or darker (ducts).
    """
    strongest = np.zeros(int(np.count_nonzero(where)), np.float32)
    # Derivatives by voxel indices to derivatives by mm.
    turn = grid.inverse[:3, :3].T.astype(np.float32)
    for radius in radii_mm:
        scale = radius / 2**0.5  # a bar of this radius responds most at this sigma
        sigma = [max(scale / s, 0.5) for s in grid.spacing_mm]
        hessian = np.empty((strongest.size, 3, 3), np.float32)
        for a, b in _PAIRS:
            order = [0, 0, 0]
            order[a] += 1
            order[b] += 1
            part = ndimage.gaussian_filter(hu, sigma, order=order, mode="nearest")[where]
            hessian[:, a, b] = hessian[:, b, a] = part
        curvature = np.linalg.eigvalsh(turn @ hessian @ turn.T) * np.float32(scale**2)
        # Ascending: across a bright tube the first two are negative, across a dark one the last
        # two are positive.
        pair = -curvature[:, :2] if bright else curvature[:, 1:]
        response = np.sqrt(np.maximum(pair, 0.0).prod(axis=1))
        np.maximum(strongest, response, out=strongest)
    best = np.zeros(hu.shape, np.float32)
    best[where] = strongest
    return best
