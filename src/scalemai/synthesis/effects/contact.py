"""How a lesion touches a vessel: the angle of contact, and where to seed one that touches so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.geometry import Grid
from scalemai.measure import bounding_box
from scalemai.synthesis.effects.centreline import centre_lines
from scalemai.synthesis.effects.cross_section import (
    CrossSections,
    cross_sections,
    mask_field,
    step_along,
)
from scalemai.synthesis.growth.tissue import StructureBox, Tissue

__all__ = [
    "ENCASEMENT_DEG",
    "Relation",
    "VesselContact",
    "contact_angles",
    "contact_places",
    "sections_near",
    "vessel_contacts",
]

Relation = Literal["abutment", "encasement"]

ENCASEMENT_DEG = 180.0
"""Contact of more than half the circumference is encasement, up to half of it abutment
(Al-Hawary et al., Radiology 2014;270:248-260)."""

# Author's estimates, to be refined.
_MARGIN_MM = 25.0  # of vessel beyond the lesion, so that the ends of the crop play no part
_REACH_VOXELS = 0.75  # a gap of one whole voxel is a gap
_LEAST_DEG = 10.0
_PLACES = 12
_APART_MM = 2.0
_STATION_MM = 2.0


@dataclass(frozen=True, kw_only=True)
class VesselContact:
    """Contact of one lesion with one vessel, as pancreatic cancer is staged by it.

    Parameters
    ----------
    structure
        Canonical name of the vessel.
    angle_deg
        Largest arc of the vessel's circumference that the lesion touches, in degrees, in a plane
        perpendicular to the vessel.
    length_mm
        Length of vessel in mm along which they touch.
    at_mm
        RAS+ mm on the vessel's centre line where the arc is largest.
    relation
        ``"abutment"`` up to 180 degrees, ``"encasement"`` beyond (Al-Hawary et al., Radiology
        2014;270:248-260).
    """

    structure: str
    angle_deg: float
    length_mm: float
    at_mm: tuple[float, float, float]
    relation: Relation


def vessel_contacts(
    lesion: StructureBox, vessels: Mapping[str, StructureBox], grid: Grid
) -> tuple[VesselContact, ...]:
    """Measure which vessels a lesion touches, and round how much of their circumference.

    Planes are perpendicular to the vessel, not axial: an oblique vessel is neither over- nor
    underestimated. Good to about 15 degrees for vessels that are four voxels wide or more; of
    thinner ones a voxel of the circumference is 40 degrees and more.

    Parameters
    ----------
    lesion
        The lesion's mask.
    vessels
        Masks by canonical name.
    grid
        Grid of the whole volume.

    Returns
    -------
    tuple
        The contacts, the largest first; vessels that are not touched are left out.
    """
    found = []
    for name, vessel in vessels.items():
        length, angle = 0.0, 0.0
        at = np.zeros(3)
        for sections, arcs in sections_near(lesion, vessel, grid):
            step = float(sections.along_mm[-1]) / max(len(arcs) - 1, 1)
            length += step * int(np.count_nonzero(arcs >= _LEAST_DEG))
            steady = _steadied(arcs, sections, grid)
            best = int(np.argmax(steady))
            if steady[best] > angle:
                angle, at = float(steady[best]), sections.centre_mm[best]
        if angle < _LEAST_DEG or length == 0.0:
            continue
        contact = VesselContact(
            structure=name,
            angle_deg=angle,
            length_mm=length,
            at_mm=(float(at[0]), float(at[1]), float(at[2])),
            relation="encasement" if angle > ENCASEMENT_DEG else "abutment",
        )
        found.append(contact)
    return tuple(sorted(found, key=lambda c: (-c.angle_deg, c.structure)))


def sections_near(
    lesion: StructureBox, vessel: StructureBox, grid: Grid
) -> list[tuple[CrossSections, NDArray[np.float64]]]:
    """Cross-sections of each branch of a vessel near a lesion, with the arc in degrees touched.

    Empty if vessel and lesion do not touch.
    """
    reach = 2
    low = [s.start - reach for s in lesion.region]
    high = [s.stop - 1 + reach for s in lesion.region]
    close = grid.clip(low, high)
    if (
        close is None
        or not (
            vessel.within(close) & ndimage.binary_dilation(lesion.within(close), iterations=reach)
        ).any()
    ):
        return []
    margin = _MARGIN_MM * np.linalg.norm(grid.inverse[:3, :3], axis=1)
    region = grid.clip(np.array(low) - margin, np.array(high) + margin)
    assert region is not None  # it holds the lesion
    here, tube, tumor = grid.crop(region), vessel.within(region), lesion.within(region)
    found = []
    for line in centre_lines(tube, here):
        sections = cross_sections(line, tube, here)
        found.append((sections, contact_angles(sections, tumor, here)))
    return found


def contact_angles(
    sections: CrossSections, lesion: NDArray[np.bool_], grid: Grid
) -> NDArray[np.float64]:
    """Arc in degrees of the circumference that a lesion touches, for each cross-section.

    Parameters
    ----------
    sections
        Cross-sections of the vessel.
    lesion, grid
        Boolean array (i, j, k) of the lesion and its grid.
    """
    pace = step_along(grid, sections.rays)
    out = np.linspace(-0.5, _REACH_VOXELS, 6)[:, None, None] * pace
    field = mask_field(lesion, grid, sections.points_mm(sections.wall_mm + out))
    touched = np.nanmax(np.where(np.isnan(field), 0.0, field), axis=0) >= 0.5
    arcs: NDArray[np.float64] = 360.0 * touched.mean(axis=1)
    return arcs


def _steadied(
    arcs: NDArray[np.float64], sections: CrossSections, grid: Grid
) -> NDArray[np.float64]:
    """Arcs averaged over a voxel's length: one plane is as noisy as the voxels that it cuts."""
    step = float(sections.along_mm[-1]) / max(len(arcs) - 1, 1)
    sigma = float(np.median(step_along(grid, sections.rays))) / max(step, 1e-6)
    steady: NDArray[np.float64] = ndimage.gaussian_filter1d(arcs, sigma, mode="nearest")
    return steady


