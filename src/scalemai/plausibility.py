"""Whether the numbers of a CT can be Hounsfield units, and whether a mask can belong to it.

The checks look at the smallest and the largest stored number and at a sample of the voxels, so
that they cost a fraction of reading the file. They refuse only what is certainly wrong: a lesion
painted into an 8-bit picture, or into another patient's liver, looks fine and teaches nonsense.

By definition of the scale water is 0 HU and air -1000 HU; fat is near -100 HU and soft tissue at
20-80 HU. Every limit below lies far outside what a body, contrast or metal makes of that, and is
the author's estimate, to be refined.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalemai.anatomy import organ, organ_names, structure
from scalemai.errors import (
    GeometryError,
    IntensityError,
    MissingStructureError,
    UnknownNameError,
)
from scalemai.volume import Mask, Volume

__all__ = ["check_ct", "check_mask_on_ct"]

_SAMPLE_VOXELS = 200_000
_ENOUGH_VOXELS = 2_000  # of a structure, for a median within a few HU
_RE_EXPORT = "export the CT again in Hounsfield units, unwindowed, as int16 or float"

_NORMALISED_LIMIT = 20.0  # z-scores and 0..1 stay within it; the noise alone of a CT does not
_AIR_HU = (-1150.0, -200.0)
_LEAST_AIR_SHARE = 0.001
_TISSUE_WITH_OFFSET = (850.0, 1250.0)  # fat to marrow when 1024 was not subtracted
_LEAST_TISSUE_SHARE = 0.05

_GAS_BELOW_HU = -300.0
_MOST_GAS_SHARE = 0.3
_ANY_HU = (-1100.0, 3100.0)
_SOFT_TISSUE_HU = (-150.0, 800.0)  # steatosis and atrophy to an artery full of contrast
_BONE_HU = (-150.0, 3100.0)  # fatty marrow to metal
_LUNG_HU = (-1100.0, 300.0)  # emphysema to consolidation
_BELOW_HEALTHY_HU = 120.0  # steatosis: how far a diseased organ's median may fall
_ABOVE_HEALTHY_HU = 200.0  # iron, amiodarone and early contrast: how far it may rise
_WITHOUT_GAS = ("bladder", "gall_bladder")  # the hollow organs that hold none
_AIRY = ("lung", "trachea", "face")


def check_ct(volume: Volume) -> None:
    """Refuse a volume whose numbers cannot be Hounsfield units.

    Padding such as -2000, -2048 or -3024 outside the scan circle passes.

    Parameters
    ----------
    volume
        The CT as it was read; its grid is not looked at.

    Raises
    ------
    IntensityError
        If a number is NaN or infinite, the volume is constant, 8-bit or normalised, or is stored
        without its rescale intercept (HU + 1024).
    """
    low, high = _extremes_hu(volume)
    if not (np.isfinite(low) and np.isfinite(high)):
        raise _not_finite(volume)
    if low == high:
        what = f"every voxel is {low:g}, so this is not a CT"
        raise IntensityError(what, where=volume.path, fix="export the series again")
    kind = volume.stored.dtype
    if kind.itemsize == 1 and volume.is_identity_scaled:
        what = f"holds 8-bit numbers ({kind}, {low:g} to {high:g}), not Hounsfield units"
        raise IntensityError(what, where=volume.path, fix=_RE_EXPORT)
    if low >= -_NORMALISED_LIMIT and high <= _NORMALISED_LIMIT:
        what = f"runs from {low:.4g} to {high:.4g}: normalised numbers, not Hounsfield units"
        raise IntensityError(what, where=volume.path, fix=_RE_EXPORT)
    if low >= 0 and high <= 255:
        what = f"runs from {low:g} to {high:g}: a windowed 8-bit picture, not Hounsfield units"
        raise IntensityError(what, where=volume.path, fix=_RE_EXPORT)
    _refuse_missed_offset(volume, low, high)


def check_mask_on_ct(mask: Mask, volume: Volume, structure: str = "") -> None:
    """Refuse a mask that lies where its structure cannot be in this CT.

    Parameters
    ----------
    mask
        The mask; it must lie on the grid of ``volume``.
    volume
        The CT, in Hounsfield units.
    structure
        Canonical name of the structure; ``mask.name`` if it is not given.

    Raises
    ------
    GeometryError
        If the grids differ, or most of a solid structure lies in air: the mask belongs to another
        scan or is shifted or mirrored.
    IntensityError
        If the median HU inside the mask is impossible for the structure.
    MissingStructureError
        If the mask is empty.
    """
    name = structure or mask.name
    if not mask.grid.same_as(volume.grid):
        what = f"{name} mask has {mask.grid.describe()} but the CT {volume.grid.describe()}"
        raise GeometryError(what, where=mask.path, fix="give the mask that was drawn on this CT")
    values = _sample_inside(mask, volume)
    if not values.size:
        raise MissingStructureError(f"the {name} mask is empty", where=mask.path)
    (lowest, highest), may_hold_gas = _expected(name)
    median = float(np.median(values))
    where = mask.path or volume.path
    fix = "give the mask of this CT; check for a mirrored or shifted file"
    gas = float(np.mean(values < _GAS_BELOW_HU))
    if gas > _MOST_GAS_SHARE and not may_hold_gas:
        what = (
            f"{100 * gas:.0f} % of the {name} mask lies in air or lung "
            f"(below {_GAS_BELOW_HU:g} HU; median {median:.0f} HU)"
        )
        raise GeometryError(what, where=where, fix=fix)
    if not lowest <= median <= highest:
        what = (
            f"the median inside the {name} mask is {median:.0f} HU, "
            f"but only {lowest:.0f} to {highest:.0f} HU is possible"
        )
        raise IntensityError(what, where=where, fix=fix)


def _extremes_hu(volume: Volume) -> tuple[float, float]:
    """Smallest and largest HU; NaN if any voxel is NaN. Two reductions over stored numbers."""
    flat = _in_memory_order(volume.stored)
    ends = [float(flat.min()) * volume.slope, float(flat.max()) * volume.slope]
    return min(ends) + volume.intercept, max(ends) + volume.intercept


def _in_memory_order(array: NDArray[Any]) -> NDArray[Any]:
    """The voxels as one row in the order in which they lie in memory, without a copy if possible.

    numpy reduces a Fortran-ordered volume several times faster this way."""
    return array.reshape(-1, order="F" if array.flags.f_contiguous else "C")


def _sample_hu(volume: Volume) -> NDArray[np.float64]:
    flat = _in_memory_order(volume.stored)
    # An odd step does not fall on the same column of every row of an even-sized image.
    step = max(flat.size // _SAMPLE_VOXELS, 1) | 1
    sample: NDArray[np.float64] = flat[::step].astype(np.float64)
    return sample * volume.slope + volume.intercept


def _refuse_missed_offset(volume: Volume, low: float, high: float) -> None:
    sample = _sample_hu(volume)
    body = sample[sample > low]  # the lowest value is often padding, whatever its number
    if not body.size:
        return
    air = np.mean((body > _AIR_HU[0]) & (body < _AIR_HU[1]))
    tissue = np.mean((body > _TISSUE_WITH_OFFSET[0]) & (body < _TISSUE_WITH_OFFSET[1]))
    if air < _LEAST_AIR_SHARE and tissue > _LEAST_TISSUE_SHARE:
        what = (
            f"runs from {low:g} to {high:g} with {100 * tissue:.0f} % of the voxels near 1024 and "
            "no air: looks like HU + 1024"
        )
        fix = "pass --hu-offset -1024, or export again with the rescale intercept applied"
        raise IntensityError(what, where=volume.path, fix=fix)
    if low >= 0:
        what = f"runs from {low:g} to {high:g}: without air and fat these are not Hounsfield units"
        fix = "pass --hu-offset if a constant was added, or export the CT again in Hounsfield units"
        raise IntensityError(what, where=volume.path, fix=fix)


def _not_finite(volume: Volume) -> IntensityError:
    wrong = ~np.isfinite(volume.stored)
    count = int(np.count_nonzero(wrong))
    if not count:
        what = f"rescale slope {volume.slope:g} and intercept {volume.intercept:g} are not finite"
        return IntensityError(what, where=volume.path, fix=_RE_EXPORT)
    first = tuple(int(n) for n in np.argwhere(wrong)[0])
    kind = "NaN" if np.isnan(volume.stored[first]) else "infinite"
    what = f"{count:,} voxels are NaN or infinite, the first ({kind}) at index {first}"
    fix = "replace them by -1000 HU if they are padding, or export the CT again"
    return IntensityError(what, where=volume.path, fix=fix)


def _sample_inside(mask: Mask, volume: Volume) -> NDArray[np.float64]:
    """HU at voxels of the mask: of every eighth slab for a big structure, of all for a small."""
    inside, stored = mask.array, volume.stored
    if inside.flags.f_contiguous:  # rows of memory are searched thirty times faster
        inside, stored = inside.T, stored.T
    values = stored[::8][inside[::8]]
    if values.size < _ENOUGH_VOXELS:
        values = stored[inside]
    return values.astype(np.float64) * volume.slope + volume.intercept


def _expected(name: str) -> tuple[tuple[float, float], bool]:
    """The possible median in HU, and whether a large part of the structure may be gas."""
    try:
        found = structure(name)
    except UnknownNameError:
        return _ANY_HU, True
    lineage = [found]
    while lineage[-1].parent is not None:
        lineage.append(structure(lineage[-1].parent))
    root = lineage[-1]
    if root.name in _AIRY:
        return (_ANY_HU if found.group == "lesion" else _LUNG_HU), True
    if root.group == "bone":
        return _BONE_HU, True  # sinuses, mastoid cells, gas in a joint or disc
    if root.group == "hollow_organ" and root.name not in _WITHOUT_GAS:
        return _ANY_HU, True
    for entry in lineage:
        if entry.name in organ_names() and found.group == "organ":
            means = [hu.mean_hu for hu in organ(entry.name).parenchyma_hu.values()]
            return (min(means) - _BELOW_HEALTHY_HU, max(means) + _ABOVE_HEALTHY_HU), False
    return (_SOFT_TISSUE_HU if found.group != "lesion" else _ANY_HU), False
