"""Take lesions out of a scan: the patient as he would be without them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

from scalemai.geometry import Grid
from scalemai.synthesis.growth.tissue import StructureBox
from scalemai.synthesis.painting.noise_model import measure_noise
from scalemai.synthesis.removal.lesion_place import FoundLesion, LesionPlace, place_of
from scalemai.synthesis.removal.refill import Refill, refill
from scalemai.synthesis.removal.structure import even_tissue
from scalemai.synthesis.spec import random_stream
from scalemai.volume import Volume

__all__ = ["RemovalMeasures", "RemovedLesion", "measure_refill", "refill_place", "remove_lesion"]

_NEAR_MM = 20.0
_ENOUGH_VOXELS = 400
_SAMPLE_VOXELS = 20_000
_VESSEL_HU = 60.0  # of a small vessel above the lung, blurred


@dataclass(frozen=True, kw_only=True)
class RemovalMeasures:
    """How well what was put in matches what is around it.

    Parameters
    ----------
    voxels, volume_mm3
        Size of the lesion that was there.
    replaced_voxels
        Voxels of the scan that are new.
    given_to_outside_voxels
        Voxels that bulged out of the organ and became what is outside.
    border_mm
        How far beyond its mask the lesion was seen.
    histogram_ks
        Kolmogorov-Smirnov distance between the HU put in and those of the organ within 20 mm.
    noise_ratio
        Noise put in over that of the organ around; None of less than 400 voxels.
    seam_ratio
        Mean step in HU within the organ across the edge of what was replaced, over that between
        neighbours around.
    """

    voxels: int
    volume_mm3: float
    replaced_voxels: int
    given_to_outside_voxels: int
    border_mm: float
    histogram_ks: float | None
    noise_ratio: float | None
    seam_ratio: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class RemovedLesion:
    """A lesion that was taken out.

    Parameters
    ----------
    place
        The lesion and the box around it.
    stored
        New stored numbers of the box.
    edited
        Boolean array of the box: which of them are new.
    measures
        How well they match.
    """

    place: LesionPlace
    stored: NDArray[Any]
    edited: NDArray[np.bool_]
    measures: RemovalMeasures

    @property
    def left(self) -> NDArray[np.bool_]:
        """What is left of the lesion: nothing."""
        return np.zeros_like(self.edited)


def remove_lesion(
    volume: Volume,
    lesion: FoundLesion,
    organs: Mapping[str, StructureBox],
    lesions: Sequence[StructureBox],
    *,
    case_id: str,
    seed: int,
) -> RemovedLesion:
    """Put normal tissue in the place of one lesion. The volume is not changed.

    Parameters
    ----------
    volume
        The CT.
    lesion
        From :func:`scalemai.synthesis.removal.lesion_place.find_lesions`.
    organs, lesions
        Masks of its organ, and every lesion mask of the case.
    case_id, seed
        Keys of the random stream.

    Raises
    ------
    ConfigError, MissingStructureError, PlacementError
        As :func:`scalemai.synthesis.removal.lesion_place.place_of` and
        :func:`scalemai.synthesis.removal.refill.refill`.
    """
    place = place_of(volume, lesion, organs, lesions)
    new = refill_place(place, case_id=case_id, seed=seed)
    stored = np.array(volume.stored[place.region], order="C")
    stored[place.hole] = volume.to_stored(new.hu[place.hole])
    return RemovedLesion(place, stored, place.hole, measure_refill(place, new.hu))


def refill_place(place: LesionPlace, *, case_id: str, seed: int) -> Refill:
    """Normal tissue for the place of a lesion; the same keys give the same voxels."""
    rng = random_stream(seed, case_id, place.lesion.number, "refill")
    return refill(
        place.hu,
        place.hole,
        place.expected,
        place.bulge & place.hole,
        place.lesions,
        place.grid,
        rng,
        lung=place.organ.family == "lung",
    )


def measure_refill(place: LesionPlace, hu: NDArray[np.float32]) -> RemovalMeasures:
    """Compare what was put in with the organ around it.

    Parameters
    ----------
    place
        The place.
    hu
        The box with the new voxels.
    """
    grid = place.grid
    around = place.expected & ~place.hole & ~place.lesions & _near(place.hole, grid)
    deep = _inner(place.expected, grid)
    new, old = hu[place.hole & deep], hu[around & deep]
    enough = min(new.size, old.size) >= _ENOUGH_VOXELS
    ratio = None
    if enough:
        lung = place.organ.family == "lung"
        plain = (
            _plain(hu, around, grid)
            if lung
            else even_tissue(hu, (around | place.hole) & deep, grid)
        )
        old_sd = measure_noise(hu, around & plain, grid).sd_hu
        new_sd = measure_noise(hu, place.hole & deep & plain, grid).sd_hu
        ratio = new_sd / old_sd if old_sd > 0 else None
    ks = None
    if min(new.size, old.size) >= 30:
        ks = float(stats.ks_2samp(_thinned(new), _thinned(old)).statistic)
    inside = place.inside
    return RemovalMeasures(
        voxels=int(np.count_nonzero(inside)),
        volume_mm3=float(np.count_nonzero(inside) * grid.voxel_volume_mm3),
        replaced_voxels=int(np.count_nonzero(place.hole)),
        given_to_outside_voxels=int(np.count_nonzero(place.bulge)),
        border_mm=place.border.reach_mm,
        histogram_ks=ks,
        noise_ratio=ratio,
        seam_ratio=_seam(hu, place.hole, deep & (around | place.hole), grid),
    )


def _seam(
    hu: NDArray[np.float32], hole: NDArray[np.bool_], tissue: NDArray[np.bool_], grid: Grid
) -> float | None:
    across, beside = [], []
    for axis in grid.in_plane_axes:
        low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        step = np.abs(hu[high] - hu[low])
        both = tissue[low] & tissue[high]
        across.append(step[both & (hole[low] != hole[high])])
        beside.append(step[both & ~hole[low] & ~hole[high]])
    steps, usual = np.concatenate(across), np.concatenate(beside)
    if steps.size < 30 or usual.size < 30:
        return None
    return float(steps.mean() / max(float(usual.mean()), 1e-6))


def _plain(hu: NDArray[np.float32], lung: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """Voxels without vessels, whose edges would be taken for noise."""
    sigma = [1.0] * 3
    sigma[grid.axial_axis] = 0.0
    mean = ndimage.gaussian_filter(hu, sigma)
    return np.asarray(mean < np.median(mean[lung]) + _VESSEL_HU, np.bool_)


def _near(hole: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    distance = ndimage.distance_transform_edt(~hole, sampling=grid.spacing_mm)
    return np.asarray(distance <= _NEAR_MM, np.bool_)


def _inner(mask: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    square = [3, 3, 3]
    square[grid.axial_axis] = 1
    return np.asarray(ndimage.binary_erosion(mask, np.ones(square, np.bool_)), np.bool_)


def _thinned(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values[:: max(values.size // _SAMPLE_VOXELS, 1)]
