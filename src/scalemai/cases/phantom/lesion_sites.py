"""Where a lesion may lie: inside its organ, off large vessels, and into the fat around it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

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
    "Place",
    "Voxel",
    "find_sites",
    "group_of",
    "lesion_structure",
    "root_organ",
]

Bool = NDArray[np.bool_]
Voxel = tuple[int, int, int]

_TRUNK_RADIUS_MM = 3.0
_TRUNK_MARGIN_MM = 1.0
_FAT_HU = (-200.0, -20.0)
_MARGIN_TO_LESIONS_MM = 2.0
_SOFT_TISSUE_HU = 40.0
_WALL_MM = 3.0
_CANDIDATE_STEP_MM = 2.5
_SMALL_ORGAN_VOXELS = 20_000
_LARGEST_BULGE = 0.6
_STRICTNESS = (
    (1.05, 0.98, 0.1),
    (0.8, 0.9, 0.25),
    (0.55, 0.8, 0.4),
    (0.35, 0.7, 0.5),
    (0, 0.6, 0.6),
)
"""From roomy to narrow: depth of the centre in radii, share of the lesion that must be kept where
its surroundings cut it, share that may lie outside the organ."""

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


class Place(NamedTuple):
    """Where the centre of a lesion may go, and what must hold there.

    Attributes
    ----------
    voxel
        The voxel of the centre, in the box of the site.
    kept
        Share of the lesion that must be left when it is cut to what is allowed.
    bulge
        Largest share of it outside the organ.
    """

    voxel: Voxel
    kept: float = 0.5
    bulge: float = _LARGEST_BULGE


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
        Voxels of the organ where a lesion may lie. Shrinks as lesions are placed.
    allowed
        The same with the fat around the organ, if its lesions may bulge. Shrinks too.
    parenchyma
        The organ without vessels, ducts and lesions; of a hollow organ, its wall. Shrinks too.
    tubes
        The vessels and ducts that lie in the box; where a lesion covers a thin one, it is gone.
    wholes, parts
        Structures that the organ belongs to, and its own parts.
    """

    organ: str
    region: Region
    grid: Grid
    inside: Bool
    allowed: Bool
    parenchyma: Bool
    tubes: Mapping[str, Bool]
    wholes: tuple[str, ...]
    parts: tuple[str, ...]

    def keep_off(self, lesion: Bool, box: Region) -> None:
        """Take a lesion, given in a box of the whole grid, and a margin from what is free."""
        pad = [int(np.ceil(_MARGIN_TO_LESIONS_MM / s)) + 1 for s in self.grid.spacing_mm]
        near = _near(np.pad(lesion, [(p, p) for p in pad]), _MARGIN_TO_LESIONS_MM, self.grid)
        here, there = [], []
        for cut, whole, p, n in zip(box, self.region, pad, self.inside.shape, strict=True):
            start = cut.start - p - whole.start
            low, high = max(start, 0), min(cut.stop + p - whole.start, n)
            if high <= low:
                return
            here.append(slice(low, high))
            there.append(slice(low - start, high - start))
        for mask in (self.inside, self.allowed, self.parenchyma):
            mask[tuple(here)] &= ~near[tuple(there)]

    def parenchyma_hu(self, hu: NDArray[np.float32], centre: Voxel, radius_mm: float) -> float:
        """Median HU of the organ's soft tissue round a voxel; 40 HU where it has none (lung)."""
        half = [int(np.ceil(radius_mm / s)) for s in self.grid.spacing_mm]
        box = self.grid.clip(np.subtract(centre, half), np.add(centre, half))
        if box is None:
            return _SOFT_TISSUE_HU
        values = hu[box][self.parenchyma[box]]
        soft = values[(values > -30.0) & (values < 300.0)]
        if len(soft) < max(8, 0.2 * len(values)):
            return _SOFT_TISSUE_HU
        return float(np.median(soft))

    def candidates(
        self, radius_mm: float, *, exophytic: bool, rng: np.random.Generator
    ) -> Iterator[Place]:
        """Places to try, roomy ones first.

        Parameters
        ----------
        radius_mm
            Half the diameter of the lesion.
        exophytic
            Whether it should touch the surface of the organ or stick out.
        rng
            Chooses among voxels that are equally good.
        """
        step = [max(1, int(_CANDIDATE_STEP_MM // s)) for s in self.grid.spacing_mm]
        if np.count_nonzero(self.inside) < _SMALL_ORGAN_VOXELS:
            step = [1, 1, 1]
        every = tuple(slice(s // 2, None, s) for s in step)
        size = tuple(n * s for n, s in zip(self.grid.spacing_mm, step, strict=True))
        depth = inside_mm = _depth_mm(self.inside[every], size)
        wanted = inside_mm > 0.0
        if exophytic:
            depth = _depth_mm(self.allowed[every], size)
            wanted &= inside_mm <= max(0.7 * radius_mm, 1.01 * max(size))
        for need, kept, bulge in _STRICTNESS:
            places = np.flatnonzero(wanted & (depth >= need * radius_mm))
            if len(places) == 0:
                continue
            for flat in rng.choice(places, size=min(10, len(places)), replace=False):
                index = np.unravel_index(flat, inside_mm.shape)
                i, j, k = (int(n) * s + s // 2 for n, s in zip(index, step, strict=True))
                yield Place((i, j, k), kept, _LARGEST_BULGE if exophytic else bulge)


def find_sites(
    masks: Mapping[str, Bool],
    hu: NDArray[np.float32],
    grid: Grid,
    reach_mm: Mapping[str, float],
) -> dict[str, OrganSite]:
    """Look at every structure once and describe the surroundings of some organs.

    Parameters
    ----------
    masks
        All structures of the patient, shape (i, j, k).
    hu
        HU of the patient without noise, shape (i, j, k).
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
    return {name: draft.finish(hu) for name, draft in drafts.items()}


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
        self._tubes: dict[str, Bool] = {}
        self._lesions = np.zeros(self.inside.shape, bool)
        self._names: dict[str, list[str]] = {"whole": [], "part": []}

    def add(self, name: str, mask: Bool) -> None:
        part = mask[self.region]
        if not part.any():
            return
        group = group_of(name)
        if group == "lesion":
            self._lesions |= part
            return
        if group in ("vessel", "duct"):
            self._tubes[name] = part.copy()
            return
        common = np.count_nonzero(part & self.inside)
        if common >= 0.99 * self._volume:
            self._names["whole"].append(name)
        elif common >= 0.9 * np.count_nonzero(mask):
            self._names["part"].append(name)
        else:
            self._foreign |= part

    def finish(self, hu: NDArray[np.float32]) -> OrganSite:
        tubes = np.zeros(self.inside.shape, bool)
        for tube in self._tubes.values():
            tubes |= tube
        thick = _depth_mm(tubes, self.grid.spacing_mm) >= _TRUNK_RADIUS_MM
        trunks = tubes & _near(thick, _TRUNK_RADIUS_MM, self.grid)
        # Thin vessels may be overgrown inside the organ; outside they stay where they are.
        blocked = (self._foreign | tubes) & ~self.inside
        blocked |= _near(trunks, _TRUNK_MARGIN_MM, self.grid)
        blocked |= _near(self._lesions, _MARGIN_TO_LESIONS_MM, self.grid)
        inside = self.inside & ~blocked
        allowed = inside.copy()
        if group_of(self.organ) == "organ" and root_organ(self.organ) not in ("lung", "heart"):
            around = hu[self.region]
            fat = ~self.inside & ~blocked & (around > _FAT_HU[0]) & (around < _FAT_HU[1])
            # Voxels that organ and fat share are neither; without them the two would not touch.
            shared = _grown(fat) & _grown(self.inside) & ~self.inside & ~blocked
            allowed |= fat | shared
        parenchyma = self.inside & ~tubes & ~self._lesions
        if group_of(self.organ) == "hollow_organ":
            parenchyma &= _depth_mm(self.inside, self.grid.spacing_mm) <= _WALL_MM
        return OrganSite(
            organ=self.organ,
            region=self.region,
            grid=self.grid,
            inside=inside,
            allowed=allowed,
            parenchyma=parenchyma,
            tubes=self._tubes,
            wholes=tuple(self._names["whole"]),
            parts=tuple(self._names["part"]),
        )


def _depth_mm(mask: Bool, spacing_mm: tuple[float, ...]) -> NDArray[np.float32]:
    """Distance in mm of every voxel to the nearest one outside the mask or the array."""
    depth: NDArray[np.float32] = edt.edt(
        np.ascontiguousarray(mask), anisotropy=spacing_mm, black_border=True
    )
    return depth


def _grown(mask: Bool) -> Bool:
    grown: Bool = ndimage.binary_dilation(mask, _CUBE)
    return grown


def _near(mask: Bool, distance_mm: float, grid: Grid) -> Bool:
    """The mask, its neighbours, and everything within a distance of it."""
    if not mask.any():
        return mask
    away = edt.edt(np.ascontiguousarray(~mask), anisotropy=grid.spacing_mm, black_border=False)
    near: Bool = (away <= distance_mm) | _grown(mask)
    return near


def group_of(name: str) -> str:
    """Group of a structure, see :class:`scalemai.anatomy.Structure`; unknown ones are organs."""
    try:
        return structure(name).group
    except UnknownNameError:
        return "organ"
