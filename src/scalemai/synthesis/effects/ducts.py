"""Ducts that a lesion closes: wider upstream, in a gland that wastes away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.anatomy import is_lesion
from scalemai.geometry import Grid, Region
from scalemai.synthesis.effects.atrophy import shrink_gland
from scalemai.synthesis.effects.centreline import CentreLine
from scalemai.synthesis.effects.change import Change
from scalemai.synthesis.effects.cross_section import mask_field
from scalemai.synthesis.effects.duct_course import DuctCourse, find_bile_duct, find_duct
from scalemai.synthesis.effects.infill import background
from scalemai.synthesis.effects.tubes import nearest_on_line, tube_coverage
from scalemai.synthesis.growth.tissue import StructureBox, join_boxes
from scalemai.synthesis.recipe import Obstructed
from scalemai.volume import Volume

__all__ = ["dilate_duct"]

_GLAND = ("pancreas", "pancreas_head", "pancreas_body", "pancreas_tail")
_DUCTS = ("pancreatic_duct", "common_bile_duct")

# Author's estimates, to be refined.
_FLUID_HU = (5.0, 20.0)
_LEAST_FLUID_HU = 0.0
_SEEN_HU = 15.0  # between gland and fluid
_PRESSED_MM = 5.0  # a duct this near to the lesion's surface is closed too
_SHORTEST_MM = 8.0
_RIM_MM = 1.0  # of parenchyma left around the duct
_NARROW_END = 0.5
_TOWARDS_TAIL = 0.6  # of the calibre, a gland's length upstream
_GLAND_LENGTH_MM = 150.0
_BEND_MM = 7.0
_ONSET_MM = 8.0  # over which atrophy sets in upstream
_LEAST_VOXELS = 1.0
_VESSEL_HU = 40.0  # above the gland: a vessel that has no mask


@dataclass(frozen=True, eq=False)
class _Scene:
    """What lies around a duct, cut to one box."""

    region: Region
    grid: Grid
    hu: NDArray[np.float32]
    gland: NDArray[np.bool_]
    lesions: NDArray[np.bool_]
    taken: NDArray[np.bool_]


def dilate_duct(
    volume: Volume,
    boxes: Mapping[str, StructureBox],
    lesion: StructureBox,
    obstructed: Obstructed,
    rng: np.random.Generator,
) -> Change:
    """Widen a duct upstream of a lesion, and let the gland there waste away.

    Upstream is the tail for the pancreatic duct and the liver hilum for the common bile duct. The
    pancreatic duct stays inside the gland; the bile duct takes the place of fat and pancreas but
    not of other structures. Where a duct has no mask its course is estimated, and the notes say so.

    Parameters
    ----------
    volume
        The CT with the lesion.
    boxes
        Masks by canonical name: ``pancreas``, its parts, ducts, vessels and neighbours that exist.
    lesion
        The lesion's mask.
    obstructed
        Which duct (``pancreatic_duct`` or ``common_bile_duct``), its calibre in mm, and the share
        of the parenchyma's thickness that is lost (pancreatic duct only).
    rng
        Stream of attenuation, bends and noise.

    Returns
    -------
    Change
        Nothing is edited where a note says why: the lesion lies off the duct, no duct is left
        upstream, or the grid is too coarse.
    """
    pancreatic = obstructed.structure == "pancreatic_duct"
    name = obstructed.structure
    course = find_duct(volume, boxes) if pancreatic else find_bile_duct(volume, boxes)
    if course is None:
        return _nothing(volume, lesion, f"{name}: not dilated: no mask shows where it runs")
    widest = max(volume.grid.spacing_mm[a] for a in volume.grid.in_plane_axes)
    if obstructed.calibre_mm < _LEAST_VOXELS * widest:
        what = f"{obstructed.calibre_mm:.1f} mm cannot be shown with voxels of {widest:.1f} mm"
        return _nothing(volume, lesion, f"{name}: not dilated: {what}")
    upstream = _upstream(course, lesion, volume.grid)
    if isinstance(upstream, str):
        return _nothing(volume, lesion, f"{name}: not dilated: {upstream}")
    scene = _scene(volume, boxes, lesion, upstream, obstructed)
    if not scene.gland.any():
        return _nothing(volume, lesion, f"{name}: not dilated: there is no pancreas mask")
    notes = list(course.notes)
    hu, lost = scene.hu, np.zeros(scene.gland.shape, np.bool_)
    tube = _calibre(upstream, obstructed, rng, inside_gland=pancreatic or bool(course.notes))
    if pancreatic and obstructed.atrophy > 0.0:
        shrunk = shrink_gland(
            scene.hu, scene.gland, _loss(scene, upstream, tube, obstructed.atrophy),
            scene.taken | scene.lesions, scene.grid, rng,
        )  # fmt: skip
        if shrunk is None:
            notes.append("pancreas: does not shrink: there is no fat around it")
        else:
            hu, lost = shrunk.hu, shrunk.lost
    scene = replace(scene, hu=hu, gland=scene.gland & ~lost)
    share = _share(scene, tube, inside_gland=pancreatic or bool(course.notes))
    tissue = scene.gland & ~scene.lesions
    for duct in _DUCTS:
        if duct in boxes:
            tissue &= ~boxes[duct].within(scene.region)
    look = background(hu, tissue if tissue.any() else scene.gland, scene.grid, rng)
    index = np.moveaxis(scene.grid.to_voxel(tube.points_mm), -1, 0)
    around = float(np.median(ndimage.map_coordinates(look.level_hu, index, order=1)))
    fluid = min(float(rng.uniform(*_FLUID_HU)), around - _SEEN_HU)
    if fluid < _LEAST_FLUID_HU and pancreatic:
        what = f"the gland is so fatty ({around:.0f} HU) that fluid would not stand out"
        return _nothing(volume, lesion, f"{name}: not dilated: {what}")
    hu = look.fill(hu, share, max(fluid, _LEAST_FLUID_HU))
    widened = share >= 0.5
    # A duct thinner than two voxels fills none by half in places, and yet it does not end there.
    index = np.rint(index.T).astype(np.int64)
    index = index[((index >= 0) & (index < scene.grid.shape)).all(axis=1)]
    through = np.zeros_like(widened)
    through[tuple(index.T)] = True
    widened |= through & (share >= 0.25)
    if not widened.any():
        return _nothing(volume, lesion, f"{name}: not dilated: there is no room for it")
    old = volume.stored[scene.region]
    edited = volume.to_stored(hu) != old
    masks = _masks(boxes, scene.region, obstructed.structure, widened, lost, volume.grid)
    return Change(scene.region, hu, edited, masks, tuple(notes))


def _nothing(volume: Volume, lesion: StructureBox, note: str) -> Change:
    a, b, c = (slice(s.start, s.start + 1) for s in lesion.region)
    return Change((a, b, c), volume.hu((a, b, c)), np.zeros((1, 1, 1), np.bool_), {}, (note,))


def _upstream(course: DuctCourse, lesion: StructureBox, grid: Grid) -> CentreLine | str:
    """The part of the course that drains through the lesion, from the lesion on; or why none."""
    line = course.line
    box = grid.crop(lesion.region)
    inside = mask_field(lesion.array, box, line.points_mm) >= 0.5
    if inside.any():
        last = int(np.argmax(inside))
    else:
        gap, _ = nearest_on_line(
            CentreLine(box.to_world(np.argwhere(lesion.array)), np.zeros(0)), line.points_mm
        )
        last = int(np.argmin(gap))
        if gap[last] > _PRESSED_MM:
            return f"the lesion stays {gap[last]:.0f} mm away from it"
    if line.along_mm[last] < _SHORTEST_MM:
        return "nothing of it lies upstream of the lesion"
    return CentreLine(line.points_mm[last::-1], line.radius_mm[last::-1])


def _scene(
    volume: Volume,
    boxes: Mapping[str, StructureBox],
    lesion: StructureBox,
    line: CentreLine,
    obstructed: Obstructed,
) -> _Scene:
    reach = 0.5 * obstructed.calibre_mm + 6.0
    points = [volume.grid.to_voxel(line.points_mm)]
    if "pancreas" in boxes:
        corners = [(s.start, s.stop - 1) for s in boxes["pancreas"].region]
        points.append(np.array(corners, np.float64).T)
    index = np.concatenate(points)
    margin = reach * np.linalg.norm(volume.grid.inverse[:3, :3], axis=1)
    region = volume.grid.clip(index.min(axis=0) - margin, index.max(axis=0) + margin)
    assert region is not None  # the duct lies in the volume
    gland = (
        boxes["pancreas"].within(region)
        if "pancreas" in boxes
        else np.zeros([s.stop - s.start for s in region], np.bool_)
    )
    lesions = lesion.within(region)
    taken = np.zeros_like(gland)
    for name, box in boxes.items():
        if name in _GLAND or name in _DUCTS:
            continue
        here = box.within(region)
        if is_lesion(name):
            lesions |= here
        elif np.count_nonzero(here & gland) <= 0.5 * np.count_nonzero(gland):
            taken |= here  # a mask of the whole body is no neighbour
    return _Scene(region, volume.grid.crop(region), volume.hu(region), gland, lesions, taken)


def _calibre(
    line: CentreLine, obstructed: Obstructed, rng: np.random.Generator, *, inside_gland: bool
) -> CentreLine:
    """The widened duct: its course with bends, its radius in mm; it begins at the lesion."""
    along = line.along_mm
    step = float(along[-1]) / (len(along) - 1)
    radius = np.full(len(along), 0.5 * obstructed.calibre_mm)
    if inside_gland:
        radius *= 1.0 - (1.0 - _TOWARDS_TAIL) * np.minimum(along / _GLAND_LENGTH_MM, 1.0)
    near = np.clip(along / obstructed.calibre_mm, 0.0, 1.0)
    radius *= _NARROW_END + (1.0 - _NARROW_END) * near * near * (3.0 - 2.0 * near)
    wander = _smooth_noise(rng, (len(along), 4), _BEND_MM / step)
    radius *= 1.0 + 0.08 * wander[:, 3]
    room = ndimage.gaussian_filter1d(line.radius_mm, 3.0 / step, mode="nearest")
    if inside_gland:
        radius = np.maximum(np.minimum(radius, room - _RIM_MM), 0.3)
        spare = np.maximum(room - radius - _RIM_MM, 0.0)
    else:
        radius = np.maximum(radius, room)
        spare = 0.3 * radius
    swing = np.minimum(0.4 * radius, spare) * np.clip(along / 10.0, 0.0, 1.0)
    points = line.points_mm + wander[:, :3] * swing[:, None]
    return CentreLine(points, radius)


def _smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], sigma: float
) -> NDArray[np.float64]:
    """Columns of smooth noise of unit variance, cut at 1.5."""
    noise = ndimage.gaussian_filter1d(rng.standard_normal(shape), sigma, axis=0, mode="reflect")
    unit: NDArray[np.float64] = np.clip(noise * (4.0 * np.pi) ** 0.25 * sigma**0.5, -1.5, 1.5)
    return unit


def _loss(scene: _Scene, line: CentreLine, tube: CentreLine, share: float) -> NDArray[np.float64]:
    """Depth in mm that the gland loses at each voxel: none downstream of the obstruction."""
    thickness = ndimage.gaussian_filter1d(line.radius_mm, 6.0, mode="nearest")
    onset = np.clip(line.along_mm / _ONSET_MM, 0.0, 1.0)
    lost = np.minimum(share * thickness, np.maximum(thickness - tube.radius_mm - _RIM_MM, 0.0))
    lost *= onset * onset * (3.0 - 2.0 * onset)
    depth = np.zeros(scene.gland.shape)
    index = np.argwhere(scene.gland)
    _, at = nearest_on_line(line, scene.grid.to_world(index))
    depth[tuple(index.T)] = lost[at]
    return depth


def _share(scene: _Scene, tube: CentreLine, *, inside_gland: bool) -> NDArray[np.float32]:
    """Share of each voxel that becomes duct."""
    share = tube_coverage(tube, scene.grid)
    size = [3, 3, 3]
    size[scene.grid.axial_axis] = 1
    free = ~scene.lesions & ~scene.taken
    if inside_gland:
        free &= scene.gland
    else:
        mean = ndimage.uniform_filter(scene.hu, size)
        usual = float(np.median(scene.hu[scene.gland]))
        free &= scene.gland | ((mean > -200.0) & (mean < usual + _VESSEL_HU))
    share[~free] = 0.0
    return share


def _masks(
    boxes: Mapping[str, StructureBox],
    region: Region,
    duct: str,
    widened: NDArray[np.bool_],
    lost: NDArray[np.bool_],
    grid: Grid,
) -> dict[str, StructureBox]:
    """The structures that changed, whole."""
    known = boxes.get(duct)
    new = StructureBox(duct, region, widened)
    joined = join_boxes([new] if known is None else [known, new])
    assert joined is not None  # one box at least
    masks = {duct: StructureBox(duct, joined.region, joined.array)}
    gland = boxes.get("pancreas")
    apart = known is not None and gland is not None and _kept_apart(known, gland)
    gone = lost | widened if apart else lost
    for name in (*_GLAND, *_DUCTS):
        if name == duct or name not in boxes:
            continue
        box = boxes[name]
        here = StructureBox("", region, gone if name in _GLAND else lost).within(box.region)
        if name in _DUCTS:
            here |= StructureBox("", region, widened).within(box.region)
        if (here & box.array).any():
            masks[name] = StructureBox(name, box.region, box.array & ~here)
    return masks


def _kept_apart(duct: StructureBox, gland: StructureBox) -> bool:
    """Whether the masks of a data set leave its ducts out of the gland: a convention to keep to."""
    a, b, c = (slice(max(s.start - 1, 0), s.stop + 1) for s in duct.region)
    around = gland.within((a, b, c))
    tube = duct.within((a, b, c))
    beside = np.count_nonzero(tube & ndimage.binary_dilation(around, np.ones((3, 3, 3))))
    return bool(np.count_nonzero(tube & around) < 0.5 * beside)
