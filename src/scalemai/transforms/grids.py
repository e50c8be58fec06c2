"""An affine for arrays that come without one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scalemai.errors import ConfigError

__all__ = ["SIMPLEITK_AXES", "affine_of_axes"]

SIMPLEITK_AXES = "SPL"
"""Axes of ``SimpleITK.GetArrayFromImage`` for an image stored as LPS, the way of DICOM: slices
first, then rows, then columns."""

_WORLD = {
    "R": (0, 1.0),
    "L": (0, -1.0),
    "A": (1, 1.0),
    "P": (1, -1.0),
    "S": (2, 1.0),
    "I": (2, -1.0),
}


def affine_of_axes(spacing_mm: Sequence[float], axes: str) -> NDArray[np.float64]:
    """Affine to RAS+ mm, origin at voxel 0, of an array known by spacing and directions alone.

    Parameters
    ----------
    spacing_mm
        Along the three array axes.
    axes
        Where they point, for example ``"RAS"``, or ``"SPL"`` for slices, rows and columns.

    Raises
    ------
    ConfigError
        If there are not three positive spacings, or the codes do not name three directions.
    """
    places = [_WORLD[code] for code in axes.upper() if code in _WORLD]
    if len(axes) != 3 or sorted(place for place, _ in places) != [0, 1, 2]:
        fix = "give one of R/L, one of A/P and one of S/I in the order of the array's axes"
        raise ConfigError(f"{axes!r} does not name three directions", where="axes", fix=fix)
    if len(spacing_mm) != 3 or not all(0 < step < np.inf for step in spacing_mm):
        fix = "give three lengths in mm"
        raise ConfigError(f"{tuple(spacing_mm)} is no spacing", where="spacing_mm", fix=fix)
    affine = np.zeros((4, 4))
    affine[3, 3] = 1.0
    for axis, ((place, sign), step) in enumerate(zip(places, spacing_mm, strict=True)):
        affine[place, axis] = sign * step
    return affine
