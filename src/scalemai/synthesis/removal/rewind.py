"""Backward in time: a lesion that is in the scan, rendered as it could have looked before.

Where it stays tumor the earlier lesion keeps the real one's voxels. Its border is as wide as the
real one's is measured to be, and beyond it lies normal tissue
(:mod:`scalemai.synthesis.removal.refill`).
With ``a`` the share of tumor in a voxel then and ``b`` the share now, a voxel becomes
``normal + a / b (real - normal)``, so the last scan is the real one, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalemai.measure import equivalent_diameter_mm, longest_axial_diameter_mm
from scalemai.synthesis.growth.tissue import StructureBox
from scalemai.synthesis.removal.lesion_place import FoundLesion, LesionPlace, place_of
from scalemai.synthesis.removal.past import LesionPast, trace_past
from scalemai.synthesis.removal.refill import Refill
from scalemai.synthesis.removal.removal import refill_place
from scalemai.volume import Volume

__all__ = ["EarlierLesion", "RewindMeasures", "Rewinder", "rewinder"]

_SAME = 1.0 - 1e-4  # a voxel that is tumor to this share of what it is now stays as it is


@dataclass(frozen=True, kw_only=True)
class RewindMeasures:
    """Size of an earlier lesion.

    Parameters
    ----------
    law_mm3
        Volume in mm3 that the growth law gives.
    volume_mm3
        Volume of its mask in mm3.
    longest_axial_diameter_mm, equivalent_diameter_mm
        Diameters of its mask in mm.
    voxels
        Voxels of its mask; 0 if it was too small for one.
    replaced_voxels
        Voxels of the scan that are new.
    """

    law_mm3: float
    volume_mm3: float
    longest_axial_diameter_mm: float
    equivalent_diameter_mm: float
    voxels: int
    replaced_voxels: int


@dataclass(frozen=True, eq=False)
class EarlierLesion:
    """A lesion as it could have been.

    Parameters
    ----------
    place
        The lesion as it is, and the box around it.
    stored
        New stored numbers of the box.
    edited
        Boolean array of the box: which of them are new.
    left
        Boolean array of the box: the mask of that time.
    measures
        Its size.
    """

    place: LesionPlace
    stored: NDArray[Any]
    edited: NDArray[np.bool_]
    left: NDArray[np.bool_]
    measures: RewindMeasures


@dataclass(frozen=True, eq=False)
class Rewinder:
    """One lesion with its past: from it every earlier scan is rendered.

    Parameters
    ----------
    volume
        The CT.
    place, past, normal
        The lesion, when its voxels became tumor, and what was there before.
    """

    volume: Volume
    place: LesionPlace
    past: LesionPast
    normal: Refill

    @property
    def final_mm3(self) -> float:
        """Volume of the real mask in mm3."""
        return self.past.voxels * self.place.grid.voxel_volume_mm3

    def at(self, volume_mm3: float) -> EarlierLesion:
        """The lesion when it had a volume in mm3; of less than half a voxel nothing is left."""
        place, voxel = self.place, self.place.grid.voxel_volume_mm3
        voxels = min(int(np.floor(volume_mm3 / voxel + 0.5)), self.past.voxels)
        left = self.past.mask(voxels)
        now = place.border.share(self.past.depth_mm)
        then = place.border.share(self.past.distance_mm(voxels))
        ratio = np.clip(then / np.maximum(now, 1e-12), 0.0, 1.0)
        edited = place.hole & (ratio < _SAME)
        real, mean = place.hu.astype(np.float64), self.normal.mean.astype(np.float64)
        # Noise of the scan and of the refill are independent: amplitudes add in squares.
        new = mean + ratio * (real - mean) + np.sqrt(1.0 - ratio**2) * self.normal.grain
        stored = np.array(self.volume.stored[place.region], order="C")
        stored[edited] = self.volume.to_stored(new[edited])
        measured = voxels * voxel
        measures = RewindMeasures(
            law_mm3=float(volume_mm3),
            volume_mm3=measured,
            longest_axial_diameter_mm=longest_axial_diameter_mm(left, place.grid),
            equivalent_diameter_mm=equivalent_diameter_mm(measured),
            voxels=voxels,
            replaced_voxels=int(np.count_nonzero(edited)),
        )
        return EarlierLesion(place, stored, edited, left, measures)


def rewinder(
    volume: Volume,
    lesion: FoundLesion,
    organs: Mapping[str, StructureBox],
    lesions: Sequence[StructureBox],
    *,
    case_id: str,
    seed: int,
) -> Rewinder:
    """Prepare to look back at one lesion.

    Parameters
    ----------
    volume, lesion, organs, lesions, case_id, seed
        As for :func:`scalemai.synthesis.removal.removal.remove_lesion`, which gives the same
        normal tissue.

    Raises
    ------
    ConfigError, MissingStructureError, PlacementError
        As :func:`scalemai.synthesis.removal.removal.remove_lesion`.
    """
    place = place_of(volume, lesion, organs, lesions)
    normal = refill_place(place, case_id=case_id, seed=seed)
    return Rewinder(volume, place, trace_past(place.inside, place.grid), normal)
