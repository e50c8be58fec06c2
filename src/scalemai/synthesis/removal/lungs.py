"""The lung around a lesion, found by its attenuation where a case has no mask of it."""

from __future__ import annotations

import edt
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.components import label_components
from scalemai.errors import MissingStructureError
from scalemai.geometry import Grid

__all__ = ["lung_around"]

# Author's estimates, to be refined.
_AIRY_HU = (-980.0, -500.0)  # aerated lung, averaged over a few voxels; outer air is -1000
_NEAR_MM = 8.0
_SMALLEST_ML = 20.0
_CLOSE_MM = 6.0  # vessels up to twice this width count as lung


def lung_around(
    hu: NDArray[np.float32], lesion: NDArray[np.bool_], grid: Grid
) -> NDArray[np.bool_]:
    """Find the lung that a lesion lies in: aerated tissue beside it, its vessels filled in.

    Parameters
    ----------
    hu
        Hounsfield units, float32, array (i, j, k).
    lesion
        Boolean array (i, j, k): the lesions.
    grid
        Grid of the arrays.

    Returns
    -------
    ndarray
        Boolean array: lung, with the lesions.

    Raises
    ------
    MissingStructureError
        If no 20 ml of aerated lung lie within 8 mm of a lesion.
    """
    size = [3, 3, 3]
    size[grid.axial_axis] = 1
    mean = ndimage.uniform_filter(hu, size, mode="nearest")
    airy = np.asarray((mean > _AIRY_HU[0]) & (mean < _AIRY_HU[1]), np.bool_)
    parts = label_components(airy, connectivity=6)
    near = edt.edt(np.ascontiguousarray(~lesion), anisotropy=grid.spacing_mm) <= _NEAR_MM
    counts = np.bincount(parts.ravel())
    least = _SMALLEST_ML * 1000.0 / grid.voxel_volume_mm3
    found = [int(part) for part in np.unique(parts[near]) if part and counts[part] >= least]
    if not found:
        fix = "give a lung mask, or leave the case out"
        raise MissingStructureError("there is no lung around the lesion", fix=fix)
    lung = np.isin(parts, found) | lesion
    return _closed(lung, grid)


def _closed(mask: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """Morphological closing by a ball; what lies beyond the scan is taken for lung."""
    margin = [int(np.ceil(_CLOSE_MM / step)) + 1 for step in grid.spacing_mm]
    padded = np.pad(mask, [(m, m) for m in margin], mode="edge")
    grown = edt.edt(np.ascontiguousarray(~padded), anisotropy=grid.spacing_mm) <= _CLOSE_MM
    inside = edt.edt(np.ascontiguousarray(grown), anisotropy=grid.spacing_mm) > _CLOSE_MM
    cut = tuple(slice(m, -m) for m in margin)
    return np.asarray(inside[cut] | mask, np.bool_)
