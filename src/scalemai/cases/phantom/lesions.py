"""The phantom's own lesions: placed in the ideal image, before blur and noise.

They share nothing with the synthesizer. Outlines are analytic surfaces
(:mod:`~scalemai.cases.phantom.lesion_shapes`), inner structure is geometry
(:mod:`~scalemai.cases.phantom.lesion_textures`), and the HU are set rather than added. So a
detector that was trained on synthetic lesions can be tested on lesions of another making.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scalemai.cases.phantom.anatomy import Anatomy
from scalemai.cases.phantom.lesion_recipes import PhantomLesion, sample_lesion
from scalemai.cases.phantom.lesion_shapes import draw_shape
from scalemai.cases.phantom.lesion_sites import (
    OrganSite,
    Place,
    Voxel,
    find_sites,
    lesion_structure,
)
from scalemai.cases.phantom.lesion_stamp import Cover, Stamp
from scalemai.cases.phantom.lesion_textures import Tissues, texture_hu
from scalemai.errors import PlacementError
from scalemai.geometry import Grid, Region

__all__ = ["PhantomLesion", "PlacedLesion", "add_lesions", "lesion_structure", "sample_lesion"]

Bool = NDArray[np.bool_]
F32 = NDArray[np.float32]

_NEIGHBOURHOOD_MM = 20.0


@dataclass(frozen=True)
class PlacedLesion:
    """A lesion as it lies in the phantom.

    Parameters
    ----------
    lesion
        What was asked for, with the place of its centre filled in.
    structure
        The structure whose mask holds it, for example ``"pancreatic_lesion"``.
    centre_mm
        Centre of mass of its mask, RAS+ mm.
    longest_axial_diameter_mm
        Of its mask, see :func:`scalemai.measure.longest_axial_diameter_mm`.
    volume_mm3
        Volume of its mask.
    parenchyma_hu
        Median HU of the organ round it, without noise.
    mean_hu
        Mean HU of its mask, without noise.
    region
        Box of voxels that holds its mask.
    """

    lesion: PhantomLesion
    structure: str
    centre_mm: tuple[float, float, float]
    longest_axial_diameter_mm: float
    volume_mm3: float
    parenchyma_hu: float
    mean_hu: float
    region: Region


def add_lesions(
    anatomy: Anatomy, lesions: Sequence[PhantomLesion], rng: np.random.Generator
) -> tuple[Anatomy, tuple[PlacedLesion, ...]]:
    """Put lesions into a patient.

    Large lesions are placed first. A lesion keeps off other lesions, other organs and large
    vessels; small vessels and ducts that it covers are gone from their masks. Lesions of solid
    abdominal organs may bulge into the fat around, and the masks of the organ and of what it is
    part of then grow with them. A lesion is part of its organ's mask.

    Parameters
    ----------
    anatomy
        The patient; left as it is.
    lesions
        What to add.
    rng
        Source of places, outlines and textures. For a given place, outline and texture do not
        depend on the grid.

    Returns
    -------
    Anatomy
        A patient with the lesions in ``ideal_hu``, and one mask for the lesions of each kind of
        organ, such as ``"kidney_lesion"``, in ``structures``.
    tuple of PlacedLesion
        In the order of ``lesions``.

    Raises
    ------
    MissingStructureError
        If an organ is absent or empty.
    UnknownNameError
        If an organ is not a known structure.
    PlacementError
        If there is no room for a lesion.
    """
    if not lesions:
        return anatomy, ()
    reach: dict[str, float] = {}
    for lesion in lesions:
        reach[lesion.organ] = max(reach.get(lesion.organ, 0.0), lesion.diameter_mm)
    patient = _Patient(
        hu=anatomy.ideal_hu.copy(order="K"),
        grid=anatomy.grid,
        masks=_Overlay(anatomy.structures, {}),
        sites=find_sites(anatomy.structures, anatomy.ideal_hu, anatomy.grid, reach),
    )
    seeds = rng.integers(2**63, size=(len(lesions), 3))
    placed: dict[int, PlacedLesion] = {}
    for number in sorted(range(len(lesions)), key=lambda n: -lesions[n].diameter_mm):
        placed[number] = _add_one(patient, lesions[number], seeds[number])
    after = replace(anatomy, ideal_hu=patient.hu, structures=patient.masks)
    return after, tuple(placed[number] for number in range(len(lesions)))


class _Overlay(Mapping[str, Bool]):
    """Structures of which some have been changed or added."""

    def __init__(self, below: Mapping[str, Bool], changed: dict[str, Bool]) -> None:
        self._below = below
        self._changed = changed

    def __getitem__(self, name: str) -> Bool:
        return self._changed[name] if name in self._changed else self._below[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._below
        yield from (name for name in self._changed if name not in self._below)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in self._changed or name in self._below

    def writable(self, name: str, shape: tuple[int, int, int]) -> Bool:
        """A structure that may be changed in place."""
        if name not in self._changed:
            known = name in self._below
            self._changed[name] = np.array(self._below[name]) if known else np.zeros(shape, bool)
        return self._changed[name]


@dataclass(frozen=True, eq=False)
class _Patient:
    """A patient in the making; ``hu`` and ``masks`` change."""

    hu: F32
    grid: Grid
    masks: _Overlay
    sites: dict[str, OrganSite]


def _add_one(patient: _Patient, lesion: PhantomLesion, seeds: NDArray[np.int64]) -> PlacedLesion:
    site = patient.sites[lesion.organ]
    middle, stamp, cover = _find_place(site, lesion, seeds)
    start = [s.start for s in site.region]
    centre = (middle[0] + start[0], middle[1] + start[1], middle[2] + start[2])
    box, inner = _box(centre, stamp.half, patient.grid.shape)
    around = patient.hu[site.region]
    parenchyma = site.parenchyma_hu(around, middle, max(lesion.diameter_mm, _NEIGHBOURHOOD_MM))

    solid = parenchyma + lesion.contrast_hu
    rim = solid if lesion.rim_hu is None else parenchyma + lesion.rim_hu
    filling = solid if lesion.filling_hu is None else lesion.filling_hu
    texture = functools.partial(_texture, lesion, Tissues(solid, rim, filling), seeds[2])
    painted = np.zeros(cover.mask.shape, np.float32)
    painted[inner] = patient.hu[box]
    stamp.paint(cover, painted, texture)
    patient.hu[box] = painted[inner]

    mask = cover.mask[inner]
    structure = lesion_structure(lesion.organ)
    _update_masks(patient, site, box, mask, structure)
    for other in patient.sites.values():
        other.keep_off(mask, box)
    if lesion.centre_mm is None:
        lesion = replace(lesion, centre_mm=_triple(patient.grid.to_world(centre)))
    return PlacedLesion(
        lesion=lesion,
        structure=structure,
        centre_mm=_triple(patient.grid.crop(box).to_world(np.argwhere(mask).mean(axis=0))),
        longest_axial_diameter_mm=cover.diameter_mm,
        volume_mm3=float(np.count_nonzero(mask)) * patient.grid.voxel_volume_mm3,
        parenchyma_hu=parenchyma,
        mean_hu=float(patient.hu[box][mask].mean(dtype=np.float64)),
        region=box,
    )


def _find_place(
    site: OrganSite, lesion: PhantomLesion, seeds: NDArray[np.int64]
) -> tuple[Voxel, Stamp, Cover]:
    """The voxel of the site where a lesion fits, its stamp, and what it covers there."""
    diameter = lesion.diameter_mm
    shape = draw_shape(lesion.shape, diameter, np.random.default_rng(seeds[1]))
    places: Iterable[Place]
    if lesion.centre_mm is not None:
        index = site.grid.to_voxel(lesion.centre_mm)
        i, j, k = (int(n) for n in np.rint(index))
        fraction, places = index - (i, j, k), [Place((i, j, k))]
    else:
        fraction = np.zeros(3)
        place_rng = np.random.default_rng(seeds[0])
        places = site.candidates(diameter / 2.0, exophytic=lesion.exophytic, rng=place_rng)
    stamp = Stamp(shape, site.grid, fraction, diameter, lesion.margin_mm)
    for place in places:
        start = [v - h for v, h in zip(place.voxel, stamp.half, strict=True)]
        size = [2 * h + 1 for h in stamp.half]
        room, organ = (_window(m, start, size) for m in (site.allowed, site.inside))
        cover = stamp.fit(room)
        if cover is None:
            continue
        share = float(cover.share.sum())
        bulge = 1.0 - float(cover.share[organ].sum()) / share
        if share >= place.kept * stamp.whole(cover) and bulge <= place.bulge:
            return place.voxel, stamp, cover
    where = "" if lesion.centre_mm is None else f" at {lesion.centre_mm} mm"
    raise PlacementError(
        f"no room{where} for a lesion of {diameter:g} mm",
        where=site.organ,
        fix="ask for a smaller lesion, another place, or fewer lesions",
    )


def _texture(lesion: PhantomLesion, tissues: Tissues, seed: int, offset_mm: F32, level: F32) -> F32:
    # The generator starts anew for every block of points, so that all see the same pattern.
    return texture_hu(
        lesion.pattern,
        tissues,
        offset_mm,
        level,
        lesion.diameter_mm,
        np.random.default_rng(seed),
        calcified=lesion.calcified,
    )


def _update_masks(
    patient: _Patient, site: OrganSite, box: Region, mask: Bool, structure: str
) -> None:
    masks, shape = patient.masks, patient.grid.shape
    masks.writable(structure, shape)[box] |= mask
    if (mask & ~masks[site.organ][box]).any():
        for name in (site.organ, *site.wholes):
            masks.writable(name, shape)[box] |= mask
        if site.parts:
            shared = {name: np.count_nonzero(masks[name][box] & mask) for name in site.parts}
            in_no_part = mask & ~np.logical_or.reduce([masks[name][box] for name in site.parts])
            masks.writable(max(shared, key=lambda n: shared[n]), shape)[box] |= in_no_part
    for name, tube in site.tubes.items():
        start = [b.start - r.start for b, r in zip(box, site.region, strict=True)]
        if (_window(tube, start, mask.shape) & mask).any():
            masks.writable(name, shape)[box] &= ~mask


def _box(
    middle: Voxel, half: tuple[int, ...], shape: tuple[int, int, int]
) -> tuple[Region, Region]:
    """The box round a voxel, cut to an array, and where the rest of it lies in the uncut box."""
    outer, inner = [], []
    for m, h, n in zip(middle, half, shape, strict=True):
        low, high = min(max(m - h, 0), n), max(min(m + h + 1, n), 0)
        outer.append(slice(low, max(low, high)))
        inner.append(slice(low - m + h, max(low, high) - m + h))
    return (outer[0], outer[1], outer[2]), (inner[0], inner[1], inner[2])


def _window(mask: Bool, start: Sequence[int], shape: Sequence[int]) -> Bool:
    """The part of a mask in a window that may reach beyond the array; False there."""
    found = np.zeros(tuple(shape), bool)
    inner, outer = [], []
    for first, size, n in zip(start, shape, mask.shape, strict=True):
        low = min(max(first, 0), n)
        high = min(max(first + size, low), n)
        outer.append(slice(low, high))
        inner.append(slice(low - first, high - first))
    found[tuple(inner)] = mask[tuple(outer)]
    return found


def _triple(point: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(p) for p in point)
    return x, y, z
