"""Where a lesion may lie: inside its organ, off large vessels, and into the fat around it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import edt
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.anatomy import structure, structures
from scalemai.errors import MissingStructureError, UnknownNameError
from scalemai.geometry import Grid, Region
from scalemai.measure import bounding_box

__all__ = [
    "OrganSite",
    "candidates",
    "depth_mm",
    "find_sites",
    "group_of",
    "lesion_structure",
    "root_organ",
]

Bool = NDArray[np.bool_]

_TRUNK_RADIUS_MM = 3.0
_TRUNK_MARGIN_MM = 1.0
_FAT_HU = (-200.0, -20.0)
_MARGIN_TO_LESIONS_MM = 2.0
_CUBE = np.ones((3, 3, 3), bool)


def root_organ(name: str) -> str:
    """The organ that a structure is or belongs to: ``"kidney"`` for ``"kidney_left"``."""
    entry = structure(name)
    while entry.parent is not None:
        entry = structure(entry.parent)
    return entry.name


def lesion_structure(organ: str) -> str:
    """The structure that holds the lesions of an organ: ``"pancreatic_lesion"``, for example."""
    entry = structure(organ)
    if entry.group == "bone":
        return "bone_lesion"
    root = root_organ(organ)
    found = [s.name for s in structures() if s.group == "lesion" and s.parent == root]
    return found[0] if found else f"{root}_lesion"


@dataclass(frozen=True, eq=False)
class OrganSite:
    """An organ and its surroundings, cropped to what its lesions can reach.

    Parameters
    ----------
    organ
        Structure name.
    region
        The box, in voxels of the whole grid.
    grid
        Grid of the box.
    inside
        The organ in the box.
    blocked
        Other organs, large vessels and ducts, and a margin round those.
    tubes
        All vessels and ducts.
    thin_tubes
        Names of the vessels and ducts that lie in the box; where a lesion covers one, it is gone.
    wholes, parts
        Structures that the organ belongs to, and its own parts.
    bulges
        Whether its lesions may stick out into fat.
    """

    organ: str
    region: Region
    grid: Grid
    inside: Bool
    blocked: Bool
    tubes: Bool
    thin_tubes: tuple[str, ...]
    wholes: tuple[str, ...]
    parts: tuple[str, ...]
    bulges: bool

    def allowed(self, hu: NDArray[np.float32], lesions: Bool) -> tuple[Bool, Bool]:
        """Voxels of the box where a further lesion may lie: all of them, and those in the organ.

        Parameters
        ----------
        hu
            Noiseless HU in the box.
        lesions
            Lesions that are there already, in the box.
        """
        free = ~self.blocked & ~_near(lesions, _MARGIN_TO_LESIONS_MM, self.grid)
        inside = self.inside & free
        if not self.bulges:
            return inside, inside
        fat = free & ~self.inside & (hu > _FAT_HU[0]) & (hu < _FAT_HU[1])
        # Voxels that organ and fat share are neither; without them the two would not touch.
        shared = ndimage.binary_dilation(fat, _CUBE) & ndimage.binary_dilation(self.inside, _CUBE)
        return inside | fat | (shared & free & ~self.inside), inside

    def parenchyma_hu(
        self, hu: NDArray[np.float32], centre: Sequence[int], radius_mm: float
    ) -> float:
        """Median HU of the organ's soft tissue round a voxel; 40 HU where it has none (lung)."""
        half = [int(np.ceil(radius_mm / s)) for s in self.grid.spacing_mm]
        low, high = np.subtract(centre, half), np.add(centre, half)
        box = self.grid.clip(low, high)
        if box is None:
            return 40.0
        values = hu[box][self.inside[box] & ~self.tubes[box]]
        soft = values[(values > -30.0) & (values < 300.0)]
        return float(np.median(soft)) if len(soft) >= max(8, 0.2 * len(values)) else 40.0


def depth_mm(mask: Bool, grid: Grid) -> NDArray[np.float32]:
    """Distance in mm of every voxel to the nearest one outside the mask or the array."""
    distance: NDArray[np.float32] = edt.edt(
        np.ascontiguousarray(mask), anisotropy=grid.spacing_mm, black_border=True
    )
    return distance


def find_sites(
    masks: Mapping[str, Bool], grid: Grid, reach_mm: Mapping[str, float]
) -> dict[str, OrganSite]:
    """Look at every structure once and describe the surroundings of some organs.

    Parameters
    ----------
    masks
        All structures of the patient, shape (i, j, k).
    grid
        Their grid.
    reach_mm
        Organ to how far beyond it its lesions may reach, in mm.

    Raises
    ------
    MissingStructureError
        If an organ is absent or empty.
    """
    drafts = {name: _Draft(name, masks, grid, reach) for name, reach in reach_mm.items()}
    for name, mask in masks.items():
        for draft in drafts.values():
            if name != draft.organ:
                draft.add(name, mask)
    return {name: draft.finish() for name, draft in drafts.items()}