def contact_places(
    vessel: StructureBox,
    organ: StructureBox | Tissue,
    grid: Grid,
    diameter_mm: float,
    angle_deg: tuple[float, float],
    rng: np.random.Generator,
    *,
    beyond: bool = False,
) -> list[tuple[float, float, float]]:
    """Seeds beside a vessel from which a lesion would touch it round about a stated angle.

    A front that goes round a vessel reaches the wall directly as far as the tangent from the seed,
    and behind that along the wall: the arc touched at radius R of a seed at distance d from the
    middle of a vessel of radius r is ``2 (acos(r/d) + (R - sqrt(d^2 - r^2)) / r)`` beyond the
    tangent, and follows from the law of cosines before it.

    Parameters
    ----------
    vessel
        The vessel's mask.
    organ
        The organ that the lesion grows in.
    grid
        Grid of the whole volume.
    diameter_mm
        Diameter of the lesion in mm.
    angle_deg
        Smallest and largest contact angle in degrees.
    rng
        Stream of this decision.
    beyond
        Whether the lesion may leave the organ; else wall that is not next to it is not reached.

    Returns
    -------
    list
        At most 12 places, RAS+ mm, the most promising first; empty if the vessel is out of reach.
        Grow the lesion there and measure: the organ's form decides in the end.
    """
    radius = 0.5 * diameter_mm
    gland = (
        StructureBox(organ.structure, organ.region, organ.organ)
        if isinstance(organ, Tissue)
        else organ
    )
    reach = (diameter_mm + 5.0) * np.linalg.norm(grid.inverse[:3, :3], axis=1)
    around = grid.clip(
        np.array([s.start for s in gland.region]) - reach,
        np.array([s.stop - 1 for s in gland.region]) + reach,
    )
    assert around is not None  # it holds the organ
    inside = bounding_box(vessel.within(around))
    if inside is None:
        return []
    a, b, c = (
        slice(o.start + i.start, o.start + i.stop) for o, i in zip(around, inside, strict=True)
    )
    region = grid.clip(
        np.array([a.start, b.start, c.start]) - reach,
        np.array([a.stop - 1, b.stop - 1, c.stop - 1]) + reach,
    )
    assert region is not None
    here, tube, tissue = grid.crop(region), vessel.within(region), gland.within(region)
    free = tissue & ~tube
    places, angles, room = [], [], []
    for line in centre_lines(tube, here, _STATION_MM):
        sections = cross_sections(line, tube, here)
        for seed, arc, share in _seeds(sections, free, here, radius, beyond=beyond):
            places.append(seed)
            angles.append(arc)
            room.append(share)
    if not places:
        return []
    low, high = angle_deg
    aim = float(rng.uniform(low, high))
    points, arcs = np.concatenate(places), np.concatenate(angles)
    # A degree off weighs as much as a third of a percent less room; ties fall by lot.
    score = np.abs(arcs - aim) + np.where((arcs < low) | (arcs > high), 90.0, 0.0)
    score += 300.0 * np.maximum(0.6 - np.concatenate(room), 0.0) + rng.uniform(0.0, 8.0, len(arcs))
    chosen: list[NDArray[np.float64]] = []
    for n in np.argsort(score, kind="stable"):
        if all(np.linalg.norm(points[n] - other) >= _APART_MM for other in chosen):
            chosen.append(points[n])
        if len(chosen) == _PLACES:
            break
    return [(float(p[0]), float(p[1]), float(p[2])) for p in chosen]


