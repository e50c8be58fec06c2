"""The place of one lesion, cut out of its scan with all that tells its parts from one another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import edt
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.geometry import Grid
from scalemai.synthesis.growth.tissue import StructureBox
from scalemai.synthesis.removal.border import signed_distance_mm
from scalemai.volume import Volume

__all__ = ["MARGIN_MM", "SHELL_MM", "Patch", "cut_patch", "zone_of"]

SHELL_MM = 8.0
"""Thickness of the shell round an edit in which traces are sought (author's choice: several
times the lag over which CT noise is correlated)."""

MARGIN_MM = 20.0
"""How far a patch reaches beyond its lesion: the shell, and undisturbed organ to compare with."""

_SMOOTH = (0.25, 0.5, 0.25)
"""Weights of three neighbouring pixels: short, so that nothing of an edit leaks beyond it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Patch:
    """One place of a scan, edited or not.

    Parameters
    ----------
    case
        Case that it was cut from.
    group
        What must not be split between training and test: the host scan.
    number
        Number of the lesion in its case.
    organ
        Organ of the lesion.
    hu
        float32 array (i, j, k): Hounsfield units.
    grid
        Grid of the arrays.
    lesion
        Boolean array: the label, or of a sham the label that a lesion would have there.
    zone
        Boolean array: all voxels that the edit touched or would have touched, label and border.
    tissue
        Boolean array: the organ, without other lesions and other edits.
    host
        Hounsfield units of the same place before the edit; ``hu`` itself if there was none, None if
        it is not known.
    border_mm
        Width over which the lesion fades, half of it within the label.
    quantum_hu
        Step of the stored numbers in HU; 0 if they are not whole.
    """

    case: str
    group: str
    number: int
    organ: str
    hu: NDArray[np.float32]
    grid: Grid
    lesion: NDArray[np.bool_]
    zone: NDArray[np.bool_]
    tissue: NDArray[np.bool_]
    host: NDArray[np.float32] | None = None
    border_mm: float = 0.0
    quantum_hu: float = 1.0

    @cached_property
    def beyond_mm(self) -> NDArray[np.float64]:
        """Distance in mm of each voxel to the edit; 0 within it."""
        outside = np.ascontiguousarray(~self.zone)
        return np.asarray(edt.edt(outside, anisotropy=self.grid.spacing_mm), np.float64)

    @cached_property
    def signed_mm(self) -> NDArray[np.float64]:
        """Distance in mm to the surface of the lesion's label, negative inside."""
        return -signed_distance_mm(self.lesion, self.grid).astype(np.float64)

    @property
    def core(self) -> NDArray[np.bool_]:
        """The label without the inner half of the border, whose slope is tumor and no trace."""
        return np.asarray(self.signed_mm < -0.5 * self.border_mm, np.bool_)

    @property
    def shell(self) -> NDArray[np.bool_]:
        """The organ within :data:`SHELL_MM` of the edit, the edit left out."""
        return np.asarray(self.tissue & ~self.zone & (self.beyond_mm <= SHELL_MM), np.bool_)

    @property
    def afar(self) -> NDArray[np.bool_]:
        """The rest of the organ in the patch: what the scan looks like undisturbed."""
        return np.asarray(self.tissue & (self.beyond_mm > SHELL_MM), np.bool_)

    @cached_property
    def flattened(self) -> NDArray[np.float32]:
        """The patch without what the edit changed smoothly within each axial image.

        The tumor goes, since its change is smooth; noise that was made, lost or filtered stays.
        """
        if self.host is None:
            return self.hu
        smooth = self.hu - self.host
        for axis in self.grid.in_plane_axes:
            smooth = ndimage.convolve1d(smooth, _SMOOTH, axis)
        return np.asarray(self.hu - smooth, np.float32)

    def with_hu(self, hu: NDArray[np.floating]) -> Patch:
        """The same place with other Hounsfield units."""
        return replace(self, hu=np.asarray(hu, np.float32))


def zone_of(
    lesion: StructureBox, changed: StructureBox | None, border_mm: float, grid: Grid
) -> StructureBox:
    """The voxels of a lesion and its border.

    Parameters
    ----------
    lesion
        The label.
    changed
        Voxels that differ from the host; every voxel near the label if None.
    border_mm
        How far the border reaches beyond the label: what lies within this distance and one voxel.
    grid
        Grid of the volume.
    """
    reach = border_mm + max(grid.spacing_mm)
    margin = np.ceil(reach / np.asarray(grid.spacing_mm))
    low = np.array([s.start for s in lesion.region]) - margin
    high = np.array([s.stop - 1 for s in lesion.region]) + margin
    region = grid.clip(low, high)
    assert region is not None  # a label lies within its volume
    inside = lesion.within(region)
    near = edt.edt(np.ascontiguousarray(~inside), anisotropy=grid.spacing_mm) <= reach
    if changed is not None:
        near &= changed.within(region)
    return StructureBox(lesion.name, region, np.asarray(near | inside, np.bool_))


def cut_patch(
    volume: Volume,
    lesion: StructureBox,
    zone: StructureBox,
    organ: StructureBox,
    *,
    case: str,
    group: str,
    number: int,
    organ_name: str,
    border_mm: float = 0.0,
    host: Volume | None = None,
    without: tuple[StructureBox, ...] = (),
) -> Patch:
    """Cut the place of one lesion out of a scan.

    Parameters
    ----------
    volume
        The scan.
    lesion, zone, organ
        Label, touched voxels, and organ, as boxes of the volume.
    case, group, number, organ_name, border_mm, host
        As in :class:`Patch`.
    without
        Other lesions and edits, which belong to neither shell nor organ.
    """
    spacing = np.asarray(volume.grid.spacing_mm)
    margin = np.ceil(MARGIN_MM / spacing)
    low = np.array([s.start for s in zone.region]) - margin
    high = np.array([s.stop - 1 for s in zone.region]) + margin
    region = volume.grid.clip(low, high)
    assert region is not None  # a zone lies within its volume
    tissue = organ.within(region) & ~lesion.within(region)
    for other in without:
        tissue &= ~other.within(region)
    whole = volume.stored.dtype.kind in "iu"
    return Patch(
        case=case,
        group=group,
        number=number,
        organ=organ_name,
        hu=volume.hu(region),
        grid=volume.grid.crop(region),
        lesion=lesion.within(region),
        zone=zone.within(region) | lesion.within(region),
        tissue=tissue,
        host=None if host is None else host.hu(region),
        border_mm=border_mm,
        quantum_hu=abs(volume.slope) if whole else 0.0,
    )