class _Draft:
    def __init__(self, organ: str, masks: Mapping[str, Bool], grid: Grid, reach_mm: float) -> None:
        box = bounding_box(masks[organ]) if organ in masks else None
        if box is None:
            raise MissingStructureError(
                f"the phantom has no {organ}", fix="choose another organ or field of view"
            )
        pad = [int(np.ceil(reach_mm / s)) + 1 for s in grid.spacing_mm]
        first, second, third = (
            slice(max(s.start - p, 0), min(s.stop + p, n))
            for s, p, n in zip(box, pad, grid.shape, strict=True)
        )
        self.organ = organ
        self.region: Region = (first, second, third)
        self.grid = grid.crop(self.region)
        self.inside = np.array(masks[organ][self.region])
        self._volume = np.count_nonzero(self.inside)
        self._foreign = np.zeros(self.inside.shape, bool)
        self._tubes = np.zeros(self.inside.shape, bool)
        self._names: dict[str, list[str]] = {"tube": [], "whole": [], "part": []}

    def add(self, name: str, mask: Bool) -> None:
        group = group_of(name)
        if group == "lesion":
            return  # lesions come and go; they are looked at when the next one is placed
        part = mask[self.region]
        here = np.count_nonzero(part)
        if here == 0:
            return
        if group in ("vessel", "duct"):
            self._tubes |= part
            self._names["tube"].append(name)
            return
        common = np.count_nonzero(part & self.inside)
        if common >= 0.99 * self._volume:
            self._names["whole"].append(name)
        elif common >= 0.9 * np.count_nonzero(mask):
            self._names["part"].append(name)
        else:
            self._foreign |= part

    def finish(self) -> OrganSite:
        thick = depth_mm(self._tubes, self.grid) >= _TRUNK_RADIUS_MM
        trunks = self._tubes & _near(thick, _TRUNK_RADIUS_MM, self.grid)
        blocked = (self._foreign & ~self.inside) | _near(trunks, _TRUNK_MARGIN_MM, self.grid)
        # Vessels outside the organ stay where they are, however thin.
        blocked |= self._tubes & ~self.inside
        bulges = group_of(self.organ) == "organ" and root_organ(self.organ) not in ("lung", "heart")
        return OrganSite(
            organ=self.organ,
            region=self.region,
            grid=self.grid,
            inside=self.inside,
            blocked=blocked,
            tubes=self._tubes,
            thin_tubes=tuple(self._names["tube"]),
            wholes=tuple(self._names["whole"]),
            parts=tuple(self._names["part"]),
            bulges=bulges,
        )


def _near(mask: Bool, distance_mm: float, grid: Grid) -> Bool:
    """The mask, its neighbours, and everything within a distance of it."""
    if not mask.any():
        return mask
    away = edt.edt(np.ascontiguousarray(~mask), anisotropy=grid.spacing_mm, black_border=False)
    near: Bool = (away <= distance_mm) | ndimage.binary_dilation(mask, _CUBE)
    return near


def group_of(name: str) -> str:
    """Group of a structure, see :class:`scalemai.anatomy.Structure`; unknown ones are organs."""
    try:
        return structure(name).group
    except UnknownNameError:
        return "organ"


def candidates(
    inside_mm: NDArray[np.float32],
    allowed_mm: NDArray[np.float32],
    radius_mm: float,
    shallow_mm: float | None,
    rng: np.random.Generator,
) -> Iterator[tuple[tuple[int, int, int], float]]:
    """Voxels to try as a centre, roomy ones first, each with the share that must be kept.

    Parameters
    ----------
    inside_mm, allowed_mm
        Depth below the surface of the organ's part that is free, and of all that is allowed.
    radius_mm
        Half the diameter of the lesion.
    shallow_mm
        Stay within this depth of the organ's surface, where the lesion should stick out.
    rng
        Chooses among voxels that are equally good.
    """
    depth = inside_mm if shallow_mm is None else allowed_mm
    wanted = inside_mm > 0.0
    if shallow_mm is not None:
        wanted &= inside_mm <= shallow_mm
    for need, kept in ((1.05, 0.98), (0.8, 0.9), (0.55, 0.8), (0.35, 0.65), (0.0, 0.5)):
        places = np.flatnonzero(wanted & (depth >= need * radius_mm))
        if len(places) == 0:
            continue
        for flat in rng.choice(places, size=min(10, len(places)), replace=False):
            i, j, k = np.unravel_index(flat, inside_mm.shape)
            yield (int(i), int(j), int(k)), kept