def _seeds(
    sections: CrossSections,
    free: NDArray[np.bool_],
    grid: Grid,
    radius_mm: float,
    *,
    beyond: bool,
) -> list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]]:
    """Places in mm beside each station, the arcs in degrees expected, and the room there is."""
    pace = step_along(grid, sections.rays)
    beside = mask_field(free, grid, sections.points_mm(sections.wall_mm + pace)) >= 0.5
    beside |= beyond
    found = []
    turns = np.arange(0, beside.shape[1], 6)  # 30 degrees apart
    # From one voxel beside the wall to where the ball just reaches it.
    shares = np.linspace(0.05, 1.0, 9)
    for n in np.flatnonzero(~np.isnan(sections.wall_mm).any(axis=1)):
        wall = float(np.median(sections.wall_mm[n]))
        for m in turns:
            away = sections.wall_mm[n, m] + 0.5 * pace[n, m] + shares * radius_mm
            seeds = sections.centre_mm[n] + away[:, None] * sections.rays[n, m]
            good = mask_field(free, grid, seeds) >= 0.5
            if not good.any():
                continue
            turn = np.abs((np.arange(beside.shape[1]) - m + 36) % 72 - 36) * np.radians(5.0)
            reached = _arrival_mm(away[good], wall, turn) <= radius_mm
            arcs = 360.0 * (reached & beside[n]).mean(axis=1)
            seeds, arcs = seeds[good][arcs > 0.0], arcs[arcs > 0.0]
            if arcs.size:
                found.append((seeds, arcs, _room(seeds, free, grid, radius_mm)))
    return found


def _arrival_mm(
    distance_mm: NDArray[np.float64], radius_mm: float, turn: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Shortest way in mm round a cylinder from points beside it to its wall, (n,) and (m,)."""
    d, r = distance_mm[:, None], min(radius_mm, float(distance_mm.min()) - 1e-3)
    tangent = np.arccos(np.clip(r / d, -1.0, 1.0))
    straight = np.sqrt(np.maximum(d**2 + r**2 - 2.0 * d * r * np.cos(turn), 0.0))
    round_: NDArray[np.float64] = np.where(
        turn <= tangent, straight, np.sqrt(d**2 - r**2) + r * (turn - tangent)
    )
    return round_


def _room(
    points_mm: NDArray[np.float64], free: NDArray[np.bool_], grid: Grid, radius_mm: float
) -> NDArray[np.float64]:
    """Share of 14 directions in which two thirds of a ball's radius away is still organ."""
    corners = np.array([(i, j, k) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)]) / 3**0.5
    rays = np.concatenate([np.eye(3), -np.eye(3), corners]) * radius_mm * 2.0 / 3.0
    share: NDArray[np.float64] = (mask_field(free, grid, points_mm[:, None] + rays) >= 0.5).mean(
        axis=1
    )
    return share
