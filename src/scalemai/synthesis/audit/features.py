"""What a classifier is shown of a patch: never the tumor itself, only what editing may leave.

Three views. ``surround`` sees the shell of organ round the edit and the step across its border.
``inside`` sees the noise within the label, relative to that around, after what the edit
changed smoothly has been taken out. ``whole`` adds the
slow parts, for comparisons in which both classes hold a lesion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.synthesis.audit.noise import (
    FEWEST_VOXELS,
    noise_of,
    rise_distance_mm,
    rounding_of,
)
from scalemai.synthesis.audit.patches import Patch

__all__ = ["VIEWS", "View", "features_of", "rise_of", "table_of"]

View = Literal["surround", "inside", "whole"]

VIEWS: tuple[View, ...] = ("surround", "inside", "whole")

_NOISE = (
    "residual", "lag1", "lag3", "diagonal", "anisotropy", "slices",
    "band1", "band2", "band3", "band4", "gradient", "tails",
)  # fmt: skip
_SLOW_VOXELS = 1.5


def features_of(patch: Patch, view: View) -> Mapping[str, float]:
    """Named numbers of one patch; NaN where a region is too small to be judged.

    Noise is told relative to the undisturbed organ of the same patch, so that scans of different
    dose and kernel can be pooled; the spread of the stored levels is told as it is, since an edit
    of a whole organ leaves nothing undisturbed to compare with.
    """
    if view == "surround":
        return _surround(patch)
    if view == "inside":
        return _inside(patch)
    return {**_surround(patch), **_inside(patch), **_slow(patch)}


def table_of(patches: Sequence[Patch], view: View) -> tuple[NDArray[np.float64], list[str]]:
    """Features of many patches, array (patches, features), and the names of its columns."""
    rows = [features_of(patch, view) for patch in patches]
    names = list(rows[0]) if rows else []
    return np.array([[row[name] for name in names] for row in rows], np.float64), names


def _surround(patch: Patch) -> dict[str, float]:
    shell = patch.shell
    found = _relative("shell", patch, shell, patch.afar)
    found |= {f"shell_{name}": value for name, value in _rounding(patch, shell).items()}
    return found | _seam(patch)


def _inside(patch: Patch) -> dict[str, float]:
    core = patch.core
    found = _relative("inside", patch, core, patch.tissue & ~patch.zone, hu=patch.flattened)
    return found | {f"inside_{name}": value for name, value in _rounding(patch, core).items()}


def _slow(patch: Patch) -> dict[str, float]:
    """Contrast, shading and sharpness of border: what a lesion looks like, not how it was made."""
    lesion, around = patch.hu[patch.lesion], patch.hu[patch.tissue & ~patch.zone]
    noise = max(float(around.std()), 1.0) if around.size >= FEWEST_VOXELS else float("nan")
    step = float(lesion.mean() - around.mean()) if around.size else float("nan")
    first, second = patch.grid.in_plane_axes
    sigma = [0.0, 0.0, 0.0]
    sigma[first] = sigma[second] = _SLOW_VOXELS
    weight = ndimage.gaussian_filter(patch.lesion.astype(np.float32), sigma)
    mean = ndimage.gaussian_filter(np.where(patch.lesion, patch.hu, 0.0), sigma)
    slow = (mean / np.maximum(weight, 1e-6))[patch.lesion]
    spread = max(float(lesion.std()), 1e-3)
    rise = rise_of(patch)
    return {
        "contrast": step / noise,
        "shading": float(np.log(max(float(slow.std()), 1e-3))) - float(np.log(noise)),
        "spread": float(np.log(spread)) - float(np.log(noise)),
        "skew": float(np.mean(((lesion - lesion.mean()) / spread) ** 3)),
        "rise_mm": float("nan") if rise is None else rise,
    }


def rise_of(patch: Patch) -> float | None:
    """Distance in mm over which a lesion's border rises from 10 to 90 % of its step.

    The border is followed to the lesion's middle, 8 mm at most.
    """
    reach = min(8.0, max(-0.9 * float(patch.signed_mm.min()), 2.0))
    return rise_distance_mm(patch.hu, patch.signed_mm, patch.lesion | patch.tissue, reach)


def _relative(
    prefix: str,
    patch: Patch,
    where: NDArray[np.bool_],
    reference: NDArray[np.bool_],
    hu: NDArray[np.float32] | None = None,
) -> dict[str, float]:
    here = noise_of(patch.hu if hu is None else hu, where, patch.grid)
    there = noise_of(patch.hu, reference, patch.grid)
    if here is None or there is None:
        return dict.fromkeys((f"{prefix}_{name}" for name in _NOISE), float("nan"))
    return {f"{prefix}_{name}": here[name] - there[name] for name in _NOISE}


def _rounding(patch: Patch, where: NDArray[np.bool_]) -> Mapping[str, float]:
    return rounding_of(patch.hu, where, patch.quantum_hu)


def _seam(patch: Patch) -> dict[str, float]:
    """The step across the outer border of the edit, relative to that across surfaces further out.

    Where a patch was pasted, neighbours on either side of its border differ more than neighbours
    that lie a voxel or two further out; where an edit was blended twice, they differ less. Squares
    are compared, not means: a mean over hundreds of pairs would see the last HU of the slope with
    which the tumor itself fades.
    """
    middle = np.indices((3, 3, 3))[patch.grid.axial_axis] == 1
    cross = ndimage.generate_binary_structure(3, 1) & middle
    inner, steps = patch.zone, []
    for _ in range(4):
        steps.append(_steps_across(patch, inner))
        inner = ndimage.binary_dilation(inner, cross)
    border, outer = steps[0], np.concatenate(steps[1:])
    if min(border.size, outer.size) < FEWEST_VOXELS:
        return {"seam": float("nan")}
    one, two = (max(float(np.mean(values**2)), 1e-6) for values in (border, outer))
    return {"seam": float(np.log(one / two))}


def _steps_across(patch: Patch, inner: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Outer minus inner neighbour, in HU, of all pairs across a surface within organ and edit."""
    organ = patch.tissue | patch.zone
    hu = patch.flattened
    steps: list[NDArray[np.float32]] = []
    for axis in patch.grid.in_plane_axes:
        ahead: list[slice] = [slice(None)] * 3
        behind: list[slice] = [slice(None)] * 3
        ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
        a, b = tuple(ahead), tuple(behind)
        both = organ[a] & organ[b]
        difference = hu[a] - hu[b]
        steps.append(difference[both & ~inner[a] & inner[b]])
        steps.append(-difference[both & inner[a] & ~inner[b]])
    return np.concatenate(steps).astype(np.float64)
