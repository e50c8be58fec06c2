"""Probability maps: one NIfTI file per structure, checked and brought onto the grid of its case."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scalemai.errors import IntensityError
from scalemai.geometry import Grid
from scalemai.io.nifti import read_volume
from scalemai.masks import turned

__all__ = ["read_probability"]

_ROUNDING = 1e-6
"""How far beyond [0, 1] a value may be: 255 times the float32 nearest to 1/255 is above 1."""


def read_probability(path: Path, grid: Grid, reference: Path) -> NDArray[np.float32]:
    """Read a probability map onto a grid.

    Parameters
    ----------
    path
        NIfTI file of floats, or of integers with a scale factor.
    grid
        Where it is wanted; the file's axes may have any order and direction.
    reference
        The file that the grid is from, for messages.

    Returns
    -------
    ndarray
        float32 array of the grid's shape, within [0, 1].

    Raises
    ------
    IntensityError
        If a value is NaN or outside [0, 1].
    GeometryError
        If the map lies on another grid.
    UnreadableFileError
        If the file is missing or damaged.
    """
    volume = read_volume(path)
    with np.errstate(all="ignore"):  # NaN and overflow are refused below
        values = volume.stored.astype(np.float32)
        if not volume.is_identity_scaled:
            values = (values * volume.slope + volume.intercept).astype(np.float32)
        low, high = float(values.min()), float(values.max())
    # NaN passes through min() and fails both comparisons.
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
        what = f"probabilities run from {low:g} to {high:g}, not within [0, 1]"
        if np.isnan(low):
            what = "some probabilities are NaN"
        fix = "apply the softmax or sigmoid before saving; label maps and CT are no probabilities"
        raise IntensityError(what, where=path, fix=fix)
    np.clip(values, 0, 1, out=values)
    return turned(values, volume.grid, grid, path, reference)
