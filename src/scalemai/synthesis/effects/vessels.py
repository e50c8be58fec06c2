"""Vessels that the scan shows but no mask does, and vessels that a lesion narrows."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.anatomy import structure
from scalemai.errors import UnknownNameError
from scalemai.geometry import Grid, Region
from scalemai.synthesis.effects.change import Change
from scalemai.synthesis.effects.contact import VesselContact, sections_near
from scalemai.synthesis.effects.cross_section import CrossSections, step_along
from scalemai.synthesis.effects.vesselness import tube_response
from scalemai.synthesis.growth.neighbourhood import Parenchyma
from scalemai.synthesis.growth.tissue import StructureBox, join_boxes
from scalemai.synthesis.painting.noise_model import smoothed_within
from scalemai.volume import Volume

__all__ = ["find_vessels", "narrow_vessel"]

# Author's estimates, to be refined.
_RADII_MM = (1.2, 2.0, 3.2, 5.0)
_SEED_HU = 25.0  # above parenchyma; or 3.5 times the grain of the smoothed organ
_EDGE_HU = 15.0
_SEED_RESPONSE = 0.4  # of the difference to the parenchyma that a vessel must have
_BRIGHTEST_HU = 350.0  # bone, calcification and oral contrast medium
_NEAR_BONE_MM = 3.0
_BEYOND_MM = 15.0  # a vessel that lies at the organ is found across its whole width
_WALL_MM = 6.0
_SHORTEST_MM = 10.0
_FEWEST_VOXELS = 3.0
_ENCASED_DEG = 180.0
_DIFFERENT_HU = 10.0
_BLUR_MM = 1.0
_TUMOR_MM = 3.0
_MOST_PARTS = 4


def find_vessels(
    hu: NDArray[np.float32],
    organ: NDArray[np.bool_],
    grid: Grid,
    parenchyma: Parenchyma,
    taken: NDArray[np.bool_] | None = None,
    *,
    at_organ_mm: float = 4.0,
) -> NDArray[np.bool_]:
    """Bright tubes inside and at an organ, where no mask of its vessels exists.

    Parameters
    ----------
    hu, organ, grid
        Hounsfield units (i, j, k) of a box, the organ in it, and the grid of the box.
    parenchyma
        How the organ looks.
    taken
        Boolean array of the box: bright neighbours that have masks, such as a kidney; none if None.
    at_organ_mm
        Distance in mm from the organ up to which a vessel counts as being at it.

    Returns
    -------
    ndarray
        Boolean array of the box; empty where the scan shows no vessel, as without contrast
        medium.
    """
    away = ndimage.distance_transform_edt(~organ, sampling=grid.spacing_mm)
    smooth = ndimage.gaussian_filter(hu, [max(0.8 / s, 0.6) for s in grid.spacing_mm])
    barred = ndimage.binary_dilation(smooth > _BRIGHTEST_HU, _ball_mm(_NEAR_BONE_MM, grid))
    if taken is not None:
        barred |= taken
    excess = smooth - np.float32(parenchyma.mean_hu)
    # Spread above the median: fat lobules are no noise. The surface is partly fat, too.
    inner = ndimage.binary_erosion(organ)
    inside = excess[inner if inner.any() else organ]
    grain = float(np.diff(np.percentile(inside, [50.0, 84.1]))[0]) if inside.size else 0.0
    grain = min(grain, 0.6 * parenchyma.noise_hu)
    edge, threshold = max(_EDGE_HU, 2.0 * grain), max(_SEED_HU, 3.5 * grain)
    usable = (away <= _BEYOND_MM) & ~barred & (excess > edge)
    bright = usable & (away <= at_organ_mm) & (excess > threshold)
    if not bright.any():
        return np.zeros(hu.shape, np.bool_)
    # Only what is brighter counts: an organ in fat would be a bright tube itself.
    level = np.clip(excess, 0.0, 200.0)
    response = tube_response(level, grid, _RADII_MM, bright, bright=True)
    seed = bright & (response > _SEED_RESPONSE * threshold)
    # The edge of a vessel lies half way between parenchyma and blood.
    size = [2 * int(np.ceil(_WALL_MM / s)) + 1 for s in grid.spacing_mm]
    peak = ndimage.maximum_filter(np.where(seed, np.minimum(excess, 200.0), 0.0), size)
    grown = usable & (peak > 0.0) & (excess > 0.5 * peak)
    label, count = ndimage.label(grown | seed, np.ones((3, 3, 3)))
    found = np.zeros(hu.shape, np.bool_)
    seeded = np.unique(label[seed])
    for number, box in enumerate(ndimage.find_objects(label, count), start=1):
        if number not in seeded:
            continue
        part = label[box] == number
        index = np.argwhere(part)
        ends = grid.affine[:3, :3] @ (index.max(axis=0) - index.min(axis=0))
        if np.linalg.norm(ends) >= _SHORTEST_MM:
            found[box] |= part
    # Noise leaves holes in wide vessels; thin ones have none.
    size = [3, 3, 3]
    size[grid.axial_axis] = 1
    filled: NDArray[np.bool_] = found | (
        ndimage.uniform_filter(found.astype(np.float32), size) > 0.6
    )
    return filled


def _ball_mm(radius_mm: float, grid: Grid) -> NDArray[np.bool_]:
    """Structuring element: the voxels within a radius."""
    reach = [int(radius_mm / s) for s in grid.spacing_mm]
    steps = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), axis=-1)
    ball: NDArray[np.bool_] = np.linalg.norm(steps @ grid.affine[:3, :3].T, axis=-1) <= radius_mm
    return ball


def narrow_vessel(
    volume: Volume,
    boxes: Mapping[str, StructureBox],
    lesion: StructureBox,
    contact: VesselContact,
    share: float,
) -> Change:
    """Let a lesion narrow a vessel that it encases: the lumen shrinks all round.

    Parameters
    ----------
    volume
        The CT with the lesion.
    boxes
        Masks by canonical name, the vessel among them.
    lesion
        The lesion's mask.
    contact
        The contact of lesion and vessel, from
        :func:`~scalemai.synthesis.effects.contact.vessel_contacts`.
    share
        Share (0 to 1) of the diameter that the lumen loses at its narrowest.

    Returns
    -------
    Change
        Masks of the vessel and, under its own name, of the lesion, which takes the ring that the
        lumen leaves. Nothing is edited where a note says why: the lesion only abuts the vessel,
        the vessel is less than three voxels wide, or the scan does not tell blood from tumor.
    """
    name = contact.structure
    vessel = boxes.get(contact.structure)
    if vessel is None:
        return _nothing(volume, lesion, f"{name}: not narrowed: it has no mask")
    if contact.relation != "encasement":
        what = f"the lesion touches {contact.angle_deg:.0f} degrees of it and does not encase it"
        return _nothing(volume, lesion, f"{name}: not narrowed: {what}")
    sections, weight = _encased(lesion, vessel, contact, volume.grid)
    if sections is None:
        return _nothing(volume, lesion, f"{name}: not narrowed: the lesion is not at it")
    if _width_voxels(sections, weight, volume.grid) < _FEWEST_VOXELS:
        what = f"it is less than {_FEWEST_VOXELS:.0f} voxels wide"
        return _nothing(volume, lesion, f"{name}: not narrowed: {what}")
    region = _region(sections, weight, volume.grid)
    here = volume.grid.crop(region)
    hu, tube, tumor = volume.hu(region), vessel.within(region), lesion.within(region)
    lumen, ring = _lumen(sections, weight, share, here)
    blood = hu[tube & (lumen >= 0.999) & ~tumor]
    if not blood.size or not tumor.any():
        return _nothing(volume, lesion, f"{name}: not narrowed: its lumen is not seen")
    inner = ndimage.binary_erosion(tumor)
    beside = smoothed_within(
        hu, inner if inner.any() else tumor, tuple(_TUMOR_MM / s for s in here.spacing_mm)
    )
    usual = np.float32(np.median(hu[tumor]))
    aim = np.where(beside == 0.0, usual, beside) - np.float32(np.median(blood))
    if abs(float(usual) - float(np.median(blood))) < _DIFFERENT_HU:
        what = "the scan does not tell its blood from the tumor"
        return _nothing(volume, lesion, f"{name}: not narrowed: {what}")
    changed = hu + ring * aim
    freed = tube & (ring > 0.0) & (lumen < 0.5)
    joined = join_boxes([lesion, StructureBox(lesion.name, region, freed)])
    assert joined is not None  # two boxes join to one
    masks = {lesion.name: StructureBox(lesion.name, joined.region, joined.array)}
    for other, box in boxes.items():
        if _is_vessel(other) and (box.within(region) & freed).any():
            gone = StructureBox("", region, freed).within(box.region)
            masks[other] = StructureBox(other, box.region, box.array & ~gone)
    edited = volume.to_stored(changed) != volume.stored[region]
    note = f"{name}: narrowed to {100.0 * (1.0 - share):.0f} % of its width"
    return Change(region, changed.astype(np.float32), edited, masks, (note,))


def _nothing(volume: Volume, lesion: StructureBox, note: str) -> Change:
    a, b, c = (slice(s.start, s.start + 1) for s in lesion.region)
    return Change((a, b, c), volume.hu((a, b, c)), np.zeros((1, 1, 1), np.bool_), {}, (note,))


def _is_vessel(name: str) -> bool:
    try:
        return structure(name).group == "vessel"
    except UnknownNameError:  # a mask that only its owner knows
        return False


def _encased(
    lesion: StructureBox, vessel: StructureBox, contact: VesselContact, grid: Grid
) -> tuple[CrossSections | None, NDArray[np.float64]]:
    """Cross-sections of the branch that is encased, and 0 to 1 how much each is narrowed."""
    best, gap, arcs = None, np.inf, np.zeros(0)
    for sections, touched in sections_near(lesion, vessel, grid):
        away = np.linalg.norm(sections.centre_mm - contact.at_mm, axis=1)
        if away.min() < gap:
            best, gap, arcs = sections, float(away.min()), touched
    if best is None:
        return None, arcs
    at = int(np.argmin(np.linalg.norm(best.centre_mm - contact.at_mm, axis=1)))
    inside = ndimage.median_filter(arcs, 3, mode="nearest") > _ENCASED_DEG
    inside[at] = True
    part, _ = ndimage.label(inside)
    members = np.flatnonzero(part == part[at])
    along = best.along_mm
    low, high = along[members[0]], along[members[-1]]
    wall = float(np.nanmedian(best.wall_mm[members]))
    # Fades out over a radius beyond a short encasement, and within a long one.
    ramp = max(wall, 0.35 * (high - low))
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    depth = np.clip((half + 0.5 * ramp - np.abs(along - middle)) / ramp, 0.0, 1.0)
    return best, depth * depth * (3.0 - 2.0 * depth)


def _width_voxels(sections: CrossSections, weight: NDArray[np.float64], grid: Grid) -> float:
    """Width of the narrowed part in voxels, across its narrowest direction."""
    here = weight > 0.5 * weight.max()
    across = sections.wall_mm + np.roll(sections.wall_mm, sections.wall_mm.shape[1] // 2, axis=1)
    width = np.nanmedian((across / step_along(grid, sections.rays))[here], axis=0)
    return float(np.nanmin(width))


def _region(sections: CrossSections, weight: NDArray[np.float64], grid: Grid) -> Region:
    here = weight > 0.0
    reach = 1.5 * float(np.nanmax(sections.wall_mm[here])) + 2.0 * _TUMOR_MM
    margin = reach * np.linalg.norm(grid.inverse[:3, :3], axis=1)
    index = grid.to_voxel(sections.centre_mm[here])
    region = grid.clip(index.min(axis=0) - margin, index.max(axis=0) + margin)
    assert region is not None  # the vessel lies in the volume
    return region


def _lumen(
    sections: CrossSections, weight: NDArray[np.float64], share: float, grid: Grid
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Share of each voxel inside the narrowed lumen, and inside the ring that it leaves."""
    from scipy.spatial import cKDTree  # slow to import

    tree = cKDTree(sections.centre_mm)
    count = sections.rays.shape[1]
    widest = float(np.nanmax(sections.wall_mm)) + _BLUR_MM + max(grid.spacing_mm)
    voxels = np.moveaxis(np.indices(grid.shape), 0, -1).reshape(-1, 3)
    gap, _ = tree.query(grid.to_world(voxels), distance_upper_bound=widest)
    voxels = voxels[np.isfinite(gap)]
    parts = [min(max(round(s), 2), _MOST_PARTS) for s in grid.spacing_mm]
    inside, ring = np.zeros(len(voxels)), np.zeros(len(voxels))
    for part in product(*(range(n) for n in parts)):
        points = grid.to_world(voxels + (np.array(part) + 0.5) / parts - 0.5)
        _, at = tree.query(points)
        offset = points - sections.centre_mm[at]
        x = (offset * sections.rays[at, 0]).sum(axis=1)
        y = (offset * sections.rays[at, count // 4]).sum(axis=1)
        turn = np.rint(np.arctan2(y, x) / (2.0 * np.pi) * count).astype(np.int64) % count
        wall = sections.wall_mm[at, turn]
        away = np.hypot(x, y)
        before = np.clip(0.5 - (away - wall) / _BLUR_MM, 0.0, 1.0)
        after = np.clip(0.5 - (away - wall * (1.0 - share * weight[at])) / _BLUR_MM, 0.0, 1.0)
        inside += np.nan_to_num(after, nan=1.0)  # no wall: the mouth of a branch stays open
        ring += np.nan_to_num(before - after)
    total = float(np.prod(parts))
    lumen, freed = np.zeros(grid.shape, np.float32), np.zeros(grid.shape, np.float32)
    lumen[tuple(voxels.T)] = inside / total
    freed[tuple(voxels.T)] = ring / total
    return lumen, freed
