"""Organ masks as a segmenter gives them, not as they should be.

A detector that has only seen masks with every lesion inside misses those that the segmenter left
out: with lesions cut out of the mask, and the mask closed, sensitivity fell from 32/32 to 22/32 in
the author's experiment at 3 mm. So training damages masks, then closes them as inference does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.detector.organ_mask import CLOSING_MM, closed_organ, moved_surface
from scalemai.errors import ConfigError
from scalemai.measure import equivalent_diameter_mm

__all__ = ["OrganCorruption"]

_CORE, _BEYOND_MM = 0.6, 2.0
"""What is left out of a lesion: from what lies deeper than this share of its radius, to all of it
and so many mm round it. Author's choice."""


@dataclass(frozen=True, kw_only=True)
class OrganCorruption:
    """How often, and how far, the organ's mask is damaged. Each damage is drawn by itself.

    Parameters
    ----------
    holes
        Probability that lesions are left out, each with its border or only in part.
    erosion, dilation
        Probability that the surface is too far in, or out (one at most).
    shift
        Probability that the mask lies off.
    largest_mm
        Largest erosion, dilation and shift in mm.
    closing_mm
        How it is closed afterwards; that of inference.

    Raises
    ------
    ConfigError
        Naming the field, if a number is impossible.
    """

    holes: float = 0.4
    erosion: float = 0.15
    dilation: float = 0.15
    shift: float = 0.15
    largest_mm: float = 3.0
    closing_mm: float = CLOSING_MM

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            highest = 50.0 if one.name.endswith("_mm") else 1.0
            if not 0.0 <= value <= highest:
                what = f"{value:g} is impossible"
                raise ConfigError(what, where=one.name, fix=f"give 0 to {highest:g}")
        if self.erosion + self.dilation > 1.0:
            raise ConfigError("add up to more than 1", where="erosion, dilation")

    @property
    def reach_mm(self) -> float:
        """How far from a voxel a mask decides on it, in mm."""
        return self.closing_mm + self.largest_mm

    def __call__(
        self,
        organ: NDArray[np.bool_],
        lesions: NDArray[np.bool_],
        spacing_mm: Sequence[float],
        rng: np.random.Generator,
    ) -> NDArray[np.bool_]:
        """A damaged and closed mask.

        Parameters
        ----------
        organ, lesions
            Boolean arrays (x, y, z): the organ with its lesions, and all lesions.
        spacing_mm
            Voxel size.
        rng
            Stream of the patch. The same number of draws is made whatever is damaged.
        """
        hole, surface, move, depth = rng.random(4)
        off = rng.uniform(-self.largest_mm, self.largest_mm, 3) / np.asarray(spacing_mm)
        depth_mm = depth * self.largest_mm
        made = organ
        if hole < self.holes and lesions.any():
            volume_mm3 = np.count_nonzero(lesions) * float(np.prod(spacing_mm))
            inwards_mm = _CORE * 0.5 * equivalent_diameter_mm(volume_mm3)
            by_mm = depth * (inwards_mm + _BEYOND_MM) - inwards_mm
            made = organ & ~moved_surface(lesions, by_mm, spacing_mm)
        if surface < self.erosion:
            made = moved_surface(made, -depth_mm, spacing_mm)
        elif surface < self.erosion + self.dilation:
            made = moved_surface(made, depth_mm, spacing_mm)
        if move < self.shift:
            made = ndimage.shift(made, np.rint(off), order=0, mode="constant", cval=False)
        return closed_organ(made, spacing_mm, closing_mm=self.closing_mm)
